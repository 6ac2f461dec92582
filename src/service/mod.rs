//! The playback service's client: the only code that knows the service's paths, headers and JSON.
//!
//! ```text
//! Question, EventReport -> worker (one thread, strictly in order) -> client (HTTP) -> wire (JSON) -> News
//! ```
//!
//! It translates and reports back; it never decides what plays, never retries (the session does) and never stores.

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

pub use client::{ServiceError, Settings, roots};
pub use credentials::{Credentials, FixedToken, Token};
pub use model::{
    ActiveSession, EventReport, Licence, Opened, PlayParams, Playable, Protocol, Quality, Question, Reply, Stream,
};
pub use worker::{Full, News, Service};
