//! The sound device, as the board file names it; and bring-up of one piece of hardware without a service.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

use crate::audio::{self, Alsa, AlsaSettings, Chimer, Fader, Output, Paced};
use crate::cli::{ChimeChoice, PlayToneArgs};
use crate::config::{Chimes, Config};
use crate::device::board::{Board, OutputSetup, PACED};
use crate::device::watch;

/// Rate of the test tone: what nearly every device runs at.
const TONE_RATE_HZ: u32 = 48_000;

/// The output a board names, with its volume, and with chimes behind that: they are heard at volume 0, too.
pub fn output(setup: &OutputSetup, chimes: Chimes) -> Box<dyn Output + Send> {
    let device: Box<dyn Output + Send> = if setup.pcm == PACED {
        Box::new(Paced::new(1))
    } else {
        let usual = AlsaSettings::new(&setup.pcm);
        Box::new(Alsa::new(AlsaSettings {
            period_frames: setup.period_frames,
            periods: setup.periods.unwrap_or(usual.periods),
            ..usual
        }))
    };
    let device = match chimes {
        Chimes::On => Box::new(Chimer::new(device)),
        Chimes::Off => device,
    };
    Box::new(Fader::new(device))
}

/// The output somebody asks for; else the board's if it is there; else the paced one. And what to tell about it.
#[cfg(feature = "simulator")]
pub fn output_or_paced(asked: Option<&str>, setup: &OutputSetup, chimes: Chimes) -> (Box<dyn Output + Send>, String) {
    let asked_pcm = asked.unwrap_or(&setup.pcm);
    let (pcm, told) = if asked_pcm == PACED {
        (PACED, "none, at the pace of one (--output paced)".to_owned())
    } else if asked.is_none() && !audio::is_present(asked_pcm) {
        let told = format!("none: ALSA's device {asked_pcm:?} does not open here; playing silently at its pace");
        (PACED, told)
    } else {
        (asked_pcm, format!("ALSA {asked_pcm:?}"))
    };
    let setup = OutputSetup {
        pcm: pcm.to_owned(),
        ..setup.clone()
    };
    (output(&setup, chimes), told)
}

/// Plays a tone through the board's device.
pub fn play_tone(args: &PlayToneArgs) -> anyhow::Result<()> {
    let config = Config::load(args.config.config.as_deref())?;
    let board = Board::load(&config.board)?;
    let pcm = args.output.clone().unwrap_or_else(|| board.output.pcm.clone());
    let mut output = output(&OutputSetup { pcm, ..board.output }, Chimes::On);
    if let Some(ChimeChoice(chimes)) = &args.chime {
        for chime in chimes {
            writeln!(io::stdout(), "{}", chime.name()).context("print the name of a chime")?;
            audio::play_chime(output.as_mut(), TONE_RATE_HZ, *chime).context("sound a chime")?;
        }
        return Ok(());
    }
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
