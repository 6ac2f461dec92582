//! A test tone for bringing up a sound device without a service: both sides, then left, then right. It uses the device
//! directly, so that what it proves is the device and nothing else.

use std::f64::consts::TAU;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::AsFd;

use super::chime::Chime;
use super::output::{CHANNELS, Chiming, Drained, Interest, Opened, Output, OutputError};

/// Loudness of the tone: -20 dB, pleasant on any amplifier.
const AMPLITUDE: f64 = 0.1;
/// Chimes sound as at this volume: about as loud as the tone.
const CHIME_VOLUME: u8 = 85;
/// An A and the E above it: a fifth.
const TONES_HZ: [f64; 2] = [440.0, 660.0];
/// Each part fades in and out over this time.
const FADE_MS: u32 = 30;
/// Frames made at a time.
const BLOCK_FRAMES: u32 = 1024;
/// Longest wait for a device that takes nothing, as one that hangs does.
const PATIENCE: Duration = Duration::from_secs(5);
/// A look at the device at least this often.
const LOOK: Duration = Duration::from_millis(20);
/// Significant bits of the tone's samples.
const BITS: u8 = 24;

/// Plays `seconds` of tone on both sides, then half as long on the left, then on the right. `negotiated` is called once
/// the device is open, with what it agreed to.
///
/// # Errors
/// The device does not open or fails on the way.
pub fn play_tone(
    output: &mut dyn Output,
    rate: u32,
    seconds: u32,
    negotiated: impl FnOnce(&Opened),
) -> Result<(), OutputError> {
    let opened = output.open(rate)?;
    negotiated(&opened);
    let result = play_parts(output, &opened, rate, seconds);
    output.close();
    result
}

/// Sounds `chime`, and half a second of silence after it. The output must be one that chimes.
///
/// # Errors
/// The device does not open or fails on the way.
pub fn play_chime(output: &mut dyn Output, rate: u32, chime: Chime) -> Result<(), OutputError> {
    let opened = output.open(rate)?;
    let result = sound_chime(output, &opened, rate, chime);
    output.close();
    result
}

fn sound_chime(output: &mut dyn Output, opened: &Opened, rate: u32, chime: Chime) -> Result<(), OutputError> {
    let mut waiting = Waiting::new(opened)?;
    output.begin_chime(chime, CHIME_VOLUME);
    loop {
        match output.chime_on()? {
            Chiming::Full => waiting.wait(output, Interest::Room)?,
            Chiming::Ending => waiting.wait(output, Interest::Nothing)?,
            Chiming::Over => break,
        }
    }
    let pause = vec![0; usize::try_from(rate / 2).unwrap_or(0) * CHANNELS];
    write_all(output, &pause, &mut waiting)?;
    play_out(output, &mut waiting)
}

fn play_parts(output: &mut dyn Output, opened: &Opened, rate: u32, seconds: u32) -> Result<(), OutputError> {
    let frames = rate.saturating_mul(seconds.max(1));
    let mut waiting = Waiting::new(opened)?;
    for (frames, sides) in [(frames, [1.0, 1.0]), (frames / 2, [1.0, 0.0]), (frames / 2, [0.0, 1.0])] {
        let mut at = 0;
        while at < frames {
            let end = at.saturating_add(BLOCK_FRAMES).min(frames);
            let block: Vec<i32> = (at..end).flat_map(|frame| sample(frame, frames, rate, sides)).collect();
            write_all(output, &block, &mut waiting)?;
            at = end;
        }
    }
    play_out(output, &mut waiting)
}

fn play_out(output: &mut dyn Output, waiting: &mut Waiting) -> Result<(), OutputError> {
    while output.drain()? == Drained::Pending {
        waiting.wait(output, Interest::Nothing)?;
    }
    Ok(())
}

fn write_all(output: &mut dyn Output, mut block: &[i32], waiting: &mut Waiting) -> Result<(), OutputError> {
    while !block.is_empty() {
        match output.write(block, BITS) {
            Ok(0) => waiting.wait(output, Interest::Room)?,
            Ok(frames) => {
                waiting.patience = PATIENCE;
                block = block.get(frames * CHANNELS..).unwrap_or_default();
            }
            // A click, no more: this thread has no special priority.
            Err(OutputError::Xrun) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

struct Waiting {
    name: String,
    never: std::os::fd::OwnedFd,
    patience: Duration,
}

impl Waiting {
    fn new(opened: &Opened) -> Result<Self, OutputError> {
        let never = eventfd(0, EventfdFlags::CLOEXEC).map_err(|error| OutputError::Other {
            attempt: "wait for",
            name: opened.name.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            name: opened.name.clone(),
            never,
            patience: PATIENCE,
        })
    }

    fn wait(&mut self, output: &mut dyn Output, interest: Interest) -> Result<(), OutputError> {
        if self.patience.is_zero() {
            return Err(OutputError::Other {
                attempt: "play to",
                name: self.name.clone(),
                reason: format!("it took nothing for {} s", PATIENCE.as_secs()),
            });
        }
        self.patience = self.patience.saturating_sub(LOOK);
        output.wait(self.never.as_fd(), interest, LOOK)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and the tone is far below full scale"
)]
fn sample(frame: u32, frames: u32, rate: u32, sides: [f64; 2]) -> [i32; 2] {
    let seconds = f64::from(frame) / f64::from(rate);
    let tone: f64 = TONES_HZ.iter().map(|hz| (TAU * hz * seconds).sin()).sum::<f64>() / 2.0;
    let fade_frames = f64::from(rate) * f64::from(FADE_MS) / 1000.0;
    let edge = f64::from(frame.min(frames - frame)) / fade_frames;
    let level = AMPLITUDE * tone * edge.min(1.0) * f64::from(i32::MAX);
    // The lowest bits are cleared, so that the tone has the bits it says.
    sides.map(|side| ((level * side) as i32) & !0xff)
}

#[cfg(test)]
mod tests {
    use super::super::bench::Bench;
    use super::*;

    #[test]
    fn the_tone_is_on_both_sides_then_left_then_right() {
        let (bench, mut output) = Bench::new(u64::MAX / 2);
        let mut rate = 0;
        play_tone(&mut *output, 8000, 1, |opened| rate = opened.rate).unwrap();
        assert_eq!(rate, 8000);
        let heard = bench.with(|state| state.heard.clone());
        assert_eq!(heard.len(), 2 * 16_000);
        let loudest = |range: std::ops::Range<usize>, side: usize| {
            heard[range.start * 2..range.end * 2]
                .iter()
                .skip(side)
                .step_by(2)
                .map(|sample| sample.abs())
                .max()
        };
        assert!(loudest(0..8000, 0) > Some(1 << 26) && loudest(0..8000, 1) > Some(1 << 26));
        assert!(loudest(8000..12_000, 0) > Some(1 << 26) && loudest(8000..12_000, 1) == Some(0));
        assert!(loudest(12_000..16_000, 0) == Some(0) && loudest(12_000..16_000, 1) > Some(1 << 26));
    }

    #[test]
    fn a_device_that_cannot_be_opened_is_an_error() {
        let (bench, mut output) = Bench::new(0);
        bench.with(|state| state.refusals = 1);
        assert!(play_tone(&mut *output, 8000, 1, |_| ()).is_err());
    }
}
