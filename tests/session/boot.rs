//! After a pulled plug or an orderly end: going on where it was.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::effect::Call;
use tonearm_core::input::{Failure, Input, Press};
use tonearm_core::unit::Millis;

#[test]
fn a_pulled_plug_costs_at_most_ten_seconds_of_the_position() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(47_000).pull_plug(60_000);
    assert_eq!(speaker.story(), ["1 systemStop 40000", "1 from 40000"]);
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn the_made_up_stop_goes_out_before_the_queue_is_asked_for() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(15_000).forget();
    speaker.hold_answers().pull_plug(1000);
    assert!(speaker.calls.is_empty());
    speaker.let_through();
    assert!(matches!(speaker.calls[0], Call::Current(_)));
}

#[test]
fn a_paused_speaker_stays_silent_after_a_restart_and_resumes_where_it_was() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(33_333).press(Press::Play).pull_plug(5000);
    assert_eq!((speaker.state(), speaker.is_sounding()), (State::Paused, false));
    speaker.press(Press::Play);
    assert_eq!(speaker.story(), ["1 userStop 33333", "1 from 33333"]);
}

#[test]
fn after_a_restart_without_a_network_it_waits_and_then_goes_on() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(20_000);
    speaker.reachable = false;
    speaker.pull_plug(1000).wait(300_000);
    assert_eq!(speaker.state(), State::Buffering);
    speaker.online();
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn pause_and_play_while_the_service_is_awaited_after_a_restart_keep_the_place() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(20_000).forget();
    speaker
        .hold_answers()
        .pull_plug(1000)
        .press(Press::Play)
        .press(Press::Play)
        .let_through();
    assert_eq!(speaker.story(), ["1 systemStop 20000", "1 from 20000"]);
}

#[test]
fn the_window_behind_is_filled_after_a_restart() {
    let mut speaker = Speaker::playing_album(9);
    for _ in 0..4 {
        speaker.press(Press::Next);
    }
    speaker.pull_plug(1000);
    let view = speaker.view();
    let keys: Vec<u32> = view.entries.iter().map(|entry| entry.key.0).collect();
    assert_eq!((keys, view.cursor), ((3..=9).collect(), 2));
}

#[test]
fn a_session_that_is_gone_after_a_restart_leaves_the_speaker_ready() {
    let mut speaker = Speaker::playing_album(5);
    speaker.fails = Some(Failure::NotFound);
    speaker.pull_plug(1000);
    assert_eq!(speaker.state(), State::Stopped);
    speaker.fails = None;
    speaker.forget().press(Press::Play);
    assert_eq!(speaker.story(), ["1 from 0"], "play starts the first preset");
}

#[test]
fn play_tries_again_what_the_service_refused_after_a_restart() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(20_000);
    speaker.fails = Some(Failure::TakenOver);
    speaker.pull_plug(1000);
    assert_eq!(speaker.state(), State::Paused);
    speaker.fails = None;
    speaker.forget().press(Press::Play).wait(1000);
    assert_eq!(speaker.story(), ["1 from 20000"]);
}

#[test]
fn the_numbers_of_events_go_on_after_a_restart() {
    let mut speaker = Speaker::playing_album(5);
    speaker.press(Press::Next).pull_plug(1000).pull_plug(1000);
    let numbers: Vec<u64> = speaker.journal.iter().map(|event| event.seq.0).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn an_orderly_end_keeps_the_exact_position() {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(12_345).input(Input::Shutdown);
    assert_eq!(speaker.bookmark.place.unwrap().position, Millis(12_345));
    speaker.pull_plug(1000);
    assert_eq!(speaker.story(), ["1 systemStop 12345", "1 from 12345"]);
}
