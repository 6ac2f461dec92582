//! One world: the core among models of everything around it, a virtual clock, and faults from one seed.

use std::collections::{BTreeMap, VecDeque};

use crate::audio::{Audio, News};
use crate::journal::{Journal, Record};
use crate::oracle::Oracle;
use crate::plan::Plan;
use crate::rng::Rng;
use crate::service::Service;
use tonearm_core::Session;
use tonearm_core::effect::{Bookmark, Call, Effect, Wishes};
use tonearm_core::id::{ButtonId, EntryKey, RequestId, Seq, SessionKey};
use tonearm_core::input::{Account, Contact, Failure, Input, Press};
use tonearm_core::limits::VOLUME_FIRST;

type Check = Result<(), String>;

/// Steps of one world; more means that something runs in circles.
const STEPS_MAX: u64 = 200_000;
/// Without faults, everything is sent and the sound is back within this.
const CALM_MS: u64 = 150_000;
const TRACE_LINES: usize = 80;

/// A line of the trace, made only if somebody wants to read it.
macro_rules! note {
    ($world:expr, $($words:tt)*) => {
        if $world.telling == Telling::Everything {
            let line = format!($($words)*);
            $world.keep(line);
        }
    };
}

mod client;
mod ending;
mod media;
mod program;
mod trouble;

#[derive(Clone, Debug)]
enum Happening {
    /// An input for one run of the program.
    Deliver {
        run: u32,
        input: Input,
        learned: Option<(SessionKey, usize)>,
        frees_worker: bool,
    },
    NewsDue {
        run: u32,
    },
    ServiceHandles {
        run: u32,
        job: Job,
        fate: Fate,
    },
    Synced {
        run: u32,
        seq: Seq,
    },
    Saved {
        run: u32,
        effect: Effect,
    },
    Loaded {
        run: u32,
        slot: u8,
        entry: EntryKey,
        attempt: u8,
    },
    Press(Press),
    Edge(u8, Contact),
    Net(bool),
    Device(bool),
    Disk(bool),
    Kill,
    Shutdown,
    Boot,
    Takeover(bool),
    Lapse,
    /// The service knows the account, or not.
    Account(bool),
    /// The speaker is told how signing in stands.
    Told(Account),
    RefillSkips,
}

/// One exchange of the client's worker, which does one after the other.
#[derive(Clone, Debug)]
enum Job {
    Call(RequestId, Call),
    /// Sent in one piece.
    Events(Vec<Record>),
}

#[derive(Clone, Debug)]
enum Fate {
    Answered,
    AnswerLost,
    Fails(Failure),
    Refused,
}

/// Whether a world keeps a trace of what happened. That is slow; a world that failed is lived through once more for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    Silent,
    Everything,
}

#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub steps: u64,
    pub events: u64,
    pub counts: BTreeMap<&'static str, u64>,
}

impl Stats {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

pub struct World {
    rng: Rng,
    plan: Plan,
    now: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    entered: u64,
    run: u32,
    session: Option<Session>,
    service: Service,
    audio: Audio,
    journal: Journal,
    oracle: Oracle,
    jobs: VecDeque<Job>,
    worker_busy: bool,
    net_up: bool,
    /// How signing in stands as the sign-in adapter knows it.
    told: Account,
    last_news: u64,
    last_edge: Option<u64>,
    wishes: Wishes,
    telling: Telling,
    pub trace: VecDeque<String>,
    /// Digest of everything that went in and out, to compare runs.
    pub digest: u64,
    pub stats: Stats,
}

impl World {
    pub fn new(seed: u64, telling: Telling) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let bookmark = Bookmark {
            place: None,
            playing: false,
            volume: VOLUME_FIRST,
            shuffle: false,
            looping: false,
        };
        Self {
            service: Service::new(plan.tier),
            rng,
            plan,
            now: 1000,
            agenda: BTreeMap::new(),
            entered: 0,
            run: 0,
            session: None,
            audio: Audio::new(),
            journal: Journal::new(bookmark),
            oracle: Oracle::new(),
            jobs: VecDeque::new(),
            worker_busy: false,
            net_up: true,
            told: Account::Linked,
            last_news: 0,
            last_edge: None,
            wishes: Wishes::new(),
            telling,
            trace: VecDeque::new(),
            digest: 0,
            stats: Stats::default(),
        }
    }

    /// Lives through the whole world: trouble, calm, a last song, and leaving.
    pub fn live(&mut self) -> Check {
        note!(self, "{:?}", self.plan);
        self.enter(0, Happening::Boot);
        self.lay_out_trouble();
        let end = self.now + self.plan.length_ms;
        self.advance_to(end)?;
        self.calm_down();
        self.advance_to(end + CALM_MS)?;
        self.check_drained()?;
        self.check_alive()?;
        self.check_leaves()
    }

    fn enter(&mut self, after: u64, happening: Happening) {
        self.entered += 1;
        self.agenda.insert((self.now + after, self.entered), happening);
    }

    pub(super) fn keep(&mut self, line: String) {
        self.digest = digest(self.digest, &line);
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    fn advance_to(&mut self, until: u64) -> Check {
        loop {
            let deadline = self.session.as_ref().and_then(Session::deadline).map(|at| at.0);
            let audio = self.audio.wakes_at();
            let agenda = self.agenda.keys().next().map(|(at, _)| *at);
            let next = [deadline, audio, agenda]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(u64::MAX);
            if next > until {
                self.now = until;
                return Ok(());
            }
            self.now = self.now.max(next);
            self.stats.steps += 1;
            if self.stats.steps > STEPS_MAX {
                return Err("too many steps".into());
            }
            if audio.is_some_and(|at| at <= self.now) {
                self.audio.run(self.now);
                self.send_news();
            } else if agenda.is_some_and(|at| at <= self.now) {
                if let Some((_, happening)) = self.agenda.pop_first() {
                    self.happen(happening)?;
                }
            } else {
                self.handle(&Input::Tick, &[], None)?;
            }
        }
    }

    fn happen(&mut self, happening: Happening) -> Check {
        match happening {
            Happening::Deliver {
                run,
                input,
                learned,
                frees_worker,
            } if run == self.run => {
                if frees_worker {
                    self.worker_busy = false;
                }
                self.handle(&input, &[], learned)?;
                self.next_job();
            }
            Happening::NewsDue { run } if run == self.run => {
                if let Some(News { news, reasons }) = self.audio.news.pop_front() {
                    self.handle(&Input::Audio(news), &reasons, None)?;
                }
            }
            Happening::ServiceHandles { run, job, fate } => self.service_handles(run, &job, &fate)?,
            Happening::Synced { run, seq } if run == self.run => {
                let durable = self.journal.sync(seq);
                self.handle(&Input::Stored { seq, durable }, &[], None)?;
            }
            Happening::Saved { run, effect } if run == self.run => {
                if let Effect::Save(bookmark) = effect {
                    self.journal.save(bookmark);
                } else {
                    self.journal.checkpoint(&effect);
                }
            }
            Happening::Loaded {
                run,
                slot,
                entry,
                attempt,
            } if run == self.run => self.loaded(slot, entry, attempt)?,
            Happening::Deliver { .. }
            | Happening::NewsDue { .. }
            | Happening::Synced { .. }
            | Happening::Saved { .. }
            | Happening::Loaded { .. } => {}
            Happening::Press(press) => {
                self.stats.count("presses");
                self.hear()?;
                self.handle(&Input::Press(press), &[], None)?;
            }
            Happening::Edge(button, contact) => {
                self.stats.count("edges");
                self.last_edge = Some(self.now);
                self.hear()?;
                let button = ButtonId(button);
                self.handle(&Input::Edge { button, contact }, &[], None)?;
            }
            Happening::Net(up) => {
                self.stats.count("net changes");
                self.net_up = up;
                // The interface does not always know that the network beyond it is gone.
                if self.rng.chance(600) {
                    self.handle(&if up { Input::LinkUp } else { Input::LinkDown }, &[], None)?;
                }
            }
            Happening::Device(works) => {
                self.stats.count("device changes");
                self.audio.device(works, self.now);
                self.send_news();
            }
            Happening::Disk(works) => {
                self.stats.count("disk changes");
                self.journal.disk_works = works;
            }
            Happening::Kill => self.kill(),
            Happening::Shutdown => {
                self.stats.count("shutdowns");
                self.handle(&Input::Shutdown, &[], None)?;
            }
            Happening::Boot => self.boot()?,
            Happening::Takeover(taken) => {
                self.stats.count("takeover changes");
                if taken {
                    let shape = self.shape();
                    self.service.take_stream(&shape, &mut self.rng);
                } else {
                    self.service.give_stream_back();
                }
            }
            Happening::Lapse => {
                self.stats.count("lapses");
                self.service.lapse();
            }
            Happening::Account(linked) => {
                self.stats.count("account changes");
                self.service.linked = linked;
                self.tell_account(linked);
            }
            Happening::Told(account) => {
                self.told = account;
                self.handle(&Input::Account(account), &[], None)?;
            }
            Happening::RefillSkips => self.service.refill_skips(),
        }
        Ok(())
    }

    pub fn summary(&self) -> (u64, u64, &BTreeMap<&'static str, u64>) {
        (self.service.processed, self.service.repeats, &self.oracle.reasons)
    }
}

fn digest(so_far: u64, line: &str) -> u64 {
    line.bytes().fold(so_far ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
