//! Chimes in front of a device, behind the volume: mixed into what sounds, or alone where nothing does. Without a chime
//! every sample passes bit for bit. It must not count as music: what it sounds alone is in no delay, and makes way at
//! once when music comes.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::chime::{Chime, level};
use super::output::{CHANNELS, Chiming, Drained, Interest, Opened, Output, OutputError};
use super::pages::Span;

/// Frames mixed at a time.
const MIXED_FRAMES: usize = 1024;
/// Significant bits of mixed samples: all.
const MIXED_BITS: u8 = 32;
/// A chime for a device that was never opened is counted in frames of this rate until it is.
const UNOPENED_RATE_HZ: u32 = 44_100;
/// Music under a chime is brought down to this: by 6 dB, which leaves room for the chime.
const DUCKED: f64 = 0.5;
/// The music goes down and comes up over this time, so that it does not click.
const DUCK_MS: f64 = 20.0;

/// A device that chimes. One chime sounds, one may wait; a newer one takes the place of the one that waits, so that a
/// held button does not chime on after it is let go.
pub struct Chimer {
    inner: Box<dyn Output + Send>,
    /// Frames a second that a chime is counted in: the device's, once it was opened.
    rate: u32,
    now: Option<Ringing>,
    next: Option<(Chime, f64)>,
    /// Frames the device holds.
    unheard: u64,
    holding: Holding,
    /// Made once: nothing is allocated while it plays.
    mixed: Box<[i32]>,
}

/// A chime on its way.
#[derive(Clone, Copy, Debug)]
struct Ringing {
    chime: Chime,
    /// Peak beside full scale.
    level: f64,
    frames: u64,
    /// Frame that is written next; all are written when it is `frames`.
    at: u64,
    /// Frames of music written after its last frame.
    after: u64,
}

/// What the device holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holding {
    /// Music, with or without a chime in it; or nothing.
    Music,
    /// A chime alone.
    Chime,
    /// A chime alone, to its end.
    EndOfChime,
}

impl Ringing {
    fn left(&self) -> u64 {
        self.frames.saturating_sub(self.at)
    }
}

impl Chimer {
    /// Silent until it is told to chime.
    #[must_use]
    pub fn new(inner: Box<dyn Output + Send>) -> Self {
        Self {
            inner,
            rate: UNOPENED_RATE_HZ,
            now: None,
            next: None,
            unheard: 0,
            holding: Holding::Music,
            mixed: vec![0; MIXED_FRAMES * CHANNELS].into_boxed_slice(),
        }
    }

    fn ringing(&self, chime: Chime, level: f64) -> Ringing {
        Ringing {
            chime,
            level,
            frames: chime.frames(self.rate),
            at: 0,
            after: 0,
        }
    }

    /// The chime that is to be written next, if any.
    fn due(&mut self) -> Option<Ringing> {
        if self.now.is_none_or(|now| now.left() == 0)
            && let Some((chime, level)) = self.next.take()
        {
            self.now = Some(self.ringing(chime, level));
        }
        self.now.filter(|now| now.left() > 0)
    }

    /// Offers `music` (or as much silence as the chime is long) with the chime in it. Returns the frames taken.
    fn mix(&mut self, ringing: Ringing, music: Option<&[i32]>) -> Result<usize, OutputError> {
        let left = usize::try_from(ringing.left()).unwrap_or(usize::MAX).min(MIXED_FRAMES);
        let frames = music.map_or(left, |music| left.min(music.len() / CHANNELS));
        let mixed = self.mixed.get_mut(..frames * CHANNELS).unwrap_or_default();
        match music {
            Some(music) => mixed.copy_from_slice(music.get(..frames * CHANNELS).unwrap_or_default()),
            None => mixed.fill(0),
        }
        add(mixed, ringing, self.rate);
        let taken = self.inner.write(mixed, MIXED_BITS)?;
        self.took(taken as u64);
        Ok(taken)
    }

    /// The device took `frames` more.
    fn took(&mut self, frames: u64) {
        self.unheard += frames;
        if let Some(now) = self.now.as_mut() {
            let own = frames.min(now.left());
            now.at += own;
            now.after += frames - own;
        }
    }

    /// All but `unheard` frames were heard.
    fn heard(&mut self, unheard: u64) {
        self.unheard = unheard;
        if self.now.is_some_and(|now| now.left() == 0 && now.after >= unheard) {
            self.now = None;
        }
    }

    /// The device is about to forget what it holds: what was not heard of the chime is to be written again.
    fn rewind(&mut self) {
        if let Some(now) = self.now.as_mut() {
            now.at -= self.unheard.saturating_sub(now.after).min(now.at);
            now.after = 0;
        }
        self.heard(0);
    }

    /// Music comes, or another rate: the chime alone stops where it is, to go on in what comes.
    fn make_way(&mut self) -> Result<(), OutputError> {
        if self.holding == Holding::Music {
            return Ok(());
        }
        self.holding = Holding::Music;
        // A device that cannot tell has played it all, or is about to say why it cannot.
        self.unheard = self.inner.delay().map_or(0, |frames| frames as u64);
        self.rewind();
        self.inner.drop_now()
    }

    fn note_dry(&mut self, error: &OutputError) {
        if let OutputError::Xrun = error {
            self.heard(0);
        }
    }
}

/// Brings `samples` down and adds the chime from its frame `ringing.at` on.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a float cast saturates; a chime has a few thousand frames"
)]
fn add(samples: &mut [i32], ringing: Ringing, rate: u32) {
    let rate = f64::from(rate.max(1));
    let length = ringing.frames as f64 / rate;
    let full = ringing.level * f64::from(i32::MAX);
    for (frame, at) in samples.chunks_exact_mut(CHANNELS).zip(ringing.at..) {
        let seconds = at as f64 / rate;
        let edge = (seconds.min(length - seconds) * 1000.0 / DUCK_MS).clamp(0.0, 1.0);
        let music = 1.0 - (1.0 - DUCKED) * edge;
        let chime = full * ringing.chime.value(seconds);
        for sample in frame {
            *sample = (f64::from(*sample) * music + chime).round_ties_even() as i32;
        }
    }
}

impl Output for Chimer {
    fn inner(&mut self) -> Option<&mut dyn Output> {
        Some(&mut *self.inner)
    }

    fn open(&mut self, rate: u32) -> Result<Opened, OutputError> {
        // Nobody needs to hear that the device cannot stop: it is opened afresh.
        let _ = self.make_way();
        self.heard(0);
        let opened = self.inner.open(rate)?;
        if let Some(now) = self.now.as_mut() {
            now.at = now.at * u64::from(rate) / u64::from(self.rate.max(1));
            now.frames = now.chime.frames(rate);
        }
        self.rate = rate;
        Ok(opened)
    }

    fn begin_chime(&mut self, chime: Chime, volume: u8) {
        match self.now.filter(|now| now.left() > 0) {
            Some(now) if now.chime == chime => self.next = None,
            Some(_) => self.next = Some((chime, level(volume))),
            None => self.now = Some(self.ringing(chime, level(volume))),
        }
    }

    fn has_chime(&mut self) -> bool {
        self.holding != Holding::Music || self.next.is_some() || self.now.is_some_and(|now| now.left() > 0)
    }

    fn chime_on(&mut self) -> Result<Chiming, OutputError> {
        while self.holding != Holding::EndOfChime {
            let Some(due) = self.due() else {
                self.holding = Holding::EndOfChime;
                break;
            };
            self.holding = Holding::Chime;
            if self.mix(due, None)? == 0 {
                return Ok(Chiming::Full);
            }
        }
        if self.inner.drain()? == Drained::Pending {
            return Ok(Chiming::Ending);
        }
        self.holding = Holding::Music;
        self.heard(0);
        Ok(Chiming::Over)
    }

    fn memory(&mut self, keep: &mut dyn FnMut(Span)) {
        keep(Span::of(&self.mixed));
        self.inner.memory(keep);
    }

    fn wait(&mut self, wake: BorrowedFd<'_>, interest: Interest, timeout: Duration) -> Result<(), OutputError> {
        self.inner.wait(wake, interest, timeout)
    }

    fn write(&mut self, samples: &[i32], bits: u8) -> Result<usize, OutputError> {
        self.make_way()?;
        let mut written = 0;
        loop {
            let rest = samples.get(written * CHANNELS..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(written);
            }
            let due = self.due();
            let offered = match due {
                Some(due) => self.mix(due, Some(rest)),
                None => self.inner.write(rest, bits).inspect(|taken| self.took(*taken as u64)),
            };
            match offered {
                Ok(taken) => {
                    written += taken;
                    if due.is_none() || taken == 0 {
                        return Ok(written);
                    }
                }
                // What was taken before is not untaken by what comes after; it is told on the next call.
                Err(_) if written > 0 => return Ok(written),
                Err(error) => {
                    self.note_dry(&error);
                    return Err(error);
                }
            }
        }
    }

    fn delay(&mut self) -> Result<usize, OutputError> {
        let delay = self.inner.delay().inspect_err(|error| self.note_dry(error))?;
        self.heard(delay as u64);
        Ok(if self.holding == Holding::Music { delay } else { 0 })
    }

    fn drop_now(&mut self) -> Result<(), OutputError> {
        // Whoever drops has just asked for the delay.
        self.rewind();
        self.holding = Holding::Music;
        self.inner.drop_now()
    }

    fn drain(&mut self) -> Result<Drained, OutputError> {
        let drained = self.inner.drain()?;
        if drained == Drained::Done {
            self.heard(0);
        }
        Ok(drained)
    }

    fn close(&mut self) {
        self.now = None;
        self.next = None;
        self.unheard = 0;
        self.holding = Holding::Music;
        self.inner.close();
    }
}

#[cfg(test)]
#[path = "chimer_tests.rs"]
mod tests;
