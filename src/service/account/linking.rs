//! Linking an account by a code: when to ask for a pair of codes, when to poll, when a new pair is due.
//!
//! Pure: time is an argument, requests are made elsewhere and their outcome is told here.

use tonearm_core::unit::{Millis, Moment};

use super::back_off::BackOff;
use super::oauth::{CodePair, Tokens, Trouble};

/// What `slow_down` doubles the interval to at most \[S\]; an interval that the service itself named longer stays.
const INTERVAL_MS_MAX: u32 = 60_000;

/// A service that names no interval at all is still not asked more often than a person can type.
const INTERVAL_MS_MIN: u32 = 1_000;
/// Pairs that lapse at once are not replaced faster than this.
const PAIR_EVERY_MS_MIN: u32 = 5_000;

/// Linking, from "a code is wanted" to the tokens.
#[derive(Debug)]
pub struct Linking {
    state: State,
    back_off: BackOff,
    pace: Pace,
    /// No pair is asked for before.
    not_before: Moment,
}

/// The least times that are kept whatever the service names. Only tests differ from the default.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two pairs, however short they live.
    pub pair_every: Millis,
    /// Between two polls.
    pub interval: Millis,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            pair_every: Millis(PAIR_EVERY_MS_MIN),
            interval: Millis(INTERVAL_MS_MIN),
        }
    }
}

#[derive(Debug)]
enum State {
    /// Nobody wants to link.
    Idle,
    /// A pair is to be asked for.
    Wanted,
    /// A pair waits to be entered.
    Shown(Shown),
}

#[derive(Debug)]
struct Shown {
    pair: CodePair,
    ends_at: Moment,
    /// Time between two polls.
    interval: Millis,
    poll_at: Moment,
}

/// What is to be done, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Never,
    /// Ask for a pair.
    Create(Moment),
    /// Ask whether the code was entered.
    Poll(Moment),
}

/// What came of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing that anybody needs to know.
    GoOn,
    /// The code was entered: these are the tokens.
    Granted(Tokens),
    /// The listener said no. A new pair comes only on request.
    Declined,
    /// Repeating would not help: what to correct.
    Misconfigured(String),
}

impl Linking {
    /// Wants nothing yet.
    pub fn new(pace: Pace, seed: u64) -> Self {
        Self {
            state: State::Idle,
            back_off: BackOff::new(seed),
            pace,
            not_before: Moment(0),
        }
    }

    /// Somebody wants to link. While a code is shown, that one stays.
    pub fn begin(&mut self) {
        match self.state {
            State::Idle => self.state = State::Wanted,
            State::Wanted | State::Shown(_) => {}
        }
    }

    /// Nobody wants to link any more.
    pub fn end(&mut self) {
        self.state = State::Idle;
        self.back_off.reset();
    }

    /// The network is back: what waits only because it failed is done at once. The service's own pace is kept.
    pub fn hurry(&mut self, now: Moment) {
        if !self.back_off.is_waiting() {
            return;
        }
        self.back_off.reset();
        match &mut self.state {
            State::Idle => {}
            State::Wanted => self.not_before = self.not_before.min(now),
            State::Shown(shown) => shown.poll_at = shown.poll_at.min(now + shown.interval),
        }
    }

    /// What is to be done next. A pair that lapses before its next poll is replaced.
    pub fn due(&self) -> Due {
        match &self.state {
            State::Idle => Due::Never,
            State::Wanted => Due::Create(self.not_before),
            State::Shown(shown) if shown.poll_at < shown.ends_at => Due::Poll(shown.poll_at),
            State::Shown(shown) => Due::Create(shown.ends_at.max(self.not_before)),
        }
    }

    /// The pair that is shown, and when it lapses.
    pub fn shown(&self) -> Option<(&CodePair, Moment)> {
        match &self.state {
            State::Idle | State::Wanted => None,
            State::Shown(shown) => Some((&shown.pair, shown.ends_at)),
        }
    }

    /// A pair was asked for.
    pub fn created(&mut self, answer: Result<CodePair, Trouble>, now: Moment) -> Turn {
        match answer {
            Ok(pair) => {
                self.back_off.reset();
                let interval = pair.interval.max(self.pace.interval);
                self.not_before = now + self.pace.pair_every.max(interval);
                self.state = State::Shown(Shown {
                    ends_at: now + pair.expires_in,
                    interval,
                    poll_at: now + interval,
                    pair,
                });
                Turn::GoOn
            }
            Err(Trouble::Misconfigured(text)) => self.stop(Turn::Misconfigured(text)),
            Err(Trouble::Declined) => self.stop(Turn::Declined),
            Err(trouble) => {
                self.state = State::Wanted;
                self.not_before = self.back_off.failed(now, trouble.retry_after());
                Turn::GoOn
            }
        }
    }

    /// The service was asked whether the code was entered.
    pub fn polled(&mut self, answer: Result<Tokens, Trouble>, now: Moment) -> Turn {
        let State::Shown(shown) = &mut self.state else {
            return Turn::GoOn;
        };
        match answer {
            Ok(tokens) => self.stop(Turn::Granted(tokens)),
            Err(Trouble::Pending) => {
                self.back_off.reset();
                shown.poll_at = now + shown.interval;
                Turn::GoOn
            }
            Err(Trouble::SlowDown) => {
                let doubled = Millis(shown.interval.0.saturating_mul(2).min(INTERVAL_MS_MAX));
                shown.interval = shown.interval.max(doubled);
                shown.poll_at = now + shown.interval;
                Turn::GoOn
            }
            // The second is an unknown grant, of which there is none yet but the pair.
            Err(Trouble::PairGone | Trouble::GrantGone) => {
                self.state = State::Wanted;
                Turn::GoOn
            }
            Err(Trouble::Declined) => self.stop(Turn::Declined),
            Err(Trouble::Misconfigured(text)) => self.stop(Turn::Misconfigured(text)),
            Err(Trouble::Later { retry_after, .. }) => {
                // The interval stays the least: the service may have counted a poll whose answer was lost.
                shown.poll_at = self.back_off.failed(now, retry_after).max(now + shown.interval);
                Turn::GoOn
            }
        }
    }

    fn stop(&mut self, turn: Turn) -> Turn {
        self.end();
        turn
    }
}

#[cfg(test)]
#[path = "linking_tests.rs"]
mod tests;
