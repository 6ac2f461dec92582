//! Bytes of one entry, possibly with holes, and the cursors of those who read them. It neither fetches nor waits.

use std::collections::BTreeMap;
use std::time::Instant;

use tonearm_core::effect::Extent;
use tonearm_core::id::EntryKey;
use tonearm_core::input::MediaFault;
use tonearm_core::limits::FRESH_ADDRESSES_MAX;
use tonearm_core::unit::Millis;

use super::answer::{self, Head, Meaning, Validator};
use super::pool::{CHUNK_BYTES, Chunk, Pool};

/// Size of a chunk as a position.
pub const CHUNK: u64 = CHUNK_BYTES as u64;
/// Sound in the head of an entry [`Extent::Head`].
const HEAD_MS: u64 = 30_000;

/// How one reader stands to the body.
#[derive(Debug)]
pub struct Cursor {
    /// Number of the reader.
    pub reader: u64,
    /// Position it reads next.
    pub at: u64,
    /// It stands before a hole.
    pub waiting: bool,
    /// It took bytes, so the bytes must not change under it.
    pub consumed: bool,
    /// It reads no more; only its owner has not let go yet.
    pub cancelled: bool,
}

/// How the host deals with `Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Honoured, as far as is known.
    Honoured,
    /// Every answer begins at the first byte.
    Ignored,
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
    /// Length in bytes, once an answer or its end told.
    pub total: Option<u64>,
    /// The head of an answer was seen, so what is not known now will not be known before the end.
    pub answered: bool,
    /// The version that the bytes belong to.
    pub validator: Validator,
    /// Type the host gave.
    pub content_type: Option<String>,
    /// Whether holes can be filled one by one.
    pub ranges: Ranges,
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
        /// Position of the first byte that comes.
        first: u64,
        /// Position after the last byte that comes, if announced.
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
    pub const fn new(serial: u64, entry: EntryKey, attempt: u8, url: String, duration: Option<Millis>) -> Self {
        Self {
            serial,
            entry,
            attempt,
            url,
            duration,
            total: None,
            answered: false,
            validator: Validator {
                etag: None,
                modified: None,
            },
            content_type: None,
            ranges: Ranges::Honoured,
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
        self.ranges = Ranges::Honoured;
        self.trouble = 0;
        self.not_before = None;
    }

    /// Back to nothing.
    pub fn forget(&mut self, pool: &mut Pool) {
        for chunk in std::mem::take(&mut self.chunks).into_values() {
            pool.give(chunk);
        }
        self.total = None;
        self.validator = Validator::default();
        self.answered = false;
    }

    /// Somebody who still reads took bytes.
    pub fn is_consumed(&self) -> bool {
        self.live().any(|cursor| cursor.consumed)
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

    /// Bytes at `at`, as far as they are there without a hole, within one chunk.
    pub fn bytes_at(&self, at: u64) -> &[u8] {
        let offset = usize::try_from(at % CHUNK).unwrap_or(usize::MAX);
        self.chunks
            .get(&(at / CHUNK))
            .and_then(|chunk| chunk.filled().get(offset..))
            .unwrap_or_default()
    }

    /// First byte at or after `from` that is not there. May be the end of the body.
    pub fn missing_from(&self, from: u64) -> u64 {
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

    /// Where the hole at `at` ends because later bytes are there already.
    pub fn hole_end(&self, at: u64) -> Option<u64> {
        let next = (at / CHUNK).saturating_add(1);
        self.chunks
            .range(next..)
            .next()
            .map(|(index, _)| index.saturating_mul(CHUNK))
    }

    /// Every byte is there.
    pub fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.missing_from(0) >= total)
    }

    /// Bytes that are there.
    pub fn loaded(&self) -> u64 {
        self.chunks.values().map(|chunk| chunk.len() as u64).sum()
    }

    /// Position up to which bytes are wished. Whoever reads needs the whole.
    pub fn limit(&self, extent: Extent, head_bytes: u64) -> u64 {
        let total = self.total.unwrap_or(u64::MAX);
        let whole = extent == Extent::Whole || self.live().next().is_some();
        if whole { total } else { total.min(self.head(head_bytes)) }
    }

    /// Length of the head: its share of the whole where that is known.
    fn head(&self, head_bytes: u64) -> u64 {
        match (self.total, self.duration) {
            (Some(total), Some(Millis(duration_ms))) if duration_ms > 0 => {
                let share = u128::from(total) * u128::from(HEAD_MS) / u128::from(duration_ms);
                u64::try_from(share).unwrap_or(u64::MAX).max(CHUNK)
            }
            (Some(_) | None, Some(_) | None) => head_bytes,
        }
    }

    /// Takes in the head of an answer to a request for the bytes from `start` on.
    pub fn admit(&mut self, head: &Head, start: u64, pool: &mut Pool) -> Admission {
        let (first, end, total, ranged) = match answer::meaning(head) {
            Meaning::Bytes {
                first,
                end,
                total,
                ranged,
            } => (first, end, total, ranged),
            Meaning::Outside { total } => return self.admit_outside(total, start, pool),
            Meaning::NoRanges => {
                self.ranges = Ranges::Ignored;
                return Admission::Again("the host mishandles ranges");
            }
            Meaning::Later { retry_after_s } => return Admission::Later(retry_after_s),
            // The session asks for so many fresh addresses and no more: its last one was this.
            Meaning::Fault(MediaFault::Expired, reason) if self.attempt >= FRESH_ADDRESSES_MAX => {
                return Admission::Fault(MediaFault::Unplayable, format!("{reason} at every fresh address"));
            }
            Meaning::Fault(fault, reason) => return Admission::Fault(fault, reason),
        };
        if total == Some(0) {
            return Admission::Fault(MediaFault::Unplayable, "it is empty".to_owned());
        }
        if self.differs(total, &head.validator)
            && let Some(refusal) = self.replace(first, pool)
        {
            return refusal;
        }
        if !ranged {
            self.ranges = Ranges::Ignored;
        }
        self.answered = true;
        self.total = self.total.or(total);
        if head.validator != Validator::default() {
            self.validator.clone_from(&head.validator);
        }
        self.content_type.clone_from(&head.content_type);
        if first > start || (ranged && end.is_some_and(|end| end <= start)) {
            self.ranges = Ranges::Ignored;
            return Admission::Again("the host sent another range than it was asked for");
        }
        Admission::Go { first, end }
    }

    /// The host says that there is nothing from `start` on.
    fn admit_outside(&mut self, total: Option<u64>, start: u64, pool: &mut Pool) -> Admission {
        if start == 0 {
            return Admission::Fault(MediaFault::Unplayable, "it is empty".to_owned());
        }
        if self.total.is_none() && total.is_none_or(|total| total == start) {
            // Its length was never announced; this is how its end shows.
            self.total = Some(start);
            return Admission::Again("the end is found");
        }
        self.replace(start, pool)
            .unwrap_or(Admission::Again("the file became shorter"))
    }

    /// Whether an answer is about another file than the bytes that are there.
    fn differs(&self, total: Option<u64>, validator: &Validator) -> bool {
        let other_total = self.total.is_some() && total.is_some() && self.total != total;
        other_total || self.validator.contradicts(validator)
    }

    /// The file changed. Starts over while nobody has heard any of it; else the sound would be stitched from two files.
    fn replace(&mut self, first: u64, pool: &mut Pool) -> Option<Admission> {
        if self.is_consumed() {
            let reason = "it changed at the host while it was being read".to_owned();
            return Some(Admission::Fault(MediaFault::Unplayable, reason));
        }
        self.forget(pool);
        (first > 0).then_some(Admission::Again("the file changed at the host"))
    }

    /// Sound that is loaded, estimated from the share of bytes.
    pub fn loaded_length(&self) -> Option<Millis> {
        let (total, duration) = (self.total.filter(|total| *total > 0)?, self.duration?);
        let share = u128::from(duration.0) * u128::from(self.loaded()) / u128::from(total);
        Some(Millis(u32::try_from(share).unwrap_or(u32::MAX).min(duration.0)))
    }

    /// Name of the format for whoever decodes: the path's extension, else the type's second half.
    pub fn hint(&self) -> Option<String> {
        answer::extension_of(&self.url).or_else(|| {
            let kind = self.content_type.as_deref()?;
            let known = [
                ("audio/mpeg", "mp3"),
                ("audio/mp4", "m4a"),
                ("video/mp4", "mp4"),
                ("audio/flac", "flac"),
                ("audio/x-flac", "flac"),
                ("audio/ogg", "ogg"),
                ("application/ogg", "ogg"),
                ("audio/aac", "aac"),
                ("audio/wav", "wav"),
                ("audio/x-wav", "wav"),
            ];
            known
                .iter()
                .find(|(name, _)| *name == kind)
                .map(|(_, extension)| (*extension).to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Body {
        Body::new(1, EntryKey(1), 0, "http://h/a.mp3".into(), Some(Millis(60_000)))
    }

    fn fill(body: &mut Body, pool: &mut Pool, index: u64, length: usize) {
        let mut chunk = pool.take().unwrap();
        chunk.append(&vec![7; length]);
        body.chunks.insert(index, chunk);
    }

    fn head(status: u16, range: Option<&str>, length: u64, validator: &str) -> Head {
        Head {
            status,
            content_range: range.map(str::to_owned),
            length: Some(length),
            validator: Validator {
                etag: Some(validator.to_owned()),
                modified: None,
            },
            ..Head::default()
        }
    }

    fn reading(at: u64) -> Cursor {
        Cursor {
            reader: 1,
            at,
            waiting: false,
            consumed: true,
            cancelled: false,
        }
    }

    #[test]
    fn holes_are_found_within_and_between_chunks() {
        let (mut body, mut pool) = (body(), Pool::new(8 * CHUNK_BYTES));
        assert_eq!(body.missing_from(5), 0, "the chunk is filled from its start");
        fill(&mut body, &mut pool, 0, CHUNK_BYTES);
        fill(&mut body, &mut pool, 1, 10);
        fill(&mut body, &mut pool, 3, CHUNK_BYTES);
        assert_eq!(body.missing_from(0), CHUNK + 10);
        assert_eq!(body.hole_end(CHUNK + 10), Some(3 * CHUNK));
        assert_eq!(body.missing_from(3 * CHUNK), 4 * CHUNK);
        assert_eq!(body.hole_end(4 * CHUNK), None);
        assert_eq!(body.loaded(), 2 * CHUNK + 10);
        body.total = Some(4 * CHUNK);
        assert!(!body.is_complete());
    }

    #[test]
    fn the_head_is_half_of_a_minute() {
        let mut body = body();
        assert_eq!(body.limit(Extent::Head, 512 * 1024), 512 * 1024, "nothing is known yet");
        body.total = Some(10 * CHUNK);
        assert_eq!(body.limit(Extent::Head, 512 * 1024), 5 * CHUNK);
        assert_eq!(body.limit(Extent::Whole, 512 * 1024), 10 * CHUNK);
        body.cursors.push(reading(0));
        assert_eq!(
            body.limit(Extent::Head, 512 * 1024),
            10 * CHUNK,
            "whoever reads needs the whole"
        );
    }

    #[test]
    fn a_changed_file_starts_over_while_nobody_heard_it() {
        let (mut body, mut pool) = (body(), Pool::new(8 * CHUNK_BYTES));
        let first = body.admit(&head(206, Some("bytes 0-9/100"), 10, "a"), 0, &mut pool);
        assert_eq!(
            first,
            Admission::Go {
                first: 0,
                end: Some(10)
            }
        );
        fill(&mut body, &mut pool, 0, 10);
        let second = body.admit(&head(206, Some("bytes 10-99/100"), 90, "b"), 10, &mut pool);
        assert!(matches!(second, Admission::Again(_)), "{second:?}");
        assert_eq!((body.loaded(), body.total), (0, None));
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_unplayable() {
        for changed in [
            head(206, Some("bytes 10-99/100"), 90, "b"),
            head(206, Some("bytes 10-98/99"), 89, "a"),
        ] {
            let (mut body, mut pool) = (body(), Pool::new(8 * CHUNK_BYTES));
            body.admit(&head(206, Some("bytes 0-9/100"), 10, "a"), 0, &mut pool);
            fill(&mut body, &mut pool, 0, 10);
            body.cursors.push(reading(10));
            let second = body.admit(&changed, 10, &mut pool);
            assert!(
                matches!(second, Admission::Fault(MediaFault::Unplayable, _)),
                "{second:?}"
            );
        }
    }

    #[test]
    fn a_fresh_address_of_the_same_file_keeps_its_bytes() {
        let (mut body, mut pool) = (body(), Pool::new(8 * CHUNK_BYTES));
        body.admit(&head(206, Some("bytes 0-9/100"), 10, "a"), 0, &mut pool);
        fill(&mut body, &mut pool, 0, 10);
        body.cursors.push(reading(10));
        body.fault = Some((MediaFault::Expired, "status 403".into()));
        body.renew(1, "http://h/b.mp3".into(), &mut pool);
        let second = body.admit(&head(206, Some("bytes 10-99/100"), 90, "a"), 10, &mut pool);
        assert_eq!(
            second,
            Admission::Go {
                first: 10,
                end: Some(100)
            }
        );
        assert_eq!((body.loaded(), body.fault), (10, None));
    }

    #[test]
    fn the_end_of_a_body_of_unknown_length_shows_as_a_range_outside() {
        let (mut body, mut pool) = (body(), Pool::new(8 * CHUNK_BYTES));
        body.admit(&head(206, Some("bytes 0-9/*"), 10, "a"), 0, &mut pool);
        fill(&mut body, &mut pool, 0, 10);
        assert!(matches!(
            body.admit(&head(416, None, 0, "a"), 10, &mut pool),
            Admission::Again(_)
        ));
        assert!(body.is_complete());
    }
}
