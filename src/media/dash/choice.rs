//! Which representation the next segment is taken from: what can be played here, best last, and when to step. Pure. Its
//! constants are those that came out best of a sweep over many links (`choice_links`, the table of docs/audio.md).

use std::fmt::Write as _;
use std::time::Duration;

use thiserror::Error;

use super::presentation::Representation;
use super::protection::Scheme;

/// What of the link a representation may take, by how much sound is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tuning {
    /// Percent of the measured link, with nothing loaded.
    empty_percent: u64,
    /// The same with `full` or more loaded, between the two in proportion. Above 100, what is loaded pays for the rest.
    full_percent: u64,
    /// Seconds of sound.
    full: Duration,
    /// The present representation may take so much of what a new one may, in percent: against flapping.
    keep_percent: u64,
}

/// The best of the sweep: `make sweep`.
const TUNED: Tuning = Tuning {
    empty_percent: 30,
    full_percent: 150,
    full: Duration::from_secs(60),
    keep_percent: 160,
};
/// So much of the link a first segment may take in any case, in percent: nothing sounds that could be interrupted.
const FIRST_PERCENT: u64 = 80;
/// The next segment has to arrive while this part of what is loaded sounds: long segments need more in hand.
const ARRIVAL_SHARE: u32 = 2;
/// With less sound than this loaded, no more is to be lost by a change of the sampling rate.
const DRY: Duration = Duration::from_secs(8);
/// Length of a segment that is not told: the longest of what packagers usually make.
const SEGMENT: Duration = Duration::from_secs(10);

/// What the converter plays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Frames a second; what has more is not played.
    pub rate_max_hz: u32,
    /// Bits of a sample; what has more is played where nothing else is lossless.
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
    /// Sorts the representations of a period: lossless above lossy, then by bandwidth. Those of more bits than the
    /// converter plays are left out where there is a lossless one of fewer, or one whose bits are not known yet.
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
        let is_narrow = |one: &Representation| one.bits.is_none_or(|bits| bits <= limits.bits_max);
        if fitting.iter().any(|(_, one)| one.codec.is_lossless() && is_narrow(one)) {
            fitting.retain(|(_, one)| is_narrow(one));
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

/// What a step depends on.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// [`Throughput::bps`](super::Throughput::bps). `None`: nothing was measured yet.
    pub link_bps: Option<u64>,
    /// How much sound is loaded behind what sounds now, across entries too.
    pub buffered: Duration,
    /// How long the segments are, as far as known.
    pub segment: Option<Duration>,
}

/// Chooses for one entry, segment by segment.
#[derive(Clone, Debug)]
pub struct Chooser {
    tuning: Tuning,
    /// What the segment before was taken from.
    last: Option<Rung>,
    /// What `last` was before the last choice.
    before: Option<Rung>,
}

impl Default for Chooser {
    fn default() -> Self {
        Self::tuned(TUNED)
    }
}

impl Chooser {
    fn tuned(tuning: Tuning) -> Self {
        Self {
            tuning,
            last: None,
            before: None,
        }
    }

    /// The last choice counts for nothing: there is more to be known than when it was made.
    pub fn undo(&mut self) {
        self.last = self.before;
    }

    /// Number (in its period) of the representation that the next segment is taken from.
    pub fn next(&mut self, ladder: &Ladder, moment: Moment) -> usize {
        let at = self
            .last
            .and_then(|last| ladder.rungs.iter().position(|rung| rung.is(last)));
        let next = match (at, moment.link_bps) {
            (Some(at), Some(link_bps)) => self.stepped_from(ladder, at, link_bps, moment),
            (Some(at), None) => at,
            // A first segment: the best that the link carries; an unmeasured one is believed to carry the best.
            (None, Some(link_bps)) => {
                let is_slow = |rung: &Rung| rung.bandwidth_bps <= percent(link_bps, FIRST_PERCENT);
                ladder.best(
                    |_| true,
                    |rung| is_slow(rung) || self.may_take(rung, 100, link_bps, moment),
                )
            }
            (None, None) => ladder.rungs.len().saturating_sub(1),
        };
        let Some(rung) = ladder.rungs.get(next) else {
            return 0;
        };
        self.before = self.last.replace(*rung);
        rung.number
    }

    fn stepped_from(&self, ladder: &Ladder, at: usize, link_bps: u64, moment: Moment) -> usize {
        let Some(here) = ladder.rungs.get(at) else {
            return at;
        };
        if !self.may_take(here, self.tuning.keep_percent, link_bps, moment) {
            let is_open = |rung: &Rung| rung.rate_hz == here.rate_hz || moment.buffered < DRY;
            return ladder.best(is_open, |rung| self.may_take(rung, 100, link_bps, moment));
        }
        let mut above = ladder.rungs.iter().enumerate().skip(at + 1);
        match above.find(|(_, rung)| rung.rate_hz == here.rate_hz) {
            Some((above, rung)) if self.may_take(rung, 100, link_bps, moment) => above,
            Some(_) | None => at,
        }
    }

    /// Whether a link of `link_bps` and what is loaded carry a representation. `keep_percent`: 100 for a new one.
    fn may_take(&self, rung: &Rung, keep_percent: u64, link_bps: u64, moment: Moment) -> bool {
        let Tuning {
            empty_percent,
            full_percent,
            full,
            ..
        } = self.tuning;
        if rung.bandwidth_bps <= percent(link_bps, empty_percent) {
            return true;
        }
        let loaded_ms = moment.buffered.min(full).as_millis();
        let more = u128::from(full_percent.saturating_sub(empty_percent)).saturating_mul(loaded_ms);
        let more = u64::try_from(more / full.as_millis().max(1)).unwrap_or_default();
        let share = percent(empty_percent.saturating_add(more), keep_percent);
        // segment * bandwidth / link, the time it needs, against a part of what is loaded.
        let segment_ms = moment.segment.unwrap_or(SEGMENT).as_millis();
        let arrives = segment_ms.saturating_mul(rung.bandwidth_bps.into())
            <= (moment.buffered / ARRIVAL_SHARE)
                .as_millis()
                .saturating_mul(link_bps.into());
        rung.bandwidth_bps <= percent(link_bps, share) && arrives
    }
}

impl Ladder {
    /// The best rung of those that are open and fit; else the open one that takes least.
    fn best(&self, is_open: impl Fn(&Rung) -> bool, is_fit: impl Fn(&Rung) -> bool) -> usize {
        let least = || {
            let open = self.rungs.iter().enumerate().filter(|(_, rung)| is_open(rung));
            open.min_by_key(|(_, rung)| rung.bandwidth_bps).map(|(at, _)| at)
        };
        let best = self.rungs.iter().rposition(|rung| is_open(rung) && is_fit(rung));
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
    bps.saturating_mul(percent) / 100
}

#[cfg(test)]
#[path = "choice_links.rs"]
mod links;
#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
