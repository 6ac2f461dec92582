//! Entries that cannot be played.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::event::What;
use tonearm_core::input::Press;
use tonearm_core::refusal::{Notice, Problem};
use tonearm_core::unit::Millis;

#[test]
fn an_entry_that_cannot_be_decoded_has_a_pair_of_length_zero_and_the_next_one_plays() {
    let mut speaker = Speaker::playing_album(4);
    speaker.corrupt.insert(2);
    speaker.finish();
    assert_eq!(
        speaker.story(),
        ["1 trackFinished 180000", "2 from 0", "2 systemStop 0", "3 from 0"]
    );
    let What::Stop { played, .. } = speaker.journal[3].what else {
        panic!("a stop");
    };
    assert_eq!(played, Millis::ZERO);
}

#[test]
fn three_in_a_row_stop_the_speaker() {
    let mut speaker = Speaker::playing_album(9);
    speaker.corrupt.extend(2..9);
    speaker.finish();
    assert_eq!(speaker.state(), State::Stopped);
    assert_eq!(speaker.view().problem, Some(Problem::ManyUnplayable));
    assert_eq!(speaker.story().last().unwrap(), "4 systemStop 0");
}

#[test]
fn after_three_in_a_row_play_tries_again() {
    let mut speaker = Speaker::playing_album(9);
    speaker.corrupt.extend(2..5);
    speaker.finish().forget();
    speaker.press(Press::Play);
    assert_eq!(speaker.story(), ["4 from 0", "4 systemStop 0", "5 from 0"]);
    assert_eq!(speaker.view().problem, None);
}

#[test]
fn one_that_plays_in_between_starts_the_count_anew() {
    let mut speaker = Speaker::playing_album(9);
    speaker.corrupt.extend([2, 3, 5, 6]);
    speaker.finish();
    assert_eq!(speaker.current(), Some(4));
    speaker.wait(60_000).press(Press::Next);
    assert_eq!(speaker.current(), Some(7));
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn an_entry_that_breaks_off_is_told_with_what_sounded_of_it() {
    let mut speaker = Speaker::playing_album(4);
    speaker.wait(30_000).break_off();
    assert_eq!(speaker.story(), ["1 systemStop 30000", "2 from 0"]);
}

#[test]
fn three_that_break_off_in_a_row_stop_the_speaker() {
    let mut speaker = Speaker::playing_album(9);
    for _ in 0..3 {
        speaker.wait(30_000).break_off();
    }
    assert_eq!(speaker.state(), State::Stopped);
    assert!(!speaker.is_sounding());
}

#[test]
fn an_entry_whose_key_does_not_come_is_told_with_what_sounded_and_the_listener_is_told_why() {
    let mut speaker = Speaker::playing_album(4);
    speaker.wait(30_000).lock_out();
    assert_eq!(speaker.story(), ["1 systemStop 30000", "2 from 0"]);
    assert_eq!(speaker.notices, [Notice::NoLicence]);
    assert_eq!(speaker.view().problem, None, "the next one plays");
}

#[test]
fn three_whose_keys_do_not_come_stop_the_speaker_and_the_reason_is_the_missing_licence() {
    let mut speaker = Speaker::playing_album(9);
    for _ in 0..3 {
        speaker.wait(30_000).lock_out();
    }
    assert_eq!(speaker.state(), State::Stopped);
    assert!(!speaker.is_sounding());
    assert_eq!(speaker.view().problem, Some(Problem::NoLicence));
    assert_eq!(speaker.notices, [Notice::NoLicence; 3]);
    speaker.press(Press::Play);
    assert_eq!(speaker.view().problem, None, "it is tried again");
}
