//! A sample entry: which codec, and what its decoder must be told. It must not decode anything.

use thiserror::Error;

use super::boxes::{Fields, FourCc, children, find};
use super::protection::{self, Protected};
use crate::keys::{KeyId, Scheme};

/// Bytes of a sample entry before its boxes.
const ENTRY_BYTES: usize = 28;
/// Largest description a decoder is given: Apple's lossless codec has 48 bytes, AAC a handful.
const SETUP_BYTES_MAX: usize = 1024;

/// Why the samples of an entry cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A codec that nothing here decodes.
    #[error("no decoder for the codec {0}; another version of the entry is needed")]
    Codec(FourCc),
    /// A codec that can be decoded, used in a way that cannot.
    #[error("no decoder for {0}; another version of the entry is needed")]
    Profile(&'static str),
    /// Samples that only a key makes readable, and nobody who could have one.
    #[error("the samples are encrypted ({scheme:?}), and nobody has the key {:032x} for them", u128::from_be_bytes(*key))]
    Encrypted {
        /// How.
        scheme: Scheme,
        /// Number of the key.
        key: KeyId,
    },
    /// Samples encrypted in a way that nothing here undoes.
    #[error("the samples are encrypted by {0}, not by `cenc` or `cbcs`; another version of the entry is needed")]
    Scheme(FourCc),
    /// It contradicts itself.
    #[error("the sample entry {0} is damaged")]
    Damaged(FourCc),
}

/// A codec that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// MPEG-4 AAC, low complexity.
    Aac,
    /// MPEG layer III.
    Mp3,
    /// Apple's lossless codec.
    Alac,
    /// Free lossless audio codec.
    Flac,
    /// Opus.
    Opus,
}

/// What a decoder is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which one.
    pub codec: Codec,
    /// Bits of a sample, of lossless codecs.
    pub bits: Option<u32>,
    /// The codec's own description: `AudioSpecificConfig`, `STREAMINFO`, Apple's cookie, `OpusHead`.
    pub setup: Box<[u8]>,
}

/// A sample entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What a decoder is told.
    pub config: Config,
    /// How its samples are encrypted, if they are, or else why they cannot be made clear.
    pub protection: Result<Option<Protected>, Refusal>,
}

/// Reads the entry `kind` of an `stsd` of this version.
fn read(kind: FourCc, body: &[u8], stsd_version: u8) -> Result<Entry, Refusal> {
    if kind.0 != *b"enca" {
        let config = read_clear(kind, body, stsd_version)?;
        return Ok(Entry {
            config,
            protection: Ok(None),
        });
    }
    let boxes = boxes_of(body, stsd_version).ok_or(Refusal::Damaged(kind))?;
    let (codec, protection) = protection::read(boxes).ok_or(Refusal::Damaged(kind))?;
    let config = read_clear(codec, body, stsd_version)?;
    Ok(Entry { config, protection })
}

fn read_clear(kind: FourCc, body: &[u8], stsd_version: u8) -> Result<Config, Refusal> {
    let damaged = Refusal::Damaged(kind);
    let Some(boxes) = boxes_of(body, stsd_version) else {
        return Err(damaged);
    };
    // `QuickTime` puts the description one box deeper.
    let description = |name| find(boxes, &[name]).or_else(|| find(boxes, &[b"wave", name]));
    let found = match &kind.0 {
        b"mp4a" => return mp4a(kind, description(b"esds")),
        b".mp3" => Some(config(Codec::Mp3, None, &[])),
        b"alac" => description(b"alac").and_then(alac),
        b"fLaC" => description(b"dfLa").and_then(flac),
        b"Opus" => description(b"dOps").and_then(opus),
        _ => return Err(Refusal::Codec(kind)),
    };
    found.ok_or(damaged)
}

fn config(codec: Codec, bits: Option<u32>, setup: &[u8]) -> Config {
    Config {
        codec,
        bits,
        setup: setup.into(),
    }
}

/// The boxes inside the entry. `QuickTime` puts more fields before them. The rate among the fields is passed over: it has
/// no room for high ones, and the decoder knows.
fn boxes_of(body: &[u8], stsd_version: u8) -> Option<&[u8]> {
    let version = Fields(body.get(8..)?).u16()?;
    let more = match (stsd_version, version) {
        (0, 1) => 16,
        (0, 2) => 36,
        _ => 0,
    };
    body.get(ENTRY_BYTES + more..)
}

fn mp4a(kind: FourCc, esds: Option<&[u8]>) -> Result<Config, Refusal> {
    let (object, setup) = esds.and_then(decoder_config).ok_or(Refusal::Damaged(kind))?;
    match object {
        // MPEG-4 audio, and what MPEG-2 called the same.
        0x40 | 0x66..=0x68 => {
            refuse_extensions(setup)?;
            Ok(config(Codec::Aac, None, setup))
        }
        0x69 | 0x6b => Ok(config(Codec::Mp3, None, &[])),
        0xa5 => Err(Refusal::Profile("AC-3")),
        0xa6 => Err(Refusal::Profile("E-AC-3")),
        _ => Err(Refusal::Profile("this kind of MPEG audio")),
    }
}

/// Object type and `AudioSpecificConfig` of an `esds`: descriptors within descriptors.
fn decoder_config(esds: &[u8]) -> Option<(u8, &[u8])> {
    let mut fields = Fields(esds);
    fields.version_and_flags()?;
    let mut stream = descriptor(&mut fields, 3)?;
    let _id = stream.u16()?;
    let flags = stream.u8()?;
    if flags & 0x80 != 0 {
        stream.u16()?;
    }
    if flags & 0x40 != 0 {
        let length = stream.u8()?;
        stream.bytes(usize::from(length))?;
    }
    if flags & 0x20 != 0 {
        stream.u16()?;
    }
    let mut decoder = descriptor(&mut stream, 4)?;
    let object = decoder.u8()?;
    let _rest = decoder.bytes(12)?;
    let setup = descriptor(&mut decoder, 5).map_or(&[][..], |setup| setup.0);
    (setup.len() <= SETUP_BYTES_MAX).then_some((object, setup))
}

/// The body of the descriptor that comes next, if it has this `tag`. Its length has seven bits a byte, in at most four.
fn descriptor<'a>(fields: &mut Fields<'a>, tag: u8) -> Option<Fields<'a>> {
    if fields.u8()? != tag {
        return None;
    }
    let mut length = 0;
    for _ in 0..4 {
        let byte = fields.u8()?;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    fields.bytes(length).map(Fields)
}

/// High-efficiency AAC carries half the rate and what makes the other half of it. Its plain part alone would sound
/// muffled at best, so it is refused; so is everything else that is not AAC-LC.
fn refuse_extensions(setup: &[u8]) -> Result<(), Refusal> {
    let mut bits = Bits { bytes: setup, at: 0 };
    match audio_object(&mut bits) {
        Some(2) => {}
        Some(5 | 29) => return Err(Refusal::Profile("HE-AAC")),
        Some(42) => return Err(Refusal::Profile("xHE-AAC")),
        Some(_) => return Err(Refusal::Profile("this kind of AAC")),
        None => return Err(Refusal::Damaged(FourCc(*b"esds"))),
    }
    if signals_replication(&mut bits) == Some(true) {
        return Err(Refusal::Profile("HE-AAC"));
    }
    Ok(())
}

fn audio_object(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.take(5)? {
        31 => Some(32 + bits.take(6)?),
        object => Some(object),
    }
}

/// What follows the object type of AAC-LC, up to the mark of an extension that old decoders do not look for.
fn signals_replication(bits: &mut Bits<'_>) -> Option<bool> {
    if bits.take(4)? == 15 {
        bits.take(24)?;
    }
    let _channels = bits.take(4)?;
    let _frame_length = bits.take(1)?;
    if bits.take(1)? == 1 {
        bits.take(14)?;
    }
    let _extension = bits.take(1)?;
    Some(bits.take(11)? == 0x2b7 && bits.take(5)? == 5 && bits.take(1)? == 1)
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits, at most 32.
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

fn alac(body: &[u8]) -> Option<Config> {
    let cookie = body.get(4..).filter(|cookie| matches!(cookie.len(), 24 | 48))?;
    let bits = cookie.get(5).copied().map(u32::from);
    Some(config(Codec::Alac, bits, cookie))
}

/// `STREAMINFO` is the first metadata block: 34 bytes behind a header of four.
fn flac(body: &[u8]) -> Option<Config> {
    let mut fields = Fields(body.get(4..)?);
    let [kind, length @ ..] = fields.array::<4>()?;
    if kind & 0x7f != 0 || length != [0, 0, 34] {
        return None;
    }
    let info = fields.bytes(34)?;
    let [high, low] = *info.get(12..14)?.first_chunk::<2>()?;
    let bits = (u32::from(high & 1) << 4 | u32::from(low >> 4)) + 1;
    Some(config(Codec::Flac, Some(bits), info))
}

/// The header of an Opus stream, as it is in Ogg: the same fields, the numbers turned round, of version 1.
fn opus(body: &[u8]) -> Option<Config> {
    let mut fields = Fields(body);
    let (_version, channels) = (fields.u8()?, fields.u8()?);
    let (skip, rate, gain) = (fields.u16()?, fields.u32()?, fields.u16()?);
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend(skip.to_le_bytes());
    head.extend(rate.to_le_bytes());
    head.extend(gain.to_le_bytes());
    head.extend(fields.0.get(..SETUP_BYTES_MAX).unwrap_or(fields.0));
    Some(config(Codec::Opus, None, &head))
}

/// The entries of an `stsd`, of which a track may have at most `max`.
pub fn read_all(stsd: &[u8], max: usize) -> Option<Vec<Result<Entry, Refusal>>> {
    let mut fields = Fields(stsd);
    let (version, _) = fields.version_and_flags()?;
    let _count = fields.u32()?;
    let entries = children(fields.0).take(max);
    Some(entries.map(|(kind, body)| read(kind, body, version)).collect())
}
