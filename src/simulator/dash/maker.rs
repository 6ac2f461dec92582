//! Where the samples of a rendition come from: packets of the file as they are, or an encoder. Each is asked for one
//! sample after the other, and makes no more than it is asked for.

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr as _, StreamInfo};
use flacenc::config;
use flacenc::error::{Verified, Verify as _};
use flacenc::source::{Fill as _, FrameBuf};
use opus_pure::{Application, MAX_PACKET_BYTES, OpusEncoder, OpusHead};

use super::PackError;
use super::resample::Resampler;
use super::source::Source;

/// Frames of a FLAC block: what encoders take for this.
pub const FLAC_BLOCK: usize = 4096;
/// Frames a second of every Opus stream that is made here.
pub const OPUS_RATE: u32 = 48_000;
/// Frames of an Opus packet: 20 ms.
pub const OPUS_PACKET: usize = 960;
/// What the encoder may spend: half, so that music is encoded far faster than it plays.
const OPUS_COMPLEXITY: i32 = 5;

/// A sample: bytes, and frames it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its bytes.
    pub data: Box<[u8]>,
    /// Frames it lasts.
    pub ticks: u32,
}

/// Makes the samples of a rendition in order.
pub enum Maker {
    /// As they are in the file.
    Copy(Box<Source>),
    /// Encoded as FLAC.
    Flac(Box<Flac>),
    /// Encoded as Opus.
    Opus(Box<Opus>),
}

impl Maker {
    /// The next sample; `None` behind the last.
    pub fn next(&mut self) -> Result<Option<Made>, PackError> {
        match self {
            Self::Copy(source) => copied(source).map(|made| made.map(|(made, _)| made)),
            Self::Flac(flac) => flac.next(),
            Self::Opus(opus) => opus.next(),
        }
    }
}

/// The next packet of a file as it is, and how many of its last frames are no music.
pub fn copied(source: &mut Source) -> Result<Option<(Made, u64)>, PackError> {
    let packet = source.packet()?;
    Ok(packet.map(|packet| {
        let padding = packet.trim_end.get();
        let made = Made {
            // What a player leaves out is in the edit list, not in the samples.
            ticks: ticks(packet.dur.get() + packet.trim_start.get() + padding),
            data: packet.data,
        };
        (made, padding)
    }))
}

fn ticks(frames: u64) -> u32 {
    u32::try_from(frames).unwrap_or(u32::MAX)
}

/// Samples of a file at another rate.
struct Feed {
    source: Source,
    resampler: Resampler,
    floats: Vec<f32>,
    waiting: Vec<f32>,
    is_over: bool,
}

impl Feed {
    fn new(source: Source, rate: u32) -> Result<Self, PackError> {
        let channels = usize::from(source.about.channels);
        let resampler = Resampler::new(source.about.rate, rate, channels)?;
        Ok(Self {
            source,
            resampler,
            floats: Vec::new(),
            waiting: Vec::new(),
            is_over: false,
        })
    }

    /// Until `samples` are there, or nothing follows.
    #[expect(
        clippy::cast_precision_loss,
        reason = "more than 24 bits are below what can be heard"
    )]
    fn fill(&mut self, samples: usize) -> Result<(), PackError> {
        while self.waiting.len() < samples && !self.is_over {
            let Some(frames) = self.source.frames()? else {
                self.is_over = true;
                return self.resampler.finish(&mut self.waiting);
            };
            self.floats.clear();
            let floats = frames.iter().map(|sample| *sample as f32 / 2_147_483_648.0);
            self.floats.extend(floats);
            self.resampler.push(&self.floats, &mut self.waiting)?;
        }
        Ok(())
    }
}

/// FLAC of a number of bits.
pub struct Flac {
    feed: FlacFeed,
    channels: usize,
    config: Verified<config::Encoder>,
    info: StreamInfo,
    number: usize,
}

/// Exact samples where the rate stays; else resampled ones.
enum FlacFeed {
    Exact {
        source: Box<Source>,
        waiting: Vec<i32>,
        is_over: bool,
        bits: u8,
    },
    Resampled(Box<Feed>, u8),
}

impl FlacFeed {
    /// The next `count` samples, fewer at the end.
    fn take(&mut self, count: usize) -> Result<Vec<i32>, PackError> {
        match self {
            Self::Exact {
                source,
                waiting,
                is_over,
                bits,
            } => {
                while waiting.len() < count && !*is_over {
                    match source.frames()? {
                        Some(frames) => waiting.extend(frames.iter().map(|sample| narrowed(*sample, *bits))),
                        None => *is_over = true,
                    }
                }
                Ok(waiting.drain(..count.min(waiting.len())).collect())
            }
            Self::Resampled(feed, bits) => {
                feed.fill(count)?;
                let count = count.min(feed.waiting.len());
                Ok(feed
                    .waiting
                    .drain(..count)
                    .map(|sample| from_float(sample, *bits))
                    .collect())
            }
        }
    }
}

/// The highest bits, rounded.
fn narrowed(sample: i32, bits: u8) -> i32 {
    let shift = 32 - u32::from(bits.clamp(1, 32));
    if shift == 0 {
        return sample;
    }
    let half = 1_i64 << (shift - 1);
    let most = (1_i64 << (31 - shift)) - 1;
    i32::try_from(((i64::from(sample) + half) >> shift).min(most)).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, reason = "in range after the clamp")]
fn from_float(sample: f32, bits: u8) -> i32 {
    let full = f64::from(1_u32 << (u32::from(bits.clamp(1, 32)) - 1));
    (f64::from(sample) * full).round().clamp(-full, full - 1.0) as i32
}

impl Flac {
    /// The source in `bits` bits and at `rate`. At its own rate and with no fewer bits than it has, exactly it.
    pub fn new(source: Source, rate: u32, bits: u8) -> Result<Self, PackError> {
        let channels = usize::from(source.about.channels);
        let wrong = |error: &dyn std::fmt::Display| PackError::Encode(error.to_string());
        let info = StreamInfo::new(rate as usize, channels, usize::from(bits)).map_err(|error| wrong(&error))?;
        let config = config::Encoder::default()
            .into_verified()
            .map_err(|(_, error)| wrong(&error))?;
        let feed = if source.about.rate == rate {
            FlacFeed::Exact {
                source: Box::new(source),
                waiting: Vec::new(),
                is_over: false,
                bits,
            }
        } else {
            FlacFeed::Resampled(Box::new(Feed::new(source, rate)?), bits)
        };
        Ok(Self {
            feed,
            channels,
            config,
            info,
            number: 0,
        })
    }

    fn next(&mut self) -> Result<Option<Made>, PackError> {
        let samples = self.feed.take(FLAC_BLOCK * self.channels)?;
        let frames = samples.len() / self.channels.max(1);
        if frames == 0 {
            return Ok(None);
        }
        let wrong = |error: &dyn std::fmt::Display| PackError::Encode(error.to_string());
        let mut block = FrameBuf::with_size(self.channels, FLAC_BLOCK).map_err(|error| wrong(&error))?;
        block.fill_interleaved(&samples).map_err(|error| wrong(&error))?;
        let frame = flacenc::encode_fixed_size_frame(&self.config, &block, self.number, &self.info)
            .map_err(|error| wrong(&error))?;
        self.number += 1;
        let mut sink = ByteSink::new();
        frame.write(&mut sink).map_err(|error| wrong(&error))?;
        Ok(Some(Made {
            data: sink.as_slice().into(),
            ticks: ticks(frames as u64),
        }))
    }
}

/// `STREAMINFO` of what [`Flac`] makes; sizes of frames and the checksum are not known.
pub fn stream_info(rate: u32, channels: u8, bits: u8, frames: u64) -> Vec<u8> {
    let block = u16::try_from(FLAC_BLOCK).unwrap_or(u16::MAX).to_be_bytes();
    let shape = u64::from(rate & 0xf_ffff) << 44
        | u64::from(channels.saturating_sub(1) & 7) << 41
        | u64::from(bits.saturating_sub(1) & 31) << 36
        | frames & 0xf_ffff_ffff;
    [block.as_slice(), &block, &[0; 6], &shape.to_be_bytes(), &[0; 16]].concat()
}

/// Opus of a bit rate.
pub struct Opus {
    encoder: OpusEncoder,
    feed: Feed,
    channels: usize,
    /// Frames of music given to the encoder.
    given: u64,
    /// Frames all packets have so far.
    packed: u64,
    skip: u64,
}

impl Opus {
    /// The source at `bits_per_s`.
    pub fn new(source: Source, bits_per_s: u32) -> Result<Self, PackError> {
        let channels = usize::from(source.about.channels);
        let encoder = encoder(channels, bits_per_s)?;
        let skip = u64::from(OpusHead::for_encoder(&encoder, OPUS_RATE).pre_skip);
        Ok(Self {
            encoder,
            feed: Feed::new(source, OPUS_RATE)?,
            channels,
            given: 0,
            packed: 0,
            skip,
        })
    }

    fn next(&mut self) -> Result<Option<Made>, PackError> {
        let wanted = OPUS_PACKET * self.channels;
        self.feed.fill(wanted)?;
        let count = wanted.min(self.feed.waiting.len());
        let mut block: Vec<f32> = self.feed.waiting.drain(..count).collect();
        self.given += (count / self.channels.max(1)) as u64;
        // Behind the music comes silence, until the encoder has given the last of it.
        if count < wanted && self.packed >= self.given + self.skip {
            return Ok(None);
        }
        block.resize(wanted, 0.0);
        let mut packet = vec![0; MAX_PACKET_BYTES];
        let encoded = self.encoder.encode(&block, OPUS_PACKET, &mut packet);
        let length = encoded.map_err(|error| PackError::Encode(error.to_string()))?;
        packet.truncate(length);
        let end = if count < wanted {
            self.given + self.skip
        } else {
            u64::MAX
        };
        let frames = (OPUS_PACKET as u64).min(end - self.packed);
        self.packed += frames;
        Ok(Some(Made {
            data: packet.into(),
            ticks: ticks(frames),
        }))
    }
}

fn encoder(channels: usize, bits_per_s: u32) -> Result<OpusEncoder, PackError> {
    let made = OpusEncoder::new(OPUS_RATE.cast_signed(), channels, Application::Audio);
    let mut encoder = made.map_err(|error| PackError::Encode(error.to_string()))?;
    encoder.bitrate_bps = bits_per_s.cast_signed();
    encoder.complexity = OPUS_COMPLEXITY;
    Ok(encoder)
}

/// The header of what [`Opus`] makes, as Ogg has it, and the frames before the music.
pub fn opus_head(channels: u8, rate: u32) -> Result<(Vec<u8>, u64), PackError> {
    let head = OpusHead::for_encoder(&encoder(usize::from(channels), 96_000)?, rate);
    let mut bytes = b"OpusHead\x01".to_vec();
    bytes.push(channels);
    bytes.extend(head.pre_skip.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend([0; 3]);
    Ok((bytes, u64::from(head.pre_skip)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_taken_away_by_rounding_and_the_loudest_sample_stays_in_range() {
        assert_eq!(narrowed(0x1234_7fff, 16), 0x1234);
        assert_eq!(narrowed(0x1234_8000, 16), 0x1235);
        assert_eq!(narrowed(i32::MAX, 16), 0x7fff);
        assert_eq!(narrowed(i32::MIN, 16), -0x8000);
        assert_eq!(narrowed(-1, 32), -1);
        assert_eq!(from_float(1.0, 16), 32_767);
        assert_eq!(from_float(-1.0, 24), -(1 << 23));
    }
}
