//! After the service did not answer: a short drop is over with the first answer; after a long one, what waited goes out at
//! this speaker's turn, unless somebody waits for it.

use crate::speaker::Speaker;
use tonearm_core::id::Seq;
use tonearm_core::input::{Failure, Input, Press, Verdict};
use tonearm_core::limits::{
    OUTAGE_MS_LONG, OUTAGE_MS_MIN, RETRY_MS_MAX, TURN_MS_EACH, TURN_MS_EACH_AWAITED, TURN_MS_FIRST,
};
use tonearm_core::unit::Millis;
use tonearm_core::{Reach, State};

/// Long enough that the next retry has come.
const RETRY: u64 = RETRY_MS_MAX.0 as u64 + 1;

/// It plays on without the service, which goes away without news of the interface, and four events wait.
fn playing_without_the_service(outage: Millis) -> Speaker {
    let mut speaker = Speaker::playing_album(9);
    speaker.reachable = false;
    speaker.press(Press::Next).press(Press::Next);
    speaker.wait(outage.0.into());
    speaker
}

/// It came to the end of what it knew, and its sound waits for the service.
fn silent_without_the_service(outage: Millis) -> Speaker {
    let mut speaker = Speaker::playing_album(1);
    speaker.order.push(2);
    speaker.reachable = false;
    speaker.finish().wait(outage.0.into());
    assert_eq!(speaker.state(), State::Buffering);
    speaker
}

fn answer_the_next_retry(speaker: &mut Speaker) {
    speaker.reachable = true;
    speaker.wait(RETRY);
}

#[test]
fn after_a_short_drop_everything_goes_out_with_the_first_answer() {
    let mut speaker = playing_without_the_service(Millis(OUTAGE_MS_MIN.0 - RETRY_MS_MAX.0 - 1));
    answer_the_next_retry(&mut speaker);
    assert_eq!(speaker.view().waiting, 0);
    assert_eq!(speaker.view().turn_at, None);
}

#[test]
fn after_an_hour_one_event_goes_out_and_the_others_at_this_speakers_turn() {
    let mut speaker = playing_without_the_service(Millis(3_600_000));
    assert_eq!(speaker.view().waiting, 4);
    answer_the_next_retry(&mut speaker);
    assert_eq!((speaker.view().waiting, speaker.view().reach), (3, Reach::Up));
    let turn = speaker.view().turn_at.expect("there is a turn").0;
    let latest = speaker.now + u64::from(TURN_MS_FIRST.0 + 4 * TURN_MS_EACH.0);
    assert!(turn <= latest, "{turn}, {latest}");
    speaker.wait(turn - speaker.now - 1);
    assert_eq!(speaker.view().waiting, 3);
    speaker.wait(1);
    assert_eq!(speaker.view().waiting, 0);
    assert_eq!(speaker.settled, (1..=5).map(|seq| (Seq(seq), true)).collect::<Vec<_>>());
}

#[test]
fn what_happens_before_the_turn_waits_as_well_and_the_music_plays_on() {
    let mut speaker = playing_without_the_service(Millis(3_600_000));
    answer_the_next_retry(&mut speaker);
    speaker.sent.clear();
    speaker.finish();
    assert!(speaker.is_sounding());
    let turn = speaker.view().turn_at;
    assert!(turn.is_some() && speaker.sent.is_empty(), "{turn:?}");
}

#[test]
fn a_press_is_the_turn() {
    let mut speaker = playing_without_the_service(Millis(3_600_000));
    answer_the_next_retry(&mut speaker);
    speaker.press(Press::Next);
    assert_eq!((speaker.view().waiting, speaker.view().turn_at), (0, None));
}

#[test]
fn after_the_interface_was_down_everything_goes_out_at_once() {
    let mut speaker = playing_without_the_service(Millis(3_600_000));
    speaker.input(Input::LinkDown).wait(1000).online();
    assert_eq!(speaker.view().waiting, 0);
}

#[test]
fn sound_that_waits_is_back_with_the_first_answer() {
    let outage = OUTAGE_MS_LONG.saturating_sub(RETRY_MS_MAX).saturating_sub(Millis(1));
    let mut speaker = silent_without_the_service(outage);
    speaker.reachable = true;
    let retry = speaker.session.deadline().expect("it tries again").0;
    speaker.wait(retry - speaker.now);
    assert_eq!((speaker.state(), speaker.view().waiting), (State::Playing, 0));
}

#[test]
fn after_an_outage_that_silenced_the_fleet_sound_waits_for_its_turn_or_a_press() {
    let mut speaker = silent_without_the_service(OUTAGE_MS_LONG);
    answer_the_next_retry(&mut speaker);
    assert_eq!(speaker.state(), State::Buffering);
    let mut other = silent_without_the_service(OUTAGE_MS_LONG);
    answer_the_next_retry(&mut other);
    other.press(Press::Next);
    assert_eq!(other.state(), State::Playing);
    speaker.wait(u64::from(TURN_MS_FIRST.0 + 3 * TURN_MS_EACH_AWAITED.0));
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn a_service_that_slows_the_speaker_down_at_its_turn_sets_the_pace_alone() {
    let mut speaker = playing_without_the_service(Millis(3_600_000));
    answer_the_next_retry(&mut speaker);
    let busy = Verdict::Failed(Failure::Busy {
        retry_after: Some(Millis(60_000)),
    });
    speaker.verdicts.extend([Verdict::Accepted, busy, busy, busy]);
    let turn = speaker.view().turn_at.expect("there is a turn").0;
    speaker.wait(turn - speaker.now + 3 * 90_000);
    assert_eq!(speaker.view().waiting, 0, "no second turn after three minutes of it");
}

#[test]
fn a_speaker_that_leaves_before_its_turn_keeps_what_waits() {
    let mut speaker = playing_without_the_service(Millis(3_600_000));
    answer_the_next_retry(&mut speaker);
    let settled = speaker.settled.len();
    speaker.input(Input::Shutdown);
    assert_eq!(speaker.settled.len(), settled);
    assert!(speaker.effects.contains(&tonearm_core::Effect::Exit));
    assert_eq!(speaker.journal.len(), settled + 4, "the stop of what sounded, too");
}
