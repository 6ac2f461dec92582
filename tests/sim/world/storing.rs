//! The journal within the world: when its thread writes, what is sent from it, and what its end in the middle of that
//! leaves behind.

use super::{End, Happening, Telling, World};
use crate::journal::{Checkpoint, Found, Stored};
use crate::ledger::Entry as Recorded;
use crate::plan::Part;
use crate::rule::{Broken, Rule};
use crate::store::{EPOCH_MS, RETRY_MS, Store};
use tonearm_core::effect::{Effect, Place};
use tonearm_core::event::{Event, What};
use tonearm_core::id::Seq;
use tonearm_core::input::Input;
use tonearm_core::unit::Moment;

/// How far the time of an event may be from the truth.
const CLOCK_ERROR_MS_MAX: u64 = 100;
/// A clock that is synchronised is this close.
const SYNCHRONISED_MS: u64 = 20;

/// What became of opening the journal.
pub enum Opened {
    /// It is open; perhaps a stop was made up.
    Open(Option<Event>),
    /// The program ended meanwhile.
    Ended,
}

/// What the journal gives out of events that are to be sent.
pub enum ReadBack {
    Events(Vec<Recorded>),
    /// One of them is lost, as it may be.
    Lost,
    /// All up to this one were let go for want of room.
    Folded(Seq),
    /// Nothing yet; the journal has news when it does.
    Later,
}

impl World {
    /// Recovers the journal, as the program does before it makes a session: the start that the last run left open gets
    /// its stop, and the bookmark moves there.
    pub(super) fn open_store(&mut self) -> Result<Opened, Broken> {
        if std::mem::take(&mut self.is_board_new) {
            self.begin_boot();
        }
        self.clock.is_noted = false;
        self.held = None;
        let Some((store, recovered)) = Store::open(&self.disk) else {
            self.ends_while_starting();
            return Ok(Opened::Ended);
        };
        let disk_works = self.disk.is_good();
        self.ledger.restart(&recovered, |seq| store.peek(seq), disk_works)?;
        self.stats.add("events lost with the memory", recovered.lost);
        self.stats
            .add("files put aside as damaged", recovered.quarantined.len() as u64);
        self.store = Some(store);
        let Some(open) = recovered.open.filter(|_| self.without.part != Some(Part::ClosingStop)) else {
            return Ok(Opened::Open(None));
        };
        let stop = open.stop(recovered.next);
        let event = self.boots.event(&stop);
        self.stats.count("stops made up");
        self.ledger.append(event, stop.clone());
        if let Some(store) = &mut self.store {
            store.append(stop);
        }
        self.write();
        if self.store.is_none() {
            self.ends_while_starting();
            return Ok(Opened::Ended);
        }
        if let What::Stop { progress, .. } = event.what {
            self.ledger.bookmark.playing = true;
            self.ledger.bookmark.place = Some(Place {
                session: event.session,
                entry: event.entry,
                position: progress,
            });
        }
        Ok(Opened::Open(Some(event)))
    }

    fn begin_boot(&mut self) {
        self.boots.begin(self.now);
        self.clock.is_trusted = false;
        self.clock.error_ms =
            i64::try_from(self.rng.between(0, 2 * SYNCHRONISED_MS)).unwrap() - i64::try_from(SYNCHRONISED_MS).unwrap();
        // Most know the time at once, some after minutes, a few not in this life.
        let knows_after = match self.rng.index(10) {
            0..=4 => 0,
            5..=8 => self.rng.between(1, 120_000),
            _ => 40_000_000,
        };
        self.enter(knows_after, Happening::ClockTrusted(true));
    }

    fn ends_while_starting(&mut self) {
        self.stats.count("ends while starting");
        let end = self.doom.take().unwrap_or(End::Killed);
        self.fall(end);
        self.stopped();
    }

    /// What the disk and the clock make of an end.
    fn fall(&mut self, end: End) {
        self.store = None;
        self.retries = false;
        match end {
            End::Killed => self.disk.survive(),
            End::PowerCut => {
                self.disk.lose_power(&mut self.rng);
                self.is_board_new = true;
            }
        }
    }

    /// The program is to end, at once or in the middle of a write.
    pub(super) fn doom(&mut self, end: End) {
        if self.store.is_none() {
            // It is not running; the next start is cut short.
            self.disk.stop_after(self.rng.between(0, 12));
            self.doom = Some(end);
            return;
        }
        if self.rng.chance(400) {
            return self.end(end);
        }
        self.disk.stop_after(self.rng.between(0, 6));
        self.doom = Some(end);
        let run = self.run;
        self.enter(20_000, Happening::Ended { run });
    }

    pub(super) fn end(&mut self, end: End) {
        self.doom = None;
        self.stats.count(match end {
            End::Killed => "kills",
            End::PowerCut => "power cuts",
        });
        note!(self, "{} ---- {end:?}", self.now);
        self.session = None;
        self.fall(end);
        self.stopped();
    }

    /// The program leaves when it was asked: the journal writes what it still has.
    pub(super) fn close_store(&mut self) {
        if let Some(store) = &mut self.store {
            store.step();
        }
        self.ledger.leave();
        self.fall(End::Killed);
        self.doom = None;
    }

    /// The journal has something to write; its thread does so soon.
    pub(super) fn write_soon(&mut self) {
        let told = self.store.as_ref().map(Store::told).unwrap_or_default();
        self.tell_stored(&told);
        let after = self.rng.between(1, 60);
        let run = self.run;
        if let Some(store) = &mut self.store
            && !store.is_due
        {
            store.is_due = true;
            self.enter(after, Happening::Write { run });
        }
    }

    pub(super) fn write(&mut self) {
        let Some(store) = &mut self.store else {
            return;
        };
        let (settled, failures) = (self.ledger.settled(), self.disk.counts().failures);
        store.is_due = false;
        let told = store.step();
        if self.disk.has_stopped() {
            self.stats.count("ends in the middle of a write");
            let end = self.doom.take().unwrap_or(End::Killed);
            if self.session.is_some() {
                self.end(end);
            } else {
                self.store = None;
                self.doom = Some(end);
            }
            return;
        }
        note!(
            self,
            "{} ---- written, settled up to {settled:?}: {:?}, {} failures",
            self.now,
            told,
            self.disk.counts().failures - failures
        );
        if self.disk.counts().failures == failures {
            self.ledger.settled_on_disk(settled);
        } else if !std::mem::replace(&mut self.retries, true) {
            let run = self.run;
            self.enter(RETRY_MS, Happening::Retry { run });
        }
        self.tell_stored(&told);
    }

    fn tell_stored(&mut self, told: &[Stored]) {
        if !told.is_empty()
            && let Some((first, last)) = self.held.take()
        {
            let run = self.run;
            self.enter(0, Happening::Held { run, first, last });
        }
        for Stored { seq, durable } in told.iter().copied() {
            if durable {
                self.ledger.stored(seq);
            }
            let (run, input) = (self.run, Input::Stored { seq, durable });
            let after = self.rng.between(0, 5);
            self.enter(
                after,
                Happening::Deliver {
                    run,
                    input,
                    learned: None,
                    frees_worker: false,
                },
            );
        }
    }

    pub(super) fn record(&mut self, event: Event) {
        self.stats.events += 1;
        if self.clock.is_trusted
            && !std::mem::replace(&mut self.clock.is_noted, true)
            && let Some(store) = &self.store
        {
            store.clock_known(&self.boots, self.clock.error_ms);
        }
        let wall_ms = EPOCH_MS + i64::try_from(event.at.0).unwrap() + self.clock.error_ms;
        let wall_ms = self.clock.is_trusted.then_some(wall_ms);
        let record = self.boots.record(&event, self.run, wall_ms);
        self.ledger.append(event, record.clone());
        if let Some(store) = &self.store {
            store.append(record);
        }
        if self.without.part == Some(Part::Writing) {
            let (seq, durable) = (event.seq, true);
            self.tell_stored(&[Stored { seq, durable }]);
        }
        self.write_soon();
    }

    pub(super) fn checkpoint(&mut self, effect: &Effect) {
        if let (
            Effect::Checkpoint {
                start,
                position,
                played,
                rebuffers,
            },
            Some(store),
        ) = (effect, &self.store)
        {
            let checkpoint = Checkpoint {
                at: Moment(self.now - self.boots.began_at()),
                position: *position,
                played: *played,
                rebuffers: *rebuffers,
            };
            store.checkpoint(*start, checkpoint);
        }
        self.write_soon();
    }

    pub(super) fn settle(&mut self, seq: Seq, accepted: bool) {
        self.ledger.settle(seq, accepted);
        if let Some(store) = self
            .store
            .as_ref()
            .filter(|_| self.without.part != Some(Part::Settlement))
        {
            store.settle(seq, accepted);
        }
        self.write_soon();
    }

    /// Events as they are sent: read back from the journal.
    pub(super) fn read_back(&mut self, first: Seq, last: Seq) -> Result<ReadBack, Broken> {
        let mut events = Vec::new();
        for seq in first.0..=last.0 {
            let found = self.store.as_ref().map_or(Found::Nothing, |store| store.read(Seq(seq)));
            let read = match found {
                Found::Event(record) => Some(record),
                Found::Nothing => None,
                Found::Folded(through) if seq == first.0 => return Ok(ReadBack::Folded(through)),
                Found::Folded(_) => return Ok(ReadBack::Lost),
                Found::Later => {
                    self.stats.count("reports that the journal kept back");
                    self.held = Some((first, last));
                    return Ok(ReadBack::Later);
                }
            };
            let Some(event) = self.ledger.sends(Seq(seq), read)? else {
                self.stats.count("lost events passed over");
                return Ok(ReadBack::Lost);
            };
            let record = &event.record;
            let truth = self.boots.true_ms(record);
            let must_know = self.clock.is_noted && record.boot == self.boots.id();
            if let Some(wall_ms) = record.wall_ms {
                Rule::Clock.holds(wall_ms.abs_diff(truth) <= CLOCK_ERROR_MS_MAX, || {
                    format!("{record:?} was at {truth}")
                })?;
            } else {
                Rule::Clock.holds(!must_know, || {
                    format!("{record:?} was at {truth}, and the clock is known")
                })?;
                self.stats.count("events sent without a known time");
            }
            events.push(event);
        }
        Ok(ReadBack::Events(events))
    }
}
