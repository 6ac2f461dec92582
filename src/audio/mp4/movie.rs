//! `moov`: the first sound track of a file, what its decoder needs, where its samples are and which of them are to be heard.

use super::Mp4Error;
use super::boxes::{Bytes, Fields, FourCc, Header, children, find};
use super::edit::{Audible, Edit, itunes};
use super::entry::{self, Entry, Refusal};
use super::samples::Index;

/// Boxes looked at before giving up: a file has a few dozen outside its tracks.
const BOXES_MAX: u32 = 4096;
/// Largest track description: twelve hours of AAC with a length and a place for every packet.
const TRACK_BYTES_MAX: u64 = 16 << 20;
/// Largest of the small boxes: the text of a tag has 136 characters, defaults of fragments a few dozen a track.
const SMALL_BYTES_MAX: u64 = 4096;
/// Sample entries of a track: one, or two where its beginning is not encrypted.
const ENTRIES_MAX: usize = 8;

/// The sound track of a file.
#[derive(Debug)]
pub struct Movie {
    /// Its number.
    pub track: u32,
    /// Ticks a second of its clock; not zero.
    pub timescale: u32,
    /// What its samples are, by number from one on.
    pub entries: Vec<Result<Entry, Refusal>>,
    /// The samples that the movie itself lists: none in a fragmented file.
    pub index: Index,
    /// What holds for samples of fragments; `None` where the file has no fragments.
    pub defaults: Option<Defaults>,
    /// The part to be heard, if the file says so.
    pub audible: Option<Audible>,
    /// Ticks the track has by its own account.
    pub duration: Option<u64>,
    /// The first byte behind the `moov`.
    pub end: u64,
}

/// Of a sample for which a fragment does not say it.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Number of its entry.
    pub entry: u32,
    /// Ticks.
    pub duration: u32,
    /// Bytes.
    pub size: u32,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            entry: 1,
            duration: 0,
            size: 0,
        }
    }
}

#[derive(Debug, Default)]
struct Found {
    timescale: u32,
    sound: Option<Sound>,
    /// Of every track; `None` where no fragments follow.
    defaults: Option<Vec<(u32, Defaults)>>,
    /// Length with all fragments, in the movie's clock.
    announced: u64,
    itunes: Option<Audible>,
}

#[derive(Debug)]
struct Sound {
    track: u32,
    timescale: u32,
    duration: u64,
    edit: Option<Edit>,
    entries: Vec<Result<Entry, Refusal>>,
    index: Index,
}

impl Movie {
    /// Finds the `moov` of a file and reads it. What lies before it is stepped over.
    pub fn read(bytes: &mut Bytes) -> Result<Self, Mp4Error> {
        let mut budget = BOXES_MAX;
        let mut at = 0;
        while let Some(header) = bytes.header(at, u64::MAX)? {
            spend(&mut budget, &header)?;
            if header.kind.0 == *b"moov" {
                let mut found = Found::default();
                walk(bytes, &header, &mut found, &mut budget)?;
                return found.conclude(header.end);
            }
            at = header.end;
        }
        Err(Mp4Error::NoSound)
    }
}

fn spend(budget: &mut u32, header: &Header) -> Result<(), Mp4Error> {
    *budget = budget.checked_sub(1).ok_or(Mp4Error::Damaged(header.kind))?;
    Ok(())
}

/// Reads what is of interest inside `parent`, and leaves pictures and texts alone.
fn walk(bytes: &mut Bytes, parent: &Header, found: &mut Found, budget: &mut u32) -> Result<(), Mp4Error> {
    // A `meta` begins with a version, in files of today.
    let mut at = parent.body + if parent.kind.0 == *b"meta" { 4 } else { 0 };
    while let Some(header) = bytes.header(at, parent.end)? {
        spend(budget, &header)?;
        match &header.kind.0 {
            b"udta" | b"meta" | b"ilst" if !is_inside_itself(parent, &header) => {
                match walk(bytes, &header, found, budget) {
                    // Tags come in many shapes; music does not depend on them.
                    Err(Mp4Error::Damaged(kind)) if *budget > 0 => log::debug!("skip the tags: {kind} is damaged"),
                    result => result?,
                }
            }
            b"mvhd" => {
                let body = bytes.body(&header, SMALL_BYTES_MAX)?;
                (found.timescale, _) = clock(&body).ok_or(Mp4Error::Damaged(header.kind))?;
            }
            b"trak" if found.sound.is_none() => {
                let body = bytes.body(&header, TRACK_BYTES_MAX)?;
                found.sound = sound(&body)?;
            }
            b"mvex" => found.extend(&bytes.body(&header, SMALL_BYTES_MAX)?),
            b"----" if header.end - header.body <= SMALL_BYTES_MAX => {
                let tag = bytes.body(&header, SMALL_BYTES_MAX)?;
                found.itunes = found.itunes.or_else(|| itunes(&tag));
            }
            _ => {}
        }
        at = header.end;
    }
    Ok(())
}

/// Only `udta`, `meta`, `ilst` in this order are descended into, so that damage cannot nest without end.
fn is_inside_itself(parent: &Header, header: &Header) -> bool {
    let depth = |kind: FourCc| match &kind.0 {
        b"udta" => 1,
        b"meta" => 2,
        b"ilst" => 3,
        _ => 0,
    };
    depth(header.kind) <= depth(parent.kind)
}

impl Found {
    fn extend(&mut self, mvex: &[u8]) {
        let all = children(mvex).filter(|(kind, _)| kind.0 == *b"trex");
        self.defaults = Some(all.filter_map(|(_, body)| defaults(body)).collect());
        self.announced = find(mvex, &[b"mehd"]).and_then(length).unwrap_or(0);
    }

    fn conclude(self, end: u64) -> Result<Movie, Mp4Error> {
        let sound = self.sound.ok_or(Mp4Error::NoSound)?;
        let timescale = sound.timescale;
        // In a fragmented file, the track's own length and often its edit's are those of the samples in the movie.
        let (listed, rest) = match self.defaults {
            Some(_) => (sound.duration, 0),
            None => (0, sound.duration),
        };
        let edit = sound.edit.map(|edit| {
            let mut audible = edit.audible(self.timescale, timescale, rest);
            audible.length = audible
                .length
                .filter(|length| audible.skip.saturating_add(*length) > listed);
            audible
        });
        let announced = u128::from(self.announced) * u128::from(timescale) / u128::from(self.timescale.max(1));
        let announced = u64::try_from(announced).unwrap_or(0);
        let defaults = self.defaults.map(|all| {
            let of_track = all.iter().find(|(track, _)| *track == sound.track);
            of_track.map(|(_, defaults)| *defaults).unwrap_or_default()
        });
        Ok(Movie {
            track: sound.track,
            timescale,
            entries: sound.entries,
            index: sound.index,
            defaults,
            audible: self.itunes.or(edit),
            duration: Some(rest.max(announced)).filter(|ticks| *ticks > 0),
            end,
        })
    }
}

/// Timescale and duration of an `mvhd` or `mdhd`. All ones is "not known".
fn clock(body: &[u8]) -> Option<(u32, u64)> {
    let mut fields = Fields(body);
    let (version, _) = fields.version_and_flags()?;
    fields.bytes(if version == 1 { 16 } else { 8 })?;
    let timescale = fields.u32()?;
    let duration = fields.ticks(version)?;
    let is_known = duration != u64::MAX && (version == 1 || duration != u64::from(u32::MAX));
    Some((timescale, if is_known { duration } else { 0 }))
}

fn length(mehd: &[u8]) -> Option<u64> {
    let mut fields = Fields(mehd);
    let (version, _) = fields.version_and_flags()?;
    fields.ticks(version)
}

fn defaults(trex: &[u8]) -> Option<(u32, Defaults)> {
    let mut fields = Fields(trex);
    fields.version_and_flags()?;
    let track = fields.u32()?;
    let (entry, duration, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
    Some((track, Defaults { entry, duration, size }))
}

/// What a `trak` says. `None`: it is no sound.
fn sound(trak: &[u8]) -> Result<Option<Sound>, Mp4Error> {
    let handler = find(trak, &[b"mdia", b"hdlr"]).and_then(|body| body.get(8..12));
    if handler != Some(b"soun") {
        return Ok(None);
    }
    let need = |path: &[&[u8; 4]]| {
        let last = path.last().map_or([0; 4], |kind| **kind);
        find(trak, path).ok_or(Mp4Error::Damaged(FourCc(last)))
    };
    let tkhd = need(&[b"tkhd"])?;
    let (timescale, duration) = clock(need(&[b"mdia", b"mdhd"])?)
        .filter(|(timescale, _)| *timescale > 0)
        .ok_or(Mp4Error::Damaged(FourCc(*b"mdhd")))?;
    let entries = entry::read_all(need(&[b"mdia", b"minf", b"stbl", b"stsd"])?, ENTRIES_MAX);
    Ok(Some(Sound {
        track: track_of(tkhd).ok_or(Mp4Error::Damaged(FourCc(*b"tkhd")))?,
        timescale,
        duration,
        edit: find(trak, &[b"edts", b"elst"]).and_then(Edit::read),
        entries: entries.ok_or(Mp4Error::Damaged(FourCc(*b"stsd")))?,
        index: Index::read(need(&[b"mdia", b"minf", b"stbl"])?)?,
    }))
}

fn track_of(tkhd: &[u8]) -> Option<u32> {
    let mut fields = Fields(tkhd);
    let (version, _) = fields.version_and_flags()?;
    fields.bytes(if version == 1 { 16 } else { 8 })?;
    fields.u32()
}
