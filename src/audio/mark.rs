//! What the decoder writes next to the ring of samples, so that the output knows whose frames they are.

use tonearm_core::id::PlayId;

use super::track::Shape;

/// Marks that may wait. Each entry has two; a session orders at most a few entries ahead.
pub const MARKS_MAX: usize = 64;

/// Something true from one frame of the ring on. Marks come in the order of their frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Number of the frame since the engine started.
    pub at: u64,
    /// Which order.
    pub play: PlayId,
    /// What begins or ends there.
    pub what: What,
}

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The entry's frames begin here. Always followed by an end.
    Start(Shape),
    /// They end here.
    End(Tail),
    /// Nothing of the entry could be decoded: no frames, no other mark.
    Failed,
}

/// How the frames of an entry end in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// All of it was decoded.
    Whole,
    /// It is damaged from here on.
    Broken,
    /// It is encrypted from here on, and its key did not come.
    Locked,
    /// Decoding was called off: another order replaced it.
    Abandoned,
}
