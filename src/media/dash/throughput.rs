//! What the link carries, from what it carried: an average that forgets. Only reckoning; whoever fetches measures.

use std::time::Duration;

/// After so much time of transfers, a measurement counts half. The best of the sweep that the choice's constants come from
/// (`make sweep`); a link that breaks down is known at once all the same, because its transfers take long.
pub(super) const HALF_LIFE: Duration = Duration::from_secs(12);
/// A transfer that took so long tells of the link, however few its bytes.
const LONG: Duration = Duration::from_secs(4);
/// Fewer bytes than this say more of the way there and back than of the link.
const BYTES_MIN: u64 = 16 * 1024;

/// Estimate of what the link carries. One for all transfers over it; times are of the transfers only, so an idle link
/// does not look slow.
#[derive(Clone, Copy, Debug)]
pub struct Throughput {
    half_life: Duration,
    /// Bits, and the seconds they took, both weighted.
    bits: f64,
    seconds: f64,
}

impl Default for Throughput {
    fn default() -> Self {
        Self::forgetting(HALF_LIFE)
    }
}

impl Throughput {
    /// One that counts a measurement half after so much time of transfers.
    pub(super) fn forgetting(half_life: Duration) -> Self {
        Self {
            half_life,
            bits: 0.0,
            seconds: 0.0,
        }
    }

    /// A transfer, or a part of one: `bytes` came within `took`, counted from the request, or from the part before.
    pub fn add(&mut self, bytes: u64, took: Duration) {
        if bytes < BYTES_MIN && took < LONG {
            return;
        }
        let took = took.as_secs_f64().max(1e-6);
        let kept = 0.5_f64.powf(took / self.half_life.as_secs_f64());
        // Bits of less than 2^53 bytes are exact; more never come in one piece.
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let bits = bytes as f64 * 8.0;
        self.bits = self.bits * kept + bits;
        self.seconds = self.seconds * kept + took;
    }

    /// Bits a second. `None`: nothing was measured yet.
    pub fn bps(&self) -> Option<u64> {
        let bps = (self.seconds > 0.0).then(|| self.bits / self.seconds)?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and it saturates"
        )]
        Some(bps as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_link_is_measured_as_it_is() {
        let mut link = Throughput::default();
        assert_eq!(link.bps(), None);
        for _ in 0..20 {
            link.add(125_000, Duration::from_secs(1));
        }
        assert!(link.bps().unwrap().abs_diff(1_000_000) < 10);
    }

    #[test]
    fn after_a_half_life_the_past_counts_half() {
        let mut link = Throughput::default();
        (0..100).for_each(|_| link.add(250_000, Duration::from_secs(1)));
        (0..12).for_each(|_| link.add(125_000, Duration::from_secs(1)));
        let bps = link.bps().unwrap();
        assert!(bps.abs_diff(1_500_000) < 60_000, "{bps}");
    }

    #[test]
    fn small_answers_say_nothing_but_a_dead_link_does() {
        let mut link = Throughput::default();
        link.add(1000, Duration::from_millis(300));
        assert_eq!(link.bps(), None);
        link.add(0, Duration::from_secs(8));
        assert_eq!(link.bps(), Some(0));
        link.add(u64::MAX, Duration::ZERO);
        assert!(link.bps().is_some());
    }
}
