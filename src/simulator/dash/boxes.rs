//! Boxes of MP4 (ISO/IEC 14496-12): the description of a rendition and its segments, as bytes. Written from the standard,
//! apart from the speaker's demuxer; encrypts nothing itself.

use super::protect::{Protection, Scheme};

/// Four letters of a box.
pub type Kind = &'static [u8; 4];

/// Sample entry of encrypted samples, where there is one; that of clear ones comes after it.
const FIRST_ENTRY: u32 = 1;
/// Of a two-entry table, the one of samples in the clear.
const CLEAR_ENTRY: u32 = 2;
/// Number of the only track.
const TRACK: u32 = 1;
/// Every sample can be started at.
const SYNC_SAMPLE: u32 = 0x0200_0000;
/// `tfhd`: offsets count from the `moof`.
const BASE_IS_MOOF: u32 = 0x02_0000;
/// `tfhd`: names its sample entry.
const HAS_ENTRY: u32 = 0x02;
/// `trun`: offset of the data, duration and size of every sample.
const RUN_FLAGS: u32 = 0x01 | 0x100 | 0x200;
/// Matrix of a picture that nobody sees.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Sort of samples in a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Free lossless audio codec.
    Flac,
    /// Opus.
    Opus,
    /// MPEG-4 AAC, low complexity.
    Aac,
}

impl Codec {
    /// `codecs` of a manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flac => "flac",
            Self::Opus => "opus",
            Self::Aac => "mp4a.40.2",
        }
    }

    const fn entry(self) -> Kind {
        match self {
            Self::Flac => b"fLaC",
            Self::Opus => b"Opus",
            Self::Aac => b"mp4a",
        }
    }
}

/// What a decoder must know of a rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Sort of samples.
    pub codec: Codec,
    /// Frames a second, which is also the clock of the samples.
    pub rate: u32,
    /// One or two, more in FLAC.
    pub channels: u8,
    /// Bits of a sample.
    pub bits: u8,
    /// The codec's own words: `STREAMINFO`, `OpusHead` as in Ogg, `AudioSpecificConfig`.
    pub setup: Vec<u8>,
    /// Frames the decoder gives before the music.
    pub skip: u64,
    /// Frames of music.
    pub frames: u64,
}

/// One sample of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Bytes of it.
    pub bytes: u32,
    /// Frames it lasts.
    pub ticks: u32,
}

/// The samples of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Number of the segment, from 0.
    pub number: u64,
    /// Place of its first sample among all.
    pub first: u64,
    /// Frames before it, those before the music included.
    pub begin: u64,
    /// Its samples.
    pub samples: Vec<Sample>,
    /// Their bytes, one after the other.
    pub data: Vec<u8>,
}

impl Part {
    /// Frames it lasts.
    pub fn ticks(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.ticks)).sum()
    }
}

/// A length as boxes have it. Nothing that is packaged comes near the limit.
pub fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A box.
pub fn boxed(kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>().saturating_add(8);
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(small(length).to_be_bytes());
    bytes.extend(kind);
    for part in parts {
        bytes.extend(*part);
    }
    bytes
}

/// A box with version and flags.
pub fn full(kind: Kind, version: u8, flags: u32, parts: &[&[u8]]) -> Vec<u8> {
    let head = (u32::from(version) << 24 | flags & 0x00ff_ffff).to_be_bytes();
    let all: Vec<&[u8]> = std::iter::once(head.as_slice()).chain(parts.iter().copied()).collect();
    boxed(kind, &all)
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// The description of a rendition: `ftyp` and `moov`.
pub fn description(of: &Description, protection: Option<&Protection>) -> Vec<u8> {
    let brands = boxed(b"ftyp", &[b"iso6", &words(&[1]), b"iso6dashmp41"]);
    let total = of.frames.saturating_add(of.skip);
    let mvhd = full(
        b"mvhd",
        1,
        0,
        &[
            &[0; 16],
            &of.rate.to_be_bytes(),
            &[0; 8],
            &words(&[0x1_0000, 0x0100_0000, 0, 0]),
            &words(&MATRIX),
            &[0; 24],
            &words(&[TRACK + 1]),
        ],
    );
    let length = full(b"mehd", 1, 0, &[&total.to_be_bytes()]);
    let trex = full(b"trex", 0, 0, &[&words(&[TRACK, FIRST_ENTRY, 0, 0, SYNC_SAMPLE])]);
    let mvex = boxed(b"mvex", &[&length, &trex]);
    let pssh = protection.map(Protection::pssh).unwrap_or_default();
    [brands, boxed(b"moov", &[&mvhd, &track(of, protection), &mvex, &pssh])].concat()
}

fn track(of: &Description, protection: Option<&Protection>) -> Vec<u8> {
    let tkhd = full(
        b"tkhd",
        1,
        7,
        &[
            &[0; 16],
            &words(&[TRACK, 0]),
            &[0; 8],
            &words(&[0, 0, 0, 0x0100_0000]),
            &words(&MATRIX),
            &[0; 8],
        ],
    );
    let start = i64::try_from(of.skip).unwrap_or(i64::MAX).to_be_bytes();
    let elst = full(
        b"elst",
        1,
        0,
        &[&words(&[1]), &of.frames.to_be_bytes(), &start, &words(&[0x1_0000])],
    );
    let edits = if of.skip > 0 {
        boxed(b"edts", &[&elst])
    } else {
        Vec::new()
    };
    let mdhd = full(
        b"mdhd",
        1,
        0,
        &[&[0; 16], &of.rate.to_be_bytes(), &[0; 8], &[0x55, 0xc4, 0, 0]],
    );
    let hdlr = full(b"hdlr", 0, 0, &[&[0; 4], b"soun", &[0; 12], b"sound\0"]);
    let smhd = full(b"smhd", 0, 0, &[&[0; 4]]);
    let url = full(b"url ", 0, 1, &[]);
    let dinf = boxed(b"dinf", &[&full(b"dref", 0, 0, &[&words(&[1]), &url])]);
    let empty = [0; 4];
    let stbl = boxed(
        b"stbl",
        &[
            &entries(of, protection),
            &full(b"stts", 0, 0, &[&empty]),
            &full(b"stsc", 0, 0, &[&empty]),
            &full(b"stsz", 0, 0, &[&[0; 8]]),
            &full(b"stco", 0, 0, &[&empty]),
        ],
    );
    let minf = boxed(b"minf", &[&smhd, &dinf, &stbl]);
    boxed(b"trak", &[&tkhd, &edits, &boxed(b"mdia", &[&mdhd, &hdlr, &minf])])
}

fn entries(of: &Description, protection: Option<&Protection>) -> Vec<u8> {
    let clear = entry(of.codec.entry(), of, &[]);
    match protection {
        None => full(b"stsd", 0, 0, &[&words(&[1]), &clear]),
        Some(protection) => {
            let encrypted = entry(b"enca", of, &protection.sinf(of.codec.entry()));
            full(b"stsd", 0, 0, &[&words(&[2]), &encrypted, &clear])
        }
    }
}

fn entry(kind: Kind, of: &Description, more: &[u8]) -> Vec<u8> {
    // A rate that does not fit into 16 bits is left out: the codec's own words have it.
    let rate = if of.rate > 0xffff { 0 } else { of.rate << 16 };
    let (channels, bits) = (u16::from(of.channels).to_be_bytes(), u16::from(of.bits).to_be_bytes());
    let setup = match of.codec {
        // The last metadata block, 34 bytes.
        Codec::Flac => full(b"dfLa", 0, 0, &[&[0x80, 0, 0, 34], &of.setup]),
        Codec::Opus => opus(&of.setup),
        Codec::Aac => full(b"esds", 0, 0, &[&stream_descriptor(&of.setup)]),
    };
    boxed(
        kind,
        &[
            &[0; 6],
            &[0, 1],
            &[0; 8],
            &channels,
            &bits,
            &[0; 4],
            &rate.to_be_bytes(),
            &setup,
            more,
        ],
    )
}

/// `dOps` of the header that Ogg has: version 0, and the highest byte of a number first.
fn opus(head: &[u8]) -> Vec<u8> {
    let at = |place: usize| head.get(place).copied().unwrap_or_default();
    let turned = [
        0,
        at(9),
        at(11),
        at(10),
        at(15),
        at(14),
        at(13),
        at(12),
        at(17),
        at(16),
        0,
    ];
    boxed(b"dOps", &[&turned])
}

/// `ES_Descriptor` of MPEG-4 audio.
fn stream_descriptor(setup: &[u8]) -> Vec<u8> {
    let tagged = |tag: u8, body: Vec<u8>| {
        let length = u8::try_from(body.len()).unwrap_or(u8::MAX).min(0x7f);
        [vec![tag, length], body].concat()
    };
    // MPEG-4 audio, an audio stream; sizes and rates are not told.
    let decoder = [vec![0x40, 0x15], vec![0; 11], tagged(5, setup.to_vec())].concat();
    let stream = [vec![0, 0, 0], tagged(4, decoder), tagged(6, vec![2])].concat();
    tagged(3, stream)
}

/// A media segment, encrypted if `protection` says so, but not if it is of the lead that is in the clear.
pub fn segment(part: &Part, protection: Option<&Protection>, is_lead: bool) -> Vec<u8> {
    let keyed = protection.filter(|_| !is_lead);
    let mut data = part.data.clone();
    if let Some(protection) = keyed {
        let mut rest = data.as_mut_slice();
        for (number, sample) in (part.first..).zip(&part.samples) {
            let (one, others) = rest.split_at_mut(rest.len().min(sample.bytes as usize));
            protection.encrypt(number, one);
            rest = others;
        }
    }
    let lead_entry = protection.is_some() && is_lead;
    // The length of the description does not depend on the offsets in it.
    let length = fragment(part, keyed, lead_entry, 0, 0).0.len();
    let (_, table) = fragment(part, keyed, lead_entry, 0, 0);
    let (moof, _) = fragment(part, keyed, lead_entry, small(length.saturating_add(8)), small(table));
    [
        boxed(b"styp", &[b"msdh", &words(&[0]), b"msdhmsix"]),
        moof,
        boxed(b"mdat", &[&data]),
    ]
    .concat()
}

/// `moof`, and where in it the auxiliary data begin.
fn fragment(
    part: &Part,
    keyed: Option<&Protection>,
    lead_entry: bool,
    data_at: u32,
    table_at: u32,
) -> (Vec<u8>, usize) {
    let mfhd = full(
        b"mfhd",
        0,
        0,
        &[&words(&[u32::try_from(part.number)
            .unwrap_or(u32::MAX)
            .saturating_add(1)])],
    );
    let tfhd = if lead_entry {
        full(b"tfhd", 0, BASE_IS_MOOF | HAS_ENTRY, &[&words(&[TRACK, CLEAR_ENTRY])])
    } else {
        full(b"tfhd", 0, BASE_IS_MOOF, &[&words(&[TRACK])])
    };
    let tfdt = full(b"tfdt", 1, 0, &[&part.begin.to_be_bytes()]);
    let sizes: Vec<u32> = part
        .samples
        .iter()
        .flat_map(|sample| [sample.ticks, sample.bytes])
        .collect();
    let count = small(part.samples.len());
    let trun = full(b"trun", 0, RUN_FLAGS, &[&words(&[count, data_at]), &words(&sizes)]);
    let mut inside = [tfhd, tfdt, trun].concat();
    let mut table = 0;
    if let Some(vectors) = keyed.and_then(|protection| protection.vectors(part.first, count)) {
        let each = u8::try_from(vectors.len().checked_div(part.samples.len()).unwrap_or(0)).unwrap_or(u8::MAX);
        inside.extend(full(b"saiz", 0, 0, &[&[each], &count.to_be_bytes()]));
        inside.extend(full(b"saio", 0, 0, &[&words(&[1, table_at])]));
        // Behind the heads of moof, traf and senc, and the number of samples.
        table = 8 + mfhd.len() + 8 + inside.len() + 12 + 4;
        inside.extend(full(b"senc", 0, 0, &[&count.to_be_bytes(), &vectors]));
    }
    (boxed(b"moof", &[&mfhd, &boxed(b"traf", &[&inside])]), table)
}

/// `sidx` of segments that follow it at once: bytes and frames of each.
pub fn index(rate: u32, segments: &[(u32, u32)]) -> Vec<u8> {
    let count = u16::try_from(segments.len()).unwrap_or(u16::MAX);
    // Every one starts with a sample that can be started at.
    let references: Vec<u32> = segments
        .iter()
        .flat_map(|(bytes, ticks)| [bytes & 0x7fff_ffff, *ticks, 0x9000_0000])
        .collect();
    full(
        b"sidx",
        1,
        0,
        &[
            &words(&[TRACK, rate]),
            &[0; 16],
            &[0; 2],
            &count.to_be_bytes(),
            &words(&references),
        ],
    )
}

impl Scheme {
    /// Letters of `schm`.
    pub const fn letters(self) -> Kind {
        match self {
            Self::Cenc => b"cenc",
            Self::Cbcs => b"cbcs",
        }
    }
}
