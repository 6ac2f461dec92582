//! How long an entry sounds, and how much of that is loaded: from shares of bytes and the times of segments. It changes
//! nothing.

use std::time::Duration;

use tonearm_core::unit::Millis;

use super::body::{Body, CHUNK, Sort};
use super::part::{END, PART_BYTES, Part, key_of, origin};

impl Body {
    /// Length of the sound that has to come: the manifest's, unless the service says that it leaves out some.
    pub fn length(&self) -> Option<Duration> {
        let plan = self.plan()?;
        let announced = self
            .announced()
            .filter(|announced| plan.shortfall(*announced).is_some());
        announced.or(plan.length())
    }

    /// Length by the service.
    pub fn announced(&self) -> Option<Duration> {
        self.duration.map(|Millis(ms)| Duration::from_millis(ms.into()))
    }

    /// Sound that is loaded: from the share of bytes, of the whole or of each segment.
    pub fn loaded_length(&self) -> Option<Millis> {
        if self.plan().is_none() {
            let (total, duration) = (self.total().filter(|total| *total > 0)?, self.duration?);
            return Some(share(duration, self.loaded(), total));
        }
        let segment = |(key, part): (&u32, &Part)| {
            let total = part.total().filter(|total| *total > 0)?;
            let first = origin(*key) / CHUNK;
            let chunks = self.chunks.range(first..first + PART_BYTES / CHUNK);
            let loaded = chunks.map(|(_, chunk)| chunk.len() as u64).sum();
            let length = part.sound.as_ref()?.length?;
            Some(share(millis(length), loaded, total).0)
        };
        Some(Millis(self.parts.iter().filter_map(segment).sum()))
    }

    /// Sound that is loaded ahead of the readers, or of the start, without a hole.
    pub fn ahead(&self) -> Duration {
        let from = self.base().unwrap_or(0);
        let missing = self.missing_from(from);
        let ahead = match (&self.sort, self.total(), self.duration) {
            (Sort::Plan(plan), _, duration) => {
                let end = plan.length().map(millis).or(duration).unwrap_or(Millis::ZERO);
                let to = if missing == END { end.0 } else { key_of(missing) };
                Millis(to.saturating_sub(key_of(from)))
            }
            (Sort::Unknown | Sort::File, Some(total), Some(duration)) if total > 0 => {
                share(duration, missing.min(total).saturating_sub(from), total)
            }
            (Sort::Unknown | Sort::File, _, _) => Millis::ZERO,
        };
        Duration::from_millis(ahead.0.into())
    }
}

/// So many of `total` bytes, as sound.
fn share(duration: Millis, bytes: u64, total: u64) -> Millis {
    let share = u128::from(duration.0) * u128::from(bytes) / u128::from(total.max(1));
    Millis(u32::try_from(share).unwrap_or(u32::MAX).min(duration.0))
}

fn millis(time: Duration) -> Millis {
    Millis(u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
}
