//! Bytes of the journal: frames with a checksum, and the search for the valid ones. No files, no decisions.

use serde::{Deserialize, Serialize};
use tonearm_core::event::{Claim, StopReason, What};
use tonearm_core::unit::Millis;

use super::record::{Boot, Checkpoint};

/// First bytes of every segment and aside file.
pub const MAGIC: &[u8; 8] = b"tonearmJ";
/// Version of the format. Part of every checksum, so that frames of another version are never misread.
pub const VERSION: u32 = 1;
/// Length of magic and version.
pub const HEADER_BYTES: usize = 12;
/// First bytes of a frame. E7 begins a three-byte UTF-8 character and 4A cannot continue it.
const MARKER: [u8; 2] = [0xE7, 0x4A];
/// Marker, length, checksum.
pub const FRAME_HEAD_BYTES: usize = 10;
/// Longest body. The strings of an event come from one answer of the service, which is far smaller.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

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

/// One body. The order of variants is part of the format: add at the end only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// First frame of a segment: what must not be forgotten when older segments are removed.
    Head(Head),
    /// A start or stop.
    Event(EventBody),
    /// All events up to this number are settled.
    Settled(u64),
    /// An event set aside.
    Aside(AsideBody),
    /// How far the sounding entry is.
    Checkpoint(CheckpointBody),
    /// What time it was when a boot began.
    Clock(Clock),
}

/// See [`Entry::Head`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the next event when the segment was begun.
    pub next: u64,
    /// Settled then.
    pub settled: u64,
    /// Clocks known then.
    pub clocks: Vec<Clock>,
}

/// What time it was when a boot began. The first one said for a boot stays, so a repeated report is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Which boot.
    pub boot: Boot,
    /// Milliseconds since 1970 at the boot's moment zero.
    pub epoch_ms: i64,
}

/// See [`super::Record`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBody {
    /// Its number.
    pub seq: u64,
    /// Its strings, or where they are.
    pub names: Names,
    /// Milliseconds within its boot.
    pub at_ms: u64,
    /// Milliseconds since 1970.
    pub wall_ms: Option<i64>,
    /// Offset from UTC.
    pub zone_minutes: i16,
    /// From request to sound.
    pub initial_delay_ms: u32,
    /// What happened.
    pub what: WhatBody,
}

/// Strings of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Names {
    /// Spelled out.
    Own(Spelled),
    /// Those of the event with this number, spelled out earlier in the same file.
    Of(u64),
}

/// Strings spelled out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spelled {
    /// Boot.
    pub boot: Boot,
    /// Session.
    pub session: String,
    /// Entry.
    pub reference: String,
    /// Metric identifier.
    pub metric_id: Option<String>,
}

/// The core's [`What`] and [`Claim`] as they are stored. The order of variants is part of the format: add at the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhatBody {
    /// Offset.
    Start(u32),
    /// Reason, played, progress, rebuffers.
    Stop(ReasonBody, u32, u32, u16),
    /// Offset of a start that takes the stream over.
    TakingStart(u32),
}

/// The core's [`StopReason`] as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReasonBody {
    TrackFinished,
    UserStop,
    UserNext,
    UserPrev,
    TrackScrub,
    SystemStop,
}

/// See [`super::record::SetAside`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsideBody {
    /// How many were set aside on this device, with this one.
    pub count: u64,
    /// Which event.
    pub seq: u64,
    /// Why.
    pub reason: String,
    /// The event, with its strings spelled out.
    pub event: Option<EventBody>,
}

/// See [`Checkpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointBody {
    /// Counts up; the greater of the two places is the newer.
    pub turn: u64,
    /// The start it belongs to.
    pub start: u64,
    /// What is known.
    pub checkpoint: Checkpoint,
}

impl From<(What, Claim)> for WhatBody {
    fn from((what, claim): (What, Claim)) -> Self {
        match what {
            What::Start { offset } => match claim {
                Claim::Held => Self::Start(offset.0),
                Claim::TakesOver => Self::TakingStart(offset.0),
            },
            What::Stop {
                reason,
                played,
                progress,
                rebuffers,
            } => {
                let reason = match reason {
                    StopReason::TrackFinished => ReasonBody::TrackFinished,
                    StopReason::UserStop => ReasonBody::UserStop,
                    StopReason::UserNext => ReasonBody::UserNext,
                    StopReason::UserPrev => ReasonBody::UserPrev,
                    StopReason::TrackScrub => ReasonBody::TrackScrub,
                    StopReason::SystemStop => ReasonBody::SystemStop,
                };
                Self::Stop(reason, played.0, progress.0, rebuffers)
            }
        }
    }
}

impl From<WhatBody> for (What, Claim) {
    fn from(body: WhatBody) -> Self {
        match body {
            WhatBody::Start(offset) => (What::Start { offset: Millis(offset) }, Claim::Held),
            WhatBody::TakingStart(offset) => (What::Start { offset: Millis(offset) }, Claim::TakesOver),
            WhatBody::Stop(reason, played, progress, rebuffers) => {
                let reason = match reason {
                    ReasonBody::TrackFinished => StopReason::TrackFinished,
                    ReasonBody::UserStop => StopReason::UserStop,
                    ReasonBody::UserNext => StopReason::UserNext,
                    ReasonBody::UserPrev => StopReason::UserPrev,
                    ReasonBody::TrackScrub => StopReason::TrackScrub,
                    ReasonBody::SystemStop => StopReason::SystemStop,
                };
                let stop = What::Stop {
                    reason,
                    played: Millis(played),
                    progress: Millis(progress),
                    rebuffers,
                };
                (stop, Claim::Held)
            }
        }
    }
}

/// Magic and version: the start of a new file.
pub fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes
}

/// Appends one frame to `out`. `None`, and nothing appended, if the body is longer than [`BODY_BYTES_MAX`].
pub fn encode(owner: Owner, entry: &Entry, out: &mut Vec<u8>) -> Option<()> {
    let body = postcard::to_stdvec(entry).ok()?;
    if body.len() > BODY_BYTES_MAX {
        return None;
    }
    let length = u32::try_from(body.len()).ok()?;
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(owner, length, &body).to_le_bytes());
    out.extend_from_slice(&body);
    Some(())
}

/// Entry at the very start of `bytes` and the length of its frame, if there is a valid one.
pub fn decode(owner: Owner, bytes: &[u8]) -> Option<(Entry, usize)> {
    let length = claimed_length(bytes)?;
    let (_, rest) = bytes.split_at_checked(6)?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let body = rest.get(..usize::try_from(length).ok()?)?;
    if checksum(owner, length, body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (entry, left) = postcard::take_from_bytes(body).ok()?;
    left.is_empty().then_some((entry, FRAME_HEAD_BYTES + body.len()))
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
}

/// Finds all valid frames of a file, also those after damage.
pub fn scan(owner: Owner, bytes: &[u8]) -> Scan {
    let mut found = Scan::default();
    if bytes.len() < HEADER_BYTES {
        found.torn_bytes = bytes.len() as u64;
        return found;
    }
    let mut rest = match bytes.strip_prefix(header().as_slice()) {
        Some(rest) => rest,
        None if bytes.iter().all(|byte| *byte == 0) => {
            found.torn_bytes = bytes.len() as u64;
            return found;
        }
        None => bytes,
    };
    while !rest.is_empty() {
        if let Some((entry, length)) = decode(owner, rest) {
            found.entries.push(entry);
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        if let Some(skipped) = next_valid(owner, rest) {
            found.damaged_bytes += skipped as u64;
            rest = rest.get(skipped..).unwrap_or_default();
            continue;
        }
        if is_torn(rest) {
            found.torn_bytes = rest.len() as u64;
        } else {
            found.damaged_bytes += rest.len() as u64;
        }
        break;
    }
    // A damaged header before intact frames is damage, too.
    if !bytes.starts_with(&header()) && found.damaged_bytes == 0 {
        found.damaged_bytes = HEADER_BYTES as u64;
    }
    found
}

/// Distance to the next valid frame after the first byte of `bytes`.
fn next_valid(owner: Owner, bytes: &[u8]) -> Option<usize> {
    (1..bytes.len())
        .filter(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(&MARKER)))
        .find(|at| bytes.get(*at..).and_then(|rest| decode(owner, rest)).is_some())
}

/// Whether the invalid end of a file is what a power cut leaves: cut short, or with blocks of zeros never written.
fn is_torn(tail: &[u8]) -> bool {
    let started = tail.iter().zip(MARKER).all(|(byte, marker)| *byte == marker);
    let short = match claimed_length(tail) {
        Some(length) => (tail.len() as u64) < FRAME_HEAD_BYTES as u64 + u64::from(length),
        None => tail.len() < FRAME_HEAD_BYTES,
    };
    (started && short) || tail.last() == Some(&0)
}

/// Length of the body that a frame at the start of `bytes` says it has.
fn claimed_length(bytes: &[u8]) -> Option<u32> {
    let length = bytes.strip_prefix(&MARKER)?.first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    (u64::from(length) <= BODY_BYTES_MAX as u64).then_some(length)
}

fn checksum(owner: Owner, length: u32, body: &[u8]) -> u32 {
    let family: u32 = match owner.family {
        Family::Segment => 0,
        Family::Aside => 1,
        Family::Checkpoint => 2,
    };
    let mut crc = crc32fast::Hasher::new();
    for part in [VERSION, family, owner.index, length] {
        crc.update(&part.to_le_bytes());
    }
    crc.update(body);
    crc.finalize()
}

#[cfg(test)]
mod tests {
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
                ..Scan::default()
            }
        );
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

    /// The first two were all there was before a start could take the stream over.
    #[test]
    fn starts_and_stops_have_the_bytes_that_they_always_had() {
        let cases = [
            (WhatBody::Start(5), [0, 5].as_slice()),
            (WhatBody::Stop(ReasonBody::UserStop, 1, 2, 3), &[1, 1, 1, 2, 3]),
            (WhatBody::TakingStart(5), &[2, 5]),
        ];
        for (what, bytes) in cases {
            assert_eq!(postcard::to_stdvec(&what).unwrap(), bytes);
            assert_eq!(postcard::from_bytes::<WhatBody>(bytes).unwrap(), what);
        }
    }

    #[test]
    fn a_start_that_takes_the_stream_over_is_read_back_as_one() {
        let what = What::Start { offset: Millis(7) };
        for claim in [Claim::Held, Claim::TakesOver] {
            assert_eq!(<(What, Claim)>::from(WhatBody::from((what, claim))), (what, claim));
        }
    }
}
