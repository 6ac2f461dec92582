//! The simulation as a program: many seeds, or one again; for minutes, or for days of virtual time. `make sim` calls it.
//!
//! It is an example and not a test, so that it is built optimised without the whole program, and so that the journal's
//! files, which it includes, come without their tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the models fail by panicking, like tests"
)]

mod audio;
mod disk;
#[path = "../../src/journal/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the program uses all of it, and is where it is linted"
)]
mod journal;
mod ledger;
mod oracle;
mod plan;
mod report;
mod rng;
mod rule;
mod service;
mod store;
mod trial;
mod world;
mod worlds;

use std::process::ExitCode;

use clap::Parser;

use plan::Form;
use worlds::Ask;

/// Seeded worlds of the shipped core and journal. A failure prints its seed and the smallest story that fails alike.
#[derive(Parser)]
struct Args {
    /// Lives through this seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Days of listening of each; without it, some minutes with everything at once.
    #[arg(long)]
    days: Option<u32>,
    /// Ends at the first failure, without looking for a smaller story, and prints only what was broken.
    #[arg(long)]
    brief: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let form = args.days.map_or(Form::Short, Form::Days);
    let seeds = match args.seed {
        Some(seed) => vec![seed],
        None => (args.first..args.first + args.seeds).collect(),
    };
    trial::hush_panics();
    let ask = match (args.brief, args.seed) {
        (true, _) => Ask::Brief,
        (false, Some(_)) => Ask::Quiet,
        (false, None) => Ask::Progress,
    };
    let outcome = worlds::live_all(&seeds, form, ask);
    println!("{}", outcome.report);
    if outcome.failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\n{}", outcome.tell());
    ExitCode::FAILURE
}
