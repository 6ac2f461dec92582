//! The output's promise to the scheduler, that while sound plays it asks the allocator for nothing; and what only a
//! device of a single test does.

use std::os::fd::BorrowedFd;
use std::sync::Mutex;

use rtrb::RingBuffer;
use tonearm_core::id::PlayId;

use super::super::chime::Chime;
use super::super::chimer::Chimer;
use super::super::converter::{Converter, Rates};
use super::super::fader::Fader;
use super::super::mark::{Tail, What};
use super::super::output::{Drained, Opened, OutputError};
use super::super::paced::Paced;
use super::super::track::Shape;
use super::*;

/// Frames of each of the three entries: so many that a busy machine does not play one of them in a single turn.
const FRAMES: usize = 40_000;
/// Longer than the device holds sound for: it runs dry.
const HELD_UP: Duration = Duration::from_millis(150);

/// A second's work that takes longer than this never ends.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// The marks of entry `play`, which begins where the one before it ended.
fn marks(play: u32) -> [Mark; 2] {
    let shape = Shape {
        rate: 44_100,
        bits: 16,
        offset: 0,
    };
    let at = (u64::from(play) - 1) * FRAMES as u64;
    let mark = |at, what| Mark {
        at,
        play: PlayId(play),
        what,
    };
    [
        mark(at, What::Start(shape)),
        mark(at + FRAMES as u64, What::End(Tail::Whole)),
    ]
}

/// An entry, one that follows it, and one that cuts that off, with pauses, chimes, another volume and a device that runs
/// dry; none of it allocates.
fn plays_without_allocating(rates: Rates) {
    let shared = Arc::new(Shared::new().unwrap());
    let (mut samples, samples_out) = RingBuffer::new(3 * FRAMES * CHANNELS);
    let (mut marks_in, marks_out) = RingBuffer::new(8);
    let (news_in, mut news) = RingBuffer::new(256);
    let device = Box::new(Converter::new(Box::new(Paced::new(2)), rates));
    let output = Box::new(Fader::new(Box::new(Chimer::new(device))));
    let mut pump = Pump::new(output, Arc::clone(&shared), samples_out, marks_out, news_in);
    let entry = vec![1 << 16; FRAMES * CHANNELS];
    shared.replace(PlayId(1));
    shared.set_follower(Some(PlayId(2)));
    for play in 1..=2 {
        for mark in marks(play) {
            marks_in.push(mark).unwrap();
        }
        samples.push_entire_slice(&entry).unwrap();
    }
    // Opening the device allocates, and may.
    pump.turn();
    // Looks around far more often than it would by itself.
    let ticking = Arc::clone(&shared);
    let ticker = std::thread::spawn(move || {
        while !ticking.is_quitting() {
            ticking.wake_output();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let (mut turns, mut pauses, mut has_skipped) = (0, 0, false);
    let started = Instant::now();
    let allocations = allocation_counter::measure(|| {
        while !has_skipped || shared.heard().is_some() || shared.begun() != Some(PlayId(3)) {
            turns += 1;
            assert!(started.elapsed() < GIVEN_UP, "stuck after {turns} turns");
            if turns == 3 {
                shared.set_volume(50);
            }
            // In the music, in the pauses and in both.
            if turns % 7 == 0 {
                shared.set_chime(Chime::VolumeEnd);
            }
            let heard = shared.heard().map_or((PlayId(0), 0), |(play, at)| (play, at.0));
            // Again, should it have been paused just then: a device at rest does not run dry.
            if shared.counters().xruns == 0 && heard > (PlayId(1), 100) {
                std::thread::sleep(HELD_UP);
            }
            // One turn long, once in an entry, wherever a busy machine lets it be.
            let is_due = heard > (PlayId(pauses + 1), 50);
            pauses += u32::from(is_due);
            shared.set_paused(is_due);
            if !has_skipped && heard > (PlayId(2), 100) {
                has_skipped = true;
                shared.replace(PlayId(3));
                for mark in marks(3) {
                    marks_in.push(mark).unwrap();
                }
                samples.push_entire_slice(&entry).unwrap();
            }
            pump.turn();
        }
    });
    shared.set_quit();
    ticker.join().unwrap();
    assert!(turns > 10 && pauses > 1, "{turns} turns with {pauses} pauses");
    let counters = shared.counters();
    assert!(counters.xruns > 0, "the device ran dry once: {counters:?}");
    assert!(counters.cuts > 1, "it was paused and skipped: {counters:?}");
    assert_eq!(allocations.count_total, 0);
    let told: Vec<_> = std::iter::from_fn(|| news.pop().ok()).collect();
    let is_skip = |news: &AudioNews| {
        matches!(
            news,
            AudioNews::Ended {
                play: PlayId(2),
                how: Ending::Cut,
                ..
            }
        )
    };
    assert!(told.iter().any(is_skip), "{told:?}");
}

#[test]
fn playing_following_skipping_pausing_chiming_and_running_dry_do_not_allocate() {
    plays_without_allocating(Rates::Reopen);
}

#[test]
fn converting_does_not_allocate() {
    plays_without_allocating(Rates::Fixed(48_000));
}

/// A device that plays out by itself between two looks of one turn.
#[derive(Clone, Default)]
struct Hasty(Arc<Mutex<Hasted>>);

#[derive(Default)]
struct Hasted {
    rates: Vec<u32>,
    held: usize,
    looks: u32,
    waits: u32,
}

impl Output for Hasty {
    fn open(&mut self, rate: u32) -> Result<Opened, OutputError> {
        self.0.lock().unwrap().rates.push(rate);
        Ok(Opened {
            name: "hasty".into(),
            rate,
            format: "S32_LE".into(),
            period_frames: 1024,
            buffer_frames: 8192,
        })
    }

    fn wait(&mut self, _: BorrowedFd<'_>, _: Interest, _: Duration) -> Result<(), OutputError> {
        self.0.lock().unwrap().waits += 1;
        Ok(())
    }

    fn write(&mut self, samples: &[i32], _: u8) -> Result<usize, OutputError> {
        self.0.lock().unwrap().held += samples.len() / CHANNELS;
        Ok(samples.len() / CHANNELS)
    }

    fn delay(&mut self) -> Result<usize, OutputError> {
        let mut state = self.0.lock().unwrap();
        state.looks += 1;
        // The third look is the second one of the turn after the writing.
        if state.looks == 3 {
            state.held = 0;
            return Err(OutputError::Xrun);
        }
        Ok(state.held)
    }

    fn drop_now(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn drain(&mut self) -> Result<Drained, OutputError> {
        Ok(Drained::Pending)
    }

    fn close(&mut self) {}
}

#[test]
fn a_device_that_has_played_out_while_it_was_looked_at_goes_on_with_the_next_rate_at_once() {
    let shared = Arc::new(Shared::new().unwrap());
    let (mut samples, samples_out) = RingBuffer::new(4 * FRAMES * CHANNELS);
    let (mut marks_in, marks_out) = RingBuffer::new(8);
    let (news_in, _news) = RingBuffer::new(16);
    let device = Hasty::default();
    let mut pump = Pump::new(
        Box::new(device.clone()),
        Arc::clone(&shared),
        samples_out,
        marks_out,
        news_in,
    );
    shared.replace(PlayId(1));
    shared.set_follower(Some(PlayId(2)));
    for (play, rate) in [(1, 96_000), (2, 192_000)] {
        for mut mark in marks(play) {
            if let What::Start(shape) = &mut mark.what {
                shape.rate = rate;
            }
            marks_in.push(mark).unwrap();
        }
        samples.push_entire_slice(&vec![1 << 16; FRAMES * CHANNELS]).unwrap();
    }
    pump.turn();
    pump.turn();
    let waits = device.0.lock().unwrap().waits;
    assert_eq!(waits, 1, "behind the first turn; the second has more to do");
    pump.turn();
    assert_eq!(device.0.lock().unwrap().rates, [96_000, 192_000]);
}
