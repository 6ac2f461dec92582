//! When events are dated: at once while the clock is known to be right, else as soon as it is, and in the end by the time
//! that the service's own answers carry. Pure: readings and answers are given to it.
//!
//! A board without a battery starts with a wrong clock, and the network sets it seconds after it is there. Where a time
//! service runs, events wait for it, so that they are told with the moment at which they happened. A network that lets no
//! time through must not hold them for ever: after [`WAIT`] the service's answers say what time it is, to the second.

use tonearm_core::unit::{Millis, Moment};

use crate::device::clock::{Reading, Trust};

/// How long a network that is there may take to set the clock. A time service tries again after half a minute at most.
const WAIT: Millis = Millis(60_000);
/// How often the clock is looked at meanwhile.
const LOOK_EVERY: Millis = Millis(5_000);
/// How often the service is asked for the time after that, at least; as much again is left to chance.
const ASK_EVERY: Millis = Millis(15_000);
/// `Date` counts whole seconds.
const DATE_STEP_MS: i64 = 1_000;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet.
    Wait,
    /// It is known when this boot began: milliseconds since 1970.
    Known(Known),
    /// Ask the service for anything: its answer says what time it is.
    Ask,
}

/// When this boot began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Milliseconds since 1970.
    pub began_ms: i64,
    /// Who says so.
    pub source: Source,
}

/// Who says what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This device's clock, which is right: to the tenth of a second.
    Clock,
    /// The dates of the service's answers: to the second.
    Service,
    /// This device's clock, about which nothing is known. There is nothing else.
    Doubtful,
}

/// Whether this boot's events can be dated.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Known,
    Awaited {
        /// Since when there has been a way out, as far as is known.
        since: Moment,
        look_at: Moment,
    },
}

/// When this boot began, as the service's answers bound it: milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    earliest_ms: i64,
    latest_ms: i64,
}

/// The wait for the clock.
#[derive(Debug)]
pub struct Timing {
    stage: Stage,
    bounds: Option<Bounds>,
    /// The service answered without saying what time it is.
    is_dateless: bool,
    noise: fastrand::Rng,
}

impl Timing {
    /// The clock is known, until somebody says otherwise. `seed` spreads a fleet's questions.
    pub fn new(seed: u64) -> Self {
        Self {
            stage: Stage::Known,
            bounds: None,
            is_dateless: false,
            noise: fastrand::Rng::with_seed(seed),
        }
    }

    /// Nobody has set the clock yet.
    pub const fn wait(&mut self, now: Moment) {
        self.stage = Stage::Awaited {
            since: now,
            look_at: now,
        };
    }

    /// Whether events wait for the clock.
    pub const fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Awaited { .. })
    }

    /// When to look again.
    pub const fn deadline(&self) -> Option<Moment> {
        match self.stage {
            Stage::Known => None,
            Stage::Awaited { look_at, .. } => Some(look_at),
        }
    }

    /// There is a way out only now: the network gets its time to set the clock.
    pub const fn link_is_up(&mut self, now: Moment) {
        if let Stage::Awaited { look_at, .. } = self.stage {
            self.stage = Stage::Awaited { since: now, look_at };
        }
    }

    /// The service answered just now, after `took`, and said what time it was: seconds since 1970. `None`: it did not say.
    pub fn answered(&mut self, said_s: Option<i64>, took: Millis, now: Moment) {
        let Some(said_s) = said_s else {
            self.is_dateless = true;
            return;
        };
        let second_ms = said_s.saturating_mul(1_000);
        let at_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
        // It was said at some moment of the exchange, within that second.
        let earliest_ms = second_ms.saturating_sub(at_ms);
        let fresh = Bounds {
            earliest_ms,
            latest_ms: earliest_ms.saturating_add(DATE_STEP_MS).saturating_add(took.0.into()),
        };
        let both = self.bounds.map_or(fresh, |known| Bounds {
            earliest_ms: known.earliest_ms.max(fresh.earliest_ms),
            latest_ms: known.latest_ms.min(fresh.latest_ms),
        });
        // Where they contradict each other, the service's own clock was set.
        self.bounds = Some(if both.earliest_ms <= both.latest_ms {
            both
        } else {
            fresh
        });
    }

    /// Looks at the clock.
    pub fn look(&mut self, reading: &Reading) -> Step {
        let Stage::Awaited { since, .. } = self.stage else {
            return Step::Wait;
        };
        let now = reading.at;
        let by_clock_ms = reading.wall_ms_of(Moment(0));
        let known = if reading.trust == Trust::Synchronised {
            Known {
                began_ms: by_clock_ms,
                source: Source::Clock,
            }
        } else if now < since + WAIT {
            return self.again(now, LOOK_EVERY, Step::Wait);
        } else if let Some(Bounds { earliest_ms, latest_ms }) = self.bounds {
            // A clock that the service agrees with is finer than the service's seconds.
            let middle_ms = earliest_ms.midpoint(latest_ms);
            let agrees = (earliest_ms..=latest_ms).contains(&by_clock_ms);
            Known {
                began_ms: if agrees { by_clock_ms } else { middle_ms },
                source: Source::Service,
            }
        } else if self.is_dateless {
            Known {
                began_ms: by_clock_ms,
                source: Source::Doubtful,
            }
        } else {
            let wait = Millis(ASK_EVERY.0 + self.noise.u32(0..=ASK_EVERY.0));
            return self.again(now, wait, Step::Ask);
        };
        self.stage = Stage::Known;
        Step::Known(known)
    }

    fn again(&mut self, now: Moment, wait: Millis, step: Step) -> Step {
        if let Stage::Awaited { since, .. } = self.stage {
            self.stage = Stage::Awaited {
                since,
                look_at: now + wait,
            };
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUE_EPOCH_MS: i64 = 1_790_000_000_400;

    fn reading(at: u64, epoch_ms: i64, trust: Trust) -> Reading {
        Reading {
            at: Moment(at),
            wall_ms: epoch_ms + i64::try_from(at).unwrap(),
            trust,
        }
    }

    /// A clock that stands an hour off, as the last shutdown left it.
    fn wrong(at: u64) -> Reading {
        reading(at, TRUE_EPOCH_MS - 3_600_000, Trust::Doubtful)
    }

    fn right(at: u64) -> Reading {
        reading(at, TRUE_EPOCH_MS, Trust::Synchronised)
    }

    fn waiting() -> Timing {
        let mut timing = Timing::new(1);
        timing.wait(Moment(0));
        timing
    }

    /// The service's answer to a question that took 80 ms, at a moment of this boot.
    fn answer(timing: &mut Timing, at: u64) {
        let said_ms = TRUE_EPOCH_MS + i64::try_from(at).unwrap() - 40;
        timing.answered(Some(said_ms.div_euclid(1_000)), Millis(80), Moment(at));
    }

    #[test]
    fn nothing_waits_while_the_clock_is_known() {
        let mut timing = Timing::new(1);
        assert_eq!((timing.is_waiting(), timing.deadline()), (false, None));
        assert_eq!(timing.look(&right(0)), Step::Wait);
    }

    #[test]
    fn the_clock_is_looked_at_until_it_is_set_and_then_dates_this_boot() {
        let mut timing = waiting();
        assert_eq!(timing.look(&wrong(1_000)), Step::Wait);
        assert_eq!(timing.deadline(), Some(Moment(6_000)));
        let known = Known {
            began_ms: TRUE_EPOCH_MS,
            source: Source::Clock,
        };
        assert_eq!(timing.look(&right(6_000)), Step::Known(known));
        assert_eq!(timing.deadline(), None);
    }

    #[test]
    fn a_network_that_comes_late_gets_its_time() {
        let mut timing = waiting();
        timing.link_is_up(Moment(3_600_000));
        answer(&mut timing, 3_601_000);
        assert_eq!(timing.look(&wrong(3_605_000)), Step::Wait);
        assert!(matches!(timing.look(&wrong(3_660_000)), Step::Known(_)));
    }

    #[test]
    fn where_no_time_comes_through_the_dates_of_the_service_s_answers_do() {
        let mut timing = waiting();
        for at in [10_000, 11_700, 13_350, 15_900] {
            answer(&mut timing, at);
        }
        let Step::Known(known) = timing.look(&wrong(60_000)) else {
            panic!("there is a date")
        };
        assert_eq!(known.source, Source::Service);
        let error_ms = known.began_ms.abs_diff(TRUE_EPOCH_MS);
        assert!(error_ms < 500, "{error_ms} ms off");
    }

    #[test]
    fn a_clock_that_the_service_agrees_with_is_finer_than_the_service() {
        let mut timing = waiting();
        answer(&mut timing, 10_000);
        let unsaid = reading(60_000, TRUE_EPOCH_MS + 3, Trust::Doubtful);
        let known = Known {
            began_ms: TRUE_EPOCH_MS + 3,
            source: Source::Service,
        };
        assert_eq!(timing.look(&unsaid), Step::Known(known));
    }

    #[test]
    fn a_service_that_was_not_heard_yet_is_asked_and_not_in_a_storm() {
        let mut timing = waiting();
        let mut asked = Vec::new();
        let mut at = Moment(0);
        while at < Moment(600_000) {
            if timing.look(&wrong(at.0)) == Step::Ask {
                asked.push(at);
            }
            at = timing.deadline().unwrap();
        }
        assert!((18..=36).contains(&asked.len()), "{asked:?}");
        assert!(asked[0] >= Moment(60_000));
        answer(&mut timing, at.0);
        assert!(matches!(timing.look(&wrong(at.0)), Step::Known(_)));
    }

    #[test]
    fn a_service_that_does_not_tell_the_time_leaves_only_the_clock() {
        let mut timing = waiting();
        timing.answered(None, Millis(80), Moment(10_000));
        let Step::Known(known) = timing.look(&wrong(60_000)) else {
            panic!("nothing better will come")
        };
        assert_eq!(known.source, Source::Doubtful);
    }

    #[test]
    fn a_service_whose_clock_was_set_is_believed_as_it_is_now() {
        let mut timing = waiting();
        timing.answered(Some(1_000_000), Millis(80), Moment(10_000));
        answer(&mut timing, 20_000);
        let Step::Known(known) = timing.look(&wrong(60_000)) else {
            panic!("there is a date")
        };
        assert!(known.began_ms.abs_diff(TRUE_EPOCH_MS) < 1_100);
    }
}
