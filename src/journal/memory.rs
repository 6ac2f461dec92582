//! What the journal holds in memory: events on their way to the disk, recent ones for sending, the state of the rest.
//!
//! The caller and the journal's thread share it under a lock that is never held while the disk works.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::body::Clock;
use super::fold::{Fold, Folds, RESERVE, plan};
use super::record::{Checkpoint, Found, Outcome, Record, Recovered};
use super::recover::resolve_wall;
use super::segments::{CLOCKS_MAX, Segment};
use tonearm_core::id::Seq;

/// Events kept while the disk does not take them. At two events per track, several days of continuous music. Beyond it
/// the oldest of them are folded.
pub const UNSTORED_MAX: usize = 4096;
/// Their strings together, about twice what those of usual length take.
const UNSTORED_TEXT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Events that are folded at once in memory, so that it is not done again for each.
const FOLD_EVENTS: u64 = 64;
/// Strings of one event. They are identifiers of at most a few hundred bytes; this only keeps memory and frames bounded.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Stored events kept for sending, so that the usual case (sent at once) reads no file.
pub const RECENT_MAX: usize = 256;
/// Settlements "set aside" kept while the disk does not take them.
pub const ASIDES_MAX: usize = 1024;

/// What the disk does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It takes what is written.
    #[default]
    Takes,
    /// It is full, read-only or broken.
    Refuses,
}

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
    /// What was folded, on disk or not yet.
    folds: Folds,
    /// The same as the newest segment has it.
    folds_noted: Folds,
    /// Events up to here were asked for, to be sent.
    asked: u64,
    /// Events from here on are not given out: they may be let go any moment.
    fence: Option<u64>,
    /// Somebody was told "later" and waits for news.
    awaited: bool,
    /// What the disk did the last time.
    health: Health,
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
    /// What was folded, if the disk has not heard of it.
    pub folds: Option<Folds>,
    /// The newest checkpoint.
    pub checkpoint: Option<(u64, Checkpoint)>,
}

impl Work {
    /// Whether a segment has to be written.
    pub fn is_for_segments(&self) -> bool {
        !self.events.is_empty() || self.is_settled_new || !self.clocks.is_empty() || self.folds.is_some()
    }
}

impl Memory {
    /// As recovered.
    pub fn new(found: &Recovered, holes: Vec<(u64, u64)>, clocks: Vec<Clock>, folds: Folds) -> Self {
        let (next, settled) = (found.next.0, found.settled.0);
        Self {
            durable: next.saturating_sub(1),
            settled,
            settled_durable: settled,
            next,
            holes,
            set_aside: found.set_aside,
            clocks,
            folds,
            ..Self::default()
        }
    }

    /// Takes an event. Where there is no room for it, the oldest that only memory has are folded.
    ///
    /// `false`: it is lost, because there is nothing to fold, it is too long, or its number was used.
    pub fn append(&mut self, record: Record) -> bool {
        let seq = record.seq.0;
        if seq < self.next {
            return false;
        }
        if seq > self.next {
            self.holes.push((self.next, seq - 1));
        }
        self.next = seq.saturating_add(1);
        let text_bytes = record.text_bytes();
        if text_bytes > TEXT_BYTES_MAX || (!self.has_room(text_bytes) && !self.fold_unstored()) {
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

    fn has_room(&self, more: usize) -> bool {
        let unstored = self.records.range(self.durable.saturating_add(1)..);
        let (count, bytes) = unstored.fold((0, more), |(count, bytes), (_, record)| {
            (count + 1, bytes + record.text_bytes())
        });
        count < UNSTORED_MAX && bytes <= UNSTORED_TEXT_BYTES_MAX
    }

    /// Lets the oldest events go that only memory has.
    fn fold_unstored(&mut self) -> bool {
        let unstored: Vec<&Record> = self
            .records
            .range(self.durable.saturating_add(1)..)
            .map(|(_, record)| &**record)
            .collect();
        let free = |from: u64| from.saturating_add(FOLD_EVENTS - 1);
        let Some(fold) = plan(&unstored, &self.folds, self.kept_through(), free) else {
            return false;
        };
        if !self.folded(fold) {
            return false;
        }
        log::error!(
            "the disk takes nothing and memory is full: the oldest events in it, {} to {} ({} pairs), are let go",
            fold.from,
            fold.to,
            fold.pairs
        );
        true
    }

    /// Events up to here are never folded: those that may have been sent already, and what was folded before.
    pub fn kept_through(&self) -> u64 {
        let mut keep = self.asked.max(self.settled.saturating_add(RESERVE));
        while let Some(end) = self.folds.end_of(keep.saturating_add(1)) {
            keep = end;
        }
        keep
    }

    /// From now on no event from `from` on is given out. `false`: one of them was asked for already.
    pub fn fence(&mut self, from: u64) -> bool {
        let is_free = from > self.asked;
        self.fence = is_free.then_some(from);
        is_free
    }

    /// Events are given out again.
    pub fn unfence(&mut self) {
        self.fence = None;
    }

    /// Takes note of a fold; its events are gone. `false`: there are too many folds.
    pub fn folded(&mut self, fold: Fold) -> bool {
        if !self.folds.add(fold, self.settled) {
            return false;
        }
        let inside = |seq: u64| (fold.from..=fold.to).contains(&seq);
        self.records.retain(|seq, _| !inside(*seq));
        self.backlog.retain(|seq, _| !inside(*seq));
        self.holes.retain(|(from, _)| !inside(*from));
        true
    }

    /// Takes note of what the newest segment says was folded; the rest is to be noted there.
    pub fn folds_on_disk(&mut self, folds: &Folds) {
        self.folds_noted.clone_from(folds);
    }

    /// What was folded.
    pub fn folds(&self) -> &Folds {
        &self.folds
    }

    /// Events that were folded and not passed yet.
    pub fn folded_waiting(&self) -> u64 {
        self.folds.after(self.settled)
    }

    /// Events up to here are settled, on disk or not yet.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// An event that is asked for to be sent, if memory has it; `Err`: it has to be looked for on disk.
    ///
    /// It is not given out before the disk knows that those before it are settled. So a restart repeats what was sent in
    /// one piece last, and nothing before it. A disk that takes nothing holds up nobody.
    pub fn ask(&mut self, seq: u64) -> Result<Found, ()> {
        let is_fenced = self.fence.is_some_and(|from| seq >= from);
        let is_unsettled = self.settled > self.settled_durable && self.health == Health::Takes;
        if is_fenced || is_unsettled {
            self.awaited = true;
            return Ok(Found::Later);
        }
        if let Some(end) = self.folds.end_of(seq) {
            return Ok(Found::Folded(Seq(end)));
        }
        self.asked = self.asked.max(seq);
        self.read(seq).map(Found::Event).ok_or(())
    }

    /// Takes note of whether the disk took the last work. Says whether somebody waits for the news of it.
    pub fn tried(&mut self, health: Health) -> bool {
        self.health = health;
        std::mem::take(&mut self.awaited)
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
            folds: (self.folds != self.folds_noted).then(|| self.folds.clone()),
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
        if let Some(folds) = &work.folds {
            self.folds_noted.merge(folds);
        }
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
        let is_waiting = |record: &Record| record.seq.0 > self.settled && self.folds.end_of(record.seq.0).is_none();
        let waiting = records.into_iter().filter(is_waiting);
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
                .saturating_sub(lost)
                .saturating_sub(self.folds.after(self.settled)),
            self.set_aside,
        )
    }

    /// The first event that waits.
    pub fn first_waiting(&self) -> Option<Seq> {
        let mut seq = self.settled.saturating_add(1);
        let hole = |seq: u64| {
            self.holes
                .iter()
                .find(|(from, to)| (*from..=*to).contains(&seq))
                .map(|(_, to)| *to)
        };
        while let Some(end) = hole(seq).or_else(|| self.folds.end_of(seq)) {
            seq = end.saturating_add(1);
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
#[path = "memory_tests.rs"]
mod tests;
