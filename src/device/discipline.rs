//! What the kernel says of its clock: whether somebody keeps it, and how far it is still being drawn. Read only.

use rtime_clock::adjtime::{Timex, adjtimex};

/// Nobody keeps the clock (`STA_UNSYNC`).
const UNSYNCHRONISED: i64 = 0x0040;
/// The offset is counted in nanoseconds (`STA_NANO`), otherwise in microseconds.
const NANO: i64 = 0x2000;
/// A clock whose keeper believes it to be further off than this is still being drawn near: 100 ms, the error that the
/// moment of an event may have.
const ERROR_US_MAX: i64 = 100_000;

/// How it stands with the kernel's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// Somebody keeps it.
    Kept {
        /// What it is still to be drawn forward by, milliseconds: it is that much late.
        correction_ms: i64,
    },
    /// Nobody does, or not well enough yet.
    Free,
    /// The kernel does not say: a container may not ask.
    Unknown,
}

/// Asks the kernel.
pub fn discipline() -> Discipline {
    let mut timex = Timex::new();
    if adjtimex(&mut timex).is_err() {
        return Discipline::Unknown;
    }
    #[allow(clippy::useless_conversion, reason = "a C long has 32 bits on some boards")]
    let (status, offset, error_us) = (
        i64::from(timex.0.status),
        i64::from(timex.0.offset),
        i64::from(timex.0.esterror),
    );
    judge(status, offset, error_us)
}

fn judge(status: i64, offset: i64, error_us: i64) -> Discipline {
    if status & UNSYNCHRONISED != 0 || error_us > ERROR_US_MAX {
        return Discipline::Free;
    }
    let in_a_millisecond = if status & NANO == 0 { 1_000 } else { 1_000_000 };
    Discipline::Kept {
        correction_ms: offset / in_a_millisecond,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nobody_keeps_is_free() {
        assert_eq!(judge(UNSYNCHRONISED, 0, 16_000_000), Discipline::Free);
        assert_eq!(judge(UNSYNCHRONISED | NANO, 0, 0), Discipline::Free);
    }

    #[test]
    fn a_clock_that_is_still_far_off_is_not_kept_yet() {
        assert_eq!(judge(NANO, 0, 400_000), Discipline::Free);
        assert_eq!(judge(NANO, 0, 90_000), Discipline::Kept { correction_ms: 0 });
    }

    #[test]
    fn what_is_still_to_be_corrected_is_told_in_either_unit() {
        assert_eq!(judge(NANO, -380_000_000, 0), Discipline::Kept { correction_ms: -380 });
        assert_eq!(judge(0, 250_000, 0), Discipline::Kept { correction_ms: 250 });
    }

    #[test]
    fn the_kernel_can_be_asked() {
        // Whatever it says here, it says it twice.
        let first = std::mem::discriminant(&discipline());
        assert_eq!(first, std::mem::discriminant(&discipline()));
    }
}
