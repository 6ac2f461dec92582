//! Whole lives of a speaker from a seed: events, acknowledgements, refusals, full disks, failing syncs and power cuts in
//! any order, against a model of what was promised. A failure names its seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::crash_tests::waiting;
use super::faulty::{Disk, Health, Remains};
use super::record::tests::sample;
use super::recover::restart;
use super::storage::Storage;
use super::worker::Stored;
use super::writer::Writer;
use super::{Checkpoint, Found, Journal, Outcome, Record, Recovered, aside};
use tonearm_core::event::What;
use tonearm_core::id::Seq;
use tonearm_core::unit::{Millis, Moment};

/// Lives of one world.
const LIVES: usize = 6;
/// Worlds in the ordinary run; `TONEARM_WORLDS` asks for more.
const WORLDS: u64 = 100;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % sides
    }
}

/// What outlives a power cut, as far as anyone was told.
#[derive(Default)]
struct Promises {
    /// Every event ever taken, the last one of each number.
    events: BTreeMap<u64, Record>,
    /// All up to here are told to be durable.
    durable: u64,
    /// All up to here are settled by the service.
    settled: u64,
    /// Refused by the service while told to be durable.
    refused: BTreeMap<u64, Record>,
}

struct Life {
    journal: Journal,
    writer: Writer,
    told: Arc<Mutex<Vec<Stored>>>,
    next: u64,
    recovered: Recovered,
}

fn begin(disk: &Arc<Disk>) -> Life {
    let storage: Arc<dyn Storage> = disk.clone();
    let found = restart(&storage).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let news = Arc::new(move |stored| tell.lock().unwrap().push(stored));
    let (journal, writer, recovered) = Journal::assemble(storage, found, news);
    Life {
        journal,
        writer,
        told,
        next: recovered.next.0,
        recovered,
    }
}

/// An event whose content differs between lives, with strings that now and then fill a segment quickly.
fn event(seq: u64, life: usize, dice: &mut Dice) -> Record {
    let mut record = sample(seq);
    record.boot = [u8::try_from(life).unwrap(); 16];
    if dice.roll(4) == 0 {
        record.reference = format!(
            "{}{}",
            record.reference,
            "r".repeat(usize::try_from(dice.roll(9_000)).unwrap())
        );
    }
    record
}

fn act(life: &mut Life, number: usize, disk: &Disk, dice: &mut Dice, promises: &mut Promises) {
    match dice.roll(12) {
        0..=3 => {
            let record = event(life.next, number, dice);
            promises.events.insert(life.next, record.clone());
            life.journal.append(record);
            life.next += 1;
        }
        4 | 5 if promises.settled + 1 < life.next => {
            let seq = promises.settled + 1;
            // What is asked for sending is what happened.
            let given = life.journal.read(Seq(seq));
            if given == Found::Later {
                // The settlement before it is not on disk.
                return;
            }
            let expected = promises.events.get(&seq).cloned().map_or(Found::Nothing, Found::Event);
            assert_eq!(given, expected, "event {seq} to be sent");
            promises.settled = seq;
            if dice.roll(4) == 0 {
                if seq <= promises.durable {
                    promises.refused.insert(seq, promises.events[&seq].clone());
                }
                life.journal.settle(
                    Seq(seq),
                    Outcome::SetAside {
                        reason: format!("no {seq}"),
                    },
                );
            } else {
                life.journal.settle(Seq(seq), Outcome::Accepted);
            }
        }
        6 if life.next > 1 => {
            let position = Millis(u32::try_from(dice.roll(100_000)).unwrap());
            let checkpoint = Checkpoint {
                at: Moment(9),
                position,
                played: position,
                rebuffers: 0,
            };
            life.journal.checkpoint(Seq(life.next - 1), checkpoint);
        }
        7 => disk.set(
            [
                Health::Good,
                Health::Good,
                Health::Full,
                Health::ReadOnly,
                Health::NoSync,
            ][usize::try_from(dice.roll(5)).unwrap()],
        ),
        _ => life.writer.step(),
    }
    for stored in life.told.lock().unwrap().drain(..) {
        if stored.durable {
            promises.durable = promises.durable.max(stored.seq.0);
        }
    }
}

fn check(disk: &Disk, recovered: &Recovered, promises: &Promises) {
    let found = waiting(disk);
    let kept = aside::look(disk, &disk.list().unwrap()).items;
    // An event that was refused in an earlier life, with its reason kept, need not be asked again.
    let is_kept = |event: &Record| {
        kept.iter()
            .any(|item| item.record.as_ref().is_some_and(|kept| kept == event))
    };
    for seq in promises.settled + 1..=promises.durable {
        let expected = &promises.events[&seq];
        assert!(found.contains(expected) || is_kept(expected), "event {seq} is lost");
    }
    for seq in promises.settled + 1..=recovered.settled.0 {
        assert!(
            is_kept(&promises.events[&seq]),
            "event {seq} is forgotten, and nobody settled it"
        );
    }
    for record in &found {
        assert_eq!(Some(record), promises.events.get(&record.seq.0), "wrong event");
    }
    assert!(recovered.next.0 > promises.durable, "a number is used again");
    assert_eq!(recovered.lost, 0, "a power cut is no damage");
    assert!(recovered.quarantined.is_empty(), "a power cut is no damage");
    assert_eq!(recovered.waiting, found.len() as u64);
    for (seq, event) in &promises.refused {
        assert!(
            is_kept(event) || found.contains(event),
            "event {seq} was refused and is neither kept nor asked again"
        );
    }
    if promises.durable + 1 == recovered.next.0
        && let Some(Record {
            what: What::Start { .. },
            ..
        }) = promises.events.get(&promises.durable)
    {
        assert_eq!(
            recovered.open.as_ref().unwrap().start,
            promises.events[&promises.durable],
            "the open start"
        );
    }
}

fn world(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut disk = Arc::new(Disk::default());
    let mut promises = Promises::default();
    for number in 0..LIVES {
        let mut life = begin(&disk);
        check(&disk, &life.recovered, &promises);
        // What was only in memory is gone; its numbers are given again.
        promises.settled = life.recovered.settled.0;
        promises.refused.retain(|seq, _| *seq <= promises.settled);
        promises.events.retain(|seq, _| *seq < life.recovered.next.0);
        if dice.roll(3) > 0 {
            disk.cut_after(dice.roll(60));
        }
        for _ in 0..dice.roll(150) {
            act(&mut life, number, &disk, &mut dice, &mut promises);
        }
        let remains = [Remains::Nothing, Remains::All, Remains::Half, Remains::Zeros]
            .get(usize::try_from(dice.roll(8)).unwrap())
            .copied();
        disk = Arc::new(disk.after_power_cut(remains.unwrap_or(Remains::Scattered(dice.roll(1 << 40)))));
    }
    // In the end the disk works and everything that waits is acknowledged.
    let mut life = begin(&disk);
    check(&disk, &life.recovered, &promises);
    life.journal.settle(Seq(life.next - 1), Outcome::Accepted);
    life.writer.step();
    assert_eq!(waiting(&disk), []);
}

#[test]
fn no_world_loses_an_event() {
    let worlds = std::env::var("TONEARM_WORLDS")
        .ok()
        .and_then(|worlds| worlds.parse().ok())
        .unwrap_or(WORLDS);
    for seed in 1..=worlds {
        let outcome = std::panic::catch_unwind(|| world(seed));
        assert!(outcome.is_ok(), "world {seed} failed, see above");
    }
}
