//! The demo's face: a few lines that are redrawn in a terminal, or plain lines where there is none.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crossterm::{cursor, queue, style, terminal};

use crate::device::terminal::HELP;
use crate::page::{Item, Link, Load, Now, State, Status};

/// Characters of the progress bar.
const BAR: u32 = 32;
/// Titles of the window are cut to this, so that what is loaded of them stays in one column.
const TITLE_MAX: usize = 32;
/// Characters of a line that fit any terminal.
const LINE_MAX: usize = 80;
/// Entries of the window that are shown: those around the current one.
const ENTRIES_MAX: usize = 8;

/// Where the demo shows what happens. Log lines go through it, too, so that they do not tear the picture.
#[derive(Clone)]
pub struct Screen(Arc<Mutex<Picture>>);

struct Picture {
    style: Style,
    /// Lines of the picture that are on the terminal now.
    drawn: u16,
    /// What was said last, where lines are plain.
    said: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// A terminal: the picture is drawn over itself.
    Redrawn,
    /// A pipe or a file: a line when something changes.
    Plain,
}

impl Screen {
    /// On standard output, whatever that is.
    pub fn new() -> Self {
        let style = if io::stdout().is_terminal() {
            Style::Redrawn
        } else {
            Style::Plain
        };
        Self(Arc::new(Mutex::new(Picture {
            style,
            drawn: 0,
            said: String::new(),
        })))
    }

    /// Shows the status as it is now.
    pub fn show(&self, status: &Status) -> io::Result<()> {
        let mut picture = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match picture.style {
            Style::Redrawn => picture.redraw(status),
            Style::Plain => picture.say(status),
        }
    }

    /// Writes a line that stays, above the picture.
    pub fn line(&self, text: &str) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).line(text)
    }
}

/// Log lines, one call a line.
impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        for line in text.lines() {
            self.line(line)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

impl Picture {
    /// The keys are read raw, so a new line needs its carriage return.
    fn redraw(&mut self, status: &Status) -> io::Result<()> {
        let (width, _) = terminal::size().unwrap_or((80, 24));
        let lines = picture(status);
        let mut out = io::stdout().lock();
        self.erase(&mut out)?;
        for line in &lines {
            let fitting: String = line.chars().take(usize::from(width.saturating_sub(1))).collect();
            queue!(out, style::Print(fitting), style::Print("\r\n"))?;
        }
        self.drawn = u16::try_from(lines.len()).unwrap_or(0);
        out.flush()
    }

    fn say(&mut self, status: &Status) -> io::Result<()> {
        let line = plain(status);
        if line == self.said {
            return Ok(());
        }
        self.said = line;
        writeln!(io::stdout(), "{}", self.said)
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        self.erase(&mut out)?;
        let end = if self.style == Style::Redrawn { "\r\n" } else { "\n" };
        write!(out, "{text}{end}")?;
        out.flush()
    }

    fn erase(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.drawn > 0 {
            queue!(
                out,
                cursor::MoveUp(self.drawn),
                terminal::Clear(terminal::ClearType::FromCursorDown)
            )?;
            self.drawn = 0;
        }
        Ok(())
    }
}

/// The picture, line by line.
fn picture(status: &Status) -> Vec<String> {
    let on_off = |on| if on { "on" } else { "off" };
    let mut lines = vec![
        String::new(),
        format!("  {}  {}", symbol(status.state), entry(status.entry.as_ref())),
        format!("     {}", progress(status.entry.as_ref())),
        format!(
            "     volume {}   shuffle {}   loop {}{}",
            status.volume,
            on_off(status.shuffle),
            on_off(status.looping),
            skips(status)
        ),
        String::new(),
    ];
    lines.extend(window(status));
    lines.push(String::new());
    lines.push(format!(
        "  events  {} waiting, {} set aside    service {}",
        status.outbox.waiting,
        status.outbox.set_aside,
        link(status.link)
    ));
    if let Some(problem) = &status.problem {
        lines.push(format!("  problem {}", problem.text));
    }
    lines.extend(keys());
    lines
}

/// The keys, in as many lines as a narrow terminal needs.
fn keys() -> Vec<String> {
    let mut lines = vec!["  keys ".to_owned()];
    for key in HELP.split("   ") {
        match lines.last_mut() {
            Some(line) if line.len() + key.len() + 3 < LINE_MAX => *line = format!("{line}   {key}"),
            Some(_) | None => lines.push(format!("          {key}")),
        }
    }
    lines
}

/// One line, without what changes all the time.
fn plain(status: &Status) -> String {
    let problem = status
        .problem
        .as_ref()
        .map(|problem| format!("; {}", problem.text))
        .unwrap_or_default();
    format!(
        "{} {}, volume {}, window {} of {} loaded, service {}{problem}",
        word(status.state),
        entry(status.entry.as_ref()),
        status.volume,
        status.window.iter().filter(|item| item.state == Load::Loaded).count(),
        status.window.len(),
        link(status.link),
    )
}

fn symbol(state: State) -> &'static str {
    match state {
        State::Playing => ">>",
        State::Paused => "||",
        State::Buffering => "..",
        State::Stopped => "[]",
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Playing => "playing",
        State::Paused => "paused",
        State::Buffering => "buffering",
        State::Stopped => "stopped",
    }
}

fn link(link: Link) -> &'static str {
    match link {
        Link::Up => "up",
        Link::Down => "down",
    }
}

fn entry(now: Option<&Now>) -> String {
    let Some(now) = now else {
        return "nothing".to_owned();
    };
    let artist = if now.artist.is_empty() {
        String::new()
    } else {
        format!(" - {}", now.artist)
    };
    format!("{}{artist} ({})", now.title, now.kind)
}

fn progress(now: Option<&Now>) -> String {
    let Some(now) = now else {
        return String::new();
    };
    let total = now.duration_ms.unwrap_or(0);
    let done = now
        .position_ms
        .saturating_mul(BAR)
        .checked_div(total)
        .unwrap_or(0)
        .min(BAR);
    let bar: String = (0..BAR).map(|place| if place < done { '#' } else { '-' }).collect();
    format!("{bar}  {} / {}", clock(now.position_ms), clock(total))
}

fn clock(ms: u32) -> String {
    format!("{}:{:02}", ms / 60_000, ms / 1000 % 60)
}

fn skips(status: &Status) -> String {
    status
        .actions
        .next
        .remaining
        .map(|left| format!("   {left} skips left"))
        .unwrap_or_default()
}

/// What is loaded, a line each, and what is left out.
fn window(status: &Status) -> Vec<String> {
    let line = |(place, item): (usize, &Item)| {
        let title: String = item.title.chars().take(TITLE_MAX).collect();
        let head = if place == 0 { "window" } else { "" };
        let mark = if status.cursor == Some(place) { '>' } else { ' ' };
        format!("  {head:<6}{mark} {title:<TITLE_MAX$}  {}", loaded(item))
    };
    let mut lines: Vec<String> = status.window.iter().enumerate().take(ENTRIES_MAX).map(line).collect();
    let rest = status.window.len().saturating_sub(ENTRIES_MAX);
    if rest > 0 {
        lines.push(format!("          and {rest} more"));
    }
    lines
}

fn loaded(item: &Item) -> String {
    match item.state {
        Load::Loaded => format!("loaded, {}", clock(item.loaded_ms)),
        Load::Loading => format!("loading, {}", clock(item.loaded_ms)),
        Load::Waiting => "waiting".to_owned(),
        Load::Failed => "cannot be played".to_owned(),
    }
}
