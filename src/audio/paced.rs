//! A device for machines without one: takes frames as fast as a sound card would play them, by the monotonic clock, and
//! sounds nothing. It has a buffer, a delay and runs dry like hardware, so that the whole program behaves as on a Pi.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::output::{CHANNELS, Drained, Interest, Opened, Output, OutputError, nap};

/// What the device is called in logs and errors.
const NAME: &str = "paced";
/// Length of one period, like a sound card's default here.
const PERIOD_MS: usize = 46;
/// Periods in the buffer.
const PERIODS: usize = 4;

/// The device. A clock that runs faster than real time makes tests and demonstrations short.
#[derive(Debug)]
pub struct Paced {
    speed: u32,
    rate: u32,
    buffer_frames: u64,
    /// Frames taken and not yet played at `since`.
    queued: u64,
    /// When `queued` was true; `None` while stopped.
    since: Option<Instant>,
}

impl Paced {
    /// Plays `speed` times as fast as real time; 1 is real time, 0 counts as 1.
    #[must_use]
    pub fn new(speed: u32) -> Self {
        Self {
            speed: speed.max(1),
            rate: 0,
            buffer_frames: 0,
            queued: 0,
            since: None,
        }
    }

    /// Frames a second of this device's clock.
    fn pace(&self) -> u64 {
        u64::from(self.rate.max(1)) * u64::from(self.speed)
    }

    /// Plays what is due. Running dry stops the device.
    fn play(&mut self) -> Result<(), OutputError> {
        let Some(since) = self.since else { return Ok(()) };
        let due = since.elapsed().as_nanos() * u128::from(self.pace()) / 1_000_000_000;
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        if due > self.queued {
            self.queued = 0;
            self.since = None;
            return Err(OutputError::Xrun);
        }
        self.queued -= due;
        // The clock moves on by whole frames only, so that fractions are not lost.
        self.since = Some(since + self.length(due));
        Ok(())
    }

    fn length(&self, frames: u64) -> Duration {
        Duration::from_nanos(frames.saturating_mul(1_000_000_000) / self.pace())
    }
}

impl Output for Paced {
    fn open(&mut self, rate: u32) -> Result<Opened, OutputError> {
        self.close();
        self.rate = rate;
        let period_frames = usize::try_from(rate).unwrap_or(usize::MAX).saturating_mul(PERIOD_MS) / 1000;
        self.buffer_frames = (period_frames * PERIODS) as u64;
        let buffer_frames = period_frames * PERIODS;
        Ok(Opened {
            name: NAME.into(),
            rate,
            format: "S32_LE".into(),
            period_frames,
            buffer_frames,
        })
    }

    fn wait(&mut self, wake: BorrowedFd<'_>, interest: Interest, timeout: Duration) -> Result<(), OutputError> {
        let until_room = self.length(self.queued.saturating_sub(self.buffer_frames / 2));
        let pause = match interest {
            Interest::Room if self.since.is_some() => timeout.min(until_room.max(Duration::from_millis(1))),
            Interest::Room | Interest::Nothing => timeout,
        };
        nap(wake, pause);
        Ok(())
    }

    fn write(&mut self, samples: &[i32], _bits: u8) -> Result<usize, OutputError> {
        self.play()?;
        let room = self.buffer_frames.saturating_sub(self.queued);
        let taken = usize::try_from(room)
            .unwrap_or(usize::MAX)
            .min(samples.len() / CHANNELS);
        self.queued += taken as u64;
        if taken > 0 && self.since.is_none() {
            self.since = Some(Instant::now());
        }
        Ok(taken)
    }

    fn delay(&mut self) -> Result<usize, OutputError> {
        self.play()?;
        Ok(usize::try_from(self.queued).unwrap_or(usize::MAX))
    }

    fn drop_now(&mut self) -> Result<(), OutputError> {
        self.queued = 0;
        self.since = None;
        Ok(())
    }

    fn drain(&mut self) -> Result<Drained, OutputError> {
        // Running dry is what is wanted here.
        if self.play().is_err() || self.queued == 0 || self.since.is_none() {
            self.drop_now()?;
            return Ok(Drained::Done);
        }
        Ok(Drained::Pending)
    }

    fn close(&mut self) {
        self.queued = 0;
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn frames_play_by_the_clock_and_the_device_runs_dry() {
        let mut device = Paced::new(1);
        device.open(48_000).unwrap();
        assert_eq!(device.write(&[0; 2 * 960], 16).unwrap(), 960);
        let start = Instant::now();
        while device.delay().is_ok_and(|delay| delay > 0) {
            sleep(Duration::from_millis(1));
        }
        assert!(
            start.elapsed() >= Duration::from_millis(19),
            "20 ms of sound took {:?}",
            start.elapsed()
        );
        sleep(Duration::from_millis(2));
        // Told once, and ready again.
        assert!(device.since.is_none() || matches!(device.delay(), Err(OutputError::Xrun)));
        assert_eq!(device.delay().unwrap(), 0);
        assert_eq!(device.write(&[0; 2], 16).unwrap(), 1);
    }

    #[test]
    fn the_buffer_takes_no_more_than_it_holds() {
        let mut device = Paced::new(1);
        let opened = device.open(44_100).unwrap();
        let taken = device.write(&vec![0; 100_000], 16).unwrap();
        assert_eq!(taken, opened.buffer_frames);
        assert!(device.delay().unwrap() > 0);
        device.drop_now().unwrap();
        assert_eq!(device.delay().unwrap(), 0);
    }

    #[test]
    fn draining_ends_without_an_error() {
        let mut device = Paced::new(100);
        device.open(44_100).unwrap();
        device.write(&vec![0; 8000], 16).unwrap();
        while device.drain().unwrap() == Drained::Pending {
            sleep(Duration::from_micros(100));
        }
        assert_eq!(device.delay().unwrap(), 0);
    }
}
