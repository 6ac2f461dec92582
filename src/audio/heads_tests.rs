//! Heads by themselves: what is decoded, in which order, how much of it is kept, and when it is tried again.

use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering};

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
