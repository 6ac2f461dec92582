//! What a sound device must be able to do, and how it may fail. It must not know of entries, decoding or the session.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use thiserror::Error;

use super::chime::Chime;
use super::pages::Span;

/// Channels of every stream in the audio path: what is decoded is brought to stereo, what a device gets is stereo.
pub const CHANNELS: usize = 2;

/// A sink of interleaved stereo frames, used by one thread. No call but [`Output::open`], [`Output::close`] and
/// [`Output::wait`] may block, and none of the others may allocate.
///
/// Outputs stand before each other, the device last; see [`Output::inner`].
pub trait Output {
    /// Gets the device ready for `rate` frames a second; an open one is closed first.
    ///
    /// # Errors
    /// The device is missing, taken, or cannot play stereo at all.
    fn open(&mut self, rate: u32) -> Result<Opened, OutputError>;

    /// The output that this one stands before; a device has none. What one leaves as it is goes there.
    fn inner(&mut self) -> Option<&mut dyn Output> {
        None
    }

    /// Sets the volume, 0 to 100. A device without a mixer ignores it: a [`super::Fader`] stands in front of it.
    fn set_volume(&mut self, volume: u8, change: Change) {
        if let Some(inner) = self.inner() {
            inner.set_volume(volume, change);
        }
    }

    /// Lets `chime` sound, in what is written or by [`Output::chime_on`], as loud as suits `volume`, 0 to 100.
    fn begin_chime(&mut self, chime: Chime, volume: u8) {
        if let Some(inner) = self.inner() {
            inner.begin_chime(chime, volume);
        }
    }

    /// A chime is not written to its end, or sounds alone.
    fn has_chime(&mut self) -> bool {
        self.inner().is_some_and(Output::has_chime)
    }

    /// One step of sounding a chime alone, while the device is open and holds no frames that were written. Called until
    /// it says [`Chiming::Over`]; a write in between is heard at once, with the rest of the chime in it.
    ///
    /// # Errors
    /// As for [`Output::write`]; the chime is given up by closing the device.
    fn chime_on(&mut self) -> Result<Chiming, OutputError> {
        self.inner().map_or(Ok(Chiming::Over), Output::chime_on)
    }

    /// What the frames of the next writes are. Whoever keeps what entries sounded leaves the others out.
    fn set_content(&mut self, content: Content) {
        if let Some(inner) = self.inner() {
            inner.set_content(content);
        }
    }

    /// The next frames written come up from silence over [`RAMP_MS`]: they begin in the middle of an entry.
    fn fade_in(&mut self) {
        if let Some(inner) = self.inner() {
            inner.fade_in();
        }
    }

    /// Frames taken that reach the device only with as many behind them, or when it is drained; at most.
    fn latency(&mut self) -> u64 {
        self.inner().map_or(0, Output::latency)
    }

    /// Tells of the memory that is used while sound plays, so that it is kept in memory.
    fn memory(&mut self, keep: &mut dyn FnMut(Span)) {
        if let Some(inner) = self.inner() {
            inner.memory(keep);
        }
    }

    /// Sleeps until `wake` becomes readable, the device takes more frames (if `interest` says so) or `timeout` is over.
    ///
    /// # Errors
    /// What the device reports on waking.
    fn wait(&mut self, wake: BorrowedFd<'_>, interest: Interest, timeout: Duration) -> Result<(), OutputError>;

    /// Hands over frames of `bits` significant bits (counted from the top of each sample) and starts the sound if it
    /// was stopped. Returns how many frames were taken, from the front; 0 when the device's buffer is full.
    ///
    /// # Errors
    /// [`OutputError::Xrun`]: everything taken earlier was heard, nothing of `samples` was taken, writing may go on.
    fn write(&mut self, samples: &[i32], bits: u8) -> Result<usize, OutputError>;

    /// Frames taken and not yet heard.
    ///
    /// # Errors
    /// As for [`Output::write`].
    fn delay(&mut self) -> Result<usize, OutputError>;

    /// Stops at once and forgets frames not yet heard; the next write starts afresh.
    ///
    /// # Errors
    /// The device is unusable and must be opened again.
    fn drop_now(&mut self) -> Result<(), OutputError>;

    /// One step of playing out what was taken and stopping without sounding anything more. Called until it says
    /// [`Drained::Done`]; nothing is written meanwhile.
    ///
    /// # Errors
    /// As for [`Output::write`].
    fn drain(&mut self) -> Result<Drained, OutputError>;

    /// Gives the device back. Harmless when it is not open.
    fn close(&mut self);
}

/// Length of the ramps at a cut: short enough that the old sound is gone at once, long enough that nothing clicks.
pub const RAMP_MS: u32 = 2;

/// What frames are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Those of an entry: they count.
    Entry,
    /// The last of a sound that was cut off, or silence where frames come late: they count for nothing.
    Filling,
}

/// How the volume comes to its new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Smoothly: something sounds.
    Ramp,
    /// At once: nothing sounds, so nothing can click.
    Jump,
}

/// What a device agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The device, by the name it is configured with.
    pub name: String,
    /// Frames a second the device runs at.
    pub rate: u32,
    /// Sample format, in ALSA's words (`S32_LE`).
    pub format: String,
    /// Frames between two wake-ups of the device.
    pub period_frames: usize,
    /// Frames the device's buffer holds.
    pub buffer_frames: usize,
}

/// What ends a wait besides the wake-up and the timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Room in the device's buffer.
    Room,
    /// Nothing: there is nothing to write.
    Nothing,
}

/// State of a chime that sounds alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chiming {
    /// More of it waits for room in the device's buffer.
    Full,
    /// All of it was taken, some is not heard yet.
    Ending,
    /// All of it was heard, the device has stopped.
    Over,
}

/// State of playing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Some frames are not heard yet.
    Pending,
    /// All was heard, the device has stopped.
    Done,
}

/// Why a device did not do what it was asked.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The buffer ran dry: all that was written was heard. The device has been made ready again.
    /// Bare, because it is made while sound plays, when nothing may allocate.
    #[error("the sound device ran out of samples")]
    Xrun,
    /// The machine slept; the device must be opened again.
    #[error("{name}: suspended")]
    Suspended {
        /// The device.
        name: String,
    },
    /// Unplugged or never there.
    #[error("{attempt} {name}: no such device; is it plugged in, and is its overlay loaded?")]
    Gone {
        /// What was tried.
        attempt: &'static str,
        /// The device.
        name: String,
    },
    /// Another program holds it.
    #[error("{attempt} {name}: device busy; is another player running?")]
    Busy {
        /// What was tried.
        attempt: &'static str,
        /// The device.
        name: String,
    },
    /// It has no such rate.
    #[error("set the rate of {name}: {rate} Hz: it has no such rate; the nearest is {nearest} Hz")]
    Rate {
        /// The device.
        name: String,
        /// Frames a second that it was asked for.
        rate: u32,
        /// What it has instead.
        nearest: u32,
    },
    /// Anything else.
    #[error("{attempt} {name}: {reason}")]
    Other {
        /// What was tried.
        attempt: &'static str,
        /// The device.
        name: String,
        /// What it said.
        reason: String,
    },
}

/// Sleeps until `wake` becomes readable or `timeout` is over; also ends early on a signal.
pub fn nap(wake: BorrowedFd<'_>, timeout: Duration) {
    let mut watched = [PollFd::from_borrowed_fd(wake, PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // An error is as good as a wake-up: whoever slept looks around and sleeps again.
    let _ = poll(&mut watched, Some(&timeout));
}
