//! What the media tests share: a well-behaved host and oddly behaving ones, and short ways to wish and to read.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tonearm_core::effect::{Extent, Wish};
use tonearm_core::id::{EntryKey, SlotId};
use tonearm_core::unit::Millis;

use super::fetch::Patience;
use super::library::{Item, Level, Library, News, Settings};
use super::reader::Reader;
pub use super::scripted::{Request, Server, Then, Wire};

pub const MIB: usize = 1024 * 1024;

/// Bytes that differ everywhere, so that a shifted or repeated piece shows.
pub fn song(length: usize) -> Arc<Vec<u8>> {
    let mut word = 0x1234_5678_u32;
    let next = std::iter::repeat_with(move || {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (word >> 24) as u8 | 0x80
    });
    Arc::new(next.take(length).collect())
}

/// A well-behaved answer to a request, range or not.
pub fn respond(request: &Request, wire: &Wire<'_>, song: &[u8]) -> Then {
    let Some((first, last)) = request.range() else {
        return wire.answer(200, &[("etag", "\"1\"")], song);
    };
    if first >= song.len() {
        return wire.answer(416, &[("content-range", &format!("bytes */{}", song.len()))], b"");
    }
    let last = last.unwrap_or(usize::MAX).min(song.len() - 1);
    let range = format!("bytes {first}-{last}/{}", song.len());
    wire.answer(
        206,
        &[("content-range", &range), ("etag", "\"1\"")],
        &song[first..=last],
    )
}

pub fn host(song: &Arc<Vec<u8>>) -> Server {
    let song = Arc::clone(song);
    Server::start(move |request, wire| respond(request, wire, &song))
}

/// Answers the n-th request (from 0) by `odd` as long as that gives an answer, and well afterwards.
pub fn odd_host(
    song: &Arc<Vec<u8>>,
    odd: impl Fn(usize, &Request, &Wire<'_>) -> Option<Then> + Send + Sync + 'static,
) -> Server {
    let (song, count) = (Arc::clone(song), AtomicUsize::new(0));
    Server::start(move |request, wire| {
        let number = count.fetch_add(1, Ordering::AcqRel);
        odd(number, request, wire).unwrap_or_else(|| respond(request, wire, &song))
    })
}

/// The head of an answer with everything from `first` on.
pub fn announce(wire: &Wire<'_>, song: &[u8], first: usize) {
    let (last, total, length) = (song.len() - 1, song.len(), song.len() - first);
    let range = format!("content-range: bytes {first}-{last}/{total}\r\ncontent-length: {length}\r\n");
    wire.raw(format!("HTTP/1.1 206 Partial\r\netag: \"1\"\r\n{range}\r\n").as_bytes());
}

/// Hardly any back-off, and a stall is noticed soon.
pub fn patience() -> Patience {
    let retry_first = Duration::from_millis(5);
    Patience {
        stall: Duration::from_millis(300),
        retry_first,
        retry_max: Duration::from_millis(20),
        ..Patience::default()
    }
}

pub fn library(memory_bytes: usize) -> (Library, Receiver<News>) {
    library_with(memory_bytes, patience())
}

pub fn library_with(memory_bytes: usize, patience: Patience) -> (Library, Receiver<News>) {
    let (sender, news) = channel();
    let tell = Arc::new(move |one| sender.send(one).unwrap_or_default());
    (
        Library::start_with(
            Settings::with_memory(memory_bytes, crate::tls::fixture::believing()),
            patience,
            tell,
        )
        .unwrap(),
        news,
    )
}

pub fn item(number: u8, url: String) -> Item {
    let wish = Wish {
        slot: SlotId(number),
        entry: EntryKey(u32::from(number)),
        extent: Extent::Whole,
        attempt: 0,
    };
    Item {
        wish,
        url,
        duration: Some(Millis(60_000)),
    }
}

/// An entry of 40 s.
pub fn listed(number: u8, url: String) -> Item {
    Item {
        duration: Some(Millis(40_000)),
        ..item(number, url)
    }
}

pub fn attempt(number: u8, url: String, attempt: u8) -> Item {
    let one = item(number, url);
    Item {
        wish: Wish { attempt, ..one.wish },
        ..one
    }
}

pub fn head(number: u8, url: String) -> Item {
    let one = item(number, url);
    Item {
        wish: Wish {
            extent: Extent::Head(Millis(30_000)),
            ..one.wish
        },
        ..one
    }
}

pub fn open(library: &Library, slot: u8) -> Reader {
    library.open(SlotId(slot)).unwrap().stream.into_file()
}

pub fn read_all(mut reader: Reader) -> Vec<u8> {
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    all
}

pub fn level(library: &Library, slot: u8) -> Level {
    library
        .levels()
        .into_iter()
        .find(|level| level.slot == SlotId(slot))
        .unwrap()
}

/// Waits for something that a thread is about to bring about; ten seconds at most.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

pub fn complete(library: &Library, slot: u8) {
    until("the entry is loaded", || level(library, slot).complete);
}
