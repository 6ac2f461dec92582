//! What becomes of events: stored or not, accepted, refused, let go. When they are sent stands in `settle`.

use super::{Session, Want};
use crate::effect::Effect;
use crate::id::Seq;
use crate::input::{Failure, Verdict};
use crate::refusal::Problem;
use crate::unit::Moment;

impl Session {
    pub(super) fn stored(&mut self, seq: Seq, durable: bool) {
        self.outbox.stored(seq);
        if durable {
            self.troubles.clear(Problem::StorageFailed);
        } else {
            self.troubles.raise(Problem::StorageFailed);
        }
    }

    pub(super) fn reported(&mut self, last: Seq, verdict: Verdict, now: Moment) {
        let Some(first) = self.outbox.answered(last) else {
            return;
        };
        match verdict {
            Verdict::Accepted => {
                self.accepted();
                self.settled(last, true, now);
            }
            // What is never to be repeated unchanged cannot become acceptable.
            Verdict::Refused | Verdict::Failed(Failure::Forbidden | Failure::NotFound | Failure::Refused) => {
                self.refused(first, last, now);
            }
            Verdict::Folded(through) => self.folded(first, through),
            Verdict::Failed(Failure::TakenOver) if self.is_given_up(first) => {
                self.refused(first, last, now);
                if self.outbox.is_settled(self.service.claimed) {
                    self.not_now(Failure::TakenOver, now);
                }
            }
            Verdict::Failed(
                failure @ (Failure::Unreachable
                | Failure::WrongClock
                | Failure::Busy { .. }
                | Failure::Unauthorised
                | Failure::TakenOver
                | Failure::Garbled),
            ) => {
                self.presses_failed(failure, now);
                self.not_now(failure, now);
            }
        }
    }

    /// Of several events one may be at fault: they are sent singly.
    fn refused(&mut self, first: Seq, last: Seq, now: Moment) {
        if first < last {
            self.link.answered(now);
            self.outbox.part(last);
        } else {
            self.settled(last, false, now);
        }
    }

    fn settled(&mut self, seq: Seq, accepted: bool, now: Moment) {
        self.link.answered(now);
        self.troubles.clear(Problem::WrongClock);
        self.outbox.settle(seq);
        self.emit(Effect::Settle { seq, accepted });
        if !accepted && seq == self.service.at_event {
            // It did not move the service: where that is now, only it can tell.
            self.service.at = None;
            self.service.want_current = Want::Yes;
        }
    }

    /// Events that the service will never hear of. Nobody was asked, so nothing is known of the link.
    fn folded(&mut self, first: Seq, through: Seq) {
        self.outbox.settle(through);
        self.emit(Effect::Settle {
            seq: through,
            accepted: true,
        });
        if (first..=through).contains(&self.service.at_event) {
            self.service.at = None;
            self.service.want_current = Want::Yes;
        }
    }
}
