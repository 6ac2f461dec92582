//! What the audio path reports, the events that come of it, and the natural course from entry to entry.

use super::{Session, Step, Want};
use crate::effect::Effect;
use crate::event::{Claim, Event, StopReason, What};
use crate::id::{EntryKey, PlayId, Seq, SessionKey};
use crate::input::{AudioNews, Ending};
use crate::limits::{CHECKPOINT_EVERY, UNPLAYABLE_IN_A_ROW_MAX};
use crate::link::Reach;
use crate::playback::{Flow, Play, Span, Wanted};
use crate::refusal::{Notice, Problem};
use crate::unit::{Millis, Moment};

impl Session {
    pub(super) fn sound(&mut self, news: AudioNews, now: Moment) {
        match news {
            AudioNews::Began { play, position } => self.began(play, position, now),
            AudioNews::Ended {
                play,
                position,
                played,
                rebuffers,
                how,
            } => {
                self.playback.heard(play, position, now);
                self.span_over(play, position, played, rebuffers, how, now);
                self.after_span(play, how, now);
            }
            AudioNews::Failed { play } => self.failed(play, now),
            AudioNews::Stalled { play } => self.flow(play, Flow::Stalled, now),
            AudioNews::Flowing { play } => self.flow(play, Flow::Flowing, now),
            AudioNews::Heard { play, position } => self.playback.heard(play, position, now),
            AudioNews::DeviceLost => self.troubles.raise(Problem::NoSoundDevice),
            AudioNews::DeviceBack => self.troubles.clear(Problem::NoSoundDevice),
        }
    }

    /// Starts the current entry in place of whatever sounds.
    pub(super) fn start_current(&mut self, from: Millis, asked_at: Option<Moment>, leaving: StopReason, now: Moment) {
        let Some(entry) = self.queue.current().map(|entry| entry.key) else {
            return;
        };
        let Some(session) = self.service.session else {
            self.queue_ended();
            return;
        };
        self.playback.replace(leaving);
        self.playback.wanted = Wanted::Sound;
        self.resume_at = None;
        self.service.step = None;
        self.window.ask_again(entry);
        // It must be wished for before it can be played.
        self.slide_window();
        let Some(slot) = self.window.slot_of(entry) else {
            return;
        };
        let play = self.playback.order(session, entry, asked_at);
        self.playback.current = Some(play);
        self.playback.follower = None;
        self.playback.heard(play, from, now);
        self.emit(Effect::Play {
            play,
            slot,
            entry,
            from,
        });
    }

    fn began(&mut self, id: PlayId, position: Millis, now: Moment) {
        let Some(play) = self.playback.play(id).copied() else {
            return;
        };
        if self.playback.follower == Some(id) {
            self.promote();
        } else if self.began_unasked(&play) {
            self.adopt(&play);
        }
        self.playback.forget_before(id);
        let initial_delay = play.asked_at.map_or(Millis::ZERO, |asked_at| now.since(asked_at));
        let start = self.record_start(&play, initial_delay, position, now);
        let cut_for = self.cut_before_known(&play);
        if let Some(play) = self.playback.play_mut(id) {
            play.asked_at = None;
            play.span = Some(Span {
                start,
                initial_delay,
                reported: Millis::ZERO,
                reported_rebuffers: 0,
                offset: position,
                rebuffers: 0,
                flow: Flow::Flowing,
                cut_for,
            });
        }
        self.troubles.clear(Problem::EntryUnplayable);
        if self.playback.current == Some(id) {
            self.troubles.clear(Problem::NoLicence);
            self.playback.heard(id, position, now);
            self.next_checkpoint = Some(now + CHECKPOINT_EVERY);
            self.next_heartbeat = self.settings.heartbeat.map(|every| now + every);
        }
        self.service_moves(&play, start);
    }

    /// Why a span that is only now reported to begin is already over, if it is.
    fn cut_before_known(&self, play: &Play) -> Option<StopReason> {
        let reason = play.leaving()?;
        let again = self
            .playback
            .current_play()
            .is_some_and(|order| order.id != play.id && order.entry == play.entry);
        // It began by itself just before it was skipped to: it is not left, it starts once more.
        if again && play.asked_at.is_none() && matches!(reason, StopReason::UserNext | StopReason::UserPrev) {
            return Some(StopReason::SystemStop);
        }
        Some(reason)
    }

    /// A start event moves the service's place in the queue, also that of an entry that was left meanwhile: what it says
    /// is next may be new.
    fn service_moves(&mut self, play: &Play, start: Seq) {
        if self.service.session == Some(play.session) {
            self.service.at = Some(play.entry);
            self.service.at_event = start;
            self.service.want_next = Want::Yes;
        }
    }

    /// It was to follow, was called back, and had begun before that reached the audio path.
    fn began_unasked(&self, play: &Play) -> bool {
        !play.is_replaced()
            && self.service.session == Some(play.session)
            && self.playback.current.is_none_or(|current| current < play.id)
    }

    /// What sounds is the current entry, whatever the order of the queue has become since.
    fn adopt(&mut self, play: &Play) {
        if self.playback.follower.take().is_some() {
            self.emit(Effect::Unfollow);
        }
        self.queue.step_to(play.entry);
        self.playback.current = Some(play.id);
        self.resume_at = None;
        self.service.step = None;
        self.service.want_current = Want::Yes;
    }

    /// The follower is the current one now, in the queue as in the ear.
    fn promote(&mut self) {
        self.queue.advance();
        self.playback.current = self.playback.follower.take();
        self.resume_at = None;
    }

    fn span_over(&mut self, id: PlayId, progress: Millis, played: Millis, rebuffers: u16, how: Ending, now: Moment) {
        let Some(play) = self.playback.play_mut(id) else {
            return;
        };
        let Some(span) = play.span.take() else {
            return;
        };
        let reason = match how {
            Ending::Finished => StopReason::TrackFinished,
            Ending::Cut => play.cut_for(&span),
            Ending::Interrupted | Ending::Broken | Ending::Locked => StopReason::SystemStop,
        };
        let (session, entry) = (play.session, play.entry);
        match how {
            // It sounded.
            Ending::Finished | Ending::Cut => self.strikes = 0,
            Ending::Interrupted | Ending::Broken | Ending::Locked => {}
        }
        let what = What::Stop {
            reason,
            played: played.saturating_sub(span.reported),
            progress,
            rebuffers: rebuffers.saturating_sub(span.reported_rebuffers),
        };
        self.record(session, entry, (span.initial_delay, what), Claim::Held, now);
    }

    fn after_span(&mut self, id: PlayId, how: Ending, now: Moment) {
        if self.playback.current != Some(id) {
            return;
        }
        self.next_checkpoint = None;
        self.next_heartbeat = None;
        match how {
            Ending::Cut | Ending::Interrupted => {}
            Ending::Finished => self.go_on(now),
            Ending::Broken => self.struck(now),
            Ending::Locked => {
                self.troubles.raise(Problem::NoLicence);
                self.tell(Notice::NoLicence);
                self.struck(now);
            }
        }
    }

    /// It could not sound at all: the service is told so in a pair of its own, and the queue goes on.
    fn failed(&mut self, id: PlayId, now: Moment) {
        let Some(play) = self.playback.play(id).copied() else {
            return;
        };
        if self.playback.follower == Some(id) {
            self.promote();
        } else if self.began_unasked(&play) {
            self.adopt(&play);
        }
        let stop = What::Stop {
            reason: StopReason::SystemStop,
            played: Millis::ZERO,
            progress: Millis::ZERO,
            rebuffers: 0,
        };
        let start = self.record_start(&play, Millis::ZERO, Millis::ZERO, now);
        self.record(play.session, play.entry, (Millis::ZERO, stop), Claim::Held, now);
        self.service_moves(&play, start);
        if self.playback.current == Some(id) {
            self.struck(now);
        }
    }

    /// One more entry that could not be played. A few in a row stop the speaker: it never runs through a queue.
    fn struck(&mut self, now: Moment) {
        self.strikes = self.strikes.saturating_add(1);
        self.troubles.raise(Problem::EntryUnplayable);
        if self.strikes >= UNPLAYABLE_IN_A_ROW_MAX {
            self.troubles.raise(Problem::ManyUnplayable);
            self.halt();
        } else {
            self.go_on(now);
        }
    }

    /// The current entry is over. With a follower lined up the audio path goes on by itself.
    pub(super) fn go_on(&mut self, now: Moment) {
        if self.playback.follower.is_some() || self.leaving.is_some() {
            // It begins as soon as it can; should it lack an address that was refused before, that is asked for again.
            if let Some(upcoming) = self.queue.upcoming().map(|entry| entry.key) {
                self.window.ask_again(upcoming);
            }
            self.playback.hand_over();
            return;
        }
        self.playback.current = None;
        if self.service.session.is_none() {
            self.queue_ended();
            return;
        }
        let known = self.queue.advance();
        match (self.playback.wanted, known) {
            (Wanted::Sound, true) => self.start_current(Millis::ZERO, None, StopReason::SystemStop, now),
            (Wanted::Sound, false) => {
                self.service.step = Some(Step::Natural);
                self.service.want_next = Want::Yes;
            }
            (Wanted::Pause | Wanted::Silence, _) => self.resume_at = None,
        }
    }

    fn flow(&mut self, id: PlayId, flow: Flow, now: Moment) {
        if self.playback.current == Some(id) {
            self.playback.freeze(now);
            match flow {
                // Perhaps nobody is there any more. Who has nothing to ask would not notice, nor tell the listener.
                Flow::Stalled => self.service.want_next = Want::Yes,
                // Bytes came, so there is a network again.
                Flow::Flowing if self.link.reach() == Reach::Down => self.link.hurry(),
                Flow::Flowing => {}
            }
        }
        if let Some(span) = self.playback.play_mut(id).and_then(|play| play.span.as_mut()) {
            if span.flow == Flow::Flowing && flow == Flow::Stalled {
                span.rebuffers = span.rebuffers.saturating_add(1);
            }
            span.flow = flow;
        }
    }

    /// Notes the position of what sounds, so that a power cut does not lose it.
    pub(super) fn checkpoint(&mut self, now: Moment) {
        let Some((span, position)) = self.playback.span().copied().zip(self.playback.position(now)) else {
            self.next_checkpoint = None;
            return;
        };
        self.next_checkpoint = Some(now + CHECKPOINT_EVERY);
        let played = position.saturating_sub(span.offset).saturating_sub(span.reported);
        let rebuffers = span.rebuffers.saturating_sub(span.reported_rebuffers);
        self.emit(Effect::Checkpoint {
            start: span.start,
            position,
            played,
            rebuffers,
        });
    }

    /// Reports a stop and a start in the middle of the sound, where the integrator asked for a heartbeat.
    pub(super) fn heartbeat(&mut self, now: Moment) {
        self.next_heartbeat = self.settings.heartbeat.map(|every| now + every);
        let Some((play, position)) = self.playback.current_play().copied().zip(self.playback.position(now)) else {
            return;
        };
        let Some(span) = play.span else {
            return;
        };
        let so_far = position.saturating_sub(span.offset);
        let stop = What::Stop {
            reason: StopReason::SystemStop,
            played: so_far.saturating_sub(span.reported),
            progress: position,
            rebuffers: span.rebuffers.saturating_sub(span.reported_rebuffers),
        };
        self.record(play.session, play.entry, (span.initial_delay, stop), Claim::Held, now);
        let start = self.record(
            play.session,
            play.entry,
            (Millis::ZERO, What::Start { offset: position }),
            Claim::Held,
            now,
        );
        if let Some(span) = self.playback.play_mut(play.id).and_then(|play| play.span.as_mut()) {
            span.start = start;
            span.initial_delay = Millis::ZERO;
            span.reported = so_far;
            span.reported_rebuffers = span.rebuffers;
        }
    }

    /// The first sound of an order may take the stream over.
    fn record_start(&mut self, play: &Play, initial_delay: Millis, offset: Millis, now: Moment) -> Seq {
        let claim = self.claim(play);
        let what = What::Start { offset };
        let start = self.record(play.session, play.entry, (initial_delay, what), claim, now);
        if claim == Claim::TakesOver {
            self.service.claimed = start;
        }
        start
    }

    fn record(
        &mut self,
        session: SessionKey,
        entry: EntryKey,
        (initial_delay, what): (Millis, What),
        claim: Claim,
        now: Moment,
    ) -> Seq {
        let seq = self.outbox.number();
        if self.service.session == Some(session) {
            self.service.last_event = seq;
        }
        self.emit(Effect::Record(Event {
            seq,
            session,
            entry,
            at: now,
            initial_delay,
            what,
            claim,
        }));
        seq
    }

    /// Position within the current entry, as far as it is known.
    pub(super) fn position(&self, now: Moment) -> Millis {
        let position = self.playback.position(now).unwrap_or_else(|| self.place_to_resume());
        let end = self.queue.current().and_then(|entry| entry.duration);
        end.map_or(position, |end| position.min(end))
    }

    /// Where the current entry is to start when the listener comes back to it.
    pub(super) fn place_to_resume(&self) -> Millis {
        match (self.resume_at, self.queue.current()) {
            (Some((entry, position)), Some(current)) if current.key == entry => position,
            _ => Millis::ZERO,
        }
    }

    /// Keeps the place in the current entry although its order is given up.
    pub(super) fn remember_place(&mut self, now: Moment) {
        let position = self.position(now);
        self.resume_at = self.queue.current().map(|entry| (entry.key, position));
    }
}
