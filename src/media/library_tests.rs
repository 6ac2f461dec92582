//! The library as the speaker uses it: wishes, slots, memory, readers, leaving.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::thread;

use symphonia::core::io::MediaSource;

use super::super::fixture::*;
use super::super::glance::Look;
use super::*;

#[test]
fn an_entry_is_loaded_whole_and_read_back_byte_for_byte() {
    let song = song(3 * MIB + 77);
    let server = host(&song);
    let (mut library, _news) = library(8 * MIB);
    library.want(&[item(1, server.url("/a.flac"))]);
    let opened = library.open(SlotId(1)).unwrap();
    assert_eq!(opened.hint.as_deref(), Some("flac"));
    let reader = opened.stream.into_file();
    assert_eq!(reader.byte_len(), Some(song.len() as u64));
    assert!(read_all(reader) == *song);
    assert_eq!(level(&library, 1).loaded, Some(Millis(60_000)));
}

#[test]
fn a_cancelled_reader_returns_at_once() {
    let server = Server::start(|_, wire| wire.hang());
    let (mut library, _news) = library_with(MIB, Patience::default());
    library.want(&[item(1, server.url("/a.mp3"))]);
    let opened = library.open(SlotId(1)).unwrap();
    let mut reader = opened.stream.into_file();
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
    let refusal = Library::start(
        Settings::with_memory(1000, crate::tls::fixture::believing()),
        Arc::new(|_| ()),
    )
    .err();
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

/// A reproducible dice.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// Seeks, skips and re-ordered wishes at a host that cuts, refuses and ignores ranges, in too little memory.
fn wander(seed: u64) {
    let songs: Vec<_> = [3 * MIB, 200_000, 65_536, MIB + 1].into_iter().map(song).collect();
    let (hosted, fate) = (songs.clone(), Mutex::new(Dice(seed)));
    let server = Server::start(move |request, wire| {
        let song = &hosted[usize::from(request.target.as_bytes()[1] - b'0')];
        let first = request.range().map_or(0, |(first, _)| first);
        // Thrown before anything is written: a write may block for as long as the reader rests.
        let thrown = {
            let mut fate = fate.lock().unwrap();
            (fate.below(8), fate.below(300_000))
        };
        match thrown {
            (0, _) => wire.answer(500, &[], b""),
            (1, _) => wire.answer(200, &[("etag", "\"1\"")], song),
            (2, length) => {
                announce(wire, song, first);
                wire.raw(&song[first..][..length.min(song.len() - first)]);
                Then::Close
            }
            _ => respond(request, wire, song),
        }
    });
    let (mut library, news) = library(MIB);
    let mut dice = Dice(!seed);
    for _ in 0..60 {
        let mut wishes: Vec<Item> = (0..4)
            .map(|number| item(number, server.url(&format!("/{number}.mp3"))))
            .collect();
        wishes.rotate_left(dice.below(4));
        wishes.truncate(1 + dice.below(4));
        library.want(&wishes);
        let slot = wishes[0].wish.slot;
        let song = &songs[usize::from(slot.0)];
        let mut reader = open(&library, slot.0);
        for _ in 0..dice.below(4) {
            let at = dice.below(song.len());
            reader.seek(SeekFrom::Start(at as u64)).unwrap();
            let mut bytes = vec![0; (1 + dice.below(400_000)).min(song.len() - at)];
            reader.read_exact(&mut bytes).unwrap();
            assert!(bytes == song[at..at + bytes.len()], "seed {seed}: other bytes at {at}");
            assert!(library.made_bytes() <= MIB, "seed {seed}");
        }
    }
    assert_eq!(news.try_recv().ok(), None, "seed {seed}");
}

#[test]
fn whatever_a_host_does_every_byte_that_is_read_is_right() {
    for seed in 0..8 {
        let (done, ended) = channel();
        thread::spawn(move || {
            wander(seed);
            done.send(()).unwrap();
        });
        ended
            .recv_timeout(Duration::from_secs(60))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn a_glance_reads_what_is_there_without_counting_as_a_reader() {
    let song = song(MIB);
    let server = odd_host(&song, {
        let song = Arc::clone(&song);
        // The first answer stops in the middle, and no other one comes.
        move |number, _, wire| {
            if number > 0 {
                return Some(wire.hang());
            }
            announce(wire, &song, 0);
            wire.raw(&song[..MIB / 2]);
            Some(wire.hang())
        }
    });
    let (mut library, _news) = library_with(8 * MIB, Patience::default());
    library.want(&[item(1, server.url("/a.flac"))]);
    let peek = library.peek(SlotId(1)).unwrap();
    until("half of it is loaded", || level(&library, 1).bytes == (MIB / 2) as u64);
    let Some(Look::File(mut glance, hint)) = peek.open() else {
        panic!("it is a file")
    };
    assert_eq!(hint.as_deref(), Some("flac"));
    assert_eq!(glance.byte_len(), Some(MIB as u64));
    let mut half = vec![0; MIB / 2];
    glance.read_exact(&mut half).unwrap();
    assert!(half == song[..MIB / 2]);
    assert_eq!(glance.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(glance.seek(SeekFrom::End(0)).unwrap(), MIB as u64);
    assert_eq!(glance.read(&mut [0]).unwrap(), 0);
    library.want(&[]);
    assert_eq!(level_count(&library), 0, "it keeps nothing in memory");
    assert_eq!(
        glance
            .rewind()
            .map(|()| glance.read(&mut [0]).unwrap_err().kind())
            .unwrap(),
        ErrorKind::WouldBlock
    );
    assert!(peek.open().is_none());
}

#[test]
fn there_is_nothing_to_glance_at_before_the_start_is_loaded() {
    let server = Server::start(|_, wire| wire.hang());
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    server.wait_for_requests(1);
    assert!(library.peek(SlotId(1)).unwrap().open().is_none());
    assert!(library.peek(SlotId(2)).is_none());
}

fn level_count(library: &Library) -> usize {
    library.levels().len()
}
