//! A fleet of speakers and an outage of the service, in virtual time: how many requests the service sees, when all have
//! caught up, and whether an event was lost. The speakers are sessions as they ship; others with simple rules stand beside
//! them. It measures; the numbers and their reasons are docs/fleet.md. An example, because cargo builds nothing but the
//! library for one.
//!
//! `make fleet SPEAKERS=1000000`, or `cargo run --release --example fleet -- 1000000 --write`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot be made ends by panicking; counts are far below 2^52"
)]

mod device;
mod fleet;
mod picture;
mod report;
mod rng;
mod service;
mod simple;
mod speaker;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Instant;

use fleet::{Outcome, apart, together};
use picture::Line;
use report::Row;
use service::{Outage, Scene, Throttle};
use simple::{Rule, Simple};
use speaker::Speaker;

/// Speakers, unless a number is given.
const SPEAKERS: u64 = 1_000_000;
/// The scenes beside the first ones have this part of the speakers, ...
const PART: u64 = 50;
/// ... and those that are alive at once are so many at most: they share the memory and one thread.
const TOGETHER_MAX: u64 = 2_000;
/// How long a fleet that is throttled is looked at after the outage.
const THROTTLED_AFTER_S: u64 = 2_400;

fn main() {
    let mut speakers = SPEAKERS;
    let mut writes = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--write" => writes = true,
            number => {
                speakers = number
                    .parse()
                    .unwrap_or_else(|_| panic!("{number}: not a number of speakers"));
            }
        }
    }
    println!("a session takes {} bytes", size_of::<tonearm_core::Session>());
    let hour = Scene::hour(Outage::Refused);
    let rows = compared(speakers, hour);
    let svg = picture::draw(
        &format!(
            "{} speakers, and an hour without the service",
            report::grouped(speakers)
        ),
        &hour,
        &lines(&rows),
    );
    let part = (speakers / PART).max(1);
    let sections = [
        ("An hour without the service, connections refused", rows),
        ("Tonearm, other ways to be out of order for an hour", ways(part)),
        (
            "Tonearm, other lengths of the outage, connections refused",
            lengths(part),
        ),
        (
            "Tonearm, a service that comes back small: 429 and `Retry-After: 30` beyond what it lets through",
            throttled(speakers.min(TOGETHER_MAX)),
        ),
    ];
    let tables = report::tables(&sections);
    println!("{tables}");
    if writes {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        std::fs::write(docs.join("fleet.svg"), svg).unwrap();
        report::put_into(&docs.join("fleet.md"), &tables);
    }
}

fn timed(name: &str, scene: Scene, run: impl FnOnce() -> Outcome) -> Row {
    let start = Instant::now();
    let row = Row {
        name: name.to_owned(),
        scene,
        outcome: run(),
    };
    let (seconds, steps) = (start.elapsed().as_secs_f64(), row.outcome.inputs);
    eprintln!("{} {seconds:.0} s, {steps} steps", report::line(&row));
    row
}

fn tonearm(name: &str, speakers: u64, scene: Scene, batch: u8) -> Row {
    timed(name, scene, || {
        apart(speakers, scene, |number| Speaker::new(number, &scene, batch))
    })
}

fn simple(name: &str, speakers: u64, scene: Scene, rule: Rule) -> Row {
    timed(name, scene, || {
        apart(speakers, scene, |number| Simple::new(number, rule))
    })
}

/// The scene of the picture.
fn compared(speakers: u64, scene: Scene) -> Vec<Row> {
    let (first_ms, longest_ms) = (500, 30_000);
    let doubling = Rule::Doubling { first_ms, longest_ms };
    let jitter = Rule::Jitter { first_ms, longest_ms };
    vec![
        simple("every 10 s", speakers, scene, Rule::Every { ms: 10_000 }),
        simple("doubling from 0.5 s to 30 s", speakers, scene, doubling),
        simple("the same with full jitter", speakers, scene, jitter),
        tonearm("Tonearm", speakers, scene, 1),
    ]
}

fn lines(rows: &[Row]) -> Vec<Line<'_>> {
    let colours = ["#b0b0b0", "#e69f00", "#56b4e9", "#006644"];
    let with_colours = rows.iter().zip(colours);
    with_colours
        .map(|(row, colour)| Line {
            name: &row.name,
            colour,
            outcome: &row.outcome,
        })
        .collect()
}

fn ways(speakers: u64) -> Vec<Row> {
    let named = Scene::hour(Outage::BusyUntilTheEnd);
    let everything = Scene {
        takes_media: true,
        ..Scene::hour(Outage::Silent)
    };
    let doubling = Rule::Doubling {
        first_ms: 500,
        longest_ms: 30_000,
    };
    vec![
        tonearm("no answer for 8 s", speakers, Scene::hour(Outage::Silent), 1),
        tonearm("503", speakers, Scene::hour(Outage::Busy), 1),
        tonearm(
            "503, `Retry-After: 60`",
            speakers,
            Scene::hour(Outage::BusyForAMinute),
            1,
        ),
        tonearm(
            "503, `Retry-After`: the end, the same moment to all",
            speakers,
            named,
            1,
        ),
        simple(
            "... and doubling without jitter in place of Tonearm",
            speakers,
            named,
            doubling,
        ),
        tonearm("no answer, and no music either", speakers, everything, 1),
        tonearm(
            "refused, five events a request",
            speakers,
            Scene::hour(Outage::Refused),
            5,
        ),
    ]
}

fn lengths(speakers: u64) -> Vec<Row> {
    let minutes = [1, 5, 15, 20, 30, 240];
    let row = |minutes: u64| {
        let scene = Scene {
            lasts_s: minutes * 60,
            ..Scene::hour(Outage::Refused)
        };
        tonearm(&format!("{minutes} min"), speakers, scene, 1)
    };
    minutes.into_iter().map(row).collect()
}

fn throttled(speakers: u64) -> Vec<Row> {
    let steady = speakers as f64 / 70.0;
    let row = |multiple: f64| {
        let per_second = format!("{:.0}", steady * multiple).parse().unwrap();
        let scene = Scene {
            throttle: Some(Throttle {
                per_second,
                retry_after_ms: 30_000,
            }),
            after_s: THROTTLED_AFTER_S,
            ..Scene::hour(Outage::Refused)
        };
        timed(&format!("lets {multiple} times steady through"), scene, || {
            together(speakers, scene, |number| Speaker::new(number, &scene, 1))
        })
    };
    vec![row(2.0), row(3.0)]
}
