//! The fetch threads against a scripted media host: every byte right, every trouble outlasted, every fault told once.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::thread;

use tonearm_core::id::{EntryKey, SlotId};
use tonearm_core::limits::FRESH_ADDRESSES_MAX;

use super::super::fixture::*;
use super::*;

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
            announce(wire, &cut, 0);
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
        announce(wire, &cut, first);
        wire.raw(&rest[..rest.len().min(20_011)]);
        Some(Then::Close)
    });
    let (mut library, _news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    assert!(read_all(open(&library, 1)) == *song);
    assert_eq!(server.requests().len(), 15);
}

#[test]
fn a_host_that_announces_more_than_it_has_is_not_asked_for_ever() {
    let song = song(300_000);
    let server = Server::start(move |request, wire| {
        let (first, _) = request.range().unwrap_or_default();
        let has = &song[first..200_000];
        wire.answer(206, &[("content-range", &format!("bytes {first}-299999/300000"))], has)
    });
    let (mut library, news) = library(MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    let mut heard = Vec::new();
    let error = open(&library, 1).read_to_end(&mut heard).unwrap_err();
    assert_eq!((error.kind(), heard.len()), (ErrorKind::InvalidData, 200_000));
    let told = news.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(told.fault, MediaFault::Unplayable);
    assert!(server.requests().len() > 2, "once may be chance");
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
            announce(wire, &slow, 0);
            wire.raw(&slow[..1000]);
            wire.hang()
        })
    });
    let (mut library, _news) = library_with(8 * MIB, Patience::default());
    library.want(&[item(1, server.url("/a.m4a"))]);
    let mut reader = open(&library, 1);
    let mut bytes = [0; 100];
    reader.read_exact(&mut bytes).unwrap();
    let asked = Instant::now();
    reader.seek(SeekFrom::End(-5000)).unwrap();
    reader.read_exact(&mut bytes).unwrap();
    assert!(
        asked.elapsed() < Patience::default().stall / 2,
        "not before the first request stalled"
    );
    assert_eq!(bytes[..], song[song.len() - 5000..][..100]);
}

#[test]
fn an_expired_address_is_told_once_and_a_fresh_one_continues_under_the_reader() {
    let song = song(MIB);
    let cut = Arc::clone(&song);
    let server = Server::start(move |request, wire| match (request.target.as_str(), request.range()) {
        ("/fresh.mp3", _) => respond(request, wire, &cut),
        (_, Some((0, _))) => {
            announce(wire, &cut, 0);
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
fn an_entry_whose_last_fresh_address_is_refused_cannot_be_played() {
    let server = Server::start(|_, wire| wire.answer(403, &[], b""));
    let (mut library, news) = library(MIB);
    let mut faults = Vec::new();
    library.want(&[attempt(1, server.url("/0.mp3"), 0)]);
    let mut reader = open(&library, 1);
    for fresh in 1..=FRESH_ADDRESSES_MAX {
        faults.push(news.recv_timeout(Duration::from_secs(10)).unwrap().fault);
        library.want(&[attempt(1, server.url(&format!("/{fresh}.mp3")), fresh)]);
    }
    assert!(faults.iter().all(|fault| *fault == MediaFault::Expired), "{faults:?}");
    assert_eq!(reader.read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(
        news.recv_timeout(Duration::from_secs(10)).unwrap().fault,
        MediaFault::Unplayable
    );
}

#[test]
fn what_can_never_be_played_is_told_and_ends_the_reader() {
    type Page = (u16, &'static [(&'static str, &'static str)], &'static [u8]);
    let pages: [Page; 6] = [
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
fn a_redirect_is_followed_with_the_range_and_a_loop_is_not() {
    let song = song(100_000);
    let to = Arc::clone(&song);
    let server = Server::start(move |request, wire| match request.target.as_str() {
        "/there.mp3" => respond(request, wire, &to),
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
fn the_back_off_is_jittered_grows_and_stops_growing() {
    let patience = Patience::default();
    assert_eq!(backoff(&patience, 0, 0), Duration::ZERO);
    assert_eq!(backoff(&patience, 0, u32::MAX), Duration::from_millis(250));
    assert_eq!(backoff(&patience, 3, u32::MAX), Duration::from_secs(2));
    assert_eq!(backoff(&patience, 1000, u32::MAX), Duration::from_secs(8));
}

#[test]
fn a_name_that_is_not_found_and_a_certificate_of_somebody_in_between_cost_no_entry() {
    let server = crate::tls::fixture::Server::start("localhost", crate::tls::fixture::Valid::Always);
    for url in ["https://media.invalid/1.flac".to_owned(), server.url() + "/1.flac"] {
        let (mut library, news) = library(MIB);
        library.want(&[item(1, url.clone())]);
        until("a try that failed", || library.shared().lock().bodies[0].trouble > 1);
        assert!(news.try_recv().is_err(), "{url}");
        assert_eq!(level(&library, 1).failed, None, "{url}");
    }
}

#[test]
fn a_way_out_that_is_another_one_costs_a_request_and_no_byte() {
    let song = song(MIB);
    let slow = Arc::clone(&song);
    let server = Server::start(move |request, wire| {
        if request.connection > 0 {
            return respond(request, wire, &slow);
        }
        announce(wire, &slow, 0);
        wire.raw(&slow[..300_000]);
        wire.hang()
    });
    let (mut library, news) = library(4 * MIB);
    library.want(&[item(1, server.url("/a.mp3"))]);
    let reader = open(&library, 1);
    until("some bytes", || level(&library, 1).bytes == 300_000);
    library.reconnect();
    assert!(read_all(reader) == *song);
    assert_eq!(server.requests().last().unwrap().range(), Some((300_000, None)));
    assert!(news.try_recv().is_err());
}
