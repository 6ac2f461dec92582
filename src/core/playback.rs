//! What was ordered from the audio path and what it reported: which order sounds, which one follows, how far it is.

use heapless::Vec;

use crate::event::StopReason;
use crate::id::{EntryKey, PlayId, Seq, SessionKey};
use crate::limits::PLAYS_MAX;
use crate::unit::{Millis, Moment};

/// What the listener wants, whatever the network and the device make of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing: never started, stopped, or played to the end.
    #[default]
    Silence,
    /// Sound.
    Sound,
    /// Silence for now, at a place to come back to.
    Pause,
}

/// One order to the audio path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Play {
    pub(crate) id: PlayId,
    pub(crate) session: SessionKey,
    pub(crate) entry: EntryKey,
    /// The request that the first sound answers; `None` where it flowed out of the entry before.
    pub(crate) asked_at: Option<Moment>,
    /// The span of sound under way.
    pub(crate) span: Option<Span>,
    /// Reason of the stop event when a span is cut that has not begun yet as far as is known: the first reason since it
    /// was ordered or resumed.
    leaving: Option<StopReason>,
    standing: Standing,
}

/// Whether an order still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It sounds, is paused, or may still sound.
    Ordered,
    /// It came to its end, and its follower is to sound as soon as it can.
    Over,
    /// Another order (or silence) took its place: what cut it is final, however late its reports come.
    Replaced,
}

/// A stretch of sound between a start and a stop event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Its start event.
    pub(crate) start: Seq,
    pub(crate) initial_delay: Millis,
    /// Of the audio path's span: what was already reported by an earlier start/stop pair (heartbeat).
    pub(crate) reported: Millis,
    pub(crate) reported_rebuffers: u16,
    /// Position where the audio path's span began.
    pub(crate) offset: Millis,
    pub(crate) rebuffers: u16,
    pub(crate) flow: Flow,
    /// What cut this span, from the moment it was asked for until the audio path reports the end.
    pub(crate) cut_for: Option<StopReason>,
}

/// Whether there is data to sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Flowing,
    Stalled,
}

/// Orders and reports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Playback {
    pub(crate) wanted: Wanted,
    /// Orders that may still report, oldest first.
    plays: Vec<Play, PLAYS_MAX>,
    last: PlayId,
    /// The order that is to sound now.
    pub(crate) current: Option<PlayId>,
    /// The order that is to sound after it.
    pub(crate) follower: Option<PlayId>,
    /// Last position known, and when.
    heard: Option<(PlayId, Millis, Moment)>,
}

impl Play {
    /// Another order (or silence) took its place.
    pub(crate) fn is_replaced(&self) -> bool {
        self.standing == Standing::Replaced
    }

    /// What has cut it already, although its beginning is only being reported.
    pub(crate) fn leaving(&self) -> Option<StopReason> {
        self.leaving
    }

    /// Reason of the stop event of a span that was cut.
    pub(crate) fn cut_for(&self, span: &Span) -> StopReason {
        span.cut_for.or(self.leaving).unwrap_or(StopReason::SystemStop)
    }
}

impl Playback {
    /// Numbers a new order. If too many are still to report, the oldest that neither sounds nor is to sound is given up.
    pub(crate) fn order(&mut self, session: SessionKey, entry: EntryKey, asked_at: Option<Moment>) -> PlayId {
        self.last = self.last.next();
        if self.plays.is_full() {
            let (current, follower) = (self.current, self.follower);
            let idle = |play: &Play| play.span.is_none() && Some(play.id) != current && Some(play.id) != follower;
            if let Some(index) = self.plays.iter().position(idle) {
                self.plays.remove(index);
            }
        }
        let play = Play {
            id: self.last,
            session,
            entry,
            asked_at,
            span: None,
            leaving: None,
            standing: Standing::Ordered,
        };
        let pushed = self.plays.push(play);
        debug_assert!(pushed.is_ok(), "spans are open on two orders at most, so room was made");
        self.last
    }

    /// The last order given.
    pub(crate) fn last(&self) -> PlayId {
        self.last
    }

    /// The session goes on under another name: what has not begun yet will be reported under it.
    pub(crate) fn move_to(&mut self, from: SessionKey, to: SessionKey) {
        for play in self.plays.iter_mut().filter(|play| play.span.is_none()) {
            if play.session == from {
                play.session = to;
            }
        }
    }

    pub(crate) fn play(&self, id: PlayId) -> Option<&Play> {
        self.plays.iter().find(|play| play.id == id)
    }

    pub(crate) fn play_mut(&mut self, id: PlayId) -> Option<&mut Play> {
        self.plays.iter_mut().find(|play| play.id == id)
    }

    /// The order that is to sound now.
    pub(crate) fn current_play(&self) -> Option<&Play> {
        self.current.and_then(|id| self.play(id))
    }

    /// The span that sounds now.
    pub(crate) fn span(&self) -> Option<&Span> {
        self.current_play().and_then(|play| play.span.as_ref())
    }

    /// Everything that sounds now is about to be cut for this reason, and may go on later.
    pub(crate) fn leave(&mut self, reason: StopReason) {
        for play in self.plays.iter_mut().filter(|play| play.standing == Standing::Ordered) {
            play.leaving.get_or_insert(reason);
            if let Some(span) = &mut play.span {
                span.cut_for.get_or_insert(reason);
            }
        }
    }

    /// A span that was cut for good has not been reported yet.
    pub(crate) fn is_leaving(&self) -> bool {
        self.plays.iter().any(|play| play.is_replaced() && play.span.is_some())
    }

    /// The current order came to its end, and its follower is to sound.
    pub(crate) fn hand_over(&mut self) {
        if let Some(play) = self.current.and_then(|id| self.play_mut(id)) {
            play.standing = Standing::Over;
        }
    }

    /// The current order is over and has not been followed by anything yet.
    pub(crate) fn is_over(&self) -> bool {
        self.current_play().is_some_and(|play| play.standing == Standing::Over)
    }

    /// What was paused goes on.
    pub(crate) fn go_on(&mut self) {
        for play in self.plays.iter_mut().filter(|play| play.standing == Standing::Ordered) {
            play.leaving = None;
        }
    }

    /// Everything that sounds now is about to be cut for this reason, for good.
    pub(crate) fn replace(&mut self, reason: StopReason) {
        self.leave(reason);
        for play in &mut self.plays {
            play.standing = Standing::Replaced;
        }
    }

    /// Reports come in order: when `id` reports, older orders that have no open span are over.
    pub(crate) fn forget_before(&mut self, id: PlayId) {
        self.plays.retain(|play| play.id >= id || play.span.is_some());
    }

    /// A span of sound is open somewhere: its stop is still to come.
    pub(crate) fn is_sounding(&self) -> bool {
        self.plays.iter().any(|play| play.span.is_some())
    }

    pub(crate) fn heard(&mut self, id: PlayId, position: Millis, now: Moment) {
        if self.current == Some(id) {
            self.heard = Some((id, position, now));
        }
    }

    /// Last position known of the current order, not carried on.
    pub(crate) fn last_position(&self) -> Option<Millis> {
        self.heard
            .filter(|(id, ..)| self.current == Some(*id))
            .map(|(_, position, _)| position)
    }

    /// An order of `entry` may still report.
    pub(crate) fn refers_to(&self, entry: EntryKey) -> bool {
        self.plays.iter().any(|play| play.entry == entry)
    }

    /// The position stays where it is now.
    pub(crate) fn freeze(&mut self, now: Moment) {
        if let (Some(id), Some(position)) = (self.current, self.position(now)) {
            self.heard(id, position, now);
        }
    }

    /// Position within the current entry, carried on from the last report while it sounds.
    pub(crate) fn position(&self, now: Moment) -> Option<Millis> {
        let (id, position, at) = self.heard?;
        if self.current != Some(id) {
            return None;
        }
        let moving = self.wanted == Wanted::Sound && self.span().is_some_and(|span| span.flow == Flow::Flowing);
        Some(if moving {
            position.saturating_add(now.since(at))
        } else {
            position
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_orders_than_may_report_give_up_the_oldest() {
        let mut playback = Playback::default();
        let first = playback.order(SessionKey(1), EntryKey(1), None);
        for key in 0..PLAYS_MAX {
            playback.order(SessionKey(1), EntryKey(u32::try_from(key).unwrap()), None);
        }
        assert!(playback.play(first).is_none());
        assert!(playback.play(playback.last).is_some());
    }

    #[test]
    fn the_position_moves_only_while_sound_flows() {
        let mut playback = Playback {
            wanted: Wanted::Sound,
            ..Playback::default()
        };
        let id = playback.order(SessionKey(1), EntryKey(1), None);
        playback.current = Some(id);
        playback.heard(id, Millis(500), Moment(1000));
        assert_eq!(playback.position(Moment(3000)), Some(Millis(500)), "it has not begun");
        playback.play_mut(id).unwrap().span = Some(Span {
            start: Seq(1),
            initial_delay: Millis::ZERO,
            reported: Millis::ZERO,
            reported_rebuffers: 0,
            offset: Millis(500),
            rebuffers: 0,
            flow: Flow::Flowing,
            cut_for: None,
        });
        assert_eq!(playback.position(Moment(3000)), Some(Millis(2500)));
        playback.wanted = Wanted::Pause;
        assert_eq!(playback.position(Moment(3000)), Some(Millis(500)));
    }
}
