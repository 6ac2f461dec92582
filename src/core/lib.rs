//! The speaker's decisions: pure, without allocation, clock, I/O, randomness or failure.
//!
//! One [`Input`] goes in with the moment it happened, [`Effect`]s are drained until there are none, and one
//! deadline says when to come back with [`Input::Tick`] if nothing else happens:
//!
//! ```text
//! Input, now -> Session::handle -> Session::poll -> Effect, Effect, ... None
//!                               -> Session::deadline -> when to tick
//! ```
//!
//! Same inputs at the same moments, same effects, byte for byte.
#![no_std]

#[cfg(test)]
extern crate std;

mod button;
pub mod effect;
pub mod entry;
pub mod event;
pub mod id;
pub mod input;
pub mod light;
pub mod limits;
mod link;
mod outbox;
mod playback;
mod queue;
pub mod refusal;
mod session;
mod trouble;
mod turn;
pub mod unit;
mod window;

pub use button::ButtonSetup;
pub use effect::Effect;
pub use input::Input;
pub use link::Reach;
pub use session::{Availability, Boot, Look, OnElsewhere, Session, Settings, State, View};
pub use window::Load;
