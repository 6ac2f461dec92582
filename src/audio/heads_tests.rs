//! Heads by themselves: what is decoded, in which order, how much of it is kept, and when it is tried again.

use std::io::{Cursor, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::listed::set;
use super::super::stream::{Segment, Segments};
use super::*;

const ALBUM: &[u8] = include_bytes!("../../tests/media/album-1.flac");
/// 3,001 frames at 96 kHz: 31 ms.
const SHORT: &[u8] = include_bytes!("../../tests/media/noise96.flac");
const HEAD_FRAMES: usize = 5_292;

fn decoded(bytes: &[u8]) -> Vec<i32> {
    let mut track = Track::of_file(Box::new(Cursor::new(bytes.to_vec())), None, Millis::ZERO).unwrap();
    let mut frames = Vec::new();
    while track.step() == Step::Frames {
        frames.extend_from_slice(track.frames());
    }
    frames
}

fn entry(key: u32, bytes: &'static [u8]) -> Preparation {
    Preparation {
        key: HeadKey(key),
        peek: Box::new(move || {
            Some(Beginning {
                stream: Stream::File(Box::new(Cursor::new(bytes))),
                hint: None,
                version: None,
            })
        }),
    }
}

fn settle(heads: &mut Heads, now: Instant) {
    while heads.step(now) {}
}

fn ready(heads: &Heads, keys: impl Iterator<Item = u32>) -> Vec<u32> {
    keys.filter(|key| heads.get(HeadKey(*key)).is_some()).collect()
}

#[test]
fn a_head_is_what_the_entry_begins_with() {
    let (mut heads, now) = (Heads::default(), Instant::now());
    heads.want(vec![entry(1, ALBUM)], now);
    settle(&mut heads, now);
    let head = heads.get(HeadKey(1)).unwrap();
    assert_eq!((head.shape.rate, head.shape.bits, head.is_whole), (44_100, 16, false));
    assert!(head.frames == decoded(ALBUM)[..HEAD_FRAMES * CHANNELS]);
    assert_eq!(heads.rest(now), None);
}

#[test]
fn an_entry_shorter_than_a_head_is_all_there() {
    let (mut heads, now) = (Heads::default(), Instant::now());
    heads.want(vec![entry(1, SHORT)], now);
    settle(&mut heads, now);
    let head = heads.get(HeadKey(1)).unwrap();
    assert!(head.is_whole && head.frames == decoded(SHORT));
}

#[test]
fn the_most_urgent_heads_are_kept_within_the_bound() {
    let (mut heads, now) = (Heads::default(), Instant::now());
    let head = |frames| Head {
        shape: Shape {
            rate: 192_000,
            bits: 24,
            offset: 0,
        },
        frames: vec![0; frames * CHANNELS],
        is_whole: false,
        version: None,
    };
    heads.want((1..=5).map(|key| entry(key, ALBUM)).collect(), now);
    for key in [5, 4, 3, 2] {
        heads.keep(HeadKey(key), head(HEADS_FRAMES_MAX / 3));
    }
    assert_eq!(
        ready(&heads, 1..=5),
        [2, 3, 4],
        "a more urgent one takes the place of the least urgent"
    );
    heads.keep(HeadKey(5), head(HEADS_FRAMES_MAX / 3));
    assert_eq!(ready(&heads, 1..=5), [2, 3, 4], "and never the other way round");
}

#[test]
fn only_so_many_entries_have_heads() {
    let (mut heads, now) = (Heads::default(), Instant::now());
    heads.want((0..20).map(|key| entry(key, ALBUM)).collect(), now);
    settle(&mut heads, now);
    assert_eq!(ready(&heads, 0..20).len(), HEADS_MAX);
}

#[test]
fn what_is_no_longer_wished_is_forgotten_and_what_still_is_stays() {
    let (mut heads, now) = (Heads::default(), Instant::now());
    heads.want(vec![entry(1, ALBUM), entry(2, ALBUM)], now);
    settle(&mut heads, now);
    let before = heads.get(HeadKey(2)).unwrap();
    heads.want(vec![entry(2, ALBUM)], now);
    assert!(!heads.step(now));
    assert!(heads.get(HeadKey(1)).is_none());
    assert!(Arc::ptr_eq(&before, &heads.get(HeadKey(2)).unwrap()));
}

#[test]
fn work_on_what_is_no_longer_wished_is_given_up() {
    let (mut heads, now) = (Heads::default(), Instant::now());
    heads.want(vec![entry(1, ALBUM)], now);
    assert!(heads.step(now));
    heads.want(vec![], now);
    assert!(!heads.step(now));
}

#[test]
fn what_is_not_loaded_yet_is_looked_at_again_later_and_less_and_less_often() {
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let absent = Preparation {
        key: HeadKey(1),
        peek: Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            None
        }),
    };
    let (mut heads, mut now) = (Heads::default(), Instant::now());
    heads.want(vec![absent, entry(2, ALBUM)], now);
    settle(&mut heads, now);
    assert!(heads.get(HeadKey(2)).is_some(), "it does not keep others waiting");
    assert_eq!(heads.rest(now), Some(AGAIN_FIRST));
    let mut waited = Duration::ZERO;
    while let Some(rest) = heads.rest(now) {
        now += rest;
        waited += rest;
        settle(&mut heads, now);
    }
    assert_eq!(looks.load(Ordering::Relaxed), usize::from(LOOKS_MAX) + 1);
    assert!(waited > Duration::from_secs(180), "{waited:?}");
}

#[test]
fn a_beginning_that_breaks_off_is_tried_again_and_then_whole() {
    let loaded = Arc::new(AtomicUsize::new(2_000));
    let length = Arc::clone(&loaded);
    let growing = Preparation {
        key: HeadKey(1),
        peek: Box::new(move || {
            Some(Beginning {
                stream: Stream::File(Box::new(Cursor::new(&ALBUM[..length.load(Ordering::Relaxed)]))),
                hint: None,
                version: None,
            })
        }),
    };
    let (mut heads, now) = (Heads::default(), Instant::now());
    heads.want(vec![growing], now);
    settle(&mut heads, now);
    assert!(heads.get(HeadKey(1)).is_none());
    loaded.store(ALBUM.len(), Ordering::Relaxed);
    settle(&mut heads, now + AGAIN_FIRST);
    assert!(heads.get(HeadKey(1)).unwrap().frames == decoded(ALBUM)[..HEAD_FRAMES * CHANNELS]);
}

#[test]
fn a_head_is_of_no_use_once_other_bytes_have_taken_the_place_of_its_own() {
    let version = Arc::new(AtomicUsize::new(1));
    let now_there = Arc::clone(&version);
    let chosen = Preparation {
        key: HeadKey(1),
        peek: Box::new(move || {
            let version = now_there.load(Ordering::Relaxed);
            (version > 0).then(|| Beginning {
                stream: Stream::File(Box::new(Cursor::new(ALBUM))),
                hint: None,
                version: Some(version as u64),
            })
        }),
    };
    let (mut heads, now) = (Heads::default(), Instant::now());
    heads.want(vec![chosen], now);
    settle(&mut heads, now);
    assert!(heads.get(HeadKey(1)).is_some());
    for other in [2, 0] {
        version.store(other, Ordering::Relaxed);
        assert!(heads.get(HeadKey(1)).is_none(), "version {other}");
    }
}

/// An entry of segments whose first ones only are there.
struct Begun(Vec<Segment>);

impl Segments for Begun {
    fn next(&mut self) -> std::io::Result<Option<Segment>> {
        self.0.pop().map(Some).ok_or_else(|| ErrorKind::WouldBlock.into())
    }

    fn seek(&mut self, _at: Duration) -> std::io::Result<bool> {
        Ok(true)
    }

    fn length(&self) -> Option<Duration> {
        None
    }
}

fn head_of_first_segment(file: &'static [u8]) -> Option<Arc<Head>> {
    let peek = move || {
        let first = set(0, file, Duration::from_millis(200)).swap_remove(0);
        let first = Segment {
            representation: first.representation,
            description: first.description,
            media: Box::new(Cursor::new(first.media)),
            begin: first.begin,
            origin_ticks: first.origin_ticks,
            timescale: first.timescale,
            pssh: first.pssh,
        };
        Some(Beginning {
            stream: Stream::Segments(Box::new(Begun(vec![first]))),
            hint: None,
            version: Some(1),
        })
    };
    let peek = Box::new(peek);
    let (mut heads, now) = (Heads::default(), Instant::now());
    heads.want(vec![Preparation { key: HeadKey(1), peek }], now);
    settle(&mut heads, now);
    heads.get(HeadKey(1))
}

#[test]
fn the_head_of_an_entry_in_segments_needs_no_more_than_the_first_of_them() {
    for file in [
        &include_bytes!("../../tests/media/set-fl44.mp4")[..],
        include_bytes!("../../tests/media/set-aac96.mp4"),
        include_bytes!("../../tests/media/set-op64.mp4"),
    ] {
        let head = head_of_first_segment(file).unwrap();
        assert_eq!(head.frames.len(), head.shape.rate as usize * 120 / 1000 * CHANNELS);
        assert!(head.frames == decoded(file)[..head.frames.len()]);
    }
}

#[test]
fn the_clear_beginning_of_an_encrypted_entry_is_its_head_and_without_one_there_is_none() {
    let encrypted = include_bytes!("../../tests/media/clear-lead-flac.mp4");
    let clear = decoded(include_bytes!("../../tests/media/album-3.flac"));
    let (mut heads, now) = (Heads::default(), Instant::now());
    heads.want(
        vec![
            entry(1, encrypted),
            entry(2, include_bytes!("../../tests/media/cbcs-aac.mp4")),
        ],
        now,
    );
    settle(&mut heads, now);
    let head = heads.get(HeadKey(1)).unwrap();
    // Eight packets of 576 frames are in the clear.
    assert!(!head.is_whole && head.frames == clear[..8 * 576 * CHANNELS]);
    assert!(heads.get(HeadKey(2)).is_none());
}
