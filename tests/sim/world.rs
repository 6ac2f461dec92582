//! One world: the core among models of everything around it, a virtual clock, and faults from one seed.

use std::collections::{BTreeMap, VecDeque};

use crate::audio::{Audio, Medium, News};
use crate::journal::{Journal, Record};
use crate::oracle::{Oracle, Seen};
use crate::plan::{BUTTONS, Plan};
use crate::rng::Rng;
use crate::service::{Service, Shape};
use tonearm_core::effect::{Bookmark, Call, Effect, Wishes};
use tonearm_core::event::StopReason;
use tonearm_core::id::{ButtonId, EntryKey, RequestId, Seq, SessionKey, SourceKey};
use tonearm_core::input::{Answer, AudioNews, Contact, Failure, Input, MediaFault, Mode, Press, Verdict};
use tonearm_core::limits::VOLUME_FIRST;
use tonearm_core::unit::{Millis, Moment};
use tonearm_core::{Boot, Session, Settings, State};

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
    RefillSkips,
}

/// One exchange of the client's worker, which does one after the other.
#[derive(Clone, Debug)]
enum Job {
    Call(RequestId, Call),
    Event(Record),
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

    fn lay_out_trouble(&mut self) {
        let plan = self.plan.clone();
        self.enter(100, Happening::Press(Press::Preset(1)));
        let length = plan.length_ms;
        for _ in 0..plan.presses {
            let at = self.rng.between(0, length - 1);
            // People press in bursts.
            for step in 0..self.rng.between(1, 4) {
                let press = self.some_press();
                let gap = self.rng.between(1, 400);
                self.enter(at + step * gap, Happening::Press(press));
            }
        }
        for _ in 0..plan.edges {
            self.lay_out_edges(length);
        }
        let pairs: [(u64, fn(bool) -> Happening, bool); 4] = [
            (plan.net_drops, Happening::Net, false),
            (plan.device_losses, Happening::Device, false),
            (plan.disk_faults, Happening::Disk, false),
            (plan.takeovers, Happening::Takeover, true),
        ];
        for (count, happening, bad) in pairs {
            for _ in 0..count {
                let at = self.rng.between(0, length - 1);
                let lasts = self.rng.between(10, 40_000);
                self.enter(at, happening(bad));
                self.enter(at + lasts, happening(!bad));
            }
        }
        for _ in 0..plan.kills {
            let at = self.rng.between(0, length - 1);
            self.enter(at, Happening::Kill);
        }
        for _ in 0..plan.shutdowns {
            let at = self.rng.between(0, length - 1);
            self.enter(at, Happening::Shutdown);
        }
        self.enter(length / 2, Happening::RefillSkips);
    }

    fn lay_out_edges(&mut self, length: u64) {
        let button = u8::try_from(self.rng.index(BUTTONS.len())).unwrap();
        let at = self.rng.between(0, length - 1);
        let held = if self.rng.chance(200) {
            self.rng.between(600, 3000)
        } else {
            self.rng.between(15, 300)
        };
        for (edge, contact, other) in [
            (at, Contact::Closed, Contact::Open),
            (at + held, Contact::Open, Contact::Closed),
        ] {
            self.enter(edge, Happening::Edge(button, contact));
            for bounce in 0..self.rng.between(0, 3) {
                self.enter(edge + 2 * bounce + 1, Happening::Edge(button, other));
                self.enter(edge + 2 * bounce + 2, Happening::Edge(button, contact));
            }
        }
    }

    fn some_press(&mut self) -> Press {
        let seek = Millis(u32::try_from(self.rng.between(0, 100_000)).unwrap());
        let mode = [Mode::Play, Mode::Shuffle, Mode::Station][self.rng.index(3)];
        let source = SourceKey(u32::try_from(self.rng.between(1, 3)).unwrap());
        let presses = [
            Press::Next,
            Press::Next,
            Press::Next,
            Press::Play,
            Press::Play,
            Press::Previous,
            Press::Previous,
            Press::VolumeUp,
            Press::VolumeDown,
            Press::Shuffle,
            Press::Loop,
            Press::ScrubForward,
            Press::ScrubBackward,
            Press::Seek(seek),
            if self.rng.chance(300) {
                Press::Start { source, mode }
            } else {
                Press::Next
            },
            if self.rng.chance(300) {
                Press::Preset(u8::try_from(self.rng.between(0, 4)).unwrap())
            } else {
                Press::Play
            },
        ];
        presses[self.rng.index(presses.len())]
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
                self.handle(Input::Tick, &[], None)?;
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
                self.handle(input, &[], learned)?;
                self.next_job();
            }
            Happening::NewsDue { run } if run == self.run => {
                if let Some(News { news, reasons }) = self.audio.news.pop_front() {
                    self.handle(Input::Audio(news), &reasons, None)?;
                }
            }
            Happening::ServiceHandles { run, job, fate } => self.service_handles(run, job, &fate)?,
            Happening::Synced { run, seq } if run == self.run => {
                let durable = self.journal.sync(seq);
                self.handle(Input::Stored { seq, durable }, &[], None)?;
            }
            Happening::Saved { run, effect } if run == self.run => match effect {
                Effect::Save(bookmark) => self.journal.save(bookmark),
                checkpoint => self.journal.checkpoint(&checkpoint),
            },
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
                self.handle(Input::Press(press), &[], None)?;
            }
            Happening::Edge(button, contact) => {
                self.stats.count("edges");
                self.last_edge = Some(self.now);
                self.hear()?;
                let button = ButtonId(button);
                self.handle(Input::Edge { button, contact }, &[], None)?;
            }
            Happening::Net(up) => {
                self.stats.count("net changes");
                self.net_up = up;
                // The interface does not always know that the network beyond it is gone.
                if self.rng.chance(600) {
                    self.handle(if up { Input::LinkUp } else { Input::LinkDown }, &[], None)?;
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
                self.handle(Input::Shutdown, &[], None)?;
            }
            Happening::Boot => self.boot()?,
            Happening::Takeover(taken) => {
                self.stats.count("takeover changes");
                self.service.taken = taken;
            }
            Happening::RefillSkips => self.service.refill_skips(),
        }
        Ok(())
    }

    // ---- the program ----

    fn boot(&mut self) -> Check {
        if self.session.is_some() {
            return Ok(());
        }
        self.run += 1;
        let closing = self.journal.recover(Moment(self.now));
        self.oracle.restart(&self.journal, closing)?;
        note!(
            self,
            "{} ---- boot {}: {:?} {closing:?}",
            self.now,
            self.run,
            self.journal.bookmark()
        );
        let settings = Settings {
            behind: self.plan.behind,
            ahead: self.plan.ahead,
            presets: 3,
            buttons: BUTTONS.into_iter().collect(),
            heartbeat: self.plan.heartbeat,
            seed: self.rng.next(),
        };
        let boot = Boot {
            bookmark: self.journal.bookmark(),
            next: self.journal.next(),
            settled: self.journal.settled(),
        };
        self.session = Some(Session::new(settings, boot, Moment(self.now)));
        self.drain(&Input::Tick, &[])
    }

    fn kill(&mut self) {
        if self.session.take().is_none() {
            return;
        }
        self.stats.count("kills");
        note!(self, "{} ---- killed", self.now);
        self.journal.crash(&mut self.rng);
        self.stopped();
    }

    fn stopped(&mut self) {
        self.audio.reset();
        self.run += 1;
        self.jobs.clear();
        self.worker_busy = false;
        self.wishes = Wishes::new();
        let off = self.rng.between(50, 20_000);
        self.enter(off, Happening::Boot);
    }

    /// The position is read before an input that may depend on it.
    fn hear(&mut self) -> Check {
        if let Some((play, position)) = self.audio.heard(self.now) {
            self.handle(Input::Audio(AudioNews::Heard { play, position }), &[], None)?;
        }
        Ok(())
    }

    fn handle(&mut self, input: Input, reasons: &[StopReason], learned: Option<(SessionKey, usize)>) -> Check {
        if self.session.is_none() {
            return Ok(());
        }
        if input != Input::Tick {
            note!(self, "{} {input:?} {reasons:?}", self.now);
        }
        self.oracle.input(&input, self.now)?;
        if let Some(session) = &mut self.session {
            session.handle(input.clone(), Moment(self.now));
        }
        if let Some((key, version)) = learned
            && self.takes_list(&input)
        {
            self.oracle.learned(key, version);
        }
        self.drain(&input, reasons)
    }

    /// A list about a place where the speaker is not (any more) is not taken.
    fn takes_list(&self, input: &Input) -> bool {
        let Input::Answer {
            answer: Answer::Listed(list),
            ..
        } = input
        else {
            return false;
        };
        let Some(view) = self.session.as_ref().map(|session| session.view(Moment(self.now))) else {
            return false;
        };
        let keys: Vec<EntryKey> = list.iter().map(|entry| entry.key).collect();
        let current = view.entries.get(view.cursor).map(|entry| entry.key);
        let past = keys
            .iter()
            .position(|key| Some(*key) == current)
            .map_or(0, |index| index + 1);
        let ahead = view.entries.iter().skip(view.cursor + 1).map(|entry| entry.key);
        keys.iter()
            .skip(past)
            .copied()
            .zip(ahead)
            .all(|(listed, known)| listed == known)
    }

    fn drain(&mut self, input: &Input, reasons: &[StopReason]) -> Check {
        let mut count = 0;
        while let Some(effect) = self.session.as_mut().and_then(Session::poll) {
            count += 1;
            if !matches!(effect, Effect::Light(_)) {
                note!(self, "{}     -> {}", self.now, brief(&effect));
            }
            let seen = Seen {
                now: self.now,
                plan: &self.plan,
                input,
                reasons,
                journal: &self.journal,
                service: &self.service,
            };
            self.oracle.effect(&effect, &seen)?;
            self.obey(effect, input);
        }
        let seen = Seen {
            now: self.now,
            plan: &self.plan,
            input,
            reasons,
            journal: &self.journal,
            service: &self.service,
        };
        if let Some(session) = &self.session {
            self.oracle.after(session, count, &seen)?;
        }
        if self.oracle.exited && self.session.take().is_some() {
            note!(self, "{} ---- left", self.now);
            self.journal.close();
            if !self.journal.disk_works {
                self.journal.crash(&mut self.rng);
            }
            self.stopped();
        }
        self.next_job();
        self.send_news();
        Ok(())
    }

    fn obey(&mut self, effect: Effect, input: &Input) {
        match effect {
            Effect::Call { request, call } => self.jobs.push_back(Job::Call(request, call)),
            Effect::Record(event) => {
                self.stats.events += 1;
                self.journal.append(event);
                let after = self.rng.between(1, 60);
                let run = self.run;
                self.enter(after, Happening::Synced { run, seq: event.seq });
            }
            Effect::Report(seq) => self.jobs.extend(self.journal.get(seq).map(Job::Event)),
            Effect::Settle { seq, accepted } => self.journal.settle(seq, accepted),
            Effect::Want(wishes) => self.want(wishes),
            Effect::Play { play, entry, from, .. } => {
                let reasons = self.causes(input);
                self.audio.play(play, entry, from, &reasons, self.now);
            }
            Effect::Follow { play, entry, .. } => self.audio.follow(play, entry, self.now),
            Effect::Unfollow => self.audio.unfollow(),
            Effect::Pause => {
                let reasons = self.causes(input);
                self.audio.pause(&reasons, self.now);
            }
            Effect::Resume => self.audio.resume(self.now),
            Effect::Silence => {
                let reasons = self.causes(input);
                self.audio.silence(&reasons, self.now);
            }
            Effect::Save(_) | Effect::Checkpoint { .. } => {
                let run = self.run;
                // Writes are done in order, each in its time.
                self.enter(20, Happening::Saved { run, effect });
            }
            Effect::Volume(_) | Effect::Light(_) | Effect::Tell(_) | Effect::Exit => {}
        }
    }

    /// The reasons a stop may truly have when this input made the core cut the sound.
    fn causes(&self, input: &Input) -> Vec<StopReason> {
        use StopReason::{SystemStop, TrackScrub, UserNext, UserPrev, UserStop};
        let mut reasons = match input {
            Input::Press(press) => match press {
                Press::Next => vec![UserNext],
                Press::Previous => vec![UserPrev, TrackScrub],
                Press::Play | Press::Start { .. } | Press::Preset(_) => vec![UserStop],
                Press::ScrubForward | Press::ScrubBackward | Press::Seek(_) => vec![TrackScrub],
                Press::VolumeUp | Press::VolumeDown | Press::Shuffle | Press::Loop => Vec::new(),
            },
            Input::Edge { .. } | Input::Tick => vec![UserNext, UserPrev, TrackScrub, UserStop],
            Input::Answer { answer, .. } => match answer {
                Answer::Opened { .. } => vec![UserStop],
                Answer::Listed(_) => vec![UserNext, UserPrev, TrackScrub, SystemStop],
                // Nothing before it: back to the start.
                Answer::Done | Answer::Failed(_) => vec![SystemStop, TrackScrub],
            },
            Input::Shutdown | Input::Audio(_) | Input::Reported { .. } => vec![SystemStop],
            Input::Stored { .. } | Input::Media { .. } | Input::LinkUp | Input::LinkDown => Vec::new(),
        };
        // A held button falls due with any input.
        if self.last_edge.is_some_and(|at| at + 5000 > self.now) {
            reasons.extend([UserNext, UserPrev, TrackScrub, UserStop]);
        }
        reasons
    }

    // ---- the media ----

    fn want(&mut self, wishes: Wishes) {
        for wish in &wishes {
            let length_ms = self.service.length_ms(wish.entry);
            let (rng, plan) = (&mut self.rng, &self.plan);
            let medium = self.audio.media.entry(wish.entry).or_insert_with(|| Medium {
                length_ms,
                corrupt: rng.chance(plan.corrupt),
                broken_at: rng.chance(plan.broken).then(|| rng.between(0, length_ms - 1)),
                stalls: if rng.chance(plan.stalls) {
                    vec![
                        (rng.between(0, length_ms - 1), rng.between(10, 8000)),
                        (rng.between(0, length_ms - 1), rng.between(10, 500)),
                    ]
                } else {
                    Vec::new()
                },
                expired: if rng.chance(plan.expired) {
                    u8::try_from(rng.between(1, 2)).unwrap()
                } else {
                    0
                },
                load_ms: rng.between(plan.load_ms.0, plan.load_ms.1),
                loaded: false,
            });
            let before = self.wishes.iter().find(|before| before.entry == wish.entry);
            if before.is_none_or(|before| before.attempt != wish.attempt) {
                let happening = Happening::Loaded {
                    run: self.run,
                    slot: wish.slot.0,
                    entry: wish.entry,
                    attempt: wish.attempt,
                };
                let after = medium.load_ms;
                self.enter(after, happening);
            }
        }
        let left = self
            .wishes
            .iter()
            .filter(|before| !wishes.iter().any(|wish| wish.entry == before.entry));
        for wish in left {
            if let Some(medium) = self.audio.media.get_mut(&wish.entry) {
                medium.loaded = false;
            }
        }
        self.wishes = wishes;
    }

    fn loaded(&mut self, slot: u8, entry: EntryKey, attempt: u8) -> Check {
        let wished = self
            .wishes
            .iter()
            .any(|wish| wish.entry == entry && wish.slot.0 == slot && wish.attempt == attempt);
        if !wished {
            return Ok(());
        }
        if !self.net_up {
            let run = self.run;
            self.enter(
                500,
                Happening::Loaded {
                    run,
                    slot,
                    entry,
                    attempt,
                },
            );
            return Ok(());
        }
        let Some(medium) = self.audio.media.get_mut(&entry) else {
            return Ok(());
        };
        if attempt < medium.expired {
            self.stats.count("expired addresses");
            let (slot, fault) = (tonearm_core::id::SlotId(slot), MediaFault::Expired);
            return self.handle(Input::Media { slot, entry, fault }, &[], None);
        }
        medium.loaded = true;
        self.audio.run(self.now);
        self.send_news();
        Ok(())
    }

    /// Gives each new report of the audio path its moment of arrival, in order.
    fn send_news(&mut self) {
        let under_way = self
            .agenda
            .values()
            .filter(|entry| matches!(entry, Happening::NewsDue { run } if *run == self.run))
            .count();
        for _ in under_way..self.audio.news.len() {
            let at = (self.now + self.rng.between(0, self.plan.news_ms)).max(self.last_news);
            self.last_news = at;
            let run = self.run;
            self.enter(at - self.now, Happening::NewsDue { run });
        }
    }

    // ---- the service's client ----

    fn next_job(&mut self) {
        if self.worker_busy || self.session.is_none() {
            return;
        }
        let Some(job) = self.jobs.pop_front() else { return };
        self.worker_busy = true;
        let run = self.run;
        let latency = self.rng.between(self.plan.latency_ms.0, self.plan.latency_ms.1);
        if !self.net_up || self.rng.chance(self.plan.dropped) {
            self.stats.count("exchanges that reached nobody");
            let waits = self.rng.between(0, 3000);
            return self.answer(run, &job, Err(Failure::Unreachable), None, waits);
        }
        let fate = self.fate(&job);
        self.enter(latency / 2, Happening::ServiceHandles { run, job, fate });
    }

    fn fate(&mut self, job: &Job) -> Fate {
        if self.rng.chance(self.plan.answer_lost) {
            self.stats.count("answers lost");
            return Fate::AnswerLost;
        }
        if self.rng.chance(self.plan.busy) {
            self.stats.count("429 and 5xx");
            let retry_after = self
                .rng
                .chance(400)
                .then(|| Millis(u32::try_from(self.rng.between(1, 30) * 1000).unwrap()));
            return Fate::Fails(Failure::Busy { retry_after });
        }
        if !self.rng.chance(self.plan.odd) {
            return Fate::Answered;
        }
        self.stats.count("401, 403, 404, garbage");
        let failures = [
            Failure::Unauthorised,
            Failure::Garbled,
            Failure::Forbidden,
            Failure::NotFound,
            Failure::Refused,
        ];
        match (self.rng.index(failures.len()), job) {
            (kind, Job::Event(_)) if kind >= 2 => Fate::Refused,
            (kind, _) => Fate::Fails(failures[kind]),
        }
    }

    fn service_handles(&mut self, run: u32, job: Job, fate: &Fate) -> Check {
        let shape = Shape {
            entry_ms: self.plan.entry_ms,
            queue_len: self.plan.queue_len,
            injected: self.plan.injected,
        };
        let after = self.rng.between(self.plan.latency_ms.0, self.plan.latency_ms.1) / 2;
        match fate {
            Fate::Fails(failure) => {
                if *failure == Failure::NotFound
                    && let Job::Call(_, Call::Current(session)) = job
                {
                    self.service.forget(session);
                }
                self.answer(run, &job, Err(*failure), None, after);
            }
            Fate::Refused => {
                if let Job::Event(record) = &job {
                    // It is set aside when the answer arrives; should that be lost in a kill, it may come again.
                    self.journal.set_aside.insert(record.uid);
                    self.deliver(
                        run,
                        after,
                        Input::Reported {
                            seq: record.event.seq,
                            verdict: Verdict::Refused,
                        },
                        None,
                    );
                }
            }
            Fate::Answered | Fate::AnswerLost => {
                let lost = matches!(fate, Fate::AnswerLost);
                match &job {
                    Job::Call(_, call) => {
                        let answer = self.service.call(*call, &shape, &mut self.rng);
                        let learned = match (*call, &answer) {
                            (Call::Next { session, .. }, Answer::Listed(_)) => {
                                Some((session, self.service.version(session)))
                            }
                            _ => None,
                        };
                        let result = if lost { Err(Failure::Unreachable) } else { Ok(answer) };
                        self.answer(run, &job, result, learned, after);
                    }
                    Job::Event(record) => {
                        if lost || run != self.run {
                            self.journal.repeatable.insert(record.uid);
                        }
                        let verdict = self.service.event(*record, &self.journal, &shape, &mut self.rng)?;
                        let verdict = if lost {
                            Verdict::Failed(Failure::Unreachable)
                        } else {
                            verdict
                        };
                        self.deliver(
                            run,
                            after,
                            Input::Reported {
                                seq: record.event.seq,
                                verdict,
                            },
                            None,
                        );
                    }
                }
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        run: u32,
        job: &Job,
        result: Result<Answer, Failure>,
        learned: Option<(SessionKey, usize)>,
        after: u64,
    ) {
        let input = match (job, result) {
            (Job::Call(request, _), Ok(answer)) => Input::Answer {
                request: *request,
                answer,
            },
            (Job::Call(request, _), Err(failure)) => Input::Answer {
                request: *request,
                answer: Answer::Failed(failure),
            },
            (Job::Event(record), Err(failure)) => Input::Reported {
                seq: record.event.seq,
                verdict: Verdict::Failed(failure),
            },
            (Job::Event(_), Ok(_)) => return,
        };
        self.deliver(run, after, input, learned);
    }

    fn deliver(&mut self, run: u32, after: u64, input: Input, learned: Option<(SessionKey, usize)>) {
        let happening = Happening::Deliver {
            run,
            input,
            learned,
            frees_worker: true,
        };
        self.enter(after, happening);
    }

    // ---- the end ----

    fn calm_down(&mut self) {
        note!(self, "{} ---- calm", self.now);
        self.plan.calm();
        self.service.taken = false;
        for medium in self.audio.media.values_mut() {
            medium.stalls.clear();
        }
        let later = |happening: &Happening| {
            matches!(
                happening,
                Happening::Deliver { .. }
                    | Happening::NewsDue { .. }
                    | Happening::ServiceHandles { .. }
                    | Happening::Synced { .. }
                    | Happening::Saved { .. }
                    | Happening::Loaded { .. }
                    | Happening::Edge(..)
                    | Happening::Boot
            )
        };
        self.agenda.retain(|_, happening| later(happening));
        self.enter(0, Happening::Disk(true));
        self.enter(0, Happening::Device(true));
        self.enter(0, Happening::Net(true));
        self.enter(0, Happening::Boot);
    }

    /// Everything older than a few seconds is at the service, and what should sound sounds.
    fn check_drained(&mut self) -> Check {
        let settled = self.journal.settled();
        let late = self
            .journal
            .records()
            .find(|record| record.event.seq > settled && record.event.at.0 + 5000 < self.now);
        if let Some(record) = late {
            return Err(format!("{:?} is still not settled", record.event));
        }
        let missing = self.journal.records().find(|record| {
            record.event.seq <= settled
                && !self.service.has_seen(record.uid)
                && !self.journal.set_aside.contains(&record.uid)
        });
        if let Some(record) = missing {
            return Err(format!("{:?} was settled and never arrived", record.event));
        }
        let Some(session) = &self.session else {
            return Err("the program does not run".into());
        };
        let view = session.view(Moment(self.now));
        let (state, shown) = (view.state, format!("{view:?}"));
        match state {
            State::Playing if !self.audio.is_flowing() && self.audio.news.is_empty() => {
                Err("it says playing, and nothing sounds".into())
            }
            State::Paused | State::Stopped if self.audio.is_flowing() => {
                Err(format!("it says {state:?}, and something sounds"))
            }
            State::Buffering if !self.changes_soon() => Err(format!("stuck in buffering: {shown}")),
            State::Playing | State::Paused | State::Stopped | State::Buffering => Ok(()),
        }
    }

    /// Between two entries buffering is right for a moment.
    fn changes_soon(&mut self) -> bool {
        let later = self.now + 8_000;
        let mut ever_sounded = false;
        while self.now < later && !ever_sounded {
            let until = self.now + 100;
            if self.advance_to(until).is_err() {
                return false;
            }
            let state = self
                .session
                .as_ref()
                .map(|session| session.view(Moment(self.now)).state);
            ever_sounded = state != Some(State::Buffering);
        }
        ever_sounded
    }

    /// Somebody presses a preset, and it plays.
    fn check_alive(&mut self) -> Check {
        self.plan.entry_ms = (60_000, 90_000);
        self.plan.queue_len = (5, 20);
        self.enter(0, Happening::Press(Press::Preset(2)));
        let until = self.now + 20_000;
        self.advance_to(until)?;
        let Some(session) = &self.session else {
            return Err("the program does not run".into());
        };
        let view = session.view(Moment(self.now));
        if view.state == State::Playing && self.audio.is_flowing() && view.waiting <= 4 && !view.entries.is_empty() {
            Ok(())
        } else {
            Err(format!("a preset was pressed and does not play: {view:?}"))
        }
    }

    /// It leaves when asked, with everything closed and reported.
    fn check_leaves(&mut self) -> Check {
        self.enter(0, Happening::Shutdown);
        let until = self.now + 1600;
        while self.now < until && self.session.is_some() {
            let step = self.now + 10;
            self.advance_to(step)?;
        }
        if self.session.is_some() {
            return Err("it does not leave".into());
        }
        let unsent = self
            .journal
            .records()
            .find(|record| record.event.seq > self.journal.settled());
        if let Some(record) = unsent {
            return Err(format!(
                "it left with {:?} unsent although the service answers",
                record.event
            ));
        }
        let last = self.journal.records().next_back().map(|record| record.event.what);
        match last {
            Some(tonearm_core::event::What::Stop { .. }) => Ok(()),
            other => Err(format!("the last event is {other:?}")),
        }
    }

    pub fn summary(&self) -> (u64, u64, &BTreeMap<&'static str, u64>) {
        (self.service.processed, self.service.repeats, &self.oracle.reasons)
    }
}

fn brief(effect: &Effect) -> String {
    if let Effect::Want(wishes) = effect {
        let list: Vec<String> = wishes
            .iter()
            .map(|wish| format!("{}@{}/{}", wish.entry.0, wish.slot.0, wish.attempt))
            .collect();
        return format!("Want[{}]", list.join(" "));
    }
    format!("{effect:?}")
}

fn digest(so_far: u64, line: &str) -> u64 {
    line.bytes().fold(so_far ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
