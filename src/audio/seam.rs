//! Where one decoder's frames end and another one's begin: the two never agree to the bit, and a jump would click. This
//! file bends the first frames of the new ones towards where the old ones were going; it must not know about codecs.

use super::output::CHANNELS;

/// Frames over which a jump between two decoders that are both in full swing is spread: five milliseconds at 48 kHz.
const WARM_FRAMES: usize = 240;
/// Frames over which the old sound gives way to a decoder that has not got going: twenty milliseconds at 48 kHz, which is
/// a packet of Opus or of AAC.
const COLD_FRAMES: usize = 960;

/// How the new frames begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// As the source.
    Warm,
    /// Out of silence: the decoder needs packets before that it was not given.
    Cold,
}

/// The frames heard last, and a seam behind them.
#[derive(Debug, Default)]
pub struct Seam {
    /// The last of them, interleaved.
    recent: Vec<i32>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    begin: Begin,
    /// Where the old frames would go on, interleaved.
    continued: Vec<f64>,
    done: usize,
}

impl Seam {
    /// Another decoder's frames follow.
    pub fn open(&mut self, begin: Begin) {
        if self.recent.len() < 2 * CHANNELS {
            return;
        }
        let frames = match begin {
            Begin::Warm => 1,
            Begin::Cold => COLD_FRAMES,
        };
        self.open = Some(Open {
            begin,
            continued: continued(&self.recent, frames),
            done: 0,
        });
    }

    /// A seam is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Bends `frames`, which come next, where a seam is open; remembers the last of them. Says how many samples were bent.
    pub fn pass(&mut self, frames: &mut [i32]) -> usize {
        let mut bent = 0;
        if let Some(open) = &mut self.open {
            let before = open.done;
            let goes_on = open.bend(frames);
            bent = (open.done - before) * CHANNELS;
            if !goes_on {
                self.open = None;
            }
        }
        let kept = COLD_FRAMES * CHANNELS;
        let new = frames.get(frames.len().saturating_sub(kept)..).unwrap_or_default();
        let surplus = (self.recent.len() + new.len()).saturating_sub(kept);
        self.recent.drain(..surplus.min(self.recent.len()));
        self.recent.extend_from_slice(new);
        bent
    }
}

impl Open {
    /// False: the seam is behind.
    fn bend(&mut self, frames: &mut [i32]) -> bool {
        match self.begin {
            Begin::Warm => self.spread(frames),
            Begin::Cold => self.fade(frames),
        }
    }

    /// Spreads the jump.
    fn spread(&mut self, frames: &mut [i32]) -> bool {
        if self.done == 0 {
            // From here on: how far the first frame is off.
            for (to, sample) in self.continued.iter_mut().zip(frames.iter()) {
                *to -= f64::from(*sample);
            }
        }
        for frame in frames.chunks_exact_mut(CHANNELS) {
            if self.done >= WARM_FRAMES {
                return false;
            }
            let weight = falling(self.done, WARM_FRAMES);
            for (sample, jump) in frame.iter_mut().zip(&self.continued) {
                *sample = round(f64::from(*sample) + weight * jump);
            }
            self.done += 1;
        }
        true
    }

    /// Lets the old sound go on into the new one.
    fn fade(&mut self, frames: &mut [i32]) -> bool {
        for frame in frames.chunks_exact_mut(CHANNELS) {
            let Some(old) = self.continued.get(self.done * CHANNELS..(self.done + 1) * CHANNELS) else {
                return false;
            };
            let weight = falling(self.done, COLD_FRAMES);
            for (sample, old) in frame.iter_mut().zip(old) {
                *sample = round(old * weight + f64::from(*sample) * (1.0 - weight));
            }
            self.done += 1;
        }
        true
    }
}

/// Fades the first frames of `frames` in, after a gap.
pub fn fade_in(frames: &mut [i32]) {
    for (number, frame) in frames.chunks_exact_mut(CHANNELS).take(WARM_FRAMES).enumerate() {
        let weight = 1.0 - falling(number, WARM_FRAMES);
        for sample in frame {
            *sample = round(f64::from(*sample) * weight);
        }
    }
}

/// How frames would go on: turned about the last one, so that neither value nor slope jumps.
fn continued(recent: &[i32], frames: usize) -> Vec<f64> {
    let all: Vec<&[i32]> = recent.chunks_exact(CHANNELS).collect();
    let Some((last, before)) = all.split_last() else {
        return Vec::new();
    };
    let earlier = before.iter().rev().copied();
    earlier
        .chain(std::iter::repeat(*last))
        .take(frames)
        .flat_map(|frame| {
            let both = last.iter().zip(frame);
            both.map(|(last, sample)| 2.0 * f64::from(*last) - f64::from(*sample))
        })
        .collect()
}

/// From one to zero along half a wave of a cosine.
#[expect(clippy::cast_precision_loss, reason = "a few hundred frames")]
fn falling(number: usize, frames: usize) -> f64 {
    let part = (number + 1) as f64 / (frames + 1) as f64;
    (part * std::f64::consts::PI).cos().mul_add(0.5, 0.5)
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

    fn sine(range: std::ops::Range<u32>, loudness: f64) -> Vec<i32> {
        let sample = |frame: u32| round((f64::from(frame) * 0.05).sin() * loudness);
        range.flat_map(|frame| [sample(frame), sample(frame)]).collect()
    }

    /// Largest second difference of the left side: what a click is made of.
    fn roughness(frames: &[i32]) -> u32 {
        let left: Vec<i64> = frames
            .iter()
            .step_by(CHANNELS)
            .map(|sample| i64::from(*sample))
            .collect();
        let second = left
            .windows(3)
            .map(|three| (three[0] - 2 * three[1] + three[2]).unsigned_abs());
        u32::try_from(second.max().unwrap()).unwrap()
    }

    fn joined(begin: Begin, new: &[i32]) -> Vec<i32> {
        let mut seam = Seam::default();
        let mut all = sine(0..2000, 1e9);
        seam.pass(&mut all);
        seam.open(begin);
        for packet in new.chunks(100 * CHANNELS) {
            let mut packet = packet.to_vec();
            seam.pass(&mut packet);
            all.extend(packet);
        }
        all
    }

    #[test]
    fn a_jump_is_spread_until_no_click_is_left() {
        let natural = roughness(&sine(0..4000, 1e9));
        let softer = sine(2000..4000, 0.9e9);
        let cut = [sine(0..2000, 1e9), softer.clone()].concat();
        let smoothed = joined(Begin::Warm, &softer);
        assert!(roughness(&cut) > 10 * natural, "the test hears a click");
        assert!(
            roughness(&smoothed) < natural * 3,
            "{} over {natural}",
            roughness(&smoothed)
        );
        assert_eq!(
            smoothed[(2000 + WARM_FRAMES) * CHANNELS..],
            cut[(2000 + WARM_FRAMES) * CHANNELS..]
        );
    }

    #[test]
    fn silence_at_the_beginning_of_the_new_is_covered_by_the_old() {
        let natural = roughness(&sine(0..4000, 1e9));
        let smoothed = joined(Begin::Cold, &vec![0; 2000 * CHANNELS]);
        assert!(
            roughness(&smoothed) < natural * 2,
            "{} over {natural}",
            roughness(&smoothed)
        );
        assert_eq!(*smoothed.last().unwrap(), 0);
    }

    #[test]
    fn frames_of_one_decoder_pass_untouched() {
        let mut seam = Seam::default();
        let mut frames = sine(0..3000, 1e9);
        seam.pass(&mut frames);
        seam.open(Begin::Warm);
        let mut rest = sine(3000..4000, 1e9);
        seam.pass(&mut rest);
        let mut after = sine(4000..5000, 1e9);
        seam.pass(&mut after);
        assert_eq!(frames, sine(0..3000, 1e9));
        assert_eq!(after, sine(4000..5000, 1e9));
    }
}
