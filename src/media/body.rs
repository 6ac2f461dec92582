//! Bytes of one entry, possibly with holes, and the cursors of those who read them. It neither fetches nor waits.

use std::collections::BTreeMap;
use std::time::Instant;

use tonearm_core::effect::Extent;
use tonearm_core::id::EntryKey;
use tonearm_core::input::MediaFault;
use tonearm_core::limits::FRESH_ADDRESSES_MAX;
use tonearm_core::unit::Millis;

use super::answer::{self, Head, Meaning};
use super::part::{END, PART_BYTES, Part, Ranges, key_of, origin};
use super::plan::Plan;
use super::pool::{CHUNK_BYTES, Chunk, Pool};

/// Size of a chunk as a position.
pub const CHUNK: u64 = CHUNK_BYTES as u64;

/// How one reader stands to the body.
#[derive(Debug)]
pub struct Cursor {
    /// Number of the reader.
    pub reader: u64,
    /// Number of the opening it belongs to: they end together.
    pub opening: u64,
    /// Position it reads next.
    pub at: u64,
    /// It stands before a hole.
    pub waiting: bool,
    /// It took bytes, so the bytes must not change under it.
    pub consumed: bool,
    /// It reads no more; only its owner has not let go yet.
    pub cancelled: bool,
}

/// What an entry turned out to be.
#[derive(Debug)]
pub enum Sort {
    /// Nothing of it has come yet.
    Unknown,
    /// One file.
    File,
    /// Segments, by a manifest.
    Plan(Box<Plan>),
}

/// Bytes of one entry.
pub struct Body {
    /// Number of this body; never used again.
    pub serial: u64,
    /// The entry.
    pub entry: EntryKey,
    /// Which address of the entry.
    pub attempt: u8,
    /// The address.
    pub url: String,
    /// Announced length of the entry.
    pub duration: Option<Millis>,
    /// What it is.
    pub sort: Sort,
    /// The text at its address is longer than the range that was asked for.
    pub is_long_text: bool,
    /// The manifest was fetched again because it named too little.
    pub is_doubted: bool,
    /// Its resources, by their keys.
    pub parts: BTreeMap<u32, Part>,
    /// The bytes, by chunk number.
    pub chunks: BTreeMap<u64, Chunk>,
    /// Why there will be no more bytes, and in words.
    pub fault: Option<(MediaFault, String)>,
    /// Who reads.
    pub cursors: Vec<Cursor>,
    /// Failed tries in a row.
    pub trouble: u32,
    /// Not asked again before this moment.
    pub not_before: Option<Instant>,
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its bytes are wanted, from `first` on; `end` is where they are announced to end.
    Go {
        /// Place of the first byte that comes, at its address.
        first: u64,
        /// Place after the last byte that comes, if announced.
        end: Option<u64>,
    },
    /// Ask again, differently.
    Again(&'static str),
    /// The host asks to wait.
    Later(Option<u64>),
    /// There will be no more bytes.
    Fault(MediaFault, String),
}

impl Body {
    /// A body without bytes.
    pub fn new(serial: u64, entry: EntryKey, attempt: u8, url: String, duration: Option<Millis>) -> Self {
        Self {
            serial,
            entry,
            attempt,
            parts: BTreeMap::from([(0, Part::file(0, url.clone()))]),
            url,
            duration,
            sort: Sort::Unknown,
            is_long_text: false,
            is_doubted: false,
            chunks: BTreeMap::new(),
            fault: None,
            cursors: Vec::new(),
            trouble: 0,
            not_before: None,
        }
    }

    /// Goes on with a fresh address of the same entry. The bytes stay; the next answer shows whether they still belong.
    pub fn renew(&mut self, attempt: u8, url: String, pool: &mut Pool) {
        if matches!(self.fault, Some((MediaFault::Unplayable, _))) && !self.is_consumed() {
            self.forget(pool);
        }
        self.attempt = attempt;
        self.url = url;
        self.fault = None;
        self.is_long_text = false;
        match &mut self.sort {
            Sort::Plan(plan) => plan.is_stale = true,
            Sort::Unknown | Sort::File => {
                for part in self.parts.values_mut() {
                    part.url.clone_from(&self.url);
                    part.ranges = Ranges::Honoured;
                }
            }
        }
        self.trouble = 0;
        self.not_before = None;
    }

    /// Back to nothing.
    pub fn forget(&mut self, pool: &mut Pool) {
        for chunk in std::mem::take(&mut self.chunks).into_values() {
            pool.give(chunk);
        }
        self.sort = Sort::Unknown;
        self.parts = BTreeMap::from([(0, Part::file(0, self.url.clone()))]);
    }

    /// What is there belongs to segments of `plan` from now on.
    pub fn adopt(&mut self, plan: Plan, pool: &mut Pool) {
        self.forget(pool);
        self.parts.clear();
        self.sort = Sort::Plan(Box::new(plan));
    }

    /// The manifest's entry, if it is one.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.sort {
            Sort::Plan(plan) => Some(plan),
            Sort::Unknown | Sort::File => None,
        }
    }

    /// The manifest's entry, if it is one.
    pub fn plan_mut(&mut self) -> Option<&mut Plan> {
        match &mut self.sort {
            Sort::Plan(plan) => Some(plan),
            Sort::Unknown | Sort::File => None,
        }
    }

    /// Drops the bytes of one part.
    pub fn empty(&mut self, key: u32, pool: &mut Pool) {
        let first = origin(key) / CHUNK;
        let mut rest = self.chunks.split_off(&first);
        let mut later = rest.split_off(&(first + PART_BYTES / CHUNK));
        self.chunks.append(&mut later);
        for chunk in rest.into_values() {
            pool.give(chunk);
        }
    }

    /// Drops a part, as if it had never been decided on.
    pub fn unplan(&mut self, key: u32, pool: &mut Pool) {
        self.empty(key, pool);
        self.parts.remove(&key);
    }

    /// Drops parts without bytes that nobody is at.
    pub fn prune(&mut self) {
        let Self {
            parts, chunks, cursors, ..
        } = self;
        parts.retain(|key, _| {
            let first = origin(*key) / CHUNK;
            chunks.range(first..first + PART_BYTES / CHUNK).next().is_some()
                || cursors.iter().any(|cursor| key_of(cursor.at) == *key)
        });
    }

    /// Somebody who still reads took bytes.
    pub fn is_consumed(&self) -> bool {
        self.live().any(|cursor| cursor.consumed)
    }

    /// Somebody who still reads took bytes of this part.
    pub fn is_part_consumed(&self, key: u32) -> bool {
        self.live().any(|cursor| cursor.consumed && key_of(cursor.at) == key)
    }

    /// Cursors that still read.
    pub fn live(&self) -> impl Iterator<Item = &Cursor> {
        self.cursors.iter().filter(|cursor| !cursor.cancelled)
    }

    /// Lowest position somebody still reads at.
    pub fn base(&self) -> Option<u64> {
        self.live().map(|cursor| cursor.at).min()
    }

    /// Cursor of one reader.
    pub fn cursor(&mut self, reader: u64) -> Option<&mut Cursor> {
        self.cursors.iter_mut().find(|cursor| cursor.reader == reader)
    }

    /// The part that sounds at the millisecond of a position, with its key.
    pub fn part_over(&self, at: u64) -> Option<(u32, &Part)> {
        let (key, part) = self.parts.range(..=key_of(at)).next_back()?;
        (at < part.next() || *key == key_of(at)).then_some((*key, part))
    }

    /// Bytes at `at`, as far as they are there without a hole, within one chunk.
    pub fn bytes_at(&self, at: u64) -> &[u8] {
        let offset = usize::try_from(at % CHUNK).unwrap_or(usize::MAX);
        self.chunks
            .get(&(at / CHUNK))
            .and_then(|chunk| chunk.filled().get(offset..))
            .unwrap_or_default()
    }

    /// First byte at or after `from` that is not there; [`END`] if all of them are.
    pub fn missing_from(&self, from: u64) -> u64 {
        let mut at = from;
        while at != END {
            if self
                .plan()
                .and_then(|plan| plan.end)
                .is_some_and(|end| key_of(at) >= end)
            {
                return END;
            }
            let Some((key, part)) = self.part_over(at) else {
                return at;
            };
            let first = origin(key);
            let missing = self.missing_within(if key_of(at) == key { at } else { first });
            match part.total() {
                // Each part comes behind the one before.
                Some(total) if missing - first >= total => at = part.next(),
                Some(_) | None => return missing,
            }
        }
        END
    }

    /// First byte at or after `from` that is in no chunk.
    fn missing_within(&self, from: u64) -> u64 {
        let mut expected = from / CHUNK;
        for (index, chunk) in self.chunks.range(expected..) {
            if *index != expected || !chunk.is_full() {
                break;
            }
            expected += 1;
        }
        let partial = self.chunks.get(&expected).map_or(0, |chunk| chunk.len() as u64);
        // A hole within a chunk is filled from where the chunk's bytes end.
        expected.saturating_mul(CHUNK).saturating_add(partial)
    }

    /// Where the hole at `at` ends because later bytes of the same part are there already.
    pub fn hole_end(&self, at: u64) -> Option<u64> {
        let next = (at / CHUNK).saturating_add(1);
        let end = self
            .chunks
            .range(next..)
            .next()
            .map(|(index, _)| index.saturating_mul(CHUNK));
        end.filter(|end| key_of(*end) == key_of(at))
    }

    /// Every byte is there.
    pub fn is_complete(&self) -> bool {
        self.missing_from(0) == END
    }

    /// Bytes that are there.
    pub fn loaded(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.len() as u64).sum()
    }

    /// Length in bytes, where that is known: of a file.
    pub fn total(&self) -> Option<u64> {
        match self.sort {
            Sort::Plan(_) => None,
            Sort::Unknown | Sort::File => self.parts.get(&0)?.total(),
        }
    }

    /// Position up to which bytes are wished; [`END`] if all are. Whoever reads needs the whole.
    pub fn limit(&self, extent: Extent, head_bytes: u64) -> u64 {
        let sound = match extent {
            Extent::Head(sound) if self.live().next().is_none() => sound,
            Extent::Head(_) | Extent::Whole => return END,
        };
        if sound == Millis::ZERO {
            return 0;
        }
        match self.sort {
            Sort::Plan(_) => origin(sound.0),
            Sort::Unknown | Sort::File => {
                let head = self.head(sound, head_bytes);
                if self.total().is_some_and(|total| head >= total) {
                    END
                } else {
                    head
                }
            }
        }
    }

    /// Length of the head: its share of the whole where that is known.
    fn head(&self, sound: Millis, head_bytes: u64) -> u64 {
        match (self.total(), self.duration) {
            (Some(total), Some(Millis(duration_ms))) if duration_ms > 0 => {
                let share = u128::from(total) * u128::from(sound.0) / u128::from(duration_ms);
                u64::try_from(share).unwrap_or(u64::MAX).max(CHUNK)
            }
            (Some(_) | None, Some(_) | None) => head_bytes,
        }
    }

    /// Takes in the head of an answer to a request for the bytes of part `key` from `start` of its address on.
    pub fn admit(&mut self, head: &Head, key: u32, start: u64, pool: &mut Pool) -> Admission {
        let (first, end, total, ranged) = match answer::meaning(head) {
            Meaning::Bytes {
                first,
                end,
                total,
                ranged,
            } => (first, end, total, ranged),
            Meaning::Outside { total } => return self.admit_outside(total, key, start, pool),
            Meaning::NoRanges => {
                self.ignore_ranges(key);
                return Admission::Again("the host mishandles ranges");
            }
            Meaning::Later { retry_after_s } => return Admission::Later(retry_after_s),
            Meaning::Fault(fault, reason) => return self.refuse(fault, reason),
        };
        let Some(part) = self.parts.get(&key) else {
            return Admission::Again("its part is not wanted any more");
        };
        if total == Some(0) {
            return Admission::Fault(MediaFault::Unplayable, "it is empty".to_owned());
        }
        if let (Some(total), Some(range)) = (total, &part.range)
            && total < range.end
        {
            let reason = format!("the manifest names bytes up to {} of {total}", range.end);
            return Admission::Fault(MediaFault::Unplayable, reason);
        }
        let other_total = part.file_total.is_some() && total.is_some() && part.file_total != total;
        if (other_total || part.validator.contradicts(&head.validator))
            && let Some(refusal) = self.replace(key, first > 0, pool)
        {
            return refusal;
        }
        if !ranged {
            self.ignore_ranges(key);
        }
        let Some(part) = self.parts.get_mut(&key) else {
            return Admission::Again("its part is not wanted any more");
        };
        part.answered = true;
        part.file_total = part.file_total.or(total);
        if !head.validator.is_empty() {
            part.validator.clone_from(&head.validator);
        }
        part.content_type.clone_from(&head.content_type);
        if first > start || (ranged && end.is_some_and(|end| end <= start)) {
            self.ignore_ranges(key);
            return Admission::Again("the host sent another range than it was asked for");
        }
        Admission::Go { first, end }
    }

    /// What a refusal by the host means for the entry.
    pub fn refuse(&self, fault: MediaFault, reason: String) -> Admission {
        // The session asks for so many fresh addresses and no more: its last one was this.
        if fault == MediaFault::Expired && self.attempt >= FRESH_ADDRESSES_MAX {
            return Admission::Fault(MediaFault::Unplayable, format!("{reason} at every fresh address"));
        }
        Admission::Fault(fault, reason)
    }

    fn ignore_ranges(&mut self, key: u32) {
        if let Some(part) = self.parts.get_mut(&key) {
            part.ranges = Ranges::Ignored;
        }
    }

    /// The host says that there is nothing from `start` on.
    fn admit_outside(&mut self, total: Option<u64>, key: u32, start: u64, pool: &mut Pool) -> Admission {
        let part = self.parts.get_mut(&key);
        if start == 0 || part.as_ref().is_some_and(|part| part.range.is_some()) {
            return Admission::Fault(MediaFault::Unplayable, "it is empty there".to_owned());
        }
        if let Some(part) = part.filter(|part| part.file_total.is_none() && total.is_none_or(|total| total == start)) {
            // Its length was never announced; this is how its end shows.
            part.file_total = Some(start);
            return Admission::Again("the end is found");
        }
        self.replace(key, true, pool)
            .unwrap_or(Admission::Again("the file became shorter"))
    }

    /// The file changed. Starts over while nobody has heard any of it; else the sound would be stitched from two files.
    fn replace(&mut self, key: u32, is_late: bool, pool: &mut Pool) -> Option<Admission> {
        if self.is_part_consumed(key) {
            let reason = "it changed at the host while it was being read".to_owned();
            return Some(Admission::Fault(MediaFault::Unplayable, reason));
        }
        self.empty(key, pool);
        if let Some(part) = self.parts.get_mut(&key) {
            part.reset();
        }
        is_late.then_some(Admission::Again("the file changed at the host"))
    }

    /// Name of the format for whoever decodes: the path's extension, else the type's second half.
    pub fn hint(&self) -> Option<String> {
        answer::extension_of(&self.url)
            .filter(|_| !answer::is_manifest(&self.url))
            .or_else(|| answer::format_of(self.parts.get(&0)?.content_type.as_deref()?))
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
