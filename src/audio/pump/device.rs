//! The output's hand: opens the device, writes frames to it, plays it out, and finds it again when it is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tonearm_core::id::PlayId;
use tonearm_core::input::{AudioNews, Ending};

use super::filling::SILENCE_MAX;
use super::{
    CHIME_RATE_HZ, Device, Halt, LULL, NAP, Next, Pause, Pump, RESTART_MS, RETRY, START_MS, TAIL_MS, WRITE_TRIES,
    samples,
};
use crate::audio::output::{Chiming, Drained, OutputError};
use crate::audio::shared::count;

/// How many of the frames that were offered the device took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Nothing,
    Some(usize),
    All(usize),
}

impl Taken {
    fn of(frames: usize, samples_offered: usize) -> Self {
        if frames == 0 {
            Self::Nothing
        } else if frames < samples_offered / super::CHANNELS {
            Self::Some(frames)
        } else {
            Self::All(frames)
        }
    }
}

impl Pump {
    /// Writes what there is and fits.
    pub(super) fn fill(&mut self, available: u64) -> Halt {
        if let Device::Lost { rate, retry_at } = self.device
            && Instant::now() >= retry_at
        {
            self.open(rate);
        }
        if self.is_draining {
            return self.halt;
        }
        let shared = Arc::clone(&self.shared);
        let mut tries = WRITE_TRIES;
        loop {
            if self.pause == Pause::Paused {
                self.line.writable(available, |play| shared.is_valid(play));
                return Halt::Held;
            }
            let Some(region) = self.line.writable(available, |play| shared.is_valid(play)) else {
                return if matches!(self.device, Device::Lost { .. }) {
                    Halt::Held
                } else {
                    Halt::Nothing
                };
            };
            let Some(shape) = region.shape else {
                return Halt::Nothing;
            };
            let end = region.end.map_or(available, |(end, _)| end.min(available));
            let ready = end.saturating_sub(self.line.next());
            let is_start = !self.is_running || self.filling.is_last();
            let is_thin = ready == 0 || (is_start && region.end.is_none() && ready < self.threshold(shape.rate));
            match self.device {
                Device::Open { rate } if rate == shape.rate => {}
                Device::Resting if is_thin => return Halt::Starving,
                Device::Open { .. } if self.is_running => return Halt::Rate(shape.rate),
                Device::Open { .. } | Device::Closed | Device::Resting => self.open(shape.rate),
                Device::Lost { retry_at, .. } => {
                    self.device = Device::Lost {
                        rate: shape.rate,
                        retry_at,
                    };
                    return Halt::Held;
                }
            }
            if !matches!(self.device, Device::Open { .. }) {
                return Halt::Held;
            }
            if is_thin || self.filling.is_in_the_way() {
                return Halt::Starving;
            }
            if !self.line.can_write() {
                return Halt::Full;
            }
            if !self.is_continuous && self.filling.is_soft() && (shape.offset > 0 || self.line.next() > region.start) {
                self.output.fade_in();
            }
            match self.write(ready, shape.bits) {
                Ok(Taken::Nothing) => return Halt::Full,
                Ok(Taken::Some(frames)) => {
                    self.wrote(region.play, frames);
                    // A device that plays on makes room for a few more all the time: those wait for the next turn.
                    return Halt::Full;
                }
                Ok(Taken::All(frames)) => self.wrote(region.play, frames),
                // After running dry, writing goes on; one that does nothing but run dry is as good as lost.
                Err(error) if tries > 0 => {
                    tries -= 1;
                    self.fail(&error);
                }
                Err(error) => self.lose(&error),
            }
        }
    }

    fn threshold(&mut self, rate: u32) -> u64 {
        let ms = if self.sounding.is_some_and(|sounding| sounding.is_stalled) {
            RESTART_MS
        } else {
            START_MS
        };
        self.frames_of(ms, rate)
    }

    fn wrote(&mut self, play: PlayId, frames: usize) {
        let is_another = self.last_written.is_some_and(|last| last != play);
        if is_another && !self.shared.is_ordered(play) && self.shared.begun() != Some(play) {
            let tally = &self.shared.tally;
            count(if self.is_continuous {
                &tally.boundaries_gapless
            } else {
                &tally.boundaries_silent
            });
        }
        self.line.wrote(play, frames as u64);
        self.filling.is_followed();
        self.last_written = Some(play);
        self.last_write = Instant::now();
        self.is_running = true;
        self.is_continuous = true;
        if let Some(sounding) = self.sounding.as_mut()
            && sounding.is_stalled
        {
            sounding.is_stalled = false;
            self.tell(AudioNews::Flowing { play });
        }
    }

    /// Offers the next frames, at most `ready` of them, to the device.
    fn write(&mut self, ready: u64, bits: u8) -> Result<Taken, OutputError> {
        let skip = samples(self.line.next() - self.line.released());
        let Ok(chunk) = self.samples.read_chunk(skip.saturating_add(samples(ready))) else {
            return Ok(Taken::Nothing);
        };
        let (first, second) = chunk.as_slices();
        let frames = match first.get(skip..) {
            Some(rest) if !rest.is_empty() => rest,
            Some(_) | None => second.get(skip.saturating_sub(first.len())..).unwrap_or_default(),
        };
        Ok(Taken::of(self.output.write(frames, bits)?, frames.len()))
    }

    /// Plays the device out when nothing (or nothing at this rate, or nothing yet) follows.
    pub(super) fn play_out(&mut self, halt: Halt) -> Next {
        let is_at_an_end = matches!(halt, Halt::Nothing | Halt::Rate(_) | Halt::Starving);
        if !self.is_running || self.filling.is_cut() || !is_at_an_end {
            return Next::Sleep;
        }
        let Device::Open { rate } = self.device else {
            return Next::Sleep;
        };
        let is_near = self.line.unheard() <= self.frames_of(TAIL_MS, rate);
        let lull = match halt {
            Halt::Starving if self.line.unheard() > 0 => SILENCE_MAX,
            Halt::Starving | Halt::Rate(_) | Halt::Full | Halt::Nothing | Halt::Held => LULL,
        };
        // What has another rate cannot adjoin, however long it is waited for.
        let is_over = matches!(halt, Halt::Rate(_));
        let is_due = self.is_draining || is_over || (is_near && self.last_write.elapsed() >= lull);
        if !is_due {
            return Next::Sleep;
        }
        match self.output.drain() {
            Ok(Drained::Pending) => {
                self.is_draining = true;
                return Next::Sleep;
            }
            Ok(Drained::Done) => {
                self.advance(self.line.unheard());
                self.stopped();
                self.settle();
            }
            Err(error) => self.fail(&error),
        }
        Next::Turn
    }

    /// Sounds what is to be heard of a chime where no entry sounds. Trouble with the device ends the chime and is told to
    /// nobody: when an entry is to sound, it shows.
    pub(super) fn chime_alone(&mut self) -> Chiming {
        if self.is_running || !self.output.has_chime() {
            return Chiming::Over;
        }
        let chimed = match self.device {
            Device::Lost { .. } => return Chiming::Over,
            Device::Open { .. } => self.output.chime_on(),
            Device::Closed | Device::Resting => self.output.open(CHIME_RATE_HZ).and_then(|_| {
                count(&self.shared.tally.opens);
                self.device = Device::Open { rate: CHIME_RATE_HZ };
                self.output.chime_on()
            }),
        };
        chimed.unwrap_or_else(|error| {
            log::debug!("a chime is not heard: {error}");
            self.output.close();
            self.device = Device::Closed;
            Chiming::Over
        })
    }

    /// Gives back a device that sounded nothing for long enough. Returns how long until it has.
    pub(super) fn rest(&mut self, halt: Halt, chiming: Chiming) -> Duration {
        let is_idle = !self.is_running && halt != Halt::Full && chiming == Chiming::Over;
        let after = self
            .shared
            .rest()
            .filter(|_| is_idle && matches!(self.device, Device::Open { .. }));
        let Some(after) = after else {
            self.idle_since = None;
            return NAP;
        };
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        let left = after.saturating_sub(since.elapsed());
        if left.is_zero() {
            self.output.close();
            self.device = Device::Resting;
            self.idle_since = None;
            return NAP;
        }
        left
    }

    pub(super) fn fail(&mut self, error: &OutputError) {
        match error {
            OutputError::Xrun => {
                self.advance(self.line.unheard());
                if self.halt == Halt::Full {
                    count(&self.shared.tally.xruns);
                }
                self.stopped();
            }
            OutputError::Suspended { .. }
            | OutputError::Gone { .. }
            | OutputError::Busy { .. }
            | OutputError::Rate { .. }
            | OutputError::Other { .. } => self.lose(error),
        }
    }

    pub(super) fn lose(&mut self, error: &OutputError) {
        let (Device::Open { rate } | Device::Lost { rate, .. }) = self.device else {
            return;
        };
        let retry_at = Instant::now() + RETRY;
        if let Device::Open { .. } = self.device {
            log::warn!("sound stops: {error}; trying again every {} ms", RETRY.as_millis());
            count(&self.shared.tally.losses);
            // One that slept or went may still know how far it came.
            if let Ok(delay) = self.output.delay() {
                self.advance(self.line.unheard().saturating_sub(delay as u64));
            }
            self.line.rewind();
            self.stopped();
            self.close_span(Ending::Interrupted);
            self.tell(AudioNews::DeviceLost);
            self.output.close();
        }
        self.device = Device::Lost { rate, retry_at };
    }

    /// Opens the device for `rate`. Whether it was lost before makes the only difference in what is told.
    fn open(&mut self, rate: u32) {
        let was_lost = matches!(self.device, Device::Lost { .. });
        self.stopped();
        match self.output.open(rate) {
            Ok(opened) => {
                log::info!(
                    "{}: {} Hz, {}, {} x {} frames",
                    opened.name,
                    opened.rate,
                    opened.format,
                    opened.buffer_frames / opened.period_frames.max(1),
                    opened.period_frames
                );
                count(&self.shared.tally.opens);
                self.device = Device::Open { rate };
                self.lock_memory();
                if was_lost {
                    self.tell(AudioNews::DeviceBack);
                }
            }
            Err(error) => {
                if !was_lost {
                    self.device = Device::Open { rate };
                }
                self.lose(&error);
            }
        }
    }
}
