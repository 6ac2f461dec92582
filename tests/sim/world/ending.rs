//! The end of a world: trouble stops, and everything must come right.

use super::{Check, Happening, Rest, Telling, World};
use crate::disk::Health;
use crate::rule::Rule;
use tonearm_core::input::{Account, Press};
use tonearm_core::refusal::Problem;
use tonearm_core::unit::Moment;
use tonearm_core::{State, View};

/// What the journal may keep when nothing waits: two segments, the newest events set aside (256 KiB), the checkpoint, and
/// 8 damaged segments for people to look at.
const REST_BYTES_MAX: u64 = 1024 * 1024;
const REST_FILES_MAX: usize = 16;
/// Most of it are events that are remembered to judge the next ones, and the entries of 40 sessions.
const THINGS_MAX: usize = 12_000;

impl World {
    pub(super) fn calm_down(&mut self) {
        note!(self, "{} ---- calm", self.now);
        self.plan.calm();
        self.service.give_stream_back();
        self.service.linked = true;
        for medium in self.audio.media.values_mut() {
            medium.stalls.clear();
            medium.expired = 0;
        }
        let later = |happening: &Happening| {
            matches!(
                happening,
                Happening::Deliver { .. }
                    | Happening::NewsDue { .. }
                    | Happening::ServiceHandles { .. }
                    | Happening::Write { .. }
                    | Happening::Retry { .. }
                    | Happening::Held { .. }
                    | Happening::Saved { .. }
                    | Happening::Loaded { .. }
                    | Happening::Edge(..)
                    | Happening::Boot
                    | Happening::ClockTrusted(true)
            )
        };
        self.agenda.retain(|_, happening| later(happening));
        self.doom = None;
        self.disk.survive();
        self.expired_until = 0;
        self.enter(0, Happening::Disk(Health::Good));
        self.enter(0, Happening::Device(true));
        self.enter(0, Happening::Net(true));
        self.enter(0, Happening::Boot);
        self.enter(1, Happening::Told(Account::Linked));
    }

    /// Everything older than a few seconds is at the service, and what should sound sounds.
    pub(super) fn check_drained(&mut self) -> Check {
        let settled = self.ledger.settled();
        let late = self.ledger.waiting().find(|record| record.event.at.0 + 5000 < self.now);
        if let Some(record) = late {
            return Rule::Recovery.broken(format!("{:?} is still not settled", record.event));
        }
        let missing = self.ledger.entries().find(|record| {
            record.event.seq <= settled
                && !self.service.has_seen(record.uid)
                && !self.ledger.set_aside.contains(&record.uid)
        });
        if let Some(record) = missing {
            return Rule::NoLoss.broken(format!("{:?} was settled and never arrived", record.event));
        }
        let Some(session) = &self.session else {
            return Rule::Recovery.broken("the program does not run");
        };
        let view = session.view(Moment(self.now));
        let (state, problem, shown) = (view.state, view.problem, shown(&view));
        match state {
            State::Playing if !self.audio.is_flowing() && self.audio.news.is_empty() => {
                Rule::Recovery.broken("it says playing, and nothing sounds")
            }
            State::Paused | State::Stopped if self.audio.is_flowing() => {
                Rule::Recovery.broken(format!("it says {state:?}, and something sounds"))
            }
            // A refusal is not repeated unchanged; the speaker shows it and waits for a press.
            State::Buffering if problem != Some(Problem::ServiceRefused) && !self.changes_soon() => {
                Rule::Recovery.broken(format!("stuck in buffering: {shown}"))
            }
            State::Playing | State::Paused | State::Stopped | State::Buffering => Ok(()),
        }
    }

    /// Nothing is left on the disk but what is needed, and nothing grows from day to day.
    pub(super) fn check_flat(&mut self) -> Check {
        let service = &self.service;
        self.ledger.prune(service.last_seen(), |uid| service.has_seen(uid))?;
        self.service.prune(self.ledger.oldest());
        let wishes = &self.wishes;
        self.audio.forget(|entry| wishes.iter().any(|wish| wish.entry == entry));
        let (bytes, files) = self.disk.size();
        let things =
            self.ledger.len() + self.service.len() + self.oracle.len() + self.audio.media.len() + self.agenda.len();
        self.rests.push(Rest { bytes, files, things });
        Rule::Flat.holds(bytes <= REST_BYTES_MAX && files <= REST_FILES_MAX, || {
            format!("{bytes} bytes in {files} files at the end of a day")
        })?;
        Rule::Flat.holds(things <= THINGS_MAX, || {
            format!("{things} things in the tables of the models")
        })?;
        let (waiting, unstored) = self.store.as_ref().map_or((0, 0), crate::store::Store::waits);
        let limit = 4;
        Rule::Flat.holds(waiting <= limit && unstored <= limit, || {
            format!("{waiting} events wait and {unstored} are only in memory although all is well")
        })
    }

    /// Between two entries buffering is right for a moment.
    pub(super) fn changes_soon(&mut self) -> bool {
        let later = self.now + 8_000;
        let mut ever_sounded = false;
        while self.now < later && !ever_sounded {
            let until = self.now + 100;
            if self.advance_to(until).is_err() {
                return false;
            }
            let state = self
                .session
                .as_ref()
                .map(|session| session.view(Moment(self.now)).state);
            ever_sounded = state != Some(State::Buffering);
        }
        ever_sounded
    }

    /// Somebody presses a preset, and it plays.
    pub(super) fn check_alive(&mut self) -> Check {
        self.plan.entry_ms = (60_000, 90_000);
        self.plan.queue_len = (5, 20);
        self.enter(0, Happening::Press(Press::Preset(2)));
        let until = self.now + 20_000;
        self.advance_to(until)?;
        let Some(session) = &self.session else {
            return Rule::Recovery.broken("the program does not run");
        };
        let view = session.view(Moment(self.now));
        if view.state == State::Playing && self.audio.is_flowing() && view.waiting <= 4 && !view.entries.is_empty() {
            Ok(())
        } else {
            Rule::Recovery.broken(format!("a preset was pressed and does not play: {}", shown(&view)))
        }
    }

    /// It leaves when asked, with everything closed and reported.
    pub(super) fn check_leaves(&mut self) -> Check {
        self.enter(0, Happening::Shutdown);
        let until = self.now + 1600;
        while self.now < until && self.session.is_some() {
            let step = self.now + 10;
            self.advance_to(step)?;
        }
        if self.session.is_some() {
            return Rule::Alive.broken("it does not leave");
        }
        let unsent = self
            .ledger
            .entries()
            .find(|record| record.event.seq > self.ledger.settled());
        if let Some(record) = unsent {
            return Rule::Recovery.broken(format!(
                "it left with {:?} unsent although the service answers",
                record.event
            ));
        }
        let last = self.ledger.entries().next_back().map(|record| record.event.what);
        match last {
            Some(tonearm_core::event::What::Stop { .. }) => Ok(()),
            other => Rule::Pairing.broken(format!("the last event is {other:?}")),
        }
    }
}

/// What the speaker says of itself, in a line.
fn shown(view: &View<'_>) -> String {
    let keys: Vec<u32> = view.entries.iter().map(|entry| entry.key.0).collect();
    format!(
        "{:?} at {:?} of {keys:?}[{}], {} events wait, {:?}, {:?}, {:?}",
        view.state, view.position, view.cursor, view.waiting, view.reach, view.account, view.problem
    )
}
