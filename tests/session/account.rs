//! How signing in stands, and what that means for the music.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::input::{Account, Failure, Input, Press};
use tonearm_core::light::Scene;
use tonearm_core::refusal::{Notice, Problem, Refusal};

fn unlinked() -> Speaker {
    let mut speaker = Speaker::playing_album(5);
    speaker.input(Input::Account(Account::Unlinked));
    speaker
}

#[test]
fn a_speaker_that_never_hears_of_accounts_is_linked() {
    assert_eq!(Speaker::playing_album(3).view().account, Account::Linked);
}

#[test]
fn without_an_account_nothing_is_asked_and_no_event_is_sent() {
    let mut speaker = unlinked();
    speaker.calls.clear();
    speaker.sent.clear();
    speaker.finish().press(Press::Next).expired(3).wait(600_000);
    assert!(speaker.calls.is_empty() && speaker.sent.is_empty());
    assert_eq!(speaker.view().waiting, 4);
}

#[test]
fn what_is_loaded_plays_on_without_an_account() {
    let mut speaker = unlinked();
    assert_eq!(speaker.state(), State::Playing);
    assert_eq!(speaker.light, Scene::Playing);
    speaker.finish();
    assert_eq!(speaker.story(), ["1 trackFinished 180000", "2 from 0"]);
}

#[test]
fn once_linked_everything_is_tried_at_once() {
    let mut speaker = unlinked();
    speaker.fails = Some(Failure::Unauthorised);
    speaker.finish().finish();
    speaker.fails = None;
    speaker.input(Input::Account(Account::Linked));
    assert_eq!(speaker.view().waiting, 0);
    assert_eq!(speaker.view().problem, None);
}

#[test]
fn a_missing_account_is_a_problem_and_a_code_that_waits_another() {
    let mut speaker = Speaker::with_album(3);
    speaker.input(Input::Account(Account::Unlinked));
    assert_eq!(speaker.view().problem, Some(Problem::NotLinked));
    assert_eq!(speaker.light, Scene::Problem);
    speaker.input(Input::Account(Account::Linking));
    assert_eq!(speaker.view().problem, Some(Problem::Linking));
    assert_eq!(speaker.light, Scene::Linking);
    speaker.input(Input::Account(Account::Linked));
    assert_eq!((speaker.view().problem, speaker.light), (None, Scene::Ready));
}

#[test]
fn how_it_stood_at_the_start_is_no_news() {
    let mut speaker = Speaker::with_album(3);
    speaker.input(Input::Account(Account::Unlinked));
    speaker.input(Input::Account(Account::Linking));
    assert!(speaker.notices.is_empty());
}

#[test]
fn becoming_linked_and_unlinked_is_told_once() {
    let mut speaker = Speaker::with_album(3);
    for account in [
        Account::Linking,
        Account::Linked,
        Account::Linked,
        Account::Unlinked,
        Account::Linking,
        Account::Linked,
    ] {
        speaker.input(Input::Account(account));
    }
    assert_eq!(speaker.notices, [Notice::Linked, Notice::Unlinked, Notice::Linked]);
}

#[test]
fn a_code_that_is_not_used_leaves_it_as_it_was() {
    let mut speaker = Speaker::with_album(3);
    for account in [Account::Linked, Account::Linking, Account::Linked] {
        speaker.input(Input::Account(account));
    }
    assert!(speaker.notices.is_empty());
}

#[test]
fn presses_that_need_the_service_are_refused_for_want_of_an_account() {
    let mut speaker = unlinked();
    for press in [Press::Shuffle, Press::Preset(1)] {
        speaker.notices.clear();
        speaker.press(press);
        assert_eq!(speaker.refusal(), Some(Refusal::NotLinked), "{press:?}");
    }
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn a_preset_under_way_is_refused_when_the_account_goes() {
    let mut speaker = Speaker::with_album(3);
    speaker.hold_answers().press(Press::Preset(1));
    speaker.input(Input::Account(Account::Unlinked));
    assert_eq!(speaker.refusal(), Some(Refusal::NotLinked));
    speaker.let_through();
    assert_eq!((speaker.state(), speaker.is_sounding()), (State::Stopped, false));
}

#[test]
fn an_answer_from_before_does_not_make_it_linked() {
    let mut speaker = Speaker::playing_album(5);
    speaker.hold_answers().press(Press::Shuffle);
    speaker.input(Input::Account(Account::Unlinked)).let_through();
    assert_eq!(speaker.view().problem, Some(Problem::NotLinked));
}

#[test]
fn an_account_that_goes_takes_the_offers_with_it() {
    let mut speaker = Speaker::with_album(3);
    speaker.kitchen_plays().pull_plug(1000);
    assert!(speaker.view().offer.is_some());
    speaker.input(Input::Account(Account::Unlinked));
    assert_eq!(speaker.view().offer, None);
    speaker.input(Input::Account(Account::Linked));
    assert!(speaker.view().offer.is_some(), "they are asked for once more");
}

#[test]
fn it_leaves_at_once_although_events_wait_for_an_account() {
    let mut speaker = unlinked();
    speaker.input(Input::Shutdown);
    assert!(speaker.effects.contains(&tonearm_core::Effect::Exit));
}

#[test]
fn a_clock_that_is_wrong_is_a_problem_until_somebody_answers() {
    let mut speaker = Speaker::playing_album(5);
    speaker.fails = Some(Failure::WrongClock);
    speaker.press(Press::Shuffle);
    assert_eq!(speaker.refusal(), Some(Refusal::NoNetwork));
    assert_eq!(speaker.view().problem, Some(Problem::WrongClock));
    assert_eq!(speaker.state(), State::Playing);
    speaker.fails = None;
    speaker.wait(31_000).press(Press::Shuffle);
    assert_eq!(speaker.view().problem, None);
}
