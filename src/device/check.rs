//! What `tonearm check` says of the board: each device is opened once, nothing is changed, nothing is played.

use std::fmt;
use std::path::Path;

use evdev::KeyCode;

use super::amplifier::{self, AmplifierError};
use super::board::{AmplifierSetup, Board, ButtonSetup, LightSetup, Pin, Wiring};
use super::clock::{Reading, Trust};
use super::evdev as keys;
use super::gpio_cdev::{self, CdevError};
use super::gpio_rppal;
use super::lamp::{self, LampError};
use super::{action, sound};

/// One line of the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// Whether it is as it should be.
    pub state: State,
    /// What was found.
    pub text: String,
    /// What to do; `None` where nothing is to be done, or where `text` says it already.
    pub remedy: Option<String>,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is.
    Well,
    /// It is not; the check as a whole fails.
    Wrong,
}

impl Finding {
    /// Something is as it should be.
    pub fn well(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            state: State::Well,
            text: text.into(),
            remedy: None,
        }
    }

    /// Something is not as it should be; `text` may end with the way out.
    pub fn wrong(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            state: State::Wrong,
            text: text.into(),
            remedy: None,
        }
    }

    /// The same with a way out.
    #[must_use]
    pub fn remedied(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Well => "ok   ",
            State::Wrong => "WRONG",
        };
        write!(f, "{state} {}: {}", self.what, self.text)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

/// Looks at the board, its sound device, buttons and lights, and at the clock.
pub fn findings(board: &Board) -> Vec<Finding> {
    let counts = format!(
        "{:?}, {} buttons, {} lights",
        board.name,
        board.buttons.len(),
        board.lights.len()
    );
    let mut findings = vec![Finding::well("board", counts), sound::finding(&board.output)];
    findings.extend(board.output.amplifier.as_ref().map(amplifier));
    findings.extend(buttons(board));
    findings.extend(
        board
            .lights
            .iter()
            .enumerate()
            .map(|(index, setup)| light(index, setup)),
    );
    findings.push(clock(Reading::take()));
    findings
}

/// Looks at the buttons of the board only.
pub fn buttons(board: &Board) -> impl Iterator<Item = Finding> {
    let folder = Path::new(keys::FOLDER);
    board
        .buttons
        .iter()
        .enumerate()
        .map(move |(index, setup)| button(index, setup, folder))
}

/// The running speaker holds its own lines; that is as it should be.
fn is_held_by_us(error: &CdevError) -> bool {
    matches!(error, CdevError::InUse { user, .. } if user == gpio_cdev::CONSUMER)
}

fn button(index: usize, setup: &ButtonSetup, input_folder: &Path) -> Finding {
    let action = action::word_of(setup.press).unwrap_or_default();
    let hold = setup
        .hold
        .and_then(action::word_of)
        .map_or(String::new(), |hold| format!(", held: {hold}"));
    let what = format!("button {} ({action}{hold})", index + 1);
    let wiring = &setup.wiring;
    match wiring {
        Wiring::Key(key) => key_finding(what, *key, input_folder),
        Wiring::Gpio(input) => match &input.pin {
            Pin::Cdev { chip, line } => match gpio_cdev::open_input(input, chip.as_deref(), line) {
                Ok(_request) => Finding::well(what, wiring.to_string()),
                Err(error) if is_held_by_us(&error) => {
                    Finding::well(what, format!("{wiring}, held by the running speaker"))
                }
                Err(error) => Finding::wrong(what, error.to_string()),
            },
            Pin::Rppal(pin) => match gpio_rppal::open_input(*pin, input) {
                Ok(_pin) => Finding::well(what, wiring.to_string()),
                Err(error) => Finding::wrong(what, error.to_string()),
            },
        },
    }
}

fn key_finding(what: String, key: KeyCode, folder: &Path) -> Finding {
    let mut refused = None;
    for path in keys::devices(folder) {
        match keys::open(&path) {
            Ok(device) if device.supported_keys().is_some_and(|keys| keys.contains(key)) => {
                let name = device.name().unwrap_or("no name");
                return Finding::well(what, format!("key {key:?} of {} ({name})", path.display()));
            }
            Ok(_) => {}
            Err(error) => refused = Some(format!("open {}: {error}", path.display())),
        }
    }
    let text = format!("no input device has the key {key:?} now");
    match refused {
        Some(refused) => {
            Finding::wrong(what, format!("{text} ({refused})")).remedied("add the user to the group \"input\"")
        }
        None => Finding::wrong(what, text).remedied("plug the keyboard in, or add the gpio-key overlay to config.txt"),
    }
}

fn light(index: usize, setup: &LightSetup) -> Finding {
    let what = format!("light {}", index + 1);
    let text = match setup {
        LightSetup::Led(folder) => folder.display().to_string(),
        LightSetup::Gpio(output) => output.pin.to_string(),
    };
    match lamp::try_out(setup) {
        Ok(()) => Finding::well(what, text),
        Err(LampError::Cdev(error)) if is_held_by_us(&error) => {
            Finding::well(what, format!("{text}, held by the running speaker"))
        }
        Err(error) => Finding::wrong(what, error.to_string()),
    }
}

fn amplifier(setup: &AmplifierSetup) -> Finding {
    let what = "amplifier";
    let text = setup.line.pin.to_string();
    match amplifier::try_out(setup) {
        Ok(()) => Finding::well(what, text),
        Err(AmplifierError::Cdev(error)) if is_held_by_us(&error) => {
            Finding::well(what, format!("{text}, held by the running speaker"))
        }
        Err(error) => Finding::wrong(what, error.to_string()),
    }
}

fn clock(reading: Reading) -> Finding {
    let utc =
        jiff::Timestamp::from_millisecond(reading.wall_ms).map_or_else(|_| String::new(), |time| format!("{time:.0}"));
    match reading.trust {
        Trust::Synchronised => Finding::well("clock", utc),
        Trust::Doubtful => Finding::wrong("clock", format!("{utc} is not set by the network yet"))
            .remedied("events wait until it is; timedatectl shows whether the time service reaches its server"),
    }
}

#[cfg(test)]
mod tests {
    use tonearm_core::unit::Moment;

    use super::*;
    use crate::device::board::{GpioInput, Level, Line};

    #[test]
    fn a_finding_is_one_line_that_ends_with_the_way_out() {
        let finding = Finding::wrong("clock", "it is late").remedied("wait");
        assert_eq!(finding.to_string(), "WRONG clock: it is late; wait");
        assert_eq!(Finding::well("clock", "noon").to_string(), "ok    clock: noon");
    }

    #[test]
    fn a_doubtful_clock_is_wrong() {
        let reading = Reading {
            at: Moment(1),
            wall_ms: 0,
            trust: Trust::Doubtful,
        };
        let text = clock(reading).to_string();
        assert!(
            text.starts_with("WRONG clock: 1970-01-01T00:00:00Z is not set"),
            "{text}"
        );
    }

    #[test]
    fn a_key_that_no_device_has_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let finding = key_finding("button 1".to_owned(), KeyCode::KEY_NEXTSONG, folder.path());
        assert_eq!(finding.state, State::Wrong);
        assert!(finding.text.contains("KEY_NEXTSONG"), "{finding}");
    }

    #[test]
    fn a_line_that_the_speaker_itself_holds_is_well() {
        let held = |user: &str| CdevError::InUse {
            chip: "c".to_owned(),
            line: "1".to_owned(),
            user: user.to_owned(),
        };
        assert!(is_held_by_us(&held("tonearm")));
        assert!(!is_held_by_us(&held("gpio-keys")));
    }

    #[test]
    fn a_gpio_button_without_its_chip_is_wrong() {
        let pin = Pin::Cdev {
            chip: Some("gpiochip999".to_owned()),
            line: Line::Number(1),
        };
        let bias = crate::device::board::Bias::Off;
        let wiring = Wiring::Gpio(GpioInput {
            pin,
            active: Level::Low,
            bias,
            debounce: None,
        });
        let setup = ButtonSetup {
            press: tonearm_core::input::Press::Play,
            hold: None,
            wiring,
        };
        let text = button(0, &setup, Path::new("/nowhere")).to_string();
        assert!(
            text.starts_with("WRONG button 1 (play): gpio chip gpiochip999: there is none"),
            "{text}"
        );
    }
}
