//! What the journal costs, as counts: writes, bytes and syncs, memory, and the bytes of its format.

use std::sync::Arc;

use allocation_counter::measure;

use super::crash_tests::{reopen, waiting};
use super::faulty::{Costs, Disk};
use super::record::tests::sample;
use super::recover::restart;
use super::segments::Batch;
use super::storage::{Folder, Storage};
use super::writer::Writer;
use super::{Checkpoint, Journal, Outcome, Record, list};
use tonearm_core::id::Seq;
use tonearm_core::limits::CHECKPOINT_EVERY;
use tonearm_core::unit::{Millis, Moment};

/// Nobody needs to be written more for one event: a page of most file systems.
const EVENT_BYTES_MAX: u64 = 4 * 1024;
/// The card's budget while music plays.
const HOUR_BYTES_MAX: u64 = 200 * 1024;

fn begin(disk: &Arc<Disk>) -> (Journal, Writer) {
    let storage: Arc<dyn Storage> = disk.clone();
    let (journal, writer, _) = Journal::assemble(storage, reopen(disk), Arc::new(|_| {}));
    (journal, writer)
}

#[test]
fn an_event_costs_one_write_and_one_sync_and_so_does_its_settlement() {
    let disk = Arc::new(Disk::default());
    let (journal, mut writer) = begin(&disk);
    let mut segments = 0;
    for seq in 1..=3_000 {
        disk.costs();
        journal.append(sample(seq));
        writer.step();
        let of_event = disk.costs();
        journal.settle(Seq(seq), Outcome::Accepted);
        writer.step();
        let of_settlement = disk.costs();
        // A segment that is begun costs one write and two syncs more; its name must survive as well.
        let begun = of_event.syncs_of_names;
        segments += begun;
        assert_eq!((of_event.writes, of_event.syncs), (1 + begun, 1 + begun), "event {seq}");
        assert!(of_event.bytes <= EVENT_BYTES_MAX, "event {seq}: {of_event:?}");
        let once = Costs {
            writes: 1,
            syncs: 1,
            bytes: of_settlement.bytes,
            syncs_of_names: 0,
        };
        assert_eq!(of_settlement, once, "settlement {seq}");
        assert!(of_settlement.bytes <= 20, "settlement {seq}: {of_settlement:?}");
    }
    assert!((1..=12).contains(&segments), "{segments} segments");
}

#[test]
fn an_hour_of_music_stays_within_the_card_s_budget() {
    // Tracks of two minutes, each with a start and a stop that are settled singly, and the position every ten seconds.
    const TRACK_MS: u64 = 120_000;
    let disk = Arc::new(Disk::default());
    let (journal, mut writer) = begin(&disk);
    disk.costs();
    for track in 0..3_600_000 / TRACK_MS {
        for seq in [2 * track + 1, 2 * track + 2] {
            journal.append(sample(seq));
            writer.step();
            journal.settle(Seq(seq), Outcome::Accepted);
            writer.step();
            if seq % 2 == 0 {
                continue;
            }
            for turn in 1..TRACK_MS / u64::from(CHECKPOINT_EVERY.0) {
                let position = Millis(u32::try_from(turn).unwrap() * CHECKPOINT_EVERY.0);
                let checkpoint = Checkpoint {
                    at: Moment(track * TRACK_MS + u64::from(position.0)),
                    position,
                    played: position,
                    rebuffers: 0,
                };
                journal.checkpoint(Seq(seq), checkpoint);
                writer.step();
            }
        }
    }
    let costs = disk.costs();
    println!("an hour of music: {costs:?}");
    assert!(costs.bytes <= HOUR_BYTES_MAX, "{costs:?}");
    assert_eq!(costs.writes, 330 + 4 * 30 + costs.syncs_of_names - 1);
}

/// Memory at its highest while a journal with so many waiting events is opened, and while all of them are read once.
fn peaks(events: u64) -> (u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Folder::own(dir.path()).unwrap());
    let mut segments = restart(&storage).unwrap().segments;
    for first in (1..=events).step_by(100) {
        let events = (first..first + 100).map(sample).map(Arc::new).collect();
        segments
            .write(&Batch {
                events,
                ..Batch::default()
            })
            .unwrap();
    }
    let mut journal = None;
    let opened = measure(|| {
        let found = restart(&storage).unwrap();
        journal = Some(Journal::assemble(Arc::clone(&storage), found, Arc::new(|_| {})));
    });
    let (journal, _writer, recovered) = journal.unwrap();
    assert_eq!(recovered.waiting, events);
    let read = measure(|| {
        for seq in 1..=events {
            let _ = journal.read(Seq(seq));
        }
    });
    (opened.bytes_max, read.bytes_max)
}

#[test]
fn memory_does_not_grow_with_the_backlog() {
    let (few, many) = (peaks(2_000), peaks(20_000));
    println!("memory at its highest, opening and reading 2,000 and 20,000 events: {few:?}, {many:?} bytes");
    for (few, many) in [(few.0, many.0), (few.1, many.1)] {
        assert!(
            many < few + 64 * 1024,
            "{few} bytes for 2,000 events, {many} for 20,000"
        );
    }
}

/// What a journal of version 2 looks like to the byte. Whoever changes one of them makes a new version, keeps reading
/// this one, and leaves this file as it is.
const VERSION_2: (&str, &[u8]) = (
    "00000001-0000000000000001.seg",
    include_bytes!("fixtures/v2/00000001-0000000000000001.seg"),
);

fn of_version_2() -> Vec<Record> {
    (2..=6).map(sample).collect()
}

#[test]
fn the_format_has_the_bytes_that_are_committed() {
    let disk = Arc::new(Disk::default());
    let (journal, mut writer) = begin(&disk);
    for seq in 1..=6 {
        journal.append(sample(seq));
        writer.step();
    }
    journal.settle(Seq(1), Outcome::Accepted);
    writer.step();
    assert_eq!(disk.list().unwrap(), [VERSION_2.0]);
    let written = disk.read(VERSION_2.0).unwrap();
    assert!(
        written == VERSION_2.1,
        "the format of the journal has changed; what is written now:\n{written:02x?}"
    );
}

#[test]
fn the_committed_journal_of_this_version_is_read() {
    let disk = Arc::new(Disk::default());
    disk.put(VERSION_2.0, VERSION_2.1);
    let recovered = reopen(&disk).recovered;
    assert_eq!(
        (recovered.next, recovered.settled, recovered.waiting),
        (Seq(7), Seq(1), 5)
    );
    assert_eq!(waiting(&disk), of_version_2());
}

/// A journal as a program wrote it whose format was version 1: refused, accepted, waiting and sounding.
const VERSION_1: [(&str, &[u8]); 3] = [
    (
        "00000001-0000000000000001.seg",
        include_bytes!("fixtures/v1/00000001-0000000000000001.seg"),
    ),
    ("aside-00000001.log", include_bytes!("fixtures/v1/aside-00000001.log")),
    ("checkpoint", include_bytes!("fixtures/v1/checkpoint")),
];
/// What that program said is in it.
const LISTING_1: &str = include_str!("fixtures/v1/listing.json");

/// How far it knew the sounding entry to be.
const OPEN_AT_1: Millis = Millis(9_929);

/// A folder with it.
fn of_version_1() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in VERSION_1 {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

#[test]
fn a_journal_of_the_version_before_is_read_as_its_own_program_read_it() {
    let dir = of_version_1();
    let found = list(dir.path()).unwrap().to_json();
    let expected: serde_json::Value = serde_json::from_str(LISTING_1).unwrap();
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(found[name], *value, "{name}");
    }
    assert_eq!((&found["next"], &found["settled"]), (&8.into(), &3.into()));
}

#[test]
fn a_journal_of_the_version_before_goes_on_in_this_one() {
    let dir = of_version_1();
    let storage: Arc<dyn Storage> = Arc::new(Folder::own(dir.path()).unwrap());
    let found = restart(&storage).unwrap();
    let open = found.recovered.open.clone().unwrap();
    assert_eq!(open.start.seq, Seq(7));
    assert_eq!(open.checkpoint.unwrap().position, OPEN_AT_1);
    assert_eq!(
        (
            found.recovered.set_aside,
            found.recovered.lost,
            found.recovered.quarantined.len()
        ),
        (1, 0, 0)
    );
    let stop = open.stop(found.recovered.next);
    let before = std::fs::read(dir.path().join(VERSION_1[0].0)).unwrap();
    let (journal, mut writer, _) = Journal::assemble(storage, found, Arc::new(|_| {}));
    journal.append(stop.clone());
    writer.step();
    assert_eq!(
        std::fs::read(dir.path().join(VERSION_1[0].0)).unwrap(),
        before,
        "versions are not mixed in a file"
    );
    drop((journal, writer));
    let listing = list(dir.path()).unwrap();
    let seqs: Vec<u64> = listing.waiting.iter().map(|record| record.seq.0).collect();
    assert_eq!(seqs, [4, 5, 6, 7, 8]);
    assert_eq!(listing.waiting.last(), Some(&stop));
}
