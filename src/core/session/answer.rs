//! What the service says: new sessions, entries, refusals, silence.

use super::{Pending, Session, Step, Switch, Want};
use crate::effect::{Call, Effect};
use crate::entry::{Denial, Entry, Permission};
use crate::event::StopReason;
use crate::id::{RequestId, Seq, SessionKey, SourceKey};
use crate::input::{Answer, Failure, Mode};
use crate::playback::Wanted;
use crate::queue::Merge;
use crate::refusal::{Notice, Problem, Refusal};
use crate::unit::{Millis, Moment};

impl Session {
    /// Takes the answer to the pending call; any other answer is late and is dropped.
    pub(super) fn answer(&mut self, request: RequestId, answer: &Answer, now: Moment) {
        let Some(pending) = self.service.pending.take_if(|pending| pending.request == request) else {
            return;
        };
        // Listing what is not there means that the queue ends (or begins) here.
        let failure = match (pending.call, answer) {
            (Call::Create { source, mode }, Answer::Opened { session, entries }) => {
                if self.is_opening(source, mode) {
                    self.opened(*session, entries, mode, now);
                }
                None
            }
            (Call::Current(_), Answer::Listed(entries)) => {
                self.current_is(pending, entries, now);
                None
            }
            (Call::Next { .. }, Answer::Listed(entries)) => {
                self.next_are(pending, entries, now);
                None
            }
            (Call::Next { .. }, Answer::Failed(Failure::NotFound)) => {
                self.next_are(pending, &[], now);
                None
            }
            (Call::Previous { .. }, Answer::Listed(entries)) => {
                self.previous_are(pending, entries, now);
                None
            }
            (Call::Previous { .. }, Answer::Failed(Failure::NotFound)) => {
                self.previous_are(pending, &[], now);
                None
            }
            (Call::Loop { on, .. }, Answer::Done) => {
                self.switched(on, |session| &mut session.service.looping);
                None
            }
            (Call::Shuffle { on, .. }, Answer::Done) => {
                self.switched(on, |session| &mut session.service.shuffle);
                None
            }
            (_, Answer::Failed(failure)) => Some(*failure),
            (_, Answer::Opened { .. } | Answer::Listed(_) | Answer::Sessions(_) | Answer::Done) => {
                Some(Failure::Garbled)
            }
        };
        match failure {
            None => {
                self.link.answered();
                let waits = self
                    .queue
                    .current()
                    .is_some_and(|entry| self.window.awaits_address(entry.key));
                if !waits {
                    self.troubles.clear(Problem::ServiceRefused);
                }
                self.troubles.clear(Problem::NotLinked);
            }
            Some(failure) => {
                self.call_failed(pending.call, failure, now);
                self.not_now(failure, now);
            }
        }
    }

    /// This is still what the listener wants opened: not something newer, and not called off.
    fn is_opening(&self, source: SourceKey, mode: Mode) -> bool {
        self.service
            .opening
            .is_some_and(|opening| opening.source == source && opening.mode == mode)
    }

    fn opened(&mut self, session: SessionKey, entries: &[Entry], mode: Mode, now: Moment) {
        let opening = self.service.opening.take();
        self.service.session = Some(session);
        self.service.at = entries.first().map(|entry| entry.key);
        self.service.last_event = Seq::default();
        self.service.source = opening.map(|opening| (opening.source, opening.mode));
        self.service.shuffle = Switch {
            on: mode == Mode::Shuffle,
            wanted: None,
        };
        self.service.looping = Switch::default();
        self.service.want_current = Want::No;
        self.service.want_previous = Want::No;
        self.service.skips = None;
        self.service.step = None;
        self.strikes = 0;
        self.troubles.clear(Problem::TakenOver);
        self.troubles.clear(Problem::ManyUnplayable);
        self.count_skips(entries);
        self.queue.open(entries, true);
        if self.queue.current().is_none() {
            self.queue_ended();
            return;
        }
        self.service.want_next = if self.queue.ahead().len() < self.queue.ahead_max() {
            Want::Yes
        } else {
            Want::No
        };
        let asked_at = opening.map(|opening| opening.asked_at);
        self.start_current(Millis::ZERO, asked_at, StopReason::UserStop, now);
    }

    fn current_is(&mut self, pending: Pending, entries: &[Entry], now: Moment) {
        let Some(first) = entries.first() else {
            self.session_gone();
            return;
        };
        self.freshen(entries);
        // A start event since the question has moved the service on.
        if self.service.at == pending.at {
            self.service.at = Some(first.key);
        }
        if self.queue.current().is_some() {
            return;
        }
        // After a restart: this is where the service says we are.
        self.queue.open(entries, false);
        self.service.want_next = Want::Yes;
        self.service.want_previous = Want::Yes;
        if self.playback.wanted == Wanted::Sound {
            self.start_current(self.place_to_resume(), Some(now), StopReason::SystemStop, now);
        }
    }

    fn next_are(&mut self, pending: Pending, entries: &[Entry], now: Moment) {
        self.freshen(entries);
        if self.queue.take_next(pending.at, entries) == Merge::Elsewhere {
            // A step waits until the service is here: the start event of the current entry makes it be asked again.
            if self.service.step == Some(Step::Natural) && pending.at == self.service.at {
                // That event was refused, and there is nothing more to play here: what the service believes is current
                // is all there is to go by.
                self.start_over();
            }
            self.check_address();
            return;
        }
        match self.service.step {
            Some(Step::Next { asked_at }) => {
                self.service.step = None;
                if self.queue.advance() {
                    self.count_skip();
                    self.start_current(Millis::ZERO, Some(asked_at), StopReason::UserNext, now);
                } else if self.playback.current.is_some() {
                    // The listener wanted more than there is: this entry goes on.
                    self.tell(Notice::QueueEnded);
                } else {
                    self.queue_ended();
                }
            }
            Some(Step::Natural) => {
                self.service.step = None;
                if !self.queue.advance() {
                    self.queue_ended();
                } else if self.playback.wanted == Wanted::Sound {
                    self.start_current(Millis::ZERO, None, StopReason::SystemStop, now);
                }
            }
            Some(Step::Previous { .. }) | None => {}
        }
    }

    /// The current entry waits for a fresh address, and the service does not list it where it should be: the queue was
    /// changed before it could sound.
    fn check_address(&mut self) {
        let wanted = [
            self.service.want_current,
            self.service.want_next,
            self.service.want_previous,
        ];
        let waits = self
            .queue
            .current()
            .is_some_and(|entry| self.window.awaits_address(entry.key));
        if waits && !wanted.contains(&Want::Yes) && self.playback.span().is_none() {
            self.start_over();
        }
    }

    /// The mirror has lost its footing: what the service says is current is all there is to go by.
    fn start_over(&mut self) {
        let wanted = self.playback.wanted;
        self.halt();
        self.playback.wanted = wanted;
        self.service.step = None;
        self.queue.clear();
        self.service.want_current = Want::Yes;
    }

    fn previous_are(&mut self, pending: Pending, entries: &[Entry], now: Moment) {
        self.freshen(entries);
        self.queue.take_previous(pending.at, entries);
        self.check_address();
        if let Some(Step::Previous { asked_at }) = self.service.step {
            self.service.step = None;
            let reason = if self.queue.retreat() {
                StopReason::UserPrev
            } else {
                StopReason::TrackScrub
            };
            self.start_current(Millis::ZERO, Some(asked_at), reason, now);
        }
    }

    /// The order of what follows may be another one now.
    fn switched(&mut self, on: bool, switch: fn(&mut Self) -> &mut Switch) {
        let switch = switch(self);
        switch.on = on;
        if switch.wanted == Some(on) {
            switch.wanted = None;
        }
        self.service.want_next = Want::Yes;
    }

    /// What becomes of what was asked for. The link's part is [`Self::not_now`].
    fn call_failed(&mut self, call: Call, failure: Failure, now: Moment) {
        let later = match failure {
            Failure::Unreachable
            | Failure::WrongClock
            | Failure::Busy { .. }
            | Failure::Garbled
            | Failure::Unauthorised => Want::Yes,
            // Never repeated unchanged.
            Failure::Forbidden | Failure::NotFound | Failure::Refused | Failure::TakenOver => Want::No,
        };
        match call {
            Call::Create { source, mode } if !self.is_opening(source, mode) => {}
            Call::Create { .. } => {
                self.service.opening = None;
                if self.queue.current().is_none() {
                    self.playback.wanted = Wanted::Silence;
                }
                self.refuse(refusal(failure), now);
            }
            Call::Loop { .. } => {
                self.service.looping.wanted = None;
                self.refuse(refusal(failure), now);
            }
            Call::Shuffle { .. } => {
                self.service.shuffle.wanted = None;
                self.refuse(refusal(failure), now);
            }
            Call::Current(_) if failure == Failure::NotFound => self.session_gone(),
            Call::Current(_) => {
                self.service.want_current = later;
                if later == Want::No && self.queue.current().is_none() {
                    self.playback.wanted = Wanted::Silence;
                }
            }
            Call::Active | Call::Restore(_) => {}
            Call::QueueNext { .. } | Call::QueueLast { .. } => self.refuse(refusal(failure), now),
            Call::Next { .. } => {
                self.service.want_next = later;
                self.step_failed(failure, later, now);
            }
            Call::Previous { .. } => {
                self.service.want_previous = later;
                self.step_failed(failure, later, now);
            }
        }
    }

    /// The listener's steps fail fast; the natural one waits for as long as there is hope.
    fn step_failed(&mut self, failure: Failure, later: Want, now: Moment) {
        match self.service.step {
            Some(Step::Next { .. } | Step::Previous { .. }) => {
                self.refuse(refusal(failure), now);
                self.drop_step();
            }
            Some(Step::Natural) if later == Want::No => {
                self.service.step = None;
                self.halt();
            }
            Some(Step::Natural) | None => {}
        }
    }

    /// The listener does not wait any longer. Where nothing sounds, the natural course is taken up again.
    pub(super) fn drop_step(&mut self) {
        if self.playback.current.is_none() && self.playback.wanted == Wanted::Sound {
            self.service.step = Some(Step::Natural);
            self.service.want_next = Want::Yes;
        } else {
            self.service.step = None;
        }
    }

    /// Events that come first cannot be sent now: presses that wait behind them are refused rather than followed later.
    pub(super) fn presses_failed(&mut self, failure: Failure, now: Moment) {
        self.step_failed(failure, Want::Yes, now);
        let asked = match self.service.pending.map(|pending| pending.call) {
            Some(Call::Shuffle { .. } | Call::Loop { .. }) => return,
            Some(
                Call::Create { .. }
                | Call::Current(_)
                | Call::Next { .. }
                | Call::Previous { .. }
                | Call::Active
                | Call::Restore(_)
                | Call::QueueNext { .. }
                | Call::QueueLast { .. },
            )
            | None => [self.service.shuffle.wanted.take(), self.service.looping.wanted.take()],
        };
        if asked.iter().any(Option::is_some) {
            self.refuse(refusal(failure), now);
        }
    }

    /// What a failure says about the link, the account and the stream, whatever was asked.
    pub(super) fn not_now(&mut self, failure: Failure, now: Moment) {
        match failure {
            Failure::Unreachable | Failure::WrongClock => self.link.unreachable(now),
            Failure::Busy { retry_after } => self.link.busy(now, retry_after),
            Failure::Garbled => self.link.busy(now, None),
            Failure::Unauthorised => {
                self.troubles.raise(Problem::NotLinked);
                self.link.busy(now, None);
            }
            Failure::Forbidden | Failure::Refused => {
                self.link.answered();
                self.troubles.raise(Problem::ServiceRefused);
            }
            Failure::NotFound => self.link.answered(),
            Failure::TakenOver => {
                self.link.busy(now, None);
                self.taken_over(now);
            }
        }
    }

    /// Another device owns the stream: the sound stops here, the place is kept for when the listener wants it back.
    fn taken_over(&mut self, now: Moment) {
        self.troubles.raise(Problem::TakenOver);
        if self.playback.wanted == Wanted::Sound {
            self.remember_place(now);
            self.halt();
            self.playback.wanted = Wanted::Pause;
        }
    }

    /// The service no longer knows the session: what sounds is played to its end, and there is nothing to go on with.
    fn session_gone(&mut self) {
        self.service.session = None;
        self.service.step = None;
        self.service.want_current = Want::No;
        if self.playback.current_play().is_some() {
            self.queue.keep_current();
        } else {
            self.resume_at = None;
            self.queue_ended();
        }
    }

    /// Takes fresh facts about entries that are mirrored, and the count of skips.
    fn freshen(&mut self, entries: &[Entry]) {
        self.count_skips(entries);
        for entry in entries {
            self.queue.refresh(entry);
            self.window.renew(entry.key);
        }
    }

    /// The service counts; between its answers the speaker counts down itself.
    fn count_skips(&mut self, entries: &[Entry]) {
        let said = entries.iter().find_map(|entry| match entry.actions.next {
            Permission::Allowed { remaining } => Some(remaining),
            Permission::Denied(Denial::NoMoreSkips) => Some(Some(0)),
            Permission::Denied(Denial::NeedsSubscription | Denial::Unavailable) => None,
        });
        if let Some(remaining) = said {
            self.service.skips = remaining.map(|left| left.saturating_sub(self.service.uncounted));
        }
    }

    /// One more skip that the service does not know of yet.
    pub(super) fn count_skip(&mut self) {
        self.service.uncounted = self.service.uncounted.saturating_add(1);
        self.service.skips = self.service.skips.map(|left| left.saturating_sub(1));
    }

    /// Played to the end.
    pub(super) fn queue_ended(&mut self) {
        self.halt();
        self.service.session = None;
        self.queue.clear();
        self.tell(Notice::QueueEnded);
    }

    /// Stops the sound for good; what is open stays open.
    pub(super) fn halt(&mut self) {
        self.playback.wanted = Wanted::Silence;
        self.playback.replace(StopReason::SystemStop);
        self.playback.current = None;
        self.playback.follower = None;
        self.emit(Effect::Silence);
    }
}

/// How a failure is told to somebody who pressed a button.
fn refusal(failure: Failure) -> Refusal {
    match failure {
        Failure::Unreachable | Failure::WrongClock | Failure::Busy { .. } | Failure::Garbled => Refusal::NoNetwork,
        Failure::Unauthorised | Failure::Forbidden | Failure::NotFound | Failure::Refused | Failure::TakenOver => {
            Refusal::Denied(Denial::Unavailable)
        }
    }
}
