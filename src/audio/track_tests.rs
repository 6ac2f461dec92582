//! Every codec gives exactly the frames that went into the encoder, from every position.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::*;

macro_rules! media {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/media/", $name))
    };
}

#[path = "track_cenc_tests.rs"]
mod cenc;
#[path = "track_format_tests.rs"]
mod formats;
#[path = "track_mp4_tests.rs"]
mod mp4;
#[path = "track_opus_tests.rs"]
mod opus;
#[path = "track_segment_tests.rs"]
mod segments;

fn open(bytes: &[u8], hint: &str, from: Millis) -> Track {
    Track::of_file(Box::new(Cursor::new(bytes.to_vec())), Some(hint), from).unwrap()
}

fn decode(mut track: Track) -> (Vec<i32>, Step) {
    let mut frames = Vec::new();
    loop {
        match track.step() {
            Step::Frames => frames.extend_from_slice(track.frames()),
            end @ (Step::Finished | Step::Broken | Step::Awaiting | Step::Locked) => return (frames, end),
        }
    }
}

fn all(bytes: &[u8], hint: &str) -> Vec<i32> {
    let (frames, end) = decode(open(bytes, hint, Millis::ZERO));
    assert_eq!(end, Step::Finished);
    frames
}

#[test]
fn every_codec_gives_the_exact_number_of_frames() {
    let lengths = [7919, 7094, 8988];
    let albums: [(&str, [&[u8]; 3]); 4] = [
        (
            "flac",
            [media!("album-1.flac"), media!("album-2.flac"), media!("album-3.flac")],
        ),
        (
            "mp3",
            [media!("album-1.mp3"), media!("album-2.mp3"), media!("album-3.mp3")],
        ),
        (
            "m4a",
            [media!("album-1.m4a"), media!("album-2.m4a"), media!("album-3.m4a")],
        ),
        (
            "ogg",
            [media!("album-1.ogg"), media!("album-2.ogg"), media!("album-3.ogg")],
        ),
    ];
    for (hint, tracks) in albums {
        for (bytes, length) in tracks.into_iter().zip(lengths) {
            assert_eq!(all(bytes, hint).len() / CHANNELS, length, "{hint}");
        }
    }
    assert_eq!(all(media!("lavc.mp3"), "mp3").len() / CHANNELS, 7094);
    assert_eq!(all(media!("moov-last.m4a"), "m4a").len() / CHANNELS, 7094);
    assert_eq!(all(media!("alac.m4a"), "m4a").len() / CHANNELS, 7094);
    assert_eq!(all(media!("album-2.wav"), "wav").len() / CHANNELS, 7094);
}

#[test]
fn lossless_codecs_give_the_exact_samples() {
    let wave = all(media!("album-2.wav"), "wav");
    assert_eq!(all(media!("album-2.flac"), "flac"), wave);
    assert_eq!(all(media!("alac.m4a"), "audio/mp4"), wave);
    let first = i32::from(i16::from_le_bytes([
        media!("album-2.wav")[44],
        media!("album-2.wav")[45],
    ])) << 16;
    assert_eq!(wave[0], first);
}

#[test]
fn lossy_codecs_stay_aligned_with_the_original() {
    let wave = all(media!("album-2.wav"), "wav");
    for (bytes, hint) in [
        (&media!("album-2.mp3")[..], "mp3"),
        (media!("lavc.mp3"), "mp3"),
        (media!("album-2.m4a"), "m4a"),
        (media!("album-2.ogg"), "ogg"),
    ] {
        let frames = all(bytes, hint);
        let error = |shift: usize| -> f64 {
            let pairs = wave[2000..6000].iter().zip(&frames[2000 + shift - 8..]);
            pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
        };
        let best = (0..=16).step_by(2).min_by(|a, b| error(*a).total_cmp(&error(*b)));
        assert_eq!(best, Some(8), "{hint} is shifted");
    }
}

#[test]
fn any_start_gives_exactly_the_rest() {
    for (bytes, hint) in [
        (&media!("long.mp3")[..], "mp3"),
        (media!("long.m4a"), "m4a"),
        (media!("long.ogg"), "ogg"),
        (media!("deep24.flac"), "flac"),
        (media!("album-3.flac"), "flac"),
        (media!("album-2.wav"), "wav"),
    ] {
        starts_anywhere(bytes, hint, 8);
    }
}

/// Playing from each of `parts` places gives what playing through gives there.
fn starts_anywhere(bytes: &[u8], hint: &str, parts: usize) {
    let rate = open(bytes, hint, Millis::ZERO).shape().rate as usize;
    let whole = all(bytes, hint);
    let millis = whole.len() / CHANNELS * 1000 / rate;
    for step in 1..parts {
        let from = u32::try_from(millis * step / parts).unwrap();
        let track = open(bytes, hint, Millis(from));
        let offset = usize::try_from(track.shape().offset).unwrap();
        assert_eq!(offset, (from as usize * rate).div_ceil(1000));
        let (rest, end) = decode(track);
        assert_eq!(end, Step::Finished, "{hint} from {from} ms");
        assert_eq!(rest.len(), whole.len() - offset * CHANNELS, "{hint} from {from} ms");
        assert!(
            rest == whole[offset * CHANNELS..],
            "{hint} from {from} ms: other samples"
        );
    }
}

#[test]
fn a_start_behind_the_end_is_finished_at_once() {
    for (bytes, hint) in [
        (&media!("album-1.flac")[..], "flac"),
        (media!("album-1.mp3"), "mp3"),
        (media!("album-1.ogg"), "ogg"),
    ] {
        assert_eq!(
            decode(open(bytes, hint, Millis(180))),
            (Vec::new(), Step::Finished),
            "{hint}"
        );
        assert_eq!(
            decode(open(bytes, hint, Millis(90_000))),
            (Vec::new(), Step::Finished),
            "{hint}"
        );
    }
}

#[test]
fn significant_bits_are_told() {
    assert_eq!(open(media!("album-1.flac"), "flac", Millis::ZERO).shape().bits, 16);
    assert_eq!(open(media!("deep24.flac"), "flac", Millis::ZERO).shape().bits, 24);
    assert_eq!(open(media!("album-1.mp3"), "mp3", Millis::ZERO).shape().bits, 32);
    assert_eq!(open(media!("album-2.wav"), "wav", Millis::ZERO).shape().bits, 16);
}

#[test]
fn mono_and_surround_come_out_as_stereo() {
    let mono = all(media!("mono.flac"), "flac");
    assert_eq!(mono, all(media!("mono.wav"), "wav"));
    assert_eq!(mono.len() / CHANNELS, 6007);
    assert!(mono.chunks_exact(2).all(|frame| frame[0] == frame[1]));
    assert_eq!(all(media!("surround.flac"), "flac").len() / CHANNELS, 4410);
}

#[test]
fn a_truncated_file_is_broken_where_its_length_is_known() {
    for (bytes, hint) in [
        (&media!("long.mp3")[..], "mp3"),
        (media!("long.m4a"), "m4a"),
        (media!("deep24.flac"), "flac"),
        (media!("album-2.wav"), "wav"),
    ] {
        let (frames, end) = decode(open(&bytes[..bytes.len() / 3 * 2], hint, Millis::ZERO));
        assert_eq!(end, Step::Broken, "{hint}");
        assert!(!frames.is_empty(), "{hint}: what is there is played");
    }
}

#[test]
fn garbage_is_refused() {
    for bytes in [&b""[..], b"<html>sorry</html>", &[0; 9000]] {
        let stream = Box::new(Cursor::new(bytes.to_vec()));
        assert!(Track::of_file(stream, Some("flac"), Millis::ZERO).is_err());
    }
}

#[test]
fn a_format_is_recognised_without_a_look_at_the_far_end() {
    struct Head(Cursor<Vec<u8>>, u64);
    impl Read for Head {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(
                self.0.position() < self.1,
                "read at {} of a stream loaded up to {}",
                self.0.position(),
                self.1
            );
            self.0.read(buffer)
        }
    }
    impl Seek for Head {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }
    impl MediaSource for Head {
        fn is_seekable(&self) -> bool {
            true
        }
        fn byte_len(&self) -> Option<u64> {
            Some(self.0.get_ref().len() as u64)
        }
    }
    for (bytes, hint) in [
        (&media!("long.mp3")[..], "mp3"),
        (media!("long.m4a"), "m4a"),
        (media!("long.ogg"), "ogg"),
        (media!("deep24.flac"), "flac"),
    ] {
        // Padded, so that the far end lies beyond what one buffer of the demuxer reads ahead.
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len() + 200_000, 0);
        let loaded = bytes.len() as u64 + 40_000;
        let mut track = Track::of_file(Box::new(Head(Cursor::new(padded), loaded)), Some(hint), Millis::ZERO).unwrap();
        assert_eq!(track.step(), Step::Frames, "{hint}");
    }
}

#[test]
fn a_damaged_entry_comes_to_an_end() {
    for (bytes, hint) in [
        (&media!("album-2.flac")[..], "flac"),
        (media!("album-2.mp3"), "mp3"),
        (media!("album-2.m4a"), "m4a"),
        (media!("fragments.mp4"), "m4a"),
        (media!("album-2.ogg"), "ogg"),
        (media!("album-2.wav"), "wav"),
    ] {
        for at in (0..bytes.len()).step_by(bytes.len() / 60) {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x55;
            damaged[(at * 7) % bytes.len()] ^= 0xff;
            // A demuxer may panic on damage; the decoding thread catches that, and so does this.
            let frames = std::panic::catch_unwind(|| {
                let opened = Track::of_file(Box::new(Cursor::new(damaged)), Some(hint), Millis::ZERO);
                opened.map_or(0, |track| decode(track).0.len())
            });
            let frames = frames.unwrap_or(0);
            assert!(
                frames < 50 * 7094 * CHANNELS,
                "{hint} damaged at {at} goes on for {frames} samples"
            );
        }
    }
}
