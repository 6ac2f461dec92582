//! Readable scenarios of the core: what a listener does, what is heard, and what the service is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod account;
mod back;
mod boot;
mod buttons;
mod clock;
mod edits;
mod end;
mod events;
mod look;
mod modes;
mod offline;
mod outage;
mod pause;
mod races;
mod refusals;
mod resume;
mod shutdown;
mod skip;
mod speaker;
mod takeover;
mod unplayable;
mod window;
