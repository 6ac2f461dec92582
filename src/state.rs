//! The state directory: small files that survive a pulled plug. Each is replaced as a whole or not at all.
//!
//! It keeps bytes and the saved session; it does not know what an account is, and events are the journal's business.

mod writer;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tonearm_core::limits::{VOLUME_FIRST, VOLUME_MAX};

pub use writer::StateWriter;

/// Longest state file. The largest, the account with its tokens, has a few KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const DEVICE_ID: &str = "device_id";
const SESSION: &str = "session.json";

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder cannot be made.
    #[error("create state folder {}: {source}; set [state] dir to a folder that the user the speaker runs as may write to", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there but cannot be read.
    #[error("read {}: {source}; it must belong to the user the speaker runs as", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("write {}: {source}; is the disk full or read-only, or the folder of another user?", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system has no randomness to make an identity from.
    #[error("make a device identity: no randomness: {0}")]
    Random(getrandom::Error),
    /// No thread.
    #[error("start the thread that saves state: {0}")]
    Thread(io::Error),
}

/// What a restart needs to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// The open session and its current entry.
    pub place: Option<SavedPlace>,
    /// The listener wants sound.
    pub playing: bool,
    /// 0 to 100.
    pub volume: u8,
    /// Random order is on.
    pub shuffle: bool,
    /// Repeating is on.
    #[serde(rename = "loop")]
    pub looping: bool,
}

/// A position in a session, in the service's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlace {
    /// The service's name of the session.
    pub session: String,
    /// The service's name of the entry.
    pub reference: String,
    /// The service's metric identifier.
    pub metric_id: Option<String>,
    /// Position within the entry.
    pub position_ms: u32,
}

impl Default for Saved {
    fn default() -> Self {
        Self {
            place: None,
            playing: false,
            volume: VOLUME_FIRST,
            shuffle: false,
            looping: false,
        }
    }
}

/// The state directory.
#[derive(Clone, Debug)]
pub struct StateDir {
    dir: PathBuf,
}

impl StateDir {
    /// The folder, created if there is none, for its owner only.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        let state = Self { dir: dir.to_owned() };
        match state.create() {
            // That may pass, and is no reason to be silent: it is tried again with each file.
            Err(source) if takes_nothing(&source) => {
                log::error!("create state folder {}: {source}; going on without", dir.display());
            }
            created => created.map_err(|source| StateError::Folder {
                path: dir.to_owned(),
                source,
            })?,
        }
        Ok(state)
    }

    fn create(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)
    }

    /// Where a file of that name is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Content of a file; `None` if there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path(name);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::Read { path, source }),
        }
    }

    /// Replaces a file, readable by its owner only. `Ok`: the new content survives a power cut; `Err`: the old one is
    /// still there.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let path = self.path(name);
        self.replace(name, &path, bytes)
            .map_err(|source| StateError::Write { path, source })
    }

    fn replace(&self, name: &str, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if !self.dir.exists() {
            self.create()?;
        }
        let new = self.path(&format!(".{name}.new"));
        // One that a power cut left behind may have other permissions; a new one is made.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(&self.dir)?.sync_all()
    }

    /// Replaces a file by a document, as [`StateDir::write`] does.
    pub fn write_json(&self, name: &str, document: &impl Serialize) -> Result<(), StateError> {
        let mut bytes = serde_json::to_vec_pretty(document).map_err(|error| StateError::Write {
            path: self.path(name),
            source: io::Error::other(error),
        })?;
        bytes.push(b'\n');
        self.write(name, &bytes)
    }

    /// Removes a file. `Ok`: there is none, even after a power cut.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        let path = self.path(name);
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.and_then(|()| File::open(&self.dir)?.sync_all()),
        };
        removed.map_err(|source| StateError::Write { path, source })
    }

    /// Puts a damaged file out of the way, replacing one that was put there earlier, and says so in the log.
    pub fn set_aside(&self, name: &str, what_is_wrong: &str) {
        let path = self.path(name);
        let damaged = self.path(&format!("{name}.damaged"));
        match fs::rename(&path, &damaged) {
            Ok(()) => log::error!(
                "{} is damaged ({what_is_wrong}); kept as {}",
                path.display(),
                damaged.display()
            ),
            Err(error) => log::error!("{} is damaged ({what_is_wrong}); put aside: {error}", path.display()),
        }
    }

    /// This device's identity: 32 hexadecimal digits, made at the first start and the same ever after.
    pub fn device_id(&self) -> Result<String, StateError> {
        if let Some(bytes) = self.read(DEVICE_ID)? {
            match parse_device_id(&bytes) {
                Some(id) => return Ok(id),
                None => self.set_aside(DEVICE_ID, "not 32 hexadecimal digits"),
            }
        }
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).map_err(StateError::Random)?;
        let id = format!("{:032x}", u128::from_be_bytes(random));
        match self.write(DEVICE_ID, format!("{id}\n").as_bytes()) {
            Err(StateError::Write { path, source }) if takes_nothing(&source) => {
                log::error!(
                    "write {}: {source}; this run has an identity of its own",
                    path.display()
                );
            }
            written => written?,
        }
        Ok(id)
    }

    /// What was saved last; the default at the very first start, or if what is there cannot be used (which is logged).
    pub fn session(&self) -> Saved {
        let bytes = match self.read(SESSION) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Saved::default(),
            Err(error) => {
                log::error!("{error}");
                return Saved::default();
            }
        };
        match serde_json::from_slice::<Saved>(&bytes) {
            Ok(saved) if saved.volume <= VOLUME_MAX => saved,
            Ok(_) => {
                self.set_aside(SESSION, "volume over 100");
                Saved::default()
            }
            Err(error) => {
                self.set_aside(SESSION, &error.to_string());
                Saved::default()
            }
        }
    }

    /// Saves at once, waiting for the disk. The running speaker uses [`StateWriter`].
    pub fn save_session(&self, saved: &Saved) -> Result<(), StateError> {
        self.write_json(SESSION, saved)
    }
}

/// Whether a disk is full or read-only, which may pass.
fn takes_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
    )
}

fn parse_device_id(bytes: &[u8]) -> Option<String> {
    let id = std::str::from_utf8(bytes).ok()?.trim_ascii();
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (id.len() == 32 && id.bytes().all(is_hex)).then(|| id.to_owned())
}

#[cfg(test)]
pub mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    pub fn state() -> (tempfile::TempDir, StateDir) {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("lib/tonearm")).unwrap();
        (dir, state)
    }

    pub fn saved(position_ms: u32) -> Saved {
        let place = SavedPlace {
            session: "s-1".into(),
            reference: "0:ab".into(),
            metric_id: None,
            position_ms,
        };
        Saved {
            place: Some(place),
            playing: true,
            volume: 56,
            shuffle: false,
            looping: true,
        }
    }

    #[test]
    fn the_device_id_is_made_once() {
        let (_dir, state) = state();
        let id = state.device_id().unwrap();
        assert_eq!(id.len(), 32);
        assert_eq!(state.device_id().unwrap(), id);
        let (_other, other) = tests::state();
        assert_ne!(other.device_id().unwrap(), id);
    }

    #[test]
    fn a_damaged_device_id_is_set_aside_and_made_anew() {
        let (_dir, state) = state();
        state.write(DEVICE_ID, b"0123").unwrap();
        let id = state.device_id().unwrap();
        assert_eq!(state.device_id().unwrap(), id);
        assert_eq!(fs::read(state.path("device_id.damaged")).unwrap(), b"0123");
    }

    #[test]
    fn the_session_is_read_back_and_is_for_its_owner_only() {
        let (_dir, state) = state();
        assert_eq!(state.session(), Saved::default());
        state.save_session(&saved(31_000)).unwrap();
        assert_eq!(state.session(), saved(31_000));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state.path(SESSION)), 0o600);
        assert_eq!(mode(&state.path("")), 0o700);
    }

    #[test]
    fn every_prefix_of_the_saved_session_is_survived() {
        let (_dir, state) = state();
        state.save_session(&saved(31_000)).unwrap();
        let whole = state.read(SESSION).unwrap().unwrap();
        for end in 0..whole.len() - 2 {
            fs::write(state.path(SESSION), &whole[..end]).unwrap();
            assert_eq!(state.session(), Saved::default(), "{end} bytes");
            assert!(
                !state.path(SESSION).exists() && state.path("session.json.damaged").exists(),
                "{end} bytes"
            );
        }
    }

    #[test]
    fn a_session_of_a_newer_version_is_understood_and_nonsense_is_not() {
        let (_dir, state) = state();
        state.write(SESSION, br#"{"volume": 12, "balance": 3}"#).unwrap();
        assert_eq!(
            state.session(),
            Saved {
                volume: 12,
                ..Saved::default()
            }
        );
        state.write(SESSION, br#"{"volume": 212}"#).unwrap();
        assert_eq!(state.session(), Saved::default());
    }

    #[test]
    fn what_a_power_cut_left_behind_does_not_disturb() {
        let (_dir, state) = state();
        fs::write(state.path(".session.json.new"), b"{\"vol").unwrap();
        state.save_session(&saved(1)).unwrap();
        assert_eq!(state.session(), saved(1));
        assert!(!state.path(".session.json.new").exists());
    }

    #[test]
    fn an_error_names_the_file_and_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), b"").unwrap();
        let error = StateDir::open(&dir.path().join("file/state")).unwrap_err().to_string();
        assert!(error.contains("file/state") && error.contains("[state] dir"), "{error}");
        let state = StateDir {
            dir: dir.path().join("file/gone"),
        };
        let error = state.save_session(&saved(1)).unwrap_err().to_string();
        assert!(
            error.contains("gone/session.json") && error.contains("read-only"),
            "{error}"
        );
    }
}
