//! Looking at the whole queue beside the session's own calls.

use crate::speaker::Speaker;
use tonearm_core::id::SessionKey;
use tonearm_core::input::{Failure, Input, Press};
use tonearm_core::refusal::Refusal;
use tonearm_core::unit::{Millis, Moment};
use tonearm_core::{Look, State};

fn may_look(speaker: &Speaker) -> Look {
    speaker.session.may_look(Moment(speaker.now))
}

#[test]
fn the_open_queue_may_be_looked_at() {
    let speaker = Speaker::playing_album(5);
    assert_eq!(may_look(&speaker), Look::Now(SessionKey(speaker.open)));
}

#[test]
fn there_is_nothing_to_look_at_before_something_is_open() {
    assert_eq!(may_look(&Speaker::with_album(5)), Look::No(Refusal::NothingPlaying));
}

#[test]
fn a_look_waits_until_the_events_are_through() {
    let mut speaker = Speaker::playing_album(5);
    speaker.hold_answers().press(Press::Next);
    assert_eq!(may_look(&speaker), Look::Later);
    speaker.let_through();
    assert_eq!(may_look(&speaker), Look::Now(SessionKey(speaker.open)));
}

#[test]
fn without_a_network_a_look_is_refused() {
    let mut speaker = Speaker::playing_album(5);
    speaker.offline().press(Press::Next);
    assert_eq!(may_look(&speaker), Look::No(Refusal::NoNetwork));
}

#[test]
fn the_session_keeps_to_a_time_that_a_look_was_given() {
    let mut speaker = Speaker::playing_album(5);
    let retry_after = Some(Millis(5_000));
    speaker.input(Input::Looked(Failure::Busy { retry_after }));
    speaker.sent.clear();
    assert_eq!(may_look(&speaker), Look::No(Refusal::NoNetwork));
    speaker.press(Press::Next).wait(4_900);
    assert_eq!(speaker.sent, []);
    speaker.wait(31_000);
    assert_eq!(speaker.view().waiting, 0);
}

#[test]
fn a_look_may_bring_the_news_that_another_device_plays() {
    let mut speaker = Speaker::playing_album(5);
    speaker.input(Input::Looked(Failure::TakenOver));
    assert_eq!(speaker.state(), State::Paused);
}

#[test]
fn a_refused_look_disturbs_nothing() {
    let mut speaker = Speaker::playing_album(5);
    for failure in [Failure::Forbidden, Failure::NotFound, Failure::Refused] {
        speaker.input(Input::Looked(failure));
    }
    assert_eq!((speaker.state(), speaker.view().problem), (State::Playing, None));
}
