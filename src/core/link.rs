//! Whether the service can be reached, and when to try again: exponential back-off with full jitter, for ever; and when
//! after an outage it is this speaker's turn to send what waited.

use crate::limits::{RETRY_AFTER_MS_MAX, RETRY_MS_FIRST, RETRY_MS_LATE, RETRY_MS_MAX};
use crate::turn::{Backlog, Turn};
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
    /// The first failure in a row, or the last press since: what is tried for somebody begins anew.
    failing_since: Option<Moment>,
    /// An answer came: how long there had been none before it, zero if nothing had failed.
    recovered: Option<Millis>,
    /// When it is this speaker's turn after an outage.
    turn: Turn,
    /// Sound waits for the service.
    awaited: bool,
    noise: Noise,
}

/// The jitter's generator, `SplitMix64`; the seed came from outside. It spreads a fleet; nothing secret depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn between(&mut self, least: u32, most: u32) -> Millis {
        let range = u64::from(most.saturating_sub(least)) + 1;
        let jitter = u32::try_from(self.next() % range).unwrap_or(0);
        Millis(least.saturating_add(jitter))
    }
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
            failing_since: None,
            recovered: None,
            turn: Turn::default(),
            awaited: false,
            noise: Noise::new(seed),
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
        self.retry_at.max(self.not_before).max(self.turn.at())
    }

    /// What waited during an outage is held back until this moment, if that has not come.
    pub(crate) fn turn_at(&self, now: Moment) -> Option<Moment> {
        self.turn.at().filter(|at| *at > now)
    }

    /// The service answered.
    pub(crate) fn answered(&mut self, now: Moment) {
        self.reach = Reach::Up;
        self.failures = 0;
        self.retry_at = None;
        let outage = self.failing_since.take().map_or(Millis::ZERO, |since| now.since(since));
        self.recovered = self.recovered.max(Some(outage));
    }

    /// What waits now: after an outage it waits for this speaker's turn.
    pub(crate) fn weigh(&mut self, backlog: Backlog, now: Moment) {
        if let Some(outage) = self.recovered.take() {
            self.turn.answered(outage, backlog, &mut self.noise, now);
        }
        self.turn.weigh(backlog);
        self.awaited = backlog.awaited;
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

    /// There is a reason to try at once: the listener asks. That outlasts neither a failure nor the time the service named.
    pub(crate) fn hurry(&mut self) {
        self.failures = 0;
        self.retry_at = None;
        self.failing_since = None;
        self.recovered = None;
        self.turn = Turn::Open;
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
        self.failing_since.get_or_insert(now);
        // Up to 0.5 s, then doubled, where sound waits. Events alone are worth fewer tries: up to 2 s, 8 s, and the longest.
        let doublings = if self.awaited {
            self.failures
        } else {
            self.failures.saturating_add(1).saturating_mul(2)
        };
        let grown = RETRY_MS_FIRST.0.saturating_mul(1 << doublings.min(16));
        self.failures = self.failures.saturating_add(1);
        let ceiling = grown.min(RETRY_MS_MAX.0);
        let named = self.not_before.map_or(Millis::ZERO, |at| at.since(now));
        let (least, most) = if named > Millis::ZERO {
            // It may have named the same moment to everybody: as long again, not all at once.
            (0, ceiling.max(named.0.min(RETRY_MS_MAX.0)))
        } else if grown >= RETRY_MS_MAX.0.saturating_mul(2) {
            (RETRY_MS_LATE.0, ceiling)
        } else {
            (0, ceiling)
        };
        let wait = self.noise.between(least, most);
        let from = self.not_before.map_or(now, |at| at.max(now));
        self.retry_at = Some(from + wait);
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
        link.answered(Moment(0));
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
    fn a_retry_after_a_long_time_without_an_answer_waits_nearly_the_longest() {
        let mut link = Link::new(7);
        for failure in 0..1000_u64 {
            let now = Moment(failure * 100_000);
            link.unreachable(now);
            let wait = link.retry_at().unwrap().since(now);
            assert!(failure < 7 || wait >= RETRY_MS_LATE, "{wait:?} after {failure}");
        }
    }

    #[test]
    fn where_sound_waits_it_is_tried_more_often_until_the_cap() {
        let within_half_a_minute = |awaited| {
            let mut tries = 0;
            for seed in 0..1000 {
                let mut link = Link::new(seed);
                let mut now = Moment(0);
                link.weigh(Backlog { reports: 1, awaited }, now);
                while now < Moment(30_000) {
                    link.unreachable(now);
                    now = link.retry_at().unwrap();
                    tries += 1;
                }
            }
            tries
        };
        let (awaited, not) = (within_half_a_minute(true), within_half_a_minute(false));
        assert!(awaited > 6_000 && (2_500..4_500).contains(&not), "{awaited} and {not}");
    }

    #[test]
    fn a_moment_named_to_everybody_does_not_bring_everybody_at_once() {
        let late = |seed: u64| {
            let mut link = Link::new(seed);
            link.busy(Moment(0), Some(Millis(600_000)));
            link.retry_at().unwrap().since(Moment(600_000)).0
        };
        let first_quarter = (0..1000).filter(|seed| late(*seed) < RETRY_MS_MAX.0 / 4).count();
        assert!((200..300).contains(&first_quarter), "{first_quarter} of 1000");
        assert!((0..1000).all(|seed| late(seed) <= RETRY_MS_MAX.0));
    }

    #[test]
    fn a_short_time_that_the_service_names_is_not_made_long() {
        for seed in 0..100 {
            let mut link = Link::new(seed);
            link.busy(Moment(0), Some(Millis(2_000)));
            assert!(link.is_ready(Moment(4_000)));
        }
    }

    /// Nobody answered for an hour, then somebody did; ten events wait, and no sound does.
    fn after_an_hour() -> Link {
        let mut link = Link::new(1);
        link.unreachable(Moment(0));
        link.answered(Moment(3_600_000));
        link
    }

    const TEN_EVENTS: Backlog = Backlog {
        reports: 10,
        awaited: false,
    };

    #[test]
    fn what_waited_during_an_outage_waits_for_its_turn() {
        let mut link = after_an_hour();
        let now = Moment(3_600_000);
        link.weigh(TEN_EVENTS, now);
        let turn = link.turn_at(now).unwrap();
        assert!(!link.is_ready(now) && link.is_ready(turn));
        assert_eq!(link.reach(), Reach::Up, "it is there, and a press is followed");
    }

    #[test]
    fn a_press_and_the_interface_coming_up_end_the_wait() {
        let now = Moment(3_600_000);
        for end in [Link::hurry, Link::found] {
            let mut link = after_an_hour();
            link.weigh(TEN_EVENTS, now);
            end(&mut link);
            link.weigh(TEN_EVENTS, now);
            assert!(link.is_ready(now));
        }
    }

    #[test]
    fn somebody_who_pressed_in_vain_a_moment_ago_need_not_wait() {
        let mut link = Link::new(1);
        link.unreachable(Moment(0));
        link.hurry();
        link.unreachable(Moment(3_590_000));
        link.answered(Moment(3_600_000));
        link.weigh(TEN_EVENTS, Moment(3_600_000));
        assert!(link.is_ready(Moment(3_600_000)));
    }

    #[test]
    fn an_answer_ends_the_back_off() {
        let mut link = Link::new(1);
        link.unreachable(Moment(0));
        link.answered(Moment(0));
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
