//! One entry, from its bytes to exactly the frames that are to be heard: stereo, from the wished position, without the
//! silence an encoder put around them. It must not know of plays, rings or devices.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::{Error, SeekErrorKind};
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_ADTS, FORMAT_ID_MP3};
use symphonia::core::formats::{FormatOptions, FormatReader, SeekMode, SeekTo, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{TimeBase, Timestamp};
use thiserror::Error;
use tonearm_core::unit::Millis;

use super::edit_list::{Audible, Layout, layout};
use super::output::CHANNELS;
use super::stereo::Stereo;

/// Packets in a row that may fail to decode before the rest is given up: more than any stretch of damage that is worth
/// waiting for (50 packets are over a second), few enough that garbage ends soon.
const BAD_PACKETS_MAX: u32 = 50;
/// Frames decoded and discarded before a position that was sought, so that codecs which look back (MP3's bit reservoir,
/// overlapping windows) give exactly the frames they give when playing through.
const PREROLL_FRAMES: u64 = 16_384;
/// An entry that ends this much earlier than announced is truncated; less is an encoder that counted carelessly.
const MISSING_FRAMES_MAX: u64 = 4_096;
/// Bits told for samples that were decoded to floating point: all of them.
const FLOAT_BITS: u8 = 32;

/// Why an entry cannot be decoded at all.
#[derive(Debug, Error)]
pub enum TrackError {
    /// The bytes cannot be read.
    #[error("read the entry: {0}")]
    Read(#[from] io::Error),
    /// Not a known container, or a damaged one.
    #[error("recognise the entry's format: {0}")]
    Format(#[source] Error),
    /// A container without sound, or in a codec that is not known.
    #[error("decode the entry: {0}")]
    Codec(#[source] Error),
    /// A container without a sound track that can be told apart (an encrypted one looks like this).
    #[error("find a sound track in the entry: none that can be decoded")]
    NoTrack,
    /// Nothing in it could be decoded.
    #[error("decode the entry: not one good packet")]
    NoSound,
}

/// What is next of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// More frames: [`Track::frames`].
    Frames,
    /// The entry is complete.
    Finished,
    /// The entry is damaged or truncated here.
    Broken,
}

/// An entry being decoded.
pub struct Track {
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    id: u32,
    time_base: Option<TimeBase>,
    shape: Shape,
    /// Decoded frames before the music, and where it ends, both as counted by the demuxer.
    skip: u64,
    end: Option<u64>,
    /// Where the entry should end at least; `None` where the file does not tell reliably.
    expected: Option<u64>,
    /// Number of the next decoded frame, as the demuxer counts. Unknown until the first packet after a seek.
    cursor: Option<u64>,
    /// Frames before this are not heard.
    from: u64,
    bad_packets: u32,
    stereo: Stereo,
    decoded: Vec<i32>,
    /// The part of `decoded` that is to be heard.
    audible: std::ops::Range<usize>,
    first: Option<Step>,
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

impl Track {
    /// Recognises the entry, goes to `from` and decodes the first packet. Blocks as long as `stream` does.
    ///
    /// # Errors
    /// There is nothing in it that could be heard.
    pub fn open(stream: Box<dyn MediaSource>, hint: Option<&str>, from: Millis) -> Result<Self, TrackError> {
        let (gate, audible) = Gate::examine(stream, from)?;
        let open = Arc::clone(&gate.open);
        let source = MediaSourceStream::new(Box::new(gate), symphonia::core::io::MediaSourceStreamOptions::default());
        let reader = symphonia::default::get_probe()
            .probe(
                &hint_of(hint),
                source,
                FormatOptions::default(),
                MetadataOptions::default(),
            )
            .map_err(TrackError::Format)?;
        open.store(true, Ordering::Release);

        let (id, time_base, frames, has_delay, parameters) = {
            let track = reader.default_track(TrackType::Audio).ok_or(TrackError::NoTrack)?;
            let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
            let parameters = parameters.ok_or(TrackError::NoTrack)?.clone();
            (
                track.id,
                track.time_base,
                track.num_frames,
                track.delay.is_some(),
                parameters,
            )
        };
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(&parameters, &AudioDecoderOptions::default())
            .map_err(TrackError::Codec)?;
        let format = reader.format_info().format;
        // Without a tag, the length of an MP3 is guessed from its bit rate; that of raw AAC always is.
        let is_guess = format == FORMAT_ID_ADTS || (format == FORMAT_ID_MP3 && !has_delay);
        let bits = parameters.bits_per_sample.or(parameters.bits_per_coded_sample);
        let mut track = Self {
            reader,
            decoder,
            id,
            time_base,
            shape: Shape {
                rate: parameters.sample_rate.unwrap_or(0),
                bits: 0,
                offset: 0,
            },
            skip: 0,
            end: None,
            expected: frames.filter(|_| !is_guess),
            cursor: None,
            from: 0,
            bad_packets: 0,
            stereo: Stereo::default(),
            decoded: Vec::new(),
            audible: 0..0,
            first: None,
        };
        track.begin(audible, from, bits)?;
        Ok(track)
    }

    /// What is fixed for the entry.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The frames of the last [`Step::Frames`], interleaved.
    #[must_use]
    pub fn frames(&self) -> &[i32] {
        self.decoded.get(self.audible.clone()).unwrap_or_default()
    }

    /// Decodes on to the next frames that are to be heard. Blocks as long as the entry's bytes do.
    pub fn step(&mut self) -> Step {
        if let Some(first) = self.first.take() {
            return first;
        }
        loop {
            if self.is_at_end() {
                return Step::Finished;
            }
            match self.reader.next_packet() {
                Ok(Some(packet)) => match self.take(&packet) {
                    Taken::Frames => return Step::Frames,
                    Taken::Nothing => {}
                    Taken::Broken => return Step::Broken,
                },
                Ok(None) => return self.conclude(),
                // An error of the demuxer may repeat for ever: it ends the entry, unless all of it was heard already.
                Err(error) => {
                    log::debug!("the entry's packets end: {error}");
                    return if self.is_complete() {
                        Step::Finished
                    } else {
                        Step::Broken
                    };
                }
            }
        }
    }

    fn begin(&mut self, audible: Option<Audible>, from: Millis, bits: Option<u32>) -> Result<(), TrackError> {
        // The rate in a header may differ from what is decoded, so one packet is decoded before anything is counted.
        let first = self.probe_packet()?;
        let rate = self.shape.rate;
        self.shape.bits = significant_bits(&self.decoder.last_decoded(), bits);
        if let Some(audible) = audible {
            let frames = |ticks: u64| rescale(ticks, rate, audible.timescale);
            self.skip = frames(audible.skip);
            self.end = audible.length.map(|length| self.skip.saturating_add(frames(length)));
            self.expected = self.end.or(self.expected);
        }
        // Rounded up, so that the position told later is the one asked for.
        let offset = (u64::from(from.0) * u64::from(rate)).div_ceil(1000);
        self.shape.offset = offset;
        self.from = offset.saturating_add(self.skip);
        if self
            .expected
            .is_some_and(|expected| offset > 0 && self.from >= expected)
        {
            self.first = Some(Step::Finished);
        } else if self.from > PREROLL_FRAMES.saturating_add(self.decoded_frames())
            && self.seek(self.from - PREROLL_FRAMES)
        {
            self.cursor = None;
        } else if let Taken::Frames = self.trim(first) {
            self.first = Some(Step::Frames);
        }
        Ok(())
    }

    /// Decodes packets until one gives frames; says where the first of them stands.
    fn probe_packet(&mut self) -> Result<u64, TrackError> {
        loop {
            let Some(packet) = self.reader.next_packet().map_err(TrackError::Format)? else {
                return Err(TrackError::NoSound);
            };
            if packet.track_id != self.id {
                continue;
            }
            match self.decoder.decode(&packet) {
                Ok(buffer) => {
                    self.shape.rate = buffer.spec().rate();
                    self.stereo.convert(&buffer, &mut self.decoded);
                }
                Err(Error::DecodeError(_)) if self.bad_packets < BAD_PACKETS_MAX => self.bad_packets += 1,
                Err(error) => return Err(TrackError::Codec(error)),
            }
            if self.shape.rate > 0 && !self.decoded.is_empty() {
                self.bad_packets = 0;
                return Ok(self.position(&packet));
            }
        }
    }

    /// Goes to a packet at or before `frame`. False: it stays where it is, and the way there is decoded.
    fn seek(&mut self, frame: u64) -> bool {
        let ticks = self.time_base.map_or(frame, |base| {
            let per_second = u128::from(base.denom.get());
            let ticks = u128::from(frame) * per_second / (u128::from(base.numer.get()) * u128::from(self.shape.rate));
            u64::try_from(ticks).unwrap_or(u64::MAX)
        });
        let ts = Timestamp::new(i64::try_from(ticks).unwrap_or(i64::MAX));
        match self
            .reader
            .seek(SeekMode::Accurate, SeekTo::Timestamp { ts, track_id: self.id })
        {
            Ok(_) => {
                self.decoder.reset();
                true
            }
            Err(Error::SeekError(SeekErrorKind::OutOfRange)) => {
                self.first = Some(Step::Finished);
                true
            }
            Err(error) => {
                log::debug!("seek to frame {frame}: {error}; decoding up to it instead");
                false
            }
        }
    }

    fn take(&mut self, packet: &Packet) -> Taken {
        if packet.track_id != self.id {
            return Taken::Nothing;
        }
        match self.decoder.decode(packet) {
            Ok(buffer) if buffer.spec().rate() == self.shape.rate => {
                self.stereo.convert(&buffer, &mut self.decoded);
                self.bad_packets = 0;
            }
            Ok(buffer) => {
                log::debug!("the entry changes its rate to {}", buffer.spec().rate());
                return Taken::Broken;
            }
            Err(Error::DecodeError(reason)) => {
                self.bad_packets += 1;
                log::debug!("skip a packet that cannot be decoded: {reason}");
                return if self.bad_packets < BAD_PACKETS_MAX {
                    Taken::Nothing
                } else {
                    Taken::Broken
                };
            }
            Err(error) => {
                log::debug!("decoding ends: {error}");
                return Taken::Broken;
            }
        }
        if self.decoded.is_empty() {
            return Taken::Nothing;
        }
        let position = self.cursor.unwrap_or_else(|| self.position(packet));
        self.trim(position)
    }

    /// Keeps of the decoded frames, the first of which stands at `position`, those that are to be heard.
    fn trim(&mut self, position: u64) -> Taken {
        let frames = self.decoded_frames();
        let after = position.saturating_add(frames);
        self.cursor = Some(after);
        let start = self.from.saturating_sub(position).min(frames);
        let end = self.end.map_or(frames, |end| end.saturating_sub(position).min(frames));
        self.audible = samples(start)..samples(end);
        if start < end { Taken::Frames } else { Taken::Nothing }
    }

    /// Where the first frame decoded from `packet` stands; what the decoder trims from its front is not counted.
    fn position(&self, packet: &Packet) -> u64 {
        let ticks = packet
            .pts
            .get()
            .saturating_add(i64::try_from(packet.trim_start.get()).unwrap_or(i64::MAX));
        let ticks = u64::try_from(ticks).unwrap_or(0);
        self.time_base.map_or(ticks, |base| {
            let frames = u128::from(ticks) * u128::from(base.numer.get()) * u128::from(self.shape.rate);
            u64::try_from(frames / u128::from(base.denom.get())).unwrap_or(u64::MAX)
        })
    }

    fn decoded_frames(&self) -> u64 {
        (self.decoded.len() / CHANNELS) as u64
    }

    fn is_at_end(&self) -> bool {
        self.end
            .is_some_and(|end| self.cursor.is_some_and(|cursor| cursor >= end))
    }

    fn is_complete(&self) -> bool {
        self.expected
            .is_some_and(|expected| self.cursor.is_some_and(|cursor| cursor >= expected))
    }

    fn conclude(&self) -> Step {
        let missing = self
            .expected
            .map_or(0, |expected| expected.saturating_sub(self.cursor.unwrap_or(0)));
        if missing > MISSING_FRAMES_MAX {
            Step::Broken
        } else {
            Step::Finished
        }
    }
}

enum Taken {
    Frames,
    Nothing,
    Broken,
}

fn samples(frames: u64) -> usize {
    usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(CHANNELS)
}

fn rescale(ticks: u64, rate: u32, timescale: u32) -> u64 {
    let frames = u128::from(ticks) * u128::from(rate) / u128::from(timescale.max(1));
    u64::try_from(frames).unwrap_or(u64::MAX)
}

fn significant_bits(packet: &GenericAudioBufferRef<'_>, told: Option<u32>) -> u8 {
    let width = match packet {
        GenericAudioBufferRef::F32(_) | GenericAudioBufferRef::F64(_) => return FLOAT_BITS,
        GenericAudioBufferRef::U8(_) | GenericAudioBufferRef::S8(_) => 8,
        GenericAudioBufferRef::U16(_) | GenericAudioBufferRef::S16(_) => 16,
        GenericAudioBufferRef::U24(_) | GenericAudioBufferRef::S24(_) => 24,
        GenericAudioBufferRef::U32(_) | GenericAudioBufferRef::S32(_) => 32,
    };
    if packet.spec().channels().count() > CHANNELS {
        return FLOAT_BITS;
    }
    told.and_then(|bits| u8::try_from(bits).ok())
        .filter(|bits| (1..=width).contains(bits))
        .unwrap_or(width)
}

fn hint_of(hint: Option<&str>) -> Hint {
    let mut found = Hint::new();
    if let Some(hint) = hint {
        if hint.contains('/') {
            found.mime_type(hint);
        } else {
            found.with_extension(hint.trim_start_matches('.'));
        }
    }
    found
}

/// A stream that does not let the demuxers look at its far end while they recognise the format: an entry that is still
/// being loaded would keep the sound waiting for its last byte.
struct Gate {
    inner: Box<dyn MediaSource>,
    open: Arc<AtomicBool>,
    /// What is recognised may seek: this MP4 keeps its index at the end.
    is_seekable_early: bool,
    /// What is recognised may know its length: Ogg cannot seek later without.
    is_sized_early: bool,
}

impl Gate {
    fn examine(mut inner: Box<dyn MediaSource>, from: Millis) -> io::Result<(Self, Option<Audible>)> {
        let mut is_mp4 = false;
        let mut is_sought_ogg = false;
        let mut found = Layout::default();
        if inner.is_seekable() {
            let mut head = [0; 8];
            let is_read = inner.read_exact(&mut head).is_ok();
            is_mp4 = is_read && head.ends_with(b"ftyp");
            is_sought_ogg = is_read && head.starts_with(b"OggS") && from > Millis::ZERO;
            if is_mp4 {
                found = layout(&mut *inner)?;
            }
            inner.seek(SeekFrom::Start(0))?;
        }
        let has_length = inner.byte_len().is_some();
        let is_seekable_early = (is_mp4 && !found.is_index_first || is_sought_ogg) && has_length;
        let is_sized_early = is_sought_ogg && has_length;
        Ok((
            Self {
                inner,
                open: Arc::default(),
                is_seekable_early,
                is_sized_early,
            },
            found.audible,
        ))
    }
}

impl Read for Gate {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl Seek for Gate {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

impl MediaSource for Gate {
    fn is_seekable(&self) -> bool {
        (self.is_seekable_early || self.open.load(Ordering::Acquire)) && self.inner.is_seekable()
    }

    fn byte_len(&self) -> Option<u64> {
        if self.is_sized_early || self.open.load(Ordering::Acquire) {
            self.inner.byte_len()
        } else {
            None
        }
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
