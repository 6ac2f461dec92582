//! The ways in which each format tells, or does not tell, where its music begins and ends.

use super::super::super::aac::tests::extended;
use super::*;

/// Puts `fields` and the kind before them: a box.
fn boxed(kind: [u8; 4], fields: &[u8]) -> Vec<u8> {
    let size = u32::try_from(fields.len() + 8).unwrap();
    [&size.to_be_bytes()[..], &kind, fields].concat()
}

#[test]
fn packets_of_any_length_give_the_exact_number_of_frames() {
    for (bytes, hint) in [
        (&media!("short-packets.opus")[..], "opus"),
        (media!("long-packets.opus"), "opus"),
        (media!("long-packets.mp4"), "mp4"),
        (media!("album-2.opus"), "opus"),
    ] {
        assert_eq!(all(bytes, hint).len() / CHANNELS, 7721);
    }
    assert!(all(media!("long-packets.mp4"), "mp4") == all(media!("long-packets.opus"), "opus"));
}

#[test]
fn the_gain_in_an_opus_header_is_part_of_the_music() {
    let plain = media!("opus.mp4");
    let at = plain.windows(4).position(|kind| kind == b"dOps").unwrap();
    let mut softer = plain.to_vec();
    // A 256th of a decibel each: 6.02 dB are a half.
    softer[at + 12..at + 14].copy_from_slice(&(-1541_i16).to_be_bytes());
    let loudest = |frames: &[i32]| {
        frames
            .iter()
            .map(|sample| f64::from(sample.unsigned_abs()))
            .fold(0.0, f64::max)
    };
    let ratio = loudest(&all(&softer, "mp4")) / loudest(&all(plain, "mp4"));
    assert!((ratio - 0.5).abs() < 0.001, "{ratio}");
}

#[test]
fn lossless_formats_of_24_bits_are_exact() {
    let deep = all(media!("alac24.flac"), "flac");
    assert_eq!(deep.len() / CHANNELS, 3001);
    assert!(all(media!("alac24.m4a"), "m4a") == deep);
    assert_eq!(open(media!("alac24.m4a"), "m4a", Millis::ZERO).shape().bits, 24);
}

#[test]
fn every_width_of_wav_is_exact() {
    let deep = all(media!("deep1001.flac"), "flac");
    assert_eq!(deep.len() / CHANNELS, 1001);
    for (bytes, bits) in [
        (&media!("wav24.wav")[..], 24),
        (media!("wav32.wav"), 32),
        (media!("float.wav"), 32),
    ] {
        assert!(all(bytes, "wav") == deep, "{bits} bits");
        assert_eq!(open(bytes, "wav", Millis::ZERO).shape().bits, bits);
    }
}

#[test]
fn flac_in_ogg_is_exact() {
    assert!(all(media!("flac.oga"), "ogg") == all(media!("album-2.wav"), "wav"));
}

/// Ogg's checksum of a page.
fn checksum(page: &[u8]) -> u32 {
    let shifted = |sum: u32| sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 };
    page.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| shifted(sum))
    })
}

/// A stream of Ogg whose pages count so many frames less: that many stand before the music then.
fn begun_earlier(ogg: &[u8], frames: u64) -> Vec<u8> {
    let (mut made, mut rest) = (Vec::new(), ogg);
    while rest.starts_with(b"OggS") {
        let lacing = usize::from(rest[26]);
        let body: usize = rest[27..27 + lacing].iter().map(|length| usize::from(*length)).sum();
        let (page, behind) = rest.split_at(27 + lacing + body);
        let mut page = page.to_vec();
        let count = u64::from_le_bytes(page[6..14].try_into().unwrap());
        page[6..14].copy_from_slice(&count.saturating_sub(frames).to_le_bytes());
        page[22..26].fill(0);
        let sum = checksum(&page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        made.extend(page);
        rest = behind;
    }
    made
}

#[test]
fn what_the_first_page_of_vorbis_puts_before_the_music_is_not_heard() {
    let whole = media!("long.ogg");
    assert!(begun_earlier(whole, 0) == whole, "the pages are understood");
    let expected = all(whole, "ogg");
    for before in [1, 300, 5_000] {
        let cut = begun_earlier(whole, before);
        let music = &expected[usize::try_from(before).unwrap() * CHANNELS..];
        assert!(all(&cut, "ogg") == *music, "{before} frames");
        let mut middle = open(&cut, "ogg", Millis(700));
        let offset = usize::try_from(middle.shape().offset).unwrap() * CHANNELS;
        assert_eq!(middle.step(), Step::Frames);
        assert_eq!(middle.frames()[..200], music[offset..][..200], "{before} frames");
    }
}

#[test]
fn a_tag_of_itunes_stands_for_an_edit_list() {
    let file = media!("moov-last.m4a");
    let expected = all(file, "m4a");
    let edit = file.windows(4).position(|kind| kind == b"edts").unwrap();
    let mut untold = file.to_vec();
    untold[edit..edit + 4].copy_from_slice(b"free");
    assert_ne!(
        all(&untold, "m4a").len(),
        expected.len(),
        "without the edit, the silence is heard"
    );
    let text = format!(" 00000000 {:08X} {:08X} {:016X} 00000000", 1024, 74, 7094);
    let tag = [
        boxed(*b"mean", b"\0\0\0\0com.apple.iTunes"),
        boxed(*b"name", b"\0\0\0\0iTunSMPB"),
        boxed(*b"data", &[b"\0\0\0\x01\0\0\0\0", text.as_bytes()].concat()),
    ];
    let tag = boxed(*b"ilst", &boxed(*b"----", &tag.concat()));
    let tags = boxed(*b"udta", &boxed(*b"meta", &[&[0; 4][..], &tag].concat()));
    let start = untold.windows(4).position(|kind| kind == b"moov").unwrap() - 4;
    let size = u32::from_be_bytes(untold[start..start + 4].try_into().unwrap());
    let end = start + size as usize;
    let longer = size + u32::try_from(tags.len()).unwrap();
    untold[start..start + 4].copy_from_slice(&longer.to_be_bytes());
    untold.splice(end..end, tags);
    assert!(all(&untold, "m4a") == expected);
}

#[test]
fn what_tells_no_length_is_played_with_the_encoders_silence() {
    // Whole packets: of 1152 frames with 1105 before the music, of 1024 with 1024 before it.
    for (bytes, hint, frames, packet) in [
        (&media!("untagged.mp3")[..], "mp3", 7094 + 1105, 1152),
        (media!("plain.aac"), "aac", 7094 + 1024, 1024),
    ] {
        let decoded = all(bytes, hint).len() / CHANNELS;
        assert!(decoded >= frames, "{hint}: {decoded}");
        assert!(decoded < frames + 2 * packet, "{hint}: {decoded}");
        assert_eq!(decoded % packet, 0, "{hint}: {decoded}");
    }
}

#[test]
fn what_tells_no_length_and_is_cut_gives_what_is_there() {
    let whole = all(media!("untagged.mp3"), "mp3");
    for part in [7, 8, 9] {
        let bytes = media!("untagged.mp3");
        // Nothing in it says that there should be more: who loads it knows its bytes.
        let (frames, end) = decode(open(&bytes[..bytes.len() * part / 10], "mp3", Millis::ZERO));
        assert_eq!(end, Step::Finished);
        assert!(!frames.is_empty() && frames.len() < whole.len(), "{part} tenths");
        assert!(frames == whole[..frames.len()], "{part} tenths");
    }
}

/// Raw AAC with spectral band replication added to its packets, as an encoder of HE-AAC lays it down.
fn replicated(adts: &[u8]) -> Vec<u8> {
    let mut at = 0;
    let mut made = Vec::new();
    while let Some(&[h0, h1, h2, h3, h4, h5, h6]) = adts.get(at..at + 7) {
        let length = usize::from(h3 & 3) << 11 | usize::from(h4) << 3 | usize::from(h5) >> 5;
        let packet = extended(&adts[at + 7..at + length], 40);
        let long = packet.len() + 7;
        let [_, _, _, _, _, _, high, low] = (long as u64).to_be_bytes();
        made.extend([
            h0,
            h1,
            h2,
            h3 & !3 | high >> 3,
            high << 5 | low >> 3,
            low << 5 | h5 & 31,
            h6,
        ]);
        made.extend(packet);
        at += length;
    }
    made
}

#[test]
fn half_of_high_efficiency_aac_is_refused_by_name_though_nothing_announces_it() {
    let plain = media!("half-rate.aac");
    assert_eq!(open(plain, "aac", Millis::ZERO).shape().rate, 22_050);
    assert!(!all(plain, "aac").is_empty());
    let opened = Track::of_file(Box::new(Cursor::new(replicated(plain))), Some("aac"), Millis::ZERO);
    let told = opened.err().unwrap().to_string();
    assert!(told.contains("HE-AAC"), "{told}");
}
