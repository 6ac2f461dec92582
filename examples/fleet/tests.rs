//! Small fleets: the promises hold, and the measurement can fail.

use crate::fleet::{Outcome, apart, together};
use crate::service::{Outage, Scene, Throttle};
use crate::simple::{Rule, Simple};
use crate::speaker::Speaker;

const SPEAKERS: u64 = 2_000;
/// In so small a fleet a second holds a few dozen requests, and a turn is two dozen of them: two minutes can be compared.
const BIN_S: usize = 120;
const CAUGHT_UP_S_MAX: u32 = 900;

fn tonearm(speakers: u64, scene: Scene) -> Outcome {
    apart(speakers, scene, |number| Speaker::new(number, &scene, 1))
}

fn assert_nothing_is_lost(outcome: &Outcome) {
    assert_eq!((outcome.lost, outcome.out_of_order), (0, 0));
    assert!(outcome.recorded > 10 * outcome.speakers, "there was something to lose");
}

fn assert_kept(outcome: &Outcome, scene: &Scene) {
    assert_nothing_is_lost(outcome);
    let (_, peak) = outcome.peaks(scene, BIN_S);
    assert!(peak <= 3.0, "{peak} times steady");
    let last = outcome.all_caught_up_s().expect("all catch up");
    assert!(last <= CAUGHT_UP_S_MAX, "the last one after {last} s");
}

#[test]
fn an_hour_without_the_service_is_followed_by_no_storm() {
    let scene = Scene::hour(Outage::Refused);
    let outcome = tonearm(SPEAKERS, scene);
    assert_kept(&outcome, &scene);
    let (silent, ..) = outcome.silence();
    assert!(
        silent > 900,
        "nearly all had come to the end of what they knew: {silent}"
    );
}

#[test]
fn a_moment_named_to_all_is_followed_by_no_storm() {
    let scene = Scene::hour(Outage::BusyUntilTheEnd);
    assert_kept(&tonearm(SPEAKERS / 2, scene), &scene);
}

#[test]
fn five_minutes_without_the_service_silence_nobody() {
    let scene = Scene {
        lasts_s: 300,
        ..Scene::hour(Outage::Refused)
    };
    let outcome = tonearm(SPEAKERS / 2, scene);
    assert_kept(&outcome, &scene);
    assert_eq!(outcome.silence().0, 0);
}

#[test]
fn speakers_that_are_told_to_slow_down_lose_nothing_and_come_through() {
    let speakers = 140;
    let scene = Scene {
        lasts_s: 1_200,
        after_s: 2_400,
        throttle: Some(Throttle {
            per_second: 4,
            retry_after_ms: 30_000,
        }),
        ..Scene::hour(Outage::Refused)
    };
    let outcome = together(speakers, scene, |number| Speaker::new(number, &scene, 1));
    assert_nothing_is_lost(&outcome);
    assert_eq!(outcome.late, 0, "all catch up");
    let end = usize::try_from(scene.ends_ms() / 1000).unwrap();
    let refused: u32 = outcome.load.refused[end..].iter().sum();
    assert!(refused > 0, "somebody was told to");
}

#[test]
fn what_is_shared_between_threads_is_what_lives_together_would_be() {
    let scene = Scene {
        lasts_s: 600,
        ..Scene::hour(Outage::Refused)
    };
    let make = |number| Speaker::new(number, &scene, 1);
    let (one, other) = (apart(40, scene, make), together(40, scene, make));
    assert_eq!(one.load.asked, other.load.asked);
}

#[test]
fn a_simple_rule_makes_a_storm() {
    let scene = Scene::hour(Outage::Refused);
    let every = Rule::Every { ms: 10_000 };
    let outcome = apart(SPEAKERS, scene, |number| Simple::new(number, every));
    assert_nothing_is_lost(&outcome);
    let (during, after) = outcome.peaks(&scene, 10);
    assert!(during > 5.0 && after > 50.0, "{during} and {after} times steady");
}

#[test]
fn on_an_ordinary_day_the_simple_speaker_asks_as_often_as_the_real_one() {
    let scene = Scene {
        lasts_s: 1,
        ..Scene::hour(Outage::Refused)
    };
    let every = Rule::Every { ms: 10_000 };
    let simple = apart(SPEAKERS, scene, |number| Simple::new(number, every)).steady();
    let real = tonearm(SPEAKERS, scene).steady();
    assert!((simple / real - 1.0).abs() < 0.03, "{simple} and {real}");
}
