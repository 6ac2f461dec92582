//! Chimes over a device that keeps every frame: they are heard whole, music before and after them is what it was, and no
//! report knows of them.

use super::super::super::bench::BUFFER_FRAMES;
use super::super::super::chime::{Chime, level};
use super::super::super::gain::factor;
use super::*;

/// Rate of the music here, and of a chime alone.
const RATE_HZ: u32 = 44_100;

fn frames(chime: Chime) -> usize {
    usize::try_from(chime.frames(RATE_HZ)).unwrap()
}

impl Rig {
    /// Lets `chime` sound right after what the device, which is full, holds.
    fn chime_next(&self, chime: Chime) {
        self.bench.with(|state| state.bits.clear());
        self.engine.chime(chime);
        self.bench
            .until("samples with the chime in them", |state| state.bits.last() == Some(&32));
    }
}

/// `chime` where nothing else sounds.
fn alone(chime: Chime) -> Vec<i32> {
    let rig = Rig::new(ENDLESS);
    rig.engine.chime(chime);
    rig.bench
        .until("the chime", |state| state.heard.len() == 2 * frames(chime));
    assert_eq!(rig.engine.heard(), None);
    assert_eq!(rig.engine.counters().frames_heard, 0);
    let heard = rig.heard();
    rig.engine.close();
    assert_eq!(rig.told.all(), []);
    heard
}

/// How loud `hz` is in one side of `samples`, beside full scale.
fn loudness(samples: &[f64], hz: f64) -> f64 {
    let turn = std::f64::consts::TAU * hz / f64::from(RATE_HZ);
    let (mut sine, mut cosine, mut angle) = (0.0, 0.0, 0.0_f64);
    for sample in samples {
        sine += sample * angle.sin();
        cosine += sample * angle.cos();
        angle += turn;
    }
    2.0 * f64::hypot(sine, cosine) / f64::from(u32::try_from(samples.len()).unwrap()) / f64::from(i32::MAX)
}

/// The left side of `samples`.
fn left(samples: &[i32]) -> Vec<f64> {
    samples.iter().step_by(2).copied().map(f64::from).collect()
}

#[test]
fn a_refused_press_is_heard_in_the_music_and_all_around_it_is_what_it_was() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("long.ogg"));
    rig.bench.fill();
    rig.chime_next(Chime::Refused);
    // As a device does, in its own time: it never waits for the decoder, and the chime has no gap to sound alone in.
    for _ in 0..6 {
        rig.bench.fill();
        rig.bench.sound(4000);
    }
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(1, 1383, 1383, Ending::Finished));
    assert_eq!(rig.told.all(), [began(1, 0), ended(1, 1383, 1383, Ending::Finished)]);
    let (heard, music) = (rig.heard(), decoded(media!("long.ogg")));
    rig.engine.close();
    assert_eq!(heard.len(), music.len());
    let differs = |(heard, music): (&i32, &i32)| heard != music;
    let first = heard.iter().zip(&music).position(differs).unwrap();
    let last = heard.iter().zip(&music).rposition(differs).unwrap();
    let chime = 2 * BUFFER_FRAMES..2 * (BUFFER_FRAMES + frames(Chime::Refused));
    assert!(
        chime.contains(&first) && chime.contains(&last),
        "{first} to {last}, not {chime:?}"
    );
    // Of the music, half is there; what is more is the low note.
    let note = chime.start + 2 * 900..chime.start + 2 * 3900;
    let rest: Vec<f64> = left(&heard[note.clone()])
        .iter()
        .zip(left(&music[note]))
        .map(|(heard, music)| heard - music / 2.0)
        .collect();
    let (low, other) = (loudness(&rest, 261.6), loudness(&rest, 1046.5));
    assert!(low > level(100) / 4.0 && other < low / 10.0, "{low}, {other}");
}

#[test]
fn a_chime_alone_opens_the_device_and_leaves_it_for_the_music() {
    let mut rig = Rig::new(ENDLESS);
    rig.engine.chime(Chime::QueueEnded);
    let chime = frames(Chime::QueueEnded);
    rig.bench.until("the chime", |state| state.heard.len() == 2 * chime);
    rig.play(1, media!("album-1.flac"));
    rig.told.until(ended(1, 179, 179, Ending::Finished));
    assert_eq!(rig.told.all(), [began(1, 0), ended(1, 179, 179, Ending::Finished)]);
    assert!(rig.heard()[2 * chime..] == decoded(media!("album-1.flac")));
    assert_eq!(rig.bench.with(|state| state.rates.clone()), [RATE_HZ]);
    rig.engine.close();
}

#[test]
fn a_chime_in_a_pause_makes_way_for_the_music_and_goes_on_in_it() {
    let mut rig = Rig::new(0);
    rig.play(7, media!("album-1.flac"));
    rig.bench.sound(1000);
    rig.engine.pause();
    rig.told.until(ended(7, 22, 22, Ending::Cut));
    rig.engine.chime(Chime::QueueEnded);
    rig.bench.fill();
    rig.bench.sound(2000);
    assert_eq!(rig.engine.heard(), Some((PlayId(7), Millis(22))));
    rig.engine.resume();
    rig.bench
        .until("the music in place of the chime", |state| state.dropped > 7000);
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(7, 179, 157, Ending::Finished));
    let expected = [
        began(7, 0),
        ended(7, 22, 22, Ending::Cut),
        began(7, 22),
        ended(7, 179, 157, Ending::Finished),
    ];
    assert_eq!(rig.told.all(), expected);
    let (chime, music) = (alone(Chime::QueueEnded), decoded(media!("album-1.flac")));
    rig.bench
        .until("the whole chime", |state| state.heard.len() == 2000 + chime.len());
    let heard = rig.heard();
    assert!(heard[..2000] == music[..2000]);
    assert!(heard[2000..6000] == chime[..4000]);
    // In the rest of the music, and alone again after it.
    assert!(heard[2 * 9919..] == chime[2 * 8919..]);
    rig.engine.close();
}

#[test]
fn a_skip_under_a_chime_is_told_as_any_other() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("long.ogg"));
    rig.bench.fill();
    rig.chime_next(Chime::Refused);
    // More than the device held: some of the chime was heard, some is in the device. In two steps, so that the decoder
    // keeps up: in a gap of the music the chime would sound alone.
    for _ in 0..2 {
        rig.bench.sound(5000);
        rig.bench.fill();
    }
    rig.play(3, media!("album-3.flac"));
    rig.told.until(ended(1, 226, 226, Ending::Cut));
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(3, 203, 203, Ending::Finished));
    let expected = [
        began(1, 0),
        ended(1, 226, 226, Ending::Cut),
        began(3, 0),
        ended(3, 203, 203, Ending::Finished),
    ];
    assert_eq!(rig.told.all(), expected);
    let music = decoded(media!("album-3.flac")).len() / CHANNELS;
    assert_eq!(rig.engine.counters().frames_heard, 10_000 + music as u64);
    rig.engine.close();
}

#[test]
fn at_volume_0_the_chime_is_heard_and_the_music_is_not() {
    let mut rig = Rig::new(0);
    rig.engine.volume(0);
    rig.play(1, media!("long.ogg"));
    rig.bench.fill();
    rig.chime_next(Chime::VolumeEnd);
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(1, 1383, 1383, Ending::Finished));
    let loudest = rig.heard().iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    rig.engine.close();
    let peak = f64::from(loudest) / f64::from(i32::MAX);
    assert!(peak > level(0) / 2.0 && peak <= level(0), "{peak}");
    assert!(level(0) < factor(12), "quiet all the same");
}

#[test]
fn a_hundred_presses_in_a_row_are_two_chimes_at_most() {
    let rig = Rig::new(0);
    for _ in 0..100 {
        rig.engine.chime(Chime::Refused);
        thread::yield_now();
    }
    rig.bench.fill();
    rig.bench.with(|state| state.allowance = ENDLESS);
    let one = 2 * frames(Chime::Refused);
    rig.bench.until("a chime", |state| state.heard.len() >= one);
    // Another one after it shows that nothing of the first is left.
    rig.engine.chime(Chime::Linked);
    let linked = alone(Chime::Linked);
    rig.bench.until("the other", |state| state.heard.ends_with(&linked));
    let heard = rig.heard().len();
    rig.engine.close();
    assert!(heard <= 2 * one + linked.len(), "{heard}");
}

#[test]
fn the_newest_chime_waits_until_the_one_that_sounds_is_over() {
    let rig = Rig::new(0);
    rig.engine.chime(Chime::Refused);
    rig.bench.fill();
    rig.chime_next(Chime::VolumeEnd);
    rig.engine.chime(Chime::TakenOver);
    rig.bench.with(|state| state.allowance = 8000);
    rig.bench.until("most of the first", |state| state.allowance == 0);
    rig.bench.with(|state| state.allowance = ENDLESS);
    let expected = [alone(Chime::Refused), alone(Chime::TakenOver)].concat();
    rig.bench.until("both", |state| state.heard.len() >= expected.len());
    assert!(rig.heard() == expected);
    rig.engine.close();
}

#[test]
fn without_a_device_a_chime_is_dropped_and_told_to_nobody() {
    let mut rig = Rig::new(ENDLESS);
    rig.bench.with(|state| state.refusals = 1);
    rig.engine.chime(Chime::Problem);
    rig.bench.until("the attempt", |state| state.refusals == 0);
    rig.play(1, media!("album-1.flac"));
    rig.told.until(ended(1, 179, 179, Ending::Finished));
    assert_eq!(rig.told.all(), [began(1, 0), ended(1, 179, 179, Ending::Finished)]);
    assert!(rig.heard() == decoded(media!("album-1.flac")));
    rig.engine.close();
}

#[test]
fn while_the_device_is_lost_a_chime_is_dropped() {
    let mut rig = Rig::new(0);
    rig.bench.with(|state| {
        state.vanish_after = Some(3000);
        state.allowance = ENDLESS;
        state.refusals = 0;
    });
    rig.play(1, media!("album-1.flac"));
    rig.told.until(AudioNews::DeviceLost);
    rig.engine.chime(Chime::Problem);
    rig.told.until(ended(1, 179, 111, Ending::Finished));
    assert!(rig.heard() == decoded(media!("album-1.flac")));
    rig.engine.close();
}
