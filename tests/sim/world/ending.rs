//! The end of a world: trouble stops, and everything must come right.

use super::{Check, Happening, Telling, World};
use tonearm_core::State;
use tonearm_core::input::{Account, Press};
use tonearm_core::refusal::Problem;
use tonearm_core::unit::Moment;

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
                    | Happening::Synced { .. }
                    | Happening::Saved { .. }
                    | Happening::Loaded { .. }
                    | Happening::Edge(..)
                    | Happening::Boot
            )
        };
        self.agenda.retain(|_, happening| later(happening));
        self.enter(0, Happening::Disk(true));
        self.enter(0, Happening::Device(true));
        self.enter(0, Happening::Net(true));
        self.enter(0, Happening::Boot);
        self.enter(1, Happening::Told(Account::Linked));
    }

    /// Everything older than a few seconds is at the service, and what should sound sounds.
    pub(super) fn check_drained(&mut self) -> Check {
        let settled = self.journal.settled();
        let late = self
            .journal
            .records()
            .find(|record| record.event.seq > settled && record.event.at.0 + 5000 < self.now);
        if let Some(record) = late {
            return Err(format!("{:?} is still not settled", record.event));
        }
        let missing = self.journal.records().find(|record| {
            record.event.seq <= settled
                && !self.service.has_seen(record.uid)
                && !self.journal.set_aside.contains(&record.uid)
        });
        if let Some(record) = missing {
            return Err(format!("{:?} was settled and never arrived", record.event));
        }
        let Some(session) = &self.session else {
            return Err("the program does not run".into());
        };
        let view = session.view(Moment(self.now));
        let (state, problem, shown) = (view.state, view.problem, format!("{view:?}"));
        match state {
            State::Playing if !self.audio.is_flowing() && self.audio.news.is_empty() => {
                Err("it says playing, and nothing sounds".into())
            }
            State::Paused | State::Stopped if self.audio.is_flowing() => {
                Err(format!("it says {state:?}, and something sounds"))
            }
            // A refusal is not repeated unchanged; the speaker shows it and waits for a press.
            State::Buffering if problem != Some(Problem::ServiceRefused) && !self.changes_soon() => {
                Err(format!("stuck in buffering: {shown}"))
            }
            State::Playing | State::Paused | State::Stopped | State::Buffering => Ok(()),
        }
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
            return Err("the program does not run".into());
        };
        let view = session.view(Moment(self.now));
        if view.state == State::Playing && self.audio.is_flowing() && view.waiting <= 4 && !view.entries.is_empty() {
            Ok(())
        } else {
            Err(format!("a preset was pressed and does not play: {view:?}"))
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
            return Err("it does not leave".into());
        }
        let unsent = self
            .journal
            .records()
            .find(|record| record.event.seq > self.journal.settled());
        if let Some(record) = unsent {
            return Err(format!(
                "it left with {:?} unsent although the service answers",
                record.event
            ));
        }
        let last = self.journal.records().next_back().map(|record| record.event.what);
        match last {
            Some(tonearm_core::event::What::Stop { .. }) => Ok(()),
            other => Err(format!("the last event is {other:?}")),
        }
    }
}
