//! Entries in segments: exact over every change of representation, without a click; whatever a manifest lies about ends or
//! is mended as stated.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::super::listed::{Listed, Piece, set};
use super::*;

fn open_listed(all: Vec<Piece>, length: Option<Duration>, from: Millis) -> Track {
    let listed = Listed { all, next: 0, length };
    Track::open(Stream::Segments(Box::new(listed)), None, None, from).unwrap()
}

fn play(all: Vec<Piece>) -> Vec<i32> {
    let (frames, end) = decode(open_listed(all, None, Millis::ZERO));
    assert_eq!(end, Step::Finished);
    frames
}

const AAC_SEGMENT: Duration = Duration::from_millis(209);
const OPUS_SEGMENT: Duration = Duration::from_millis(200);

macro_rules! dash {
    ($number:literal, $name:literal) => {
        set($number, media!($name), OPUS_SEGMENT)
    };
}

/// The first `count` segments of one, then those of the other behind them, and so on in turn.
fn in_turn(one: &[Piece], other: &[Piece], count: usize) -> Vec<Piece> {
    let pairs = one.iter().zip(other).enumerate();
    pairs
        .map(|(index, (one, other))| if (index / count).is_multiple_of(2) { one } else { other })
        .cloned()
        .collect()
}

/// Largest second difference of the left side in `range` of frames: a click stands out of it.
fn roughness(frames: &[i32], range: std::ops::Range<usize>) -> u64 {
    let left: Vec<i64> = frames[range.start * CHANNELS..range.end * CHANNELS]
        .iter()
        .step_by(CHANNELS)
        .map(|sample| i64::from(*sample))
        .collect();
    let second = left
        .windows(3)
        .map(|three| (three[0] - 2 * three[1] + three[2]).unsigned_abs());
    second.max().unwrap()
}

#[test]
fn segments_give_what_one_file_of_them_gives() {
    for (file, length) in [
        (&media!("set-aac96.mp4")[..], 35_722),
        (media!("set-op64.mp4"), 38_881),
        (media!("set-fl44.mp4"), 35_722),
    ] {
        let frames = play(set(0, file, OPUS_SEGMENT));
        assert_eq!(frames.len() / CHANNELS, length);
        assert!(frames == all(file, "mp4"));
    }
}

#[test]
fn any_start_in_segments_gives_exactly_the_rest() {
    for file in [&media!("set-aac96.mp4")[..], media!("set-fl44.mp4")] {
        let whole = play(set(0, file, AAC_SEGMENT));
        for from in (7..800).step_by(61) {
            let track = open_listed(set(0, file, AAC_SEGMENT), None, Millis(from));
            let offset = usize::try_from(track.shape().offset).unwrap();
            assert_eq!(offset, (from as usize * 44_100).div_ceil(1000));
            assert!(
                decode(track) == (whole[offset * CHANNELS..].to_vec(), Step::Finished),
                "from {from} ms"
            );
        }
    }
    let length = Some(Duration::from_millis(810));
    let behind = open_listed(set(0, media!("set-aac96.mp4"), AAC_SEGMENT), length, Millis(900));
    assert_eq!(decode(behind), (Vec::new(), Step::Finished));
}

#[test]
fn a_change_of_bit_rate_keeps_every_frame_and_does_not_click() {
    for (high, low, length) in [
        (dash!(0, "set-aac96.mp4"), dash!(1, "set-aac48.mp4"), 35_722),
        (dash!(0, "set-op64.mp4"), dash!(1, "set-op32.mp4"), 38_881),
    ] {
        let (best, worst) = (play(high.clone()), play(low.clone()));
        let natural = roughness(&best, 100..length - 2000).max(roughness(&worst, 100..length - 2000));
        for count in [1, 2] {
            let frames = play(in_turn(&high, &low, count));
            assert_eq!(frames.len() / CHANNELS, length);
            let rough = roughness(&frames, 100..length - 2000);
            assert!(rough < natural * 3 / 2, "{rough} beside {natural}");
        }
    }
}

#[test]
fn a_change_from_lossless_to_lossy_and_back_keeps_the_length_and_the_rate() {
    // Segments of the two do not begin at the same frames: each switch overlaps by what the new one begins earlier.
    let (flac, opus) = (dash!(0, "set-fl44.mp4"), dash!(1, "set-op64.mp4"));
    let mixed: Vec<_> = [&flac[..2], &opus[2..3], &flac[3..]].concat();
    let track = open_listed(mixed, None, Millis::ZERO);
    assert_eq!((track.shape().rate, track.shape().bits), (44_100, 16));
    let (frames, end) = decode(track);
    assert_eq!((frames.len() / CHANNELS, end), (35_722, Step::Finished));
    let (lossless, lossy) = (play(flac), play(opus));
    assert!(frames[..18_432 * CHANNELS] == lossless[..18_432 * CHANNELS]);
    assert!(frames[30_000 * CHANNELS..] == lossless[30_000 * CHANNELS..]);
    assert!(
        frames.iter().all(|sample| sample.trailing_zeros() >= 16),
        "16 bits it began with"
    );
    let natural = roughness(&lossless, 100..35_000).max(roughness(&lossy, 100..35_000));
    let rough = roughness(&frames, 100..35_000);
    // A decoder of Opus that starts in the middle is rough for some packets: 3.2 times the music was seen.
    assert!(rough < natural * 4, "{rough} beside {natural}");
    // In step: the resampled stretch is the music at that place, not beside it.
    let error = |shift: usize| -> f64 {
        let pairs = lossless[20_000 * CHANNELS..25_000 * CHANNELS]
            .iter()
            .zip(&frames[(20_000 - 8) * CHANNELS + shift..]);
        pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    };
    let best = (0..=32).step_by(2).min_by(|a, b| error(*a).total_cmp(&error(*b)));
    assert_eq!(best, Some(16));
}

#[test]
fn a_lossy_decoder_that_had_the_segment_before_is_as_smooth_as_the_music() {
    let (flac, opus) = (dash!(0, "set-fl44.mp4"), dash!(1, "set-op64.mp4"));
    let mixed: Vec<_> = [&flac[..2], &opus[1..3], &flac[3..]].concat();
    let frames = play(mixed);
    let (lossless, lossy) = (play(flac), play(opus));
    assert_eq!(frames.len(), lossless.len());
    assert!(frames[..18_432 * CHANNELS] == lossless[..18_432 * CHANNELS]);
    let natural = roughness(&lossless, 100..35_000).max(roughness(&lossy, 100..35_000));
    let rough = roughness(&frames, 100..35_000);
    println!("{rough} beside {natural}");
    assert!(rough < natural * 3 / 2, "{rough} beside {natural}");
}

#[test]
fn a_change_of_rate_and_bits_between_lossless_representations_is_exact() {
    let (high, low) = (dash!(0, "set-deep96.mp4"), dash!(1, "set-deep48.mp4"));
    for (first, other, rate, bits, length) in [(&high, &low, 96_000, 24, 48_002), (&low, &high, 48_000, 16, 24_001)] {
        let pure = play(first.clone());
        assert_eq!(pure.len() / CHANNELS, length);
        let natural = roughness(&pure, 100..length - 100);
        for count in [1, 2] {
            let track = open_listed(in_turn(first, other, count), None, Millis::ZERO);
            assert_eq!((track.shape().rate, track.shape().bits), (rate, bits));
            let (frames, end) = decode(track);
            assert_eq!(end, Step::Finished);
            // The half frame that one of them has at its end may round either way.
            assert!(
                (frames.len() / CHANNELS).abs_diff(length) <= 1,
                "{} frames",
                frames.len() / CHANNELS
            );
            let rough = roughness(&frames, 100..length - 100);
            let pairs = frames.iter().zip(&pure).map(|(a, b)| a.abs_diff(*b));
            let off = pairs.max().unwrap();
            assert!(rough < natural * 3, "{rough} beside {natural}");
            assert!(off <= 4 << 16, "{off}: more than four steps of 16 bits off");
        }
    }
}

#[test]
fn periods_that_restart_their_time_join_without_a_gap() {
    for (file, length, restart) in [
        (&media!("set-aac96.mp4")[..], 35_722, 810),
        (media!("set-op64.mp4"), 38_881, 810),
        (media!("set-fl44.mp4"), 35_722, 810),
    ] {
        let first = set(0, file, OPUS_SEGMENT);
        let mut second = set(1, file, OPUS_SEGMENT);
        for piece in &mut second {
            piece.begin += Duration::from_millis(restart);
            // Rounded, as durations in manifests are.
            piece.origin_ticks = i64::try_from(restart).unwrap();
            piece.timescale = 1000;
        }
        let once = play(first.clone());
        let twice = play([first, second].concat());
        assert_eq!(twice.len() / CHANNELS, 2 * length);
        assert!(twice[..once.len()] == once && (length == 38_881 || twice[once.len()..] == once));
    }
}

#[test]
fn an_offset_that_means_the_encoders_silence_is_applied_once() {
    let mut pieces = dash!(0, "set-aac96.mp4");
    for piece in &mut pieces {
        (piece.origin_ticks, piece.timescale) = (-1024, 44_100);
    }
    assert!(play(pieces) == play(dash!(0, "set-aac96.mp4")));
}

#[test]
fn a_segment_cut_short_is_broken_wherever_it_is_cut() {
    let whole = dash!(0, "set-fl44.mp4");
    let segment = whole[1].media.len();
    for cut in (0..segment).step_by(173).chain([segment - 1]) {
        let mut pieces = whole.clone();
        pieces[1].media.truncate(cut);
        let (frames, end) = decode(open_listed(pieces, None, Millis::ZERO));
        assert_eq!(end, Step::Broken, "cut at {cut} of {segment}");
        assert!(frames.len() / CHANNELS >= 9216, "what is there is played");
    }
}

#[test]
fn an_entry_much_shorter_than_announced_is_broken() {
    let announced = Some(Duration::from_millis(810));
    let whole = dash!(0, "set-aac96.mp4");
    let (_, end) = decode(open_listed(whole.clone(), announced, Millis::ZERO));
    assert_eq!(end, Step::Finished);
    let (_, end) = decode(open_listed(whole[..3].to_vec(), announced, Millis::ZERO));
    assert_eq!(end, Step::Broken);
}

#[test]
fn a_segment_left_out_becomes_silence_of_its_length_and_a_long_gap_ends_the_entry() {
    let whole = dash!(0, "set-fl44.mp4");
    let pure = play(whole.clone());
    let mut pieces = whole.clone();
    pieces.remove(1);
    let frames = play(pieces);
    assert_eq!(frames.len(), pure.len());
    assert!(frames[..9216 * CHANNELS] == pure[..9216 * CHANNELS]);
    assert!(frames[20_000 * CHANNELS..] == pure[20_000 * CHANNELS..]);
    assert!(
        frames[11_000 * CHANNELS..18_432 * CHANNELS]
            .iter()
            .all(|sample| *sample == 0)
    );
    assert!(roughness(&frames, 100..35_000) < 2 * roughness(&pure, 100..35_000));
    let far = [&whole[..1], &whole[4..]].concat();
    assert_eq!(decode(open_listed(far, None, Millis::ZERO)).1, Step::Broken);
}

#[test]
fn a_segment_given_twice_is_heard_once() {
    let whole = dash!(0, "set-fl44.mp4");
    let doubled = [&whole[..2], &whole[1..]].concat();
    assert!(play(doubled) == play(whole));
}

#[test]
fn nothing_is_allocated_for_a_packet() {
    for (file, is_listed) in [
        (&media!("set-op64.mp4")[..], true),
        (media!("set-aac96.mp4"), true),
        (media!("set-fl44.mp4"), true),
        (media!("fragments-flac.mp4"), false),
        (media!("long.m4a"), false),
        (media!("opus.mp4"), false),
        (media!("flac.mp4"), false),
        (media!("alac.m4a"), false),
    ] {
        let mut track = if is_listed {
            open_listed(set(0, file, OPUS_SEGMENT), None, Millis::ZERO)
        } else {
            open(file, "mp4", Millis::ZERO)
        };
        // Room is taken with the first packets, for what a fragment tells where one begins, and for a packet that is larger
        // than all before it: nowhere else.
        let mut taken = VecDeque::new();
        let mut is_over = false;
        while !is_over {
            let used = allocation_counter::measure(|| is_over = track.step() != Step::Frames);
            taken.push_back(used.count_total);
        }
        let fragments = file.windows(4).filter(|kind| kind == b"moof").count();
        let busy = taken.iter().skip(3).filter(|count| **count > 0).count();
        assert!(
            busy <= fragments.max(1),
            "{busy} of {} packets, {fragments} fragments: {taken:?}",
            taken.len()
        );
    }
}
