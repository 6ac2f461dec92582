//! The beginnings of entries that may be sounded soon, decoded ahead: a skip to one of them needs nothing but its frames.
//! Work is done in small steps, whenever the decoder has nothing better to do; nothing here waits for bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tonearm_core::unit::Millis;

use super::decode::guarded;
use super::output::CHANNELS;
use super::stream::Stream;
use super::track::{Shape, Step, Track};

/// Length of a head: ten times what a small board needs to open an entry and to decode as much again, with four times
/// what the output starts with.
const HEAD_MS: u64 = 120;
/// Frames of all heads together, 563 KiB: three at 192 kHz (next, previous, the start of this one). Six at 44.1 kHz take 249 KiB.
pub const HEADS_FRAMES_MAX: usize = 72_000;
/// Heads at a time: next, previous, the start of this one, and three more ahead. A listener who presses faster than these are
/// decoded presses more than a hundred times a second.
const HEADS_MAX: usize = 6;
/// First wait before an entry that could not be decoded yet is looked at again; it doubles, because what is not loaded in
/// a second has to wait for its turn to be fetched.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
/// Looks at one entry: the last is over three minutes after the first. It may then be sounded all the same.
const LOOKS_MAX: u8 = 12;

/// Names the bytes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadKey(pub u32);

/// What is there of an entry.
pub struct Beginning {
    /// Its bytes; reading those that are not there fails, and never waits.
    pub stream: Stream,
    /// File extension or media type, if known.
    pub hint: Option<String>,
    /// Which bytes these are, where others of the same sound may take their place: its head is only good for them. `None`:
    /// there are no others.
    pub version: Option<u64>,
}

/// Opens the beginning of an entry; `None` while there is not enough of it.
pub type Peek = Box<dyn Fn() -> Option<Beginning> + Send>;

/// An entry whose head is wished for.
pub struct Preparation {
    /// The entry.
    pub key: HeadKey,
    /// Its bytes.
    pub peek: Peek,
}

/// The first frames of an entry.
pub struct Head {
    /// What is fixed for the entry.
    pub shape: Shape,
    /// The frames, interleaved.
    pub frames: Vec<i32>,
    /// They are all of it.
    pub is_whole: bool,
    /// What they were decoded from; see [`Beginning::version`].
    version: Option<u64>,
}

/// Heads, most urgent first.
#[derive(Default)]
pub struct Heads {
    candidates: Vec<Candidate>,
    at_work: Option<Work>,
}

struct Candidate {
    preparation: Preparation,
    state: State,
}

enum State {
    /// Not decoded yet; looked at again then.
    Due(Instant, u8),
    Ready(Arc<Head>),
    /// Not to be decoded ahead, or no room: until the wishes change.
    LeftOut,
}

struct Work {
    key: HeadKey,
    looks: u8,
    track: Track,
    head: Head,
    wanted: usize,
}

impl Heads {
    /// Replaces the wishes, most urgent first, of which only the first few count. What was decoded for one of them stays.
    pub fn want(&mut self, preparations: Vec<Preparation>, now: Instant) {
        let mut before = std::mem::take(&mut self.candidates);
        let candidate = |preparation: Preparation| {
            let known = before.iter().position(|old| old.preparation.key == preparation.key);
            let state = known.map(|index| before.swap_remove(index).state);
            let state = match state {
                Some(State::Ready(head)) => State::Ready(head),
                Some(State::Due(..) | State::LeftOut) | None => State::Due(now, 0),
            };
            Candidate { preparation, state }
        };
        self.candidates = preparations.into_iter().take(HEADS_MAX).map(candidate).collect();
        if let Some(work) = &self.at_work
            && self.place(work.key).is_none()
        {
            self.at_work = None;
        }
    }

    /// The head of an entry, if it is decoded, and of the bytes that would follow it.
    pub fn get(&self, key: HeadKey) -> Option<Arc<Head>> {
        let candidate = self.candidates.get(self.place(key)?)?;
        match &candidate.state {
            State::Ready(head) => {
                let peek = &candidate.preparation.peek;
                let is_good = head.version.is_none() || peek()?.version == head.version;
                is_good.then(|| Arc::clone(head))
            }
            State::Due(..) | State::LeftOut => None,
        }
    }

    /// How long until there may be something to do; `None`: until the wishes change.
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        let due = self.candidates.iter().filter_map(|candidate| match candidate.state {
            State::Due(at, _) => Some(at.saturating_duration_since(now)),
            State::Ready(_) | State::LeftOut => None,
        });
        due.min()
    }

    /// Decodes a packet, or opens an entry. False: there is nothing to do now.
    pub fn step(&mut self, now: Instant) -> bool {
        match self.at_work.take() {
            Some(work) => self.go_on(work, now),
            None => self.begin(now),
        }
    }

    fn place(&self, key: HeadKey) -> Option<usize> {
        self.candidates
            .iter()
            .position(|candidate| candidate.preparation.key == key)
    }

    fn begin(&mut self, now: Instant) -> bool {
        let is_due = |candidate: &Candidate| matches!(candidate.state, State::Due(at, _) if at <= now);
        let Some(candidate) = self.candidates.iter_mut().find(|candidate| is_due(candidate)) else {
            return false;
        };
        let State::Due(_, looks) = candidate.state else {
            return false;
        };
        let key = candidate.preparation.key;
        let open = |Beginning { stream, hint, version }: Beginning| {
            let track = guarded(|| Track::open(stream, hint.as_deref(), None, Millis::ZERO))?.ok()?;
            Some((track, version))
        };
        match (candidate.preparation.peek)().and_then(open) {
            Some((track, version)) => {
                let shape = track.shape();
                let frames = u64::from(shape.rate) * HEAD_MS / 1000;
                let frames = usize::try_from(frames).unwrap_or(usize::MAX).min(HEADS_FRAMES_MAX);
                self.at_work = Some(Work {
                    key,
                    looks,
                    track,
                    head: Head {
                        shape,
                        // At once: pieces that grow would leave holes in the memory.
                        frames: Vec::with_capacity(frames * CHANNELS),
                        is_whole: false,
                        version,
                    },
                    wanted: frames * CHANNELS,
                });
            }
            None => self.later(key, looks, now),
        }
        true
    }

    fn go_on(&mut self, mut work: Work, now: Instant) -> bool {
        let (head, wanted) = (&mut work.head, work.wanted);
        match guarded(|| work.track.step()).unwrap_or(Step::Broken) {
            Step::Frames => {
                let missing = wanted.saturating_sub(head.frames.len());
                let frames = work.track.frames();
                head.frames.extend_from_slice(frames.get(..missing).unwrap_or(frames));
                if head.frames.len() < wanted {
                    self.at_work = Some(work);
                    return true;
                }
            }
            Step::Finished => {
                head.is_whole = true;
                head.frames.shrink_to_fit();
            }
            // Heads are decoded without keys: up to there it is a head, if a short one.
            Step::Awaiting | Step::Locked if head.frames.is_empty() => {
                self.set(work.key, State::LeftOut);
                return true;
            }
            Step::Awaiting | Step::Locked => head.frames.shrink_to_fit(),
            Step::Broken => {
                self.later(work.key, work.looks, now);
                return true;
            }
        }
        self.keep(work.key, work.head);
        true
    }

    fn later(&mut self, key: HeadKey, looks: u8, now: Instant) {
        self.set(
            key,
            if looks < LOOKS_MAX {
                State::Due(now + AGAIN_FIRST * (1 << looks), looks + 1)
            } else {
                State::LeftOut
            },
        );
    }

    fn set(&mut self, key: HeadKey, state: State) {
        let place = self.place(key);
        if let Some(candidate) = place.and_then(|place| self.candidates.get_mut(place)) {
            candidate.state = state;
        }
    }

    /// Keeps a head if there is room, which less urgent ones make.
    fn keep(&mut self, key: HeadKey, head: Head) {
        let Some(place) = self.place(key) else { return };
        let mut used = head.frames.len();
        for (index, candidate) in self.candidates.iter_mut().enumerate() {
            let State::Ready(other) = &candidate.state else {
                continue;
            };
            let more = used.saturating_add(other.frames.len());
            if more <= HEADS_FRAMES_MAX * CHANNELS {
                used = more;
            } else if index > place {
                candidate.state = State::LeftOut;
            } else {
                return self.set(key, State::LeftOut);
            }
        }
        self.set(key, State::Ready(Arc::new(head)));
    }
}

#[cfg(test)]
#[path = "heads_tests.rs"]
mod tests;
