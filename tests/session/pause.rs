//! Pause, resume, scrub.

use crate::speaker::{FREE, Speaker, TRACK_MS};
use tonearm_core::State;
use tonearm_core::entry::{Actions, Denial, Permission};
use tonearm_core::input::Press;
use tonearm_core::light::Scene;
use tonearm_core::refusal::Refusal;
use tonearm_core::unit::Millis;

#[test]
fn play_pauses_and_play_resumes_where_it_was() {
    let mut speaker = Speaker::playing_album(3);
    speaker.wait(5000).press(Press::Play);
    assert_eq!((speaker.state(), speaker.light), (State::Paused, Scene::Paused));
    speaker.wait(60_000).press(Press::Play).wait(1000).press(Press::Play);
    assert_eq!(speaker.story(), ["1 userStop 5000", "1 from 5000", "1 userStop 6000"]);
}

#[test]
fn a_pause_may_last_for_days() {
    let mut speaker = Speaker::playing_album(3);
    speaker
        .wait(5000)
        .press(Press::Play)
        .wait(200_000_000)
        .press(Press::Play);
    assert_eq!(speaker.view().position, Millis(5000));
}

#[test]
fn seeking_stops_and_starts_in_the_same_entry() {
    let mut speaker = Speaker::playing_album(3);
    speaker.wait(5000).press(Press::Seek(Millis(90_000)));
    assert_eq!(speaker.story(), ["1 trackScrub 5000", "1 from 90000"]);
}

#[test]
fn scrubbing_moves_by_ten_seconds_and_stops_at_the_start() {
    let mut speaker = Speaker::playing_album(3);
    speaker
        .wait(2000)
        .press(Press::ScrubForward)
        .press(Press::ScrubBackward)
        .press(Press::ScrubBackward);
    let story = [
        "1 trackScrub 2000",
        "1 from 12000",
        "1 trackScrub 12000",
        "1 from 2000",
        "1 trackScrub 2000",
        "1 from 0",
    ];
    assert_eq!(speaker.story(), story);
}

#[test]
fn seeking_past_the_end_goes_to_the_end_and_on() {
    let mut speaker = Speaker::playing_album(3);
    speaker.wait(1000).press(Press::Seek(Millis(TRACK_MS * 2))).finish();
    assert_eq!(
        speaker.story(),
        [
            "1 trackScrub 1000",
            "1 from 180000",
            "1 trackFinished 180000",
            "2 from 0"
        ]
    );
}

#[test]
fn seeking_while_paused_stays_silent_and_resumes_there() {
    let mut speaker = Speaker::playing_album(3);
    speaker.wait(1000).press(Press::Play).press(Press::Seek(Millis(70_000)));
    assert_eq!(speaker.state(), State::Paused);
    assert_eq!(speaker.view().position, Millis(70_000));
    speaker.press(Press::Play);
    assert_eq!(speaker.story(), ["1 userStop 1000", "1 from 70000"]);
}

#[test]
fn seeking_where_the_service_does_not_allow_it_is_refused() {
    let mut speaker = Speaker::with_album(3);
    speaker.everywhere = Actions {
        scrub_forward: Permission::Denied(Denial::NeedsSubscription),
        ..FREE
    };
    speaker.press(Press::Preset(1)).wait(20_000).forget();
    speaker.press(Press::Seek(Millis(90_000)));
    assert_eq!(speaker.refusal(), Some(Refusal::Denied(Denial::NeedsSubscription)));
    speaker.press(Press::Seek(Millis(1000)));
    assert_eq!(
        speaker.story(),
        ["1 trackScrub 20000", "1 from 1000"],
        "backwards is another matter"
    );
}

#[test]
fn pausing_before_the_first_sound_leaves_no_events_and_resuming_starts_it() {
    let mut speaker = Speaker::with_album(3);
    speaker.slow.insert(1);
    speaker.press(Press::Preset(1)).press(Press::Play).loaded(1);
    assert!(speaker.story().is_empty());
    speaker.press(Press::Play);
    assert_eq!(speaker.story(), ["1 from 0"]);
}

#[test]
fn pausing_before_the_service_answered_calls_the_start_off() {
    let mut speaker = Speaker::with_album(3);
    speaker
        .hold_answers()
        .press(Press::Preset(1))
        .press(Press::Play)
        .let_through();
    assert_eq!(speaker.state(), State::Stopped);
    assert!(speaker.story().is_empty());
}

#[test]
fn pausing_while_the_next_entry_is_awaited_stays_paused_when_it_is_known() {
    let mut speaker = Speaker::playing_album(1);
    speaker.order.push(2);
    speaker.hold_answers().finish().press(Press::Play).let_through();
    assert_eq!(speaker.state(), State::Paused);
    assert_eq!(speaker.story(), ["1 trackFinished 180000"]);
    speaker.press(Press::Play);
    assert_eq!(speaker.story(), ["2 from 0"]);
}

#[test]
fn pausing_calls_off_a_skip_that_waits_for_the_service() {
    let mut speaker = Speaker::playing_album(1);
    speaker.order.push(2);
    speaker
        .hold_answers()
        .wait(1000)
        .press(Press::Next)
        .press(Press::Play)
        .let_through();
    assert_eq!(speaker.state(), State::Paused);
    assert_eq!(speaker.story(), ["1 userStop 1000"]);
}
