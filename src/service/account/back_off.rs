//! How long to wait after the sign-in service failed: full jitter up to a growing ceiling, never before the time it
//! named. Without a clock of its own.

use tonearm_core::limits::RETRY_AFTER_MS_MAX;
use tonearm_core::unit::{Millis, Moment};

/// Ceiling of the first wait.
const RETRY_MS_FIRST: u32 = 1_000;
/// Ceiling of every later wait: a whole fleet asks the same few servers after an outage, and nobody is to wait long.
const RETRY_MS_MAX: u32 = 30_000;

/// Counts failures in a row.
#[derive(Debug)]
pub struct BackOff {
    noise: fastrand::Rng,
    failures: u32,
    /// The service itself asked for patience.
    is_asked: bool,
}

impl BackOff {
    /// `seed` spreads the retries of a fleet.
    pub fn new(seed: u64) -> Self {
        Self {
            noise: fastrand::Rng::with_seed(seed),
            failures: 0,
            is_asked: false,
        }
    }

    /// It failed: when to try again. `retry_after` is the service's own word on it.
    pub fn failed(&mut self, now: Moment, retry_after: Option<Millis>) -> Moment {
        let ceiling_ms = RETRY_MS_FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(RETRY_MS_MAX);
        self.failures = self.failures.saturating_add(1);
        self.is_asked = retry_after.is_some();
        let named = retry_after.unwrap_or_default().min(RETRY_AFTER_MS_MAX);
        // It may have named the same moment to everybody: as long again, not all at once.
        let spread_ms = ceiling_ms.max(named.0.min(RETRY_MS_MAX));
        now + named + Millis(self.noise.u32(0..=spread_ms))
    }

    /// It waits because nobody answered, not because the service asked for patience.
    pub const fn is_waiting(&self) -> bool {
        self.failures > 0 && !self.is_asked
    }

    /// It worked.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.is_asked = false;
    }

    /// A number within a range, of the same noise.
    pub fn jitter(&mut self, range: std::ops::RangeInclusive<u32>) -> u32 {
        self.noise.u32(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_use_all_of_it_and_never_pass_it() {
        let mut back_off = BackOff::new(7);
        assert!(back_off.failed(Moment(0), None) <= Moment(1_000));
        let longest = (0..500).map(|_| back_off.failed(Moment(0), None)).max().unwrap();
        assert!(longest <= Moment(30_000) && longest > Moment(27_000), "{longest:?}");
        back_off.reset();
        assert!(back_off.failed(Moment(0), None) <= Moment(1_000));
    }

    #[test]
    fn the_service_s_word_is_honoured_but_does_not_silence_the_speaker_for_days() {
        let mut back_off = BackOff::new(1);
        let next = back_off.failed(Moment(0), Some(Millis(90_000)));
        assert!((Moment(90_000)..=Moment(150_000)).contains(&next), "{next:?}");
        let latest = Moment(0) + RETRY_AFTER_MS_MAX + Millis(RETRY_MS_MAX);
        assert!(back_off.failed(Moment(0), Some(Millis(u32::MAX))) <= latest);
    }

    #[test]
    fn a_moment_named_to_everybody_does_not_bring_everybody_at_once() {
        let next = |seed| BackOff::new(seed).failed(Moment(0), Some(Millis(600_000)));
        let early = (0..1000).filter(|seed| next(*seed) < Moment(607_500)).count();
        assert!(
            (200..300).contains(&early),
            "a quarter of them in a quarter of the longest wait: {early}"
        );
    }

    #[test]
    fn two_seeds_wait_differently() {
        let waits = |seed| {
            let mut back_off = BackOff::new(seed);
            (0..8).map(|_| back_off.failed(Moment(0), None)).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
    }
}
