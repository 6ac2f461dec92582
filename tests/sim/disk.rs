//! The virtual disk below the real journal: a folder in memory that is full, broken or read-only when told, and that
//! loses, tears and reorders what was not synced when the power fails. It does not know what the bytes mean.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use crate::journal::storage::Storage;
use crate::rng::Rng;

/// What a disk writes as a whole. A write that crosses the border of two can be torn there, and the second can arrive
/// without the first.
const SECTOR_BYTES: usize = 512;

/// What the disk does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Works.
    #[default]
    Good,
    /// Half of an append arrives, then there is no room. What is replaced in place needs none.
    Full,
    /// Nothing can be changed.
    ReadOnly,
    /// Writes arrive; syncs fail, and what they should have kept may be gone with the power.
    NoSync,
}

/// What happened to the disk so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub writes: u64,
    pub syncs: u64,
    pub failures: u64,
    /// Unsynced writes of which a part survived a power cut.
    pub torn: u64,
    /// Unsynced writes that were lost as a whole.
    pub lost: u64,
    /// Power cuts after which a later sector was there and an earlier one was not.
    pub reordered: u64,
    /// Names that were made, changed or removed and not synced, and fell back.
    pub names_lost: u64,
}

#[derive(Clone, Debug)]
struct Write {
    offset: usize,
    bytes: Vec<u8>,
    /// A sync of it failed: no later one saves it.
    is_doomed: bool,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    current: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Write>,
}

#[derive(Clone, Debug)]
enum Naming {
    Create(String, u64),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
struct Inner {
    inodes: BTreeMap<u64, Inode>,
    inode_next: u64,
    current: BTreeMap<String, u64>,
    synced: BTreeMap<String, u64>,
    pending: Vec<Naming>,
    health: Health,
    /// Changes still carried out before everything stops; `None`: it goes on.
    changes_left: Option<u64>,
    has_stopped: bool,
    /// A sync does nothing, and says it did.
    lies: bool,
    counts: Counts,
}

/// The disk.
#[derive(Default)]
pub struct Disk(Mutex<Inner>);

impl Disk {
    pub fn set(&self, health: Health) {
        self.0.lock().unwrap().health = health;
    }

    /// From here on a sync does nothing.
    pub fn lie(&self) {
        self.0.lock().unwrap().lies = true;
    }

    pub fn is_good(&self) -> bool {
        self.0.lock().unwrap().health == Health::Good
    }

    /// The program ends in the middle of the change after `changes` more: killed, or without power.
    pub fn stop_after(&self, changes: u64) {
        self.0.lock().unwrap().changes_left = Some(changes);
    }

    pub fn has_stopped(&self) -> bool {
        self.0.lock().unwrap().has_stopped
    }

    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap().counts
    }

    /// Bytes and number of all files.
    pub fn size(&self) -> (u64, usize) {
        let inner = self.0.lock().unwrap();
        let bytes = |inode: &u64| inner.inodes[inode].current.len() as u64;
        (inner.current.values().map(bytes).sum(), inner.current.len())
    }

    /// The program was killed; the system goes on, with everything that was written. What a failed sync left behind is
    /// written by a later one again: that a kernel forgets it, and tells nobody but the process that is gone, is beyond
    /// what a journal can know.
    pub fn survive(&self) {
        let mut inner = self.0.lock().unwrap();
        inner.has_stopped = false;
        inner.changes_left = None;
        for write in inner.inodes.values_mut().flat_map(|inode| &mut inode.pending) {
            write.is_doomed = false;
        }
    }

    /// The power fails: of what was not synced there is nothing, all, the beginning, or any sectors.
    pub fn lose_power(&self, rng: &mut Rng) {
        let mut inner = self.0.lock().unwrap();
        inner.has_stopped = false;
        inner.changes_left = None;
        inner.names_after_cut(rng);
        let Inner { inodes, counts, .. } = &mut *inner;
        for inode in inodes.values_mut() {
            inode.after_cut(rng, counts);
        }
        inner.sweep();
    }
}

impl Inode {
    fn after_cut(&mut self, rng: &mut Rng, counts: &mut Counts) {
        let mut kept = std::mem::take(&mut self.synced);
        let fate = rng.index(4);
        let mut missing = false;
        for write in self.pending.drain(..) {
            let mut arrived = 0;
            let mut at = 0;
            let prefix = rng.index(write.bytes.len() + 1);
            while at < write.bytes.len() {
                let to_border = SECTOR_BYTES - (write.offset + at) % SECTOR_BYTES;
                let end = (at + to_border).min(write.bytes.len());
                let part = match fate {
                    0 => 0,
                    1 if !write.is_doomed => end - at,
                    2 => prefix.saturating_sub(at).min(end - at),
                    _ if rng.chance(500) => end - at,
                    _ => 0,
                };
                if part > 0 {
                    put(&mut kept, write.offset + at, &write.bytes[at..at + part]);
                    counts.reordered += u64::from(missing);
                    missing = false;
                }
                missing |= part < end - at;
                arrived += part;
                at = end;
            }
            match arrived {
                0 => counts.lost += 1,
                some if some < write.bytes.len() => counts.torn += 1,
                _ => {}
            }
        }
        // The length may be noted although the bytes are not there: zeros.
        if kept.len() < self.current.len() && rng.chance(200) {
            kept.resize(self.current.len(), 0);
        }
        self.current.clone_from(&kept);
        self.synced = kept;
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

fn rename(names: &mut BTreeMap<String, u64>, naming: &Naming) {
    match naming {
        Naming::Create(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        Naming::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        Naming::Remove(name) => {
            names.remove(name);
        }
    }
}

impl Inner {
    /// A file system keeps changes of names in order, up to some point, or - some do - any of them.
    fn names_after_cut(&mut self, rng: &mut Rng) {
        let pending = std::mem::take(&mut self.pending);
        let keeps = rng.index(pending.len() + 1);
        let any = rng.chance(300);
        for (index, naming) in pending.iter().enumerate() {
            if if any { rng.chance(500) } else { index < keeps } {
                rename(&mut self.synced, naming);
            } else {
                self.counts.names_lost += 1;
            }
        }
        self.current = self.synced.clone();
    }

    /// Forgets content that no name leads to.
    fn sweep(&mut self) {
        let Self {
            inodes,
            current,
            synced,
            ..
        } = self;
        inodes.retain(|inode, _| {
            current.values().any(|named| named == inode) || synced.values().any(|named| named == inode)
        });
    }

    fn naming(&mut self, naming: Naming) {
        rename(&mut self.current, &naming);
        self.pending.push(naming);
    }

    fn inode(&mut self, name: &str) -> &mut Inode {
        let inode = self.current.get(name).copied().unwrap_or_else(|| {
            self.inode_next += 1;
            self.inodes.insert(self.inode_next, Inode::default());
            self.naming(Naming::Create(name.into(), self.inode_next));
            self.inode_next
        });
        self.inodes.get_mut(&inode).unwrap()
    }

    fn write(&mut self, name: &str, offset: Option<usize>, bytes: &[u8]) {
        self.counts.writes += 1;
        let inode = self.inode(name);
        let offset = offset.unwrap_or(inode.current.len());
        put(&mut inode.current, offset, bytes);
        inode.pending.push(Write {
            offset,
            bytes: bytes.to_vec(),
            is_doomed: false,
        });
    }

    /// Whether a change may be carried out whole. `Err`: it fails; the number says how many of its bytes arrive.
    fn permits(&mut self, bytes: usize, needs_room: bool) -> Result<(), (io::Error, usize)> {
        if self.has_stopped {
            return Err((io::Error::other("the program ended"), 0));
        }
        match self.changes_left {
            Some(0) => {
                self.has_stopped = true;
                return Err((io::Error::other("the program ends"), bytes / 2));
            }
            Some(left) => self.changes_left = Some(left - 1),
            None => {}
        }
        let refused = match self.health {
            Health::Full if needs_room => Some((io::ErrorKind::StorageFull.into(), bytes / 2)),
            Health::ReadOnly => Some((io::ErrorKind::ReadOnlyFilesystem.into(), 0)),
            Health::Good | Health::NoSync | Health::Full => None,
        };
        self.counts.failures += u64::from(refused.is_some());
        refused.map_or(Ok(()), Err)
    }
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().current.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let inner = self.0.lock().unwrap();
        let inode = inner.current.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(inner.inodes[inode].current.clone())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let (permitted, arrive) = match inner.permits(bytes.len(), true) {
            Ok(()) => (Ok(()), bytes.len()),
            Err((error, arrive)) => (Err(error), arrive),
        };
        if arrive > 0 {
            inner.write(name, None, &bytes[..arrive]);
        }
        permitted
    }

    fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        let known = inner.current.get(name).map(|inode| inner.inodes[inode].current.len());
        let needs_room = known.is_none_or(|length| length < offset + bytes.len());
        let (permitted, arrive) = match inner.permits(bytes.len(), needs_room) {
            Ok(()) => (Ok(()), bytes.len()),
            Err((error, arrive)) => (Err(error), arrive),
        };
        if arrive > 0 {
            inner.write(name, Some(offset), &bytes[..arrive]);
        }
        permitted
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.permits(0, false).map_err(|(error, _)| error)?;
        inner.counts.syncs += 1;
        if inner.lies {
            return Ok(());
        }
        let fails = inner.health == Health::NoSync;
        inner.counts.failures += u64::from(fails);
        let inode = inner.inode(name);
        if fails {
            for write in &mut inode.pending {
                write.is_doomed = true;
            }
            return Err(io::Error::other("input/output error"));
        }
        let Inode { synced, pending, .. } = inode;
        let writes = std::mem::take(pending);
        for (index, write) in writes.iter().enumerate() {
            let covers = |later: &Write| {
                !later.is_doomed
                    && later.offset <= write.offset
                    && write.offset + write.bytes.len() <= later.offset + later.bytes.len()
            };
            if !write.is_doomed {
                put(synced, write.offset, &write.bytes);
            } else if !writes[index..].iter().any(covers) {
                pending.push(write.clone());
            }
        }
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.permits(0, false).map_err(|(error, _)| error)?;
        if inner.health == Health::NoSync {
            inner.counts.failures += 1;
            return Err(io::Error::other("input/output error"));
        }
        for naming in std::mem::take(&mut inner.pending) {
            rename(&mut inner.synced, &naming);
        }
        inner.sweep();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.permits(0, false).map_err(|(error, _)| error)?;
        if !inner.current.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.naming(Naming::Rename(from.into(), to.into()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.permits(0, false).map_err(|(error, _)| error)?;
        if !inner.current.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.naming(Naming::Remove(name.into()));
        Ok(())
    }
}
