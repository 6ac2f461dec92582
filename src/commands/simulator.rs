//! `tonearm simulator`: the local playback service alone.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::thread;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::run::runtime;
use crate::simulator::{Arguments, Console, Simulator};

/// Longest line that is read; an order has two short words.
const LINE_BYTES_MAX: u64 = 256;

/// Serves until it is interrupted.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let simulator = Simulator::start(arguments.into())?;
    let mut out = io::stdout();
    for line in simulator.lines() {
        writeln!(out, "{line}").context("print where the service is")?;
    }
    out.flush().context("print where the service is")?;
    if simulator.needs_sign_in() && is_ours_to_read() {
        let console = simulator.console();
        // It ends with the program: nobody waits for a person.
        drop(
            thread::Builder::new()
                .name("console".to_owned())
                .spawn(move || {
                    if let Err(error) = obey(&console) {
                        log::warn!("read orders: {error}; codes can still be approved in a browser");
                    }
                })
                .context("start the thread that reads orders")?,
        );
    }
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

/// A pipe is; a terminal only in the foreground: reading it from the background would stop the program.
fn is_ours_to_read() -> bool {
    let stdin = io::stdin();
    let foreground = || rustix::termios::tcgetpgrp(&stdin).is_ok_and(|group| group == rustix::process::getpgrp());
    !stdin.is_terminal() || foreground()
}

/// Orders of a person, until the input ends.
fn obey(console: &Console) -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut line = String::new();
    while input.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)? > 0 {
        let mut out = io::stdout();
        writeln!(out, "{}", console.obey(&line))?;
        out.flush()?;
        line.clear();
    }
    Ok(())
}
