//! Places in an entry: its parts, one behind the other in one space of positions. A file is one part; of a presentation
//! each segment is one. It holds no bytes.
//!
//! A position is the millisecond at which its part begins (its key), then the offset in the part. So positions are in
//! the order of the sound, a position can be sought before anybody knows which segment will be there, and chunks,
//! holes, cursors and limits need not know of parts.

use std::ops::Range;
use std::time::Duration;

use super::answer::Validator;

/// Bits of the offset: no file and no segment is longer than 64 GiB.
const OFFSET_BITS: u32 = 36;
/// Positions of one part.
pub const PART_BYTES: u64 = 1 << OFFSET_BITS;
/// Where no part begins any more: 74 hours.
const KEY_MAX: u32 = u32::MAX >> (OFFSET_BITS - 32);
/// The position behind the last byte of an entry.
pub const END: u64 = u64::MAX;

/// A host that announces bytes and ends well without one of them this often in a row does not have them: once or twice
/// may be a host behind it that is not well, and each try waits longer than the one before.
const EMPTY_ANSWERS_MAX: u8 = 4;

/// Position of the first byte of a part.
pub fn origin(key: u32) -> u64 {
    u64::from(key.min(KEY_MAX)) << OFFSET_BITS
}

/// Part that a position lies in, or the millisecond of it.
pub fn key_of(position: u64) -> u32 {
    u32::try_from(position >> OFFSET_BITS).unwrap_or(KEY_MAX)
}

/// Key of what begins at `time`: to the nearest, because manifests round.
pub fn key_at(time: Duration) -> u32 {
    let ms = time.saturating_add(Duration::from_micros(500)).as_millis();
    u32::try_from(ms).unwrap_or(KEY_MAX).min(KEY_MAX)
}

/// The moment of a key.
pub fn time_of(key: u32) -> Duration {
    Duration::from_millis(key.into())
}

/// How the host deals with `Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Honoured, as far as is known.
    Honoured,
    /// Every answer begins at the first byte.
    Ignored,
}

/// One resource of an entry.
#[derive(Clone, Debug)]
pub struct Part {
    /// Tells this part from another one that had its key before.
    pub serial: u32,
    /// Where it is.
    pub url: String,
    /// Of what is there, these bytes only.
    pub range: Option<Range<u64>>,
    /// Length of what is there, once an answer or its end told.
    pub file_total: Option<u64>,
    /// Answers in a row that ended well, before the announced end, and without a byte.
    pub empty_answers: u8,
    /// The head of an answer was seen, so what is not known now will not be known before the end.
    pub answered: bool,
    /// The version that the bytes belong to.
    pub validator: Validator,
    /// Type the host gave.
    pub content_type: Option<String>,
    /// Whether holes can be filled one by one.
    pub ranges: Ranges,
    /// What it is of a presentation; `None`: the entry is one file.
    pub sound: Option<Sound>,
}

/// A segment's place in its presentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Number of the representation within the entry.
    pub representation: u32,
    /// Number of the segment within the representation.
    pub number: u32,
    /// Where it begins.
    pub begin: Duration,
    /// How long it is to be heard, if the manifest tells.
    pub length: Option<Duration>,
    /// Position of what comes behind it, or [`END`].
    pub next: u64,
    /// Nothing of it is heard: a decoder gets going on it.
    pub is_lead: bool,
}

impl Part {
    /// The whole of an address.
    pub const fn file(serial: u32, url: String) -> Self {
        Self {
            serial,
            url,
            range: None,
            file_total: None,
            empty_answers: 0,
            answered: false,
            validator: Validator {
                etag: None,
                modified: None,
            },
            content_type: None,
            ranges: Ranges::Honoured,
            sound: None,
        }
    }

    /// Its first byte at its address.
    pub fn base(&self) -> u64 {
        self.range.as_ref().map_or(0, |range| range.start)
    }

    /// Its length, once known.
    pub fn total(&self) -> Option<u64> {
        match &self.range {
            Some(range) => Some(range.end.saturating_sub(range.start)),
            None => self.file_total,
        }
    }

    /// Position of what comes behind it.
    pub fn next(&self) -> u64 {
        self.sound.as_ref().map_or(END, |sound| sound.next)
    }

    /// Takes in that an answer ended too early, at `at`, as if all was well. True: the host announces bytes that it does
    /// not have.
    pub fn is_hollow(&mut self, start: u64, at: u64) -> bool {
        self.empty_answers = if at > start {
            0
        } else {
            self.empty_answers.saturating_add(1)
        };
        self.empty_answers >= EMPTY_ANSWERS_MAX
    }

    /// Nothing is known of its bytes any more.
    pub fn reset(&mut self) {
        self.file_total = None;
        self.empty_answers = 0;
        self.validator = Validator::default();
        self.answered = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_in_the_order_of_the_sound() {
        let later = origin(4_000);
        assert!(origin(3_999) + PART_BYTES - 1 < later && later < END);
        assert_eq!((key_of(later), key_of(later + 70_000)), (4_000, 4_000));
        assert_eq!(key_at(Duration::from_micros(3_999_600)), 4_000);
        assert_eq!(key_of(END), KEY_MAX);
        assert_eq!(key_at(Duration::MAX), KEY_MAX);
    }
}
