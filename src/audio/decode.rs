//! The decoding thread: takes orders, turns entries into frames in the ring and marks beside it, one entry after the
//! other without a gap; with time to spare it decodes the heads of what may come. It may block on the bytes of an entry;
//! it must not know when frames are heard.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rtrb::Producer;
use tonearm_core::id::PlayId;
use tonearm_core::unit::Millis;

use super::heads::{Head, HeadKey, Heads, Preparation};
use super::keys::Keys;
use super::mark::{Mark, Tail, What};
use super::output::CHANNELS;
use super::shared::{Shared, urge};
use super::stream::Stream;
use super::track::{Shape, Step, Track, TrackError};

/// Frames of the ring: three seconds at CD rate, enough to ride out a busy processor, little enough to refill at once.
pub const RING_FRAMES: usize = 131_072;
/// Room a follower leaves in the ring until it begins to sound, so that another one that replaces it can start before
/// the entry before it ends.
const RESERVE_FRAMES: usize = 16_384;
/// Room that every entry leaves in the ring once it is under way, so that the head of another that replaces it need not
/// wait for the output to clear what is void: a head at 44.1 kHz, and more than the output starts with at any rate.
const HEAD_ROOM_FRAMES: usize = 6_144;
/// Frames in the ring from which on heads go first: a skip is likelier to come than the rest of the ring to be needed.
const AHEAD_FRAMES: usize = RING_FRAMES / 4;
/// How long after the last sound the key of what follows is waited for: longer than one more try for a licence, short enough
/// that the silence is not taken for a broken speaker.
const KEY_GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether the key is there.
const KEY_POLL: Duration = Duration::from_millis(20);
/// Niceness of the decoder where permitted: what sounds goes before whatever else a small board is doing.
const NICENESS: i32 = -10;
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
    /// What its head was prepared under.
    pub head: Option<HeadKey>,
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
    /// Decode the heads of these, most urgent first, in place of earlier wishes.
    pub prepare: Option<Vec<Preparation>>,
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
    heads: Heads,
    /// A follower was called back when it was in the ring already: the room kept for that is to be used.
    is_reserve_open: bool,
}

struct Job {
    play: PlayId,
    stage: Stage,
    /// Samples of the head, or of the track's last step, that are in the ring.
    sent: usize,
    /// Number of its first frame.
    since: u64,
    /// The mark of its beginning is written.
    is_started: bool,
    /// The key of what comes next is awaited.
    wait: Option<Wait>,
}

/// A key is awaited.
#[derive(Clone, Copy)]
struct Wait {
    /// Room in the ring.
    room: usize,
    /// Since when there is as much, which is: nothing was heard, although nothing is paused.
    since: Instant,
}

enum Stage {
    /// What was decoded ahead goes out; the entry itself is opened behind it.
    Head(Arc<Head>, Source),
    /// The entry is decoded.
    Track(Box<Track>),
}

impl Job {
    /// Frames that are not in the ring yet.
    fn frames(&self) -> &[i32] {
        let frames = match &self.stage {
            Stage::Head(head, _) => &head.frames,
            Stage::Track(track) => track.frames(),
        };
        frames.get(self.sent..).unwrap_or_default()
    }
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
            heads: Heads::default(),
            is_reserve_open: false,
        }
    }

    /// Decodes until the engine is closed.
    pub fn run(mut self) {
        self.shared.set_decoder(thread::current());
        urge(NICENESS);
        while !self.shared.is_quitting() {
            if !self.turn() {
                let rest = self.heads.rest(Instant::now()).unwrap_or(NAP_MAX);
                let is_waiting = self.job.as_ref().is_some_and(|job| job.wait.is_some());
                thread::park_timeout(rest.min(if is_waiting { KEY_POLL } else { NAP_MAX }));
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
        let is_ahead = self.samples.buffer().capacity() - self.samples.slots() >= AHEAD_FRAMES * CHANNELS;
        if is_ahead && self.heads.step(Instant::now()) {
            return true;
        }
        (self.job.is_some() && self.advance()) || self.heads.step(Instant::now())
    }

    fn next_order(&mut self) -> Option<(PlayId, Source, Millis)> {
        let mut waiting = self.inbox.lock();
        self.is_reserve_open |= std::mem::take(&mut waiting.is_called_back);
        if let Some(preparations) = waiting.prepare.take() {
            self.heads.want(preparations, Instant::now());
        }
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
        let head = source.head.filter(|_| from == Millis::ZERO);
        if let Some(head) = head.and_then(|key| self.heads.get(key)) {
            self.mark(play, What::Start(head.shape));
            self.start(play, Stage::Head(head, source), 0, true);
            self.advance();
            self.shared.wake_output();
            return;
        }
        if self.shared.is_ordered(play) {
            // What sounds is to stop before the entry is looked at, which may take a while.
            self.shared.wake_output();
        }
        match open(source, from) {
            Ok(track) => self.start(play, Stage::Track(Box::new(track)), usize::MAX, false),
            Err(error) => self.refuse(play, &error),
        }
    }

    fn start(&mut self, play: PlayId, stage: Stage, sent: usize, is_started: bool) {
        self.job = Some(Job {
            play,
            stage,
            sent,
            since: self.pushed,
            is_started,
            wait: None,
        });
    }

    /// Nothing of the entry can be decoded.
    fn refuse(&mut self, play: PlayId, error: &TrackError) {
        log::info!("order {}: {}", play.0, describe(error));
        if error.is_locked() {
            self.mark(play, What::Start(Shape::UNKNOWN));
            self.mark(play, What::End(Tail::Locked));
        } else {
            self.mark(play, What::Failed);
        }
    }

    /// Marks where the entry begins, once its first packet is decoded. False: its key is awaited.
    fn begin_track(&mut self) -> bool {
        let Some(mut job) = self.job.take() else { return false };
        let ready = match job.stage {
            Stage::Track(ref mut track) => {
                let is_ready = guarded(|| track.is_ready()).unwrap_or(Err(TrackError::NoSound));
                is_ready.map(|is_ready| is_ready.then(|| track.shape()))
            }
            Stage::Head(ref head, _) => Ok(Some(head.shape)),
        };
        match ready {
            Ok(Some(shape)) => {
                self.mark(job.play, What::Start(shape));
                job.is_started = true;
                job.wait = None;
                self.job = Some(job);
                true
            }
            Ok(None) => self.wait_for_key(job),
            Err(error) => {
                self.refuse(job.play, &error);
                true
            }
        }
    }

    /// Waits on as long as anything sounds, and for a while then. False: look again in a moment.
    fn wait_for_key(&mut self, mut job: Job) -> bool {
        // Room in the ring grows as long as anything is heard.
        let room = self.samples.slots();
        let is_paused = self.shared.is_paused();
        let before = job.wait.filter(|wait| wait.room == room && !is_paused);
        if before.is_some_and(|wait| wait.since.elapsed() >= KEY_GRACE) {
            log::warn!("order {}: no licence came in time; the entry ends here", job.play.0);
            if !job.is_started {
                self.mark(job.play, What::Start(Shape::UNKNOWN));
            }
            self.finish(job.play, Tail::Locked);
            return true;
        }
        job.wait = Some(before.unwrap_or_else(|| Wait {
            room,
            since: Instant::now(),
        }));
        self.job = Some(job);
        false
    }

    /// Moves frames on. False: the ring is full.
    fn advance(&mut self) -> bool {
        let Some(job) = self.job.as_ref() else { return false };
        if !job.is_started {
            return self.begin_track();
        }
        if job.frames().is_empty() {
            return self.decode();
        }
        let is_follower = self.shared.begun() != Some(job.play) && !self.shared.is_ordered(job.play);
        let kept_free = if is_follower && !self.is_reserve_open {
            RESERVE_FRAMES
        } else if self.pushed - job.since >= HEAD_ROOM_FRAMES as u64 {
            HEAD_ROOM_FRAMES
        } else {
            0
        };
        let room = |samples: &Producer<i32>| samples.slots().saturating_sub(kept_free * CHANNELS) / CHANNELS * CHANNELS;
        let mut free = room(&self.samples);
        if free == 0 {
            self.shared.set_full();
            free = room(&self.samples);
            if free == 0 {
                return false;
            }
        }
        let frames = job.frames();
        let batch = frames.get(..free).unwrap_or(frames);
        let (sent, _) = self.samples.push_partial_slice(batch);
        let sent = sent.len();
        if let Some(job) = self.job.as_mut() {
            job.sent += sent;
        }
        self.pushed += (sent / CHANNELS) as u64;
        self.shared.fed();
        true
    }

    /// Decodes what comes next of the entry. False: its key is awaited.
    fn decode(&mut self) -> bool {
        let Some(mut job) = self.job.take() else { return false };
        let step = match job.stage {
            Stage::Track(ref mut track) => {
                job.sent = 0;
                guarded(|| track.step()).unwrap_or(Step::Broken)
            }
            Stage::Head(ref head, _) if head.is_whole => Step::Finished,
            Stage::Head(head, source) => match behind(&head, source) {
                Ok((track, sent)) => {
                    job.stage = Stage::Track(Box::new(track));
                    job.sent = sent;
                    self.job = Some(job);
                    return true;
                }
                Err(step) => {
                    self.finish(job.play, tail(step));
                    return true;
                }
            },
        };
        match step {
            Step::Frames => {
                job.wait = None;
                self.job = Some(job);
            }
            Step::Awaiting => {
                // The frames of the step before are in the ring already.
                job.sent = usize::MAX;
                return self.wait_for_key(job);
            }
            Step::Finished | Step::Broken | Step::Locked => self.finish(job.play, tail(step)),
        }
        true
    }

    fn finish(&mut self, play: PlayId, tail: Tail) {
        self.is_reserve_open &= self.shared.begun() != Some(play);
        self.mark(play, What::End(tail));
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

fn open(source: Source, from: Millis) -> Result<Track, TrackError> {
    let Source {
        stream,
        hint,
        keys,
        head: _,
        cancel: _,
    } = source;
    guarded(|| Track::open(stream, hint.as_deref(), keys, from)).unwrap_or(Err(TrackError::NoSound))
}

/// Opens the entry whose head went out, and decodes it up to there once more: so it goes on exactly, whatever its codec
/// remembers. Also says how many samples of the last step were in the head. An error is how the entry ends.
fn behind(head: &Head, source: Source) -> Result<(Track, usize), Step> {
    let mut track = open(source, Millis::ZERO).map_err(|error| {
        log::info!("behind the head: {}", describe(&error));
        Step::Broken
    })?;
    if track.shape() != head.shape {
        log::info!("the entry is another one than when its head was decoded");
        return Err(Step::Broken);
    }
    let mut rest = head.frames.as_slice();
    loop {
        let step = guarded(|| track.step()).unwrap_or(Step::Broken);
        match step {
            Step::Frames => {}
            Step::Finished | Step::Broken | Step::Locked => return Err(step),
            // The head was decoded without a key.
            Step::Awaiting => return Err(Step::Broken),
        }
        let count = rest.len().min(track.frames().len());
        let (known, left) = rest.split_at(count);
        if !track.frames().starts_with(known) {
            log::info!("the entry changed since its head was decoded");
        }
        rest = left;
        if rest.is_empty() {
            return Ok((track, count));
        }
    }
}

fn tail(step: Step) -> Tail {
    match step {
        Step::Frames | Step::Finished => Tail::Whole,
        Step::Broken => Tail::Broken,
        Step::Awaiting | Step::Locked => Tail::Locked,
    }
}

/// Runs foreign code that may panic on damaged input; `None` if it did. What it worked on is given up then.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn describe(error: &TrackError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
