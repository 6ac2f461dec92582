//! The board: what it is made of (data), its buttons, lights, clock and keys. Adapters only: nothing here decides.

pub mod action;
pub mod board;
