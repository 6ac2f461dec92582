//! Chimes in silence: what the device gets is then the chime itself, so that a gap, a repeat or a jump in it shows.

use super::super::bench::Bench;
use super::*;

const RATE_HZ: u32 = 44_100;
/// More than the longest chime has, at any rate here.
static SILENCE: [i32; 40_000] = [0; 40_000];

/// A device at `rate` that chimes and does not play yet.
fn chimer(rate: u32) -> (Bench, Chimer) {
    let (bench, output) = Bench::new(0);
    let mut chimer = Chimer::new(output);
    chimer.open(rate).unwrap();
    (bench, chimer)
}

/// Lets `frames` of what the device holds be heard.
fn play(bench: &Bench, chimer: &mut Chimer, frames: u64) {
    bench.with(|state| {
        state.allowance = frames;
        while state.allowance > 0 {
            state.play();
        }
    });
    chimer.delay().unwrap();
}

/// Writes `frames` of silence and lets all be heard that the device holds.
fn pass(bench: &Bench, chimer: &mut Chimer, frames: usize) {
    let mut left = frames;
    while left > 0 {
        left -= chimer.write(&SILENCE[..left * CHANNELS], 16).unwrap();
        let held = chimer.delay().unwrap();
        play(bench, chimer, held as u64);
    }
}

/// `chime` from frame `from` on, at full volume.
fn expected(chime: Chime, rate: u32, from: u64) -> Vec<i32> {
    let frames = chime.frames(rate);
    let mut samples = vec![0; usize::try_from(frames - from).unwrap() * CHANNELS];
    let ringing = Ringing {
        chime,
        level: level(100),
        frames,
        at: from,
        after: 0,
    };
    add(&mut samples, ringing, rate);
    samples
}

#[test]
fn without_a_chime_samples_and_their_bits_pass_as_they_are() {
    let (bench, mut chimer) = chimer(RATE_HZ);
    let music: Vec<i32> = (0..6000).map(|n| n * 7919).collect();
    assert_eq!(chimer.write(&music, 24).unwrap(), 3000);
    play(&bench, &mut chimer, 3000);
    bench.with(|state| {
        assert_eq!(state.heard, music);
        assert_eq!(state.bits, [24]);
    });
    assert!(!chimer.has_chime());
}

#[test]
fn full_scale_music_under_a_chime_is_not_clipped() {
    let (bench, mut chimer) = chimer(RATE_HZ);
    chimer.begin_chime(Chime::Refused, 100);
    chimer.write(&vec![i32::MAX; 16_000], 16).unwrap();
    play(&bench, &mut chimer, 8000);
    let under = bench.with(|state| state.heard[2 * 1000..].to_vec());
    let highest = under.iter().max().unwrap();
    assert!(*highest < i32::MAX / 4 * 3, "{highest}");
}

#[test]
fn what_is_dropped_of_a_chime_is_sounded_again() {
    let (bench, mut chimer) = chimer(RATE_HZ);
    chimer.write(&SILENCE[..2 * 1000], 16).unwrap();
    chimer.begin_chime(Chime::Offline, 100);
    chimer.write(&SILENCE[..2 * 3000], 16).unwrap();
    play(&bench, &mut chimer, 2000);
    chimer.drop_now().unwrap();
    pass(&bench, &mut chimer, 20_000);
    let heard = bench.with(|state| state.heard.clone());
    let chime = expected(Chime::Offline, RATE_HZ, 0);
    assert!(heard[2000..2000 + chime.len()] == chime);
    assert!(heard[2000 + chime.len()..].iter().all(|sample| *sample == 0));
}

#[test]
fn a_chime_that_was_written_whole_is_sounded_again_as_far_as_it_was_not_heard() {
    let (bench, mut chimer) = chimer(RATE_HZ);
    chimer.begin_chime(Chime::VolumeEnd, 100);
    let frames = Chime::VolumeEnd.frames(RATE_HZ);
    chimer.write(&SILENCE[..2 * 5000], 16).unwrap();
    assert!(!chimer.has_chime());
    play(&bench, &mut chimer, 100);
    chimer.drop_now().unwrap();
    assert!(chimer.has_chime());
    pass(&bench, &mut chimer, 5000);
    let heard = bench.with(|state| state.heard.clone());
    assert!(heard[..usize::try_from(frames).unwrap() * CHANNELS] == expected(Chime::VolumeEnd, RATE_HZ, 0));
    // Heard whole, it does not come back.
    chimer.drop_now().unwrap();
    assert!(!chimer.has_chime());
}

#[test]
fn a_chime_alone_goes_on_in_the_music_that_comes() {
    let (bench, mut chimer) = chimer(RATE_HZ);
    chimer.begin_chime(Chime::QueueEnded, 100);
    assert_eq!(chimer.chime_on().unwrap(), Chiming::Full);
    play(&bench, &mut chimer, 500);
    assert_eq!(chimer.delay().unwrap(), 0, "no music is in the device");
    pass(&bench, &mut chimer, 20_000);
    let chime = expected(Chime::QueueEnded, RATE_HZ, 0);
    bench.with(|state| {
        assert!(state.heard[..chime.len()] == chime);
        assert_eq!(state.heard.len(), 2 * 20_500, "all of the music");
    });
}

#[test]
fn music_that_comes_at_the_end_of_a_chime_is_not_kept_waiting() {
    let (bench, mut chimer) = chimer(RATE_HZ);
    chimer.begin_chime(Chime::VolumeEnd, 100);
    assert_eq!(chimer.chime_on().unwrap(), Chiming::Ending);
    assert_eq!(chimer.write(&SILENCE[..2 * 100], 16).unwrap(), 100);
    assert_eq!(chimer.delay().unwrap(), 100);
    bench.with(|state| assert_eq!(state.dropped, Chime::VolumeEnd.frames(RATE_HZ)));
}

#[test]
fn a_chime_goes_on_at_another_rate() {
    let (bench, mut chimer) = chimer(RATE_HZ);
    chimer.begin_chime(Chime::TakenOver, 100);
    pass(&bench, &mut chimer, 4410);
    chimer.open(48_000).unwrap();
    bench.with(|state| state.heard.clear());
    pass(&bench, &mut chimer, 19_200);
    let rest = expected(Chime::TakenOver, 48_000, 4800);
    bench.with(|state| assert!(state.heard[..rest.len()] == rest));
}
