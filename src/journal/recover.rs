//! What a restart does with the files it finds: reads all of them, copies what is still needed out of damaged ones, and
//! says where the history goes on. It never fails because of what is in a file.

use std::io;
use std::sync::Arc;

use super::aside::{self, Asides};
use super::body::Clock;
use super::checkpoint::{self, Checkpoints};
use super::fold::Folds;
use super::frame::{HEADER_BYTES, VERSION};
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
    /// What was folded.
    pub folds: Folds,
    /// What was found.
    pub recovered: Recovered,
    /// Numbers without an event after `settled`, as inclusive ranges in order.
    pub holes: Vec<(u64, u64)>,
}

/// One segment as found. Its events are not kept: a backlog may be long, and memory is not to grow with it.
pub struct Read {
    /// Its file, number and extent.
    pub segment: Segment,
    /// Bytes in it that cannot be read.
    damaged_bytes: u64,
    /// Bytes at its end that were never synced.
    torn_bytes: u64,
    /// It is whole and of the version that is written.
    continuable: bool,
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
    /// Clocks, the first of each boot.
    pub clocks: Vec<Clock>,
    /// What was folded.
    pub folds: Folds,
    /// Settled and folded as the newest segment alone has it.
    newest_notes: (u64, Folds),
    /// No other segment has a later note.
    newest_says_all: bool,
    /// Numbers without an event after `settled`, and not folded.
    pub holes: Vec<(u64, u64)>,
    /// Numbers that have an event.
    present: Ranges,
    /// The event with the greatest number.
    latest: Option<Record>,
    /// The least number that a segment was begun at.
    begun_first: u64,
    is_settled_known: bool,
}

/// Numbers as inclusive ranges. Few, also for a long backlog.
#[derive(Default)]
struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    fn add(&mut self, seq: u64) {
        match self.0.last_mut() {
            Some((from, to)) if (*from..=*to).contains(&seq) => {}
            Some((_, to)) if to.saturating_add(1) == seq => *to = seq,
            _ => self.0.push((seq, seq)),
        }
    }

    /// Puts them in order.
    fn tidy(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|later, earlier| {
            let touches = later.0 <= earlier.1.saturating_add(1);
            if touches {
                earlier.1 = earlier.1.max(later.1);
            }
            touches
        });
    }

    fn first(&self) -> Option<u64> {
        self.0.first().map(|(from, _)| *from)
    }
}

/// Reads all segments, one after the other. Events set aside (`asides`) count as settled even if the note of it was lost.
pub fn look(storage: &dyn Storage, names: &[String], asides: &aside::Found) -> History {
    let mut history = History {
        next: 1,
        begun_first: u64::MAX,
        ..History::default()
    };
    let mut files: Vec<(u32, u64, &String)> = names
        .iter()
        .filter_map(|name| segment::parse(name).map(|(index, next)| (index, next, name)))
        .collect();
    files.sort_unstable();
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
        history.learn((index, next, name), &contents, bytes);
    }
    history.present.tidy();
    history.newest_says_all = history.newest_notes == (history.settled, history.folds.clone());
    if !history.is_settled_known {
        // Every note is damaged. Segments are removed only when they are settled, so what came before the first is.
        let first = history.present.first().unwrap_or(u64::MAX).min(history.begun_first);
        history.settled = if first == u64::MAX { 0 } else { first.saturating_sub(1) };
    }
    let surplus = history.clocks.len().saturating_sub(CLOCKS_MAX);
    history.clocks.drain(..surplus);
    history.pass_folds();
    for item in &asides.items {
        let is_next = item.seq.0 == history.settled.saturating_add(1);
        let refused = item.record.as_ref().filter(|_| is_next);
        if refused.is_some_and(|refused| history.holds(storage, refused)) {
            history.settled = item.seq.0;
            history.pass_folds();
        }
    }
    history.next = history.next.max(history.settled.saturating_add(1));
    history.holes = history.find_holes();
    history
}

impl History {
    /// Takes in one segment: its number, the next event by its name, its name, its length.
    fn learn(&mut self, (index, next, name): (u32, u64, &String), contents: &Contents, bytes: u64) {
        // The name is believed only where the head is damaged: it has no checksum.
        let begun = contents
            .head
            .as_ref()
            .map_or(next.min(NAMED_NEXT_MAX), |head| head.next);
        self.begun_first = self.begun_first.min(begun);
        self.is_settled_known |= contents.head.is_some() || contents.settled > 0;
        self.settled = self.settled.max(contents.settled);
        self.next = self.next.max(begun).max(contents.last.saturating_add(1));
        self.folds.merge(&contents.folds);
        self.newest_notes = (contents.settled, contents.folds.clone());
        // Events may be folded that never reached the disk; their numbers are used all the same.
        let folded_to = self.folds.newest().iter().map(|fold| fold.to).max();
        self.next = self.next.max(folded_to.map_or(0, |to| to.saturating_add(1)));
        for clock in &contents.clocks {
            if !self.clocks.iter().any(|known| known.boot == clock.boot) {
                self.clocks.push(*clock);
            }
        }
        let (mut first, mut last) = (u64::MAX, 0);
        for record in &contents.records {
            (first, last) = (first.min(record.seq.0), last.max(record.seq.0));
            self.present.add(record.seq.0);
        }
        let is_later = |record: &&Record| self.latest.as_ref().is_none_or(|latest| latest.seq <= record.seq);
        if let Some(latest) = contents.records.iter().filter(is_later).max_by_key(|record| record.seq) {
            self.latest = Some(latest.clone());
        }
        let is_whole = contents.head.is_some() && contents.damaged_bytes == 0 && contents.torn_bytes == 0;
        self.reads.push(Read {
            segment: Segment {
                name: name.clone(),
                index,
                first,
                last,
                bytes,
            },
            damaged_bytes: contents.damaged_bytes,
            torn_bytes: contents.torn_bytes,
            continuable: is_whole && contents.version == Some(VERSION),
        });
    }

    /// What was folded needs nobody's word.
    fn pass_folds(&mut self) {
        while let Some(end) = self.folds.end_of(self.settled.saturating_add(1)) {
            self.settled = end;
        }
    }

    /// The newest event.
    pub fn newest(&self) -> Option<&Record> {
        self.latest.as_ref().filter(|record| record.seq.next().0 == self.next)
    }

    /// Events that are to be reported, in order, each once. Reads all segments again.
    pub fn records(&self, storage: &dyn Storage) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        for read in &self.reads {
            let found = segment::load(storage, &read.segment).records;
            let waits = |record: &Record| record.seq.0 > self.settled && self.folds.end_of(record.seq.0).is_none();
            records.extend(found.into_iter().filter(waits));
        }
        records.sort_by_key(|record| record.seq);
        records.dedup_by_key(|record| record.seq);
        records
    }

    /// Whether the event is in a segment.
    fn holds(&self, storage: &dyn Storage, event: &Record) -> bool {
        let candidates = self.reads.iter().map(|read| &read.segment);
        candidates
            .filter(|segment| segment.may_hold(event.seq.0))
            .any(|segment| {
                segment::load(storage, segment)
                    .records
                    .iter()
                    .any(|record| record.is_same_event(event))
            })
    }

    /// Events that are to be reported.
    pub fn waiting(&self) -> u64 {
        self.next
            .saturating_sub(1)
            .saturating_sub(self.settled)
            .saturating_sub(self.lost())
            .saturating_sub(self.folds.after(self.settled))
    }

    /// Numbers whose event is lost.
    pub fn lost(&self) -> u64 {
        self.holes.iter().map(|(from, to)| to - from + 1).sum()
    }

    fn find_holes(&self) -> Vec<(u64, u64)> {
        let folded = self.folds.newest().iter().map(|fold| (fold.from, fold.to));
        let mut known = Ranges(self.present.0.iter().copied().chain(folded).collect());
        known.tidy();
        let mut holes = Vec::new();
        let mut expected = self.settled.saturating_add(1);
        for (from, to) in known.0.into_iter().chain([(self.next, self.next)]) {
            if from > expected {
                holes.push((expected, from - 1));
            }
            expected = expected.max(to.saturating_add(1));
        }
        holes
    }
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
    let lost = history.lost();
    let open = open(&**storage, &history);
    let mut segments = segments(storage, &names, &history, is_synced);
    // Only what the newest segment says by itself survives when older ones are removed; the rest is noted there first.
    let (noted, folds_noted) = history.newest_notes.clone();
    segments.restore(history.next, noted, history.clocks.clone(), folds_noted);
    let quarantined = quarantine(storage, &names, &history, lost, &mut segments);
    if history.newest_says_all {
        segments.forget();
    }
    let recovered = Recovered {
        next: Seq(history.next),
        settled: Seq(history.settled),
        open,
        waiting: history.waiting(),
        set_aside: asides.count,
        lost,
        folded: history.folds.pairs(),
        quarantined,
    };
    Ok(Restart {
        segments,
        folds: history.folds,
        asides: Asides::open(Arc::clone(storage), &asides),
        checkpoints: Checkpoints::open(Arc::clone(storage)),
        recovered,
        holes: history.holes,
    })
}

/// Makes what was read durable. A process that was killed between write and sync leaves bytes that are readable but
/// would not survive a power cut, and what is decided now builds on them. Says whether that worked.
fn settle_down(storage: &dyn Storage, history: &History, asides: &aside::Found) -> bool {
    let segments = history.reads.iter().map(|read| read.segment.name.clone());
    let synced: io::Result<()> = segments.chain(asides.names()).try_for_each(|name| storage.sync(&name));
    let synced = synced.and_then(|()| storage.sync_names());
    if let Err(error) = &synced
        && error.kind() != io::ErrorKind::ReadOnlyFilesystem
    {
        log::warn!("sync the journal: {error}");
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

fn segments(storage: &Arc<dyn Storage>, names: &[String], history: &History, is_synced: bool) -> Segments {
    let row: Vec<Segment> = history.reads.iter().map(|read| read.segment.clone()).collect();
    let damaged = names.iter().filter_map(|name| name.strip_suffix(DAMAGED));
    let indices = names
        .iter()
        .map(String::as_str)
        .chain(damaged)
        .filter_map(segment::parse)
        .map(|(index, _)| index);
    let index_next = indices.max().map_or(1, |index| index.saturating_add(1));
    // What could not be synced may be gone after a power cut, and nothing must stand behind it.
    let active = history.reads.last().is_some_and(|read| {
        is_synced && read.continuable && (HEADER_BYTES as u64..SEGMENT_BYTES_MAX).contains(&read.segment.bytes)
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
        read.damaged_bytes > 0 || (lost > 0 && *at < end && read.torn_bytes > 0)
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
        let name = &read.segment.name;
        let is_waiting =
            |record: &Record| record.seq.0 > history.settled && history.folds.end_of(record.seq.0).is_none();
        let is_needed = |record: &Record| is_waiting(record) || record.seq.next().0 == history.next;
        let found = segment::load(&**storage, &read.segment).records;
        let events: Vec<Arc<Record>> = found.into_iter().filter(is_needed).map(Arc::new).collect();
        let mut report = Quarantined {
            file: name.clone(),
            bytes: read.damaged_bytes + read.torn_bytes,
            rescued: events.len() as u64,
        };
        let batch = Batch {
            events,
            settled: history.settled,
            folds: Some(history.folds.clone()),
            ..Batch::default()
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
