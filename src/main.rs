//! placeholder
#![allow(dead_code, unused_imports)]
mod media;
mod service;
fn main() {}
