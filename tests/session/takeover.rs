//! Another device on the account.

use crate::speaker::{Asked, KITCHEN, KITCHENS_QUEUE, Speaker};
use tonearm_core::State;
use tonearm_core::effect::Call;
use tonearm_core::event::Claim;
use tonearm_core::id::EntryKey;
use tonearm_core::input::{Failure, Modes, Press, Verdict};
use tonearm_core::light::Scene;
use tonearm_core::refusal::{Notice, Problem};
use tonearm_core::unit::Millis;

fn taken_over() -> Speaker {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(9000);
    speaker.fails = Some(Failure::TakenOver);
    speaker.press(Press::Shuffle);
    speaker
}

#[test]
fn the_sound_stops_here_and_the_place_is_kept() {
    let mut speaker = taken_over();
    assert_eq!(speaker.story(), ["1 systemStop 9000"]);
    assert_eq!((speaker.state(), speaker.light), (State::Paused, Scene::Refused));
    assert_eq!(speaker.view().problem, Some(Problem::TakenOver));
    assert!(speaker.notices.contains(&Notice::TakenOver));
}

#[test]
fn play_takes_it_back_where_it_was() {
    let mut speaker = taken_over();
    speaker.forget().fails = None;
    speaker.wait(60_000).press(Press::Play);
    assert_eq!(speaker.story(), ["1 from 9000"]);
    assert_eq!(speaker.view().problem, None);
}

#[test]
fn it_is_the_system_that_stopped_even_after_an_earlier_pause() {
    let mut speaker = Speaker::playing_album(5);
    speaker
        .wait(1000)
        .press(Press::Play)
        .press(Press::Play)
        .wait(1000)
        .forget();
    speaker.fails = Some(Failure::TakenOver);
    speaker.press(Press::Shuffle);
    assert_eq!(speaker.story(), ["1 systemStop 2000"]);
}

#[test]
fn an_event_may_bring_the_news_and_is_sent_again() {
    let mut speaker = Speaker::playing_album(5);
    speaker
        .verdicts
        .extend([Verdict::Accepted, Verdict::Failed(Failure::TakenOver)]);
    speaker.press(Press::Next).wait(60_000);
    assert_eq!(speaker.state(), State::Paused);
    assert_eq!(speaker.view().waiting, 0);
}

/// Another device took the stream while this one played; the service takes nothing from this one until it claims it.
fn stolen() -> Speaker {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(9000).stolen = true;
    speaker.press(Press::Shuffle).wait(60_000);
    speaker
}

#[test]
fn the_first_start_after_the_press_takes_the_stream_over_and_no_other() {
    let mut speaker = stolen();
    speaker.press(Press::Play).press(Press::Next).finish();
    assert_eq!(speaker.claims(), [1]);
}

#[test]
fn events_that_the_service_took_no_more_do_not_stand_in_the_way_of_the_claim() {
    let mut speaker = stolen();
    assert_eq!(
        speaker.view().waiting,
        1,
        "the stop is kept while the stream is elsewhere"
    );
    speaker.forget().press(Press::Play).wait(1000);
    assert_eq!((speaker.state(), speaker.view().waiting), (State::Playing, 0));
    assert!(
        speaker
            .settled
            .iter()
            .any(|(seq, accepted)| (seq.0, *accepted) == (2, false))
    );
    assert!(!speaker.stolen);
    assert!(speaker.notices.is_empty(), "what was refused before is no news");
}

#[test]
fn when_the_other_device_gives_the_stream_back_the_events_go_through() {
    let mut speaker = stolen();
    speaker.stolen = false;
    speaker.wait(31_000);
    assert!(speaker.settled.iter().all(|(_, accepted)| *accepted));
    assert_eq!(speaker.state(), State::Paused, "the listener decides");
}

#[test]
fn a_skip_after_the_loss_takes_the_stream_over_too() {
    let mut speaker = stolen();
    speaker.forget().press(Press::Next);
    assert_eq!(speaker.claims(), [2]);
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn a_claim_that_is_refused_is_not_repeated() {
    let mut speaker = stolen();
    speaker.forget();
    speaker
        .verdicts
        .extend([Verdict::Failed(Failure::TakenOver), Verdict::Failed(Failure::TakenOver)]);
    speaker.press(Press::Play).wait(60_000);
    assert_eq!(speaker.state(), State::Paused);
    assert_eq!(speaker.notices, [Notice::TakenOver]);
    let claim = speaker.journal.iter().find(|event| event.claim == Claim::TakesOver);
    let seq = claim.unwrap().seq;
    assert_eq!(speaker.sent.iter().filter(|sent| **sent == seq).count(), 1);
}

#[test]
fn a_paused_speaker_that_loses_the_stream_says_nothing_and_claims_it_when_it_plays() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(9000).press(Press::Play).stolen = true;
    speaker.forget().press(Press::Shuffle);
    assert!(!speaker.notices.contains(&Notice::TakenOver));
    speaker.press(Press::Play);
    assert_eq!(speaker.story(), ["1 from 9000"]);
    assert_eq!(speaker.claims(), [1]);
}

#[test]
fn what_began_before_the_loss_was_known_claims_nothing() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(1000).holds_news = true;
    speaker.press(Press::Next).stolen = true;
    speaker.press(Press::Shuffle).let_through();
    assert!(speaker.claims().is_empty());
    assert_eq!(speaker.state(), State::Paused);
}

#[test]
fn a_new_session_takes_the_stream_over_by_itself() {
    let mut speaker = stolen();
    speaker.forget().press(Press::Preset(1)).wait(60_000);
    assert!(speaker.claims().is_empty());
    assert_eq!(speaker.state(), State::Playing);
    assert_eq!(speaker.view().problem, None);
}

#[test]
fn take_over_without_an_offer_takes_the_own_stream_back() {
    let mut speaker = stolen();
    speaker.forget().press(Press::TakeOver);
    assert_eq!(speaker.story(), ["1 from 9000"]);
    assert_eq!(speaker.claims(), [1]);
}

#[test]
fn a_heartbeat_claims_nothing() {
    let mut speaker = Speaker::with_heartbeat(5, Millis(5000));
    speaker.press(Press::Preset(1)).wait(1000).stolen = true;
    speaker.press(Press::Shuffle).press(Press::Play).wait(30_000);
    assert_eq!(speaker.claims(), [1]);
}

/// Another device has the stream, and the service shows its session to nobody else.
fn without_the_stream(speaker: &mut Speaker) -> &mut Speaker {
    speaker.fails_at.insert(Asked::Current, Failure::TakenOver);
    speaker
}

#[test]
fn an_offer_that_is_not_shown_is_brought_back_by_its_entry_and_claimed() {
    let mut speaker = Speaker::with_album(5);
    without_the_stream(speaker.kitchen_plays().pull_plug(1000)).forget();
    speaker.press(Press::TakeOver);
    let entry = EntryKey(KITCHENS_QUEUE[0]);
    assert_eq!(
        speaker.calls.get(..2),
        Some(&[Call::Current(KITCHEN), Call::Restore(entry)][..])
    );
    assert_eq!((speaker.state(), speaker.view().problem), (State::Playing, None));
    assert_eq!(speaker.claims().len(), 1);
    assert_eq!(speaker.view().offer, None);
}

/// The kitchen plays its session over and over, in random order.
fn mixed_in_the_kitchen() -> Speaker {
    let mut speaker = Speaker::with_album(5);
    speaker.kitchen_plays().elsewhere[0].modes = Modes {
        shuffle: true,
        looping: true,
    };
    speaker.pull_plug(1000);
    speaker
}

#[test]
fn a_session_that_goes_on_here_keeps_its_modes() {
    let mut speaker = mixed_in_the_kitchen();
    speaker.press(Press::TakeOver);
    assert_eq!(speaker.state(), State::Playing);
    assert!(speaker.view().shuffle && speaker.view().looping);
    speaker.forget().press(Press::Loop);
    assert!(matches!(speaker.calls.first(), Some(Call::Loop { on: false, .. })));
}

#[test]
fn a_session_that_is_brought_back_by_its_entry_keeps_its_modes() {
    let mut speaker = mixed_in_the_kitchen();
    without_the_stream(&mut speaker).press(Press::TakeOver);
    assert_eq!(speaker.state(), State::Playing);
    assert!(speaker.view().shuffle && speaker.view().looping);
}

#[test]
fn what_is_started_after_it_has_modes_of_its_own() {
    let mut speaker = mixed_in_the_kitchen();
    speaker.press(Press::TakeOver).press(Press::Preset(1));
    assert!(!speaker.view().shuffle && !speaker.view().looping);
}

#[test]
fn a_session_that_is_not_shown_and_not_brought_back_either_is_refused_and_forgotten() {
    let mut speaker = Speaker::with_album(5);
    without_the_stream(speaker.kitchen_plays().pull_plug(1000));
    speaker.fails_at.insert(Asked::Restore, Failure::NotFound);
    speaker.press(Press::TakeOver);
    assert_eq!((speaker.view().offer, speaker.state()), (None, State::Stopped));
}

#[test]
fn a_restart_while_the_stream_is_elsewhere_prepares_the_place_and_play_claims_it() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(9000).press(Press::Play).stolen = true;
    speaker.forget().pull_plug(1000).wait(2000);
    assert_eq!((speaker.state(), speaker.current()), (State::Paused, Some(1)));
    speaker.press(Press::Play);
    assert_eq!(speaker.story(), ["1 from 9000"]);
    assert_eq!(speaker.claims(), [1]);
}

#[test]
fn an_offer_that_nobody_may_have_at_the_moment_stays() {
    let mut speaker = Speaker::with_album(5);
    without_the_stream(speaker.kitchen_plays().pull_plug(1000));
    speaker.fails_at.insert(Asked::Restore, Failure::TakenOver);
    speaker.press(Press::TakeOver);
    assert!(speaker.refusal().is_some());
    assert_eq!(speaker.view().offer, Some(KITCHEN));
}

#[test]
fn taking_an_offer_over_is_not_told_as_a_loss() {
    let mut speaker = Speaker::with_album(5);
    without_the_stream(speaker.kitchen_plays().pull_plug(1000)).press(Press::TakeOver);
    assert_eq!(speaker.claims(), [KITCHENS_QUEUE[0]]);
    assert!(
        !speaker.notices.contains(&Notice::TakenOver),
        "the listener took over, nobody else did"
    );
}

#[test]
fn news_of_the_time_before_the_press_does_not_stop_what_was_asked_for() {
    let mut speaker = stolen();
    speaker.slow.insert(1);
    speaker.forget().press(Press::Play).wait(60_000);
    assert_eq!(speaker.state(), State::Buffering, "it is not loaded yet");
    speaker.loaded(1).wait(1000);
    assert_eq!((speaker.state(), speaker.claims()), (State::Playing, vec![1]));
    assert!(speaker.notices.is_empty());
}

#[test]
fn with_nothing_open_play_still_starts_something_after_the_stream_was_refused() {
    let mut speaker = Speaker::that_takes_over(5);
    speaker.press(Press::Preset(1)).wait(5000).lapse();
    speaker.fails_at.insert(Asked::Restore, Failure::NotFound);
    speaker.fails_at.insert(Asked::Active, Failure::TakenOver);
    speaker.pull_plug(1000).wait(1000);
    assert_eq!(speaker.state(), State::Stopped);
    speaker.forget().press(Press::Play).wait(1000);
    assert_eq!(speaker.story(), ["1 from 0"]);
}
