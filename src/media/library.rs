//! The window's entries by slot: takes the wish list, hands out readers, tells levels and faults.
//! What is fetched when is decided in `state`; how, in `fetch`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tonearm_core::effect::Wish;
use tonearm_core::id::{EntryKey, SlotId};
use tonearm_core::input::MediaFault;
use tonearm_core::unit::Millis;
use ureq::Agent;

use super::body::Body;
use super::dash::Limits;
use super::fetch::{self, Patience};
use super::plan::Plan;
use super::pool::{CHUNK_BYTES, CHUNKS_MIN, Pool};
use super::seat::Seat;
use super::segments::Opening;
use super::state::{FETCHERS, Ranked, State};
use crate::tls::Tls;

/// Leaving waits this long for the threads. A name lookup cannot be cut short; then a thread ends on its own later.
const CLOSE_MS_MAX: u64 = 500;
/// First range of a head, where its share of the file is not known yet: 13 s at 320 kbit/s.
pub const HEAD_BYTES: u64 = 512 * 1024;

/// What is decoded at most where nothing is known of the converter: whoever plays reduces it.
const RATE_MAX_HZ: u32 = 192_000;
/// Likewise.
const BITS_MAX: u8 = 24;

/// How much memory, and how connections are encrypted.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Hard budget of all media bytes.
    pub memory_bytes: usize,
    /// First range of a head; [`HEAD_BYTES`] unless there is a reason.
    pub head_bytes: u64,
    /// What the converter plays as it is: no representation beyond is chosen.
    pub limits: Limits,
    /// How connections are encrypted.
    pub tls: Tls,
}

impl Settings {
    /// Defaults with this much memory.
    pub const fn with_memory(memory_bytes: usize, tls: Tls) -> Self {
        Self {
            memory_bytes,
            head_bytes: HEAD_BYTES,
            limits: Limits {
                rate_max_hz: RATE_MAX_HZ,
                bits_max: BITS_MAX,
            },
            tls,
        }
    }
}

/// Why the library cannot be started.
#[derive(Debug, Error)]
pub enum MediaError {
    /// Too little to work with.
    #[error("give media {memory_bytes} bytes of memory: too little, at least {} are needed", CHUNKS_MIN * CHUNK_BYTES)]
    Memory {
        /// What was given.
        memory_bytes: usize,
    },
    /// No thread to be had.
    #[error("start a media thread")]
    Thread(#[source] std::io::Error),
}

/// An entry to be loaded, with its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The session's wish.
    pub wish: Wish,
    /// Where the bytes are. Within one attempt the first address given counts.
    pub url: String,
    /// Announced length of the entry.
    pub duration: Option<Millis>,
}

/// An entry cannot be had as wished. Told once per entry and attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// Where it was being loaded.
    pub slot: SlotId,
    /// Which entry.
    pub entry: EntryKey,
    /// What is wrong.
    pub fault: MediaFault,
}

/// How far one slot is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The slot.
    pub slot: SlotId,
    /// The entry in it.
    pub entry: EntryKey,
    /// Bytes in memory.
    pub bytes: u64,
    /// Bytes of the whole, once known.
    pub total: Option<u64>,
    /// All of it is in memory.
    pub complete: bool,
    /// Why there will be no more bytes.
    pub failed: Option<MediaFault>,
    /// Sound in memory, estimated; `None` while length or duration is unknown.
    pub loaded: Option<Millis>,
}

/// What was chosen, for whoever counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Times the representation changed within an entry.
    pub switches: u64,
    /// Bits a second of the representation that the most urgent entry was last fetched in.
    pub bandwidth_bps: Option<u64>,
    /// Bits a second that the link carries, as measured.
    pub link_bps: Option<u64>,
}

/// An entry opened for decoding.
pub struct Opened {
    /// Its bytes, once it is known how they come.
    pub stream: Opening,
    /// Extension that names its format, if anything does.
    pub hint: Option<String>,
    /// Ends the reader from any thread: whatever it waits for, it returns with an error at once.
    pub cancel: Arc<dyn Fn() + Send + Sync>,
}

/// What the library, its threads and its readers share.
pub struct Shared {
    state: Mutex<State>,
    /// Something changed for readers.
    pub data: Condvar,
    /// Something changed for fetch threads.
    pub work: Condvar,
    pub(super) settings: Settings,
    pub(super) patience: Patience,
    pub(super) news: Arc<dyn Fn(News) + Send + Sync>,
    serial_next: AtomicU64,
}

impl Shared {
    /// The state. A panic elsewhere does not make it unusable: every change leaves it whole.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn serial(&self) -> u64 {
        self.serial_next.fetch_add(1, Ordering::Relaxed)
    }
}

/// Shuts connections down; outside of the lock, because it talks to the system.
pub fn shut_down(agents: Vec<Agent>) {
    agents.into_iter().for_each(Agent::shutdown);
}

/// The loaded part of the window.
pub struct Library {
    shared: Arc<Shared>,
    /// Says that the threads are over, by being dropped by each.
    done: Receiver<()>,
}

impl Library {
    /// Starts the fetch threads. `news` is called on any of them and never blocks.
    pub fn start(settings: Settings, news: Arc<dyn Fn(News) + Send + Sync>) -> Result<Self, MediaError> {
        Self::start_with(settings, Patience::default(), news)
    }

    pub(super) fn start_with(
        settings: Settings,
        patience: Patience,
        news: Arc<dyn Fn(News) + Send + Sync>,
    ) -> Result<Self, MediaError> {
        let memory_bytes = settings.memory_bytes;
        if memory_bytes < CHUNKS_MIN * CHUNK_BYTES {
            return Err(MediaError::Memory { memory_bytes });
        }
        let state = Mutex::new(State::new(Pool::new(memory_bytes), settings.head_bytes));
        let (data, work) = (Condvar::new(), Condvar::new());
        let serial_next = AtomicU64::new(1);
        let shared = Arc::new(Shared {
            state,
            data,
            work,
            settings,
            patience,
            news,
            serial_next,
        });
        let (over, done) = channel();
        let library = Self { shared, done };
        for number in 0..FETCHERS {
            let (shared, over) = (Arc::clone(&library.shared), over.clone());
            thread::Builder::new()
                .name(format!("media-{number}"))
                .spawn(move || {
                    let _over = over;
                    fetch::serve(&shared, number);
                })
                .map_err(MediaError::Thread)?;
        }
        Ok(library)
    }

    /// Replaces the wish list, most urgent first. What stays wished keeps its bytes; what does not is freed, or, while
    /// somebody still reads it, freed when the reader is dropped.
    pub fn want(&mut self, wishes: &[Item]) {
        let mut state = self.shared.lock();
        let mut doomed = Vec::new();
        let ranked = wishes
            .iter()
            .map(|item| self.rank(&mut state, item, &mut doomed))
            .collect();
        state.wishes = ranked;
        state.sweep();
        doomed.extend(state.preempt(Instant::now()));
        drop(state);
        self.shared.work.notify_all();
        self.shared.data.notify_all();
        shut_down(doomed);
    }

    /// One wish: finds or makes its body.
    fn rank(&self, state: &mut State, item: &Item, doomed: &mut Vec<Agent>) -> Ranked {
        let Wish {
            slot,
            entry,
            extent,
            attempt,
        } = item.wish;
        let State { bodies, pool, .. } = state;
        let known = bodies.iter_mut().find(|body| body.entry == entry);
        let fresh = known.as_ref().is_none_or(|body| body.attempt != attempt);
        let serial = if let Some(body) = known {
            if fresh {
                body.renew(attempt, item.url.clone(), pool);
            }
            body.duration = item.duration;
            body.serial
        } else {
            let serial = self.shared.serial();
            bodies.push(Body::new(serial, entry, attempt, item.url.clone(), item.duration));
            serial
        };
        if fresh {
            // A request to the address before is of no use any more.
            doomed.extend(state.cancel_all(|job| job.serial == serial));
        }
        Ranked { slot, serial, extent }
    }

    /// Opens what is (being) loaded in a slot; `None` if nothing is wished there.
    pub fn open(&self, slot: SlotId) -> Option<Opened> {
        let mut state = self.shared.lock();
        let serial = state.wishes.iter().find(|wish| wish.slot == slot)?.serial;
        let seat = Seat::take(&self.shared, &mut state, serial, None, 0)?;
        let hint = state.body(serial)?.hint();
        drop(state);
        self.shared.work.notify_all();
        let cancel = seat.canceller();
        let stream = Opening { seat };
        Some(Opened { stream, hint, cancel })
    }

    /// What the threads and readers share.
    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// How far each wished slot is loaded, most urgent first.
    pub fn levels(&self) -> Vec<Level> {
        let state = self.shared.lock();
        let level = |wish: &Ranked| {
            let body = state.body(wish.serial)?;
            Some(Level {
                slot: wish.slot,
                entry: body.entry,
                bytes: body.loaded(),
                total: body.total(),
                complete: body.is_complete(),
                failed: body.fault.as_ref().map(|(fault, _)| *fault),
                loaded: body.loaded_length(),
            })
        };
        state.wishes.iter().filter_map(level).collect()
    }

    /// Counts of the choice among representations.
    pub fn figures(&self) -> Figures {
        let state = self.shared.lock();
        let plans = || state.bodies.iter().filter_map(Body::plan);
        let first = state.wishes.first().and_then(|wish| state.body(wish.serial));
        Figures {
            switches: plans().fold(state.switches, |sum, plan| sum.saturating_add(plan.switches.into())),
            bandwidth_bps: first.and_then(Body::plan).and_then(Plan::bandwidth_bps),
            link_bps: state.throughput.bps(),
        }
    }

    /// Tries at once whatever waits to be tried again: the network is back.
    pub fn retry_now(&self) {
        for body in &mut self.shared.lock().bodies {
            body.not_before = None;
            body.trouble = 0;
        }
        self.shared.work.notify_all();
    }

    /// The way out is another one: requests under way are given up and made anew, readers notice nothing of it.
    pub fn reconnect(&self) {
        let mut state = self.shared.lock();
        let doomed = state.disconnect();
        drop(state);
        shut_down(doomed);
    }

    /// Ends everything: requests are cut short, readers get an error.
    pub fn close(self) {
        drop(self);
    }

    /// Bytes of memory that media took from the system.
    #[cfg(test)]
    pub(super) fn made_bytes(&self) -> usize {
        self.shared.lock().pool.made_bytes()
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        let doomed = (0..FETCHERS)
            .filter_map(|thread| state.agents.get_mut(thread)?.take())
            .collect();
        drop(state);
        self.shared.work.notify_all();
        self.shared.data.notify_all();
        shut_down(doomed);
        if let Err(RecvTimeoutError::Timeout) = self.done.recv_timeout(Duration::from_millis(CLOSE_MS_MAX)) {
            log::debug!("media: a thread is still looking up or connecting; not waiting for it");
        }
    }
}

#[cfg(test)]
#[path = "library_tests.rs"]
mod tests;
