//! placeholder
#![allow(dead_code)]
mod config;
mod document;
fn main() {}
