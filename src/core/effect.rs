//! Everything the core may ask of the outside. One closed enum, drained until `None` after each input.

use heapless::Vec;

use crate::event::Event;
use crate::id::{EntryKey, PlayId, RequestId, Seq, SessionKey, SlotId, SourceKey};
use crate::input::Mode;
use crate::light::Scene;
use crate::limits::SLOTS_MAX;
use crate::refusal::Notice;
use crate::unit::Millis;

/// Something to be done outside. None of them waits; what comes of it arrives as an [`crate::Input`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the service. Answered by exactly one [`crate::Input::Answer`].
    Call {
        /// Number the answer must carry.
        request: RequestId,
        /// The question.
        call: Call,
    },
    /// Store an event durably. Answered by [`crate::Input::Stored`].
    Record(Event),
    /// Send stored events, in one piece where there are several. Answered by exactly one [`crate::Input::Reported`].
    Report {
        /// The first; those before it are settled.
        first: Seq,
        /// The last, `first` itself where events are sent singly.
        last: Seq,
    },
    /// The service's word on an event is final: forget it, or set it aside with its reason.
    Settle {
        /// The event. Those before it are settled; if it is accepted, so are those sent in one piece with it.
        seq: Seq,
        /// Accepted: forget. Otherwise: set aside.
        accepted: bool,
    },
    /// Note how far the sounding entry is, so that a power cut does not lose its position.
    Checkpoint {
        /// The start event of the span that sounds.
        start: Seq,
        /// Position heard.
        position: Millis,
        /// Length of the span so far.
        played: Millis,
        /// Stalls within the span so far.
        rebuffers: u16,
    },
    /// What is to be loaded, most urgent first. Replaces the last wish list; slots not in it are free.
    Want(Wishes),
    /// Sound this now, in place of whatever sounds. Ends a pause.
    Play {
        /// Number of this order.
        play: PlayId,
        /// Where the entry is (being) loaded.
        slot: SlotId,
        /// The entry, for logs.
        entry: EntryKey,
        /// Where to start.
        from: Millis,
    },
    /// Sound this after the current one, without a gap. Replaces an earlier follower that has not begun to sound.
    Follow {
        /// Number of this order.
        play: PlayId,
        /// Where the entry is (being) loaded.
        slot: SlotId,
        /// The entry, for logs.
        entry: EntryKey,
    },
    /// Nothing follows the current one any more.
    Unfollow,
    /// Stop the sound, keep the place to the sample.
    Pause,
    /// Go on where it was paused.
    Resume,
    /// Stop the sound and forget the place.
    Silence,
    /// Set the volume, 0 to 100.
    Volume(u8),
    /// Show this on the lights.
    Light(Scene),
    /// Tell the listener.
    Tell(Notice),
    /// Keep what is needed to resume after a restart.
    Save(Bookmark),
    /// Everything is stored and silent: leave.
    Exit,
}

/// A question to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Create a session that plays `source`.
    Create {
        /// What to play.
        source: SourceKey,
        /// How.
        mode: Mode,
    },
    /// The session's current entry.
    Current(SessionKey),
    /// Entries after the current one, nearest first.
    Next {
        /// Which session.
        session: SessionKey,
        /// How many at most.
        limit: u8,
    },
    /// Entries before the current one, nearest first.
    Previous {
        /// Which session.
        session: SessionKey,
        /// How many at most.
        limit: u8,
    },
    /// Repeat the queue, or not.
    Loop {
        /// Which session.
        session: SessionKey,
        /// On or off.
        on: bool,
    },
    /// Random order, or not.
    Shuffle {
        /// Which session.
        session: SessionKey,
        /// On or off.
        on: bool,
    },
    /// The account's sessions on all devices. Answered by [`crate::input::Answer::Sessions`].
    Active,
    /// Bring back the session of an earlier run by an entry of its queue. Answered by [`crate::input::Answer::Opened`].
    Restore(EntryKey),
    /// Put `source` right after the current entry. Answered by [`crate::input::Answer::Done`].
    QueueNext {
        /// Which session.
        session: SessionKey,
        /// What.
        source: SourceKey,
    },
    /// Put `source` at the end of the queue. Answered by [`crate::input::Answer::Done`].
    QueueLast {
        /// Which session.
        session: SessionKey,
        /// What.
        source: SourceKey,
    },
}

/// One entry that is to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Where.
    pub slot: SlotId,
    /// What.
    pub entry: EntryKey,
    /// How much of it.
    pub extent: Extent,
    /// Goes up when the entry is to be fetched from a fresh address.
    pub attempt: u8,
}

/// How much of an entry is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// So much from its start; zero: nothing.
    Head(Millis),
}

/// The wish list, most urgent first.
pub type Wishes = Vec<Wish, SLOTS_MAX>;

/// What a restart needs to go on: written whenever it changes in a way that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// The session and its current entry, if one is open.
    pub place: Option<Place>,
    /// The listener wants sound.
    pub playing: bool,
    /// 0 to 100.
    pub volume: u8,
    /// Random order is on.
    pub shuffle: bool,
    /// Repeating is on.
    pub looping: bool,
}

/// A position in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The session.
    pub session: SessionKey,
    /// Its current entry.
    pub entry: EntryKey,
    /// Position within the entry.
    pub position: Millis,
}
