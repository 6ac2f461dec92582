//! Between two adapters: what `media` opened, in the words of `audio`.

use std::io;
use std::time::Duration;

use crate::audio::{Segment, Segments, Stream};
use crate::media::{self, Entry, Opening};

/// An opened entry as a stream. It is the decoding thread that waits for its first bytes.
pub(super) fn stream(opening: Opening) -> Stream {
    let ask = move || {
        Ok(match opening.wait()? {
            Entry::File(reader) => Stream::File(Box::new(reader)),
            Entry::Segments(segments) => Stream::Segments(Box::new(Listed(segments))),
        })
    };
    Stream::Later(Box::new(ask))
}

/// Segments by a manifest.
struct Listed(media::Segments);

impl Segments for Listed {
    fn next(&mut self) -> io::Result<Option<Segment>> {
        let segment = self.0.next()?;
        Ok(segment.map(|segment| Segment {
            representation: segment.representation,
            description: segment.description.unwrap_or_default(),
            media: Box::new(segment.media),
            begin: segment.begin,
            origin_ticks: segment.origin_ticks,
            timescale: segment.timescale,
            pssh: segment.pssh,
        }))
    }

    fn seek(&mut self, at: Duration) -> io::Result<bool> {
        self.0.seek(at)
    }

    fn length(&self) -> Option<Duration> {
        self.0.length()
    }
}
