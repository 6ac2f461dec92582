//! What the audio path is given of an entry: its bytes, in one piece or in segments. Words only; nothing is read here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use symphonia::core::io::MediaSource;

/// The bytes of an entry.
pub enum Stream {
    /// One file of any container. Reading blocks until the bytes are loaded.
    File(Box<dyn MediaSource>),
    /// Segments of fragmented MP4, as a manifest lists them.
    Segments(Box<dyn Segments>),
    /// One of the two: which one shows with the first bytes. Asking blocks until they are loaded, so the decoding thread
    /// asks.
    Later(Box<dyn FnOnce() -> io::Result<Self> + Send>),
}

impl Stream {
    /// What it is, once that is known: what was asked never answers [`Stream::Later`] again. Blocks as reading does.
    ///
    /// # Errors
    /// The entry cannot be had, or is not wanted any more.
    pub fn known(self) -> io::Result<Self> {
        match self {
            Self::Later(ask) => ask(),
            Self::File(_) | Self::Segments(_) => Ok(self),
        }
    }
}

/// The segments of an entry, in order. Whoever gives them chooses the representation of each.
pub trait Segments: Send {
    /// The segment that comes next; `None` behind the last. Blocks until it is known which one that is and its description
    /// is there; its media bytes may still be on their way.
    ///
    /// # Errors
    /// The entry cannot be had any further, or is not wanted any more.
    fn next(&mut self) -> io::Result<Option<Segment>>;

    /// Makes the segment that sounds at `at` of the entry the next one. False: the entry ends before.
    ///
    /// # Errors
    /// As for [`Segments::next`].
    fn seek(&mut self, at: Duration) -> io::Result<bool>;

    /// Length of the entry as the manifest announces it, to its precision (often milliseconds). `None`: not announced.
    fn length(&self) -> Option<Duration>;
}

/// One segment.
pub struct Segment {
    /// Number of the representation within the entry: segments of one number share their description.
    pub representation: u32,
    /// The representation's description, whole (`ftyp`, `moov`).
    pub description: Arc<[u8]>,
    /// The media (`moof`, `mdat`, perhaps several of each); ends where the segment ends.
    pub media: Box<dyn MediaSource>,
    /// Where the segment begins in the entry, by the manifest.
    pub begin: Duration,
    /// Time in the entry of media time 0: the period's start less the presentation time offset, in ticks of
    /// `timescale`. Exact, so that no frame is lost at a change of representation; often 0.
    pub origin_ticks: i64,
    /// Ticks a second of `origin_ticks`; not zero.
    pub timescale: u32,
    /// `pssh` boxes, whole, that the manifest tells of: a licence is asked for with them where the description has none.
    pub pssh: Vec<Arc<[u8]>>,
}
