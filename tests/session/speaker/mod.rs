//! A speaker on a bench: everything around the core answers at once unless a scenario holds it back.

mod outside;
mod service;

pub use service::{Asked, KITCHEN, KITCHENS_QUEUE};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tonearm_core::effect::{Bookmark, Call, Effect, Wishes};
use tonearm_core::entry::{Actions, Permission};
use tonearm_core::event::{Claim, Event, StopReason, What};
use tonearm_core::id::{EntryKey, PlayId, Seq, SlotId};
use tonearm_core::input::Mode;
use tonearm_core::input::{AudioNews, Elsewhere, Ending, Failure, Input, MediaFault, Press, Verdict};
use tonearm_core::light::Scene;
use tonearm_core::limits::VOLUME_FIRST;
use tonearm_core::refusal::{Notice, Refusal};
use tonearm_core::unit::{Millis, Moment};
use tonearm_core::{Boot, ButtonSetup, OnElsewhere, Session, Settings, State, View};

pub const TRACK_MS: u32 = 180_000;

pub const FREE: Actions = Actions {
    next: Permission::FREE,
    previous: Permission::FREE,
    scrub_forward: Permission::FREE,
    scrub_backward: Permission::FREE,
    loop_all: Permission::FREE,
    shuffle: Permission::FREE,
};

#[derive(Clone, Copy)]
struct Order {
    play: PlayId,
    entry: u32,
    position: u64,
    /// Since when it sounds, and where that span began.
    span: Option<(u64, u64)>,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a tap that a scenario opens or closes"
)]
pub struct Speaker {
    pub session: Session,
    pub now: u64,
    inbox: VecDeque<Input>,
    // The service.
    pub order: Vec<u32>,
    pub at: usize,
    pub open: u32,
    pub actions: BTreeMap<u32, Actions>,
    pub everywhere: Actions,
    pub reachable: bool,
    pub fails: Option<Failure>,
    pub fails_at: BTreeMap<Asked, Failure>,
    pub elsewhere: Vec<Elsewhere>,
    /// Another device owns the stream: only a claim gets it back.
    pub stolen: bool,
    pub ends_as_not_found: bool,
    lapsed: bool,
    /// The name under which a lapsed session comes back; without one, its old name.
    pub restores_as: Option<u32>,
    /// Numbers of events that are refused for good.
    pub bad: BTreeSet<u64>,
    pub verdicts: VecDeque<Verdict>,
    pub looping: bool,
    /// Answers are kept back until `let_through`.
    pub holds_answers: bool,
    held: VecDeque<Input>,
    // The audio path.
    current: Option<Order>,
    follower: Option<Order>,
    paused: bool,
    pub slow: BTreeSet<u32>,
    pub corrupt: BTreeSet<u32>,
    /// Reports are kept back until `let_through`.
    pub holds_news: bool,
    // The journal.
    pub stores: bool,
    pub durable: bool,
    unstored: Option<Seq>,
    pub journal: Vec<Event>,
    pub settled: Vec<(Seq, bool)>,
    pub bookmark: Bookmark,
    checkpoint: Option<(Seq, Millis, Millis)>,
    // What was seen.
    told_to: usize,
    pub sent: Vec<Seq>,
    /// First and last of each piece that was sent.
    pub reports: Vec<(u64, u64)>,
    pub calls: Vec<Call>,
    pub effects: Vec<Effect>,
    pub notices: Vec<Notice>,
    pub wishes: Wishes,
    pub light: Scene,
    settings: Settings,
}

fn settings() -> Settings {
    let button = |press, hold| ButtonSetup { press, hold };
    Settings {
        behind: 2,
        ahead: 10,
        load: tonearm_core::Load::default(),
        presets: [Mode::Play, Mode::Shuffle, Mode::Play].into_iter().collect(),
        buttons: [
            button(Press::Play, None),
            button(Press::Next, Some(Press::ScrubForward)),
            button(Press::Previous, Some(Press::ScrubBackward)),
            button(Press::VolumeUp, None),
        ]
        .into_iter()
        .collect(),
        heartbeat: None,
        elsewhere: OnElsewhere::Offer,
        batch: 1,
        seed: 1,
    }
}

impl Speaker {
    /// Out of the box, with an album of `count` entries behind preset 1.
    pub fn with_album(count: u32) -> Self {
        Self::with(settings(), count)
    }

    pub fn with_heartbeat(count: u32, every: Millis) -> Self {
        let heartbeat = Some(every);
        Self::with(
            Settings {
                heartbeat,
                ..settings()
            },
            count,
        )
    }

    pub fn with_batches(count: u32, batch: u8) -> Self {
        Self::with(Settings { batch, ..settings() }, count)
    }

    pub fn that_takes_over(count: u32) -> Self {
        let elsewhere = OnElsewhere::TakeOver;
        Self::with(
            Settings {
                elsewhere,
                ..settings()
            },
            count,
        )
    }

    fn with(settings: Settings, count: u32) -> Self {
        let bookmark = Bookmark {
            place: None,
            playing: false,
            volume: VOLUME_FIRST,
            shuffle: false,
            looping: false,
        };
        let boot = Boot {
            bookmark,
            next: Seq(1),
            settled: Seq(0),
        };
        let mut speaker = Self {
            session: Session::new(settings.clone(), boot, Moment(1000)),
            now: 1000,
            inbox: VecDeque::new(),
            order: (1..=count).collect(),
            at: 0,
            open: 0,
            actions: BTreeMap::new(),
            everywhere: FREE,
            reachable: true,
            fails: None,
            fails_at: BTreeMap::new(),
            elsewhere: Vec::new(),
            stolen: false,
            ends_as_not_found: false,
            lapsed: false,
            restores_as: None,
            bad: BTreeSet::new(),
            verdicts: VecDeque::new(),
            looping: false,
            holds_answers: false,
            held: VecDeque::new(),
            current: None,
            follower: None,
            paused: false,
            slow: BTreeSet::new(),
            corrupt: BTreeSet::new(),
            holds_news: false,
            stores: true,
            durable: true,
            unstored: None,
            journal: Vec::new(),
            settled: Vec::new(),
            bookmark,
            checkpoint: None,
            told_to: 0,
            sent: Vec::new(),
            reports: Vec::new(),
            calls: Vec::new(),
            effects: Vec::new(),
            notices: Vec::new(),
            wishes: Wishes::new(),
            light: Scene::default(),
            settings,
        };
        speaker.work();
        // At the very first start it looks for sessions on other devices; that is no part of a scenario.
        speaker.calls.clear();
        speaker
    }

    /// Preset 1 was pressed, and its first entry sounds; that much of the story is left out of `story`.
    pub fn playing_album(count: u32) -> Self {
        let mut speaker = Self::with_album(count);
        speaker.press(Press::Preset(1));
        speaker.forget();
        speaker
    }

    // ---- what a scenario does ----

    pub fn press(&mut self, press: Press) -> &mut Self {
        self.hear();
        self.input(Input::Press(press))
    }

    pub fn input(&mut self, input: Input) -> &mut Self {
        self.inbox.push_back(input);
        self.work();
        self
    }

    /// Time goes by; what falls due is done at its moment.
    pub fn wait(&mut self, ms: u64) -> &mut Self {
        let until = self.now + ms;
        let mut ticks = 0;
        while let Some(at) = self.session.deadline().filter(|at| at.0 <= until) {
            ticks += 1;
            assert!(ticks < 10_000, "the deadline stands still at {at:?}");
            self.now = self.now.max(at.0);
            self.input(Input::Tick);
        }
        self.now = until;
        self
    }

    /// What sounds plays to its end.
    pub fn finish(&mut self) -> &mut Self {
        let order = self.current.expect("something sounds");
        let (since, from) = order.span.expect("it has begun");
        let left = u64::from(TRACK_MS) - from.min(u64::from(TRACK_MS));
        let until = since + left;
        self.wait(until.saturating_sub(self.now));
        self.end(Ending::Finished);
        self.current = self.follower.take();
        self.begin();
        self.work();
        self
    }

    /// What sounds turns out to be damaged from here on.
    pub fn break_off(&mut self) -> &mut Self {
        self.end(Ending::Broken);
        self.current = self.follower.take();
        self.begin();
        self.work();
        self
    }

    /// What sounds is encrypted from here on, and its key did not come.
    pub fn lock_out(&mut self) -> &mut Self {
        self.end(Ending::Locked);
        self.current = self.follower.take();
        self.begin();
        self.work();
        self
    }

    pub fn lose_device(&mut self) -> &mut Self {
        self.end(Ending::Interrupted);
        self.input(Input::Audio(AudioNews::DeviceLost))
    }

    pub fn find_device(&mut self) -> &mut Self {
        self.input(Input::Audio(AudioNews::DeviceBack));
        self.begin();
        self.work();
        self
    }

    pub fn stall(&mut self, ms: u64) -> &mut Self {
        let play = self.current.expect("something sounds").play;
        self.hear();
        self.input(Input::Audio(AudioNews::Stalled { play }));
        self.wait(ms);
        // The model of the sound stood still meanwhile.
        if let Some(Order {
            span: Some((since, _)), ..
        }) = &mut self.current
        {
            *since += ms;
        }
        self.input(Input::Audio(AudioNews::Flowing { play }))
    }

    pub fn loaded(&mut self, entry: u32) -> &mut Self {
        self.slow.remove(&entry);
        self.begin();
        self.work();
        self
    }

    pub fn expired(&mut self, entry: u32) -> &mut Self {
        self.slow.insert(entry);
        let slot = self.session.slot_of(EntryKey(entry)).unwrap_or(SlotId(0));
        self.input(Input::Media {
            slot,
            entry: EntryKey(entry),
            fault: MediaFault::Expired,
        })
    }

    pub fn offline(&mut self) -> &mut Self {
        self.reachable = false;
        self.input(Input::LinkDown)
    }

    pub fn online(&mut self) -> &mut Self {
        self.reachable = true;
        self.input(Input::LinkUp)
    }

    pub fn hold_answers(&mut self) -> &mut Self {
        self.holds_answers = true;
        self
    }

    /// What was held back arrives, in order.
    pub fn let_through(&mut self) -> &mut Self {
        self.holds_answers = false;
        self.holds_news = false;
        self.inbox.append(&mut self.held);
        self.work();
        self
    }

    pub fn store(&mut self) -> &mut Self {
        self.stores = true;
        if let Some(seq) = self.unstored.take() {
            self.input(Input::Stored { seq, durable: true });
        }
        self
    }

    /// The plug is pulled, and put back after `off_ms`: journal, checkpoint and bookmark are all that is left.
    pub fn pull_plug(&mut self, off_ms: u64) -> &mut Self {
        self.now += off_ms;
        self.inbox.clear();
        self.held.clear();
        self.current = None;
        self.follower = None;
        self.paused = false;
        let last = self.journal.last().copied();
        if let Some(
            start @ Event {
                what: What::Start { offset },
                ..
            },
        ) = last
        {
            let noted = self.checkpoint.filter(|(seq, ..)| *seq == start.seq);
            let (progress, played) = noted.map_or((offset, Millis::ZERO), |(_, position, played)| (position, played));
            self.journal.push(Event {
                seq: start.seq.next(),
                what: What::Stop {
                    reason: StopReason::SystemStop,
                    played,
                    progress,
                    rebuffers: 0,
                },
                claim: Claim::Held,
                ..start
            });
            if let Some(place) = self.bookmark.place.as_mut().filter(|place| place.entry == start.entry) {
                place.position = progress;
            }
        }
        let boot = Boot {
            bookmark: self.bookmark,
            next: self.journal.last().map_or(Seq(1), |event| event.seq.next()),
            settled: self.settled.last().map_or(Seq(0), |(seq, _)| *seq),
        };
        self.wishes = Wishes::new();
        self.session = Session::new(self.settings.clone(), boot, Moment(self.now));
        self.work();
        self
    }

    // ---- what a scenario looks at ----

    /// Which entries' starts took the stream over from another device.
    pub fn claims(&self) -> Vec<u32> {
        let claims = self.journal.iter().filter(|event| event.claim == Claim::TakesOver);
        claims.map(|event| event.entry.0).collect()
    }

    /// The events since the last look: `"3 from 0"` is a start, `"3 userNext 5000"` a stop at a position.
    pub fn story(&mut self) -> Vec<String> {
        let lines = self.journal.iter().skip(self.told_to).map(|event| match event.what {
            What::Start { offset } => format!("{} from {}", event.entry.0, offset.0),
            What::Stop { reason, progress, .. } => format!("{} {} {}", event.entry.0, name(reason), progress.0),
        });
        let story = lines.collect();
        self.told_to = self.journal.len();
        story
    }

    pub fn forget(&mut self) -> &mut Self {
        self.told_to = self.journal.len();
        self.effects.clear();
        self.calls.clear();
        self.notices.clear();
        self
    }

    pub fn view(&self) -> View<'_> {
        self.session.view(Moment(self.now))
    }

    pub fn state(&self) -> State {
        self.view().state
    }

    pub fn current(&self) -> Option<u32> {
        let view = self.view();
        view.entries.get(view.cursor).map(|entry| entry.key.0)
    }

    pub fn ahead(&self) -> Vec<u32> {
        let view = self.view();
        view.entries
            .iter()
            .skip(view.cursor + 1)
            .map(|entry| entry.key.0)
            .collect()
    }

    pub fn refusal(&self) -> Option<Refusal> {
        self.notices.iter().rev().find_map(|notice| match notice {
            Notice::Refused(refusal) => Some(*refusal),
            Notice::VolumeEnd
            | Notice::QueueEnded
            | Notice::RanDry
            | Notice::TakenOver
            | Notice::Linked
            | Notice::Unlinked
            | Notice::NoLicence => None,
        })
    }

    pub fn is_sounding(&self) -> bool {
        self.current.is_some_and(|order| order.span.is_some())
    }
}

fn name(reason: StopReason) -> &'static str {
    match reason {
        StopReason::TrackFinished => "trackFinished",
        StopReason::UserStop => "userStop",
        StopReason::UserNext => "userNext",
        StopReason::UserPrev => "userPrev",
        StopReason::TrackScrub => "trackScrub",
        StopReason::SystemStop => "systemStop",
    }
}
