//! Whether the service can be reached, and when to try again: exponential back-off with full jitter, for ever.

use crate::limits::{RETRY_AFTER_MS_MAX, RETRY_MS_FIRST, RETRY_MS_MAX};
use crate::unit::{Millis, Moment};

/// After so many failures in a row the wait has grown to its cap.
const FAILURES_AT_CAP: u8 = 6;
const _: () = assert!(
    RETRY_MS_FIRST.0 << FAILURES_AT_CAP >= RETRY_MS_MAX.0,
    "the cap is reached"
);

/// State of the link and its retry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    reach: Reach,
    /// Failures in a row.
    failures: u8,
    /// The next try after a failure, unless there is a reason to hurry.
    retry_at: Option<Moment>,
    /// The service named this time: nothing makes the speaker ask before it.
    not_before: Option<Moment>,
    /// State of the jitter's generator; the seed came from outside.
    noise: u64,
}

/// Whether anybody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The last call was answered, or none was made yet.
    Up,
    /// Nobody answered the last call.
    Down,
}

impl Link {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            reach: Reach::Up,
            failures: 0,
            retry_at: None,
            not_before: None,
            noise: seed,
        }
    }

    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    /// A call may be made now.
    pub(crate) fn is_ready(&self, now: Moment) -> bool {
        self.retry_at().is_none_or(|at| at <= now)
    }

    /// The service named a time, and it has not come: not even a press makes the speaker ask.
    pub(crate) fn is_held(&self, now: Moment) -> bool {
        self.not_before.is_some_and(|at| at > now)
    }

    /// When the next try is due.
    pub(crate) fn retry_at(&self) -> Option<Moment> {
        self.retry_at.max(self.not_before)
    }

    /// The service answered.
    pub(crate) fn answered(&mut self) {
        self.reach = Reach::Up;
        self.failures = 0;
        self.retry_at = None;
    }

    /// Nobody answered.
    pub(crate) fn unreachable(&mut self, now: Moment) {
        self.reach = Reach::Down;
        self.back_off(now);
    }

    /// The service answered that it is busy. It is there, but is not to be asked before `retry_after`.
    pub(crate) fn busy(&mut self, now: Moment, retry_after: Option<Millis>) {
        self.reach = Reach::Up;
        self.not_before = self
            .not_before
            .max(retry_after.map(|after| now + after.min(RETRY_AFTER_MS_MAX)));
        self.back_off(now);
    }

    /// The interface came up: there may be somebody again.
    pub(crate) fn found(&mut self) {
        self.reach = Reach::Up;
        self.hurry();
    }

    /// There is a reason to try at once: the listener asks.
    pub(crate) fn hurry(&mut self) {
        self.failures = 0;
        self.retry_at = None;
    }

    /// The interface went down: nobody can answer until it is back. Retries go on, in case the news is wrong; seldom,
    /// because a try that waits for a dead connection would be in the way when the interface is back.
    pub(crate) fn lost(&mut self, now: Moment) {
        self.reach = Reach::Down;
        self.failures = self.failures.max(FAILURES_AT_CAP);
        if self.retry_at.is_none() {
            self.back_off(now);
        }
    }

    fn back_off(&mut self, now: Moment) {
        let ceiling = RETRY_MS_FIRST
            .0
            .saturating_mul(1 << self.failures.min(16))
            .min(RETRY_MS_MAX.0);
        self.failures = self.failures.saturating_add(1);
        let jitter = self.next_noise() % (u64::from(ceiling) + 1);
        let wait = Millis(u32::try_from(jitter).unwrap_or(ceiling));
        // Not all at once when the time that the service named is over.
        let from = self.not_before.map_or(now, |at| at.max(now));
        self.retry_at = Some(from + wait);
    }

    /// `SplitMix64`: spreads a fleet's retries; nothing secret depends on it.
    fn next_noise(&mut self) -> u64 {
        self.noise = self.noise.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.noise;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_never_beyond() {
        let mut link = Link::new(7);
        let mut longest = 0;
        for failure in 0..2000_u64 {
            let now = Moment(failure * 100_000);
            link.unreachable(now);
            let wait = link.retry_at().unwrap().since(now).0;
            assert!(wait <= RETRY_MS_MAX.0);
            longest = longest.max(wait);
        }
        assert!(longest > RETRY_MS_MAX.0 * 9 / 10, "the whole range is used");
    }

    #[test]
    fn the_service_is_not_asked_before_the_time_it_named() {
        let mut link = Link::new(1);
        link.busy(Moment(0), Some(Millis(60_000)));
        assert!(!link.is_ready(Moment(59_999)));
        assert_eq!(link.reach(), Reach::Up);
    }

    #[test]
    fn neither_a_press_nor_another_answer_cuts_the_time_the_service_named_short() {
        let mut link = Link::new(1);
        link.busy(Moment(0), Some(Millis(60_000)));
        link.hurry();
        link.answered();
        assert!(!link.is_ready(Moment(59_999)));
        assert!(link.is_ready(Moment(60_000)));
    }

    #[test]
    fn a_service_cannot_silence_a_speaker_for_days() {
        let mut link = Link::new(1);
        link.busy(Moment(0), Some(Millis(u32::MAX)));
        assert!(link.is_ready(Moment(0) + RETRY_AFTER_MS_MAX + RETRY_MS_MAX));
    }

    #[test]
    fn an_answer_ends_the_back_off() {
        let mut link = Link::new(1);
        link.unreachable(Moment(0));
        link.answered();
        assert!(link.is_ready(Moment(0)));
        assert_eq!(link.reach(), Reach::Up);
    }

    #[test]
    fn two_seeds_wait_differently() {
        let wait = |seed| {
            let mut link = Link::new(seed);
            (0..8).map(|_| link.unreachable(Moment(0))).for_each(drop);
            link.retry_at()
        };
        assert_ne!(wait(1), wait(2));
    }
}
