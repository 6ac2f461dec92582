//! placeholder
#![allow(dead_code, reason = "scratch")]
mod journal;
fn main() {}
