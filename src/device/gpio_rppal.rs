//! The header of a Raspberry Pi through rppal. Thin on purpose: rppal is no longer maintained, and every board works
//! through the kernel's character device ([`super::gpio_cdev`]) as well.

use std::io;

use rppal::gpio::{Bias as RppalBias, Error as RppalFault, Gpio, InputPin, OutputPin, Trigger};
use thiserror::Error;
use tonearm_core::id::ButtonId;
use tonearm_core::input::Contact;

use super::board::{Bias, GpioInput, Level};
use super::buttons::News;

/// Why a pin of the header cannot be had.
#[derive(Debug, Error)]
#[error("BCM {pin} through rppal: {source}{}", remedy(.source))]
pub struct RppalError {
    /// BCM number.
    pin: u8,
    source: RppalFault,
}

fn remedy(fault: &RppalFault) -> &'static str {
    match fault {
        RppalFault::UnknownModel => "; this is no Raspberry Pi that rppal knows: use backend = \"cdev\"",
        RppalFault::PermissionDenied(_) => "; add the user to the group \"gpio\", or use backend = \"cdev\"",
        RppalFault::Io(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            "; another program, an overlay or the running speaker uses it"
        }
        RppalFault::PinUsed(_) | RppalFault::PinNotAvailable(_) | RppalFault::Io(_) | RppalFault::ThreadPanic => "",
    }
}

/// A button on the header; it is watched until this is dropped.
pub struct HeaderButton {
    _pin: InputPin,
}

impl HeaderButton {
    /// Watches BCM `pin`.
    ///
    /// # Errors
    /// Why it cannot be had, with the way out.
    pub fn watch(button: ButtonId, pin: u8, input: &GpioInput, news: News) -> Result<Self, RppalError> {
        let fault = |source| RppalError { pin, source };
        let mut line = open_input(pin, input)?;
        let active = input.active;
        let forward = move |event: rppal::gpio::Event| {
            let closed = match active {
                Level::Low => Trigger::FallingEdge,
                Level::High => Trigger::RisingEdge,
            };
            news(
                button,
                if event.trigger == closed {
                    Contact::Closed
                } else {
                    Contact::Open
                },
            );
        };
        line.set_async_interrupt(Trigger::Both, input.debounce, forward)
            .map_err(fault)?;
        Ok(Self { _pin: line })
    }
}

/// BCM `pin` as an input that has edges; also what `tonearm check` tries.
///
/// # Errors
/// Why it cannot be had, with the way out.
pub fn open_input(pin: u8, input: &GpioInput) -> Result<InputPin, RppalError> {
    let fault = |source| RppalError { pin, source };
    let mut line = Gpio::new().and_then(|gpio| gpio.get(pin)).map_err(fault)?.into_input();
    line.set_bias(match input.bias {
        Bias::PullUp => RppalBias::PullUp,
        Bias::PullDown => RppalBias::PullDown,
        Bias::Off => RppalBias::Off,
    });
    // An asynchronous interrupt asks for the line on its own thread and keeps a refusal to itself. Asking once here
    // brings a line that is in use to light.
    line.set_interrupt(Trigger::Both, input.debounce).map_err(fault)?;
    line.clear_interrupt().map_err(fault)?;
    Ok(line)
}

/// A pin that drives something.
pub struct Output {
    pin: OutputPin,
    active: Level,
}

impl Output {
    /// BCM `pin` as an output that is off.
    ///
    /// # Errors
    /// Why it cannot be had, with the way out.
    pub fn open(pin: u8, active: Level) -> Result<Self, RppalError> {
        let line = Gpio::new()
            .and_then(|gpio| gpio.get(pin))
            .map_err(|source| RppalError { pin, source })?;
        let pin = match active {
            Level::Low => line.into_output_high(),
            Level::High => line.into_output_low(),
        };
        Ok(Self { pin, active })
    }

    /// Drives it. It cannot fail: rppal writes to the chip's registers.
    pub fn set(&mut self, on: bool) {
        if on == (self.active == Level::High) {
            self.pin.set_high();
        } else {
            self.pin.set_low();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_no_raspberry_pi_is_sent_to_the_other_backend() {
        let error = RppalError {
            pin: 5,
            source: RppalFault::UnknownModel,
        }
        .to_string();
        assert!(
            error.starts_with("BCM 5 through rppal: ") && error.contains("use backend = \"cdev\""),
            "{error}"
        );
    }
}
