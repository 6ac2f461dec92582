//! The packets of an entry, whatever container they come in: symphonia's demuxers, or this program's own for MP4. It tells
//! what is needed to decode them and to cut them to length; it must not decode.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration as StdDuration;

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_MP3, CODEC_ID_OPUS, CODEC_ID_VORBIS,
};
use symphonia::core::errors::{Error, SeekErrorKind};
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_ADTS, FORMAT_ID_MP3};
use symphonia::core::formats::{FormatOptions, FormatReader, SeekMode, SeekTo, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::{Packet, PacketRef};
use symphonia::core::units::{Duration, TimeBase, Timestamp};
use thiserror::Error;
use tonearm_core::unit::Millis;

use super::keys::Keys;
use super::mp4::{self, Clock, Codec, Config, Demuxer, Mp4Error, Origin, Unlocked};
use super::opus::Head;
use super::stream::Stream;

/// How much before the wished place segments are begun: what the decoders look back (see `track`), and no segment more than
/// needed.
const PREROLL: StdDuration = StdDuration::from_millis(372);

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

impl PacketsError {
    /// The next packet is encrypted and its key on its way: asking again goes on.
    pub fn is_key_awaited(&self) -> bool {
        matches!(self, Self::Mp4(Mp4Error::KeyAwaited(_)))
    }

    /// What follows is encrypted, and cannot be made clear.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Mp4(error) if error.is_locked())
    }
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
    Symphonia(Box<Foreign>),
    /// By the demuxer of this program.
    Mp4(Box<Own>),
}

/// A demuxer of symphonia.
pub struct Foreign {
    reader: Box<dyn FormatReader>,
    /// Number of the track.
    id: u32,
    parameters: AudioCodecParameters,
    /// Its clock; without one, ticks are frames.
    time_base: Option<TimeBase>,
    /// Ticks before the music, as far as neither demuxer nor decoder leaves them out.
    skip: u64,
    /// Ticks of the entry, where the file tells reliably. The demuxer trims the end itself.
    length: Option<u64>,
    packet: Option<Packet>,
}

/// The demuxer for MP4, and what it said last.
pub struct Own {
    demuxer: Unlocked,
    clock: Clock,
    stretch: u32,
    /// Ticks before the current packet, and of it.
    at: u64,
    duration: u32,
}

impl Packets {
    /// Recognises the container of `stream`. Blocks as long as `stream` does. Segments are begun at `from`, a little
    /// before it where a decoder needs that; files at their front.
    ///
    /// # Errors
    /// There is no sound in it that is known.
    pub fn open(
        stream: Stream,
        hint: Option<&str>,
        keys: Option<Box<dyn Keys>>,
        from: Millis,
    ) -> Result<Self, PacketsError> {
        let mut stream = match stream.known()? {
            Stream::File(stream) => stream,
            Stream::Segments(segments) => {
                let from = StdDuration::from_millis(u64::from(from.0)).saturating_sub(PREROLL);
                return Ok(Self::own(Unlocked::new(Demuxer::of_segments(segments, from)?, keys)));
            }
            Stream::Later(_) => return Err(PacketsError::NoTrack),
        };
        let mut head = [0; 8];
        if stream.is_seekable() {
            // What is too short to be a container is told by whoever looks for one.
            let is_whole = stream.read_exact(&mut head).is_ok();
            stream.seek(SeekFrom::Start(0))?;
            if is_whole && mp4::is_mp4(head) {
                return Ok(Self::own(Unlocked::new(Demuxer::open(stream)?, keys)));
            }
        }
        let is_sought_ogg = head.starts_with(b"OggS") && from > Millis::ZERO;
        let foreign = open_other(Gate::new(stream, is_sought_ogg), hint)?;
        Ok(Self::Symphonia(Box::new(foreign)))
    }

    fn own(demuxer: Unlocked) -> Self {
        Self::Mp4(Box::new(Own {
            clock: demuxer.clock(),
            demuxer,
            stretch: 0,
            at: 0,
            duration: 0,
        }))
    }

    /// Goes to the next packet; false behind the last.
    ///
    /// # Errors
    /// The rest cannot be read. It may be the same error for ever.
    pub fn next(&mut self) -> Result<bool, PacketsError> {
        match self {
            Self::Symphonia(foreign) => loop {
                match foreign.reader.next_packet()? {
                    Some(packet) if packet.track_id != foreign.id => {}
                    packet => {
                        foreign.packet = packet;
                        return Ok(foreign.packet.is_some());
                    }
                }
            },
            Self::Mp4(own) => {
                let Some(sample) = own.demuxer.next()? else {
                    return Ok(false);
                };
                (own.at, own.duration) = (sample.at, sample.duration);
                let stretch = sample.stretch;
                if std::mem::replace(&mut own.stretch, stretch) != stretch {
                    own.clock = own.demuxer.clock();
                }
                Ok(true)
            }
        }
    }

    /// The packet that [`Packets::next`] went to.
    pub fn packet(&self) -> PacketRef<'_> {
        match self {
            Self::Symphonia(foreign) => match &foreign.packet {
                Some(packet) => packet.as_packet_ref(),
                // Every decoder refuses one without bytes.
                None => PacketRef::new(0, Timestamp::new(0), Duration::ZERO, &[]),
            },
            Self::Mp4(own) => {
                let duration = Duration::new(u64::from(own.duration));
                PacketRef::new(0, timestamp(own.at), duration, own.demuxer.data())
            }
        }
    }

    /// Number of the stretch of one representation that the packet belongs to.
    pub fn stretch(&self) -> u32 {
        match self {
            Self::Symphonia(_) => 0,
            Self::Mp4(own) => own.stretch,
        }
    }

    /// What a decoder is made of. Of the packet's stretch, when it is the first of it.
    pub fn parameters(&self) -> AudioCodecParameters {
        match self {
            Self::Symphonia(foreign) => foreign.parameters.clone(),
            Self::Mp4(own) => parameters(own.demuxer.config()),
        }
    }

    /// Packets stand where they say, by a manifest; gaps and overlaps between them are real.
    pub fn is_timed(&self) -> bool {
        match self {
            Self::Symphonia(_) => false,
            Self::Mp4(own) => own.demuxer.is_timed(),
        }
    }

    /// Where the entry's time begins by the stretch's account, to tell stretches of different periods apart.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Symphonia(_) => Origin::default(),
            Self::Mp4(own) => own.clock.origin,
        }
    }

    /// Goes to a packet at or before `frame` of the entry, counted at `rate`.
    pub fn seek(&mut self, frame: i64, rate: u32) -> Sought {
        match self {
            Self::Symphonia(foreign) => foreign.seek(frame, rate),
            Self::Mp4(own) => {
                let found = if own.demuxer.is_timed() {
                    own.demuxer.seek_segment(frame, rate)
                } else {
                    own.demuxer.seek(own.clock.tick(frame, rate))
                };
                match found {
                    Ok(true) => Sought::There,
                    Ok(false) => Sought::PastEnd,
                    Err(error) => {
                        log::debug!("seek to {frame}: {error}");
                        Sought::Broken
                    }
                }
            }
        }
    }

    /// Frame of the entry, at `rate`, that the first one decoded from the packet is. Negative before the music. What the
    /// decoder trims from its front is not counted.
    pub fn position(&self, rate: u32) -> i64 {
        match self {
            Self::Symphonia(foreign) => {
                let Some(packet) = &foreign.packet else { return 0 };
                let trimmed = i64::try_from(packet.trim_start.get()).unwrap_or(i64::MAX);
                let at = packet.pts.get().saturating_add(trimmed);
                if at < 0 && foreign.parameters.codec == CODEC_ID_VORBIS {
                    // Cut out of a longer stream: the first page's count says where the music begins.
                    return -foreign.frames(at.unsigned_abs(), rate);
                }
                let ticks = u64::try_from(at).unwrap_or(0);
                foreign.frames(ticks, rate) - foreign.frames(foreign.skip, rate)
            }
            Self::Mp4(own) => own.clock.position(own.at, rate),
        }
    }

    /// Frame of the entry at `rate` where the music of the stretch begins, if it is given from its start.
    pub fn begin(&self, rate: u32) -> i64 {
        match self {
            Self::Symphonia(_) => 0,
            Self::Mp4(own) => own.clock.position(own.clock.skip, rate),
        }
    }

    /// Frame of the entry at `rate` up to which there is music, as far as that is known by now.
    pub fn end(&self, rate: u32) -> Option<i64> {
        match self {
            Self::Symphonia(_) => None,
            Self::Mp4(own) => {
                // A clock that is coarser than frames cannot tell by the packets.
                let by_packets = own.demuxer.end().filter(|_| own.clock.timescale >= rate);
                let end = [own.clock.end, by_packets].into_iter().flatten().min()?;
                Some(own.clock.position(end, rate))
            }
        }
    }

    /// Frame at `rate` where the entry should end at least; `None` where nothing tells it reliably.
    pub fn expected(&self, rate: u32) -> Option<i64> {
        match self {
            Self::Symphonia(foreign) => {
                let length = foreign.frames(foreign.length?, rate);
                Some(length - foreign.frames(foreign.skip, rate))
            }
            Self::Mp4(own) => {
                if let Some(length) = own.demuxer.announced() {
                    let frames = length.as_nanos() * u128::from(rate) / 1_000_000_000;
                    return i64::try_from(frames).ok();
                }
                let ticks = own.clock.end.or(own.demuxer.duration())?;
                Some(own.clock.position(ticks, rate))
            }
        }
    }
}

impl Foreign {
    fn seek(&mut self, frame: i64, rate: u32) -> Sought {
        let (numerator, denominator) = self.clock(rate);
        let frame = frame.saturating_add(self.frames(self.skip, rate));
        let tick = scale(
            u64::try_from(frame).unwrap_or(0),
            u128::from(denominator),
            u128::from(numerator) * u128::from(rate),
        );
        let to = SeekTo::Timestamp {
            ts: timestamp(tick),
            track_id: self.id,
        };
        match self.reader.seek(SeekMode::Accurate, to) {
            Ok(_) => Sought::There,
            Err(Error::SeekError(SeekErrorKind::OutOfRange)) => Sought::PastEnd,
            Err(error) => {
                log::debug!("seek to {tick}: {error}; decoding up to it instead");
                Sought::Nowhere
            }
        }
    }

    /// Frames at `rate` that `ticks` are.
    fn frames(&self, ticks: u64, rate: u32) -> i64 {
        let (numerator, denominator) = self.clock(rate);
        let frames = scale(ticks, u128::from(numerator) * u128::from(rate), u128::from(denominator));
        i64::try_from(frames).unwrap_or(i64::MAX / 4)
    }

    /// Seconds of a tick, as a fraction.
    fn clock(&self, rate: u32) -> (u32, u32) {
        let clock = self.time_base.map(|base| (base.numer.get(), base.denom.get()));
        clock.unwrap_or((1, rate.max(1)))
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

fn parameters(config: &Config) -> AudioCodecParameters {
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
    parameters
}

/// Frames before the music of an Opus stream.
fn opus_skip(parameters: &AudioCodecParameters) -> u64 {
    if parameters.codec != CODEC_ID_OPUS {
        return 0;
    }
    let head = Head::read(parameters.extra_data.as_deref().unwrap_or_default());
    head.map_or(0, |head| u64::from(head.skip))
}

fn open_other(gate: Gate, hint: Option<&str>) -> Result<Foreign, PacketsError> {
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
    let (id, time_base) = (track.id, track.time_base);
    // A tick is a frame in every container whose length symphonia tells.
    let length = track.num_frames.filter(|_| !is_guess);
    Ok(Foreign {
        skip: opus_skip(&parameters),
        parameters,
        length,
        id,
        time_base,
        reader,
        packet: None,
    })
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
