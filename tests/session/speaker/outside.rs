//! What is around the core on the bench: service, audio path, journal.

use super::{Order, Speaker, TRACK_MS};
use tonearm_core::effect::{Call, Effect};
use tonearm_core::entry::{Entry, Kind};
use tonearm_core::event::What;
use tonearm_core::id::{EntryKey, PlayId, Seq, SessionKey};
use tonearm_core::input::{Answer, AudioNews, Ending, Failure, Input, Verdict};
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
            Effect::Report { last: seq, .. } => {
                self.sent.push(seq);
                let verdict = if self.reachable {
                    self.verdicts.pop_front().unwrap_or(Verdict::Accepted)
                } else {
                    Verdict::Failed(Failure::Unreachable)
                };
                if verdict == Verdict::Accepted {
                    self.move_service(seq);
                }
                self.inbox.push_back(Input::Reported { last: seq, verdict });
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

    pub(super) fn move_service(&mut self, seq: Seq) {
        let started = self
            .journal
            .iter()
            .find(|event| event.seq == seq && matches!(event.what, What::Start { .. }));
        let index = started.and_then(|event| self.order.iter().position(|key| *key == event.entry.0));
        self.at = index.unwrap_or(self.at);
    }

    pub(super) fn answer(&mut self, call: Call) -> Answer {
        if !self.reachable {
            return Answer::Failed(Failure::Unreachable);
        }
        if let Some(failure) = self.fails {
            return Answer::Failed(failure);
        }
        let list =
            |speaker: &Self, keys: &mut dyn Iterator<Item = u32>| keys.map(|key| speaker.describe(key)).collect();
        match call {
            Call::Create { .. } => {
                self.open += 1;
                self.at = 0;
                let mut keys = self.order.clone().into_iter().take(5);
                Answer::Opened {
                    session: SessionKey(self.open),
                    entries: list(self, &mut keys),
                }
            }
            Call::Current(_) => Answer::Listed(list(self, &mut self.order.clone().into_iter().skip(self.at).take(1))),
            Call::Next { limit, .. } => {
                let turns = if self.looping { 20 } else { 1 };
                let queue = self.order.repeat(turns);
                Answer::Listed(list(
                    self,
                    &mut queue.into_iter().skip(self.at + 1).take(usize::from(limit)),
                ))
            }
            Call::Previous { limit, .. } => {
                let before = self.order[..self.at].to_vec();
                Answer::Listed(list(self, &mut before.into_iter().rev().take(usize::from(limit))))
            }
            Call::Loop { on, .. } => {
                self.looping = on;
                Answer::Done
            }
            Call::Shuffle { .. } => {
                let after = self.at + 1;
                self.order[after..].reverse();
                Answer::Done
            }
            Call::Active => Answer::Sessions(heapless::Vec::new()),
            Call::Restore(_) | Call::QueueNext { .. } | Call::QueueLast { .. } => Answer::Failed(Failure::NotFound),
        }
    }

    pub(super) fn describe(&self, key: u32) -> Entry {
        Entry {
            key: EntryKey(key),
            kind: Kind::Track,
            duration: Some(Millis(TRACK_MS)),
            actions: self.actions.get(&key).copied().unwrap_or(self.everywhere),
        }
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
