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
mod settings;
mod wire;
mod worker;

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
#[allow(
    clippy::duplicate_mod,
    reason = "two adapters share the test server and nothing else"
)]
#[path = "../../tests/support/scripted.rs"]
mod scripted;

pub use base::is_here;
pub use client::{Client, Patience};
pub use credentials::{Credentials, FixedToken};
pub use model::{ActiveSession, EventReport, PlayParams, Playable, Quality, Question, Reply, Said};
pub use settings::Settings;
pub use worker::{News, Service};
