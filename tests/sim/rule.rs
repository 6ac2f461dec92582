//! The promises, by name: a failure says which one was broken, so that a smaller story can be told to break the same.

use std::fmt;

/// What the oracle and the service's judge hold against the speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Events leave in the order of their numbers, one report under way, settled in order.
    Order,
    /// Starts and stops alternate, where they are made and where they arrive, also over kills and power cuts.
    Pairing,
    /// What was said to be stored, or was acknowledged as arrived, is there; it is what was recorded, byte for byte.
    NoLoss,
    /// No number is given twice.
    NoReuse,
    /// Nothing is sent before it is stored.
    StoredFirst,
    /// Nothing whose answer is known, and stored, is sent again.
    Dedup,
    /// Window and mirror agree, and are no larger than they may be.
    Window,
    /// Entries start in the service's order; none is passed over without a press.
    ServiceDecides,
    /// No skip beyond the limit, none of an advertisement.
    Skips,
    /// No call on a session's queue before its events are settled.
    EventsFirst,
    /// Within one span of sound the position never goes back.
    Monotone,
    /// Positions, lengths, moments and reasons of events are true.
    Truth,
    /// The wall-clock time of an event is its moment, whatever the clock said meanwhile.
    Clock,
    /// Nobody is asked too early, too often, twice at once, or without an account.
    Manners,
    /// The stream and sessions are taken only when asked for.
    Stream,
    /// It stays alive: no deadline stands still, effects are bounded, it leaves in time.
    Alive,
    /// Once all is well, everything is delivered and what should sound sounds.
    Recovery,
    /// Files and tables do not grow.
    Flat,
    /// Something panicked.
    Panic,
}

/// A promise that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub rule: Rule,
    pub words: String,
}

/// Whether all is well.
pub type Check = Result<(), Broken>;

impl Rule {
    /// This rule is broken.
    pub fn broken<T>(self, words: impl Into<String>) -> Result<T, Broken> {
        Err(Broken {
            rule: self,
            words: words.into(),
        })
    }

    /// Broken unless `holds`.
    pub fn holds(self, holds: bool, words: impl FnOnce() -> String) -> Check {
        if holds { Ok(()) } else { self.broken(words()) }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.words)
    }
}
