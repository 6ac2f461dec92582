//! What a manifest says there is: periods, representations, segments. Words and reckoning; `read` makes them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::codec::Codec;
use super::error::ManifestError;
use super::index::Index;
use super::protection::Encryption;

/// A manifest, read.
#[derive(Clone, Debug)]
pub struct Presentation {
    /// Length of the whole as announced, to its precision (often milliseconds). `None`: not announced.
    pub length: Option<Duration>,
    /// In order; at least one.
    pub periods: Vec<Period>,
}

/// A stretch of the presentation with representations of its own. Between two periods everything may change.
#[derive(Clone, Debug)]
pub struct Period {
    /// Where it begins in the presentation.
    pub start: Duration,
    /// `None`: only of the last one, if the manifest does not tell.
    pub length: Option<Duration>,
    /// Those with sound, in the manifest's order: what is equal in all of them (language, role) is the listener's choice
    /// made already. May be empty.
    pub representations: Vec<Representation>,
}

/// One way of having the sound of a period.
#[derive(Clone, Debug)]
pub struct Representation {
    /// The manifest's name of it.
    pub id: String,
    /// Bits a second that it takes, by the manifest.
    pub bandwidth_bps: u64,
    /// What is to be decoded.
    pub codec: Codec,
    /// Type of its container, in lower case; `audio/mp4` is what can be played from segments. `None`: not told.
    pub mime: Option<String>,
    /// Frames a second; the higher one where the manifest tells a range.
    pub rate_hz: Option<u32>,
    /// Channels.
    pub channels: Option<u32>,
    /// Bits of a sample. No attribute of the standard tells it: `None` until whoever has read the description says so
    /// ([`bits`](super::bits)).
    pub bits: Option<u8>,
    /// How it is encrypted and what a licence is asked for with. `None`: it is in the clear, by the manifest.
    pub encryption: Option<Arc<Encryption>>,
    /// The initialisation. `None`: the segments bring it along (a file that is one segment).
    pub description: Option<Resource>,
    /// Time in the presentation of media time 0: the period's start less the presentation time offset, in ticks of
    /// `timescale`.
    pub origin_ticks: i64,
    /// Ticks a second of `origin_ticks`; not zero.
    pub timescale: u32,
    /// The presentation time offset, in ticks of `timescale`.
    pub(super) offset_ticks: u64,
    pub(super) index: Index,
    pub(super) period_start: Duration,
    pub(super) period_length: Option<Duration>,
}

/// Bytes that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Absolute.
    pub url: String,
    /// Of those, these bytes only, the end excluded. `None`: all.
    pub range: Option<Range<u64>>,
}

/// Where a segment is and when it sounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its bytes.
    pub resource: Resource,
    /// Where it begins in the presentation.
    pub begin: Duration,
    /// How long it sounds, by the manifest. `None`: one file is the whole of a period whose length is not told.
    pub length: Option<Duration>,
}

impl Presentation {
    /// Where what it names ends, by the representation that goes furthest. `None`: that shows in segment indices only.
    pub fn end(&self) -> Option<Duration> {
        let last = self.periods.last()?;
        let named = last.representations.iter().filter_map(Representation::end).max();
        let length = || last.length.map(|length| last.start.saturating_add(length));
        named.or_else(length).or(self.length)
    }
}

impl Representation {
    /// Memory of what no other representation has a share in, segment indices left out.
    pub fn memory_bytes(&self) -> usize {
        let description = self
            .description
            .as_ref()
            .map_or(0, |description| description.url.capacity());
        let names = self.id.capacity() + self.mime.as_ref().map_or(0, String::capacity);
        size_of::<Self>() + names + description + self.index.memory_bytes()
    }

    /// Where its last segment ends.
    fn end(&self) -> Option<Duration> {
        let last = self.segment(self.count()?.checked_sub(1)?)?;
        Some(last.begin.saturating_add(last.length?))
    }

    /// The segment of that number, counted from 0. `None`: there is none, or the segment index is not there yet.
    pub fn segment(&self, number: u32) -> Option<Segment> {
        self.index.segment(self, number)
    }

    /// How many segments there are. `None`: the segment index is not there yet.
    pub fn count(&self) -> Option<u32> {
        self.index.count()
    }

    /// Number of the segment that sounds at `at` of the presentation: the first one before its begin, the one before in a
    /// gap. `None`: the representation ends before, or the segment index is not there yet.
    pub fn number_at(&self, at: Duration) -> Option<u32> {
        self.index.number_at(self, at)
    }

    /// The segment index (`sidx`), if it has to be fetched and given to [`Representation::with_sidx`] first.
    pub fn sidx(&self) -> Option<&Resource> {
        self.index.sidx()
    }

    /// Takes the segment index: the bytes that [`Representation::sidx`] names.
    ///
    /// # Errors
    /// It is damaged, absurd, or leads to further indices. The representation is as before.
    pub fn with_sidx(&mut self, bytes: &[u8]) -> Result<(), ManifestError> {
        self.index.with_sidx(bytes)
    }
}
