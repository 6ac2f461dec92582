//! The real program over a real network: two namespaces with a cable between them, the service on one side and the speaker
//! on the other. The cable is pulled, packets are lost, the service dies, its name is gone; what is judged is what a card
//! heard, what the page says, and the service's ledger.
//!
//! It needs namespaces of its own, and files of `/etc` of its own: `make net-test` makes both (`scripts/net-test.sh`). Run
//! in any other way, these tests are ignored, and say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cable;
mod heard;
#[path = "../binary/music.rs"]
#[allow(dead_code, reason = "each crate that includes it uses a part")]
mod music;
mod names;
mod outage;
#[path = "../binary/process.rs"]
#[allow(dead_code, reason = "each crate that includes it uses a part")]
mod process;
mod rig;
#[path = "../binary/service.rs"]
#[allow(dead_code, reason = "each crate that includes it uses a part")]
mod service;
#[path = "../support/sink.rs"]
mod sink;
#[path = "../binary/speaker.rs"]
#[allow(dead_code, reason = "each crate that includes it uses a part")]
mod speaker;
