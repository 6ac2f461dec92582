//! The samples of an MP4 file, one after the other or from a time on. It reads bytes only as it needs them; it must not
//! decode.

use symphonia::core::io::MediaSource;

use super::Mp4Error;
use super::auxiliary::{AuxiliaryCursor, Cipher};
use super::boxes::{Bytes, FourCc};
use super::edit::Audible;
use super::entry::Config;
use super::fragment::{FRAGMENT_BYTES_MAX, Fragment};
use super::movie::Movie;
use super::samples::{Cursor, Place, SAMPLES_MAX};
use crate::keys::{KeyId, Subsample};

/// Largest packet: a block of lossless stereo has at most half of it.
const SAMPLE_BYTES_MAX: u32 = 1 << 20;
/// Boxes between two fragments: an index, an event, free space.
const BETWEEN_MAX: u32 = 256;

/// A packet.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Ticks of the track before it.
    pub at: u64,
    /// Ticks it lasts.
    pub duration: u32,
    /// How it is encrypted; `None`: not.
    pub cipher: Option<Cipher>,
    /// Its bytes.
    pub data: &'a [u8],
}

/// A file being read.
pub struct Demuxer {
    bytes: Bytes,
    movie: Movie,
    config: Config,
    cursor: Cursor,
    auxiliary: AuxiliaryCursor,
    fragment: Fragment,
    /// The current fragment tells of keys that nobody asked for yet.
    has_keys: bool,
    /// Stretches of the sample given last, and of the one located last.
    stretches: Vec<Subsample>,
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

impl Demuxer {
    /// Reads the description of the file, wherever in it that is.
    ///
    /// # Errors
    /// The file holds no sound that can be decoded.
    pub fn open(stream: Box<dyn MediaSource>) -> Result<Self, Mp4Error> {
        let mut bytes = Bytes::new(stream)?;
        let movie = Movie::read(&mut bytes)?;
        let config = movie.entries.first().cloned().ok_or(Mp4Error::NoSound)??.config;
        Ok(Self {
            next_box: movie.end,
            bytes,
            movie,
            config,
            cursor: Cursor::default(),
            auxiliary: AuxiliaryCursor::default(),
            fragment: Fragment::default(),
            has_keys: false,
            stretches: Vec::new(),
            located: Vec::new(),
            ahead: None,
            walked: 0,
            longest: 0,
            end: None,
            data: Vec::new(),
        })
    }

    /// What the decoder is told.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Ticks a second; not zero.
    pub fn timescale(&self) -> u32 {
        self.movie.timescale
    }

    /// The part to be heard, if the file says so.
    pub fn audible(&self) -> Option<Audible> {
        self.movie.audible
    }

    /// Ticks the file has by its own account.
    pub fn duration(&self) -> Option<u64> {
        self.movie.duration
    }

    /// Ticks up to which the samples last; known when the last one was given and is shorter than those before it. What a
    /// decoder makes beyond it is padding.
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// The sample given last: its bytes, and the stretches of which it is encrypted.
    pub fn given(&mut self) -> (&mut Vec<u8>, &[Subsample]) {
        (&mut self.data, &self.stretches)
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

    /// The next packet, encrypted as it is; `None` behind the last.
    ///
    /// # Errors
    /// What follows is missing, damaged or not for this decoder.
    pub fn next(&mut self) -> Result<Option<Sample<'_>>, Mp4Error> {
        let place = match self.ahead.take() {
            Some(place) => place,
            None => match self.locate()? {
                Some(place) => place,
                None => return Ok(None),
            },
        };
        std::mem::swap(&mut self.stretches, &mut self.located);
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
        // Zero is "not known". Trouble ahead is met again, in its turn.
        if (1..self.longest).contains(&place.duration)
            && let Ok(ahead) = self.locate()
        {
            self.ahead = ahead;
            let end = place.at.saturating_add(u64::from(place.duration));
            self.end = ahead.is_none().then_some(end);
        }
        Ok(Some(Sample {
            at: place.at,
            duration: place.duration,
            cipher: place.cipher,
            data: &self.data,
        }))
    }

    /// Goes to the sample that sounds at `tick`. False: the music ends before.
    ///
    /// # Errors
    /// The way there is missing or damaged.
    pub fn seek(&mut self, tick: u64) -> Result<bool, Mp4Error> {
        self.cursor = Cursor::default();
        self.auxiliary = AuxiliaryCursor::default();
        self.fragment = Fragment::default();
        self.next_box = self.movie.end;
        self.walked = 0;
        self.end = None;
        loop {
            self.ahead = self.locate()?;
            match self.ahead {
                Some(place) if place.at.saturating_add(u64::from(place.duration)) <= tick => {}
                Some(_) => return Ok(true),
                None => return Ok(false),
            }
        }
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
        let place = match self.locate_in_movie()? {
            Some(place) => Some(place),
            None => self.locate_in_fragments()?,
        };
        if let Some(place) = place {
            self.walked += 1;
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
            let (cursor, stretches) = (&mut self.auxiliary, &mut self.located);
            place.cipher = told.next(cursor, protected, told.own(), place.size, stretches)?;
        }
        Ok(Some(place))
    }

    fn locate_in_fragments(&mut self) -> Result<Option<Place>, Mp4Error> {
        let Some(defaults) = self.movie.defaults else {
            return Ok(None);
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
}
