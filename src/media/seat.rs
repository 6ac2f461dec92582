//! The place of one reader at one entry: waits there for what is not loaded yet, and ends when it is told to.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use tonearm_core::input::MediaFault;

use super::body::{Body, CHUNK, Cursor};
use super::library::{Shared, shut_down};
use super::state::State;

/// A cursor in an entry. Dropping it frees what nobody else wants.
pub struct Seat {
    shared: Arc<Shared>,
    serial: u64,
    /// Number of its cursor.
    number: u64,
    /// Number of the opening that it ends with.
    opening: u64,
}

/// What a reader waited for.
pub struct Found<T> {
    /// It.
    pub there: T,
    /// Where the reader goes on.
    pub at: u64,
    /// Bytes were taken.
    pub is_consumed: bool,
}

/// The error of a reader whose sound is not wanted any more.
fn superseded() -> io::Error {
    io::Error::other("superseded")
}

impl Seat {
    /// A place of its own at position `at`. `opening`: what it ends with; `None`: it is the first of an opening.
    pub fn take(shared: &Arc<Shared>, state: &mut State, serial: u64, opening: Option<u64>, at: u64) -> Option<Self> {
        let number = shared.serial();
        let opening = opening.unwrap_or(number);
        let body = state.body_mut(serial)?;
        let cancelled = body
            .cursors
            .iter()
            .any(|cursor| cursor.opening == opening && cursor.cancelled);
        body.cursors.push(Cursor {
            reader: number,
            opening,
            at,
            waiting: false,
            consumed: false,
            cancelled,
        });
        Some(Self {
            shared: Arc::clone(shared),
            serial,
            number,
            opening,
        })
    }

    /// Another place of the same opening.
    ///
    /// # Errors
    /// The entry is gone.
    pub fn beside(&self, at: u64) -> io::Result<Self> {
        let mut state = self.shared.lock();
        let seat = Self::take(&self.shared, &mut state, self.serial, Some(self.opening), at);
        // Its description is about to be used: nothing else may take the place of its bytes from now on.
        let cursor = seat
            .as_ref()
            .and_then(|seat| state.body_mut(seat.serial)?.cursor(seat.number));
        if let Some(cursor) = cursor {
            cursor.consumed = true;
        }
        drop(state);
        seat.ok_or_else(superseded)
    }

    /// What ends all readers of this opening from any thread. From then on every read fails with "superseded".
    pub fn canceller(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (shared, serial, opening) = (Arc::clone(&self.shared), self.serial, self.opening);
        Arc::new(move || {
            let mut state = shared.lock();
            let cursors = state.body_mut(serial).map(|body| &mut body.cursors);
            for cursor in cursors.into_iter().flatten().filter(|cursor| cursor.opening == opening) {
                cursor.cancelled = true;
                cursor.waiting = false;
            }
            drop(state);
            shared.data.notify_all();
            shared.work.notify_all();
        })
    }

    /// Waits until `ready` has an answer, or until an error is due. Tells the fetch threads that somebody waits at `at`.
    ///
    /// # Errors
    /// There will be none.
    pub fn wait<T>(&self, at: u64, mut ready: impl FnMut(&Body) -> Option<Found<T>>) -> io::Result<T> {
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
            if let Some(found) = found {
                let before = std::mem::replace(&mut cursor.at, found.at);
                // What lies a chunk behind may be used for what lies ahead.
                let hungry = before / CHUNK != cursor.at / CHUNK && !complete;
                cursor.waiting = false;
                cursor.consumed |= found.is_consumed;
                drop(state);
                if hungry {
                    self.shared.work.notify_all();
                }
                return Ok(found.there);
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

impl Drop for Seat {
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
