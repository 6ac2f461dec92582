//! Frames of one rate become frames of another, in step to the frame: a stretch of an entry whose rate differs from the one
//! the entry began with. It must not know why the rate changed.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, ResamplerConstructionError, WindowFunction};
use thiserror::Error;

use super::output::CHANNELS;

/// Frames worked on at once, of either rate at least: the filter is this long, which keeps it flat up to 20 kHz at CD rate.
const CHUNK_FRAMES: usize = 1024;

/// Why a stretch cannot be resampled.
#[derive(Debug, Error)]
pub enum ResampleError {
    /// Rates that have no ratio to speak of.
    #[error("resample from {from} to {to} Hz: {source}")]
    Ratio {
        /// Of what goes in.
        from: u32,
        /// Of what comes out.
        to: u32,
        /// Why.
        source: ResamplerConstructionError,
    },
    /// The resampler refused a block.
    #[error("resample: {0}")]
    Block(#[from] rubato::ResampleError),
}

/// A stretch being resampled.
pub struct Resampler {
    fft: Fft<f64>,
    from: u32,
    to: u32,
    /// Frame of the entry, at the rate that comes out, that comes out of the filter next, and the first that is wanted.
    next: i64,
    wanted: i64,
    /// Frames of the filter's delay that are still to come.
    delay: usize,
    /// Frame, at the rate that goes in, of the first one that went in, and behind the last.
    begin: i64,
    end: i64,
    is_primed: bool,
    /// Interleaved: not yet worked on; the last that went in, for the stretch's end.
    input: Vec<f64>,
    recent: Vec<f64>,
    output: Vec<f64>,
}

impl Resampler {
    /// Ready for the frame `begin`, counted at rate `from`; gives frames from `wanted` on, counted at rate `to`.
    ///
    /// # Errors
    /// The rates do not go together.
    pub fn new(from: u32, to: u32, begin: i64, wanted: i64) -> Result<Self, ResampleError> {
        let rate = |rate: u32| usize::try_from(rate).unwrap_or(0);
        // A multiple of what both rates share; an even one, so that the filter's delay is a whole number of frames.
        let step = rate(from / gcd(from, to)) * 2;
        let chunk = CHUNK_FRAMES.max(CHUNK_FRAMES * rate(from) / rate(to).max(1));
        let chunk = chunk.next_multiple_of(step.max(1));
        let fft = Fft::new_custom(
            rate(from),
            rate(to),
            chunk,
            1,
            CHANNELS,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|source| ResampleError::Ratio { from, to, source })?;
        let output = vec![0.0; fft.output_frames_max() * CHANNELS];
        Ok(Self {
            delay: fft.output_delay(),
            fft,
            from,
            to,
            next: wanted,
            wanted,
            begin,
            end: begin,
            is_primed: false,
            input: Vec::new(),
            recent: Vec::new(),
            output,
        })
    }

    /// Frame, at the rate that comes out, behind the last one that [`Resampler::finish`] gives.
    pub fn end(&self) -> i64 {
        let end = i128::from(self.end) * i128::from(self.to);
        let from = i128::from(self.from.max(1));
        let end = i64::try_from((end + from - 1).div_euclid(from)).unwrap_or(i64::MAX);
        end.max(self.wanted)
    }

    /// The frame, at the rate that comes out, that is given next.
    pub fn next(&self) -> i64 {
        self.next.max(self.wanted)
    }

    /// Takes frames, and appends what comes out of them to `out`.
    ///
    /// # Errors
    /// The resampler fails.
    pub fn feed(&mut self, frames: &[i32], out: &mut Vec<i32>) -> Result<(), ResampleError> {
        self.input.extend(frames.iter().map(|sample| f64::from(*sample)));
        self.end = self.end.saturating_add(count(frames.len()));
        let kept = self.reach() * CHANNELS;
        let new = frames.get(frames.len().saturating_sub(kept)..).unwrap_or_default();
        let surplus = (self.recent.len() + new.len()).saturating_sub(kept);
        self.recent.drain(..surplus.min(self.recent.len()));
        self.recent.extend(new.iter().map(|sample| f64::from(*sample)));
        if !self.is_primed {
            if self.input.len() <= (2 * self.reach()) * CHANNELS {
                return Ok(());
            }
            self.prime();
        }
        self.work(out)
    }

    /// Appends the rest to `out`. Nothing is to be fed afterwards.
    ///
    /// # Errors
    /// The resampler fails.
    pub fn finish(&mut self, out: &mut Vec<i32>) -> Result<(), ResampleError> {
        if !self.is_primed {
            self.prime();
        }
        let end = self.end();
        let tail = beyond(&self.recent, 4 * self.reach());
        self.input.extend(tail);
        let before = out.len();
        let already = self.next();
        self.work(out)?;
        let rest = usize::try_from(end.saturating_sub(already)).unwrap_or(0);
        out.truncate(before + rest * CHANNELS);
        Ok(())
    }

    /// Frames that the filter looks to either side, and a block more.
    fn reach(&self) -> usize {
        self.fft.input_frames_max()
    }

    /// Puts before the stretch what the filter is to see there, so that it starts at a frame that both rates share.
    fn prime(&mut self) {
        self.is_primed = true;
        let divisor = gcd(self.from, self.to);
        let (step_in, step_out) = (i64::from(self.from / divisor), i64::from(self.to / divisor));
        let block = (self.begin - count(self.reach() * CHANNELS)).div_euclid(step_in.max(1));
        let before = usize::try_from(self.begin - block * step_in).unwrap_or(0);
        self.next = block * step_out;
        let mut mirrored: Vec<_> = self.input.chunks_exact(CHANNELS).rev().flatten().copied().collect();
        mirrored = beyond(&mirrored, before);
        let reversed = mirrored.chunks_exact(CHANNELS).rev().flatten().copied();
        self.input.splice(..0, reversed);
    }

    fn work(&mut self, out: &mut Vec<i32>) -> Result<(), ResampleError> {
        let block = self.fft.input_frames_next();
        let mut done = 0;
        while let Some(input) = self.input.get(done..done + block * CHANNELS) {
            let frames = self.fft.output_frames_next();
            let Ok(input) = InterleavedSlice::new(input, CHANNELS, block) else {
                break;
            };
            let Ok(mut output) = InterleavedSlice::new_mut(&mut self.output, CHANNELS, frames) else {
                break;
            };
            self.fft.process_into_buffer(&input, &mut output, None)?;
            done += block * CHANNELS;
            let delay = self.delay.min(frames);
            self.delay -= delay;
            let first = self.next;
            self.next = first.saturating_add(count((frames - delay) * CHANNELS));
            let early = usize::try_from(self.wanted.saturating_sub(first)).unwrap_or(0);
            let ready = self.output.get(..frames * CHANNELS).unwrap_or_default();
            let ready = ready
                .get((delay.saturating_add(early)).saturating_mul(CHANNELS)..)
                .unwrap_or_default();
            out.extend(ready.iter().map(|sample| round(*sample)));
        }
        self.input.drain(..done);
        Ok(())
    }
}

/// What lies beyond the last of `frames` for a filter: they go on turned about their last one, so that neither value nor
/// slope jumps.
fn beyond(frames: &[f64], wanted: usize) -> Vec<f64> {
    let all: Vec<&[f64]> = frames.chunks_exact(CHANNELS).collect();
    let Some((last, before)) = all.split_last() else {
        return vec![0.0; wanted * CHANNELS];
    };
    let earlier = before.iter().rev().copied();
    let first = before.first().copied().unwrap_or(last);
    earlier
        .chain(std::iter::repeat(first))
        .take(wanted)
        .flat_map(|frame| last.iter().zip(frame).map(|(last, sample)| 2.0 * last - sample))
        .collect()
}

fn count(samples: usize) -> i64 {
    i64::try_from(samples / CHANNELS).unwrap_or(i64::MAX)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, which is what is wanted"
)]
fn round(sample: f64) -> i32 {
    sample.round_ties_even() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest error of a resampled sine, of full scale: the filter's own.
    const ERROR_MAX: f64 = 2e-5;

    #[expect(clippy::cast_possible_truncation, reason = "samples are in range")]
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    fn sine(rate: u32, frames: std::ops::Range<i64>) -> Vec<i32> {
        let sample = |frame: i64| {
            let phase = std::f64::consts::TAU * 997.0 * frame as f64 / f64::from(rate);
            (phase.sin() * 1e9) as i32
        };
        frames.flat_map(|frame| [sample(frame), -sample(frame)]).collect()
    }

    #[test]
    fn a_sine_of_any_rate_stays_in_step_to_the_frame() {
        for (from, to) in [
            (48_000, 44_100),
            (44_100, 48_000),
            (96_000, 44_100),
            (192_000, 48_000),
            (48_000, 96_000),
        ] {
            for begin in [0, 1, 12_345] {
                let wanted = (begin * i64::from(to)).div_euclid(i64::from(from)) + 1;
                let mut resampler = Resampler::new(from, to, begin, wanted).unwrap();
                let mut out = Vec::new();
                let end = begin + 9001;
                let frames = sine(from, begin..end);
                for packet in frames.chunks(1152 * CHANNELS) {
                    resampler.feed(packet, &mut out).unwrap();
                }
                resampler.finish(&mut out).unwrap();
                let last = (end * i64::from(to) + i64::from(from) - 1).div_euclid(i64::from(from));
                assert_eq!(resampler.end(), last);
                let ideal = sine(to, wanted..last);
                assert_eq!(out.len(), ideal.len(), "{from} to {to} from {begin}");
                // At both ends the filter sees what was made up.
                let edge = 600 * CHANNELS;
                let inner = edge..out.len() - edge;
                let worst = out[inner.clone()]
                    .iter()
                    .zip(&ideal[inner])
                    .map(|(a, b)| a.abs_diff(*b))
                    .max();
                let worst = f64::from(worst.unwrap()) / 1e9;
                assert!(worst < ERROR_MAX, "{from} to {to} from {begin}: {worst:e}");
                let worst = out.iter().zip(&ideal).map(|(a, b)| a.abs_diff(*b)).max();
                let worst = f64::from(worst.unwrap()) / 1e9;
                assert!(worst < 0.02, "{from} to {to} from {begin}, at the ends: {worst:e}");
            }
        }
    }

    #[test]
    fn a_stretch_shorter_than_the_filter_keeps_its_length() {
        let mut resampler = Resampler::new(48_000, 44_100, 480, 441).unwrap();
        let mut out = Vec::new();
        resampler.feed(&sine(48_000, 480..500), &mut out).unwrap();
        resampler.finish(&mut out).unwrap();
        assert_eq!(out.len() / CHANNELS, 460 - 441);
    }
}
