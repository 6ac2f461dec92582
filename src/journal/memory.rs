//! What the journal holds in memory: events on their way to the disk, recent ones for sending, the state of the rest.
//!
//! The caller and the journal's thread share it under a lock that is never held while the disk works.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::frame::Clock;
use super::record::{Checkpoint, Outcome, Record};
use super::recover::resolve_wall;
use super::segments::{CLOCKS_MAX, Segment};
use tonearm_core::id::Seq;

/// Events kept while the disk does not take them. At two events per track, several days of continuous music.
pub const UNSTORED_MAX: usize = 4096;
/// Strings of one event. They are identifiers of at most a few hundred bytes; this only keeps memory and frames bounded.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Stored events kept for sending, so that the usual case (sent at once) reads no file.
pub const RECENT_MAX: usize = 256;
/// Settlements "set aside" kept while the disk does not take them.
pub const ASIDES_MAX: usize = 1024;

/// The journal's memory.
#[derive(Default)]
pub struct Memory {
    /// Events not on disk yet, and recent ones.
    records: BTreeMap<u64, Arc<Record>>,
    /// Events of the segment that was read last, for sending a backlog.
    backlog: BTreeMap<u64, Arc<Record>>,
    /// Reasons not on disk yet.
    asides: BTreeMap<u64, String>,
    checkpoint: Option<(u64, Checkpoint)>,
    clocks: Vec<Clock>,
    clocks_new: Vec<Clock>,
    /// Events up to here are on disk, or will never be.
    durable: u64,
    /// Events up to here are settled, on disk or not yet.
    settled: u64,
    /// Events up to here are settled on disk.
    settled_durable: u64,
    next: u64,
    /// Numbers after `settled` that have no event, as inclusive ranges in order.
    holes: Vec<(u64, u64)>,
    row: Vec<Segment>,
    set_aside: u64,
    /// There is something to do that was not tried yet.
    dirty: bool,
    closing: bool,
}

/// What the thread is to write now.
#[derive(Debug, Default)]
pub struct Work {
    /// Reasons, to be written before the settlement.
    pub asides: Vec<(u64, String)>,
    /// Events.
    pub events: Vec<Arc<Record>>,
    /// Number of the newest event; with this work written, all up to it are on disk or need not be.
    pub newest: u64,
    /// Whether there are events that were not on disk.
    pub is_event_new: bool,
    /// Settlement.
    pub settled: u64,
    /// Whether the settlement is news.
    pub is_settled_new: bool,
    /// Clocks.
    pub clocks: Vec<Clock>,
    /// The newest checkpoint.
    pub checkpoint: Option<(u64, Checkpoint)>,
}

impl Work {
    /// Whether a segment has to be written.
    pub fn is_for_segments(&self) -> bool {
        !self.events.is_empty() || self.is_settled_new || !self.clocks.is_empty()
    }
}

impl Memory {
    /// As recovered.
    pub fn new(next: u64, settled: u64, set_aside: u64, holes: Vec<(u64, u64)>, clocks: Vec<Clock>) -> Self {
        let durable = next.saturating_sub(1);
        Self {
            durable,
            settled,
            settled_durable: settled,
            next,
            holes,
            set_aside,
            clocks,
            ..Self::default()
        }
    }

    /// Takes an event. `false`: it is lost, because there is no room left for it, it is too long, or its number was used.
    pub fn append(&mut self, record: Record) -> bool {
        let seq = record.seq.0;
        if seq < self.next {
            return false;
        }
        if seq > self.next {
            self.holes.push((self.next, seq - 1));
        }
        self.next = seq.saturating_add(1);
        let text_bytes =
            record.session.len() + record.reference.len() + record.metric_id.as_ref().map_or(0, String::len);
        if self.unstored() >= UNSTORED_MAX || text_bytes > TEXT_BYTES_MAX {
            self.lose(seq);
            return false;
        }
        self.records.insert(seq, Arc::new(record));
        self.evict();
        self.dirty = true;
        true
    }

    /// Events that are not on disk and still have to get there.
    pub fn unstored(&self) -> usize {
        self.records.range(self.durable.saturating_add(1)..).count()
    }

    /// An event that will never be on disk.
    pub fn lose(&mut self, seq: u64) {
        self.records.remove(&seq);
        match self.holes.last_mut() {
            Some((_, to)) if to.saturating_add(1) == seq => *to = seq,
            _ => self.holes.push((seq, seq)),
        }
    }

    /// Takes the service's word. `false`: the reason cannot be kept.
    pub fn settle(&mut self, seq: u64, outcome: Outcome) -> bool {
        if seq <= self.settled || seq >= self.next {
            return true;
        }
        let mut is_kept = true;
        match outcome {
            Outcome::Accepted => {}
            Outcome::SetAside { reason } => {
                self.set_aside = self.set_aside.saturating_add(1);
                is_kept = self.asides.len() < ASIDES_MAX;
                if is_kept {
                    self.asides.insert(seq, reason);
                }
            }
        }
        self.settled = seq;
        self.holes.retain(|(_, to)| *to > seq);
        self.backlog = self.backlog.split_off(&seq.saturating_add(1));
        self.dirty = true;
        is_kept
    }

    /// Takes a checkpoint; the one before, if still unwritten, is replaced.
    pub fn checkpoint(&mut self, start: u64, checkpoint: Checkpoint) {
        self.checkpoint = Some((start, checkpoint));
        self.dirty = true;
    }

    /// Takes the clock of a boot; the first one stays.
    pub fn clock(&mut self, clock: Clock) {
        if self.clocks.iter().any(|known| known.boot == clock.boot) {
            return;
        }
        if self.clocks.len() >= CLOCKS_MAX {
            self.clocks.remove(0);
        }
        self.clocks.push(clock);
        if self.clocks_new.len() < CLOCKS_MAX {
            self.clocks_new.push(clock);
        }
        self.dirty = true;
    }

    /// The last work is to be done.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// Whether the thread is to end when nothing is left to try.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether there is something that was not tried yet.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Everything that is to be written.
    pub fn work(&mut self) -> Work {
        self.dirty = false;
        let newest = self.next.saturating_sub(1);
        // What was acknowledged before the disk took it need not be stored, unless its stop may have to be made up, or
        // its settlement cannot be noted because a reason before it may fail to be written.
        let noted = self
            .asides
            .first_key_value()
            .map_or(self.settled, |(seq, _)| seq.saturating_sub(1));
        let needed = |seq: u64| seq > noted || seq == newest;
        let unstored = self.records.range(self.durable.saturating_add(1)..);
        Work {
            asides: self.asides.iter().map(|(seq, reason)| (*seq, reason.clone())).collect(),
            events: unstored
                .filter(|(seq, _)| needed(**seq))
                .map(|(_, record)| Arc::clone(record))
                .collect(),
            newest,
            is_event_new: self.unstored() > 0,
            settled: self.settled,
            is_settled_new: self.settled > self.settled_durable,
            clocks: self.clocks_new.clone(),
            checkpoint: self.checkpoint,
        }
    }

    /// A reason is on disk.
    pub fn aside_written(&mut self, seq: u64) {
        self.asides.remove(&seq);
    }

    /// The segments took the work, with everything up to `settled` settled.
    pub fn written(&mut self, work: &Work, settled: u64, row: &[Segment]) {
        self.durable = self.durable.max(work.newest);
        self.settled_durable = self.settled_durable.max(settled);
        self.clocks_new.retain(|clock| !work.clocks.contains(clock));
        self.row(row);
        self.evict();
    }

    /// The segments there are now.
    pub fn row(&mut self, row: &[Segment]) {
        self.row = row.to_vec();
    }

    /// The checkpoint was written; a newer one may have come meanwhile.
    pub fn checkpoint_done(&mut self, start: u64, checkpoint: Checkpoint) {
        if self.checkpoint == Some((start, checkpoint)) {
            self.checkpoint = None;
        }
    }

    /// Whether the event's place on disk is decided.
    pub fn is_durable(&self, seq: u64) -> bool {
        seq <= self.durable
    }

    /// An event in memory, with its wall-clock time if that is known.
    pub fn read(&self, seq: u64) -> Option<Record> {
        let record = self.records.get(&seq).or_else(|| self.backlog.get(&seq))?;
        let mut record = Record::clone(record);
        self.date(&mut record);
        Some(record)
    }

    /// Fills in the wall-clock time of an event if that is known by now.
    pub fn date(&self, record: &mut Record) {
        resolve_wall(record, &self.clocks);
    }

    /// Files that may hold an event, newest first.
    pub fn segments(&self, seq: u64) -> Vec<Segment> {
        self.row
            .iter()
            .rev()
            .filter(|segment| segment.may_hold(seq))
            .cloned()
            .collect()
    }

    /// Keeps the events of one segment, in place of those of another.
    pub fn keep(&mut self, records: Vec<Record>) {
        let waiting = records.into_iter().filter(|record| record.seq.0 > self.settled);
        self.backlog = waiting.map(|record| (record.seq.0, Arc::new(record))).collect();
    }

    /// Events waiting, events set aside.
    pub fn counts(&self) -> (u64, u64) {
        let after = |(from, to): &(u64, u64)| to - (*from).max(self.settled.saturating_add(1)) + 1;
        let lost: u64 = self.holes.iter().map(after).sum();
        (
            self.next
                .saturating_sub(1)
                .saturating_sub(self.settled)
                .saturating_sub(lost),
            self.set_aside,
        )
    }

    /// The first event that waits.
    pub fn first_waiting(&self) -> Option<Seq> {
        let mut seq = self.settled.saturating_add(1);
        for (from, to) in &self.holes {
            if (*from..=*to).contains(&seq) {
                seq = to.saturating_add(1);
            }
        }
        (seq < self.next).then_some(Seq(seq))
    }

    fn evict(&mut self) {
        while self.records.len() > RECENT_MAX {
            let Some((seq, _)) = self.records.first_key_value() else {
                break;
            };
            if *seq > self.durable {
                break;
            }
            self.records.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::sample;
    use super::*;

    fn memory(events: u64) -> Memory {
        let mut memory = Memory::new(1, 0, 0, Vec::new(), Vec::new());
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
        let mut memory = memory(UNSTORED_MAX as u64);
        assert!(!memory.append(sample(UNSTORED_MAX as u64 + 1)));
        assert_eq!(memory.unstored(), UNSTORED_MAX);
        assert_eq!(memory.counts().0, UNSTORED_MAX as u64);
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
}
