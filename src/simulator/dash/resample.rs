//! Another sample rate, a piece at a time, of exactly the length it should have.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use super::PackError;

/// Frames of a step.
const STEP_FRAMES: usize = 4096;

/// A stream that changes its rate.
pub struct Resampler {
    /// `None`: the rate stays.
    inner: Option<Fft<f32>>,
    channels: usize,
    waiting: Vec<f32>,
    out: Vec<f32>,
    /// Frames of the resampler's own delay that were not left out yet.
    delay: usize,
    from: u64,
    to: u64,
    given: u64,
    taken: u64,
}

impl Resampler {
    /// From `from` to `to` frames a second.
    pub fn new(from: u32, to: u32, channels: usize) -> Result<Self, PackError> {
        let inner = if from == to {
            None
        } else {
            let made = Fft::new(from as usize, to as usize, STEP_FRAMES, channels, FixedSync::Input);
            Some(made.map_err(|error| PackError::Encode(error.to_string()))?)
        };
        Ok(Self {
            delay: inner.as_ref().map_or(0, rubato::Resampler::output_delay),
            out: inner
                .as_ref()
                .map_or_else(Vec::new, |inner| vec![0.0; inner.output_frames_max() * channels]),
            inner,
            channels,
            waiting: Vec::new(),
            from: u64::from(from),
            to: u64::from(to),
            given: 0,
            taken: 0,
        })
    }

    /// Frames that come out in all of `frames` that go in.
    pub fn length(frames: u64, from: u32, to: u32) -> u64 {
        let scaled = (u128::from(frames) * u128::from(to)).div_ceil(u128::from(from.max(1)));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }

    /// Takes samples, gives what is ready to `out`.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), PackError> {
        self.taken = self.taken.saturating_add((samples.len() / self.channels.max(1)) as u64);
        if self.inner.is_none() {
            out.extend(samples);
            return Ok(());
        }
        self.waiting.extend(samples);
        while self.waiting.len() >= STEP_FRAMES * self.channels {
            self.step(out, u64::MAX)?;
        }
        Ok(())
    }

    /// Nothing follows: gives the rest.
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), PackError> {
        if self.inner.is_none() {
            return Ok(());
        }
        let due = (self.taken * self.to).div_ceil(self.from.max(1));
        while self.given < due {
            self.waiting.resize(STEP_FRAMES * self.channels, 0.0);
            self.step(out, due)?;
        }
        Ok(())
    }

    /// One step; of what comes out, only frames before `due` are given.
    fn step(&mut self, out: &mut Vec<f32>, due: u64) -> Result<(), PackError> {
        let Some(inner) = &mut self.inner else { return Ok(()) };
        let wrong = |error: &dyn std::fmt::Display| PackError::Encode(error.to_string());
        let room = self.out.len() / self.channels.max(1);
        let produced = {
            let from = InterleavedSlice::new(&self.waiting, self.channels, STEP_FRAMES).map_err(|e| wrong(&e))?;
            let mut to = InterleavedSlice::new_mut(&mut self.out, self.channels, room).map_err(|e| wrong(&e))?;
            let (_, produced) = inner.process_into_buffer(&from, &mut to, None).map_err(|e| wrong(&e))?;
            produced
        };
        self.waiting.drain(..STEP_FRAMES * self.channels);
        let left_out = self.delay.min(produced);
        self.delay -= left_out;
        let wanted = usize::try_from(due.saturating_sub(self.given)).unwrap_or(usize::MAX);
        let count = (produced - left_out).min(wanted);
        let first = left_out * self.channels;
        out.extend(self.out.iter().skip(first).take(count * self.channels));
        self.given = self.given.saturating_add(count as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_keeps_its_length_and_its_place() {
        #[expect(clippy::cast_precision_loss, reason = "a short tone")]
        let tone = |rate: f32, frame: usize| (frame as f32 * 440.0 * std::f32::consts::TAU / rate).sin() * 0.5;
        for frames in [1, 100, 7_094, 31_001] {
            let input: Vec<f32> = (0..frames).flat_map(|frame| [tone(44_100.0, frame); 2]).collect();
            let mut resampler = Resampler::new(44_100, 48_000, 2).unwrap();
            let mut out = Vec::new();
            for piece in input.chunks(1000) {
                resampler.push(piece, &mut out).unwrap();
            }
            resampler.finish(&mut out).unwrap();
            let expected = usize::try_from(Resampler::length(frames as u64, 44_100, 48_000)).unwrap();
            assert_eq!(out.len(), 2 * expected, "{frames}");
            for (frame, pair) in out.chunks(2).enumerate().skip(500).take(expected.saturating_sub(1000)) {
                assert!(
                    (pair[0] - tone(48_000.0, frame)).abs() < 0.01,
                    "{frame} of {frames}: {pair:?}"
                );
            }
        }
    }
}
