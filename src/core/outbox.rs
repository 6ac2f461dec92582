//! Order of the events: numbers them, lets one at a time go out once it is stored, and knows what is still unsent.
//! The events themselves are on disk; this is three counters, however long the backlog.

use crate::id::Seq;

/// What is numbered, stored, being sent, and settled.
///
/// Always `settled <= stored < next`; what is in flight is `settled + 1`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outbox {
    /// Number of the next event.
    next: Seq,
    /// Last event that is stored.
    stored: Seq,
    /// Last event the service accepted or finally refused; all before it are settled too.
    settled: Seq,
    /// Sent, and its answer has not come.
    in_flight: bool,
}

impl Outbox {
    /// Goes on after a restart: the next number to give, and the last settled event. Everything between is stored.
    pub(crate) fn new(next: Seq, settled: Seq) -> Self {
        let next = next.max(settled.next());
        Self {
            next,
            stored: Seq(next.0.saturating_sub(1)),
            settled,
            in_flight: false,
        }
    }

    /// The number of a new event.
    pub(crate) fn number(&mut self) -> Seq {
        let seq = self.next;
        self.next = seq.next();
        seq
    }

    /// `seq` and all before it are stored.
    pub(crate) fn stored(&mut self, seq: Seq) {
        if seq < self.next {
            self.stored = self.stored.max(seq);
        }
    }

    /// The event that may be sent now: the oldest unsettled one, if it is stored and nothing is in flight.
    pub(crate) fn due(&self) -> Option<Seq> {
        let first = self.settled.next();
        (!self.in_flight && first <= self.stored).then_some(first)
    }

    /// The due event is on its way.
    pub(crate) fn sent(&mut self) {
        self.in_flight = true;
    }

    /// An event is on its way.
    pub(crate) fn is_sending(&self) -> bool {
        self.in_flight
    }

    /// The answer for `seq` came. `false`: nobody waits for it.
    pub(crate) fn answered(&mut self, seq: Seq) -> bool {
        let awaited = self.in_flight && seq == self.settled.next();
        if awaited {
            self.in_flight = false;
        }
        awaited
    }

    /// The service's word on the first unsettled event is final.
    pub(crate) fn settle(&mut self) {
        if self.settled < self.stored {
            self.settled = self.settled.next();
        }
    }

    /// Everything up to `seq` is settled: the service knows of it.
    pub(crate) fn is_settled(&self, seq: Seq) -> bool {
        seq <= self.settled
    }

    /// Every numbered event is stored.
    pub(crate) fn all_stored(&self) -> bool {
        self.stored.next() == self.next
    }

    /// Events the service has not settled yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.next.0.saturating_sub(self.settled.0).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_not_sent_before_it_is_stored() {
        let mut outbox = Outbox::new(Seq(1), Seq(0));
        let seq = outbox.number();
        assert_eq!(outbox.due(), None);
        outbox.stored(seq);
        assert_eq!(outbox.due(), Some(seq));
    }

    #[test]
    fn one_event_is_in_flight_at_a_time_and_order_is_kept() {
        let mut outbox = Outbox::new(Seq(1), Seq(0));
        let (first, second) = (outbox.number(), outbox.number());
        outbox.stored(second);
        outbox.sent();
        assert_eq!(outbox.due(), None);
        assert!(outbox.answered(first));
        assert_eq!(
            outbox.due(),
            Some(first),
            "an answer that settles nothing leaves it first in line"
        );
        outbox.sent();
        outbox.answered(first);
        outbox.settle();
        assert_eq!(outbox.due(), Some(second));
    }

    #[test]
    fn a_restart_goes_on_with_what_was_unsettled_and_never_reuses_a_number() {
        let mut outbox = Outbox::new(Seq(8), Seq(5));
        assert_eq!(outbox.due(), Some(Seq(6)));
        assert_eq!(outbox.waiting(), 2);
        assert_eq!(outbox.number(), Seq(8));
    }

    #[test]
    fn a_late_answer_is_nobodys() {
        let mut outbox = Outbox::new(Seq(3), Seq(2));
        assert!(!outbox.answered(Seq(2)));
        assert!(!outbox.answered(Seq(3)));
    }
}
