//! Everything that can happen. One closed enum: what an adapter could not do arrives here as well.

use heapless::Vec;

use crate::entry::Entry;
use crate::id::{ButtonId, EntryKey, PlayId, RequestId, Seq, SessionKey, SlotId, SourceKey};
use crate::limits::{ANSWER_MAX, ELSEWHERE_MAX};
use crate::unit::Millis;

/// Something happened outside.
#[expect(
    clippy::large_enum_variant,
    reason = "there is no allocator to box an answer with; inputs are few and moved once"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The deadline the session asked for has come.
    Tick,
    /// A contact of a physical button closed or opened.
    Edge {
        /// Which button.
        button: ButtonId,
        /// Closed or open.
        contact: Contact,
    },
    /// A press that needs no debouncing: local page, terminal, remote.
    Press(Press),
    /// The service answered a call, or could not be asked.
    Answer {
        /// The call.
        request: RequestId,
        /// What came back.
        answer: Answer,
    },
    /// What became of sending events.
    Reported {
        /// The last of them.
        last: Seq,
        /// The service's word on all of them.
        verdict: Verdict,
    },
    /// An event is stored (or, with `durable: false`, only kept in memory: the disk is full or read-only).
    Stored {
        /// The event; those before it are stored as well.
        seq: Seq,
        /// Survives a power cut.
        durable: bool,
    },
    /// The bytes of an entry cannot be had as wished.
    Media {
        /// Where it was being loaded.
        slot: SlotId,
        /// Which entry; news of an entry that has left the slot is late.
        entry: EntryKey,
        /// What is wrong.
        fault: MediaFault,
    },
    /// The audio path reports.
    Audio(AudioNews),
    /// A look at the queue that [`crate::Session::may_look`] permitted was not answered.
    Looked(Failure),
    /// How signing in stands. Never said where no sign-in is needed.
    Account(Account),
    /// Whether moments can be dated. Never said where the clock was known from the start.
    Clock(Clock),
    /// The network interface came up: worth trying at once.
    LinkUp,
    /// The network interface went down.
    LinkDown,
    /// Leave cleanly.
    Shutdown,
}

/// State of a button's contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Pressed.
    Closed,
    /// Released.
    Open,
}

/// What a button, the page or a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// Play, pause or resume.
    Play,
    /// Skip forward.
    Next,
    /// Skip back, or return to the start.
    Previous,
    /// One step louder.
    VolumeUp,
    /// One step quieter.
    VolumeDown,
    /// Random order on or off.
    Shuffle,
    /// Repeating on or off.
    Loop,
    /// One step forward within the entry.
    ScrubForward,
    /// One step backward within the entry.
    ScrubBackward,
    /// Go to a position within the entry.
    Seek(Millis),
    /// Start something new.
    Start {
        /// What.
        source: SourceKey,
        /// How.
        mode: Mode,
    },
    /// Start the n-th preset, from 1.
    Preset(u8),
    /// Play this after the current entry.
    QueueNext(SourceKey),
    /// Play this after everything else in the queue.
    QueueLast(SourceKey),
    /// Go on here with what another device plays.
    TakeOver,
}

/// How signing in stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// The service knows the listener, or needs no account.
    #[default]
    Linked,
    /// A code waits to be entered.
    Linking,
    /// There is no account, or it was unlinked.
    Unlinked,
}

/// Whether this device knows what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Every event can be dated.
    Known,
    /// Nobody has set the clock yet, and somebody is going to: events wait for it, so that they are told with the moment
    /// at which they happened. Whoever says this also says when the wait is over.
    Awaited {
        /// The first event without a date; all after it have none, either.
        from: Seq,
    },
}

/// The playback modes a source may be started in (`selections`) \[O\].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// `PLAY`: in order.
    #[default]
    Play,
    /// `SHUFFLE`: in random order.
    Shuffle,
    /// `STATION`: an endless station that starts from it.
    Station,
}

/// Entries in one answer.
pub type Entries = Vec<Entry, ANSWER_MAX>;

/// What the service said to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A session was created; the first entry is the current one.
    Opened {
        /// The new session.
        session: SessionKey,
        /// Current entry and the ones after it.
        entries: Entries,
    },
    /// Entries, nearest first. None: the queue ends (or begins) here.
    Listed(Entries),
    /// Sessions on other devices.
    Sessions(Vec<Elsewhere, ELSEWHERE_MAX>),
    /// Done, nothing to tell.
    Done,
    /// Not done.
    Failed(Failure),
}

/// A session of the account on another device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Which session.
    pub session: SessionKey,
    /// Its current entry, if the service named it.
    pub entry: Option<EntryKey>,
    /// Whether it sounds there.
    pub sounding: Sounding,
    /// How it plays there, and goes on here.
    pub modes: Modes,
}

/// How a queue is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// In random order.
    pub shuffle: bool,
    /// From the beginning again after the end.
    pub looping: bool,
}

/// Whether a session on another device sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sounding {
    /// It plays at the moment.
    Yes,
    /// It is paused or stopped.
    No,
    /// The service did not say.
    Unsaid,
}

/// Why the service did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer, no connection, no name, no valid certificate: nobody was reached.
    Unreachable,
    /// Nobody was reached because certificates are not valid at the time this device believes it is.
    WrongClock,
    /// 429 or 5xx: later, not before `retry_after` if the service named a time.
    Busy {
        /// `Retry-After`.
        retry_after: Option<Millis>,
    },
    /// 401 that a refreshed token did not cure.
    Unauthorised,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 400 and every other 4xx: never repeated unchanged.
    Refused,
    /// `MAX_CONCURRENCY_REACHED`: another device owns the stream.
    TakenOver,
    /// An answer that cannot be understood.
    Garbled,
}

/// The service's word on one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Any 2xx.
    Accepted,
    /// A refusal that repeating cannot cure: the event is set aside, counted and logged.
    Refused,
    /// Nothing was sent: all events up to this one were let go together, for want of room.
    Folded(Seq),
    /// Not now: it stays first in line.
    Failed(Failure),
}

/// Why the bytes of an entry cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaFault {
    /// 403 or 410: the address expired; a fresh one may be had from the service.
    Expired,
    /// 404, an answer that is no media, a file that cannot be decoded.
    Unplayable,
}

/// News of the audio path. Reports of one play come in order, and those of a play before those of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioNews {
    /// A span of sound begins (first start, resume, after a device came back): its first frame is heard.
    Began {
        /// Which order.
        play: PlayId,
        /// Position of the first frame heard.
        position: Millis,
    },
    /// The span of sound is over.
    Ended {
        /// Which order.
        play: PlayId,
        /// Position up to which it was heard.
        position: Millis,
        /// Length of the span.
        played: Millis,
        /// Stalls for lack of data within the span.
        rebuffers: u16,
        /// Why.
        how: Ending,
    },
    /// The order could not sound at all: what was loaded cannot be decoded.
    Failed {
        /// Which order.
        play: PlayId,
    },
    /// Data ran out in the middle; the span goes on when there is more.
    Stalled {
        /// Which order.
        play: PlayId,
    },
    /// There is data again.
    Flowing {
        /// Which order.
        play: PlayId,
    },
    /// Position heard just now; given before inputs that depend on it.
    Heard {
        /// Which order.
        play: PlayId,
        /// Position heard.
        position: Millis,
    },
    /// The sound device is gone or does not open; the audio path keeps trying.
    DeviceLost,
    /// The sound device works (again).
    DeviceBack,
}

/// Why a span of sound ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Played to the end of the entry.
    Finished,
    /// Paused, stopped or replaced by another order.
    Cut,
    /// The sound device failed; it goes on when the device is back.
    Interrupted,
    /// What was loaded is damaged from here on.
    Broken,
    /// It is encrypted from here on, and its key did not come.
    Locked,
}
