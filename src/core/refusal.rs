//! What the speaker tells its listener: why a press did nothing, and what is wrong.

use crate::entry::Denial;

/// Why a press is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The service does not allow it.
    Denied(Denial),
    /// Nothing is playing or paused that it could apply to.
    NothingPlaying,
    /// The service is needed for it and cannot be reached.
    NoNetwork,
    /// The service is needed for it, and no account is linked.
    NotLinked,
    /// There is no such preset.
    NoSuchPreset,
    /// The speaker is leaving.
    Leaving,
}

/// Something the listener should know, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A press did nothing.
    Refused(Refusal),
    /// The volume is at its end.
    VolumeEnd,
    /// The queue is played to its end.
    QueueEnded,
    /// What was loaded is played to its end, and nobody can be reached for more: it goes on by itself when that is over.
    RanDry,
    /// Another device took over the stream.
    TakenOver,
    /// An account was linked.
    Linked,
    /// The account is gone.
    Unlinked,
    /// An entry ended because its key did not come.
    NoLicence,
}

/// What is wrong at the moment, until it is cured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The service cannot be reached; it is being tried again.
    Offline,
    /// Nobody can be reached because this device does not know what time it is.
    WrongClock,
    /// There is no account, or it is not accepted.
    NotLinked,
    /// A code waits to be entered.
    Linking,
    /// The service refused what it was asked and repeating would not help.
    ServiceRefused,
    /// Another device took over the stream.
    TakenOver,
    /// This entry could not be played.
    EntryUnplayable,
    /// This entry ended early: it is encrypted, and its key did not come.
    NoLicence,
    /// Several entries in a row could not be played; the speaker stopped.
    ManyUnplayable,
    /// The sound device is gone or busy.
    NoSoundDevice,
    /// Events cannot be stored durably: disk full or read-only.
    StorageFailed,
}
