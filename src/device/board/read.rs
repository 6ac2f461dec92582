//! From a board file's document to its meaning: which keys there are and which values they take.

use std::path::PathBuf;

use evdev::KeyCode;
use tonearm_core::limits::BUTTONS_MAX;

use super::output::output;
use super::pin::{active, input, pin};
use super::{Board, ButtonSetup, GpioOutput, Level, LightSetup, OutputSetup, Pin, Wiring};
use crate::device::action;
use crate::document::{Table, nearest};

/// Lights of a board; each is one write per change of scene.
const LIGHTS_MAX: usize = 8;
/// Codes of the kernel's keys and buttons (`KEY_MAX`).
const KEY_CODE_MAX: u16 = 0x2ff;

/// What the document means; what makes no sense is noted as a mistake.
pub fn board(root: &Table) -> Board {
    let name = root.text_required("name", "the name of the product");
    let mut taken = Taken::default();
    let output = root.table("output").map(|table| output(&table, &mut taken));
    if output.is_none() && !root.has("output") {
        root.refuse_whole("no [output]: which sound device?");
    }
    let buttons = root.tables("button");
    if let Some(excess) = buttons.get(BUTTONS_MAX) {
        excess.refuse_whole(format!("at most {BUTTONS_MAX} buttons"));
    }
    let lights = root.tables("light");
    if let Some(excess) = lights.get(LIGHTS_MAX) {
        excess.refuse_whole(format!("at most {LIGHTS_MAX} lights"));
    }
    Board {
        name: name.map(|found| found.value).unwrap_or_default(),
        output: output.unwrap_or_else(|| OutputSetup::of("")),
        buttons: buttons.iter().filter_map(|table| button(table, &mut taken)).collect(),
        lights: lights.iter().filter_map(|table| light(table, &mut taken)).collect(),
    }
}

/// What is used already: a contact has one button, a line one purpose.
#[derive(Default)]
pub struct Taken {
    pins: Vec<Pin>,
    keys: Vec<KeyCode>,
    leds: Vec<PathBuf>,
}

impl Taken {
    /// `pin` is used by `table`, and by nobody else.
    pub fn claim_pin(&mut self, pin: &Pin, table: &Table) {
        claim(&mut self.pins, pin, table, "this gpio line");
    }
}

fn claim<T: PartialEq + Clone>(taken: &mut Vec<T>, new: &T, table: &Table, what: &str) {
    if taken.contains(new) {
        table.refuse_whole(format!("{what} is used twice in this file"));
    }
    taken.push(new.clone());
}

fn button(table: &Table, taken: &mut Taken) -> Option<ButtonSetup> {
    let press = press(table, "action", &[]);
    if !table.has("action") {
        table.refuse_whole(format!("no action, expected one of {}", action::words().join(", ")));
    }
    let says_hold = table.has("hold_action");
    let no_hold = table.is_text("hold_action", "none");
    let hold = if no_hold { None } else { press_or_none(table) };
    let key = table.text("key", "the name of a key, such as \"KEY_NEXTSONG\"");
    let gpio = table.table("gpio");
    let wiring = match (&key, &gpio) {
        (Some(found), None) => key_code(table, found).map(Wiring::Key),
        (None, Some(gpio)) => Some(Wiring::Gpio(input(gpio)?)),
        (Some(_), Some(_)) => {
            table.refuse_whole("both gpio and key, expected one of them");
            None
        }
        (None, None) => {
            if !table.has("key") && !table.has("gpio") {
                table.refuse_whole("no contact: give gpio = { … } or key = \"KEY_…\"");
            }
            None
        }
    }?;
    match &wiring {
        Wiring::Key(key) => claim(&mut taken.keys, key, table, "this key"),
        Wiring::Gpio(input) => taken.claim_pin(&input.pin, table),
    }
    let press = press?;
    let hold = if says_hold { hold } else { action::usual_hold(press) };
    Some(ButtonSetup { press, hold, wiring })
}

fn press_or_none(table: &Table) -> Option<tonearm_core::input::Press> {
    press(table, "hold_action", &["none"])
}

fn press(table: &Table, key: &'static str, more: &[&str]) -> Option<tonearm_core::input::Press> {
    let found = table.text(key, "the name of an action")?;
    let press = action::press_of(&found.value);
    if press.is_none() {
        let words = action::words();
        table.refuse_choice(&found, words.iter().map(String::as_str).chain(more.iter().copied()));
    }
    press
}

fn key_code(table: &Table, found: &crate::document::Found<String>) -> Option<KeyCode> {
    if let Ok(code) = found.value.parse() {
        return Some(code);
    }
    let names: Vec<String> = (0..=KEY_CODE_MAX).map(|code| format!("{:?}", KeyCode(code))).collect();
    let near = nearest(
        &found.value,
        names.iter().map(String::as_str).filter(|name| name.contains('_')),
    );
    let near = near.map_or(String::new(), |name| format!("; did you mean {name:?}?"));
    let expected = "expected a key of the kernel's input-event-codes.h, such as \"KEY_PLAYPAUSE\"";
    table.refuse(found, format!("found {:?}, {expected}{near}", found.value));
    None
}

fn light(table: &Table, taken: &mut Taken) -> Option<LightSetup> {
    let name = table.text_required("name", "\"status\"");
    if let Some(name) = name.filter(|name| name.value != "status") {
        table.refuse(
            &name,
            format!("found {:?}; this version knows \"status\" only", name.value),
        );
    }
    let led = table.text("led", "the folder of a kernel LED, such as \"/sys/class/leds/ACT\"");
    let gpio = table.table("gpio");
    match (led, gpio) {
        (Some(led), None) => {
            let path = PathBuf::from(&led.value);
            if !path.is_absolute() {
                table.refuse(
                    &led,
                    format!("found {:?}, expected a full path below /sys/class/leds", led.value),
                );
            }
            claim(&mut taken.leds, &path, table, "this led");
            Some(LightSetup::Led(path))
        }
        (None, Some(gpio)) => {
            let active = active(&gpio).unwrap_or(Level::High);
            let output = GpioOutput {
                pin: pin(&gpio)?,
                active,
            };
            taken.claim_pin(&output.pin, table);
            Some(LightSetup::Gpio(output))
        }
        (Some(_), Some(_)) => {
            table.refuse_whole("both gpio and led, expected one of them");
            None
        }
        (None, None) => {
            if !table.has("led") && !table.has("gpio") {
                table.refuse_whole("no lamp: give gpio = { … } or led = \"/sys/class/leds/…\"");
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tonearm_core::input::Press;

    use super::super::{Bias, GpioInput, Line};
    use super::*;

    const START: &str = "name = \"Test\"\noutput = { pcm = \"default\" }\n";

    fn parse(rest: &str) -> Result<Board, String> {
        Board::parse(Path::new("b.toml"), &format!("{START}{rest}")).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(rest: &str, part: &str) {
        let error = parse(rest).unwrap_err();
        assert!(error.contains(part), "{part:?} not in {error}");
    }

    #[test]
    fn a_button_needs_little() {
        let board = parse("[[button]]\naction = \"next\"\ngpio = { chip = \"gpiochip0\", line = 17 }\n").unwrap();
        let pin = Pin::Cdev {
            chip: Some("gpiochip0".to_owned()),
            line: Line::Number(17),
        };
        let input = GpioInput {
            pin,
            active: Level::Low,
            bias: Bias::PullUp,
            debounce: None,
        };
        let button = ButtonSetup {
            press: Press::Next,
            hold: Some(Press::ScrubForward),
            wiring: Wiring::Gpio(input),
        };
        assert_eq!(board.buttons, [button]);
    }

    #[test]
    fn a_hold_action_replaces_the_usual_one() {
        let hold = |line: &str| {
            let text = format!("[[button]]\naction = \"next\"\nkey = \"KEY_NEXTSONG\"\n{line}");
            parse(&text).unwrap().buttons.first().unwrap().hold
        };
        assert_eq!(hold("hold_action = \"shuffle\""), Some(Press::Shuffle));
        assert_eq!(hold("hold_action = \"none\""), None);
        assert_eq!(hold(""), Some(Press::ScrubForward));
    }

    #[test]
    fn a_contact_has_one_button() {
        let twice = "[[button]]\naction = \"play\"\nkey = \"KEY_A\"\n[[button]]\naction = \"next\"\nkey = \"KEY_A\"\n";
        refused(twice, "line 6: button[2]: this key is used twice");
        let line = "gpio = { chip = \"gpiochip0\", line = 3 }\n";
        let shared = format!("[[button]]\naction = \"play\"\n{line}[[light]]\nname = \"status\"\n{line}");
        refused(&shared, "light[1]: this gpio line is used twice");
    }

    #[test]
    fn mistakes_name_the_way_out() {
        refused(
            "[[button]]\naction = \"pley\"\nkey = \"KEY_A\"\n",
            "did you mean \"play\"?",
        );
        refused(
            "[[button]]\naction = \"play\"\nkey = \"KEY_NEXTSNG\"\n",
            "did you mean \"KEY_NEXTSONG\"?",
        );
        refused("[[button]]\naction = \"play\"\n", "no contact: give gpio");
        refused("[[button]]\nkey = \"KEY_A\"\n", "no action, expected one of play, next");
        refused("[[light]]\nname = \"status\"\n", "no lamp: give gpio");
        refused(
            "[[light]]\nname = \"ring\"\nled = \"/sys/class/leds/a\"\n",
            "knows \"status\" only",
        );
        refused(
            "[[light]]\nname = \"status\"\nled = \"leds/a\"\n",
            "expected a full path",
        );
    }

    #[test]
    fn a_board_needs_a_name_and_a_sound_device() {
        let error = Board::parse(Path::new("b.toml"), "").unwrap_err().to_string();
        assert!(
            error.contains("name: missing") && error.contains("no [output]"),
            "{error}"
        );
    }

    #[test]
    fn there_are_as_many_buttons_as_the_core_has_room_for() {
        use std::fmt::Write as _;
        let mut text = String::new();
        for line in 0..=BUTTONS_MAX {
            write!(
                text,
                "[[button]]\naction = \"play\"\ngpio = {{ chip = \"gpiochip0\", line = {line} }}\n"
            )
            .unwrap();
        }
        refused(&text, "button[17]: at most 16 buttons");
    }
}
