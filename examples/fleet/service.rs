//! The model of the service: steady, out of order for a while, and back; and what it counts. It knows no speaker.

/// Seconds until every speaker has begun to play, at a moment of its own.
pub const BEGIN_S: u64 = 420;
/// From here to the outage is an ordinary day: what "steady" is measured in.
pub const STEADY_S: u64 = 600;
/// When the outage begins.
pub const OUTAGE_S: u64 = 900;
/// How long after its end is looked at, where the service takes all that comes.
const AFTER_S: u64 = 1_200;
/// How long a speaker waits for an answer that does not come, as its client does.
const PATIENCE_MS: u64 = 8_000;

/// What a speaker that asks meets during the outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Nobody listens: the connection is refused at once.
    Refused,
    /// No answer comes.
    Silent,
    /// 503 without a word on when.
    Busy,
    /// 503, and `Retry-After` says when the outage is over: the same moment to everybody.
    BusyUntilTheEnd,
    /// 503 and `Retry-After: 60`.
    BusyForAMinute,
}

/// A service that lets no more than so many requests a second through, and refuses the rest with `Retry-After`.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    pub per_second: u32,
    pub retry_after_ms: u32,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Unreachable,
    /// `Retry-After` in milliseconds, if it says one.
    Busy(Option<u32>),
}

/// One course of events.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    pub outage: Outage,
    pub lasts_s: u64,
    /// The hosts of the music are gone as well.
    pub takes_media: bool,
    pub throttle: Option<Throttle>,
    /// How long after the outage is looked at.
    pub after_s: u64,
}

impl Scene {
    pub fn hour(outage: Outage) -> Self {
        Self {
            outage,
            lasts_s: 3_600,
            takes_media: false,
            throttle: None,
            after_s: AFTER_S,
        }
    }

    pub fn ends_ms(&self) -> u64 {
        (OUTAGE_S + self.lasts_s) * 1000
    }

    /// The end of what is looked at.
    pub fn over_ms(&self) -> u64 {
        self.ends_ms() + self.after_s * 1000
    }

    pub fn is_out(&self, now_ms: u64) -> bool {
        (OUTAGE_S * 1000..self.ends_ms()).contains(&now_ms)
    }

    pub fn has_media(&self, now_ms: u64) -> bool {
        !(self.takes_media && self.is_out(now_ms))
    }

    /// The last second that is counted.
    pub fn seconds(&self) -> usize {
        usize::try_from(OUTAGE_S + self.lasts_s + self.after_s).unwrap()
    }
}

/// Requests by second.
#[derive(Clone, Debug, Default)]
pub struct Load {
    pub asked: Vec<u32>,
    pub refused: Vec<u32>,
}

impl Load {
    pub fn add(&mut self, other: &Self) {
        for (sum, part) in [(&mut self.asked, &other.asked), (&mut self.refused, &other.refused)] {
            sum.resize(sum.len().max(part.len()), 0);
            for (sum, part) in sum.iter_mut().zip(part) {
                *sum += part;
            }
        }
    }
}

/// The service, and what it has been asked.
#[derive(Clone, Debug)]
pub struct Service {
    pub scene: Scene,
    pub load: Load,
}

impl Service {
    pub fn new(scene: Scene) -> Self {
        let none = vec![0; scene.seconds() + 1];
        let load = Load {
            asked: none.clone(),
            refused: none,
        };
        Self { scene, load }
    }

    /// A request comes. Returns what becomes of it, and when the speaker knows that.
    pub fn ask(&mut self, now_ms: u64, travel_ms: u64) -> (Outcome, u64) {
        let second = usize::try_from(now_ms / 1000).unwrap();
        let outcome = self.outcome(now_ms, second);
        if let Some(asked) = self.load.asked.get_mut(second) {
            *asked += 1;
        }
        if outcome != Outcome::Done
            && let Some(refused) = self.load.refused.get_mut(second)
        {
            *refused += 1;
        }
        let unheard = self.scene.outage == Outage::Silent && outcome == Outcome::Unreachable;
        (outcome, now_ms + if unheard { PATIENCE_MS } else { travel_ms })
    }

    fn outcome(&self, now_ms: u64, second: usize) -> Outcome {
        if self.scene.is_out(now_ms) {
            return match self.scene.outage {
                Outage::Refused | Outage::Silent => Outcome::Unreachable,
                Outage::Busy => Outcome::Busy(None),
                // A header has whole seconds.
                Outage::BusyUntilTheEnd => {
                    let seconds = (self.scene.ends_ms() - now_ms).div_ceil(1000);
                    Outcome::Busy(Some(u32::try_from(seconds * 1000).unwrap()))
                }
                Outage::BusyForAMinute => Outcome::Busy(Some(60_000)),
            };
        }
        let count = |counts: &[u32]| counts.get(second).copied().unwrap_or(0);
        match self.scene.throttle {
            // It throttles from the outage on: until then it is as large as it has to be.
            Some(throttle)
                if now_ms >= self.scene.ends_ms()
                    && count(&self.load.asked) - count(&self.load.refused) >= throttle.per_second =>
            {
                Outcome::Busy(Some(throttle.retry_after_ms))
            }
            Some(_) | None => Outcome::Done,
        }
    }
}
