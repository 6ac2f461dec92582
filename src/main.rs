//! placeholder
#![allow(dead_code)]
mod config;
mod device;
mod document;
fn main() {}
