//! What the speaker recorded, was promised and was told: the truth that the journal on the virtual disk and the service
//! are held against. It keeps no bytes.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::{Record, Recovered};
use crate::rule::{Broken, Check, Rule};
use tonearm_core::effect::Bookmark;
use tonearm_core::event::Event;
use tonearm_core::id::Seq;
use tonearm_core::limits::VOLUME_FIRST;

/// Settled events that are remembered: going back leads along what was played.
const REMEMBERED: usize = 300;

/// An event. A number is given again when its event was lost with the memory; `uid` tells the two apart.
#[derive(Clone, Debug)]
pub struct Entry {
    pub uid: u64,
    pub event: Event,
    pub record: Record,
}

#[derive(Debug)]
pub struct Ledger {
    entries: BTreeMap<u64, Entry>,
    /// All up to here were said to be on disk.
    durable: u64,
    /// The service's word is known up to here, in this run of the program.
    settled: u64,
    /// ... and was on disk when nothing was wrong with it.
    settled_durable: u64,
    next: u64,
    uids: u64,
    /// Where to go on after a restart: a small file of its own, which is replaced as a whole.
    pub bookmark: Bookmark,
    /// Events that may be sent again: nobody knows that they arrived.
    pub repeatable: BTreeSet<u64>,
    /// Events that were lost with the memory.
    pub lost: BTreeSet<u64>,
    pub set_aside: BTreeSet<u64>,
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            durable: 0,
            settled: 0,
            settled_durable: 0,
            next: 1,
            uids: 0,
            bookmark: Bookmark {
                place: None,
                playing: false,
                volume: VOLUME_FIRST,
                shuffle: false,
                looping: false,
            },
            repeatable: BTreeSet::new(),
            lost: BTreeSet::new(),
            set_aside: BTreeSet::new(),
        }
    }

    pub fn append(&mut self, event: Event, record: Record) {
        self.uids += 1;
        let uid = self.uids;
        self.entries.insert(event.seq.0, Entry { uid, event, record });
        self.next = event.seq.0 + 1;
    }

    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.values()
    }

    /// Those the service's word is not known of.
    pub fn waiting(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.range(self.settled + 1..).map(|(_, entry)| entry)
    }

    pub fn next(&self) -> Seq {
        Seq(self.next)
    }

    pub fn settled(&self) -> Seq {
        Seq(self.settled)
    }

    pub fn stored(&mut self, seq: Seq) {
        self.durable = self.durable.max(seq.0);
    }

    pub fn settle(&mut self, seq: Seq, accepted: bool) {
        let told = self.entries.range(self.settled + 1..=seq.0.max(self.settled + 1));
        for uid in told.map(|(_, entry)| entry.uid) {
            self.repeatable.remove(&uid);
        }
        self.settled = seq.0;
        if !accepted && let Some(entry) = self.entries.get(&seq.0) {
            self.set_aside.insert(entry.uid);
        }
    }

    /// Everything that was settled when a write began is on a disk that works.
    pub fn settled_on_disk(&mut self, settled: Seq) {
        self.settled_durable = self.settled_durable.max(settled.0);
    }

    /// The program starts again: `found` is what the journal says, `read` what it gives out. On a disk that works what was
    /// found is on disk from here on.
    pub fn restart(&mut self, found: &Recovered, read: impl Fn(Seq) -> Option<Record>, disk_works: bool) -> Check {
        let (durable, next) = (self.durable, found.next.0);
        Rule::NoReuse.holds(next > durable, || {
            format!("event {durable} was stored, and {next} is to be the next number")
        })?;
        Rule::Dedup.holds(found.settled.0 >= self.settled_durable, || {
            format!(
                "settled up to {} on disk, found {:?}",
                self.settled_durable, found.settled
            )
        })?;
        let said = self.settled;
        for seq in said + 1..=found.settled.0 {
            let known = self.entries.get(&seq);
            let aside = known.is_none_or(|entry| self.set_aside.contains(&entry.uid));
            Rule::NoLoss.holds(aside, || format!("event {seq} is forgotten, and nobody settled it"))?;
        }
        for seq in found.settled.0 + 1..self.next {
            let Some(entry) = self.entries.get(&seq) else { continue };
            let (uid, is_durable) = (entry.uid, seq <= durable && seq > said);
            match read(Seq(seq)).filter(|_| seq < next) {
                Some(record) if record.is_same_event(&entry.record) => {
                    // It may have been on its way, or settled without the disk knowing.
                    self.repeatable.insert(uid);
                }
                Some(record) => {
                    return Rule::NoLoss.broken(format!("{record:?} came back for {:?}", entry.record));
                }
                None if is_durable => {
                    return Rule::NoLoss.broken(format!("{:?} was stored, and is gone", entry.record));
                }
                None => {
                    self.lost.insert(uid);
                    self.entries.remove(&seq);
                }
            }
        }
        self.settled = found.settled.0;
        self.next = next;
        if disk_works {
            self.settled_durable = self.settled;
            self.durable = next - 1;
        }
        Ok(())
    }

    /// The program leaves: what is not settled may have been on its way.
    pub fn leave(&mut self) {
        let uids: Vec<u64> = self.waiting().map(|entry| entry.uid).collect();
        self.repeatable.extend(uids);
    }

    /// Forgets what is settled for long. `has_seen` is the service's word; `last_seen` the newest event it knows.
    pub fn prune(&mut self, last_seen: u64, has_seen: impl Fn(u64) -> bool) -> Check {
        let settled = self.settled.min(self.settled_durable);
        while self.entries.len() > REMEMBERED {
            let Some((seq, entry)) = self.entries.first_key_value() else {
                break;
            };
            if *seq > settled {
                break;
            }
            if !has_seen(entry.uid) && !self.set_aside.contains(&entry.uid) {
                return Rule::NoLoss.broken(format!("{:?} was settled and never arrived", entry.event));
            }
            self.entries.pop_first();
        }
        let oldest = self.oldest().min(last_seen);
        for uids in [&mut self.repeatable, &mut self.lost, &mut self.set_aside] {
            *uids = uids.split_off(&oldest);
        }
        Ok(())
    }

    /// Events after this one were lost with the memory.
    pub fn lost_behind(&self, uid: u64) -> bool {
        self.lost.range(uid + 1..).next().is_some()
    }

    /// The oldest event that is remembered.
    pub fn oldest(&self) -> u64 {
        self.entries.values().next().map_or(self.uids, |entry| entry.uid)
    }

    /// How many things it keeps.
    pub fn len(&self) -> usize {
        self.entries.len() + self.repeatable.len() + self.lost.len() + self.set_aside.len()
    }

    /// An event as the journal gives it out to be sent. `None`: the journal has lost it, and may.
    pub fn sends(&self, seq: Seq, read: Option<Record>) -> Result<Option<Entry>, Broken> {
        match (self.entries.get(&seq.0), read) {
            (Some(entry), Some(record)) if record.is_same_event(&entry.record) => Ok(Some(Entry {
                record,
                ..entry.clone()
            })),
            (None, None) => Ok(None),
            (Some(entry), other) => Rule::NoLoss.broken(format!("{other:?} is to be sent for {:?}", entry.record)),
            (None, Some(record)) => Rule::NoLoss.broken(format!("{record:?} is to be sent, and nobody recorded it")),
        }
    }
}
