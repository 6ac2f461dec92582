//! Opus in each of its containers gives exactly the frames that went in.

use super::*;

/// The largest difference that a start from elsewhere may leave: a decoder forgets its past, but not to the last bit.
/// One step of 16 bits.
const DIFFERENCE_MAX: u32 = 1 << 16;

#[test]
fn every_container_gives_the_exact_number_of_frames() {
    for (bytes, length) in [
        (&media!("long.opus")[..], 61_001),
        (media!("opus.mp4"), 61_001),
        (media!("dash-opus.mp4"), 61_001),
        (media!("shaka-opus.mp4"), 61_001),
        (media!("mono.opus"), 6539),
    ] {
        let track = open(bytes, "opus", Millis::ZERO);
        assert_eq!((track.shape().rate, track.shape().bits), (48_000, 32));
        assert_eq!(all(bytes, "opus").len() / CHANNELS, length);
    }
}

#[test]
fn every_container_gives_the_same_samples() {
    let ogg = all(media!("long.opus"), "opus");
    assert!(all(media!("opus.mp4"), "mp4") == ogg);
    assert!(all(media!("dash-opus.mp4"), "mp4") == ogg);
    assert!(all(media!("shaka-opus.mp4"), "mp4") == ogg);
}

#[test]
fn silence_before_the_music_is_left_out_once() {
    let said_twice = media!("dash-opus.mp4");
    let at = said_twice.windows(4).position(|kind| kind == b"elst").unwrap();
    let mut said_once = said_twice.to_vec();
    said_once[at..at + 4].copy_from_slice(b"free");
    assert!(all(&said_once, "mp4") == all(said_twice, "mp4"));
}

#[test]
fn opus_stays_aligned_with_the_original() {
    let source = all(media!("rate48.flac"), "flac");
    let frames = all(media!("long.opus"), "opus");
    let error = |shift: usize| -> f64 {
        let pairs = source[4000..12_000].iter().zip(&frames[4000 + shift - 16..]);
        pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    };
    let best = (0..=32).step_by(2).min_by(|a, b| error(*a).total_cmp(&error(*b)));
    assert_eq!(best, Some(16));
}

#[test]
fn any_start_gives_the_rest() {
    for (bytes, hint) in [
        (&media!("long.opus")[..], "opus"),
        (media!("opus.mp4"), "mp4"),
        (media!("dash-opus.mp4"), "mp4"),
        (media!("shaka-opus.mp4"), "mp4"),
    ] {
        let whole = all(bytes, hint);
        for from in (20..1270).step_by(35) {
            let track = open(bytes, hint, Millis(from));
            let rest = &whole[from as usize * 48 * CHANNELS..];
            let (frames, end) = decode(track);
            assert_eq!(
                (frames.len(), end),
                (rest.len(), Step::Finished),
                "{hint} from {from} ms"
            );
            let difference = frames.iter().zip(rest).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(
                difference.unwrap() <= DIFFERENCE_MAX,
                "{hint} from {from} ms: {difference:?}"
            );
        }
    }
}

#[test]
fn mono_comes_from_both_sides() {
    let mono = all(media!("mono.opus"), "opus");
    assert!(mono.chunks_exact(2).all(|frame| frame[0] == frame[1]));
    assert!(mono.iter().any(|sample| sample.unsigned_abs() > 1 << 24));
}

#[test]
fn surround_is_refused_by_name() {
    let mut bytes = media!("opus.mp4").to_vec();
    let at = bytes.windows(4).position(|kind| kind == b"dOps").unwrap();
    bytes[at + 5] = 6;
    bytes[at + 14] = 1;
    let opened = Track::of_file(Box::new(Cursor::new(bytes)), None, Millis::ZERO);
    let told = opened.err().unwrap().to_string();
    assert!(told.contains("more than two channels"), "{told}");
}

#[test]
fn a_cut_or_damaged_stream_comes_to_an_end() {
    for bytes in [&media!("long.opus")[..], media!("opus.mp4")] {
        for at in (0..bytes.len()).step_by(bytes.len() / 150) {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x55;
            damaged[(at * 7) % bytes.len()] ^= 0xff;
            for bytes in [damaged, bytes[..at].to_vec()] {
                let opened = Track::of_file(Box::new(Cursor::new(bytes)), Some("opus"), Millis::ZERO);
                assert!(opened.map_or(0, |track| decode(track).0.len()) < 50 * 61_001 * CHANNELS);
            }
        }
    }
}
