//! Brings entries to a rate that the device has, where it lacks theirs or the board wants one rate for all. Where the rates
//! agree every sample passes bit for bit. It must not lose or add a frame: N frames become N times the ratio, rounded.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

use super::output::{CHANNELS, Drained, Interest, Opened, Output, OutputError};
use super::pages::Span;

/// Frames converted at a time, about: a filter of this length leaves all that is audible, and costs a skip some 12 ms at
/// CD rate.
const CHUNK_FRAMES: usize = 1024;
/// Significant bits of converted samples: all.
const CONVERTED_BITS: u8 = 32;
/// Full scale of a sample.
const SCALE: f64 = 2_147_483_648.0;

/// Which rate the device is opened with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rates {
    /// Each entry's own; the device is opened again where it changes. Converted only if the device lacks it.
    #[default]
    Reopen,
    /// Always this many frames a second.
    Fixed(u32),
}

/// A device at a rate of its own.
pub struct Converter {
    inner: Box<dyn Output + Send>,
    rates: Rates,
    conversion: Option<Conversion>,
}

/// One rate becoming another.
struct Conversion {
    from: u32,
    to: u32,
    resampler: Fft<f64>,
    /// Frames waiting until they make a chunk: the first `waiting` of it.
    chunk: Box<[f64]>,
    waiting: usize,
    raw: Box<[f64]>,
    /// Converted frames, of which those from `sent` to `ready` were not taken by the device.
    converted: Box<[i32]>,
    sent: usize,
    ready: usize,
    /// Frames of the filter's beginning that are still to be left out.
    lead: usize,
    /// Frames taken since the start, and those that the device took.
    taken: u64,
    written: u64,
}

impl Conversion {
    fn new(from: u32, to: u32) -> Option<Self> {
        let size = |rate: u32| usize::try_from(rate).ok();
        let chunk = chunk_frames(from, to)?;
        let window = WindowFunction::BlackmanHarris2;
        let resampler = Fft::new_custom(size(from)?, size(to)?, chunk, 1, CHANNELS, window, FixedSync::Both).ok()?;
        let room = |frames: usize| vec![0.0; frames * CHANNELS].into_boxed_slice();
        Some(Self {
            from,
            to,
            chunk: room(resampler.input_frames_max()),
            waiting: 0,
            raw: room(resampler.output_frames_max()),
            converted: vec![0; resampler.output_frames_max() * CHANNELS].into_boxed_slice(),
            sent: 0,
            ready: 0,
            lead: resampler.output_delay(),
            taken: 0,
            written: 0,
            resampler,
        })
    }

    /// As if nothing had been.
    fn reset(&mut self) {
        self.resampler.reset();
        self.waiting = 0;
        self.sent = 0;
        self.ready = 0;
        self.lead = self.resampler.output_delay();
        self.taken = 0;
        self.written = 0;
    }

    fn chunk_frames(&self) -> usize {
        self.chunk.len() / CHANNELS
    }

    /// Takes frames until a chunk is whole. Returns how many.
    fn take(&mut self, samples: &[i32]) -> usize {
        let room = self.chunk.get_mut(self.waiting * CHANNELS..).unwrap_or_default();
        let frames = (room.len() / CHANNELS).min(samples.len() / CHANNELS);
        for (place, sample) in room.iter_mut().zip(samples.iter().take(frames * CHANNELS)) {
            *place = f64::from(*sample) / SCALE;
        }
        self.waiting += frames;
        self.taken += frames as u64;
        if self.waiting == self.chunk_frames() {
            self.convert();
        }
        frames
    }

    /// Converts the chunk, what is missing of it being silence.
    fn convert(&mut self) {
        let (inputs, outputs) = (self.chunk_frames(), self.raw.len() / CHANNELS);
        self.chunk
            .get_mut(self.waiting * CHANNELS..)
            .unwrap_or_default()
            .fill(0.0);
        self.waiting = 0;
        let made = InterleavedSlice::new(&self.chunk, CHANNELS, inputs)
            .ok()
            .and_then(|from| {
                let mut to = InterleavedSlice::new_mut(&mut self.raw, CHANNELS, outputs).ok()?;
                let (_, made) = self.resampler.process_into_buffer(&from, &mut to, None).ok()?;
                Some(made)
            });
        let made = made.unwrap_or(0);
        for (place, sample) in self.converted.iter_mut().zip(self.raw.iter().take(made * CHANNELS)) {
            *place = whole(*sample);
        }
        self.sent = self.lead.min(made);
        self.lead -= self.sent;
        self.ready = made;
    }

    /// Frames that `taken` become.
    fn due(&self) -> u64 {
        let (from, to) = (u64::from(self.from.max(1)), u64::from(self.to));
        (self.taken * to + from / 2) / from
    }

    /// Frames of a chunk and of the filter's half.
    fn latency(&self) -> u64 {
        let (from, to) = (u64::from(self.from), u64::from(self.to.max(1)));
        let filter = self.resampler.output_delay() as u64 * from / to + 1;
        self.chunk_frames() as u64 + filter
    }

    /// Frames taken and not heard, of which the device holds `held`.
    fn unheard(&self, held: u64) -> u64 {
        let heard = self.written.saturating_sub(held);
        self.taken
            .saturating_sub(heard * u64::from(self.from) / u64::from(self.to.max(1)))
    }
}

/// Frames converted at a time: the fewest above [`CHUNK_FRAMES`] that are an even number of the rates' common spans. The
/// filter's middle is then a whole frame on both sides; half a frame would shift the sound by that much.
fn chunk_frames(from: u32, to: u32) -> Option<usize> {
    let span = usize::try_from(from / common_divisor(from, to)?).ok()?;
    let pairs = CHUNK_FRAMES.div_ceil(span.checked_mul(2)?);
    span.checked_mul(2)?.checked_mul(pairs)
}

/// The greatest; `None` of zeros.
fn common_divisor(mut one: u32, mut other: u32) -> Option<u32> {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    (one != 0).then_some(one)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, as a sample must"
)]
fn whole(sample: f64) -> i32 {
    (sample * SCALE).round_ties_even() as i32
}

impl Converter {
    /// In front of `inner`.
    #[must_use]
    pub fn new(inner: Box<dyn Output + Send>, rates: Rates) -> Self {
        Self {
            inner,
            rates,
            conversion: None,
        }
    }

    /// Hands over what is converted. True: all of it.
    fn send(&mut self) -> Result<bool, OutputError> {
        let Some(conversion) = self.conversion.as_mut() else {
            return Ok(true);
        };
        while conversion.sent < conversion.ready {
            let range = conversion.sent * CHANNELS..conversion.ready * CHANNELS;
            let samples = conversion.converted.get(range).unwrap_or_default();
            let taken = self.inner.write(samples, CONVERTED_BITS)?;
            conversion.sent += taken;
            conversion.written += taken as u64;
            if taken == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Output for Converter {
    fn inner(&mut self) -> Option<&mut dyn Output> {
        Some(&mut *self.inner)
    }

    fn open(&mut self, rate: u32) -> Result<Opened, OutputError> {
        self.conversion = None;
        let wanted = match self.rates {
            Rates::Reopen => rate,
            Rates::Fixed(fixed) => fixed,
        };
        let opened = match self.inner.open(wanted) {
            Err(OutputError::Rate { nearest, .. }) => self.inner.open(nearest)?,
            opened => opened?,
        };
        // One that converts by itself says the rate it was asked for.
        if opened.rate != rate {
            self.conversion = Conversion::new(rate, opened.rate);
            if self.conversion.is_none() {
                self.inner.close();
                return Err(OutputError::Other {
                    attempt: "convert for",
                    name: opened.name,
                    reason: format!("{rate} Hz do not become {} Hz", opened.rate),
                });
            }
            log::info!("{}: {rate} Hz are converted to {} Hz", opened.name, opened.rate);
        }
        Ok(opened)
    }

    fn latency(&mut self) -> u64 {
        self.conversion.as_ref().map_or(0, Conversion::latency) + self.inner.latency()
    }

    fn memory(&mut self, keep: &mut dyn FnMut(Span)) {
        if let Some(conversion) = &self.conversion {
            keep(Span::of(&conversion.chunk));
            keep(Span::of(&conversion.raw));
            keep(Span::of(&conversion.converted));
        }
        self.inner.memory(keep);
    }

    fn wait(&mut self, wake: BorrowedFd<'_>, interest: Interest, timeout: Duration) -> Result<(), OutputError> {
        self.inner.wait(wake, interest, timeout)
    }

    fn write(&mut self, samples: &[i32], bits: u8) -> Result<usize, OutputError> {
        if self.conversion.is_none() {
            return self.inner.write(samples, bits);
        }
        let mut taken = 0;
        loop {
            match self.send() {
                Ok(true) => {}
                Ok(false) => return Ok(taken),
                // What was taken before is not untaken by what comes after; it is told on the next call.
                Err(_) if taken > 0 => return Ok(taken),
                Err(error) => return Err(error),
            }
            let rest = samples.get(taken * CHANNELS..).unwrap_or_default();
            let Some(conversion) = self.conversion.as_mut().filter(|_| !rest.is_empty()) else {
                return Ok(taken);
            };
            taken += conversion.take(rest);
        }
    }

    fn delay(&mut self) -> Result<usize, OutputError> {
        let held = self.inner.delay()?;
        Ok(self.conversion.as_ref().map_or(held, |conversion| {
            usize::try_from(conversion.unheard(held as u64)).unwrap_or(usize::MAX)
        }))
    }

    fn drop_now(&mut self) -> Result<(), OutputError> {
        if let Some(conversion) = self.conversion.as_mut() {
            conversion.reset();
        }
        self.inner.drop_now()
    }

    fn drain(&mut self) -> Result<Drained, OutputError> {
        loop {
            if !self.send()? {
                return Ok(Drained::Pending);
            }
            let Some(conversion) = self.conversion.as_mut() else {
                break;
            };
            let missing = conversion.due().saturating_sub(conversion.written);
            if missing == 0 {
                break;
            }
            // The end of what was taken is still in the filter.
            conversion.convert();
            let missing = usize::try_from(missing).unwrap_or(usize::MAX);
            conversion.ready = conversion.ready.min(conversion.sent.saturating_add(missing));
        }
        let drained = self.inner.drain()?;
        if let (Drained::Done, Some(conversion)) = (drained, self.conversion.as_mut()) {
            conversion.reset();
        }
        Ok(drained)
    }

    fn close(&mut self) {
        self.conversion = None;
        self.inner.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::Bench;
    use super::*;

    #[expect(clippy::cast_possible_truncation, reason = "half of full scale")]
    fn sine(rate: u32, frames: u32) -> Vec<i32> {
        let at = |frame: u32| (f64::from(frame) * 997.0 / f64::from(rate) * std::f64::consts::TAU).sin();
        let sample = |frame| (at(frame) * 0.5 * SCALE) as i32;
        (0..frames).flat_map(|frame| [sample(frame), -sample(frame)]).collect()
    }

    /// What a device at 48 kHz hears of `frames` at `rate`, written in odd pieces.
    fn converted(rate: u32, frames: u32) -> Vec<i32> {
        let (bench, output) = Bench::new(u64::MAX);
        let mut converter = Converter::new(output, Rates::Fixed(48_000));
        assert_eq!(converter.open(rate).unwrap().rate, 48_000);
        let samples = sine(rate, frames);
        let mut at = 0;
        while at < samples.len() {
            let piece = &samples[at..samples.len().min(at + 2 * 777)];
            at += 2 * converter.write(piece, 24).unwrap();
            bench.with(super::super::bench::State::play);
        }
        while converter.drain().unwrap() == Drained::Pending {
            bench.with(super::super::bench::State::play);
        }
        bench.with(|state| state.heard.clone())
    }

    #[test]
    fn as_many_frames_come_out_as_the_ratio_says_and_they_are_the_same_sound() {
        for (rate, frames) in [
            (44_100_u32, 44_101_u32),
            (96_000, 30_001),
            (192_000, 100_003),
            (44_100, 100),
        ] {
            let heard = converted(rate, frames);
            let due = (u64::from(frames) * 48_000 + u64::from(rate) / 2) / u64::from(rate);
            assert_eq!(heard.len() as u64 / 2, due, "{frames} frames of {rate} Hz");
            let expected = sine(48_000, u32::try_from(due).unwrap());
            // The ends are not those of a sine: its sudden beginning and end have all frequencies.
            let (skip, middle) = (2 * 4_000, heard.len().saturating_sub(2 * 8_000));
            let error = heard.iter().zip(&expected).skip(skip).take(middle);
            let error = error
                .map(|(is, was)| (f64::from(*is) - f64::from(*was)).abs())
                .fold(0.0, f64::max);
            assert!(error < SCALE * 1e-5, "{rate} Hz: {} dB", 20.0 * (error / SCALE).log10());
        }
    }

    #[test]
    fn where_the_rates_agree_every_sample_passes() {
        let (bench, output) = Bench::new(u64::MAX);
        let mut converter = Converter::new(output, Rates::Reopen);
        assert_eq!(converter.open(44_100).unwrap().rate, 44_100);
        let samples = sine(44_100, 1000);
        assert_eq!(converter.write(&samples, 24).unwrap(), 1000);
        while converter.drain().unwrap() == Drained::Pending {}
        bench.with(|state| assert!(state.heard == samples && state.bits == [24]));
    }

    #[test]
    fn what_was_not_heard_is_told_in_frames_of_the_entry() {
        let (bench, output) = Bench::new(0);
        let mut converter = Converter::new(output, Rates::Fixed(48_000));
        converter.open(96_000).unwrap();
        assert_eq!(converter.write(&sine(96_000, 4_000), 24).unwrap(), 4_000);
        assert_eq!(converter.delay().unwrap(), 4_000);
        bench.with(|state| {
            state.allowance = 600;
            (0..4).for_each(|_| state.play());
        });
        assert_eq!(converter.delay().unwrap(), 2_800);
        converter.drop_now().unwrap();
        assert_eq!(converter.delay().unwrap(), 0);
    }
}
