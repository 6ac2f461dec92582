//! What a frame holds: the journal's entries as they are serialised. The order of variants and fields is the format.

use serde::{Deserialize, Serialize};
use tonearm_core::event::{Claim, StopReason, What};
use tonearm_core::unit::Millis;

use super::record::{Boot, Checkpoint};

/// One body. The order of variants is part of the format: add at the end only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// First frame of a segment: what must not be forgotten when older segments are removed.
    Head(Head),
    /// A start or stop.
    Event(EventBody),
    /// All events up to this number are settled.
    Settled(u64),
    /// An event set aside.
    Aside(AsideBody),
    /// How far the sounding entry is.
    Checkpoint(CheckpointBody),
    /// What time it was when a boot began.
    Clock(Clock),
    /// Everything that was ever folded away. The one with the greatest total holds. Since version 2.
    Folds(FoldsBody),
}

/// See [`Entry::Head`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the next event when the segment was begun.
    pub next: u64,
    /// Settled then.
    pub settled: u64,
    /// Clocks known then.
    pub clocks: Vec<Clock>,
}

/// What time it was when a boot began. The first one said for a boot stays, so a repeated report is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Which boot.
    pub boot: Boot,
    /// Milliseconds since 1970 at the boot's moment zero.
    pub epoch_ms: i64,
}

/// See [`super::Record`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBody {
    /// Its number.
    pub seq: u64,
    /// Its strings, or where they are.
    pub names: Names,
    /// Milliseconds within its boot.
    pub at_ms: u64,
    /// Milliseconds since 1970.
    pub wall_ms: Option<i64>,
    /// Offset from UTC.
    pub zone_minutes: i16,
    /// From request to sound.
    pub initial_delay_ms: u32,
    /// What happened.
    pub what: WhatBody,
}

/// Strings of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Names {
    /// Spelled out.
    Own(Spelled),
    /// Those of the event with this number, spelled out earlier in the same file.
    Of(u64),
}

/// Strings spelled out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spelled {
    /// Boot.
    pub boot: Boot,
    /// Session.
    pub session: String,
    /// Entry.
    pub reference: String,
    /// Metric identifier.
    pub metric_id: Option<String>,
}

/// The core's [`What`] and [`Claim`] as they are stored. The order of variants is part of the format: add at the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhatBody {
    /// Offset.
    Start(u32),
    /// Reason, played, progress, rebuffers.
    Stop(ReasonBody, u32, u32, u16),
    /// Offset of a start that takes the stream over.
    TakingStart(u32),
}

/// The core's [`StopReason`] as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReasonBody {
    TrackFinished,
    UserStop,
    UserNext,
    UserPrev,
    TrackScrub,
    SystemStop,
}

/// See [`super::record::SetAside`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsideBody {
    /// How many were set aside on this device, with this one.
    pub count: u64,
    /// Which event.
    pub seq: u64,
    /// Why.
    pub reason: String,
    /// The event, with its strings spelled out.
    pub event: Option<EventBody>,
}

/// See [`Checkpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointBody {
    /// Counts up; the greater of the two places is the newer.
    pub turn: u64,
    /// The start it belongs to.
    pub start: u64,
    /// What is known.
    pub checkpoint: Checkpoint,
}

/// See [`super::fold::Folds`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldsBody {
    /// Pairs folded since the device was new.
    pub pairs: u64,
    /// First event, last event and pairs of the newest folds, oldest first.
    pub newest: Vec<(u64, u64, u64)>,
}

impl From<(What, Claim)> for WhatBody {
    fn from((what, claim): (What, Claim)) -> Self {
        match what {
            What::Start { offset } => match claim {
                Claim::Held => Self::Start(offset.0),
                Claim::TakesOver => Self::TakingStart(offset.0),
            },
            What::Stop {
                reason,
                played,
                progress,
                rebuffers,
            } => {
                let reason = match reason {
                    StopReason::TrackFinished => ReasonBody::TrackFinished,
                    StopReason::UserStop => ReasonBody::UserStop,
                    StopReason::UserNext => ReasonBody::UserNext,
                    StopReason::UserPrev => ReasonBody::UserPrev,
                    StopReason::TrackScrub => ReasonBody::TrackScrub,
                    StopReason::SystemStop => ReasonBody::SystemStop,
                };
                Self::Stop(reason, played.0, progress.0, rebuffers)
            }
        }
    }
}

impl From<WhatBody> for (What, Claim) {
    fn from(body: WhatBody) -> Self {
        match body {
            WhatBody::Start(offset) => (What::Start { offset: Millis(offset) }, Claim::Held),
            WhatBody::TakingStart(offset) => (What::Start { offset: Millis(offset) }, Claim::TakesOver),
            WhatBody::Stop(reason, played, progress, rebuffers) => {
                let reason = match reason {
                    ReasonBody::TrackFinished => StopReason::TrackFinished,
                    ReasonBody::UserStop => StopReason::UserStop,
                    ReasonBody::UserNext => StopReason::UserNext,
                    ReasonBody::UserPrev => StopReason::UserPrev,
                    ReasonBody::TrackScrub => StopReason::TrackScrub,
                    ReasonBody::SystemStop => StopReason::SystemStop,
                };
                let stop = What::Stop {
                    reason,
                    played: Millis(played),
                    progress: Millis(progress),
                    rebuffers,
                };
                (stop, Claim::Held)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first two were all there was before a start could take the stream over.
    #[test]
    fn starts_and_stops_have_the_bytes_that_they_always_had() {
        let cases = [
            (WhatBody::Start(5), [0, 5].as_slice()),
            (WhatBody::Stop(ReasonBody::UserStop, 1, 2, 3), &[1, 1, 1, 2, 3]),
            (WhatBody::TakingStart(5), &[2, 5]),
        ];
        for (what, bytes) in cases {
            assert_eq!(postcard::to_stdvec(&what).unwrap(), bytes);
            assert_eq!(postcard::from_bytes::<WhatBody>(bytes).unwrap(), what);
        }
    }

    #[test]
    fn a_start_that_takes_the_stream_over_is_read_back_as_one() {
        let what = What::Start { offset: Millis(7) };
        for claim in [Claim::Held, Claim::TakesOver] {
            assert_eq!(<(What, Claim)>::from(WhatBody::from((what, claim))), (what, claim));
        }
    }
}
