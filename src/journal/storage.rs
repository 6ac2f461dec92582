//! The folder the journal lives in, behind a trait small enough to be replaced by one that fails on purpose.
//!
//! Nothing here knows what the bytes mean.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Longest file that is read. A segment is at most 64 KiB and one frame; the rest of a longer file is damage.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Files kept open for writing: the segment, the aside file, the checkpoint.
const HANDLES_MAX: usize = 3;

/// A flat folder of small files. All calls may be made from several threads; only one of them writes.
pub trait Storage: Send + Sync {
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Content of a file, at most [`FILE_BYTES_MAX`] of it.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Adds to the end of a file, which is created if there is none. After an error any part may have been written.
    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Replaces bytes in place; the file is created if there is none.
    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Waits until the content of a file survives a power cut.
    fn sync(&self, name: &str) -> io::Result<()>;
    /// Waits until all created, renamed and removed names survive a power cut.
    fn sync_names(&self) -> io::Result<()>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// The real folder.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    /// Files open for writing. Kept open because a write error that comes late is told only to a file that was open.
    open: Mutex<Vec<(String, Arc<File>)>>,
    purpose: Purpose,
    /// Held as long as the folder is in use; `None` for readers and where the disk takes nothing.
    _lock: Option<File>,
}

/// Who uses a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The running speaker.
    Own,
    /// Somebody who looks.
    Look,
}

impl Folder {
    /// For the running speaker: creates the folder if needed and makes sure no other speaker uses it.
    /// `WouldBlock` if one does. Where the disk takes nothing the folder may be missing: it is made with the first file.
    pub fn own(dir: &Path) -> io::Result<Self> {
        match fs::create_dir_all(dir) {
            Err(error) if takes_nothing(&error) => log::error!("create {}: {error}; tried again", dir.display()),
            made => made?,
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(dir.join("lock"))
            .ok();
        if let Some(lock) = &lock {
            match lock.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
            open: Mutex::default(),
            purpose: Purpose::Own,
            _lock: lock,
        })
    }

    /// For looking only.
    pub fn look(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            open: Mutex::default(),
            purpose: Purpose::Look,
            _lock: None,
        }
    }

    fn writer(&self, name: &str) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = open.iter().find(|(known, _)| known == name) {
            return Ok(Arc::clone(file));
        }
        let try_open = || {
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(self.dir.join(name))
        };
        let file = match try_open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.dir)?;
                try_open()?
            }
            opened => opened?,
        };
        if open.len() >= HANDLES_MAX {
            open.remove(0);
        }
        let file = Arc::new(file);
        open.push((name.to_owned(), Arc::clone(&file)));
        Ok(file)
    }

    fn forget(&self, name: &str) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(known, _)| known != name);
    }
}

/// Whether a disk is full or read-only, which may pass.
fn takes_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
    )
}

impl Storage for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let items = match fs::read_dir(&self.dir) {
            // It could not be made yet; who only looks is told.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.purpose == Purpose::Own => return Ok(names),
            items => items?,
        };
        for item in items {
            if let Ok(name) = item?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.dir.join(name))?
            .take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.writer(name)?;
        let end = file.metadata()?.len();
        file.write_all_at(bytes, end)
    }

    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writer(name)?.write_all_at(bytes, offset)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let synced = self.writer(name).and_then(|file| file.sync_data());
        if synced.is_err() {
            self.forget(name);
        }
        synced
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.forget(name);
        fs::remove_file(self.dir.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let owner = Folder::own(dir.path()).unwrap();
        assert_eq!(Folder::own(dir.path()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(owner);
        assert!(Folder::own(dir.path()).is_ok());
    }

    #[test]
    fn appended_and_overwritten_bytes_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::own(&dir.path().join("new/journal")).unwrap();
        folder.append("a", b"one").unwrap();
        folder.append("a", b"two").unwrap();
        folder.overwrite("a", 1, b"NE").unwrap();
        folder.sync("a").unwrap();
        folder.rename("a", "b").unwrap();
        folder.sync_names().unwrap();
        assert_eq!(folder.read("b").unwrap(), b"oNEtwo");
        assert_eq!(folder.read("a").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
