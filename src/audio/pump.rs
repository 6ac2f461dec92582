//! The output thread: moves frames from the ring to the device, watches how far they were heard and reports it. Frames
//! stay in the ring until they are heard, so nothing is lost when the device drops them. It never locks, allocates or
//! logs while sound plays, and it decides nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer};
use tonearm_core::id::PlayId;
use tonearm_core::input::{AudioNews, Ending};
use tonearm_core::unit::Millis;

use super::gain::Gain;
use super::mark::{Mark, Tail};
use super::output::{CHANNELS, Drained, Interest, Output, OutputError};
use super::shared::{Shared, count};
use super::timeline::{Region, Timeline};
use super::track::Shape;

/// Sound starts when this much is decoded (or all of it): a skip feels instant, and the next packet comes long before
/// this one has played.
const START_MS: u64 = 30;
/// After a stall sound goes on when this much is decoded, so that a thin stream does not stutter.
const RESTART_MS: u64 = 250;
/// When the device holds no more than this and nothing follows, it is played out. Until then a follower can still adjoin.
const TAIL_MS: u64 = 8;
/// Nothing was written for this long before nothing is taken to follow: the decoder may just be busy.
const LULL: Duration = Duration::from_millis(10);
/// Silence in the middle of an entry is a stall from this length on; shorter ones are the decoder being late.
const STALL: Duration = Duration::from_millis(50);
/// A lost device is tried again this often, for ever.
const RETRY: Duration = Duration::from_millis(500);
/// Longest sleep while sound plays: the position heard is never older.
const LOOK: Duration = Duration::from_millis(50);
/// Longest sleep while nothing sounds: a net under the wake-ups, which do not rely on it.
const NAP: Duration = Duration::from_secs(1);
/// Times in a turn that a device may run dry on being written to.
const WRITE_TRIES: u32 = 3;
/// Frames scaled at a time when the volume is not full.
const SCALED_FRAMES: usize = 1024;
/// Significant bits of scaled samples: all.
const SCALED_BITS: u8 = 32;

/// The output thread's state.
pub struct Pump {
    output: Box<dyn Output + Send>,
    shared: Arc<Shared>,
    samples: Consumer<i32>,
    marks: Consumer<Mark>,
    news: Producer<AudioNews>,
    line: Timeline,
    device: Device,
    gain: Gain,
    scaled: Box<[i32]>,
    sounding: Option<Sounding>,
    pause: Pause,
    /// The device was given frames and was not stopped since.
    is_running: bool,
    /// No silence since the last frame written.
    is_continuous: bool,
    last_write: Instant,
    /// Order of the last frame written: tells when another entry follows.
    last_written: Option<PlayId>,
}

#[derive(Clone, Copy, Debug)]
enum Device {
    Closed,
    Open { rate: u32 },
    Lost { rate: u32, retry_at: Instant },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    Playing,
    Paused,
}

/// The entry that is heard, or was heard last and is not over.
#[derive(Clone, Copy, Debug)]
struct Sounding {
    play: PlayId,
    rate: u32,
    /// Frame of the entry that is heard next.
    frame: u64,
    /// Frame of the entry at which the span of sound began; `None` between spans.
    span_from: Option<u64>,
    rebuffers: u16,
    is_stalled: bool,
}

/// Why no more was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Halt {
    /// The device's buffer is full.
    Full,
    /// The next entry has another rate.
    Rate(u32),
    /// More frames of the entry are to come.
    Starving,
    /// No entry follows.
    Nothing,
    /// Sound is held, or the device is away.
    Held,
}

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Sleep,
    Turn,
}

impl Sounding {
    fn position(&self, frame: u64) -> Millis {
        millis(frame, self.rate)
    }
}

impl Pump {
    /// Ready to [`Pump::run`].
    pub fn new(
        output: Box<dyn Output + Send>,
        shared: Arc<Shared>,
        samples: Consumer<i32>,
        marks: Consumer<Mark>,
        news: Producer<AudioNews>,
    ) -> Self {
        Self {
            output,
            gain: Gain::new(shared.volume()),
            shared,
            samples,
            marks,
            news,
            line: Timeline::default(),
            device: Device::Closed,
            scaled: vec![0; SCALED_FRAMES * CHANNELS].into_boxed_slice(),
            sounding: None,
            pause: Pause::Playing,
            is_running: false,
            is_continuous: false,
            last_write: Instant::now(),
            last_written: None,
        }
    }

    /// Plays until the engine is closed.
    pub fn run(mut self) {
        while !self.shared.is_quitting() {
            self.turn();
        }
        self.listen();
        self.close_span(Ending::Cut);
        self.output.close();
    }

    /// One look around, and a sleep until the next is due.
    pub fn turn(&mut self) {
        self.shared.clear_wake();
        let available = self.take_marks();
        self.listen();
        self.obey();
        self.settle();
        let halt = self.fill(available);
        // What a device swallows at once is heard at once.
        self.listen();
        self.settle();
        let next = self.play_out(halt);
        self.release();
        let stalled = self.note_stall(halt);
        if next == Next::Sleep {
            self.sleep(halt, available, stalled);
        }
    }

    /// Takes in marks; returns the number after the last frame in the ring. The frames are looked at first: whatever
    /// they belong to was marked before them.
    fn take_marks(&mut self) -> u64 {
        let available = self.line.released() + (self.samples.slots() / CHANNELS) as u64;
        while self.line.has_room() {
            match self.marks.pop() {
                Ok(mark) => self.line.note(mark),
                Err(_) => break,
            }
        }
        available
    }

    // ---- what was heard ----

    /// Asks the device how far it is.
    fn listen(&mut self) {
        let unheard = self.line.unheard();
        if unheard == 0 || !matches!(self.device, Device::Open { .. }) {
            return;
        }
        match self.output.delay() {
            Ok(delay) => self.advance(unheard.saturating_sub(delay as u64)),
            Err(error) => self.fail(&error),
        }
    }

    /// `frames` more were heard.
    fn advance(&mut self, mut frames: u64) {
        while frames > 0 {
            let Some(piece) = self.line.piece() else { return };
            if self.sounding.is_none_or(|sounding| sounding.play != piece.play) {
                self.settle();
                self.begin(piece.play);
            }
            let heard = frames.min(piece.frames);
            self.line.hear(heard);
            frames -= heard;
            self.shared.tally.frames_heard.fetch_add(heard, Ordering::Relaxed);
            self.hear(piece.play, heard);
        }
    }

    /// The first frame of `play` is heard (or would be, had it any).
    fn begin(&mut self, play: PlayId) {
        let Some(Region { shape: Some(shape), .. }) = self.line.front().filter(|region| region.play == play) else {
            return;
        };
        // Called back in the last moment: its frames are dropped in this very turn.
        if self.shared.begin(play) {
            let Shape { rate, offset, .. } = shape;
            self.sounding = Some(Sounding {
                play,
                rate,
                frame: offset,
                span_from: None,
                rebuffers: 0,
                is_stalled: false,
            });
        }
    }

    fn hear(&mut self, play: PlayId, frames: u64) {
        let Some(sounding) = self.sounding.as_mut().filter(|sounding| sounding.play == play) else {
            return;
        };
        let from = sounding.frame;
        sounding.frame += frames;
        if sounding.span_from.is_none() {
            self.open_span(from);
        }
    }

    fn open_span(&mut self, from: u64) {
        if let Some(sounding) = self.sounding.as_mut() {
            sounding.span_from = Some(from);
            sounding.rebuffers = 0;
            let news = AudioNews::Began {
                play: sounding.play,
                position: sounding.position(from),
            };
            self.tell(news);
        }
    }

    /// The span of sound is over, if there is one.
    fn close_span(&mut self, how: Ending) {
        let Some(sounding) = self.sounding.as_mut() else { return };
        let Some(from) = sounding.span_from.take() else { return };
        sounding.is_stalled = false;
        let position = sounding.position(sounding.frame);
        let news = AudioNews::Ended {
            play: sounding.play,
            position,
            // From the positions told, so that spans of one entry add up.
            played: position.saturating_sub(sounding.position(from)),
            rebuffers: sounding.rebuffers,
            how,
        };
        self.tell(news);
    }

    /// Entries that are over, or void, leave.
    fn settle(&mut self) {
        while let Some(region) = self.line.front() {
            let Some((end, tail)) = region.end else { return };
            if self.line.heard() < end {
                return;
            }
            if self.shared.is_valid(region.play) {
                if self.pause == Pause::Paused {
                    return;
                }
                self.conclude(region, tail);
            } else {
                self.forget(region.play);
            }
            self.line.pop();
        }
    }

    fn conclude(&mut self, region: Region, tail: Tail) {
        if region.shape.is_none() {
            if self.shared.begin(region.play) {
                self.tell(AudioNews::Failed { play: region.play });
            }
            return;
        }
        if self.sounding.is_none_or(|sounding| sounding.play != region.play) {
            self.begin(region.play);
        }
        let Some(sounding) = self.sounding.filter(|sounding| sounding.play == region.play) else {
            return;
        };
        if sounding.span_from.is_none() {
            self.open_span(sounding.frame);
        }
        self.close_span(match tail {
            Tail::Whole => Ending::Finished,
            Tail::Broken | Tail::Abandoned => Ending::Broken,
        });
        self.sounding = None;
    }

    fn forget(&mut self, play: PlayId) {
        if self.sounding.is_some_and(|sounding| sounding.play == play) {
            self.close_span(Ending::Cut);
            self.sounding = None;
        }
    }

    // ---- orders ----

    /// Skips, callbacks of followers, pause and volume.
    fn obey(&mut self) {
        let shared = Arc::clone(&self.shared);
        let is_void = |play: PlayId| !shared.is_valid(play);
        if self.line.holds(is_void) || self.sounding.is_some_and(|sounding| is_void(sounding.play)) {
            self.cut();
            if let Some(sounding) = self.sounding.filter(|sounding| is_void(sounding.play)) {
                self.forget(sounding.play);
            }
        }
        match (self.pause, shared.is_paused()) {
            (Pause::Playing, true) => {
                self.cut();
                self.close_span(Ending::Cut);
                self.pause = Pause::Paused;
            }
            (Pause::Paused, false) => self.pause = Pause::Playing,
            (Pause::Playing, false) | (Pause::Paused, true) => {}
        }
        match self.device {
            Device::Open { rate } if self.line.unheard() > 0 => self.gain.aim(shared.volume(), rate),
            // Nothing sounds, so nothing can click.
            Device::Open { .. } | Device::Closed | Device::Lost { .. } => self.gain.jump(shared.volume()),
        }
    }

    /// Silence at once. What was not heard stays in the ring.
    fn cut(&mut self) {
        if !self.is_running {
            return;
        }
        self.listen();
        if !self.is_running {
            return;
        }
        count(&self.shared.tally.cuts);
        let dropped = self.output.drop_now();
        self.line.rewind();
        self.stopped();
        if let Err(error) = dropped {
            self.fail(&error);
        }
    }

    fn stopped(&mut self) {
        self.is_running = false;
        self.is_continuous = false;
    }

    // ---- the device ----

    fn fail(&mut self, error: &OutputError) {
        match error {
            OutputError::Xrun { .. } => {
                self.advance(self.line.unheard());
                count(&self.shared.tally.xruns);
                self.stopped();
            }
            OutputError::Suspended { .. }
            | OutputError::Gone { .. }
            | OutputError::Busy { .. }
            | OutputError::Other { .. } => self.lose(error),
        }
    }

    fn lose(&mut self, error: &OutputError) {
        let (Device::Open { rate } | Device::Lost { rate, .. }) = self.device else {
            return;
        };
        let retry_at = Instant::now() + RETRY;
        if let Device::Open { .. } = self.device {
            log::warn!("sound stops: {error}; trying again every {} ms", RETRY.as_millis());
            count(&self.shared.tally.losses);
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
                self.gain.jump(self.shared.volume());
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

    // ---- writing ----

    /// Writes what there is and fits.
    fn fill(&mut self, available: u64) -> Halt {
        if let Device::Lost { rate, retry_at } = self.device
            && Instant::now() >= retry_at
        {
            self.open(rate);
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
            match self.device {
                Device::Open { rate } if rate == shape.rate => {}
                Device::Open { .. } if self.is_running => return Halt::Rate(shape.rate),
                Device::Open { .. } | Device::Closed => self.open(shape.rate),
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
            let end = region.end.map_or(available, |(end, _)| end.min(available));
            let ready = end.saturating_sub(self.line.next());
            if ready == 0 || (!self.is_running && region.end.is_none() && ready < self.threshold(shape.rate)) {
                return Halt::Starving;
            }
            if !self.line.can_write() {
                return Halt::Full;
            }
            match self.write(ready, shape.bits) {
                Ok(0) => return Halt::Full,
                Ok(frames) => self.wrote(region.play, frames),
                // After running dry, writing goes on; one that does nothing but run dry is as good as lost.
                Err(error) if tries > 0 => {
                    tries -= 1;
                    self.fail(&error);
                }
                Err(error) => self.lose(&error),
            }
        }
    }

    fn threshold(&self, rate: u32) -> u64 {
        let ms = if self.sounding.is_some_and(|sounding| sounding.is_stalled) {
            RESTART_MS
        } else {
            START_MS
        };
        u64::from(rate) * ms / 1000
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
    fn write(&mut self, ready: u64, bits: u8) -> Result<usize, OutputError> {
        let skip = samples(self.line.next() - self.line.released());
        let Ok(chunk) = self.samples.read_chunk(skip.saturating_add(samples(ready))) else {
            return Ok(0);
        };
        let (first, second) = chunk.as_slices();
        let frames = match first.get(skip..) {
            Some(rest) if !rest.is_empty() => rest,
            Some(_) | None => second.get(skip.saturating_sub(first.len())..).unwrap_or_default(),
        };
        if self.gain.is_unity() {
            return self.output.write(frames, bits);
        }
        let count = frames.len().min(self.scaled.len());
        let scaled = self.scaled.get_mut(..count).unwrap_or_default();
        self.gain.fork().apply(frames, scaled);
        let taken = self.output.write(scaled, SCALED_BITS)?;
        self.gain.skip(taken);
        Ok(taken)
    }

    /// Plays the device out when nothing (or nothing at this rate, or nothing yet) follows.
    fn play_out(&mut self, halt: Halt) -> Next {
        if !self.is_running || !matches!(halt, Halt::Nothing | Halt::Rate(_) | Halt::Starving) {
            return Next::Sleep;
        }
        let Device::Open { rate } = self.device else {
            return Next::Sleep;
        };
        let is_near = self.line.unheard() <= u64::from(rate) * TAIL_MS / 1000;
        let is_lull = matches!(halt, Halt::Rate(_)) || self.last_write.elapsed() >= LULL;
        if !(is_near && is_lull) {
            return Next::Sleep;
        }
        match self.output.drain() {
            Ok(Drained::Pending) => return Next::Sleep,
            Ok(Drained::Done) => {
                self.advance(self.line.unheard());
                self.stopped();
                self.settle();
            }
            Err(error) => self.fail(&error),
        }
        Next::Turn
    }

    /// Gives frames that were heard back to the decoder and tells where the sound is.
    fn release(&mut self) {
        let frames = samples(self.line.release());
        if frames > 0
            && let Ok(chunk) = self.samples.read_chunk(frames)
        {
            chunk.commit_all();
        }
        if self.samples.slots() < self.samples.buffer().capacity() / 2 {
            self.shared.drained();
        }
        let heard = self
            .sounding
            .map(|sounding| (sounding.play, sounding.position(sounding.frame)));
        self.shared.set_heard(heard);
    }

    /// Tells of a stall once it has lasted. Returns how long until it has.
    fn note_stall(&mut self, halt: Halt) -> Option<Duration> {
        if halt != Halt::Starving || self.is_running {
            return None;
        }
        let is_open = |sounding: &&mut Sounding| sounding.span_from.is_some() && !sounding.is_stalled;
        let sounding = self.sounding.as_mut().filter(is_open)?;
        let left = STALL.saturating_sub(self.last_write.elapsed());
        if left.is_zero() {
            sounding.is_stalled = true;
            sounding.rebuffers = sounding.rebuffers.saturating_add(1);
            let play = sounding.play;
            count(&self.shared.tally.stalls);
            self.tell(AudioNews::Stalled { play });
            return None;
        }
        Some(left)
    }

    // ---- sleeping ----

    fn sleep(&mut self, halt: Halt, available: u64, stalled: Option<Duration>) {
        let interest = if halt == Halt::Full && self.is_running {
            Interest::Room
        } else {
            Interest::Nothing
        };
        let timeout = self.timeout(halt).min(stalled.unwrap_or(NAP));
        if interest == Interest::Nothing {
            self.shared.set_hungry();
            let now = self.line.released() + (self.samples.slots() / CHANNELS) as u64;
            let is_news = now > available || (self.line.has_room() && !self.marks.is_empty());
            if is_news && halt != Halt::Held {
                return;
            }
        }
        let shared = Arc::clone(&self.shared);
        if let Err(error) = self.output.wait(shared.wake_fd(), interest, timeout) {
            self.fail(&error);
        }
    }

    fn timeout(&self, halt: Halt) -> Duration {
        if let Device::Lost { retry_at, .. } = self.device {
            return retry_at
                .saturating_duration_since(Instant::now())
                .clamp(Duration::from_millis(1), RETRY);
        }
        let Device::Open { rate } = self.device else { return NAP };
        if !self.is_running {
            return NAP;
        }
        // Until something happens that is to be told: the first frame of an entry, or its last.
        let boundary = self.line.piece().map_or(0, |piece| {
            let is_heard = self
                .sounding
                .is_some_and(|now| now.play == piece.play && now.span_from.is_some());
            let end = self
                .line
                .front()
                .and_then(|region| region.end)
                .map_or(u64::MAX, |(end, _)| end);
            if is_heard { end.saturating_sub(piece.at) } else { 1 }
        });
        let until_tail = self.line.unheard().saturating_sub(u64::from(rate) * TAIL_MS / 1000);
        let frames = if halt == Halt::Full {
            boundary
        } else {
            boundary.min(until_tail)
        };
        let ms = frames.saturating_mul(1000) / u64::from(rate.max(1));
        Duration::from_millis(ms.saturating_add(1)).min(LOOK)
    }

    fn tell(&mut self, news: AudioNews) {
        if self.news.push(news).is_err() {
            count(&self.shared.tally.news_lost);
        }
        self.shared.wake_news();
    }
}

fn samples(frames: u64) -> usize {
    usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(CHANNELS)
}

fn millis(frames: u64, rate: u32) -> Millis {
    let ms = u128::from(frames) * 1000 / u128::from(rate.max(1));
    Millis(u32::try_from(ms).unwrap_or(u32::MAX))
}
