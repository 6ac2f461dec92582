//! Presses that are under way at the same time as reports, and answers that come late.

use crate::speaker::Speaker;
use tonearm_core::id::SourceKey;
use tonearm_core::input::{Mode, Press};
use tonearm_core::{State, effect::Call};

#[test]
fn a_pause_is_told_as_a_pause_even_if_a_skip_follows_before_it_is_reported() {
    let mut speaker = Speaker::playing_album(3);
    speaker.wait(1000);
    speaker.holds_news = true;
    speaker.press(Press::Play).press(Press::Next).let_through();
    assert_eq!(speaker.story(), ["1 userStop 1000", "2 from 0"]);
}

#[test]
fn next_and_previous_at_once_are_told_as_what_they_were() {
    let mut speaker = Speaker::playing_album(4);
    speaker.wait(1000);
    speaker.holds_news = true;
    speaker.press(Press::Next).wait(50).press(Press::Previous).let_through();
    assert_eq!(
        speaker.story(),
        ["1 userNext 1000", "2 from 0", "2 userPrev 50", "1 from 0"]
    );
}

#[test]
fn a_skip_just_as_the_next_entry_begins_by_itself_does_not_count_as_leaving_that_one() {
    let mut speaker = Speaker::playing_album(4);
    speaker.holds_news = true;
    speaker.finish().wait(20).press(Press::Next).let_through();
    assert_eq!(
        speaker.story(),
        ["1 trackFinished 180000", "2 from 0", "2 systemStop 20", "2 from 0"]
    );
    assert_eq!(speaker.current(), Some(2));
}

#[test]
fn the_service_stays_in_step_when_an_entry_is_left_before_its_start_is_known() {
    let mut speaker = Speaker::playing_album(20);
    speaker.holds_news = true;
    speaker.press(Press::Next).wait(50).press(Press::Previous).let_through();
    assert_eq!((speaker.current(), speaker.at), (Some(1), 0));
    assert_eq!(speaker.ahead()[..2], [2, 3]);
}

#[test]
fn an_entry_that_began_just_before_it_was_called_back_is_the_current_one() {
    let mut speaker = Speaker::playing_album(6);
    speaker.hold_answers().press(Press::Shuffle);
    speaker.holds_news = true;
    speaker.finish();
    // The new order is known first, and only then what has happened meanwhile.
    speaker.let_through();
    assert_eq!(speaker.current(), Some(2));
    assert_eq!(speaker.state(), State::Playing);
    assert_eq!(speaker.ahead(), speaker.order[speaker.at + 1..]);
}

#[test]
fn a_second_source_pressed_before_the_first_was_opened_is_the_one_that_plays() {
    let mut speaker = Speaker::with_album(3);
    let start = |key| Press::Start {
        source: SourceKey(key),
        mode: Mode::Play,
    };
    speaker.hold_answers().press(start(1)).press(start(2)).let_through();
    let opened: Vec<_> = speaker
        .calls
        .iter()
        .filter(|call| matches!(call, Call::Create { .. }))
        .collect();
    assert_eq!(opened.len(), 2);
    assert!(matches!(
        opened[1],
        Call::Create {
            source: SourceKey(2),
            ..
        }
    ));
    assert_eq!(speaker.session.service_session().map(|key| key.0), Some(2));
    assert_eq!(speaker.story(), ["1 from 0"], "the first one never sounded");
}

#[test]
fn an_answer_that_was_asked_for_before_a_skip_is_read_from_the_new_place_on() {
    let mut speaker = Speaker::playing_album(30);
    speaker.finish().hold_answers();
    speaker.finish().press(Press::Next).let_through();
    assert_eq!(speaker.current(), Some(4));
    assert_eq!(speaker.ahead(), (5..=14).collect::<Vec<_>>());
}
