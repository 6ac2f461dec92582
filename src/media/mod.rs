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
#[allow(dead_code, unused_imports, reason = "what is fetched by it is not joined yet")]
pub mod dash;
mod fetch;
mod glance;
mod library;
mod pool;
mod reader;
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

pub use library::{Item, Level, Library, News, Settings};
