//! placeholder
#![allow(dead_code, unused_imports, reason = "scratch")]
mod journal;
mod page;
mod state;
fn main() {}
