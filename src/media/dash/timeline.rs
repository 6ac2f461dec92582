//! When segments begin, as runs of equal lengths: a day of segments is one run. Counts in ticks; knows no addresses.

use std::sync::Arc;

/// Most segments of one representation: five days of segments of one second.
pub const SEGMENTS_MAX: u64 = 432_000;

/// The segments of a representation, in order.
#[derive(Clone, Debug)]
pub struct Timeline {
    runs: Arc<[Run]>,
    count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Number of the first segment.
    first: u32,
    /// When it begins.
    begin: u64,
    /// Length of each.
    length: u64,
    count: u32,
}

/// An `S` element.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// `t`; `None`: behind the one before.
    pub begin: Option<u64>,
    /// `d`.
    pub length: u64,
    /// `r`: how often again; negative: until the next one, or to the end.
    pub repeat: i64,
}

/// One segment's place in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    pub begin: u64,
    pub length: u64,
}

impl Timeline {
    /// Segments of one length until `end`; the last one is shorter.
    pub fn regular(begin: u64, length: u64, end: u64, tolerance: u64) -> Result<Self, &'static str> {
        if length == 0 {
            return Err("has segments of no length");
        }
        let whole = end.saturating_sub(begin);
        let mut count = whole.div_ceil(length);
        // What announced lengths are rounded by is no segment.
        if count > 1 && whole - (count - 1) * length <= tolerance {
            count -= 1;
        }
        Self::of_runs([(begin, length, count)].into_iter())
    }

    /// A `SegmentTimeline`. Segments that begin at `end` or behind it are left out.
    pub fn of(stretches: &[Stretch], end: Option<u64>) -> Result<Self, &'static str> {
        let mut runs = Vec::with_capacity(stretches.len());
        let mut at = 0_u64;
        for (number, stretch) in stretches.iter().enumerate() {
            let begin = stretch.begin.unwrap_or(at);
            // Two segments that begin at once, or backwards, are one mistake; a gap or an overlap is only imprecise.
            if runs
                .last()
                .is_some_and(|run: &(u64, u64, u64)| begin <= run.0 + (run.2 - 1) * run.1)
            {
                return Err("has a timeline that goes backwards");
            }
            if stretch.length == 0 {
                return Err("has segments of no length");
            }
            let until = end.unwrap_or(u64::MAX);
            if begin >= until {
                break;
            }
            let room = |until: u64| until.saturating_sub(begin).div_ceil(stretch.length);
            let next = stretches.get(number + 1).and_then(|next| next.begin);
            let count = match (u64::try_from(stretch.repeat), next) {
                (Ok(repeat), _) => repeat.saturating_add(1).min(room(until)),
                (Err(_), Some(next)) => room(next.min(until)),
                (Err(_), None) if end.is_some() => room(until),
                (Err(_), None) => return Err("has a timeline without an end"),
            };
            if count == 0 {
                return Err("has a timeline that goes backwards");
            }
            if count > SEGMENTS_MAX {
                return Err("has more segments than can be meant");
            }
            let whole = stretch.length.checked_mul(count);
            at = whole
                .and_then(|whole| begin.checked_add(whole))
                .ok_or("has a timeline that ends beyond all time")?;
            runs.push((begin, stretch.length, count));
        }
        Self::of_runs(runs.into_iter())
    }

    /// Runs of begin, length and count, checked.
    fn of_runs(runs: impl Iterator<Item = (u64, u64, u64)>) -> Result<Self, &'static str> {
        let mut first = 0_u32;
        let mut checked: Vec<Run> = Vec::new();
        for (begin, length, count) in runs {
            let too_many = "has more segments than can be meant";
            if u64::from(first) + count.min(SEGMENTS_MAX + 1) > SEGMENTS_MAX {
                return Err(too_many);
            }
            let count = u32::try_from(count).map_err(|_| too_many)?;
            let end = length
                .checked_mul(u64::from(count))
                .and_then(|whole| whole.checked_add(begin));
            if end.is_none() {
                return Err("has a timeline that ends beyond all time");
            }
            match checked.last_mut() {
                Some(run) if run.length == length && run.begin + u64::from(run.count) * length == begin => {
                    run.count += count;
                }
                _ => checked.push(Run {
                    first,
                    begin,
                    length,
                    count,
                }),
            }
            first += count;
        }
        Ok(Self {
            runs: checked.into(),
            count: first,
        })
    }

    /// How many segments.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// No more than so many.
    pub fn cut(&mut self, count: u32) {
        self.count = self.count.min(count);
    }

    /// The place of a segment, counted from 0.
    pub fn slice(&self, number: u32) -> Option<Slice> {
        if number >= self.count {
            return None;
        }
        let behind = self.runs.partition_point(|run| run.first <= number);
        let run = self.runs.get(behind.checked_sub(1)?)?;
        Some(Slice {
            begin: run.begin + u64::from(number - run.first) * run.length,
            length: run.length,
        })
    }

    /// The segment that sounds at `at`: the first one before its begin, the one before in a gap.
    pub fn number_at(&self, at: u64) -> Option<u32> {
        let behind = self.runs.partition_point(|run| run.begin <= at);
        let Some(run) = behind.checked_sub(1).and_then(|last| self.runs.get(last)) else {
            return (self.count > 0).then_some(0);
        };
        let within = (at - run.begin) / run.length;
        let last_of_all = behind == self.runs.len();
        if last_of_all && within >= u64::from(run.count) {
            return None;
        }
        let within = u32::try_from(within).unwrap_or(u32::MAX).min(run.count - 1);
        Some(run.first + within).filter(|number| *number < self.count)
    }

    /// Bytes that it takes in memory.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        size_of_val(&*self.runs)
    }
}
