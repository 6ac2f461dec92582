//! The real program over loopback: what it promises to people and to the service, shown from outside. Nothing here
//! looks into the program; it has the command line, the page, the service's ledger and the samples that came out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alsa;
mod batches;
mod commands;
mod dash;
mod disk;
mod expiry;
mod going_on;
mod kill;
mod kills;
mod mistakes;
mod music;
mod offline;
mod playing;
mod process;
mod promises;
mod queue;
#[path = "../support/scripted.rs"]
mod scripted;
mod second_device;
mod service;
mod sign_in;
mod signed;
mod signing_in;
mod simulator;
#[path = "../support/sink.rs"]
mod sink;
mod sounding;
mod speaker;
mod tiers;
mod trouble;
