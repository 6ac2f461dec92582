//! `tonearm simulator`: the local playback service alone.

use std::io::{self, Write};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::run::runtime;
use crate::simulator::{Arguments, Simulator};

/// Serves until it is interrupted.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let simulator = Simulator::start(arguments.into())?;
    let mut out = io::stdout();
    for line in simulator.lines() {
        writeln!(out, "{line}").context("print where the service is")?;
    }
    out.flush().context("print where the service is")?;
    runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        anyhow::Ok(())
    })?;
    simulator.stop();
    Ok(())
}
