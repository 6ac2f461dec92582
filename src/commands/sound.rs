//! The sound device, as the board file names it; and bring-up of one piece of hardware without a service.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

use crate::audio::{self, Alsa, AlsaSettings, Fader, Output, Paced};
use crate::cli::PlayToneArgs;
use crate::config::Config;
use crate::device::board::{Board, OutputSetup, PACED};
use crate::device::watch;

/// Rate of the test tone: what nearly every device runs at.
const TONE_RATE_HZ: u32 = 48_000;

/// The output a board names, with its volume.
pub fn output(setup: &OutputSetup) -> Box<dyn Output + Send> {
    if setup.pcm == PACED {
        return paced();
    }
    let usual = AlsaSettings::new(&setup.pcm);
    Box::new(Fader::new(Box::new(Alsa::new(AlsaSettings {
        period_frames: setup.period_frames,
        periods: setup.periods.unwrap_or(usual.periods),
        ..usual
    }))))
}

fn paced() -> Box<dyn Output + Send> {
    Box::new(Fader::new(Box::new(Paced::new(1))))
}

/// The output somebody asks for; else the board's if it is there; else the paced one. And what to tell about it.
#[cfg(feature = "simulator")]
pub fn output_or_paced(asked: Option<&str>, setup: &OutputSetup) -> (Box<dyn Output + Send>, String) {
    let pcm = asked.unwrap_or(&setup.pcm);
    if pcm == PACED {
        return (paced(), "none, at the pace of one (--output paced)".to_owned());
    }
    if asked.is_none() && !audio::is_present(pcm) {
        let told = format!("none: ALSA's device {pcm:?} does not open here; playing silently at its pace");
        return (paced(), told);
    }
    (
        output(&OutputSetup {
            pcm: pcm.to_owned(),
            ..setup.clone()
        }),
        format!("ALSA {pcm:?}"),
    )
}

/// Plays a tone through the board's device.
pub fn play_tone(args: &PlayToneArgs) -> anyhow::Result<()> {
    let config = Config::load(args.config.config.as_deref())?;
    let board = Board::load(&config.board)?;
    let pcm = args.output.clone().unwrap_or_else(|| board.output.pcm.clone());
    let mut output = output(&OutputSetup { pcm, ..board.output });
    let mut told = Ok(());
    audio::play_tone(output.as_mut(), TONE_RATE_HZ, args.seconds, |opened| {
        told = writeln!(
            io::stdout(),
            "{}: {} Hz, {}, periods of {} frames, buffer of {} frames; both channels, then left, then right",
            opened.name,
            opened.rate,
            opened.format,
            opened.period_frames,
            opened.buffer_frames
        );
    })
    .context("play a tone")?;
    told.context("print what the device agreed to")
}

/// Prints every edge of the board's buttons.
pub fn watch_buttons(config: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let board = Board::load(&config.board)?;
    watch::run(&board, &mut io::stdout()).context("watch the buttons")
}
