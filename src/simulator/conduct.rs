//! Judges how clients deal with refusals: what was refused is not sent again unchanged, and a named time is waited for.
//! Where a good client could have done the same, nothing is said.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::faults::Scope;
use super::judge::{Code, Violation};

/// Clients and waits remembered; the oldest is forgotten for a new one. More than the connections there can be.
const REMEMBERED_MAX: usize = 256;
/// The same request this long after it was refused is a new try: something may have changed that is not seen from here.
const REPEATED_MS: i64 = 10_000;
/// Repeats of a refused request that are forgiven: its answer may not have arrived, or the client was restarted.
const REPEATS_FORGIVEN: u32 = 1;

/// A named time is judged up to this: nobody has to stay silent for days because of a mistake.
const WAIT_S_MAX: u32 = 3_600;

/// A request, as far as its conduct goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Part of the service.
    pub scope: Scope,
    /// Device, or for requests that name none what is asked for.
    pub who: String,
    /// Method, path and body, as one number.
    pub print: u64,
    /// A person may stand behind it, who may ask as often as they like.
    pub origin: Origin,
    /// The connection it came over.
    pub peer: SocketAddr,
}

/// Why a client sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Only by itself.
    Client,
    /// Perhaps because somebody pressed something.
    Person,
}

/// The request of a client that was refused last.
#[derive(Debug)]
struct Refused {
    who: String,
    print: u64,
    repeats: u32,
    at_ms: i64,
}

/// A time that was named to a client.
#[derive(Debug)]
struct Wait {
    scope: Scope,
    who: String,
    peer: SocketAddr,
    until_ms: i64,
}

/// What is remembered of all clients.
#[derive(Debug, Default)]
pub struct Conduct {
    refused: VecDeque<Refused>,
    waits: VecDeque<Wait>,
}

fn remember<T>(all: &mut VecDeque<T>, one: T) {
    if all.len() >= REMEMBERED_MAX {
        all.pop_front();
    }
    all.push_back(one);
}

impl Conduct {
    /// A request came in.
    pub fn asked(&mut self, request: &Request, now_ms: i64) -> Vec<Violation> {
        self.waits.retain(|wait| wait.until_ms > now_ms);
        let early = self
            .waits
            .iter()
            // Over another connection it may be the same client after a restart, which cannot know.
            .find(|wait| wait.scope == request.scope && wait.who == request.who && wait.peer == request.peer)
            .map(|wait| {
                let early_ms = wait.until_ms.saturating_sub(now_ms);
                Violation::new(
                    Code::BackOffIgnored,
                    format!("asked {early_ms} ms before Retry-After was over"),
                )
            });
        early.into_iter().chain(self.repeated(request, now_ms)).collect()
    }

    fn repeated(&mut self, request: &Request, now_ms: i64) -> Option<Violation> {
        let place = self.refused.iter().position(|refused| refused.who == request.who)?;
        let refused = self.refused.get_mut(place)?;
        if refused.print != request.print || now_ms.saturating_sub(refused.at_ms) > REPEATED_MS {
            // Another request came between: whatever was wrong may be right after it.
            self.refused.remove(place);
            return None;
        }
        refused.repeats = refused.repeats.saturating_add(1);
        refused.at_ms = now_ms;
        let found = request.origin == Origin::Client && refused.repeats > REPEATS_FORGIVEN;
        found.then(|| {
            let detail = format!("sent unchanged {} times after it was refused", refused.repeats);
            Violation::new(Code::RefusedRepeated, detail)
        })
    }

    /// A request was refused in a way that repeating does not change.
    pub fn refused(&mut self, request: &Request, now_ms: i64) {
        if !matches!(request.scope, Scope::Queue | Scope::Events) {
            return;
        }
        let known = self.refused.iter_mut().find(|refused| refused.who == request.who);
        match known {
            Some(refused) if refused.print == request.print => refused.at_ms = now_ms,
            Some(_) | None => {
                self.refused.retain(|refused| refused.who != request.who);
                let refused = Refused {
                    who: request.who.clone(),
                    print: request.print,
                    repeats: 0,
                    at_ms: now_ms,
                };
                remember(&mut self.refused, refused);
            }
        }
    }

    /// A request was done.
    pub fn done(&mut self, request: &Request) {
        self.refused.retain(|refused| refused.who != request.who);
    }

    /// A client was told when to ask again.
    pub fn told_to_wait(&mut self, request: &Request, seconds: u32, now_ms: i64) {
        self.waits
            .retain(|wait| wait.scope != request.scope || wait.who != request.who);
        let wait = Wait {
            scope: request.scope,
            who: request.who.clone(),
            peer: request.peer,
            until_ms: now_ms.saturating_add(i64::from(seconds.min(WAIT_S_MAX)).saturating_mul(1000)),
        };
        remember(&mut self.waits, wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(print: u64) -> Request {
        Request {
            scope: Scope::Queue,
            who: "speaker".to_owned(),
            print,
            origin: Origin::Client,
            peer: "127.0.0.1:5000".parse().unwrap(),
        }
    }

    fn codes(found: &[Violation]) -> Vec<Code> {
        found.iter().map(|violation| violation.code).collect()
    }

    /// Asks for it once a second, each time refused.
    fn insists(conduct: &mut Conduct, request: &Request, times: i64) -> Vec<Code> {
        (0..times)
            .flat_map(|second| {
                let found = conduct.asked(request, second * 1000);
                conduct.refused(request, second * 1000);
                codes(&found)
            })
            .collect()
    }

    #[test]
    fn insisting_on_what_was_refused_is_found_from_the_second_repeat_on() {
        let found = insists(&mut Conduct::default(), &request(1), 4);
        assert_eq!(found, [Code::RefusedRepeated; 2]);
    }

    #[test]
    fn a_person_may_insist() {
        let pressed = Request {
            origin: Origin::Person,
            ..request(1)
        };
        assert_eq!(insists(&mut Conduct::default(), &pressed, 9), []);
    }

    #[test]
    fn a_request_between_two_equal_ones_makes_them_different_tries() {
        let mut conduct = Conduct::default();
        for second in 0..9 {
            assert_eq!(conduct.asked(&request(1), second * 1000), []);
            conduct.refused(&request(1), second * 1000);
            assert_eq!(conduct.asked(&request(2), second * 1000 + 1), []);
            conduct.done(&request(2));
        }
    }

    #[test]
    fn another_device_may_ask_the_same_and_later_is_another_try() {
        let mut conduct = Conduct::default();
        insists(&mut conduct, &request(1), 2);
        let other = Request {
            who: "kitchen".to_owned(),
            ..request(1)
        };
        assert_eq!(conduct.asked(&other, 2_000), []);
        assert_eq!(conduct.asked(&request(1), 1_000 + REPEATED_MS + 1), []);
    }

    #[test]
    fn asking_before_the_named_time_is_found_over_the_same_connection_only() {
        let mut conduct = Conduct::default();
        conduct.told_to_wait(&request(1), 5, 0);
        assert_eq!(codes(&conduct.asked(&request(2), 4_999)), [Code::BackOffIgnored]);
        let restarted = Request {
            peer: "127.0.0.1:5001".parse().unwrap(),
            ..request(2)
        };
        assert_eq!(conduct.asked(&restarted, 4_999), []);
        let elsewhere = Request {
            scope: Scope::Events,
            ..request(2)
        };
        assert_eq!(conduct.asked(&elsewhere, 4_999), []);
        assert_eq!(conduct.asked(&request(2), 5_000), []);
    }
}
