//! `tonearm demo`: speaker and local playback service in one program. Music at once, keys as buttons, no account.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tonearm_core::input::Press;

use super::run::{leave_on_signal, runtime};
use super::screen::Screen;
use super::sound;
use super::speaker::{Ended, Speaker};
use crate::app::News;
use crate::audio::Capture;
use crate::cli::DemoArgs;
use crate::config::{Config, Page, Preset, Service};
use crate::device::board::Board;
use crate::device::terminal::{Key, Terminal};
use crate::page::Ask;
use crate::simulator::{self, Simulator};

/// What the log shows beside the picture. The decoders remark on every tag they step over.
pub const LOG: &str = "warn,symphonia=error";
/// The demo's page; any free port if another program has this one.
const PAGE_PORT: u16 = 8701;
/// The picture is redrawn this often.
const REDRAW: Duration = Duration::from_millis(200);

/// Plays until `q`, the end of `--for`, or a signal.
pub fn run(args: DemoArgs, screen: &Screen) -> anyhow::Result<()> {
    let simulator = Simulator::start(simulator::Settings {
        music: args.music,
        tier: args.tier,
        packaging: args.packaging,
        ..simulator::Settings::default()
    })?;
    let state = TempDir::with_prefix("tonearm-demo-").context("make a folder for the demo's state")?;
    let page = page()?;
    let config = config(
        &simulator,
        &state,
        page.local_addr().context("look up the page's port")?,
    );
    let mut board = Board::generic()?;
    // The keys of the terminal are the buttons; the media keys of this machine are left alone.
    board.buttons.clear();
    let (output, device) = sound::output_or_paced(args.output.as_deref(), &board.output, config.chimes);
    screen.line(&format!("sound: {device}"))?;
    screen.line(&format!("page:  http://{}/api/status", config.page.listen))?;
    let output = match &args.capture {
        Some(path) => {
            let capture = Capture::new(output, path).with_context(|| format!("capture to {}", path.display()))?;
            Box::new(capture)
        }
        None => output,
    };
    let ended = runtime()?.block_on(async {
        let speaker = Speaker::assemble(&config, &board, output).await?;
        speaker.serve_page(page, &config.page.hostname)?;
        leave_on_signal(speaker.post.clone())?;
        let keys = speaker.post.clone();
        let terminal = Terminal::start(Arc::new(move |key| match key {
            Key::Press(press) => keys.send(News::Press(press)),
            Key::Quit => keys.send(News::Shutdown),
        }))
        .context("read keys")?;
        if let Some(length) = args.run_for {
            let post = speaker.post.clone();
            drop(tokio::spawn(async move {
                tokio::time::sleep(length).await;
                post.send(News::Shutdown);
            }));
        }
        let picture = tokio::spawn(redraw(screen.clone(), speaker.asks()));
        speaker.post.send(News::Press(Press::Preset(1)));
        let ended = speaker.run().await;
        picture.abort();
        drop(terminal);
        anyhow::Ok(ended)
    })?;
    for line in report(&ended, &simulator.report()) {
        screen.line(&line)?;
    }
    if let Some(path) = &args.capture {
        screen.line(&format!("captured: {}", path.display()))?;
    }
    std::io::stdout().flush()?;
    simulator.stop();
    Ok(())
}

fn page() -> anyhow::Result<TcpListener> {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, PAGE_PORT));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    TcpListener::bind(usual)
        .or_else(|_| TcpListener::bind(any))
        .context("find a port for the page")
}

fn config(simulator: &Simulator, state: &TempDir, page: SocketAddr) -> Config {
    let usual = Config::default();
    let preset = |preset: simulator::Preset| Preset {
        name: preset.name,
        id: preset.id,
        container_ids: preset.container_ids,
        mode: tonearm_core::input::Mode::Play,
    };
    Config {
        service: Service {
            base_url: format!("http://{}", simulator.address()),
            ..usual.service
        },
        state_dir: state.path().to_owned(),
        page: Page {
            listen: page,
            ..usual.page
        },
        presets: simulator
            .presets()
            .into_iter()
            .take(crate::config::PRESETS_MAX)
            .map(preset)
            .collect(),
        ..usual
    }
}

/// Asks the speaker for its status and shows it, again and again, until the speaker is gone.
async fn redraw(screen: Screen, asks: mpsc::Sender<Ask>) {
    let mut ticks = tokio::time::interval(REDRAW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let (reply, answer) = oneshot::channel();
        if asks.send(Ask::Status { reply }).await.is_err() {
            return;
        }
        let Ok(status) = answer.await else {
            return;
        };
        if let Err(error) = screen.show(&status) {
            log::debug!("show the status: {error}");
            return;
        }
    }
}

/// What happened, in a few lines.
fn report(ended: &Ended, service: &simulator::Report) -> Vec<String> {
    let sound = ended.counters;
    vec![
        String::new(),
        format!("tracks:  {} played", service.tracks),
        format!(
            "gaps:    {} ({} tracks followed without one), xruns: {}, stalls: {}",
            sound.boundaries_silent, sound.boundaries_gapless, sound.xruns, sound.stalls
        ),
        format!(
            "events:  {} sent in order, {} waiting, {} refused; the service found {} violations",
            service.events, ended.waiting, service.refused, service.violations
        ),
    ]
}
