//! What the listener changes in the queue while it plays: its modes, and what is put into it. The service makes the change;
//! what follows is asked for afterwards, and what is loaded of it stays.

use super::answer::refusal;
use super::{Edit, Session, Switch, Want};
use crate::effect::Call;
use crate::input::Failure;
use crate::unit::Moment;

impl Session {
    pub(super) fn edit(&mut self, edit: Edit) {
        let pushed = self.service.edits.push_back(edit);
        debug_assert!(pushed.is_ok(), "it was permitted, so there is room");
    }

    /// The order of what follows may be another one now.
    pub(super) fn switched(&mut self, on: bool, switch: fn(&mut Self) -> &mut Switch) {
        let switch = switch(self);
        switch.on = on;
        if switch.wanted == Some(on) {
            switch.wanted = None;
        }
        self.service.want_next = Want::Yes;
    }

    /// The queue is not changed - unless only the answer was lost: the service is asked what follows.
    pub(super) fn change_failed(&mut self, failure: Failure, later: Want, now: Moment) {
        if later == Want::Yes {
            self.service.want_next = Want::Yes;
        }
        if failure == Failure::NotFound {
            // Is the session still there?
            self.service.want_current = Want::Yes;
        }
        self.refuse(refusal(failure), now);
    }

    /// Something was put into the queue: what follows may be something else now.
    pub(super) fn edited(&mut self, edit: Edit) {
        if self.service.edits.front() == Some(&edit) {
            self.service.edits.pop_front();
        }
        self.service.want_next = Want::Yes;
    }

    /// An entry is not put in. Where nobody was reached, those behind it would fare no better.
    pub(super) fn edit_failed(&mut self, later: Want) {
        match later {
            Want::Yes => self.service.edits.clear(),
            Want::No => drop(self.service.edits.pop_front()),
        }
    }

    /// Events that come first cannot be sent now: presses that wait behind them are refused rather than followed later.
    pub(super) fn presses_failed(&mut self, failure: Failure, now: Moment) {
        self.step_failed(failure, Want::Yes, now);
        let asked = match self.service.pending.map(|pending| pending.call) {
            Some(Call::Shuffle { .. } | Call::Loop { .. } | Call::QueueNext { .. } | Call::QueueLast { .. }) => return,
            Some(
                Call::Create { .. }
                | Call::Current(_)
                | Call::Next { .. }
                | Call::Previous { .. }
                | Call::Active
                | Call::Restore(_),
            )
            | None => [self.service.shuffle.wanted.take(), self.service.looping.wanted.take()],
        };
        let edits = !self.service.edits.is_empty();
        self.service.edits.clear();
        if edits || asked.iter().any(Option::is_some) {
            self.refuse(refusal(failure), now);
        }
    }
}
