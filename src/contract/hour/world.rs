//! One hour: a virtual clock that jumps to the next thing that happens, and everything that stands on it.
//!
//! Time between two happenings costs nothing; requests are real and take no virtual time while they are made: how long
//! they would have taken is said by `exchange` and `loader`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tonearm_core::Session;
use tonearm_core::effect::Call;
use tonearm_core::id::{RequestId, Seq};
use tonearm_core::input::{AudioNews, Failure, Input, Press, Verdict};
use tonearm_core::unit::Moment;

use super::audio::{Audio, News};
use super::dropout::Dropouts;
use super::exchange::Job;
use super::loader::Loader;
use super::reckoning::Books;
use super::rng::Rng;
use super::sign_in;
use super::trouble::Troubles;
use crate::app;
use crate::app::catalogue::Catalogue;
use crate::contract::bench::{Bench, EPOCH_MS};
use crate::journal::Journal;
use crate::journal::faulty::Disk;
use crate::service::{Client, Reply};
use crate::simulator::{Dialect, Linking, Settings, Shuffle, SignIn, Tier};
use crate::state::Saved;

pub type Check = Result<(), String>;

/// A real request that is not answered within this is never answered. It counts as [`NO_ANSWER_MS`].
pub const PATIENCE: Duration = Duration::from_millis(200);
/// What the product waits for an answer.
pub const NO_ANSWER_MS: u64 = 8_000;
/// Steps of an hour; more means that something runs in circles.
const STEPS_MAX: u64 = 400_000;
/// An access token lives so long.
const TOKEN_LIFE_S: u32 = 600;
/// Without trouble, everything is sent and the sound is back within this.
const CALM_MS: u64 = 150_000;
/// Lines of the trace that a failure prints.
const TRACE_LINES: usize = 420;
/// Longest line of it.
const TRACE_CHARS: usize = 240;

#[expect(clippy::large_enum_variant, reason = "there are few at a time")]
#[derive(Debug)]
pub enum Happening {
    /// For one run of the program; the next run knows nothing of it.
    Deliver { run: u32, input: Input },
    /// An exchange of the client is over.
    Answered { run: u32, back: Back },
    /// A report of the audio path arrives.
    NewsDue { run: u32 },
    /// The loader may fetch.
    Load { run: u32, serial: u64 },
    /// The listener does something.
    Listen,
    /// The next trouble begins, or is looked at.
    Trouble,
    /// Somebody presses.
    Press(Press),
    /// The power is back.
    Boot,
}

/// What came back from the service.
#[derive(Debug)]
pub enum Back {
    Call(RequestId, Call, Result<Reply, Failure>),
    Events(Seq, Verdict),
}

/// What sets one hour apart from another.
#[derive(Clone, Copy, Debug)]
pub struct Hour {
    pub tier: Tier,
    pub shuffle: Shuffle,
    pub dialect: Dialect,
    /// Events that are sent at once.
    pub batch: u8,
}

/// One run of the program.
pub struct Program {
    pub session: Box<Session>,
    pub catalogue: Catalogue,
    pub journal: Journal,
    pub news: mpsc::Receiver<app::News>,
    /// When its boot clock was zero.
    pub booted_at: u64,
    pub has_left: bool,
}

pub struct World {
    pub hour: Hour,
    pub rng: Rng,
    pub bench: Bench,
    pub sign_in: sign_in::SignIn,
    /// `None` while the program does not run.
    pub client: Option<Client>,
    pub now: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    entered: u64,
    pub run: u32,
    pub boots: u8,
    pub program: Option<Program>,
    pub disk: Arc<Disk>,
    pub saved: Saved,
    pub audio: Audio,
    pub loader: Loader,
    pub jobs: VecDeque<Job>,
    pub busy: bool,
    pub link_up: bool,
    last_news: u64,
    pub troubles: Troubles,
    pub dropouts: Dropouts,
    pub books: Books,
    pub runtime: tokio::runtime::Runtime,
    /// What happened how often.
    pub counts: BTreeMap<String, u64>,
    trace: VecDeque<String>,
}

impl World {
    pub fn new(hour: Hour, seed: u64) -> Self {
        let bench = Bench::of(Settings {
            tier: hour.tier,
            shuffle: hour.shuffle,
            dialect: hour.dialect,
            seed: Some(seed),
            sign_in: SignIn::Required,
            linking: Linking {
                code_interval: 1,
                token_life: TOKEN_LIFE_S,
                ..Linking::default()
            },
            ..Settings::default()
        });
        let mut rng = Rng::new(seed);
        Self {
            hour,
            sign_in: sign_in::SignIn::link(&bench),
            client: None,
            bench,
            now: 20_000,
            agenda: BTreeMap::new(),
            entered: 0,
            run: 0,
            boots: 0,
            program: None,
            disk: Arc::default(),
            saved: Saved::default(),
            audio: Audio::new(),
            loader: Loader::new(),
            jobs: VecDeque::new(),
            busy: false,
            link_up: true,
            last_news: 0,
            troubles: Troubles::new(&mut rng),
            rng,
            dropouts: Dropouts::default(),
            books: Books::default(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap(),
            counts: BTreeMap::new(),
            trace: VecDeque::new(),
        }
    }

    /// Listens until so much has sounded and every trouble was met; then trouble ends, and everything must come right.
    pub fn live(&mut self, listen_ms: u64) -> Check {
        self.enter(0, Happening::Boot);
        self.enter(1_000, Happening::Press(Press::Preset(1)));
        self.enter(5_000, Happening::Listen);
        self.enter(20_000, Happening::Trouble);
        let latest = self.now + 3 * listen_ms;
        while self.books.heard_ms() < listen_ms || !self.troubles.all_met() {
            if self.now > latest {
                return Err(format!(
                    "{} ms were heard, and {:?} never met a request",
                    self.books.heard_ms(),
                    self.troubles.unmet()
                ));
            }
            self.advance_to(self.now + 10_000)?;
        }
        self.calm_down();
        self.advance_to(self.now + CALM_MS)?;
        self.check_sounds()?;
        self.leave()?;
        self.check_books()
    }

    pub fn enter(&mut self, after: u64, happening: Happening) {
        self.entered += 1;
        self.agenda.insert((self.now + after, self.entered), happening);
    }

    /// Only what is already on its way still happens.
    pub fn forget_plans(&mut self) {
        self.agenda.retain(|_, happening| match happening {
            Happening::Listen | Happening::Trouble | Happening::Press(_) => false,
            Happening::Deliver { .. }
            | Happening::Answered { .. }
            | Happening::NewsDue { .. }
            | Happening::Load { .. }
            | Happening::Boot => true,
        });
    }

    pub fn note(&mut self, line: &str) {
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        let seconds = Duration::from_millis(self.now).as_secs_f64();
        let short: String = line.chars().take(TRACE_CHARS).collect();
        self.trace.push_back(format!("{seconds:>9.3} {short}"));
    }

    pub fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    pub fn counted(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    pub fn trace(&self) -> String {
        self.trace.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// The speaker's boot clock.
    pub fn moment(&self) -> Moment {
        let booted_at = self.program.as_ref().map_or(0, |program| program.booted_at);
        Moment(self.now - booted_at)
    }

    /// The wall clock, which the service shares.
    pub fn wall_ms(&self) -> i64 {
        EPOCH_MS + i64::try_from(self.now).unwrap()
    }

    pub fn advance_to(&mut self, until: u64) -> Check {
        loop {
            let deadline = self.program.as_ref().and_then(|program| {
                let at = program.session.deadline()?;
                Some(program.booted_at + at.0)
            });
            let audio = self.audio.wakes_at();
            let agenda = self.agenda.keys().next().map(|(at, _)| *at);
            let silence = self.dropouts.looks_at();
            let next = [deadline, audio, agenda, silence]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(u64::MAX);
            if next > until {
                self.now = until;
                return Ok(());
            }
            self.now = self.now.max(next);
            self.count("steps");
            if self.counted("steps") > STEPS_MAX {
                return Err("too many steps".into());
            }
            if audio.is_some_and(|at| at <= self.now) {
                self.audio.run(self.now);
                self.send_news();
            } else if agenda.is_some_and(|at| at <= self.now) {
                if let Some((_, happening)) = self.agenda.pop_first() {
                    self.happen(happening)?;
                }
            } else if deadline.is_some_and(|at| at <= self.now) {
                self.handle(Input::Tick)?;
            }
            self.watch_silence()?;
        }
    }

    fn happen(&mut self, happening: Happening) -> Check {
        match happening {
            Happening::Deliver { run, input } if run == self.run => self.handle(input),
            Happening::Answered { run, back } if run == self.run => self.answered(back),
            Happening::NewsDue { run } if run == self.run => match self.audio.news.pop_front() {
                Some(News { news, .. }) => {
                    self.watch_news(news);
                    self.handle(Input::Audio(news))
                }
                None => Ok(()),
            },
            Happening::Load { run, serial } if run == self.run && serial == self.loader.serial => self.load(),
            Happening::Deliver { .. }
            | Happening::Answered { .. }
            | Happening::NewsDue { .. }
            | Happening::Load { .. } => Ok(()),
            Happening::Listen => {
                self.listen();
                Ok(())
            }
            Happening::Trouble => self.trouble(),
            Happening::Press(press) => self.press(press),
            Happening::Boot => self.boot(),
        }
    }

    /// Gives each new report of the audio path its moment of arrival, in order.
    pub fn send_news(&mut self) {
        let under_way = self
            .agenda
            .values()
            .filter(|entry| matches!(entry, Happening::NewsDue { run } if *run == self.run))
            .count();
        for _ in under_way..self.audio.news.len() {
            let at = (self.now + self.rng.between(0, 40)).max(self.last_news);
            self.last_news = at;
            let run = self.run;
            self.enter(at - self.now, Happening::NewsDue { run });
        }
    }

    /// What is heard now, if anything is.
    pub fn heard(&self) -> Option<AudioNews> {
        let (play, position) = self.audio.heard(self.now)?;
        Some(AudioNews::Heard { play, position })
    }
}
