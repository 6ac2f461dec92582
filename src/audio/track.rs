//! One entry, from its bytes to exactly the frames that are to be heard: stereo, from the wished position, without the
//! silence an encoder put around them. It must not know of plays, rings or devices.

use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use tonearm_core::unit::Millis;

use super::aac::{Evidence, HALF_RATE_MAX};
use super::keys::Keys;
use super::opus::Opus;
pub use super::outcome::{Shape, Step, TrackError};
use super::output::CHANNELS;
use super::packets::{Packets, Sought};
use super::stereo::Stereo;
use super::stream::Stream;
use super::stretch::{Joint, Stretch};

/// Packets in a row that may fail to decode before the rest is given up: more than any stretch of damage that is worth
/// waiting for (50 packets are over a second), few enough that garbage ends soon.
const BAD_PACKETS_MAX: u32 = 50;
/// Frames decoded and discarded before a position that was sought, so that codecs which look back (MP3's bit reservoir,
/// overlapping windows) give exactly the frames they give when playing through.
const PREROLL_FRAMES: i64 = 16_384;
/// An entry that ends this much earlier than announced is truncated; less is an encoder that counted carelessly.
const MISSING_FRAMES_MAX: i64 = 4_096;

/// An entry being decoded.
pub struct Track {
    packets: Packets,
    decoder: Box<dyn AudioDecoder>,
    shape: Shape,
    /// What comes from the decoder now; differs from the shape where the representation has changed.
    stretch: Stretch,
    /// Frame of the entry where the music ends, as far as it is known.
    end: Option<i64>,
    /// Where the entry should end at least; `None` where the file does not tell reliably.
    expected: Option<i64>,
    /// Frame of the entry that the decoder gives next, counted at the stretch's rate. Unknown until the first packet after
    /// a seek.
    cursor: Option<i64>,
    /// Frames before this are not heard.
    from: i64,
    bad_packets: u32,
    stereo: Stereo,
    decoded: Vec<i32>,
    /// The part of `decoded` that is to be heard.
    audible: std::ops::Range<usize>,
    first: Option<Step>,
    /// The packet at hand was not decoded.
    is_held: bool,
    /// The first packet is not decoded yet, its key is awaited: where to begin.
    opening: Option<Millis>,
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
        let packets = Packets::open(stream, hint, keys, from)?;
        let parameters = packets.parameters();
        let decoder = decoder(&parameters).map_err(TrackError::Codec)?;
        let mut track = Self {
            packets,
            decoder,
            shape: Shape {
                rate: parameters.sample_rate.unwrap_or(0),
                bits: 0,
                offset: 0,
            },
            stretch: Stretch::new(parameters),
            end: None,
            expected: None,
            cursor: None,
            from: 0,
            bad_packets: 0,
            stereo: Stereo::default(),
            decoded: Vec::new(),
            audible: 0..0,
            first: None,
            is_held: false,
            opening: Some(from),
        };
        track.is_ready()?;
        Ok(track)
    }

    /// The first packet was decoded, so that [`Track::shape`] is known. False: its key is on its way.
    ///
    /// # Errors
    /// As for [`Track::open`].
    pub fn is_ready(&mut self) -> Result<bool, TrackError> {
        let Some(from) = self.opening.take() else {
            return Ok(true);
        };
        match self.begin(from) {
            Err(TrackError::Packets(error)) if error.is_key_awaited() => {
                self.opening = Some(from);
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
            let next = if std::mem::take(&mut self.is_held) {
                Ok(true)
            } else {
                self.packets.next()
            };
            let end = match next {
                Ok(true) => match self.take() {
                    Taken::Frames => return Step::Frames,
                    Taken::Nothing => continue,
                    Taken::Broken => Step::Broken,
                },
                Ok(false) => self.conclude(),
                // An error of the demuxer may repeat for ever: it ends the entry, unless all of it was heard already.
                Err(error) if self.is_complete() => {
                    log::debug!("behind the entry's end: {error}");
                    Step::Finished
                }
                Err(error) if error.is_key_awaited() => return Step::Awaiting,
                Err(error) if error.is_locked() => {
                    log::info!("the entry ends here: {error}");
                    Step::Locked
                }
                Err(error) => {
                    log::info!("the entry breaks off: {error}");
                    Step::Broken
                }
            };
            if let Taken::Frames = self.flush() {
                self.first = Some(end);
                return Step::Frames;
            }
            return end;
        }
    }

    fn begin(&mut self, from: Millis) -> Result<(), TrackError> {
        // The rate in a header may differ from what is decoded, so one packet is decoded before anything is counted.
        let first = self.probe_packet()?;
        let rate = self.shape.rate;
        self.shape.bits = self.stretch.bits(&self.decoder.last_decoded());
        self.expected = self.packets.expected(rate);
        self.note_end();
        // Rounded up, so that the position told later is the one asked for.
        let offset = (u64::from(from.0) * u64::from(rate)).div_ceil(1000);
        self.shape.offset = offset;
        self.from = i64::try_from(offset).unwrap_or(i64::MAX);
        let is_far = self.from
            > PREROLL_FRAMES
                .saturating_add(first.max(0))
                .saturating_add(self.decoded_frames());
        if self
            .expected
            .is_some_and(|expected| offset > 0 && self.from >= expected)
        {
            self.first = Some(Step::Finished);
        } else if is_far && !self.packets.is_timed() {
            self.seek(self.from - PREROLL_FRAMES, first);
        } else if let Taken::Frames = self.trim(first) {
            self.first = Some(Step::Frames);
        }
        Ok(())
    }

    /// Decodes packets until one gives frames; says where the first of them stands.
    fn probe_packet(&mut self) -> Result<i64, TrackError> {
        loop {
            if !self.packets.next()? {
                return Err(TrackError::NoSound);
            }
            match self.decoder.decode_ref(&self.packets.packet()) {
                Ok(buffer) => {
                    self.shape.rate = buffer.spec().rate();
                    self.stereo.convert(&buffer, &mut self.decoded);
                }
                Err(Error::DecodeError(_)) if self.bad_packets < BAD_PACKETS_MAX => self.bad_packets += 1,
                Err(error) => return Err(TrackError::Codec(error)),
            }
            if self.shape.rate > 0 && !self.decoded.is_empty() {
                self.bad_packets = 0;
                self.stretch.begun(self.shape.rate, &self.packets);
                let first = self.packets.position(self.shape.rate);
                if self.stretch.is_aac() && self.shape.rate <= HALF_RATE_MAX {
                    self.rule_out_replication()?;
                }
                return Ok(first);
            }
        }
    }

    /// Decodes on behind the first packet until it is clear that these are no halves of something else.
    fn rule_out_replication(&mut self) -> Result<(), TrackError> {
        let mut evidence = Evidence::default();
        evidence.add(self.packets.packet().data);
        let mut frames = Vec::new();
        // Trouble, and another stretch, are met again in their turn.
        while !evidence.is_enough() {
            match self.packets.next() {
                Ok(true) => {}
                // Of a beginning in the clear that is shorter than that.
                Err(error) if error.is_key_awaited() => break,
                next => {
                    next?;
                    break;
                }
            }
            let packet = self.packets.packet();
            evidence.add(packet.data);
            let Ok(buffer) = self.decoder.decode_ref(&packet) else {
                break;
            };
            self.stereo.convert(&buffer, &mut frames);
            self.decoded.extend_from_slice(&frames);
        }
        if evidence.is_replication() {
            return Err(TrackError::Replication);
        }
        Ok(())
    }

    /// Goes to a packet at or before `frame`. Where that cannot be done, the way there is decoded, from what was decoded
    /// at `first` on.
    fn seek(&mut self, frame: i64, first: i64) {
        match self.packets.seek(frame, self.shape.rate) {
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
        if let Some(end) = self.packets.end(self.stretch.rate) {
            let end = end.saturating_add(self.stretch.base);
            self.end = Some(self.end.map_or(end, |before| before.min(end)));
        }
    }

    /// Decodes the packet at hand.
    fn take(&mut self) -> Taken {
        if self.packets.stretch() != self.stretch.number {
            // What the resampler holds back comes first.
            if let Taken::Frames = self.flush() {
                self.is_held = true;
                return Taken::Frames;
            }
            if let Err(error) = self.enter() {
                log::info!("the entry goes on in a way that cannot be decoded: {error}");
                return Taken::Broken;
            }
        }
        if self.is_long_before() {
            return Taken::Nothing;
        }
        let rate = match self.decoder.decode_ref(&self.packets.packet()) {
            Ok(buffer) => {
                self.stereo.convert(&buffer, &mut self.decoded);
                self.bad_packets = 0;
                buffer.spec().rate()
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
        };
        if self.decoded.is_empty() {
            return Taken::Nothing;
        }
        if !self.packets.is_timed() && rate != self.shape.rate {
            log::debug!("the entry changes its rate to {rate}");
            return Taken::Broken;
        }
        if self.packets.is_timed() {
            return self.place(rate);
        }
        self.note_end();
        let position = self.cursor.unwrap_or_else(|| self.packets.position(rate));
        self.trim(position)
    }

    /// The packet at hand begins a stretch so long before what was heard already that no decoder looks back to it.
    fn is_long_before(&self) -> bool {
        let told = self.packets.position(self.shape.rate);
        let needed = self.stretch.entrance().map(|out| out.saturating_sub(PREROLL_FRAMES));
        needed.is_some_and(|needed| told < needed)
    }

    /// Another stretch begins: with the decoder that is there, or another one.
    fn enter(&mut self) -> Result<(), Error> {
        let parameters = self.packets.parameters();
        let is_restart = self.packets.origin() != self.stretch.origin;
        let out = self.cursor.map(|cursor| self.stretch.out(cursor));
        if !self.stretch.goes_on_with(&parameters) {
            self.decoder = decoder(&parameters)?;
            self.stretch.change(parameters);
        } else if is_restart {
            self.decoder.reset();
        }
        self.stretch.follow(out, is_restart);
        self.end = None;
        Ok(())
    }

    /// Puts decoded frames of rate `rate` where their packet says, next to those before them.
    fn place(&mut self, rate: u32) -> Taken {
        if self.stretch.is_new() {
            match self.stretch.join(rate, self.shape.rate, &self.packets) {
                Ok(cursor) => self.cursor = cursor.or(self.cursor),
                Err(error) => {
                    log::info!("the entry goes on at another rate: {error}");
                    return Taken::Broken;
                }
            }
            let bits = self.stretch.bits(&self.decoder.last_decoded());
            self.stretch.fit(bits, self.shape.bits);
        } else if rate != self.stretch.rate {
            log::debug!("the entry changes its rate to {rate}");
            return Taken::Broken;
        }
        self.note_end();
        let told = self.packets.position(rate).saturating_add(self.stretch.base);
        match self.stretch.next_to(self.cursor, told) {
            Some(Joint::Adjoins(position)) => self.trim(position),
            Some(Joint::Overlaps(position)) => {
                let floor = self.cursor.unwrap_or(position);
                let surplus = samples(u64::try_from(floor - position).unwrap_or(0)).min(self.decoded.len());
                self.decoded.drain(..surplus);
                if self.decoded.is_empty() {
                    return Taken::Nothing;
                }
                self.trim(floor)
            }
            Some(Joint::Leaves { position, missing }) => {
                log::info!("{missing} frames are missing in the entry; silence stands for them");
                self.stretch.bridge(&mut self.decoded, missing);
                self.trim(position)
            }
            None => {
                log::info!("the entry goes on at frame {told}, far from where it was");
                Taken::Broken
            }
        }
    }

    /// Keeps of the decoded frames, the first of which stands at `position`, those that are to be heard.
    fn trim(&mut self, position: i64) -> Taken {
        let frames = self.decoded_frames();
        let after = position.saturating_add(frames);
        let end = self.end.map_or(after, |end| end.clamp(position, after));
        self.cursor = Some(if self.packets.is_timed() { end } else { after });
        let kept = samples(u64::try_from(end.saturating_sub(position)).unwrap_or(0));
        self.decoded.truncate(kept);
        let Some(first) = self.stretch.pass(position, &mut self.decoded) else {
            return Taken::Broken;
        };
        self.show(first)
    }

    /// What is in `decoded`, from frame `first` on, is heard as far as it lies behind the wished start.
    fn show(&mut self, first: i64) -> Taken {
        let early = samples(u64::try_from(self.from.saturating_sub(first)).unwrap_or(0));
        self.audible = early.min(self.decoded.len())..self.decoded.len();
        let audible = self.decoded.get_mut(self.audible.clone()).unwrap_or_default();
        if self.packets.is_timed() {
            self.stretch.finish(audible, self.shape.bits);
        }
        if audible.is_empty() {
            Taken::Nothing
        } else {
            Taken::Frames
        }
    }

    /// Gives what a resampler holds back.
    fn flush(&mut self) -> Taken {
        self.decoded.clear();
        match self.stretch.flush(&mut self.decoded) {
            Some(first) => self.show(first),
            None => Taken::Nothing,
        }
    }

    fn decoded_frames(&self) -> i64 {
        i64::try_from(self.decoded.len() / CHANNELS).unwrap_or(i64::MAX)
    }

    /// Segments may go on with another period, whatever the one before says of its end.
    fn is_at_end(&self) -> bool {
        !self.packets.is_timed() && self.has_come_to(self.end)
    }

    fn is_complete(&self) -> bool {
        self.has_come_to(self.expected)
    }

    fn has_come_to(&self, frame: Option<i64>) -> bool {
        let out = self.cursor.map(|cursor| self.stretch.out(cursor));
        frame.zip(out).is_some_and(|(frame, out)| out >= frame)
    }

    fn conclude(&self) -> Step {
        let out = self.cursor.map_or(0, |cursor| self.stretch.out(cursor));
        let missing = self.expected.map_or(0, |expected| expected.saturating_sub(out));
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

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
