//! Repeating and random order.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::effect::{Call, Effect};
use tonearm_core::id::SourceKey;
use tonearm_core::input::{Failure, Mode, Press};
use tonearm_core::refusal::{Notice, Refusal};

#[test]
fn shuffle_asks_the_service_and_then_for_the_new_order() {
    let mut speaker = Speaker::playing_album(6);
    speaker.press(Press::Shuffle);
    assert!(matches!(
        speaker.calls[..],
        [Call::Shuffle { on: true, .. }, Call::Next { .. }]
    ));
    assert_eq!(speaker.ahead(), [6, 5, 4, 3, 2]);
    assert!(speaker.view().shuffle);
}

#[test]
fn a_new_order_lines_up_another_follower() {
    let mut speaker = Speaker::playing_album(6);
    speaker.press(Press::Shuffle).finish();
    assert_eq!(speaker.story(), ["1 trackFinished 180000", "6 from 0"]);
}

#[test]
fn shuffle_pressed_twice_is_as_it_was() {
    let mut speaker = Speaker::playing_album(6);
    speaker
        .hold_answers()
        .press(Press::Shuffle)
        .press(Press::Shuffle)
        .let_through();
    assert!(!speaker.view().shuffle);
}

#[test]
fn a_mode_that_the_service_does_not_switch_is_told() {
    let mut speaker = Speaker::playing_album(6);
    speaker.fails = Some(Failure::Refused);
    speaker.press(Press::Loop);
    assert_eq!(
        speaker.notices,
        [Notice::Refused(Refusal::Denied(
            tonearm_core::entry::Denial::Unavailable
        ))]
    );
    assert!(!speaker.view().looping);
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn a_repeating_album_begins_again_without_a_gap() {
    let mut speaker = Speaker::playing_album(2);
    speaker.press(Press::Loop).finish().finish();
    let story = [
        "1 trackFinished 180000",
        "2 from 0",
        "2 trackFinished 180000",
        "1 from 0",
    ];
    assert_eq!(speaker.story(), story);
    assert!(speaker.view().looping);
}

#[test]
fn a_single_entry_may_repeat() {
    let mut speaker = Speaker::playing_album(1);
    speaker.press(Press::Loop).finish().finish();
    assert_eq!(speaker.story()[1..], ["1 from 0", "1 trackFinished 180000", "1 from 0"]);
}

#[test]
fn modes_are_kept_for_a_restart() {
    let mut speaker = Speaker::playing_album(4);
    speaker.press(Press::Loop).press(Press::Shuffle);
    assert!(speaker.bookmark.looping && speaker.bookmark.shuffle);
    speaker.pull_plug(1000);
    assert!(speaker.view().looping && speaker.view().shuffle);
}

#[test]
fn a_source_started_in_random_order_says_so() {
    let mut speaker = Speaker::with_album(4);
    speaker.press(Press::Start {
        source: SourceKey(2),
        mode: Mode::Shuffle,
    });
    assert!(speaker.view().shuffle);
    assert!(
        speaker
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Save(saved) if saved.shuffle))
    );
}

#[test]
fn a_preset_starts_in_the_mode_it_was_named_with() {
    let mut speaker = Speaker::playing_album(3);
    speaker.press(Press::Preset(2));
    let shuffled = Call::Create {
        source: SourceKey(2),
        mode: Mode::Shuffle,
    };
    assert!(speaker.calls.contains(&shuffled), "{:?}", speaker.calls);
    assert!(speaker.view().shuffle);
}
