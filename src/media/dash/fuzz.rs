//! Manifests and segment indices that went wrong in every way, by a seed: reading them ends, without a panic, within a bound of
//! memory, and what comes out of it keeps its word. `make fuzz FUZZ_TARGET=manifest` goes on for as long as it is told.

#[path = "../../../tests/sim/rng.rs"]
#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "shared with the simulation; each uses a part"
)]
mod rng;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rng::Rng;

use super::tests::{INDEXED, LISTING, SIDX};
use super::{Representation, parse};

/// Most that reading one may have allocated at a time: the tree of 40,000 elements and a copy of the text.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Values that attributes do not expect.
const ODD: [&str; 16] = [
    "0",
    "-1",
    "1",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "",
    "NaN",
    "PT0S",
    "PT1E9S",
    "../..",
    "$Number$",
    "$Time%099d$",
    "1-0",
    "0-18446744073709551615",
    "\u{fffd}&amp;",
];

/// What a run met.
#[derive(Debug, Default)]
struct Tally {
    read: u64,
    refused: u64,
    bytes_max: u64,
}

fn mutated(rng: &mut Rng, mut xml: Vec<u8>) -> Vec<u8> {
    for _ in 0..rng.between(1, 4) {
        let at = rng.index(xml.len().max(1)).min(xml.len());
        let other = rng.index(xml.len().max(1)).min(xml.len());
        let (from, to) = (at.min(other), at.max(other));
        match rng.between(0, 6) {
            0 => xml.truncate(at),
            1 => drop(xml.drain(from..to.min(from + 40))),
            2 if at < xml.len() => xml[at] ^= 1 << rng.between(0, 7),
            3 => {
                let piece = xml[from..to].to_vec();
                let count = usize::try_from(rng.between(1, 50)).unwrap();
                xml.splice(at..at, piece.repeat(count).into_iter().take(1 << 18));
            }
            4 => drop(xml.splice(at..at, ODD[rng.index(ODD.len())].bytes())),
            _ => {
                // The value of some attribute becomes another one: what gets furthest.
                let quotes: Vec<_> = xml
                    .iter()
                    .enumerate()
                    .filter(|one| *one.1 == b'"')
                    .map(|one| one.0)
                    .collect();
                let pairs = quotes.len() / 2;
                if pairs > 0 {
                    let pair = rng.index(pairs) * 2;
                    drop(xml.splice(quotes[pair] + 1..quotes[pair + 1], ODD[rng.index(ODD.len())].bytes()));
                }
            }
        }
    }
    xml
}

/// Asks for segments here and there; each that is there is found again by its place.
fn used(rng: &mut Rng, of: &mut Representation) {
    if of.sidx().is_some() {
        let mut bytes = SIDX.to_vec();
        for _ in 0..rng.between(0, 3) {
            let at = rng.index(bytes.len());
            bytes[at] = u8::try_from(rng.between(0, 255)).unwrap();
        }
        let _ = of.with_sidx(&bytes);
    }
    let count = of.count().unwrap_or(0);
    for number in [0, count / 2, count.saturating_sub(1), count, u32::MAX] {
        let segment = of.segment(number);
        assert!(segment.is_none() || number < count);
        let found = segment.and_then(|segment| of.number_at(segment.begin));
        assert!(found.is_none_or(|found| found < count));
    }
    for at in [
        Duration::ZERO,
        Duration::MAX,
        Duration::from_millis(rng.between(0, 5000)),
    ] {
        assert!(of.number_at(at).is_none_or(|number| number < count));
    }
}

fn run(seed: u64, tally: &mut Tally, mut is_enough: impl FnMut(u64) -> bool) {
    let mut rng = Rng::new(seed);
    let sources: Vec<_> = LISTING.iter().chain(&INDEXED).map(|(_, xml)| xml.to_vec()).collect();
    let mut count = 0;
    while !is_enough(count) {
        count += 1;
        let source = sources[rng.index(sources.len())].clone();
        let xml = mutated(&mut rng, source);
        let mut outcome = None;
        let memory = allocation_counter::measure(|| {
            outcome = catch_unwind(AssertUnwindSafe(|| {
                let Ok(mut presentation) = parse(&xml, "http://a.test/b/c.mpd") else {
                    return false;
                };
                let periods = presentation.periods.iter_mut();
                periods
                    .flat_map(|period| &mut period.representations)
                    .for_each(|of| used(&mut rng, of));
                true
            }))
            .ok();
        });
        let text = || String::from_utf8_lossy(&xml[..xml.len().min(4000)]).into_owned();
        let is_read = outcome.unwrap_or_else(|| panic!("seed {seed}, mutant {count} made it panic: {}", text()));
        assert!(
            memory.bytes_max < BYTES_MAX,
            "seed {seed}, mutant {count}: {} bytes",
            memory.bytes_max
        );
        *if is_read { &mut tally.read } else { &mut tally.refused } += 1;
        tally.bytes_max = tally.bytes_max.max(memory.bytes_max);
    }
}

#[test]
fn no_mutated_manifest_panics_swells_or_hangs() {
    let mut tally = Tally::default();
    for seed in [1, getrandom::u64().unwrap()] {
        run(seed, &mut tally, |count| count >= 1000);
    }
    assert!(tally.read > 100 && tally.refused > 100, "it tests both ways: {tally:?}");
}

#[test]
#[ignore = "goes on for FUZZ_SECONDS: make fuzz"]
fn mutated_manifests_for_as_long_as_asked() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("FUZZ_SEED").unwrap_or_else(|| getrandom::u64().unwrap());
    let seconds = number("FUZZ_SECONDS").unwrap_or(600);
    println!("seed {seed}, {seconds} s");
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut tally = Tally::default();
    run(seed, &mut tally, |_| Instant::now() >= until);
    println!("{tally:?}");
}
