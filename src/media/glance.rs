//! A look at what is loaded of an entry. It reads only bytes that are there, never waits, and does not count as somebody
//! who reads: it changes nothing about what is fetched and what is kept.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use symphonia::core::io::MediaSource;
use tonearm_core::id::SlotId;

use super::body::{Body, Sort};
use super::library::{Library, Shared};
use super::part::{END, Part, key_at, origin};
use super::reader;
use super::segments::{Announced, Segment, look};

/// Bytes at the start of an entry that are enough for a first look: 120 ms of 24 bits at 192 kHz behind a seek table.
const ENOUGH_BYTES: u64 = 192 * 1024;

/// An entry that may be looked at, now or later.
pub struct Peek {
    shared: Arc<Shared>,
    serial: u64,
}

/// What there is to look at.
pub enum Look {
    /// One file, and the extension that names its format.
    File(Glance, Option<String>),
    /// Segments, by a manifest.
    Segments(Glances),
}

/// The bytes of a file or of a segment, as far as they are loaded.
pub struct Glance {
    shared: Arc<Shared>,
    serial: u64,
    /// The part.
    key: u32,
    at: u64,
}

/// The segments of an entry, as far as they are loaded.
pub struct Glances {
    shared: Arc<Shared>,
    serial: u64,
    /// Position of the next one, or a moment in it.
    at: u64,
    version: u64,
}

impl Library {
    /// Lets somebody look at what is (being) loaded in a slot; `None` if nothing is wished there.
    pub fn peek(&self, slot: SlotId) -> Option<Peek> {
        let serial = self
            .shared()
            .lock()
            .wishes
            .iter()
            .find(|wish| wish.slot == slot)?
            .serial;
        let shared = Arc::clone(self.shared());
        Some(Peek { shared, serial })
    }
}

impl Peek {
    /// What is there; `None` while the start of the entry is not loaded.
    pub fn open(&self) -> Option<Look> {
        let state = self.shared.lock();
        let body = state.body(self.serial)?;
        let first = match body.sort {
            Sort::Unknown => return None,
            Sort::File => None,
            Sort::Plan(_) => Some(look(body, 0)?.ok()??),
        };
        let key = first.as_ref().map_or(0, |first| first.key);
        if !is_enough(body, key, state.limit(self.serial)) {
            return None;
        }
        let serial = self.serial;
        match first {
            Some(first) if !first.is_whole() => {
                let part = body.parts.get(&key)?;
                let version = serial.wrapping_shl(u32::BITS) | u64::from(part.serial);
                drop(state);
                Some(Look::Segments(Glances {
                    shared: Arc::clone(&self.shared),
                    serial,
                    at: 0,
                    version,
                }))
            }
            Some(_) | None => {
                let hint = body.hint();
                drop(state);
                let shared = Arc::clone(&self.shared);
                let glance = Glance {
                    shared,
                    serial,
                    key,
                    at: 0,
                };
                Some(Look::File(glance, hint))
            }
        }
    }
}

/// Whether the start of the entry, in the part `key`, is worth a look: enough of it, all of it, or all that is wished.
fn is_enough(body: &Body, key: u32, limit: u64) -> bool {
    let missing = body.missing_from(origin(key));
    let loaded = missing.saturating_sub(origin(key));
    let total = body.parts.get(&key).and_then(Part::total);
    loaded >= ENOUGH_BYTES || total.is_some_and(|total| loaded >= total) || missing >= limit
}

impl Glance {
    fn total(&self) -> Option<u64> {
        self.shared.lock().body(self.serial)?.parts.get(&self.key)?.total()
    }
}

impl Glances {
    /// Tells these segments from others that were or will be in their place: another representation may be chosen.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The next segment; `None` behind the last.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`]: it, or its description, is not loaded yet. Others as for [`super::Segments::next`].
    pub fn next(&mut self) -> io::Result<Option<Segment<Glance>>> {
        let Some(next) = self.announced()? else { return Ok(None) };
        self.at = next.sound.next;
        let media = Glance {
            shared: Arc::clone(&self.shared),
            serial: self.serial,
            key: next.key,
            at: 0,
        };
        Ok(Some(next.into_segment(media)))
    }

    /// Makes the segment that sounds at `time` the next one. False: the entry ends before.
    ///
    /// # Errors
    /// As for [`Glances::next`].
    pub fn seek(&mut self, time: Duration) -> io::Result<bool> {
        self.at = origin(key_at(time));
        Ok(self.announced()?.is_some())
    }

    /// Length of the entry by its manifest. `None`: not announced, or the entry is gone.
    pub fn length(&self) -> Option<Duration> {
        self.shared.lock().body(self.serial)?.plan()?.length()
    }

    fn announced(&self) -> io::Result<Option<Announced>> {
        if self.at == END {
            return Ok(None);
        }
        let state = self.shared.lock();
        let body = state.body(self.serial).ok_or_else(absent)?;
        look(body, self.at).ok_or_else(absent)?
    }
}

fn absent() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "not loaded yet")
}

impl Read for Glance {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.shared.lock();
        let body = state.body(self.serial).ok_or_else(absent)?;
        let taken = reader::take(body, self.key, self.at, buffer).ok_or_else(absent)?;
        self.at = self.at.saturating_add(taken as u64);
        Ok(taken)
    }
}

impl Seek for Glance {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(step) => self.at.checked_add_signed(step),
            SeekFrom::End(step) => self.total().ok_or_else(absent)?.checked_add_signed(step),
        };
        self.at = target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the first byte"))?;
        Ok(self.at)
    }
}

impl MediaSource for Glance {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        self.total()
    }
}

#[cfg(test)]
#[path = "glance_tests.rs"]
mod tests;
