//! Between adapters: what `media` opened, in the words of `audio` and `cdm`.

use std::io;
use std::time::Duration;

use symphonia::core::io::MediaSource;

use tonearm_core::id::EntryKey;

use crate::audio::{Beginning, Segment, Segments, Stream};
use crate::cdm::Owner;
use crate::media::{self, Entry, Look, Opening};

/// An entry as whoever has its licence knows it.
pub(super) fn owner(entry: EntryKey) -> Owner {
    Owner(entry.0)
}

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

/// What is loaded of an entry, to decode its head from.
pub(super) fn beginning(look: Look) -> Beginning {
    match look {
        Look::File(glance, hint) => Beginning {
            stream: Stream::File(Box::new(glance)),
            hint,
            version: None,
        },
        Look::Segments(glances) => Beginning {
            version: Some(glances.version()),
            stream: Stream::Segments(Box::new(Seen(glances))),
            hint: None,
        },
    }
}

/// Segments by a manifest.
struct Listed(media::Segments);

impl Segments for Listed {
    fn next(&mut self) -> io::Result<Option<Segment>> {
        Ok(self.0.next()?.map(segment))
    }

    fn seek(&mut self, at: Duration) -> io::Result<bool> {
        self.0.seek(at)
    }

    fn length(&self) -> Option<Duration> {
        self.0.length()
    }
}

/// Those that are loaded.
struct Seen(media::Glances);

impl Segments for Seen {
    fn next(&mut self) -> io::Result<Option<Segment>> {
        Ok(self.0.next()?.map(segment))
    }

    fn seek(&mut self, at: Duration) -> io::Result<bool> {
        self.0.seek(at)
    }

    fn length(&self) -> Option<Duration> {
        self.0.length()
    }
}

fn segment<M: MediaSource + 'static>(segment: media::Segment<M>) -> Segment {
    Segment {
        representation: segment.representation,
        description: segment.description.unwrap_or_default(),
        media: Box::new(segment.media),
        begin: segment.begin,
        origin_ticks: segment.origin_ticks,
        timescale: segment.timescale,
        pssh: segment.pssh,
    }
}
