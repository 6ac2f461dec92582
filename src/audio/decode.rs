//! The decoding thread: takes orders, turns entries into frames in the ring and marks beside it, one entry after the
//! other without a gap. It may block on the bytes of an entry; it must not know when frames are heard.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rtrb::Producer;
use tonearm_core::id::PlayId;
use tonearm_core::unit::Millis;

use super::keys::Keys;
use super::mark::{Mark, Tail, What};
use super::output::CHANNELS;
use super::shared::Shared;
use super::stream::Stream;
use super::track::{Shape, Step, Track, TrackError};

/// Frames of the ring: three seconds at CD rate, enough to ride out a busy processor, little enough to refill at once.
pub const RING_FRAMES: usize = 131_072;
/// Room a follower leaves in the ring until it begins to sound, so that another one that replaces it can start before
/// the entry before it ends.
const RESERVE_FRAMES: usize = 16_384;
/// How long after the last sound the key of what follows is waited for: longer than one more try for a licence, short enough
/// that the silence is not taken for a broken speaker.
const KEY_GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether the key is there.
const KEY_POLL: Duration = Duration::from_millis(20);
/// Longest sleep without being woken: a net under the wake-ups, which do not rely on it.
const NAP_MAX: Duration = Duration::from_secs(30);

/// An entry to be sounded.
pub struct Source {
    /// Its bytes; reading them may block until they are loaded.
    pub stream: Stream,
    /// File extension or media type, if known. It is only a hint.
    pub hint: Option<String>,
    /// Its keys, where it may be encrypted.
    pub keys: Option<Box<dyn Keys>>,
    /// Makes pending and future reads of `stream` fail at once: the entry is not wanted any more.
    pub cancel: Arc<dyn Fn() + Send + Sync>,
}

/// What the decoder is to do next. Newer orders replace older ones, so there is never more than one of each kind.
#[derive(Default)]
pub struct Orders {
    /// Decode this at once, in place of everything.
    pub play: Option<(PlayId, Source, Millis)>,
    /// A follower was called back that may be in the ring already.
    pub is_called_back: bool,
    /// Decode this after what is being decoded.
    pub follow: Option<(PlayId, Source)>,
}

/// The place where orders wait. Held only for moments, by the handle and by the decoder.
#[derive(Clone, Default)]
pub struct Inbox(Arc<Mutex<Orders>>);

impl Inbox {
    /// Gives access. A panic elsewhere cannot have left the orders half written: they are replaced whole.
    pub fn lock(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The decoding thread's state.
pub struct Decoder {
    shared: Arc<Shared>,
    inbox: Inbox,
    samples: Producer<i32>,
    marks: Producer<Mark>,
    /// Frames pushed since the start.
    pushed: u64,
    job: Option<Job>,
    /// A follower was called back when it was in the ring already: the room kept for that is to be used.
    is_reserve_open: bool,
}

struct Job {
    play: PlayId,
    track: Track,
    /// Samples of the track's last step that are in the ring.
    sent: usize,
    /// The mark of its beginning is written.
    is_started: bool,
    /// A key is awaited.
    is_awaiting: bool,
    /// Since when nothing sounds while a key is awaited.
    silent_since: Option<Instant>,
}

impl Decoder {
    /// Ready to [`Decoder::run`].
    pub fn new(shared: Arc<Shared>, inbox: Inbox, samples: Producer<i32>, marks: Producer<Mark>) -> Self {
        Self {
            shared,
            inbox,
            samples,
            marks,
            pushed: 0,
            job: None,
            is_reserve_open: false,
        }
    }

    /// Decodes until the engine is closed.
    pub fn run(mut self) {
        self.shared.set_decoder(thread::current());
        while !self.shared.is_quitting() {
            if !self.turn() {
                let is_awaiting = self.job.as_ref().is_some_and(|job| job.is_awaiting);
                thread::park_timeout(if is_awaiting { KEY_POLL } else { NAP_MAX });
            }
        }
    }

    /// Does what is next. False: there is nothing to do until somebody calls.
    fn turn(&mut self) -> bool {
        if self.job.as_ref().is_some_and(|job| !self.shared.is_valid(job.play)) {
            self.abandon();
        }
        if let Some((play, source, from)) = self.next_order() {
            self.begin(play, source, from);
            return true;
        }
        self.job.is_some() && self.advance()
    }

    fn next_order(&mut self) -> Option<(PlayId, Source, Millis)> {
        let mut waiting = self.inbox.lock();
        self.is_reserve_open |= std::mem::take(&mut waiting.is_called_back);
        if let Some(order) = waiting.play.take() {
            drop(waiting);
            self.abandon();
            self.is_reserve_open = false;
            return Some(order);
        }
        if self.job.is_some() {
            return None;
        }
        waiting.follow.take().map(|(play, source)| (play, source, Millis::ZERO))
    }

    fn abandon(&mut self) {
        if let Some(job) = self.job.take().filter(|job| job.is_started) {
            self.mark(job.play, What::End(Tail::Abandoned));
        }
    }

    fn begin(&mut self, play: PlayId, source: Source, from: Millis) {
        let Source {
            stream,
            hint,
            keys,
            cancel: _,
        } = source;
        let opened = guarded(|| Track::open(stream, hint.as_deref(), keys, from)).unwrap_or(Err(TrackError::NoSound));
        match opened {
            Ok(track) => {
                self.job = Some(Job {
                    play,
                    track,
                    sent: usize::MAX,
                    is_started: false,
                    is_awaiting: false,
                    silent_since: None,
                });
            }
            Err(error) => self.refuse(play, &error),
        }
    }

    /// Nothing of the entry can be decoded.
    fn refuse(&mut self, play: PlayId, error: &TrackError) {
        log::info!("order {}: {}", play.0, describe(error));
        if Track::is_locked(error) {
            self.mark(play, What::Start(Shape::UNKNOWN));
            self.mark(play, What::End(Tail::Locked));
        } else {
            self.mark(play, What::Failed);
        }
    }

    /// Marks where the entry begins, once that is known. False: a key is awaited.
    fn start(&mut self) -> bool {
        let Some(job) = self.job.as_mut() else { return false };
        match guarded(|| job.track.is_ready()).unwrap_or(Err(TrackError::NoSound)) {
            Ok(true) => {
                job.is_started = true;
                job.is_awaiting = false;
                let (play, shape) = (job.play, job.track.shape());
                self.mark(play, What::Start(shape));
                true
            }
            Ok(false) => self.await_key(),
            Err(error) => {
                let play = job.play;
                self.job = None;
                self.refuse(play, &error);
                true
            }
        }
    }

    /// Waits on as long as anything sounds, and for a while then. False: look again in a moment.
    fn await_key(&mut self) -> bool {
        let is_dry = self.samples.slots() == self.samples.buffer().capacity();
        let is_silent = is_dry && !self.shared.is_paused();
        let Some(job) = self.job.as_mut() else { return false };
        let is_new = !std::mem::replace(&mut job.is_awaiting, true);
        let since = job.silent_since.filter(|_| is_silent && !is_new);
        job.silent_since = since.or_else(|| is_silent.then(Instant::now));
        if since.is_none_or(|since| since.elapsed() < KEY_GRACE) {
            return false;
        }
        log::warn!(
            "order {}: the licence did not come in time; the entry ends here",
            job.play.0
        );
        if !job.is_started {
            job.is_started = true;
            let play = job.play;
            self.mark(play, What::Start(Shape::UNKNOWN));
        }
        self.finish(Tail::Locked);
        true
    }

    /// Moves frames on. False: the ring is full.
    fn advance(&mut self) -> bool {
        if self.job.as_ref().is_some_and(|job| !job.is_started) {
            return self.start();
        }
        let Some(job) = self.job.as_mut() else { return false };
        let frames = job.track.frames().get(job.sent..).unwrap_or_default();
        if frames.is_empty() {
            job.sent = 0;
            let step = guarded(|| job.track.step()).unwrap_or(Step::Broken);
            job.is_awaiting &= step == Step::Awaiting;
            match step {
                Step::Frames => {}
                Step::Finished => self.finish(Tail::Whole),
                Step::Broken => self.finish(Tail::Broken),
                Step::Locked => self.finish(Tail::Locked),
                Step::Awaiting => return self.await_key(),
            }
            return true;
        }
        let is_follower = self.shared.begun() != Some(job.play) && !self.shared.is_ordered(job.play);
        let kept_free = if is_follower && !self.is_reserve_open {
            RESERVE_FRAMES * CHANNELS
        } else {
            0
        };
        let room = |samples: &Producer<i32>| samples.slots().saturating_sub(kept_free) / CHANNELS * CHANNELS;
        let mut free = room(&self.samples);
        if free == 0 {
            self.shared.set_full();
            free = room(&self.samples);
            if free == 0 {
                return false;
            }
        }
        let batch = frames.get(..free).unwrap_or(frames);
        let (sent, _) = self.samples.push_partial_slice(batch);
        job.sent += sent.len();
        self.pushed += (sent.len() / CHANNELS) as u64;
        self.shared.fed();
        true
    }

    fn finish(&mut self, tail: Tail) {
        if let Some(job) = self.job.take() {
            self.is_reserve_open &= self.shared.begun() != Some(job.play);
            self.mark(job.play, What::End(tail));
        }
    }

    /// Writes a mark; waits for room, which the output makes as entries go by.
    fn mark(&mut self, play: PlayId, what: What) {
        let mark = Mark {
            at: self.pushed,
            play,
            what,
        };
        while self.marks.push(mark).is_err() {
            if self.shared.is_quitting() {
                return;
            }
            self.shared.set_full();
            self.shared.wake_output();
            thread::park_timeout(Duration::from_millis(10));
        }
        self.shared.fed();
    }
}

/// Runs foreign code that may panic on damaged input; `None` if it did. What it worked on is given up then.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn describe(error: &TrackError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
