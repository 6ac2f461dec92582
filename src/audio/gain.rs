//! Volume as a factor on samples: the curve, and ramps so that a change does not click. At full volume samples pass
//! untouched; this file must not know where they come from or go to.

use super::output::CHANNELS;

/// Loudest value of the volume scale: unity.
const VOLUME_FULL: u8 = 100;
/// Span of the scale in decibels between volume 0 and 100. 60 dB is what a living room can tell apart.
const RANGE_DB: f64 = 60.0;
/// Length of a change from one volume to another: long enough not to click, short enough to feel immediate.
const RAMP_MS: u32 = 20;

/// The factor for a volume: 0 is silence, 100 is exactly one, in between equal steps in decibels.
#[must_use]
pub fn factor(volume: u8) -> f64 {
    match volume {
        0 => 0.0,
        VOLUME_FULL.. => 1.0,
        _ => 10f64.powf((f64::from(volume) / f64::from(VOLUME_FULL) - 1.0) * RANGE_DB / 20.0),
    }
}

/// The factor that is applied now, on its way to the one wished for.
#[derive(Debug)]
pub struct Gain {
    now: f64,
    target: f64,
    /// Change per frame while on the way.
    step: f64,
}

impl Gain {
    /// Starts at the factor of `volume`, without a ramp.
    #[must_use]
    pub fn new(volume: u8) -> Self {
        let now = factor(volume);
        Self {
            now,
            target: now,
            step: 0.0,
        }
    }

    /// Heads for the factor of `volume` over [`RAMP_MS`] at `rate` frames a second.
    pub fn aim(&mut self, volume: u8, rate: u32) {
        let target = factor(volume);
        if target.to_bits() != self.target.to_bits() {
            self.target = target;
            let frames = f64::from(rate) * f64::from(RAMP_MS) / 1000.0;
            self.step = (target - self.now) / frames.max(1.0);
        }
    }

    /// Goes to the factor of `volume` at once: nothing sounds, so nothing can click.
    pub fn jump(&mut self, volume: u8) {
        *self = Self::new(volume);
    }

    /// Samples pass bit for bit.
    #[must_use]
    pub fn is_unity(&self) -> bool {
        self.now.to_bits() == 1f64.to_bits() && self.target.to_bits() == self.now.to_bits()
    }

    /// Applies the factor to the frames of `from` and writes them to `to`; as many as fit both. The ramp moves on.
    pub fn apply(&mut self, from: &[i32], to: &mut [i32]) {
        for (frame, scaled) in from.chunks_exact(CHANNELS).zip(to.chunks_exact_mut(CHANNELS)) {
            self.advance();
            for (sample, out) in frame.iter().zip(scaled) {
                *out = scale(*sample, self.now);
            }
        }
    }

    /// The ramp `frames` later, without samples. What was applied and not taken by the device is applied again from an
    /// earlier copy; see [`Gain::fork`].
    pub fn skip(&mut self, frames: usize) {
        for _ in 0..frames {
            if self.step == 0.0 {
                return;
            }
            self.advance();
        }
    }

    /// A copy to apply without moving the original.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { ..*self }
    }

    fn advance(&mut self) {
        if self.step == 0.0 {
            return;
        }
        self.now += self.step;
        let arrived = if self.step > 0.0 {
            self.now >= self.target
        } else {
            self.now <= self.target
        };
        if arrived {
            self.now = self.target;
            self.step = 0.0;
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and the factor is at most one"
)]
fn scale(sample: i32, factor: f64) -> i32 {
    (f64::from(sample) * factor).round_ties_even() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_volume_is_exactly_one_and_zero_is_silence() {
        assert_eq!(factor(100).to_bits(), 1f64.to_bits());
        assert_eq!(factor(255).to_bits(), 1f64.to_bits());
        assert_eq!(factor(0).to_bits(), 0f64.to_bits());
    }

    #[test]
    fn each_step_of_the_scale_is_the_same_number_of_decibels() {
        for volume in 1..99 {
            let step = 20.0 * (factor(volume + 1) / factor(volume)).log10();
            assert!((step - 0.6).abs() < 1e-9, "volume {volume}: {step} dB");
        }
    }

    #[test]
    fn a_ramp_moves_evenly_and_arrives_exactly() {
        let mut gain = Gain::new(0);
        gain.aim(100, 1000);
        let mut out = [0; 80];
        gain.apply(&[1 << 30; 80], &mut out);
        assert!(out.windows(2).all(|pair| pair[0] <= pair[1]), "{out:?}");
        assert_eq!(out[38], 1 << 30, "20 ms at 1 kHz are 20 frames");
        assert!(gain.is_unity());
    }

    #[test]
    fn skipping_frames_equals_applying_them() {
        let mut applied = Gain::new(80);
        applied.aim(30, 44_100);
        let mut skipped = applied.fork();
        applied.apply(&[0; 200], &mut [0; 200]);
        skipped.skip(100);
        assert_eq!(applied.now.to_bits(), skipped.now.to_bits());
    }

    #[test]
    fn unity_leaves_the_extremes_alone() {
        let mut out = [0; 4];
        Gain::new(100).apply(&[i32::MIN, i32::MAX, -1, 0], &mut out);
        assert_eq!(out, [i32::MIN, i32::MAX, -1, 0]);
    }
}
