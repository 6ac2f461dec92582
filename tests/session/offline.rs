//! Without the service: what is loaded plays, presses that need it are refused at once, and nothing is lost.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::id::Seq;
use tonearm_core::input::{Answer, Failure, Input, Press};
use tonearm_core::light::Scene;
use tonearm_core::limits::{TURN_MS_EACH, TURN_MS_FIRST};
use tonearm_core::refusal::{Notice, Problem, Refusal};

#[test]
fn music_goes_on_and_events_wait_in_order() {
    let mut speaker = Speaker::playing_album(5);
    speaker.offline().finish().press(Press::Next);
    assert_eq!(speaker.view().waiting, 4);
    assert_eq!((speaker.state(), speaker.light), (State::Playing, Scene::Playing));
    speaker.online();
    assert_eq!(speaker.view().waiting, 0);
    assert_eq!(speaker.settled, (1..=5).map(|seq| (Seq(seq), true)).collect::<Vec<_>>());
}

#[test]
fn a_queue_call_waits_until_the_events_are_through() {
    let mut speaker = Speaker::playing_album(20);
    speaker.offline().press(Press::Next).forget();
    speaker.hold_answers().online();
    assert!(speaker.calls.is_empty());
    speaker.let_through();
    assert_eq!(speaker.calls.len(), 1);
    assert_eq!(speaker.at, 1);
}

#[test]
fn retries_go_on_for_ever_and_never_storm() {
    let mut speaker = Speaker::playing_album(5);
    speaker.offline().press(Press::Next);
    speaker.sent.clear();
    speaker.wait(3_600_000);
    let tries = speaker.sent.len();
    assert!((120..1000).contains(&tries), "{tries} tries in an hour");
    speaker.reachable = true;
    speaker.wait(31_000);
    assert_eq!(speaker.view().waiting, 1, "also without news of the interface");
    speaker.wait(u64::from(TURN_MS_FIRST.0 + 2 * TURN_MS_EACH.0));
    assert_eq!(speaker.view().waiting, 0, "the rest at this speaker's turn");
}

#[test]
fn shuffle_is_refused_without_a_network() {
    let mut speaker = Speaker::playing_album(5);
    speaker.offline().press(Press::Shuffle);
    assert_eq!(speaker.refusal(), Some(Refusal::NoNetwork));
}

#[test]
fn shuffle_works_again_once_the_interface_is_up_even_if_nothing_was_asked_meanwhile() {
    let mut speaker = Speaker::playing_album(5);
    speaker
        .press(Press::Play)
        .offline()
        .wait(60_000)
        .online()
        .press(Press::Shuffle);
    assert!(speaker.view().shuffle);
    assert_eq!(speaker.refusal(), None);
}

#[test]
fn shuffle_is_tried_when_the_network_came_back_unnoticed() {
    let mut speaker = Speaker::playing_album(5);
    speaker.press(Press::Play).offline();
    speaker.reachable = true;
    speaker.wait(60_000).press(Press::Shuffle);
    assert!(speaker.view().shuffle);
}

#[test]
fn a_preset_that_cannot_be_opened_says_so_and_lets_the_music_play() {
    let mut speaker = Speaker::playing_album(5);
    speaker.offline().press(Press::Preset(2));
    assert_eq!(speaker.refusal(), Some(Refusal::NoNetwork));
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn a_skip_beyond_what_is_known_fails_at_once_and_not_minutes_later() {
    let mut speaker = Speaker::playing_album(1);
    speaker.order.push(2);
    speaker.reachable = false;
    speaker.press(Press::Next);
    assert_eq!(speaker.refusal(), Some(Refusal::NoNetwork));
    speaker.wait(1000).online().wait(10_000);
    assert_eq!(speaker.current(), Some(1));
}

#[test]
fn the_end_of_what_is_known_waits_for_the_network_and_goes_on() {
    let mut speaker = Speaker::playing_album(1);
    speaker.order.push(2);
    speaker.offline().finish();
    assert_eq!((speaker.state(), speaker.light), (State::Buffering, Scene::Offline));
    speaker.wait(600_000).online();
    assert_eq!(speaker.story(), ["1 trackFinished 180000", "2 from 0"]);
}

#[test]
fn a_skip_while_the_next_entry_is_awaited_does_not_lose_it() {
    let mut speaker = Speaker::playing_album(1);
    speaker.order.push(2);
    speaker.reachable = false;
    speaker.finish().wait(40_000).press(Press::Next).online().wait(1000);
    assert_eq!(speaker.current(), Some(2));
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn an_answer_nobody_waits_for_changes_nothing() {
    let mut speaker = Speaker::playing_album(3);
    let request = tonearm_core::id::RequestId(999);
    let answer = Answer::Failed(Failure::NotFound);
    speaker.input(Input::Answer { request, answer });
    assert!(speaker.effects.is_empty());
}

#[test]
fn an_account_that_is_not_accepted_is_a_problem_until_an_event_goes_through() {
    let mut speaker = Speaker::playing_album(3);
    speaker
        .verdicts
        .push_back(tonearm_core::input::Verdict::Failed(Failure::Unauthorised));
    speaker.press(Press::Play);
    assert_eq!(speaker.view().problem, Some(Problem::NotLinked));
    speaker.wait(2000);
    assert_eq!(speaker.view().problem, None);
}

#[test]
fn music_that_runs_dry_offline_is_a_pause_that_is_told_once() {
    let mut speaker = Speaker::playing_album(5);
    speaker.offline();
    assert!(speaker.notices.is_empty(), "the music goes on");
    speaker.stall(60_000);
    assert_eq!(speaker.notices, [Notice::RanDry]);
    assert_eq!(speaker.state(), State::Playing, "it went on by itself");
    assert_eq!(speaker.current(), Some(1), "nothing of the queue was used up");
    speaker.stall(60_000);
    assert_eq!(speaker.notices, [Notice::RanDry; 2], "once for each time");
}

#[test]
fn the_end_of_what_is_known_is_told_like_a_lack_of_bytes() {
    let mut speaker = Speaker::playing_album(1);
    speaker.order.push(2);
    speaker.offline().finish().wait(600_000);
    assert_eq!(speaker.notices, [Notice::RanDry]);
    assert_eq!(speaker.view().problem, Some(Problem::Offline));
}

#[test]
fn music_that_stops_asks_whether_anybody_is_there_and_so_notices_a_silent_network() {
    let mut speaker = Speaker::playing_album(5);
    speaker.reachable = false;
    speaker.forget();
    speaker.stall(30_000);
    assert!(!speaker.calls.is_empty());
    assert_eq!(speaker.notices, [Notice::RanDry]);
    // However long the wait for the next try has grown.
    speaker.wait(600_000).forget();
    speaker.reachable = true;
    speaker.stall(0);
    assert_eq!(
        speaker.view().problem,
        None,
        "bytes came, so the service was tried at once"
    );
}

#[test]
fn music_that_stops_although_the_service_answers_is_not_told_as_offline() {
    let mut speaker = Speaker::playing_album(5);
    speaker.stall(30_000);
    assert_eq!(speaker.notices, []);
}

#[test]
fn a_pause_while_nothing_sounds_is_not_told_as_a_lack() {
    let mut speaker = Speaker::playing_album(5);
    speaker.press(Press::Play).offline().wait(60_000);
    assert_eq!(speaker.notices, []);
}

#[test]
fn a_found_interface_is_tried_at_once_however_long_the_wait_was() {
    let mut speaker = Speaker::playing_album(5);
    speaker.offline().press(Press::Next).wait(3_600_000);
    speaker.sent.clear();
    speaker.online();
    assert!(!speaker.sent.is_empty(), "without any time going by");
}
