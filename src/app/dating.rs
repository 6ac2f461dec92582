//! Dates for events of boots that never knew what time it was: between the last moment known before them and the first
//! one known after. It works with what the journal holds; it reads no clock.
//!
//! Within one boot the distances between events are known exactly, so one date fixes all of them. Two boots do not
//! overlap, so each ends at the latest when the next one begins. That latest time is taken: a speaker that lost its power
//! mostly gets it back soon, and the order of all events is kept whatever the truth is.

use tonearm_core::id::Seq;
use tonearm_core::unit::Moment;

use crate::journal::{Boot, Record};

/// Boots without a clock that are told apart; events of more are dated like those of the last one of them. Each boot
/// with a network gets to know the time, so more than a few in a row are most unlikely.
const BOOTS_MAX: usize = 16;

/// One boot whose events have no dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undated {
    /// Which boot.
    pub boot: Boot,
    /// Its first event.
    pub first: Seq,
    /// When that was, within the boot.
    first_at: Moment,
    /// When its last event was.
    last_at: Moment,
    /// The last date known before it, milliseconds since 1970.
    after_ms: Option<i64>,
    /// When the next boot with a date began.
    before_ms: Option<i64>,
}

/// The boots without a date among events, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    undated: Vec<Undated>,
    known_ms: Option<i64>,
}

/// What a boot without a clock is dated by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reckoned {
    /// Which boot.
    pub boot: Boot,
    /// When it began, at the latest: milliseconds since 1970.
    pub epoch_ms: i64,
    /// By how much that may be too late, if anything is known from before.
    pub late_ms_max: Option<u64>,
}

impl Backlog {
    /// Takes in the next event.
    pub fn note(&mut self, record: &Record) {
        let at_ms = signed(record.at);
        let Some(wall_ms) = record.wall_ms else {
            return self.note_undated(record);
        };
        self.known_ms = Some(wall_ms);
        for earlier in self.undated.iter_mut().filter(|earlier| earlier.boot != record.boot) {
            earlier.before_ms.get_or_insert(wall_ms.saturating_sub(at_ms));
        }
    }

    fn note_undated(&mut self, record: &Record) {
        if let Some(known) = self.undated.iter_mut().find(|known| known.boot == record.boot) {
            known.first_at = known.first_at.min(record.at);
            known.last_at = known.last_at.max(record.at);
        } else if self.undated.len() < BOOTS_MAX {
            self.undated.push(Undated {
                boot: record.boot,
                first: record.seq,
                first_at: record.at,
                last_at: record.at,
                after_ms: self.known_ms,
                before_ms: None,
            });
        }
    }

    /// The first event without a date.
    pub fn first(&self) -> Option<Seq> {
        self.undated.iter().map(|undated| undated.first).min()
    }

    /// Dates all boots but the present one, which began at `began_ms`. Forgets them.
    pub fn reckon(&mut self, present: Boot, began_ms: i64) -> Vec<Reckoned> {
        let mut next_began_ms = began_ms;
        let mut reckoned: Vec<Reckoned> = Vec::new();
        for undated in std::mem::take(&mut self.undated).into_iter().rev() {
            if undated.boot == present {
                continue;
            }
            let ended_ms = undated
                .before_ms
                .map_or(next_began_ms, |known| known.min(next_began_ms));
            let epoch_ms = ended_ms.saturating_sub(signed(undated.last_at));
            let first_ms = epoch_ms.saturating_add(signed(undated.first_at));
            reckoned.push(Reckoned {
                boot: undated.boot,
                epoch_ms,
                late_ms_max: undated
                    .after_ms
                    .map(|after| u64::try_from(first_ms.saturating_sub(after)).unwrap_or(0)),
            });
            next_began_ms = epoch_ms;
        }
        reckoned.reverse();
        reckoned
    }
}

fn signed(moment: Moment) -> i64 {
    i64::try_from(moment.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tonearm_core::event::{Claim, What};
    use tonearm_core::unit::Millis;

    use super::*;

    const PRESENT: Boot = [9; 16];
    const NOON_MS: i64 = 1_790_000_000_000;

    fn record(seq: u64, boot: u8, at: u64, wall_ms: Option<i64>) -> Record {
        Record {
            seq: Seq(seq),
            boot: [boot; 16],
            at: Moment(at),
            wall_ms,
            zone_minutes: 0,
            session: String::new(),
            reference: String::new(),
            metric_id: None,
            initial_delay: Millis::ZERO,
            what: What::Start { offset: Millis::ZERO },
            claim: Claim::Held,
        }
    }

    fn backlog(records: &[Record]) -> Backlog {
        let mut backlog = Backlog::default();
        for record in records {
            backlog.note(record);
        }
        backlog
    }

    /// The date of a moment of a boot.
    fn date(reckoned: &[Reckoned], boot: u8, at: i64) -> i64 {
        let found = reckoned.iter().find(|one| one.boot == [boot; 16]).unwrap();
        found.epoch_ms + at
    }

    #[test]
    fn events_of_several_boots_without_a_clock_keep_their_order_and_lie_between_what_is_known() {
        let mut backlog = backlog(&[
            record(1, 1, 5_000, Some(NOON_MS)),
            record(2, 2, 10_000, None),
            record(3, 2, 70_000, None),
            record(4, 3, 8_000, None),
            record(5, 3, 9_000, None),
        ]);
        assert_eq!(backlog.first(), Some(Seq(2)));
        let began_ms = NOON_MS + 3_600_000;
        let reckoned = backlog.reckon(PRESENT, began_ms);
        let dates = [(2, 10_000), (2, 70_000), (3, 8_000), (3, 9_000)].map(|(boot, at)| date(&reckoned, boot, at));
        assert!(dates.is_sorted(), "{dates:?}");
        assert!(dates[0] > NOON_MS && dates[3] <= began_ms, "{dates:?}");
        assert_eq!(dates[1] - dates[0], 60_000, "distances within a boot are exact");
        assert_eq!(
            reckoned[0].late_ms_max,
            Some(u64::try_from(dates[0] - NOON_MS).unwrap())
        );
        assert_eq!(backlog.first(), None, "they are dated");
    }

    #[test]
    fn a_boot_with_a_clock_in_between_ends_what_came_before_it() {
        let mut backlog = backlog(&[
            record(1, 1, 10_000, None),
            record(2, 2, 20_000, Some(NOON_MS)),
            record(3, 3, 30_000, None),
        ]);
        let reckoned = backlog.reckon(PRESENT, NOON_MS + 86_400_000);
        assert_eq!(date(&reckoned, 1, 10_000), NOON_MS - 20_000, "when the next boot began");
        assert_eq!(date(&reckoned, 3, 30_000), NOON_MS + 86_400_000);
        assert_eq!(reckoned[0].late_ms_max, None, "nothing is known from before");
    }

    #[test]
    fn the_present_boot_is_not_reckoned() {
        let mut backlog = backlog(&[record(1, 9, 10_000, None)]);
        assert_eq!(backlog.first(), Some(Seq(1)));
        assert_eq!(backlog.reckon(PRESENT, NOON_MS), []);
    }

    #[test]
    fn more_boots_than_are_told_apart_do_not_grow_the_memory() {
        let records: Vec<Record> = (0..100).map(|n| record(u64::from(n) + 1, n, 1_000, None)).collect();
        assert_eq!(backlog(&records).undated.len(), BOOTS_MAX);
    }
}
