//! One reader of one entry: `Read` and `Seek` over bytes that may still be on their way. It blocks; it never fetches.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use symphonia::core::io::MediaSource;
use tonearm_core::input::MediaFault;

use super::body::{Body, CHUNK};
use super::library::{Shared, shut_down};
use super::state::State;

/// Bytes of one entry. Dropping it frees what nobody else wants.
pub struct Reader {
    shared: Arc<Shared>,
    serial: u64,
    /// Number of its cursor.
    number: u64,
    at: u64,
}

/// The error of a reader whose sound is not wanted any more.
fn superseded() -> io::Error {
    io::Error::other("superseded")
}

impl Reader {
    pub(super) const fn new(shared: Arc<Shared>, serial: u64, number: u64) -> Self {
        Self {
            shared,
            serial,
            number,
            at: 0,
        }
    }

    /// What ends this reader from any thread. From then on every read fails with "superseded".
    pub fn canceller(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (shared, serial, reader) = (Arc::clone(&self.shared), self.serial, self.number);
        Arc::new(move || {
            if let Some(cursor) = shared.lock().body_mut(serial).and_then(|body| body.cursor(reader)) {
                cursor.cancelled = true;
                cursor.waiting = false;
            }
            shared.data.notify_all();
            shared.work.notify_all();
        })
    }

    /// Waits until `ready` has an answer and says how many bytes it took, or until an error is due. Tells the fetch
    /// threads that somebody waits at `at`.
    fn wait<T>(&self, at: u64, mut ready: impl FnMut(&Body) -> Option<(T, usize)>) -> io::Result<T> {
        let mut state = self.shared.lock();
        loop {
            let found = self.look(&state, &mut ready)?;
            let Some(body) = state.body_mut(self.serial) else {
                return Err(superseded());
            };
            let complete = body.is_complete();
            let Some(cursor) = body.cursor(self.number) else {
                return Err(superseded());
            };
            if let Some((found, taken)) = found {
                let before = std::mem::replace(&mut cursor.at, at.saturating_add(taken as u64));
                // What lies a chunk behind may be used for what lies ahead.
                let hungry = before / CHUNK != cursor.at / CHUNK && !complete;
                cursor.waiting = false;
                cursor.consumed |= taken > 0;
                drop(state);
                if hungry {
                    self.shared.work.notify_all();
                }
                return Ok(found);
            }
            let news = !std::mem::replace(&mut cursor.waiting, true) || cursor.at != at;
            cursor.at = at;
            if news {
                let doomed = state.preempt(Instant::now());
                self.shared.work.notify_all();
                if !doomed.is_empty() {
                    drop(state);
                    shut_down(doomed);
                    state = self.shared.lock();
                    continue;
                }
            }
            state = self.shared.data.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What `ready` says now, or why there is no point in waiting.
    ///
    /// An expired address is no reason to give up: a fresh one brings the rest, and whoever decides that none will
    /// come cancels the reader.
    fn look<T>(&self, state: &State, mut ready: impl FnMut(&Body) -> Option<T>) -> io::Result<Option<T>> {
        let body = state.body(self.serial).ok_or_else(superseded)?;
        let live = body.live().any(|cursor| cursor.reader == self.number);
        if !live || state.closing {
            return Err(superseded());
        }
        if let Some(found) = ready(body) {
            return Ok(Some(found));
        }
        if let Some((MediaFault::Unplayable, reason)) = &body.fault {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("media of the entry cannot be had: {reason}"),
            ));
        }
        if state.rank(self.serial).is_none() {
            return Err(superseded());
        }
        Ok(None)
    }
}

/// Takes bytes that are there; none only at the end of the body.
pub(super) fn take(body: &Body, at: u64, buffer: &mut [u8]) -> Option<usize> {
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
    let ended = body.total.is_some_and(|total| at >= total);
    (taken > 0 || ended).then_some(taken)
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let at = self.at;
        let taken = self.wait(at, |body| take(body, at, buffer).map(|taken| (taken, taken)))?;
        self.at = at.saturating_add(taken as u64);
        Ok(taken)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(step) => self.at.checked_add_signed(step),
            SeekFrom::End(step) => self
                .wait(self.at, |body| Some((body.total?, 0)))?
                .checked_add_signed(step),
        };
        self.at = target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the first byte"))?;
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
            (body.answered || body.total.is_some()).then_some((body.total, 0))
        })
        .ok()
        .flatten()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(body) = state.body_mut(self.serial) {
            body.cursors.retain(|cursor| cursor.reader != self.number);
        }
        state.sweep();
        drop(state);
        self.shared.work.notify_all();
    }
}
