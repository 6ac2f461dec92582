//! Playback events, as facts. How they look on the wire is the service adapter's business.

use crate::id::{EntryKey, Seq, SessionKey};
use crate::unit::{Millis, Moment};

/// One start or stop of sound, to be stored, reported in order and forgotten only when acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Place in this device's history.
    pub seq: Seq,
    /// Session whose queue the entry came from.
    pub session: SessionKey,
    /// Entry that sounded.
    pub entry: EntryKey,
    /// When it happened (not when it was noticed or sent).
    pub at: Moment,
    /// From the request (button) to the first sound; 0 where one entry flowed into the next.
    pub initial_delay: Millis,
    /// What happened.
    pub what: What,
    /// Whether it takes the stream over from another device.
    pub claim: Claim,
}

/// What a start says about who owns the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// This device has it already, as far as it knows.
    #[default]
    Held,
    /// The listener wants it here, in place of the device that had it: the first start after that press.
    TakesOver,
}

/// What happened to the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Sound started or resumed.
    Start {
        /// Position in the entry where it started.
        offset: Millis,
    },
    /// Sound stopped, was interrupted, paused or scrubbed.
    Stop {
        /// Why.
        reason: StopReason,
        /// How long it sounded since its start.
        played: Millis,
        /// Position in the entry where it stopped.
        progress: Millis,
        /// Stalls for lack of data since its start.
        rebuffers: u16,
    },
}

/// `terminationReason` of a stop event \[O\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The entry played to its end.
    TrackFinished,
    /// Paused.
    UserStop,
    /// Skipped forward.
    UserNext,
    /// Skipped back.
    UserPrev,
    /// Moved within the entry.
    TrackScrub,
    /// Anything else.
    SystemStop,
}
