//! All buttons of a board, whatever they hang on. Passes edges on and decides nothing.

use std::path::Path;
use std::sync::Arc;

use tonearm_core::id::ButtonId;
use tonearm_core::input::Contact;

use super::board::{ButtonSetup, Pin, Wiring};
use super::edges::{Edges, Finder};
use super::evdev::{self, Keys};
use super::gpio_cdev::Lines;
use super::gpio_rppal::HeaderButton;

/// Where edges go: called from the buttons' own threads, must not wait.
pub type News = Arc<dyn Fn(ButtonId, Contact) + Send + Sync>;

/// The buttons are watched until this is dropped; then their threads have ended.
pub struct Buttons {
    _edges: Option<Edges>,
    _header: Vec<HeaderButton>,
}

impl Buttons {
    /// Watches `buttons`, numbered in their order. A button that cannot be had is logged once with the way out, and
    /// the others work; those of the kernel (lines and keys) are looked for again.
    pub fn watch(buttons: &[ButtonSetup], news: &News) -> Self {
        let numbered = || (0..).map(ButtonId).zip(buttons);
        let gpio = || {
            numbered().filter_map(|(button, setup)| match &setup.wiring {
                Wiring::Gpio(input) => Some((button, input.clone())),
                Wiring::Key(_) => None,
            })
        };
        let keys = numbered().filter_map(|(button, setup)| match &setup.wiring {
            Wiring::Key(key) => Some((button, *key)),
            Wiring::Gpio(_) => None,
        });
        let header = gpio().filter_map(|(button, input)| match input.pin {
            Pin::Rppal(pin) => {
                let watched = HeaderButton::watch(button, pin, &input, Arc::clone(news));
                watched
                    .map_err(|error| log::warn!("button {}: {error}", button.0 + 1))
                    .ok()
            }
            Pin::Cdev { .. } => None,
        });
        let header = header.collect();
        let mut finders: Vec<Box<dyn Finder>> = Vec::new();
        let lines = Lines::of(gpio());
        if !lines.is_empty() {
            finders.push(Box::new(lines));
        }
        let keys = Keys::of(keys.collect(), Path::new(evdev::FOLDER));
        if !keys.is_empty() {
            finders.push(Box::new(keys));
        }
        Self {
            _edges: start(finders, news),
            _header: header,
        }
    }
}

fn start(finders: Vec<Box<dyn Finder>>, news: &News) -> Option<Edges> {
    if finders.is_empty() {
        return None;
    }
    let edges = Edges::start(finders, Arc::clone(news));
    edges
        .map_err(|error| log::error!("watch buttons: {error}; the speaker plays on without them"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::board::Board;

    #[test]
    fn a_board_whose_devices_are_missing_starts_and_stops() {
        let text = "name = \"Test\"\noutput = { pcm = \"default\" }\n\
            [[button]]\naction = \"play\"\ngpio = { chip = \"gpiochip999\", line = 1 }\n\
            [[button]]\naction = \"next\"\ngpio = { backend = \"rppal\", line = 53 }\n\
            [[button]]\naction = \"previous\"\nkey = \"KEY_PREVIOUSSONG\"\n";
        let board = Board::parse(Path::new("b.toml"), text).unwrap();
        let news: News = Arc::new(|button, contact| panic!("{button:?} {contact:?}"));
        drop(Buttons::watch(&board.buttons, &news));
        assert_eq!(Arc::strong_count(&news), 1, "no thread is left");
    }
}
