//! Asks a sound device what it can do: for `tonearm check`, and for what is asked of the service. It plays nothing;
//! playing is the audio path's business.

use std::fmt;
use std::io;

use alsa::pcm::{Access, Format, HwParams, PCM};
use alsa::{Direction, Output};
use rustix::io::Errno;
use thiserror::Error;

use super::board::{OutputSetup, pace};
use super::check::Finding;

/// The formats that the audio path can write, best first, with the bits of a sample that reach the converter.
const FORMATS: [(&str, Format, u32); 4] = [
    ("S32_LE", Format::S32LE, 32),
    ("S24_3LE", Format::S243LE, 24),
    ("S24_LE", Format::S24LE, 24),
    ("S16_LE", Format::S16LE, 16),
];
/// The rates that music comes in.
const RATES_HZ: [u32; 6] = [44_100, 48_000, 88_200, 96_000, 176_400, 192_000];
/// How a PCM begins that is a card itself.
const CARD: &str = "hw:";

/// What a converter plays as it is: no rate is converted, no bit is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DacRange {
    /// Bits of a sample.
    pub bits_max: u32,
    /// Every rate that music comes in is played up to this one; 0: not even a CD's.
    pub rate_max_hz: u32,
}

/// Why nothing is known of a converter.
#[derive(Debug, Error)]
pub enum RangeError {
    /// Plugins and sound servers take everything and convert it as they like.
    #[error("pcm {pcm} is no card itself and may convert what it takes; pcm = \"hw:…\" names one that is asked")]
    Indirect {
        /// The device.
        pcm: String,
    },
    /// It is absent, or somebody has it.
    #[error("ask pcm {pcm} what it plays: {reason}; {}", remedy(*.reason))]
    Unasked {
        /// The device.
        pcm: String,
        /// What ALSA said.
        reason: Errno,
    },
}

/// What a device takes of what music needs.
struct Abilities {
    formats: Vec<(&'static str, u32)>,
    rates_hz: Vec<u32>,
}

impl DacRange {
    fn of(abilities: &Abilities, setup: &OutputSetup) -> Self {
        let bits = abilities.formats.iter().map(|(_, bits)| *bits).max().unwrap_or(0);
        let limits = [setup.rate_max_hz, setup.rate_hz];
        let rate_limit = limits.into_iter().flatten().min().unwrap_or(u32::MAX);
        let is_played = |rate: &&u32| abilities.rates_hz.contains(*rate) && **rate <= rate_limit;
        Self {
            bits_max: bits.min(setup.bits_max.unwrap_or(u32::MAX)),
            rate_max_hz: RATES_HZ.iter().take_while(is_played).last().copied().unwrap_or(0),
        }
    }
}

impl fmt::Display for DacRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "every rate up to {} Hz, {} bits", self.rate_max_hz, self.bits_max)
    }
}

/// What the board's converter plays as it is, within the limits of the board file. The device is opened for a moment.
///
/// # Errors
/// It is not a card itself, is not there, or somebody has it: nothing is known of it then.
pub fn dac_range(setup: &OutputSetup) -> Result<DacRange, RangeError> {
    let pcm = || setup.pcm.clone();
    if !setup.pcm.starts_with(CARD) {
        return Err(RangeError::Indirect { pcm: pcm() });
    }
    let _quiet = Output::local_error_handler();
    match abilities(setup) {
        Ok(abilities) => Ok(DacRange::of(&abilities, setup)),
        Err(error) => Err(RangeError::Unasked {
            pcm: pcm(),
            reason: Errno::from_raw_os_error(number(&error)),
        }),
    }
}

/// Opens the device and says what it can do.
pub fn finding(setup: &OutputSetup) -> Finding {
    let what = "sound";
    if pace(&setup.pcm).is_some() {
        return Finding::well(what, "no device: plays silently at the pace of one");
    }
    // libasound writes its own lines to the terminal unless somebody else takes them.
    let _quiet = Output::local_error_handler();
    match abilities(setup) {
        Err(error) => {
            let errno = Errno::from_raw_os_error(number(&error));
            Finding::wrong(what, format!("open pcm {}: {}", setup.pcm, io_error(&error))).remedied(remedy(errno))
        }
        Ok(Abilities { formats, rates_hz }) if formats.is_empty() || rates_hz.is_empty() => {
            let text = format!("pcm {}: takes none of the usual formats and rates in stereo", setup.pcm);
            Finding::wrong(what, text).remedied("name it \"plughw:…\" to let ALSA convert")
        }
        Ok(abilities) => {
            let formats: Vec<_> = abilities.formats.iter().map(|(name, _)| *name).collect();
            let rates: Vec<_> = abilities.rates_hz.iter().map(u32::to_string).collect();
            let exact = if setup.pcm.starts_with(CARD) {
                DacRange::of(&abilities, setup).to_string()
            } else {
                "not known, it may convert".to_owned()
            };
            let (pcm, formats, rates) = (&setup.pcm, formats.join(" "), rates.join(" "));
            Finding::well(what, format!("pcm {pcm}: {formats}; {rates} Hz; as it is: {exact}"))
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
        .filter(|(_, format, _)| space.test_format(*format).is_ok());
    Ok(Abilities {
        formats: formats.map(|(name, _, bits)| (name, bits)).collect(),
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

fn remedy(number: Errno) -> &'static str {
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
    use crate::device::board::PACED;
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

    fn range(bits: &[u32], rates_hz: &[u32], setup: &OutputSetup) -> (u32, u32) {
        let abilities = Abilities {
            formats: bits.iter().map(|bits| ("", *bits)).collect(),
            rates_hz: rates_hz.to_vec(),
        };
        let range = DacRange::of(&abilities, setup);
        (range.bits_max, range.rate_max_hz)
    }

    #[test]
    fn a_rate_counts_only_if_every_rate_below_it_is_played() {
        let card = OutputSetup::of("hw:0");
        assert_eq!(range(&[32, 24, 16], &RATES_HZ, &card), (32, 192_000));
        assert_eq!(range(&[16], &[44_100], &card), (16, 44_100));
        assert_eq!(range(&[24, 16], &[44_100, 48_000, 96_000], &card), (24, 48_000));
        assert_eq!(range(&[16], &[48_000], &card), (16, 0));
        assert_eq!(range(&[], &[], &card), (0, 0));
    }

    #[test]
    fn the_board_file_limits_what_the_driver_says() {
        let limited = OutputSetup {
            bits_max: Some(24),
            rate_max_hz: Some(100_000),
            ..OutputSetup::of("hw:0")
        };
        assert_eq!(range(&[32, 16], &RATES_HZ, &limited), (24, 96_000));
        assert_eq!(range(&[16], &[44_100, 48_000], &limited), (16, 48_000), "never widens");
        let fixed = OutputSetup {
            rate_hz: Some(48_000),
            ..OutputSetup::of("hw:0")
        };
        assert_eq!(
            range(&[32], &RATES_HZ, &fixed),
            (32, 48_000),
            "what lies above is converted"
        );
    }

    #[test]
    fn what_may_convert_is_not_believed() {
        for pcm in ["null", "default", "plughw:0", PACED] {
            let error = dac_range(&OutputSetup::of(pcm)).unwrap_err();
            assert!(matches!(error, RangeError::Indirect { .. }), "{error}");
        }
        let error = dac_range(&OutputSetup::of("hw:CARD=NoSuchCard")).unwrap_err();
        assert!(matches!(error, RangeError::Unasked { .. }), "{error}");
        assert!(error.to_string().contains("aplay -L lists"), "{error}");
    }

    #[test]
    fn a_device_that_is_not_there_is_named_with_the_way_out() {
        let text = finding(&OutputSetup::of("hw:CARD=NoSuchCard")).to_string();
        assert!(text.starts_with("WRONG sound: open pcm hw:CARD=NoSuchCard: "), "{text}");
        assert!(text.contains("aplay -L lists the devices"), "{text}");
    }
}
