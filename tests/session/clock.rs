//! A clock that nobody has set yet: what happened is told with the moment at which it happened, once that is known.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::effect::Effect;
use tonearm_core::id::Seq;
use tonearm_core::input::{Clock, Input, Press};

fn awaiting(speaker: &mut Speaker, from: u64) {
    speaker.input(Input::Clock(Clock::Awaited { from: Seq(from) }));
}

#[test]
fn events_without_a_date_wait_and_the_music_plays() {
    let mut speaker = Speaker::playing_album(5);
    let told = speaker.sent.len();
    awaiting(&mut speaker, 2);
    speaker.finish().press(Press::Next).wait(3_600_000);
    assert_eq!(speaker.sent.len(), told, "not one was tried");
    assert_eq!(speaker.view().waiting, 4);
    assert_eq!(speaker.state(), State::Playing);
    speaker.input(Input::Clock(Clock::Known));
    assert_eq!(speaker.view().waiting, 0);
    assert_eq!(speaker.settled, (1..=5).map(|seq| (Seq(seq), true)).collect::<Vec<_>>());
}

#[test]
fn events_that_have_a_date_do_not_wait_for_those_after_them() {
    let mut speaker = Speaker::playing_album(5);
    speaker.offline().finish().press(Press::Next);
    awaiting(&mut speaker, 4);
    speaker.online();
    assert_eq!(speaker.settled.last(), Some(&(Seq(3), true)));
    assert_eq!(speaker.view().waiting, 2);
}

#[test]
fn no_call_on_the_queue_overtakes_an_event_that_waits_for_its_date() {
    let mut speaker = Speaker::playing_album(20);
    awaiting(&mut speaker, 2);
    speaker.press(Press::Next).forget();
    speaker.wait(60_000);
    assert_eq!(speaker.calls, []);
    speaker.input(Input::Clock(Clock::Known));
    assert!(!speaker.calls.is_empty());
}

#[test]
fn a_speaker_that_waits_for_the_clock_leaves_in_time() {
    let mut speaker = Speaker::playing_album(5);
    awaiting(&mut speaker, 2);
    speaker.press(Press::Next);
    speaker.input(Input::Shutdown);
    speaker.wait(1_500);
    assert!(speaker.effects.contains(&Effect::Exit));
}
