//! Units of time. A moment and a length are different things and do not mix by accident.

use core::ops::{Add, Sub};

/// A moment: milliseconds since this boot, running while suspended (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

/// A length of time, or a position within an entry: milliseconds, at most 49 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u32);

impl Millis {
    /// No time at all; the start of an entry.
    pub const ZERO: Self = Self(0);

    /// `seconds` as milliseconds.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Sum that stops at the largest value.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference that stops at zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Moment {
    /// Time gone by since `earlier`; zero if that is not in the past.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(u32::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(u32::MAX))
    }
}

impl Add<Millis> for Moment {
    type Output = Self;

    fn add(self, length: Millis) -> Self {
        Self(self.0.saturating_add(u64::from(length.0)))
    }
}

impl Sub<Millis> for Moment {
    type Output = Self;

    fn sub(self, length: Millis) -> Self {
        Self(self.0.saturating_sub(u64::from(length.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_since_a_later_moment_is_zero() {
        assert_eq!(Moment(5).since(Moment(9)), Millis::ZERO);
        assert_eq!(Moment(9).since(Moment(5)), Millis(4));
    }

    #[test]
    fn a_length_longer_than_49_days_saturates() {
        assert_eq!(Moment(u64::MAX).since(Moment(0)), Millis(u32::MAX));
    }
}
