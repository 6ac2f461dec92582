//! The end of the queue.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::input::{Failure, Press};
use tonearm_core::light::Scene;
use tonearm_core::refusal::Notice;

#[test]
fn the_last_entry_ends_and_the_speaker_is_ready() {
    let mut speaker = Speaker::playing_album(2);
    speaker.finish().finish();
    assert_eq!(speaker.story().last().unwrap(), "2 trackFinished 180000");
    assert_eq!((speaker.state(), speaker.light), (State::Stopped, Scene::Ready));
    assert_eq!(speaker.notices, [Notice::QueueEnded]);
    assert_eq!(speaker.bookmark.place, None, "there is nothing to resume");
}

#[test]
fn play_after_the_end_starts_the_same_again() {
    let mut speaker = Speaker::playing_album(1);
    speaker.finish().forget();
    speaker.press(Press::Play);
    assert_eq!(speaker.story(), ["1 from 0"]);
}

#[test]
fn a_queue_that_grew_meanwhile_goes_on() {
    let mut speaker = Speaker::playing_album(1);
    speaker.order.push(2);
    speaker.finish();
    assert_eq!(speaker.story(), ["1 trackFinished 180000", "2 from 0"]);
}

#[test]
fn an_end_told_as_not_found_is_an_end() {
    let mut speaker = Speaker::playing_album(1);
    speaker.fails = Some(Failure::NotFound);
    speaker.finish();
    assert_eq!(speaker.state(), State::Stopped);
    assert_eq!(speaker.notices, [Notice::QueueEnded]);
}

#[test]
fn a_follower_that_the_service_takes_back_after_the_end_is_not_waited_for() {
    let mut speaker = Speaker::playing_album(2);
    speaker.slow.insert(2);
    speaker.finish();
    assert_eq!(speaker.state(), State::Buffering);
    speaker.order.pop();
    speaker.expired(2);
    assert_eq!(speaker.state(), State::Stopped);
    assert_eq!(speaker.notices, [Notice::QueueEnded]);
}

#[test]
fn a_source_without_entries_ends_at_once() {
    let mut speaker = Speaker::with_album(0);
    speaker.press(Press::Preset(1));
    assert_eq!(speaker.state(), State::Stopped);
    assert!(speaker.story().is_empty());
}

#[test]
fn a_session_that_vanished_lets_the_entry_play_to_its_end_and_stops() {
    let mut speaker = Speaker::playing_album(5);
    speaker.fails = Some(Failure::NotFound);
    speaker.expired(1);
    assert!(speaker.is_sounding());
    speaker.press(Press::Next);
    assert!(speaker.refusal().is_some(), "there is no queue any more");
    speaker.finish();
    assert_eq!(speaker.state(), State::Stopped);
    assert_eq!(speaker.story(), ["1 trackFinished 180000"]);
}
