//! For comparison: a speaker that plays, reports and asks like the real one, and tries again after a simple rule. Once it
//! is answered, it sends everything at once.

use crate::device::{Device, Ledger};
use crate::rng::{Rng, length_ms};
use crate::service::{BEGIN_S, Outcome, Scene, Service};

/// Entries known ahead of the current one.
const AHEAD: u32 = 10;

/// When it tries again.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Always after the same time.
    Every { ms: u64 },
    /// After twice the time of the last try, up to a longest one.
    Doubling { first_ms: u64, longest_ms: u64 },
    /// The same, but any time up to that: full jitter.
    Jitter { first_ms: u64, longest_ms: u64 },
}

impl Rule {
    fn wait(self, failures: u32, rng: &mut Rng) -> u64 {
        let grown = |first: u64, longest: u64| (first << failures.min(16)).min(longest);
        match self {
            Self::Every { ms } => ms,
            Self::Doubling { first_ms, longest_ms } => grown(first_ms, longest_ms),
            Self::Jitter { first_ms, longest_ms } => rng.between(0, grown(first_ms, longest_ms)),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Job {
    Event,
    Next,
}

pub struct Simple {
    number: u64,
    rng: Rng,
    rule: Rule,
    now: u64,
    begins_at: Option<u64>,
    entry: u32,
    ends_at: Option<u64>,
    ahead: u32,
    wants_next: bool,
    failures: u32,
    retry_at: Option<u64>,
    exchange: Option<(Job, Outcome, u64)>,
    ledger: Ledger,
}

impl Simple {
    pub fn new(number: u64, rule: Rule) -> Self {
        let mut rng = Rng::new(number);
        let begins_at = Some(rng.between(0, BEGIN_S * 1000));
        Self {
            number,
            rng,
            rule,
            now: 0,
            begins_at,
            entry: 0,
            ends_at: None,
            ahead: AHEAD,
            wants_next: false,
            failures: 0,
            retry_at: None,
            exchange: None,
            ledger: Ledger::default(),
        }
    }

    fn waiting(&self) -> u64 {
        self.ledger.recorded - self.ledger.taken
    }

    fn start(&mut self) {
        self.entry += 1;
        self.ends_at = Some(self.now + length_ms(self.number, self.entry));
        self.ledger.recorded += 1;
        self.wants_next = true;
    }

    fn come_back(&mut self, job: Job, outcome: Outcome) {
        match outcome {
            Outcome::Done => {
                self.failures = 0;
                self.retry_at = None;
                match job {
                    Job::Event => self.ledger.taken += 1,
                    Job::Next => {
                        self.wants_next = false;
                        self.ahead = AHEAD;
                        if self.ends_at.is_none() {
                            self.ahead -= 1;
                            self.start();
                        }
                    }
                }
            }
            Outcome::Unreachable | Outcome::Busy(_) => {
                let named = match outcome {
                    Outcome::Busy(named) => named.unwrap_or(0),
                    Outcome::Unreachable | Outcome::Done => 0,
                };
                let wait = self.rule.wait(self.failures, &mut self.rng);
                self.failures += 1;
                self.retry_at = Some(self.now + u64::from(named) + wait);
            }
        }
    }

    fn ask(&mut self, service: &mut Service) {
        let job = if self.waiting() > 0 {
            Job::Event
        } else if self.wants_next {
            Job::Next
        } else {
            return;
        };
        if self.exchange.is_none() && self.retry_at.is_none_or(|at| at <= self.now) {
            let travel = self.rng.between(20, 120);
            let (outcome, back_at) = service.ask(self.now, travel);
            self.exchange = Some((job, outcome, back_at));
        }
    }
}

impl Device for Simple {
    fn wakes_at(&self, _scene: &Scene) -> u64 {
        let waits = self.exchange.is_none() && (self.waiting() > 0 || self.wants_next);
        let times = [
            self.begins_at,
            self.ends_at,
            self.exchange.map(|(_, _, back_at)| back_at),
            self.retry_at.filter(|_| waits),
        ];
        times.into_iter().flatten().min().unwrap_or(u64::MAX).max(self.now)
    }

    fn wake(&mut self, now: u64, service: &mut Service) {
        self.now = now;
        if self.begins_at.take_if(|at| *at <= now).is_some() {
            self.start();
        }
        if let Some((job, outcome, _)) = self.exchange.take_if(|(_, _, back_at)| *back_at <= now) {
            self.come_back(job, outcome);
        }
        if self.ends_at.take_if(|at| *at <= now).is_some() {
            self.ledger.recorded += 1;
            if self.ahead > 0 {
                self.ahead -= 1;
                self.start();
            } else {
                self.wants_next = true;
            }
        }
        self.ask(service);
    }

    fn is_caught_up(&self) -> bool {
        self.waiting() == 0 && self.exchange.is_none() && !self.wants_next && self.ends_at.is_some()
    }

    fn is_silent(&self) -> bool {
        self.ends_at.is_none()
    }

    fn ledger(&self) -> Ledger {
        self.ledger
    }
}
