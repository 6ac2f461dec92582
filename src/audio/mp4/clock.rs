//! When samples sound: from ticks of a track's clock to frames of the entry. Exact where the clock counts frames, to the
//! nearest frame else; this file must not read anything.

use super::super::stream::Segment;

/// Clock of a stretch of samples, and where the music lies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Ticks a second; not zero.
    pub timescale: u32,
    /// Ticks before the music.
    pub skip: u64,
    /// Ticks up to which there is music, if the description says so.
    pub end: Option<u64>,
    /// Where media time 0 stands in the entry.
    pub origin: Origin,
}

/// A time in the entry, in ticks of a clock of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// May be negative: a part that was cut out of something longer.
    pub ticks: i64,
    /// Ticks a second; not zero.
    pub timescale: u32,
}

impl Default for Origin {
    fn default() -> Self {
        Self { ticks: 0, timescale: 1 }
    }
}

impl Origin {
    /// As the manifest says it.
    pub fn of(segment: &Segment) -> Self {
        Self {
            ticks: segment.origin_ticks,
            timescale: segment.timescale.max(1),
        }
    }
}

impl Clock {
    /// Frame of the entry, at `rate`, that sounds at tick `at`. Negative: silence that an encoder put before the music.
    pub fn position(&self, at: u64, rate: u32) -> i64 {
        let skipped = scale(i128::from(at), rate, self.timescale) - scale(i128::from(self.skip), rate, self.timescale);
        clamp(skipped + self.shift(rate))
    }

    /// Tick that sounds at `frame` of the entry.
    pub fn tick(&self, frame: i64, rate: u32) -> u64 {
        let in_media = i128::from(frame) - self.shift(rate);
        let ticks = scale(in_media, self.timescale, rate.max(1)) + i128::from(self.skip);
        u64::try_from(ticks).unwrap_or(0)
    }

    /// An offset of the manifest that leaves out what the description leaves out as well means the same silence.
    fn shift(&self, rate: u32) -> i128 {
        let origin = scale(i128::from(self.origin.ticks), rate, self.origin.timescale);
        let skip = scale(i128::from(self.skip), rate, self.timescale);
        if skip > 0 && (origin + skip).abs() <= 1 {
            0
        } else {
            origin
        }
    }
}

/// To the nearest: times in a file are rounded themselves.
fn scale(ticks: i128, by: u32, over: u32) -> i128 {
    let over = i128::from(over.max(1));
    (ticks * i128::from(by) + over / 2).div_euclid(over)
}

fn clamp(frames: i128) -> i64 {
    i64::try_from(frames).unwrap_or(if frames < 0 { i64::MIN / 4 } else { i64::MAX / 4 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Clock = Clock {
        timescale: 44_100,
        skip: 1024,
        end: None,
        origin: Origin { ticks: 0, timescale: 1 },
    };

    #[test]
    fn silence_before_the_music_has_negative_positions() {
        assert_eq!(PLAIN.position(0, 44_100), -1024);
        assert_eq!(PLAIN.position(2048, 44_100), 1024);
        assert_eq!(PLAIN.tick(1024, 44_100), 2048);
    }

    #[test]
    fn a_later_period_stands_later() {
        let later = Clock {
            origin: Origin {
                ticks: 2000,
                timescale: 1000,
            },
            ..PLAIN
        };
        assert_eq!(later.position(1024, 44_100), 88_200);
        assert_eq!(later.tick(88_200, 44_100), 1024);
    }

    #[test]
    fn an_offset_equal_to_the_silence_is_applied_once() {
        let twice = Clock {
            origin: Origin {
                ticks: -1024,
                timescale: 44_100,
            },
            ..PLAIN
        };
        assert_eq!(twice.position(1024, 44_100), 0);
    }

    #[test]
    fn a_coarse_clock_gives_the_nearest_frame() {
        let coarse = Clock {
            timescale: 1000,
            skip: 0,
            ..PLAIN
        };
        assert_eq!(coarse.position(23, 44_100), 1014);
    }
}
