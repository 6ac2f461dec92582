//! Order of the events: numbers them, lets one batch at a time go out once it is stored, and knows what is still unsent.
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
    /// The last event that was sent, if its answer has not come.
    in_flight: Option<Seq>,
    /// Events sent in one piece at most.
    batch: u8,
    /// Events up to this one are sent singly: a batch of them was refused, and one of them is at fault.
    singly_to: Seq,
    /// Events from this one on wait for the clock.
    undated: Option<Seq>,
}

impl Outbox {
    /// Goes on after a restart: the next number to give, and the last settled event. Everything between is stored.
    pub(crate) fn new(next: Seq, settled: Seq, batch: u8) -> Self {
        let next = next.max(settled.next());
        Self {
            next,
            stored: Seq(next.0.saturating_sub(1)),
            settled,
            in_flight: None,
            batch: batch.max(1),
            singly_to: settled,
            undated: None,
        }
    }

    /// Events from this one on cannot be dated yet; `None`: all can.
    pub(crate) fn date_from(&mut self, undated: Option<Seq>) {
        self.undated = undated;
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

    /// The first and the last of the events that may be sent now: the oldest unsettled ones, if they are stored and nothing
    /// is in flight.
    pub(crate) fn due(&self) -> Option<(Seq, Seq)> {
        let first = self.settled.next();
        let most = if first <= self.singly_to {
            1
        } else {
            u64::from(self.batch)
        };
        let dated = self.undated.map_or(u64::MAX, |undated| undated.0.saturating_sub(1));
        let last = self
            .stored
            .min(Seq(self.settled.0.saturating_add(most)))
            .min(Seq(dated));
        (self.in_flight.is_none() && first <= last).then_some((first, last))
    }

    /// The due events up to this one are on their way.
    pub(crate) fn sent(&mut self, last: Seq) {
        self.in_flight = Some(last);
    }

    /// Events are on their way.
    pub(crate) fn is_sending(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The answer for the events up to `last` came. Returns the first of them; `None`: nobody waits for it.
    pub(crate) fn answered(&mut self, last: Seq) -> Option<Seq> {
        self.in_flight.take_if(|awaited| *awaited == last)?;
        Some(self.settled.next())
    }

    /// The service's word on the events up to `seq` is final.
    pub(crate) fn settle(&mut self, seq: Seq) {
        self.settled = self.settled.max(seq.min(self.stored));
    }

    /// The events up to `last` are not accepted together: each is sent alone.
    pub(crate) fn part(&mut self, last: Seq) {
        self.singly_to = self.singly_to.max(last);
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
        let mut outbox = Outbox::new(Seq(1), Seq(0), 1);
        let seq = outbox.number();
        assert_eq!(outbox.due(), None);
        outbox.stored(seq);
        assert_eq!(outbox.due(), Some((seq, seq)));
    }

    #[test]
    fn one_event_is_in_flight_at_a_time_and_order_is_kept() {
        let mut outbox = Outbox::new(Seq(1), Seq(0), 1);
        let (first, second) = (outbox.number(), outbox.number());
        outbox.stored(second);
        outbox.sent(first);
        assert_eq!(outbox.due(), None);
        assert_eq!(outbox.answered(first), Some(first));
        assert_eq!(
            outbox.due(),
            Some((first, first)),
            "an answer that settles nothing leaves it first in line"
        );
        outbox.sent(first);
        outbox.answered(first);
        outbox.settle(first);
        assert_eq!(outbox.due(), Some((second, second)));
    }

    #[test]
    fn a_restart_goes_on_with_what_was_unsettled_and_never_reuses_a_number() {
        let mut outbox = Outbox::new(Seq(8), Seq(5), 1);
        assert_eq!(outbox.due(), Some((Seq(6), Seq(6))));
        assert_eq!(outbox.waiting(), 2);
        assert_eq!(outbox.number(), Seq(8));
    }

    #[test]
    fn a_late_answer_is_nobodys() {
        let mut outbox = Outbox::new(Seq(3), Seq(2), 1);
        assert_eq!(outbox.answered(Seq(2)), None);
        assert_eq!(outbox.answered(Seq(3)), None);
    }

    #[test]
    fn a_batch_holds_what_is_stored_up_to_its_size() {
        let mut outbox = Outbox::new(Seq(8), Seq(0), 5);
        assert_eq!(outbox.due(), Some((Seq(1), Seq(5))));
        outbox.sent(Seq(5));
        assert_eq!(outbox.answered(Seq(5)), Some(Seq(1)));
        outbox.settle(Seq(5));
        assert_eq!(outbox.due(), Some((Seq(6), Seq(7))));
    }

    #[test]
    fn events_without_a_date_wait_and_those_before_them_do_not() {
        let mut outbox = Outbox::new(Seq(8), Seq(3), 5);
        outbox.date_from(Some(Seq(6)));
        assert_eq!(outbox.due(), Some((Seq(4), Seq(5))));
        outbox.settle(Seq(5));
        assert_eq!(outbox.due(), None);
        assert_eq!(outbox.waiting(), 2);
        outbox.date_from(None);
        assert_eq!(outbox.due(), Some((Seq(6), Seq(7))));
    }

    #[test]
    fn the_events_of_a_batch_that_was_refused_go_singly_and_those_after_it_together() {
        let mut outbox = Outbox::new(Seq(8), Seq(0), 3);
        outbox.part(Seq(3));
        for seq in 1..=3 {
            assert_eq!(outbox.due(), Some((Seq(seq), Seq(seq))));
            outbox.settle(Seq(seq));
        }
        assert_eq!(outbox.due(), Some((Seq(4), Seq(6))));
    }
}
