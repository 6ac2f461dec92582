//! The board: what it is made of (data), its buttons, lights, clock and keys. Adapters only: nothing here decides.

pub mod action;
pub mod amplifier;
pub mod board;
pub mod buttons;
pub mod check;
pub mod clock;
mod discipline;
mod edges;
mod evdev;
mod gpio_cdev;
mod gpio_rppal;
mod lamp;
pub mod lights;
pub mod network;
mod route;
pub mod sound;
#[cfg(feature = "simulator")]
pub mod terminal;
pub mod watch;
