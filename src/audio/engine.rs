//! The handle of the audio path, and its threads: decoder, output, reports. Every method returns at once. It must not
//! decide what plays: orders come from the session, reports go back to it.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtrb::{Consumer, RingBuffer};
use thiserror::Error;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tonearm_core::id::PlayId;
use tonearm_core::input::AudioNews;
use tonearm_core::unit::Millis;

use super::chime::Chime;
use super::decode::{Decoder, Inbox, RING_FRAMES, Source};
use super::heads::Preparation;
use super::mark::MARKS_MAX;
use super::output::{CHANNELS, Output};
use super::pages::Span;
use super::pump::Pump;
use super::shared::{Counters, Shared, urge};

/// Reports that may wait for the thread that passes them on. It only ever has a few: a session orders a few plays, and
/// each has a few reports.
const NEWS_MAX: usize = 256;
/// Longest sleep of the reporting thread without being woken: a net under the wake-ups.
const NAP: Duration = Duration::from_secs(30);
/// Real-time priority of the output thread, of 100: above everything ordinary, below the kernel's interrupt threads (50).
const PRIORITY: u8 = 40;

/// Niceness of the reporting thread where permitted: events carry the moment at which it passes them on.
const NICENESS: i32 = -10;

/// Passes on what was heard. Called on a thread of its own; must not block for long.
pub type News = Arc<dyn Fn(AudioNews) + Send + Sync>;

type Cancel = Arc<dyn Fn() + Send + Sync>;

/// Why the audio path cannot be started.
#[derive(Debug, Error)]
pub enum AudioError {
    /// The kernel gives no file descriptor.
    #[error("create the audio path's wake-up: {0}")]
    Wake(#[source] std::io::Error),
    /// The kernel gives no thread.
    #[error("start thread {name}: {reason}")]
    Thread {
        /// Which one.
        name: &'static str,
        /// What it said.
        reason: std::io::Error,
    },
}

/// The audio path. Dropping it without [`Engine::close`] leaves its threads to end by themselves.
pub struct Engine {
    shared: Arc<Shared>,
    inbox: Inbox,
    /// How to free the decoder from the bytes of orders that may still be read.
    cancels: Vec<(PlayId, Cancel)>,
    /// The greatest order so far.
    last: Option<PlayId>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts the threads. The device is opened when there is something to play.
    ///
    /// # Errors
    /// The kernel refuses a thread or a file descriptor.
    pub fn start(output: Box<dyn Output + Send>, news: News) -> Result<Self, AudioError> {
        let shared = Arc::new(Shared::new().map_err(AudioError::Wake)?);
        let inbox = Inbox::default();
        let (mut samples_in, samples_out) = RingBuffer::new(RING_FRAMES * CHANNELS);
        let ring = samples_in.write_chunk_uninit(RING_FRAMES * CHANNELS);
        let ring = ring.ok().map(|mut ring| Span::of(ring.as_mut_slices().0));
        let (marks_in, marks_out) = RingBuffer::new(MARKS_MAX);
        let (news_in, news_out) = RingBuffer::new(NEWS_MAX);
        let mut engine = Self {
            shared: Arc::clone(&shared),
            inbox: inbox.clone(),
            cancels: Vec::new(),
            last: None,
            threads: Vec::new(),
        };

        let reporting = Arc::clone(&shared);
        engine.spawn("audio-news", move || report(&reporting, news_out, &news))?;
        let decoder = Decoder::new(Arc::clone(&shared), inbox, samples_in, marks_in);
        engine.spawn("decode", move || decoder.run())?;
        let pump = Pump::new(output, shared, samples_out, marks_out, news_in).with_ring_in(ring);
        engine.spawn("output", move || {
            raise_priority();
            pump.run();
        })?;
        Ok(engine)
    }

    fn spawn(&mut self, name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<(), AudioError> {
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
        match spawned {
            Ok(thread) => {
                self.threads.push(thread);
                Ok(())
            }
            Err(reason) => {
                self.shared.set_quit();
                Err(AudioError::Thread { name, reason })
            }
        }
    }

    /// Sounds `source` from position `from` in place of whatever sounds, and ends a pause. The decoder wakes the output,
    /// with the first frames where it has them: so they follow the ramp of what sounded directly. [`Engine::look`] is to be
    /// called soon after.
    pub fn play(&mut self, play: PlayId, source: Source, from: Millis) {
        self.last = Some(play);
        self.shared.replace(play);
        self.cancel_before(play);
        self.cancels.push((play, Arc::clone(&source.cancel)));
        {
            let mut orders = self.inbox.lock();
            orders.play = Some((play, source, from));
            orders.follow = None;
        }
        self.shared.set_paused(false);
        self.shared.wake_decoder();
    }

    /// Lets the output obey an order to play now, should the decoder be busy.
    pub fn look(&self) {
        self.shared.wake_output();
    }

    /// Sounds `source` after the current entry, without a gap, in place of an earlier follower that has not begun.
    pub fn follow(&mut self, play: PlayId, source: Source) {
        self.last = Some(play);
        let begun = self.shared.begun();
        let called_back = self.shared.set_follower(Some(play));
        self.call_back(called_back);
        self.cancels.retain(|(old, _)| begun.is_none_or(|begun| *old >= begun));
        self.cancels.push((play, Arc::clone(&source.cancel)));
        {
            let mut orders = self.inbox.lock();
            orders.follow = Some((play, source));
            orders.is_called_back |= called_back.is_some();
        }
        self.wake();
    }

    /// Nothing follows the current entry; a follower that has begun goes on.
    pub fn unfollow(&mut self) {
        let called_back = self.shared.set_follower(None);
        self.call_back(called_back);
        {
            let mut orders = self.inbox.lock();
            orders.follow = None;
            orders.is_called_back |= called_back.is_some();
        }
        self.wake();
    }

    /// Decodes the heads of these ahead, most urgent first, when there is time, in place of earlier wishes. Playing one of
    /// them from its start then needs no decoding before the first sample.
    pub fn prepare(&mut self, preparations: Vec<Preparation>) {
        let before = self.inbox.lock().prepare.replace(preparations);
        drop(before);
        self.shared.wake_decoder();
    }

    /// Holds the sound at the frame heard now.
    pub fn pause(&mut self) {
        self.shared.set_paused(true);
        self.shared.wake_output();
    }

    /// Goes on at the frame after the last one heard.
    pub fn resume(&mut self) {
        self.shared.set_paused(false);
        self.shared.wake_output();
    }

    /// Stops the sound and forgets what was ordered.
    pub fn silence(&mut self) {
        if let Some(last) = self.last {
            self.shared.silence(last);
        }
        for (_, cancel) in self.cancels.drain(..) {
            cancel();
        }
        {
            let mut orders = self.inbox.lock();
            orders.play = None;
            orders.follow = None;
        }
        self.shared.set_paused(false);
        self.wake();
    }

    /// Gives the device back when nothing sounded for `after`; `None`: never. The next sound opens it again.
    pub fn rest(&mut self, after: Option<Duration>) {
        self.shared.set_rest(after);
        self.shared.wake_output();
    }

    /// Sets the volume, 0 to 100; more counts as 100. At 100 samples pass bit for bit.
    pub fn volume(&mut self, volume: u8) {
        self.shared.set_volume(volume.min(100));
        self.shared.wake_output();
    }

    /// Sounds `chime`: in what sounds now, or alone. It is no sound of an entry: nothing is reported of it, no position
    /// moves. One that cannot be heard (no device) is dropped; while one sounds, at most one more waits, the newest.
    pub fn chime(&self, chime: Chime) {
        self.shared.set_chime(chime);
        self.shared.wake_output();
    }

    /// What is heard now and where in it; `None` when nothing has begun or all is over.
    #[must_use]
    pub fn heard(&self) -> Option<(PlayId, Millis)> {
        self.shared.heard()
    }

    /// What happened since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Stops the sound, reports the end of what sounded and waits for the threads.
    pub fn close(mut self) {
        self.shut();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a thread of the audio path panicked");
            }
        }
    }

    fn shut(&mut self) {
        for (_, cancel) in self.cancels.drain(..) {
            cancel();
        }
        self.shared.set_quit();
        self.shared.wake_news();
    }

    fn wake(&self) {
        self.shared.wake_output();
        self.shared.wake_decoder();
    }

    fn cancel_before(&mut self, play: PlayId) {
        self.cancels.retain(|(old, cancel)| {
            let is_kept = *old >= play;
            if !is_kept {
                cancel();
            }
            is_kept
        });
    }

    fn call_back(&mut self, play: Option<PlayId>) {
        self.cancels.retain(|(old, cancel)| {
            let is_kept = Some(*old) != play;
            if !is_kept {
                cancel();
            }
            is_kept
        });
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Passes reports on until the output is gone and all were passed.
fn report(shared: &Shared, mut news: Consumer<AudioNews>, tell: &News) {
    shared.set_news(thread::current());
    urge(NICENESS);
    loop {
        let is_last = news.is_abandoned();
        while let Ok(item) = news.pop() {
            tell(item);
        }
        if is_last {
            let lost = shared.counters().news_lost;
            if lost > 0 {
                log::error!("{lost} reports of the audio path were lost");
            }
            return;
        }
        thread::park_timeout(if shared.is_quitting() {
            Duration::from_millis(5)
        } else {
            NAP
        });
    }
}

/// Asks for real-time priority for this thread. Without it the sound is merely more likely to break up under load.
fn raise_priority() {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let raised = ThreadPriorityValue::try_from(PRIORITY)
        .map(|value| set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(value), policy));
    if !matches!(raised, Ok(Ok(()))) {
        log::info!("no real-time priority for the sound (LimitRTPRIO in the unit file allows it); going on without");
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
pub mod tests;
