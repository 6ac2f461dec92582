//! A look at what is loaded of an entry. It reads only bytes that are there, never waits, and does not count as somebody
//! who reads: it changes nothing about what is fetched and what is kept.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use symphonia::core::io::MediaSource;
use tonearm_core::id::SlotId;

use super::body::Sort;
use super::library::{Library, Shared};
use super::reader;

/// Bytes at the start of an entry that are enough for a first look: 120 ms of 24 bits at 192 kHz behind a seek table.
const ENOUGH_BYTES: u64 = 192 * 1024;

/// An entry that may be looked at, now or later.
pub struct Peek {
    shared: Arc<Shared>,
    serial: u64,
}

/// The bytes of an entry, as far as they are loaded.
pub struct Glance {
    shared: Arc<Shared>,
    serial: u64,
    at: u64,
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
    /// The bytes, and the extension that names their format; `None` while the start of the entry is not loaded.
    pub fn open(&self) -> Option<(Glance, Option<String>)> {
        let state = self.shared.lock();
        let body = state.body(self.serial)?;
        // Segments are not looked at: their description is no bytes of theirs.
        if !matches!(body.sort, Sort::File) {
            return None;
        }
        let loaded = body.missing_from(0);
        let is_enough = body.total().is_some_and(|total| loaded >= total.min(ENOUGH_BYTES))
            || loaded >= state.limit(self.serial).min(ENOUGH_BYTES);
        let hint = body.hint();
        drop(state);
        let glance = Glance {
            shared: Arc::clone(&self.shared),
            serial: self.serial,
            at: 0,
        };
        is_enough.then_some((glance, hint))
    }
}

impl Glance {
    fn total(&self) -> Option<u64> {
        self.shared.lock().body(self.serial)?.total()
    }
}

fn absent() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "not loaded yet")
}

impl Read for Glance {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.shared.lock();
        let body = state.body(self.serial).ok_or_else(absent)?;
        let taken = reader::take(body, 0, self.at, buffer).ok_or_else(absent)?;
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
