//! Readers of one part of an entry: `Read` and `Seek` over bytes that may still be on their way. It blocks; it never
//! fetches.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::body::Body;
use super::part::{Part, key_of, origin};
use super::seat::{Found, Seat};

/// Bytes of one file or one segment. Dropping it frees what nobody else wants.
pub struct Reader {
    seat: Seat,
    /// The part.
    key: u32,
    at: u64,
}

impl Reader {
    /// Reads the part `key`.
    pub(super) const fn new(seat: Seat, key: u32) -> Self {
        Self { seat, key, at: 0 }
    }

    fn position(&self, at: u64) -> u64 {
        origin(self.key).saturating_add(at)
    }

    /// Waits at `at` for something of the part that is neither read nor passed.
    fn wait<T>(&self, at: u64, mut ready: impl FnMut(&Body) -> Option<T>) -> io::Result<T> {
        let at = self.position(at);
        self.seat.wait(at, |body| {
            let there = ready(body)?;
            Some(Found {
                there,
                at,
                is_consumed: false,
            })
        })
    }

    fn total(&self, body: &Body) -> Option<u64> {
        body.parts.get(&self.key)?.total()
    }
}

/// Takes bytes of the part `key` that are there; none only at its end.
pub(super) fn take(body: &Body, key: u32, at: u64, buffer: &mut [u8]) -> Option<usize> {
    let total = body.parts.get(&key).and_then(Part::total);
    if total.is_some_and(|total| at >= total) {
        return Some(0);
    }
    let at = origin(key).saturating_add(at);
    let mut taken = 0;
    while let Some(room) = buffer.get_mut(taken..).filter(|room| !room.is_empty()) {
        let bytes = body.bytes_at(at + taken as u64);
        let count = room.len().min(bytes.len());
        let (Some(to), Some(from)) = (room.get_mut(..count), bytes.get(..count)) else {
            break;
        };
        to.copy_from_slice(from);
        taken += count;
        if count == 0 {
            break;
        }
    }
    (taken > 0).then_some(taken)
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let taken = self.seat.wait(self.position(self.at), |body| {
            let taken = take(body, self.key, self.at, buffer)?;
            Some(Found {
                there: taken,
                at: self.position(self.at.saturating_add(taken as u64)),
                is_consumed: taken > 0,
            })
        })?;
        self.at = self.at.saturating_add(taken as u64);
        Ok(taken)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(step) => self.at.checked_add_signed(step),
            SeekFrom::End(step) => self.wait(self.at, |body| self.total(body))?.checked_add_signed(step),
        };
        // Beyond what one part can be there is nothing but other parts.
        let target = target.filter(|at| key_of(self.position(*at)) == self.key);
        self.at = target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek outside of the stream"))?;
        Ok(self.at)
    }
}

impl MediaSource for Reader {
    fn is_seekable(&self) -> bool {
        true
    }

    /// Waits for the first answer; `None` if that does not tell the length, or will not come.
    fn byte_len(&self) -> Option<u64> {
        self.wait(self.at, |body| {
            let part = body.parts.get(&self.key)?;
            (part.answered || part.total().is_some()).then(|| part.total())
        })
        .ok()
        .flatten()
    }
}
