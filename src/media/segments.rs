//! An opened entry: first it shows whether it is a file or segments, then its segments come one after the other. It
//! blocks; it never fetches, and does not choose: what comes next was decided when it was fetched.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::body::{Body, Sort};
use super::part::{END, Sound, key_at, key_of, origin, time_of};
use super::reader::Reader;
use super::seat::{Found, Seat};

/// An entry that was opened before anything of it was there.
pub struct Opening {
    pub(super) seat: Seat,
}

/// What an entry turned out to be.
pub enum Entry {
    /// One file.
    File(Reader),
    /// Segments, by a manifest.
    Segments(Segments),
}

impl Opening {
    /// Waits for the first bytes of the entry, or for its manifest.
    ///
    /// # Errors
    /// The entry cannot be had, or is not wanted any more.
    pub fn wait(self) -> io::Result<Entry> {
        let is_file = self.seat.wait(0, |body| {
            let there = match body.sort {
                Sort::Unknown => None,
                Sort::File => Some(true),
                Sort::Plan(_) => Some(false),
            }?;
            Some(Found {
                there,
                at: 0,
                is_consumed: false,
            })
        })?;
        if is_file {
            return Ok(Entry::File(Reader::new(self.seat, 0)));
        }
        let segments = Segments { seat: self.seat, at: 0 };
        let first = segments.announced()?;
        Ok(match first.filter(Announced::is_whole) {
            Some(one) => Entry::File(Reader::new(segments.seat, one.key)),
            None => Entry::Segments(segments),
        })
    }

    /// Its bytes, taken for one file.
    #[cfg(test)]
    pub fn into_file(self) -> Reader {
        Reader::new(self.seat, 0)
    }
}

/// One segment of an entry, its bytes to be read through `M`.
pub struct Segment<M = Reader> {
    /// Number of its representation within the entry.
    pub representation: u32,
    /// The representation's description, whole. `None`: the segment brings it along.
    pub description: Option<Arc<[u8]>>,
    /// Its bytes. A [`Reader`] waits until they are there.
    pub media: M,
    /// Where it begins in the entry.
    pub begin: Duration,
    /// Time in the entry of media time 0, in ticks of `timescale`.
    pub origin_ticks: i64,
    /// Ticks a second of `origin_ticks`; not zero.
    pub timescale: u32,
    /// `pssh` boxes that the manifest tells of.
    pub pssh: Vec<Arc<[u8]>>,
}

/// What is known of a segment before its bytes.
pub(super) struct Announced {
    pub(super) key: u32,
    pub(super) sound: Sound,
    description: Option<Arc<[u8]>>,
    origin_ticks: i64,
    timescale: u32,
    pssh: Vec<Arc<[u8]>>,
}

impl Announced {
    /// The segment, with its bytes.
    pub(super) fn into_segment<M>(self, media: M) -> Segment<M> {
        Segment {
            representation: self.sound.representation,
            description: self.description,
            media,
            begin: self.sound.begin,
            origin_ticks: self.origin_ticks,
            timescale: self.timescale,
            pssh: self.pssh,
        }
    }

    /// A manifest that names one file that stands for itself: the entry is that file.
    pub(super) fn is_whole(&self) -> bool {
        self.description.is_none() && self.sound.next == END
    }
}

/// The segments of an entry, in order.
pub struct Segments {
    seat: Seat,
    /// Position of the next one, or a moment in it.
    at: u64,
}

impl Segments {
    /// The next segment; `None` behind the last. Waits until it is decided which one that is.
    ///
    /// # Errors
    /// The entry cannot be had any further, or is not wanted any more.
    pub fn next(&mut self) -> io::Result<Option<Segment>> {
        let Some(next) = self.announced()? else {
            return Ok(None);
        };
        // The new seat keeps the segment's bytes before this one moves on.
        let seat = self.seat.beside(origin(next.key))?;
        self.at = next.sound.next;
        self.stay()?;
        let media = Reader::new(seat, next.key);
        Ok(Some(next.into_segment(media)))
    }

    /// Makes the segment that sounds at `time` the next one. False: the entry ends before.
    ///
    /// # Errors
    /// As for [`Segments::next`].
    pub fn seek(&mut self, time: Duration) -> io::Result<bool> {
        self.at = origin(key_at(time));
        Ok(self.announced()?.is_some())
    }

    /// Length of the entry by its manifest, or by the service where the manifest names much less. `None`: not announced,
    /// or the entry is gone.
    pub fn length(&self) -> Option<Duration> {
        let length = self.seat.wait(self.at, |body| {
            Some(Found {
                there: body.plan().map(|_| body.length())?,
                at: self.at,
                is_consumed: false,
            })
        });
        length.ok().flatten()
    }

    /// The segment at `at`; `None` if the entry ends before.
    fn announced(&self) -> io::Result<Option<Announced>> {
        let at = self.at;
        if at == END {
            return Ok(None);
        }
        self.seat.wait(at, |body| {
            let found = look(body, at)?;
            let at = found
                .as_ref()
                .ok()
                .map_or(END, |found| found.as_ref().map_or(END, |one| origin(one.key)));
            Some(Found {
                there: found,
                at,
                is_consumed: false,
            })
        })?
    }

    /// Says where it stands, so that what lies behind may give way.
    fn stay(&self) -> io::Result<()> {
        let at = self.at;
        self.seat.wait(at, |_| {
            Some(Found {
                there: (),
                at,
                is_consumed: false,
            })
        })
    }
}

/// The segment at `at`, once it is decided on; `None` inside: the entry ends before.
pub(super) fn look(body: &Body, at: u64) -> Option<io::Result<Option<Announced>>> {
    let plan = match &body.sort {
        Sort::Plan(plan) => plan,
        Sort::File => {
            let error = "the entry was a manifest and is a file at its fresh address";
            return Some(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Sort::Unknown => return None,
    };
    if plan.end.is_some_and(|end| key_of(at) >= end) {
        return Some(Ok(None));
    }
    let (key, part) = body.part_over(at)?;
    let sound = part.sound.clone()?;
    let end = sound.length.map(|length| sound.begin.saturating_add(length));
    if sound.next == END && key_of(at) != key && end.is_some_and(|end| time_of(key_of(at)) >= end) {
        return Some(Ok(None));
    }
    // A host that does not have it may make another representation take its place.
    if !part.answered {
        return None;
    }
    let representation = plan.loaded(sound.representation)?;
    Some(Ok(Some(Announced {
        key,
        description: plan.description(sound.representation)?,
        origin_ticks: representation.origin_ticks,
        timescale: representation.timescale,
        pssh: representation
            .encryption
            .as_ref()
            .map_or_else(Vec::new, |encryption| encryption.pssh.clone()),
        sound,
    })))
}

#[cfg(test)]
#[path = "segments_tests.rs"]
mod tests;
