//! One speaker: the session that ships, whole, with as much of a program around it as it takes to play, to store events
//! and to ask one thing after the other.

use std::collections::VecDeque;

use tonearm_core::effect::{Bookmark, Call, Effect, Extent, Wishes};
use tonearm_core::entry::{Actions, Entry, Kind, Permission};
use tonearm_core::event::What;
use tonearm_core::id::{EntryKey, PlayId, RequestId, Seq, SessionKey};
use tonearm_core::input::{Answer, AudioNews, Ending, Entries, Failure, Input, Mode, Press, Verdict};
use tonearm_core::unit::{Millis, Moment};
use tonearm_core::{Boot, Load, OnElsewhere, Session, Settings, State};

use crate::device::{Device, Ledger};
use crate::rng::{Rng, length_ms};
use crate::service::{BEGIN_S, Outcome, Scene, Service};

const SESSION: SessionKey = SessionKey(1);
/// Entries in the answer to create.
const FIRST_ENTRIES: u32 = 5;
/// Longest time after the outage until the loader of the music tries again.
const MEDIA_RETRY_MS: u64 = 8_000;

/// One exchange of the client, which does one after the other.
#[derive(Clone, Copy, Debug)]
enum Job {
    Call(RequestId, Call),
    Report { first: Seq, last: Seq },
}

/// What is on its way back.
struct Exchange {
    job: Job,
    outcome: Outcome,
    back_at: u64,
}

/// An order to the audio path.
#[derive(Clone, Copy)]
struct Sound {
    play: PlayId,
    entry: EntryKey,
    /// Heard up to here when it last began to flow, or stopped flowing.
    position: u64,
    flow: Flow,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// It has not begun.
    Waiting,
    Since(u64),
    Stalled,
}

pub struct Speaker {
    number: u64,
    rng: Rng,
    session: Session,
    now: u64,
    inbox: VecDeque<Input>,
    begins_at: Option<u64>,
    media_back_at: u64,
    jobs: VecDeque<Job>,
    exchange: Option<Exchange>,
    current: Option<Sound>,
    follower: Option<Sound>,
    wishes: Wishes,
    /// What is loaded, and whether it is whole.
    loaded: Vec<(EntryKey, bool)>,
    head_ms: u64,
    /// Events on disk that are not settled, and the entry that a start moves the service to.
    disk: VecDeque<(Seq, Option<EntryKey>)>,
    /// The service's place in the queue.
    at: u32,
    /// The last exchange failed: something is to be tried again.
    failing: bool,
    ledger: Ledger,
}

impl Speaker {
    pub fn new(number: u64, scene: &Scene, batch: u8) -> Self {
        let mut rng = Rng::new(number);
        let load = Load::default();
        let settings = Settings {
            behind: 2,
            ahead: 10,
            load,
            presets: [Mode::Play].into_iter().collect(),
            buttons: heapless::Vec::new(),
            heartbeat: None,
            elsewhere: OnElsewhere::Offer,
            batch,
            seed: rng.next(),
        };
        let bookmark = Bookmark {
            place: None,
            playing: false,
            volume: 40,
            shuffle: false,
            looping: false,
        };
        let boot = Boot {
            bookmark,
            next: Seq(1),
            settled: Seq(0),
        };
        let begins_at = rng.between(0, BEGIN_S * 1000);
        let media_back_at = scene.ends_ms() + rng.between(0, MEDIA_RETRY_MS);
        Self {
            number,
            session: Session::new(settings, boot, Moment(0)),
            rng,
            now: 0,
            inbox: VecDeque::new(),
            begins_at: Some(begins_at),
            media_back_at,
            jobs: VecDeque::new(),
            exchange: None,
            current: None,
            follower: None,
            wishes: Wishes::new(),
            loaded: Vec::new(),
            head_ms: u64::from(load.head.0),
            disk: VecDeque::new(),
            at: 0,
            failing: false,
            ledger: Ledger::default(),
        }
    }

    fn work(&mut self, service: &mut Service) {
        loop {
            while let Some(effect) = self.session.poll() {
                self.obey(effect, &service.scene);
            }
            let Some(input) = self.inbox.pop_front() else { break };
            self.ledger.inputs += 1;
            self.session.handle(input, Moment(self.now));
        }
        if self.exchange.is_none()
            && let Some(job) = self.jobs.pop_front()
        {
            let travel = self.rng.between(20, 120);
            let (outcome, back_at) = service.ask(self.now, travel);
            if let (Outcome::Done, Job::Report { first, last }) = (outcome, job) {
                self.take_in(first, last);
            }
            self.exchange = Some(Exchange { job, outcome, back_at });
        }
    }

    fn obey(&mut self, effect: Effect, scene: &Scene) {
        match effect {
            Effect::Call { request, call } => self.jobs.push_back(Job::Call(request, call)),
            Effect::Record(event) => {
                self.ledger.recorded += 1;
                let starts = matches!(event.what, What::Start { .. });
                self.disk.push_back((event.seq, starts.then_some(event.entry)));
                let (seq, durable) = (event.seq, true);
                self.inbox.push_back(Input::Stored { seq, durable });
            }
            Effect::Report { first, last } => self.jobs.push_back(Job::Report { first, last }),
            Effect::Settle { seq, .. } => self.disk.retain(|(waiting, _)| *waiting > seq),
            Effect::Want(wishes) => {
                self.wishes = wishes;
                self.fetch(scene);
            }
            Effect::Play { play, entry, .. } => {
                assert!(self.current.is_none(), "nobody skips");
                self.follower = None;
                self.current = Some(sound(play, entry));
                self.begin();
            }
            Effect::Follow { play, entry, .. } => {
                if self.current.is_some() {
                    self.follower = Some(sound(play, entry));
                } else {
                    self.current = Some(sound(play, entry));
                    self.begin();
                }
            }
            Effect::Unfollow => self.follower = None,
            Effect::Pause | Effect::Resume | Effect::Silence | Effect::Exit => {
                unreachable!("nobody asks for {effect:?}")
            }
            Effect::Checkpoint { .. } | Effect::Volume(_) | Effect::Light(_) | Effect::Tell(_) | Effect::Save(_) => {}
        }
    }

    // ---- the service's side of this speaker ----

    fn take_in(&mut self, first: Seq, last: Seq) {
        if first.0 != self.ledger.taken + 1 {
            self.ledger.out_of_order += 1;
        }
        self.ledger.taken = last.0;
        let starts = self.disk.iter().filter(|(seq, _)| (first..=last).contains(seq));
        if let Some(entry) = starts.filter_map(|(_, start)| *start).next_back() {
            self.at = entry.0;
        }
    }

    fn answer(&mut self, call: Call) -> Answer {
        let list = |keys: std::ops::Range<u32>| keys.map(|key| self.describe(key)).collect::<Entries>();
        match call {
            Call::Create { .. } => {
                let entries = list(1..1 + FIRST_ENTRIES);
                self.at = 1;
                let session = SESSION;
                Answer::Opened { session, entries }
            }
            Call::Current(_) => Answer::Listed(list(self.at..self.at + 1)),
            Call::Next { limit, .. } => Answer::Listed(list(self.at + 1..self.at + 1 + u32::from(limit))),
            Call::Active => Answer::Sessions(heapless::Vec::new()),
            Call::Previous { .. }
            | Call::Loop { .. }
            | Call::Shuffle { .. }
            | Call::Restore(_)
            | Call::QueueNext { .. }
            | Call::QueueLast { .. } => unreachable!("nobody asks for {call:?}"),
        }
    }

    fn describe(&self, key: u32) -> Entry {
        let length = length_ms(self.number, key);
        Entry {
            key: EntryKey(key),
            kind: Kind::Track,
            duration: Some(Millis(u32::try_from(length).unwrap())),
            actions: Actions {
                next: Permission::FREE,
                ..Actions::default()
            },
        }
    }

    fn come_back(&mut self, exchange: &Exchange) {
        self.failing = exchange.outcome != Outcome::Done;
        let failure = match exchange.outcome {
            Outcome::Done => None,
            Outcome::Unreachable => Some(Failure::Unreachable),
            Outcome::Busy(after) => Some(Failure::Busy {
                retry_after: after.map(Millis),
            }),
        };
        let input = match exchange.job {
            Job::Call(request, call) => Input::Answer {
                request,
                answer: failure.map_or_else(|| self.answer(call), Answer::Failed),
            },
            Job::Report { last, .. } => Input::Reported {
                last,
                verdict: failure.map_or(Verdict::Accepted, Verdict::Failed),
            },
        };
        self.inbox.push_back(input);
    }

    /// When the session is to look again. While it plays and nothing waits, that is for a checkpoint, which asks nothing
    /// of the service: those are left out, they would be half of all steps.
    fn deadline(&self) -> Option<u64> {
        let view = self.session.view(Moment(self.now));
        let rests = view.state == State::Playing && view.waiting == 0 && view.turn_at.is_none();
        let at = self.session.deadline().filter(|_| !rests || self.failing);
        at.map(|at| at.0)
    }

    // ---- the music ----

    fn fetch(&mut self, scene: &Scene) {
        let has_media = !scene.takes_media || (scene.has_media(self.now) && !self.waits_for_media(scene));
        let wishes = self.wishes.iter();
        self.loaded = wishes
            .filter_map(|wish| {
                let before = self.loaded.iter().find(|(entry, _)| *entry == wish.entry).copied();
                let is_whole = wish.extent == Extent::Whole || before.is_some_and(|(_, whole)| whole);
                if has_media {
                    Some((wish.entry, is_whole))
                } else {
                    before
                }
            })
            .collect();
    }

    fn waits_for_media(&self, scene: &Scene) -> bool {
        (scene.ends_ms()..self.media_back_at).contains(&self.now)
    }

    /// How far an entry is loaded.
    fn reach(&self, entry: EntryKey) -> u64 {
        let length = length_ms(self.number, entry.0);
        match self.loaded.iter().find(|(loaded, _)| *loaded == entry) {
            Some((_, true)) => length,
            Some((_, false)) => self.head_ms.min(length),
            None => 0,
        }
    }

    fn begin(&mut self) {
        let Some(order) = self.current else { return };
        if self.reach(order.entry) <= order.position {
            return;
        }
        let news = match order.flow {
            Flow::Waiting => AudioNews::Began {
                play: order.play,
                position: Millis(0),
            },
            Flow::Stalled => AudioNews::Flowing { play: order.play },
            Flow::Since(_) => return,
        };
        self.inbox.push_back(Input::Audio(news));
        self.current = Some(Sound {
            flow: Flow::Since(self.now),
            ..order
        });
    }

    /// What is loaded of the current entry has sounded.
    fn run_out(&mut self) {
        let Some(order) = self.current.filter(|order| matches!(order.flow, Flow::Since(_))) else {
            return;
        };
        let length = length_ms(self.number, order.entry.0);
        let heard = self.reach(order.entry);
        let play = order.play;
        if heard < length {
            self.current = Some(Sound {
                position: heard,
                flow: Flow::Stalled,
                ..order
            });
            self.inbox.push_back(Input::Audio(AudioNews::Stalled { play }));
            return;
        }
        let length = Millis(u32::try_from(length).unwrap());
        self.inbox.push_back(Input::Audio(AudioNews::Ended {
            play,
            position: length,
            played: length,
            rebuffers: 0,
            how: Ending::Finished,
        }));
        self.current = self.follower.take();
        self.begin();
    }

    fn sound_changes_at(&self, scene: &Scene) -> Option<u64> {
        let order = self.current?;
        match order.flow {
            Flow::Since(since) => Some(since + self.reach(order.entry) - order.position),
            Flow::Waiting | Flow::Stalled => {
                (scene.takes_media && self.now < self.media_back_at).then_some(self.media_back_at)
            }
        }
    }
}

impl Device for Speaker {
    fn wakes_at(&self, scene: &Scene) -> u64 {
        let times = [
            self.begins_at,
            self.exchange.as_ref().map(|exchange| exchange.back_at),
            self.deadline(),
            self.sound_changes_at(scene),
        ];
        times.into_iter().flatten().min().unwrap_or(u64::MAX).max(self.now)
    }

    fn wake(&mut self, now: u64, service: &mut Service) {
        self.now = now;
        if self.begins_at.take_if(|at| *at <= now).is_some() {
            self.inbox.push_back(Input::Press(Press::Preset(1)));
        }
        if let Some(exchange) = self.exchange.take_if(|exchange| exchange.back_at <= now) {
            self.come_back(&exchange);
        }
        if self.sound_changes_at(&service.scene).is_some_and(|at| at <= now) {
            self.run_out();
        }
        if service.scene.takes_media && now == self.media_back_at {
            self.fetch(&service.scene);
            self.begin();
        }
        if self.inbox.is_empty() {
            self.inbox.push_back(Input::Tick);
        }
        self.work(service);
    }

    fn is_caught_up(&self) -> bool {
        let view = self.session.view(Moment(self.now));
        view.waiting == 0 && view.turn_at.is_none() && self.exchange.is_none() && view.state == State::Playing
    }

    fn is_silent(&self) -> bool {
        !self.current.is_some_and(|order| matches!(order.flow, Flow::Since(_)))
    }

    fn ledger(&self) -> Ledger {
        self.ledger
    }
}

fn sound(play: PlayId, entry: EntryKey) -> Sound {
    Sound {
        play,
        entry,
        position: 0,
        flow: Flow::Waiting,
    }
}
