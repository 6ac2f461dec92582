//! What follows from the state: everything that is to be done now, and when to look again.

use super::resume::Search;
use super::{Edit, Opens, Pending, Session, State, Step, Told, Want};
use crate::effect::{Bookmark, Call, Effect, Place};
use crate::entry::Entry;
use crate::id::EntryKey;
use crate::light::Scene;
use crate::link::Reach;
use crate::playback::{Flow, Wanted};
use crate::refusal::{Notice, Problem};
use crate::turn::Backlog;
use crate::unit::{Millis, Moment};

impl Session {
    /// Brings the outside in line with the state. Doing it twice does nothing twice.
    pub(super) fn settle(&mut self, now: Moment) {
        if self.next_checkpoint.is_some_and(|at| at <= now) {
            self.checkpoint(now);
        }
        if self.next_heartbeat.is_some_and(|at| at <= now) {
            self.heartbeat(now);
        }
        if self.flash_until.is_some_and(|at| at <= now) {
            self.flash_until = None;
        }
        match self.link.reach() {
            Reach::Up => self.troubles.clear(Problem::Offline),
            Reach::Down => self.troubles.raise(Problem::Offline),
        }
        self.announce_silence();
        self.link.weigh(self.backlog(), now);
        self.send_event(now);
        if self.leaving.is_none() {
            self.end_without_address();
            self.slide_window();
            self.line_up_follower(now);
            self.ask_for_addresses();
            self.call_service(now);
        }
        self.save();
        self.show();
        self.leave_when_done(now);
        self.deadline = self.next_deadline(now);
    }

    /// The music stopped because nobody can be reached: the listener is told once, however long it lasts.
    fn announce_silence(&mut self) {
        let flows = self.playback.span().is_some_and(|span| span.flow == Flow::Flowing);
        if flows || self.playback.wanted != Wanted::Sound {
            self.told_silent = Told::No;
        } else if self.is_out_of_sound() && self.link.reach() == Reach::Down && self.told_silent == Told::No {
            self.told_silent = Told::Yes;
            self.tell(Notice::RanDry);
        }
    }

    /// Something sounded and does not go on: it lacks bytes, or what comes next is not known.
    fn is_out_of_sound(&self) -> bool {
        let stalled = self.playback.span().is_some_and(|span| span.flow == Flow::Stalled);
        stalled || self.playback.is_over() || self.service.step == Some(Step::Natural)
    }

    /// Tells what is to be loaded, when it changed.
    pub(super) fn slide_window(&mut self) {
        let (moved, renewed) = (self.queue.take_changed(), self.window.take_renewed());
        if !moved && !renewed {
            return;
        }
        let wishes = self.window.slide(&self.queue);
        if wishes != self.shown.wishes {
            self.shown.wishes.clone_from(&wishes);
            self.emit(Effect::Want(wishes));
        }
    }

    /// The entry after the current one is to follow it without a gap.
    fn line_up_follower(&mut self, now: Moment) {
        if self.playback.current_play().is_none() {
            return;
        }
        let lined_up = self
            .playback
            .follower
            .and_then(|id| self.playback.play(id))
            .map(|play| play.entry);
        let upcoming = self.queue.upcoming().map(|entry| entry.key);
        if lined_up == upcoming {
            return;
        }
        self.playback.follower = None;
        if let Some(follow) = self.follow(upcoming) {
            self.emit(follow);
            return;
        }
        self.emit(Effect::Unfollow);
        if self.playback.is_over() {
            // It was to sound already: the service is asked once more whether there is anything.
            self.go_on(now);
            self.slide_window();
        }
    }

    fn follow(&mut self, upcoming: Option<EntryKey>) -> Option<Effect> {
        let (session, entry) = self.service.session.zip(upcoming)?;
        let slot = self.window.slot_of(entry)?;
        let play = self.playback.order(session, entry, None);
        self.playback.follower = Some(play);
        Some(Effect::Follow { play, slot, entry })
    }

    /// An expired address is asked for where the service lists the entry: what it describes anew has a fresh one.
    fn ask_for_addresses(&mut self) {
        if self.service.session.is_none() {
            return;
        }
        while let Some(entry) = self.window.first_expired(&self.shown.wishes) {
            self.window.asked(entry);
            let entries = self.queue.entries();
            let place = |wanted| entries.iter().position(|known| Some(known.key) == wanted);
            let (place, at) = (place(Some(entry)), place(self.service.at));
            if self.service.at == Some(entry) {
                self.service.want_current = Want::Yes;
            } else if at.is_some() && place < at {
                self.service.want_previous = Want::Yes;
            } else {
                self.service.want_next = Want::Yes;
            }
        }
    }

    /// The session is gone, and with it every hope of a fresh address.
    fn end_without_address(&mut self) {
        let lacks = self
            .queue
            .current()
            .is_some_and(|entry| self.window.lacks_address(entry.key));
        if self.service.session.is_none() && lacks && self.playback.span().is_none() {
            self.queue_ended();
        }
    }

    /// What the service is to be told, and whether sound waits for it. Between two entries, and for bytes, it does not.
    fn backlog(&self) -> Backlog {
        let needs_service = self.playback.current_play().is_none() || self.is_stuck();
        Backlog {
            reports: self.outbox.waiting().div_ceil(self.settings.batch.max(1).into()),
            awaited: self.state() == State::Buffering && needs_service,
        }
    }

    fn send_event(&mut self, now: Moment) {
        if !self.is_linked() || !self.link.is_ready(now) {
            return;
        }
        if let Some((first, last)) = self.outbox.due() {
            self.outbox.sent(last);
            self.emit(Effect::Report { first, last });
        }
    }

    fn call_service(&mut self, now: Moment) {
        if self.service.pending.is_some() || !self.is_linked() || !self.link.is_ready(now) {
            return;
        }
        let Some(call) = self.next_call() else {
            return;
        };
        match call {
            Call::Current(session) if Some(session) == self.service.session => self.service.want_current = Want::No,
            Call::Next { .. } => self.service.want_next = Want::No,
            Call::Previous { .. } => self.service.want_previous = Want::No,
            Call::Current(_)
            | Call::Create { .. }
            | Call::Loop { .. }
            | Call::Shuffle { .. }
            | Call::Active
            | Call::Restore(_)
            | Call::QueueNext { .. }
            | Call::QueueLast { .. } => {}
        }
        if self.is_service_here() && self.outbox.waiting() == 0 && !self.playback.is_leaving() {
            self.service.uncounted = 0;
        }
        let request = self.service.last_request.next();
        self.service.last_request = request;
        self.service.pending = Some(Pending {
            request,
            call,
            at: self.service.at,
        });
        self.emit(Effect::Call { request, call });
    }

    /// The most urgent call, if one is needed. A call on the session's queue waits for the session's events.
    fn next_call(&self) -> Option<Call> {
        if let Some(opening) = self.service.opening {
            return Some(match opening.what {
                Opens::Source { source, mode } => Call::Create { source, mode },
                Opens::Elsewhere(other) => Call::Current(other.session),
                Opens::Entry { entry, .. } => Call::Restore(entry),
            });
        }
        if self.service.search != Search::Over {
            return self.search_call();
        }
        let session = self.service.session?;
        if !self.is_told() {
            return None;
        }
        if self.service.want_current == Want::Yes {
            return Some(Call::Current(session));
        }
        if let Some(on) = self.service.shuffle.wanted {
            return Some(Call::Shuffle { session, on });
        }
        if let Some(on) = self.service.looping.wanted {
            return Some(Call::Loop { session, on });
        }
        if let Some(edit) = self.service.edits.front() {
            return Some(match *edit {
                Edit::Next(source) => Call::QueueNext { session, source },
                Edit::Last(source) => Call::QueueLast { session, source },
            });
        }
        // While the service is elsewhere (a skip has not sounded yet), its list is only asked for if there is no other.
        let stuck = self.is_stuck();
        let here = self.is_service_here() || stuck;
        if self.service.want_next == Want::Yes && (here || self.queue.upcoming().is_none()) {
            return Some(Call::Next {
                session,
                limit: narrow(self.queue.ahead_max()),
            });
        }
        if self.service.want_previous == Want::Yes && here {
            return Some(Call::Previous {
                session,
                limit: narrow(self.queue.behind_max()),
            });
        }
        None
    }

    /// The service knows all events of its session. The client does one exchange after the other: while an event of another
    /// session is on its way, this one may get events of its own, which a call that waits in line would overtake.
    pub(super) fn is_told(&self) -> bool {
        !self.outbox.is_sending() && self.outbox.is_settled(self.service.last_event)
    }

    /// What is to sound now cannot, for want of an address: the service is asked wherever it is.
    fn is_stuck(&self) -> bool {
        self.due().is_some_and(|entry| self.window.lacks_address(entry.key))
    }

    /// The entry that is to sound now.
    pub(super) fn due(&self) -> Option<&Entry> {
        if self.playback.is_over() {
            self.queue.upcoming()
        } else {
            self.queue.current()
        }
    }

    /// The service knows that the current entry is the current one.
    fn is_service_here(&self) -> bool {
        self.service.at == self.queue.current().map(|entry| entry.key)
    }

    /// Keeps what a restart needs, when it changed. While sound flows the position is the journal's business.
    fn save(&mut self) {
        let leaving = self.leaving.is_some_and(|leaving| !leaving.done) && !self.playback.is_sounding();
        let bookmark = self.bookmark();
        let resting = leaving || self.playback.wanted != Wanted::Sound;
        let same = self.shown.bookmark.is_some_and(|saved| {
            if resting {
                saved == bookmark
            } else {
                without_position(saved) == without_position(bookmark)
            }
        });
        if !same {
            self.shown.bookmark = Some(bookmark);
            self.emit(Effect::Save(bookmark));
        }
    }

    fn bookmark(&self) -> Bookmark {
        // Until the service has named the current entry after a restart, the old bookmark is still the truth.
        let place = match (self.service.session, self.queue.current()) {
            (Some(session), Some(entry)) => Some(Place {
                session,
                entry: entry.key,
                position: self.resting_position(),
            }),
            (Some(_), None) => self.shown.bookmark.and_then(|saved| saved.place),
            (None, _) => None,
        };
        Bookmark {
            place,
            playing: self.playback.wanted == Wanted::Sound,
            volume: self.volume,
            shuffle: self.service.shuffle.on,
            looping: self.service.looping.on,
        }
    }

    fn resting_position(&self) -> Millis {
        self.playback.last_position().unwrap_or_else(|| self.place_to_resume())
    }

    fn show(&mut self) {
        let scene = self.scene();
        if self.shown.scene != Some(scene) {
            self.shown.scene = Some(scene);
            self.emit(Effect::Light(scene));
        }
    }

    fn scene(&self) -> Scene {
        if self.leaving.is_some() {
            return Scene::Leaving;
        }
        if self.flash_until.is_some() {
            return Scene::Refused;
        }
        let flowing = self.playback.span().is_some_and(|span| span.flow == Flow::Flowing);
        if self.playback.wanted == Wanted::Sound && flowing {
            return Scene::Playing;
        }
        match self.troubles.worst() {
            Some(Problem::Linking) => return Scene::Linking,
            Some(Problem::Offline | Problem::WrongClock) => return Scene::Offline,
            Some(
                Problem::NoSoundDevice
                | Problem::NotLinked
                | Problem::TakenOver
                | Problem::NoLicence
                | Problem::ManyUnplayable
                | Problem::ServiceRefused
                | Problem::StorageFailed,
            ) => return Scene::Problem,
            Some(Problem::EntryUnplayable) | None => {}
        }
        match self.playback.wanted {
            Wanted::Sound => Scene::Buffering,
            Wanted::Pause => Scene::Paused,
            Wanted::Silence => Scene::Ready,
        }
    }

    /// Leaves once everything is silent and stored; what is stored may still be sent, as long as somebody answers.
    fn leave_when_done(&mut self, now: Moment) {
        let linked = self.is_linked();
        let Some(leaving) = &mut self.leaving else {
            return;
        };
        let stored = !self.playback.is_sounding() && self.outbox.all_stored();
        let sending = self.outbox.waiting() > 0 && linked && self.link.is_ready(now);
        if !leaving.done && ((stored && !sending) || leaving.until <= now) {
            leaving.done = true;
            self.emit(Effect::Exit);
        }
    }

    fn next_deadline(&self, now: Moment) -> Option<Moment> {
        let calls = self.leaving.is_none() && self.service.pending.is_none() && self.next_call().is_some();
        let waits = self.is_linked() && (calls || self.outbox.due().is_some());
        let retry = self.link.retry_at().filter(|_| waits);
        let leaving = self
            .leaving
            .and_then(|leaving| (!leaving.done).then_some(leaving.until));
        let buttons = self.buttons.deadline();
        let all = [
            retry,
            buttons,
            self.next_checkpoint,
            self.next_heartbeat,
            self.flash_until,
            leaving,
        ];
        all.into_iter().flatten().map(|at| at.max(now)).min()
    }
}

fn without_position(mut bookmark: Bookmark) -> Bookmark {
    if let Some(place) = &mut bookmark.place {
        place.position = Millis::ZERO;
    }
    bookmark
}

fn narrow(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}
