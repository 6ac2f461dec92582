//! Durations as manifests write them (`xs:duration`), and ticks of a timescale as durations. Pure reckoning.

use std::time::Duration;

/// Longest length or latest start that is believed: a year. Everything that is heard is shorter, and what is reckoned with
/// it stays far from the bounds of 64 bits.
pub const LENGTH_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Reads `PnYnMnDTnHnMn.nS`. Years and months, which have no fixed length, only if they are 0.
pub fn duration(text: &str) -> Option<Duration> {
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (text.strip_prefix('P')?, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut sum = Duration::ZERO;
    for (number, unit) in fields(days)? {
        let seconds = match unit {
            'D' => 24 * 3600,
            'Y' | 'M' if number.chars().all(|digit| digit == '0') => 0,
            _ => return None,
        };
        sum = sum.checked_add(times(number, seconds)?)?;
    }
    for (number, unit) in fields(time)? {
        let seconds = match unit {
            'H' => 3600,
            'M' => 60,
            'S' => 1,
            _ => return None,
        };
        sum = sum.checked_add(times(number, seconds)?)?;
    }
    (sum <= LENGTH_MAX).then_some(sum)
}

/// Numbers and their units.
fn fields(mut text: &str) -> Option<Vec<(&str, char)>> {
    /// More than `xs:duration` has in one half.
    const FIELDS_MAX: usize = 4;
    let mut fields = Vec::new();
    while !text.is_empty() {
        let at = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, rest) = text.split_at(at);
        let unit = rest.chars().next()?;
        if fields.len() >= FIELDS_MAX {
            return None;
        }
        fields.push((number, unit));
        text = rest.get(unit.len_utf8()..)?;
    }
    Some(fields)
}

/// A decimal number of units of so many seconds, to the nanosecond.
fn times(number: &str, seconds: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u64 = digits.parse().ok()?;
    let whole = Duration::from_secs(whole.checked_mul(seconds)?);
    whole.checked_add(Duration::from_nanos(nanos.checked_mul(seconds)?))
}

/// Ticks as a duration, rounded down to the nanosecond. `timescale` is not zero; what does not fit is the longest there is.
pub fn of_ticks(ticks: u64, timescale: u32) -> Duration {
    let timescale = u64::from(timescale.max(1));
    let nanos = u128::from(ticks % timescale) * 1_000_000_000 / u128::from(timescale);
    Duration::from_secs(ticks / timescale)
        .saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or_default()))
}

/// A duration in ticks, rounded to the nearest.
pub fn ticks(duration: Duration, timescale: u32) -> u64 {
    let nanos = duration.as_nanos() * u128::from(timescale);
    u64::try_from((nanos + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_to_the_nanosecond() {
        let nanos = |text| duration(text).map(|duration| duration.as_nanos());
        assert_eq!(nanos("PT30.5S"), Some(30_500_000_000));
        assert_eq!(nanos("PT0H3M30.000000001S"), Some(210_000_000_001));
        assert_eq!(nanos("P0Y0M1DT2H"), Some(26 * 3600 * 1_000_000_000));
        assert_eq!(nanos("PT1.9999999999S"), Some(1_999_999_999));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "P1Y",
            "-PT1S",
            "PT-1S",
            "PT1",
            "1S",
            "PT1X",
            "PT99999999999999999999S",
            "P900D",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn ticks_come_back_from_durations() {
        for timescale in [1, 1000, 44_100, 48_000, 10_000_000, u32::MAX] {
            for count in [0, 1, 44_101, 1 << 40] {
                let there = of_ticks(count, timescale);
                // Finer ticks than nanoseconds come back to the nearest nanosecond only.
                let slack = u64::from(timescale) / 1_000_000_000 + 1;
                assert!(
                    ticks(there, timescale).abs_diff(count) <= slack,
                    "{count} of {timescale}"
                );
            }
        }
    }
}
