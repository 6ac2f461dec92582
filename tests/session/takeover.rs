//! Another device on the account.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::input::{Failure, Press, Verdict};
use tonearm_core::light::Scene;
use tonearm_core::refusal::Problem;

fn taken_over() -> Speaker {
    let mut speaker = Speaker::playing_album(5);
    speaker.wait(9000);
    speaker.fails = Some(Failure::TakenOver);
    speaker.press(Press::Shuffle);
    speaker
}

#[test]
fn the_sound_stops_here_and_the_place_is_kept() {
    let mut speaker = taken_over();
    assert_eq!(speaker.story(), ["1 systemStop 9000"]);
    assert_eq!((speaker.state(), speaker.light), (State::Paused, Scene::Refused));
    assert_eq!(speaker.view().problem, Some(Problem::TakenOver));
}

#[test]
fn play_takes_it_back_where_it_was() {
    let mut speaker = taken_over();
    speaker.forget().fails = None;
    speaker.wait(60_000).press(Press::Play);
    assert_eq!(speaker.story(), ["1 from 9000"]);
    assert_eq!(speaker.view().problem, None);
}

#[test]
fn it_is_the_system_that_stopped_even_after_an_earlier_pause() {
    let mut speaker = Speaker::playing_album(5);
    speaker
        .wait(1000)
        .press(Press::Play)
        .press(Press::Play)
        .wait(1000)
        .forget();
    speaker.fails = Some(Failure::TakenOver);
    speaker.press(Press::Shuffle);
    assert_eq!(speaker.story(), ["1 systemStop 2000"]);
}

#[test]
fn an_event_may_bring_the_news_and_is_sent_again() {
    let mut speaker = Speaker::playing_album(5);
    speaker
        .verdicts
        .extend([Verdict::Accepted, Verdict::Failed(Failure::TakenOver)]);
    speaker.press(Press::Next).wait(60_000);
    assert_eq!(speaker.state(), State::Paused);
    assert_eq!(speaker.view().waiting, 0);
}
