//! Signing in as the configuration says: shared by the speaker, `tonearm link` and `tonearm check`.

use std::sync::Arc;

use crate::tls::Tls;

use crate::config::Config;
use crate::device::clock::{Reading, Trust};
use crate::service::account::{Account, News, Now, Settings, Start};
use crate::service::{Credentials, FixedToken};
use crate::state::StateDir;

/// Starts the account thread. `None`: the configuration names no product to sign in as, so nobody signs in; right for a
/// local service.
///
/// # Errors
/// What is stored cannot be read, or the system has no threads or randomness left.
pub fn start(
    config: &Config,
    dir: &StateDir,
    tls: Tls,
    start: Start,
    news: Arc<dyn Fn(News) + Send + Sync>,
) -> anyhow::Result<Option<Account>> {
    let Some(client_id) = config.service.client_id.clone() else {
        return Ok(None);
    };
    let settings = Settings {
        auth_url: config.service.auth_url.clone(),
        client_id,
        scope: config.service.scope.clone(),
        tls,
        state: dir.clone(),
        start,
        clock: Arc::new(now),
        seed: getrandom::u64().map_err(|error| anyhow::anyhow!("seed the retry jitter: {error}"))?,
    };
    Ok(Some(Account::start(settings, news)?))
}

fn now() -> Now {
    let reading = Reading::take();
    Now {
        at: reading.at,
        wall_s: (reading.trust == Trust::Synchronised).then_some(reading.wall_ms / 1000),
    }
}

/// Where the client gets its tokens: from the account, or nowhere.
pub fn credentials(account: Option<&Account>) -> Arc<dyn Credentials> {
    account.map_or_else(
        || Arc::new(FixedToken(None)) as Arc<dyn Credentials>,
        Account::credentials,
    )
}
