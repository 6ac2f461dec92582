//! Which events may be let go when there is no room left: whole pairs of start and stop, the oldest first, in one piece.
//!
//! It plans and keeps the list; it writes and removes nothing.

use heapless::Vec as Bounded;
use tonearm_core::event::What;

use super::body::FoldsBody;
use super::record::Record;

/// Folds that are remembered one by one. Folding always goes on where it ended, so that two are ahead of what is settled
/// at most; the others are for people to look at.
pub const FOLDS_MAX: usize = 16;
/// The oldest events that wait are never folded: some of them may be at the service already, also by the word of a run
/// whose memory is gone. More than one request holds.
pub const RESERVE: u64 = 32;
/// A start whose stop is not among so many events after it has none: spans of two entries overlap by one event at most.
pub const SPAN_EVENTS_MAX: u64 = 8;
/// Spans open at once.
const OPEN_MAX: usize = 4;

/// Events in one piece that were let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The first, a start.
    pub from: u64,
    /// The last, a stop.
    pub to: u64,
    /// Starts with their stops in it.
    pub pairs: u64,
}

/// Everything that was ever folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folds {
    pairs: u64,
    newest: Bounded<Fold, FOLDS_MAX>,
}

impl Folds {
    /// Pairs since the device was new.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// The newest, oldest first.
    pub fn newest(&self) -> &[Fold] {
        &self.newest
    }

    /// Takes what a file says, if that is more than is known.
    pub fn learn(&mut self, body: FoldsBody) {
        if body.pairs <= self.pairs {
            return;
        }
        let surplus = body.newest.len().saturating_sub(FOLDS_MAX);
        let newest = body.newest.into_iter().skip(surplus);
        *self = Self {
            pairs: body.pairs,
            newest: newest.map(|(from, to, pairs)| Fold { from, to, pairs }).collect(),
        };
    }

    /// Takes what another list says, if that is more than is known.
    pub fn merge(&mut self, other: &Self) {
        if other.pairs > self.pairs {
            self.clone_from(other);
        }
    }

    /// As it is stored.
    pub fn body(&self) -> FoldsBody {
        FoldsBody {
            pairs: self.pairs,
            newest: self
                .newest
                .iter()
                .map(|fold| (fold.from, fold.to, fold.pairs))
                .collect(),
        }
    }

    /// Notes a fold; one that goes on where the last ended becomes one with it. `false`, and nothing noted: too many
    /// that are not settled yet.
    pub fn add(&mut self, fold: Fold, settled: u64) -> bool {
        if let Some(last) = self
            .newest
            .last_mut()
            .filter(|last| last.to.saturating_add(1) == fold.from)
        {
            (last.to, last.pairs) = (fold.to, last.pairs.saturating_add(fold.pairs));
        } else {
            if self.newest.is_full() {
                if self.newest.first().is_some_and(|oldest| oldest.to > settled) {
                    return false;
                }
                self.newest.remove(0);
            }
            if self.newest.push(fold).is_err() {
                return false;
            }
        }
        self.pairs = self.pairs.saturating_add(fold.pairs);
        true
    }

    /// The last event of the fold that holds `seq`; `None`: it was not folded.
    pub fn end_of(&self, seq: u64) -> Option<u64> {
        let holds = |fold: &&Fold| (fold.from..=fold.to).contains(&seq);
        self.newest.iter().find(holds).map(|fold| fold.to)
    }

    /// The first number after `seq` that was folded; the greatest there is if there is none.
    fn next_after(&self, seq: u64) -> u64 {
        let starts = self.newest.iter().map(|fold| fold.from).filter(|from| *from > seq);
        starts.min().unwrap_or(u64::MAX)
    }

    /// Whether every number from `first` to `last` was folded or is up to `settled`.
    pub fn cover(&self, first: u64, last: u64, settled: u64) -> bool {
        let mut seq = first.max(settled.saturating_add(1));
        while seq <= last {
            match self.end_of(seq) {
                Some(end) => seq = end.saturating_add(1),
                None => return false,
            }
        }
        true
    }

    /// Numbers after `settled` that were folded.
    pub fn after(&self, settled: u64) -> u64 {
        let count = |fold: &Fold| {
            fold.to
                .saturating_add(1)
                .saturating_sub(fold.from.max(settled.saturating_add(1)))
        };
        self.newest.iter().map(count).sum()
    }
}

/// The first piece of `events` after `keep` that can be let go: it begins with a start, holds every stop of its starts
/// and no other, and reaches to where `free` says for its first if it can. `events` are in order, each once, and none of
/// them was folded.
pub fn plan(events: &[&Record], folds: &Folds, keep: u64, free: impl Fn(u64) -> u64) -> Option<Fold> {
    let after = events.partition_point(|record| record.seq.0 <= keep);
    let mut rest = events.get(after..)?;
    loop {
        let (first, others) = rest.split_first()?;
        let end = folds.next_after(first.seq.0);
        if piece(rest, end, 0).is_some() {
            return piece(rest, end, free(first.seq.0));
        }
        rest = others;
    }
}

/// The piece that begins with the first of `events`, if there is one. It reaches to `free` if it can, and not to `end`.
fn piece(events: &[&Record], end: u64, free: u64) -> Option<Fold> {
    let mut open: Bounded<&Record, OPEN_MAX> = Bounded::new();
    let mut fold: Option<Fold> = None;
    let (from, mut pairs) = (events.first()?.seq.0, 0);
    for record in events.iter().take_while(|record| record.seq.0 < end) {
        let is_late = |start: &&Record| record.seq.0 > start.seq.0 + SPAN_EVENTS_MAX;
        if open.first().is_some_and(is_late) {
            break;
        }
        match record.what {
            What::Start { .. } => {
                if open.push(record).is_err() {
                    break;
                }
            }
            What::Stop { .. } => {
                let is_its_start =
                    |start: &&Record| (&start.session, &start.reference) == (&record.session, &record.reference);
                let Some(at) = open.iter().position(is_its_start) else {
                    break;
                };
                open.remove(at);
                pairs += 1;
                if open.is_empty() {
                    let to = record.seq.0;
                    fold = Some(Fold { from, to, pairs });
                    if to >= free {
                        break;
                    }
                }
            }
        }
    }
    fold
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::sample;
    use super::*;

    fn planned(seqs: impl IntoIterator<Item = u64>, keep: u64, free: u64) -> Option<(u64, u64, u64)> {
        let records: Vec<Record> = seqs.into_iter().map(sample).collect();
        let events: Vec<&Record> = records.iter().collect();
        plan(&events, &Folds::default(), keep, |_| free).map(|fold| (fold.from, fold.to, fold.pairs))
    }

    #[test]
    fn whole_pairs_after_what_is_kept_are_folded_as_far_as_space_is_needed() {
        assert_eq!(planned(1..=40, 10, 20), Some((11, 20, 5)));
        assert_eq!(planned(1..=40, 10, 19), Some((11, 20, 5)), "not half a pair");
        assert_eq!(
            planned(1..=40, 11, 20),
            Some((13, 20, 4)),
            "12 is the stop of a start that is kept"
        );
    }

    #[test]
    fn the_start_of_what_sounds_is_not_folded() {
        assert_eq!(planned(1..=41, 0, 100), Some((1, 40, 20)));
        assert_eq!(planned(41..=41, 0, 100), None);
    }

    #[test]
    fn a_pair_half_of_which_is_lost_is_left_and_folding_goes_on_behind_it() {
        let without = |lost: u64| (1..=40).filter(move |seq| *seq != lost);
        assert_eq!(planned(without(12), 0, 100), Some((1, 10, 5)));
        assert_eq!(planned(without(12), 10, 100), Some((13, 40, 14)));
        assert_eq!(planned(without(11), 0, 100), Some((1, 10, 5)));
        assert_eq!(planned(without(11), 10, 100), Some((13, 40, 14)));
    }

    #[test]
    fn spans_that_overlap_are_folded_together() {
        // The stop of the first comes after the start of the second.
        let order = [1, 3, 2, 4, 5, 6];
        let records: Vec<Record> = (1..)
            .zip(order)
            .map(|(seq, of)| Record {
                seq: tonearm_core::id::Seq(seq),
                ..sample(of)
            })
            .collect();
        let events: Vec<&Record> = records.iter().collect();
        let planned = |keep| plan(&events, &Folds::default(), keep, |_| 1);
        assert_eq!(
            planned(0),
            Some(Fold {
                from: 1,
                to: 4,
                pairs: 2
            })
        );
        assert_eq!(
            planned(1),
            Some(Fold {
                from: 5,
                to: 6,
                pairs: 1
            })
        );
    }

    #[test]
    fn what_was_folded_already_is_not_folded_over() {
        let mut folds = Folds::default();
        assert!(folds.add(
            Fold {
                from: 21,
                to: 30,
                pairs: 5
            },
            0
        ));
        let records: Vec<Record> = (1..=20).chain(31..=40).map(sample).collect();
        let events: Vec<&Record> = records.iter().collect();
        assert_eq!(
            plan(&events, &folds, 10, |_| 40),
            Some(Fold {
                from: 11,
                to: 20,
                pairs: 5
            })
        );
        assert_eq!(
            plan(&events, &folds, 30, |_| 40),
            Some(Fold {
                from: 31,
                to: 40,
                pairs: 5
            })
        );
    }

    #[test]
    fn folds_that_touch_are_one_and_the_total_only_grows() {
        let mut folds = Folds::default();
        assert!(folds.add(
            Fold {
                from: 33,
                to: 40,
                pairs: 4
            },
            0
        ));
        assert!(folds.add(
            Fold {
                from: 41,
                to: 50,
                pairs: 5
            },
            0
        ));
        assert!(folds.add(
            Fold {
                from: 61,
                to: 62,
                pairs: 1
            },
            0
        ));
        assert_eq!((folds.pairs(), folds.newest().len()), (10, 2));
        assert_eq!(
            (folds.end_of(33), folds.end_of(32), folds.end_of(50)),
            (Some(50), None, Some(50))
        );
        assert_eq!((folds.after(0), folds.after(45), folds.after(62)), (20, 7, 0));
        assert!(folds.cover(30, 50, 32) && !folds.cover(30, 50, 31) && !folds.cover(50, 61, 0));
        let mut read = Folds::default();
        read.learn(folds.body());
        assert_eq!(read, folds);
        read.learn(FoldsBody::default());
        assert_eq!(read, folds, "an older note changes nothing");
    }

    #[test]
    fn only_folds_that_are_settled_are_forgotten() {
        let mut folds = Folds::default();
        for at in 0..FOLDS_MAX as u64 {
            assert!(folds.add(
                Fold {
                    from: 10 * at + 1,
                    to: 10 * at + 2,
                    pairs: 1
                },
                0
            ));
        }
        let more = Fold {
            from: 1_001,
            to: 1_002,
            pairs: 1,
        };
        assert!(!folds.add(more, 1));
        assert!(folds.add(more, 2));
        assert_eq!(
            (folds.newest().len(), folds.end_of(1), folds.pairs()),
            (FOLDS_MAX, None, 17)
        );
    }
}
