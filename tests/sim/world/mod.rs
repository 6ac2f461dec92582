//! One world: the core among models of everything around it, its journal on a virtual disk, a virtual clock, and faults
//! from one seed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::audio::Audio;
use crate::disk::{Disk, Health};
use crate::ledger::{Entry as Recorded, Ledger};
use crate::oracle::Oracle;
use crate::plan::{CALM_MS, Form, Part, Plan, Without};
use crate::rng::Rng;
use crate::rule::{Check, Rule};
use crate::service::Service;
use crate::store::{Boots, Store};
use tonearm_core::Session;
use tonearm_core::effect::{Bookmark, Call, Wishes};
use tonearm_core::id::{EntryKey, RequestId, Seq, SessionKey};
use tonearm_core::input::{Account, Contact, Failure, Input, Press};

/// Steps of one day, or of one short world; more means that something runs in circles.
const STEPS_MAX: u64 = 400_000;
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
mod happen;
mod media;
mod program;
mod storing;
mod trouble;

#[expect(clippy::large_enum_variant, reason = "there are few at a time")]
#[derive(Clone, Debug)]
pub enum Happening {
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
    /// The journal's thread does what there is to do.
    Write {
        run: u32,
    },
    /// The journal has news: what it kept back is asked for again.
    Held {
        run: u32,
        first: Seq,
        last: Seq,
    },
    /// ... and tries again what failed.
    Retry {
        run: u32,
    },
    Saved {
        run: u32,
        bookmark: Bookmark,
    },
    Loaded {
        run: u32,
        slot: u8,
        entry: EntryKey,
        attempt: u8,
        /// Fetches in the order they were begun.
        serial: u64,
    },
    Press(Press),
    Edge(u8, Contact),
    Net(bool),
    Device(bool),
    Disk(Health),
    Kill,
    PowerCut,
    /// The end that was waiting for the middle of a write comes without one.
    Ended {
        run: u32,
    },
    Shutdown,
    /// The kernel says that the clock is synchronised, or not any more.
    ClockTrusted(bool),
    /// Access tokens are no longer accepted, until they are renewed.
    Expiry,
    /// Somebody else puts something into the queue.
    Edited,
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
pub enum Job {
    Call(RequestId, Call),
    /// Sent in one piece.
    Events(Vec<Recorded>),
}

#[derive(Clone, Debug)]
pub enum Fate {
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
        self.add(what, 1);
    }

    fn add(&mut self, what: &'static str, count: u64) {
        if count > 0 {
            *self.counts.entry(what).or_default() += count;
        }
    }
}

/// How the program ends when it is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Killed,
    PowerCut,
}

/// The wall clock of the current boot.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    is_trusted: bool,
    /// How far it is from the truth when it is trusted.
    error_ms: i64,
    /// The journal was told in this run of the program.
    is_noted: bool,
}

/// What a day left behind, at its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rest {
    pub bytes: u64,
    pub files: usize,
    /// Things in the tables of the models: a world that grows proves nothing for long.
    pub things: usize,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact that stands by itself")]
pub struct World {
    seed: u64,
    form: Form,
    without: Without,
    rng: Rng,
    plan: Plan,
    pub now: u64,
    pub day: u32,
    /// Troubles laid out for each day, with those that are left out.
    pub laid_out_on: Vec<usize>,
    agenda: BTreeMap<(u64, u64), Happening>,
    entered: u64,
    run: u32,
    session: Option<Session>,
    service: Service,
    audio: Audio,
    disk: Arc<Disk>,
    store: Option<Store>,
    ledger: Ledger,
    boots: Boots,
    is_board_new: bool,
    clock: Clock,
    /// The program ends in the middle of the next write.
    doom: Option<End>,
    retries: bool,
    /// Events that are to be sent and that the journal keeps back.
    held: Option<(Seq, Seq)>,
    oracle: Oracle,
    jobs: VecDeque<Job>,
    worker_busy: bool,
    net_up: bool,
    /// Tokens are accepted again from here on.
    expired_until: u64,
    /// How signing in stands as the sign-in adapter knows it.
    told: Account,
    last_news: u64,
    news_under_way: usize,
    last_edge: Option<u64>,
    wishes: Wishes,
    fetches: u64,
    fetched: u64,
    telling: Telling,
    /// The troubles that were not left out.
    pub story: Vec<String>,
    pub trace: VecDeque<String>,
    /// Digest of everything that went in and out, to compare runs.
    pub digest: u64,
    pub stats: Stats,
    steps_today: u64,
    pub rests: Vec<Rest>,
}

impl World {
    pub fn new(seed: u64, form: Form, without: &Without, telling: Telling) -> Self {
        let mut rng = Rng::new(seed);
        let mut plan = Plan::draw(&mut rng);
        plan.without(&without.rates);
        let disk = Arc::new(Disk::default());
        if without.part == Some(Part::Sync) {
            disk.lie();
        }
        Self {
            seed,
            form,
            without: without.clone(),
            service: Service::new(plan.tier),
            rng,
            plan,
            now: 1000,
            day: 0,
            laid_out_on: Vec::new(),
            agenda: BTreeMap::new(),
            entered: 0,
            run: 0,
            session: None,
            audio: Audio::new(),
            disk,
            store: None,
            ledger: Ledger::new(),
            boots: Boots::default(),
            is_board_new: true,
            clock: Clock::default(),
            doom: None,
            retries: false,
            held: None,
            oracle: Oracle::new(),
            jobs: VecDeque::new(),
            worker_busy: false,
            net_up: true,
            expired_until: 0,
            told: Account::Linked,
            last_news: 0,
            news_under_way: 0,
            last_edge: None,
            wishes: Wishes::new(),
            fetches: 0,
            fetched: 0,
            telling,
            story: Vec::new(),
            trace: VecDeque::new(),
            digest: 0,
            stats: Stats::default(),
            steps_today: 0,
            rests: Vec::new(),
        }
    }

    /// Lives through the whole world: trouble and calm, day by day, a last song, and leaving.
    pub fn live(&mut self) -> Check {
        match self.form {
            Form::Short => self.live_a_day()?,
            Form::Days(days) => {
                for day in 0..days {
                    self.day = day;
                    let mut rng = Rng::new(self.seed.wrapping_add(u64::from(day) << 32));
                    self.plan.day(&mut rng);
                    self.plan.without(&self.without.rates);
                    self.live_a_day()?;
                }
            }
        }
        self.check_alive()?;
        self.check_leaves()
    }

    fn live_a_day(&mut self) -> Check {
        note!(self, "{:?}", self.plan);
        self.steps_today = 0;
        self.enter(0, Happening::Boot);
        self.lay_out_trouble();
        let end = self.now + self.plan.length_ms;
        self.advance_to(end)?;
        self.calm_down();
        self.advance_to(end + CALM_MS)?;
        self.check_drained()?;
        self.check_flat()
    }

    fn tells(&self) -> bool {
        self.telling == Telling::Everything
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
            self.steps_today += 1;
            Rule::Alive.holds(self.steps_today <= STEPS_MAX, || "too many steps".into())?;
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

    /// What the virtual disk counted.
    pub fn disk(&self) -> crate::disk::Counts {
        self.disk.counts()
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
