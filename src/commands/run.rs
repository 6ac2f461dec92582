//! `tonearm run`: the firmware.

use std::net::TcpListener;
use std::path::Path;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::sound;
use super::speaker::Speaker;
use crate::app::{News, Post};
use crate::config::Config;
use crate::device::board::Board;

/// Runs the speaker until it is asked to leave.
///
/// # Errors
/// The configuration or the board file has mistakes, or the state folder cannot be used. A missing network, sound
/// device or page port is no error: the speaker starts and says so.
pub fn run(config: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let board = Board::load(&config.board)?;
    log::info!("tonearm {} on {}", env!("CARGO_PKG_VERSION"), board.name);
    let output = sound::output(&board.output, config.chimes);
    runtime()?.block_on(async {
        let speaker = Speaker::assemble(&config, &board, output).await?;
        match TcpListener::bind(config.page.listen) {
            Ok(listener) => speaker.serve_page(listener, &config.page.hostname)?,
            Err(error) => log::error!(
                "the page cannot listen on {}: {error}; set [page] listen to a free port (below 1024 needs \
                 CAP_NET_BIND_SERVICE). The speaker runs without it",
                config.page.listen
            ),
        }
        leave_on_signal(speaker.post.clone())?;
        let ended = speaker.run().await;
        let sound = ended.counters;
        log::info!(
            "left cleanly: {} frames heard, {} xruns, {} stalls; {} events wait for the next start",
            sound.frames_heard,
            sound.xruns,
            sound.stalls,
            ended.waiting
        );
        Ok(())
    })
}

/// One thread for the whole control plane.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the event loop")
}

/// SIGTERM and SIGINT ask the speaker to leave.
pub fn leave_on_signal(post: Post) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
    drop(tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        post.send(News::Shutdown);
    }));
    Ok(())
}
