//! Entries encrypted by an independent packager give exactly the frames of what was encrypted; without the right key,
//! nothing of them is heard.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;
use crate::audio::listed::{Listed, Piece, set};
use crate::audio::test_keys::{ID, Licence, ROTATED, RawKeys};
use crate::keys::{KeyState, Scheme};

/// An encrypted entry.
struct Case {
    bytes: &'static [u8],
    /// What was encrypted.
    source: (&'static [u8], &'static str),
    /// Frames in the clear at its beginning.
    clear: usize,
}

fn cases() -> [Case; 7] {
    let case = |bytes, source, clear| Case { bytes, source, clear };
    let (flac, aac): ((&[u8], _), (&[u8], _)) = ((media!("album-3.flac"), "flac"), (media!("long.m4a"), "m4a"));
    let (opus, short): ((&[u8], _), (&[u8], _)) = ((media!("opus.mp4"), "mp4"), (media!("album-3.m4a"), "m4a"));
    [
        case(media!("clear-lead-flac.mp4"), flac, 8 * 576),
        case(media!("cbcs-flac.mp4"), flac, 8 * 576),
        case(media!("clear-lead-aac.mp4"), aac, 26 * 1024),
        case(media!("cbcs-lead-aac.mp4"), aac, 26 * 1024),
        case(media!("clear-lead-opus.mp4"), opus, 31 * 960 - 312),
        case(media!("cbcs-opus.mp4"), opus, 16 * 960 - 312),
        case(media!("cbcs-aac.mp4"), short, 0),
    ]
}

fn unlocked(bytes: &[u8], from: Millis, licence: &Arc<Licence>) -> Result<Track, TrackError> {
    let stream = Stream::File(Box::new(Cursor::new(bytes.to_vec())));
    Track::open(stream, Some("mp4"), Some(Box::new(RawKeys(Arc::clone(licence)))), from)
}

fn played(bytes: &[u8], licence: &Arc<Licence>) -> (Vec<i32>, Step) {
    match unlocked(bytes, Millis::ZERO, licence) {
        Ok(track) => decode(track),
        Err(error) => {
            assert!(error.is_locked(), "{error}");
            (Vec::new(), Step::Locked)
        }
    }
}

#[test]
fn with_its_key_an_entry_gives_exactly_the_frames_that_were_encrypted() {
    for (number, case) in cases().iter().enumerate() {
        let (frames, end) = played(case.bytes, &Arc::default());
        let source = all(case.source.0, case.source.1);
        assert_eq!((frames.len(), end), (source.len(), Step::Finished), "{number}");
        assert!(frames == source, "{number}");
    }
}

#[test]
fn a_file_without_fragments_is_made_clear_as_well() {
    let file = media!("cenc-progressive.mp4");
    let (frames, end) = played(file, &Arc::default());
    let source = all(media!("album-3.m4a"), "m4a");
    // Copied into another file, its edit was rounded to whole milliseconds.
    assert_eq!((frames.len() / CHANNELS, end), (8996, Step::Finished));
    assert!(frames[..source.len()] == source);
    let late = unlocked(file, Millis(100), &Arc::default()).unwrap();
    assert!(decode(late).0 == frames[4410 * CHANNELS..]);
    let wrong = Arc::<Licence>::default();
    wrong.give([3; 16]);
    assert_eq!(played(file, &wrong), (Vec::new(), Step::Locked));
}

#[test]
fn any_start_in_an_encrypted_entry_gives_exactly_the_rest() {
    // Opus forgets its past only nearly; it is compared in step, elsewhere.
    for case in cases().iter().filter(|case| case.source.1 != "mp4") {
        let source = all(case.source.0, case.source.1);
        let rate = open(case.source.0, case.source.1, Millis::ZERO).shape().rate;
        for from in (0..200).step_by(9).chain((200..1400).step_by(97)) {
            let offset = usize::try_from((u64::from(from) * u64::from(rate)).div_ceil(1000)).unwrap() * CHANNELS;
            let Some(rest) = source.get(offset..) else { continue };
            let track = unlocked(case.bytes, Millis(from), &Arc::default()).unwrap();
            let (frames, end) = decode(track);
            assert!(end == Step::Finished && frames == rest, "from {from} ms");
        }
    }
}

#[test]
fn a_wrong_key_is_never_heard() {
    for (number, case) in cases().iter().enumerate() {
        let source = all(case.source.0, case.source.1);
        for wrong in 0..20 {
            let licence = Arc::<Licence>::default();
            licence.give([wrong; 16]);
            let (frames, end) = played(case.bytes, &licence);
            assert_eq!((frames.len() / CHANNELS, end), (case.clear, Step::Locked), "{number}");
            assert!(frames == source[..frames.len()]);
        }
    }
}

#[test]
fn without_a_licence_the_clear_beginning_is_played_and_nothing_else() {
    for (number, case) in cases().iter().enumerate() {
        let licence = Arc::<Licence>::default();
        licence.set(KeyState::Refused("not paid for".into()));
        let (frames, end) = played(case.bytes, &licence);
        assert_eq!((frames.len() / CHANNELS, end), (case.clear, Step::Locked), "{number}");
    }
}

#[test]
fn a_licence_that_comes_late_loses_not_one_frame() {
    for (number, case) in cases().iter().enumerate() {
        let licence = Arc::<Licence>::default();
        licence.set(KeyState::Awaited);
        let mut track = unlocked(case.bytes, Millis::ZERO, &licence).unwrap();
        let mut frames = Vec::new();
        if case.clear > 0 {
            assert!(track.is_ready().unwrap());
            while track.step() == Step::Frames {
                frames.extend_from_slice(track.frames());
            }
            assert_eq!(frames.len() / CHANNELS, case.clear, "{number}");
            assert_eq!([(); 3].map(|()| track.step()), [Step::Awaiting; 3]);
        } else {
            assert_eq!([(); 3].map(|()| track.is_ready().unwrap()), [false; 3]);
        }
        licence.set(KeyState::Usable);
        assert!(track.is_ready().unwrap());
        let (rest, end) = decode(track);
        frames.extend(rest);
        assert!(
            end == Step::Finished && frames == all(case.source.0, case.source.1),
            "{number}"
        );
    }
}

#[test]
fn a_key_that_is_lost_in_the_middle_and_found_again_loses_not_one_frame() {
    for (number, case) in cases().iter().enumerate() {
        // While the key is on trial, and when it is confirmed.
        for after in [0, 1, 3, 7] {
            let licence = Arc::<Licence>::default();
            licence.lose_after(after);
            let mut track = unlocked(case.bytes, Millis::ZERO, &licence).unwrap();
            let (mut frames, mut losses) = (Vec::new(), 0);
            while !track.is_ready().unwrap() {
                losses += 1;
                licence.restore();
            }
            let end = loop {
                match track.step() {
                    Step::Frames => frames.extend_from_slice(track.frames()),
                    Step::Awaiting if losses == 0 => {
                        assert_eq!(track.step(), Step::Awaiting, "asking again changes nothing");
                        losses += 1;
                        licence.restore();
                    }
                    end @ (Step::Awaiting | Step::Finished | Step::Broken | Step::Locked) => break end,
                }
            };
            assert_eq!((losses, end), (1, Step::Finished), "{number} after {after}");
            assert!(
                frames == all(case.source.0, case.source.1),
                "{number} after {after}: other frames"
            );
        }
    }
}

#[test]
fn a_key_that_is_lost_for_good_ends_the_entry_as_locked() {
    // The last one is over before its key is confirmed.
    for (number, case) in cases().iter().filter(|case| case.clear > 0).enumerate() {
        let licence = Arc::<Licence>::default();
        let mut track = unlocked(case.bytes, Millis::ZERO, &licence).unwrap();
        licence.lose_after(2);
        while track.step() == Step::Frames {}
        assert_eq!(track.step(), Step::Awaiting, "{number}");
        licence.set(KeyState::Refused("the module is gone".into()));
        assert_eq!(track.step(), Step::Locked, "{number}");
    }
}

#[test]
fn keys_are_asked_for_once_at_the_start_with_all_that_the_entry_tells() {
    for (bytes, scheme) in [
        (&media!("clear-lead-flac.mp4")[..], Scheme::Cenc),
        (media!("cbcs-opus.mp4"), Scheme::Cbcs),
    ] {
        let licence = Arc::<Licence>::default();
        let mut track = unlocked(bytes, Millis::ZERO, &licence).unwrap();
        assert_eq!(
            licence.looks.load(Ordering::SeqCst),
            0,
            "nothing encrypted was read yet"
        );
        for _ in 0..2 {
            let asked = licence.asked.lock().unwrap().clone();
            assert_eq!(asked.len(), 1);
            assert_eq!((asked[0].scheme, asked[0].key), (scheme, ID));
            assert!(asked[0].pssh.iter().all(|pssh| {
                pssh[4..8] == *b"pssh" && u32::from_be_bytes(*pssh.first_chunk().unwrap()) as usize == pssh.len()
            }));
            assert!(!asked[0].pssh.is_empty());
            while track.step() == Step::Frames {}
        }
    }
}

#[test]
fn a_key_that_turns_into_another_is_soon_no_sound_any_more() {
    for (number, case) in cases().iter().enumerate() {
        let licence = Arc::<Licence>::default();
        let mut track = unlocked(case.bytes, Millis::ZERO, &licence).unwrap();
        let mut good = 0;
        while good <= case.clear + 7_000 && track.step() == Step::Frames {
            good += track.frames().len() / CHANNELS;
        }
        licence.give([9; 16]);
        // As many packets as may be garbage before it is clear: up to 16 of them, and those that were being decoded.
        let (frames, end) = decode(track);
        assert!(
            matches!(end, Step::Locked | Step::Broken | Step::Finished),
            "{number}: {end:?}"
        );
        assert!(frames.len() / CHANNELS < 60_000, "{number}");
    }
}

#[test]
fn lies_about_the_encryption_end_the_entry() {
    let bytes = media!("clear-lead-flac.mp4");
    let senc = bytes.windows(4).position(|kind| kind == b"senc").unwrap();
    let mut more = bytes.to_vec();
    more[senc + 11] += 1;
    let mut overridden = bytes.to_vec();
    overridden[senc + 7] |= 1;
    let mut shorter = bytes.to_vec();
    shorter[senc - 1] -= 4;
    // Of four samples, the shorter table has three.
    for (lie, packets) in [(more, 8), (overridden, 8), (shorter, 8 + 3)] {
        let (frames, end) = played(&lie, &Arc::default());
        assert_eq!((frames.len() / CHANNELS, end), (packets * 576, Step::Broken));
    }
}

#[test]
fn other_schemes_are_refused_by_name() {
    for scheme in ["cens", "cbc1"] {
        let at = place(media!("cbcs-aac.mp4"), b"schm") + 8;
        let mut bytes = media!("cbcs-aac.mp4").to_vec();
        bytes[at..at + 4].copy_from_slice(scheme.as_bytes());
        let told = unlocked(&bytes, Millis::ZERO, &Arc::default())
            .err()
            .unwrap()
            .to_string();
        assert!(told.contains(scheme), "{told}");
    }
}

fn place(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}

/// The segments of an encrypted file. Their description has lost its `pssh`; the manifest has one.
fn in_segments(file: &[u8]) -> Vec<Piece> {
    let mut all = set(0, file, Duration::from_millis(50));
    let mut description = all[0].description.to_vec();
    let at = description.windows(4).position(|name| name == b"pssh").unwrap();
    description[at..at + 4].copy_from_slice(b"free");
    for piece in &mut all {
        piece.description = description.clone().into();
        piece.pssh = vec![MANIFESTS_OWN.into()];
    }
    all
}

const MANIFESTS_OWN: &[u8] = b"\0\0\0\x08pssh";

#[test]
fn encrypted_segments_are_made_clear_and_their_licence_is_asked_for_as_the_manifest_says() {
    for case in cases().iter().take(2) {
        let licence = Arc::<Licence>::default();
        let keys: Box<dyn Keys> = Box::new(RawKeys(Arc::clone(&licence)));
        let all_segments = in_segments(case.bytes);
        let segments = Listed {
            all: all_segments,
            next: 0,
            length: None,
        };
        let track = Track::open(Stream::Segments(Box::new(segments)), None, Some(keys), Millis::ZERO).unwrap();
        let (frames, end) = decode(track);
        assert_eq!(end, Step::Finished);
        assert!(frames == all(case.source.0, case.source.1));
        let asked = licence.asked.lock().unwrap();
        assert!(!asked.is_empty() && asked.iter().all(|one| *one.pssh == [MANIFESTS_OWN.into()]));
    }
}

/// The file with all samples of its last fragment in a group (`seig`) whose key has another number, and how many those are.
fn rotated(file: &[u8]) -> (Vec<u8>, u32) {
    let last = |kind: &[u8]| file.windows(4).rposition(|window| window == kind).unwrap();
    let number = |at: usize| u32::from_be_bytes(*file[at..].first_chunk().unwrap());
    let tenc = place(file, b"tenc");
    let (fields, constant) = (
        &file[tenc + 8..tenc + 12],
        &file[tenc + 28..tenc - 4 + number(tenc - 4) as usize],
    );
    let (moof, traf, trun) = (last(b"moof"), last(b"traf"), last(b"trun"));
    let samples = number(trun + 8);
    let group = [&1_u32.to_be_bytes()[..], fields, &ROTATED, constant].concat();
    let described = boxed(b"sgpd", &[b"\0\0\0\0seig", &group[..]].concat());
    let run = [1, samples, 0x1_0001].map(u32::to_be_bytes).concat();
    let grouped = boxed(b"sbgp", &[b"\0\0\0\0seig", &run[..]].concat());
    let more = [described, grouped].concat();
    let mut made = file.to_vec();
    for at in [moof - 4, traf - 4, trun + 12] {
        let longer = number(at) + u32::try_from(more.len()).unwrap();
        made[at..at + 4].copy_from_slice(&longer.to_be_bytes());
    }
    let end = traf - 4 + number(traf - 4) as usize;
    made.splice(end..end, more);
    (made, samples)
}

fn boxed(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, body].concat()
}

#[test]
fn keys_that_change_in_the_middle_are_asked_for_and_used() {
    // A fragment of so few packets that lossy ones could not confirm a key by itself is left out.
    for case in cases().iter().take(2) {
        let (file, samples) = rotated(case.bytes);
        let source = all(case.source.0, case.source.1);
        for is_listed in [false, true] {
            let licence = Arc::<Licence>::default();
            let keys: Box<dyn Keys> = Box::new(RawKeys(Arc::clone(&licence)));
            let stream = if is_listed {
                let all = set(0, &file, Duration::from_millis(50));
                Stream::Segments(Box::new(Listed {
                    all,
                    next: 0,
                    length: None,
                }))
            } else {
                Stream::File(Box::new(Cursor::new(file.clone())))
            };
            let (frames, end) = decode(Track::open(stream, Some("mp4"), Some(keys), Millis::ZERO).unwrap());
            assert_eq!((frames.len(), end), (source.len(), Step::Finished));
            assert!(frames == source);
            let asked: Vec<_> = licence.asked.lock().unwrap().iter().map(|one| one.key).collect();
            assert_eq!((asked.first(), asked.last()), (Some(&ID), Some(&ROTATED)));
            assert_eq!(licence.rotated.load(Ordering::SeqCst), samples);
        }
    }
}

#[test]
fn nothing_is_allocated_for_an_encrypted_packet_once_its_key_is_confirmed() {
    for (number, case) in cases().iter().enumerate() {
        let mut track = unlocked(case.bytes, Millis::ZERO, &Arc::default()).unwrap();
        let (mut heard, mut taken) = (0, Vec::new());
        let mut is_over = false;
        while !is_over {
            let used = allocation_counter::measure(|| is_over = track.step() != Step::Frames);
            heard += track.frames().len() / CHANNELS;
            if heard > case.clear {
                taken.push(used.count_total);
            }
        }
        // Those on trial were kept; where a fragment begins, room is taken for what it tells.
        let on_trial = if case.source.1 == "flac" { 2 } else { 8 };
        let fragments = case.bytes.windows(4).filter(|kind| kind == b"moof").count();
        let busy = taken.iter().skip(on_trial).filter(|count| **count > 0).count();
        assert!(busy <= fragments, "{number}: {busy} of {}: {taken:?}", taken.len());
    }
}
