//! What a product is made of: sound device, buttons, lights. Data only, read from a board file.
//!
//! The document is read by [`crate::document`] (raw), [`Board`] is its checked meaning. What a file may say is what
//! this version does: a key it cannot follow is refused, never ignored. Nothing here touches a device.

use std::path::{Path, PathBuf};
use std::time::Duration;

use evdev::KeyCode;
use tonearm_core::input::Press;

use crate::config::{BoardFile, Chosen};
use crate::document::{self, DocumentError};

mod output;
mod pin;
mod read;

/// The board of a machine that nobody wrote a board file for.
const GENERIC: &str = include_str!("../../board/generic-pc.toml");

/// One product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// For people.
    pub name: String,
    /// The sound device.
    pub output: OutputSetup,
    /// In the order of the file: the place is the button's [`tonearm_core::id::ButtonId`].
    pub buttons: Vec<ButtonSetup>,
    /// All of them show the same.
    pub lights: Vec<LightSetup>,
}

/// In place of a PCM's name: no device at all, but its pace. For machines without a sound card.
pub const PACED: &str = "paced";

/// How many times as fast as real time a device named so plays, if it is none: `paced`, or `paced:20` for tests that have
/// no time.
pub fn pace(pcm: &str) -> Option<u32> {
    match pcm.strip_prefix(PACED)? {
        "" => Some(1),
        faster => faster
            .strip_prefix(':')?
            .parse()
            .ok()
            .filter(|times| (1..=PACE_MAX).contains(times)),
    }
}

/// Faster than any processor decodes.
const PACE_MAX: u32 = 1_000;

/// The sound device. Its formats and rates are asked of the device itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSetup {
    /// Any name ALSA knows: `hw:CARD=DAC`, `default`, `plughw:…`, one from `asound.conf`.
    pub pcm: String,
    /// Frames of a period; `None`: the program's usual length.
    pub period_frames: Option<u32>,
    /// Periods of the device's buffer; `None`: the program's usual number.
    pub periods: Option<u32>,
    /// Bits of a sample that the converter plays at most; `None`: what its driver says.
    pub bits_max: Option<u32>,
    /// Frames a second that it plays at most; `None`: what its driver says.
    pub rate_max_hz: Option<u32>,
    /// Frames a second that it always runs at; `None`: each entry's own.
    pub rate_hz: Option<u32>,
    /// Who sets the volume.
    pub mixer: MixerSetup,
    /// What is switched on while something sounds; `None`: nothing.
    pub amplifier: Option<AmplifierSetup>,
    /// After so long without sound the amplifier is switched off and the device given back; `None`: never.
    pub idle: Option<Duration>,
}

/// Who sets the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MixerSetup {
    /// The speaker scales the samples.
    Software,
    /// The sound card.
    Hardware {
        /// The control of its mixer, as `amixer scontrols` names it.
        control: String,
        /// The card, as ALSA names its controls (`hw:CARD=DAC`); `None`: that of the PCM.
        card: Option<String>,
        /// Decibels between the loudest level and the quietest above silence.
        range_db: u32,
    },
}

/// An amplifier on a GPIO line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmplifierSetup {
    /// The line, and its level while it is on.
    pub line: GpioOutput,
    /// How long it needs before what it is given is heard.
    pub wake: Duration,
}

/// One button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ButtonSetup {
    /// What pressing it does.
    pub press: Press,
    /// What holding it does, again and again; `None`: nothing more than pressing it.
    pub hold: Option<Press>,
    /// Where its contact is.
    pub wiring: Wiring,
}

/// Where a contact is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// A line of a GPIO chip.
    Gpio(GpioInput),
    /// A key of any input device: keyboard, remote control, `gpio-key` overlay.
    Key(KeyCode),
}

/// A GPIO line that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpioInput {
    /// Which line.
    pub pin: Pin,
    /// Its level while the button is pressed.
    pub active: Level,
    /// What holds it while nothing drives it.
    pub bias: Bias,
    /// The kernel passes an edge on only when the level was steady for this long. `None`: at once, which is what the
    /// speaker's own debouncing wants.
    pub debounce: Option<Duration>,
}

/// A GPIO line that is driven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpioOutput {
    /// Which line.
    pub pin: Pin,
    /// Its level while the light, or the amplifier, is on.
    pub active: Level,
}

/// A GPIO line and who gives access to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The kernel's character device, on any board.
    Cdev {
        /// Name (`gpiochip0`), path or label (`pinctrl-bcm2835`); `None`: the line's name is looked for on every chip.
        chip: Option<String>,
        /// Which line of it.
        line: Line,
    },
    /// The header of a Raspberry Pi, by BCM number.
    Rppal(u8),
}

/// A line of a GPIO chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// By its place.
    Number(u32),
    /// By its name in the device tree (`GPIO17`).
    Name(String),
}

/// Electrical level of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Connected to ground.
    Low,
    /// At supply voltage.
    High,
}

/// What holds a line that nothing drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// The chip's resistor to supply voltage.
    PullUp,
    /// The chip's resistor to ground.
    PullDown,
    /// Neither: the board has a resistor of its own.
    Off,
}

/// One light.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LightSetup {
    /// On a GPIO line.
    Gpio(GpioOutput),
    /// A kernel LED: its folder below `/sys/class/leds`.
    Led(PathBuf),
}

impl Board {
    /// The board of `file`. A file at the usual place that is not there means a PC with its default sound device, and
    /// the log says so; a file that somebody named must be there.
    ///
    /// # Errors
    /// The file cannot be read or has mistakes: all of them, with their lines.
    pub fn load(file: &BoardFile) -> Result<Self, DocumentError> {
        match document::text_of(&file.path) {
            Ok(text) => Self::parse(&file.path, &text),
            Err(error) if file.chosen == Chosen::Usual && error.is_not_found() => {
                log::info!(
                    "no board file at {}: taking this machine for a generic PC",
                    file.path.display()
                );
                Self::generic()
            }
            Err(error) => Err(error),
        }
    }

    /// A machine that nobody wrote a board file for: ALSA's default device and the keys of a keyboard.
    ///
    /// # Errors
    /// None in a program that passed its tests; the built-in file goes through the same checks as any other.
    pub fn generic() -> Result<Self, DocumentError> {
        Self::parse(Path::new("(built-in) generic-pc.toml"), GENERIC)
    }

    /// The meaning of `text`; `path` is only named in mistakes.
    ///
    /// # Errors
    /// Every mistake in it, with its line.
    pub fn parse(path: &Path, text: &str) -> Result<Self, DocumentError> {
        document::read(path, text, read::board)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paced_device_may_be_faster_than_real_time() {
        for (pcm, times) in [
            ("paced", Some(1)),
            ("paced:20", Some(20)),
            ("paced:0", None),
            ("paced:x", None),
            ("hw:0", None),
        ] {
            assert_eq!(pace(pcm), times, "{pcm}");
        }
    }

    fn board_files() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("board");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let is_board = |path: &PathBuf| {
            path.extension().is_some_and(|extension| extension == "toml") && !path.ends_with("tonearm.example.toml")
        };
        files.filter(is_board).collect()
    }

    #[test]
    fn every_board_that_is_shipped_loads() {
        let files = board_files();
        assert!(files.len() >= 5, "{files:?}");
        for path in files {
            let board = Board::load(&BoardFile {
                path: path.clone(),
                chosen: Chosen::Named,
            })
            .unwrap();
            assert!(!board.buttons.is_empty(), "{}: a board without buttons", path.display());
        }
    }

    #[test]
    fn every_board_that_is_shipped_has_the_three_buttons_of_a_speaker() {
        for path in board_files() {
            let board = Board::load(&BoardFile {
                path: path.clone(),
                chosen: Chosen::Named,
            })
            .unwrap();
            for press in [Press::Play, Press::Next, Press::Previous] {
                assert!(
                    board.buttons.iter().any(|button| button.press == press),
                    "{}: {press:?}",
                    path.display()
                );
            }
        }
    }

    #[test]
    fn a_missing_file_at_the_usual_place_is_a_generic_pc() {
        let usual = BoardFile {
            path: "/nowhere/board.toml".into(),
            chosen: Chosen::Usual,
        };
        assert_eq!(Board::load(&usual).unwrap(), Board::generic().unwrap());
        assert!(
            Board::load(&BoardFile {
                chosen: Chosen::Named,
                ..usual
            })
            .is_err()
        );
    }

    #[test]
    fn a_board_file_that_lost_a_line_is_read_or_refused() {
        for path in board_files() {
            let text = std::fs::read_to_string(&path).unwrap();
            for lost in 0..text.lines().count() {
                let kept = text
                    .lines()
                    .enumerate()
                    .filter(|(index, _)| *index != lost)
                    .map(|(_, line)| line);
                let text: Vec<_> = kept.collect();
                if let Err(error) = Board::parse(&path, &text.join("\n")) {
                    assert!(error.to_string().contains("line "), "{error}");
                }
            }
        }
    }
}
