//! A model of the journal on disk: what was stored survives a kill, what was only written may or may not.

use std::collections::{BTreeMap, BTreeSet};

use crate::rng::Rng;
use tonearm_core::effect::{Bookmark, Effect};
use tonearm_core::event::{Claim, Event, StopReason, What};
use tonearm_core::id::Seq;
use tonearm_core::unit::{Millis, Moment};

/// A number is given again when its event was lost with the memory; `uid` tells the two apart.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub uid: u64,
    pub event: Event,
}

#[derive(Clone, Copy, Debug)]
struct Note {
    start: Seq,
    position: Millis,
    played: Millis,
    rebuffers: u16,
}

#[derive(Debug)]
pub struct Journal {
    records: BTreeMap<u64, Record>,
    durable_to: u64,
    settled: u64,
    settled_durable: u64,
    note: Option<Note>,
    bookmark: Bookmark,
    pub disk_works: bool,
    next_uid: u64,
    /// Events that may be sent again: nobody knows that they arrived.
    pub repeatable: BTreeSet<u64>,
    /// Events that were lost with the memory.
    pub lost: BTreeSet<u64>,
    pub set_aside: BTreeSet<u64>,
}

impl Journal {
    pub fn new(bookmark: Bookmark) -> Self {
        Self {
            records: BTreeMap::new(),
            durable_to: 0,
            settled: 0,
            settled_durable: 0,
            note: None,
            bookmark,
            disk_works: true,
            next_uid: 1,
            repeatable: BTreeSet::new(),
            lost: BTreeSet::new(),
            set_aside: BTreeSet::new(),
        }
    }

    pub fn append(&mut self, event: Event) {
        let uid = self.next_uid;
        self.next_uid += 1;
        self.records.insert(event.seq.0, Record { uid, event });
    }

    pub fn get(&self, seq: Seq) -> Option<Record> {
        self.records.get(&seq.0).copied()
    }

    pub fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.values()
    }

    pub fn next(&self) -> Seq {
        Seq(self.records.keys().next_back().map_or(1, |last| last + 1))
    }

    pub fn settled(&self) -> Seq {
        Seq(self.settled)
    }

    pub fn bookmark(&self) -> Bookmark {
        self.bookmark
    }

    /// Brings everything up to `seq` to the disk, if that works. Whether it did.
    pub fn sync(&mut self, seq: Seq) -> bool {
        if self.disk_works {
            self.durable_to = self.durable_to.max(seq.0);
            self.settled_durable = self.settled.min(self.durable_to);
        }
        self.disk_works
    }

    pub fn settle(&mut self, seq: Seq, accepted: bool) {
        self.settled = seq.0;
        if !accepted && let Some(record) = self.records.get(&seq.0) {
            self.set_aside.insert(record.uid);
        }
    }

    pub fn save(&mut self, bookmark: Bookmark) {
        if self.disk_works {
            self.bookmark = bookmark;
        }
    }

    pub fn checkpoint(&mut self, effect: &Effect) {
        if let Effect::Checkpoint {
            start,
            position,
            played,
            rebuffers,
        } = *effect
            && self.disk_works
        {
            self.note = Some(Note {
                start,
                position,
                played,
                rebuffers,
            });
        }
    }

    /// The power is gone. What was not stored is lost, or not.
    pub fn crash(&mut self, rng: &mut Rng) {
        if self.disk_works && rng.chance(500) {
            self.durable_to = self.next().0 - 1;
        }
        let lost = self.records.split_off(&(self.durable_to + 1));
        self.lost.extend(lost.values().map(|record| record.uid));
        // What was in flight, or settled without the disk knowing, will be sent again.
        let again = self.records.range(self.settled_durable + 1..);
        self.repeatable.extend(again.map(|(_, record)| record.uid));
        self.settled = self.settled_durable;
    }

    /// A clean end: everything reaches the disk that works.
    pub fn close(&mut self) {
        let unsettled = self.records.range(self.settled + 1..);
        self.repeatable.extend(unsettled.map(|(_, record)| record.uid));
        if self.disk_works {
            self.durable_to = self.next().0 - 1;
            self.settled_durable = self.settled;
        }
    }

    /// What the program does before it makes a new session: closes the start that the last run left open, and moves the
    /// bookmark to the last position noted.
    pub fn recover(&mut self, now: Moment) -> Option<Event> {
        let last = *self.records.values().next_back()?;
        let What::Start { offset } = last.event.what else {
            return None;
        };
        let note = self.note.filter(|note| note.start == last.event.seq);
        let (progress, played, rebuffers) = note.map_or((offset, Millis::ZERO, 0), |note| {
            (note.position, note.played, note.rebuffers)
        });
        let stop = Event {
            seq: last.event.seq.next(),
            at: now,
            what: What::Stop {
                reason: StopReason::SystemStop,
                played,
                progress,
                rebuffers,
            },
            claim: Claim::Held,
            ..last.event
        };
        self.append(stop);
        self.durable_to = stop.seq.0;
        if let Some(place) = &mut self.bookmark.place
            && place.session == stop.session
            && place.entry == stop.entry
        {
            place.position = progress;
        }
        Some(stop)
    }
}
