//! GPIO lines through the kernel's character device (uAPI v2), on any board.
//!
//! Each line is a request of its own, so that one that is in use does not take the others with it. Lines that cannot be
//! had are reported once with the way out and tried again: a chip's driver may load late.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

use gpiocdev::line::{Bias as LineBias, EdgeDetection, EdgeKind, Offset, Value};
use gpiocdev::{Chip, Request};
use thiserror::Error;
use tonearm_core::id::ButtonId;
use tonearm_core::input::Contact;

use super::board::{Bias, GpioInput, Level, Line, Pin};
use super::edges::{EDGES_AT_ONCE_MAX, Finder, Source};

/// The name under which other programs see our lines (`gpioinfo`).
pub const CONSUMER: &str = "tonearm";

/// Why a line cannot be had.
#[derive(Debug, Error)]
pub enum CdevError {
    /// No chip of that name, path or label.
    #[error("gpio chip {0}: there is none; gpiodetect lists the chips (is the driver loaded?)")]
    NoChip(String),
    /// The chip is there and cannot be opened.
    #[error("open gpio chip {chip}: {source}; add the user to the group \"gpio\", or run as root")]
    Open {
        /// Name, path or label.
        chip: String,
        /// The system's word.
        source: io::Error,
    },
    /// The chip has no line of that number or name.
    #[error("gpio line {line}: {chip} has none like it; gpioinfo lists the lines")]
    NoLine {
        /// Name, path or label, or where it was looked for.
        chip: String,
        /// Number or name.
        line: String,
    },
    /// Another program or driver has it.
    #[error("gpio line {line} of {chip}: in use by {user:?}; stop it or choose another line")]
    InUse {
        /// Name, path or label.
        chip: String,
        /// Number or name.
        line: String,
        /// Who has it, as the kernel knows it.
        user: String,
    },
    /// The kernel refused it.
    #[error("request gpio line {line} of {chip}: {source}")]
    Refused {
        /// Name, path or label.
        chip: String,
        /// Number or name.
        line: String,
        /// The kernel's word.
        source: gpiocdev::Error,
    },
}

/// Opens a chip without losing the reason why it cannot be.
fn open_chip(path: PathBuf, chip: &str) -> Result<Chip, CdevError> {
    std::fs::File::open(&path).map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            CdevError::NoChip(chip.to_owned())
        } else {
            CdevError::Open {
                chip: chip.to_owned(),
                source,
            }
        }
    })?;
    Chip::from_path(path).map_err(|_| CdevError::NoChip(chip.to_owned()))
}

fn chip_of(wanted: &str) -> Result<Chip, CdevError> {
    if wanted.starts_with('/') {
        return open_chip(wanted.into(), wanted);
    }
    let named = PathBuf::from("/dev").join(wanted);
    if named.exists() {
        return open_chip(named, wanted);
    }
    let mut chips = gpiocdev::chip::chips()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|path| Chip::from_path(path).ok());
    let labelled = chips.find(|chip| chip.info().is_ok_and(|info| info.label == wanted));
    labelled.ok_or_else(|| CdevError::NoChip(wanted.to_owned()))
}

/// A line that is there and free.
struct Free {
    chip: PathBuf,
    offset: Offset,
    names: (String, String),
}

fn find(chip: Option<&str>, line: &Line) -> Result<Free, CdevError> {
    let text = line.to_string();
    let no_line = |chip: &str| CdevError::NoLine {
        chip: chip.to_owned(),
        line: text.clone(),
    };
    let (chip, info) = match (chip, line) {
        (Some(name), line) => {
            let chip = chip_of(name)?;
            let info = match line {
                Line::Number(number) => chip.line_info(*number).ok(),
                Line::Name(name) => chip.find_line_info(name),
            };
            (chip.path().to_owned(), info.ok_or_else(|| no_line(name))?)
        }
        (None, Line::Name(name)) => {
            let found = gpiocdev::find_named_line(name).ok_or_else(|| no_line("no gpio chip that may be opened"))?;
            (found.chip, found.info)
        }
        (None, Line::Number(_)) => return Err(no_line("an unnamed chip")),
    };
    let names = (chip.display().to_string(), text);
    if info.used {
        return Err(CdevError::InUse {
            chip: names.0,
            line: names.1,
            user: info.consumer,
        });
    }
    Ok(Free {
        chip,
        offset: info.offset,
        names,
    })
}

fn request(free: Free, mut builder: gpiocdev::request::Builder) -> Result<(Request, Offset), CdevError> {
    let request = builder.on_chip(free.chip).with_consumer(CONSUMER).request();
    let request = request.map_err(|source| CdevError::Refused {
        chip: free.names.0,
        line: free.names.1,
        source,
    })?;
    Ok((request, free.offset))
}

/// A line that drives something.
pub struct Output {
    request: Request,
    offset: Offset,
}

impl Output {
    /// The line as an output that is off.
    ///
    /// # Errors
    /// Why it cannot be had, with the way out.
    pub fn open(chip: Option<&str>, line: &Line, active: Level) -> Result<Self, CdevError> {
        let free = find(chip, line)?;
        let mut builder = Request::builder();
        builder.with_line(free.offset).as_output(Value::Inactive);
        match active {
            Level::Low => builder.as_active_low(),
            Level::High => builder.as_active_high(),
        };
        let (request, offset) = request(free, builder)?;
        Ok(Self { request, offset })
    }

    /// Drives it.
    ///
    /// # Errors
    /// The chip is gone.
    pub fn set(&mut self, on: bool) -> io::Result<()> {
        let value = if on { Value::Active } else { Value::Inactive };
        self.request.set_value(self.offset, value).map_err(io::Error::other)
    }
}

/// Opens a line as an input that reports both edges; also what `tonearm check` tries.
///
/// # Errors
/// Why it cannot be had, with the way out.
pub fn open_input(input: &GpioInput, chip: Option<&str>, line: &Line) -> Result<Request, CdevError> {
    let free = find(chip, line)?;
    let mut builder = Request::builder();
    builder
        .with_line(free.offset)
        .as_input()
        .with_edge_detection(EdgeDetection::BothEdges);
    match input.active {
        Level::Low => builder.as_active_low(),
        Level::High => builder.as_active_high(),
    };
    builder.with_bias(match input.bias {
        Bias::PullUp => LineBias::PullUp,
        Bias::PullDown => LineBias::PullDown,
        Bias::Off => LineBias::Disabled,
    });
    if let Some(debounce) = input.debounce {
        builder.with_debounce_period(debounce);
    }
    Ok(request(free, builder)?.0)
}

/// Looks for the lines of the board's buttons.
pub struct Lines(Vec<Wanted>);

struct Wanted {
    button: ButtonId,
    input: GpioInput,
    name: String,
    /// The last trouble that was logged, so that each is logged once.
    told: Option<String>,
}

impl Lines {
    /// Of the `buttons`, those on a chip's line.
    pub fn of(buttons: impl Iterator<Item = (ButtonId, GpioInput)>) -> Self {
        let wanted = buttons.filter_map(|(button, input)| {
            let Pin::Cdev { chip, line } = &input.pin else {
                return None;
            };
            let chip = chip.as_deref().unwrap_or("any chip");
            let name = format!("button {}, gpio line {line} of {chip}", button.0 + 1);
            Some(Wanted {
                button,
                input,
                name,
                told: None,
            })
        });
        Self(wanted.collect())
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Finder for Lines {
    fn find(&mut self, open: &[&str]) -> Vec<Box<dyn Source>> {
        let mut found: Vec<Box<dyn Source>> = Vec::new();
        for wanted in self.0.iter_mut().filter(|wanted| !open.contains(&wanted.name.as_str())) {
            let Pin::Cdev { chip, line } = &wanted.input.pin else {
                continue;
            };
            match open_input(&wanted.input, chip.as_deref(), line) {
                Ok(request) => {
                    wanted.told = None;
                    log::info!("{}: watched", wanted.name);
                    found.push(Box::new(OpenLine {
                        name: wanted.name.clone(),
                        button: wanted.button,
                        request,
                    }));
                }
                Err(error) => {
                    let error = error.to_string();
                    if wanted.told.as_ref() != Some(&error) {
                        log::warn!("{}: {error}. It is tried again.", wanted.name);
                        wanted.told = Some(error);
                    }
                }
            }
        }
        found
    }

    fn hint(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn is_missing_something(&self, open: &[&str]) -> bool {
        self.0.iter().any(|wanted| !open.contains(&wanted.name.as_str()))
    }
}

struct OpenLine {
    name: String,
    button: ButtonId,
    request: Request,
}

impl Source for OpenLine {
    fn name(&self) -> &str {
        &self.name
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.request.as_fd()
    }

    fn read(&mut self, edge: &mut dyn FnMut(ButtonId, Contact)) -> io::Result<()> {
        // The first read is due: the descriptor was readable, or is in error, which reading tells.
        for _ in 0..EDGES_AT_ONCE_MAX {
            let event = self.request.read_edge_event().map_err(io::Error::other)?;
            // Levels are logical: the kernel has applied the active level.
            let contact = match event.kind {
                EdgeKind::Rising => Contact::Closed,
                EdgeKind::Falling => Contact::Open,
            };
            edge(self.button, contact);
            if !self.request.has_edge_event().map_err(io::Error::other)? {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(chip: Option<&str>, line: &Line) -> String {
        find(chip, line).err().unwrap().to_string()
    }

    #[test]
    fn a_chip_that_is_not_there_is_named() {
        let text = error(Some("gpiochip999"), &Line::Number(1));
        assert!(
            text.starts_with("gpio chip gpiochip999: there is none; gpiodetect"),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_is_no_chip_is_none() {
        let text = error(Some("/dev/null"), &Line::Number(1));
        assert!(text.starts_with("gpio chip /dev/null: there is none"), "{text}");
    }

    #[test]
    fn a_line_name_that_no_chip_has_is_named() {
        let text = error(None, &Line::Name("NO-SUCH-LINE".to_owned()));
        assert!(text.starts_with("gpio line NO-SUCH-LINE: no gpio chip"), "{text}");
    }

    #[test]
    fn a_missing_line_is_looked_for_again() {
        let pin = Pin::Cdev {
            chip: Some("gpiochip999".to_owned()),
            line: Line::Number(1),
        };
        let input = GpioInput {
            pin,
            active: Level::Low,
            bias: Bias::PullUp,
            debounce: None,
        };
        let rppal = GpioInput {
            pin: Pin::Rppal(5),
            ..input.clone()
        };
        let mut lines = Lines::of([(ButtonId(0), input), (ButtonId(1), rppal)].into_iter());
        assert!(lines.find(&[]).is_empty());
        assert!(lines.is_missing_something(&[]));
        assert!(
            !lines.is_missing_something(&["button 1, gpio line 1 of gpiochip999"]),
            "rppal's are not its business"
        );
    }
}
