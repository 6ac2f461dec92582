//! The state folder: sessions and counted skips survive a restart of the simulator. Written whole, renamed into place.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::account::Account;
use super::session::Session;

/// Ending of a session's file.
const SESSION: &str = ".session.json";
/// Name of the file with the counted skips.
const SKIPS: &str = "skips.json";
/// Name of the file that says how far the account's time was moved ahead.
const AHEAD: &str = "ahead.json";

/// Name of the file with pairs and links: fingerprints of tokens, no tokens.
const ACCOUNT: &str = "account.json";

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be made or written to.
    #[error("use state folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another simulator has it.
    #[error("state folder {path} is in use by another simulator; give this one its own with --state")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// A state folder that belongs to this simulator as long as it runs.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    _lock: File,
}

impl Store {
    /// Takes a folder, making it if need be.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let fail = |source| StoreError::Folder {
            path: folder.into(),
            source,
        };
        // What clients reported is nobody else's business.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(fail)?;
        let lock = folder.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(lock)
            .map_err(fail)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                folder: folder.into(),
                _lock: lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse { path: folder.into() }),
            Err(error) => Err(fail(error.into())),
        }
    }

    /// Where the ledger is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sessions of earlier runs. A damaged file is left out.
    pub fn sessions(&self) -> Vec<Session> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths
            .filter(|path| path.to_string_lossy().ends_with(SESSION))
            .filter_map(|path| load(&path))
            .collect()
    }

    /// Moments of counted skips.
    pub fn skips(&self) -> Vec<i64> {
        load(&self.folder.join(SKIPS)).unwrap_or_default()
    }

    /// How far the account's time was moved ahead.
    pub fn ahead_ms(&self) -> i64 {
        load(&self.folder.join(AHEAD)).unwrap_or_default()
    }

    /// Keeps how far the account's time was moved ahead.
    pub fn keep_ahead_ms(&self, ahead_ms: i64) {
        self.keep(AHEAD, &ahead_ms);
    }

    /// Pairs and links of earlier runs.
    pub fn account(&self) -> Account {
        load(&self.folder.join(ACCOUNT)).unwrap_or_default()
    }

    /// Keeps pairs and links.
    pub fn keep_account(&self, account: &Account) {
        self.keep(ACCOUNT, account);
    }

    /// Keeps a session as it is now.
    pub fn keep_session(&self, session: &Session) {
        self.keep(&format!("{}{SESSION}", session.id), session);
    }

    /// Keeps the counted skips.
    pub fn keep_skips(&self, skips: &[i64]) {
        self.keep(SKIPS, &skips);
    }

    /// Forgets a session.
    pub fn forget(&self, id: &str) {
        let path = self.folder.join(format!("{id}{SESSION}"));
        if let Err(error) = std::fs::remove_file(&path) {
            log::debug!("forget {}: {error}", path.display());
        }
    }

    fn keep<T: Serialize>(&self, name: &str, what: &T) {
        let path = self.folder.join(name);
        let fresh = path.with_extension("new");
        let written = serde_json::to_vec(what)
            .map_err(io::Error::from)
            .and_then(|text| std::fs::write(&fresh, text))
            .and_then(|()| std::fs::rename(&fresh, &path));
        if let Err(error) = written {
            log::warn!("write {}: {error}; a restart will not know of it", path.display());
        }
    }
}

fn load<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            log::warn!("read {}: {error}", path.display());
            return None;
        }
    };
    serde_json::from_slice(&text)
        .inspect_err(|error| log::warn!("{} is damaged: {error}", path.display()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::course::{Leg, Origin, Sort, Source, Style};
    use crate::simulator::queue::Queue;
    use crate::simulator::tier::Rules;

    fn session(id: &str) -> Session {
        let leg = Leg {
            container: "t".to_owned(),
            count: 3,
            sort: Sort::Music,
        };
        let origin = Origin {
            source: Source::new(vec![leg]),
            ..Origin::default()
        };
        Session::new(
            id.to_owned(),
            "d",
            Queue::new(id, Rules::default(), Style::Ordered, origin),
            1,
        )
    }

    #[test]
    fn a_session_is_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.keep_session(&session("a"));
        store.keep_skips(&[5]);
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        let back = store.sessions();
        assert_eq!(back.len(), 1);
        let references = |session: &Session| -> Vec<String> {
            session
                .queue
                .entries()
                .iter()
                .map(|entry| entry.metric.clone())
                .collect()
        };
        assert_eq!(references(&back[0]), references(&session("a")));
        assert_eq!(store.skips(), [5]);
    }

    #[test]
    fn a_damaged_session_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.keep_session(&session("a"));
        std::fs::write(folder.path().join("b.session.json"), b"{").unwrap();
        assert_eq!(store.sessions().len(), 1);
    }

    #[test]
    fn two_simulators_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Store::open(folder.path()).unwrap();
        assert!(
            Store::open(folder.path())
                .unwrap_err()
                .to_string()
                .contains("in use by another simulator")
        );
    }
}
