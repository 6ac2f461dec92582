//! The journal as the rest of the speaker sees it.
//!
//! A caller only puts things into memory, or reads; [`Writer`] brings them to the disk.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use super::body::Clock;
use super::memory::Memory;
use super::record::{Boot, Checkpoint, Found, Outcome, Record, Recovered};
use super::recover::{Restart, restart};
use super::segment;
use super::storage::{Folder, Storage};
use super::writer::Writer;
use tonearm_core::id::Seq;
use tonearm_core::unit::Moment;

/// How long leaving waits for the disk. A memory card may be busy with itself for a second or two.
const CLOSE_MAX: Duration = Duration::from_secs(4);

/// An event, and those before it, are stored; or, not durable, only kept in memory and tried again.
///
/// An event that was announced as not durable is announced again when the disk took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The event.
    pub seq: Seq,
    /// Survives a power cut.
    pub durable: bool,
}

/// Who is told. Called from the journal's thread (and from [`Journal::append`] if memory is full); must not block.
pub type News = Arc<dyn Fn(Stored) + Send + Sync>;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another speaker runs.
    #[error("open journal {}: it is in use; is another tonearm running with the same state folder?", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be made or listed.
    #[error("open journal {}: {source}; the folder must belong to the user the speaker runs as ([state] dir)", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No thread.
    #[error("start the journal's thread: {source}")]
    Thread {
        /// Why.
        source: io::Error,
    },
    /// Leaving without everything on disk.
    #[error("close journal: {unstored} events could not be stored; is the disk full or read-only?")]
    Unstored {
        /// Events lost with the memory.
        unstored: u64,
    },
}

/// The oldest event that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// Its boot.
    pub boot: Boot,
    /// When, within that boot.
    pub at: Moment,
    /// When, milliseconds since 1970, if known.
    pub wall_ms: Option<i64>,
}

impl Oldest {
    /// How long ago it was. Across boots only where the clock is known at both ends.
    pub fn age(&self, boot: Boot, now: Moment, wall_now_ms: Option<i64>) -> Option<Duration> {
        if self.boot == boot {
            return Some(Duration::from_millis(now.0.saturating_sub(self.at.0)));
        }
        let ms = wall_now_ms?.saturating_sub(self.wall_ms?);
        Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }
}

/// State of the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events to be reported.
    pub waiting: u64,
    /// Events set aside since the device was new.
    pub set_aside: u64,
    /// Events only in memory.
    pub unstored: u64,
    /// Pairs of start and stop that were let go for want of room since the device was new.
    pub folded: u64,
    /// Events of them that the session still counts as waiting.
    pub folded_waiting: u64,
    /// The oldest event that waits, if the journal has looked at it already.
    pub oldest: Option<Oldest>,
}

pub(super) struct Shared {
    memory: Mutex<Memory>,
    /// There may be something to do.
    pub(super) wake: Condvar,
    oldest: Mutex<Option<(Seq, Oldest)>>,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) news: News,
}

impl Shared {
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event that is to be sent.
    fn ask(&self, seq: Seq) -> Found {
        let known = self.memory().ask(seq.0);
        known.unwrap_or_else(|()| self.load(seq).map_or(Found::Nothing, Found::Event))
    }

    /// An event, wherever it is.
    pub(super) fn read(&self, seq: Seq) -> Option<Record> {
        let known = self.memory().read(seq.0);
        known.or_else(|| self.load(seq))
    }

    /// An event that memory does not have: a segment (64 KiB) is read, and its other events kept for the following calls.
    fn load(&self, seq: Seq) -> Option<Record> {
        let segments = self.memory().segments(seq.0);
        for found in segments {
            // A segment that vanished meanwhile was settled.
            let Ok(bytes) = self.storage.read(&found.name) else {
                continue;
            };
            let contents = segment::read(found.index, &bytes);
            if let Some(mut record) = contents.records.iter().find(|record| record.seq == seq).cloned() {
                let mut memory = self.memory();
                memory.date(&mut record);
                memory.keep(contents.records);
                return Some(record);
            }
        }
        None
    }
}

/// The event journal. Nothing here waits for the disk, except [`Journal::read`] of an event that is not recent.
pub struct Journal {
    shared: Arc<Shared>,
    /// The thread, and where it says that it is done.
    at_work: Option<(JoinHandle<()>, Receiver<()>)>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("summary", &self.summary())
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in `dir`, which is created if needed, and recovers what is there.
    pub fn open(dir: &Path, news: News) -> Result<(Self, Recovered), JournalError> {
        let folder = Folder::own(dir).map_err(|source| {
            let path = dir.to_owned();
            if source.kind() == io::ErrorKind::WouldBlock {
                JournalError::InUse { path }
            } else {
                JournalError::Folder { path, source }
            }
        })?;
        Self::open_on(Arc::new(folder), dir, news)
    }

    /// Like [`Journal::open`], on any storage.
    pub fn open_on(storage: Arc<dyn Storage>, dir: &Path, news: News) -> Result<(Self, Recovered), JournalError> {
        let found = restart(&storage).map_err(|source| JournalError::Folder {
            path: dir.to_owned(),
            source,
        })?;
        let (mut journal, writer, recovered) = Self::assemble(storage, found, news);
        let (leave, done) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&leave))
            .map_err(|source| JournalError::Thread { source })?;
        journal.at_work = Some((thread, done));
        Ok((journal, recovered))
    }

    /// A journal and its writer, which does nothing until it runs.
    pub fn assemble(storage: Arc<dyn Storage>, found: Restart, news: News) -> (Self, Writer, Recovered) {
        let Restart {
            segments,
            asides,
            checkpoints,
            folds,
            recovered,
            holes,
        } = found;
        let clocks = segments.clocks().to_vec();
        let mut memory = Memory::new(&recovered, holes, clocks, folds);
        memory.folds_on_disk(segments.folds());
        memory.row(segments.row());
        let shared = Arc::new(Shared {
            memory: Mutex::new(memory),
            wake: Condvar::new(),
            oldest: Mutex::default(),
            storage,
            news,
        });
        shared.note_oldest();
        let writer = Writer::new(Arc::clone(&shared), segments, asides, checkpoints);
        (Self { shared, at_work: None }, writer, recovered)
    }

    /// Takes an event, in order of its numbers. Answered by [`Stored`], for it or for one after it.
    pub fn append(&self, record: Record) {
        let seq = record.seq;
        if self.shared.memory().append(record) {
            self.shared.wake.notify_one();
        } else {
            log::error!(
                "event {} is lost: its number is used, or the disk takes nothing and memory is full",
                seq.0
            );
            (self.shared.news)(Stored { seq, durable: false });
        }
    }

    /// Notes how far the sounding entry is.
    pub fn checkpoint(&self, start: Seq, checkpoint: Checkpoint) {
        self.shared.memory().checkpoint(start.0, checkpoint);
        self.shared.wake.notify_one();
    }

    /// Notes what time it was (milliseconds since 1970) at moment zero of a boot. Gives all events of that boot that
    /// were stored without it their true time. The first call for a boot counts.
    pub fn clock_known(&self, boot: Boot, epoch_ms: i64) {
        self.shared.memory().clock(Clock { boot, epoch_ms });
        self.shared.wake.notify_one();
    }

    /// The service's word on an event is final. Settles all events before it as well.
    pub fn settle(&self, seq: Seq, outcome: Outcome) {
        if !self.shared.memory().settle(seq.0, outcome) {
            log::error!(
                "event {} is set aside, but the disk takes nothing and its reason cannot be kept",
                seq.0
            );
        }
        self.shared.wake.notify_one();
    }

    /// An event that is not settled, to be sent: from here on it is not let go any more. An old one is read from the disk.
    /// After [`Found::Later`] news come for certain.
    pub fn read(&self, seq: Seq) -> Found {
        self.shared.ask(seq)
    }

    /// An event that is not settled, only to be looked at: it may be let go all the same.
    pub fn peek(&self, seq: Seq) -> Option<Record> {
        self.shared.read(seq)
    }

    /// State of the outbox.
    pub fn summary(&self) -> Summary {
        let memory = self.shared.memory();
        let (waiting, set_aside) = memory.counts();
        let first = memory.first_waiting();
        let unstored = memory.unstored() as u64;
        let (folded, folded_waiting) = (memory.folds().pairs(), memory.folded_waiting());
        drop(memory);
        let noted = *self.shared.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = noted.filter(|(seq, _)| Some(*seq) == first).map(|(_, oldest)| oldest);
        Summary {
            waiting,
            set_aside,
            unstored,
            folded,
            folded_waiting,
            oldest,
        }
    }

    /// Writes everything that was taken and ends the thread. Waits a few seconds at most.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.leave()
    }

    fn leave(&mut self) -> Result<(), JournalError> {
        let Some((thread, done)) = self.at_work.take() else {
            return Ok(());
        };
        self.shared.memory().close();
        self.shared.wake.notify_one();
        match done.recv_timeout(CLOSE_MAX) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                if thread.join().is_err() {
                    log::error!("the journal's thread ended by a panic");
                }
            }
            Err(RecvTimeoutError::Timeout) => log::error!("the disk does not answer; leaving without the journal"),
        }
        match self.shared.memory().unstored() as u64 {
            0 => Ok(()),
            unstored => Err(JournalError::Unstored { unstored }),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            log::error!("{error}");
        }
    }
}

impl Shared {
    /// Looks at the oldest event that waits, if that is another one than before.
    pub(super) fn note_oldest(&self) {
        let first = self.memory().first_waiting();
        let noted = self
            .oldest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .map(|(seq, _)| seq);
        if first == noted {
            return;
        }
        let record = first.and_then(|seq| self.read(seq));
        let oldest = record.map(|record| {
            (
                record.seq,
                Oldest {
                    boot: record.boot,
                    at: record.at,
                    wall_ms: record.wall_ms,
                },
            )
        });
        *self.oldest.lock().unwrap_or_else(PoisonError::into_inner) = oldest;
    }
}
