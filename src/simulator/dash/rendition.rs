//! The renditions of a track: which there are, and the segments of one, made as far as somebody asked for them.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::PackError;
use super::boxes::{Codec, Description, Part, Sample, small};
use super::maker::{self, Flac, Maker, OPUS_PACKET, OPUS_RATE, Opus};
use super::resample::Resampler;
use super::source::{About, Sort, Source};
use crate::simulator::catalogue::Track;

/// Seconds of a segment; it begins with the first sample at or after its multiple.
pub const SEGMENT_S: u64 = 6;
/// Seconds from the start of a track that are in the clear, in whole segments, if nobody says otherwise \[P\].
pub const LEAD_S: u32 = 30;
/// Bytes of one rendition: more than three hours of a compact disc.
const BYTES_MAX: usize = 1 << 30;
/// Bit rates of Opus.
const OPUS_RATES: [u32; 3] = [96_000, 192_000, 320_000];
/// A lossless rendition takes about this share of its samples' bits, in hundredths: what a manifest says before it is
/// packaged.
const FLAC_SHARE: u64 = 70;
/// Bit rate a manifest says of packets that are used as they are, where the file does not tell.
const LOSSY_RATE: u32 = 256_000;

/// How good a rendition is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Standard.
    #[default]
    Sd,
    /// Lossless, 16 bits, up to 48 kHz.
    Hd,
    /// Lossless, up to 24 bits and 192 kHz.
    Uhd,
}

impl Quality {
    /// In an address.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sd => "sd",
            Self::Hd => "hd",
            Self::Uhd => "uhd",
        }
    }

    /// From an address.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Sd, Self::Hd, Self::Uhd]
            .into_iter()
            .find(|quality| quality.name() == name)
    }
}

/// How a rendition is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Copy,
    Flac { rate: u32, bits: u8 },
    Opus { bits_per_s: u32 },
}

/// What is known of a rendition before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Name in addresses and in manifests.
    pub id: String,
    /// How good it is.
    pub quality: Quality,
    /// Bits a second, about.
    pub bandwidth: u32,
    /// What a decoder must know.
    pub description: Description,
    way: Way,
}

/// The renditions of a track, the smallest first.
pub fn ladder(track: &Track) -> Result<Vec<Plan>, PackError> {
    let source = Source::open(track)?;
    let about = source.about.clone();
    let frames = match about.frames {
        Some(frames) => frames,
        None => count(source)?.saturating_sub(about.skip),
    };
    let mut plans = Vec::new();
    match about.sort {
        Sort::Opus => plans.push(copied(Codec::Opus, Quality::Sd, &about, frames)),
        Sort::Aac => plans.push(copied(Codec::Aac, Quality::Sd, &about, frames)),
        Sort::Flac | Sort::Lossless | Sort::Lossy if about.channels <= 2 => {
            for bits_per_s in OPUS_RATES {
                plans.push(opus(bits_per_s, &about, frames)?);
            }
        }
        Sort::Flac | Sort::Lossless | Sort::Lossy => {}
    }
    let is_high = about.bits > 16 || about.rate > OPUS_RATE;
    match about.sort {
        Sort::Flac if !is_high => plans.push(copied(Codec::Flac, Quality::Hd, &about, frames)),
        Sort::Flac => {
            plans.extend(encoded(Quality::Hd, &about, frames));
            plans.push(copied(Codec::Flac, Quality::Uhd, &about, frames));
        }
        Sort::Lossless => {
            plans.extend(encoded(Quality::Hd, &about, frames));
            plans.extend(encoded(Quality::Uhd, &about, frames).filter(|_| is_high));
        }
        Sort::Opus | Sort::Aac | Sort::Lossy => {}
    }
    if plans.is_empty() {
        return Err(PackError::Unfit("in a form that none of the renditions has"));
    }
    Ok(plans)
}

/// Frames of a file, by reading all of it.
fn count(mut source: Source) -> Result<u64, PackError> {
    let mut sum = 0_u64;
    if source.about.sort == Sort::Opus {
        let mut padding = 0;
        while let Some((made, trimmed)) = maker::copied(&mut source)? {
            sum = sum.saturating_add(u64::from(made.ticks));
            padding = trimmed;
        }
        return Ok(sum.saturating_sub(padding));
    }
    let channels = u64::from(source.about.channels.max(1));
    while let Some(samples) = source.frames()? {
        sum = sum.saturating_add(samples.len() as u64 / channels);
    }
    Ok(sum)
}

fn copied(codec: Codec, quality: Quality, about: &About, frames: u64) -> Plan {
    let bandwidth = match codec {
        Codec::Flac => lossless_rate(about.rate, about.channels, about.bits),
        Codec::Opus | Codec::Aac => LOSSY_RATE,
    };
    let id = match codec {
        Codec::Flac => format!("flac-{}-{}", about.bits, about.rate),
        Codec::Opus => "opus".to_owned(),
        Codec::Aac => "aac".to_owned(),
    };
    Plan {
        id,
        quality,
        bandwidth,
        description: Description {
            codec,
            rate: about.rate,
            channels: about.channels,
            bits: about.bits,
            setup: about.setup.clone(),
            skip: about.skip,
            frames,
        },
        way: Way::Copy,
    }
}

/// FLAC made of what is not, or has more bits or frames than the quality has. Two channels at most.
fn encoded(quality: Quality, about: &About, frames: u64) -> Option<Plan> {
    let halved = if about.rate.is_multiple_of(44_100) {
        44_100
    } else {
        OPUS_RATE
    };
    let (rate, bits) = match quality {
        Quality::Sd => return None,
        Quality::Hd if about.rate > OPUS_RATE => (halved, 16),
        Quality::Hd => (about.rate, 16),
        Quality::Uhd => (about.rate, 24),
    };
    let frames = Resampler::length(frames, about.rate, rate);
    (about.channels <= 2).then(|| Plan {
        id: format!("flac-{bits}-{rate}"),
        quality,
        bandwidth: lossless_rate(rate, about.channels, bits),
        description: Description {
            codec: Codec::Flac,
            rate,
            channels: about.channels,
            bits,
            setup: maker::stream_info(rate, about.channels, bits, frames),
            skip: 0,
            frames,
        },
        way: Way::Flac { rate, bits },
    })
}

fn opus(bits_per_s: u32, about: &About, frames: u64) -> Result<Plan, PackError> {
    let (setup, skip) = maker::opus_head(about.channels, about.rate)?;
    Ok(Plan {
        id: format!("opus-{}", bits_per_s / 1000),
        quality: Quality::Sd,
        bandwidth: bits_per_s,
        description: Description {
            codec: Codec::Opus,
            rate: OPUS_RATE,
            channels: about.channels,
            bits: 16,
            setup,
            skip,
            frames: Resampler::length(frames, about.rate, OPUS_RATE),
        },
        way: Way::Opus { bits_per_s },
    })
}

fn lossless_rate(rate: u32, channels: u8, bits: u8) -> u32 {
    let all = u64::from(rate) * u64::from(channels) * u64::from(bits);
    u32::try_from(all * FLAC_SHARE / 100).unwrap_or(u32::MAX)
}

impl Plan {
    fn maker(&self, track: &Track) -> Result<Maker, PackError> {
        let source = Source::open(track)?;
        Ok(match self.way {
            Way::Copy => Maker::Copy(Box::new(source)),
            Way::Flac { rate, bits } => Maker::Flac(Box::new(Flac::new(source, rate, bits)?)),
            Way::Opus { bits_per_s } => Maker::Opus(Box::new(Opus::new(source, bits_per_s)?)),
        })
    }

    /// When each segment begins and how long it is, in frames of what is heard, where that is known before the samples
    /// are made: encoders' samples are all of one length. `None`: they must be made.
    pub fn segments(&self) -> Option<Vec<(u64, u64)>> {
        let step = match self.way {
            Way::Copy => self.block()?,
            Way::Flac { .. } => maker::FLAC_BLOCK as u64,
            Way::Opus { .. } => OPUS_PACKET as u64,
        };
        let of = &self.description;
        let end = of.skip.saturating_add(of.frames);
        let mut clock = Clock::new(of);
        let mut at = 0;
        let mut begins = Vec::new();
        while at < end {
            if clock.begins(at) {
                begins.push(at);
            }
            at = at.saturating_add(step);
        }
        Some(heard(&begins, of))
    }

    /// Frames of every block of a FLAC file but the last, where they are all of one length.
    fn block(&self) -> Option<u64> {
        let of = &self.description;
        let [a, b, c, d] = *of.setup.first_chunk::<4>()?;
        let block = u64::from(u16::from_be_bytes([a, b]));
        (of.codec == Codec::Flac && (a, b) == (c, d) && block > 0).then_some(block)
    }

    /// A segment that begins at this frame, those before the music counted, is part of a clear lead of so many seconds.
    pub fn is_lead(&self, begin: u64, lead_s: u32) -> bool {
        begin.saturating_sub(self.description.skip) < u64::from(lead_s) * u64::from(self.description.rate)
    }
}

/// Frames of segments as they are heard, from where they begin in the rendition.
fn heard(begins: &[u64], of: &Description) -> Vec<(u64, u64)> {
    let end = of.frames;
    let heard = |begin: &u64| begin.saturating_sub(of.skip).min(end);
    let nexts = begins.iter().skip(1).map(heard).chain([end]);
    begins
        .iter()
        .map(heard)
        .zip(nexts)
        .map(|(begin, next)| (begin, next.saturating_sub(begin)))
        .collect()
}

/// Tells where segments begin.
struct Clock {
    skip: u64,
    step: u64,
    next: u64,
}

impl Clock {
    fn new(of: &Description) -> Self {
        Self {
            skip: of.skip,
            step: SEGMENT_S * u64::from(of.rate),
            next: 0,
        }
    }

    /// A segment begins with the sample at this frame.
    fn begins(&mut self, at: u64) -> bool {
        let is_first = at == 0;
        if !is_first && at < self.next.saturating_add(self.skip) {
            return false;
        }
        self.next = self.next.saturating_add(self.step);
        true
    }
}

/// A rendition that is made piece by piece.
pub struct Rendition {
    /// What it is.
    pub plan: Plan,
    made: Mutex<Samples>,
    bytes: AtomicUsize,
}

struct Samples {
    maker: Option<Maker>,
    clock: Clock,
    made: Vec<(Sample, usize)>,
    data: Vec<u8>,
    /// First sample of each segment, and the frame it begins at.
    begins: Vec<(usize, u64)>,
    at: u64,
}

impl Rendition {
    /// Nothing of it is made yet.
    pub fn new(plan: Plan, track: &Track) -> Result<Self, PackError> {
        let maker = plan.maker(track)?;
        let clock = Clock::new(&plan.description);
        Ok(Self {
            plan,
            made: Mutex::new(Samples {
                maker: Some(maker),
                clock,
                made: Vec::new(),
                data: Vec::new(),
                begins: Vec::new(),
                at: 0,
            }),
            bytes: AtomicUsize::new(0),
        })
    }

    /// Bytes it takes now.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The segment of this number, from 0; `None` behind the last. Makes what is missing, which takes its time.
    pub fn segment(&self, number: usize) -> Result<Option<Part>, PackError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let done = made.up_to(number.saturating_add(1));
        self.bytes.store(made.data.len(), Ordering::Relaxed);
        done?;
        Ok(made.part(number))
    }

    /// When each segment begins and how long it is, in frames of what is heard.
    pub fn segments(&self) -> Result<Vec<(u64, u64)>, PackError> {
        if let Some(segments) = self.plan.segments() {
            return Ok(segments);
        }
        self.segment(usize::MAX)?;
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let begins: Vec<u64> = made.begins.iter().map(|(_, at)| *at).collect();
        Ok(heard(&begins, &self.plan.description))
    }
}

impl Samples {
    /// Until the segment of this number begins, or all is made.
    fn up_to(&mut self, number: usize) -> Result<(), PackError> {
        while self.begins.len() <= number {
            let Some(maker) = &mut self.maker else { return Ok(()) };
            let Some(made) = maker.next()? else {
                self.maker = None;
                return Ok(());
            };
            if self.clock.begins(self.at) {
                self.begins.push((self.made.len(), self.at));
            }
            let sample = Sample {
                bytes: small(made.data.len()),
                ticks: made.ticks,
            };
            self.made.push((sample, self.data.len()));
            self.data.extend(&made.data);
            self.at = self.at.saturating_add(u64::from(made.ticks));
            if self.data.len() > BYTES_MAX {
                return Err(PackError::Unfit("too long"));
            }
        }
        Ok(())
    }

    fn part(&self, number: usize) -> Option<Part> {
        let (first, begin) = *self.begins.get(number)?;
        let next = self.begins.get(number.saturating_add(1)).map(|(sample, _)| *sample);
        let samples = self.made.get(first..next.unwrap_or(self.made.len()))?;
        let from = samples.first().map(|(_, at)| *at)?;
        let to = next
            .and_then(|next| self.made.get(next))
            .map_or(self.data.len(), |(_, at)| *at);
        let bytes: Range<usize> = from..to;
        Some(Part {
            number: number as u64,
            first: first as u64,
            begin,
            samples: samples.iter().map(|(sample, _)| *sample).collect(),
            data: self.data.get(bytes)?.to_vec(),
        })
    }
}

#[cfg(test)]
#[path = "rendition_tests.rs"]
mod tests;
