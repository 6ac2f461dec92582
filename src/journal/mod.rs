//! The event journal: starts and stops of sound on disk, until the service has acknowledged them.
//!
//! It stores, finds, forgets and recovers events. It does not send them, does not decide when one is settled, and never
//! makes the caller wait for the disk.
//!
//! # Invariants
//!
//! 1. An event is announced as durable only after its bytes and the name of its file are synced.
//! 2. An event is removed from disk only after it is settled: accepted by the service, or set aside with its reason in a
//!    file of its own (synced first).
//! 3. The newest event is kept even when it is settled: if it is a start, a restart must be able to make up its stop.
//! 4. Numbers only grow: the name and the head of each segment carry the next number, and a segment is removed only
//!    after its successor is on disk.
//! 5. No bytes on disk make it panic or yield an event that was not written: each frame carries a checksum that also
//!    covers the number of the file it belongs to.
//! 6. The same event may be on disk twice (a write that failed is repeated in a new segment); both copies are equal.
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `IIIIIIII-NNNNNNNNNNNNNNNN.seg` | segment number I, begun when N was the next event (hex); at most 64 KiB |
//! | `aside-IIIIIIII.log` | events set aside, with the reason; the newest 256 KiB are kept |
//! | `checkpoint` | two places of 4 KiB, overwritten in turn: how far the sounding entry is |
//! | `*.damaged` | a file that was damaged, as it was found; what was readable in it has been copied out |
//! | `lock` | held by the running speaker |
//!
//! A segment and an aside file start with 12 bytes: `tonearmJ` and the format version (u32, little endian). Frames
//! follow:
//!
//! ```text
//! marker E7 4A | length of body u32 LE | CRC-32 u32 LE | body (postcard)
//! ```
//!
//! The checksum covers version, family and number of the file, length and body. The marker cannot occur within a text
//! (it is not UTF-8), so the search for the next frame after damage does not stumble over a text that looks like one.
//! Bodies are [`frame::Entry`]: head of the segment, event, settled-through, set-aside, checkpoint, clock. The stop of a
//! pair refers to the strings of its start if both are in one segment.
//!
//! # What it costs
//!
//! With strings of usual length a pair of start and stop takes about 270 bytes, so 10,000 waiting events stay within
//! 2 MiB. An event costs one write and one sync (one page of data and the file system's own journal); so does its
//! settlement. Several that wait for a slow disk share one. A checkpoint, every 10 s while something plays, overwrites
//! 4 KiB in place and syncs: no new blocks and no new file size, about 35 MiB a day of continuous music.

mod aside;
mod checkpoint;
mod frame;
mod listing;
mod memory;
mod record;
mod recover;
mod segment;
mod segments;
mod storage;
mod worker;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
pub mod faulty;
#[cfg(test)]
mod simulation_tests;
#[cfg(test)]
mod worker_tests;

pub use listing::list;
pub use record::{Boot, Checkpoint, Outcome, Record, Recovered, ZONE_UNKNOWN};
pub use worker::{Journal, Oldest, Stored};
