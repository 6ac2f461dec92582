//! Entries whose heads were decoded ahead, through the whole audio path: they sound at once, and are exact.

use std::io::{Read, Seek, SeekFrom};
use std::sync::mpsc::channel;

use symphonia::core::io::MediaSource;

use super::super::super::heads::{Beginning, HeadKey};
use super::*;

/// Bytes that cannot be read before the test lets them.
struct Held {
    bytes: Cursor<Vec<u8>>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Read for Held {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let is_open = self.gate.0.lock().unwrap();
        drop(self.gate.1.wait_while(is_open, |is_open| !*is_open).unwrap());
        self.bytes.read(buffer)
    }
}

impl Seek for Held {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.bytes.seek(to)
    }
}

impl MediaSource for Held {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        self.bytes.byte_len()
    }
}

/// Wishes for the head of `bytes` and waits until it is decoded.
fn prepare(engine: &mut Engine, bytes: &'static [u8]) {
    let (looked, looks) = channel();
    let head = Preparation {
        key: HeadKey(1),
        peek: Box::new(move || {
            Some(Beginning {
                stream: Stream::File(Box::new(Cursor::new(bytes))),
                hint: None,
                version: None,
            })
        }),
    };
    // Looked at when the one before is done.
    let last = Preparation {
        key: HeadKey(2),
        peek: Box::new(move || {
            looked.send(()).unwrap();
            None
        }),
    };
    engine.prepare(vec![head, last]);
    looks.recv_timeout(Duration::from_secs(10)).unwrap();
}

fn prepared(stream: Box<dyn MediaSource>) -> Source {
    Source {
        stream: Stream::File(stream),
        hint: None,
        keys: None,
        head: Some(HeadKey(1)),
        cancel: Arc::new(|| ()),
    }
}

#[test]
fn an_entry_whose_head_is_decoded_sounds_before_any_of_it_is_read_and_goes_on_exactly() {
    for bytes in [
        media!("album-1.flac"),
        media!("album-1.mp3"),
        media!("album-1.m4a"),
        media!("album-1.ogg"),
        media!("long.opus"),
    ] {
        let mut rig = Rig::new(0);
        prepare(&mut rig.engine, bytes);
        let gate = Arc::<(Mutex<bool>, Condvar)>::default();
        let held = Held {
            bytes: Cursor::new(bytes.to_vec()),
            gate: Arc::clone(&gate),
        };
        rig.engine.play(PlayId(7), prepared(Box::new(held)), Millis::ZERO);
        rig.bench.sound(5_292);
        rig.told.until(began(7, 0));
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        rig.bench.with(|state| state.allowance = ENDLESS);
        let all = decoded(bytes);
        rig.bench.until("all of it", |state| state.heard.len() >= all.len());
        rig.engine.close();
        assert!(rig.bench.with(|state| state.heard == all));
    }
}

#[test]
fn a_head_is_of_no_use_to_a_start_in_the_middle() {
    let mut rig = Rig::new(ENDLESS);
    prepare(&mut rig.engine, media!("album-1.flac"));
    let bytes = Cursor::new(media!("album-1.flac"));
    rig.engine.play(PlayId(7), prepared(Box::new(bytes)), Millis(100));
    rig.told.until(ended(7, 179, 79, Ending::Finished));
    assert!(rig.heard() == decoded(media!("album-1.flac"))[4410 * 2..]);
    rig.engine.close();
}

#[test]
fn an_entry_that_fits_into_its_head_needs_no_bytes() {
    let mut rig = Rig::new(ENDLESS);
    prepare(&mut rig.engine, media!("noise96.flac"));
    let nothing = Cursor::new(Vec::<u8>::new());
    rig.engine.play(PlayId(7), prepared(Box::new(nothing)), Millis::ZERO);
    rig.told.until(ended(7, 31, 31, Ending::Finished));
    assert!(rig.heard() == noise(96));
    rig.engine.close();
}

#[test]
fn an_entry_that_cannot_be_opened_behind_its_head_is_broken_there() {
    let mut rig = Rig::new(ENDLESS);
    prepare(&mut rig.engine, media!("album-1.flac"));
    let nothing = Cursor::new(Vec::<u8>::new());
    rig.engine.play(PlayId(7), prepared(Box::new(nothing)), Millis::ZERO);
    rig.told.until(ended(7, 120, 120, Ending::Broken));
    rig.engine.close();
}

/// Memory that the process has in use for itself.
fn anonymous_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn thousands_of_entries_and_skips_leave_the_memory_as_it_was() {
    const ROUNDS: u32 = 1500;
    let entries = [media!("album-1.flac"), media!("album-2.mp3"), media!("album-3.m4a")];
    let (told, news) = channel();
    let tell = move |item| told.send(item).unwrap_or_default();
    let mut engine = Engine::start(chain(Box::new(Paced::new(400))), Arc::new(tell)).unwrap();
    let head = |key: u32| Preparation {
        key: HeadKey(key),
        peek: Box::new(move || {
            let stream = Stream::File(Box::new(Cursor::new(entries[key as usize % 3])));
            Some(Beginning {
                stream,
                hint: None,
                version: None,
            })
        }),
    };
    let source = |key: u32| Source {
        head: Some(HeadKey(key)),
        ..prepared(Box::new(Cursor::new(entries[key as usize % 3])))
    };
    let mut round = |round: u32| {
        let (play, follower) = (2 * round, 2 * round + 1);
        engine.play(PlayId(play), source(play), Millis::ZERO);
        engine.follow(PlayId(follower), source(follower));
        engine.prepare((play..play + 6).map(head).collect());
        // Every second entry is cut, the others flow out of the one before.
        while news.recv_timeout(Duration::from_secs(10)).unwrap() != began(follower, 0) {}
    };
    for number in 1..ROUNDS / 3 {
        round(number);
    }
    let before_kib = anonymous_kib();
    for number in ROUNDS / 3..ROUNDS {
        round(number);
    }
    let after_kib = anonymous_kib();
    engine.close();
    assert!(after_kib <= before_kib + 512, "{before_kib} KiB became {after_kib} KiB");
}
