//! A folder in memory that fails and loses power on purpose. Tests only.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use super::storage::Storage;

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Nothing.
    Nothing,
    /// Everything.
    All,
    /// The first half of each file's unsynced end; names as they were synced.
    Half,
    /// The length of the file, but zeros in place of the bytes.
    Zeros,
    /// Any sectors and any names, as this seed has it: a disk writes in the order it likes. A sector that was not written
    /// has what was there before, or zeros.
    Scattered(u64),
}

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A coin for each thing that may or may not have reached the disk: the same for the same seed and thing.
fn is_written(seed: u64, thing: &str, number: usize) -> bool {
    let mut hash = seed ^ 0x9E37_79B9_7F4A_7C15;
    for byte in thing.bytes().chain(number.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        hash ^= hash >> 29;
    }
    hash & 1 == 1
}

/// What the disk does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Works.
    #[default]
    Good,
    /// Writes fail; half of an append arrives.
    Full,
    /// Nothing can be changed.
    ReadOnly,
    /// Writes arrive, syncs fail.
    NoSync,
}

#[derive(Clone, Default)]
struct Inode {
    current: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Default)]
struct Inner {
    inodes: Vec<Inode>,
    current: BTreeMap<String, usize>,
    synced: BTreeMap<String, usize>,
    health: Health,
    /// Changes still carried out before the power is cut; `None`: no cut.
    changes_left: Option<u64>,
    changes: u64,
    /// The power was cut.
    is_dead: bool,
    /// Number of a change that fails, once.
    failing_change: Option<u64>,
    costs: Costs,
}

/// What was done to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Calls that write.
    pub writes: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Syncs of a file.
    pub syncs: u64,
    /// Syncs of the folder.
    pub syncs_of_names: u64,
}

/// The disk.
#[derive(Default)]
pub struct Disk(Mutex<Inner>);

impl Disk {
    /// Changes its health.
    pub fn set(&self, health: Health) {
        self.0.lock().unwrap().health = health;
    }

    /// The power is cut during the change after `changes` more.
    pub fn cut_after(&self, changes: u64) {
        self.0.lock().unwrap().changes_left = Some(changes);
    }

    /// The change after `changes` more fails, those after it work again.
    pub fn fail_after(&self, changes: u64) {
        let mut inner = self.0.lock().unwrap();
        inner.failing_change = Some(inner.changes + changes + 1);
    }

    /// Changes so far.
    pub fn changes(&self) -> u64 {
        self.0.lock().unwrap().changes
    }

    /// Writes, bytes in them, and syncs of files since the last time this was asked.
    pub fn costs(&self) -> Costs {
        std::mem::take(&mut self.0.lock().unwrap().costs)
    }

    /// Bytes in all files.
    pub fn bytes(&self) -> u64 {
        let inner = self.0.lock().unwrap();
        inner
            .current
            .values()
            .map(|inode| inner.inodes[*inode].current.len() as u64)
            .sum()
    }

    /// Puts a file there, synced.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut inner = self.0.lock().unwrap();
        inner.inodes.push(Inode {
            current: bytes.to_vec(),
            synced: bytes.to_vec(),
        });
        let inode = inner.inodes.len() - 1;
        inner.current.insert(name.into(), inode);
        inner.synced.insert(name.into(), inode);
    }

    /// The disk after a power cut and a restart.
    pub fn after_power_cut(&self, remains: Remains) -> Disk {
        let inner = self.0.lock().unwrap();
        let mut names = match remains {
            Remains::All => inner.current.clone(),
            Remains::Nothing | Remains::Half | Remains::Zeros | Remains::Scattered(_) => inner.synced.clone(),
        };
        if let Remains::Scattered(seed) = remains {
            for name in inner.current.keys().chain(inner.synced.keys()) {
                match inner.current.get(name) {
                    Some(inode) if is_written(seed, name, 0) => names.insert(name.clone(), *inode),
                    None if is_written(seed, name, 0) => names.remove(name),
                    Some(_) | None => None,
                };
            }
        }
        let disk = Disk::default();
        for (name, inode) in &names {
            let Inode { current, synced } = &inner.inodes[*inode];
            let mut bytes = synced.clone();
            let end = current.get(synced.len()..).unwrap_or_default();
            match remains {
                Remains::Nothing => {}
                Remains::All => bytes.clone_from(current),
                Remains::Half => bytes.extend_from_slice(&end[..end.len() / 2]),
                Remains::Zeros => bytes.extend(end.iter().map(|_| 0)),
                Remains::Scattered(seed) => {
                    bytes.resize(current.len(), 0);
                    for (number, sector) in current.chunks(SECTOR_BYTES).enumerate() {
                        if is_written(seed, name, number + 1) {
                            bytes[number * SECTOR_BYTES..][..sector.len()].copy_from_slice(sector);
                        }
                    }
                }
            }
            disk.put(name, &bytes);
        }
        disk
    }

    /// Carries out a change, or fails as the disk's health demands. `torn` is done when power or space runs out midway.
    fn change(
        &self,
        torn: impl FnOnce(&mut Inner),
        whole: impl FnOnce(&mut Inner) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if inner.is_dead {
            return Err(io::Error::other("no power"));
        }
        inner.changes += 1;
        if inner.failing_change == Some(inner.changes) {
            torn(&mut inner);
            return Err(io::Error::other("input/output error"));
        }
        match inner.changes_left {
            Some(0) => {
                torn(&mut inner);
                inner.is_dead = true;
                return Err(io::Error::other("power cut"));
            }
            Some(left) => inner.changes_left = Some(left - 1),
            None => {}
        }
        match inner.health {
            Health::Good | Health::NoSync => whole(&mut inner),
            Health::Full => {
                torn(&mut inner);
                Err(io::ErrorKind::StorageFull.into())
            }
            Health::ReadOnly => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        }
    }
}

impl Inner {
    fn inode(&mut self, name: &str) -> &mut Inode {
        let inode = *self.current.entry(name.into()).or_insert_with(|| {
            self.inodes.push(Inode::default());
            self.inodes.len() - 1
        });
        &mut self.inodes[inode]
    }

    fn write(&mut self, name: &str, offset: usize, bytes: &[u8]) {
        let content = &mut self.inode(name).current;
        content.resize(content.len().max(offset + bytes.len()), 0);
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().current.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let inner = self.0.lock().unwrap();
        let inode = inner.current.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(inner.inodes[*inode].current.clone())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let add = |inner: &mut Inner, bytes: &[u8]| inner.inode(name).current.extend_from_slice(bytes);
        self.change(
            |inner| add(inner, &bytes[..bytes.len() / 2]),
            |inner| {
                inner.costs.writes += 1;
                inner.costs.bytes += bytes.len() as u64;
                add(inner, bytes);
                Ok(())
            },
        )
    }

    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.change(
            |inner| inner.write(name, offset, &bytes[..bytes.len() / 2]),
            |inner| {
                inner.costs.writes += 1;
                inner.costs.bytes += bytes.len() as u64;
                inner.write(name, offset, bytes);
                Ok(())
            },
        )
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.change(
            |_| {},
            |inner| {
                if inner.health == Health::NoSync {
                    return Err(io::Error::other("sync failed"));
                }
                inner.costs.syncs += 1;
                let inode = inner.inode(name);
                inode.synced.clone_from(&inode.current);
                Ok(())
            },
        )
    }

    fn sync_names(&self) -> io::Result<()> {
        self.change(
            |_| {},
            |inner| {
                inner.costs.syncs_of_names += 1;
                inner.synced = inner.current.clone();
                Ok(())
            },
        )
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(
            |_| {},
            |inner| {
                let inode = inner.current.remove(from).ok_or(io::ErrorKind::NotFound)?;
                inner.current.insert(to.into(), inode);
                Ok(())
            },
        )
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(
            |_| {},
            |inner| {
                let gone = inner.current.remove(name);
                gone.map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
            },
        )
    }
}
