//! A file of the catalogue as packets or as samples, read from the front. Knows no segments and no encoder.

use symphonia::core::audio::{Audio, GenericAudioBufferRef};
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_FLAC, CODEC_ID_MP3, CODEC_ID_OPUS, CODEC_ID_VORBIS,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::PackError;
use super::edit;
use crate::simulator::catalogue::Track;

/// A sample of one, in the 32-bit scale.
const FULL_SCALE: f64 = 2_147_483_648.0;

/// Sort of file, as far as packaging goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// FLAC: its packets are used as they are.
    Flac,
    /// Lossless, but not FLAC.
    Lossless,
    /// Opus: its packets are used as they are.
    Opus,
    /// AAC: its packets are used as they are.
    Aac,
    /// Lossy, and neither of these.
    Lossy,
}

/// What is known of a file before its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Sort of file.
    pub sort: Sort,
    /// Frames a second.
    pub rate: u32,
    /// Channels.
    pub channels: u8,
    /// Bits of a sample, of lossless files.
    pub bits: u8,
    /// The codec's own words.
    pub setup: Vec<u8>,
    /// Frames before the music, where packets are used as they are.
    pub skip: u64,
    /// Frames of music; `None`: they must be counted.
    pub frames: Option<u64>,
}

/// A file that is being read.
pub struct Source {
    reader: Box<dyn FormatReader>,
    track: u32,
    parameters: AudioCodecParameters,
    decoder: Option<Box<dyn AudioDecoder>>,
    /// What is known of it.
    pub about: About,
    floats: Vec<f64>,
    samples: Vec<i32>,
}

impl Source {
    /// Opens the file of a track.
    pub fn open(track: &Track) -> Result<Self, PackError> {
        let stream = MediaSourceStream::new(track.bytes.open()?, MediaSourceStreamOptions::default());
        let mut hint = Hint::new();
        hint.with_extension(track.format.extension());
        let probe = symphonia::default::get_probe();
        let reader = probe.probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())?;
        let found = reader
            .default_track(TrackType::Audio)
            .ok_or(PackError::Unfit("without sound"))?;
        let parameters = found.codec_params.as_ref().and_then(|parameters| parameters.audio());
        let parameters = parameters.ok_or(PackError::Unfit("without sound"))?.clone();
        let (number, frames, delay) = (found.id, found.num_frames, found.delay);
        let mut about = about(&parameters, frames, delay)?;
        if about.sort == Sort::Aac
            && let Some(edit) = edit::find(&mut track.bytes.open()?)?
        {
            let rest = frames.map(|frames| frames.saturating_sub(edit.skip));
            about.skip = edit.skip;
            about.frames = edit.frames.or(rest);
        }
        Ok(Self {
            reader,
            track: number,
            parameters,
            decoder: None,
            about,
            floats: Vec::new(),
            samples: Vec::new(),
        })
    }

    /// The next packet as it is in the file; `None` behind the last.
    pub fn packet(&mut self) -> Result<Option<Packet>, PackError> {
        loop {
            match self.reader.next_packet()? {
                Some(packet) if packet.track_id != self.track => {}
                packet => return Ok(packet),
            }
        }
    }

    /// The next frames, channel by channel in turn, the highest bit of a sample at the top of its 32; `None` behind the
    /// last. Damage is left out.
    pub fn frames(&mut self) -> Result<Option<&[i32]>, PackError> {
        let mut decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => symphonia::default::get_codecs()
                .make_audio_decoder(&self.parameters, &AudioDecoderOptions::default())?,
        };
        self.samples.clear();
        while let Some(packet) = self.packet()? {
            match decoder.decode(&packet) {
                Ok(buffer) => self.keep(&buffer),
                Err(Error::DecodeError(_)) => {}
                Err(error) => return Err(error.into()),
            }
            if !self.samples.is_empty() {
                break;
            }
        }
        self.decoder = Some(decoder);
        Ok(Some(self.samples.as_slice()).filter(|samples| !samples.is_empty()))
    }

    fn keep(&mut self, buffer: &GenericAudioBufferRef<'_>) {
        match buffer {
            GenericAudioBufferRef::F32(_) | GenericAudioBufferRef::F64(_) => {
                buffer.copy_to_vec_interleaved::<f64>(&mut self.floats);
                self.samples
                    .extend(self.floats.iter().map(|sample| from_float(*sample)));
            }
            GenericAudioBufferRef::S32(samples) => samples.copy_to_vec_interleaved::<i32>(&mut self.samples),
            GenericAudioBufferRef::U8(_)
            | GenericAudioBufferRef::U16(_)
            | GenericAudioBufferRef::U24(_)
            | GenericAudioBufferRef::U32(_)
            | GenericAudioBufferRef::S8(_)
            | GenericAudioBufferRef::S16(_)
            | GenericAudioBufferRef::S24(_) => buffer.copy_to_vec_interleaved::<i32>(&mut self.samples),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, which is what is wanted"
)]
fn from_float(sample: f64) -> i32 {
    (sample * FULL_SCALE).round_ties_even() as i32
}

fn sort(codec: AudioCodecId) -> Sort {
    match codec {
        CODEC_ID_FLAC => Sort::Flac,
        CODEC_ID_OPUS => Sort::Opus,
        CODEC_ID_AAC => Sort::Aac,
        CODEC_ID_VORBIS | CODEC_ID_MP3 => Sort::Lossy,
        _ => Sort::Lossless,
    }
}

fn about(parameters: &AudioCodecParameters, frames: Option<u64>, delay: Option<u32>) -> Result<About, PackError> {
    let sort = sort(parameters.codec);
    let channels = parameters
        .channels
        .as_ref()
        .map_or(2, symphonia::core::audio::Channels::count);
    let setup = parameters.extra_data.as_deref().unwrap_or_default().to_vec();
    let skip = match sort {
        // As the header has it, the lower byte first.
        Sort::Opus => setup.get(10..12).map_or(0, |skip| {
            skip.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        }),
        Sort::Flac | Sort::Lossless | Sort::Aac | Sort::Lossy => 0,
    };
    let told = match sort {
        Sort::Flac | Sort::Lossless | Sort::Aac => frames,
        // The count of an Ogg stream has the frames before the music in it; counting is surer.
        Sort::Opus | Sort::Lossy => None,
    };
    let rate = match sort {
        Sort::Opus => 48_000,
        Sort::Flac | Sort::Lossless | Sort::Aac | Sort::Lossy => parameters.sample_rate.unwrap_or_default(),
    };
    if rate == 0 || delay.is_some_and(|delay| delay > rate) {
        return Err(PackError::Unfit("without a sample rate"));
    }
    Ok(About {
        sort,
        rate,
        channels: u8::try_from(channels).unwrap_or(u8::MAX),
        bits: parameters
            .bits_per_sample
            .and_then(|bits| u8::try_from(bits).ok())
            .filter(|bits| (1..=32).contains(bits))
            .unwrap_or(16),
        setup,
        skip,
        frames: told.filter(|frames| *frames > 0),
    })
}
