//! The session: takes one input, changes the parts, and lets what is needed follow from their state.
//!
//! Inputs only change state; [`Session::handle`] then runs [`settle`], which derives everything that is to be done
//! from what is wanted and what is: events to send, a call to make, a follower to line up, a light to show. So no
//! input has to remember all of its consequences, and doing it twice does nothing twice.
//!
//! The rooms: `press` (what the listener asks), `answer` (what the service says), `change` (what is changed in the queue),
//! `sound` (what the audio path reports, and the events that come of it), `report` (what becomes of those events), `resume` (something to go on
//! with), `stream` (whose it is), `account` (whether anybody may be asked), `settle` (what follows), `view` and `look` (what others may see).

mod account;
mod answer;
mod change;
mod look;
mod press;
mod report;
mod resume;
mod settle;
mod sound;
mod stream;
mod view;

use heapless::{Deque, Vec};

use crate::button::{ButtonSetup, Buttons};
use crate::effect::{Bookmark, Call, Effect, Place, Wishes};
use crate::id::{EntryKey, RequestId, Seq, SessionKey, SourceKey};
use crate::input::{Account, Clock, Elsewhere, Failure, Input, MediaFault, Mode, Modes};
use crate::light::Scene;
use crate::limits::{
    BUTTONS_MAX, EDITS_MAX, EFFECTS_MAX, PRESETS_MAX, PRESSES_AT_ONCE_MAX, SHUTDOWN_MS_MAX, VOLUME_MAX,
};
use crate::link::Link;
use crate::outbox::Outbox;
use crate::playback::{Playback, Wanted};
use crate::queue::Queue;
use crate::refusal::Notice;
use crate::trouble::Troubles;
use crate::unit::{Millis, Moment};
use crate::window::{Load, Window};

pub use look::Look;
use resume::Search;
use stream::Stream;
pub use view::{Availability, State, View};

/// What does not change while the speaker runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Entries kept loaded behind the current one.
    pub behind: u8,
    /// Entries kept ahead of the current one.
    pub ahead: u8,
    /// How much of them is loaded.
    pub load: Load,
    /// How each preset is started; preset n is the source with key n, from 1.
    pub presets: Vec<Mode, PRESETS_MAX>,
    /// The board's buttons.
    pub buttons: Vec<ButtonSetup, BUTTONS_MAX>,
    /// Report a stop and a start this often while playing; `None`: only real starts and stops.
    pub heartbeat: Option<Millis>,
    /// What becomes of a session on another device when there is nothing of this one's own to go on with.
    pub elsewhere: OnElsewhere,
    /// Events sent in one piece at most; 1: singly.
    pub batch: u8,
    /// Seed of the retry jitter: different on every device and at every start.
    pub seed: u64,
}

/// What is done about a session on another device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnElsewhere {
    /// The listener is told of it and decides.
    #[default]
    Offer,
    /// It goes on here.
    TakeOver,
}

/// What an earlier run left behind.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    /// Saved state; at the very first start, the defaults.
    pub bookmark: Bookmark,
    /// Number of the next event.
    pub next: Seq,
    /// Last settled event; those between wait on disk.
    pub settled: Seq,
}

/// The speaker's mind.
#[derive(Clone, Debug)]
pub struct Session {
    settings: Settings,
    queue: Queue,
    window: Window,
    playback: Playback,
    outbox: Outbox,
    link: Link,
    buttons: Buttons,
    service: Service,
    troubles: Troubles,
    account: Account,
    /// As it was last linked or not, so that only a change is told.
    account_told: Option<Account>,
    volume: u8,
    /// Position to start at when this entry is next started: a place to come back to.
    resume_at: Option<(EntryKey, Millis)>,
    /// Entries in a row that could not be played.
    strikes: u8,
    /// The last press was refused: shown until this moment.
    flash_until: Option<Moment>,
    /// Whether the listener was told why there is no sound.
    told_silent: Told,
    leaving: Option<Leaving>,
    next_checkpoint: Option<Moment>,
    next_heartbeat: Option<Moment>,
    shown: Shown,
    effects: Deque<Effect, EFFECTS_MAX>,
    deadline: Option<Moment>,
}

/// What is open at the service and what is being asked of it.
#[derive(Clone, Debug, Default)]
struct Service {
    session: Option<SessionKey>,
    /// Where the service believes playing is: the entry of the last start event, or the first of a new session.
    at: Option<EntryKey>,
    /// The start event that moved the service to `at`.
    at_event: Seq,
    /// Last event of this session: calls on its queue wait until it is settled.
    last_event: Seq,
    last_request: RequestId,
    pending: Option<Pending>,
    /// The listener asked for something new.
    opening: Option<Opening>,
    /// Something to go on with is looked for.
    search: Search,
    /// What another device has, and could go on here.
    offer: Option<Elsewhere>,
    /// Whose stream it is.
    stream: Stream,
    /// The last start event that took the stream over.
    claimed: Seq,
    /// The current entry is to be asked for: after a restart, or because its address expired.
    want_current: Want,
    /// What follows is to be asked for.
    want_next: Want,
    /// What came before is to be asked for.
    want_previous: Want,
    /// Whether the session is known to be there still.
    footing: Footing,
    /// A step that waits for the service to name the entry.
    step: Option<Step>,
    shuffle: Switch,
    looping: Switch,
    /// What the listener put into the queue and the service has not done yet, oldest first.
    edits: Deque<Edit, EDITS_MAX>,
    /// Skips left as the service last said, counted down since.
    skips: Option<u8>,
    /// Skips that an answer may not have counted yet: made since a call that was sure to know of all before it.
    uncounted: u8,
    /// What was started last, to start it again after its end.
    source: Option<(SourceKey, Mode)>,
}

/// Whether the listener was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    No,
    Yes,
}

/// Whether something is to be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Want {
    #[default]
    No,
    Yes,
}

/// Whether the service still knows the session, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Footing {
    #[default]
    Firm,
    /// It found nothing that follows. Before that counts as the end of the queue, it is asked for the current entry.
    Doubtful,
}

/// A call whose answer has not come.
#[derive(Clone, Copy, Debug)]
struct Pending {
    request: RequestId,
    call: Call,
    /// Where the service was when it was asked.
    at: Option<EntryKey>,
}

/// A new session that was asked for.
#[derive(Clone, Copy, Debug)]
struct Opening {
    what: Opens,
    asked_at: Moment,
}

/// Where a new session comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opens {
    /// The service makes one.
    Source { source: SourceKey, mode: Mode },
    /// Another device has it.
    Elsewhere(Elsewhere),
    /// Another device has it and does not show it: the service brings it back by this entry.
    Entry { entry: EntryKey, modes: Modes },
}

impl Opens {
    fn is_asked_by(self, call: Call) -> bool {
        match self {
            Self::Source { source, mode } => call == Call::Create { source, mode },
            Self::Elsewhere(other) => call == Call::Current(other.session),
            Self::Entry { entry, .. } => call == Call::Restore(entry),
        }
    }

    /// How it plays from its first entry on.
    fn modes(self) -> Modes {
        match self {
            Self::Source { mode, .. } => Modes {
                shuffle: mode == Mode::Shuffle,
                looping: false,
            },
            Self::Elsewhere(Elsewhere { modes, .. }) | Self::Entry { modes, .. } => modes,
        }
    }
}

/// Something that is put into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    /// Right after the current entry.
    Next(SourceKey),
    /// At the end.
    Last(SourceKey),
}

/// A step through the queue that waits for the entry to become known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The listener pressed next.
    Next { asked_at: Moment },
    /// The listener pressed previous.
    Previous { asked_at: Moment },
    /// The current entry ended.
    Natural,
}

/// A mode that is switched at the service.
#[derive(Clone, Copy, Debug, Default)]
struct Switch {
    on: bool,
    /// Asked for, and not yet done.
    wanted: Option<bool>,
}

impl Switch {
    /// The other way round from what was last asked for.
    fn toggle(&mut self) {
        self.wanted = Some(!self.wanted.unwrap_or(self.on));
    }
}

/// On the way out.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    until: Moment,
    done: bool,
}

/// What was last told to the outside, so that only changes are told.
#[derive(Clone, Debug, Default)]
struct Shown {
    scene: Option<Scene>,
    bookmark: Option<Bookmark>,
    wishes: Wishes,
}

impl Session {
    /// Starts where an earlier run left off. Call [`Self::poll`] for its first effects.
    pub fn new(settings: Settings, boot: Boot, now: Moment) -> Self {
        let saved = boot.bookmark;
        let outbox = Outbox::new(boot.next, boot.settled, settings.batch);
        let mut session = Self {
            queue: Queue::new(settings.behind, settings.ahead),
            window: Window::new(settings.load),
            playback: Playback::default(),
            outbox,
            link: Link::new(settings.seed),
            buttons: Buttons::new(&settings.buttons),
            service: Service {
                shuffle: Switch {
                    on: saved.shuffle,
                    wanted: None,
                },
                looping: Switch {
                    on: saved.looping,
                    wanted: None,
                },
                // Events of the last run may belong to the session it left: they go first.
                last_event: Seq(boot.next.0.saturating_sub(1)),
                // Any of them may be a skip.
                uncounted: u8::try_from(outbox.waiting()).unwrap_or(u8::MAX),
                ..Service::default()
            },
            troubles: Troubles::default(),
            account: Account::default(),
            account_told: None,
            volume: saved.volume.min(VOLUME_MAX),
            resume_at: None,
            strikes: 0,
            flash_until: None,
            told_silent: Told::No,
            leaving: None,
            next_checkpoint: None,
            next_heartbeat: None,
            shown: Shown {
                bookmark: Some(saved),
                ..Shown::default()
            },
            effects: Deque::new(),
            deadline: None,
            settings,
        };
        session.playback.wanted = if saved.playing { Wanted::Sound } else { Wanted::Silence };
        if let Some(Place {
            session: key,
            entry,
            position,
        }) = saved.place
        {
            session.service.session = Some(key);
            session.service.want_current = Want::Yes;
            session.resume_at = Some((entry, position));
            if !saved.playing {
                session.playback.wanted = Wanted::Pause;
            }
        } else {
            session.service.search = Search::Active;
        }
        session.emit(Effect::Volume(session.volume));
        session.settle(now);
        session
    }

    /// Applies one input that happened at `now`. Drain [`Self::poll`] before the next one.
    ///
    /// Cannot fail: what could not be done outside arrives as an input, too.
    pub fn handle(&mut self, input: Input, now: Moment) {
        debug_assert!(self.effects.is_empty(), "effects are drained before the next input");
        match input {
            Input::Tick => {}
            Input::Edge { button, contact } => {
                if let Some(press) = self.buttons.edge(button, contact, now) {
                    self.press(press, now);
                }
            }
            Input::Press(press) => self.press(press, now),
            Input::Answer { request, answer } => self.answer(request, &answer, now),
            Input::Reported { last, verdict } => self.reported(last, verdict, now),
            Input::Stored { seq, durable } => self.stored(seq, durable),
            Input::Media { entry, fault, .. } => self.media_fault(entry, fault),
            Input::Audio(news) => self.sound(news, now),
            Input::Looked(failure) => self.looked(failure, now),
            Input::Account(account) => self.account_is(account, now),
            Input::Clock(Clock::Known) => self.outbox.date_from(None),
            Input::Clock(Clock::Awaited { from }) => self.outbox.date_from(Some(from)),
            Input::LinkUp => self.link.found(),
            Input::LinkDown => {
                self.link.lost(now);
                self.presses_failed(Failure::Unreachable, now);
            }
            Input::Shutdown => self.shut_down(now),
        }
        // Those that are still due make the deadline come at once.
        for _ in 0..PRESSES_AT_ONCE_MAX {
            if let Some(press) = self.buttons.due(now) {
                self.press(press, now);
            }
        }
        self.settle(now);
    }

    /// Takes the next effect; `None` once the last input is fully handled.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Self::handle`] with [`Input::Tick`] if nothing else happens before.
    pub fn deadline(&self) -> Option<Moment> {
        self.deadline
    }

    fn emit(&mut self, effect: Effect) {
        let pushed = self.effects.push_back(effect);
        debug_assert!(pushed.is_ok(), "EFFECTS_MAX holds the effects of one input");
    }

    fn tell(&mut self, notice: Notice) {
        self.emit(Effect::Tell(notice));
    }

    /// Only an expired address needs the session; what cannot be decoded is reported by the audio path in its turn.
    fn media_fault(&mut self, entry: EntryKey, fault: MediaFault) {
        if fault != MediaFault::Expired {
            return;
        }
        self.window.expire(entry);
    }

    fn shut_down(&mut self, now: Moment) {
        if self.leaving.is_none() {
            self.playback.replace(crate::event::StopReason::SystemStop);
            self.leaving = Some(Leaving {
                until: now + SHUTDOWN_MS_MAX,
                done: false,
            });
            self.emit(Effect::Silence);
        }
    }
}
