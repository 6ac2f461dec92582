//! An external decryption module: another process behind a Unix socket, which knows what this program must not. It is
//! connected to when it is needed, and again when it is lost; what it held is lost with it. Nothing it does ends the
//! speaker. The protocol is in docs/cdm.md.

mod link;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;

use super::module::{Cdm, CdmError, Grant, Init, Secret, SessionId};
use crate::keys::{DecryptError, Encryption};
use link::{Failure, Link};
use wire::{Kind, code};

/// Bits of a session's number that are the module's own; above them, the number of the connection.
const OWN_BITS: u32 = 32;
/// Bytes of a question that are not a licence or a sample: numbers, and a few hundred stretches.
const ROOM_BYTES: usize = 4 * 1024;

/// How long the module may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To greet.
    pub hello: Duration,
    /// To make a request, to take a licence in.
    pub licence: Duration,
    /// To decrypt one sample, of which some ten are needed a second.
    pub sample: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(1),
            licence: Duration::from_secs(5),
            sample: Duration::from_secs(1),
        }
    }
}

/// Why an external module is not there.
#[derive(Debug, Error)]
#[error("use the decryption module at {path}: {reason}", path = path.display())]
pub struct ModuleError {
    path: PathBuf,
    reason: String,
}

/// The name of the module at a socket, as it says itself.
///
/// # Errors
/// Nobody listens there, or it does not speak the protocol.
pub fn look(path: &Path) -> Result<String, ModuleError> {
    let (_, name) = Link::connect(path, Patience::default().hello).map_err(|reason| ModuleError {
        path: path.to_owned(),
        reason,
    })?;
    Ok(name)
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    /// Number of the connection, from 1.
    connection: u32,
    closing: bool,
}

/// The module behind a socket.
pub struct External {
    path: PathBuf,
    patience: Patience,
    state: Mutex<State>,
}

impl External {
    /// Connects to nobody yet.
    pub fn new(path: PathBuf, patience: Patience) -> Self {
        Self {
            path,
            patience,
            state: Mutex::default(),
        }
    }

    /// Ends the connection, for good.
    pub fn hang_up(&self) {
        let mut state = self.state();
        state.closing = true;
        if let Some(link) = state.link.take() {
            link.kill("the speaker leaves");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, made anew where there is none. Only one thread makes connections.
    fn connected(&self) -> Result<(u32, Arc<Link>), CdmError> {
        {
            let state = self.state();
            if state.closing {
                return Err(CdmError::Gone("the speaker leaves".to_owned()));
            }
            if let Some(link) = state.link.as_ref().filter(|link| link.is_alive()) {
                return Ok((state.connection, Arc::clone(link)));
            }
        }
        let gone = |reason: String| CdmError::Gone(format!("{}: {reason}", self.path.display()));
        let (link, name) = Link::connect(&self.path, self.patience.hello).map_err(gone)?;
        let link = Arc::new(link);
        let mut state = self.state();
        state.connection = state.connection.wrapping_add(1);
        let replaced = state.link.replace(Arc::clone(&link));
        let connection = state.connection;
        drop(state);
        drop(replaced);
        log::info!("cdm: {name:?} answers at {}", self.path.display());
        Ok((connection, link))
    }

    /// The connection that a session is of, while it lives, and the module's own number of the session.
    fn link_of(&self, session: SessionId) -> Option<(Arc<Link>, u32)> {
        let state = self.state();
        let is_its = u64::from(state.connection) == session.0 >> OWN_BITS;
        let link = state.link.as_ref().filter(|link| is_its && link.is_alive())?;
        let own = u32::try_from(session.0 & u64::from(u32::MAX)).ok()?;
        Some((Arc::clone(link), own))
    }

    fn lost() -> CdmError {
        CdmError::Gone("it was lost with the licence".to_owned())
    }

    fn error(&self, failure: Failure) -> CdmError {
        match failure {
            Failure::Dead(reason) => CdmError::Gone(format!("{}: {reason}", self.path.display())),
            Failure::Error(code::NO_SESSION, words) => CdmError::Gone(words),
            Failure::Error(code, words) => CdmError::Refused(format!("{words} (error {code})")),
        }
    }
}

impl Cdm for External {
    fn open(&self, init: &Init<'_>) -> Result<(SessionId, Secret), CdmError> {
        let (connection, link) = self.connected()?;
        let room = init.pssh.iter().map(|pssh| pssh.len()).sum::<usize>() + ROOM_BYTES;
        let body = link
            .ask(Kind::Open, room, self.patience.licence, |frame| wire::open(frame, init))
            .map_err(|failure| self.error(failure))?;
        let Some((own, challenge)) = wire::read_open(&body) else {
            return Err(self.error(link.nonsense(Kind::Open)));
        };
        let session = SessionId(u64::from(connection) << OWN_BITS | u64::from(own));
        Ok((session, Secret::new(challenge.to_vec())))
    }

    fn renew(&self, session: SessionId) -> Result<Secret, CdmError> {
        let (link, own) = self.link_of(session).ok_or_else(Self::lost)?;
        let asked = link.ask(Kind::Renew, 4, self.patience.licence, |frame| {
            frame.u32(own);
            Some(())
        });
        let body = asked.map_err(|failure| self.error(failure))?;
        Ok(Secret::new(body.to_vec()))
    }

    fn update(&self, session: SessionId, licence: &Secret) -> Result<Grant, CdmError> {
        let (link, own) = self.link_of(session).ok_or_else(Self::lost)?;
        let room = licence.reveal().len() + 4;
        let asked = link.ask(Kind::Update, room, self.patience.licence, |frame| {
            frame.u32(own).bytes(licence.reveal());
            Some(())
        });
        let body = asked.map_err(|failure| self.error(failure))?;
        wire::read_grant(&body).ok_or_else(|| self.error(link.nonsense(Kind::Update)))
    }

    fn close(&self, session: SessionId) {
        let Some((link, own)) = self.link_of(session) else {
            return;
        };
        let asked = link.ask(Kind::Close, 4, self.patience.licence, |frame| {
            frame.u32(own);
            Some(())
        });
        if let Err(failure) = asked {
            log::debug!("cdm: close a session: {}", self.error(failure));
        }
    }

    fn holds(&self, session: SessionId) -> bool {
        self.link_of(session).is_some()
    }

    fn decrypt(&self, session: SessionId, encryption: &Encryption<'_>, sample: &mut [u8]) -> Result<(), DecryptError> {
        let no_key = || DecryptError::NoKey(encryption.key);
        let (link, own) = self.link_of(session).ok_or_else(no_key)?;
        let room = sample.len() + encryption.subsamples.len() * 8 + ROOM_BYTES;
        let asked = link.ask(Kind::Decrypt, room, self.patience.sample, |frame| {
            wire::decrypt(frame, own, encryption, sample)
        });
        let clear = match asked {
            Ok(clear) => clear,
            Err(Failure::Dead(reason)) => {
                log::warn!("cdm: lost the module at {}: {reason}", self.path.display());
                return Err(no_key());
            }
            Err(Failure::Error(code::NO_SESSION | code::NO_KEY, words)) => {
                log::warn!("cdm: the module has no such key: {words}");
                return Err(no_key());
            }
            Err(Failure::Error(code, words)) => return Err(DecryptError::Module(format!("{words} (error {code})"))),
        };
        if clear.len() != sample.len() {
            link.nonsense(Kind::Decrypt);
            return Err(no_key());
        }
        sample.copy_from_slice(&clear);
        Ok(())
    }
}

#[cfg(test)]
pub mod tests;
