//! Events set aside: kept with their reason for people to look at, in files of their own.

use std::io;
use std::sync::Arc;

use super::body::{AsideBody, Entry, Names};
use super::frame::{Family, Owner, VERSION, encode, header, scan};
use super::record::{Record, SetAside};
use super::segment;
use super::storage::Storage;
use tonearm_core::id::Seq;

/// A file that has grown beyond this is closed and a new one begun.
const ASIDE_BYTES_MAX: u64 = 128 * 1024;
/// All files together; beyond this the oldest goes. About a thousand events: a service that refuses more is not
/// understood by looking at each.
const ASIDE_BYTES_TOTAL: u64 = 2 * ASIDE_BYTES_MAX;
/// Longest reason kept. The service's own texts are a line.
pub const REASON_BYTES_MAX: usize = 512;

/// The files of events set aside.
pub struct Asides {
    storage: Arc<dyn Storage>,
    /// Numbers and lengths of the files, oldest first.
    files: Vec<(u32, u64)>,
    /// Whether the newest file is intact and may be continued.
    active: bool,
    index_next: u32,
    count: u64,
}

/// What was found in the files.
#[derive(Debug, Default)]
pub struct Found {
    /// How many were set aside on this device.
    pub count: u64,
    /// Those still in the files, oldest first, each event once.
    pub items: Vec<SetAside>,
    /// Bytes that cannot be read.
    pub damaged_bytes: u64,
    /// Numbers and lengths of the files, oldest first.
    files: Vec<(u32, u64)>,
    /// Whether the newest file is intact to its end.
    intact: bool,
}

impl Found {
    /// Names of the files.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.files.iter().map(|(index, _)| name(*index))
    }
}

fn name(index: u32) -> String {
    format!("aside-{index:08x}.log")
}

fn parse(name: &str) -> Option<u32> {
    let index = name.strip_prefix("aside-")?.strip_suffix(".log")?;
    if index.len() == 8 {
        u32::from_str_radix(index, 16).ok()
    } else {
        None
    }
}

fn owner(index: u32) -> Owner {
    Owner {
        family: Family::Aside,
        index,
    }
}

/// Reads all files of events set aside; one that is unreadable or vanishes meanwhile counts as empty.
pub fn look(storage: &dyn Storage, names: &[String]) -> Found {
    let mut found = Found::default();
    let mut files: Vec<u32> = names.iter().filter_map(|name| parse(name)).collect();
    files.sort_unstable();
    for index in files {
        let bytes = storage.read(&name(index)).unwrap_or_default();
        let scanned = scan(owner(index), &bytes);
        found.files.push((index, bytes.len() as u64));
        found.intact = (scanned.version, scanned.damaged_bytes, scanned.torn_bytes) == (Some(VERSION), 0, 0);
        found.damaged_bytes += scanned.damaged_bytes;
        for entry in scanned.entries {
            if let Entry::Aside(body) = entry {
                found.count = found.count.max(body.count);
                let item = set_aside(body);
                found.items.retain(|known| !is_same(known, &item));
                found.items.push(item);
            }
        }
    }
    found
}

/// Whether an event was set aside twice, because a power cut came between the reason and the settlement.
fn is_same(known: &SetAside, item: &SetAside) -> bool {
    match (&known.record, &item.record) {
        (Some(known), Some(item)) => known.is_same_event(item),
        (None, None) => known.seq == item.seq,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn set_aside(body: AsideBody) -> SetAside {
    let record = body.event.and_then(|event| match event.names.clone() {
        Names::Own(spelled) => Some(segment::record(&event, spelled)),
        Names::Of(_) => None,
    });
    SetAside {
        seq: Seq(body.seq),
        reason: body.reason,
        record,
    }
}

impl Asides {
    /// Goes on after what was found.
    pub fn open(storage: Arc<dyn Storage>, found: &Found) -> Self {
        let index_next = found.files.last().map_or(1, |(last, _)| last.saturating_add(1));
        Self {
            storage,
            files: found.files.clone(),
            active: found.intact,
            index_next,
            count: found.count,
        }
    }

    /// Writes and syncs one event with its reason.
    pub fn write(&mut self, seq: u64, reason: &str, record: Option<&Record>) -> io::Result<()> {
        let written = self.try_write(seq, reason, record);
        if written.is_err() {
            self.active = false;
        }
        written
    }

    fn try_write(&mut self, seq: u64, reason: &str, record: Option<&Record>) -> io::Result<()> {
        let body = AsideBody {
            count: self.count.saturating_add(1),
            seq,
            reason: shorten(reason).to_owned(),
            event: record.map(|record| segment::event(record, Names::Own(segment::spell(record)))),
        };
        let entry = Entry::Aside(body);
        match self
            .files
            .last_mut()
            .filter(|(_, length)| self.active && *length < ASIDE_BYTES_MAX)
        {
            Some((index, length)) => {
                let mut bytes = Vec::new();
                let _ = encode(owner(*index), &entry, &mut bytes);
                *length += bytes.len() as u64;
                self.storage.append(&name(*index), &bytes)?;
                self.storage.sync(&name(*index))?;
            }
            None => self.begin(&entry)?,
        }
        self.count = self.count.saturating_add(1);
        self.prune();
        Ok(())
    }

    /// Begins a file with one entry.
    fn begin(&mut self, entry: &Entry) -> io::Result<()> {
        let index = self.index_next;
        let mut bytes = header();
        let _ = encode(owner(index), entry, &mut bytes);
        let begun = self
            .storage
            .append(&name(index), &bytes)
            .and_then(|()| self.storage.sync(&name(index)))
            .and_then(|()| self.storage.sync_names());
        if let Err(error) = begun {
            if self.storage.remove(&name(index)).is_err() {
                self.index_next = self.index_next.saturating_add(1);
            }
            return Err(error);
        }
        self.files.push((index, bytes.len() as u64));
        self.index_next = self.index_next.saturating_add(1);
        self.active = true;
        Ok(())
    }

    fn prune(&mut self) {
        while self.files.len() > 1 && self.files.iter().map(|(_, length)| length).sum::<u64>() > ASIDE_BYTES_TOTAL {
            let (oldest, _) = self.files.remove(0);
            if let Err(error) = self.storage.remove(&name(oldest)) {
                log::warn!("remove {}: {error}", name(oldest));
            }
        }
    }
}

/// The beginning of a reason that is too long.
fn shorten(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::faulty::Disk;
    use super::super::record::tests::sample;
    use super::*;

    #[test]
    fn what_is_set_aside_is_found_with_its_reason() {
        let disk = Arc::new(Disk::default());
        let mut asides = Asides::open(disk.clone(), &Found::default());
        asides.write(2, "400: metricId unknown", Some(&sample(2))).unwrap();
        asides.write(3, "damaged on disk", None).unwrap();
        let found = look(&*disk, &disk.list().unwrap());
        assert_eq!(found.count, 2);
        assert_eq!(found.items[0].reason, "400: metricId unknown");
        assert_eq!(found.items[0].record, Some(sample(2)));
        assert_eq!(found.items[1].record, None);
    }

    #[test]
    fn only_the_newest_files_are_kept_and_the_count_goes_on() {
        let disk = Arc::new(Disk::default());
        let mut asides = Asides::open(disk.clone(), &Found::default());
        for seq in 1..=1500 {
            asides.write(seq, "no", Some(&sample(seq))).unwrap();
        }
        let names = disk.list().unwrap();
        let found = look(&*disk, &names);
        assert_eq!(found.count, 1500);
        assert_eq!(found.items.last().unwrap().seq, Seq(1500));
        assert!((ASIDE_BYTES_MAX..=ASIDE_BYTES_TOTAL).contains(&disk.bytes()));
    }

    #[test]
    fn restarts_cost_no_reasons() {
        let disk = Arc::new(Disk::default());
        for seq in 1..=20 {
            let found = look(&*disk, &disk.list().unwrap());
            Asides::open(disk.clone(), &found)
                .write(seq, "no", Some(&sample(seq)))
                .unwrap();
        }
        let names = disk.list().unwrap();
        assert_eq!((names.len(), look(&*disk, &names).items.len()), (1, 20));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(shorten(&"ä".repeat(REASON_BYTES_MAX)).len(), REASON_BYTES_MAX);
        assert_eq!(
            shorten(&format!("x{}", "ä".repeat(REASON_BYTES_MAX))).len(),
            REASON_BYTES_MAX - 1
        );
    }
}
