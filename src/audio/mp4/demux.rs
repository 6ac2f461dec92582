//! The samples of an MP4 file or of segments, one after the other or from a time on. It reads bytes only as it needs
//! them; it must not decode.

use std::io::Cursor as Slice;
use std::sync::Arc;
use std::time::Duration;

use symphonia::core::io::MediaSource;

use super::super::stream::{Segment, Segments};
use super::Mp4Error;
use super::auxiliary::{AuxiliaryCursor, Cipher};
use super::boxes::{Bytes, FourCc};
use super::clock::{Clock, Origin};
use super::entry::{Codec, Config};
use super::fragment::{FRAGMENT_BYTES_MAX, Fragment};
use super::movie::{Defaults, Movie};
use super::samples::{Cursor, Place, SAMPLES_MAX};
use crate::keys::{KeyId, Subsample};

/// Largest packet: a block of lossless stereo has at most half of it.
const SAMPLE_BYTES_MAX: u32 = 1 << 20;
/// Room for a packet from the start: any lossy one, and most of CD rate that are lossless, fit without more being taken.
const SAMPLE_BYTES_USUAL: usize = 16 * 1024;
/// Boxes between two fragments: an index, an event, free space.
const BETWEEN_MAX: u32 = 256;

/// Frames a second of Opus, whatever the clock of the file.
const OPUS_RATE: u32 = 48_000;

/// A packet.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Ticks of the track before it.
    pub at: u64,
    /// Ticks it lasts.
    pub duration: u32,
    /// Number of the stretch of one representation that it belongs to. With the first sample of a stretch,
    /// [`Demuxer::config`] and [`Demuxer::clock`] are those of the stretch.
    pub stretch: u32,
    /// How it is encrypted; `None`: not.
    pub cipher: Option<Cipher>,
}

/// A file being read, or segments.
pub struct Demuxer {
    bytes: Bytes,
    /// What comes behind `bytes`.
    more: Option<More>,
    origin: Origin,
    /// Of the sample located last, and of the one given last.
    stretch: u32,
    given: u32,
    movie: Movie,
    config: Config,
    cursor: Cursor,
    auxiliary: AuxiliaryCursor,
    fragment: Fragment,
    /// The current fragment tells of keys that nobody asked for yet.
    has_keys: bool,
    /// Parts of the sample given last that are encrypted, and of the one located last.
    subsamples: Vec<Subsample>,
    located: Vec<Subsample>,
    /// Where the box behind the current fragment's head begins.
    next_box: u64,
    /// A sample that was looked up and not given.
    ahead: Option<Place>,
    /// Samples looked up since the front.
    walked: u32,
    /// The longest duration met; a shorter one may be cut at the end of the music.
    longest: u32,
    end: Option<u64>,
    data: Vec<u8>,
}

/// Further segments.
struct More {
    segments: Box<dyn Segments>,
    /// Of the current segment.
    representation: u32,
    /// The current segment gave a sample.
    is_used: bool,
}

impl Demuxer {
    /// Reads the description of the file, wherever in it that is.
    ///
    /// # Errors
    /// The file holds no sound that can be decoded.
    pub fn open(stream: Box<dyn MediaSource>) -> Result<Self, Mp4Error> {
        let mut bytes = Bytes::new(stream)?;
        let (movie, config) = describe(&mut bytes)?;
        Ok(Self {
            next_box: movie.end,
            bytes,
            more: None,
            origin: Origin::default(),
            stretch: 0,
            given: 0,
            movie,
            config,
            cursor: Cursor::default(),
            auxiliary: AuxiliaryCursor::default(),
            fragment: Fragment::default(),
            has_keys: false,
            subsamples: Vec::new(),
            located: Vec::new(),
            ahead: None,
            walked: 0,
            longest: 0,
            end: None,
            data: Vec::with_capacity(SAMPLE_BYTES_USUAL),
        })
    }

    /// Reads the segments of an entry from the one on that sounds `from` there; from the last one on where the entry ends
    /// before.
    ///
    /// # Errors
    /// The segment cannot be had, or holds no sound that can be decoded.
    pub fn of_segments(mut segments: Box<dyn Segments>, from: Duration) -> Result<Self, Mp4Error> {
        if from > Duration::ZERO && !segments.seek(from)? {
            segments.seek(Duration::ZERO)?;
        }
        let segment = segments.next()?.ok_or(Mp4Error::NoSound)?;
        let mut demuxer = Self::open(Box::new(Slice::new(Arc::clone(&segment.description))))?;
        demuxer.more = Some(More {
            segments,
            representation: segment.representation,
            is_used: true,
        });
        demuxer.movie.complete(&segment.pssh);
        demuxer.origin = Origin::of(&segment);
        demuxer.turn_to(segment)?;
        Ok(demuxer)
    }

    /// What the decoder is told.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How ticks become frames of the entry. The silence before the music is told by an edit or by the codec's header;
    /// where both tell it, they mean the same.
    pub fn clock(&self) -> Clock {
        let timescale = self.movie.timescale;
        let told = self.movie.audible.unwrap_or_default();
        let (mut skip, mut length) = (told.skip, told.length);
        if skip == 0 && self.config.codec == Codec::Opus {
            skip = u64::from(opus_skip(&self.config.setup)) * u64::from(timescale) / u64::from(OPUS_RATE);
            length = length.map(|length| length.saturating_sub(skip));
        }
        Clock {
            timescale,
            skip,
            end: length.map(|length| skip.saturating_add(length)),
            origin: self.origin,
        }
    }

    /// Ticks the file has by its own account.
    pub fn duration(&self) -> Option<u64> {
        self.movie.duration
    }

    /// Length of the entry as a manifest announces it.
    pub fn announced(&self) -> Option<Duration> {
        self.more.as_ref().and_then(|more| more.segments.length())
    }

    /// Times are those of a manifest: samples stand where they say, not one behind the other.
    pub fn is_timed(&self) -> bool {
        self.more.is_some()
    }

    /// The bytes of the sample given last.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Ticks up to which the samples last; known when the last one was given and is shorter than those before it. What a
    /// decoder makes beyond it is padding.
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// The sample given last: its bytes, and the parts of which it is encrypted.
    pub fn given(&mut self) -> (&mut Vec<u8>, &[Subsample]) {
        (&mut self.data, &self.subsamples)
    }

    /// The description of the samples given now.
    pub fn movie(&self) -> &Movie {
        &self.movie
    }

    /// Keys that the current fragment alone tells of, and what their licences are asked for with; once a fragment.
    pub fn new_keys(&mut self) -> Option<(impl Iterator<Item = KeyId>, &[Box<[u8]>])> {
        let is_new = std::mem::take(&mut self.has_keys);
        self.fragment.news().filter(|_| is_new)
    }

    /// Goes to the next packet, encrypted as it is; `None` behind the last. Its bytes: [`Demuxer::data`].
    ///
    /// # Errors
    /// What follows is missing, damaged or not for this decoder.
    pub fn next(&mut self) -> Result<Option<Sample>, Mp4Error> {
        let place = match self.ahead.take() {
            Some(place) => place,
            None => match self.locate()? {
                Some(place) => place,
                None => return Ok(None),
            },
        };
        std::mem::swap(&mut self.subsamples, &mut self.located);
        if place.size == 0 {
            return Err(Mp4Error::Damaged(FourCc(*b"mdat")));
        }
        if place.size > SAMPLE_BYTES_MAX {
            return Err(Mp4Error::TooLarge {
                kind: FourCc(*b"mdat"),
                bytes: u64::from(place.size),
                max: u64::from(SAMPLE_BYTES_MAX),
            });
        }
        self.check(place.entry)?;
        self.data.resize(usize::try_from(place.size).unwrap_or(0), 0);
        self.bytes.read(place.offset, &mut self.data)?;
        let stretch = self.stretch;
        let is_first = std::mem::replace(&mut self.given, stretch) != stretch;
        // Zero is "not known". Trouble ahead is met again, in its turn. The first sample of a stretch does not look ahead,
        // so that what is told of the stretch is still at hand.
        if !is_first && (1..self.longest).contains(&place.duration) {
            let origin = self.origin;
            if let Ok(ahead) = self.locate() {
                self.ahead = ahead;
                let end = place.at.saturating_add(u64::from(place.duration));
                self.end = (ahead.is_none() || self.origin != origin).then_some(end);
            }
        }
        Ok(Some(Sample {
            at: place.at,
            duration: place.duration,
            stretch,
            cipher: place.cipher,
        }))
    }

    /// Goes to the sample that sounds at `tick`. False: the music ends before.
    ///
    /// # Errors
    /// The way there is missing or damaged.
    pub fn seek(&mut self, tick: u64) -> Result<bool, Mp4Error> {
        self.rewind();
        loop {
            self.ahead = self.locate()?;
            match self.ahead {
                Some(place) if place.at.saturating_add(u64::from(place.duration)) <= tick => {}
                Some(_) => return Ok(true),
                None => return Ok(false),
            }
        }
    }

    /// Goes to the sample that sounds at `frame` of the entry, counted at `rate`, and to the segment it is in. False: the
    /// music ends before.
    ///
    /// # Errors
    /// The way there is missing or damaged, or not wanted any more.
    pub fn seek_segment(&mut self, frame: i64, rate: u32) -> Result<bool, Mp4Error> {
        self.rewind();
        let Some(more) = &mut self.more else { return Ok(false) };
        let frame = frame.max(0);
        let nanos = i128::from(frame) * 1_000_000_000 / i128::from(rate.max(1));
        let at = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let segment = if more.segments.seek(at)? {
            more.segments.next()?
        } else {
            None
        };
        let Some(segment) = segment else { return Ok(false) };
        more.is_used = true;
        self.enter(segment)?;
        loop {
            self.ahead = self.locate()?;
            let Some(place) = self.ahead else { return Ok(false) };
            let after = place.at.saturating_add(u64::from(place.duration));
            if self.clock().position(after, rate) > frame {
                return Ok(true);
            }
        }
    }

    fn rewind(&mut self) {
        self.cursor = Cursor::default();
        self.auxiliary = AuxiliaryCursor::default();
        self.fragment = Fragment::default();
        self.next_box = self.movie.end;
        self.ahead = None;
        self.walked = 0;
        self.end = None;
    }

    /// The samples of this entry are for the decoder that is being fed, as they are. A file whose beginning is not encrypted
    /// has two entries of the same codec.
    fn check(&self, entry: u32) -> Result<(), Mp4Error> {
        let number = usize::try_from(entry).ok().and_then(|number| number.checked_sub(1));
        match number.and_then(|number| self.movie.entries.get(number)) {
            Some(Ok(entry)) if entry.config == self.config => match &entry.protection {
                Ok(_) => Ok(()),
                Err(refusal) => Err(refusal.clone().into()),
            },
            Some(Ok(_)) => Err(Mp4Error::Changes),
            Some(Err(refusal)) => Err(refusal.clone().into()),
            None => Err(Mp4Error::Damaged(FourCc(*b"stsd"))),
        }
    }

    /// Where the next sample is: first those the movie lists, then those of the fragments.
    fn locate(&mut self) -> Result<Option<Place>, Mp4Error> {
        let place = loop {
            // What a segment's description may list itself lies nowhere.
            let listed = match self.more {
                Some(_) => None,
                None => self.locate_in_movie()?,
            };
            let place = match listed {
                Some(place) => Some(place),
                None => self.locate_in_fragments()?,
            };
            if place.is_some() || !self.go_on()? {
                break place;
            }
        };
        if let Some(place) = place {
            self.walked += 1;
            if let Some(more) = &mut self.more {
                more.is_used = true;
            }
            if self.walked > SAMPLES_MAX {
                return Err(Mp4Error::Damaged(FourCc(*b"trun")));
            }
            self.longest = self.longest.max(place.duration);
        }
        Ok(place)
    }

    fn locate_in_movie(&mut self) -> Result<Option<Place>, Mp4Error> {
        let movie = &self.movie;
        let Some(mut place) = self.cursor.next(&movie.index)? else {
            return Ok(None);
        };
        if movie.is_protected() {
            let (protected, told) = (movie.protected(place.entry), &movie.auxiliary);
            let (cursor, subsamples) = (&mut self.auxiliary, &mut self.located);
            place.cipher = told.next(cursor, protected, told.own(), place.size, subsamples)?;
        }
        Ok(Some(place))
    }

    fn locate_in_fragments(&mut self) -> Result<Option<Place>, Mp4Error> {
        let defaults = match (self.movie.defaults, &self.more) {
            (Some(defaults), _) => defaults,
            (None, Some(_)) => Defaults::default(),
            (None, None) => return Ok(None),
        };
        for _ in 0..BETWEEN_MAX {
            if let Some(place) = self.fragment.next(&self.movie, &mut self.located)? {
                return Ok(Some(place));
            }
            let Some(header) = self.bytes.header(self.next_box, u64::MAX)? else {
                return Ok(None);
            };
            if header.kind.0 == *b"moof" {
                let body = self.bytes.body(&header, FRAGMENT_BYTES_MAX)?;
                let at = self.fragment.at();
                self.fragment = Fragment::read(&header, &body, &self.movie, defaults, at, &mut self.bytes)?;
                self.has_keys = true;
            }
            self.next_box = header.end;
        }
        Err(Mp4Error::Damaged(FourCc(*b"moof")))
    }

    /// Goes on to the next segment. False: there is none.
    fn go_on(&mut self) -> Result<bool, Mp4Error> {
        let Some(more) = &mut self.more else { return Ok(false) };
        if !more.is_used {
            return Err(Mp4Error::Truncated);
        }
        let Some(segment) = more.segments.next()? else {
            return Ok(false);
        };
        more.is_used = false;
        self.enter(segment)?;
        Ok(true)
    }

    /// Begins a segment, and a stretch where it is of another representation than the one before.
    fn enter(&mut self, segment: Segment) -> Result<(), Mp4Error> {
        let is_other = self
            .more
            .as_ref()
            .is_some_and(|more| more.representation != segment.representation);
        if is_other {
            let mut description = Bytes::new(Box::new(Slice::new(Arc::clone(&segment.description))))?;
            (self.movie, self.config) = describe(&mut description)?;
            self.movie.complete(&segment.pssh);
        }
        let origin = Origin::of(&segment);
        if is_other || origin != self.origin {
            self.stretch = self.stretch.wrapping_add(1);
            self.origin = origin;
            self.longest = 0;
        }
        if let Some(more) = &mut self.more {
            more.representation = segment.representation;
        }
        self.turn_to(segment)
    }

    /// A segment that does not tell its time begins where the manifest says.
    fn turn_to(&mut self, segment: Segment) -> Result<(), Mp4Error> {
        let millis = i64::try_from(segment.begin.as_millis()).unwrap_or(i64::MAX);
        self.fragment = Fragment::from(self.clock().tick(millis, 1000));
        self.bytes = Bytes::new(segment.media)?;
        self.next_box = 0;
        Ok(())
    }
}

/// Reads a description.
fn describe(bytes: &mut Bytes) -> Result<(Movie, Config), Mp4Error> {
    let movie = Movie::read(bytes)?;
    let config = movie.entries.first().cloned().ok_or(Mp4Error::NoSound)??.config;
    Ok((movie, config))
}

/// Frames before the music that an `OpusHead` tells.
fn opus_skip(head: &[u8]) -> u16 {
    match head.get(10..12) {
        Some([low, high]) => u16::from_le_bytes([*low, *high]),
        Some(_) | None => 0,
    }
}
