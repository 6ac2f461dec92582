//! What the journal stores and what it finds again. Plain values; how they look on disk is `frame`'s business.

use serde::{Deserialize, Serialize};
use tonearm_core::event::{Claim, StopReason, What};
use tonearm_core::id::Seq;
use tonearm_core::unit::{Millis, Moment};

/// Identity of one boot (`/proc/sys/kernel/random/boot_id`): a [`Moment`] means something only within its boot.
pub type Boot = [u8; 16];

/// No offset from UTC: nobody knew what time it was, and the offset depends on that.
pub const ZONE_UNKNOWN: i16 = i16::MIN;

/// One start or stop of sound with everything needed to report it after any number of restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Place in this device's history.
    pub seq: Seq,
    /// Boot in which it happened.
    pub boot: Boot,
    /// When it happened, within that boot.
    pub at: Moment,
    /// When it happened, milliseconds since 1970. `None` until the clock of that boot is known to be right.
    pub wall_ms: Option<i64>,
    /// The device's offset from UTC at that moment; [`ZONE_UNKNOWN`] while the moment has no date.
    pub zone_minutes: i16,
    /// The service's name of the session.
    pub session: String,
    /// The service's name of the entry in its queue.
    pub reference: String,
    /// The service's opaque metric identifier, to be returned byte for byte.
    pub metric_id: Option<String>,
    /// From the request to the first sound.
    pub initial_delay: Millis,
    /// What happened.
    pub what: What,
    /// Whether it takes the stream over from another device.
    pub claim: Claim,
}

impl Record {
    /// Length of its strings.
    pub fn text_bytes(&self) -> usize {
        self.session.len() + self.reference.len() + self.metric_id.as_ref().map_or(0, String::len)
    }

    /// Whether both are one event. A number alone does not say so: that of an event which never reached the disk is given
    /// again after a power cut. The wall-clock time may have become known in between.
    pub fn is_same_event(&self, other: &Self) -> bool {
        let Self {
            seq,
            boot,
            at,
            wall_ms: _,
            zone_minutes: _,
            session,
            reference,
            metric_id,
            initial_delay: _,
            what,
            claim,
        } = self;
        (seq, boot, at, what, claim) == (&other.seq, &other.boot, &other.at, &other.what, &other.claim)
            && (session, reference, metric_id) == (&other.session, &other.reference, &other.metric_id)
    }
}

/// How far the sounding entry was at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// When, within the boot of its start, in milliseconds.
    #[serde(with = "moment")]
    pub at: Moment,
    /// Position heard.
    #[serde(with = "millis")]
    pub position: Millis,
    /// Length of the span of sound so far.
    #[serde(with = "millis")]
    pub played: Millis,
    /// Stalls within the span so far.
    pub rebuffers: u16,
}

/// The service's final word on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Accepted: it can be forgotten.
    Accepted,
    /// It can never be accepted: kept for people to look at, with the service's reason.
    SetAside {
        /// What the service said.
        reason: String,
    },
}

/// A start whose stop was never stored: the speaker lost its power in the middle of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The start.
    pub start: Record,
    /// The last that is known of its sound.
    pub checkpoint: Option<Checkpoint>,
}

impl Open {
    /// The stop that belongs to the start, as far as is known: at the last checkpoint, or at the start itself.
    pub fn stop(&self, seq: Seq) -> Record {
        let offset = match self.start.what {
            What::Start { offset } => offset,
            What::Stop { progress, .. } => progress,
        };
        let last = self.checkpoint.unwrap_or(Checkpoint {
            at: self.start.at,
            position: offset,
            played: Millis::ZERO,
            rebuffers: 0,
        });
        let later_ms = i64::from(last.at.since(self.start.at).0);
        Record {
            seq,
            at: last.at.max(self.start.at),
            wall_ms: self.start.wall_ms.map(|wall_ms| wall_ms.saturating_add(later_ms)),
            what: What::Stop {
                reason: StopReason::SystemStop,
                played: last.played,
                progress: last.position,
                rebuffers: last.rebuffers,
            },
            claim: Claim::Held,
            ..self.start.clone()
        }
    }
}

/// What became of a stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Here it is.
    Event(Record),
    /// Lost to damage, or settled. A lost one is to be settled as set aside, so that the ones after it go on.
    Nothing,
    /// Let go for want of room, with all up to this one.
    Folded(Seq),
    /// Not yet: those before it are not settled on disk, or the oldest are being let go. News come when that is over.
    Later,
}

/// An event that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Which event.
    pub seq: Seq,
    /// Why.
    pub reason: String,
    /// The event itself; `None` if it had been lost to damage.
    pub record: Option<Record>,
}

/// A damaged file that was put out of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Its name now, or as it was if it could not be renamed.
    pub file: String,
    /// Bytes in it that could not be read.
    pub bytes: u64,
    /// Events that were read from it all the same.
    pub rescued: u64,
}

/// What a restart finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Number of the next event.
    pub next: Seq,
    /// All events up to here are acknowledged or set aside.
    pub settled: Seq,
    /// A start without its stop, if that is the newest event.
    pub open: Option<Open>,
    /// Events still to be reported.
    pub waiting: u64,
    /// Events set aside since this device was new.
    pub set_aside: u64,
    /// Numbers after `settled` whose event cannot be read any more.
    pub lost: u64,
    /// Pairs that were folded away since this device was new.
    pub folded: u64,
    /// Damaged files.
    pub quarantined: Vec<Quarantined>,
}

/// A moment as its number.
mod moment {
    use serde::{Deserialize, Deserializer, Serializer};
    use tonearm_core::unit::Moment;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(moment: &Moment, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(moment.0)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        u64::deserialize(deserializer).map(Moment)
    }
}

/// A length of time as its number.
mod millis {
    use serde::{Deserialize, Deserializer, Serializer};
    use tonearm_core::unit::Millis;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(millis: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(millis.0)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
        u32::deserialize(deserializer).map(Millis)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A start or stop with strings of usual length: odd numbers start, even ones stop the start before.
    pub fn sample(seq: u64) -> Record {
        let pair = seq.div_ceil(2);
        let what = if seq % 2 == 1 {
            What::Start {
                offset: Millis(u32::try_from(pair % 7).unwrap() * 1_000),
            }
        } else {
            What::Stop {
                reason: StopReason::TrackFinished,
                played: Millis(180_000 + u32::try_from(pair).unwrap()),
                progress: Millis(183_000),
                rebuffers: u16::try_from(pair % 3).unwrap(),
            }
        };
        Record {
            seq: Seq(seq),
            boot: [7; 16],
            at: Moment(40_000 + seq * 90_000),
            wall_ms: Some(1_790_000_000_000 + i64::try_from(seq).unwrap() * 90_000),
            zone_minutes: -480,
            session: "aeddc6cc-5d5c-4a2e-9c5b-0d6f0a8f2f11".into(),
            reference: format!("0:6f1c2d3e-8a9b-4c0d-9e1f-{pair:012x}"),
            metric_id: Some(format!("m:{pair:08x}:{}", "q".repeat(86))),
            initial_delay: Millis(if seq == 1 { 420 } else { 0 }),
            claim: if seq % 4 == 1 { Claim::TakesOver } else { Claim::Held },
            what,
        }
    }

    #[test]
    fn the_stop_made_up_for_an_open_start_carries_the_last_known_place() {
        let checkpoint = Checkpoint {
            at: Moment(160_000),
            position: Millis(31_000),
            played: Millis(30_000),
            rebuffers: 1,
        };
        let stop = Open {
            start: sample(1),
            checkpoint: Some(checkpoint),
        }
        .stop(Seq(2));
        assert_eq!(stop.at, Moment(160_000));
        assert_eq!(stop.wall_ms, Some(1_790_000_090_000 + 30_000));
        let what = What::Stop {
            reason: StopReason::SystemStop,
            played: Millis(30_000),
            progress: Millis(31_000),
            rebuffers: 1,
        };
        assert_eq!(stop.what, what);
        assert_eq!(stop.reference, sample(1).reference);
        assert_eq!((sample(1).claim, stop.claim), (Claim::TakesOver, Claim::Held));
    }

    #[test]
    fn without_a_checkpoint_the_stop_is_where_the_start_was() {
        let stop = Open {
            start: sample(3),
            checkpoint: None,
        }
        .stop(Seq(4));
        assert_eq!(stop.at, sample(3).at);
        let what = What::Stop {
            reason: StopReason::SystemStop,
            played: Millis::ZERO,
            progress: Millis(2_000),
            rebuffers: 0,
        };
        assert_eq!(stop.what, what);
    }
}
