//! The only reader of clocks: time since boot, wall-clock time and whether it can be trusted, the boot, the time zone.
//!
//! A board without a battery starts with a wrong wall clock. [`Reading`] ties both clocks together at one instant, so
//! that a moment noted before the clock was set is dated truly once it is. It never sets a clock.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::time::{ClockId, Timespec, clock_gettime};
use thiserror::Error;
use tonearm_core::unit::Moment;

/// 2026-01-01T00:00:00Z. A wall clock that says earlier is wrong: this program did not exist.
const EARLIEST_MS: i64 = 1_767_225_600_000;
/// Two readings that place the boot this close to each other tell the same; the rest is rounding and the moment between
/// two clocks. Larger than a thread is held up on a busy board, smaller than anyone asks of the moment of an event.
const NOISE_MS_MAX: u64 = 50;
/// systemd-timesyncd keeps its state here while it runs or ran.
const TIMESYNC_FOLDER: &str = "/run/systemd/timesync";
/// Identifies this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why a clock could not be read.
#[derive(Debug, Error)]
pub enum ClockError {
    /// The kernel does not say which boot this is.
    #[error("read {BOOT_ID}: {0}; is /proc mounted?")]
    BootId(#[source] io::Error),
}

/// Now, as the core counts it: runs while suspended, never jumps.
pub fn now() -> Moment {
    Moment(millis(clock_gettime(ClockId::Boottime)))
}

/// Milliseconds; a clock set before 1970 counts as 1970.
fn millis(time: Timespec) -> u64 {
    let time = Duration::try_from(time).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Both clocks at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Since boot.
    pub at: Moment,
    /// Wall clock: milliseconds since 1970, UTC.
    pub wall_ms: i64,
    /// Whether the wall clock can be believed.
    pub trust: Trust,
}

/// Whether the wall clock can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Set by the network since this boot, or nothing speaks against it.
    Synchronised,
    /// The network has not set it yet, or it shows a time before this program existed.
    Doubtful,
}

impl Reading {
    /// Reads both clocks.
    pub fn take() -> Self {
        let before = now();
        let wall_ms = i64::try_from(millis(clock_gettime(ClockId::Realtime))).unwrap_or(i64::MAX);
        let after = now();
        // The middle of the two, in case the thread was held up between the clocks.
        let at = Moment(u64::midpoint(before.0, after.0));
        Self {
            at,
            wall_ms,
            trust: trust(wall_ms, Path::new(TIMESYNC_FOLDER)),
        }
    }

    /// The wall-clock time of a moment of this boot.
    pub fn wall_ms_of(&self, moment: Moment) -> i64 {
        let signed = |moment: Moment| i64::try_from(moment.0).unwrap_or(i64::MAX);
        self.wall_ms
            .saturating_add(signed(moment).saturating_sub(signed(self.at)))
    }
}

/// Dates moments so that later ones are never dated earlier because of how the clocks were read. Only a wall clock that
/// was set changes what it says.
#[derive(Debug, Default)]
pub struct Calendar {
    /// Wall-clock time of the boot, as first read since the clock was last set.
    boot_wall_ms: Option<i64>,
}

impl Calendar {
    /// Both clocks now.
    pub fn read(&mut self) -> Reading {
        self.steady(Reading::take())
    }

    fn steady(&mut self, reading: Reading) -> Reading {
        let fresh = reading.wall_ms_of(Moment(0));
        let known = self.boot_wall_ms.filter(|known| known.abs_diff(fresh) <= NOISE_MS_MAX);
        let boot_wall_ms = *self.boot_wall_ms.insert(known.unwrap_or(fresh));
        Reading {
            wall_ms: reading.wall_ms.saturating_add(boot_wall_ms.saturating_sub(fresh)),
            ..reading
        }
    }
}

/// In this order: a time before this program existed is wrong. systemd-timesyncd, where it keeps its state, says by a
/// file whether the network has set the clock in this boot. Where it does not run (another time service, a container)
/// there is no one to ask without `unsafe` (`adjtimex`), and a plausible time is taken for true: events must leave the
/// speaker one day. A real-time clock proves nothing: the Pi 5 has one, and ships without its battery.
fn trust(wall_ms: i64, timesync: &Path) -> Trust {
    let waits_for_network = || timesync.is_dir() && !timesync.join("synchronized").exists();
    if wall_ms < EARLIEST_MS || waits_for_network() {
        Trust::Doubtful
    } else {
        Trust::Synchronised
    }
}

/// Identifies this boot: moments of different boots cannot be compared.
///
/// # Errors
/// `/proc` is not there or says something else.
pub fn boot_id() -> Result<[u8; 16], ClockError> {
    let text = std::fs::read_to_string(BOOT_ID).map_err(ClockError::BootId)?;
    parse_boot_id(&text).ok_or_else(|| ClockError::BootId(io::Error::new(io::ErrorKind::InvalidData, text)))
}

fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|letter| *letter != '-').collect();
    (digits.len() == 32).then_some(())?;
    Some(u128::from_str_radix(&digits, 16).ok()?.to_be_bytes())
}

/// Minutes that local time is ahead of UTC at a moment (milliseconds since 1970): of `TZ`, else of `/etc/localtime`,
/// else UTC.
pub fn zone_minutes(wall_ms: i64) -> i16 {
    zone_minutes_in(&TimeZone::system(), wall_ms)
}

fn zone_minutes_in(zone: &TimeZone, wall_ms: i64) -> i16 {
    let Ok(moment) = Timestamp::from_millisecond(wall_ms) else {
        return 0;
    };
    i16::try_from(zone.to_offset(moment).seconds() / 60).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMER_2026_MS: i64 = 1_783_000_000_000;

    #[test]
    fn time_since_boot_does_not_run_backwards() {
        let first = now();
        assert!(first.0 > 0);
        assert!(now() >= first);
    }

    #[test]
    fn a_moment_before_the_clock_was_set_is_dated_truly_afterwards() {
        let reading = Reading {
            at: Moment(60_000),
            wall_ms: SUMMER_2026_MS,
            trust: Trust::Synchronised,
        };
        assert_eq!(reading.wall_ms_of(Moment(5_000)), SUMMER_2026_MS - 55_000);
        assert_eq!(reading.wall_ms_of(Moment(61_000)), SUMMER_2026_MS + 1_000);
    }

    #[test]
    fn the_noise_of_reading_does_not_move_a_moment() {
        let mut calendar = Calendar::default();
        let mut date = |wall_ms| {
            let reading = Reading {
                at: Moment(60_000),
                wall_ms,
                trust: Trust::Synchronised,
            };
            calendar.steady(reading).wall_ms_of(Moment(50_000))
        };
        let first = date(SUMMER_2026_MS);
        assert_eq!(date(SUMMER_2026_MS - 1), first);
        assert_eq!(date(SUMMER_2026_MS + 20), first);
        assert_eq!(date(SUMMER_2026_MS + 3_600_000), first + 3_600_000, "the clock was set");
    }

    #[test]
    fn a_clock_from_before_this_program_is_doubtful() {
        let nowhere = Path::new("/nowhere");
        assert_eq!(trust(0, nowhere), Trust::Doubtful);
        assert_eq!(trust(SUMMER_2026_MS, nowhere), Trust::Synchronised);
    }

    #[test]
    fn a_running_time_service_has_the_word() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(trust(SUMMER_2026_MS, folder.path()), Trust::Doubtful);
        std::fs::write(folder.path().join("synchronized"), "").unwrap();
        assert_eq!(trust(SUMMER_2026_MS, folder.path()), Trust::Synchronised);
    }

    #[test]
    fn the_boot_id_is_sixteen_bytes() {
        let text = "00112233-4455-6677-8899-aabbccddeeff\n";
        let bytes = [
            0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
        ];
        assert_eq!(parse_boot_id(text), Some(bytes));
        for text in ["", "00112233", "zz112233-4455-6677-8899-aabbccddeeff"] {
            assert_eq!(parse_boot_id(text), None, "{text}");
        }
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
    }

    #[test]
    fn the_zone_knows_summer_time() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(zone_minutes_in(&berlin, SUMMER_2026_MS), 120);
        assert_eq!(zone_minutes_in(&berlin, SUMMER_2026_MS + 180 * 86_400_000), 60);
        let newfoundland = TimeZone::posix("NST3:30").unwrap();
        assert_eq!(zone_minutes_in(&newfoundland, SUMMER_2026_MS), -210);
    }

    #[test]
    fn a_moment_outside_the_calendar_has_no_zone() {
        assert_eq!(zone_minutes_in(&TimeZone::UTC, i64::MAX), 0);
    }
}
