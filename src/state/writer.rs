//! Saves the session off the loop: only the newest, not too often, and again if the disk did not take it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Saved, StateDir, StateError};

/// Two saves are at least this far apart: a held volume button must not write to the card five times a second.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often a save that failed is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// How long leaving waits for the disk.
const CLOSE_MAX: Duration = Duration::from_secs(4);

#[derive(Default)]
struct Pending {
    /// The newest that is not written; older ones are of no use any more.
    saved: Option<Saved>,
    closing: bool,
}

#[derive(Default)]
struct Desk {
    pending: Mutex<Pending>,
    wake: Condvar,
}

impl Desk {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Saves the session from a thread of its own, so that nobody waits for the disk. Only the newest is kept.
pub struct StateWriter {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    done: Receiver<()>,
}

impl StateWriter {
    /// Starts the thread.
    pub fn start(dir: StateDir) -> Result<Self, StateError> {
        let desk = Arc::new(Desk::default());
        let (leave, done) = sync_channel(1);
        let at_work = Arc::clone(&desk);
        let thread = thread::Builder::new()
            .name("state".into())
            .spawn(move || run(&dir, &at_work, &leave))
            .map_err(StateError::Thread)?;
        Ok(Self {
            desk,
            thread: Some(thread),
            done,
        })
    }

    /// Takes what is to be saved, in place of what was not written yet. On disk within about a second; a failure is
    /// logged once and tried again.
    pub fn save(&self, saved: Saved) {
        self.desk.pending().saved = Some(saved);
        self.desk.wake.notify_one();
    }

    /// Writes what was taken last and ends the thread. Waits a few seconds at most.
    pub fn close(mut self) {
        self.leave();
    }

    fn leave(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.desk.pending().closing = true;
        self.desk.wake.notify_one();
        match self.done.recv_timeout(CLOSE_MAX) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                if thread.join().is_err() {
                    log::error!("the thread that saves state ended by a panic");
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                log::error!("the disk does not answer; leaving without saving the session");
            }
        }
    }
}

impl Drop for StateWriter {
    fn drop(&mut self) {
        self.leave();
    }
}

fn run(dir: &StateDir, desk: &Desk, leave: &SyncSender<()>) {
    let mut written: Option<Saved> = None;
    let mut is_failing = false;
    let mut not_before = Instant::now();
    loop {
        let (saved, is_last) = wait(desk, not_before);
        if let Some(saved) = saved.filter(|saved| written.as_ref() != Some(saved)) {
            match dir.save_session(&saved) {
                Ok(()) => {
                    written = Some(saved);
                    is_failing = false;
                    not_before = Instant::now() + SAVE_EVERY;
                }
                Err(error) => {
                    if !is_failing {
                        log::error!("save session: {error}; tried again");
                    }
                    is_failing = true;
                    not_before = Instant::now() + RETRY;
                    desk.pending().saved.get_or_insert(saved);
                }
            }
        }
        if is_last {
            break;
        }
    }
    // Whoever closes may have stopped waiting.
    let _ = leave.try_send(());
}

/// Waits until there is something to save and its time has come, or until the end (the second value).
fn wait(desk: &Desk, not_before: Instant) -> (Option<Saved>, bool) {
    let mut pending = desk.pending();
    while !pending.closing {
        let early = not_before.saturating_duration_since(Instant::now());
        if pending.saved.is_none() {
            pending = desk.wake.wait(pending).unwrap_or_else(PoisonError::into_inner);
        } else if early.is_zero() {
            break;
        } else {
            pending = desk
                .wake
                .wait_timeout(pending, early)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
    (pending.saved.take(), pending.closing)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{saved, state};
    use super::*;

    #[test]
    fn the_writer_saves_the_newest_before_it_leaves() {
        let (_dir, state) = state();
        let writer = StateWriter::start(state.clone()).unwrap();
        for position_ms in 0..1_000 {
            writer.save(saved(position_ms));
        }
        writer.close();
        assert_eq!(state.session(), saved(999));
    }

    #[test]
    fn what_could_not_be_saved_is_tried_again_on_leaving() {
        let (dir, state) = state();
        let away = dir.path().join("away");
        std::fs::rename(state.path(""), &away).unwrap();
        let writer = StateWriter::start(state.clone()).unwrap();
        writer.save(saved(7));
        std::fs::rename(&away, state.path("")).unwrap();
        writer.close();
        assert_eq!(state.session(), saved(7));
    }
}
