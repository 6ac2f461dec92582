//! Signing in: an account is linked by a code, its tokens are kept on disk and renewed ahead of their end.
//!
//! ```text
//! link, unlink -> desk -> keeper (one thread) -> oauth (HTTP, the only place that knows its words)
//!      401     ->                |  linking, renewal: when, as pure decisions
//!                                v
//!                     account.json, then the new token, then News
//! ```
//!
//! It knows nothing of queues and events. Tokens go to the sign-in service, to `account.json` and, as
//! [`Credentials`], to the playback service's client; nowhere else.

mod back_off;
mod desk;
mod grant;
mod keeper;
mod linking;
mod oauth;
mod renewal;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tonearm_core::unit::Moment;

use super::base::{BaseUrl, BaseUrlError};
use super::credentials::{Credentials, FixedToken};
use crate::state::{StateDir, StateError};
use crate::tls::{Connections, Tls};
use desk::{Desk, Wish};
use grant::GrantFile;
use keeper::Keeper;
use linking::{Linking, Pace};
use renewal::Renewal;

/// A whole request to the sign-in service: a dead link is noticed in 8 s, with some time to tell of it.
const CALL_MS_MAX: u64 = 7_500;
/// Longest wait for a renewal: a request under way, the one that is wanted, and the disk.
const RENEWAL_MS_MAX: u64 = 2 * CALL_MS_MAX + 2_000;
/// Leaving waits this long for the thread. A name lookup cannot be cut short; then the thread ends on its own later.
const CLOSE_MS_MAX: u64 = 500;

/// Both clocks at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since boot: what waits are measured by.
    pub at: Moment,
    /// Seconds since 1970, if the wall clock can be trusted.
    pub wall_s: Option<i64>,
}

/// Reads the clocks.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// How the account is linked.
#[derive(Clone)]
pub struct Settings {
    /// Base address of the sign-in service; `https`, or `http` on a loopback host.
    pub auth_url: String,
    /// Name of this product there.
    pub client_id: String,
    /// What the account is asked to allow.
    pub scope: String,
    /// Whose certificates are trusted.
    pub tls: Tls,
    /// Where the tokens are kept.
    pub state: StateDir,
    /// Whether linking starts without being asked.
    pub start: Start,
    /// The clocks.
    pub clock: Clock,
    /// Spreads the requests of a fleet.
    pub seed: u64,
}

/// When linking starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Whenever there is no account, unless the listener removed it.
    ByItself,
    /// Only when asked.
    OnRequest,
}

/// What became of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A code waits to be entered.
    Linking {
        /// Where the listener enters it.
        address: String,
        /// What the listener enters.
        code: String,
        /// When it lapses; another one follows.
        until: Moment,
    },
    /// There is an account.
    Linked,
    /// There is none.
    Unlinked(Why),
    /// Signing in stopped until somebody corrects the configuration: what to correct.
    Misconfigured(String),
}

/// Why there is no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There never was one.
    Never,
    /// The listener wanted it so.
    Asked,
    /// The service does not know the link any more.
    Revoked,
    /// The listener did not allow it.
    Declined,
}

/// Why signing in cannot be started.
#[derive(Debug, Error)]
pub enum AccountError {
    /// The address of the sign-in.
    #[error("configure the sign-in")]
    AuthUrl(#[from] BaseUrlError),
    /// The stored account cannot be read.
    #[error("read the account")]
    State(#[from] StateError),
    /// No thread to be had.
    #[error("start the account thread")]
    Thread(#[source] std::io::Error),
}

/// The stored access token as it is, not to be renewed; none if none is stored. For a look beside a running speaker.
pub fn stored(state: &StateDir) -> Result<Arc<dyn Credentials>, StateError> {
    let grant = GrantFile::new(state.clone()).load()?;
    Ok(Arc::new(FixedToken(grant.map(|grant| grant.access))))
}

/// How long the thread waits. Only tests differ from the default.
#[derive(Clone, Copy)]
struct Patience {
    /// For a whole request.
    call: Duration,
    /// Between requests.
    pace: Pace,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            call: Duration::from_millis(CALL_MS_MAX),
            pace: Pace::default(),
        }
    }
}

/// The account, as others see it.
pub struct Account {
    desk: Arc<Desk>,
    connections: Connections,
    /// Says that the thread is over, by being dropped.
    done: Receiver<()>,
}

impl Account {
    /// Reads the stored account and starts the thread. `news` is called on the thread and never blocks; the first one
    /// says whether there is an account.
    pub fn start(settings: Settings, news: Arc<dyn Fn(News) + Send + Sync>) -> Result<Self, AccountError> {
        Self::start_with(settings, Patience::default(), news)
    }

    /// With requests that are given up after `call`.
    #[cfg(all(test, feature = "simulator"))]
    pub fn start_hasty(
        settings: Settings,
        call: Duration,
        news: Arc<dyn Fn(News) + Send + Sync>,
    ) -> Result<Self, AccountError> {
        let pace = Pace::default();
        Self::start_with(settings, Patience { call, pace }, news)
    }

    fn start_with(
        settings: Settings,
        patience: Patience,
        news: Arc<dyn Fn(News) + Send + Sync>,
    ) -> Result<Self, AccountError> {
        let base = BaseUrl::parse(&settings.auth_url)?;
        let file = GrantFile::new(settings.state);
        let grant = file.load()?;
        let access = grant.as_ref().map(|grant| grant.access.clone());
        let desk = Arc::new(Desk::new(access, Duration::from_millis(RENEWAL_MS_MAX)));
        let client = oauth::Client::new(base, &settings.client_id, &settings.scope, &settings.tls, patience);
        let connections = client.connections();
        let keeper = Keeper {
            desk: Arc::clone(&desk),
            client,
            file,
            clock: settings.clock,
            start: settings.start,
            news,
            linking: Linking::new(patience.pace, settings.seed),
            renewal: Renewal::new(!settings.seed),
            grant,
            save_at: None,
            complaint: String::new(),
        };
        let (over, done) = channel();
        thread::Builder::new()
            .name("account".to_owned())
            .spawn(move || {
                let _over = over;
                keeper.run();
            })
            .map_err(AccountError::Thread)?;
        Ok(Self {
            desk,
            connections,
            done,
        })
    }

    /// The listener wants to link. Without effect while an account is linked.
    pub fn link(&self) {
        self.desk.wish(Wish::Link);
    }

    /// The listener wants the account to be forgotten. Linking does not start again by itself.
    pub fn unlink(&self) {
        self.desk.wish(Wish::Unlink);
    }

    /// The way to the sign-in service is another one: a request under way is given up.
    pub fn reconnect(&self) {
        self.connections.renew();
    }

    /// Tries at once whatever waits to be tried again: the network is back.
    pub fn retry_now(&self) {
        self.desk.hurry();
    }

    /// Where the client gets its tokens.
    pub fn credentials(&self) -> Arc<dyn Credentials> {
        Arc::clone(&self.desk) as Arc<dyn Credentials>
    }

    /// Cuts a request under way short and leaves.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.desk.close();
        self.connections.close();
        match self.done.recv_timeout(Duration::from_millis(CLOSE_MS_MAX)) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => {
                log::debug!("sign-in: the thread is still looking up or connecting; not waiting for it");
            }
        }
    }
}
