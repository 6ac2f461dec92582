//! Next.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::effect::{Call, Effect};
use tonearm_core::input::Press;
use tonearm_core::refusal::Notice;

#[test]
fn next_stops_this_entry_and_starts_the_one_after() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(4000).press(Press::Next);
    assert_eq!(speaker.story(), ["1 userNext 4000", "2 from 0"]);
}

#[test]
fn three_quick_skips_give_every_entry_that_sounded_its_pair() {
    let mut speaker = Speaker::playing_album(6);
    for _ in 0..3 {
        speaker.wait(100).press(Press::Next);
    }
    let story = [
        "1 userNext 100",
        "2 from 0",
        "2 userNext 100",
        "3 from 0",
        "3 userNext 100",
        "4 from 0",
    ];
    assert_eq!(speaker.story(), story);
}

#[test]
fn an_entry_passed_before_it_could_sound_has_no_events() {
    let mut speaker = Speaker::playing_album(6);
    speaker.slow.insert(2);
    speaker.wait(100).press(Press::Next).wait(100).press(Press::Next);
    assert_eq!(speaker.story(), ["1 userNext 100", "3 from 0"]);
}

#[test]
fn a_skip_to_an_entry_that_is_still_loading_starts_it_when_there_is_something() {
    let mut speaker = Speaker::playing_album(6);
    speaker.slow.insert(2);
    speaker.press(Press::Next);
    assert_eq!(speaker.state(), State::Buffering);
    speaker.wait(700).loaded(2);
    assert_eq!(speaker.state(), State::Playing);
    let started = speaker.journal.last().unwrap();
    assert_eq!(started.initial_delay.0, 700, "from the press to the first sound");
}

#[test]
fn next_while_paused_plays_the_new_entry() {
    let mut speaker = Speaker::playing_album(3);
    speaker.wait(2000).press(Press::Play).press(Press::Next);
    assert_eq!(speaker.story(), ["1 userStop 2000", "2 from 0"]);
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn next_on_the_last_entry_says_so_and_lets_it_play() {
    let mut speaker = Speaker::playing_album(1);
    speaker.wait(1000).press(Press::Next);
    assert_eq!(speaker.notices, [Notice::QueueEnded]);
    assert!(speaker.story().is_empty());
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn next_beyond_what_is_known_asks_the_service_and_plays_on() {
    let mut speaker = Speaker::playing_album(1);
    speaker.order.push(2);
    speaker.press(Press::Next);
    assert_eq!(speaker.current(), Some(2));
    assert_eq!(speaker.story(), ["1 userNext 0", "2 from 0"]);
}

#[test]
fn the_next_entry_is_lined_up_so_that_it_follows_without_a_gap() {
    let mut speaker = Speaker::with_album(3);
    speaker.press(Press::Preset(1));
    let mut followers = Vec::new();
    for effect in &speaker.effects {
        if let Effect::Follow { entry, .. } = effect {
            followers.push(entry.0);
        }
    }
    assert_eq!(followers, [2]);
}

#[test]
fn a_skip_asks_for_the_queue_only_after_its_events_are_with_the_service() {
    let mut speaker = Speaker::playing_album(20);
    speaker.hold_answers().press(Press::Next);
    assert!(speaker.calls.is_empty(), "the stop is under way");
    speaker.let_through();
    assert!(matches!(speaker.calls[..], [Call::Next { .. }]));
    assert_eq!(speaker.at, 1);
}
