//! A stretch of an entry in one representation: where its frames stand beside those before them, and what is done to them
//! so that they keep the rate and the bits that the entry began with. It must not decode.

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_OPUS};

use super::mp4::Origin;
use super::output::CHANNELS;
use super::pack::Dither;
use super::packets::Packets;
use super::resample::{ResampleError, Resampler};
use super::seam::{Begin, Seam, fade_in};

/// Bits told for samples that were decoded to floating point: all of them.
const FLOAT_BITS: u8 = 32;
/// A time differs from another one by less than this part of a second where it was rounded to milliseconds on its way.
const ROUNDING_PART: i64 = 500;
/// Periods join where the one before ends, up to this part of a second: rounded times, and a packet's padding that
/// nothing told of.
const PERIOD_PART: i64 = 20;
/// Longest silence put for what is missing: half a second. A manifest that leaves out more is lying.
const GAP_PART: i64 = 2;
/// Longest overlap decoded and left out, in seconds: a segment of another representation may begin long before the one
/// that it follows ends.
const OVERLAP_SECONDS: i64 = 30;

/// How a packet's frames stand to those before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// They begin where those end.
    Adjoins(i64),
    /// They begin before.
    Overlaps(i64),
    /// They begin later.
    Leaves {
        /// Where the gap begins.
        position: i64,
        /// Frames of it.
        missing: usize,
    },
}

/// How a stretch follows another one.
#[derive(Clone, Copy, Debug)]
struct Entrance {
    /// Frame of the entry, at the rate it began with, where the one before ended.
    out: Option<i64>,
    /// Its times are another period's.
    is_restart: bool,
}

/// What is known of the stretch that is being decoded.
pub struct Stretch {
    /// Its number.
    pub number: u32,
    /// Frames a second that its decoder gives.
    pub rate: u32,
    /// Added to what its packets say, so that it joins the one before.
    pub base: i64,
    /// Where its times begin.
    pub origin: Origin,
    parameters: AudioCodecParameters,
    /// How it follows the one before, until its first packet is decoded.
    entrance: Option<Entrance>,
    has_new_decoder: bool,
    resampler: Option<Resampler>,
    resampled: Vec<i32>,
    /// Frame of the entry where it ended, when its resampler is done.
    left: Option<i64>,
    /// Bits are to be reduced.
    is_wider: bool,
    dither: Dither,
    seam: Seam,
}

impl Stretch {
    /// The first one of an entry.
    pub fn new(parameters: AudioCodecParameters) -> Self {
        Self {
            number: 0,
            rate: 0,
            base: 0,
            origin: Origin::default(),
            parameters,
            entrance: None,
            has_new_decoder: false,
            resampler: None,
            resampled: Vec::new(),
            left: None,
            is_wider: false,
            dither: Dither::default(),
            seam: Seam::default(),
        }
    }

    /// Its first packet gave frames of `rate`.
    pub fn begun(&mut self, rate: u32, packets: &Packets) {
        self.rate = rate;
        self.number = packets.stretch();
        self.origin = packets.origin();
    }

    /// It is AAC.
    pub fn is_aac(&self) -> bool {
        self.parameters.codec == CODEC_ID_AAC
    }

    /// The decoder that is there can decode what these parameters describe, in one go with what it has decoded.
    pub fn goes_on_with(&self, parameters: &AudioCodecParameters) -> bool {
        let both = (
            self.parameters.extra_data.as_deref().unwrap_or_default(),
            parameters.extra_data.as_deref().unwrap_or_default(),
        );
        let is_same_setup = if parameters.codec == CODEC_ID_OPUS {
            // Channels and gain matter; the silence in front and the source's rate do not.
            let (old, new) = both;
            old.get(9) == new.get(9) && old.get(16..) == new.get(16..)
        } else if parameters.codec == CODEC_ID_FLAC {
            // Sizes and the checksum of the whole differ; rate, channels and bits matter. Frames stand by themselves.
            let (old, new) = both;
            old.get(..4) == new.get(..4) && old.get(10..14) == new.get(10..14)
        } else {
            both.0 == both.1
        };
        self.parameters.codec == parameters.codec && is_same_setup
    }

    /// A new decoder is used from now on.
    pub fn change(&mut self, parameters: AudioCodecParameters) {
        self.parameters = parameters;
        self.has_new_decoder = true;
    }

    /// The next stretch follows what ends at frame `out` of the entry.
    pub fn follow(&mut self, out: Option<i64>, is_restart: bool) {
        self.entrance = Some(Entrance { out, is_restart });
        if is_restart {
            self.base = 0;
        }
    }

    /// Frame of the entry, at the rate it began with, from which on it is heard, until its first packet is decoded by a
    /// decoder that it begins with.
    pub fn entrance(&self) -> Option<i64> {
        let entrance = self
            .entrance
            .filter(|entrance| self.has_new_decoder && !entrance.is_restart);
        entrance?.out
    }

    /// No packet of it has been decoded.
    pub fn is_new(&self) -> bool {
        self.entrance.is_some()
    }

    /// Its first packet gave frames of `rate`, in an entry of rate `kept`. Says where it begins, in its own frames.
    ///
    /// # Errors
    /// The rates do not go together.
    pub fn join(&mut self, rate: u32, kept: u32, packets: &Packets) -> Result<Option<i64>, ResampleError> {
        let Some(entrance) = self.entrance.take() else {
            return Ok(None);
        };
        self.left = None;
        // A period keeps its place whatever represents it.
        self.base = self.base * i64::from(rate) / i64::from(self.rate.max(1));
        self.rate = rate;
        self.number = packets.stretch();
        self.origin = packets.origin();
        let Some(out) = entrance.out else { return Ok(None) };
        let begin = if rate == kept {
            out
        } else {
            let begin = i128::from(out) * i128::from(rate) / i128::from(kept.max(1));
            i64::try_from(begin).unwrap_or(i64::MAX)
        };
        if entrance.is_restart {
            let told = packets.position(rate).max(packets.begin(rate));
            let off = begin.saturating_sub(told);
            if off.abs() <= i64::from(rate) / PERIOD_PART {
                self.base = off;
            }
        }
        if rate != kept {
            self.resampler = Some(Resampler::new(rate, kept, begin, out)?);
        }
        if std::mem::take(&mut self.has_new_decoder) && !entrance.is_restart {
            let is_exact = matches!(self.parameters.codec, CODEC_ID_FLAC | CODEC_ID_ALAC);
            // A decoder that looks back has had what it needs where its packets overlap what was heard.
            let is_warm = is_exact || begin.saturating_sub(packets.position(rate)) >= i64::from(rate) / GAP_PART / 4;
            self.seam.open(if is_warm { Begin::Warm } else { Begin::Cold });
        }
        Ok(Some(begin))
    }

    /// Its samples have `bits`; those of the entry have `kept`.
    pub fn fit(&mut self, bits: u8, kept: u8) {
        self.is_wider = (bits > kept || self.resampler.is_some()) && kept < FLOAT_BITS;
    }

    /// Frame of the entry, at the rate it began with, behind what ends at frame `cursor` of the stretch.
    pub fn out(&self, cursor: i64) -> i64 {
        let resampled = self.resampler.as_ref().map(Resampler::end);
        resampled.or(self.left).unwrap_or(cursor)
    }

    /// Where frames stand that their packet puts at `told`, behind `cursor`. `None`: nowhere near.
    pub fn next_to(&self, cursor: Option<i64>, told: i64) -> Option<Joint> {
        let Some(cursor) = cursor else {
            return Some(Joint::Adjoins(told));
        };
        let rate = i64::from(self.rate);
        let off = told.checked_sub(cursor)?;
        if off.abs() <= rate / ROUNDING_PART && !self.seam.is_open() {
            return Some(Joint::Adjoins(cursor));
        }
        match off {
            0 => Some(Joint::Adjoins(cursor)),
            1.. if off <= rate / GAP_PART => Some(Joint::Leaves {
                position: cursor,
                missing: usize::try_from(off).unwrap_or(0),
            }),
            ..0 if off >= -rate * OVERLAP_SECONDS => Some(Joint::Overlaps(told)),
            _ => None,
        }
    }

    /// Puts silence for `missing` frames before `frames`.
    pub fn bridge(&mut self, frames: &mut Vec<i32>, missing: usize) {
        fade_in(frames);
        frames.splice(..0, std::iter::repeat_n(0, missing * CHANNELS));
        self.seam.open(Begin::Cold);
    }

    /// Brings frames, of which the first stands at `position`, to the entry's rate. Says where the first stands then;
    /// `None`: that fails.
    pub fn pass(&mut self, position: i64, frames: &mut Vec<i32>) -> Option<i64> {
        let Some(resampler) = &mut self.resampler else {
            return Some(position);
        };
        let first = resampler.next();
        self.resampled.clear();
        if let Err(error) = resampler.feed(frames, &mut self.resampled) {
            log::warn!("{error}");
            return None;
        }
        std::mem::swap(frames, &mut self.resampled);
        Some(first)
    }

    /// Gives what is held back at the end of the stretch, and where its first frame stands. `None`: nothing is.
    pub fn flush(&mut self, frames: &mut Vec<i32>) -> Option<i64> {
        let mut resampler = self.resampler.take()?;
        let first = resampler.next();
        if let Err(error) = resampler.finish(frames) {
            log::warn!("{error}");
        }
        self.left = Some(resampler.end());
        Some(first)
    }

    /// What is to be heard next, with its seam closed and of `bits`.
    pub fn finish(&mut self, frames: &mut [i32], bits: u8) {
        let bent = self.seam.pass(frames);
        let rounded = match (self.is_wider, bits < FLOAT_BITS) {
            (true, _) => frames,
            (false, true) => frames.get_mut(..bent).unwrap_or_default(),
            (false, false) => return,
        };
        for sample in rounded {
            *sample = self.dither.round(*sample, bits);
        }
    }

    /// Significant bits of what a decoder gave, from the top.
    pub fn bits(&self, packet: &GenericAudioBufferRef<'_>) -> u8 {
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
        let told = self
            .parameters
            .bits_per_sample
            .or(self.parameters.bits_per_coded_sample);
        told.and_then(|bits| u8::try_from(bits).ok())
            .filter(|bits| (1..=width).contains(bits))
            .unwrap_or(width)
    }
}
