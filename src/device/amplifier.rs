//! The line that switches an amplifier on and off. When that is done is decided elsewhere. A line that cannot be had is
//! logged once with the way out and tried again when it is switched next; the sound goes on.

use super::board::{AmplifierSetup, Pin};
use super::gpio_cdev::{self, CdevError};
use super::gpio_rppal::{self, RppalError};
use thiserror::Error;

/// Why the amplifier cannot be switched.
#[derive(Debug, Error)]
pub enum AmplifierError {
    /// A line of a chip cannot be had.
    #[error("amplifier: {0}")]
    Cdev(#[from] CdevError),
    /// A pin of the header cannot be had.
    #[error("amplifier: {0}")]
    Rppal(#[from] RppalError),
    /// A line that was there is gone.
    #[error("amplifier: switch its gpio line: {0}")]
    Gone(std::io::Error),
}

enum Driver {
    Cdev(gpio_cdev::Output),
    Rppal(gpio_rppal::Output),
}

impl Driver {
    fn open(setup: &AmplifierSetup) -> Result<Self, AmplifierError> {
        let active = setup.line.active;
        Ok(match &setup.line.pin {
            Pin::Cdev { chip, line } => Self::Cdev(gpio_cdev::Output::open(chip.as_deref(), line, active)?),
            Pin::Rppal(pin) => Self::Rppal(gpio_rppal::Output::open(*pin, active)?),
        })
    }

    fn set(&mut self, on: bool) -> Result<(), AmplifierError> {
        match self {
            Self::Cdev(output) => output.set(on).map_err(AmplifierError::Gone),
            Self::Rppal(output) => {
                output.set(on);
                Ok(())
            }
        }
    }
}

/// An amplifier; off until it is switched on, and when it is dropped.
pub struct Amplifier {
    setup: AmplifierSetup,
    driver: Option<Driver>,
    /// The last trouble that was logged, so that each is logged once.
    told: Option<String>,
}

impl Amplifier {
    /// Takes the line and holds it off.
    #[must_use]
    pub fn new(setup: AmplifierSetup) -> Self {
        let mut amplifier = Self {
            setup,
            driver: None,
            told: None,
        };
        amplifier.switch(false);
        amplifier
    }

    /// Switches it.
    pub fn switch(&mut self, on: bool) {
        let switched = match self.driver.take() {
            Some(driver) => Ok(driver),
            None => Driver::open(&self.setup),
        };
        let switched = switched.and_then(|mut driver| driver.set(on).map(|()| driver));
        match switched {
            Ok(driver) => {
                self.driver = Some(driver);
                self.told = None;
            }
            Err(error) => self.tell(&error),
        }
    }

    fn tell(&mut self, error: &AmplifierError) {
        let text = error.to_string();
        if self.told.as_ref() != Some(&text) {
            log::warn!("{text}. It is tried again at the next sound.");
            self.told = Some(text);
        }
    }
}

impl Drop for Amplifier {
    fn drop(&mut self) {
        if self.driver.is_some() {
            self.switch(false);
        }
    }
}

/// Tries whether the line can be had; it is off afterwards.
///
/// # Errors
/// Why not, with the way out.
pub fn try_out(setup: &AmplifierSetup) -> Result<(), AmplifierError> {
    Driver::open(setup).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::device::board::{GpioOutput, Level, Line};

    fn setup() -> AmplifierSetup {
        AmplifierSetup {
            line: GpioOutput {
                pin: Pin::Cdev {
                    chip: Some("gpiochip999".to_owned()),
                    line: Line::Number(25),
                },
                active: Level::High,
            },
            wake: Duration::from_millis(50),
        }
    }

    #[test]
    fn a_line_that_is_not_there_is_told_and_stops_nothing() {
        let mut amplifier = Amplifier::new(setup());
        amplifier.switch(true);
        let told = amplifier.told.clone().unwrap();
        assert!(
            told.starts_with("amplifier: gpio chip gpiochip999: there is none"),
            "{told}"
        );
        assert_eq!(try_out(&setup()).unwrap_err().to_string(), told);
    }
}
