//! Looking at the whole queue: a question that others put to the service beside the session's own calls. It changes
//! nothing here; it only keeps to the same rules, and what its failure says about the link is not lost.

use super::Session;
use super::resume::Search;
use crate::id::SessionKey;
use crate::input::Failure;
use crate::refusal::Refusal;
use crate::unit::Moment;

/// Whether the service may be asked for the whole queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// At once, for this session.
    Now(SessionKey),
    /// After the next input or one soon after: events or a call of the session come first.
    Later,
    /// Not until something changes.
    No(Refusal),
}

impl Session {
    /// Whether the service may be asked for the whole queue. Like every queue call this one never overtakes an event.
    pub fn may_look(&self, now: Moment) -> Look {
        if self.leaving.is_some() {
            return Look::No(Refusal::Leaving);
        }
        let Some(session) = self.service.session else {
            return Look::No(Refusal::NothingPlaying);
        };
        if let Err(refusal) = self.needs_service(now) {
            return Look::No(refusal);
        }
        let through = self.link.is_ready(now) && self.service.search == Search::Over;
        if through && self.service.pending.is_none() && self.is_told() {
            Look::Now(session)
        } else {
            Look::Later
        }
    }

    /// The look failed. What is wrong with the question itself says nothing about the session.
    pub(super) fn looked(&mut self, failure: Failure, now: Moment) {
        match failure {
            Failure::Forbidden | Failure::NotFound | Failure::Refused => {}
            Failure::Unreachable
            | Failure::WrongClock
            | Failure::Busy { .. }
            | Failure::Unauthorised
            | Failure::TakenOver
            | Failure::Garbled => self.not_now(failure, now),
        }
    }
}
