//! Bytes of the journal: frames with a checksum, and the search for the valid ones. No files, no decisions.

use super::body::Entry;

/// First bytes of every segment and aside file.
pub const MAGIC: &[u8; 8] = b"tonearmJ";
/// Version of the format that is written. Part of every checksum, so that frames of another version are never misread.
pub const VERSION: u32 = 2;
/// Versions that are read, the likeliest first. What each brought stands in `docs/journal.md`; one leaves this list no
/// sooner than nobody can have a card with it.
const VERSIONS: [u32; 2] = [VERSION, 1];
/// Length of magic and version.
pub const HEADER_BYTES: usize = 12;
/// First bytes of a frame. E7 begins a three-byte UTF-8 character and 4A cannot continue it.
const MARKER: [u8; 2] = [0xE7, 0x4A];
/// Marker, length, checksum.
pub const FRAME_HEAD_BYTES: usize = 10;
/// Longest body. The strings of an event come from one answer of the service, which is far smaller.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Family of a file: part of the checksum, so that a frame of one is not valid in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Events and settlements.
    Segment,
    /// Events set aside.
    Aside,
    /// Checkpoints.
    Checkpoint,
}

/// Which file a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Family.
    pub family: Family,
    /// Number of the file within its family.
    pub index: u32,
}

/// Magic and version: the start of a new file.
pub fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes
}

/// Adds an entry to the body of a frame. `None`, and nothing added, if it is longer than [`BODY_BYTES_MAX`].
pub fn put(entry: &Entry, body: &mut Vec<u8>) -> Option<()> {
    let bytes = postcard::to_stdvec(entry).ok()?;
    if bytes.len() > BODY_BYTES_MAX {
        return None;
    }
    body.extend_from_slice(&bytes);
    Some(())
}

/// Appends a frame with this body to `out`. What is in one frame is found together or not at all, so one write is one
/// frame. `None`, and nothing appended, if the body is longer than [`BODY_BYTES_MAX`].
pub fn seal(owner: Owner, body: &[u8], out: &mut Vec<u8>) -> Option<()> {
    seal_as(VERSION, owner, body, out)
}

fn seal_as(version: u32, owner: Owner, body: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if body.len() > BODY_BYTES_MAX {
        return None;
    }
    let length = u32::try_from(body.len()).ok()?;
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(version, owner, length, body).to_le_bytes());
    out.extend_from_slice(body);
    Some(())
}

/// Appends a frame with one entry.
pub fn encode(owner: Owner, entry: &Entry, out: &mut Vec<u8>) -> Option<()> {
    let mut body = Vec::new();
    put(entry, &mut body)?;
    seal(owner, &body, out)
}

/// Entries of the frame at the very start of `bytes` and its length, if there is a valid one of any version.
pub fn decode(owner: Owner, bytes: &[u8]) -> Option<(Vec<Entry>, usize)> {
    let length = claimed_length(bytes)?;
    let (_, rest) = bytes.split_at_checked(6)?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let body = rest.get(..usize::try_from(length).ok()?)?;
    let crc = u32::from_le_bytes(*crc);
    VERSIONS
        .into_iter()
        .find(|version| checksum(*version, owner, length, body) == crc)?;
    let mut entries = Vec::new();
    let mut left = body;
    while !left.is_empty() {
        let (entry, rest) = postcard::take_from_bytes(left).ok()?;
        entries.push(entry);
        left = rest;
    }
    Some((entries, FRAME_HEAD_BYTES + body.len()))
}

/// What was found in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Valid entries, in order.
    pub entries: Vec<Entry>,
    /// Bytes that belong to no valid frame, other than a torn tail.
    pub damaged_bytes: u64,
    /// Bytes at the end that look like a write that a power cut interrupted.
    pub torn_bytes: u64,
    /// Version in the header, if that is intact.
    pub version: Option<u32>,
}

/// Finds all valid frames of a file, also those after damage.
pub fn scan(owner: Owner, bytes: &[u8]) -> Scan {
    let mut found = Scan::default();
    if bytes.len() < HEADER_BYTES {
        found.torn_bytes = bytes.len() as u64;
        return found;
    }
    found.version = version(bytes);
    let mut rest = match bytes.get(HEADER_BYTES..).filter(|_| found.version.is_some()) {
        Some(rest) => rest,
        None if bytes.iter().all(|byte| *byte == 0) => {
            found.torn_bytes = bytes.len() as u64;
            return found;
        }
        None => bytes,
    };
    while !rest.is_empty() {
        if let Some((entries, length)) = decode(owner, rest) {
            found.entries.extend(entries);
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        if let Some(skipped) = next_valid(owner, rest) {
            found.damaged_bytes += skipped as u64;
            rest = rest.get(skipped..).unwrap_or_default();
            continue;
        }
        if is_torn(bytes.len() - rest.len(), rest) {
            found.torn_bytes = rest.len() as u64;
        } else {
            found.damaged_bytes += rest.len() as u64;
        }
        break;
    }
    // A damaged header before intact frames is damage, too.
    if found.version.is_none() && found.damaged_bytes == 0 && !found.entries.is_empty() {
        found.damaged_bytes = HEADER_BYTES as u64;
    }
    found
}

/// Version in the header of a file, if that is one of ours.
fn version(bytes: &[u8]) -> Option<u32> {
    let named = u32::from_le_bytes(*bytes.strip_prefix(MAGIC)?.first_chunk::<4>()?);
    VERSIONS.into_iter().find(|version| *version == named)
}

/// Distance to the next valid frame after the first byte of `bytes`.
fn next_valid(owner: Owner, bytes: &[u8]) -> Option<usize> {
    (1..bytes.len())
        .filter(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(&MARKER)))
        .find(|at| bytes.get(*at..).and_then(|rest| decode(owner, rest)).is_some())
}

/// Whether the invalid end of a file, which starts at `offset`, is what a power cut leaves: cut short, or with sectors
/// that were never written, wherever among those that were: a disk writes in the order it likes.
fn is_torn(offset: usize, tail: &[u8]) -> bool {
    let started = tail.iter().zip(MARKER).all(|(byte, marker)| *byte == marker);
    let short = match claimed_length(tail) {
        Some(length) => (tail.len() as u64) < FRAME_HEAD_BYTES as u64 + u64::from(length),
        None => tail.len() < FRAME_HEAD_BYTES,
    };
    let (first, others) = tail.split_at(tail.len().min(SECTOR_BYTES - offset % SECTOR_BYTES));
    let mut sectors = others.chunks(SECTOR_BYTES).chain([first]);
    (started && short) || sectors.any(|sector| sector.iter().all(|byte| *byte == 0))
}

/// Length of the body that a frame at the start of `bytes` says it has.
fn claimed_length(bytes: &[u8]) -> Option<u32> {
    let length = bytes.strip_prefix(&MARKER)?.first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    (u64::from(length) <= BODY_BYTES_MAX as u64).then_some(length)
}

fn checksum(version: u32, owner: Owner, length: u32, body: &[u8]) -> u32 {
    let family: u32 = match owner.family {
        Family::Segment => 0,
        Family::Aside => 1,
        Family::Checkpoint => 2,
    };
    let mut crc = crc32fast::Hasher::new();
    for part in [version, family, owner.index, length] {
        crc.update(&part.to_le_bytes());
    }
    crc.update(body);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::super::body::{AsideBody, Clock};
    use super::*;

    const OWNER: Owner = Owner {
        family: Family::Segment,
        index: 3,
    };

    fn file(entries: &[Entry]) -> Vec<u8> {
        let mut bytes = header();
        for entry in entries {
            encode(OWNER, entry, &mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn a_frame_survives_the_round_trip() {
        let entries = [
            Entry::Settled(7),
            Entry::Clock(Clock {
                boot: [1; 16],
                epoch_ms: -5,
            }),
        ];
        let found = scan(OWNER, &file(&entries));
        assert_eq!(
            found,
            Scan {
                entries: entries.to_vec(),
                version: Some(VERSION),
                ..Scan::default()
            }
        );
    }

    #[test]
    fn what_is_in_one_frame_is_found_together_or_not_at_all() {
        let entries = [Entry::Settled(7), Entry::Settled(8), Entry::Settled(9)];
        let mut body = Vec::new();
        for entry in &entries {
            put(entry, &mut body).unwrap();
        }
        let mut bytes = header();
        seal(OWNER, &body, &mut bytes).unwrap();
        assert_eq!(scan(OWNER, &bytes).entries, entries);
        for end in HEADER_BYTES..bytes.len() {
            assert_eq!(scan(OWNER, &bytes[..end]).entries, [], "cut at {end}");
        }
    }

    #[test]
    fn a_frame_of_every_version_that_is_read_is_found() {
        for version in VERSIONS {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(&version.to_le_bytes());
            let body = postcard::to_stdvec(&Entry::Settled(7)).unwrap();
            seal_as(version, OWNER, &body, &mut bytes).unwrap();
            let found = scan(OWNER, &bytes);
            assert_eq!((found.entries, found.version), (vec![Entry::Settled(7)], Some(version)));
        }
    }

    #[test]
    fn a_frame_of_a_version_to_come_is_not_misread() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(VERSION + 1).to_le_bytes());
        let body = postcard::to_stdvec(&Entry::Settled(7)).unwrap();
        seal_as(VERSION + 1, OWNER, &body, &mut bytes).unwrap();
        let found = scan(OWNER, &bytes);
        assert_eq!((found.entries, found.version), (Vec::new(), None));
        assert!(found.damaged_bytes > 0, "it is put out of the way, not overwritten");
    }

    #[test]
    fn a_frame_of_another_file_is_not_valid() {
        let bytes = file(&[Entry::Settled(7)]);
        let found = scan(Owner { index: 4, ..OWNER }, &bytes);
        assert!(found.entries.is_empty());
    }

    #[test]
    fn frames_after_damage_are_found() {
        let mut bytes = file(&[Entry::Settled(1), Entry::Settled(2), Entry::Settled(3)]);
        bytes[HEADER_BYTES + FRAME_HEAD_BYTES + 2 + 5] ^= 1;
        let found = scan(OWNER, &bytes);
        assert_eq!(found.entries, [Entry::Settled(1), Entry::Settled(3)]);
        assert_eq!((found.damaged_bytes, found.torn_bytes), (12, 0));
    }

    #[test]
    fn a_cut_tail_is_torn_and_a_flipped_one_is_damaged() {
        let whole = file(&[Entry::Settled(1), Entry::Settled(2)]);
        for cut in 1..12 {
            let found = scan(OWNER, &whole[..whole.len() - cut]);
            assert_eq!(
                (found.entries.len(), found.damaged_bytes, found.torn_bytes),
                (1, 0, 12 - cut as u64)
            );
        }
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 8;
        assert_eq!(scan(OWNER, &flipped).damaged_bytes, 12);
    }

    #[test]
    fn blocks_that_were_never_written_are_torn() {
        let mut bytes = file(&[Entry::Settled(1)]);
        bytes.extend_from_slice(&[0; 100]);
        assert_eq!(scan(OWNER, &bytes).torn_bytes, 100);
        assert_eq!(scan(OWNER, &[0; 300]).torn_bytes, 300);
    }

    /// A frame over several sectors, each of which may be missing for itself.
    #[test]
    fn sectors_that_were_written_out_of_order_are_torn() {
        let whole = {
            let mut bytes = file(&[Entry::Settled(1)]);
            let body = AsideBody {
                count: 1,
                seq: 1,
                reason: "x".repeat(3 * SECTOR_BYTES),
                event: None,
            };
            encode(OWNER, &Entry::Aside(body), &mut bytes).unwrap();
            bytes
        };
        let synced = HEADER_BYTES + FRAME_HEAD_BYTES + 2;
        let sectors = whole.len().div_ceil(SECTOR_BYTES);
        for missing in 1..1 << sectors {
            let mut bytes = whole.clone();
            for (at, byte) in bytes.iter_mut().enumerate().skip(synced) {
                if missing >> (at / SECTOR_BYTES) & 1 == 1 {
                    *byte = 0;
                }
            }
            let found = scan(OWNER, &bytes);
            assert_eq!(found.entries, [Entry::Settled(1)], "{missing:b}");
            assert_eq!(
                (found.damaged_bytes, found.torn_bytes),
                (0, (whole.len() - synced) as u64),
                "{missing:b}"
            );
        }
    }

    #[test]
    fn a_body_over_the_limit_is_refused() {
        let body = AsideBody {
            count: 1,
            seq: 1,
            reason: "x".repeat(BODY_BYTES_MAX),
            event: None,
        };
        let mut out = Vec::new();
        assert!(encode(OWNER, &Entry::Aside(body), &mut out).is_none());
        assert!(out.is_empty());
    }
}
