//! When the access token is renewed: ahead of its end, with jitter, and never in a storm.
//!
//! Pure: time is an argument. How long a token lives is told by the clock that runs since boot; a 401 overrules it.

use tonearm_core::unit::{Millis, Moment};

use super::back_off::BackOff;

/// A token is renewed at a moment between these parts of its life, in percent, so that a fleet that was switched on
/// together does not ask together.
const RENEW_AT_PERCENT: std::ops::RangeInclusive<u32> = 80..=90;
/// Tokens in a row that may be refused early and are renewed at once all the same: somebody may have ended them.
const EARLY_MAX: u32 = 3;
/// The token after those is left in peace at least this long: another one would be refused as well. Doubled for each
/// further token in a row that did not live to half of its life, up to that half.
const FRESH_MS_MIN: u32 = 10_000;
/// Without a refusal, two renewals are at least this far apart, however short a life the service names.
const RENEW_EVERY_MS_MIN: u32 = 10_000;

/// Decides when the sign-in service is asked for another access token.
#[derive(Debug)]
pub struct Renewal {
    back_off: BackOff,
    /// When the token is renewed without being asked; `None`: its age is not known, a 401 will tell.
    due: Option<Moment>,
    /// A refusal before is not the token's age.
    fresh_until: Moment,
    /// Half of the token's life is over then.
    half_at: Moment,
    /// Tokens in a row that were refused before half of their life.
    short_lived: u32,
    /// The service failed or asked for patience: no renewal before.
    retry_at: Moment,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Repeating would not help: somebody must correct the configuration.
    Stopped,
}

/// What to do about a refused token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// Ask the sign-in service for another one.
    Renew,
    /// The sign-in service failed a moment ago: later.
    Later,
    /// Another one would be refused as well.
    None,
}

impl Renewal {
    /// Of a token of which nothing is known.
    pub fn new(seed: u64) -> Self {
        Self {
            back_off: BackOff::new(seed),
            due: None,
            fresh_until: Moment(0),
            half_at: Moment(0),
            short_lived: 0,
            retry_at: Moment(0),
            state: State::Running,
        }
    }

    /// A token was read from the disk; `left` is what remains of its life, where that can be known.
    pub fn found(&mut self, left: Option<Millis>, now: Moment) {
        self.due = left.map(|left| now + self.share_of(left));
    }

    /// A new token came.
    pub fn obtained(&mut self, life: Millis, now: Moment) {
        let half = Millis(life.0 / 2);
        self.short_lived = if now < self.half_at { self.short_lived + 1 } else { 0 };
        let early = self.short_lived.checked_sub(EARLY_MAX);
        let fresh = early.map_or(0, |early| FRESH_MS_MIN.saturating_mul(1 << early.min(16)).min(half.0));
        self.fresh_until = now + Millis(fresh);
        self.half_at = now + half;
        self.back_off.reset();
        self.retry_at = now;
        self.state = State::Running;
        self.due = Some(now + self.share_of(life).max(Millis(RENEW_EVERY_MS_MIN)));
    }

    fn share_of(&mut self, life: Millis) -> Millis {
        let percent = self.back_off.jitter(RENEW_AT_PERCENT);
        Millis(life.0 / 100 * percent)
    }

    /// The sign-in service could not be asked.
    pub fn failed(&mut self, now: Moment, retry_after: Option<Millis>) {
        self.retry_at = self.back_off.failed(now, retry_after);
    }

    /// The network is back: a renewal that failed is tried at once.
    pub fn hurry(&mut self, now: Moment) {
        if self.back_off.is_waiting() {
            self.back_off.reset();
            self.retry_at = self.retry_at.min(now);
        }
    }

    /// Asking again would not help.
    pub fn stop(&mut self) {
        self.state = State::Stopped;
    }

    /// When to renew without being asked.
    pub fn due(&self) -> Option<Moment> {
        match self.state {
            State::Running => self.due.map(|due| due.max(self.retry_at)),
            State::Stopped => None,
        }
    }

    /// What to do about a 401.
    pub fn cure(&self, now: Moment) -> Cure {
        match self.state {
            State::Running if now < self.retry_at => Cure::Later,
            State::Running if now >= self.fresh_until => Cure::Renew,
            State::Running | State::Stopped => Cure::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Millis = Millis(3_600_000);

    #[test]
    fn a_token_is_renewed_ahead_of_its_end_at_a_moment_of_its_own() {
        let due = |seed| {
            let mut renewal = Renewal::new(seed);
            renewal.obtained(HOUR, Moment(1_000));
            renewal.due().unwrap().since(Moment(1_000)).0
        };
        let all: Vec<u32> = (0..200).map(due).collect();
        assert!(all.iter().all(|due| (2_880_000..=3_240_000).contains(due)), "{all:?}");
        assert!(
            all.iter().max().unwrap() - all.iter().min().unwrap() > 300_000,
            "{all:?}"
        );
    }

    #[test]
    fn a_token_of_unknown_age_waits_for_a_401() {
        let mut renewal = Renewal::new(1);
        renewal.found(None, Moment(0));
        assert_eq!(renewal.due(), None);
        assert_eq!(renewal.cure(Moment(0)), Cure::Renew);
    }

    #[test]
    fn a_token_that_ended_while_the_speaker_was_off_is_renewed_at_once() {
        let mut renewal = Renewal::new(1);
        renewal.found(Some(Millis::ZERO), Moment(7));
        assert_eq!(renewal.due(), Some(Moment(7)));
    }

    #[test]
    fn tokens_that_are_refused_as_soon_as_they_came_cause_no_storm() {
        let mut renewal = Renewal::new(1);
        for now in (0..4).map(Moment) {
            assert_eq!(renewal.cure(now), Cure::Renew, "somebody may have ended it early");
            renewal.obtained(HOUR, now);
        }
        assert_eq!(renewal.cure(Moment(10_002)), Cure::None);
        assert_eq!(renewal.cure(Moment(10_003)), Cure::Renew);
        renewal.obtained(HOUR, Moment(10_003));
        assert_eq!(renewal.cure(Moment(30_002)), Cure::None);
        assert_eq!(renewal.cure(Moment(30_003)), Cure::Renew);
    }

    #[test]
    fn an_account_that_is_refused_whatever_its_token_is_renewed_less_and_less() {
        let mut renewal = Renewal::new(1);
        let mut renewals = 0;
        renewal.obtained(HOUR, Moment(0));
        for now in (0..HOUR.0).step_by(1_000).map(|now| Moment(now.into())) {
            if renewal.cure(now) == Cure::Renew {
                renewal.obtained(HOUR, now);
                renewals += 1;
            }
        }
        assert!((8..=12).contains(&renewals), "{renewals}");
    }

    #[test]
    fn tokens_that_end_in_their_time_are_no_offence_however_short_it_is() {
        let mut renewal = Renewal::new(1);
        for now in (0..60_000_u64).step_by(2_000).map(Moment) {
            assert_eq!(renewal.cure(now), Cure::Renew, "{now:?}");
            renewal.obtained(Millis(2_000), now);
        }
    }

    #[test]
    fn a_service_that_gives_tokens_of_no_life_is_asked_seldom() {
        let mut renewal = Renewal::new(1);
        renewal.obtained(Millis::ZERO, Moment(0));
        assert_eq!(renewal.due(), Some(Moment(10_000)));
    }

    #[test]
    fn trouble_puts_off_both_the_timer_and_a_401() {
        let mut renewal = Renewal::new(1);
        renewal.obtained(HOUR, Moment(0));
        let now = Moment(3_500_000);
        renewal.failed(now, Some(Millis(60_000)));
        assert_eq!(renewal.cure(now + Millis(59_999)), Cure::Later);
        assert!(renewal.due().unwrap() >= now + Millis(60_000));
        assert!(renewal.due().unwrap() <= now + Millis(120_000));
    }

    #[test]
    fn where_only_the_configuration_helps_nothing_is_asked() {
        let mut renewal = Renewal::new(1);
        renewal.obtained(HOUR, Moment(0));
        renewal.stop();
        assert_eq!(renewal.due(), None);
        assert_eq!(renewal.cure(Moment(4_000_000)), Cure::None);
    }
}
