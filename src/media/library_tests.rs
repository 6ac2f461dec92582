//! The library as the speaker uses it: wishes, slots, memory, readers, leaving.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::thread;

use symphonia::core::io::MediaSource;
use tonearm_core::effect::Extent;

use super::super::fixture::*;
use super::*;

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
fn a_cancelled_reader_returns_at_once() {
    let server = Server::start(|_, wire| wire.hang());
    let (mut library, _news) = library_with(MIB, Patience::default());
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
    assert!(ended.duration_since(asked) < Patience::default().stall / 2);
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
    assert!(server.connections() <= FETCHERS, "{}", server.connections());
}

#[test]
fn a_more_urgent_wish_does_not_wait_for_stalled_requests() {
    let song = song(100_000);
    let quick = Arc::clone(&song);
    let server = Server::start(move |request, wire| match request.target.as_str() {
        "/quick.mp3" => respond(request, wire, &quick),
        _ => wire.hang(),
    });
    let (mut library, _news) = library_with(4 * MIB, Patience::default());
    let stuck = [item(1, server.url("/1.mp3")), item(2, server.url("/2.mp3"))];
    library.want(&stuck);
    server.wait_for_requests(2);
    let asked = Instant::now();
    library.want(&[item(3, server.url("/quick.mp3")), stuck[0].clone(), stuck[1].clone()]);
    assert!(read_all(open(&library, 3)) == *song);
    assert!(asked.elapsed() < Patience::default().stall / 2, "{:?}", asked.elapsed());
}

#[test]
fn closing_does_not_wait_for_a_host_and_ends_readers() {
    let server = Server::start(|_, wire| wire.hang());
    let (mut library, _news) = library_with(MIB, Patience::default());
    library.want(&[item(1, server.url("/1.mp3")), item(2, server.url("/2.mp3"))]);
    server.wait_for_requests(2);
    let mut reader = open(&library, 1);
    let asked = Instant::now();
    library.close();
    assert!(asked.elapsed() < Patience::default().stall / 2, "{:?}", asked.elapsed());
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
