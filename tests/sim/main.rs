//! Seeded worlds: the core and the journal among models of the service, the audio path, the disk and the clocks, with
//! faults of every kind at any time. An oracle looks after every step. See README.md beside this file.
//!
//! It has a harness of its own because it includes the journal's files: with the usual one their tests would run again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod audio;
mod disk;
#[path = "../../src/journal/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the program uses all of it, and is where it is linted"
)]
mod journal;
mod ledger;
mod oracle;
mod plan;
mod report;
mod rng;
mod rule;
mod service;
mod store;
mod trial;
mod world;
mod worlds;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use journal::storage::Storage;
use plan::{Form, Part, Without};
use rule::Rule;
use trial::{Story, live};
use world::Telling;
use worlds::{Ask, live_all};

/// Worlds of one `cargo test`, unless `TONEARM_SIM_WORLDS` says otherwise.
const WORLDS: u64 = 1000;
/// Seeds that live through days in one `cargo test`.
const LONG_WORLDS: u64 = 4;
/// Seeds that once found a mistake are tried first, for ever.
const SEEDS_THAT_FOUND: [u64; 19] = [
    887, 1494, 1506, 1475, 1737, 2015, 2478, 2986, 3085, 3532, 4604, 5432, 6705, 7724, 10_810, 21_465, 41_878, 42_898,
    60_172,
];
/// A mistake made on purpose is found within so many worlds.
const WORLDS_TO_FIND: u64 = 300;

fn main() -> ExitCode {
    trial::hush_panics();
    let trials = vec![
        Trial::test("every_promise_holds_in_every_world", every_promise_holds_in_every_world),
        Trial::test("every_promise_holds_for_days", every_promise_holds_for_days),
        Trial::test("the_same_seed_is_the_same_world", || {
            the_same_seed_is_the_same_world();
            Ok(())
        }),
        Trial::test("the_virtual_disk_fails_in_every_way", || {
            the_virtual_disk_fails_in_every_way();
            Ok(())
        }),
        Trial::test("a_sync_that_does_nothing_is_found", || {
            is_found(Part::Sync, &[Rule::NoLoss, Rule::NoReuse, Rule::Dedup])
        }),
        Trial::test("a_start_left_open_by_a_kill_is_found", || {
            is_found(Part::ClosingStop, &[Rule::Pairing])
        }),
        Trial::test("settlements_that_are_not_stored_are_found", || {
            is_found(Part::Settlement, &[Rule::Dedup, Rule::Flat])
        }),
        Trial::test("an_event_announced_before_it_is_written_is_found", || {
            is_found(Part::Writing, &[Rule::NoLoss, Rule::NoReuse, Rule::StoredFirst])
        }),
        Trial::test(
            "a_smaller_story_breaks_the_same_promise",
            a_smaller_story_breaks_the_same_promise,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn knob(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

fn all_hold(seeds: &[u64], form: Form) -> Result<(), Failed> {
    let outcome = live_all(seeds, form, Ask::Quiet);
    println!("{}", outcome.report);
    if outcome.failures.is_empty() {
        Ok(())
    } else {
        Err(outcome.tell().into())
    }
}

fn every_promise_holds_in_every_world() -> Result<(), Failed> {
    if let Some(seed) = knob("TONEARM_SIM_SEED") {
        return all_hold(&[seed], Form::Short);
    }
    let worlds = knob("TONEARM_SIM_WORLDS").unwrap_or(WORLDS);
    let first = knob("TONEARM_SIM_FIRST").unwrap_or(1);
    let seeds: Vec<u64> = SEEDS_THAT_FOUND.into_iter().chain(first..first + worlds).collect();
    all_hold(&seeds, Form::Short)
}

fn every_promise_holds_for_days() -> Result<(), Failed> {
    let seeds: Vec<u64> = (1..=LONG_WORLDS).collect();
    all_hold(&seeds, Form::Days(1))
}

fn the_same_seed_is_the_same_world() {
    for seed in 1..8 {
        let digest = || {
            live(seed, Form::Short, &Without::default(), Telling::Everything)
                .0
                .digest
        };
        assert_eq!(digest(), digest(), "seed {seed}");
    }
}

/// The first seed that finds it, and the promise that it breaks.
fn found_by(part: Part) -> Option<(u64, rule::Broken, Without)> {
    let without = Without {
        part: Some(part),
        ..Without::default()
    };
    (1..=WORLDS_TO_FIND).find_map(|seed| {
        let (_, broken) = live(seed, Form::Short, &without, Telling::Silent);
        Some((seed, broken?, without.clone()))
    })
}

fn is_found(part: Part, rules: &[Rule]) -> Result<(), Failed> {
    let Some((seed, broken, _)) = found_by(part) else {
        return Err(format!("{part:?} is missing, and {WORLDS_TO_FIND} worlds saw nothing").into());
    };
    println!("seed {seed}: {broken}");
    if rules.contains(&broken.rule) {
        Ok(())
    } else {
        Err(format!("{part:?} is missing, and what is said to be broken is {broken}").into())
    }
}

fn a_smaller_story_breaks_the_same_promise() -> Result<(), Failed> {
    let (seed, broken, without) = found_by(Part::ClosingStop).ok_or("no world failed")?;
    let rule = broken.rule;
    let story = Story::smallest(seed, Form::Short, &without, broken);
    let (laid_out, left) = story.troubles();
    println!("{}", story.tell());
    assert_eq!(story.broken.rule, rule);
    assert!(left <= 5 && left < laid_out, "{left} of {laid_out} troubles are left");
    Ok(())
}

/// What is promised of the disk itself: a failure that it does not make proves nothing.
fn the_virtual_disk_fails_in_every_way() {
    let (mut torn, mut reordered, mut whole, mut none) = (0, 0, 0, 0);
    for seed in 0..200 {
        let disk = disk::Disk::default();
        disk.append("a", b"kept").unwrap();
        disk.sync("a").unwrap();
        disk.sync_names().unwrap();
        disk.append("a", &[7; 2000]).unwrap();
        disk.append("b", b"its name is not synced").unwrap();
        disk.lose_power(&mut rng::Rng::new(seed));
        let bytes = disk.read("a").unwrap();
        assert!(bytes.starts_with(b"kept"), "what was synced survives");
        let arrived = bytes.split(|byte| *byte != 7).map(<[u8]>::len).sum::<usize>();
        whole += u32::from(arrived == 2000);
        none += u32::from(arrived == 0);
        torn += u32::from(disk.counts().torn > 0);
        reordered += u32::from(disk.counts().reordered > 0);
    }
    assert!(
        [torn, reordered, whole, none].into_iter().all(|count| count > 10),
        "torn {torn}, reordered {reordered}, whole {whole}, none {none}"
    );
}
