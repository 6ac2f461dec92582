//! What decoding an entry comes to: its shape, what is next of it, why there is nothing. Words only.

use symphonia::core::errors::Error;
use thiserror::Error;

use super::packets::PacketsError;

/// Why an entry cannot be decoded at all.
#[derive(Debug, Error)]
pub enum TrackError {
    /// It gives no packets.
    #[error(transparent)]
    Packets(#[from] PacketsError),
    /// In a codec that is not known, or damaged.
    #[error("decode the entry: {0}")]
    Codec(#[source] Error),
    /// Half of it only could be decoded.
    #[error("decode the entry: no decoder for HE-AAC; another version of the entry is needed")]
    Replication,
    /// Nothing in it could be decoded.
    #[error("decode the entry: not one good packet")]
    NoSound,
}

impl TrackError {
    /// The entry is encrypted, and cannot be made clear.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Packets(error) if error.is_locked())
    }
}

/// What is next of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// More frames: [`frames`](super::track::Track::frames).
    Frames,
    /// The entry is complete.
    Finished,
    /// The entry is damaged or truncated here.
    Broken,
    /// It is encrypted from here on, and the key is on its way: the next step tries again, and nothing is lost.
    Awaiting,
    /// It is encrypted from here on, and its key did not come, or is wrong.
    Locked,
}

/// What is fixed for a whole entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Frames a second.
    pub rate: u32,
    /// Significant bits of a sample, from the top.
    pub bits: u8,
    /// Frame of the entry that comes first: the position asked for.
    pub offset: u64,
}

impl Shape {
    /// Of an entry of which not one frame will sound.
    pub const UNKNOWN: Self = Self {
        rate: 44_100,
        bits: 16,
        offset: 0,
    };
}
