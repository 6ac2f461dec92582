//! What the service says: new sessions, entries, refusals, silence.

use super::resume::Search;
use super::stream::Stream;
use super::{Edit, Footing, Opening, Opens, Pending, Session, Step, Want};
use crate::effect::{Call, Effect};
use crate::entry::{Denial, Entry, Permission};
use crate::event::StopReason;
use crate::id::{RequestId, SessionKey, SourceKey};
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
        // Listing what is not there means that the queue ends (or begins) here - or that the whole session is not there.
        let failure = match (pending.call, answer) {
            (Call::Create { source, mode }, Answer::Opened { session, entries }) => {
                if let Some(opening) = self.take_opening(pending.call) {
                    self.opened(*session, entries, opening.asked_at, (source, mode), now);
                } else if self.is_searching(pending.call) {
                    self.opened(*session, entries, now, (source, mode), now);
                }
                None
            }
            (Call::Current(session), Answer::Listed(entries)) => {
                self.looked_at(pending, session, entries, now);
                None
            }
            (Call::Restore(_), Answer::Opened { session, entries }) => {
                self.brought_back(pending, *session, entries, now);
                None
            }
            (Call::Active, Answer::Sessions(others)) => {
                if self.is_searching(pending.call) {
                    self.others_are(others);
                }
                None
            }
            (Call::QueueNext { source, .. }, Answer::Done) => {
                self.edited(Edit::Next(source));
                None
            }
            (Call::QueueLast { source, .. }, Answer::Done) => {
                self.edited(Edit::Last(source));
                None
            }
            (Call::Next { .. }, Answer::Listed(entries)) => {
                self.next_are(pending, entries, now);
                None
            }
            (Call::Next { .. }, Answer::Failed(Failure::NotFound)) => {
                match self.service.footing {
                    Footing::Firm => {
                        self.service.footing = Footing::Doubtful;
                        self.service.want_current = Want::Yes;
                        self.service.want_next = Want::Yes;
                    }
                    Footing::Doubtful => self.next_are(pending, &[], now),
                }
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
                self.link.answered(now);
                if !self.due().is_some_and(|entry| self.window.awaits_address(entry.key)) {
                    self.troubles.clear(Problem::ServiceRefused);
                }
                self.troubles.clear(Problem::WrongClock);
                self.accepted();
            }
            Some(Failure::TakenOver) if self.asks_by_entry(pending.call) => self.asked_without_stream(now),
            Some(failure) => {
                let looked = self.is_searching(pending.call) && !matches!(pending.call, Call::Create { .. });
                self.call_failed(pending.call, failure, now);
                self.not_now(failure, now);
                if looked {
                    // It goes on with what comes next: nothing is wrong yet.
                    self.troubles.clear(Problem::ServiceRefused);
                }
            }
        }
    }

    /// What the listener wants opened, if `call` still asks for it: not something newer, and not called off.
    fn take_opening(&mut self, call: Call) -> Option<Opening> {
        self.service.opening.take_if(|opening| opening.what.is_asked_by(call))
    }

    /// The service made a session, and gave it the stream.
    fn opened(
        &mut self,
        session: SessionKey,
        entries: &[Entry],
        asked_at: Moment,
        source: (SourceKey, Mode),
        now: Moment,
    ) {
        self.leave_session(session, now);
        self.service.offer = None;
        self.service.stream = Stream::Here;
        self.service.at = entries.first().map(|entry| entry.key);
        self.service.source = Some(source);
        self.service.shuffle.on = source.1 == Mode::Shuffle;
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
        self.start_current(Millis::ZERO, Some(asked_at), StopReason::UserStop, now);
    }

    /// A session's current entry: of the open one, or of another device's that is to go on here.
    fn looked_at(&mut self, pending: Pending, session: SessionKey, entries: &[Entry], now: Moment) {
        let gone = entries.is_empty();
        if let Some(opening) = self.take_opening(pending.call) {
            if gone {
                self.service.offer = None;
                self.opening_failed(Failure::NotFound, now);
            } else {
                self.joined(session, entries, opening, now);
            }
        } else if let Search::Join(other) = self.service.search
            && self.is_searching(pending.call)
        {
            if gone {
                self.search_failed(Failure::NotFound, now);
            } else {
                let what = Opens::Elsewhere(other);
                self.joined(session, entries, Opening { what, asked_at: now }, now);
            }
        } else if Some(session) == self.service.session {
            self.current_is(pending, entries, now);
        }
    }

    /// A session, by an entry of it: the own one, or another device's that is to go on here.
    fn brought_back(&mut self, pending: Pending, session: SessionKey, entries: &[Entry], now: Moment) {
        if let Some(opening) = self.take_opening(pending.call) {
            if entries.is_empty() {
                self.service.offer = None;
                self.opening_failed(Failure::NotFound, now);
            } else {
                self.joined(session, entries, opening, now);
            }
        } else if self.is_searching(pending.call) {
            match self.service.search {
                Search::Fetch { .. } if entries.is_empty() => self.search_failed(Failure::NotFound, now),
                Search::Fetch { entry, modes } => {
                    let what = Opens::Entry { entry, modes };
                    self.joined(session, entries, Opening { what, asked_at: now }, now);
                }
                Search::Over
                | Search::Restore(_)
                | Search::Regain(_)
                | Search::Active
                | Search::Join(_)
                | Search::Start { .. } => {
                    self.restored(pending, session, entries, now);
                }
            }
        }
    }

    fn current_is(&mut self, pending: Pending, entries: &[Entry], now: Moment) {
        let Some(first) = entries.first() else {
            self.session_lapsed(now);
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
        self.take_place(entries, now);
    }

    fn next_are(&mut self, pending: Pending, entries: &[Entry], now: Moment) {
        self.service.footing = Footing::Firm;
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
        if let Some(opening) = self.take_opening(call) {
            if let (
                Opens::Elsewhere(_) | Opens::Entry { .. },
                Failure::Forbidden | Failure::NotFound | Failure::Refused,
            ) = (opening.what, failure)
            {
                self.service.offer = None;
            }
            self.opening_failed(failure, now);
            return;
        }
        if self.is_searching(call) {
            self.search_failed(failure, now);
            return;
        }
        match call {
            // Called off meanwhile.
            Call::Create { .. } | Call::Restore(_) | Call::Active => {}
            Call::Loop { .. } => {
                self.service.looping.wanted = None;
                self.change_failed(failure, later, now);
            }
            Call::Shuffle { .. } => {
                self.service.shuffle.wanted = None;
                self.change_failed(failure, later, now);
            }
            Call::QueueNext { .. } | Call::QueueLast { .. } => {
                self.edit_failed(later);
                self.change_failed(failure, later, now);
            }
            Call::Current(session) if Some(session) != self.service.session => {}
            Call::Current(_) => {
                self.service.want_current = later;
                let nothing = self.queue.current().is_none();
                match failure {
                    Failure::NotFound => self.session_lapsed(now),
                    Failure::Forbidden | Failure::Refused if nothing => self.session_lapsed(now),
                    Failure::TakenOver if nothing => self.regain(),
                    Failure::Forbidden
                    | Failure::Refused
                    | Failure::TakenOver
                    | Failure::Unreachable
                    | Failure::WrongClock
                    | Failure::Busy { .. }
                    | Failure::Garbled
                    | Failure::Unauthorised => {}
                }
            }
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

    /// What the listener asked to be opened is not.
    pub(super) fn opening_failed(&mut self, failure: Failure, now: Moment) {
        if self.queue.current().is_none() {
            self.playback.wanted = Wanted::Silence;
        }
        self.refuse(refusal(failure), now);
    }

    /// The listener's steps fail fast; the natural one waits for as long as there is hope.
    pub(super) fn step_failed(&mut self, failure: Failure, later: Want, now: Moment) {
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

    /// What a failure says about the link, the account and the stream, whatever was asked.
    pub(super) fn not_now(&mut self, failure: Failure, now: Moment) {
        match failure {
            Failure::Unreachable => {}
            Failure::WrongClock => self.troubles.raise(Problem::WrongClock),
            Failure::Busy { .. }
            | Failure::Garbled
            | Failure::Unauthorised
            | Failure::Forbidden
            | Failure::Refused
            | Failure::NotFound
            | Failure::TakenOver => self.troubles.clear(Problem::WrongClock),
        }
        match failure {
            Failure::Unreachable | Failure::WrongClock => self.link.unreachable(now),
            Failure::Busy { retry_after } => self.link.busy(now, retry_after),
            Failure::Garbled => self.link.busy(now, None),
            Failure::Unauthorised => {
                self.not_accepted();
                self.link.busy(now, None);
            }
            Failure::Forbidden | Failure::Refused => {
                self.link.answered(now);
                self.troubles.raise(Problem::ServiceRefused);
            }
            Failure::NotFound => self.link.answered(now),
            Failure::TakenOver => {
                self.link.busy(now, None);
                self.taken_over(now);
            }
        }
    }

    /// Takes fresh facts about entries that are mirrored, and the count of skips.
    pub(super) fn freshen(&mut self, entries: &[Entry]) {
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
pub(super) fn refusal(failure: Failure) -> Refusal {
    match failure {
        Failure::Unreachable | Failure::WrongClock | Failure::Busy { .. } | Failure::Garbled => Refusal::NoNetwork,
        Failure::Unauthorised => Refusal::NotLinked,
        Failure::Forbidden | Failure::NotFound | Failure::Refused | Failure::TakenOver => {
            Refusal::Denied(Denial::Unavailable)
        }
    }
}
