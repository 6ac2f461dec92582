//! The keys of `tonearm demo`: a terminal in place of buttons. It reads keys and gives the terminal back as it was.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr};
use tonearm_core::input::Press;

/// How often the thread looks whether it should end; a key is noticed at once.
const LOOK_UP: Duration = Duration::from_millis(250);

/// What the demo shows its listener about the keys.
pub const HELP: &str =
    "space play/pause   n next   p previous   + - volume   < > scrub   s shuffle   l loop   1-9 presets   q quit";

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The same as a button.
    Press(Press),
    /// Leave.
    Quit,
}

/// Where keys go: called from the terminal's own thread, must not wait.
pub type News = Arc<dyn Fn(Key) + Send + Sync>;

/// Keys are read until this is dropped; then the terminal is as it was.
pub struct Terminal {
    thread: Option<JoinHandle<()>>,
    close: Arc<AtomicBool>,
    _mode: KeyMode<io::Stdin>,
}

impl Terminal {
    /// Reads keys, if standard input is a terminal that belongs to this program. `None`: it is not (a pipe, a service,
    /// a program in the background).
    ///
    /// # Errors
    /// The terminal does not obey, or the system has no thread left.
    pub fn start(news: News) -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !is_ours(&stdin) {
            return Ok(None);
        }
        let mode = KeyMode::enter(stdin)?;
        let close = Arc::new(AtomicBool::new(false));
        let closing = Arc::clone(&close);
        let read = move || {
            while !closing.load(Ordering::Relaxed) {
                match next_key() {
                    Ok(Some(key)) => news(key),
                    Ok(None) => {}
                    Err(error) => {
                        log::warn!("read keys: {error}; the keys are dead");
                        return;
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("keys".to_owned()).spawn(read)?;
        Ok(Some(Self {
            thread: Some(thread),
            close,
            _mode: mode,
        }))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.close.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// A program in the background that changed the terminal would be stopped by it.
fn is_ours(input: impl AsFd) -> bool {
    isatty(&input) && tcgetpgrp(&input).is_ok_and(|group| group == rustix::process::getpgrp())
}

fn next_key() -> io::Result<Option<Key>> {
    if !event::poll(LOOK_UP)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Key(key) if key.is_press() => key_of(key),
        Event::Key(_) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Resize(..) => None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a keyboard has more keys than a speaker has use for"
)]
fn key_of(key: KeyEvent) -> Option<Key> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Key::Quit);
    }
    let press = match key.code {
        KeyCode::Char('q' | 'Q') => return Some(Key::Quit),
        KeyCode::Char(' ') => Press::Play,
        KeyCode::Char('n') | KeyCode::Right => Press::Next,
        KeyCode::Char('p') | KeyCode::Left => Press::Previous,
        KeyCode::Char('+' | '=') | KeyCode::Up => Press::VolumeUp,
        KeyCode::Char('-') | KeyCode::Down => Press::VolumeDown,
        KeyCode::Char('>' | '.') => Press::ScrubForward,
        KeyCode::Char('<' | ',') => Press::ScrubBackward,
        KeyCode::Char('s') => Press::Shuffle,
        KeyCode::Char('l') => Press::Loop,
        KeyCode::Char(digit @ '1'..='9') => Press::Preset(u8::try_from(digit.to_digit(10)?).ok()?),
        _ => return None,
    };
    Some(Key::Press(press))
}

/// A terminal that gives each key at once and does not show it, until this is dropped. Lines that are printed keep
/// their ends, so that log lines stay readable.
struct KeyMode<T: AsFd> {
    terminal: T,
    before: Termios,
}

impl<T: AsFd> KeyMode<T> {
    fn enter(terminal: T) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut keys = before.clone();
        // Without ISIG, Ctrl-C is a key like the others and takes the same clean way out.
        keys.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN);
        tcsetattr(&terminal, OptionalActions::Now, &keys)?;
        Ok(Self { terminal, before })
    }
}

impl<T: AsFd> Drop for KeyMode<T> {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(&self.terminal, OptionalActions::Now, &self.before) {
            log::warn!("restore the terminal: {error}; `stty sane` repairs it");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// Both ends of a new terminal.
    fn terminal() -> (OwnedFd, OwnedFd) {
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&far).unwrap();
        unlockpt(&far).unwrap();
        let name = ptsname(&far, Vec::new()).unwrap();
        let near = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        (far, near)
    }

    fn shows_keys(terminal: &OwnedFd) -> bool {
        tcgetattr(terminal)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    #[test]
    fn the_terminal_is_given_back_as_it_was() {
        let (_far, near) = terminal();
        assert!(shows_keys(&near));
        let mode = KeyMode::enter(&near).unwrap();
        assert!(!shows_keys(&near));
        drop(mode);
        assert!(shows_keys(&near));
    }

    #[test]
    fn the_terminal_is_given_back_after_a_panic() {
        let (_far, near) = terminal();
        let result = std::panic::catch_unwind(|| {
            let _mode = KeyMode::enter(&near).unwrap();
            panic!("on purpose");
        });
        assert!(result.is_err());
        assert!(shows_keys(&near));
    }

    #[test]
    fn a_terminal_of_someone_else_is_left_alone() {
        let (_far, near) = terminal();
        assert!(!is_ours(&near), "it is a terminal, but not the one this test runs in");
        assert!(!is_ours(std::fs::File::open("/dev/null").unwrap()));
    }

    #[test]
    fn keys_are_presses() {
        let plain = |code| key_of(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char(' ')), Some(Key::Press(Press::Play)));
        assert_eq!(plain(KeyCode::Right), Some(Key::Press(Press::Next)));
        assert_eq!(plain(KeyCode::Char('9')), Some(Key::Press(Press::Preset(9))));
        assert_eq!(plain(KeyCode::Char('0')), None);
        assert_eq!(plain(KeyCode::F(1)), None);
    }

    #[test]
    fn control_c_leaves() {
        assert_eq!(
            key_of(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)),
            Some(Key::Quit)
        );
        assert_eq!(key_of(KeyEvent::new(KeyCode::Char('s'), KeyModifiers::CONTROL)), None);
    }
}
