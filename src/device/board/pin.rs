//! The `gpio = { … }` of a board file: which line, through which backend, and what a backend cannot take.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Bias, GpioInput, Level, Line, Pin};
use crate::document::{Table, WholeOrText};

/// Longer than this, presses in quick succession would be lost.
const DEBOUNCE_MS: RangeInclusive<u32> = 1..=100;
/// Lines of the largest GPIO chips.
const LINE_MAX: u32 = 1023;
/// BCM numbers of a Raspberry Pi, compute modules included.
const BCM_MAX: u32 = 53;

/// The level that counts as pressed or lit.
pub fn active(table: &Table) -> Option<Level> {
    table.choice("active", &[("low", Level::Low), ("high", Level::High)])
}

/// A line that is read. `None`: its mistakes are noted.
pub fn input(table: &Table) -> Option<GpioInput> {
    let active = active(table).unwrap_or(Level::Low);
    // A button to ground needs a resistor to supply voltage, and the other way round.
    let usual = match active {
        Level::Low => Bias::PullUp,
        Level::High => Bias::PullDown,
    };
    let biases = [
        ("pull-up", Bias::PullUp),
        ("pull-down", Bias::PullDown),
        ("none", Bias::Off),
    ];
    let bias = table.choice("bias", &biases).unwrap_or(usual);
    let debounce_ms = table.whole("debounce_ms", &DEBOUNCE_MS, "ms (left out: none)");
    let debounce = debounce_ms.map(|ms| Duration::from_millis(ms.into()));
    Some(GpioInput {
        pin: pin(table)?,
        active,
        bias,
        debounce,
    })
}

/// Which line, through whom. `None`: its mistakes are noted.
pub fn pin(table: &Table) -> Option<Pin> {
    #[derive(Clone, Copy, PartialEq)]
    enum Backend {
        Cdev,
        Rppal,
    }
    let backend = table.choice("backend", &[("cdev", Backend::Cdev), ("rppal", Backend::Rppal)]);
    let chip = table.text("chip", "the name, path or label of a GPIO chip, such as \"gpiochip0\"");
    let line = table.whole_or_text("line", "the number or the name of a line, such as 17 or \"GPIO17\"")?;
    match (backend.unwrap_or(Backend::Cdev), line.value.clone()) {
        (Backend::Rppal, WholeOrText::Whole(number)) => {
            if let Some(chip) = chip {
                table.refuse(&chip, "rppal always uses the header of a Raspberry Pi; leave chip out");
            }
            let number = u8::try_from(number).ok().filter(|number| u32::from(*number) <= BCM_MAX);
            if number.is_none() {
                table.refuse(&line, format!("expected a BCM number from 0 to {BCM_MAX}"));
            }
            number.map(Pin::Rppal)
        }
        (Backend::Rppal, WholeOrText::Text(_)) => {
            table.refuse(
                &line,
                "rppal knows lines by BCM number only; line names need backend = \"cdev\"",
            );
            None
        }
        (Backend::Cdev, WholeOrText::Whole(number)) => {
            if number > LINE_MAX {
                table.refuse(&line, format!("found {number}, expected a line from 0 to {LINE_MAX}"));
            }
            if chip.is_none() && !table.has("chip") {
                table.refuse_whole("a line by number needs its chip, such as chip = \"gpiochip0\"");
            }
            Some(Pin::Cdev {
                chip: chip.map(|chip| chip.value),
                line: Line::Number(number),
            })
        }
        (Backend::Cdev, WholeOrText::Text(name)) => Some(Pin::Cdev {
            chip: chip.map(|chip| chip.value),
            line: Line::Name(name),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::device::board::{Board, Wiring};

    #[test]
    fn the_backends_take_what_they_know() {
        let pin = |gpio: &str| {
            let text = format!(
                "name = \"Test\"\noutput = {{ pcm = \"default\" }}\n[[button]]\naction = \"play\"\ngpio = {{ {gpio} }}\n"
            );
            Board::parse(Path::new("b.toml"), &text)
                .map_err(|error| error.to_string())
                .map(|board| match &board.buttons.first().unwrap().wiring {
                    Wiring::Gpio(input) => input.pin.clone(),
                    Wiring::Key(key) => panic!("{key:?}"),
                })
        };
        assert_eq!(pin("backend = \"rppal\", line = 5"), Ok(Pin::Rppal(5)));
        let named = Pin::Cdev {
            chip: None,
            line: Line::Name("GPIO5".to_owned()),
        };
        assert_eq!(pin("line = \"GPIO5\""), Ok(named));
        for wrong in [
            "line = 5",
            "backend = \"rppal\", line = \"GPIO5\"",
            "backend = \"rppal\", line = 54",
        ] {
            assert!(pin(wrong).is_err(), "{wrong}");
        }
        assert!(pin("backend = \"rppal\", chip = \"gpiochip0\", line = 5").is_err());
    }
}
