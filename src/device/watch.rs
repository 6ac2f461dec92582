//! `tonearm watch-buttons`: prints every edge of the board's buttons, for the bring-up of hardware without a service.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tonearm_core::id::ButtonId;
use tonearm_core::input::Contact;
use tonearm_core::unit::Moment;

use super::action;
use super::board::{Bias, Board, GpioInput, Level, Line, Pin, Wiring};
use super::buttons::{Buttons, News};
use super::{check, clock};

/// Edges that wait to be printed. A bouncing contact makes some dozens; whoever prints slower than that loses some and
/// is told so.
const EDGES_WAITING_MAX: usize = 1024;

/// Prints edges to `out` until Ctrl-C or a request to end.
///
/// # Errors
/// `out` takes no more, or signals cannot be waited for.
pub fn run(board: &Board, out: &mut dyn Write) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (edges, mut waiting) = mpsc::channel(EDGES_WAITING_MAX);
        print_heading(board, out)?;
        let news: News = Arc::new(move |button, contact| {
            if edges.try_send((clock::now(), button, contact)).is_err() {
                log::warn!("button {}: an edge too many to print", button.0 + 1);
            }
        });
        let start = clock::now();
        let _buttons = Buttons::watch(&board.buttons, &news);
        let mut last = start;
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                edge = waiting.recv() => {
                    let Some((at, button, contact)) = edge else { return Ok(()) };
                    writeln!(out, "{}", line(board, start, last, at, button, contact))?;
                    out.flush()?;
                    last = at;
                }
            }
        }
    })
}

fn print_heading(board: &Board, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {} buttons; Ctrl-C ends", board.name, board.buttons.len())?;
    for finding in check::buttons(board) {
        writeln!(out, "{finding}")?;
    }
    writeln!(out, "   time    since last  edge")?;
    out.flush()
}

fn line(board: &Board, start: Moment, last: Moment, at: Moment, button: ButtonId, contact: Contact) -> String {
    let since_start = at.since(start).0;
    let since_last = at.since(last).0;
    let setup = board.buttons.get(usize::from(button.0));
    let action = setup.and_then(|setup| action::word_of(setup.press)).unwrap_or_default();
    let edge = match contact {
        Contact::Closed => "pressed",
        Contact::Open => "released",
    };
    let (seconds, millis) = (since_start / 1000, since_start % 1000);
    format!(
        "{seconds:>5}.{millis:03} s {since_last:>8} ms  button {} ({action}) {edge}",
        button.0 + 1
    )
}

impl fmt::Display for Wiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "key {key:?}"),
            Self::Gpio(input) => write!(f, "{input}"),
        }
    }
}

impl fmt::Display for GpioInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active = match self.active {
            Level::Low => "low",
            Level::High => "high",
        };
        let bias = match self.bias {
            Bias::PullUp => "pull-up",
            Bias::PullDown => "pull-down",
            Bias::Off => "no pull",
        };
        write!(f, "{}, active {active}, {bias}", self.pin)?;
        self.debounce
            .map_or(Ok(()), |time| write!(f, ", kernel debounce {} ms", time.as_millis()))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rppal(pin) => write!(f, "BCM {pin} (rppal)"),
            Self::Cdev { chip, line } => {
                write!(f, "gpio line {line}")?;
                chip.as_ref().map_or(Ok(()), |chip| write!(f, " of {chip}"))
            }
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn board() -> Board {
        let text = "name = \"Test\"\noutput = { pcm = \"default\" }\n\
            [[button]]\naction = \"next\"\ngpio = { chip = \"gpiochip999\", line = \"GPIO6\", debounce_ms = 5 }\n\
            [[button]]\naction = \"play\"\nkey = \"KEY_PLAYPAUSE\"\n\
            [[button]]\naction = \"preset_2\"\ngpio = { backend = \"rppal\", line = 5, active = \"high\" }\n";
        Board::parse(Path::new("b.toml"), text).unwrap()
    }

    #[test]
    fn wiring_is_told_in_full() {
        let wirings: Vec<_> = board().buttons.iter().map(|setup| setup.wiring.to_string()).collect();
        assert_eq!(
            wirings,
            [
                "gpio line GPIO6 of gpiochip999, active low, pull-up, kernel debounce 5 ms",
                "key KEY_PLAYPAUSE",
                "BCM 5 (rppal), active high, pull-down",
            ]
        );
    }

    #[test]
    fn the_heading_says_which_buttons_cannot_work() {
        let mut out = Vec::new();
        print_heading(&board(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("Test: 3 buttons; Ctrl-C ends\n"), "{text}");
        assert!(
            text.contains("\nWRONG button 1 (next, held: scrub_forward): gpio chip gpiochip999: "),
            "{text}"
        );
    }

    #[test]
    fn an_edge_is_one_line_with_its_times() {
        let text = line(
            &board(),
            Moment(1000),
            Moment(3000),
            Moment(3012),
            ButtonId(0),
            Contact::Closed,
        );
        assert_eq!(text, "    2.012 s       12 ms  button 1 (next) pressed");
    }
}
