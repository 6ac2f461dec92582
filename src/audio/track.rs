//! One entry, from its bytes to exactly the frames that are to be heard: stereo, from the wished position, without the
//! silence an encoder put around them. It must not know of plays, rings or devices.

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::packet::Packet;
use thiserror::Error;
use tonearm_core::unit::Millis;

use super::keys::Keys;
use super::opus::Opus;
use super::output::CHANNELS;
use super::packets::{Packets, PacketsError, Sought, Told};
use super::stereo::Stereo;
use super::stream::Stream;

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
    /// It gives no packets.
    #[error(transparent)]
    Packets(#[from] PacketsError),
    /// In a codec that is not known, or damaged.
    #[error("decode the entry: {0}")]
    Codec(#[source] Error),
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
    /// More frames: [`Track::frames`].
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

/// An entry being decoded.
pub struct Track {
    packets: Packets,
    decoder: Box<dyn AudioDecoder>,
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
    /// What is left to do before the first frame: the key of the first packet is awaited.
    opening: Option<Box<(Told, Millis)>>,
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

impl Track {
    /// Recognises the entry, goes to `from` and decodes the first packet. Blocks as long as `stream` does.
    ///
    /// # Errors
    /// There is nothing in it that could be heard.
    pub fn open(
        stream: Stream,
        hint: Option<&str>,
        keys: Option<Box<dyn Keys>>,
        from: Millis,
    ) -> Result<Self, TrackError> {
        let (packets, told) = Packets::open(stream, hint, keys, from)?;
        let decoder = decoder(&told.parameters).map_err(TrackError::Codec)?;
        let mut track = Self {
            packets,
            decoder,
            shape: Shape {
                rate: told.parameters.sample_rate.unwrap_or(0),
                bits: 0,
                offset: 0,
            },
            skip: 0,
            end: None,
            expected: None,
            cursor: None,
            from: 0,
            bad_packets: 0,
            stereo: Stereo::default(),
            decoded: Vec::new(),
            audible: 0..0,
            first: None,
            opening: Some(Box::new((told, from))),
        };
        track.is_ready()?;
        Ok(track)
    }

    /// The first packet was decoded, so that [`Track::shape`] is known. False: its key is on its way.
    ///
    /// # Errors
    /// As for [`Track::open`].
    pub fn is_ready(&mut self) -> Result<bool, TrackError> {
        let Some(opening) = self.opening.take() else {
            return Ok(true);
        };
        match self.begin(&opening.0, opening.1) {
            Err(TrackError::Packets(error)) if error.is_key_awaited() => {
                self.opening = Some(opening);
                Ok(false)
            }
            result => result.map(|()| true),
        }
    }

    /// A file without keys.
    #[cfg(test)]
    pub fn of_file(
        stream: Box<dyn symphonia::core::io::MediaSource>,
        hint: Option<&str>,
        from: Millis,
    ) -> Result<Self, TrackError> {
        Self::open(Stream::File(stream), hint, None, from)
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
            match self.packets.next() {
                Ok(Some(packet)) => match self.take(&packet) {
                    Taken::Frames => return Step::Frames,
                    Taken::Nothing => {}
                    Taken::Broken => return Step::Broken,
                },
                Ok(None) => return self.conclude(),
                // An error of the demuxer may repeat for ever: it ends the entry, unless all of it was heard already.
                Err(error) => {
                    if self.is_complete() {
                        log::debug!("behind the entry's end: {error}");
                        return Step::Finished;
                    }
                    if error.is_key_awaited() {
                        return Step::Awaiting;
                    }
                    if error.is_locked() {
                        log::info!("the entry ends here: {error}");
                        return Step::Locked;
                    }
                    log::info!("the entry breaks off: {error}");
                    return Step::Broken;
                }
            }
        }
    }

    fn begin(&mut self, told: &Told, from: Millis) -> Result<(), TrackError> {
        // The rate in a header may differ from what is decoded, so one packet is decoded before anything is counted.
        let first = self.probe_packet()?;
        let rate = self.shape.rate;
        let bits = told
            .parameters
            .bits_per_sample
            .or(told.parameters.bits_per_coded_sample);
        self.shape.bits = significant_bits(&self.decoder.last_decoded(), bits);
        self.skip = self.packets.frames(told.skip, rate);
        self.end = told.end.map(|end| self.packets.frames(end, rate));
        self.expected = told.expected.map(|expected| self.packets.frames(expected, rate));
        self.note_end();
        // Rounded up, so that the position told later is the one asked for.
        let offset = (u64::from(from.0) * u64::from(rate)).div_ceil(1000);
        self.shape.offset = offset;
        self.from = offset.saturating_add(self.skip);
        if self
            .expected
            .is_some_and(|expected| offset > 0 && self.from >= expected)
        {
            self.first = Some(Step::Finished);
        } else if self.from > PREROLL_FRAMES.saturating_add(self.decoded_frames()) {
            self.seek(self.from - PREROLL_FRAMES, first);
        } else if let Taken::Frames = self.trim(first) {
            self.first = Some(Step::Frames);
        }
        Ok(())
    }

    /// Decodes packets until one gives frames; says where the first of them stands.
    fn probe_packet(&mut self) -> Result<u64, TrackError> {
        loop {
            let packet = self.packets.next()?.ok_or(TrackError::NoSound)?;
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

    /// Goes to a packet at or before `frame`. Where that cannot be done, the way there is decoded, from what was decoded
    /// at `first` on.
    fn seek(&mut self, frame: u64, first: u64) {
        match self.packets.seek(self.packets.ticks(frame, self.shape.rate)) {
            Sought::There => {
                self.decoder.reset();
                self.cursor = None;
            }
            Sought::PastEnd => self.first = Some(Step::Finished),
            Sought::Broken => self.first = Some(Step::Broken),
            Sought::Nowhere => {
                self.trim(first);
            }
        }
    }

    /// The last packet may tell that a part of its frames is padding.
    fn note_end(&mut self) {
        if let Some(end) = self.packets.end(self.shape.rate) {
            self.end = Some(self.end.map_or(end, |before| before.min(end)));
        }
    }

    fn take(&mut self, packet: &Packet) -> Taken {
        self.note_end();
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
        self.packets.frames(u64::try_from(ticks).unwrap_or(0), self.shape.rate)
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

fn decoder(parameters: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, Error> {
    if parameters.codec == CODEC_ID_OPUS {
        return Ok(Box::new(Opus::new(parameters)?));
    }
    symphonia::default::get_codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default())
}

enum Taken {
    Frames,
    Nothing,
    Broken,
}

fn samples(frames: u64) -> usize {
    usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(CHANNELS)
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

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
