//! Previous: within three seconds of the start to the entry before, later to the start of this one.

use crate::speaker::{FREE, Speaker};
use tonearm_core::effect::Call;
use tonearm_core::entry::{Actions, Denial, Permission};
use tonearm_core::input::Press;
use tonearm_core::refusal::Refusal;

const NO_PREVIOUS: Actions = Actions {
    previous: Permission::Denied(Denial::Unavailable),
    ..FREE
};

fn on_the_second_entry() -> Speaker {
    let mut speaker = Speaker::playing_album(5);
    speaker.press(Press::Next).forget();
    speaker
}

#[test]
fn previous_within_three_seconds_goes_to_the_entry_before() {
    let mut speaker = on_the_second_entry();
    speaker.wait(3000).press(Press::Previous);
    assert_eq!(speaker.story(), ["2 userPrev 3000", "1 from 0"]);
}

#[test]
fn previous_after_three_seconds_returns_to_the_start() {
    let mut speaker = on_the_second_entry();
    speaker.wait(3001).press(Press::Previous);
    assert_eq!(speaker.story(), ["2 trackScrub 3001", "2 from 0"]);
}

#[test]
fn previous_twice_goes_to_the_start_and_then_to_the_entry_before() {
    let mut speaker = on_the_second_entry();
    speaker
        .wait(60_000)
        .press(Press::Previous)
        .wait(300)
        .press(Press::Previous);
    assert_eq!(
        speaker.story(),
        ["2 trackScrub 60000", "2 from 0", "2 userPrev 300", "1 from 0"]
    );
}

#[test]
fn previous_on_the_first_entry_returns_to_its_start() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(1000).press(Press::Previous);
    assert_eq!(speaker.story(), ["1 trackScrub 1000", "1 from 0"]);
}

#[test]
fn going_back_inside_the_window_needs_no_service() {
    let mut speaker = on_the_second_entry();
    speaker.offline().press(Press::Previous);
    assert_eq!(speaker.current(), Some(1));
    assert!(speaker.is_sounding());
}

#[test]
fn going_back_further_than_the_window_asks_what_came_before() {
    let mut speaker = Speaker::playing_album(9);
    for _ in 0..4 {
        speaker.press(Press::Next);
    }
    speaker.forget();
    for _ in 0..3 {
        speaker.press(Press::Previous);
    }
    assert!(speaker.calls.iter().any(|call| matches!(call, Call::Previous { .. })));
    assert_eq!(speaker.current(), Some(2));
}

#[test]
fn where_going_back_is_not_allowed_the_start_of_this_entry_still_is() {
    let mut speaker = on_the_second_entry();
    speaker.everywhere = NO_PREVIOUS;
    speaker.press(Press::Next).forget();
    speaker.wait(10_000).press(Press::Previous);
    assert_eq!(speaker.story(), ["3 trackScrub 10000", "3 from 0"]);
}

#[test]
fn where_going_back_is_not_allowed_it_is_refused_near_the_start() {
    let mut speaker = Speaker::with_album(5);
    speaker.everywhere = NO_PREVIOUS;
    speaker.press(Press::Preset(1)).press(Press::Next).forget();
    speaker.wait(1000).press(Press::Previous);
    assert_eq!(speaker.refusal(), Some(Refusal::Denied(Denial::Unavailable)));
    assert!(speaker.story().is_empty());
}

#[test]
fn previous_while_paused_plays_the_entry_before() {
    let mut speaker = on_the_second_entry();
    speaker.wait(1000).press(Press::Play).press(Press::Previous);
    assert_eq!(speaker.story(), ["2 userStop 1000", "1 from 0"]);
}
