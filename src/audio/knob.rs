//! The volume in the sound card's own mixer, in place of the [`super::Fader`]'s factor: samples pass bit for bit at every
//! volume. The card is told from a thread of its own, because a card may be slow to obey. This file must not know what a
//! mixer is made of: that is [`Control`]'s.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::chime::Chime;
use super::output::{Change, Drained, Interest, Opened, Output, OutputError};

/// Loudest value of the volume scale.
const VOLUME_FULL: u8 = 100;
/// A change of volume goes in steps of this, so that it is no jump: few hear a step of 1.5 dB.
const STEP_DB: f64 = 1.5;
/// Between two steps: the whole scale of 60 dB takes 160 ms.
const STEP_PAUSE: Duration = Duration::from_millis(4);
/// What the thread is told besides the volume in the lowest eight bits: get there at once, and leave.
const JUMP: u32 = 1 << 8;
const QUIT: u32 = 1 << 9;
/// Part of every volume that is told, so that volume 0 differs from nothing told yet.
const KNOWN: u32 = 1 << 10;

/// A volume that hardware applies.
pub trait Control: Send {
    /// Sets it: decibels below the loudest, or `None` for silence. `Err`: why not, in words.
    ///
    /// # Errors
    /// The hardware refuses or is gone.
    fn set(&mut self, level_db: Option<f64>) -> Result<(), String>;
}

/// Where a volume of 0 to 100 is on a scale that begins at `min_db`: even steps in decibels, as in software; 0 is silence.
#[must_use]
pub fn level_db(volume: u8, min_db: f64) -> Option<f64> {
    let volume = volume.min(VOLUME_FULL);
    (volume > 0).then(|| min_db * (1.0 - f64::from(volume) / f64::from(VOLUME_FULL)))
}

/// An output whose volume is set in hardware.
pub struct Knob {
    inner: Box<dyn Output + Send>,
    /// Told last; nothing yet: `None`.
    last: Option<u8>,
    told: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Knob {
    /// In front of `inner`. The quietest level above silence is `min_db`, below 0.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn new(inner: Box<dyn Output + Send>, control: Box<dyn Control>, min_db: f64) -> std::io::Result<Self> {
        let told = Arc::new(AtomicU32::new(0));
        let orders = Arc::clone(&told);
        let thread = thread::Builder::new()
            .name("mixer".to_owned())
            .spawn(move || follow(control, &orders, min_db))?;
        Ok(Self {
            inner,
            last: None,
            told,
            thread: Some(thread),
        })
    }

    fn tell(&self, order: u32) {
        self.told.store(order, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

/// Brings the hardware to what is told, step by step.
fn follow(mut control: Box<dyn Control>, told: &AtomicU32, min_db: f64) {
    let (mut done, mut now) = (0, None);
    let mut has_failed = false;
    loop {
        let order = told.load(Ordering::Acquire);
        if order & QUIT != 0 {
            return;
        }
        if order == done {
            thread::park();
            continue;
        }
        let target = level_db(order.to_le_bytes()[0], min_db);
        // Where it stood before the first order is not known.
        now = if order & JUMP != 0 || done == 0 {
            target
        } else {
            step(now, target, min_db)
        };
        match control.set(now) {
            Ok(()) => has_failed = false,
            Err(error) => {
                if !has_failed {
                    log::warn!("set the volume in hardware: {error}; it is tried again with the next change");
                }
                has_failed = true;
                now = target;
            }
        }
        if now == target {
            done = order;
        } else {
            thread::park_timeout(STEP_PAUSE);
        }
    }
}

/// One step from `now` towards `target`.
fn step(now: Option<f64>, target: Option<f64>, min_db: f64) -> Option<f64> {
    match (now, target) {
        (None, Some(target)) => Some(min_db.min(target)),
        (None, None) => None,
        (Some(now), Some(target)) if (target - now).abs() <= STEP_DB => Some(target),
        (Some(now), Some(target)) if target > now => Some(now + STEP_DB),
        (Some(now), None) if now - STEP_DB <= min_db => None,
        (Some(now), Some(_) | None) => Some(now - STEP_DB),
    }
}

impl Output for Knob {
    fn inner(&mut self) -> Option<&mut dyn Output> {
        Some(&mut *self.inner)
    }

    fn open(&mut self, rate: u32) -> Result<Opened, OutputError> {
        self.inner.open(rate)
    }

    fn set_volume(&mut self, volume: u8, change: Change) {
        if self.last == Some(volume) {
            return;
        }
        self.last = Some(volume);
        let jump = match change {
            Change::Ramp => 0,
            Change::Jump => JUMP,
        };
        self.tell(u32::from(volume) | jump | KNOWN);
    }

    fn begin_chime(&mut self, chime: Chime, _volume: u8) {
        // The hardware makes it as quiet as the music.
        self.inner.begin_chime(chime, VOLUME_FULL);
    }

    fn wait(&mut self, wake: BorrowedFd<'_>, interest: Interest, timeout: Duration) -> Result<(), OutputError> {
        self.inner.wait(wake, interest, timeout)
    }

    fn write(&mut self, samples: &[i32], bits: u8) -> Result<usize, OutputError> {
        self.inner.write(samples, bits)
    }

    fn delay(&mut self) -> Result<usize, OutputError> {
        self.inner.delay()
    }

    fn drop_now(&mut self) -> Result<(), OutputError> {
        self.inner.drop_now()
    }

    fn drain(&mut self) -> Result<Drained, OutputError> {
        self.inner.drain()
    }

    fn close(&mut self) {
        self.inner.close();
    }
}

impl Drop for Knob {
    fn drop(&mut self) {
        self.tell(QUIT);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::super::bench::Bench;
    use super::super::gain::factor;
    use super::*;

    struct Fake(Sender<Option<f64>>, u32);

    impl Control for Fake {
        fn set(&mut self, level_db: Option<f64>) -> Result<(), String> {
            if self.1 > 0 {
                self.1 -= 1;
                return Err("no such element".into());
            }
            self.0.send(level_db).map_err(|error| error.to_string())
        }
    }

    fn knob(failures: u32) -> (Knob, Receiver<Option<f64>>) {
        let (sender, levels) = channel();
        let (_bench, output) = Bench::new(0);
        let control = Box::new(Fake(sender, failures));
        (Knob::new(output, control, -60.0).unwrap(), levels)
    }

    /// The levels up to `last`.
    fn until(levels: &Receiver<Option<f64>>, last: Option<f64>) -> Vec<Option<f64>> {
        let mut seen = Vec::new();
        while seen.last() != Some(&last) {
            seen.push(levels.recv_timeout(Duration::from_secs(10)).unwrap());
        }
        seen
    }

    #[test]
    fn the_scale_is_that_of_the_volume_in_software() {
        for volume in 1..=100 {
            let software = 20.0 * factor(volume).log10();
            assert!((level_db(volume, -60.0).unwrap() - software).abs() < 1e-9, "{volume}");
        }
        assert_eq!(level_db(0, -60.0), None);
    }

    #[test]
    fn a_change_while_sound_plays_goes_in_small_steps_and_arrives() {
        let (mut knob, levels) = knob(0);
        knob.set_volume(100, Change::Jump);
        assert_eq!(until(&levels, Some(0.0)), [Some(0.0)]);
        knob.set_volume(50, Change::Ramp);
        let seen: Vec<_> = until(&levels, Some(-30.0)).into_iter().flatten().collect();
        assert_eq!(seen.len(), 20);
        assert!(
            seen.windows(2).all(|pair| (pair[0] - pair[1] - STEP_DB).abs() < 1e-9),
            "{seen:?}"
        );
        knob.set_volume(0, Change::Ramp);
        assert_eq!(until(&levels, None).len(), 20, "down to the quietest, then silent");
    }

    #[test]
    fn the_same_volume_again_tells_the_card_nothing() {
        let (mut knob, levels) = knob(0);
        for _ in 0..5 {
            knob.set_volume(40, Change::Jump);
        }
        drop(knob);
        assert!(levels.iter().count() <= 1);
    }

    #[test]
    fn a_card_that_refused_obeys_the_next_change() {
        let (mut knob, levels) = knob(1);
        // Which of them it refuses is the scheduler's choice; it never refuses two.
        let obeyed = (0..100).any(|turn| {
            knob.set_volume(turn, Change::Jump);
            levels.recv_timeout(Duration::from_millis(10)).is_ok()
        });
        assert!(obeyed);
    }
}
