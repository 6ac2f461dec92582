//! Licences and decryption modules: what is encrypted becomes sound, or a reason why not.
//!
//! ```text
//!   audio: needs a key           licence thread                    licence server
//!   ------------------> desk ----------------> module: a request
//!                         |                    post ------------------->
//!   is it there? <--------+ <----------------- module: takes it in <---
//!   decrypt ---------------------------------> module: a sample
//! ```
//!
//! Keys, licences and clear samples stay in memory; no log and no file ever sees one. Sound never waits for a licence:
//! whoever decodes asks how it stands with a key and is answered at once. Nothing here knows of sound or of the queue.

mod clear_key;
mod desk;
mod entry;
mod external;
mod module;
mod office;
mod post;
mod terms;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use thiserror::Error;

use crate::keys::Keys;
use crate::tls::Tls;
use desk::Which;
use entry::{EntryKeys, NoKeys};
pub use external::look;
pub use office::Counters;
use office::{News, Office};
pub use terms::{Owner, Terms};

/// Leaving waits this long for the thread. A name lookup cannot be cut short; then the thread ends on its own later.
const CLOSE_MS_MAX: u64 = 500;

/// What licences are had with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Socket of an external decryption module.
    pub socket: Option<PathBuf>,
    /// How connections to licence servers are encrypted.
    pub tls: Tls,
}

/// Why licences cannot be had.
#[derive(Debug, Error)]
pub enum LicenceError {
    /// No thread to be had.
    #[error("start the licence thread")]
    Thread(#[source] std::io::Error),
    /// The system gives no randomness.
    #[error("seed the jitter of licence requests: {0}")]
    Seed(getrandom::Error),
}

/// Licences of all entries. Dropping it ends the thread.
pub struct Licences {
    office: Arc<Office>,
    done: Receiver<()>,
}

impl Licences {
    /// Starts the thread. Asks nobody until an entry needs a key. `news` is called with an entry whose licence address is
    /// no good any more, so that [`Licences::renew`] can follow; on any thread, and it never blocks.
    ///
    /// # Errors
    /// The system has no threads or no randomness left.
    pub fn start(settings: Settings, news: News) -> Result<Self, LicenceError> {
        let seed = getrandom::u64().map_err(LicenceError::Seed)?;
        Self::start_with(Office::new(
            settings,
            news,
            seed,
            post::Patience::default(),
            external::Patience::default(),
        ))
    }

    fn start_with(office: Office) -> Result<Self, LicenceError> {
        let office = Arc::new(office);
        let (leave, done) = channel();
        let at_work = Arc::clone(&office);
        thread::Builder::new()
            .name("licences".to_owned())
            .spawn(move || {
                at_work.run();
                drop(leave);
            })
            .map_err(LicenceError::Thread)?;
        Ok(Self { office, done })
    }

    /// The keys of one entry; `terms` is what the service says of its licence. Nothing is asked for until a key is needed.
    pub fn keys(&self, owner: Owner, terms: Option<Terms>) -> Box<dyn Keys> {
        let Some(terms) = terms else {
            let reason = "the service names no licence address for this entry".to_owned();
            return Box::new(NoKeys::new(reason));
        };
        if terms.is_clear_key() {
            return Box::new(EntryKeys::new(Arc::clone(&self.office), Which::ClearKey, owner, terms));
        }
        if self.office.has_external() {
            return Box::new(EntryKeys::new(Arc::clone(&self.office), Which::External, owner, terms));
        }
        Box::new(NoKeys::new(format!(
            "{} needs a decryption module, and none is configured: set [cdm] socket (docs/cdm.md)",
            terms.system_name()
        )))
    }

    /// The service describes an entry anew: keys of it that are awaited are asked for on these terms.
    pub fn renew(&self, owner: Owner, terms: Terms) {
        self.office.renew(owner, &Arc::new(terms));
    }

    /// What was asked and what came of it, since the start.
    pub fn counters(&self) -> Counters {
        self.office.counters()
    }

    /// Tries at once whatever waits to be tried again: the network is back.
    pub fn retry_now(&self) {
        self.office.retry_now();
    }

    /// Ends everything: requests are cut short, keys are forgotten.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Licences {
    fn drop(&mut self) {
        self.office.close();
        if let Err(RecvTimeoutError::Timeout) = self.done.recv_timeout(Duration::from_millis(CLOSE_MS_MAX)) {
            log::debug!("licences: the thread is still looking up or connecting; not waiting for it");
        }
    }
}

#[cfg(test)]
#[path = "../../tests/support/scripted.rs"]
mod scripted;
#[cfg(test)]
mod tests;
