//! A journal that is full: the oldest listening is let go in whole pairs, told, and survives a power cut at any moment.

use std::sync::{Arc, Mutex};

use super::crash_tests::{REMAINS, bulky, waiting};
use super::faulty::{Disk, Health, Remains};
use super::fold::RESERVE;
use super::record::tests::sample;
use super::recover::restart;
use super::segments::SEGMENT_BYTES_MAX;
use super::storage::Storage;
use super::worker::Stored;
use super::writer::Writer;
use super::{Found, Journal, Outcome, Record, Recovered};
use tonearm_core::event::What;
use tonearm_core::id::Seq;

/// Room for the events that are never folded, also for bulky ones, and for some more.
const SMALL: u64 = 12 * SEGMENT_BYTES_MAX;

struct Life {
    journal: Journal,
    writer: Writer,
    recovered: Recovered,
    told: Arc<Mutex<Vec<Stored>>>,
}

fn begin(disk: &Arc<Disk>) -> Life {
    let storage: Arc<dyn Storage> = disk.clone();
    let found = restart(&storage).unwrap();
    let told: Arc<Mutex<Vec<Stored>>> = Arc::default();
    let tell = Arc::clone(&told);
    let news = Arc::new(move |stored| tell.lock().unwrap().push(stored));
    let (journal, mut writer, recovered) = Journal::assemble(storage, found, news);
    writer.limit(SMALL);
    Life {
        journal,
        writer,
        recovered,
        told,
    }
}

impl Life {
    fn record(&mut self, seqs: impl IntoIterator<Item = u64>, make: fn(u64) -> Record) {
        for seq in seqs {
            self.journal.append(make(seq));
            self.writer.step();
        }
    }
}

/// Every start has its stop right after it, but for the last, which may sound still.
#[track_caller]
fn is_paired(events: &[Record], case: &str) {
    let mut open: Option<&Record> = None;
    for event in events {
        match (open.take(), event.what) {
            (None, What::Start { .. }) => open = Some(event),
            (Some(start), What::Stop { .. }) => assert_eq!(start.reference, event.reference, "{case}"),
            (Some(start), What::Start { .. }) => panic!("{case}: {} has no stop", start.seq.0),
            (None, What::Stop { .. }) => panic!("{case}: {} has no start", event.seq.0),
        }
    }
}

#[test]
fn a_full_journal_keeps_the_oldest_it_may_have_sent_and_all_of_the_newest() {
    let disk = Arc::new(Disk::default());
    let mut life = begin(&disk);
    life.record(1..=10_001, sample);
    assert!(disk.bytes() <= SMALL, "{}", disk.bytes());
    let summary = life.journal.summary();
    assert!(summary.folded > 1_500, "{summary:?}");
    assert_eq!(summary.waiting + 2 * summary.folded, 10_001);
    assert_eq!((summary.unstored, summary.folded_waiting), (0, 2 * summary.folded));
    let kept = waiting(&disk);
    assert_eq!(kept.len() as u64, summary.waiting);
    assert!(kept.iter().all(|event| *event == sample(event.seq.0)));
    is_paired(&kept, "");
    let (oldest, newest) = kept.split_at(usize::try_from(RESERVE).unwrap());
    assert_eq!(oldest.last().unwrap().seq, Seq(RESERVE));
    let newest: Vec<u64> = newest.iter().map(|event| event.seq.0).collect();
    let expected: Vec<u64> = (newest[0]..=10_001).collect();
    assert_eq!(newest, expected, "one gap, and nothing after it is missing");
}

#[test]
fn what_was_let_go_is_passed_in_order_and_never_asked_for_again() {
    let disk = Arc::new(Disk::default());
    let mut life = begin(&disk);
    life.record(1..=8_000, sample);
    let folded = 2 * life.journal.summary().folded;
    let (mut seq, mut sent, mut passed) = (1, 0, 0);
    while seq <= 8_000 {
        match life.journal.read(Seq(seq)) {
            Found::Event(record) => {
                assert_eq!(record, sample(seq));
                sent += 1;
            }
            Found::Folded(through) => {
                passed += through.0 + 1 - seq;
                seq = through.0;
            }
            other @ (Found::Nothing | Found::Later) => panic!("{seq}: {other:?}"),
        }
        life.journal.settle(Seq(seq), Outcome::Accepted);
        life.writer.step();
        seq += 1;
    }
    assert_eq!((sent, passed), (8_000 - folded, folded));
    life.writer.step();
    let after = begin(&disk).recovered;
    assert_eq!(
        (after.waiting, after.settled, after.lost, 2 * after.folded),
        (0, Seq(8_000), 0, folded)
    );
}

#[test]
fn a_restart_knows_what_was_let_go_also_when_all_older_files_are_gone() {
    let disk = Arc::new(Disk::default());
    let mut life = begin(&disk);
    life.record(1..=8_000, sample);
    let folded = life.journal.summary().folded;
    life.journal.settle(Seq(8_000), Outcome::Accepted);
    life.writer.step();
    life.record(8_001..=16_000, sample);
    life.journal.settle(Seq(16_000), Outcome::Accepted);
    life.writer.step();
    let after = begin(&disk).recovered;
    assert_eq!((after.folded, after.lost), (life.journal.summary().folded, 0));
    assert!(after.folded > folded && disk.list().unwrap().len() <= 2);
}

#[test]
fn an_event_that_was_asked_for_is_never_let_go_nor_its_other_half() {
    let disk = Arc::new(Disk::default());
    let mut life = begin(&disk);
    life.record(1..=100, sample);
    for seq in 1..=75 {
        assert_eq!(life.journal.read(Seq(seq)), Found::Event(sample(seq)));
    }
    life.record(101..=8_000, sample);
    assert!(life.journal.summary().folded > 0);
    let kept = waiting(&disk);
    assert!((1..=76).all(|seq| kept.contains(&sample(seq))));
    assert!(!kept.contains(&sample(77)));
    let summary = life.journal.summary();
    assert_eq!(summary.waiting + 2 * summary.folded, 8_000, "each pair is counted once");
    // A restart knows nothing of what was asked for, and lets go some of those between.
    let mut life = begin(&disk);
    life.record(8_001..=16_000, sample);
    let summary = life.journal.summary();
    assert_eq!(summary.waiting + 2 * summary.folded, 16_000);
    assert_eq!(waiting(&disk).len() as u64, summary.waiting);
}

#[test]
fn a_power_cut_at_any_moment_of_folding_leaves_whole_pairs_and_loses_none_in_silence() {
    // Enough for several folds.
    let events = 170;
    let whole = Arc::new(Disk::default());
    let mut life = begin(&whole);
    life.record(1..=events, bulky);
    assert!(life.journal.summary().folded >= 4);
    let changes = whole.changes();
    let mut with_folds = 0;
    // From shortly before the first fold on.
    for cut in changes / 2..changes {
        let disk = Arc::new(Disk::default());
        let mut life = begin(&disk);
        disk.cut_after(cut);
        life.record(1..=events, bulky);
        let durable = life
            .told
            .lock()
            .unwrap()
            .iter()
            .filter(|stored| stored.durable)
            .map(|stored| stored.seq.0)
            .max();
        for remains in REMAINS {
            let case = format!("cut at change {cut}, {remains:?} remains");
            let disk = Arc::new(disk.after_power_cut(remains));
            let after = begin(&disk);
            let (found, kept) = (&after.recovered, waiting(&disk));
            assert_eq!((found.lost, found.quarantined.len()), (0, 0), "{case}");
            assert!(found.next.0 > durable.unwrap_or(0), "{case}: a number is used again");
            is_paired(&kept, &case);
            assert!(kept.iter().all(|event| *event == bulky(event.seq.0)), "{case}");
            assert_eq!(
                kept.len() as u64 + 2 * found.folded,
                found.next.0 - 1,
                "{case}: lost in silence"
            );
            with_folds += u64::from(found.folded > 0);
        }
    }
    assert!(with_folds > 100, "{with_folds}");
}

#[test]
fn a_fold_that_may_be_on_disk_keeps_its_events_back_until_that_is_certain() {
    for health in [Health::Full, Health::ReadOnly, Health::NoSync] {
        let disk = Arc::new(Disk::default());
        let mut life = begin(&disk);
        let mut seq = 0;
        while life.journal.summary().folded == 0 {
            seq += 1;
            life.record([seq], bulky);
        }
        let before = life.journal.summary().folded;
        disk.set(health);
        // More than there is room for.
        life.record(seq + 1..=seq + 15, bulky);
        let from = Seq(2 * before + RESERVE + 1);
        assert_eq!(life.journal.read(from), Found::Later, "{health:?}");
        assert_eq!(
            life.journal.read(Seq(1)),
            Found::Event(bulky(1)),
            "{health:?}: the others go on"
        );
        assert_eq!(life.journal.summary().folded, before, "{health:?}");
        disk.set(Health::Good);
        life.told.lock().unwrap().clear();
        life.writer.step();
        assert!(
            !life.told.lock().unwrap().is_empty(),
            "{health:?}: whoever waits is told"
        );
        assert!(matches!(life.journal.read(from), Found::Folded(_)), "{health:?}");
        assert_eq!(
            waiting(&disk.after_power_cut(Remains::Nothing)),
            waiting(&disk),
            "{health:?}"
        );
        is_paired(&waiting(&disk), "the disk works again");
    }
}
