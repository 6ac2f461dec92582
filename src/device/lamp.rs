//! One lamp: a kernel LED or a GPIO line. It can be on or off, and it may fail; that is logged once.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::board::{GpioOutput, LightSetup, Pin};
use super::gpio_cdev::{self, CdevError};
use super::gpio_rppal::{self, RppalError};

/// Why a lamp does not work.
#[derive(Debug, Error)]
pub enum LampError {
    /// A kernel LED.
    #[error("light {}: {source}{}", .path.display(), remedy(.source))]
    Led {
        /// The file that was read or written.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A line of a chip cannot be had.
    #[error(transparent)]
    Cdev(#[from] CdevError),
    /// A pin of the header cannot be had.
    #[error(transparent)]
    Rppal(#[from] RppalError),
    /// A line that was there is gone.
    #[error("light on a gpio line: {0}")]
    Gone(io::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::NotFound {
        "; ls /sys/class/leds lists the lights of this machine"
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        "; let a udev rule give the user write access to it, or run as root"
    } else {
        ""
    }
}

enum Driver {
    Led { brightness: PathBuf, max: u32 },
    Cdev(gpio_cdev::Output),
    Rppal(gpio_rppal::Output),
}

impl Driver {
    fn open(setup: &LightSetup) -> Result<Self, LampError> {
        match setup {
            LightSetup::Led(folder) => open_led(folder),
            LightSetup::Gpio(GpioOutput {
                pin: Pin::Cdev { chip, line },
                active,
            }) => Ok(Self::Cdev(gpio_cdev::Output::open(chip.as_deref(), line, *active)?)),
            LightSetup::Gpio(GpioOutput {
                pin: Pin::Rppal(pin),
                active,
            }) => Ok(Self::Rppal(gpio_rppal::Output::open(*pin, *active)?)),
        }
    }

    fn set(&mut self, on: bool) -> Result<(), LampError> {
        match self {
            Self::Led { brightness, max } => {
                let value = if on { *max } else { 0 };
                let written = std::fs::write(&brightness, value.to_string());
                written.map_err(|source| LampError::Led {
                    path: brightness.clone(),
                    source,
                })
            }
            Self::Cdev(output) => output.set(on).map_err(LampError::Gone),
            Self::Rppal(output) => {
                output.set(on);
                Ok(())
            }
        }
    }
}

/// Takes a kernel LED over from whatever blinks it (card activity, on most boards).
fn open_led(folder: &Path) -> Result<Driver, LampError> {
    let max = brightest(folder)?;
    let path = folder.join("trigger");
    std::fs::write(&path, "none").map_err(|source| LampError::Led { path, source })?;
    Ok(Driver::Led {
        brightness: folder.join("brightness"),
        max,
    })
}

fn brightest(folder: &Path) -> Result<u32, LampError> {
    let path = folder.join("max_brightness");
    let bad = |text: &str| io::Error::new(io::ErrorKind::InvalidData, format!("found {text:?}, expected a number"));
    let text = std::fs::read_to_string(&path);
    let max = text.and_then(|text| text.trim().parse().map_err(|_| bad(text.trim())));
    max.map_err(|source| LampError::Led { path, source })
}

/// Tries whether the lamp can be had. A LED goes on showing what it shows.
///
/// # Errors
/// Why it cannot be had, with the way out.
pub fn try_out(setup: &LightSetup) -> Result<(), LampError> {
    match setup {
        LightSetup::Led(folder) => {
            brightest(folder)?;
            for name in ["trigger", "brightness"] {
                let path = folder.join(name);
                let opened = std::fs::File::options().write(true).open(&path);
                opened.map_err(|source| LampError::Led { path, source })?;
            }
            Ok(())
        }
        LightSetup::Gpio(_) => Driver::open(setup).map(drop),
    }
}

/// A lamp that is opened when it is first used and survives being away.
pub struct Lamp {
    setup: LightSetup,
    driver: Option<Driver>,
    on: Option<bool>,
    /// The last trouble that was logged, so that each is logged once.
    told: Option<String>,
}

impl Lamp {
    /// The lamp of `setup`, not yet opened.
    pub fn new(setup: LightSetup) -> Self {
        Self {
            setup,
            driver: None,
            on: None,
            told: None,
        }
    }

    /// Shows `on`. One that failed is opened again only with `retry`, so that blinking does not hammer on it.
    pub fn set(&mut self, on: bool, retry: bool) {
        if self.driver.is_none() && (retry || self.told.is_none()) {
            match Driver::open(&self.setup) {
                Ok(driver) => self.driver = Some(driver),
                Err(error) => self.tell(&error),
            }
        }
        if self.on == Some(on) {
            return;
        }
        let Some(driver) = &mut self.driver else { return };
        match driver.set(on) {
            Ok(()) => {
                self.on = Some(on);
                self.told = None;
            }
            Err(error) => {
                self.driver = None;
                self.on = None;
                self.tell(&error);
            }
        }
    }

    fn tell(&mut self, error: &LampError) {
        let text = error.to_string();
        if self.told.as_ref() != Some(&text) {
            log::warn!("{text}");
            self.told = Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("max_brightness"), "31\n").unwrap();
        std::fs::write(folder.path().join("trigger"), "[mmc0] none\n").unwrap();
        std::fs::write(folder.path().join("brightness"), "3\n").unwrap();
        folder
    }

    fn brightness(folder: &Path) -> String {
        std::fs::read_to_string(folder.join("brightness")).unwrap()
    }

    #[test]
    fn a_led_is_taken_over_and_shines_at_its_brightest() {
        let folder = led();
        let mut lamp = Lamp::new(LightSetup::Led(folder.path().to_owned()));
        lamp.set(true, true);
        assert_eq!(brightness(folder.path()), "31");
        assert_eq!(std::fs::read_to_string(folder.path().join("trigger")).unwrap(), "none");
        lamp.set(false, false);
        assert_eq!(brightness(folder.path()), "0");
    }

    #[test]
    fn the_same_again_is_not_written_again() {
        let folder = led();
        let mut lamp = Lamp::new(LightSetup::Led(folder.path().to_owned()));
        lamp.set(true, true);
        std::fs::write(folder.path().join("brightness"), "untouched").unwrap();
        lamp.set(true, true);
        assert_eq!(brightness(folder.path()), "untouched");
    }

    #[test]
    fn a_lamp_that_comes_back_shines_with_the_next_scene() {
        let folder = led();
        let away = folder.path().join("away");
        let mut lamp = Lamp::new(LightSetup::Led(away.clone()));
        lamp.set(true, true);
        assert!(
            lamp.told.as_ref().unwrap().contains("ls /sys/class/leds"),
            "{:?}",
            lamp.told
        );
        std::fs::create_dir(&away).unwrap();
        for name in ["max_brightness", "trigger", "brightness"] {
            std::fs::copy(folder.path().join(name), away.join(name)).unwrap();
        }
        lamp.set(true, false);
        assert_eq!(brightness(&away), "3\n", "not before the next scene");
        lamp.set(true, true);
        assert_eq!(brightness(&away), "31");
    }

    #[test]
    fn a_led_without_a_sensible_brightness_is_refused() {
        let folder = led();
        std::fs::write(folder.path().join("max_brightness"), "bright").unwrap();
        let error = try_out(&LightSetup::Led(folder.path().to_owned()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("max_brightness: found \"bright\""), "{error}");
    }
}
