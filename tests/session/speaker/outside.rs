//! What is around the core on the bench: audio path, journal, and the way to the service.

use super::{Order, Speaker, TRACK_MS};
use tonearm_core::effect::Effect;
use tonearm_core::id::PlayId;
use tonearm_core::input::{AudioNews, Ending, Input};
use tonearm_core::unit::{Millis, Moment};

impl Speaker {
    pub(super) fn hear(&mut self) {
        if let Some(order) = self.current.filter(|order| order.span.is_some()) {
            let (play, position) = (order.play, millis(self.position()));
            self.input(Input::Audio(AudioNews::Heard { play, position }));
        }
    }

    pub(super) fn position(&self) -> u64 {
        self.current.map_or(0, |order| match order.span {
            Some((since, from)) => (from + self.now - since).min(u64::from(TRACK_MS)),
            None => order.position,
        })
    }

    pub(super) fn work(&mut self) {
        loop {
            while let Some(effect) = self.session.poll() {
                self.effects.push(effect.clone());
                self.obey(effect);
            }
            let Some(input) = self.inbox.pop_front() else { return };
            let is_news = matches!(
                input,
                Input::Audio(AudioNews::Began { .. } | AudioNews::Ended { .. } | AudioNews::Failed { .. })
            );
            let is_answer = matches!(input, Input::Answer { .. } | Input::Reported { .. });
            if (self.holds_answers && is_answer) || (self.holds_news && is_news) {
                self.held.push_back(input);
            } else {
                self.session.handle(input, Moment(self.now));
            }
        }
    }

    pub(super) fn obey(&mut self, effect: Effect) {
        match effect {
            Effect::Call { request, call } => {
                self.calls.push(call);
                let answer = self.answer(call);
                self.inbox.push_back(Input::Answer { request, answer });
            }
            Effect::Record(event) => {
                self.journal.push(event);
                if self.stores {
                    let (seq, durable) = (event.seq, self.durable);
                    self.inbox.push_back(Input::Stored { seq, durable });
                } else {
                    self.unstored = Some(event.seq);
                }
            }
            Effect::Report { first, last } => {
                self.sent.push(last);
                self.reports.push((first.0, last.0));
                let verdict = self.judge(first, last);
                self.inbox.push_back(Input::Reported { last, verdict });
            }
            Effect::Settle { seq, accepted } => self.settled.push((seq, accepted)),
            Effect::Checkpoint {
                start,
                position,
                played,
                ..
            } => self.checkpoint = Some((start, position, played)),
            Effect::Want(wishes) => self.wishes = wishes,
            Effect::Play { play, entry, from, .. } => {
                self.end(Ending::Cut);
                self.paused = false;
                self.follower = None;
                self.current = Some(order(play, entry.0, u64::from(from.0)));
                self.begin();
            }
            Effect::Follow { play, entry, .. } => {
                let order = order(play, entry.0, 0);
                if self.current.is_some() {
                    self.follower = Some(order);
                } else {
                    self.current = Some(order);
                    self.begin();
                }
            }
            Effect::Unfollow => self.follower = None,
            Effect::Pause => {
                self.end(Ending::Cut);
                self.paused = true;
            }
            Effect::Resume => {
                self.paused = false;
                self.begin();
            }
            Effect::Silence => {
                self.end(Ending::Cut);
                self.current = None;
                self.follower = None;
                self.paused = false;
            }
            Effect::Tell(notice) => self.notices.push(notice),
            Effect::Save(bookmark) => self.bookmark = bookmark,
            Effect::Light(scene) => self.light = scene,
            Effect::Volume(_) | Effect::Exit => {}
        }
    }

    pub(super) fn begin(&mut self) {
        while let Some(order) = &mut self.current {
            if order.span.is_some() || self.paused || self.slow.contains(&order.entry) {
                return;
            }
            let play = order.play;
            if self.corrupt.contains(&order.entry) {
                self.inbox.push_back(Input::Audio(AudioNews::Failed { play }));
                self.current = self.follower.take();
                continue;
            }
            order.span = Some((self.now, order.position));
            let position = millis(order.position);
            self.inbox.push_back(Input::Audio(AudioNews::Began { play, position }));
        }
    }

    pub(super) fn end(&mut self, how: Ending) {
        let position = self.position();
        let Some(order) = &mut self.current else { return };
        let Some((_, from)) = order.span.take() else { return };
        order.position = position;
        self.inbox.push_back(Input::Audio(AudioNews::Ended {
            play: order.play,
            position: millis(position),
            played: millis(position - from),
            rebuffers: 0,
            how,
        }));
    }
}

fn order(play: PlayId, entry: u32, position: u64) -> Order {
    Order {
        play,
        entry,
        position,
        span: None,
    }
}

pub(super) fn millis(ms: u64) -> Millis {
    Millis(u32::try_from(ms).unwrap())
}
