//! MP4: from a file, progressive or fragmented, to packets for a decoder. The parts know bytes and times; none of them
//! knows a decoder, and none trusts a number it has read: whatever the file says, reading it ends, in bounded memory.
//!
//! ```text
//! boxes    where boxes are, and their fields
//! movie    `moov`: the sound track, its codec (`entry`), the part to be heard (`edit`)
//! samples  the tables of a progressive file, one sample after the other
//! fragment `moof`: the samples of a fragment
//! clock    when samples sound
//! demux    the next sample, or the one at a time, of a file or of segments
//!
//! protection  how a track or a group of samples is encrypted
//! auxiliary   ... and each single sample
//! cenc        packets in the clear, as soon as there are keys; a key is confirmed (`confirm`) before it is trusted
//! ```

mod auxiliary;
mod boxes;
mod cenc;
mod clock;
mod confirm;
mod demux;
mod edit;
mod entry;
mod fragment;
mod movie;
mod protection;
mod samples;

use std::io;

use thiserror::Error;

use boxes::FourCc;
pub use cenc::Unlocked;
pub use clock::{Clock, Origin};
pub use demux::Demuxer;
use entry::Refusal;
pub use entry::{Codec, Config};

use crate::keys::{DecryptError, KeyId};

/// Why an MP4 file gives no (more) packets.
#[derive(Debug, Error)]
pub enum Mp4Error {
    /// The bytes cannot be read.
    #[error("read the file: {0}")]
    Read(#[from] io::Error),
    /// The file ends before what it announces.
    #[error("the file ends too early")]
    Truncated,
    /// A box contradicts itself or another one.
    #[error("the box {0} is damaged")]
    Damaged(FourCc),
    /// More than any real file has.
    #[error("the box {kind} has {bytes} bytes; at most {max} are read")]
    TooLarge {
        /// Which box.
        kind: FourCc,
        /// Its length.
        bytes: u64,
        /// What is read at most.
        max: u64,
    },
    /// A file without a description of sound.
    #[error("no sound track in the file")]
    NoSound,
    /// What the samples are cannot be played.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The key of the next sample is on its way: nothing is lost, and asking again goes on.
    #[error("the key {} is awaited", name(.0))]
    KeyAwaited(KeyId),
    /// The key of the next sample will not come.
    #[error("there is no licence for the key {}: {reason}", name(key))]
    NoKey {
        /// Its number.
        key: KeyId,
        /// Why.
        reason: String,
    },
    /// What the key makes of the samples is noise.
    #[error("the licence's key {} is not the one that the samples are encrypted with", name(.0))]
    WrongKey(KeyId),
    /// Too few packets tell whether the key is the right one.
    #[error("too few packets tell whether the key {} is the right one", name(.0))]
    Unconfirmed(KeyId),
    /// The key went away, or who holds it.
    #[error("decrypt a sample: {0}")]
    Decrypt(#[source] DecryptError),
    /// Samples of one track that need different decoders.
    #[error("the codec's settings change within the entry")]
    Changes,
}

impl Mp4Error {
    /// What follows is encrypted, and cannot be made clear.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        match self {
            Self::NoKey { .. } | Self::WrongKey(_) | Self::Unconfirmed(_) | Self::Decrypt(_) => true,
            Self::Refused(refusal) => matches!(refusal, Refusal::Encrypted { .. } | Refusal::Scheme(_)),
            Self::Read(_)
            | Self::Truncated
            | Self::Damaged(_)
            | Self::TooLarge { .. }
            | Self::NoSound
            | Self::KeyAwaited(_)
            | Self::Changes => false,
        }
    }
}

/// A key's number, as licences write it.
fn name(key: &KeyId) -> String {
    format!("{:032x}", u128::from_be_bytes(*key))
}

/// The first bytes of a stream are those of an MP4 file.
#[must_use]
pub fn is_mp4(head: [u8; 8]) -> bool {
    let [_, _, _, _, kind @ ..] = head;
    matches!(&kind, b"ftyp" | b"styp" | b"moov" | b"wide" | b"pdin")
}

#[cfg(test)]
mod tests;
