//! The commands: one file each. What they have in common is that errors go up to `main` and become an exit code there.

pub mod check;
#[cfg(feature = "simulator")]
pub mod demo;
pub mod journal;
pub mod link;
pub mod remote;
pub mod run;
#[cfg(feature = "simulator")]
pub mod screen;
mod sign_in;
#[cfg(feature = "simulator")]
pub mod simulator;
pub mod sound;
pub mod speaker;
