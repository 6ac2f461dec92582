//! The sound device through ALSA: opened with explicit sizes, written to without ever blocking, recovered or reported
//! lost. Nothing here retries: whoever plays decides when to try again.

mod mixer;
mod negotiate;

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use alsa::Direction;
use alsa::pcm::PCM;
use alsa::poll::{Descriptors, Flags, pollfd};
use rustix::io::Errno;

use negotiate::{Negotiated, negotiate};

pub use mixer::AlsaMixer;
pub use negotiate::AlsaSettings;

use super::output::{CHANNELS, Drained, Interest, Opened, Output, OutputError, nap};
use super::pack::{Dither, Layout, pack};

/// Frames laid out and handed over at a time.
const BLOCK_FRAMES: usize = 1024;
/// Pause before a device that took nothing is asked again.
const REFUSED: Duration = Duration::from_millis(2);
/// States of a PCM, as ALSA numbers them. The crate's own conversion panics on a number it does not know.
const STATE_PREPARED: i32 = 2;
const STATE_RUNNING: i32 = 3;
const STATE_XRUN: i32 = 4;
const STATE_DRAINING: i32 = 5;
const STATE_SUSPENDED: i32 = 7;
const STATE_DISCONNECTED: i32 = 8;

/// An ALSA device. Closed until it is opened.
pub struct Alsa {
    settings: AlsaSettings,
    open: Option<OpenPcm>,
    dither: Dither,
    bytes: Vec<u8>,
}

struct OpenPcm {
    pcm: PCM,
    layout: Layout,
    period_frames: u64,
    buffer_frames: u64,
    /// The wake-up first, then the device's own.
    descriptors: Vec<pollfd>,
    /// A real card, whose buffer goes round: what follows the last frame up to the period's end would be heard.
    is_card: bool,
    /// Frames written since the device was made ready.
    written: u64,
    /// Frames of silence written after the last frame.
    padding: u64,
    is_draining: bool,
    /// It sleeps or is gone, and has told how far it came.
    is_lost: bool,
    appetite: Appetite,
}

/// Whether the device takes frames when it says that it does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Appetite {
    /// It took some of what was written last.
    Good,
    /// It was waited for since.
    Awaited,
    /// It was waited for, and took nothing.
    Refusing,
}

/// Can the device be opened for playing at all? Says nothing on standard error, and does not keep it.
#[cfg(any(feature = "simulator", test))]
#[must_use]
pub fn is_present(pcm: &str) -> bool {
    let chatter = alsa::Output::local_error_handler();
    let is_present = PCM::new(pcm, Direction::Playback, true).is_ok_and(|pcm| {
        let is_stereo = alsa::pcm::HwParams::any(&pcm).and_then(|hw| hw.set_channels(2));
        is_stereo.is_ok()
    });
    drop(chatter);
    is_present
}

impl Alsa {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(settings: AlsaSettings) -> Self {
        Self {
            settings,
            open: None,
            dither: Dither::default(),
            bytes: Vec::with_capacity(BLOCK_FRAMES * CHANNELS * 4),
        }
    }

    fn name(&self) -> &str {
        &self.settings.pcm
    }

    fn error(&self, attempt: &'static str, error: alsa::Error) -> OutputError {
        classify(self.name(), attempt, error)
    }

    fn opened(&self) -> Result<&OpenPcm, OutputError> {
        self.open.as_ref().ok_or_else(|| OutputError::Other {
            attempt: "use",
            name: self.settings.pcm.clone(),
            reason: "it is not open".into(),
        })
    }

    /// Makes the device ready after it ran dry; all it had was heard.
    fn recover(&mut self) -> OutputError {
        let prepared = self.reset();
        match prepared {
            Ok(()) => OutputError::Xrun,
            Err(error) => self.error("recover", error),
        }
    }

    fn reset(&mut self) -> Result<(), alsa::Error> {
        let Some(open) = self.open.as_mut() else { return Ok(()) };
        open.written = 0;
        open.padding = 0;
        open.is_draining = false;
        open.pcm.prepare()
    }

    /// Hands `bytes` over; returns the frames taken.
    fn send(&mut self) -> Result<usize, OutputError> {
        let sent = self.opened()?.pcm.io_bytes().writei(&self.bytes);
        match sent {
            Ok(frames) => {
                if let Some(open) = self.open.as_mut() {
                    open.written += frames as u64;
                }
                Ok(frames)
            }
            Err(error) => match errno(error) {
                Errno::AGAIN => Ok(0),
                Errno::PIPE => Err(self.recover()),
                _ => Err(self.error("write to", error)),
            },
        }
    }

    /// What a device that sleeps or is gone did not sound, where it can still tell: once, then only that it is lost.
    fn last_delay(&mut self, state: i32) -> Result<usize, OutputError> {
        let open = self.opened()?;
        if !open.is_lost
            && let Ok(status) = open.pcm.status()
        {
            let room = u64::try_from(status.get_avail()).unwrap_or(0);
            let left = open.buffer_frames.saturating_sub(room).saturating_sub(open.padding);
            if let Some(open) = self.open.as_mut() {
                open.is_lost = true;
            }
            return Ok(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let name = self.name().to_owned();
        Err(if state == STATE_SUSPENDED {
            OutputError::Suspended { name }
        } else {
            let attempt = "ask the delay of";
            OutputError::Gone { attempt, name }
        })
    }

    /// Fills the period with silence, where what lies behind the last frame would be heard.
    fn pad(&mut self) -> Result<(), OutputError> {
        let open = self.opened()?;
        let rest = open.written % open.period_frames.max(1);
        if !open.is_card || rest == 0 || open.padding > 0 {
            return Ok(());
        }
        let missing = open.period_frames - rest;
        let bytes = usize::try_from(missing)
            .unwrap_or(0)
            .saturating_mul(CHANNELS * open.layout.bytes());
        self.bytes.clear();
        self.bytes.resize(bytes, 0);
        let padded = self.send()?;
        if let Some(open) = self.open.as_mut() {
            open.padding = padded as u64;
        }
        Ok(())
    }
}

fn errno(error: alsa::Error) -> Errno {
    // Positive from most calls, negative from some.
    Errno::from_raw_os_error(error.errno().abs())
}

fn classify(name: &str, attempt: &'static str, error: alsa::Error) -> OutputError {
    let name = name.to_owned();
    match errno(error) {
        Errno::STRPIPE => OutputError::Suspended { name },
        Errno::NODEV | Errno::NOENT | Errno::NXIO | Errno::BADFD => OutputError::Gone { attempt, name },
        Errno::BUSY => OutputError::Busy { attempt, name },
        other => OutputError::Other {
            attempt,
            name,
            reason: format!("{} ({})", other, error.func()),
        },
    }
}

impl Output for Alsa {
    fn open(&mut self, rate: u32) -> Result<Opened, OutputError> {
        self.close();
        // ALSA would write to standard error; kept, and told in the log where somebody looks for it.
        let chatter = alsa::Output::local_error_handler();
        let opened = PCM::new(self.name(), Direction::Playback, true)
            .map_err(|error| self.error("open pcm", error))
            .and_then(|pcm| negotiate(&self.settings, &pcm, rate).map(|negotiated| (pcm, negotiated)));
        if let (Err(_), Ok(chatter)) = (&opened, chatter) {
            log::debug!("{}: {}", self.name(), chatter.borrow());
        }
        let (pcm, negotiated) = opened?;
        let is_card = pcm.info().is_ok_and(|info| info.get_card() >= 0);
        let mut descriptors = vec![pollfd {
            fd: -1,
            events: Flags::IN.bits(),
            revents: 0,
        }];
        descriptors.extend(pcm.get().map_err(|error| self.error("watch", error))?);
        let frames = |frames: alsa::pcm::Frames| usize::try_from(frames).unwrap_or(0);
        let (period_frames, buffer_frames) = (frames(negotiated.period), frames(negotiated.buffer));
        self.open = Some(OpenPcm {
            pcm,
            layout: negotiated.layout,
            period_frames: period_frames as u64,
            buffer_frames: buffer_frames as u64,
            descriptors,
            is_card,
            written: 0,
            padding: 0,
            is_draining: false,
            is_lost: false,
            appetite: Appetite::Good,
        });
        // Room for a block and for a period of silence, so that playing never allocates.
        self.bytes
            .reserve(period_frames.max(BLOCK_FRAMES) * CHANNELS * negotiated.layout.bytes());
        let Negotiated { format, rate, .. } = negotiated;
        Ok(Opened {
            name: self.name().to_owned(),
            rate,
            format,
            period_frames,
            buffer_frames,
        })
    }

    fn wait(&mut self, wake: BorrowedFd<'_>, interest: Interest, timeout: Duration) -> Result<(), OutputError> {
        let Some(open) = self.open.as_mut().filter(|_| interest == Interest::Room) else {
            nap(wake, timeout);
            return Ok(());
        };
        if let Some(first) = open.descriptors.first_mut() {
            first.fd = wake.as_raw_fd();
        }
        let ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).max(1);
        // What the device has to say is asked when it is written to; an error is as good as a wake-up.
        let _ = alsa::poll::poll(&mut open.descriptors, ms);
        // Plugins rest their timers only when they are asked what woke whoever waited.
        let _ = open.pcm.revents(open.descriptors.get(1..).unwrap_or_default());
        let appetite = std::mem::replace(&mut open.appetite, Appetite::Awaited);
        if appetite == Appetite::Refusing {
            // Ready, yet it takes nothing: some plugins do so for a while. This thread must not spin at its priority.
            nap(wake, REFUSED);
        }
        Ok(())
    }

    fn write(&mut self, samples: &[i32], bits: u8) -> Result<usize, OutputError> {
        let mut taken = 0;
        for block in samples.chunks(BLOCK_FRAMES * CHANNELS) {
            let layout = self.opened()?.layout;
            pack(block, bits, layout, &mut self.dither, &mut self.bytes);
            match self.send() {
                Ok(frames) => {
                    taken += frames;
                    if frames < block.len() / CHANNELS {
                        break;
                    }
                }
                // What was taken before counts; the error comes again with the next call.
                Err(OutputError::Xrun) if taken > 0 => break,
                Err(error) => return Err(error),
            }
        }
        if let Some(open) = self.open.as_mut() {
            let is_refused = taken == 0 && open.appetite != Appetite::Good;
            open.appetite = if is_refused { Appetite::Refusing } else { Appetite::Good };
        }
        Ok(taken)
    }

    fn delay(&mut self) -> Result<usize, OutputError> {
        let open = self.opened()?;
        let padding = open.padding;
        match open.pcm.state_raw() {
            STATE_PREPARED | STATE_RUNNING | STATE_DRAINING => match open.pcm.delay() {
                Ok(frames) => {
                    let frames = u64::try_from(frames).unwrap_or(0).saturating_sub(padding);
                    Ok(usize::try_from(frames).unwrap_or(usize::MAX))
                }
                Err(error) if errno(error) == Errno::PIPE => Err(self.recover()),
                Err(error) => Err(self.error("ask the delay of", error)),
            },
            STATE_XRUN if open.is_draining => Ok(0),
            STATE_XRUN => Err(self.recover()),
            state @ (STATE_SUSPENDED | STATE_DISCONNECTED) => self.last_delay(state),
            // Stopped: nothing is left in it.
            _ => Ok(0),
        }
    }

    fn drop_now(&mut self) -> Result<(), OutputError> {
        let dropped = self.opened()?.pcm.drop();
        dropped
            .and_then(|()| self.reset())
            .map_err(|error| self.error("stop", error))
    }

    fn drain(&mut self) -> Result<Drained, OutputError> {
        if !self.opened()?.is_draining {
            self.pad()?;
        }
        let open = self.opened()?;
        let is_playing = matches!(open.pcm.state_raw(), STATE_RUNNING | STATE_DRAINING | STATE_PREPARED);
        let drained = if is_playing { open.pcm.drain() } else { Ok(()) };
        match drained {
            Ok(()) => {
                self.reset().map_err(|error| self.error("make ready", error))?;
                Ok(Drained::Done)
            }
            Err(error) if errno(error) == Errno::AGAIN => {
                if let Some(open) = self.open.as_mut() {
                    open.is_draining = true;
                }
                Ok(Drained::Pending)
            }
            Err(error) if errno(error) == Errno::PIPE => {
                self.reset().map_err(|error| self.error("make ready", error))?;
                Ok(Drained::Done)
            }
            Err(error) => Err(self.error("play out", error)),
        }
    }

    fn close(&mut self) {
        self.open = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::engine::tests::{album_through, noise_through};
    use super::*;

    #[test]
    fn a_device_that_does_not_exist_is_told_as_gone() {
        let mut device = Alsa::new(AlsaSettings::new("hw:CARD=tonearm_none"));
        let error = device.open(44_100).unwrap_err();
        assert!(
            matches!(error, OutputError::Gone { .. } | OutputError::Other { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("hw:CARD=tonearm_none"));
        assert!(device.write(&[0; 2], 16).is_err());
        assert!(!is_present("hw:CARD=tonearm_none"));
    }

    /// What reaches ALSA's own file writer in front of its null device (a real PCM, without a card), and what must.
    fn through_a_file(play: impl FnOnce(Box<Alsa>) -> Vec<i32>) -> (Vec<i32>, Vec<i32>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heard.raw");
        let pcm = format!("file:FILE={},FORMAT=raw", path.display());
        let expected = play(Box::new(Alsa::new(AlsaSettings::new(&pcm))));
        let heard = std::fs::read(&path).unwrap();
        let samples = heard.chunks_exact(4).map(|bytes| bytes.try_into().unwrap());
        (samples.map(i32::from_le_bytes).collect(), expected)
    }

    #[test]
    fn alsa_itself_gets_every_frame_of_an_album_once() {
        let (heard, expected) = through_a_file(|device| album_through(device));
        let (length, expected_length) = (heard.len(), expected.len());
        assert!(heard == expected, "{length} samples instead of {expected_length}");
    }

    #[test]
    fn alsa_itself_gets_every_bit_of_24_at_96_khz() {
        let (heard, expected) = through_a_file(|device| noise_through(device));
        assert!(heard == expected);
    }

    #[test]
    fn device_states_have_the_numbers_alsa_gives_them() {
        use alsa::pcm::State;
        let numbers = [
            State::Prepared as i32,
            State::Running as i32,
            State::XRun as i32,
            State::Draining as i32,
            State::Suspended as i32,
            State::Disconnected as i32,
        ];
        let ours = [
            STATE_PREPARED,
            STATE_RUNNING,
            STATE_XRUN,
            STATE_DRAINING,
            STATE_SUSPENDED,
            STATE_DISCONNECTED,
        ];
        assert_eq!(numbers, ours);
    }
}
