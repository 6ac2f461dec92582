//! Asks a sound device what it can do, for `tonearm check`. It plays nothing; playing is the audio path's business.

use std::io;

use alsa::pcm::{Access, Format, HwParams, PCM};
use alsa::{Direction, Output};
use rustix::io::Errno;

use super::board::{OutputSetup, PACED};
use super::check::Finding;

/// The formats that the audio path can write, best first.
const FORMATS: [(&str, Format); 4] = [
    ("S32_LE", Format::S32LE),
    ("S24_3LE", Format::S243LE),
    ("S24_LE", Format::S24LE),
    ("S16_LE", Format::S16LE),
];
/// The rates that music comes in.
const RATES_HZ: [u32; 6] = [44_100, 48_000, 88_200, 96_000, 176_400, 192_000];

/// What a device can do of what music needs.
struct Abilities {
    formats: Vec<&'static str>,
    rates_hz: Vec<u32>,
}

/// Opens the device and says what it can do.
pub fn finding(setup: &OutputSetup) -> Finding {
    let what = "sound";
    if setup.pcm == PACED {
        return Finding::well(what, "no device: plays silently at the pace of one");
    }
    // libasound writes its own lines to the terminal unless somebody else takes them.
    let _quiet = Output::local_error_handler();
    match abilities(setup) {
        Err(error) => {
            Finding::wrong(what, format!("open pcm {}: {}", setup.pcm, io_error(&error))).remedied(remedy(&error))
        }
        Ok(Abilities { formats, rates_hz }) if formats.is_empty() || rates_hz.is_empty() => {
            let text = format!("pcm {}: takes none of the usual formats and rates in stereo", setup.pcm);
            Finding::wrong(what, text).remedied("name it \"plughw:…\" to let ALSA convert")
        }
        Ok(Abilities { formats, rates_hz }) => {
            let rates: Vec<_> = rates_hz.iter().map(u32::to_string).collect();
            Finding::well(
                what,
                format!("pcm {}: {}; {} Hz", setup.pcm, formats.join(" "), rates.join(" ")),
            )
        }
    }
}

fn abilities(setup: &OutputSetup) -> alsa::Result<Abilities> {
    let pcm = PCM::new(&setup.pcm, Direction::Playback, true)?;
    let space = HwParams::any(&pcm)?;
    space.set_access(Access::RWInterleaved)?;
    space.set_channels(2)?;
    let formats = FORMATS
        .into_iter()
        .filter(|(_, format)| space.test_format(*format).is_ok());
    Ok(Abilities {
        formats: formats.map(|(name, _)| name).collect(),
        rates_hz: RATES_HZ
            .into_iter()
            .filter(|rate| space.test_rate(*rate).is_ok())
            .collect(),
    })
}

/// Some calls of the library report the error number with the opposite sign.
fn number(error: &alsa::Error) -> i32 {
    error.errno().abs()
}

fn io_error(error: &alsa::Error) -> io::Error {
    io::Error::from_raw_os_error(number(error))
}

fn remedy(error: &alsa::Error) -> &'static str {
    let number = Errno::from_raw_os_error(number(error));
    if number == Errno::BUSY {
        "another program plays through it; stop it, or the running speaker, and check again"
    } else if number == Errno::ACCESS || number == Errno::PERM {
        "add the user to the group \"audio\""
    } else {
        "aplay -L lists the devices; on a Raspberry Pi, is the DAC's overlay in config.txt?"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::check::State;

    #[test]
    fn a_device_without_hardware_says_what_it_can_do() {
        let finding = finding(&OutputSetup::of("null"));
        assert_eq!(finding.state, State::Well);
        assert!(
            finding.text.starts_with("pcm null: S32_LE ") && finding.text.contains("44100 48000"),
            "{finding}"
        );
    }

    #[test]
    fn a_device_that_is_not_there_is_named_with_the_way_out() {
        let text = finding(&OutputSetup::of("hw:CARD=NoSuchCard")).to_string();
        assert!(text.starts_with("WRONG sound: open pcm hw:CARD=NoSuchCard: "), "{text}");
        assert!(text.contains("aplay -L lists the devices"), "{text}");
    }
}
