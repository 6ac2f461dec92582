//! Events set aside: kept with their reason for people to look at, in files of their own.

use std::io;
use std::sync::Arc;

use super::frame::{AsideBody, Entry, Family, Names, Owner, encode, header, scan};
use super::record::{Record, SetAside};
use super::segment;
use super::storage::Storage;
use tonearm_core::id::Seq;

/// A file that has grown beyond this is closed and a new one begun.
const ASIDE_BYTES_MAX: u64 = 128 * 1024;
/// Files kept. Together about a thousand events: a service that refuses more is not understood by looking at each.
const ASIDE_FILES_MAX: usize = 2;
/// Longest reason kept. The service's own texts are a line.
pub const REASON_BYTES_MAX: usize = 512;

/// The files of events set aside.
pub struct Asides {
    storage: Arc<dyn Storage>,
    /// Numbers of the files, oldest first.
    files: Vec<u32>,
    /// Length of the newest file; `None` if the next write begins a new one.
    bytes: Option<u64>,
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
        let scanned = scan(owner(index), &storage.read(&name(index)).unwrap_or_default());
        found.damaged_bytes += scanned.damaged_bytes;
        for entry in scanned.entries {
            if let Entry::Aside(body) = entry {
                found.count = found.count.max(body.count);
                found.items.retain(|item| item.seq.0 != body.seq);
                found.items.push(set_aside(body));
            }
        }
    }
    found
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
    /// Goes on after what is there; always in a new file, so that a torn end is never written to.
    pub fn open(storage: Arc<dyn Storage>, names: &[String], count: u64) -> Self {
        let mut files: Vec<u32> = names.iter().filter_map(|name| parse(name)).collect();
        files.sort_unstable();
        let index_next = files.last().map_or(1, |last| last.saturating_add(1));
        Self {
            storage,
            files,
            bytes: None,
            index_next,
            count,
        }
    }

    /// How many were set aside on this device.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Writes and syncs one event with its reason.
    pub fn write(&mut self, seq: u64, reason: &str, record: Option<&Record>) -> io::Result<()> {
        let written = self.try_write(seq, reason, record);
        if written.is_err() {
            self.bytes = None;
        }
        written
    }

    fn try_write(&mut self, seq: u64, reason: &str, record: Option<&Record>) -> io::Result<()> {
        let begun = self.bytes.filter(|bytes| *bytes < ASIDE_BYTES_MAX);
        let index = match (begun, self.files.last()) {
            (Some(_), Some(last)) => *last,
            _ => self.index_next,
        };
        let mut bytes = if index == self.index_next { header() } else { Vec::new() };
        let body = AsideBody {
            count: self.count.saturating_add(1),
            seq,
            reason: shorten(reason).to_owned(),
            event: record.map(|record| segment::event(record, Names::Own(segment::spell(record)))),
        };
        let _ = encode(owner(index), &Entry::Aside(body), &mut bytes);
        if index == self.index_next {
            self.begin(index, &bytes)?;
        } else {
            self.storage.append(&name(index), &bytes)?;
            self.storage.sync(&name(index))?;
        }
        self.bytes = Some(begun.unwrap_or(0) + bytes.len() as u64);
        self.count = self.count.saturating_add(1);
        while self.files.len() > ASIDE_FILES_MAX {
            let oldest = self.files.remove(0);
            if let Err(error) = self.storage.remove(&name(oldest)) {
                log::warn!("remove {}: {error}", name(oldest));
            }
        }
        Ok(())
    }

    fn begin(&mut self, index: u32, bytes: &[u8]) -> io::Result<()> {
        let begun = self
            .storage
            .append(&name(index), bytes)
            .and_then(|()| self.storage.sync(&name(index)))
            .and_then(|()| self.storage.sync_names());
        if let Err(error) = begun {
            if self.storage.remove(&name(index)).is_err() {
                self.index_next = self.index_next.saturating_add(1);
            }
            return Err(error);
        }
        self.files.push(index);
        self.index_next = self.index_next.saturating_add(1);
        Ok(())
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
        let mut asides = Asides::open(disk.clone(), &[], 0);
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
        let mut asides = Asides::open(disk.clone(), &[], 0);
        for seq in 1..=1500 {
            asides.write(seq, "no", Some(&sample(seq))).unwrap();
        }
        let names = disk.list().unwrap();
        assert_eq!(names.len(), ASIDE_FILES_MAX);
        let found = look(&*disk, &names);
        assert_eq!(found.count, 1500);
        assert_eq!(found.items.last().unwrap().seq, Seq(1500));
        assert!(disk.bytes() < 2 * (ASIDE_BYTES_MAX + 1024));
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
