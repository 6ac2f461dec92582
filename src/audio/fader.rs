//! The volume in software, in front of a device without a mixer. At full volume samples pass bit for bit. It is an
//! output around another one, so that whatever stands before it (a capture) gets the samples as they were decoded.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::gain::Gain;
use super::output::{CHANNELS, Change, Drained, Interest, Opened, Output, OutputError, RAMP_MS};
use super::pages::Span;
use super::ramp::Ramp;

/// Frames scaled at a time.
const SCALED_FRAMES: usize = 1024;
/// Significant bits of scaled samples: all.
const SCALED_BITS: u8 = 32;

/// A device with a volume.
pub struct Fader {
    inner: Box<dyn Output + Send>,
    gain: Gain,
    rate: u32,
    /// Sound that comes up from silence; `None`: it is up.
    rise: Option<Ramp>,
    /// Made once: nothing is allocated while it plays.
    scaled: Box<[i32]>,
}

impl Fader {
    /// At full volume until it is told another one.
    #[must_use]
    pub fn new(inner: Box<dyn Output + Send>) -> Self {
        Self {
            inner,
            gain: Gain::new(100),
            rate: 0,
            rise: None,
            scaled: vec![0; SCALED_FRAMES * CHANNELS].into_boxed_slice(),
        }
    }
}

impl Output for Fader {
    fn inner(&mut self) -> Option<&mut dyn Output> {
        Some(&mut *self.inner)
    }

    fn open(&mut self, rate: u32) -> Result<Opened, OutputError> {
        self.rate = rate;
        self.inner.open(rate)
    }

    fn set_volume(&mut self, volume: u8, change: Change) {
        match change {
            Change::Ramp => self.gain.aim(volume, self.rate),
            Change::Jump => self.gain.jump(volume),
        }
    }

    fn fade_in(&mut self) {
        self.rise = Some(Ramp::up(self.rate, RAMP_MS));
    }

    fn memory(&mut self, keep: &mut dyn FnMut(Span)) {
        keep(Span::of(&self.scaled));
        self.inner.memory(keep);
    }

    fn wait(&mut self, wake: BorrowedFd<'_>, interest: Interest, timeout: Duration) -> Result<(), OutputError> {
        self.inner.wait(wake, interest, timeout)
    }

    fn write(&mut self, samples: &[i32], bits: u8) -> Result<usize, OutputError> {
        let mut written = 0;
        for frames in samples.chunks(SCALED_FRAMES * CHANNELS) {
            if self.gain.is_unity() && self.rise.is_none() {
                let rest = samples.get(written * CHANNELS..).unwrap_or_default();
                return Ok(written + self.inner.write(rest, bits)?);
            }
            let scaled = self.scaled.get_mut(..frames.len()).unwrap_or_default();
            // What the device does not take is scaled again later, from the same place of the ramp.
            self.gain.fork().apply(frames, scaled);
            let mut rise = self.rise;
            if let Some(rise) = rise.as_mut() {
                rise.apply(scaled);
            }
            let taken = match self.inner.write(scaled, SCALED_BITS) {
                Ok(taken) => taken,
                // What was taken before is not untaken by what comes after; it is told on the next call.
                Err(_) if written > 0 => return Ok(written),
                Err(error) => return Err(error),
            };
            self.gain.skip(taken);
            self.rise = self.rise.and_then(|rise| rise.after(taken));
            written += taken;
            if taken < frames.len() / CHANNELS {
                break;
            }
        }
        Ok(written)
    }

    fn delay(&mut self) -> Result<usize, OutputError> {
        self.inner.delay()
    }

    fn drop_now(&mut self) -> Result<(), OutputError> {
        self.rise = None;
        self.inner.drop_now()
    }

    fn drain(&mut self) -> Result<Drained, OutputError> {
        self.inner.drain()
    }

    fn close(&mut self) {
        self.inner.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{BUFFER_FRAMES, Bench};
    use super::*;

    #[test]
    fn full_volume_passes_samples_and_their_bits_on_as_they_are() {
        let (bench, output) = Bench::new(10_000);
        let mut fader = Fader::new(output);
        fader.open(44_100).unwrap();
        let samples: Vec<i32> = (0..5000).map(|n| n << 16).collect();
        assert_eq!(fader.write(&samples, 16).unwrap(), 2500);
        while fader.drain().unwrap() == Drained::Pending {}
        bench.with(|state| {
            assert_eq!(state.heard, samples);
            assert_eq!(state.bits, [16]);
        });
    }

    #[test]
    fn silence_is_silence_and_a_short_write_is_told_as_such() {
        let (bench, output) = Bench::new(10_000);
        let mut fader = Fader::new(output);
        fader.open(44_100).unwrap();
        fader.set_volume(0, Change::Jump);
        assert_eq!(
            fader
                .write(&vec![1 << 30; CHANNELS * (BUFFER_FRAMES + 100)], 16)
                .unwrap(),
            BUFFER_FRAMES
        );
        while fader.drain().unwrap() == Drained::Pending {}
        bench.with(|state| assert_eq!(state.heard, vec![0; CHANNELS * BUFFER_FRAMES]));
    }
}
