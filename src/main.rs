//! placeholder
#![allow(dead_code)]
#[cfg(feature = "simulator")]
mod simulator;
fn main() {}
