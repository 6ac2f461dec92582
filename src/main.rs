//! placeholder
#![allow(dead_code, unused_imports)]
mod service;
fn main() {}
