//! The event journal: starts and stops of sound on disk, until the service has acknowledged them.
//!
//! It stores, finds, forgets and recovers events. It does not send them, does not decide when one is settled, and never
//! makes the caller wait for the disk.
//!
//! What holds whatever happens, the files, the format to the byte with its versions, and what it all costs: `docs/journal.md`.
//! In short: an event is announced once it is synced; it leaves the disk once it is settled or folded, and that is synced
//! first; numbers only grow; one write is one frame and one sync; memory does not grow with the backlog; the oldest pairs go
//! when there is no room left, counted and told.
//!
//! Rooms: `worker` (what others call), `memory` (what is held), `writer` (the thread), `segments` and `aside` and
//! `checkpoint` (files), `fold` (what may go), `recover` (restart), `frame` and `body` (bytes), `storage` (the folder).

// What is public here is for the simulation (`tests/sim`): it puts its own disk below the journal and writes step by step.
mod aside;
mod body;
mod checkpoint;
mod fold;
mod frame;
mod listing;
mod memory;
mod record;
pub mod recover;
mod segment;
mod segments;
pub mod storage;
pub mod worker;
pub mod writer;

#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
pub mod faulty;
#[cfg(test)]
mod full_tests;
#[cfg(test)]
mod simulation_tests;
#[cfg(test)]
mod worker_tests;

pub use listing::list;
pub use record::{Boot, Checkpoint, Found, Outcome, Record, Recovered, ZONE_UNKNOWN};
pub use worker::{Journal, Oldest, Stored};
