//! What must hold for going on after a restart, for the stream that another device may take, and for the account.

use super::{BOUNCE_MS, Broken, Check, Oracle, Rule, SESSIONS_MAX, Seen};
use crate::ledger::Ledger;
use tonearm_core::State;
use tonearm_core::effect::Call;
use tonearm_core::event::{Claim, Event};
use tonearm_core::id::{PlayId, Seq, SessionKey};
use tonearm_core::input::{Account, Answer, AudioNews, Failure, Input};

/// What is known of sessions, stream and account in one run of the program.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact that stands by itself")]
#[derive(Debug, Default)]
pub struct Places {
    unlinked: bool,
    /// The own session was asked for and is not to be had.
    lapsed: bool,
    /// A session of another device was not shown: it may be brought back by its entry.
    hidden: bool,
    /// There is nothing of its own to go on with: other devices may be asked about.
    alone: bool,
    /// Other devices were asked about.
    asked_others: bool,
    /// Another device owns the stream; orders after this one take it back.
    lost_since: Option<PlayId>,
    /// Whether news of another device's stream is news is seen by what the speaker makes of it.
    doubtful: bool,
    /// When that became known.
    lost_at: u64,
    /// When the listener last did something, or a session of another device was taken.
    asked_at: Option<u64>,
    claimed: Seq,
    /// The call that this input answers.
    answers: Option<Call>,
}

impl Oracle {
    pub(super) fn restart_places(&mut self, ledger: &Ledger) {
        self.places = Places {
            alone: ledger.bookmark.place.is_none(),
            ..Places::default()
        };
        // What the bookmark does not name, the speaker does not know any more.
        self.own = ledger.bookmark.place.map(|place| place.session).into_iter().collect();
    }

    /// An input, before the core sees it; `answers` is the call that it answers, if any.
    pub(super) fn place_input(&mut self, input: &Input, answers: Option<Call>, now: u64, ledger: &Ledger) {
        self.places.answers = answers;
        match input {
            Input::Press(_) | Input::Edge { .. } => self.places.asked_at = Some(now),
            Input::Account(account) => {
                self.places.unlinked = *account != Account::Linked;
                self.places.alone |= *account == Account::Unlinked;
            }
            Input::Answer { answer, .. } => {
                if let Some(call) = answers {
                    self.place_answer(call, answer, now, ledger);
                }
            }
            Input::Tick
            | Input::Reported { .. }
            | Input::Stored { .. }
            | Input::Media { .. }
            | Input::Audio(_)
            | Input::Looked(_)
            | Input::Clock(_)
            | Input::LinkUp
            | Input::LinkDown
            | Input::Shutdown => {}
        }
    }

    fn place_answer(&mut self, call: Call, answer: &Answer, now: u64, ledger: &Ledger) {
        let refused = match answer {
            Answer::Failed(Failure::NotFound | Failure::Forbidden | Failure::Refused) => true,
            Answer::Listed(entries) | Answer::Opened { entries, .. } => entries.is_empty(),
            Answer::Sessions(_) | Answer::Done | Answer::Failed(_) => false,
        };
        if let Answer::Opened { session, .. } = answer {
            self.own.insert(*session);
            if self.own.len() > SESSIONS_MAX {
                self.own.pop_first();
            }
        }
        match call {
            Call::Current(session) if self.own.contains(&session) => {
                self.places.lapsed |= refused || *answer == Answer::Failed(Failure::TakenOver);
            }
            Call::Current(_) => self.places.hidden |= *answer == Answer::Failed(Failure::TakenOver),
            Call::Restore(_) if self.places.hidden => {
                self.places.hidden = !refused && !matches!(answer, Answer::Failed(Failure::TakenOver));
            }
            Call::Restore(_) => {
                self.places.alone |= refused;
                self.places.lapsed &= !(refused || matches!(answer, Answer::Opened { .. }));
            }
            Call::Active => {
                let said = refused || matches!(answer, Answer::Sessions(_));
                self.places.alone &= !said;
                self.places.asked_others |= said;
            }
            Call::Create { .. }
            | Call::Next { .. }
            | Call::Previous { .. }
            | Call::Loop { .. }
            | Call::Shuffle { .. }
            | Call::QueueNext { .. }
            | Call::QueueLast { .. } => {}
        }
        if *answer == Answer::Failed(Failure::TakenOver) {
            self.stream_lost(now, ledger);
        }
    }

    /// The service's word on events says that the stream is another device's. Returns whether they can never be
    /// accepted: the claim stands behind them, or is the last of them.
    pub(super) fn events_refused(&mut self, first: Seq, last: Seq, now: u64, ledger: &Ledger) -> bool {
        let claimed = self.places.claimed;
        if claimed <= ledger.settled() || first > claimed {
            self.stream_lost(now, ledger);
            return false;
        }
        if first == claimed && last == claimed {
            self.places.lost_since = Some(self.last_play);
            self.places.lost_at = now;
        }
        first == last
    }

    fn stream_lost(&mut self, now: u64, ledger: &Ledger) {
        if self.places.lost_since.is_none() && self.places.claimed <= ledger.settled() {
            self.places.lost_since = Some(self.last_play);
            self.places.lost_at = now;
        } else {
            self.places.doubtful = true;
        }
    }

    /// A speaker that wants to sound in spite of such news wants it back already; one that does not has lost it anew.
    pub(super) fn place_after(&mut self, state: State, now: u64) {
        if std::mem::take(&mut self.places.doubtful) && !matches!(state, State::Playing | State::Buffering) {
            self.places.lost_since = Some(self.last_play);
            self.places.lost_at = now;
        }
    }

    /// An order is given; `before` is the last one before it.
    pub(super) fn place_order(&mut self, before: PlayId, now: u64) {
        if let Some(Call::Create { .. }) = self.places.answers {
            self.places.lost_since = None;
        }
        let joined = match self.places.answers {
            Some(Call::Current(session)) => self.own.insert(session),
            Some(Call::Restore(_)) => std::mem::take(&mut self.places.hidden),
            Some(_) | None => false,
        };
        if joined {
            self.places.lost_since = Some(before);
            self.places.lost_at = now;
            self.places.asked_at = Some(now);
        }
    }

    /// Exactly the first start of what was ordered after the stream was lost takes it back.
    pub(super) fn place_start(&mut self, event: &Event, world: &Seen<'_>) -> Check {
        let mut order = None;
        if let Input::Audio(AudioNews::Began { play, .. } | AudioNews::Failed { play }) = world.input {
            order = Some(*play);
        }
        let due = self
            .places
            .lost_since
            .zip(order)
            .is_some_and(|(since, play)| play > since);
        let claims = event.claim == Claim::TakesOver;
        if claims != due {
            return Rule::Stream.broken(format!(
                "{event:?}: a claim is due: {due}, lost since {:?}",
                self.places.lost_since
            ));
        }
        // A contact is believed a little after its edge.
        let asked = self
            .places
            .asked_at
            .is_some_and(|at| at + BOUNCE_MS >= self.places.lost_at);
        if claims && !asked {
            return Rule::Stream.broken(format!("{event:?} takes the stream over, and nobody asked for it"));
        }
        if claims {
            *self.reasons.entry("claim").or_default() += 1;
            self.places.claimed = event.seq;
            self.places.lost_since = None;
        }
        Ok(())
    }

    /// A call or a report is made.
    pub(super) fn place_exchange(&self) -> Check {
        if self.places.unlinked {
            return Rule::Manners.broken("the service is asked although there is no account");
        }
        Ok(())
    }

    /// Sessions are looked for in order, each only once the one before is not to be had. Returns the session whose events
    /// must be through first, if any.
    pub(super) fn place_call(&self, call: Call, world: &Seen<'_>) -> Result<Option<SessionKey>, Broken> {
        match call {
            Call::Restore(_) if !self.places.lapsed && !self.places.hidden => {
                Rule::Stream.broken(format!("{call:?} although the session is there"))
            }
            Call::Active if !self.places.alone => {
                Rule::Stream.broken(format!("{call:?} although there is something to go on with"))
            }
            Call::Create { .. } if !self.was_pressed && !self.places.asked_others => {
                Rule::Stream.broken(format!("{call:?}, and nobody pressed anything"))
            }
            Call::Create { .. } if !self.was_pressed && !world.ledger.bookmark.playing => {
                Rule::Stream.broken(format!("{call:?}, and nobody wants to hear anything"))
            }
            Call::Restore(entry) => {
                let mut records = world.ledger.entries();
                let of = records.find(|record| record.event.entry == entry);
                Ok(of.map(|record| record.event.session))
            }
            Call::Current(session) if !self.own.contains(&session) => Ok(None),
            Call::Create { .. } | Call::Active => Ok(None),
            Call::Current(session)
            | Call::Next { session, .. }
            | Call::Previous { session, .. }
            | Call::Loop { session, .. }
            | Call::Shuffle { session, .. }
            | Call::QueueNext { session, .. }
            | Call::QueueLast { session, .. } => Ok(Some(session)),
        }
    }
}
