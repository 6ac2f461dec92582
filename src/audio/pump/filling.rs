//! What the device is given that is of no entry: the last of a sound that is cut off, going down, and silence where
//! frames come late. It counts for nothing, and gives way to frames of entries.

use std::time::Duration;

use super::{Device, Halt, Next, Pump, samples};
use crate::audio::output::{CHANNELS, Content, Interest, OutputError, RAMP_MS};
use crate::audio::pages::Span;
use crate::audio::ramp::{Ramp, length};
use crate::audio::shared::count;

/// When the device holds no more than this and frames of an entry come late, silence follows. Less than what sound begins with,
/// so that a decoder that is busy for a moment is not heard; more than a real-time thread is woken late by.
pub const COVER_MS: u64 = 25;
/// So much silence is written at a time: what comes then waits no longer than this and what was left before it.
const AHEAD_MS: u32 = 30;
/// After this long without a frame, silence is no longer written: the device plays out and stops.
pub const SILENCE_MAX: Duration = Duration::from_secs(1);
/// Frames of the longest ramp: at the highest rate that a device is opened with.
const RAMP_FRAMES_MAX: usize = 768;
/// Frames of silence written at a time.
const SILENCE_FRAMES: usize = 1024;
static SILENCE: [i32; SILENCE_FRAMES * CHANNELS] = [0; SILENCE_FRAMES * CHANNELS];
/// Significant bits of a ramp's samples: all.
const RAMP_BITS: u8 = 32;
/// Looks at a ramp until its end, at most, before the device is closed; each waits for what is left of it.
const LAST_LOOKS: u32 = 8;

/// How a sound is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It goes down over [`RAMP_MS`], and what goes on in the middle of an entry comes up.
    Faded,
    /// It goes on from the next frame as if nothing had been.
    Seamless,
}

/// What of it the device holds.
pub struct Filling {
    /// Frames of silence behind everything else.
    silence: u64,
    /// The sound was cut off, and nothing of an entry was written since.
    is_cut: bool,
    /// A sound was cut off: what begins in the middle of an entry comes up. Where frames were late or the device was
    /// lost they all sound as they are.
    is_soft: bool,
    /// The last frames of a sound, going down. Made once: nothing is allocated while it plays.
    ramp: Box<[i32]>,
}

impl Filling {
    pub fn new() -> Self {
        Self {
            silence: 0,
            is_cut: false,
            is_soft: false,
            ramp: vec![0; RAMP_FRAMES_MAX * CHANNELS].into_boxed_slice(),
        }
    }

    /// The device holds nothing.
    pub fn forget(&mut self) {
        self.silence = 0;
        self.is_cut = false;
    }

    /// A frame of an entry was written behind it.
    pub fn is_followed(&mut self) {
        self.silence = 0;
        self.is_cut = false;
        self.is_soft = false;
    }

    /// Nothing of an entry is in the device; a ramp, and silence, are.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What is written next follows no frame of an entry.
    pub fn is_last(&self) -> bool {
        self.is_cut || self.silence > 0
    }

    /// After a cut, what comes does not wait for the silence behind the ramp: that is dropped as soon as the ramp is heard.
    pub fn is_in_the_way(&self) -> bool {
        self.is_cut && self.silence > 0
    }

    /// What begins in the middle of an entry comes up.
    pub fn is_soft(&self) -> bool {
        self.is_soft
    }

    /// After a cut: frames until the ramp is heard, of `unheard` in the device.
    pub fn until_silence(&self, unheard: u64) -> Option<u64> {
        self.is_cut.then(|| unheard.saturating_sub(self.silence))
    }

    /// Memory it uses while sound plays.
    pub fn memory(&self) -> Span {
        Span::of(&self.ramp)
    }
}

impl Pump {
    /// Silence at once, or after a ramp. What was not heard stays in the ring.
    pub(super) fn cut(&mut self, how: Cut) {
        if !self.is_running {
            return;
        }
        self.listen();
        // One that goes down already is left to it.
        if !self.is_running || self.filling.is_cut {
            return;
        }
        count(&self.shared.tally.cuts);
        let frames = match how {
            Cut::Faded => self.last_frames(),
            Cut::Seamless => 0,
        };
        let dropped = self.output.drop_now();
        self.line.rewind();
        self.stopped();
        self.filling.is_soft = how == Cut::Faded;
        let gone_down = dropped.and_then(|()| self.go_down(frames));
        if let Err(error) = gone_down {
            self.fail(&error);
        }
    }

    /// Copies the frames that would be heard next, going down. Returns how many.
    fn last_frames(&mut self) -> usize {
        let (Some(piece), Device::Open { rate }) = (self.line.piece(), self.device) else {
            return 0;
        };
        if piece.play.is_none() {
            return 0;
        }
        let held = usize::try_from(piece.frames).unwrap_or(usize::MAX);
        let frames = held.min(length(rate, RAMP_MS)).min(RAMP_FRAMES_MAX);
        let skip = samples(piece.at.saturating_sub(self.line.released()));
        let Ok(chunk) = self.samples.read_chunk(skip + frames * CHANNELS) else {
            return 0;
        };
        let (first, second) = chunk.as_slices();
        let Some(ramp) = self.filling.ramp.get_mut(..frames * CHANNELS) else {
            return 0;
        };
        for (sample, from) in ramp.iter_mut().zip(first.iter().chain(second).skip(skip)) {
            *sample = *from;
        }
        Ramp::down(frames).apply(ramp);
        frames
    }

    /// Gives the device the last frames of a sound.
    fn go_down(&mut self, frames: usize) -> Result<(), OutputError> {
        if frames == 0 {
            return Ok(());
        }
        let ramp = self.filling.ramp.get(..frames * CHANNELS).unwrap_or_default();
        self.output.set_content(Content::Filling);
        let taken = self.output.write(ramp, RAMP_BITS);
        self.output.set_content(Content::Entry);
        let taken = taken? as u64;
        self.line.filled(taken);
        self.is_running = taken > 0;
        self.filling.is_cut = taken > 0;
        Ok(())
    }

    /// Keeps the device from running dry: behind a ramp until that is heard, and where frames of an entry come late.
    pub(super) fn cover(&mut self, halt: Halt) -> Next {
        let Device::Open { rate } = self.device else {
            return Next::Sleep;
        };
        if !self.is_running || self.is_draining {
            return Next::Sleep;
        }
        let unheard = self.line.unheard();
        if self.filling.is_cut {
            if unheard <= self.filling.silence {
                let dropped = self.output.drop_now();
                self.line.rewind();
                self.stopped();
                if let Err(error) = dropped {
                    self.fail(&error);
                }
                return Next::Turn;
            }
            if self.filling.silence == 0 {
                self.write_silence(rate);
            }
            return Next::Sleep;
        }
        // A device that swallows frames at once has no silence to cover.
        let is_near = unheard > 0 && unheard <= self.frames_of(COVER_MS, rate);
        if halt == Halt::Starving && is_near && self.last_write.elapsed() < SILENCE_MAX && self.line.can_write() {
            self.write_silence(rate);
        }
        Next::Sleep
    }

    fn write_silence(&mut self, rate: u32) {
        // What is in front of it must reach the device as well.
        let latency = usize::try_from(self.output.latency()).unwrap_or(0);
        let mut left = length(rate, AHEAD_MS).saturating_add(latency);
        self.output.set_content(Content::Filling);
        while left > 0 {
            let silence = SILENCE.get(..left.min(SILENCE_FRAMES) * CHANNELS).unwrap_or_default();
            match self.output.write(silence, u8::MIN) {
                Ok(0) => break,
                Ok(taken) => {
                    self.line.filled(taken as u64);
                    self.filling.silence += taken as u64;
                    self.is_continuous = false;
                    left = left.saturating_sub(taken);
                }
                Err(error) => {
                    self.fail(&error);
                    break;
                }
            }
        }
        self.output.set_content(Content::Entry);
    }

    /// Lets a ramp be heard before the device is closed.
    pub(super) fn fade_away(&mut self) {
        for _ in 0..LAST_LOOKS {
            if !self.is_running || self.cover(Halt::Held) == Next::Turn {
                return;
            }
            let timeout = self.timeout(Halt::Held);
            self.shared.clear_wake();
            if self
                .output
                .wait(self.shared.wake_fd(), Interest::Nothing, timeout)
                .is_err()
            {
                return;
            }
            self.listen();
        }
    }
}
