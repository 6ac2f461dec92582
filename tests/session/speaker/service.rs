//! The service on the bench: one session with one queue, sessions of other devices, and what it refuses.

use super::{Speaker, TRACK_MS};
use tonearm_core::effect::Call;
use tonearm_core::entry::{Entry, Kind};
use tonearm_core::event::{Claim, What};
use tonearm_core::id::{EntryKey, Seq, SessionKey};
use tonearm_core::input::{Answer, Elsewhere, Entries, Failure, Modes, Sounding, Verdict};
use tonearm_core::unit::Millis;

/// The session that another device has, and its queue.
pub const KITCHEN: SessionKey = SessionKey(90);
pub const KITCHENS_QUEUE: [u32; 3] = [91, 92, 93];

/// A question to the service, whatever it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    Create,
    Current,
    Restore,
    Active,
}

impl Speaker {
    /// Another device plays something.
    pub fn kitchen_plays(&mut self) -> &mut Self {
        self.elsewhere = vec![Elsewhere {
            session: KITCHEN,
            entry: Some(EntryKey(KITCHENS_QUEUE[0])),
            sounding: Sounding::Yes,
            modes: Modes::default(),
        }];
        self
    }

    /// The service no longer knows the session, until it is restored.
    pub fn lapse(&mut self) -> &mut Self {
        self.lapsed = true;
        self
    }

    /// The service's word on these events.
    pub(super) fn judge(&mut self, first: Seq, last: Seq) -> Verdict {
        if !self.reachable {
            return Verdict::Failed(Failure::Unreachable);
        }
        if let Some(verdict) = self.verdicts.pop_front() {
            if verdict == Verdict::Accepted {
                self.take_in(first, last);
            }
            return verdict;
        }
        let events = self.journal.iter().filter(|event| (first..=last).contains(&event.seq));
        let (mut claims, mut bad) = (events.clone(), events);
        if bad.any(|event| self.bad.contains(&event.seq.0)) {
            return Verdict::Refused;
        }
        if self.stolen && !claims.any(|event| event.claim == Claim::TakesOver) {
            return Verdict::Failed(Failure::TakenOver);
        }
        self.stolen = false;
        self.take_in(first, last);
        Verdict::Accepted
    }

    /// Start events move the service's place.
    fn take_in(&mut self, first: Seq, last: Seq) {
        let starts = |event: &&tonearm_core::event::Event| {
            (first..=last).contains(&event.seq) && matches!(event.what, What::Start { .. })
        };
        for event in self.journal.iter().filter(starts) {
            if event.session == KITCHEN {
                self.order = KITCHENS_QUEUE.to_vec();
                self.lapsed = false;
            }
            let index = self.order.iter().position(|key| *key == event.entry.0);
            self.at = index.unwrap_or(self.at);
        }
    }

    pub(super) fn answer(&mut self, call: Call) -> Answer {
        if !self.reachable {
            return Answer::Failed(Failure::Unreachable);
        }
        if let Some(failure) = self.fails.or_else(|| self.fails_at.get(&asked(call)?).copied()) {
            return Answer::Failed(failure);
        }
        if let Call::Create { .. } = call {
            self.stolen = false;
        }
        if self.stolen && !matches!(call, Call::Active | Call::Restore(_)) {
            return Answer::Failed(Failure::TakenOver);
        }
        if self.lapsed
            && !matches!(
                call,
                Call::Create { .. } | Call::Active | Call::Restore(_) | Call::Current(KITCHEN)
            )
        {
            return Answer::Failed(Failure::NotFound);
        }
        match call {
            Call::Create { .. } => {
                self.open += 1;
                self.at = 0;
                self.lapsed = false;
                self.opened(5)
            }
            Call::Current(KITCHEN) => Answer::Listed(self.list(KITCHENS_QUEUE.into_iter().take(1))),
            Call::Current(_) => Answer::Listed(self.list(self.order.iter().copied().skip(self.at).take(1))),
            Call::Next { .. } if self.ends_as_not_found && self.at + 1 >= self.order.len() => {
                Answer::Failed(Failure::NotFound)
            }
            Call::Next { limit, .. } => {
                let turns = if self.looping { 20 } else { 1 };
                let queue = self.order.repeat(turns);
                Answer::Listed(self.list(queue.into_iter().skip(self.at + 1).take(usize::from(limit))))
            }
            Call::Previous { limit, .. } => {
                let before = self.order[..self.at].iter().rev().copied();
                Answer::Listed(self.list(before.take(usize::from(limit))))
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
            Call::Active => Answer::Sessions(self.elsewhere.iter().copied().collect()),
            Call::Restore(entry) if KITCHENS_QUEUE.contains(&entry.0) => Answer::Opened {
                session: KITCHEN,
                entries: self.list([entry.0].into_iter()),
            },
            Call::Restore(_) => {
                self.lapsed = false;
                self.open = self.restores_as.unwrap_or(self.open);
                self.opened(1)
            }
            // What source n puts in is one entry, 1000 + n.
            Call::QueueNext { source, .. } => {
                self.order.insert(self.at + 1, 1000 + source.0);
                Answer::Done
            }
            Call::QueueLast { source, .. } => {
                self.order.push(1000 + source.0);
                Answer::Done
            }
        }
    }

    fn opened(&self, count: usize) -> Answer {
        Answer::Opened {
            session: SessionKey(self.open),
            entries: self.list(self.order.iter().copied().skip(self.at).take(count)),
        }
    }

    fn list(&self, keys: impl Iterator<Item = u32>) -> Entries {
        keys.map(|key| self.describe(key)).collect()
    }

    fn describe(&self, key: u32) -> Entry {
        Entry {
            key: EntryKey(key),
            kind: Kind::Track,
            duration: Some(Millis(TRACK_MS)),
            actions: self.actions.get(&key).copied().unwrap_or(self.everywhere),
        }
    }
}

fn asked(call: Call) -> Option<Asked> {
    match call {
        Call::Create { .. } => Some(Asked::Create),
        Call::Current(_) => Some(Asked::Current),
        Call::Restore(_) => Some(Asked::Restore),
        Call::Active => Some(Asked::Active),
        Call::Next { .. }
        | Call::Previous { .. }
        | Call::Loop { .. }
        | Call::Shuffle { .. }
        | Call::QueueNext { .. }
        | Call::QueueLast { .. } => None,
    }
}
