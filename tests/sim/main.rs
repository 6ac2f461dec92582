//! Seeded worlds: the core among models of the service, the audio path, the journal and a virtual clock, with faults of
//! every kind at any time. An oracle looks after every step. See README.md beside this file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod audio;
mod journal;
mod oracle;
mod plan;
mod rng;
mod service;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::{Telling, World};

/// Worlds of one `cargo test`, unless `TONEARM_SIM_WORLDS` says otherwise.
const WORLDS: u64 = 1000;
/// Seeds that once found a mistake are tried first, for ever.
const SEEDS_THAT_FOUND: [u64; 16] = [
    1475, 1737, 2015, 2478, 2986, 3085, 3532, 4604, 5432, 6705, 7724, 10_810, 21_465, 41_878, 42_898, 60_172,
];

fn knob(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

#[derive(Default)]
struct Totals {
    worlds: u64,
    steps: u64,
    events: u64,
    processed: u64,
    repeats: u64,
    counts: BTreeMap<&'static str, u64>,
    reasons: BTreeMap<&'static str, u64>,
}

impl Totals {
    fn add(&mut self, world: &World) {
        let (processed, repeats, reasons) = world.summary();
        self.worlds += 1;
        self.steps += world.stats.steps;
        self.events += world.stats.events;
        self.processed += processed;
        self.repeats += repeats;
        for (name, count) in &world.stats.counts {
            *self.counts.entry(name).or_default() += count;
        }
        for (name, count) in reasons {
            *self.reasons.entry(name).or_default() += count;
        }
    }
}

/// `Err`: what went wrong, and how it came to it.
fn try_world(seed: u64, telling: Telling, totals: &Mutex<Totals>) -> Result<u64, String> {
    let mut world = World::new(seed, telling);
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    let failure = match lived {
        Ok(Ok(())) => {
            totals.lock().unwrap().add(&world);
            return Ok(world.digest);
        }
        Ok(Err(failure)) => failure,
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "a panic".into()),
    };
    if telling == Telling::Silent {
        return try_world(seed, Telling::Everything, totals);
    }
    let trace: Vec<String> = world.trace.iter().cloned().collect();
    Err(format!("{}\n\nTONEARM_SIM_SEED={seed}: {failure}", trace.join("\n")))
}

#[test]
fn every_promise_holds_in_every_world() {
    let totals = Mutex::new(Totals::default());
    if let Some(seed) = knob("TONEARM_SIM_SEED") {
        if let Err(failure) = try_world(seed, Telling::Silent, &totals) {
            panic!("{failure}");
        }
        return;
    }
    let worlds = knob("TONEARM_SIM_WORLDS").unwrap_or(WORLDS);
    let first = knob("TONEARM_SIM_FIRST").unwrap_or(1);
    let seeds: Vec<u64> = SEEDS_THAT_FOUND.into_iter().chain(first..first + worlds).collect();
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()) {
                    if let Err(failure) = try_world(*seed, Telling::Silent, &totals) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap();
    println!(
        "{} worlds, {} steps, {} events recorded, {} taken by the service, {} repeated after a lost answer",
        totals.worlds, totals.steps, totals.events, totals.processed, totals.repeats
    );
    println!("what happened: {:?}", totals.counts);
    println!("events by reason: {:?}", totals.reasons);
    let failures = failures.into_inner().unwrap();
    if knob("TONEARM_SIM_LIST").is_some() {
        for failure in &failures {
            println!("{}", failure.lines().last().unwrap_or_default());
        }
    }
    if let Some(failure) = failures.first() {
        panic!("{failure}\n{} of {} worlds failed", failures.len(), seeds.len());
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    let totals = Mutex::new(Totals::default());
    for seed in 1..20 {
        let digest = || try_world(seed, Telling::Everything, &totals);
        assert_eq!(digest(), digest());
    }
}
