//! What one segment says: events with their strings, settlements, clocks. It reads bytes and decides nothing.

use tonearm_core::id::Seq;
use tonearm_core::unit::{Millis, Moment};

use super::body::{Clock, Entry, EventBody, Head, Names, Spelled};
use super::fold::Folds;
use super::frame::{Family, Owner, scan};
use super::record::Record;
use super::segments::Segment;
use super::storage::Storage;

/// What was read from one segment.
#[derive(Debug, Default)]
pub struct Contents {
    /// Its first frame, if that is intact.
    pub head: Option<Head>,
    /// Events in the order they were written.
    pub records: Vec<Record>,
    /// The greatest number up to which events are settled.
    pub settled: u64,
    /// Clocks noted in it.
    pub clocks: Vec<Clock>,
    /// What was folded away, as last noted in it.
    pub folds: Folds,
    /// Greatest number of an event, readable in full or not.
    pub last: u64,
    /// See [`super::frame::Scan`].
    pub damaged_bytes: u64,
    /// See [`super::frame::Scan`].
    pub torn_bytes: u64,
    /// See [`super::frame::Scan`].
    pub version: Option<u32>,
}

/// Owner of the frames of a segment.
pub fn owner(index: u32) -> Owner {
    Owner {
        family: Family::Segment,
        index,
    }
}

/// Name of a segment.
pub fn name(index: u32, next: u64) -> String {
    format!("{index:08x}-{next:016x}.seg")
}

/// Number of a segment and of the next event when it was begun, from its name.
pub fn parse(name: &str) -> Option<(u32, u64)> {
    let (index, next) = name.strip_suffix(".seg")?.split_once('-')?;
    if index.len() != 8 || next.len() != 16 {
        return None;
    }
    Some((
        u32::from_str_radix(index, 16).ok()?,
        u64::from_str_radix(next, 16).ok()?,
    ))
}

/// Reads a segment. An event whose strings were damaged is not among the records.
pub fn read(index: u32, bytes: &[u8]) -> Contents {
    let found = scan(owner(index), bytes);
    let mut contents = Contents {
        damaged_bytes: found.damaged_bytes,
        torn_bytes: found.torn_bytes,
        version: found.version,
        ..Contents::default()
    };
    for entry in found.entries {
        match entry {
            Entry::Head(head) => {
                contents.settled = contents.settled.max(head.settled);
                contents.clocks.extend_from_slice(&head.clocks);
                contents.head = Some(head);
            }
            Entry::Event(event) => {
                contents.last = contents.last.max(event.seq);
                if let Some(record) = resolve(&event, &contents.records) {
                    contents.records.push(record);
                }
            }
            Entry::Settled(through) => contents.settled = contents.settled.max(through),
            Entry::Clock(clock) => contents.clocks.push(clock),
            Entry::Folds(body) => contents.folds.learn(body),
            Entry::Aside(_) | Entry::Checkpoint(_) => {}
        }
    }
    contents
}

/// Reads a segment from its folder; one that is gone or cannot be read counts as empty.
pub fn load(storage: &dyn Storage, segment: &Segment) -> Contents {
    let bytes = storage.read(&segment.name).unwrap_or_default();
    read(segment.index, &bytes)
}

fn resolve(event: &EventBody, earlier: &[Record]) -> Option<Record> {
    let spelled = match &event.names {
        Names::Own(spelled) => spelled.clone(),
        Names::Of(seq) => spell(earlier.iter().rev().find(|record| record.seq.0 == *seq)?),
    };
    Some(record(event, spelled))
}

/// The strings of a record.
pub fn spell(record: &Record) -> Spelled {
    Spelled {
        boot: record.boot,
        session: record.session.clone(),
        reference: record.reference.clone(),
        metric_id: record.metric_id.clone(),
    }
}

/// Body of a record.
pub fn event(record: &Record, names: Names) -> EventBody {
    EventBody {
        seq: record.seq.0,
        names,
        at_ms: record.at.0,
        wall_ms: record.wall_ms,
        zone_minutes: record.zone_minutes,
        initial_delay_ms: record.initial_delay.0,
        what: (record.what, record.claim).into(),
    }
}

/// Record of a body.
pub fn record(event: &EventBody, spelled: Spelled) -> Record {
    let (what, claim) = event.what.into();
    Record {
        seq: Seq(event.seq),
        boot: spelled.boot,
        at: Moment(event.at_ms),
        wall_ms: event.wall_ms,
        zone_minutes: event.zone_minutes,
        session: spelled.session,
        reference: spelled.reference,
        metric_id: spelled.metric_id,
        initial_delay: Millis(event.initial_delay_ms),
        what,
        claim,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back() {
        assert_eq!(parse(&name(0xab, 0x1234)), Some((0xab, 0x1234)));
    }

    #[test]
    fn other_names_are_not_segments() {
        for name in [
            "",
            "lock",
            "1-2.seg",
            "000000ab-0000000000001234.seg.damaged",
            "0000000g-0000000000001234.seg",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
