//! MP4 in all its shapes gives exactly the frames that went in: progressive, fragmented, as segments of DASH.

use super::*;

/// Of the box behind a damage, or of a whole file: no real one has more.
const FRAMES_MAX: usize = 50 * 61_001;

fn refusal(bytes: Vec<u8>) -> String {
    let opened = Track::of_file(Box::new(Cursor::new(bytes)), None, Millis::ZERO);
    opened.err().unwrap().to_string()
}

/// The place of `what` in `bytes`.
fn place(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}

fn replaced(bytes: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let at = place(bytes, what);
    [&bytes[..at], by, &bytes[at + what.len()..]].concat()
}

#[test]
fn every_packaging_gives_the_exact_number_of_frames() {
    for (bytes, length) in [
        (&media!("flac.mp4")[..], 7094),
        (media!("fragments-flac.mp4"), 9001),
        (media!("dash-aac.mp4"), 61_001),
        (media!("shaka-aac.mp4"), 61_001),
        // These do not tell how much silence the encoder put before the music; the end is cut by the last packet. The
        // second one has its first samples in the movie, the rest in fragments.
        (media!("fragments.mp4"), 7094 + 1024),
        (media!("hybrid.mp4"), 61_001 + 1024),
    ] {
        assert_eq!(all(bytes, "mp4").len() / CHANNELS, length);
    }
}

#[test]
fn packaging_does_not_change_a_sample() {
    let wave = all(media!("album-2.wav"), "wav");
    assert_eq!(all(media!("quicktime.mov"), "mov"), wave);
    assert_eq!(all(media!("flac.mp4"), "mp4"), wave);
    assert_eq!(
        all(media!("fragments-flac.mp4"), "mp4"),
        all(media!("deep24.flac"), "flac")
    );
    assert!(all(media!("shaka-aac.mp4"), "mp4") == all(media!("long.m4a"), "m4a"));
    assert!(all(media!("hybrid.mp4"), "mp4")[1024 * CHANNELS..] == all(media!("dash-aac.mp4"), "mp4"));
}

#[test]
fn any_start_in_fragments_gives_exactly_the_rest() {
    for bytes in [
        &media!("dash-aac.mp4")[..],
        media!("shaka-aac.mp4"),
        media!("fragments-flac.mp4"),
    ] {
        starts_anywhere(bytes, "mp4", 23);
    }
}

#[test]
fn significant_bits_of_lossless_codecs_are_told() {
    assert_eq!(open(media!("alac.m4a"), "m4a", Millis::ZERO).shape().bits, 16);
    assert_eq!(open(media!("flac.mp4"), "mp4", Millis::ZERO).shape().bits, 16);
    assert_eq!(open(media!("fragments-flac.mp4"), "mp4", Millis::ZERO).shape().bits, 24);
}

#[test]
fn segments_from_the_middle_keep_their_time() {
    let whole = media!("shaka-aac.mp4");
    let first = place(whole, b"moof");
    let second = first + 4 + place(&whole[first + 4..], b"moof");
    let later = [&whole[..first - 4], &whole[second - 4..]].concat();
    let from = Millis(700);
    assert!(decode(open(&later, "mp4", from)).0 == decode(open(whole, "mp4", from)).0);
}

#[test]
fn a_fragmented_file_that_is_cut_anywhere_is_broken() {
    let whole = media!("shaka-aac.mp4");
    let last = whole.len() - 2000;
    for cut in (3000..last).step_by(997) {
        assert_eq!(
            decode(open(&whole[..cut], "mp4", Millis::ZERO)).1,
            Step::Broken,
            "{cut}"
        );
    }
    let before_last_fragment = whole.windows(4).rposition(|kind| kind == b"sidx").unwrap() - 4;
    let (frames, end) = decode(open(&whole[..before_last_fragment], "mp4", Millis::ZERO));
    assert_eq!(end, Step::Broken, "its movie announces more");
    assert!(frames.len() / CHANNELS > 50_000);
}

#[test]
fn what_cannot_be_decoded_is_named() {
    let file = media!("album-1.m4a");
    for codec in [b"ec-3", b"ac-4", b"xxxx"] {
        let told = refusal(replaced(file, b"mp4a", codec));
        assert!(told.contains(str::from_utf8(codec).unwrap()), "{told}");
    }
    // AAC-LC, 44.1 kHz, stereo; then spectral band replication over 22.05 kHz, said first or last.
    let plain = [0x05, 0x80, 0x80, 0x80, 0x05, 0x12, 0x10, 0x56, 0xe5, 0x00];
    assert!(Track::of_file(Box::new(Cursor::new(file.to_vec())), None, Millis::ZERO).is_ok());
    for extended in [[0x2b, 0x92, 0x08, 0x00, 0x00], [0x13, 0x90, 0x56, 0xe5, 0xa0]] {
        let told = refusal(replaced(file, &plain, &[&plain[..5], &extended].concat()));
        assert!(told.contains("HE-AAC"), "{told}");
    }
    let told = refusal(replaced(file, b"soun", b"vide"));
    assert!(told.contains("no sound track"), "{told}");
}

#[test]
fn every_beginning_of_a_file_comes_to_an_end() {
    for bytes in [
        &media!("flac.mp4")[..],
        media!("album-1.m4a"),
        media!("dash-aac.mp4"),
        media!("alac.m4a"),
    ] {
        for length in (0..bytes.len()).filter(|length| *length < 1500 || length % 97 == 0) {
            let opened = Track::of_file(Box::new(Cursor::new(bytes[..length].to_vec())), None, Millis::ZERO);
            assert!(opened.map_or(0, |track| decode(track).0.len()) < FRAMES_MAX * CHANNELS);
        }
    }
}

#[test]
fn a_clear_beginning_is_played_and_what_is_encrypted_is_not() {
    for (bytes, source, clear) in [
        (
            &media!("clear-lead-aac.mp4")[..],
            all(media!("long.m4a"), "m4a"),
            27 * 1024 - 1024,
        ),
        (
            media!("clear-lead-flac.mp4"),
            all(media!("album-3.flac"), "flac"),
            8 * 576,
        ),
    ] {
        let (frames, end) = decode(open(bytes, "mp4", Millis::ZERO));
        assert_eq!((frames.len() / CHANNELS, end), (clear, Step::Locked));
        assert!(frames == source[..clear * CHANNELS]);
    }
    let encrypted_part = open(media!("clear-lead-aac.mp4"), "mp4", Millis(1300));
    assert_eq!(decode(encrypted_part), (Vec::new(), Step::Locked));
}

#[test]
fn an_entry_that_is_encrypted_from_its_start_says_so() {
    let told = refusal(media!("cbcs-aac.mp4").to_vec());
    assert!(told.contains("encrypted (Cbcs)"), "{told}");
    assert!(told.contains("key 0123456789abcdef0123456789abcdef"), "{told}");
}
