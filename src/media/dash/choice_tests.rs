//! The choice, rule by rule; and the comparison of policies over made-up links, which prints the table of docs/audio.md.

use super::super::{Representation, Throughput, parse};
use super::*;

const WIDE: Limits = Limits {
    rate_max_hz: 192_000,
    bits_max: 24,
};

/// Representations of codec, rate and bits a second.
fn offered(list: &[(&str, u32, u64)]) -> Vec<Representation> {
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

#[test]
fn the_best_that_the_link_carries_is_first_and_lossless_is_above_lossy() {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let first = |bps| Chooser::default().next(&ladder, bps, s(0), s(0));
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
    assert_eq!(Chooser::default().next(&ladder, None, s(0), s(0)), 2);
    let refusal = Ladder::of(&all[..2], cd).unwrap_err().to_string();
    assert!(refusal.contains("E-AC-3 at 48000 Hz, FLAC at 192000 Hz"), "{refusal}");
    let mut deep = service();
    deep[0].bits = Some(24);
    assert!(Ladder::of(&deep[..1], cd).is_err());
    deep[1].channels = Some(6);
    assert!(
        Ladder::of(&deep[1..2], cd)
            .unwrap_err()
            .to_string()
            .contains("6 channels")
    );
}

#[test]
fn it_steps_down_by_one_when_low_and_as_far_as_needed_when_dry() {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let mut started = Chooser::default();
    started.next(&ladder, None, s(0), s(0));
    let then = |buffered| started.clone().next(&ladder, Some(100_000), buffered, s(100));
    assert_eq!([then(s(30)), then(s(15)), then(s(3))], [0, 2, 1]);
}

#[test]
fn it_steps_up_by_one_with_sound_in_hand_and_not_again_at_once() {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let mut chooser = Chooser::default();
    assert_eq!(chooser.next(&ladder, Some(100_000), s(0), s(0)), 1);
    let fast = Some(9_000_000);
    assert_eq!(chooser.next(&ladder, fast, s(10), s(50)), 1, "too little in hand");
    assert_eq!(chooser.next(&ladder, fast, s(30), s(50)), 3);
    assert_eq!(chooser.next(&ladder, fast, s(30), s(51)), 3, "held");
    assert_eq!(chooser.next(&ladder, fast, s(30), s(70)), 2);
    assert_eq!(chooser.next(&ladder, Some(1_200_000), s(30), s(100)), 2, "no margin");
}

#[test]
fn another_clock_is_taken_only_when_there_is_nothing_left_to_lose() {
    let two = offered(&[("flac", 96_000, 2_500_000), ("opus", 48_000, 320_000)]);
    let ladder = Ladder::of(&two, WIDE).unwrap();
    let mut chooser = Chooser::default();
    assert_eq!(chooser.next(&ladder, None, s(0), s(0)), 0);
    assert_eq!(chooser.next(&ladder, Some(600_000), s(15), s(10)), 0);
    assert_eq!(chooser.next(&ladder, Some(600_000), s(5), s(20)), 1);
    assert_eq!(
        chooser.next(&ladder, Some(90_000_000), s(60), s(90)),
        1,
        "not back within the entry"
    );
}

/// What one policy came to over one link.
#[derive(Clone, Copy, Debug, Default)]
struct Came {
    silent_ms: u64,
    mean_kbps: u64,
    switches: u32,
}

/// Longest that is loaded ahead in the comparison: the first 30 s of an entry behind the present one, and what is left of that.
const AHEAD_MS: u64 = 60_000;
const SEGMENT_MS: u64 = 4_000;
const SEGMENTS: u64 = 300;

/// A policy: of the meter, the last segment's bits a second, what is loaded, and the time.
type Choose<'a> = dyn FnMut(&Throughput, Option<u64>, Duration, Duration) -> usize + 'a;
/// Bits of each millisecond.
type Link = Box<dyn Fn(u64) -> u64>;

/// Plays 20 minutes over a link (bits a millisecond, by the millisecond); each request takes 80 ms before its first byte.
fn simulated(link: &dyn Fn(u64) -> u64, choose: &mut Choose<'_>) -> Came {
    let offered = service();
    let (mut now, mut loaded, mut came) = (0_u64, 0_u64, Came::default());
    let (mut meter, mut recent, mut last, mut kbit) = (Throughput::default(), None, None, 0);
    for number in 0..SEGMENTS {
        if loaded > AHEAD_MS {
            now += loaded - AHEAD_MS;
            loaded = AHEAD_MS;
        }
        let chosen = choose(
            &meter,
            recent,
            Duration::from_millis(loaded),
            Duration::from_millis(now),
        );
        came.switches += u32::from(last.is_some_and(|last| last != chosen));
        last = Some(chosen);
        let size = offered[chosen].bandwidth_bps * SEGMENT_MS / 1000;
        let (mut left, mut took) = (size, 80);
        while left > 0 {
            left = left.saturating_sub(link(now + took));
            took += 1;
        }
        now += took;
        // What was loaded sounds meanwhile; the first segment is the start, not an interruption.
        came.silent_ms += if number > 0 { took.saturating_sub(loaded) } else { 0 };
        loaded = loaded.saturating_sub(took) + SEGMENT_MS;
        meter.add(size / 8, Duration::from_millis(took));
        recent = Some(size * 1000 / took);
        kbit += size / 1000;
    }
    came.mean_kbps = kbit * 1000 / (SEGMENTS * SEGMENT_MS);
    came
}

/// Links, in bits a millisecond, which is the same number as kilobits a second.
fn links() -> Vec<(&'static str, Link)> {
    // Every half second another one: as uneven as a mobile network, by a fixed rule.
    let uneven = |at: u64| (at / 500).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    vec![
        ("steady, 5 Mbit/s", Box::new(|_| 5000)),
        ("steady, 1.1 Mbit/s", Box::new(|_| 1100)),
        ("steady, 400 kbit/s", Box::new(|_| 400)),
        (
            "step, 3 Mbit/s to 150 kbit/s and back each 2 min",
            Box::new(|at| if at / 120_000 % 2 == 0 { 3000 } else { 150 }),
        ),
        (
            "sawtooth, 2 Mbit/s down to 100 kbit/s each minute",
            Box::new(|at| 2000 - at % 60_000 * 1900 / 60_000),
        ),
        (
            "uneven, 0 to 1.6 Mbit/s each 0.5 s",
            Box::new(move |at| uneven(at) % 1600),
        ),
        (
            "gone for 15 s each 2 min, else 2 Mbit/s",
            Box::new(|at| if at % 120_000 < 15_000 && at > 120_000 { 0 } else { 2000 }),
        ),
    ]
}

fn compared() -> Vec<(&'static str, [Came; 3])> {
    let ladder = Ladder::of(&service(), WIDE).unwrap();
    let over = |link: &dyn Fn(u64) -> u64| {
        let mut chooser = Chooser::default();
        [
            simulated(link, &mut |meter, _, buffered, now| {
                chooser.next(&ladder, meter.bps(), buffered, now)
            }),
            simulated(link, &mut |_, _, _, _| 0),
            simulated(link, &mut |_, recent, _, _| {
                ladder.rungs[ladder.sustained(recent.unwrap_or(u64::MAX))].number
            }),
        ]
    };
    links().into_iter().map(|(name, link)| (name, over(&*link))).collect()
}

#[test]
fn over_every_link_it_is_silent_no_longer_than_the_naive_and_steps_less_often() {
    let table = compared();
    println!(
        "| link | Tonearm: silent s, kbit/s, switches | always the best | by the last segment |\n|---|---|---|---|"
    );
    let mut switches = [0; 3];
    for (name, came) in &table {
        let cell = |one: &Came| {
            format!(
                "{}.{}, {}, {}",
                one.silent_ms / 1000,
                one.silent_ms % 1000 / 100,
                one.mean_kbps,
                one.switches
            )
        };
        println!(
            "| {name} | {} | {} | {} |",
            cell(&came[0]),
            cell(&came[1]),
            cell(&came[2])
        );
        assert!(came[0].silent_ms <= came[1].silent_ms.max(came[2].silent_ms), "{name}");
        switches = [0, 1, 2].map(|policy| switches[policy] + came[policy].switches);
    }
    let silent = |policy: usize| table.iter().map(|(_, came)| came[policy].silent_ms).sum::<u64>();
    assert!(silent(0) <= silent(2) && silent(0) < silent(1), "{table:?}");
    assert!(switches[0] < switches[2], "{switches:?}");
}
