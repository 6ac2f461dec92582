//! The row of segments: writes batches to the newest, removes those that are no longer needed. It does not know who
//! waits for what it writes, and after an error it is simply called again.

use std::io;
use std::sync::Arc;

use super::body::{Clock, Entry, Head, Names, Spelled};
use super::fold::Folds;
use super::frame::{FRAME_HEAD_BYTES, header, put, seal};
use super::record::Record;
use super::segment;
use super::storage::Storage;
use tonearm_core::event::What;

/// A segment that would grow beyond this is closed and a new one begun. Small, because the space of settled events comes
/// back a whole segment at a time, and because one segment is read at once when a backlog is sent.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024;
/// The journal as a whole: more than 25,000 waiting events of usual length, more than 10,000 if all their strings were
/// twice as long. Offline a speaker plays what is loaded and no more, so this takes a service that hands out music for
/// months and takes no event. Beyond it the oldest are folded.
pub const JOURNAL_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Room that a fold itself may need: a segment to be noted in, and one more for what comes with it.
const FOLD_BYTES: u64 = 2 * SEGMENT_BYTES_MAX;
/// Of an event, without its strings: more than numbers, lengths and frame take.
const EVENT_BYTES: u64 = 96;
/// Boots whose clock is remembered. Events of more boots than this waiting without a known time are most unlikely.
pub const CLOCKS_MAX: usize = 16;

/// One segment on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its file.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Least number of an event in it; `u64::MAX` while there is none.
    pub first: u64,
    /// Greatest number of an event in it; 0 while there is none.
    pub last: u64,
    /// Length.
    pub bytes: u64,
}

impl Segment {
    /// Whether the event may be in it.
    pub fn may_hold(&self, seq: u64) -> bool {
        (self.first..=self.last).contains(&seq)
    }
}

/// What is to be written at once.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Events, in order.
    pub events: Vec<Arc<Record>>,
    /// All events up to here are settled.
    pub settled: u64,
    /// Clocks that became known.
    pub clocks: Vec<Clock>,
    /// What was folded away, if that is news.
    pub folds: Option<Folds>,
}

impl Batch {
    /// Space it takes at most.
    fn bytes(&self) -> u64 {
        let of = |record: &Arc<Record>| EVENT_BYTES + record.text_bytes() as u64;
        self.events.iter().map(of).sum()
    }
}

/// All segments of a journal.
pub struct Segments {
    storage: Arc<dyn Storage>,
    /// In order of their numbers.
    row: Vec<Segment>,
    /// Whether the last of the row is being written to; otherwise the next write begins a new one.
    active: bool,
    /// The start whose strings the next stop may refer to; it is in the active segment.
    start: Option<(u64, Spelled)>,
    /// The last segment has nothing but its head: no write to it succeeded.
    is_bare: bool,
    index_next: u32,
    next: u64,
    settled: u64,
    clocks: Vec<Clock>,
    folds: Folds,
    bytes_max: u64,
}

impl Segments {
    /// As recovered: `active` says that the last segment is intact and may be continued.
    pub fn new(storage: Arc<dyn Storage>, row: Vec<Segment>, active: bool, index_next: u32) -> Self {
        Self {
            storage,
            row,
            active,
            start: None,
            is_bare: false,
            index_next,
            next: 1,
            settled: 0,
            clocks: Vec::new(),
            folds: Folds::default(),
            bytes_max: JOURNAL_BYTES_MAX,
        }
    }

    /// What was found: the next event, settled up to, clocks, folds.
    pub fn restore(&mut self, next: u64, settled: u64, clocks: Vec<Clock>, folds: Folds) {
        (self.next, self.settled, self.clocks, self.folds) = (next, settled, clocks, folds);
    }

    /// Another greatest size, for tests that fill it.
    #[cfg(test)]
    pub fn limit(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// Whether the batch fits without anything being folded.
    pub fn has_room(&self, batch: &Batch) -> bool {
        let total: u64 = self.row.iter().map(|segment| segment.bytes).sum();
        total + batch.bytes() + FOLD_BYTES <= self.bytes_max
    }

    /// All segments, oldest first.
    pub fn row(&self) -> &[Segment] {
        &self.row
    }

    /// Clocks known.
    pub fn clocks(&self) -> &[Clock] {
        &self.clocks
    }

    /// What was folded, as far as the newest segment says it.
    pub fn folds(&self) -> &Folds {
        &self.folds
    }

    /// Takes a segment out of the row without touching its file.
    pub fn leave_out(&mut self, name: &str) {
        self.row.retain(|segment| segment.name != name);
    }

    /// Writes and syncs. `Ok`: all of it survives a power cut. Otherwise any part may be on disk, and the same batch can
    /// be written again; it then goes to a new segment, because nobody knows what became of the old one's end.
    pub fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let before = self.row.len();
        let written = self.try_write(batch);
        if written.is_err() {
            self.active = false;
            self.start = None;
            // A segment begun just now holds nothing that the next attempt will not write again. On a full disk that
            // is every few seconds: it must not leave a file each time.
            if self.row.len() > before
                && self.is_bare
                && let Some(begun) = self.row.pop()
                && self.storage.remove(&begun.name).is_err()
            {
                self.row.push(begun);
            }
        }
        written
    }

    /// The next write begins a new segment.
    pub fn close(&mut self) {
        self.active = false;
        self.start = None;
    }

    fn try_write(&mut self, batch: &Batch) -> io::Result<()> {
        for clock in &batch.clocks {
            if !self.clocks.iter().any(|known| known.boot == clock.boot) {
                if self.clocks.len() >= CLOCKS_MAX {
                    self.clocks.remove(0);
                }
                self.clocks.push(*clock);
            }
        }
        // The head of a segment begun here must not yet say "settled" of events whose settlement is not written.
        if !self.active {
            self.begin()?;
        }
        // The settlement goes first: an event that was acknowledged before it was stored is left out of the batch, and a
        // write that ends with a segment must not make it look lost.
        let mut pending = Vec::new();
        let mut small: Vec<Entry> = batch.clocks.iter().map(|clock| Entry::Clock(*clock)).collect();
        if batch.settled > self.settled {
            small.push(Entry::Settled(batch.settled));
        }
        if let Some(folds) = &batch.folds {
            small.push(Entry::Folds(folds.body()));
        }
        for entry in small {
            let _ = put(&entry, &mut pending);
        }
        let mut range = (u64::MAX, 0);
        for record in &batch.events {
            let mut event = Vec::new();
            if self.put_event(record, &mut event).is_none() {
                log::error!("event {} is too long to be stored; it is lost", record.seq.0);
                continue;
            }
            if self.is_full(pending.len() + event.len()) {
                self.flush(&pending, range)?;
                pending.clear();
                range = (u64::MAX, 0);
                self.begin()?;
                event.clear();
                let _ = self.put_event(record, &mut event);
            }
            pending.append(&mut event);
            range = (range.0.min(record.seq.0), range.1.max(record.seq.0));
            self.start = match record.what {
                What::Start { .. } => Some((record.seq.0, segment::spell(record))),
                What::Stop { .. } => None,
            };
        }
        self.flush(&pending, range)?;
        self.settled = self.settled.max(batch.settled);
        self.next = self.next.max(self.settled.saturating_add(1));
        if let Some(folds) = &batch.folds {
            self.folds.merge(folds);
        }
        self.forget();
        Ok(())
    }

    fn put_event(&self, record: &Record, body: &mut Vec<u8>) -> Option<()> {
        let spelled = segment::spell(record);
        let names = match (&self.start, record.what) {
            (Some((seq, known)), What::Stop { .. }) if *known == spelled => Names::Of(*seq),
            _ => Names::Own(spelled),
        };
        put(&Entry::Event(segment::event(record, names)), body)
    }

    /// Begins a segment and makes sure that its name and head survive.
    fn begin(&mut self) -> io::Result<()> {
        let total: u64 = self.row.iter().map(|segment| segment.bytes).sum();
        if total + SEGMENT_BYTES_MAX > self.bytes_max {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the journal has reached its greatest size",
            ));
        }
        let index = self.index_next;
        let name = segment::name(index, self.next);
        let head = Head {
            next: self.next,
            settled: self.settled,
            clocks: self.clocks.clone(),
        };
        let (mut body, mut bytes) = (Vec::new(), header());
        let _ = put(&Entry::Head(head), &mut body);
        let _ = put(&Entry::Folds(self.folds.body()), &mut body);
        let _ = seal(segment::owner(index), &body, &mut bytes);
        let begun = self
            .storage
            .append(&name, &bytes)
            .and_then(|()| self.storage.sync(&name))
            .and_then(|()| self.storage.sync_names());
        if let Err(error) = begun {
            if self.storage.remove(&name).is_err() {
                self.index_next = self.index_next.saturating_add(1);
            }
            return Err(error);
        }
        self.index_next = self.index_next.saturating_add(1);
        self.row.push(Segment {
            name,
            index,
            first: u64::MAX,
            last: 0,
            bytes: bytes.len() as u64,
        });
        self.active = true;
        self.is_bare = true;
        self.start = None;
        Ok(())
    }

    /// One write and one sync of one frame: all of it survives, or nothing.
    fn flush(&mut self, body: &[u8], range: (u64, u64)) -> io::Result<()> {
        let Some(segment) = self.row.last_mut() else {
            return Ok(());
        };
        if body.is_empty() {
            return Ok(());
        }
        let mut pending = Vec::with_capacity(FRAME_HEAD_BYTES + body.len());
        let _ = seal(segment::owner(segment.index), body, &mut pending);
        // Noted before the attempt: whatever part arrives, the segment is not removed while its events wait.
        segment.first = segment.first.min(range.0);
        segment.last = segment.last.max(range.1);
        segment.bytes += pending.len() as u64;
        self.storage.append(&segment.name, &pending)?;
        self.storage.sync(&segment.name)?;
        self.is_bare = false;
        self.next = self.next.max(range.1.saturating_add(1));
        Ok(())
    }

    /// Removes segments all of whose events are settled or folded, except the one with the newest event.
    pub fn forget(&mut self) {
        if !self.active {
            return;
        }
        let Some((newest, older)) = self.row.split_last() else {
            return;
        };
        let mut kept = Vec::with_capacity(self.row.len());
        for segment in older {
            let is_newest = segment.last.saturating_add(1) >= self.next;
            let needed = is_newest || !self.folds.cover(segment.first, segment.last, self.settled);
            if needed || self.storage.remove(&segment.name).is_err() {
                kept.push(segment.clone());
            }
        }
        kept.push(newest.clone());
        self.row = kept;
    }

    fn is_full(&self, more: usize) -> bool {
        let bytes = self.row.last().map_or(0, |segment| segment.bytes);
        bytes > FRAME_HEAD_BYTES as u64 && bytes + (FRAME_HEAD_BYTES + more) as u64 > SEGMENT_BYTES_MAX
    }
}
