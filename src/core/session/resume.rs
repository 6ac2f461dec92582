//! Something to go on with: the own session, the same one restored, one of another device, the first preset - in this
//! order, each only once the one before is finally refused. What cannot be asked at the moment only delays it.
//!
//! It looks for a place; whether that sounds is what the listener wanted when the speaker stopped.

use super::stream::Stream;
use super::{Footing, OnElsewhere, Opening, Opens, Pending, Session, Switch, Want};
use crate::effect::Call;
use crate::entry::Entry;
use crate::event::StopReason;
use crate::id::{EntryKey, Seq, SessionKey, SourceKey};
use crate::input::{Elsewhere, Failure, Mode, Modes, Sounding};
use crate::playback::Wanted;
use crate::refusal::{Problem, Refusal};
use crate::unit::{Millis, Moment};

/// How far the search is. The own session comes before it: it is asked for its current entry like at any other time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Search {
    /// There is a place, or nothing to be found.
    #[default]
    Over,
    /// The service does not know the session any more: it may bring it back by this entry.
    Restore(EntryKey),
    /// Another device has the stream, and this one may not look at its own session: it may have it restored.
    Regain(EntryKey),
    /// Another device may have a session.
    Active,
    /// This one of another device is to go on here.
    Join(Elsewhere),
    /// The same, by its entry: the service does not show it while that device plays it.
    Fetch { entry: EntryKey, modes: Modes },
    /// Nothing is left but to start this.
    Start { source: SourceKey, mode: Mode },
}

impl Session {
    /// The call of the search, if it is not over. A restored session gets its events first, like an open one.
    pub(super) fn search_call(&self) -> Option<Call> {
        match self.service.search {
            Search::Over => None,
            Search::Restore(entry) | Search::Regain(entry) => {
                let through = self.outbox.is_settled(self.service.last_event);
                through.then_some(Call::Restore(entry))
            }
            Search::Active => Some(Call::Active),
            Search::Join(elsewhere) => Some(Call::Current(elsewhere.session)),
            Search::Fetch { entry, .. } => Some(Call::Restore(entry)),
            Search::Start { source, mode } => Some(Call::Create { source, mode }),
        }
    }

    /// This answer is to a call of the search.
    pub(super) fn is_searching(&self, call: Call) -> bool {
        match (self.service.search, call) {
            (Search::Restore(entry) | Search::Regain(entry) | Search::Fetch { entry, .. }, Call::Restore(asked)) => {
                entry == asked
            }
            (Search::Active, Call::Active) => true,
            (Search::Join(elsewhere), Call::Current(asked)) => elsewhere.session == asked,
            (Search::Start { source, mode }, call) => call == Call::Create { source, mode },
            (
                Search::Over
                | Search::Restore(_)
                | Search::Regain(_)
                | Search::Active
                | Search::Join(_)
                | Search::Fetch { .. },
                _,
            ) => false,
        }
    }

    /// The service does not know the session, or does not give it out: perhaps it brings it back. What is loaded plays on.
    pub(super) fn session_lapsed(&mut self, now: Moment) {
        self.service.want_current = Want::No;
        match self.queue.current().map(|entry| entry.key).or(self.saved_entry()) {
            Some(entry) => self.service.search = Search::Restore(entry),
            None => self.not_restored(now),
        }
    }

    /// Another device has the stream, and nothing is known here to take it back with: the place is prepared for that.
    pub(super) fn regain(&mut self) {
        if let Some(entry) = self.saved_entry() {
            self.service.search = Search::Regain(entry);
        }
    }

    fn saved_entry(&self) -> Option<EntryKey> {
        let place = self.shown.bookmark.and_then(|saved| saved.place);
        place.map(|place| place.entry)
    }

    /// The session is open again, under its old name or a new one.
    pub(super) fn restored(&mut self, pending: Pending, session: SessionKey, entries: &[Entry], now: Moment) {
        let Some((first, ahead)) = entries.split_first() else {
            self.search_failed(Failure::NotFound, now);
            return;
        };
        self.service.search = Search::Over;
        self.service.footing = Footing::Firm;
        if let Some(old) = self.service.session.replace(session).filter(|old| *old != session) {
            self.playback.move_to(old, session);
        }
        self.freshen(entries);
        // A start event since the question has moved the service on.
        if self.service.at == pending.at {
            self.service.at = Some(first.key);
        }
        self.service.want_current = Want::No;
        if self.queue.current().is_none() {
            self.take_place(entries, now);
        } else {
            self.service.want_next = Want::Yes;
            self.queue.take_next(Some(first.key), ahead);
        }
    }

    /// This is where the service says we are: nothing was known before.
    pub(super) fn take_place(&mut self, entries: &[Entry], now: Moment) {
        self.queue.open(entries, false);
        self.service.want_next = Want::Yes;
        self.service.want_previous = Want::Yes;
        if self.playback.wanted == Wanted::Sound {
            self.start_current(self.place_to_resume(), Some(now), StopReason::SystemStop, now);
        }
    }

    /// The session is gone for good: what sounds is played to its end, and other devices are asked about.
    pub(super) fn not_restored(&mut self, now: Moment) {
        self.presses_failed(Failure::NotFound, now);
        self.service.session = None;
        self.service.step = None;
        self.service.search = Search::Active;
        if self.playback.current_play().is_some() {
            self.queue.keep_current();
        } else {
            self.resume_at = None;
            if self.queue.current().is_some() {
                self.queue_ended();
            }
        }
    }

    /// What other devices have. With nothing to go on with here, the most useful of it is.
    pub(super) fn others_are(&mut self, others: &[Elsewhere]) {
        let own = self.service.session;
        let foreign = others.iter().filter(|other| Some(other.session) != own);
        self.service.offer = foreign.min_by_key(|other| usefulness(other)).copied();
        self.service.search = Search::Over;
        if own.is_some() || self.queue.current().is_some() {
            return;
        }
        let wants_sound = self.playback.wanted == Wanted::Sound;
        match (wants_sound.then_some(self.settings.elsewhere), self.service.offer) {
            (Some(OnElsewhere::TakeOver), Some(offer)) => self.service.search = Search::Join(offer),
            (Some(OnElsewhere::Offer | OnElsewhere::TakeOver), None) => self.start_first(),
            (Some(OnElsewhere::Offer), Some(_)) | (None, _) => self.playback.wanted = Wanted::Silence,
        }
    }

    fn start_first(&mut self) {
        match self.startable() {
            Some((source, mode)) => self.service.search = Search::Start { source, mode },
            None => self.playback.wanted = Wanted::Silence,
        }
    }

    /// A device without the stream may not see the session that is to go on here. What an entry belongs to, anybody may
    /// ask: so it is asked for by its entry, if that is known.
    pub(super) fn asks_by_entry(&mut self, call: Call) -> bool {
        if let Some(opening) = self
            .service
            .opening
            .as_mut()
            .filter(|opening| opening.what.is_asked_by(call))
        {
            if let Opens::Elsewhere(other) = opening.what
                && let Some(entry) = other.entry
            {
                let modes = other.modes;
                opening.what = Opens::Entry { entry, modes };
                return true;
            }
        } else if self.is_searching(call)
            && let Search::Join(other) = self.service.search
            && let Some(entry) = other.entry
        {
            let modes = other.modes;
            self.service.search = Search::Fetch { entry, modes };
            return true;
        }
        false
    }

    /// A session of another device goes on here. Its stream is that device's until a start event claims it.
    pub(super) fn joined(&mut self, session: SessionKey, entries: &[Entry], opening: Opening, now: Moment) {
        self.service.offer = None;
        self.leave_session(session, now);
        let modes = opening.what.modes();
        self.service.shuffle.on = modes.shuffle;
        self.service.looping.on = modes.looping;
        self.service.at = entries.first().map(|entry| entry.key);
        self.service.stream = Stream::Elsewhere {
            since: self.playback.last(),
        };
        self.freshen(entries);
        self.queue.open(entries, false);
        self.service.want_next = Want::Yes;
        self.service.want_previous = Want::Yes;
        self.start_current(Millis::ZERO, Some(opening.asked_at), StopReason::UserStop, now);
    }

    /// They were another account's. With nothing open here, those of the next one are asked for.
    pub(super) fn forget_others(&mut self) {
        self.service.offer = None;
        if self.service.session.is_none() && self.service.search == Search::Over {
            self.service.search = Search::Active;
        }
    }

    /// A call of the search failed.
    pub(super) fn search_failed(&mut self, failure: Failure, now: Moment) {
        match failure {
            // Asked again, as soon and as often as the link lets it.
            Failure::Unreachable
            | Failure::WrongClock
            | Failure::Busy { .. }
            | Failure::Garbled
            | Failure::Unauthorised => {}
            Failure::Forbidden | Failure::NotFound | Failure::Refused => match self.service.search {
                Search::Over => {}
                // The place stays where it is; the listener's press tries it again.
                Search::Regain(_) => self.service.search = Search::Over,
                Search::Restore(_) => self.not_restored(now),
                Search::Active => self.others_are(&[]),
                Search::Join(_) | Search::Fetch { .. } => {
                    self.service.offer = None;
                    self.service.search = Search::Over;
                    self.start_first();
                }
                Search::Start { .. } => self.end_search(),
            },
            Failure::TakenOver => self.service.search = Search::Over,
        }
    }

    /// The listener does not want what is being looked for to sound. A place that may come back is still taken.
    pub(super) fn call_off_search(&mut self) {
        match self.service.search {
            Search::Join(_) | Search::Fetch { .. } | Search::Start { .. } => self.end_search(),
            Search::Over | Search::Restore(_) | Search::Regain(_) | Search::Active => {}
        }
    }

    fn end_search(&mut self) {
        self.service.search = Search::Over;
        if self.queue.current().is_none() {
            self.playback.wanted = Wanted::Silence;
        }
    }

    /// The listener wants what another device plays: the session is looked at, and goes on here if it is there.
    pub(super) fn take_offer(&mut self, offer: Elsewhere, now: Moment) {
        // The search may be at the same session: it would be joined, and its stream claimed, twice.
        self.call_off_search();
        self.service.opening = Some(Opening {
            what: Opens::Elsewhere(offer),
            asked_at: now,
        });
        if self.queue.current().is_none() {
            self.playback.wanted = Wanted::Sound;
        }
    }

    /// Another session is open from here on; nothing that was asked of the one before is wanted any more.
    pub(super) fn leave_session(&mut self, session: SessionKey, now: Moment) {
        if !self.service.edits.is_empty() {
            self.service.edits.clear();
            self.refuse(Refusal::NothingPlaying, now);
        }
        self.service.session = Some(session);
        self.service.last_event = Seq::default();
        self.service.search = Search::Over;
        self.service.footing = Footing::Firm;
        self.service.shuffle = Switch::default();
        self.service.looping = Switch::default();
        self.service.want_current = Want::No;
        self.service.want_previous = Want::No;
        self.service.skips = None;
        self.service.step = None;
        self.strikes = 0;
        self.resume_at = None;
        self.troubles.clear(Problem::ManyUnplayable);
        self.troubles.clear(Problem::NoLicence);
        self.troubles.clear(Problem::TakenOver);
    }
}

/// Smaller is more useful: what sounds somewhere is what the listener hears, and what has no current entry cannot go on.
fn usefulness(other: &Elsewhere) -> (u8, u8) {
    let sounding = match other.sounding {
        Sounding::Yes => 0,
        Sounding::Unsaid => 1,
        Sounding::No => 2,
    };
    (u8::from(other.entry.is_none()), sounding)
}
