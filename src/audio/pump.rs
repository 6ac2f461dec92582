//! The output thread: moves frames from the ring to the device, watches how far they were heard and reports it. Frames
//! stay in the ring until they are heard, so nothing is lost when the device drops them. It never locks, allocates or
//! logs while sound plays, and it decides nothing.

mod device;
mod filling;
mod heard;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer};
use tonearm_core::id::PlayId;
use tonearm_core::input::{AudioNews, Ending};
use tonearm_core::unit::Millis;

use super::mark::Mark;
use super::output::{CHANNELS, Change, Chiming, Interest, Output};
use super::pages::{Locked, Span};
use super::shared::{Shared, count};
use super::timeline::Timeline;
use filling::{COVER_MS, Cut, Filling};

/// Sound starts when this much is decoded (or all of it): a skip feels instant, and the next packet comes long before
/// this one has played.
const START_MS: u64 = 60;
/// After a stall sound goes on when this much is decoded, so that a thin stream does not stutter.
const RESTART_MS: u64 = 250;
/// When the device holds no more than this and nothing follows, it is played out. Until then a follower can still adjoin.
/// A busy or a virtual machine wakes even a real-time thread 10 ms late now and then.
const TAIL_MS: u64 = 20;
/// Nothing was written for this long before nothing is taken to follow: the decoder may just be busy.
const LULL: Duration = Duration::from_millis(10);
/// Silence in the middle of an entry is a stall from this length on; shorter ones are the decoder being late.
///
/// The unit tests' device swallows sound at once, so nothing covers a decoder that a busy machine holds up: there a stall
/// is what no scheduler explains.
const STALL: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 50 });
/// A lost device is tried again this often, for ever.
const RETRY: Duration = Duration::from_millis(500);
/// Longest sleep while sound plays: the position heard is never older. Two of the device's usual periods, so that it is the
/// device that wakes.
const LOOK: Duration = Duration::from_millis(100);
/// Longest sleep while nothing sounds: a net under the wake-ups, which do not rely on it.
const NAP: Duration = Duration::from_secs(30);
/// A chime that sounds alone is looked after this often until its end.
const CHIME_LOOK: Duration = Duration::from_millis(10);
/// Rate a closed device is opened with for a chime: most music has it, so that it need not be opened again for that.
const CHIME_RATE_HZ: u32 = 44_100;
/// Times in a turn that a device may run dry on being written to.
const WRITE_TRIES: u32 = 3;

/// The output thread's state.
pub struct Pump {
    /// What is kept in memory, from the first sound on: a silent speaker needs none of it. First, so that it is let go
    /// before what it keeps is given back.
    locked: Locked,
    output: Box<dyn Output + Send>,
    shared: Arc<Shared>,
    samples: Consumer<i32>,
    marks: Consumer<Mark>,
    /// The number after the last frame in the ring when marks were taken in.
    seen: u64,
    news: Producer<AudioNews>,
    line: Timeline,
    device: Device,
    sounding: Option<Sounding>,
    pause: Pause,
    /// The device was given frames and was not stopped since.
    is_running: bool,
    /// The device plays out what it has; nothing is written until it has stopped.
    is_draining: bool,
    /// No silence since the last frame written.
    is_continuous: bool,
    /// What the device was given that is of no entry.
    filling: Filling,
    /// The memory of the ring.
    ring: Option<Span>,
    last_write: Instant,
    /// Why writing stopped last: running dry is only a fault when there was more to write.
    halt: Halt,
    /// Order of the last frame written: tells when another entry follows.
    last_written: Option<PlayId>,
    /// Since when the device is open and sounds nothing.
    idle_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Device {
    Closed,
    /// Given back because nothing sounded: opened again when something is there to be sounded.
    Resting,
    Open {
        rate: u32,
    },
    Lost {
        rate: u32,
        retry_at: Instant,
    },
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
            shared,
            samples,
            marks,
            seen: 0,
            news,
            line: Timeline::default(),
            device: Device::Closed,
            sounding: None,
            pause: Pause::Playing,
            is_running: false,
            is_draining: false,
            is_continuous: false,
            filling: Filling::new(),
            ring: None,
            locked: Locked::default(),
            last_write: Instant::now(),
            halt: Halt::Nothing,
            last_written: None,
            idle_since: None,
        }
    }

    /// The ring of samples is in `ring`.
    #[must_use]
    pub fn with_ring_in(self, ring: Option<Span>) -> Self {
        Self { ring, ..self }
    }

    /// Keeps what is touched while sound plays in memory.
    fn lock_memory(&mut self) {
        if !self.locked.is_empty() {
            return;
        }
        let locked = &mut self.locked;
        locked.keep(self.filling.memory());
        self.output.memory(&mut |span| locked.keep(span));
        if let Some(ring) = self.ring {
            locked.keep(ring);
        }
    }

    /// Plays until the engine is closed.
    pub fn run(mut self) {
        while !self.shared.is_quitting() {
            self.turn();
        }
        self.cut(Cut::Faded);
        self.close_span(Ending::Cut);
        self.fade_away();
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
        self.halt = halt;
        let was_running = self.is_running;
        // What a device swallows at once is heard at once.
        self.listen();
        self.settle();
        let next = match self.cover(halt) {
            // It has stopped since: what was found to write is out of date.
            _ if was_running && !self.is_running => Next::Turn,
            Next::Turn => Next::Turn,
            Next::Sleep => self.play_out(halt),
        };
        self.release();
        let stalled = self.note_stall(halt);
        if next == Next::Sleep {
            let chiming = self.chime_alone();
            let rest = self.rest(halt, chiming);
            self.sleep(halt, stalled.unwrap_or(NAP).min(rest), chiming);
        }
    }

    /// Takes in marks; returns the number after the last frame in the ring that is known to belong to somebody. The frames
    /// are looked at first: whatever they belong to was marked before them.
    fn take_marks(&mut self) -> u64 {
        self.seen = self.frames_in();
        while self.takes_mark() {
            if let Ok(mark) = self.marks.pop() {
                self.line.note(mark);
            }
        }
        // Behind a mark that waits for room are frames of another entry.
        self.marks.peek().map_or(self.seen, |mark| self.seen.min(mark.at))
    }

    /// The number after the last frame in the ring.
    fn frames_in(&self) -> u64 {
        self.line.released() + (self.samples.slots() / CHANNELS) as u64
    }

    /// There is a mark, and room for it.
    fn takes_mark(&self) -> bool {
        self.marks.peek().is_ok_and(|mark| self.line.takes(mark))
    }

    // ---- orders ----

    /// Skips, callbacks of followers, pause, volume and chimes.
    fn obey(&mut self) {
        let shared = Arc::clone(&self.shared);
        let is_void = |play: PlayId| !shared.is_valid(play);
        let is_over = self.sounding.is_some_and(|sounding| is_void(sounding.play));
        if is_over || self.line.holds(is_void) {
            // A follower called back leaves no trace: the entry that sounds goes on from the very next frame.
            self.cut(if is_over { Cut::Faded } else { Cut::Seamless });
            if let Some(sounding) = self.sounding.filter(|sounding| is_void(sounding.play)) {
                self.forget(sounding.play);
            }
        }
        match (self.pause, shared.is_paused()) {
            (Pause::Playing, true) => {
                self.cut(Cut::Faded);
                self.close_span(Ending::Cut);
                self.pause = Pause::Paused;
            }
            (Pause::Paused, false) => self.pause = Pause::Playing,
            (Pause::Playing, false) | (Pause::Paused, true) => {}
        }
        let change = if self.line.unheard() > 0 {
            Change::Ramp
        } else {
            Change::Jump
        };
        self.output.set_volume(shared.volume(), change);
        if let Some(chime) = shared.take_chime()
            && !matches!(self.device, Device::Lost { .. })
        {
            self.output.begin_chime(chime, shared.volume());
        }
    }

    fn stopped(&mut self) {
        self.is_running = false;
        self.is_draining = false;
        self.is_continuous = false;
        self.filling.forget();
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
        let is_silent = !self.is_running || !self.line.holds_any();
        if halt != Halt::Starving || !is_silent {
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

    fn sleep(&mut self, halt: Halt, due: Duration, chiming: Chiming) {
        // Full and not running: an amplifier's silence is all that it holds yet.
        let is_full = halt == Halt::Full;
        let interest = if is_full || chiming == Chiming::Full {
            Interest::Room
        } else {
            Interest::Nothing
        };
        let chime = if chiming == Chiming::Over { NAP } else { CHIME_LOOK };
        let timeout = self.timeout(halt).min(due).min(chime);
        if !is_full {
            self.shared.set_hungry();
            let is_news = self.frames_in() > self.seen || self.takes_mark();
            if is_news && halt != Halt::Held {
                return;
            }
        }
        let shared = Arc::clone(&self.shared);
        if let Err(error) = self.output.wait(shared.wake_fd(), interest, timeout) {
            self.fail(&error);
        }
    }

    fn timeout(&mut self, halt: Halt) -> Duration {
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
            let Some(play) = piece.play else {
                return piece.frames + 1;
            };
            let is_heard = self
                .sounding
                .is_some_and(|now| now.play == play && now.span_from.is_some());
            let end = self
                .line
                .front()
                .and_then(|region| region.end)
                .map_or(u64::MAX, |(end, _)| end);
            if is_heard { end.saturating_sub(piece.at) } else { 1 }
        });
        let held = self.filling.until_silence(self.line.unheard());
        let decided_ms = if halt == Halt::Starving { COVER_MS } else { TAIL_MS };
        let until_tail = held.unwrap_or_else(|| self.line.unheard().saturating_sub(self.frames_of(decided_ms, rate)));
        let frames = if halt == Halt::Full {
            boundary
        } else {
            boundary.min(until_tail)
        };
        let ms = frames.saturating_mul(1000) / u64::from(rate.max(1));
        Duration::from_millis(ms.saturating_add(1)).min(LOOK)
    }

    /// Frames of which the device has `ms` to sound, while the outputs before it keep the others back.
    fn frames_of(&mut self, ms: u64, rate: u32) -> u64 {
        u64::from(rate) * ms / 1000 + self.output.latency()
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

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
