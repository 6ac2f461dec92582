//! The packets of an entry, whatever container they come in: symphonia's demuxers, or this program's own for MP4. It tells
//! what is needed to decode them and to cut them to length; it must not decode.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_MP3, CODEC_ID_OPUS,
};
use symphonia::core::errors::{Error, SeekErrorKind};
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_ADTS, FORMAT_ID_MP3};
use symphonia::core::formats::{FormatOptions, FormatReader, SeekMode, SeekTo, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase, Timestamp};
use thiserror::Error;
use tonearm_core::unit::Millis;

use super::keys::Keys;
use super::mp4::{self, Codec, Demuxer, Mp4Error};
use super::opus::{Head, RATE};
use super::stream::Stream;

/// Why there are no (more) packets.
#[derive(Debug, Error)]
pub enum PacketsError {
    /// The bytes cannot be read.
    #[error("read the entry: {0}")]
    Read(#[from] io::Error),
    /// Not a known container, or a damaged one.
    #[error("recognise the entry's format: {0}")]
    Format(#[from] Error),
    /// An MP4 file that cannot be played (on).
    #[error("read the entry as MP4: {0}")]
    Mp4(#[from] Mp4Error),
    /// A container without a sound track.
    #[error("find a sound track in the entry: there is none")]
    NoTrack,
}

/// What a container tells of its sound, in ticks of its clock.
pub struct Told {
    /// What a decoder is made of.
    pub parameters: AudioCodecParameters,
    /// Before the music, as far as neither demuxer nor decoder leaves it out.
    pub skip: u64,
    /// Behind the music.
    pub end: Option<u64>,
    /// Where the entry should end at least; `None` where the file does not tell reliably. (A tick is a frame in every
    /// container whose length symphonia tells.)
    pub expected: Option<u64>,
}

/// Where a search led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// To a packet at or before the wished place.
    There,
    /// Beyond the end.
    PastEnd,
    /// Nowhere: the next packet is the one that it was.
    Nowhere,
    /// To a part that is missing or damaged.
    Broken,
}

/// The packets of one sound track, in order.
pub enum Packets {
    /// By a demuxer of symphonia.
    Symphonia {
        /// It.
        reader: Box<dyn FormatReader>,
        /// Number of the track.
        id: u32,
        /// Its clock.
        time_base: Option<TimeBase>,
    },
    /// By the demuxer of this program.
    Mp4(Box<Demuxer>),
}

impl Packets {
    /// Recognises the container of `stream`. Blocks as long as `stream` does.
    ///
    /// # Errors
    /// There is no sound in it that is known.
    pub fn open(
        stream: Stream,
        hint: Option<&str>,
        _keys: Option<Box<dyn Keys>>,
        from: Millis,
    ) -> Result<(Self, Told), PacketsError> {
        let mut stream = match stream.known()? {
            Stream::File(stream) => stream,
            Stream::Segments(_) | Stream::Later(_) => return Err(PacketsError::NoTrack),
        };
        let mut head = [0; 8];
        if stream.is_seekable() {
            // What is too short to be a container is told by whoever looks for one.
            let is_whole = stream.read_exact(&mut head).is_ok();
            stream.seek(SeekFrom::Start(0))?;
            if is_whole && mp4::is_mp4(head) {
                return Ok(open_mp4(Demuxer::open(stream)?));
            }
        }
        let is_sought_ogg = head.starts_with(b"OggS") && from > Millis::ZERO;
        open_other(Gate::new(stream, is_sought_ogg), hint)
    }

    /// The next packet; `None` behind the last.
    ///
    /// # Errors
    /// The rest cannot be read. It may be the same error for ever.
    pub fn next(&mut self) -> Result<Option<Packet>, PacketsError> {
        match self {
            Self::Symphonia { reader, id, .. } => loop {
                match reader.next_packet()? {
                    Some(packet) if packet.track_id != *id => {}
                    packet => return Ok(packet),
                }
            },
            Self::Mp4(demuxer) => {
                let sample = demuxer.next()?;
                Ok(sample.map(|sample| {
                    let duration = Duration::new(u64::from(sample.duration));
                    Packet::new(0, timestamp(sample.at), duration, sample.data)
                }))
            }
        }
    }

    /// Goes to a packet at or before `tick`.
    pub fn seek(&mut self, tick: u64) -> Sought {
        match self {
            Self::Symphonia { reader, id, .. } => {
                let to = SeekTo::Timestamp {
                    ts: timestamp(tick),
                    track_id: *id,
                };
                match reader.seek(SeekMode::Accurate, to) {
                    Ok(_) => Sought::There,
                    Err(Error::SeekError(SeekErrorKind::OutOfRange)) => Sought::PastEnd,
                    Err(error) => {
                        log::debug!("seek to {tick}: {error}; decoding up to it instead");
                        Sought::Nowhere
                    }
                }
            }
            Self::Mp4(demuxer) => match demuxer.seek(tick) {
                Ok(true) => Sought::There,
                Ok(false) => Sought::PastEnd,
                Err(error) => {
                    log::debug!("seek to {tick}: {error}");
                    Sought::Broken
                }
            },
        }
    }

    /// Frames at `rate` that `ticks` are.
    pub fn frames(&self, ticks: u64, rate: u32) -> u64 {
        let (numerator, denominator) = self.clock(rate);
        scale(ticks, u128::from(numerator) * u128::from(rate), u128::from(denominator))
    }

    /// Ticks that `frames` at `rate` are.
    pub fn ticks(&self, frames: u64, rate: u32) -> u64 {
        let (numerator, denominator) = self.clock(rate);
        scale(
            frames,
            u128::from(denominator),
            u128::from(numerator) * u128::from(rate),
        )
    }

    /// Frames up to which the packets given so far are music, once that is known from them.
    pub fn end(&self, rate: u32) -> Option<u64> {
        match self {
            Self::Symphonia { .. } => None,
            // A clock that is coarser than frames cannot tell.
            Self::Mp4(demuxer) if demuxer.timescale() < rate => None,
            Self::Mp4(demuxer) => demuxer.end().map(|end| self.frames(end, rate)),
        }
    }

    /// Seconds of a tick, as a fraction. Without a clock, ticks are frames.
    fn clock(&self, rate: u32) -> (u32, u32) {
        match self {
            Self::Symphonia { time_base, .. } => {
                time_base.map_or((1, rate.max(1)), |base| (base.numer.get(), base.denom.get()))
            }
            Self::Mp4(demuxer) => (1, demuxer.timescale()),
        }
    }
}

/// To the nearest: times in a file are rounded themselves.
fn scale(value: u64, by: u128, over: u128) -> u64 {
    let over = over.max(1);
    u64::try_from((u128::from(value) * by + over / 2) / over).unwrap_or(u64::MAX)
}

fn timestamp(tick: u64) -> Timestamp {
    Timestamp::new(i64::try_from(tick).unwrap_or(i64::MAX))
}

fn open_mp4(demuxer: Demuxer) -> (Packets, Told) {
    let config = demuxer.config();
    let mut parameters = AudioCodecParameters::new();
    parameters
        .for_codec(match config.codec {
            Codec::Aac => CODEC_ID_AAC,
            Codec::Mp3 => CODEC_ID_MP3,
            Codec::Alac => CODEC_ID_ALAC,
            Codec::Flac => CODEC_ID_FLAC,
            Codec::Opus => CODEC_ID_OPUS,
        })
        .with_extra_data(config.setup.clone());
    parameters.bits_per_sample = config.bits;
    let mut audible = demuxer.audible().unwrap_or_default();
    if audible.skip == 0 {
        // Where both the file and the codec's header tell it, they mean the same frames.
        let skip = scale(
            opus_skip(&parameters),
            u128::from(demuxer.timescale()),
            u128::from(RATE),
        );
        audible.skip = skip;
        audible.length = audible.length.map(|length| length.saturating_sub(skip));
    }
    let end = audible.length.map(|length| audible.skip.saturating_add(length));
    let told = Told {
        parameters,
        skip: audible.skip,
        end,
        expected: end.or(demuxer.duration()),
    };
    (Packets::Mp4(Box::new(demuxer)), told)
}

/// Frames before the music of an Opus stream.
fn opus_skip(parameters: &AudioCodecParameters) -> u64 {
    if parameters.codec != CODEC_ID_OPUS {
        return 0;
    }
    let head = Head::read(parameters.extra_data.as_deref().unwrap_or_default());
    head.map_or(0, |head| u64::from(head.skip))
}

fn open_other(gate: Gate, hint: Option<&str>) -> Result<(Packets, Told), PacketsError> {
    let open = Arc::clone(&gate.open);
    let source = MediaSourceStream::new(Box::new(gate), MediaSourceStreamOptions::default());
    let reader = symphonia::default::get_probe().probe(
        &hint_of(hint),
        source,
        FormatOptions::default(),
        MetadataOptions::default(),
    )?;
    open.store(true, Ordering::Release);
    let track = reader.default_track(TrackType::Audio).ok_or(PacketsError::NoTrack)?;
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let parameters = parameters.ok_or(PacketsError::NoTrack)?.clone();
    let format = reader.format_info().format;
    // Without a tag, the length of an MP3 is guessed from its bit rate; that of raw AAC always is.
    let is_guess = format == FORMAT_ID_ADTS || (format == FORMAT_ID_MP3 && track.delay.is_none());
    let told = Told {
        // The demuxer trims the end, and counts from the first packet.
        skip: opus_skip(&parameters),
        parameters,
        end: None,
        expected: track.num_frames.filter(|_| !is_guess),
    };
    let (id, time_base) = (track.id, track.time_base);
    Ok((Packets::Symphonia { reader, id, time_base }, told))
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
    /// What is recognised may seek, and know its length: Ogg cannot seek later without.
    is_open_early: bool,
}

impl Gate {
    fn new(inner: Box<dyn MediaSource>, is_sought_ogg: bool) -> Self {
        let is_open_early = is_sought_ogg && inner.byte_len().is_some();
        Self {
            inner,
            open: Arc::default(),
            is_open_early,
        }
    }

    fn is_open(&self) -> bool {
        self.is_open_early || self.open.load(Ordering::Acquire)
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
        self.is_open() && self.inner.is_seekable()
    }

    fn byte_len(&self) -> Option<u64> {
        if self.is_open() { self.inner.byte_len() } else { None }
    }
}
