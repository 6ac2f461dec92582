//! A ramp over a few frames: sound that is cut off goes down, sound that begins in the middle of an entry comes up, so that
//! neither clicks. Pure; volume is [`super::gain`]'s.

use super::output::CHANNELS;

/// A ramp on its way, linear in amplitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// Frames of it that are over.
    at: usize,
    frames: usize,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// Frames of `ms` at `rate` frames a second.
#[must_use]
pub fn length(rate: u32, ms: u32) -> usize {
    usize::try_from(u64::from(rate) * u64::from(ms) / 1000).unwrap_or(0)
}

impl Ramp {
    /// From silence, over `ms` at `rate` frames a second.
    #[must_use]
    pub fn up(rate: u32, ms: u32) -> Self {
        Self {
            at: 0,
            frames: length(rate, ms),
            way: Way::Up,
        }
    }

    /// To silence, over `frames`.
    #[must_use]
    pub fn down(frames: usize) -> Self {
        Self {
            at: 0,
            frames,
            way: Way::Down,
        }
    }

    /// Scales `samples`, and goes on as far.
    pub fn apply(&mut self, samples: &mut [i32]) {
        for frame in samples.chunks_exact_mut(CHANNELS) {
            let part = self.factor();
            for sample in frame {
                *sample = scale(*sample, part);
            }
            self.at += 1;
        }
    }

    /// The ramp `frames` later; `None`: it is over.
    #[must_use]
    pub fn after(mut self, frames: usize) -> Option<Self> {
        self.at = self.at.saturating_add(frames);
        (self.at < self.frames).then_some(self)
    }

    /// Neither the first nor the last frame is silent or whole: those beside the ramp are.
    #[expect(clippy::cast_precision_loss, reason = "a ramp has a few hundred frames")]
    fn factor(&self) -> f64 {
        let up = (self.at + 1).min(self.frames + 1) as f64 / (self.frames + 1) as f64;
        match self.way {
            Way::Up => up,
            Way::Down => 1.0 - up,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the factor is at most one")]
fn scale(sample: i32, factor: f64) -> i32 {
    (f64::from(sample) * factor).round_ties_even() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_even_and_what_lies_behind_it_is_untouched() {
        let mut samples = vec![1000; 6 * CHANNELS];
        Ramp::up(4000, 1).apply(&mut samples);
        let left: Vec<_> = samples.iter().step_by(2).copied().collect();
        assert_eq!(left, [200, 400, 600, 800, 1000, 1000]);
        let mut samples = vec![-1000; 4 * CHANNELS];
        Ramp::down(4).apply(&mut samples);
        let left: Vec<_> = samples.iter().step_by(2).copied().collect();
        assert_eq!(left, [-800, -600, -400, -200]);
    }

    #[test]
    fn a_ramp_in_pieces_is_the_whole_ramp() {
        let mut whole = vec![i32::MAX; 88 * CHANNELS];
        Ramp::up(44_100, 2).apply(&mut whole);
        let mut pieces = vec![i32::MAX; 88 * CHANNELS];
        let mut ramp = Some(Ramp::up(44_100, 2));
        for piece in pieces.chunks_mut(13 * CHANNELS) {
            let mut now = ramp.unwrap();
            now.apply(piece);
            ramp = ramp.unwrap().after(piece.len() / CHANNELS);
        }
        assert_eq!(ramp, None);
        assert_eq!(pieces, whole);
    }
}
