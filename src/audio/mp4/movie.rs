//! `moov`: the first sound track of a file, what its decoder needs, where its samples are and which of them are to be heard.

use std::sync::Arc;

use super::Mp4Error;
use super::auxiliary::Auxiliary;
use super::boxes::{Bytes, Fields, FourCc, Header, children, find};
use super::edit::{Audible, Edit, itunes};
use super::entry::{self, Entry, Refusal};
use super::protection::Protected;
use super::samples::Index;

/// Boxes looked at before giving up: a file has a few dozen outside its tracks.
const BOXES_MAX: u32 = 4096;
/// Largest track description: twelve hours of AAC with a length and a place for every packet.
const TRACK_BYTES_MAX: u64 = 16 << 20;
/// Largest of the small boxes: the text of a tag has 136 characters, defaults of fragments a few dozen a track.
const SMALL_BYTES_MAX: u64 = 4096;
/// Sample entries of a track: one, or two where its beginning is not encrypted.
const ENTRIES_MAX: usize = 8;
/// Boxes that tell how to ask for a licence: one for each system that could give it.
const PSSH_MAX: usize = 16;
/// Largest of them; some carry a few certificates.
const PSSH_BYTES_MAX: u64 = 64 << 10;

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
    /// What is told of the encryption of the samples that the movie itself lists, and of groups of all samples.
    pub auxiliary: Auxiliary,
    /// What licences are asked for with: `pssh` boxes, whole.
    pub pssh: Vec<Box<[u8]>>,
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
    pssh: Vec<Box<[u8]>>,
}

#[derive(Debug)]
struct Sound {
    track: u32,
    timescale: u32,
    duration: u64,
    edit: Option<Edit>,
    entries: Vec<Result<Entry, Refusal>>,
    index: Index,
    auxiliary: Auxiliary,
}

impl Movie {
    /// Samples of this track may be encrypted.
    pub fn is_protected(&self) -> bool {
        is_protected(&self.entries)
    }

    /// How samples of the entry of this number are encrypted, if they are.
    pub fn protected(&self, entry: u32) -> Option<Protected> {
        let number = usize::try_from(entry).ok()?.checked_sub(1)?;
        let entry = self.entries.get(number)?.as_ref().ok()?;
        entry.protection.as_ref().ok().copied().flatten()
    }

    /// How samples of the entries are encrypted, of those that are.
    pub fn protections(&self) -> impl Iterator<Item = Protected> {
        let entries = self.entries.iter().filter_map(|entry| entry.as_ref().ok());
        entries.filter_map(|entry| entry.protection.as_ref().ok().copied().flatten())
    }

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

    /// Takes what a manifest says in place of `pssh` boxes of its own.
    pub fn complete(&mut self, pssh: &[Arc<[u8]>]) {
        if self.pssh.is_empty() {
            self.pssh = pssh.iter().take(PSSH_MAX).map(|one| Box::from(&**one)).collect();
        }
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
                found.sound = sound(&body, bytes)?;
            }
            b"pssh" if found.pssh.len() < PSSH_MAX && header.end - header.body <= PSSH_BYTES_MAX => {
                let body = bytes.body(&header, PSSH_BYTES_MAX)?;
                found.pssh.push(whole(header.kind, &body));
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
            auxiliary: sound.auxiliary,
            pssh: self.pssh,
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
fn sound(trak: &[u8], bytes: &mut Bytes) -> Result<Option<Sound>, Mp4Error> {
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
    let stbl = need(&[b"mdia", b"minf", b"stbl"])?;
    let entries = entry::read_all(need(&[b"mdia", b"minf", b"stbl", b"stsd"])?, ENTRIES_MAX);
    let entries = entries.ok_or(Mp4Error::Damaged(FourCc(*b"stsd")))?;
    let index = Index::read(stbl)?;
    let auxiliary = if is_protected(&entries) {
        Auxiliary::read(stbl, &[index.count()], 0, bytes, TRACK_BYTES_MAX)?
    } else {
        Auxiliary::default()
    };
    Ok(Some(Sound {
        track: track_of(tkhd).ok_or(Mp4Error::Damaged(FourCc(*b"tkhd")))?,
        timescale,
        duration,
        edit: find(trak, &[b"edts", b"elst"]).and_then(Edit::read),
        entries,
        index,
        auxiliary,
    }))
}

fn is_protected(entries: &[Result<Entry, Refusal>]) -> bool {
    let protects = |entry: &Entry| !matches!(entry.protection, Ok(None));
    entries.iter().any(|entry| entry.as_ref().is_ok_and(protects))
}

/// The `pssh` boxes among `boxes`, as far as there is reason in their number and size.
pub fn pssh(boxes: &[u8]) -> Vec<Box<[u8]>> {
    let all = children(boxes).filter(|(kind, body)| kind.0 == *b"pssh" && body.len() as u64 <= PSSH_BYTES_MAX);
    all.take(PSSH_MAX).map(|(kind, body)| whole(kind, body)).collect()
}

/// A box, from its body.
fn whole(kind: FourCc, body: &[u8]) -> Box<[u8]> {
    let length = u32::try_from(body.len().saturating_add(8)).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &kind.0, body].concat().into()
}

fn track_of(tkhd: &[u8]) -> Option<u32> {
    let mut fields = Fields(tkhd);
    let (version, _) = fields.version_and_flags()?;
    fields.bytes(if version == 1 { 16 } else { 8 })?;
    fields.u32()
}
