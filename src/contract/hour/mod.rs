//! An hour of listening per tier in virtual time, with every fault in turn: nothing lost, nothing against the contract,
//! no silence that the loaded window could have covered.
//!
//! ```text
//! make hour HOURS=24 SEED=7                                          many hours, with a report
//! TONEARM_HOUR_SEED=7 cargo test --bin tonearm contract::hour       the one that failed
//! ```

mod dropout;
mod exchange;
mod listener;
mod loader;
mod program;
mod reckoning;
mod sign_in;
mod trouble;
mod world;

#[allow(
    dead_code,
    reason = "the simulation of the core shares the model and uses more of it"
)]
#[path = "../../../tests/sim/audio.rs"]
mod audio;
#[allow(
    dead_code,
    reason = "the simulation of the core shares the generator and uses more of it"
)]
#[path = "../../../tests/sim/rng.rs"]
mod rng;

use crate::simulator::{Dialect, Shuffle, Tier};
use world::{Hour, World};

/// An hour of sound.
const HOUR_MS: u64 = 3_600_000;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn listen(hour: Hour, seed: u64) -> World {
    let mut world = World::new(hour, seed);
    if let Err(wrong) = world.live(HOUR_MS) {
        panic!(
            "{}{wrong}\nTONEARM_HOUR_SEED={seed} shows it again, {hour:?}",
            world.trace()
        );
    }
    world
}

/// Hours from this seed on; usually one.
fn hours(hour: Hour) {
    let first = number("TONEARM_HOUR_SEED").unwrap_or(1);
    for seed in first..first + number("TONEARM_HOURS").unwrap_or(1) {
        let world = listen(hour, seed);
        println!("{hour:?} {seed}: {}", world.summary());
        println!("{:#?}", world.counts);
        world.check_it_was_an_hour();
    }
}

#[test]
fn an_hour_of_unlimited_has_every_fault_and_loses_nothing() {
    hours(Hour {
        tier: Tier::Unlimited,
        shuffle: Shuffle::Plain,
        dialect: Dialect::Aliases,
        batch: 1,
    });
}

#[test]
fn an_hour_of_prime_has_every_fault_and_loses_nothing() {
    hours(Hour {
        tier: Tier::Prime,
        shuffle: Shuffle::Plain,
        dialect: Dialect::Wrapped,
        batch: 5,
    });
}

#[test]
fn an_hour_of_the_free_tier_has_every_fault_and_loses_nothing() {
    hours(Hour {
        tier: Tier::Free,
        shuffle: Shuffle::Plain,
        dialect: Dialect::Floats,
        batch: 1,
    });
}

#[test]
fn an_hour_of_stations_and_augmented_shuffle_has_every_fault_and_loses_nothing() {
    hours(Hour {
        tier: Tier::Unlimited,
        shuffle: Shuffle::Augmented,
        dialect: Dialect::Plain,
        batch: 5,
    });
}

impl World {
    fn summary(&self) -> String {
        let of = |name: &str| self.counted(name);
        format!(
            "{} s heard in {} s, {} events ({} repeated, {} set aside), {} calls for entries, {} media requests, {} stalls, \
             {} batches, {} renewals, {} holes of {} ms together, {} power cuts, {} troubles met, {} found over a minute loaded (at most {} s)",
            self.books.heard_ms() / 1000,
            self.now / 1000,
            self.books.len(),
            of("repeats"),
            self.books.set_aside(),
            of("asked next"),
            of("asked media"),
            of("stalls"),
            of("sent batches"),
            self.renewals(),
            self.dropouts.holes,
            self.dropouts.silent_ms,
            self.books.restarts - 1,
            self.troubles.met.len(),
            self.dropouts.covered,
            self.dropouts.cover_ms_max / 1000,
        )
    }

    /// Access tokens that replaced others.
    fn renewals(&self) -> usize {
        let requests = self.bench.ledger("request", 0);
        let granted = requests
            .iter()
            .filter(|record| record["path"] == "/auth/o2/token" && record["status"] == 200);
        granted.count() - 1
    }

    /// Nothing above could fail if nothing had happened.
    fn check_it_was_an_hour(&self) {
        let report = self.bench.simulator.report();
        assert_eq!(report.violations, 0);
        assert!(report.tracks >= 100, "{report:?}");
        assert!(self.troubles.all_met());
        assert!(self.dropouts.covered >= 3, "{}", self.summary());
        assert!(self.renewals() >= 6, "{}", self.summary());
        assert_eq!(
            self.hour.batch > 1,
            self.counted("sent batches") >= 3,
            "{}",
            self.summary()
        );
        for pressed in ["pressed next", "pressed play", "pressed preset"] {
            assert!(self.counted(pressed) >= 3, "{pressed}: {:?}", self.counts);
        }
    }
}
