//! Bytes of the window's entries, fetched ahead into memory and read from there; never on disk.
//!
//! ```text
//! wishes -> Library -> State (what is fetched next, whose memory gives way) -> fetch threads (HTTP) -> Body -> Reader
//! ```
//!
//! **Invariant** Chunks in existence never exceed the configured memory, whatever a server sends.
//! **Invariant** No credential of the playback service goes to a media host: the fetch threads know none.
//! **Invariant** A body that is shorter than announced never looks like a clean end.

pub mod answer;
mod body;
pub mod dash;
mod documents;
mod fetch;
mod glance;
mod lengths;
mod library;
mod measured;
mod order;
mod part;
mod plan;
mod pool;
mod reader;
mod seat;
mod segments;
mod state;

#[cfg(test)]
mod fixture;
#[cfg(test)]
#[allow(
    clippy::duplicate_mod,
    reason = "two adapters share the test server and nothing else"
)]
#[path = "../../tests/support/scripted.rs"]
mod scripted;

pub use glance::{Glances, Look};
pub use library::{Item, Level, Library, News, Settings};
pub use segments::{Entry, Opening, Segment, Segments};
