//! Leaving.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::effect::{Call, Effect};
use tonearm_core::input::{Failure, Input, Press};
use tonearm_core::light::Scene;
use tonearm_core::refusal::Refusal;

fn has_left(speaker: &Speaker) -> bool {
    speaker.effects.contains(&Effect::Exit)
}

#[test]
fn it_closes_what_sounds_reports_it_and_leaves() {
    let mut speaker = Speaker::playing_album(3);
    speaker.wait(8000).input(Input::Shutdown);
    assert_eq!(speaker.story(), ["1 systemStop 8000"]);
    assert_eq!(speaker.view().waiting, 0);
    assert!(has_left(&speaker));
    assert_eq!(speaker.light, Scene::Leaving);
    assert_eq!(
        speaker.view().state,
        State::Stopped,
        "it does not seem to wait for data"
    );
}

#[test]
fn it_does_not_wait_for_a_network_that_is_not_there() {
    let mut speaker = Speaker::playing_album(3);
    speaker.offline().input(Input::Shutdown).wait(10);
    assert!(has_left(&speaker));
    assert_eq!(speaker.view().waiting, 1, "the stop waits on the disk");
}

#[test]
fn it_leaves_in_time_even_if_nobody_answers() {
    let mut speaker = Speaker::playing_album(3);
    speaker.hold_answers().input(Input::Shutdown);
    assert!(!has_left(&speaker));
    speaker.wait(1500);
    assert!(has_left(&speaker));
}

#[test]
fn it_does_not_leave_before_the_stop_is_stored() {
    let mut speaker = Speaker::playing_album(3);
    speaker.stores = false;
    speaker.input(Input::Shutdown);
    assert!(!has_left(&speaker));
    speaker.store();
    assert!(has_left(&speaker));
}

#[test]
fn a_call_that_can_wait_does_not_keep_it_busy_while_leaving() {
    let mut speaker = Speaker::playing_album(20);
    speaker.hold_answers().press(Press::Preset(2));
    speaker.stores = false;
    speaker.slow.insert(1);
    speaker.fails = Some(Failure::Busy { retry_after: None });
    speaker.let_through();
    assert!(matches!(speaker.calls[..], [Call::Create { .. }, Call::Next { .. }]));
    // The next try of that falls due while the stop is still being stored; `wait` fails if the deadline stands still.
    speaker.input(Input::Shutdown).wait(1400);
    assert!(!has_left(&speaker));
}

#[test]
fn presses_are_refused_while_leaving() {
    let mut speaker = Speaker::playing_album(3);
    speaker.input(Input::Shutdown).press(Press::Next);
    assert_eq!(speaker.refusal(), Some(Refusal::Leaving));
}
