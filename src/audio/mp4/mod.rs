//! MP4: from a file, progressive or fragmented, to packets for a decoder. The parts know bytes and times; none of them
//! knows a decoder, and none trusts a number it has read: whatever the file says, reading it ends, in bounded memory.
//!
//! ```text
//! boxes    where boxes are, and their fields
//! movie    `moov`: the sound track, its codec (`entry`), the part to be heard (`edit`)
//! samples  the tables of a progressive file, one sample after the other
//! fragment `moof`: the samples of a fragment
//! clock    when samples sound
//! demux    the next packet, or the one at a time, of a file or of segments
//! ```

mod boxes;
mod clock;
mod demux;
mod edit;
mod entry;
mod fragment;
mod movie;
mod samples;

use std::io;

use thiserror::Error;

use boxes::FourCc;
pub use clock::{Clock, Origin};
pub use demux::Demuxer;
use entry::Refusal;
pub use entry::{Codec, Config};

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
    /// Samples of one track that need different decoders.
    #[error("the codec's settings change within the entry")]
    Changes,
}

/// The first bytes of a stream are those of an MP4 file.
#[must_use]
pub fn is_mp4(head: [u8; 8]) -> bool {
    let [_, _, _, _, kind @ ..] = head;
    matches!(&kind, b"ftyp" | b"styp" | b"moov" | b"wide" | b"pdin")
}

#[cfg(test)]
mod tests;
