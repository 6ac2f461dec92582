//! What a restart does with the files it finds: reads all of them, copies what is still needed out of damaged ones, and
//! says where the history goes on. It never fails because of what is in a file.

use std::io;
use std::sync::Arc;

use super::aside::{self, Asides};
use super::checkpoint::{self, Checkpoints};
use super::frame::{Clock, HEADER_BYTES};
use super::record::{Open, Quarantined, Record, Recovered};
use super::segment::{self, Contents};
use super::segments::{Batch, CLOCKS_MAX, SEGMENT_BYTES_MAX, Segment, Segments};
use super::storage::Storage;
use tonearm_core::event::What;
use tonearm_core::id::Seq;

/// Damaged files kept for people to look at.
const DAMAGED_FILES_MAX: usize = 8;
/// A greater number in the name of a damaged segment is not ours: no speaker lives to make so many events.
const NAMED_NEXT_MAX: u64 = 1 << 32;
const DAMAGED: &str = ".damaged";

/// Everything needed to go on.
pub struct Restart {
    /// Where events go.
    pub segments: Segments,
    /// Where events set aside go.
    pub asides: Asides,
    /// Where checkpoints go.
    pub checkpoints: Checkpoints,
    /// What was found.
    pub recovered: Recovered,
    /// Numbers without an event after `settled`, as inclusive ranges in order.
    pub holes: Vec<(u64, u64)>,
}

/// One segment as found.
pub struct Read {
    /// Its file, number and extent.
    pub segment: Segment,
    /// What it says.
    pub contents: Contents,
}

/// What all segments say together.
#[derive(Default)]
pub struct History {
    /// Segments in order of their numbers.
    pub reads: Vec<Read>,
    /// Number of the next event.
    pub next: u64,
    /// All events up to here are settled.
    pub settled: u64,
    /// All events up to here are settled according to the segments; those set aside beyond it are still to be noted.
    pub noted: u64,
    /// Clocks, the first of each boot.
    pub clocks: Vec<Clock>,
    /// Numbers without an event after `settled`.
    pub holes: Vec<(u64, u64)>,
}

/// Reads all segments. Events set aside (`asides`) count as settled even if the note of it was lost.
pub fn look(storage: &dyn Storage, names: &[String], asides: &aside::Found) -> History {
    let mut history = History {
        next: 1,
        ..History::default()
    };
    let mut files: Vec<(u32, u64, &String)> = names
        .iter()
        .filter_map(|name| segment::parse(name).map(|(index, next)| (index, next, name)))
        .collect();
    files.sort_unstable();
    let (mut begun_first, mut is_settled_known) = (u64::MAX, false);
    for (index, next, name) in files {
        let (contents, bytes) = match storage.read(name) {
            Ok(bytes) => (segment::read(index, &bytes), bytes.len() as u64),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                log::error!("read journal segment {name}: {error}");
                (
                    Contents {
                        damaged_bytes: 1,
                        ..Contents::default()
                    },
                    0,
                )
            }
        };
        // The name is believed only where the head is damaged: it has no checksum.
        let begun = contents
            .head
            .as_ref()
            .map_or(next.min(NAMED_NEXT_MAX), |head| head.next);
        begun_first = begun_first.min(begun);
        is_settled_known |= contents.head.is_some() || contents.settled > 0;
        history.settled = history.settled.max(contents.settled);
        history.next = history.next.max(begun).max(contents.last.saturating_add(1));
        for clock in &contents.clocks {
            if !history.clocks.iter().any(|known| known.boot == clock.boot) {
                history.clocks.push(*clock);
            }
        }
        let (mut first, mut last) = (u64::MAX, 0);
        for record in &contents.records {
            (first, last) = (first.min(record.seq.0), last.max(record.seq.0));
        }
        let segment = Segment {
            name: name.clone(),
            index,
            first,
            last,
            bytes,
        };
        history.reads.push(Read { segment, contents });
    }
    if !is_settled_known {
        // Every note is damaged. Segments are removed only when they are settled, so what came before the first is.
        let present = history.records().map(|record| record.seq.0).min().unwrap_or(u64::MAX);
        let first = present.min(begun_first);
        history.settled = if first == u64::MAX { 0 } else { first.saturating_sub(1) };
    }
    let surplus = history.clocks.len().saturating_sub(CLOCKS_MAX);
    history.clocks.drain(..surplus);
    history.noted = history.settled;
    for item in &asides.items {
        let is_next = item.seq.0 == history.settled.saturating_add(1);
        let refused = item.record.as_ref().filter(|_| is_next);
        if refused.is_some_and(|refused| history.records().any(|record| record.is_same_event(refused))) {
            history.settled = item.seq.0;
        }
    }
    history.next = history.next.max(history.settled.saturating_add(1));
    history.holes = holes(&history);
    history
}

impl History {
    /// The newest event.
    pub fn newest(&self) -> Option<&Record> {
        self.records().filter(|record| record.seq.next().0 == self.next).last()
    }

    /// All events, in the order of the files; an event may be there twice.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.reads.iter().flat_map(|read| &read.contents.records)
    }

    /// Events that are to be reported.
    pub fn waiting(&self) -> u64 {
        let lost: u64 = self.holes.iter().map(|(from, to)| to - from + 1).sum();
        self.next
            .saturating_sub(1)
            .saturating_sub(self.settled)
            .saturating_sub(lost)
    }
}

fn holes(history: &History) -> Vec<(u64, u64)> {
    let mut present: Vec<u64> = history
        .records()
        .map(|record| record.seq.0)
        .filter(|seq| *seq > history.settled)
        .collect();
    present.push(history.next);
    present.sort_unstable();
    let mut holes = Vec::new();
    let mut expected = history.settled.saturating_add(1);
    for seq in present {
        if seq > expected {
            holes.push((expected, seq - 1));
        }
        expected = expected.max(seq.saturating_add(1));
    }
    holes
}

/// Recovers the journal in `storage`. Only a folder that cannot be listed is an error.
pub fn restart(storage: &Arc<dyn Storage>) -> io::Result<Restart> {
    let names = storage.list()?;
    let asides = aside::look(&**storage, &names);
    if asides.damaged_bytes > 0 {
        log::warn!(
            "{} bytes of the events set aside are damaged; the rest is kept",
            asides.damaged_bytes
        );
    }
    let history = look(&**storage, &names, &asides);
    let is_synced = settle_down(&**storage, &history, &asides);
    let lost: u64 = history.holes.iter().map(|(from, to)| to - from + 1).sum();
    let open = open(&**storage, &history);
    let mut segments = segments(storage, &names, &history);
    segments.restore(history.next, history.noted, history.clocks.clone());
    if !is_synced {
        // Not even the name of the last segment may survive: what is written from here on goes to a new one.
        segments.close();
    }
    let quarantined = quarantine(storage, &names, &history, lost, &mut segments);
    segments.forget();
    let recovered = Recovered {
        next: Seq(history.next),
        settled: Seq(history.settled),
        open,
        waiting: history.waiting(),
        set_aside: asides.count,
        lost,
        quarantined,
    };
    Ok(Restart {
        segments,
        asides: Asides::open(Arc::clone(storage), &asides),
        checkpoints: Checkpoints::open(Arc::clone(storage)),
        recovered,
        holes: history.holes,
    })
}

/// Makes what was read durable. A process that was killed between write and sync leaves bytes that are readable but
/// would not survive a power cut, and what is decided now builds on them. Returns whether that worked.
fn settle_down(storage: &dyn Storage, history: &History, asides: &aside::Found) -> bool {
    let segments = history.reads.iter().map(|read| read.segment.name.clone());
    let synced: io::Result<()> = segments.chain(asides.names()).try_for_each(|name| storage.sync(&name));
    let synced = synced.and_then(|()| storage.sync_names());
    match &synced {
        Err(error) if error.kind() != io::ErrorKind::ReadOnlyFilesystem => log::warn!("sync the journal: {error}"),
        Ok(()) | Err(_) => {}
    }
    synced.is_ok()
}

/// The newest event, if it is a start.
fn open(storage: &dyn Storage, history: &History) -> Option<Open> {
    let mut start = history.newest()?.clone();
    match start.what {
        What::Start { .. } => {}
        What::Stop { .. } => return None,
    }
    resolve_wall(&mut start, &history.clocks);
    let checkpoint = checkpoint::look(storage)
        .filter(|(of, _)| *of == start.seq.0)
        .map(|(_, checkpoint)| checkpoint);
    Some(Open { start, checkpoint })
}

/// Fills in what time it was, if the clock of the event's boot is known by now.
pub fn resolve_wall(record: &mut Record, clocks: &[Clock]) {
    if record.wall_ms.is_none()
        && let Some(clock) = clocks.iter().find(|clock| clock.boot == record.boot)
    {
        record.wall_ms = i64::try_from(record.at.0)
            .ok()
            .map(|at_ms| clock.epoch_ms.saturating_add(at_ms));
    }
}

fn segments(storage: &Arc<dyn Storage>, names: &[String], history: &History) -> Segments {
    let row: Vec<Segment> = history.reads.iter().map(|read| read.segment.clone()).collect();
    let damaged = names.iter().filter_map(|name| name.strip_suffix(DAMAGED));
    let indices = names
        .iter()
        .map(String::as_str)
        .chain(damaged)
        .filter_map(segment::parse)
        .map(|(index, _)| index);
    let index_next = indices.max().map_or(1, |index| index.saturating_add(1));
    let active = history.reads.last().is_some_and(|read| {
        let intact = read.contents.head.is_some() && read.contents.damaged_bytes == 0 && read.contents.torn_bytes == 0;
        // After failed syncs the newest note may stand in a segment before the last; that one is removed once the last, or
        // a new one, repeats it.
        let knows_all = read.contents.settled >= history.noted && read.contents.clocks.len() >= history.clocks.len();
        intact && knows_all && (HEADER_BYTES as u64..SEGMENT_BYTES_MAX).contains(&read.segment.bytes)
    });
    Segments::new(Arc::clone(storage), row, active, index_next)
}

/// Copies what is still needed out of damaged segments, then renames them.
fn quarantine(
    storage: &Arc<dyn Storage>,
    names: &[String],
    history: &History,
    lost: u64,
    segments: &mut Segments,
) -> Vec<Quarantined> {
    let end = history.reads.len().saturating_sub(1);
    let is_damaged = |(at, read): &(usize, &Read)| {
        // A torn end is normal; where events are missing it may be more than that.
        read.contents.damaged_bytes > 0 || (lost > 0 && *at < end && read.contents.torn_bytes > 0)
    };
    let damaged: Vec<&Read> = history
        .reads
        .iter()
        .enumerate()
        .filter(is_damaged)
        .map(|(_, read)| read)
        .collect();
    if !damaged.is_empty() {
        // The head of a new segment repeats what is known; the only other note of it may be in a damaged file.
        segments.close();
    }
    let mut quarantined = Vec::new();
    for read in damaged {
        let is_needed = |record: &&Record| record.seq.0 > history.settled || record.seq.next().0 == history.next;
        let events: Vec<Arc<Record>> = read
            .contents
            .records
            .iter()
            .filter(is_needed)
            .map(|record| Arc::new(record.clone()))
            .collect();
        let name = &read.segment.name;
        let mut report = Quarantined {
            file: name.clone(),
            bytes: read.contents.damaged_bytes + read.contents.torn_bytes,
            rescued: events.len() as u64,
        };
        let batch = Batch {
            events,
            settled: history.settled,
            clocks: Vec::new(),
        };
        let moved = segments
            .write(&batch)
            .and_then(|()| storage.rename(name, &format!("{name}{DAMAGED}")));
        match moved {
            Ok(()) => {
                segments.leave_out(name);
                report.file = format!("{name}{DAMAGED}");
            }
            Err(error) => log::error!("put damaged journal segment {name} aside: {error}"),
        }
        log::error!(
            "journal segment {}: {} damaged bytes, {} events kept",
            report.file,
            report.bytes,
            report.rescued
        );
        quarantined.push(report);
    }
    if !quarantined.is_empty() {
        prune(&**storage, names);
        if let Err(error) = storage.sync_names() {
            log::warn!("sync journal folder: {error}");
        }
    }
    quarantined
}

/// Removes the oldest damaged files.
fn prune(storage: &dyn Storage, names: &[String]) {
    let mut damaged: Vec<&String> = names.iter().filter(|name| name.ends_with(DAMAGED)).collect();
    damaged.sort_unstable();
    for name in damaged.iter().rev().skip(DAMAGED_FILES_MAX) {
        if let Err(error) = storage.remove(name) {
            log::warn!("remove {name}: {error}");
        }
    }
}
