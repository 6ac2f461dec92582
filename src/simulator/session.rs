//! A playback session: a queue, where its client is in it, and what the client still owes. Knows no HTTP.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::judge::{Code, History};
use super::queue::Queue;

/// One session, as it is kept across restarts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// `sessionId`.
    pub id: String,
    /// `X-Amzn-Device-Id` of the client that opened it or reported last.
    pub device: String,
    /// What plays in it.
    pub queue: Queue,
    /// What was reported of it.
    pub history: History,
    /// Bodies of the events taken in last, to know a repeat by: one, or where several came at once those of some batches.
    #[serde(default)]
    pub last_bodies: VecDeque<String>,
    /// Body of an event that was sent and has no answer for good yet: until it is repeated, queue calls overtake it.
    pub owed: Option<String>,
    /// Last use, wall clock, epoch milliseconds.
    pub used_ms: i64,
    /// Last queue call of a client on this machine, so on this clock. Not kept: a restart forgives.
    #[serde(skip)]
    pub last_call_ms: Option<i64>,
    /// The order was changed, and whether its client was told since when.
    #[serde(skip)]
    pub edit: Edit,
}

/// What a client can know of the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edit {
    /// It never changed.
    None,
    /// It changed; the client has not been told yet, or not for certain. After a restart nobody knows.
    #[default]
    Untold,
    /// It changed, and at this moment of its clock the client was told what comes.
    Told(i64),
}

/// An answer may still be under way so long after it was given.
const ANSWER_MS_MAX: i64 = 2_000;

impl Edit {
    /// Whether a client knew at this moment of its clock what comes next.
    pub const fn is_known(self, at_ms: i64) -> bool {
        match self {
            Self::None => true,
            Self::Untold => false,
            Self::Told(told_ms) => at_ms > told_ms.saturating_add(ANSWER_MS_MAX),
        }
    }
}

impl Session {
    /// A new session.
    pub fn new(id: String, device: &str, queue: Queue, now_ms: i64) -> Self {
        Self {
            id,
            device: device.to_owned(),
            queue,
            history: History::default(),
            last_bodies: VecDeque::new(),
            owed: None,
            used_ms: now_ms,
            last_call_ms: None,
            edit: Edit::None,
        }
    }

    /// Place of the entry with this `metricId` in the queue.
    pub fn find_metric(&self, metric: &str) -> Option<usize> {
        self.queue.entries().iter().position(|entry| entry.metric == metric)
    }

    /// Place of the entry with this `entityReferenceId` in the queue.
    pub fn find_reference(&self, reference: &str) -> Option<usize> {
        self.queue
            .entries()
            .iter()
            .position(|entry| entry.reference == reference)
    }

    /// What it is if a client goes on with the entry so far ahead; `None`: right, or it may not know better.
    pub fn judges_passing(&self, distance: i64, at_ms: i64) -> Option<Code> {
        if distance <= 1 {
            return None;
        }
        let code = match self.edit {
            Edit::None => Code::EntryPassed,
            Edit::Untold | Edit::Told(_) => Code::StaleOrder,
        };
        self.edit.is_known(at_ms).then_some(code)
    }

    /// Entries between the current one and the one at `index`, if that lies ahead.
    pub fn between(&self, index: usize) -> impl Iterator<Item = &Entry> {
        // The current entry counts as well: it may never have sounded.
        let from = self.queue.position();
        self.queue.entries().iter().skip(from).take(index.saturating_sub(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_order_is_known_when_the_answer_that_tells_it_had_time_to_arrive() {
        assert!(Edit::None.is_known(0));
        assert!(!Edit::Untold.is_known(i64::MAX));
        assert!(!Edit::Told(5).is_known(5 + ANSWER_MS_MAX));
        assert!(Edit::Told(5).is_known(6 + ANSWER_MS_MAX));
    }
}
