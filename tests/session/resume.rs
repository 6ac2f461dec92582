//! Something to go on with: the own session, the same one restored, one of another device, the first preset.

use crate::speaker::{Asked, KITCHEN, Speaker};
use tonearm_core::State;
use tonearm_core::effect::Call;
use tonearm_core::id::{EntryKey, SourceKey};
use tonearm_core::input::{Account, Answer, Elsewhere, Failure, Input, Mode, Modes, Press, Sounding};
use tonearm_core::refusal::{Notice, Problem, Refusal};

const FIRST_PRESET: Call = Call::Create {
    source: SourceKey(1),
    mode: Mode::Play,
};

/// Played 20 seconds of the first entry when the plug was pulled; the service forgot the session meanwhile.
fn forgotten() -> Speaker {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(20_000).lapse();
    speaker
}

/// The same, and it cannot be restored either.
fn lost() -> Speaker {
    let mut speaker = forgotten();
    speaker.fails_at.insert(Asked::Restore, Failure::NotFound);
    speaker
}

fn calls(speaker: &Speaker) -> Vec<Asked> {
    let name = |call: &Call| match call {
        Call::Create { .. } => Some(Asked::Create),
        Call::Current(_) => Some(Asked::Current),
        Call::Restore(_) => Some(Asked::Restore),
        Call::Active => Some(Asked::Active),
        Call::Next { .. }
        | Call::Previous { .. }
        | Call::Loop { .. }
        | Call::Shuffle { .. }
        | Call::QueueNext { .. }
        | Call::QueueLast { .. } => None,
    };
    speaker.calls.iter().filter_map(name).collect()
}

#[test]
fn the_own_session_goes_on_without_asking_for_others() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(20_000).forget().pull_plug(1000);
    assert_eq!(calls(&speaker), [Asked::Current]);
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn a_session_that_the_service_forgot_is_restored_where_it_was() {
    let mut speaker = forgotten();
    speaker.forget().pull_plug(1000);
    assert_eq!(calls(&speaker), [Asked::Current, Asked::Restore]);
    assert!(speaker.calls.contains(&Call::Restore(EntryKey(1))));
    assert_eq!(speaker.story(), ["1 systemStop 20000", "1 from 20000"]);
    assert!(speaker.claims().is_empty());
}

#[test]
fn a_session_restored_at_another_entry_begins_there() {
    let mut speaker = forgotten();
    speaker.at = 2;
    speaker.forget().pull_plug(1000);
    assert_eq!(speaker.story(), ["1 systemStop 20000", "3 from 0"]);
}

#[test]
fn a_session_that_may_not_be_asked_for_is_restored_too() {
    for failure in [Failure::Forbidden, Failure::Refused] {
        let mut speaker = Speaker::playing_album(5);
        speaker.fails_at.insert(Asked::Current, failure);
        speaker.forget().pull_plug(1000);
        assert_eq!(calls(&speaker), [Asked::Current, Asked::Restore], "{failure:?}");
        assert_eq!(speaker.state(), State::Playing);
        assert_eq!(speaker.view().problem, None);
    }
}

#[test]
fn a_paused_speaker_is_restored_in_silence_and_plays_on_when_asked() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(20_000).press(Press::Play).lapse().forget();
    speaker.pull_plug(1000);
    assert_eq!((speaker.state(), speaker.is_sounding()), (State::Paused, false));
    assert_eq!(speaker.current(), Some(1));
    speaker.press(Press::Play);
    assert_eq!(speaker.story(), ["1 from 20000"]);
}

#[test]
fn a_restored_session_may_have_another_name() {
    let mut speaker = forgotten();
    speaker.restores_as = Some(7);
    speaker.forget().pull_plug(1000).press(Press::Next);
    let sessions: Vec<u32> = speaker.journal.iter().skip(1).map(|event| event.session.0).collect();
    assert_eq!(sessions, [1, 7, 7, 7]);
}

#[test]
fn with_nothing_to_restore_the_session_of_another_device_is_offered_in_silence() {
    let mut speaker = lost();
    speaker.kitchen_plays().forget().pull_plug(1000);
    assert_eq!(calls(&speaker), [Asked::Current, Asked::Restore, Asked::Active]);
    assert_eq!(speaker.view().offer, Some(KITCHEN));
    assert_eq!((speaker.state(), speaker.is_sounding()), (State::Stopped, false));
}

#[test]
fn play_takes_an_offer_over_and_claims_the_stream_once() {
    let mut speaker = lost();
    speaker.kitchen_plays().pull_plug(1000).forget();
    speaker.press(Press::Play).press(Press::Next);
    assert_eq!(speaker.story(), ["91 from 0", "91 userNext 0", "92 from 0"]);
    assert_eq!(speaker.claims(), [91]);
    assert_eq!(speaker.view().offer, None);
    assert_eq!(speaker.ahead(), [93]);
}

#[test]
fn where_it_is_configured_the_other_session_goes_on_here_by_itself() {
    let mut speaker = Speaker::that_takes_over(5);
    speaker.press(Press::Preset(1)).wait(20_000).lapse().forget();
    speaker.fails_at.insert(Asked::Restore, Failure::NotFound);
    speaker.kitchen_plays().pull_plug(1000);
    assert_eq!(speaker.story(), ["1 systemStop 20000", "91 from 0"]);
    assert_eq!(speaker.claims(), [91]);
}

#[test]
fn a_speaker_that_was_silent_takes_nothing_over_by_itself() {
    let mut speaker = Speaker::that_takes_over(5);
    speaker.press(Press::Preset(1)).press(Press::Play).lapse().forget();
    speaker.fails_at.insert(Asked::Restore, Failure::NotFound);
    speaker.kitchen_plays().pull_plug(1000);
    assert!(!speaker.is_sounding());
    assert_eq!(speaker.view().offer, Some(KITCHEN));
}

#[test]
fn with_nothing_else_the_first_preset_plays() {
    let mut speaker = lost();
    speaker.forget().pull_plug(1000);
    assert_eq!(
        calls(&speaker),
        [Asked::Current, Asked::Restore, Asked::Active, Asked::Create]
    );
    assert!(speaker.calls.contains(&FIRST_PRESET));
    assert_eq!(speaker.story(), ["1 systemStop 20000", "1 from 0"]);
}

#[test]
fn a_speaker_that_was_silent_starts_no_preset_by_itself() {
    let mut speaker = Speaker::playing_album(5);
    speaker.press(Press::Play).lapse().forget();
    speaker.fails_at.insert(Asked::Restore, Failure::NotFound);
    speaker.pull_plug(1000);
    assert_eq!(calls(&speaker), [Asked::Current, Asked::Restore, Asked::Active]);
    assert_eq!(speaker.state(), State::Stopped);
}

#[test]
fn the_very_first_start_asks_for_other_devices_once_and_stays_silent() {
    let mut speaker = Speaker::with_album(5);
    speaker.kitchen_plays().pull_plug(1000);
    assert_eq!(speaker.view().offer, Some(KITCHEN));
    speaker.wait(3_600_000);
    assert_eq!(speaker.calls, [Call::Active]);
    assert_eq!(speaker.state(), State::Stopped);
}

#[test]
fn an_offer_goes_when_something_else_is_started() {
    let mut speaker = Speaker::with_album(5);
    speaker.kitchen_plays().pull_plug(1000).press(Press::Preset(1));
    assert_eq!(speaker.view().offer, None);
    assert!(speaker.claims().is_empty(), "a new session has the stream already");
}

#[test]
fn an_offer_that_is_gone_is_refused_and_forgotten() {
    let mut speaker = Speaker::with_album(5);
    speaker.kitchen_plays().pull_plug(1000);
    speaker.fails_at.insert(Asked::Current, Failure::NotFound);
    speaker.press(Press::TakeOver);
    assert!(matches!(speaker.refusal(), Some(Refusal::Denied(_))));
    assert_eq!((speaker.view().offer, speaker.state()), (None, State::Stopped));
}

#[test]
fn an_offer_that_cannot_be_had_for_want_of_a_network_stays() {
    let mut speaker = Speaker::with_album(5);
    speaker.kitchen_plays().pull_plug(1000);
    speaker.reachable = false;
    speaker.press(Press::TakeOver);
    assert_eq!(speaker.refusal(), Some(Refusal::NoNetwork));
    assert_eq!((speaker.view().offer, speaker.state()), (Some(KITCHEN), State::Stopped));
}

#[test]
fn without_an_offer_there_is_nothing_to_take_over() {
    let mut speaker = Speaker::playing_album(5);
    speaker.press(Press::TakeOver);
    assert_eq!(speaker.refusal(), Some(Refusal::NothingPlaying));
    assert!(speaker.story().is_empty());
}

#[test]
fn what_sounds_elsewhere_is_offered_before_what_does_not() {
    let mut speaker = Speaker::with_album(5);
    let other = |session, entry, sounding| Elsewhere {
        session: tonearm_core::id::SessionKey(session),
        entry,
        sounding,
        modes: Modes::default(),
    };
    speaker.elsewhere = vec![
        other(80, None, Sounding::Yes),
        other(81, Some(EntryKey(300)), Sounding::No),
        other(82, Some(EntryKey(301)), Sounding::Yes),
        other(83, Some(EntryKey(302)), Sounding::Unsaid),
    ];
    speaker.pull_plug(1000);
    assert_eq!(speaker.view().offer, Some(tonearm_core::id::SessionKey(82)));
    assert!(speaker.session.holds(EntryKey(301)));
}

#[test]
fn no_network_only_delays_the_search() {
    for step in 0..4 {
        let mut speaker = lost();
        speaker.forget().hold_answers().pull_plug(1000);
        speaker.let_through().hold_answers();
        for _ in 0..step {
            speaker.let_through().hold_answers();
        }
        speaker.reachable = false;
        speaker.let_through().wait(100_000);
        assert_ne!(speaker.state(), State::Stopped, "after {step} answers");
        speaker.reachable = true;
        speaker.wait(31_000);
        assert_eq!(speaker.state(), State::Playing, "after {step} answers");
    }
}

#[test]
fn a_missing_account_only_delays_the_search() {
    let mut speaker = lost();
    speaker.fails = Some(Failure::Unauthorised);
    speaker.forget().pull_plug(1000);
    speaker.input(Input::Account(Account::Unlinked)).calls.clear();
    speaker.wait(600_000);
    assert!(speaker.calls.is_empty());
    speaker.fails = None;
    speaker.input(Input::Account(Account::Linked));
    assert_eq!(
        calls(&speaker),
        [Asked::Current, Asked::Restore, Asked::Active, Asked::Create]
    );
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn pausing_calls_off_what_would_have_started_by_itself() {
    let mut speaker = lost();
    speaker.fails_at.insert(Asked::Create, Failure::Unreachable);
    speaker.pull_plug(1000);
    assert_eq!(speaker.state(), State::Buffering);
    speaker.press(Press::Play).fails_at.clear();
    speaker.forget().wait(100_000);
    assert_eq!((speaker.state(), speaker.calls.len()), (State::Stopped, 0));
}

#[test]
fn a_first_preset_that_is_refused_is_a_problem_and_not_tried_again() {
    let mut speaker = lost();
    speaker.fails_at.insert(Asked::Create, Failure::Forbidden);
    speaker.pull_plug(1000).forget();
    assert_eq!(speaker.state(), State::Stopped);
    assert_eq!(speaker.view().problem, Some(Problem::ServiceRefused));
    speaker.wait(600_000);
    assert!(speaker.calls.is_empty());
}

#[test]
fn a_session_that_lapses_while_it_plays_is_restored_without_a_hiccup() {
    let mut speaker = Speaker::playing_album(6);
    speaker.wait(5000).lapse();
    speaker.expired(1);
    assert_eq!(calls(&speaker), [Asked::Current, Asked::Restore]);
    assert!(speaker.story().is_empty());
    assert_eq!(
        (speaker.state(), speaker.ahead()),
        (State::Playing, vec![2, 3, 4, 5, 6])
    );
    assert!(!speaker.notices.contains(&Notice::QueueEnded));
}

#[test]
fn a_session_that_lapses_for_good_plays_its_entry_to_the_end() {
    let mut speaker = Speaker::playing_album(6);
    speaker.fails_at.insert(Asked::Restore, Failure::NotFound);
    speaker.wait(5000).lapse().kitchen_plays();
    speaker.expired(1).loaded(1);
    assert_eq!(speaker.state(), State::Playing);
    speaker.finish();
    assert_eq!(speaker.story(), ["1 trackFinished 180000"]);
    assert_eq!((speaker.state(), speaker.view().offer), (State::Stopped, Some(KITCHEN)));
}

#[test]
fn an_answer_to_a_search_that_was_called_off_changes_nothing() {
    let mut speaker = lost();
    speaker.hold_answers().pull_plug(1000);
    speaker.let_through().hold_answers();
    speaker.press(Press::Preset(2)).let_through();
    assert_eq!(speaker.view().entries.first().map(|entry| entry.key), Some(EntryKey(1)));
    assert!(
        speaker.view().shuffle,
        "the preset that was asked for plays, not the first one"
    );
    let request = tonearm_core::id::RequestId(2);
    let answer = Answer::Sessions(heapless::Vec::new());
    speaker.forget().input(Input::Answer { request, answer });
    assert!(speaker.effects.is_empty());
}
