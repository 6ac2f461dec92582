//! What the listener asks: whether it is allowed, and doing it.

use super::{Edit, Opening, Opens, Session, Step, Want};
use crate::effect::Effect;
use crate::entry::{Actions, Denial, Permission};
use crate::event::StopReason;
use crate::id::SourceKey;
use crate::input::{Mode, Press};
use crate::limits::{BACK_TO_PREVIOUS_MS_MAX, FLASH, SCRUB_STEP, VOLUME_MAX, VOLUME_STEP};
use crate::link::Reach;
use crate::playback::Wanted;
use crate::refusal::{Notice, Problem, Refusal};
use crate::unit::{Millis, Moment};

impl Session {
    /// Does what was asked, or tells why not.
    pub(super) fn press(&mut self, press: Press, now: Moment) {
        if let Err(refusal) = self.permits(press, now) {
            self.refuse(refusal, now);
            return;
        }
        // Somebody waits in front of the speaker: what waits for the service is tried at once.
        if !matches!(press, Press::VolumeUp | Press::VolumeDown) {
            self.link.hurry();
        }
        match press {
            Press::Play => self.toggle(now),
            Press::Next => self.next(now),
            Press::Previous => self.previous(now),
            Press::VolumeUp => self.set_volume(self.volume.saturating_add(VOLUME_STEP).min(VOLUME_MAX)),
            Press::VolumeDown => self.set_volume(self.volume.saturating_sub(VOLUME_STEP)),
            Press::Shuffle => self.service.shuffle.toggle(),
            Press::Loop => self.service.looping.toggle(),
            Press::ScrubForward => self.seek(self.position(now).saturating_add(SCRUB_STEP), now),
            Press::ScrubBackward => self.seek(self.position(now).saturating_sub(SCRUB_STEP), now),
            Press::Seek(position) => self.seek(position, now),
            Press::Start { source, mode } => self.open(source, mode, now),
            Press::QueueNext(source) => self.edit(Edit::Next(source)),
            Press::QueueLast(source) => self.edit(Edit::Last(source)),
            Press::TakeOver => self.take_over(now),
            Press::Preset(number) => {
                if let Some((source, mode)) = self.preset(number) {
                    self.open(source, mode, now);
                }
            }
        }
    }

    /// Whether a press would be followed now, and if not, why.
    ///
    /// # Errors
    /// The reason, as the listener is told it.
    pub fn permits(&self, press: Press, now: Moment) -> Result<(), Refusal> {
        if self.leaving.is_some() {
            return Err(Refusal::Leaving);
        }
        match press {
            Press::VolumeUp | Press::VolumeDown => Ok(()),
            Press::Start { .. } => self.needs_account(),
            Press::Preset(number) => self.permits_preset(number),
            Press::Play => self.permits_play(),
            Press::Next => self.permits_next(now),
            Press::Previous => self.permits_previous(now),
            Press::Shuffle => allowed(self.actions()?.shuffle).and_then(|()| self.needs_service(now)),
            Press::Loop => allowed(self.actions()?.loop_all).and_then(|()| self.needs_service(now)),
            Press::ScrubBackward => allowed(self.actions()?.scrub_backward),
            Press::Seek(to) if to < self.position(now) => allowed(self.actions()?.scrub_backward),
            Press::QueueNext(_) | Press::QueueLast(_) => self.permits_edit(now),
            Press::TakeOver => self.permits_take_over(now),
            Press::ScrubForward | Press::Seek(_) => allowed(self.actions()?.scrub_forward),
        }
    }

    fn permits_preset(&self, number: u8) -> Result<(), Refusal> {
        if self.preset(number).is_some() {
            self.needs_account()
        } else {
            Err(Refusal::NoSuchPreset)
        }
    }

    /// What the n-th preset starts, and how.
    fn preset(&self, number: u8) -> Option<(SourceKey, Mode)> {
        let index = usize::from(number).checked_sub(1)?;
        let mode = self.settings.presets.get(index)?;
        Some((SourceKey(u32::from(number)), *mode))
    }

    fn permits_play(&self) -> Result<(), Refusal> {
        let open =
            self.playback.wanted != Wanted::Silence || self.queue.current().is_some() || self.service.session.is_some();
        if open {
            Ok(())
        } else if self.service.offer.is_some() || self.startable().is_some() {
            self.needs_account()
        } else {
            Err(Refusal::NothingPlaying)
        }
    }

    fn permits_edit(&self, now: Moment) -> Result<(), Refusal> {
        self.actions()?;
        if self.service.edits.is_full() {
            return Err(Refusal::NoNetwork);
        }
        self.needs_service(now)
    }

    /// A session of another device, or the stream of this one.
    fn permits_take_over(&self, now: Moment) -> Result<(), Refusal> {
        if self.service.offer.is_some() {
            self.needs_service(now)
        } else if self.is_stream_elsewhere() && self.queue.current().is_some() {
            Ok(())
        } else {
            Err(Refusal::NothingPlaying)
        }
    }

    fn permits_next(&self, now: Moment) -> Result<(), Refusal> {
        allowed(self.actions()?.next)?;
        if self.service.skips == Some(0) {
            return Err(Refusal::Denied(Denial::NoMoreSkips));
        }
        if self.queue.upcoming().is_some() {
            Ok(())
        } else {
            self.needs_service(now)
        }
    }

    /// Going back to the start of this entry is a way of going back, too.
    fn permits_previous(&self, now: Moment) -> Result<(), Refusal> {
        let actions = self.actions()?;
        if self.returns_to_start(now) {
            return allowed(actions.previous).or_else(|_| allowed(actions.scrub_backward));
        }
        allowed(actions.previous)?;
        if self.queue.behind().is_empty() && !self.queue.begins() {
            self.needs_service(now)
        } else {
            Ok(())
        }
    }

    /// Nothing is allowed with an entry whose session is gone.
    fn actions(&self) -> Result<Actions, Refusal> {
        let entry = self.queue.current().filter(|_| self.service.session.is_some());
        entry.map(|entry| entry.actions).ok_or(Refusal::NothingPlaying)
    }

    /// Nobody answers and it was tried just now, or the service named a time before which it is not to be asked. If
    /// nothing has been tried for a while, this press is the try.
    pub(super) fn needs_service(&self, now: Moment) -> Result<(), Refusal> {
        self.needs_account()?;
        let waits = self.link.reach() == Reach::Down && !self.link.is_ready(now);
        if waits || self.link.is_held(now) {
            Err(Refusal::NoNetwork)
        } else {
            Ok(())
        }
    }

    /// What play starts when nothing is open: what was played last, else the first preset.
    pub(super) fn startable(&self) -> Option<(SourceKey, Mode)> {
        self.service.source.or_else(|| self.preset(1))
    }

    pub(super) fn refuse(&mut self, refusal: Refusal, now: Moment) {
        self.flash_until = Some(now + FLASH);
        self.tell(Notice::Refused(refusal));
    }

    fn toggle(&mut self, now: Moment) {
        match self.playback.wanted {
            Wanted::Sound => self.pause(now),
            Wanted::Pause => self.resume(now),
            Wanted::Silence => {
                if self.queue.current().is_some() {
                    self.resume(now);
                } else if self.service.session.is_some() {
                    // What was open before a restart could not be had then: the listener wants it tried again.
                    self.playback.wanted = Wanted::Sound;
                    self.service.want_current = Want::Yes;
                } else if let Some(offer) = self.service.offer {
                    self.take_offer(offer, now);
                } else if let Some((source, mode)) = self.startable() {
                    self.open(source, mode, now);
                }
            }
        }
    }

    /// Also calls off what the listener asked for and the service has not given yet.
    fn pause(&mut self, now: Moment) {
        let called_off = self.service.opening.take().is_some();
        match self.service.step {
            Some(Step::Next { .. } | Step::Previous { .. }) => self.drop_step(),
            Some(Step::Natural) | None => {}
        }
        self.call_off_search();
        if called_off && self.queue.current().is_none() {
            self.playback.wanted = Wanted::Silence;
        }
        if self.playback.wanted == Wanted::Silence {
            return;
        }
        self.playback.freeze(now);
        self.playback.wanted = Wanted::Pause;
        self.playback.leave(StopReason::UserStop);
        self.emit(Effect::Pause);
    }

    fn resume(&mut self, now: Moment) {
        self.playback.wanted = Wanted::Sound;
        self.troubles.clear(Problem::TakenOver);
        self.troubles.clear(Problem::ManyUnplayable);
        self.troubles.clear(Problem::NoLicence);
        self.strikes = 0;
        self.playback.go_on();
        if let Some(entry) = self.queue.current().map(|entry| entry.key) {
            self.window.ask_again(entry);
        }
        if self.service.step == Some(Step::Natural) {
            // The entry before is over, and the one after it starts once the service has named it.
            return;
        }
        if let Some(play) = self.playback.current.and_then(|id| self.playback.play_mut(id)) {
            play.asked_at = Some(now);
            self.emit(Effect::Resume);
        } else if self.queue.current().is_some() {
            self.start_current(self.place_to_resume(), Some(now), StopReason::UserStop, now);
        } else if self.service.session.is_some() {
            self.service.want_current = Want::Yes;
        }
    }

    fn take_over(&mut self, now: Moment) {
        match self.service.offer {
            Some(offer) => self.take_offer(offer, now),
            None if self.playback.wanted != Wanted::Sound => self.resume(now),
            None => {}
        }
    }

    fn next(&mut self, now: Moment) {
        if self.queue.advance() {
            self.count_skip();
            self.start_current(Millis::ZERO, Some(now), StopReason::UserNext, now);
        } else {
            self.service.want_next = Want::Yes;
            if self.service.step != Some(Step::Natural) {
                self.service.step = Some(Step::Next { asked_at: now });
            }
        }
    }

    fn previous(&mut self, now: Moment) {
        if self.returns_to_start(now) {
            self.start_current(Millis::ZERO, Some(now), StopReason::TrackScrub, now);
        } else if self.queue.retreat() {
            self.start_current(Millis::ZERO, Some(now), StopReason::UserPrev, now);
        } else {
            self.service.step = Some(Step::Previous { asked_at: now });
            self.service.want_previous = Want::Yes;
        }
    }

    /// Later than a few seconds, or where there is nothing before: back means the start of this entry.
    fn returns_to_start(&self, now: Moment) -> bool {
        let nothing_before = self.queue.behind().is_empty() && self.queue.begins();
        nothing_before || self.position(now) > BACK_TO_PREVIOUS_MS_MAX
    }

    /// Past the end means the end: the next entry follows as usual.
    fn seek(&mut self, to: Millis, now: Moment) {
        let end = self.queue.current().and_then(|entry| entry.duration);
        let to = end.map_or(to, |end| to.min(end));
        if self.playback.wanted == Wanted::Sound {
            self.start_current(to, Some(now), StopReason::TrackScrub, now);
        } else if let Some(entry) = self.queue.current() {
            // Paused: the place moves, the sound stays away until it is wanted again.
            self.resume_at = Some((entry.key, to));
            self.playback.replace(StopReason::TrackScrub);
            self.playback.current = None;
            self.playback.follower = None;
            self.emit(Effect::Silence);
        }
    }

    pub(super) fn open(&mut self, source: SourceKey, mode: Mode, now: Moment) {
        self.service.opening = Some(Opening {
            what: Opens::Source { source, mode },
            asked_at: now,
        });
        if self.queue.current().is_none() {
            self.playback.wanted = Wanted::Sound;
        }
    }

    fn set_volume(&mut self, volume: u8) {
        if volume == self.volume {
            self.tell(Notice::VolumeEnd);
        } else {
            self.volume = volume;
            self.emit(Effect::Volume(volume));
        }
    }
}

fn allowed(permission: Permission) -> Result<(), Refusal> {
    match permission {
        Permission::Allowed { remaining: Some(0) } => Err(Refusal::Denied(Denial::NoMoreSkips)),
        Permission::Allowed { .. } => Ok(()),
        Permission::Denied(denial) => Err(Refusal::Denied(denial)),
    }
}
