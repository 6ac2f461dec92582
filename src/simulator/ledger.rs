//! Everything that was asked, reported and found, in order: in memory for questions, one JSON line each on disk.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clock::Clock;
use super::judge::{Code, Violation};

/// Records kept in memory; older ones are only in the file. Some days of a speaker.
const RECORDS_MAX: usize = 50_000;
/// A file larger than this is set aside at the next start, so that it does not grow for ever.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Name of the file in the state folder.
const FILE: &str = "ledger.jsonl";
/// Name of a file that was set aside; the one before is lost.
const FILE_OLD: &str = "ledger.old.jsonl";

/// One line of the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Place in the ledger, from 1, also across restarts.
    pub n: u64,
    /// Wall clock, epoch milliseconds.
    pub wall_ms: i64,
    /// Milliseconds since the machine started.
    pub mono_ms: i64,
    /// Session it belongs to, where it belongs to one.
    pub session: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// Sorts of records.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// A request, when it was answered (with a fault: when it came).
    Request {
        /// HTTP method.
        method: String,
        /// Path with its query.
        path: String,
        /// Status of the answer; `None` where a fault leaves it without one.
        status: Option<u16>,
        /// `X-Amzn-Device-Id`.
        device: Option<String>,
        /// `Range`, for media.
        range: Option<String>,
        /// Name of the fault that met it.
        fault: Option<String>,
    },
    /// A playback event, with its whole body.
    Event {
        /// What became of it.
        outcome: Outcome,
        /// `entityReferenceId` of its entry, if it is known.
        entry: Option<String>,
        /// It is the first start of its entry.
        first: bool,
        /// It is the stop that closes a start.
        pair: bool,
        /// The body as it came; a string if it is no JSON.
        body: Value,
    },
    /// Something against the contract.
    Violation(Violation),
}

impl What {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Request { .. } => "request",
            Self::Event { .. } => "event",
            Self::Violation(_) => "violation",
        }
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Taken in.
    Accepted,
    /// The same bytes as the event before it: its answer was lost. Taken once.
    Repeat,
    /// Answered with an error for good.
    Refused,
    /// Answered with the loss of the stream. It happened all the same: the client may repeat it, which is accepted, or
    /// set it aside.
    Displaced,
}

/// The ledger in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Entries that sounded: each counts once, however often it was resumed.
    pub tracks: u64,
    /// Events taken in, repeats not counted.
    pub events: u64,
    /// Starts whose stop was reported.
    pub pairs: u64,
    /// Events that came again because their answer was lost.
    pub repeats: u64,
    /// Events that were refused.
    pub refused: u64,
    /// Answers to events that told of the loss of the stream.
    pub displaced: u64,
    /// Requests, events and media included.
    pub requests: u64,
    /// Findings against the contract.
    pub violations: u64,
}

impl Report {
    fn count(&mut self, what: &What) {
        let place = match what {
            What::Request { .. } => &mut self.requests,
            What::Violation(_) => &mut self.violations,
            What::Event {
                outcome, first, pair, ..
            } => {
                self.tracks = self.tracks.saturating_add(u64::from(*first));
                self.pairs = self.pairs.saturating_add(u64::from(*pair));
                match outcome {
                    Outcome::Accepted => &mut self.events,
                    Outcome::Repeat => &mut self.repeats,
                    Outcome::Refused => &mut self.refused,
                    Outcome::Displaced => &mut self.displaced,
                }
            }
        };
        *place = place.saturating_add(1);
    }
}

/// Why there is no ledger file.
#[derive(Debug, thiserror::Error)]
#[error("open ledger {path}: {source}")]
pub struct LedgerError {
    path: PathBuf,
    source: std::io::Error,
}

/// Which records somebody asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// `request`, `event` or `violation`.
    kind: Option<String>,
    /// Of this session.
    session: Option<String>,
    /// After this place.
    after: Option<u64>,
    /// At most this many.
    limit: Option<usize>,
}

/// Records in memory and, if there is a state folder, on disk.
#[derive(Debug, Default)]
pub struct Ledger {
    records: VecDeque<Record>,
    report: Report,
    last: u64,
    file: Option<File>,
    clock: Clock,
}

impl Ledger {
    /// Goes on with the ledger of a state folder.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join(FILE);
        let fail = |source| LedgerError {
            path: path.clone(),
            source,
        };
        if std::fs::metadata(&path).is_ok_and(|about| about.len() > FILE_BYTES_MAX) {
            std::fs::rename(&path, folder.join(FILE_OLD)).map_err(fail)?;
        }
        let mut ledger = Self::default();
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(fail)?;
        let mut whole = true;
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(fail)? > 0 {
            whole = line.ends_with(b"\n");
            match serde_json::from_slice::<Record>(&line) {
                Ok(record) => ledger.keep(record),
                Err(error) => log::warn!("{}: a damaged line is left out: {error}", path.display()),
            }
            line.clear();
        }
        drop(lines);
        if !whole {
            // The last line was cut by a kill: later ones are not to be glued to it.
            file.write_all(b"\n").map_err(fail)?;
        }
        ledger.file = Some(file);
        Ok(ledger)
    }

    /// Records carry the time of this clock.
    pub fn read_time_from(&mut self, clock: Clock) {
        self.clock = clock;
    }

    fn keep(&mut self, record: Record) {
        self.last = self.last.max(record.n);
        self.report.count(&record.what);
        self.records.push_back(record);
        if self.records.len() > RECORDS_MAX {
            self.records.pop_front();
        }
    }

    /// Writes a record down. A full disk is logged once for each record and stops nothing.
    pub fn write(&mut self, session: Option<&str>, what: What) {
        let record = Record {
            n: self.last.saturating_add(1),
            wall_ms: self.clock.wall_ms(),
            mono_ms: mono_ms(),
            session: session.map(str::to_owned),
            what,
        };
        if let Some(file) = &mut self.file {
            let written = serde_json::to_vec(&record)
                .map_err(std::io::Error::from)
                .and_then(|mut line| {
                    line.push(b'\n');
                    file.write_all(&line)
                });
            if let Err(error) = written {
                log::warn!("write ledger record {}: {error}", record.n);
            }
        }
        self.keep(record);
    }

    /// What became last of the event of this session with this body.
    pub fn outcome_of(&self, session: &str, event: &Value) -> Option<Outcome> {
        self.records.iter().rev().find_map(|record| match &record.what {
            What::Event { body, outcome, .. } if body == event && record.session.as_deref() == Some(session) => {
                Some(*outcome)
            }
            What::Event { .. } | What::Request { .. } | What::Violation(_) => None,
        })
    }

    /// The first start of this entry of a session is written down.
    pub fn has_start_of(&self, session: &str, reference: &str) -> bool {
        self.records.iter().any(|record| match &record.what {
            What::Event { entry, first, .. } => {
                *first && entry.as_deref() == Some(reference) && record.session.as_deref() == Some(session)
            }
            What::Request { .. } | What::Violation(_) => false,
        })
    }

    /// Writes a finding down.
    pub fn violation(&mut self, session: Option<&str>, code: Code, detail: impl Into<String>) {
        let violation = Violation::new(code, detail);
        log::warn!("violation {:?}: {}", violation.code, violation.detail);
        self.write(session, What::Violation(violation));
    }

    /// The ledger in numbers.
    pub const fn report(&self) -> Report {
        self.report
    }

    /// Records in their order.
    pub fn find(&self, filter: &Filter) -> Vec<&Record> {
        let fits = |record: &&Record| {
            filter.kind.as_deref().is_none_or(|kind| kind == record.what.kind())
                && filter
                    .session
                    .as_deref()
                    .is_none_or(|session| record.session.as_deref() == Some(session))
                && filter.after.is_none_or(|after| record.n > after)
        };
        self.records
            .iter()
            .filter(fits)
            .take(filter.limit.unwrap_or(RECORDS_MAX))
            .collect()
    }
}

impl Filter {
    /// Only one sort of records.
    pub fn of_kind(kind: &str) -> Self {
        Self {
            kind: Some(kind.to_owned()),
            ..Self::default()
        }
    }
}

/// The machine's wall clock, epoch milliseconds.
pub fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn mono_ms() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec
        .saturating_mul(1000)
        .saturating_add(now.tv_nsec.checked_div(1_000_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(outcome: Outcome, first: bool, pair: bool) -> What {
        What::Event {
            outcome,
            entry: Some("0:a".to_owned()),
            first,
            pair,
            body: json!({"x": 1}),
        }
    }

    #[test]
    fn counts_tell_entries_pairs_and_repeats_apart() {
        let mut ledger = Ledger::default();
        ledger.write(Some("s"), event(Outcome::Accepted, true, false));
        ledger.write(Some("s"), event(Outcome::Repeat, false, false));
        ledger.write(Some("s"), event(Outcome::Accepted, false, true));
        let expected = Report {
            tracks: 1,
            events: 2,
            pairs: 1,
            repeats: 1,
            ..Report::default()
        };
        assert_eq!(ledger.report(), expected);
    }

    #[test]
    fn a_reopened_ledger_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(folder.path()).unwrap();
        ledger.write(Some("s"), event(Outcome::Accepted, true, false));
        ledger.violation(None, Code::HeaderMissing, "x");
        let before = ledger.report();
        drop(ledger);
        let mut ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.report(), before);
        ledger.write(None, event(Outcome::Accepted, false, true));
        assert_eq!(
            ledger
                .find(&Filter::default())
                .iter()
                .map(|record| record.n)
                .collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }

    #[test]
    fn a_torn_last_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(folder.path()).unwrap();
        ledger.write(None, event(Outcome::Accepted, true, false));
        drop(ledger);
        let path = folder.path().join(FILE);
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"n\":2,\"wa");
        std::fs::write(&path, text).unwrap();
        Ledger::open(folder.path())
            .unwrap()
            .write(None, event(Outcome::Accepted, false, true));
        let ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.report().events, 2);
    }

    #[test]
    fn records_are_found_by_kind_session_and_place() {
        let mut ledger = Ledger::default();
        ledger.write(Some("a"), event(Outcome::Accepted, true, false));
        ledger.write(Some("b"), event(Outcome::Accepted, true, false));
        ledger.violation(Some("a"), Code::SkipLimit, "x");
        let find = |query: Value| ledger.find(&serde_json::from_value(query).unwrap()).len();
        assert_eq!(find(json!({"kind": "event"})), 2);
        assert_eq!(find(json!({"session": "a"})), 2);
        assert_eq!(find(json!({"after": 2})), 1);
        assert_eq!(find(json!({"limit": 1})), 1);
    }

    #[test]
    fn a_state_folder_that_is_not_there_is_an_error_that_names_the_file() {
        let error = Ledger::open(Path::new("/nowhere/state")).unwrap_err().to_string();
        assert!(
            error.starts_with("open ledger /nowhere/state/ledger.jsonl: "),
            "{error}"
        );
    }
}
