//! The library against a scripted media host: every byte right, every trouble outlasted, every fault told once.

use std::io::{ErrorKind, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use symphonia::core::io::MediaSource;
use tonearm_core::effect::{Extent, Wish};
use tonearm_core::id::{EntryKey, SlotId};
use tonearm_core::unit::Millis;

use super::super::library::{Item, Level, Library, MediaError, Settings};
use super::super::pool::CHUNK_BYTES;
use super::super::reader::Reader;
use super::super::scripted::{Request, Server, Then, Wire};
use super::*;

const MIB: usize = 1024 * 1024;

/// Bytes that differ everywhere, so that a shifted or repeated piece shows.
fn song(length: usize) -> Arc<Vec<u8>> {
    let mut word = 0x1234_5678_u32;
    let next = std::iter::repeat_with(move || {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (word >> 24) as u8 | 0x80
    });
    Arc::new(next.take(length).collect())
}

/// A well-behaved answer to a request, range or not.
fn serve(request: &Request, wire: &Wire<'_>, song: &[u8]) -> Then {
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

fn host(song: &Arc<Vec<u8>>) -> Server {
    let song = Arc::clone(song);
    Server::start(move |request, wire| serve(request, wire, &song))
}

/// Answers the n-th request (from 0) by `odd` as long as that gives an answer, and well afterwards.
fn odd_host(
    song: &Arc<Vec<u8>>,
    odd: impl Fn(usize, &Request, &Wire<'_>) -> Option<Then> + Send + Sync + 'static,
) -> Server {
    let (song, count) = (Arc::clone(song), AtomicUsize::new(0));
    Server::start(move |request, wire| {
        let number = count.fetch_add(1, Ordering::AcqRel);
        odd(number, request, wire).unwrap_or_else(|| serve(request, wire, &song))
    })
}

fn patience() -> Patience {
    let retry_first = Duration::from_millis(5);
    Patience {
        stall: Duration::from_millis(300),
        retry_first,
        retry_max: Duration::from_millis(20),
        ..Patience::default()
    }
}

fn library(memory_bytes: usize) -> (Library, Receiver<News>) {
    let (sender, news) = channel();
    let tell = Arc::new(move |one| sender.send(one).unwrap_or_default());
    let _ = env_logger::builder().is_test(true).try_init();
    (
        Library::start_with(Settings::with_memory(memory_bytes), patience(), tell).unwrap(),
        news,
    )
}

fn item(number: u8, url: String) -> Item {
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

fn attempt(number: u8, url: String, attempt: u8) -> Item {
    let one = item(number, url);
    Item {
        wish: Wish { attempt, ..one.wish },
        ..one
    }
}

fn head(number: u8, url: String) -> Item {
    let one = item(number, url);
    Item {
        wish: Wish {
            extent: Extent::Head,
            ..one.wish
        },
        ..one
    }
}

fn open(library: &Library, slot: u8) -> Reader {
    library.open(SlotId(slot)).unwrap().reader
}

fn read_all(mut reader: Reader) -> Vec<u8> {
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    all
}

fn level(library: &Library, slot: u8) -> Level {
    library
        .levels()
        .into_iter()
        .find(|level| level.slot == SlotId(slot))
        .unwrap()
}

/// Waits for something that a thread is about to bring about; ten seconds at most.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn complete(library: &Library, slot: u8) {
    until("the entry is loaded", || level(library, slot).complete);
}

#[test]
fn an_entry_is_loaded_whole_and_read_back_byte_for_byte() {
    let song = song(3 * MIB + 77);
    let server = host(&song);
    let (mut library, _news) = library(8 * MIB);
    library.want(&[item(1, server.url("/a.flac"))]);
    let opened = library.open(SlotId(1)).unwrap();
    assert_eq!(opened.hint.as_deref(), Some("flac"));
    assert_eq!(opened.reader.byte_len(), Some(song.len() as u64));
    assert!(read_all(opened.reader) == *song);
    assert_eq!(level(&library, 1).loaded, Some(Millis(60_000)));
}

#[test]
fn no_credential_and_no_device_header_goes_to_a_media_host() {
    let song = song(1000);
    let server = host(&song);
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    complete(&library, 1);
    for request in server.requests() {
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert!(
            names
                .iter()
                .all(|name| ["host", "range", "accept", "accept-encoding", "user-agent"].contains(name)),
            "{names:?}"
        );
        assert_eq!(request.header("accept-encoding"), Some("identity"));
    }
}

#[test]
fn a_cut_is_resumed_at_the_exact_byte() {
    let song = song(MIB);
    let cut = Arc::clone(&song);
    let server = odd_host(&song, move |number, _, wire| {
        (number == 0).then(|| {
            let head = format!(
                "HTTP/1.1 206 Partial\r\ncontent-range: bytes 0-{}/{}\r\ncontent-length: {}\r\n\r\n",
                cut.len() - 1,
                cut.len(),
                cut.len()
            );
            wire.raw(head.as_bytes());
            wire.raw(&cut[..123_457]);
            Then::Close
        })
    });
    let (mut library, news) = library(4 * MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    assert!(read_all(open(&library, 1)) == *song);
    assert_eq!(server.requests()[1].range(), Some((123_457, None)));
    assert!(news.try_recv().is_err(), "a cut is no fault");
}

#[test]
fn a_host_that_cuts_every_answer_is_outlasted() {
    let song = song(300_000);
    let cut = Arc::clone(&song);
    let server = odd_host(&song, move |_, request, wire| {
        let (first, _) = request.range()?;
        let rest = &cut[first..];
        let head = format!(
            "HTTP/1.1 206 P\r\ncontent-range: bytes {first}-{}/{}\r\ncontent-length: {}\r\n\r\n",
            cut.len() - 1,
            cut.len(),
            rest.len()
        );
        wire.raw(head.as_bytes());
        wire.raw(&rest[..rest.len().min(20_011)]);
        Some(Then::Close)
    });
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    assert!(read_all(open(&library, 1)) == *song);
    assert_eq!(server.requests().len(), 15);
}

#[test]
fn a_host_without_ranges_is_coped_with_even_when_it_cuts() {
    let song = song(700_000);
    let whole = Arc::clone(&song);
    let server = odd_host(&song, move |number, _, wire| {
        if number > 0 {
            return Some(wire.answer(200, &[], &whole));
        }
        wire.raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", whole.len()).as_bytes());
        wire.raw(&whole[..400_000]);
        Some(Then::Close)
    });
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    assert!(read_all(open(&library, 1)) == *song);
}

#[test]
fn a_body_of_unannounced_length_ends_where_its_chunks_end() {
    let server = Server::start(|_, wire| {
        wire.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nIDabc\r\n3\r\ndef\r\n0\r\n\r\n");
        Then::Keep
    });
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a"))]);
    let reader = open(&library, 1);
    assert_eq!(read_all(reader), b"IDabcdef");
    assert_eq!(level(&library, 1).total, Some(8));
}

#[test]
fn a_chunked_body_that_breaks_off_is_no_end() {
    let server = Server::start(|request, wire| match request.range() {
        Some((0, _)) => {
            wire.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nIDabc\r\n");
            Then::Close
        }
        _ => wire.answer(200, &[], b"IDabcdef"),
    });
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a"))]);
    assert_eq!(read_all(open(&library, 1)), b"IDabcdef");
}

#[test]
fn a_hole_at_the_end_is_fetched_before_the_rest() {
    let song = song(4 * MIB);
    let slow = Arc::clone(&song);
    let server = odd_host(&song, move |number, _, wire| {
        (number == 0).then(|| {
            let head = format!(
                "HTTP/1.1 206 P\r\ncontent-range: bytes 0-{}/{}\r\ncontent-length: {}\r\n\r\n",
                slow.len() - 1,
                slow.len(),
                slow.len()
            );
            wire.raw(head.as_bytes());
            wire.raw(&slow[..1000]);
            wire.hang()
        })
    });
    let (mut library, _news) = library(8 * MIB);
    library.want(&[item(1, server.url("/a.m4a"))]);
    let mut reader = open(&library, 1);
    let mut bytes = [0; 100];
    reader.read_exact(&mut bytes).unwrap();
    let asked = Instant::now();
    reader.seek(SeekFrom::End(-5000)).unwrap();
    reader.read_exact(&mut bytes).unwrap();
    assert!(
        asked.elapsed() < Duration::from_millis(250),
        "not before the first request stalled: {:?}",
        asked.elapsed()
    );
    assert_eq!(bytes[..], song[song.len() - 5000..][..100]);
    reader.seek(SeekFrom::Start(0)).unwrap();
    assert!(read_all(reader) == *song);
}

#[test]
fn an_expired_address_is_told_once_and_a_fresh_one_continues_under_the_reader() {
    let song = song(MIB);
    let cut = Arc::clone(&song);
    let server = Server::start(move |request, wire| match (request.target.as_str(), request.range()) {
        ("/fresh.mp3", _) => serve(request, wire, &cut),
        (_, Some((0, _))) => {
            let head = format!(
                "HTTP/1.1 206 P\r\netag: \"1\"\r\ncontent-range: bytes 0-{}/{}\r\ncontent-length: {}\r\n\r\n",
                cut.len() - 1,
                cut.len(),
                cut.len()
            );
            wire.raw(head.as_bytes());
            wire.raw(&cut[..500_000]);
            Then::Close
        }
        _ => wire.answer(403, &[], b""),
    });
    let (mut library, news) = library(4 * MIB);
    library.want(&[item(1, server.url("/old.mp3"))]);
    let reader = open(&library, 1);
    let reading = thread::spawn(move || read_all(reader));
    let told = news.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(
        told,
        News {
            slot: SlotId(1),
            entry: EntryKey(1),
            fault: MediaFault::Expired
        }
    );
    library.want(&[attempt(1, server.url("/fresh.mp3"), 1)]);
    assert!(reading.join().unwrap() == *song);
    assert_eq!(server.requests().last().unwrap().range(), Some((500_000, None)));
    assert!(news.try_recv().is_err());
}

#[test]
fn what_can_never_be_played_is_told_and_ends_the_reader() {
    let pages: [(u16, &[(&str, &str)], &[u8]); 6] = [
        (404, &[], b""),
        (451, &[], b""),
        (200, &[("content-type", "text/html; charset=utf-8")], b"x"),
        (200, &[("content-type", "application/json")], b"{}"),
        (200, &[], b"<html>log in first</html>"),
        (200, &[], b""),
    ];
    for (status, headers, body) in pages {
        let server = Server::start(move |_, wire| wire.answer(status, headers, body));
        let (mut library, news) = library(MIB);
        library.want(&[item(1, server.url("/a.mp3"))]);
        let mut reader = open(&library, 1);
        let error = reader.read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        let told = news.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(told.fault, MediaFault::Unplayable, "{status} {body:?}");
    }
}

#[test]
fn a_dash_manifest_is_refused_without_asking_the_host() {
    let server = Server::start(|_, wire| wire.answer(200, &[], b"x"));
    let (mut library, news) = library(MIB);
    library.want(&[item(1, server.url("/manifest.mpd?sig=1"))]);
    assert_eq!(news.recv().unwrap().fault, MediaFault::Unplayable);
    library.want(&[item(1, server.url("/manifest.mpd?sig=1"))]);
    assert!(news.try_recv().is_err(), "told once");
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_host_that_is_not_well_is_asked_again_until_it_is() {
    let song = song(100_000);
    let server = odd_host(&song, |number, _, wire| match number {
        0 => Some(wire.answer(500, &[], b"oops")),
        1 => Some(wire.answer(503, &[], b"")),
        2 => Some(Then::Close),
        3 => Some(wire.hang()),
        _ => None,
    });
    let (mut library, news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    assert!(read_all(open(&library, 1)) == *song);
    assert!(news.try_recv().is_err(), "no fault");
}

#[test]
fn a_slow_host_is_not_mistaken_for_a_dead_one() {
    let song = song(800);
    let slow = Arc::clone(&song);
    let server = odd_host(&song, move |_, _, wire| {
        wire.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 800\r\n\r\n");
        for piece in slow.chunks(100) {
            thread::sleep(Duration::from_millis(60));
            wire.raw(piece);
        }
        Some(Then::Keep)
    });
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    assert!(read_all(open(&library, 1)) == *song);
    assert_eq!(
        server.requests().len(),
        1,
        "longer than the stall time, but never silent for so long"
    );
}

#[test]
fn a_cancelled_reader_returns_at_once() {
    let server = Server::start(|_, wire| wire.hang());
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    let opened = library.open(SlotId(1)).unwrap();
    let mut reader = opened.reader;
    let reading = thread::spawn(move || (reader.read(&mut [0; 10]).unwrap_err(), Instant::now()));
    server.wait_for_requests(1);
    let asked = Instant::now();
    (opened.cancel)();
    let (error, ended) = reading.join().unwrap();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Other, "superseded")
    );
    assert!(ended.duration_since(asked) < Duration::from_millis(200));
}

#[test]
fn a_reader_of_what_is_not_wished_any_more_ends() {
    let server = Server::start(|_, wire| wire.hang());
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    let mut reader = open(&library, 1);
    let reading = thread::spawn(move || reader.read(&mut [0; 10]).unwrap_err());
    server.wait_for_requests(1);
    library.want(&[]);
    assert_eq!(reading.join().unwrap().to_string(), "superseded");
    assert!(library.open(SlotId(1)).is_none());
}

#[test]
fn memory_stays_within_its_budget_while_much_more_is_wished() {
    let song = song(MIB);
    let server = host(&song);
    let (mut library, _news) = library(2 * MIB + CHUNK_BYTES / 2);
    let wishes: Vec<Item> = (0..13)
        .map(|number| item(number, server.url(&format!("/{number}.mp3"))))
        .collect();
    library.want(&wishes);
    complete(&library, 0);
    complete(&library, 1);
    for number in [12, 3, 7, 0] {
        let mut other = wishes.clone();
        other.swap(0, number);
        library.want(&other);
        complete(&library, u8::try_from(number).unwrap());
        assert!(library.made_bytes() <= 2 * MIB);
        let held: u64 = library.levels().iter().map(|level| level.bytes).sum();
        assert!(held <= 2 * MIB as u64, "{held}");
    }
    assert_eq!(library.made_bytes(), 2 * MIB, "and it is used");
}

#[test]
fn an_entry_larger_than_all_memory_slides_past_its_reader() {
    let song = song(5 * MIB + 3);
    let server = host(&song);
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a.flac")), item(2, server.url("/b.flac"))]);
    let mut reader = open(&library, 1);
    let mut all = Vec::new();
    (&mut reader).take(4 * MIB as u64).read_to_end(&mut all).unwrap();
    reader.seek(SeekFrom::Start(10)).unwrap();
    let mut again = vec![0; 300_000];
    reader.read_exact(&mut again).unwrap();
    assert!(again == song[10..300_010], "what was given away is fetched again");
    reader.seek(SeekFrom::Start(4 * MIB as u64)).unwrap();
    reader.read_to_end(&mut all).unwrap();
    assert!(all == *song);
    assert!(library.made_bytes() <= MIB);
}

#[test]
fn a_held_connection_is_no_dead_connection() {
    let song = song(3 * MIB);
    let server = host(&song);
    let (mut library, news) = library(MIB);
    library.want(&[item(1, server.url("/a.flac"))]);
    let reader = open(&library, 1);
    until("memory is full", || level(&library, 1).bytes == MIB as u64);
    thread::sleep(patience().stall * 2);
    assert!(read_all(reader) == *song);
    assert!(news.try_recv().is_err());
}

#[test]
fn another_order_of_the_same_wishes_fetches_nothing_again() {
    let song = song(200_000);
    let server = host(&song);
    let (mut library, _news) = library(MIB);
    let [one, two] = [item(1, server.url("/1.mp3")), item(2, server.url("/2.mp3"))];
    library.want(&[one.clone(), two.clone()]);
    complete(&library, 1);
    complete(&library, 2);
    let moved = Item {
        wish: Wish {
            slot: SlotId(7),
            ..one.wish
        },
        ..one
    };
    library.want(&[two, moved]);
    assert!(read_all(open(&library, 7)) == *song);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn heads_come_over_one_connection_and_only_as_long_as_wished() {
    let song = song(4 * MIB);
    let server = host(&song);
    let (mut library, _news) = library(16 * MIB);
    library.want(&[
        head(1, server.url("/1.mp3")),
        head(2, server.url("/2.mp3")),
        head(3, server.url("/3.mp3")),
    ]);
    for slot in 1..=3 {
        until("half of the minute is loaded", || {
            level(&library, slot).bytes >= 2 * MIB as u64
        });
    }
    until("the threads rest", || {
        library.levels().iter().map(|level| level.bytes).sum::<u64>() == 6 * MIB as u64
    });
    assert_eq!(level(&library, 1).loaded, Some(Millis(30_000)));
    assert!(server.connections() <= FETCHERS_CONNECTIONS, "{}", server.connections());
}

/// One connection for each fetch thread.
const FETCHERS_CONNECTIONS: usize = 2;

#[test]
fn a_more_urgent_wish_does_not_wait_for_stalled_requests() {
    let song = song(100_000);
    let quick = Arc::clone(&song);
    let server = Server::start(move |request, wire| match request.target.as_str() {
        "/quick.mp3" => serve(request, wire, &quick),
        _ => wire.hang(),
    });
    let (mut library, _news) = library(4 * MIB);
    let stuck = [item(1, server.url("/1.mp3")), item(2, server.url("/2.mp3"))];
    library.want(&stuck);
    server.wait_for_requests(2);
    let asked = Instant::now();
    library.want(&[item(3, server.url("/quick.mp3")), stuck[0].clone(), stuck[1].clone()]);
    assert!(read_all(open(&library, 3)) == *song);
    assert!(asked.elapsed() < Duration::from_millis(200), "{:?}", asked.elapsed());
}

#[test]
fn a_redirect_is_followed_with_the_range_and_a_loop_is_not() {
    let song = song(100_000);
    let to = Arc::clone(&song);
    let server = Server::start(move |request, wire| match request.target.as_str() {
        "/there.mp3" => serve(request, wire, &to),
        "/loop.mp3" => wire.answer(302, &[("location", "/loop.mp3")], b""),
        _ => wire.answer(302, &[("location", "/there.mp3")], b""),
    });
    let (mut library, news) = library(MIB);
    library.want(&[item(1, server.url("/here.mp3")), item(2, server.url("/loop.mp3"))]);
    assert!(read_all(open(&library, 1)) == *song);
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.header("range").is_some())
    );
    let told = news.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!((told.slot, told.fault), (SlotId(2), MediaFault::Unplayable));
}

#[test]
fn an_address_that_is_none_is_unplayable() {
    for address in ["", "nonsense", "ftp://host/a.mp3", "http://"] {
        let (mut library, news) = library(MIB);
        library.want(&[item(1, address.to_owned())]);
        let told = news.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(told.fault, MediaFault::Unplayable, "{address:?}");
    }
}

#[test]
fn a_host_that_always_sends_the_same_piece_does_not_keep_the_thread_spinning() {
    let server = Server::start(|_, wire| wire.answer(206, &[("content-range", "bytes 0-9/100")], &[0xff; 10]));
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    server.wait_for_requests(3);
    let before = server.requests().len();
    thread::sleep(Duration::from_millis(200));
    let more = server.requests().len() - before;
    assert!(more < 100, "{more} requests in 200 ms, with 20 ms of back-off at most");
}

#[test]
fn closing_does_not_wait_for_a_host_and_ends_readers() {
    let server = Server::start(|_, wire| wire.hang());
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/1.mp3")), item(2, server.url("/2.mp3"))]);
    server.wait_for_requests(2);
    let mut reader = open(&library, 1);
    let asked = Instant::now();
    library.close();
    assert!(asked.elapsed() < Duration::from_millis(250), "{:?}", asked.elapsed());
    assert_eq!(reader.read(&mut [0; 4]).unwrap_err().to_string(), "superseded");
}

#[test]
fn too_little_memory_is_refused_with_a_number() {
    let refusal = Library::start(Settings::with_memory(1000), Arc::new(|_| ())).err();
    assert!(matches!(refusal, Some(MediaError::Memory { memory_bytes: 1000 })));
}

#[test]
fn seeking_before_the_start_is_an_error_and_past_the_end_reads_nothing() {
    let song = song(1000);
    let server = host(&song);
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    let mut reader = open(&library, 1);
    assert!(reader.seek(SeekFrom::Current(-1)).is_err());
    assert_eq!(reader.seek(SeekFrom::End(5)).unwrap(), 1005);
    assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
}

#[test]
fn the_back_off_is_jittered_grows_and_stops_growing() {
    let patience = Patience::default();
    assert_eq!(backoff(&patience, 0, 0), Duration::ZERO);
    assert_eq!(backoff(&patience, 0, u32::MAX), Duration::from_millis(250));
    assert_eq!(backoff(&patience, 3, u32::MAX), Duration::from_secs(2));
    assert_eq!(backoff(&patience, 1000, u32::MAX), Duration::from_secs(8));
}
