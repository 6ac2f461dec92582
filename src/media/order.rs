//! One request to a media host: for whose bytes, and where they belong. It is made by `state` and served by `fetch`.

use super::body::Body;
use super::part::{END, Ranges, key_of, origin};
use super::plan::Document;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Bytes of a part, into chunks.
    Media {
        /// The part.
        key: u32,
        /// Its serial number: another part may have taken its place when the answer comes.
        part: u32,
        /// Its first byte at its address.
        base: u64,
        /// Its end there, if a manifest tells.
        bound: Option<u64>,
    },
    /// Something small, whole.
    Document(Document),
}

/// A request to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whose bytes.
    pub serial: u64,
    /// Which of them.
    pub subject: Subject,
    /// From where.
    pub url: String,
    /// First byte wanted, as the address counts.
    pub start: u64,
    /// After the last byte wanted; `None` for all there are.
    pub end: Option<u64>,
    /// Position in the entry of what is wanted, or of what is wanted it for.
    pub at: u64,
    /// The host honours ranges, as far as is known.
    pub ranges: Ranges,
}

impl Order {
    /// The media bytes from position `at` on, up to `limit`, in a part that is there.
    pub fn media(body: &Body, at: u64, limit: u64) -> Option<Self> {
        let (key, part) = body.part_over(at)?;
        let first = origin(key);
        let (base, bound) = (part.base(), part.range.as_ref().map(|range| range.end));
        let place = |position: u64| base.saturating_add(position.saturating_sub(first));
        let hole_end = body.hole_end(at).unwrap_or(END);
        let stop = limit.min(hole_end);
        // Up to the very end the range stays open: some hosts dislike a last byte they have to check.
        let end = if key_of(stop) == key && stop != END && !body.is_long_text {
            Some(place(stop))
        } else {
            bound
        };
        Some(Self {
            serial: body.serial,
            subject: Subject::Media {
                key,
                part: part.serial,
                base,
                bound,
            },
            url: part.url.clone(),
            start: place(at),
            end,
            at,
            ranges: part.ranges,
        })
    }

    /// The manifest again, from the entry's address.
    pub fn manifest(body: &Body, at: u64) -> Self {
        Self {
            serial: body.serial,
            subject: Subject::Document(Document::Manifest),
            url: body.url.clone(),
            start: 0,
            end: None,
            at,
            ranges: Ranges::Honoured,
        }
    }

    /// Position in the entry of a byte at the address; 0 for documents, which have none.
    pub fn position(&self, place: u64) -> u64 {
        match self.subject {
            Subject::Media { key, base, .. } => origin(key).saturating_add(place.saturating_sub(base)),
            Subject::Document(_) => 0,
        }
    }
}
