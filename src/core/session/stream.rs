//! Whose stream it is: another device may take it at any time, and the listener may take it back.

use super::Session;
use crate::event::Claim;
use crate::id::{PlayId, Seq};
use crate::playback::{Play, Wanted};
use crate::refusal::{Notice, Problem};
use crate::unit::Moment;

/// Who owns the stream, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stream {
    /// This device.
    #[default]
    Here,
    /// Another one. What was ordered after `since` was asked for all the same: its start takes the stream over.
    Elsewhere {
        /// The last order when that became known.
        since: PlayId,
    },
}

impl Session {
    /// Another device owns the stream: the sound stops here, the place is kept for when the listener wants it back.
    pub(super) fn taken_over(&mut self, now: Moment) {
        if self.takes_back() {
            return;
        }
        self.troubles.raise(Problem::TakenOver);
        self.service.stream = Stream::Elsewhere {
            since: self.playback.last(),
        };
        match self.playback.wanted {
            Wanted::Sound => self.tell(Notice::TakenOver),
            Wanted::Pause if self.playback.current.is_some() => {}
            Wanted::Pause | Wanted::Silence => return,
        }
        if self.queue.current().is_some() {
            self.remember_place(now);
        }
        self.halt();
        if self.service.session.is_some() {
            self.playback.wanted = Wanted::Pause;
        }
    }

    /// A session that is to go on here is not shown, because another device has the stream. Where nothing sounds here,
    /// nothing was lost by that.
    pub(super) fn asked_without_stream(&mut self, now: Moment) {
        self.link.answered(now);
        if self.playback.current.is_some() {
            self.taken_over(now);
        } else {
            self.service.stream = Stream::Elsewhere {
                since: self.playback.last(),
            };
        }
    }

    /// The listener wants it back already: what the service says of the time before that is no news.
    fn takes_back(&self) -> bool {
        let playable = self
            .queue
            .current()
            .is_some_and(|entry| !self.window.lacks_address(entry.key));
        let claims = match self.service.stream {
            Stream::Elsewhere { .. } => playable,
            Stream::Here => !self.outbox.is_settled(self.service.claimed),
        };
        self.playback.wanted == Wanted::Sound && claims
    }

    pub(super) fn is_stream_elsewhere(&self) -> bool {
        match self.service.stream {
            Stream::Here => false,
            Stream::Elsewhere { .. } => true,
        }
    }

    /// Whether the start of this order, which is about to be recorded, takes the stream over. Only the first one does.
    pub(super) fn claim(&mut self, play: &Play) -> Claim {
        let Stream::Elsewhere { since } = self.service.stream else {
            return Claim::Held;
        };
        if play.id <= since {
            return Claim::Held;
        }
        self.service.stream = Stream::Here;
        self.troubles.clear(Problem::TakenOver);
        // Events that were refused because the stream was another device's are in its way.
        self.link.hurry();
        Claim::TakesOver
    }

    /// The service takes no event from a device that does not own the stream, so those before the claim can never be
    /// accepted. Nor is the claim repeated: the listener's press is over, and another device's came after it.
    pub(super) fn is_given_up(&self, first: Seq) -> bool {
        first <= self.service.claimed && !self.outbox.is_settled(self.service.claimed)
    }
}
