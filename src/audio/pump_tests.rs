//! The output's promise to the scheduler: while sound plays it asks the allocator for nothing.

use rtrb::RingBuffer;
use tonearm_core::id::PlayId;

use super::super::chime::Chime;
use super::super::chimer::Chimer;
use super::super::fader::Fader;
use super::super::mark::{Tail, What};
use super::super::paced::Paced;
use super::super::track::Shape;
use super::*;

#[test]
fn playing_scaling_pausing_and_chiming_do_not_allocate() {
    const FRAMES: usize = 40_000;
    let shared = Arc::new(Shared::new().unwrap());
    let (mut samples, samples_out) = RingBuffer::new(2 * FRAMES * CHANNELS);
    let (mut marks, marks_out) = RingBuffer::new(8);
    let (news_in, mut news) = RingBuffer::new(64);
    let mut pump = Pump::new(
        Box::new(Fader::new(Box::new(Chimer::new(Box::new(Paced::new(2)))))),
        Arc::clone(&shared),
        samples_out,
        marks_out,
        news_in,
    );
    shared.replace(PlayId(1));
    let shape = Shape {
        rate: 44_100,
        bits: 16,
        offset: 0,
    };
    marks
        .push(Mark {
            at: 0,
            play: PlayId(1),
            what: What::Start(shape),
        })
        .unwrap();
    samples.push_entire_slice(&vec![1 << 16; FRAMES * CHANNELS]).unwrap();
    marks
        .push(Mark {
            at: FRAMES as u64,
            play: PlayId(1),
            what: What::End(Tail::Whole),
        })
        .unwrap();
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
    let mut turns = 0;
    let allocations = allocation_counter::measure(|| {
        while shared.counters().frames_heard < FRAMES as u64 {
            turns += 1;
            if turns == 3 {
                shared.set_volume(50);
            }
            // In the music, in the pauses and in both.
            if turns % 7 == 0 {
                shared.set_chime(Chime::VolumeEnd);
            }
            shared.set_paused(turns % 20 == 19);
            pump.turn();
        }
    });
    shared.set_quit();
    ticker.join().unwrap();
    assert!(turns > 40, "it took only {turns} turns");
    assert_eq!(allocations.count_total, 0);
    assert!(
        std::iter::from_fn(|| news.pop().ok()).count() > 2,
        "it was paused and reported that"
    );
}
