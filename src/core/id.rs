//! Small typed keys. Long strings (identifiers, titles, addresses) stay outside the core; whoever
//! talks to the outside keeps the table from key to string.

/// One entry of the service's queue: a track, an episode, an advertisement, an interlude.
///
/// Equal keys mean the same entry (same `entityReferenceId`), so what is loaded survives a re-ordered queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey(pub u32);

/// One playback session at the service, with its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub u32);

/// Something that can be asked to play: a preset, or parameters given on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(pub u32);

/// Place of one loaded entry in the window, `0..SLOTS_MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u8);

/// One order to the audio path to sound an entry. Later orders have greater numbers.
///
/// A paused and resumed order keeps its number: it has one *span* of sound after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayId(pub u32);

impl PlayId {
    /// The number of the next order.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// One call to the service. An answer that carries another number than the one awaited is late and is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

impl RequestId {
    /// The number of the next call.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// Position of an event in this device's history, from 1. Never reused, never skipped, also across reboots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// The event after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// One physical button: its place in the board file, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ButtonId(pub u8);
