//! Which keys are needed, which are there, and what is to be asked next: pure, the moment is told. It must not ask anybody
//! itself, and it holds no key: those stay in the decryption module.

use std::sync::Arc;

use tonearm_core::limits::FRESH_ADDRESSES_MAX;
use tonearm_core::unit::{Millis, Moment};

use super::module::{Grant, SessionId};
use super::terms::{Owner, Terms};
use crate::keys::{KeyId, KeyState, Protection, Scheme};

/// Keys known at once: those of the entries that are open, and of some before that may come back. More than a window has.
pub const KEYS_MAX: usize = 64;
/// So much later than the first key of an entry is announced a licence is asked for: the others come with it.
const GATHER: Millis = Millis(10);
/// Of a licence's life, in hundredths, after which it is renewed where the module names no time.
const RENEW_AFTER_PERCENT: u64 = 80;
/// Two requests for one key are at least this far apart, whatever a licence says of its life.
const ASK_EVERY: Millis = Millis(1_000);
/// The first try after trouble comes between zero and this.
const RETRY_MS_FIRST: u32 = 250;
/// No try comes later than this: there are 30 s in the clear, and the entry ends without its key.
const RETRY_MS_MAX: u32 = 8_000;

/// Which decryption module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The built-in one.
    ClearKey,
    /// The one behind the socket.
    External,
}

/// What to do now.
#[derive(Debug)]
pub enum Turn {
    /// Ask for a licence.
    Ask(Ask),
    /// Nothing, until then or until somebody calls.
    Rest(Option<Moment>),
}

/// A licence to ask for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whose keys.
    pub which: Which,
    /// Of whom, and how.
    pub terms: Arc<Terms>,
    /// How the samples are encrypted.
    pub scheme: Scheme,
    /// `pssh` boxes of the entry.
    pub pssh: Arc<[Box<[u8]>]>,
    /// The keys.
    pub keys: Vec<KeyId>,
    /// It prolongs this one.
    pub renews: Option<SessionId>,
}

/// One key.
#[derive(Debug)]
struct Wanted {
    which: Which,
    key: KeyId,
    scheme: Scheme,
    terms: Arc<Terms>,
    /// Terms that `terms` took the place of while an entry was open: who still comes with them means the fresh ones.
    replaced: Vec<Arc<Terms>>,
    pssh: Arc<[Box<[u8]>]>,
    /// Entries that are open and need it.
    holders: Vec<Owner>,
    standing: Standing,
    /// The licence server does not know the terms any more, and why: there is nothing to ask with until fresh ones come.
    outdated: Option<String>,
    /// No request before.
    not_before: Moment,
    /// In a row.
    failures: u32,
}

#[derive(Debug)]
enum Standing {
    /// To be asked for, or being asked for.
    Awaited,
    Usable {
        session: SessionId,
        expires: Option<Moment>,
        /// `None`: it is not renewed.
        renew_at: Option<Moment>,
    },
    Refused(String),
}

/// The table of keys.
#[derive(Debug)]
pub struct Desk {
    /// Oldest first.
    wanted: Vec<Wanted>,
    noise: fastrand::Rng,
}

impl Desk {
    /// Nothing is needed. `seed` spreads the retries of a fleet.
    pub fn new(seed: u64) -> Self {
        Self {
            wanted: Vec::new(),
            noise: fastrand::Rng::with_seed(seed),
        }
    }

    /// An entry needs a key. What was refused on other terms is asked for again. False: there is no room.
    pub fn need(
        &mut self,
        which: Which,
        owner: Owner,
        terms: &Arc<Terms>,
        protection: &Protection,
        now: Moment,
    ) -> bool {
        self.expire(now);
        let terms = &self.fresh(owner, terms);
        if let Some(known) = self.find(which, &protection.key) {
            known.holders.push(owner);
            if !matches!(known.standing, Standing::Usable { .. }) {
                if matches!(known.standing, Standing::Refused(_)) && known.terms != *terms {
                    known.await_from(now);
                }
                known.adopt(terms, now);
            }
            return true;
        }
        if self.wanted.len() >= KEYS_MAX {
            let Some(idle) = self.wanted.iter().position(|wanted| wanted.holders.is_empty()) else {
                return false;
            };
            self.wanted.remove(idle);
        }
        // Keys of one entry share their boxes, so that one licence is asked for all of them.
        let pssh = self.wanted.iter().map(|wanted| &wanted.pssh);
        let pssh = pssh
            .rev()
            .find(|pssh| ***pssh == *protection.pssh)
            .map_or_else(|| protection.pssh.as_slice().into(), Arc::clone);
        self.wanted.push(Wanted {
            which,
            key: protection.key,
            scheme: protection.scheme,
            terms: Arc::clone(terms),
            replaced: Vec::new(),
            pssh,
            holders: vec![owner],
            standing: Standing::Awaited,
            outdated: None,
            not_before: now + GATHER,
            failures: 0,
        });
        true
    }

    /// An entry that needed a key is gone. A usable key stays for the next one.
    pub fn release(&mut self, which: Which, owner: Owner, key: &KeyId) {
        if let Some(known) = self.find(which, key)
            && let Some(at) = known.holders.iter().position(|holder| *holder == owner)
        {
            known.holders.swap_remove(at);
        }
        self.forget_unused();
    }

    /// The service describes an entry anew. What the old terms were no good for is asked for with these.
    pub fn renew(&mut self, owner: Owner, terms: &Arc<Terms>, now: Moment) {
        for wanted in self.wanted.iter_mut().filter(|wanted| wanted.holders.contains(&owner)) {
            if wanted.terms != *terms {
                wanted.adopt(terms, now);
            } else if let Some(reason) = wanted.outdated.take() {
                wanted.refuse(&format!("{reason}, and the service names no other address"));
            }
        }
    }

    /// The terms that an entry means which comes with these.
    fn fresh(&self, owner: Owner, terms: &Arc<Terms>) -> Arc<Terms> {
        let mut held = self.wanted.iter().filter(|wanted| wanted.holders.contains(&owner));
        let renewed = held.find(|wanted| wanted.replaced.contains(terms));
        Arc::clone(renewed.map_or(terms, |wanted| &wanted.terms))
    }

    /// How it stands with a key.
    pub fn state(&mut self, which: Which, key: &KeyId, now: Moment) -> KeyState {
        self.expire(now);
        match self.find(which, key).map(|known| &known.standing) {
            Some(Standing::Awaited) => KeyState::Awaited,
            Some(Standing::Usable { .. }) => KeyState::Usable,
            Some(Standing::Refused(reason)) => KeyState::Refused(reason.clone()),
            None => KeyState::Refused("it was not announced".to_owned()),
        }
    }

    /// Where a key is to be used.
    pub fn session(&mut self, which: Which, key: &KeyId, now: Moment) -> Option<SessionId> {
        self.expire(now);
        match self.find(which, key)?.standing {
            Standing::Usable { session, .. } => Some(session),
            Standing::Awaited | Standing::Refused(_) => None,
        }
    }

    /// The module has lost a session: its keys are needed anew.
    pub fn lost(&mut self, which: Which, lost: SessionId, now: Moment) {
        for wanted in self.wanted.iter_mut().filter(|wanted| wanted.which == which) {
            if matches!(wanted.standing, Standing::Usable { session, .. } if session == lost) {
                let not_before = wanted.not_before;
                wanted.await_from(now.max(not_before));
            }
        }
        self.forget_unused();
    }

    /// The network is back: what waits to be tried again is tried at once.
    pub fn retry_now(&mut self, now: Moment) {
        for wanted in self.wanted.iter_mut().filter(|wanted| wanted.failures > 0) {
            wanted.failures = 0;
            wanted.not_before = now;
            if let Standing::Usable {
                renew_at: Some(renew_at),
                ..
            } = &mut wanted.standing
            {
                *renew_at = now.min(*renew_at);
            }
        }
    }

    /// What is to be done now: first what was announced first.
    pub fn next(&mut self, now: Moment) -> Turn {
        self.expire(now);
        let due = |wanted: &Wanted| wanted.due().filter(|_| !wanted.holders.is_empty());
        let Some(first) = self
            .wanted
            .iter()
            .find(|wanted| due(wanted).is_some_and(|due| due <= now))
        else {
            let expiries = self.wanted.iter().filter_map(Wanted::expires);
            return Turn::Rest(self.wanted.iter().filter_map(due).chain(expiries).min());
        };
        let renews = first.renewed();
        let together = |wanted: &&Wanted| {
            wanted.which == first.which
                && wanted.terms == first.terms
                && wanted.pssh == first.pssh
                && wanted.scheme == first.scheme
                && wanted.renewed() == renews
                && due(wanted).is_some()
        };
        Turn::Ask(Ask {
            which: first.which,
            terms: Arc::clone(&first.terms),
            scheme: first.scheme,
            pssh: Arc::clone(&first.pssh),
            keys: self.wanted.iter().filter(together).map(|wanted| wanted.key).collect(),
            renews,
        })
    }

    /// A licence came. Keys that were asked for and are not in it are refused.
    pub fn granted(&mut self, ask: &Ask, session: SessionId, grant: &Grant, now: Moment) {
        let after = |length: std::time::Duration| Moment(now.0.saturating_add(millis(length)));
        let expires = grant.lifetime.map(after);
        let renew_at = match (grant.renew_in, grant.lifetime) {
            (Some(renew_in), _) => Some(after(renew_in)),
            (None, Some(life)) => Some(Moment(now.0.saturating_add(millis(life) / 100 * RENEW_AFTER_PERCENT))),
            (None, None) => None,
        };
        let earliest = now + ASK_EVERY;
        let has_expired = expires.is_some_and(|expires| expires <= now);
        for wanted in self.wanted.iter_mut().filter(|wanted| wanted.which == ask.which) {
            wanted.standing = if grant.keys.contains(&wanted.key) && !has_expired {
                Standing::Usable {
                    session,
                    expires,
                    renew_at: renew_at.map(|at| at.max(earliest)),
                }
            } else if !ask.keys.contains(&wanted.key) {
                continue;
            } else if has_expired {
                Standing::Refused(
                    "the licence that came has expired already; is the time right there and here?".to_owned(),
                )
            } else {
                Standing::Refused("the licence that came does not hold this key".to_owned())
            };
            wanted.failures = 0;
            wanted.outdated = None;
            wanted.not_before = earliest;
        }
        self.forget_unused();
    }

    /// Asking again does not help. A key that is still good stays until it expires.
    pub fn refused(&mut self, ask: &Ask, reason: &str) {
        self.asked(ask).for_each(|wanted| wanted.refuse(reason));
        self.forget_unused();
    }

    /// The terms are no good any more. Says which entries need fresh ones; none, if fresh ones came in the meantime, or
    /// have been tried so often that the keys are refused.
    pub fn outdated(&mut self, ask: &Ask, reason: &str, now: Moment) -> Vec<Owner> {
        let mut owners = Vec::new();
        for wanted in self.asked(ask) {
            if wanted.terms != ask.terms {
                wanted.ask_at(now);
            } else if wanted.replaced.len() >= usize::from(FRESH_ADDRESSES_MAX) {
                wanted.refuse(&format!("{reason} at every fresh address"));
            } else {
                wanted.outdated = Some(reason.to_owned());
                for owner in &wanted.holders {
                    if !owners.contains(owner) {
                        owners.push(*owner);
                    }
                }
            }
        }
        self.forget_unused();
        owners
    }

    /// It did not work this time: tried again between zero and a ceiling that grows, not before `wait` is over.
    pub fn trouble(&mut self, ask: &Ask, wait: Millis, now: Moment) {
        let failures = self.asked(ask).map(|wanted| wanted.failures).max().unwrap_or(0);
        let ceiling = RETRY_MS_FIRST.saturating_mul(1 << failures.min(16)).min(RETRY_MS_MAX);
        let again = now + wait.max(Millis(self.noise.u32(0..=ceiling)));
        for wanted in self.asked(ask) {
            wanted.failures = failures.saturating_add(1);
            wanted.not_before = again;
            if let Standing::Usable {
                renew_at: Some(renew_at),
                ..
            } = &mut wanted.standing
            {
                *renew_at = again;
            }
        }
    }

    /// Whether any key is in this session.
    pub fn uses(&self, which: Which, asked: SessionId) -> bool {
        self.wanted.iter().any(|wanted| {
            wanted.which == which && matches!(wanted.standing, Standing::Usable { session, .. } if session == asked)
        })
    }

    fn find(&mut self, which: Which, key: &KeyId) -> Option<&mut Wanted> {
        self.wanted
            .iter_mut()
            .find(|wanted| wanted.which == which && wanted.key == *key)
    }

    fn asked<'a>(&'a mut self, ask: &'a Ask) -> impl Iterator<Item = &'a mut Wanted> {
        let is_asked = |wanted: &&mut Wanted| wanted.which == ask.which && ask.keys.contains(&wanted.key);
        self.wanted.iter_mut().filter(is_asked)
    }

    /// Keys whose licence is over are needed anew.
    fn expire(&mut self, now: Moment) {
        let mut any = false;
        for wanted in &mut self.wanted {
            if wanted.expires().is_some_and(|expires| expires <= now) {
                any = true;
                let not_before = wanted.not_before;
                wanted.await_from(not_before.max(now));
            }
        }
        if any {
            self.forget_unused();
        }
    }

    fn forget_unused(&mut self) {
        self.wanted
            .retain(|wanted| !wanted.holders.is_empty() || matches!(wanted.standing, Standing::Usable { .. }));
    }
}

impl Wanted {
    fn await_from(&mut self, moment: Moment) {
        self.standing = Standing::Awaited;
        self.not_before = moment;
    }

    /// Is asked for on these terms from now on.
    fn adopt(&mut self, terms: &Arc<Terms>, now: Moment) {
        if self.terms == *terms {
            return;
        }
        let before = std::mem::replace(&mut self.terms, Arc::clone(terms));
        if self.outdated.take().is_some() {
            self.replaced.push(before);
            self.ask_at(now);
        }
    }

    /// What was to be asked for is asked for then.
    fn ask_at(&mut self, moment: Moment) {
        match &mut self.standing {
            Standing::Awaited => self.not_before = moment,
            Standing::Usable { renew_at, .. } => *renew_at = Some(moment),
            Standing::Refused(_) => {}
        }
    }

    /// Asking again does not help. A key that is still good stays until it expires.
    fn refuse(&mut self, reason: &str) {
        match &mut self.standing {
            Standing::Usable { renew_at, .. } => *renew_at = None,
            standing @ (Standing::Awaited | Standing::Refused(_)) => *standing = Standing::Refused(reason.to_owned()),
        }
    }

    /// When it is to be asked for, if at all.
    fn due(&self) -> Option<Moment> {
        if self.outdated.is_some() {
            return None;
        }
        match self.standing {
            Standing::Awaited => Some(self.not_before),
            Standing::Usable { renew_at, .. } => renew_at,
            Standing::Refused(_) => None,
        }
    }

    fn expires(&self) -> Option<Moment> {
        match self.standing {
            Standing::Usable { expires, .. } => expires,
            Standing::Awaited | Standing::Refused(_) => None,
        }
    }

    fn renewed(&self) -> Option<SessionId> {
        match self.standing {
            Standing::Usable { session, .. } => Some(session),
            Standing::Awaited | Standing::Refused(_) => None,
        }
    }
}

fn millis(length: std::time::Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
