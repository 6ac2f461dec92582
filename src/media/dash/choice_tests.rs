//! The choice, rule by rule.

use super::super::{Representation, parse};
use super::*;

pub const WIDE: Limits = Limits {
    rate_max_hz: 192_000,
    bits_max: 24,
};

/// Representations of codec, rate and bits a second.
pub fn offered(list: &[(&str, u32, u64)]) -> Vec<Representation> {
    let each = list.iter().enumerate().map(|(number, (codec, rate, bps))| {
        format!(
            r#"<AdaptationSet mimeType="audio/mp4" codecs="{codec}" audioSamplingRate="{rate}">
            <Representation id="{number}" bandwidth="{bps}"/></AdaptationSet>"#
        )
    });
    let text = format!("<MPD><Period>{}</Period></MPD>", each.collect::<String>());
    parse(text.as_bytes(), "http://a.test/")
        .unwrap()
        .periods
        .remove(0)
        .representations
}

/// What a service offers: three of Opus, one of FLAC.
fn service() -> Vec<Representation> {
    offered(&[
        ("flac", 48_000, 1_000_000),
        ("opus", 48_000, 64_000),
        ("opus", 48_000, 320_000),
        ("opus", 48_000, 192_000),
    ])
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Segments of 4 s, with so much loaded.
fn at(link_bps: Option<u64>, buffered: u64) -> Moment {
    Moment {
        link_bps,
        buffered: s(buffered),
        segment: Some(s(4)),
    }
}

#[test]
fn the_best_that_the_link_carries_is_first_and_lossless_is_above_lossy() {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let first = |bps| Chooser::default().next(&ladder, at(bps, 0));
    assert_eq!(
        [
            first(None),
            first(Some(5_000_000)),
            first(Some(500_000)),
            first(Some(1_000))
        ],
        [0, 0, 2, 1]
    );
}

#[test]
fn what_cannot_be_played_here_is_not_chosen_and_is_named() {
    let all = offered(&[
        ("ec-3", 48_000, 700_000),
        ("flac", 192_000, 6_000_000),
        ("opus", 48_000, 64_000),
    ]);
    let cd = Limits {
        rate_max_hz: 48_000,
        bits_max: 16,
    };
    let ladder = Ladder::of(&all, cd).unwrap();
    assert_eq!(Chooser::default().next(&ladder, at(None, 0)), 2);
    let refusal = Ladder::of(&all[..2], cd).unwrap_err().to_string();
    assert!(refusal.contains("E-AC-3 at 48000 Hz, FLAC at 192000 Hz"), "{refusal}");
    let mut wide = service();
    wide[1].channels = Some(6);
    assert!(
        Ladder::of(&wide[1..2], cd)
            .unwrap_err()
            .to_string()
            .contains("6 channels")
    );
}

#[test]
fn more_bits_than_are_played_are_no_reason_to_take_more_of_the_link() {
    let cd = Limits { bits_max: 16, ..WIDE };
    let mut all = offered(&[
        ("flac", 44_100, 1_600_000),
        ("flac", 44_100, 800_000),
        ("opus", 48_000, 320_000),
    ]);
    let first = |all: &[Representation]| Chooser::default().next(&Ladder::of(all, cd).unwrap(), at(None, 0));
    assert_eq!(first(&all), 0, "nothing is known");
    all[0].bits = Some(24);
    assert_eq!(first(&all), 1, "the other one may have fewer");
    all[1].bits = Some(16);
    assert_eq!(first(&all), 1);
    all[1].bits = Some(24);
    assert_eq!(first(&all), 0, "lossless with too many bits is better than lossy");
}

#[test]
fn a_choice_that_is_undone_leaves_no_trace() {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let mut chooser = Chooser::default();
    assert_eq!(chooser.next(&ladder, at(Some(400_000), 0)), 2);
    let mut undone = chooser.clone();
    assert_eq!(undone.next(&ladder, at(Some(9_000_000), 60)), 0);
    undone.undo();
    let then = |mut chooser: Chooser| chooser.next(&ladder, at(Some(300_000), 5));
    assert_eq!(then(undone), then(chooser));
}

#[test]
fn an_entry_that_begins_with_sound_in_hand_begins_with_what_that_affords() {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let first = |buffered| Chooser::default().next(&ladder, at(Some(1_100_000), buffered));
    assert_eq!([first(0), first(60)], [2, 0]);
}

#[test]
fn what_the_link_does_not_carry_is_kept_as_long_as_there_is_enough_in_hand() {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let mut started = Chooser::default();
    started.next(&ladder, at(None, 0));
    let then = |buffered| started.clone().next(&ladder, at(Some(700_000), buffered));
    assert_eq!([then(60), then(30), then(10), then(0)], [0, 0, 2, 3]);
}

#[test]
fn long_segments_need_more_in_hand() {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let mut low = Chooser::default();
    low.next(&ladder, at(Some(1_000_000), 0));
    let then = |seconds| {
        let moment = Moment {
            segment: seconds,
            ..at(Some(1_500_000), 13)
        };
        low.clone().next(&ladder, moment)
    };
    let far = at(Some(2_000_000), 20);
    assert_eq!(low.clone().next(&ladder, far), 0);
    assert_eq!(
        low.clone().next(
            &ladder,
            Moment {
                segment: Some(s(30)),
                ..far
            }
        ),
        2
    );
    assert_eq!(low.clone().next(&ladder, Moment { segment: None, ..far }), 0);
    assert_eq!(then(None), 2);
}

#[test]
fn it_steps_up_by_one_with_sound_in_hand() {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let mut chooser = Chooser::default();
    let mut then = |link, buffered| chooser.next(&ladder, at(Some(link), buffered));
    assert_eq!(then(100_000, 0), 1);
    assert_eq!(then(300_000, 10), 1, "too little in hand");
    assert_eq!(then(9_000_000, 30), 3);
    assert_eq!(then(9_000_000, 30), 2);
    assert_eq!(then(1_000_000, 30), 2, "too slow");
    assert_eq!(then(1_000_000, 60), 0, "what is loaded pays for it");
}

#[test]
fn a_step_up_is_not_taken_back_at_once() {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let mut chooser = Chooser::default();
    chooser.next(&ladder, at(Some(400_000), 0));
    assert_eq!(chooser.next(&ladder, at(Some(1_100_000), 30)), 2);
    assert_eq!(chooser.next(&ladder, at(Some(1_200_000), 40)), 0);
    assert_eq!(
        chooser.next(&ladder, at(Some(900_000), 30)),
        0,
        "less would not do for a step up"
    );
    assert_eq!(chooser.next(&ladder, at(Some(500_000), 10)), 3);
}

#[test]
fn another_clock_is_taken_only_when_there_is_nothing_left_to_lose() {
    let two = offered(&[("flac", 96_000, 2_500_000), ("opus", 48_000, 320_000)]);
    let ladder = Ladder::of(&two, WIDE).unwrap();
    let mut chooser = Chooser::default();
    let mut then = |link, buffered| chooser.next(&ladder, at(link, buffered));
    assert_eq!(then(None, 0), 0);
    assert_eq!(then(Some(600_000), 15), 0);
    assert_eq!(then(Some(600_000), 5), 1);
    assert_eq!(then(Some(90_000_000), 60), 1, "not back within the entry");
}

#[test]
fn without_anything_that_fits_it_takes_what_needs_least() {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let mut chooser = Chooser::default();
    chooser.next(&ladder, at(None, 0));
    assert_eq!(chooser.next(&ladder, at(Some(0), 0)), 1);
    assert_eq!(chooser.next(&ladder, at(Some(u64::MAX), 60)), 3);
}
