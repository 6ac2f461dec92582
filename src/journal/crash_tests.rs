//! Power cuts, damage and full disks, against the rule that no event is ever lost.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::faulty::{Disk, Health, Remains};
use super::record::tests::sample;
use super::recover::{Restart, look, restart};
use super::segments::{Batch, SEGMENT_BYTES_MAX};
use super::storage::{Folder, Storage};
use super::{Checkpoint, Record, Recovered, aside, list};
use tonearm_core::id::Seq;
use tonearm_core::unit::{Millis, Moment};

pub const REMAINS: [Remains; 8] = [
    Remains::Nothing,
    Remains::All,
    Remains::Half,
    Remains::Zeros,
    Remains::Scattered(1),
    Remains::Scattered(2),
    Remains::Scattered(3),
    Remains::Scattered(4),
];

/// A sample with strings so long that a segment holds a dozen.
pub fn bulky(seq: u64) -> Record {
    let mut record = sample(seq);
    record.reference = format!(
        "{}{}",
        record.reference,
        "r".repeat(10_000 + usize::try_from(seq.div_ceil(2)).unwrap())
    );
    record
}

fn note(seq: u64) -> Checkpoint {
    Checkpoint {
        at: Moment(seq * 10),
        position: Millis(5_000),
        played: Millis(4_000),
        rebuffers: 2,
    }
}

pub fn reopen(disk: &Arc<Disk>) -> Restart {
    let storage: Arc<dyn Storage> = disk.clone();
    restart(&storage).unwrap()
}

/// Events of a disk that are to be reported, as a restart would find them.
pub fn waiting(disk: &Disk) -> Vec<Record> {
    let names = disk.list().unwrap();
    look(disk, &names, &aside::look(disk, &names)).records(disk)
}

fn batch(events: impl IntoIterator<Item = Record>, settled: u64) -> Batch {
    Batch {
        events: events.into_iter().map(Arc::new).collect(),
        settled,
        ..Batch::default()
    }
}

/// A disk with `events` events written one by one and `settled` of them settled at the end.
pub fn written(events: u64, settled: u64, make: fn(u64) -> Record) -> Arc<Disk> {
    let disk = Arc::new(Disk::default());
    let mut segments = reopen(&disk).segments;
    for seq in 1..=events {
        segments.write(&batch([make(seq)], 0)).unwrap();
    }
    segments.write(&batch([], settled)).unwrap();
    disk
}

#[test]
fn what_was_written_is_recovered() {
    let disk = written(5, 2, sample);
    let recovered = reopen(&disk).recovered;
    assert_eq!(
        (recovered.next, recovered.settled, recovered.waiting, recovered.lost),
        (Seq(6), Seq(2), 3, 0)
    );
    assert_eq!(recovered.open.unwrap().start, sample(5));
    assert_eq!(waiting(&disk), [sample(3), sample(4), sample(5)]);
}

#[test]
fn an_empty_folder_begins_at_one() {
    let recovered = reopen(&Arc::new(Disk::default())).recovered;
    assert_eq!(
        recovered,
        Recovered {
            next: Seq(1),
            ..Recovered::default()
        }
    );
}

#[test]
fn every_prefix_of_a_segment_yields_the_events_that_are_whole_in_it() {
    let disk = written(8, 0, sample);
    let name = disk.list().unwrap().remove(0);
    let whole = disk.read(&name).unwrap();
    let mut events = 0;
    for end in 0..=whole.len() {
        let cut = Arc::new(Disk::default());
        cut.put(&name, &whole[..end]);
        let restarted = reopen(&cut);
        let found = waiting(&cut);
        assert!(found.len() == events || found.len() == events + 1, "cut at {end}");
        events = found.len();
        assert_eq!(
            found,
            (1..=events as u64).map(sample).collect::<Vec<_>>(),
            "cut at {end}"
        );
        assert_eq!(restarted.recovered.next, Seq(events as u64 + 1), "cut at {end}");
        assert!(
            restarted.recovered.quarantined.is_empty(),
            "cut at {end}: a torn end is no damage"
        );
        // And it goes on from there.
        let mut segments = restarted.segments;
        segments.write(&batch([sample(events as u64 + 1)], 0)).unwrap();
        assert_eq!(waiting(&cut).len(), events + 1, "cut at {end}");
    }
    assert_eq!(events, 8);
}

#[test]
fn no_flipped_bit_yields_a_wrong_event_or_costs_more_than_a_pair() {
    let disk = written(8, 2, sample);
    let name = disk.list().unwrap().remove(0);
    let whole = disk.read(&name).unwrap();
    for at in 0..whole.len() {
        for bit in [0, 3, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let flipped = Arc::new(Disk::default());
            flipped.put(&name, &bytes);
            let before = waiting(&flipped);
            let recovered = reopen(&flipped).recovered;
            let after = waiting(&flipped);
            assert!(
                after.iter().all(|record| *record == sample(record.seq.0)),
                "byte {at} bit {bit}: wrong event"
            );
            assert!(
                after.iter().filter(|record| record.seq.0 > 2).count() >= 4,
                "byte {at} bit {bit}: too much lost"
            );
            assert_eq!(before, after, "byte {at} bit {bit}: the rescue lost something");
            assert_eq!(recovered.waiting, after.len() as u64, "byte {at} bit {bit}");
            assert_eq!(
                recovered.waiting + recovered.lost,
                recovered.next.0 - 1 - recovered.settled.0
            );
            assert!(recovered.settled <= Seq(2), "byte {at} bit {bit}");
            let reopened = reopen(&flipped).recovered;
            assert_eq!(
                (reopened.next, reopened.waiting),
                (recovered.next, recovered.waiting),
                "byte {at} bit {bit}"
            );
            assert!(
                reopened.quarantined.is_empty(),
                "byte {at} bit {bit}: damage is reported once"
            );
        }
    }
}

#[test]
fn arbitrary_bytes_are_survived() {
    // A small generator: the same bytes in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..300 {
        let disk = Arc::new(Disk::default());
        for name in [
            "00000001-0000000000000001.seg",
            "00000002-ffffffffffffffff.seg",
            "aside-00000001.log",
            "checkpoint",
        ] {
            let length = usize::try_from(next() % 700).unwrap();
            let mut bytes: Vec<u8> = (0..length).map(|_| next().to_le_bytes()[0]).collect();
            if round % 2 == 0 {
                let mut start = super::frame::header();
                start.extend_from_slice(&[0xE7, 0x4A, bytes.first().copied().unwrap_or(0), 0, 0, 0]);
                bytes.splice(0..0, start);
            }
            disk.put(name, &bytes);
        }
        let recovered = reopen(&disk).recovered;
        assert_eq!(recovered.waiting, 0);
        let mut restarted = reopen(&disk);
        let event = sample(restarted.recovered.next.0);
        restarted.segments.write(&batch([event.clone()], 0)).unwrap();
        assert_eq!(waiting(&disk), [event]);
    }
}

/// What a speaker knows of its journal at the moment of the power cut.
#[derive(Default)]
struct Promises {
    durable: u64,
    settled: u64,
    aside: BTreeSet<u64>,
    checkpoint: u64,
}

/// Plays until the power is cut: starts, checkpoints, stops, acknowledgements, refusals. `from` is the first number.
fn play(restarted: Restart, from: u64, promises: &mut Promises) -> io::Result<()> {
    let Restart {
        mut segments,
        mut asides,
        mut checkpoints,
        ..
    } = restarted;
    for seq in from..from + 20 {
        segments.write(&batch([bulky(seq)], 0))?;
        promises.durable = seq;
        if seq % 2 == 1 {
            checkpoints.write(seq, note(seq))?;
            promises.checkpoint = seq;
        }
        // The service answers late and in bursts.
        if seq % 5 == 0 {
            let refused = seq - 3;
            asides.write(refused, "refused", Some(&bulky(refused)))?;
            promises.aside.insert(refused);
            promises.settled = seq - 1;
            segments.write(&batch([], seq - 1))?;
        }
    }
    Ok(())
}

fn check(disk: &Arc<Disk>, promises: &Promises, case: &str) {
    let found = waiting(disk);
    for seq in promises.settled + 1..=promises.durable {
        assert!(found.contains(&bulky(seq)), "{case}: event {seq} is lost");
    }
    assert!(
        found.iter().all(|record| *record == bulky(record.seq.0)),
        "{case}: wrong event"
    );
    let names = disk.list().unwrap();
    let kept: BTreeSet<u64> = aside::look(&**disk, &names)
        .items
        .iter()
        .map(|item| item.seq.0)
        .collect();
    assert!(promises.aside.is_subset(&kept), "{case}: a reason is lost");
    let recovered = reopen(disk).recovered;
    assert_eq!(recovered.lost, 0, "{case}");
    assert!(recovered.quarantined.is_empty(), "{case}: a power cut is no damage");
    assert!(
        recovered.settled.0 <= promises.settled.max(promises.aside.last().copied().unwrap_or(0)),
        "{case}"
    );
    assert!(recovered.next.0 > promises.durable, "{case}: a number is used again");
    let newest = recovered.next.0 - 1;
    assert_eq!(recovered.open.is_some(), newest % 2 == 1, "{case}");
    if let Some(open) = recovered.open {
        assert_eq!(open.start, bulky(newest), "{case}");
        if promises.checkpoint == newest {
            assert_eq!(open.checkpoint, Some(note(newest)), "{case}");
        }
    }
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing() {
    let whole = Arc::new(Disk::default());
    let mut promises = Promises::default();
    play(reopen(&whole), 1, &mut promises).unwrap();
    check(&whole, &promises, "no cut");
    assert!(whole.changes() > 60);
    for cut in 0..whole.changes() {
        for remains in REMAINS {
            let disk = Arc::new(Disk::default());
            let mut promises = Promises::default();
            let restarted = reopen(&disk);
            disk.cut_after(cut);
            let _ = play(restarted, 1, &mut promises);
            let disk = Arc::new(disk.after_power_cut(remains));
            check(&disk, &promises, &format!("cut at change {cut}, {remains:?} remains"));
            // A second life goes on where the first ended, and is cut as well.
            let restarted = reopen(&disk);
            let from = restarted.recovered.next.0;
            disk.cut_after(cut / 2);
            let before = promises.durable;
            let _ = play(restarted, from, &mut promises);
            promises.durable = promises.durable.max(before);
            let disk = Arc::new(disk.after_power_cut(remains));
            check(
                &disk,
                &promises,
                &format!("second cut at change {}, {remains:?} remains", cut / 2),
            );
        }
    }
}

#[test]
fn a_failed_change_followed_by_a_power_cut_makes_nothing_look_lost() {
    for failing in 0..14 {
        for cut in 0..14 {
            let disk = Arc::new(Disk::default());
            let mut segments = reopen(&disk).segments;
            segments.write(&batch([bulky(1)], 0)).unwrap();
            disk.fail_after(failing);
            let first = segments.write(&batch((2..=40).map(bulky), 1));
            disk.cut_after(cut);
            let second = segments.write(&batch((2..=40).map(bulky), 1));
            for remains in REMAINS {
                let disk = Arc::new(disk.after_power_cut(remains));
                let case = format!("change {failing} fails, cut at {cut}, {remains:?} remains");
                let recovered = reopen(&disk).recovered;
                assert_eq!((recovered.lost, recovered.quarantined.len()), (0, 0), "{case}");
                if first.is_ok() || second.is_ok() {
                    assert_eq!(waiting(&disk), (2..=40).map(bulky).collect::<Vec<_>>(), "{case}");
                }
            }
        }
    }
}

#[test]
fn what_a_killed_process_left_unsynced_is_made_durable_before_it_is_built_upon() {
    let disk = written(2, 0, sample);
    let name = disk.list().unwrap().remove(0);
    let whole = Arc::new(Disk::default());
    let bytes = disk.read(&name).unwrap();
    whole.put(&name, &bytes[..bytes.len() - 100]);
    whole.append(&name, &bytes[bytes.len() - 100..]).unwrap();
    let found = reopen(&whole).recovered.waiting;
    assert_eq!(waiting(&whole.after_power_cut(Remains::Nothing)).len() as u64, found);
}

#[test]
fn a_power_cut_while_damage_is_repaired_loses_nothing_more() {
    let source = written(20, 3, bulky);
    let name = source.list().unwrap().remove(1);
    let mut bytes = source.read(&name).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    source.put(&name, &bytes);
    let expected = waiting(&source);
    assert!(expected.len() >= 15);
    for cut in 0.. {
        let disk = source.after_power_cut(Remains::All);
        disk.cut_after(cut);
        let disk = Arc::new(disk);
        let storage: Arc<dyn Storage> = disk.clone();
        let recovered = restart(&storage).unwrap().recovered;
        assert_eq!(recovered.waiting, expected.len() as u64);
        let is_over = disk.changes() <= cut;
        for remains in REMAINS {
            let disk = Arc::new(disk.after_power_cut(remains));
            reopen(&disk);
            assert_eq!(waiting(&disk), expected, "cut at change {cut}, {remains:?} remains");
        }
        if is_over {
            break;
        }
    }
}

#[test]
fn ten_thousand_waiting_events_fit_in_two_mebibytes() {
    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Folder::own(dir.path()).unwrap());
    let mut segments = restart(&storage).unwrap().segments;
    for first in (1..=10_000).step_by(100) {
        segments.write(&batch((first..first + 100).map(sample), 0)).unwrap();
    }
    let mut bytes = 0;
    for item in std::fs::read_dir(dir.path()).unwrap() {
        let length = item.unwrap().metadata().unwrap().len();
        assert!(length <= SEGMENT_BYTES_MAX);
        bytes += length;
    }
    println!("10,000 events: {bytes} bytes");
    assert!(bytes <= 2 * 1024 * 1024, "{bytes} bytes");
    assert_eq!(list(dir.path()).unwrap().waiting.len(), 10_000);
    // Nothing but the newest segment stays when all is settled.
    segments.write(&batch([], 10_000)).unwrap();
    assert_eq!(segments.row().len(), 1);
    assert_eq!(restart(&storage).unwrap().recovered.next, Seq(10_001));
}

#[test]
fn numbers_are_not_used_again_when_everything_is_acknowledged_and_removed() {
    let disk = written(40, 40, bulky);
    assert!(disk.list().unwrap().len() <= 2);
    let restarted = reopen(&disk);
    assert_eq!((restarted.recovered.next, restarted.recovered.waiting), (Seq(41), 0));
    drop(restarted);
    assert_eq!(reopen(&disk).recovered.next, Seq(41));
}

#[test]
fn a_start_that_was_acknowledged_is_still_open_after_a_restart() {
    let disk = written(31, 31, bulky);
    let mut restarted = reopen(&disk);
    restarted.checkpoints.write(31, note(31)).unwrap();
    let recovered = reopen(&disk).recovered;
    assert_eq!(recovered.waiting, 0);
    let open = recovered.open.unwrap();
    assert_eq!((open.start, open.checkpoint), (bulky(31), Some(note(31))));
}

#[test]
fn the_file_of_an_open_start_stays_when_a_new_segment_is_begun() {
    let disk = written(1, 0, sample);
    let name = disk.list().unwrap().remove(0);
    disk.append(&name, &[0xE7, 0x4A, 9, 0, 0, 0, 1]).unwrap();
    let mut segments = reopen(&disk).segments;
    segments.write(&batch([], 1)).unwrap();
    segments.write(&batch([], 1)).unwrap();
    assert_eq!(segments.row().len(), 2, "the torn segment is not written to");
    let recovered = reopen(&disk).recovered;
    assert_eq!((recovered.settled, recovered.open.unwrap().start), (Seq(1), sample(1)));
}

#[test]
fn a_settlement_noted_only_in_a_damaged_file_is_not_forgotten() {
    let disk = written(3, 2, sample);
    let first = disk.list().unwrap().remove(0);
    let mut bytes = disk.read(&first).unwrap();
    bytes[80] ^= 1;
    disk.put(&first, &bytes);
    // A segment begun in a moment when the settlement had failed to be written.
    let (index, next, family) = (2, 4, super::frame::Family::Segment);
    let mut begun = super::frame::header();
    let head = super::body::Entry::Head(super::body::Head {
        next,
        settled: 0,
        clocks: Vec::new(),
    });
    super::frame::encode(super::frame::Owner { family, index }, &head, &mut begun).unwrap();
    disk.put(&super::segment::name(index, next), &begun);
    let recovered = reopen(&disk).recovered;
    assert_eq!((recovered.settled, recovered.quarantined.len()), (Seq(2), 1));
    let recovered = reopen(&disk).recovered;
    assert_eq!((recovered.settled, recovered.waiting), (Seq(2), 1));
}

#[test]
fn a_checkpoint_of_another_start_is_not_taken() {
    let disk = written(3, 0, sample);
    reopen(&disk).checkpoints.write(1, note(1)).unwrap();
    assert_eq!(reopen(&disk).recovered.open.unwrap().checkpoint, None);
}

#[test]
fn a_disk_full_for_a_while_leaves_no_litter() {
    let disk = Arc::new(Disk::default());
    let mut segments = reopen(&disk).segments;
    segments.write(&batch([sample(1)], 0)).unwrap();
    disk.set(Health::Full);
    for _ in 0..50 {
        assert!(segments.write(&batch([sample(2)], 0)).is_err());
    }
    disk.set(Health::Good);
    segments.write(&batch([sample(2)], 0)).unwrap();
    assert_eq!(waiting(&disk), [sample(1), sample(2)]);
    assert_eq!(reopen(&disk).recovered.quarantined, []);
}
