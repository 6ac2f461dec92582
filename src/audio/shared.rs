//! What the control side, the decoder and the output tell each other: atomics only, so that the output never waits for
//! anybody. It must not hold samples or decide anything.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use std::thread::Thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use tonearm_core::id::PlayId;
use tonearm_core::unit::Millis;

use super::chime::Chime;

/// Stands for "no order" where an order may stand; orders are kept as their number plus one.
const NONE: u64 = 0;

/// Shared by the engine's handle and its threads.
#[derive(Debug)]
pub struct Shared {
    /// Orders below this are void: replaced or silenced. Written by the handle.
    valid_from: AtomicU64,
    /// The order that may begin after the one that sounds. Written by the handle; taken by the output when its first
    /// frame is heard, so that both agree on whether it could still be called back.
    follower: AtomicU64,
    /// The order that began to sound last. Written by the output.
    begun: AtomicU64,
    /// Order and position heard, packed. Written by the output.
    heard: AtomicU64,
    paused: AtomicBool,
    volume: AtomicU8,
    /// Milliseconds without sound after which the device is given back; the most that fits: never.
    rest_ms: AtomicU32,
    /// Number of the chime that is to sound, plus one. Written by the handle, taken by the output; a newer one takes the
    /// place of one that was not taken.
    chime: AtomicU8,
    quit: AtomicBool,
    /// The output sleeps until there is more in the ring. Set by the output, cleared by the decoder.
    hungry: AtomicBool,
    /// The decoder sleeps until there is room in the ring. Set by the decoder, cleared by the output.
    full: AtomicBool,
    wake: OwnedFd,
    decoder: OnceLock<Thread>,
    news: OnceLock<Thread>,
    /// What happened since the start. Written by the output.
    pub tally: Tally,
}

/// Running counts; see [`Counters`].
#[derive(Debug, Default)]
pub struct Tally {
    /// See [`Counters::xruns`].
    pub xruns: AtomicU32,
    /// See [`Counters::stalls`].
    pub stalls: AtomicU32,
    /// See [`Counters::frames_heard`].
    pub frames_heard: AtomicU64,
    /// See [`Counters::boundaries_gapless`].
    pub boundaries_gapless: AtomicU32,
    /// See [`Counters::boundaries_silent`].
    pub boundaries_silent: AtomicU32,
    /// See [`Counters::cuts`].
    pub cuts: AtomicU32,
    /// See [`Counters::opens`].
    pub opens: AtomicU32,
    /// See [`Counters::losses`].
    pub losses: AtomicU32,
    /// See [`Counters::news_lost`].
    pub news_lost: AtomicU32,
}

/// What happened since the engine started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The device ran dry although there were samples: the output came too late.
    pub xruns: u32,
    /// Sound stopped in the middle of an entry because its bytes came too late.
    pub stalls: u32,
    /// Frames that were heard.
    pub frames_heard: u64,
    /// Entries that followed another without a single frame of silence.
    pub boundaries_gapless: u32,
    /// Entries that followed another after a silence: another rate, or decoded too late.
    pub boundaries_silent: u32,
    /// Times the device was made to drop what it had: skips, pauses, followers called back late.
    pub cuts: u32,
    /// Times the device was opened.
    pub opens: u32,
    /// Times the device was lost.
    pub losses: u32,
    /// Reports dropped because nobody took them; anything but 0 is a defect.
    pub news_lost: u32,
}

impl Shared {
    /// Nothing sounds, at full volume.
    ///
    /// # Errors
    /// No file descriptor is left for the wake-up.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            valid_from: AtomicU64::new(0),
            follower: AtomicU64::new(NONE),
            begun: AtomicU64::new(NONE),
            heard: AtomicU64::new(NONE),
            paused: AtomicBool::new(false),
            volume: AtomicU8::new(100),
            rest_ms: AtomicU32::new(u32::MAX),
            chime: AtomicU8::new(0),
            quit: AtomicBool::new(false),
            hungry: AtomicBool::new(false),
            full: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            decoder: OnceLock::new(),
            news: OnceLock::new(),
            tally: Tally::default(),
        })
    }

    // ---- the handle's side ----

    /// Voids every order before `play`.
    pub fn replace(&self, play: PlayId) {
        self.valid_from.store(u64::from(play.0), Ordering::Release);
        self.follower.store(NONE, Ordering::Release);
    }

    /// Voids `play` and every order before it.
    pub fn silence(&self, play: PlayId) {
        self.valid_from.store(u64::from(play.0) + 1, Ordering::Release);
        self.follower.store(NONE, Ordering::Release);
    }

    /// Lets `play` follow (or nothing). Returns the follower that is called back by this: it has not begun and will not.
    pub fn set_follower(&self, play: Option<PlayId>) -> Option<PlayId> {
        unpack(self.follower.swap(play.map_or(NONE, pack), Ordering::AcqRel))
    }

    /// Pauses or goes on.
    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    /// 0 to 100.
    pub fn set_volume(&self, volume: u8) {
        self.volume.store(volume, Ordering::Relaxed);
    }

    /// A device that sounded nothing for `after` is given back; `None`: never.
    pub fn set_rest(&self, after: Option<Duration>) {
        let ms = after.map_or(u32::MAX, |after| u32::try_from(after.as_millis()).unwrap_or(u32::MAX));
        self.rest_ms.store(ms, Ordering::Relaxed);
    }

    /// Lets `chime` sound.
    pub fn set_chime(&self, chime: Chime) {
        self.chime.store(chime as u8 + 1, Ordering::Release);
    }

    /// Ends all threads.
    pub fn set_quit(&self) {
        self.quit.store(true, Ordering::Release);
        self.wake_output();
        self.wake_decoder();
    }

    /// Order and position heard last.
    pub fn heard(&self) -> Option<(PlayId, Millis)> {
        let packed = self.heard.load(Ordering::Acquire);
        unpack(packed >> 32).map(|play| (play, Millis(low(packed))))
    }

    // ---- everybody ----

    /// Makes the output look around. Failing means that it has been woken four billion times already.
    pub fn wake_output(&self) {
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Makes the decoder look around.
    pub fn wake_decoder(&self) {
        if let Some(thread) = self.decoder.get() {
            thread.unpark();
        }
    }

    /// Tells who decodes; once.
    pub fn set_decoder(&self, thread: Thread) {
        let _ = self.decoder.set(thread);
    }

    /// Tells who reports; once.
    pub fn set_news(&self, thread: Thread) {
        let _ = self.news.set(thread);
    }

    /// The engine is being closed.
    pub fn is_quitting(&self) -> bool {
        self.quit.load(Ordering::Acquire)
    }

    /// The order that began to sound last.
    pub fn begun(&self) -> Option<PlayId> {
        unpack(self.begun.load(Ordering::Acquire))
    }

    // ---- the decoder's side ----

    /// There is more in the ring (or beside it).
    pub fn fed(&self) {
        fence(Ordering::SeqCst);
        if self.hungry.swap(false, Ordering::SeqCst) {
            self.wake_output();
        }
    }

    /// The decoder is about to sleep until there is room; it must look once more before it does.
    pub fn set_full(&self) {
        self.full.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    // ---- the output's side ----

    /// The output is about to sleep until there is more; it must look once more before it does.
    pub fn set_hungry(&self) {
        self.hungry.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// There is room in the ring.
    pub fn drained(&self) {
        fence(Ordering::SeqCst);
        if self.full.swap(false, Ordering::SeqCst) {
            self.wake_decoder();
        }
    }

    /// `play` may still sound; for one that has begun, that it was not replaced.
    pub fn is_valid(&self, play: PlayId) -> bool {
        let from = self.valid_from.load(Ordering::Acquire);
        let number = u64::from(play.0);
        number == from
            || (number > from
                && (self.begun.load(Ordering::Acquire) == pack(play)
                    || self.follower.load(Ordering::Acquire) == pack(play)))
    }

    /// `play` was ordered to sound at once, not to follow.
    pub fn is_ordered(&self, play: PlayId) -> bool {
        self.valid_from.load(Ordering::Acquire) == u64::from(play.0)
    }

    /// The first frame of `play` is heard. False: it was called back just before, and has not begun.
    pub fn begin(&self, play: PlayId) -> bool {
        let packed = pack(play);
        // Stored first: there must be no moment in which the decoder takes an order for void that is just beginning.
        let before = self.begun.swap(packed, Ordering::AcqRel);
        let is_begun = before == packed
            || self.is_ordered(play)
            || self
                .follower
                .compare_exchange(packed, NONE, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
        if !is_begun {
            self.begun.store(before, Ordering::Release);
        }
        is_begun
    }

    /// Tells where the sound is.
    pub fn set_heard(&self, heard: Option<(PlayId, Millis)>) {
        let packed = heard.map_or(NONE, |(play, position)| (pack(play) << 32) | u64::from(position.0));
        self.heard.store(packed, Ordering::Release);
    }

    /// Sound is to be held.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// 0 to 100.
    pub fn volume(&self) -> u8 {
        self.volume.load(Ordering::Relaxed)
    }

    /// A device that sounded nothing for so long is given back.
    pub fn rest(&self) -> Option<Duration> {
        let ms = self.rest_ms.load(Ordering::Relaxed);
        (ms != u32::MAX).then(|| Duration::from_millis(ms.into()))
    }

    /// The chime that was asked for since the last call.
    pub fn take_chime(&self) -> Option<Chime> {
        let number = self.chime.swap(0, Ordering::AcqRel).checked_sub(1)?;
        Chime::ALL.get(usize::from(number)).copied()
    }

    /// Readable after [`Shared::wake_output`].
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Forgets wake-ups until now. Failing means that there were none.
    pub fn clear_wake(&self) {
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    /// Makes the reporting thread look around.
    pub fn wake_news(&self) {
        if let Some(thread) = self.news.get() {
            thread.unpark();
        }
    }

    /// The counts so far.
    pub fn counters(&self) -> Counters {
        let tally = &self.tally;
        Counters {
            xruns: tally.xruns.load(Ordering::Relaxed),
            stalls: tally.stalls.load(Ordering::Relaxed),
            frames_heard: tally.frames_heard.load(Ordering::Relaxed),
            boundaries_gapless: tally.boundaries_gapless.load(Ordering::Relaxed),
            boundaries_silent: tally.boundaries_silent.load(Ordering::Relaxed),
            cuts: tally.cuts.load(Ordering::Relaxed),
            opens: tally.opens.load(Ordering::Relaxed),
            losses: tally.losses.load(Ordering::Relaxed),
            news_lost: tally.news_lost.load(Ordering::Relaxed),
        }
    }
}

/// Gives this thread a niceness (-20 to 19, less is more urgent). Without the permission (`LimitNICE` in the unit file) it
/// goes on as it was: a busy machine then makes a skip slower, nothing worse.
pub fn urge(niceness: i32) {
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        log::debug!("set the niceness of a thread to {niceness}: {error}");
    }
}

/// One more of something counted.
pub fn count(counter: &AtomicU32) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn pack(play: PlayId) -> u64 {
    u64::from(play.0) + 1
}

fn unpack(packed: u64) -> Option<PlayId> {
    packed.checked_sub(1).map(|number| PlayId(low(number)))
}

fn low(packed: u64) -> u32 {
    u32::try_from(packed & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_is_either_called_back_or_begins() {
        let shared = Shared::new().unwrap();
        shared.replace(PlayId(4));
        assert!(shared.begin(PlayId(4)));
        assert_eq!(shared.set_follower(Some(PlayId(5))), None);
        assert_eq!(shared.set_follower(Some(PlayId(6))), Some(PlayId(5)));
        assert!(!shared.is_valid(PlayId(5)) && !shared.begin(PlayId(5)));
        assert!(shared.is_valid(PlayId(6)) && shared.begin(PlayId(6)));
        assert_eq!(shared.set_follower(None), None, "what has begun cannot be called back");
        assert!(shared.is_valid(PlayId(6)));
    }

    #[test]
    fn a_new_play_and_silence_void_what_was_before() {
        let shared = Shared::new().unwrap();
        shared.replace(PlayId(0));
        assert!(shared.is_valid(PlayId(0)));
        shared.set_follower(Some(PlayId(1)));
        shared.replace(PlayId(2));
        assert!(!shared.is_valid(PlayId(0)) && !shared.is_valid(PlayId(1)) && shared.is_valid(PlayId(2)));
        shared.silence(PlayId(2));
        assert!(!shared.is_valid(PlayId(2)));
    }

    #[test]
    fn a_chime_is_taken_once_and_the_newest_counts() {
        let shared = Shared::new().unwrap();
        assert_eq!(shared.take_chime(), None);
        for chime in Chime::ALL {
            shared.set_chime(Chime::Refused);
            shared.set_chime(chime);
            assert_eq!((shared.take_chime(), shared.take_chime()), (Some(chime), None));
        }
    }

    #[test]
    fn the_position_heard_survives_packing() {
        let shared = Shared::new().unwrap();
        assert_eq!(shared.heard(), None);
        shared.set_heard(Some((PlayId(0), Millis(u32::MAX))));
        assert_eq!(shared.heard(), Some((PlayId(0), Millis(u32::MAX))));
    }
}
