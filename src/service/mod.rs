//! The playback service's client: the only code that knows the service's paths, headers and JSON.
//!
//! ```text
//! Question, EventReport -> worker (one thread, strictly in order) -> client (HTTP) -> wire (JSON) -> News
//! ```
//!
//! It translates and reports back; it never decides what plays, never retries (the session does) and never stores.

pub mod account;
mod base;
mod client;
mod credentials;
mod model;
mod wire;
mod worker;

#[cfg(test)]
#[allow(
    clippy::duplicate_mod,
    reason = "two adapters share the test server and nothing else"
)]
#[path = "../../tests/support/scripted.rs"]
mod scripted;

pub use client::{Client, Patience, Settings, roots};
pub use credentials::{Credentials, FixedToken};
pub use model::{EventReport, PlayParams, Playable, Quality, Question, Reply};
pub use worker::{News, Service};
