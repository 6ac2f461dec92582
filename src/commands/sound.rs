//! The sound device, as the board file names it; and bring-up of one piece of hardware without a service.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

use crate::audio::{
    self, Alsa, AlsaMixer, AlsaSettings, Amplified, Amplifier, Chimer, Converter, Fader, Knob, Output, Paced, Rates,
};
use crate::cli::{ChimeChoice, PlayToneArgs};
use crate::config::{Chimes, Config};
use crate::device::amplifier;
use crate::device::board::{Board, MixerSetup, OutputSetup, pace};
use crate::device::check::Finding;
use crate::device::sound::{self, DacRange};
use crate::device::watch;
use crate::media::dash::Limits;
use crate::service::Quality;

/// Rate of the test tone: what nearly every device runs at.
const TONE_RATE_HZ: u32 = 48_000;
/// What every converter plays.
const USUAL_RATE_MAX_HZ: u32 = 48_000;
/// Likewise.
const USUAL_BITS_MAX: u32 = 16;

/// The output a board names, with its volume, and with chimes behind that: they are heard at volume 0, too.
pub fn output(setup: &OutputSetup, chimes: Chimes) -> Box<dyn Output + Send> {
    let device: Box<dyn Output + Send> = if let Some(times) = pace(&setup.pcm) {
        Box::new(Paced::new(times))
    } else {
        let usual = AlsaSettings::new(&setup.pcm);
        Box::new(Alsa::new(AlsaSettings {
            period_frames: setup.period_frames,
            periods: setup.periods.unwrap_or(usual.periods),
            ..usual
        }))
    };
    let device = match setup.amplifier.clone() {
        Some(amplifier) => {
            let wake = amplifier.wake;
            let mut line = amplifier::Amplifier::new(amplifier);
            let switch = Box::new(move |to| line.switch(to == Amplifier::On));
            Box::new(Amplified::new(device, wake, switch))
        }
        None => device,
    };
    let rates = setup.rate_hz.map_or(Rates::Reopen, Rates::Fixed);
    let device: Box<dyn Output + Send> = Box::new(Converter::new(device, rates));
    let device = match chimes {
        Chimes::On => Box::new(Chimer::new(device)),
        Chimes::Off => device,
    };
    let device = Box::new(Fader::new(device));
    match hardware_volume(setup) {
        Some(Ok((control, min_db))) => match Knob::new(device, control, min_db) {
            Ok(knob) => Box::new(knob),
            Err(error) => in_software(setup, chimes, &error.to_string()),
        },
        Some(Err(error)) => {
            log::warn!("{error}; the volume is set in software");
            device
        }
        None => device,
    }
}

fn in_software(setup: &OutputSetup, chimes: Chimes, error: &str) -> Box<dyn Output + Send> {
    log::warn!("start the thread of the mixer: {error}; the volume is set in software");
    let setup = OutputSetup {
        mixer: MixerSetup::Software,
        ..setup.clone()
    };
    output(&setup, chimes)
}

/// The control of the card that sets the volume, and the bottom of its scale, if the board names one.
fn hardware_volume(setup: &OutputSetup) -> Option<Result<(Box<AlsaMixer>, f64), String>> {
    let MixerSetup::Hardware {
        control,
        card,
        range_db,
    } = &setup.mixer
    else {
        return None;
    };
    // Without a device there is nothing to be quieter.
    if pace(&setup.pcm).is_some() {
        return None;
    }
    let card = card.as_deref().unwrap_or_else(|| card_of(&setup.pcm));
    let mixer = AlsaMixer::open(card, control);
    Some(mixer.map(|mixer| (Box::new(mixer), -f64::from(*range_db))))
}

/// The name of the controls of a PCM's card.
fn card_of(pcm: &str) -> &str {
    let card = pcm.strip_prefix("plug").unwrap_or(pcm);
    card.split_once(',').map_or(card, |(card, _)| card)
}

/// What `tonearm check` says of a volume in hardware; nothing where the board has none.
pub fn mixer_finding(setup: &OutputSetup) -> Option<Finding> {
    let MixerSetup::Hardware { control, range_db, .. } = &setup.mixer else {
        return None;
    };
    Some(match hardware_volume(setup)? {
        Ok(_) => Finding::well("mixer", format!("{control:?}, {range_db} dB")),
        Err(error) => Finding::wrong("mixer", error)
            .remedied("amixer -c CARD scontrols lists the controls; until then the volume is set in software"),
    })
}

/// The output somebody asks for; else the board's if it is there; else the paced one. And what to tell about it.
#[cfg(feature = "simulator")]
pub fn output_or_paced(asked: Option<&str>, setup: &OutputSetup, chimes: Chimes) -> (Box<dyn Output + Send>, String) {
    use crate::device::board::PACED;
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

/// What the service is asked for: nothing that the board's converter does not play as it is, because nobody here
/// converts. A quality counts only if all that comes in it is played: up to 24 bits and 192 kHz in the highest. What
/// cannot be asked (a plugin, a sound server, a card that is busy or absent) is taken for what every converter plays;
/// the next start asks again. Never more than two channels.
pub fn qualities(setup: &OutputSetup) -> Vec<Quality> {
    match sound::dac_range(setup) {
        Ok(range) => {
            log::info!("pcm {} plays as it is: {range}", setup.pcm);
            qualities_within(range)
        }
        Err(error) => {
            log::info!("{error}; the service is asked for no more than 16 bits");
            vec![Quality::Standard, Quality::High]
        }
    }
}

/// What representations are chosen among: what the board's converter plays as it is, or what every one plays, in the
/// sense of [`qualities`].
pub fn limits(setup: &OutputSetup) -> Limits {
    match sound::dac_range(setup) {
        // One that does not even play a CD's rate converts; what it is given then matters little.
        Ok(range) if range.rate_max_hz > 0 => Limits {
            rate_max_hz: range.rate_max_hz,
            bits_max: u8::try_from(range.bits_max).unwrap_or(u8::MAX),
        },
        Ok(_) | Err(_) => Limits {
            rate_max_hz: setup.rate_max_hz.unwrap_or(u32::MAX).min(USUAL_RATE_MAX_HZ),
            bits_max: u8::try_from(setup.bits_max.unwrap_or(u32::MAX).min(USUAL_BITS_MAX)).unwrap_or(u8::MAX),
        },
    }
}

fn qualities_within(range: DacRange) -> Vec<Quality> {
    let plays = |bits, rate_hz| range.bits_max >= bits && range.rate_max_hz >= rate_hz;
    let mut qualities = vec![Quality::Standard];
    if plays(16, 44_100) {
        qualities.push(Quality::High);
    }
    if plays(24, 192_000) {
        qualities.push(Quality::Ultra);
    }
    qualities
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::board::PACED;

    #[test]
    fn a_quality_is_asked_for_only_if_all_that_comes_in_it_is_played() {
        let asked = |bits_max, rate_max_hz| qualities_within(DacRange { bits_max, rate_max_hz });
        let (standard, high, ultra) = (Quality::Standard, Quality::High, Quality::Ultra);
        assert_eq!(asked(32, 192_000), [standard, high, ultra]);
        assert_eq!(asked(24, 96_000), [standard, high]);
        assert_eq!(asked(16, 192_000), [standard, high]);
        assert_eq!(asked(24, 44_100), [standard, high]);
        assert_eq!(asked(24, 0), [standard]);
    }

    #[test]
    fn a_device_that_is_no_card_is_asked_for_what_every_converter_plays() {
        for pcm in ["null", "default", PACED, "hw:CARD=NoSuchCard"] {
            let asked = qualities(&OutputSetup::of(pcm));
            assert_eq!(asked, [Quality::Standard, Quality::High], "{pcm}");
        }
    }

    #[test]
    fn the_controls_of_a_card_go_by_the_card_s_name() {
        assert_eq!(card_of("hw:CARD=DAC"), "hw:CARD=DAC");
        assert_eq!(card_of("plughw:CARD=DAC,DEV=0"), "hw:CARD=DAC");
        assert_eq!(card_of("default"), "default");
    }

    #[test]
    fn a_volume_in_hardware_that_is_not_there_is_wrong_and_the_sound_does_without() {
        let setup = OutputSetup {
            mixer: MixerSetup::Hardware {
                control: "Digital".to_owned(),
                card: None,
                range_db: 60,
            },
            ..OutputSetup::of("hw:CARD=NoSuchCard")
        };
        let text = mixer_finding(&setup).unwrap().to_string();
        assert!(
            text.starts_with("WRONG mixer: open the mixer of hw:CARD=NoSuchCard: "),
            "{text}"
        );
        assert!(
            output(&setup, Chimes::Off).open(44_100).is_err(),
            "there is no such card"
        );
        assert_eq!(mixer_finding(&OutputSetup::of("hw:0")), None);
    }
}
