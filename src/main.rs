//! placeholder
#![allow(dead_code)]
mod audio;
fn main() {}
