//! Which representation the next segment is taken from: what can be played here, best last, and when to step. Pure. What its
//! constants come to over several links is compared in `choice_tests` (the table of docs/audio.md); they are not tuned to it.

use std::fmt::Write as _;
use std::time::Duration;

use thiserror::Error;

use super::presentation::Representation;
use super::protection::Scheme;

/// So much of the measured link is counted on, in percent.
const SAFETY_PERCENT: u64 = 80;
/// So much of it has to be enough for a better representation, in percent: what is between the two is no reason to move.
const UP_PERCENT: u64 = 65;
/// With less sound than this loaded, a representation that the link does not carry is left at once, as far as needed.
const DRY: Duration = Duration::from_secs(8);
/// With less than this, it is left by one step.
const LOW: Duration = Duration::from_secs(20);
/// With no less than this, a better one is tried.
const HIGH: Duration = Duration::from_secs(24);
/// So long after a step none goes up: against flapping.
const HOLD: Duration = Duration::from_secs(12);

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
    rungs: Vec<Rung>,
}

#[derive(Clone, Copy, Debug)]
struct Rung {
    /// Number of the representation in its period.
    number: usize,
    bandwidth_bps: u64,
    rate_hz: Option<u32>,
}

impl Ladder {
    /// Sorts the representations of a period: lossless above lossy, then by bandwidth.
    ///
    /// # Errors
    /// None of them can be played here.
    pub fn of(representations: &[Representation], limits: Limits) -> Result<Self, NothingPlayable> {
        let mut fitting: Vec<_> = representations
            .iter()
            .enumerate()
            .filter(|(_, one)| fits(one, limits))
            .collect();
        if fitting.is_empty() {
            let mut there: Vec<_> = representations.iter().map(named).collect();
            there.dedup();
            there.truncate(NAMED_MAX);
            let there = if there.is_empty() {
                "none".to_owned()
            } else {
                there.join(", ")
            };
            return Err(NothingPlayable(there));
        }
        fitting.sort_by_key(|(_, one)| (one.codec.is_lossless(), one.bandwidth_bps));
        let rung = |(number, one): (usize, &Representation)| Rung {
            number,
            bandwidth_bps: one.bandwidth_bps,
            rate_hz: one.rate_hz,
        };
        Ok(Self {
            rungs: fitting.into_iter().map(rung).collect(),
        })
    }
}

/// How many representations a refusal names: a log line's worth.
const NAMED_MAX: usize = 8;
/// The container that segments are demuxed from.
const MP4: [&str; 3] = ["audio/mp4", "video/mp4", "application/mp4"];

fn fits(one: &Representation, limits: Limits) -> bool {
    let scheme = one
        .encryption
        .as_ref()
        .and_then(|encryption| encryption.scheme.as_ref());
    one.codec.is_decodable()
        && !matches!(scheme, Some(Scheme::Other(_)))
        && one.mime.as_deref().is_none_or(|mime| MP4.contains(&mime))
        && one.channels.is_none_or(|channels| channels <= 2)
        && one.rate_hz.is_none_or(|rate| rate <= limits.rate_max_hz)
        && one.bits.is_none_or(|bits| bits <= limits.bits_max)
}

/// For people: `E-AC-3 at 48000 Hz with 6 channels`.
fn named(one: &Representation) -> String {
    let mut text = one.codec.name().to_owned();
    if let Some(mime) = one.mime.as_ref().filter(|mime| !MP4.contains(&mime.as_str())) {
        let _ = write!(text, " in {mime}");
    }
    if let Some(rate) = one.rate_hz {
        let _ = write!(text, " at {rate} Hz");
    }
    if let Some(bits) = one.bits {
        let _ = write!(text, " of {bits} bits");
    }
    if let Some(channels) = one.channels.filter(|channels| *channels > 2) {
        let _ = write!(text, " with {channels} channels");
    }
    text
}

/// Chooses for one entry, segment by segment.
#[derive(Clone, Debug, Default)]
pub struct Chooser {
    /// What the segment before was taken from.
    last: Option<Rung>,
    /// When it was changed.
    stepped: Option<Duration>,
}

impl Chooser {
    /// Number (in its period) of the representation that the next segment is taken from.
    ///
    /// `link_bps` is [`Throughput::bps`](super::Throughput::bps); `buffered` is how much sound is loaded behind what
    /// sounds now, across entries too; `now` is any clock that only goes forward.
    pub fn next(&mut self, ladder: &Ladder, link_bps: Option<u64>, buffered: Duration, now: Duration) -> usize {
        let sustained = link_bps.map(|bps| percent(bps, SAFETY_PERCENT));
        let at = self
            .last
            .and_then(|last| ladder.rungs.iter().position(|rung| rung.is(last)));
        let next = match (at, sustained, link_bps) {
            (Some(at), Some(sustained), Some(link)) => {
                let margin = percent(link, UP_PERCENT);
                self.stepped_from(ladder, at, sustained, margin, buffered, now)
            }
            (Some(at), ..) => at,
            // A first segment: the best that the link carries; an unmeasured one is believed to carry the best.
            (None, Some(sustained), _) => ladder.sustained(sustained),
            (None, None, _) => ladder.rungs.len().saturating_sub(1),
        };
        let Some(rung) = ladder.rungs.get(next) else {
            return 0;
        };
        if self.last.is_some_and(|last| !rung.is(last)) {
            self.stepped = Some(now);
        }
        self.last = Some(*rung);
        rung.number
    }

    fn stepped_from(
        &self,
        ladder: &Ladder,
        at: usize,
        sustained: u64,
        margin: u64,
        buffered: Duration,
        now: Duration,
    ) -> usize {
        let Some(here) = ladder.rungs.get(at) else {
            return at;
        };
        if here.bandwidth_bps > sustained {
            if buffered < DRY {
                return ladder.sustained(sustained).min(at);
            }
            let same_clock = |below: &usize| {
                ladder
                    .rungs
                    .get(*below)
                    .is_some_and(|rung| rung.rate_hz == here.rate_hz)
            };
            return match (0..at).rev().find(same_clock) {
                Some(below) if buffered < LOW => below,
                Some(_) | None => at,
            };
        }
        let is_held = self.stepped.is_some_and(|stepped| now.saturating_sub(stepped) < HOLD);
        if buffered < HIGH || is_held {
            return at;
        }
        let above = ladder
            .rungs
            .iter()
            .enumerate()
            .skip(at + 1)
            .find(|(_, rung)| rung.rate_hz == here.rate_hz);
        match above {
            Some((above, rung)) if rung.bandwidth_bps <= margin => above,
            Some(_) | None => at,
        }
    }
}

impl Ladder {
    /// The best rung that so much carries; else the one that takes least.
    fn sustained(&self, bps: u64) -> usize {
        let best = self.rungs.iter().rposition(|rung| rung.bandwidth_bps <= bps);
        let least = || {
            self.rungs
                .iter()
                .enumerate()
                .min_by_key(|(_, rung)| rung.bandwidth_bps)
                .map(|(at, _)| at)
        };
        best.or_else(least).unwrap_or_default()
    }
}

impl Rung {
    /// Whether it is the same, also in another period.
    fn is(&self, other: Self) -> bool {
        self.bandwidth_bps == other.bandwidth_bps && self.rate_hz == other.rate_hz
    }
}

fn percent(bps: u64, percent: u64) -> u64 {
    bps / 100 * percent
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
