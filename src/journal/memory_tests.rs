//! The journal's memory alone: what it keeps, gives out and lets go.

use super::super::record::tests::sample;
use super::*;

fn memory(events: u64) -> Memory {
    let fresh = Recovered {
        next: Seq(1),
        ..Recovered::default()
    };
    let mut memory = Memory::new(&fresh, Vec::new(), Vec::new(), Folds::default());
    for seq in 1..=events {
        assert!(memory.append(sample(seq)));
    }
    memory
}

fn store(memory: &mut Memory) {
    let work = memory.work();
    memory.written(&work, work.settled, &[]);
}

#[test]
fn memory_is_bounded_while_the_disk_takes_nothing() {
    let events = UNSTORED_MAX as u64 + 1_001;
    let memory = memory(events);
    assert!(memory.unstored() <= UNSTORED_MAX);
    let folded = 2 * memory.folds().pairs();
    assert!((1_001..=1_001 + FOLD_EVENTS).contains(&folded), "{folded}");
    assert_eq!(memory.counts().0 + folded, events);
}

#[test]
fn memory_is_bounded_in_bytes_as_well() {
    let mut memory = memory(0);
    for seq in 1..=1_000 {
        let mut record = sample(seq);
        record.session = "s".repeat(20_000);
        assert!(memory.append(record));
    }
    let bytes: usize = memory.records.values().map(|record| record.text_bytes()).sum();
    assert!(bytes <= UNSTORED_TEXT_BYTES_MAX, "{bytes}");
}

#[test]
fn of_a_full_memory_whole_pairs_of_the_oldest_go_and_none_that_may_have_been_sent() {
    let mut memory = memory(UNSTORED_MAX as u64);
    assert_eq!(memory.ask(33), Ok(Found::Event(sample(33))));
    assert!(memory.append(sample(UNSTORED_MAX as u64 + 1)));
    let fold = memory.folds().newest()[0];
    assert_eq!(
        (fold.from, fold.to, fold.pairs),
        (35, 98, 32),
        "34 is the stop of a start that was asked for"
    );
    assert_eq!(memory.ask(34), Ok(Found::Event(sample(34))));
    assert_eq!(memory.ask(35), Ok(Found::Folded(Seq(98))));
    assert_eq!(memory.ask(99), Ok(Found::Event(sample(99))));
}

#[test]
fn what_was_folded_in_memory_is_noted_with_the_next_write() {
    let mut memory = memory(UNSTORED_MAX as u64 + 1);
    let work = memory.work();
    assert_eq!(work.folds.as_ref(), Some(memory.folds()));
    assert!(
        work.events
            .iter()
            .all(|record| memory.folds().end_of(record.seq.0).is_none())
    );
    memory.written(&work, 0, &[]);
    assert_eq!(memory.work().folds, None);
}

#[test]
fn behind_the_fence_nothing_is_given_out() {
    let mut memory = memory(100);
    assert!(memory.fence(51));
    assert_eq!(memory.ask(50), Ok(Found::Event(sample(50))));
    assert_eq!(memory.ask(51), Ok(Found::Later));
    memory.unfence();
    assert_eq!(memory.ask(51), Ok(Found::Event(sample(51))));
    assert!(!memory.fence(51), "it was asked for");
}

#[test]
fn stored_events_leave_memory_but_for_the_recent_ones() {
    let mut memory = memory(1_000);
    store(&mut memory);
    assert_eq!(memory.records.len(), RECENT_MAX);
    assert_eq!(memory.read(1), None);
    assert_eq!(memory.read(1_000), Some(sample(1_000)));
}

#[test]
fn what_was_acknowledged_before_it_was_stored_is_not_stored_except_the_newest() {
    let mut memory = memory(3);
    memory.settle(3, Outcome::Accepted);
    let work = memory.work();
    assert_eq!(work.events.iter().map(|record| record.seq.0).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_number_that_was_used_is_refused() {
    let mut memory = memory(3);
    assert!(!memory.append(sample(2)));
    assert_eq!(memory.counts().0, 3);
}

#[test]
fn a_lost_event_is_not_counted_as_waiting() {
    let mut memory = memory(2);
    let mut long = sample(3);
    long.reference = "x".repeat(TEXT_BYTES_MAX + 1);
    assert!(!memory.append(long));
    assert!(memory.append(sample(4)));
    assert_eq!(memory.counts().0, 3);
    memory.settle(2, Outcome::Accepted);
    assert_eq!(memory.first_waiting(), Some(Seq(4)));
    memory.settle(3, Outcome::SetAside { reason: "lost".into() });
    assert_eq!(memory.counts(), (1, 1));
}

#[test]
fn the_first_clock_of_a_boot_stays() {
    let mut memory = memory(0);
    let mut record = sample(1);
    record.wall_ms = None;
    memory.append(record.clone());
    memory.clock(Clock {
        boot: record.boot,
        epoch_ms: 1_000,
    });
    memory.clock(Clock {
        boot: record.boot,
        epoch_ms: 9_000,
    });
    assert_eq!(
        memory.read(1).unwrap().wall_ms,
        Some(1_000 + i64::try_from(record.at.0).unwrap())
    );
}
