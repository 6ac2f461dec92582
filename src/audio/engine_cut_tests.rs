//! Sound that is cut off and goes on: no frame is lost or repeated, and neither end clicks.

use super::*;

/// The same but for the 2 ms from these frames on, where sound comes up: there each sample is quieter, and the first far.
fn is_same_but_ramps(heard: &[i32], expected: &[i32], ramps: &[usize]) {
    let mut healed = heard.to_vec();
    for ramp in ramps {
        let range = CHANNELS * ramp..CHANNELS * (ramp + 88);
        let pairs = heard[range.clone()].iter().zip(&expected[range.clone()]);
        assert!(pairs.clone().all(|(is, was)| is.unsigned_abs() <= was.unsigned_abs()));
        let first = pairs
            .take(10)
            .map(|(is, was)| (is.unsigned_abs(), was.unsigned_abs() / 8));
        assert!(first.clone().all(|(is, was)| is <= was) && first.map(|(_, was)| was).sum::<u32>() > 0);
        healed[range.clone()].copy_from_slice(&expected[range]);
    }
    assert!(healed == expected);
}

#[test]
fn pause_and_resume_lose_and_repeat_nothing() {
    let mut rig = Rig::new(0);
    rig.play(7, media!("album-1.flac"));
    rig.bench.sound(1000);
    rig.engine.pause();
    rig.told.until(ended(7, 22, 22, Ending::Cut));
    assert_eq!(rig.engine.heard(), Some((PlayId(7), Millis(22))));
    rig.bench.with(|state| state.allowance = 5000);
    rig.engine.resume();
    rig.bench.until("the rest", |state| state.allowance == 0);
    rig.engine.pause();
    rig.told.until(ended(7, 136, 114, Ending::Cut));
    rig.engine.resume();
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(7, 179, 43, Ending::Finished));
    let expected = [
        began(7, 0),
        ended(7, 22, 22, Ending::Cut),
        began(7, 22),
        ended(7, 136, 114, Ending::Cut),
        began(7, 136),
        ended(7, 179, 43, Ending::Finished),
    ];
    assert_eq!(rig.told.all(), expected);
    is_same_but_ramps(&rig.heard(), &decoded(media!("album-1.flac")), &[1000, 6000]);
    assert!(
        rig.bench.with(|state| state.dropped) > 0,
        "the device held frames when it was paused"
    );
    rig.engine.close();
}

#[test]
fn what_is_cut_off_goes_down_from_the_frame_that_was_reached() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("album-1.flac"));
    rig.bench.sound(1000);
    rig.engine.pause();
    rig.told.until(ended(1, 22, 22, Ending::Cut));
    rig.bench.until("the ramp and the silence behind it", |state| {
        state.filled.len() >= CHANNELS * 88
    });
    let (filled, whole) = (
        rig.bench.with(|state| state.filled.clone()),
        decoded(media!("album-1.flac")),
    );
    let (ramp, silence) = filled.split_at(CHANNELS * 88);
    assert!(silence.iter().all(|sample| *sample == 0));
    for (frame, (is, was)) in (0_u32..).zip(ramp.chunks(2).zip(whole[2000..].chunks(2))) {
        let expected = f64::from(was[0]) * (88.0 - f64::from(frame)) / 89.0;
        assert!(
            (f64::from(is[0]) - expected).abs() <= 1.0,
            "frame {frame}: {} of {}",
            is[0],
            was[0]
        );
    }
    rig.engine.close();
}

#[test]
fn a_device_that_rested_in_a_pause_goes_on_with_the_frame_that_was_reached() {
    let mut rig = Rig::new(0);
    rig.engine.rest(Some(Duration::from_millis(5)));
    rig.play(1, media!("album-1.flac"));
    rig.bench.sound(1000);
    assert_eq!(rig.bench.with(|state| state.closes), 0, "nothing rests while it sounds");
    rig.engine.pause();
    rig.told.until(ended(1, 22, 22, Ending::Cut));
    rig.bench
        .until("the device to be given back", |state| state.closes == 1);
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.engine.resume();
    rig.told.until(ended(1, 179, 157, Ending::Finished));
    is_same_but_ramps(&rig.heard(), &decoded(media!("album-1.flac")), &[1000]);
    assert_eq!(rig.bench.with(|state| state.rates.clone()), [44_100, 44_100]);
    rig.bench
        .until("the device to be given back again", |state| state.closes == 2);
    rig.engine.close();
}
