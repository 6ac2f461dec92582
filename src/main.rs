//! placeholder
#![allow(dead_code, unused_imports, reason = "scratch")]
mod journal;
mod state;
fn main() {}
