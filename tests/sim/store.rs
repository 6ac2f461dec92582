//! The shipped journal over the virtual disk, as one run of the program has it: the thread that writes is stepped at
//! moments of the virtual clock. What it says and gives out is held against the ledger.

use std::sync::{Arc, Mutex};

use crate::disk::Disk;
use crate::journal::recover::restart;
use crate::journal::storage::Storage;
use crate::journal::writer::Writer;
use crate::journal::{Checkpoint, Found, Journal, Outcome, Record, Recovered, Stored};
use tonearm_core::event::Event;
use tonearm_core::id::{EntryKey, Seq, SessionKey};
use tonearm_core::unit::Moment;

/// The true time at which every world begins.
pub const EPOCH_MS: i64 = 1_780_000_000_000;
/// The shipped journal says itself how often a disk that took nothing is tried again; its thread waits, a step does not.
pub const RETRY_MS: u64 = 5_000;

/// The journal of one run.
pub struct Store {
    journal: Journal,
    writer: Writer,
    told: Arc<Mutex<Vec<Stored>>>,
    /// The thread has something to do and will do it.
    pub is_due: bool,
}

/// When the boots began, in the world's time: a moment of a record counts from there.
#[derive(Debug, Default)]
pub struct Boots(Vec<u64>);

impl Boots {
    pub fn begin(&mut self, now: u64) {
        self.0.push(now);
    }

    pub fn began_at(&self) -> u64 {
        self.0.last().copied().unwrap_or(0)
    }

    pub fn id(&self) -> [u8; 16] {
        (self.0.len() as u128).to_be_bytes()
    }

    /// The true wall-clock time of a record.
    pub fn true_ms(&self, record: &Record) -> i64 {
        EPOCH_MS + i64::try_from(self.moment(record).0).unwrap()
    }

    /// When it was, in the world's time.
    fn moment(&self, record: &Record) -> Moment {
        let boot = usize::try_from(u128::from_be_bytes(record.boot)).unwrap();
        Moment(self.0[boot - 1] + record.at.0)
    }

    /// An event as it is recorded. Entries and runs have names as long as the service's.
    pub fn record(&self, event: &Event, run: u32, wall_ms: Option<i64>) -> Record {
        Record {
            seq: event.seq,
            boot: self.id(),
            at: Moment(event.at.0 - self.began_at()),
            wall_ms,
            zone_minutes: 60,
            session: format!("session-of-the-service-{:08}", event.session.0),
            reference: format!("reference-of-an-entry-{:08}", event.entry.0),
            metric_id: Some(format!("metrics-of-run-{run}")),
            initial_delay: event.initial_delay,
            what: event.what,
            claim: event.claim,
        }
    }

    /// What the core would have called it.
    pub fn event(&self, record: &Record) -> Event {
        let number = |name: &str| name.rsplit('-').next().unwrap().parse().unwrap();
        Event {
            seq: record.seq,
            session: SessionKey(number(&record.session)),
            entry: EntryKey(number(&record.reference)),
            at: self.moment(record),
            initial_delay: record.initial_delay,
            what: record.what,
            claim: record.claim,
        }
    }
}

impl Store {
    /// Opens and recovers. `None`: the program ended meanwhile.
    pub fn open(disk: &Arc<Disk>) -> Option<(Self, Recovered)> {
        let storage: Arc<dyn Storage> = Arc::clone(disk) as _;
        let found = restart(&storage).ok()?;
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let news = Arc::new(move |stored| tell.lock().unwrap().push(stored));
        let (journal, writer, recovered) = Journal::assemble(storage, found, news);
        if disk.has_stopped() {
            return None;
        }
        let store = Self {
            journal,
            writer,
            told,
            is_due: false,
        };
        Some((store, recovered))
    }

    /// The thread does what there is to do. What it told until then.
    pub fn step(&mut self) -> Vec<Stored> {
        self.writer.step();
        self.told()
    }

    /// What was told, each once.
    pub fn told(&self) -> Vec<Stored> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    pub fn append(&self, record: Record) {
        self.journal.append(record);
    }

    pub fn read(&self, seq: Seq) -> Found {
        self.journal.read(seq)
    }

    pub fn peek(&self, seq: Seq) -> Option<Record> {
        self.journal.peek(seq)
    }

    pub fn settle(&self, seq: Seq, accepted: bool) {
        let reason = || "refused by the service".to_owned();
        let outcome = if accepted {
            Outcome::Accepted
        } else {
            Outcome::SetAside { reason: reason() }
        };
        self.journal.settle(seq, outcome);
    }

    pub fn checkpoint(&self, start: Seq, checkpoint: Checkpoint) {
        self.journal.checkpoint(start, checkpoint);
    }

    pub fn clock_known(&self, boots: &Boots, error_ms: i64) {
        let epoch_ms = EPOCH_MS + i64::try_from(boots.began_at()).unwrap() + error_ms;
        self.journal.clock_known(boots.id(), epoch_ms);
    }

    /// Events waiting, events only in memory.
    pub fn waits(&self) -> (u64, u64) {
        let summary = self.journal.summary();
        (summary.waiting, summary.unstored)
    }
}
