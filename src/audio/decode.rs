//! The decoding thread: takes orders, turns entries into frames in the ring and marks beside it, one entry after the
//! other without a gap. It may block on the bytes of an entry; it must not know when frames are heard.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rtrb::Producer;
use tonearm_core::id::PlayId;
use tonearm_core::unit::Millis;

use super::keys::Keys;
use super::mark::{Mark, Tail, What};
use super::output::CHANNELS;
use super::shared::Shared;
use super::stream::Stream;
use super::track::{Step, Track, TrackError};

/// Frames of the ring: three seconds at CD rate, enough to ride out a busy processor, little enough to refill at once.
pub const RING_FRAMES: usize = 131_072;
/// Room a follower leaves in the ring until it begins to sound, so that another one that replaces it can start before
/// the entry before it ends.
const RESERVE_FRAMES: usize = 16_384;
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
                thread::park_timeout(NAP_MAX);
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
        if let Some(job) = self.job.take() {
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
                self.mark(play, What::Start(track.shape()));
                self.job = Some(Job {
                    play,
                    track,
                    sent: usize::MAX,
                });
            }
            Err(error) => {
                log::info!("order {}: {}", play.0, describe(&error));
                self.mark(play, What::Failed);
            }
        }
    }

    /// Moves frames on. False: the ring is full.
    fn advance(&mut self) -> bool {
        let Some(job) = self.job.as_mut() else { return false };
        let frames = job.track.frames().get(job.sent..).unwrap_or_default();
        if frames.is_empty() {
            job.sent = 0;
            let step = guarded(|| job.track.step()).unwrap_or(Step::Broken);
            match step {
                Step::Frames => {}
                Step::Finished => self.finish(Tail::Whole),
                Step::Broken => self.finish(Tail::Broken),
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
