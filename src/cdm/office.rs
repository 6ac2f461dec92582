//! The licence thread and what it shares with the entries: carries requests from the module to the licence server and
//! answers back, one at a time. When what is asked is decided in `desk`; it must not hold the table while it waits.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tonearm_core::unit::{Millis, Moment};
use ureq::Agent;

use super::Settings;
use super::clear_key::ClearKey;
use super::desk::{Ask, Desk, Turn, Which};
use super::external::{self, External};
use super::module::{Cdm, CdmError, Grant, Init, Secret, SessionId};
use super::post::{self, Outcome, Patience, post};
use super::terms::{Owner, Terms};
use crate::keys::{DecryptError, Encryption, KeyId, KeyState, Protection};

/// What was asked and what came of it, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests sent to licence servers.
    pub asked: u64,
    /// Licences that came and hold keys.
    pub granted: u64,
    /// Licences that will not come.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct Tally {
    asked: AtomicU64,
    granted: AtomicU64,
    refused: AtomicU64,
}

struct State {
    desk: Desk,
    closing: bool,
}

/// What the thread and the entries share.
pub struct Office {
    state: Mutex<State>,
    work: Condvar,
    clear_key: ClearKey,
    external: Option<External>,
    agent: Agent,
    /// Called with an entry whose terms are no good any more.
    news: News,
    tally: Tally,
    began: Instant,
}

/// Who is told that an entry needs fresh terms; never blocks.
pub type News = Arc<dyn Fn(Owner) + Send + Sync>;

/// How a request for a licence ended.
enum Ending {
    Granted(SessionId, Grant),
    Trouble(String, Millis),
    Outdated(String),
    Refused(String),
}

impl From<CdmError> for Ending {
    fn from(error: CdmError) -> Self {
        match error {
            CdmError::Gone(_) => Self::Trouble(error.to_string(), Millis::ZERO),
            CdmError::Refused(_) => Self::Refused(error.to_string()),
        }
    }
}

impl Office {
    /// Nobody is asked yet.
    pub fn new(settings: Settings, news: News, seed: u64, patience: Patience, external: external::Patience) -> Self {
        Self {
            state: Mutex::new(State {
                desk: Desk::new(seed),
                closing: false,
            }),
            work: Condvar::new(),
            clear_key: ClearKey::default(),
            external: settings.socket.map(|socket| External::new(socket, external)),
            agent: post::agent(&settings.tls, patience),
            news,
            tally: Tally::default(),
            began: Instant::now(),
        }
    }

    /// Whether there is a module besides the built-in one.
    pub fn has_external(&self) -> bool {
        self.external.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        Moment(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn module(&self, which: Which) -> Option<&dyn Cdm> {
        match which {
            Which::ClearKey => Some(&self.clear_key),
            Which::External => self.external.as_ref().map(|module| module as &dyn Cdm),
        }
    }

    /// An entry needs a key. False: there is no room for it.
    pub fn need(&self, which: Which, owner: Owner, terms: &Arc<Terms>, protection: &Protection) -> bool {
        let has_room = self.lock().desk.need(which, owner, terms, protection, self.now());
        self.work.notify_all();
        has_room
    }

    /// An entry that needed a key is gone.
    pub fn release(&self, which: Which, owner: Owner, key: &KeyId) {
        self.lock().desk.release(which, owner, key);
    }

    /// The service describes an entry anew.
    pub fn renew(&self, owner: Owner, terms: &Arc<Terms>) {
        self.lock().desk.renew(owner, terms, self.now());
        self.work.notify_all();
    }

    /// How it stands with a key.
    pub fn state(&self, which: Which, key: &KeyId) -> KeyState {
        if let Some(session) = self.session(which, key)
            && self.module(which).is_some_and(|module| !module.holds(session))
        {
            self.lost(which, session);
        }
        self.lock().desk.state(which, key, self.now())
    }

    /// Decrypts a sample in place.
    pub fn decrypt(&self, which: Which, encryption: &Encryption<'_>, sample: &mut [u8]) -> Result<(), DecryptError> {
        let key = self.session(which, &encryption.key).zip(self.module(which));
        let (session, module) = key.ok_or(DecryptError::NoKey(encryption.key))?;
        let result = module.decrypt(session, encryption, sample);
        if matches!(result, Err(DecryptError::NoKey(_))) {
            self.lost(which, session);
        }
        result
    }

    fn session(&self, which: Which, key: &KeyId) -> Option<SessionId> {
        self.lock().desk.session(which, key, self.now())
    }

    /// The module has lost a session: its keys are asked for anew.
    fn lost(&self, which: Which, session: SessionId) {
        self.lock().desk.lost(which, session, self.now());
        self.work.notify_all();
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            asked: read(&self.tally.asked),
            granted: read(&self.tally.granted),
            refused: read(&self.tally.refused),
        }
    }

    /// The network is back.
    pub fn retry_now(&self) {
        self.lock().desk.retry_now(self.now());
        self.work.notify_all();
    }

    /// Ends the thread, and what it waits for.
    pub fn close(&self) {
        self.lock().closing = true;
        self.work.notify_all();
        self.agent.clone().shutdown();
        if let Some(external) = &self.external {
            external.hang_up();
        }
    }

    /// Fetches licences until the office closes.
    pub fn run(&self) {
        let mut open = Vec::new();
        while let Some(ask) = self.next() {
            let ending = catch_unwind(AssertUnwindSafe(|| self.fetch(&ask)))
                .unwrap_or_else(|_| Ending::Refused("the answer made the program panic".to_owned()));
            if let Ending::Granted(session, _) = ending {
                open.push((ask.which, session));
            }
            self.conclude(&ask, ending);
            self.sweep(&mut open);
        }
    }

    /// Closes the sessions whose keys nobody knows any more.
    fn sweep(&self, open: &mut Vec<(Which, SessionId)>) {
        open.sort_unstable_by_key(|(which, session)| (*which as u8, session.0));
        open.dedup();
        open.retain(|(which, session)| {
            let is_used = self.lock().desk.uses(*which, *session);
            if let Some(module) = self.module(*which).filter(|_| !is_used) {
                module.close(*session);
            }
            is_used
        });
    }

    /// The next licence to ask for; waits for one. `None` when the office closes.
    fn next(&self) -> Option<Ask> {
        let mut state = self.lock();
        loop {
            if state.closing {
                return None;
            }
            let now = self.now();
            state = match state.desk.next(now) {
                Turn::Ask(ask) => return Some(ask),
                Turn::Rest(None) => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Turn::Rest(Some(until)) => {
                    let rest = Duration::from_millis(until.since(now).0.into());
                    let waited = self.work.wait_timeout(state, rest);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn fetch(&self, ask: &Ask) -> Ending {
        let Some(module) = self.module(ask.which) else {
            return Ending::Refused("there is no decryption module".to_owned());
        };
        let (session, challenge) = match challenge(module, ask) {
            Ok(opened) => opened,
            Err(error) => return error.into(),
        };
        self.tally.asked.fetch_add(1, Ordering::Relaxed);
        let outcome = post(&self.agent, &ask.terms, module.media_type(), &challenge);
        let ending = match outcome {
            Outcome::Licence(licence) => match module.update(session, &licence) {
                Ok(grant) => return Ending::Granted(session, grant),
                Err(error) => error.into(),
            },
            Outcome::Trouble(reason, wait) => Ending::Trouble(reason, wait),
            Outcome::Outdated(reason) => Ending::Outdated(reason),
            Outcome::Refused(reason) => Ending::Refused(reason),
        };
        if ask.renews != Some(session) {
            module.close(session);
        }
        ending
    }

    fn conclude(&self, ask: &Ask, ending: Ending) {
        let now = self.now();
        let asked = Asked(ask);
        let mut state = self.lock();
        match ending {
            Ending::Granted(session, grant) => {
                let has_all = ask.keys.iter().all(|key| grant.keys.contains(key));
                state.desk.granted(ask, session, &grant, now);
                drop(state);
                let (tally, life) = match (has_all, grant.lifetime) {
                    (true, None) => (&self.tally.granted, String::new()),
                    (true, Some(life)) if !life.is_zero() => {
                        (&self.tally.granted, format!(", for {} s", life.as_secs()))
                    }
                    (true, Some(_)) => (&self.tally.refused, ", which has expired already".to_owned()),
                    (false, _) => (&self.tally.refused, ", not with all keys".to_owned()),
                };
                tally.fetch_add(1, Ordering::Relaxed);
                log::info!("licence: there is one for {asked}{life}");
            }
            Ending::Trouble(reason, wait) => {
                state.desk.trouble(ask, wait, now);
                drop(state);
                log::info!("licence: none yet for {asked}: {reason}; it is tried again");
            }
            Ending::Outdated(reason) => {
                let owners = state.desk.outdated(ask, &reason, now);
                drop(state);
                if owners.is_empty() {
                    self.tally.refused.fetch_add(1, Ordering::Relaxed);
                    log::warn!("licence: none for {asked}: {reason}");
                } else {
                    log::info!("licence: none yet for {asked}: {reason}; the service is asked for a fresh address");
                }
                for owner in owners {
                    (self.news)(owner);
                }
            }
            Ending::Refused(reason) => {
                state.desk.refused(ask, &reason);
                drop(state);
                self.tally.refused.fetch_add(1, Ordering::Relaxed);
                log::warn!("licence: none for {asked}: {reason}");
            }
        }
    }
}

/// The request for a licence. A module that cannot prolong one is asked for a new one.
fn challenge(module: &dyn Cdm, ask: &Ask) -> Result<(SessionId, Secret), CdmError> {
    if let Some(session) = ask.renews {
        match module.renew(session) {
            Ok(challenge) => return Ok((session, challenge)),
            Err(error) => log::debug!("licence: not prolonged but asked for anew: {error}"),
        }
    }
    module.open(&Init {
        system: ask.terms.system_name(),
        scheme: ask.scheme,
        keys: &ask.keys,
        pssh: &ask.pssh,
    })
}

/// What was asked, for the log: ids of keys are no secrets.
struct Asked<'a>(&'a Ask);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, key) in self.0.keys.iter().enumerate() {
            let joint = if number == 0 { "key " } else { ", " };
            write!(f, "{joint}{:032x}", u128::from_be_bytes(*key))?;
        }
        Ok(())
    }
}
