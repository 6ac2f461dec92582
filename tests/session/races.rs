//! Presses that are under way at the same time as reports, and answers that come late.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::effect::{Call, Effect};
use tonearm_core::id::{SessionKey, SourceKey};
use tonearm_core::input::{Answer, Input, Mode, Press};
use tonearm_core::unit::Moment;

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
    speaker.holds_news = true;
    // The second entry sounds already; the speaker learns of a new order first, and lines up another one.
    speaker.finish().press(Press::Shuffle);
    assert_eq!(speaker.ahead(), [6, 5, 4, 3, 2]);
    speaker.let_through();
    assert_eq!((speaker.current(), speaker.state()), (Some(2), State::Playing));
    assert_eq!(speaker.ahead(), [0; 0], "in the new order it is the last one");
    assert_eq!(
        speaker.finish().story(),
        ["1 trackFinished 180000", "2 from 0", "2 trackFinished 180000"]
    );
}

#[test]
fn a_late_word_on_the_current_entry_does_not_set_the_service_back() {
    let mut speaker = Speaker::playing_album(20);
    speaker.hold_answers().expired(1).press(Press::Next);
    speaker.reachable = false;
    // The word on entry 1 arrives after entry 2 has started; going back then must not read the lists from a wrong place.
    speaker.let_through();
    speaker.reachable = true;
    speaker.wait(60_000);
    assert_eq!((speaker.current(), speaker.at), (Some(2), 1));
    assert_eq!(speaker.ahead(), (3..=12).collect::<Vec<_>>());
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

#[test]
fn a_call_does_not_wait_in_line_behind_an_event_while_its_own_session_gets_events() {
    let mut speaker = Speaker::playing_album(20);
    // The stop of the skip is on its way and stays there.
    speaker.hold_answers().press(Press::Next);
    let (source, mode) = (SourceKey(2), Mode::Play);
    speaker.press(Press::Start { source, mode });
    let asked = speaker.effects.iter().rev().find_map(|effect| {
        let Effect::Call { request, call } = effect else {
            return None;
        };
        Some((*request, *call))
    });
    let (request, create) = asked.unwrap();
    assert_eq!(create, Call::Create { source, mode });
    let session = SessionKey(2);
    let entries = speaker.view().entries[..2].iter().copied().collect();
    let answer = Answer::Opened { session, entries };
    let now = Moment(speaker.now);
    speaker.session.handle(Input::Answer { request, answer }, now);
    assert_eq!(speaker.session.service_session(), Some(session));
    let mut follows = std::iter::from_fn(|| speaker.session.poll());
    let call = follows.find(|effect| matches!(effect, Effect::Call { .. }));
    assert_eq!(
        call, None,
        "its first entry is about to sound, and that is to be told first"
    );
}
