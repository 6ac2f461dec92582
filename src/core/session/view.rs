//! What others may see of the session: the status page, lights in the terminal, tests. Looking changes nothing.

use super::resume::Search;
use super::{Edit, Opening, Opens, Session};
use crate::effect::Call;
use crate::entry::{Entry, Permission};
use crate::id::{EntryKey, SessionKey, SlotId, SourceKey};
use crate::input::{Account, Press};
use crate::link::Reach;
use crate::playback::{Flow, Wanted};
use crate::refusal::{Problem, Refusal};
use crate::unit::{Millis, Moment};

/// State of playback as people call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is wanted.
    Stopped,
    /// Wanted, and not sounding yet, or out of data.
    Buffering,
    /// Sounding.
    Playing,
    /// Paused.
    Paused,
}

/// Whether a press would be followed, and how often still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Availability {
    /// `Err`: why not.
    pub permitted: Result<(), Refusal>,
    /// Uses left where they are limited.
    pub remaining: Option<u8>,
}

/// The session at one moment.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// State of playback.
    pub state: State,
    /// Position within the current entry.
    pub position: Millis,
    /// The mirrored part of the queue, in order.
    pub entries: &'a [Entry],
    /// Index of the current entry in `entries`; meaningless if there are none.
    pub cursor: usize,
    /// 0 to 100.
    pub volume: u8,
    /// Random order is on.
    pub shuffle: bool,
    /// Repeating is on.
    pub looping: bool,
    /// Events the service has not settled.
    pub waiting: u64,
    /// Whether the service answers.
    pub reach: Reach,
    /// After an outage: the moment until which what waits is held back, so that a fleet does not come back at once. A press
    /// ends it.
    pub turn_at: Option<Moment>,
    /// How signing in stands.
    pub account: Account,
    /// A session on another device that could go on here.
    pub offer: Option<SessionKey>,
    /// The most important thing that is wrong.
    pub problem: Option<Problem>,
}

impl Session {
    /// Looks at the session.
    pub fn view(&self, now: Moment) -> View<'_> {
        View {
            state: self.state(),
            position: self.position(now),
            entries: self.queue.entries(),
            cursor: self.queue.cursor(),
            volume: self.volume,
            shuffle: self.service.shuffle.on,
            looping: self.service.looping.on,
            waiting: self.outbox.waiting(),
            reach: self.link.reach(),
            turn_at: self.link.turn_at(now),
            account: self.account,
            offer: self.service.offer.map(|offer| offer.session),
            problem: self.troubles.worst(),
        }
    }

    /// Whether `press` would be followed now.
    pub fn availability(&self, press: Press, now: Moment) -> Availability {
        let remaining = match (press, self.queue.current().map(|entry| entry.actions.next)) {
            (Press::Next, Some(Permission::Allowed { remaining })) => self.service.skips.or(remaining),
            _ => None,
        };
        Availability {
            permitted: self.permits(press, now),
            remaining,
        }
    }

    /// Slot in which `entry` is (being) loaded.
    pub fn slot_of(&self, entry: EntryKey) -> Option<SlotId> {
        self.window.slot_of(entry)
    }

    /// The session open at the service.
    pub fn service_session(&self) -> Option<SessionKey> {
        self.service.session
    }

    /// Whether anything in here still refers to `entry`, so that its table row outside must stay.
    pub fn holds(&self, entry: EntryKey) -> bool {
        self.queue.contains(entry)
            || self.playback.refers_to(entry)
            || self.service.offer.is_some_and(|offer| offer.entry == Some(entry))
            || self.service.search == Search::Restore(entry)
            || self.resume_at.is_some_and(|(key, _)| key == entry)
            || self
                .shown
                .bookmark
                .and_then(|saved| saved.place)
                .is_some_and(|place| place.entry == entry)
    }

    /// Whether anything in here may still ask for `source`; at most [`SOURCES_MAX`](crate::limits::SOURCES_MAX) are.
    pub fn holds_source(&self, source: SourceKey) -> bool {
        let is_asked_for = |call: Call| match call {
            Call::Create { source: asked, .. }
            | Call::QueueNext { source: asked, .. }
            | Call::QueueLast { source: asked, .. } => asked == source,
            Call::Current(_)
            | Call::Next { .. }
            | Call::Previous { .. }
            | Call::Loop { .. }
            | Call::Shuffle { .. }
            | Call::Active
            | Call::Restore(_) => false,
        };
        let service = &self.service;
        let is_put_in = |edit: &Edit| matches!(edit, Edit::Next(put) | Edit::Last(put) if *put == source);
        service.edits.iter().any(is_put_in)
            || service.source.is_some_and(|(plays, _)| plays == source)
            || matches!(service.opening, Some(Opening { what: Opens::Source { source: opens, .. }, .. }) if opens == source)
            || matches!(service.search, Search::Start { source: starts, .. } if starts == source)
            || service.pending.is_some_and(|pending| is_asked_for(pending.call))
    }

    pub(super) fn state(&self) -> State {
        if self.leaving.is_some() {
            return State::Stopped;
        }
        match self.playback.wanted {
            Wanted::Silence => State::Stopped,
            Wanted::Pause => State::Paused,
            Wanted::Sound => match self.playback.span() {
                Some(span) if span.flow == Flow::Flowing => State::Playing,
                Some(_) | None => State::Buffering,
            },
        }
    }
}
