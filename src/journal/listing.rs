//! The journal as people and scripts look at it (`tonearm journal`). Reads only: a running speaker is not disturbed.

use std::fmt;
use std::path::Path;

use serde_json::{Value, json};

use super::aside;
use super::fold::Fold;
use super::record::{Record, SetAside, ZONE_UNKNOWN};
use super::recover::{look, resolve_wall};
use super::storage::{Folder, Storage};
use super::worker::JournalError;
use tonearm_core::event::{StopReason, What};

/// A file may vanish while it is looked at, because the speaker needs it no more; then everything is looked at again.
const LOOKS_MAX: usize = 3;

/// What is in a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Events to be reported, in order.
    pub waiting: Vec<Record>,
    /// Events set aside that are still kept, oldest first.
    pub set_aside: Vec<SetAside>,
    /// Events set aside since the device was new.
    pub set_aside_total: u64,
    /// Events that are missing from the waiting ones.
    pub lost: u64,
    /// Number of the next event.
    pub next: u64,
    /// All events up to this number are settled.
    pub settled: u64,
    /// Pairs that were folded away for want of room since the device was new.
    pub folded_pairs: u64,
    /// The newest folds.
    pub folds: Vec<Fold>,
    /// Damaged files that were put out of the way.
    pub damaged: Vec<String>,
}

/// Looks at the journal in `dir`. A folder that does not exist is an error: it is the wrong one, or nothing ever played.
pub fn list(dir: &Path) -> Result<Listing, JournalError> {
    let folder = Folder::look(dir);
    let error = |source| JournalError::Folder {
        path: dir.to_owned(),
        source,
    };
    let mut listing = Listing::default();
    for _ in 0..LOOKS_MAX {
        let names = folder.list().map_err(error)?;
        listing = list_files(&folder, &names);
        let again = folder.list().map_err(error)?;
        if names.iter().all(|name| again.contains(name)) {
            break;
        }
    }
    Ok(listing)
}

fn list_files(storage: &dyn Storage, names: &[String]) -> Listing {
    let asides = aside::look(storage, names);
    let history = look(storage, names, &asides);
    let mut waiting = history.records(storage);
    for record in &mut waiting {
        resolve_wall(record, &history.clocks);
    }
    Listing {
        waiting,
        set_aside: asides.items,
        set_aside_total: asides.count,
        lost: history.lost(),
        next: history.next,
        settled: history.settled,
        folded_pairs: history.folds.pairs(),
        folds: history.folds.newest().to_vec(),
        damaged: names
            .iter()
            .filter(|name| name.ends_with(".damaged"))
            .cloned()
            .collect(),
    }
}

impl Listing {
    /// For scripts.
    pub fn to_json(&self) -> Value {
        let set_aside: Vec<Value> = self
            .set_aside
            .iter()
            .map(|item| {
                let event = item.record.as_ref().map(event_json);
                json!({ "seq": item.seq.0, "reason": item.reason, "event": event })
            })
            .collect();
        json!({
            "waiting": self.waiting.iter().map(event_json).collect::<Vec<_>>(),
            "set_aside": set_aside,
            "set_aside_total": self.set_aside_total,
            "lost": self.lost,
            "next": self.next,
            "settled": self.settled,
            "folded_pairs": self.folded_pairs,
            "folds": self.folds.iter().map(fold_json).collect::<Vec<_>>(),
            "damaged": self.damaged,
        })
    }
}

fn fold_json(fold: &Fold) -> Value {
    json!({ "from": fold.from, "to": fold.to, "pairs": fold.pairs })
}

fn event_json(record: &Record) -> Value {
    let mut event = json!({
        "seq": record.seq.0,
        "at_ms": record.at.0,
        "wall_ms": record.wall_ms,
        "zone_minutes": Some(record.zone_minutes).filter(|minutes| *minutes != ZONE_UNKNOWN),
        "session": record.session,
        "reference": record.reference,
        "metric_id": record.metric_id,
        "initial_delay_ms": record.initial_delay.0,
    });
    let what = match record.what {
        What::Start { offset } => json!({ "type": "start", "offset_ms": offset.0 }),
        What::Stop {
            reason,
            played,
            progress,
            rebuffers,
        } => json!({
            "type": "stop",
            "reason": reason_text(reason),
            "played_ms": played.0,
            "progress_ms": progress.0,
            "rebuffers": rebuffers,
        }),
    };
    if let (Value::Object(event), Value::Object(what)) = (&mut event, what) {
        event.extend(what);
    }
    event
}

fn reason_text(reason: StopReason) -> &'static str {
    match reason {
        StopReason::TrackFinished => "trackFinished",
        StopReason::UserStop => "userStop",
        StopReason::UserNext => "userNext",
        StopReason::UserPrev => "userPrev",
        StopReason::TrackScrub => "trackScrub",
        StopReason::SystemStop => "systemStop",
    }
}

/// For people: one line per event.
impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "waiting to be reported: {}", self.waiting.len())?;
        for record in &self.waiting {
            writeln!(f, "  {}", Line(record))?;
        }
        writeln!(f, "set aside: {}", self.set_aside_total)?;
        let older = self.set_aside_total.saturating_sub(self.set_aside.len() as u64);
        if older > 0 {
            writeln!(f, "  ({older} older ones are no longer kept)")?;
        }
        for item in &self.set_aside {
            match &item.record {
                Some(record) => writeln!(f, "  {}: {}", Line(record), item.reason)?,
                None => writeln!(f, "  {} (lost): {}", item.seq.0, item.reason)?,
            }
        }
        if self.lost > 0 {
            writeln!(f, "lost to damage: {}", self.lost)?;
        }
        if self.folded_pairs > 0 {
            writeln!(
                f,
                "let go for want of room: {} pairs of start and stop",
                self.folded_pairs
            )?;
        }
        for fold in &self.folds {
            writeln!(f, "  {} to {}: {} pairs", fold.from, fold.to, fold.pairs)?;
        }
        for file in &self.damaged {
            writeln!(f, "damaged file: {file}")?;
        }
        Ok(())
    }
}

struct Line<'a>(&'a Record);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        write!(f, "{} ", record.seq.0)?;
        match record.wall_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()) {
            Some(time) => write!(f, "{time:.0}")?,
            None => write!(f, "{} s after start-up (clock not known)", record.at.0 / 1000)?,
        }
        match record.what {
            What::Start { offset } => write!(f, " start at {} s", offset.0 / 1000)?,
            What::Stop {
                reason,
                played,
                progress,
                ..
            } => {
                write!(
                    f,
                    " stop at {} s, played {} s, {}",
                    progress.0 / 1000,
                    played.0 / 1000,
                    reason_text(reason)
                )?;
            }
        }
        write!(f, " {}", record.reference)
    }
}
