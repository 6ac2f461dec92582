//! `moof`: the samples of one fragment of one track. Its tables stay as they are in the file and are read as samples are
//! asked for.

use super::Mp4Error;
use super::auxiliary::{Auxiliary, AuxiliaryCursor};
use super::boxes::{Bytes, Fields, FourCc, Header, children, find};
use super::movie::{Defaults, Movie, pssh};
use super::samples::Place;
use crate::keys::{KeyId, Subsample};

/// Largest description of a fragment: a minute of packets takes less than a tenth of it.
pub const FRAGMENT_BYTES_MAX: u64 = 1 << 20;
/// Runs of samples in a fragment; packagers write one.
const RUNS_MAX: usize = 1024;

/// What is told before every sample of a run, by the flags of its box.
const HAS_DURATION: u32 = 0x100;
const HAS_SIZE: u32 = 0x200;
const HAS_FLAGS: u32 = 0x400;
const HAS_COMPOSITION: u32 = 0x800;

/// The samples of one fragment that have not been asked for.
#[derive(Debug, Default)]
pub struct Fragment {
    runs: std::vec::IntoIter<Run>,
    run: Run,
    /// Where the next sample lies and when it sounds.
    offset: u64,
    at: u64,
    /// What is told of the encryption of the samples: of each part of the fragment, and how far that was read.
    parts: Vec<Auxiliary>,
    cursor: AuxiliaryCursor,
    pssh: Vec<Box<[u8]>>,
}

#[derive(Debug, Default)]
struct Run {
    /// Number of its part of the fragment.
    part: usize,
    /// `None`: it goes on where the run before it ends.
    offset: Option<u64>,
    flags: u32,
    left: u32,
    defaults: Defaults,
    /// What is told of every sample.
    table: Vec<u8>,
    read: usize,
}

impl Fragment {
    /// Reads what the `moof` at `header` says of the sound of `movie`. It begins at tick `at` unless it says otherwise.
    /// What it tells of encryption may lie elsewhere in `bytes`.
    pub fn read(
        header: &Header,
        body: &[u8],
        movie: &Movie,
        defaults: Defaults,
        at: u64,
        bytes: &mut Bytes,
    ) -> Result<Self, Mp4Error> {
        let mut fragment = Self {
            offset: header.start,
            at,
            pssh: pssh(body),
            ..Self::default()
        };
        let mut runs = Vec::new();
        for (_, traf) in children(body).filter(|(kind, _)| kind.0 == *b"traf") {
            let head = find(traf, &[b"tfhd"]).and_then(|tfhd| track_head(tfhd, header.start, defaults));
            let (number, base, defaults) = head.ok_or(Mp4Error::Damaged(FourCc(*b"tfhd")))?;
            if number != movie.track {
                continue;
            }
            if runs.is_empty() {
                fragment.at = find(traf, &[b"tfdt"]).and_then(decode_time).unwrap_or(at);
            }
            let mut counts = Vec::new();
            for (_, trun) in children(traf).filter(|(kind, _)| kind.0 == *b"trun") {
                let mut run = run(trun, base, defaults).ok_or(Mp4Error::Damaged(FourCc(*b"trun")))?;
                run.part = fragment.parts.len();
                counts.push(run.left);
                if runs.len() == RUNS_MAX {
                    return Err(Mp4Error::Damaged(FourCc(*b"traf")));
                }
                runs.push(run);
            }
            let part = if movie.is_protected() {
                Auxiliary::read(traf, &counts, base, bytes, FRAGMENT_BYTES_MAX)?
            } else {
                Auxiliary::default()
            };
            fragment.parts.push(part);
        }
        fragment.runs = runs.into_iter();
        Ok(fragment)
    }

    /// Nothing, before a fragment that begins at tick `at` unless it says otherwise.
    pub fn from(at: u64) -> Self {
        Self { at, ..Self::default() }
    }

    /// When the next sample sounds.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Keys that only this fragment tells of, and the boxes to ask for their licence with.
    pub fn news(&self) -> Option<(impl Iterator<Item = KeyId>, &[Box<[u8]>])> {
        let mut keys = self.parts.iter().flat_map(|part| part.own().keys()).peekable();
        keys.peek().is_some().then_some((keys, &self.pssh[..]))
    }

    /// The next sample; `None` behind the last. Where it is encrypted, `stretches` is filled with its stretches.
    pub fn next(&mut self, movie: &Movie, stretches: &mut Vec<Subsample>) -> Result<Option<Place>, Mp4Error> {
        while self.run.left == 0 {
            let Some(run) = self.runs.next() else { return Ok(None) };
            self.offset = run.offset.unwrap_or(self.offset);
            if run.part != self.run.part {
                self.cursor = AuxiliaryCursor::default();
            }
            self.run = run;
        }
        let (duration, size) = self.run.sample().ok_or(Mp4Error::Damaged(FourCc(*b"trun")))?;
        self.run.left -= 1;
        let entry = self.run.defaults.entry;
        let part = self.parts.get(self.run.part).filter(|_| movie.is_protected());
        let cipher = match part {
            None => None,
            Some(part) => part.next(
                &mut self.cursor,
                movie.protected(entry),
                movie.auxiliary.own(),
                size,
                stretches,
            )?,
        };
        let place = Place {
            offset: self.offset,
            size,
            at: self.at,
            duration,
            entry,
            cipher,
        };
        self.offset = self.offset.saturating_add(u64::from(size));
        self.at = self.at.saturating_add(u64::from(duration));
        Ok(Some(place))
    }
}

impl Run {
    /// Duration and size of the next sample.
    fn sample(&mut self) -> Option<(u32, u32)> {
        let mut fields = Fields(self.table.get(self.read..)?);
        let before = fields.0.len();
        let mut told = |flag: u32| {
            if self.flags & flag == 0 {
                Some(None)
            } else {
                fields.u32().map(Some)
            }
        };
        let duration = told(HAS_DURATION)?.unwrap_or(self.defaults.duration);
        let size = told(HAS_SIZE)?.unwrap_or(self.defaults.size);
        told(HAS_FLAGS)?;
        told(HAS_COMPOSITION)?;
        self.read += before - fields.0.len();
        Some((duration, size))
    }
}

/// Track, first byte that offsets count from, and defaults of a `tfhd`.
fn track_head(tfhd: &[u8], moof: u64, defaults: Defaults) -> Option<(u32, u64, Defaults)> {
    let mut fields = Fields(tfhd);
    let (_, flags) = fields.version_and_flags()?;
    let track = fields.u32()?;
    let base = if flags & 1 == 0 { moof } else { fields.u64()? };
    let mut told = |flag: u32, default: u32| if flags & flag == 0 { Some(default) } else { fields.u32() };
    let entry = told(2, defaults.entry)?;
    let duration = told(8, defaults.duration)?;
    let size = told(0x10, defaults.size)?;
    Some((track, base, Defaults { entry, duration, size }))
}

fn decode_time(tfdt: &[u8]) -> Option<u64> {
    let mut fields = Fields(tfdt);
    let (version, _) = fields.version_and_flags()?;
    fields.ticks(version)
}

fn run(trun: &[u8], base: u64, defaults: Defaults) -> Option<Run> {
    let mut fields = Fields(trun);
    let (_, flags) = fields.version_and_flags()?;
    let left = fields.u32()?;
    let offset = if flags & 1 == 0 {
        None
    } else {
        let offset = i32::from_be_bytes(fields.array()?);
        Some(base.checked_add_signed(i64::from(offset))?)
    };
    if flags & 4 != 0 {
        fields.u32()?;
    }
    Some(Run {
        part: 0,
        offset,
        flags,
        left,
        defaults,
        table: fields.0.to_vec(),
        read: 0,
    })
}
