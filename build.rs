//! Tells the program when it was built: `TONEARM_BUILT_S`, seconds since 1970, as the earliest time it can be.
//!
//! `SOURCE_DATE_EPOCH`, else the last commit's time, so that equal sources give equal programs; else now.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let built_s = named().or_else(committed).unwrap_or_else(now);
    println!("cargo::rustc-env=TONEARM_BUILT_S={built_s}");
}

/// What whoever builds says it is.
fn named() -> Option<u64> {
    std::env::var("SOURCE_DATE_EPOCH").ok()?.trim().parse().ok()
}

/// The last commit's time, where there is a repository.
fn committed() -> Option<u64> {
    let output = Command::new("git").args(["log", "-1", "--format=%ct"]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
