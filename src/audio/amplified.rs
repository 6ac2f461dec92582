//! An amplifier in front of a device: on before the first frame is heard, off before the device is given back, so that
//! nothing is cut off and nothing pops. It must not know how the amplifier is switched, nor when to rest: whoever plays
//! closes a device that lies idle.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::output::{CHANNELS, Drained, Interest, Opened, Output, OutputError};

/// Frames of silence written at a time.
const SILENCE_FRAMES: usize = 1024;
static SILENCE: [i32; SILENCE_FRAMES * CHANNELS] = [0; SILENCE_FRAMES * CHANNELS];
/// Between switching the amplifier off and giving the device back. Not measured on a board: long for an amplifier to
/// mute, short for whoever waits for the program to end.
const MUTED: Duration = Duration::from_millis(10);

/// What an amplifier is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amplifier {
    /// Make what the device sounds heard.
    On,
    /// Be silent.
    Off,
}

/// Switches it. Called when sound begins after a rest and when a rest begins, never while it plays; it may block for a
/// moment, and tells of its own troubles.
pub type Switch = Box<dyn FnMut(Amplifier) + Send>;

/// A device with an amplifier behind it. Its silence counts for nothing: it is in no delay.
pub struct Amplified {
    inner: Box<dyn Output + Send>,
    switch: Switch,
    wake: Duration,
    rate: u32,
    amplifier: Amplifier,
    /// Frames of silence still to be written in front of the first frame.
    silence: u64,
    /// Frames taken since the device was stopped last.
    taken: u64,
}

impl Amplified {
    /// In front of `inner`; the amplifier hears silence for `wake` before it hears anything else.
    #[must_use]
    pub fn new(inner: Box<dyn Output + Send>, wake: Duration, switch: Switch) -> Self {
        Self {
            inner,
            switch,
            wake,
            rate: 0,
            amplifier: Amplifier::Off,
            silence: 0,
            taken: 0,
        }
    }

    fn turn(&mut self, to: Amplifier) {
        if self.amplifier != to {
            (self.switch)(to);
            self.amplifier = to;
        }
    }

    /// Silence first, then the amplifier, then the rest of the silence. True: all of it is written.
    fn wake(&mut self) -> Result<bool, OutputError> {
        if self.amplifier == Amplifier::Off {
            let frames = self.wake.as_micros() * u128::from(self.rate) / 1_000_000;
            self.silence = u64::try_from(frames).unwrap_or(u64::MAX);
        }
        while self.silence > 0 {
            let frames = usize::try_from(self.silence).unwrap_or(usize::MAX).min(SILENCE_FRAMES);
            let taken = self
                .inner
                .write(SILENCE.get(..frames * CHANNELS).unwrap_or_default(), u8::MIN)?;
            if taken == 0 {
                return Ok(false);
            }
            self.silence = self.silence.saturating_sub(taken as u64);
            self.turn(Amplifier::On);
        }
        self.turn(Amplifier::On);
        Ok(true)
    }

    /// What the device was given is heard or forgotten.
    fn stopped(&mut self) {
        self.taken = 0;
    }

    fn note<T>(&mut self, result: Result<T, OutputError>) -> Result<T, OutputError> {
        if let Err(OutputError::Xrun) = result {
            self.stopped();
        }
        result
    }
}

impl Output for Amplified {
    fn inner(&mut self) -> Option<&mut dyn Output> {
        Some(&mut *self.inner)
    }

    fn open(&mut self, rate: u32) -> Result<Opened, OutputError> {
        self.stopped();
        let opened = self.inner.open(rate)?;
        self.rate = opened.rate;
        Ok(opened)
    }

    fn wait(&mut self, wake: BorrowedFd<'_>, interest: Interest, timeout: Duration) -> Result<(), OutputError> {
        self.inner.wait(wake, interest, timeout)
    }

    fn write(&mut self, samples: &[i32], bits: u8) -> Result<usize, OutputError> {
        let woken = self.wake();
        if !self.note(woken)? {
            return Ok(0);
        }
        let written = self.inner.write(samples, bits);
        let taken = self.note(written)?;
        self.taken += taken as u64;
        Ok(taken)
    }

    fn delay(&mut self) -> Result<usize, OutputError> {
        let delay = self.inner.delay();
        // Silence is heard before anything else: what the device holds beyond the frames taken is silence.
        Ok(self.note(delay)?.min(usize::try_from(self.taken).unwrap_or(usize::MAX)))
    }

    fn drop_now(&mut self) -> Result<(), OutputError> {
        // Silence that was not heard is still owed to the amplifier.
        let held = self.inner.delay().map_or(0, |frames| frames as u64);
        self.silence = self.silence.saturating_add(held.saturating_sub(self.taken));
        self.stopped();
        self.inner.drop_now()
    }

    fn drain(&mut self) -> Result<Drained, OutputError> {
        let drained = self.inner.drain();
        let drained = self.note(drained)?;
        if drained == Drained::Done {
            self.stopped();
        }
        Ok(drained)
    }

    fn close(&mut self) {
        if self.amplifier == Amplifier::On {
            self.turn(Amplifier::Off);
            std::thread::sleep(MUTED);
        }
        self.silence = 0;
        self.stopped();
        self.inner.close();
    }
}

impl Drop for Amplified {
    fn drop(&mut self) {
        self.turn(Amplifier::Off);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::bench::{BUFFER_FRAMES, Bench, State};
    use super::*;

    /// What the amplifier was told, with the frames heard and held by the device at that time.
    type Told = Arc<Mutex<Vec<(Amplifier, usize)>>>;

    /// An amplifier that takes `wake_ms`, at 48 kHz.
    fn amplified(wake_ms: u64) -> (Bench, Amplified, Told) {
        let (bench, output) = Bench::new(u64::MAX);
        let told = Told::default();
        let (watched, heard) = (Arc::clone(&told), bench.clone());
        let switch = move |to| {
            let frames = heard.with(|state| state.written);
            watched.lock().unwrap().push((to, frames));
        };
        let mut device = Amplified::new(output, Duration::from_millis(wake_ms), Box::new(switch));
        device.open(48_000).unwrap();
        (bench, device, told)
    }

    fn frames(count: i32) -> Vec<i32> {
        (1..=count).flat_map(|frame| [frame << 8; CHANNELS]).collect()
    }

    #[test]
    fn silence_then_the_amplifier_then_the_first_frame_and_off_before_the_device_is_given_back() {
        let (bench, mut device, told) = amplified(50);
        let music = frames(500);
        assert!(told.lock().unwrap().is_empty(), "nothing sounds");
        assert_eq!(device.write(&music, 24).unwrap(), 500);
        assert_eq!(device.delay().unwrap(), 500, "the silence is nobody's");
        while device.drain().unwrap() == Drained::Pending {}
        device.write(&music, 24).unwrap();
        while device.drain().unwrap() == Drained::Pending {}
        device.close();
        let expected = [vec![0; 2 * 2_400], music.clone(), music].concat();
        bench.with(|state| assert!(state.heard == expected));
        let told = told.lock().unwrap();
        assert_eq!(*told, [(Amplifier::On, 1024), (Amplifier::Off, 3_400)]);
    }

    #[test]
    fn more_silence_than_the_device_holds_is_waited_for() {
        let (bench, mut device, _) = amplified(500);
        assert_eq!(device.write(&frames(500), 24).unwrap(), 0);
        let mut turns = 0;
        while device.write(&frames(500), 24).unwrap() == 0 {
            bench.with(State::play);
            turns += 1;
        }
        assert!(turns > (24_000 - BUFFER_FRAMES) / 441, "{turns} turns");
        assert!(device.delay().unwrap() <= 500);
    }

    #[test]
    fn silence_that_was_dropped_is_still_owed() {
        let (bench, mut device, told) = amplified(50);
        device.write(&frames(500), 24).unwrap();
        device.drop_now().unwrap();
        device.write(&frames(500), 24).unwrap();
        while device.drain().unwrap() == Drained::Pending {}
        let expected = [vec![0; 2 * 2_400], frames(500)].concat();
        bench.with(|state| assert!(state.heard == expected));
        assert_eq!(told.lock().unwrap().len(), 1, "it stays on");
    }
}
