//! The journal's thread: brings what is in memory to the disk, and makes room there.
//!
//! What came while the disk was busy goes out in one write and one sync. After an error it tries again for ever.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::aside::Asides;
use super::checkpoint::Checkpoints;
use super::fold::{Fold, SPAN_EVENTS_MAX, plan};
use super::memory::{Health, Work};
use super::record::Record;
use super::segment;
use super::segments::{Batch, Segment, Segments};
use super::worker::{Shared, Stored};
use tonearm_core::id::Seq;

/// How often a disk that took nothing is tried again. A person who frees space sees the light change at once.
const RETRY: Duration = Duration::from_secs(5);
/// Plans of a fold that may be overtaken by the sender before there is no room; each needs a dozen events sent
/// within the milliseconds of reading a segment.
const PLANS_MAX: usize = 3;

/// The thread's side.
pub struct Writer {
    shared: Arc<Shared>,
    segments: Segments,
    asides: Asides,
    checkpoints: Checkpoints,
    /// The newest event that was announced as not durable.
    told: Seq,
    /// The disk took nothing the last time.
    failing: bool,
    /// A fold that may be on disk or not, since writing it failed.
    pending: Option<Fold>,
}

impl Writer {
    /// A writer that does nothing until it runs.
    pub(super) fn new(shared: Arc<Shared>, segments: Segments, asides: Asides, checkpoints: Checkpoints) -> Self {
        Self {
            shared,
            segments,
            asides,
            checkpoints,
            told: Seq(0),
            failing: false,
            pending: None,
        }
    }

    /// Another greatest size of the journal.
    #[cfg(test)]
    pub(super) fn limit(&mut self, bytes_max: u64) {
        self.segments.limit(bytes_max);
    }

    pub(super) fn run(mut self, leave: &SyncSender<()>) {
        loop {
            let is_last = self.wait();
            self.step();
            if is_last {
                break;
            }
        }
        // The journal may have stopped waiting for this.
        let _ = leave.try_send(());
    }

    /// Does everything there is to do, without waiting for it.
    pub fn step(&mut self) {
        let work = self.shared.memory().work();
        let result = self.write(&work);
        self.report(&work, result);
        self.shared.note_oldest();
    }

    /// Waits for work, or for the time to try again. Returns whether this is the last.
    fn wait(&self) -> bool {
        let mut memory = self.shared.memory();
        while !memory.is_dirty() && !memory.is_closing() {
            if !self.failing {
                memory = self.shared.wake.wait(memory).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (guard, waited) = self
                .shared
                .wake
                .wait_timeout(memory, RETRY)
                .unwrap_or_else(PoisonError::into_inner);
            memory = guard;
            if waited.timed_out() {
                break;
            }
        }
        memory.is_closing()
    }

    /// Reasons first, then events and settlement, then the checkpoint: each is of use only with the one before.
    fn write(&mut self, work: &Work) -> io::Result<()> {
        let (settled, asides) = self.write_asides(work);
        if work.is_for_segments() {
            let is_needed = |record: &&Arc<Record>| record.seq.0 > settled || record.seq.0 == work.newest;
            let events = work.events.iter().filter(is_needed).cloned().collect();
            let batch = Batch {
                events,
                settled,
                clocks: work.clocks.clone(),
                folds: work.folds.clone(),
            };
            self.make_room(&batch)?;
            let written = self.segments.write(&batch);
            let mut memory = self.shared.memory();
            match written {
                Ok(()) => memory.written(work, settled, self.segments.row()),
                Err(error) => {
                    memory.row(self.segments.row());
                    return Err(error);
                }
            }
        }
        asides?;
        if let Some((start, checkpoint)) = work.checkpoint {
            self.checkpoints.write(start, checkpoint)?;
            self.shared.memory().checkpoint_done(start, checkpoint);
        }
        Ok(())
    }

    /// Lets the oldest pairs on disk go until the batch fits. What cannot be let go stays; then the batch finds no room.
    fn make_room(&mut self, batch: &Batch) -> io::Result<()> {
        loop {
            let planned = match self.pending.take() {
                Some(fold) => Some(fold),
                None if self.segments.has_room(batch) => None,
                None => (0..PLANS_MAX).find_map(|_| self.foldable()),
            };
            let Some(fold) = planned else {
                return Ok(());
            };
            let is_noted = match self.fold(fold) {
                Ok(is_noted) => is_noted,
                Err(error) => {
                    // It may be found by a restart: until it is certain, nobody is given these events.
                    self.pending = Some(fold);
                    return Err(error);
                }
            };
            self.shared.memory().unfence();
            if !is_noted {
                return Ok(());
            }
            log::warn!(
                "the journal is full: its oldest events that were not sent yet, {} to {} ({} pairs), are let go",
                fold.from,
                fold.to,
                fold.pairs
            );
        }
    }

    /// The oldest pairs that may go, to the end of a segment. From here on nobody is given one of them.
    fn foldable(&self) -> Option<Fold> {
        let (keep, folds) = {
            let memory = self.shared.memory();
            (memory.kept_through(), memory.folds().clone())
        };
        let (_, older) = self.segments.row().split_last()?;
        // Nothing is gained by letting go what is in the newest segment: that one stays.
        let free = |from: u64| {
            older
                .iter()
                .map(|segment| segment.last)
                .filter(|last| *last >= from)
                .min()
        };
        let has_any = |segment: &&Segment| !folds.cover(segment.first, segment.last, keep);
        let mut row: Vec<&Segment> = self.segments.row().iter().filter(has_any).collect();
        row.sort_by_key(|segment| segment.first);
        let mut known: BTreeMap<u64, Record> = BTreeMap::new();
        for segment in row {
            let found = segment::load(&*self.shared.storage, segment).records.into_iter();
            let is_there = |record: &Record| folds.end_of(record.seq.0).is_none();
            known.extend(found.filter(is_there).map(|record| (record.seq.0, record)));
            let events: Vec<&Record> = known.values().collect();
            let last = events.last().map_or(0, |last| last.seq.0);
            let Some(fold) = plan(&events, &folds, keep, |from| free(from).unwrap_or(0)) else {
                continue;
            };
            let free = free(fold.from)?;
            // The stop of a start at the end of a segment is in the next one.
            if fold.to >= free || fold.to.saturating_add(SPAN_EVENTS_MAX) < last {
                return self.shared.memory().fence(fold.from).then_some(fold);
            }
        }
        None
    }

    /// Notes a fold on disk, then in memory, then removes what is not needed any more: a power cut in between leaves
    /// the events or the note, never neither. `false`: there are too many folds.
    fn fold(&mut self, fold: Fold) -> io::Result<bool> {
        let (mut folds, settled) = {
            let memory = self.shared.memory();
            (memory.folds().clone(), memory.settled())
        };
        if !folds.add(fold, settled) {
            return Ok(false);
        }
        self.segments.write(&Batch {
            folds: Some(folds),
            ..Batch::default()
        })?;
        let mut memory = self.shared.memory();
        let _ = memory.folded(fold);
        memory.folds_on_disk(self.segments.folds());
        memory.row(self.segments.row());
        Ok(true)
    }

    /// Also says up to where the settlement may be noted: not beyond a reason that is not on disk.
    fn write_asides(&mut self, work: &Work) -> (u64, io::Result<()>) {
        for (seq, reason) in &work.asides {
            let record = self.shared.read(Seq(*seq));
            if let Err(error) = self.asides.write(*seq, reason, record.as_ref()) {
                return (seq.saturating_sub(1), Err(error));
            }
            self.shared.memory().aside_written(*seq);
        }
        (work.settled, Ok(()))
    }

    /// Tells what became of it; a failure is logged once, and its end as well.
    fn report(&mut self, work: &Work, result: io::Result<()>) {
        let durable = self.shared.memory().is_durable(work.newest);
        let seq = Seq(work.newest);
        let health = if result.is_ok() { Health::Takes } else { Health::Refuses };
        let awaited = self.shared.memory().tried(health);
        if awaited || (work.is_event_new && (durable || seq > self.told)) {
            self.told = self.told.max(seq);
            (self.shared.news)(Stored { seq, durable });
        }
        match result {
            Ok(()) if self.failing => {
                self.failing = false;
                log::info!("the disk takes events again");
            }
            Err(error) if !self.failing => {
                self.failing = true;
                log::error!("store events: {error}; they are kept in memory and tried again");
            }
            Ok(()) | Err(_) => {}
        }
    }
}
