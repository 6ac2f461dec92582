//! A device for tests: it has a buffer and a delay like a real one, plays as fast as the test lets it, keeps every frame
//! that was heard, and fails on request.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::output::{CHANNELS, Content, Drained, Interest, Opened, Output, OutputError, nap};

/// Frames the device holds.
pub const BUFFER_FRAMES: usize = 8192;
/// Frames played in one go.
const STRIDE_FRAMES: u64 = 441;

/// The device; its other end is a [`Bench`].
pub struct TestOutput(Bench);

/// What a test sees and steers of its device.
#[derive(Clone, Default)]
pub struct Bench(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
pub struct State {
    /// Everything that was heard.
    pub heard: Vec<i32>,
    /// Frames heard that may still be heard before the device holds its breath.
    pub allowance: u64,
    /// Rates the device was opened with.
    pub rates: Vec<u32>,
    /// Frames it was asked to forget.
    pub dropped: u64,
    /// Significant bits of every write.
    pub bits: Vec<u8>,
    /// Run dry after this many more frames were heard.
    pub dry_after: Option<u64>,
    /// Vanish after this many more frames were heard.
    pub vanish_after: Option<u64>,
    /// Times opening fails.
    pub refusals: u32,
    /// Times it was given back.
    pub closes: u32,
    /// Frames ever written.
    pub written: usize,
    /// Frames of filling that were heard.
    pub filled: Vec<i32>,
    queue: VecDeque<([i32; CHANNELS], Content)>,
    content: Option<Content>,
    is_dry: bool,
    is_vanishing: bool,
    is_gone: bool,
}

impl Bench {
    /// A device that may sound `allowance` frames.
    pub fn new(allowance: u64) -> (Self, Box<TestOutput>) {
        let bench = Self::default();
        bench.with(|state| state.allowance = allowance);
        (bench.clone(), Box::new(TestOutput(bench)))
    }

    /// Looks at or changes the state.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let result = work(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
        result
    }

    /// Waits until `is_so`; panics after ten seconds.
    pub fn until(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let guard = self.0.0.lock().unwrap();
        let (_guard, timeout) = self
            .0
            .1
            .wait_timeout_while(guard, Duration::from_secs(10), |state| !is_so(state))
            .unwrap();
        assert!(!timeout.timed_out(), "waited in vain for: {what}");
    }

    /// Waits until the device holds all it can: whatever follows has been decoded and written.
    pub fn fill(&self) {
        self.until("a full buffer", |state| state.queue.len() == BUFFER_FRAMES);
    }

    /// Lets `frames` more sound and waits until they have.
    pub fn sound(&self, frames: u64) {
        self.with(|state| state.allowance += frames);
        self.until("frames to be heard", |state| state.allowance == 0);
    }
}

impl State {
    fn check(&mut self) -> Result<(), OutputError> {
        if self.is_gone {
            return Err(OutputError::Gone {
                attempt: "write to",
                name: "bench".into(),
            });
        }
        if std::mem::take(&mut self.is_dry) {
            return Err(OutputError::Xrun);
        }
        Ok(())
    }

    /// Plays a little of what it holds, as far as it may.
    pub fn play(&mut self) {
        for _ in 0..STRIDE_FRAMES {
            if self.is_vanishing || self.is_gone || self.is_dry {
                return;
            }
            // What fills gaps needs no allowance: a test counts the frames of entries.
            let Some((frame, content)) = self.queue.front().copied() else {
                return;
            };
            if content == Content::Entry && self.allowance == 0 {
                return;
            }
            self.queue.pop_front();
            if content == Content::Filling {
                self.filled.extend(frame);
                continue;
            }
            self.allowance -= 1;
            self.heard.extend(frame);
            self.vanish_after = self.vanish_after.map(|left| left - 1);
            if self.vanish_after == Some(0) {
                self.vanish_after = None;
                self.is_vanishing = true;
            }
            if let Some(left) = self.dry_after.as_mut() {
                *left -= 1;
                if *left == 0 {
                    // A device is dry when everything in it was heard.
                    self.heard.extend(self.queue.drain(..).flat_map(|(frame, _)| frame));
                    self.dry_after = None;
                    self.is_dry = true;
                }
            }
        }
    }
}

impl Output for TestOutput {
    fn open(&mut self, rate: u32) -> Result<Opened, OutputError> {
        self.0.with(|state| {
            state.queue.clear();
            state.is_gone = false;
            if state.refusals > 0 {
                state.refusals -= 1;
                return Err(OutputError::Busy {
                    attempt: "open",
                    name: "bench".into(),
                });
            }
            state.rates.push(rate);
            Ok(Opened {
                name: "bench".into(),
                rate,
                format: "S32_LE".into(),
                period_frames: 1024,
                buffer_frames: BUFFER_FRAMES,
            })
        })
    }

    fn set_content(&mut self, content: Content) {
        self.0.with(|state| state.content = Some(content));
    }

    fn wait(&mut self, wake: BorrowedFd<'_>, interest: Interest, timeout: Duration) -> Result<(), OutputError> {
        let is_busy = self.0.with(|state| {
            let before = state.heard.len();
            state.play();
            state.heard.len() > before
        });
        let pause = if is_busy {
            Duration::ZERO
        } else {
            timeout.min(Duration::from_millis(1))
        };
        if interest == Interest::Nothing || !is_busy {
            nap(wake, pause);
        }
        Ok(())
    }

    fn write(&mut self, samples: &[i32], bits: u8) -> Result<usize, OutputError> {
        self.0.with(|state| {
            state.check()?;
            let room = BUFFER_FRAMES - state.queue.len();
            let content = state.content.unwrap_or(Content::Entry);
            let frames = samples.chunks_exact(CHANNELS).take(room);
            let before = state.queue.len();
            state.queue.extend(frames.map(|frame| ([frame[0], frame[1]], content)));
            if content == Content::Entry {
                state.bits.push(bits);
            }
            let taken = state.queue.len() - before;
            state.written += taken;
            Ok(taken)
        })
    }

    fn delay(&mut self) -> Result<usize, OutputError> {
        self.0.with(|state| match state.check() {
            Ok(()) => {
                // Gone after the last look, so that the test knows what was heard.
                state.is_gone = std::mem::take(&mut state.is_vanishing);
                Ok(state.queue.len())
            }
            Err(error) => Err(error),
        })
    }

    fn drop_now(&mut self) -> Result<(), OutputError> {
        self.0.with(|state| {
            let is_entry = |(_, content): &&(_, Content)| *content == Content::Entry;
            state.dropped += state.queue.iter().filter(is_entry).count() as u64;
            state.queue.clear();
            Ok(())
        })
    }

    fn drain(&mut self) -> Result<Drained, OutputError> {
        self.0.with(|state| {
            state.check()?;
            state.play();
            Ok(if state.queue.is_empty() {
                Drained::Done
            } else {
                Drained::Pending
            })
        })
    }

    fn close(&mut self) {
        self.0.with(|state| {
            state.queue.clear();
            state.closes += 1;
        });
    }
}
