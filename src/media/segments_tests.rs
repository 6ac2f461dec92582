//! Entries with a manifest against a scripted media host: every segment right and in order, every lie of a manifest and
//! every whim of a host survived, memory within its budget.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tonearm_core::id::SlotId;
use tonearm_core::input::MediaFault;
use tonearm_core::unit::Millis;

use super::super::fixture::*;
use super::super::library::{Library, News};
use super::*;

#[path = "segments_manifest_tests.rs"]
mod manifests;

/// Bytes of a segment of the small sets: more than a chunk.
const SEGMENT: usize = 70_001;

/// A manifest of two bit rates: `count` segments of 4 s, announced as `length`.
fn manifest(length: &str, count: usize) -> String {
    let repeated = count - 1;
    format!(
        r#"<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="{length}" minBufferTime="PT2S">
 <Period id="0"><AdaptationSet contentType="audio" mimeType="audio/mp4">
  <SegmentTemplate timescale="48000" startNumber="0" initialization="$RepresentationID$/init" media="$RepresentationID$/$Number$">
   <SegmentTimeline><S t="0" d="192000" r="{repeated}"/></SegmentTimeline></SegmentTemplate>
  <Representation id="low" bandwidth="64000" codecs="opus" audioSamplingRate="48000"/>
  <Representation id="high" bandwidth="128000" codecs="opus" audioSamplingRate="48000"/>
 </AdaptationSet></Period></MPD>"#
    )
}

/// The bytes at `/…/low/3` and the like; equal at no two places.
fn segment(source: &[u8], path: &str, length: usize) -> Option<Vec<u8>> {
    let (rest, name) = path.rsplit_once('/')?;
    let set = rest.rsplit('/').next()?;
    if name == "init" {
        return Some(format!("\0description of {set}").into_bytes());
    }
    let number: usize = name.parse().ok()?;
    let shift = 1 + number * 13 + if set == "high" { 7 } else { 0 };
    let mut bytes = source.get(shift..)?.to_vec();
    while bytes.len() < length {
        bytes.extend_from_slice(source);
    }
    bytes.truncate(length);
    Some(bytes)
}

/// A well-behaved answer of a host with the set at `/…/m.mpd`.
fn serve(request: &Request, wire: &Wire<'_>, manifest: &str, source: &[u8], length: usize) -> Then {
    let path = request.target.split('?').next().unwrap_or_default();
    if path.ends_with("m.mpd") {
        return wire.answer(200, &[("content-type", "application/dash+xml")], manifest.as_bytes());
    }
    match segment(source, path, length) {
        Some(bytes) => respond(request, wire, &bytes),
        None => wire.answer(404, &[], b""),
    }
}

/// A host of ten segments that answers oddly where `odd` says how.
fn set(odd: impl Fn(&Request, &Wire<'_>) -> Option<Then> + Send + Sync + 'static) -> (Server, Arc<Vec<u8>>) {
    let source = song(SEGMENT);
    let hosted = Arc::clone(&source);
    let manifest = manifest("PT40S", 10);
    let server = Server::start(move |request, wire| {
        odd(request, wire).unwrap_or_else(|| serve(request, wire, &manifest, &hosted, SEGMENT))
    });
    (server, source)
}

/// Loads the set at `/a/m.mpd`.
fn loading(server: &Server) -> (Library, Receiver<News>) {
    let (mut library, news) = library(4 * MIB);
    library.want(&[listed(1, server.url("/a/m.mpd"))]);
    (library, news)
}

fn segments(library: &Library) -> Segments {
    segments_in(library, SlotId(1))
}

fn segments_in(library: &Library, slot: SlotId) -> Segments {
    match library.open(slot).unwrap().stream.wait().unwrap() {
        Entry::Segments(segments) => segments,
        Entry::File(_) => panic!("it is no file"),
    }
}

/// Reads a segment and says which it was: its set and its bytes.
fn read(segment: Segment) -> io::Result<(String, Vec<u8>)> {
    let description = String::from_utf8(segment.description.unwrap().to_vec()).unwrap();
    let mut bytes = Vec::new();
    let mut media = segment.media;
    media.read_to_end(&mut bytes)?;
    Ok((description.rsplit(' ').next().unwrap().to_owned(), bytes))
}

/// Reads all segments from the next one on and checks them; their sets in order.
fn read_on(segments: &mut Segments, source: &[u8], first: usize, length: usize) -> Vec<String> {
    let mut sets = Vec::new();
    while let Some(next) = segments.next().unwrap() {
        let number = first + sets.len();
        assert_eq!(next.begin, Duration::from_secs(4 * number as u64));
        let (name, bytes) = read(next).unwrap();
        let expected = segment(source, &format!("/{name}/{number}"), length).unwrap();
        assert!(bytes == expected, "segment {number} of {name}");
        sets.push(name);
    }
    sets
}

#[test]
fn segments_come_in_order_and_whole_with_their_description() {
    let (server, source) = set(|_, _| None);
    let (mut library, news) = library(4 * MIB);
    library.want(&[listed(1, server.url("/a/m.mpd?sig=1"))]);
    let mut all = segments(&library);
    assert_eq!(all.length(), Some(Duration::from_secs(40)));
    assert_eq!(read_on(&mut all, &source, 0, SEGMENT).len(), 10);
    assert!(all.next().unwrap().is_none(), "and nothing behind");
    assert!(level(&library, 1).complete);
    assert_eq!(level(&library, 1).loaded, Some(Millis(40_000)));
    assert!(library.figures().bandwidth_bps.is_some());
    assert!(news.try_recv().is_err());
}

#[test]
fn a_search_leads_to_the_segment_that_sounds_there() {
    let (server, source) = set(|_, _| None);
    let (library, _news) = loading(&server);
    let mut all = segments(&library);
    assert!(all.seek(Duration::from_millis(30_500)).unwrap());
    assert_eq!(read_on(&mut all, &source, 7, SEGMENT).len(), 3);
    assert!(all.seek(Duration::from_secs(4)).unwrap());
    assert_eq!(read_on(&mut all, &source, 1, SEGMENT).len(), 9);
    assert!(!all.seek(Duration::from_secs(41)).unwrap(), "the entry ends before");
    assert!(all.next().unwrap().is_none());
}

#[test]
fn the_head_of_an_entry_is_its_first_segments() {
    let (server, _) = set(|_, _| None);
    let (mut library, _news) = library(4 * MIB);
    library.want(&[head(1, server.url("/a/m.mpd"))]);
    until("30 s are loaded", || level(&library, 1).loaded == Some(Millis(32_000)));
    until("the threads rest", || level(&library, 1).bytes == 8 * SEGMENT as u64);
    assert!(!level(&library, 1).complete);
}

/// An entry of so many segments of 4 s and 4 MiB, which is 24 bits at 192 kHz, is read in so much memory while another one
/// is wished, and the beginning is found again.
fn slides_within(memory: usize, count: usize) {
    const LENGTH: usize = 4 * MIB + 5;
    let source = song(SEGMENT);
    let (hosted, manifest) = (Arc::clone(&source), manifest(&format!("PT{}S", 4 * count), count));
    let server = Server::start(move |request, wire| serve(request, wire, &manifest, &hosted, LENGTH));
    let (mut library, news) = library(memory);
    library.want(&[listed(1, server.url("/a/m.mpd")), listed(2, server.url("/b/m.mpd"))]);
    let mut all = segments(&library);
    assert_eq!(read_on(&mut all, &source, 0, LENGTH).len(), count);
    assert!(all.seek(Duration::ZERO).unwrap(), "what gave way is fetched again");
    let (name, bytes) = read(all.next().unwrap().unwrap()).unwrap();
    assert!(bytes == segment(&source, &format!("/{name}/0"), LENGTH).unwrap());
    assert!(library.made_bytes() <= memory);
    let figures = library.figures();
    assert!(figures.link_bps.is_some(), "what the link carries is measured");
    assert!(news.try_recv().is_err());
}

#[test]
fn an_entry_in_the_highest_quality_slides_through_little_memory() {
    slides_within(8 * MIB, 8);
}

#[test]
fn an_entry_longer_than_the_usual_memory_in_the_highest_quality_slides_through_it() {
    slides_within(64 * MIB, 20);
}

#[test]
fn a_segment_that_is_missing_is_taken_from_another_representation() {
    let first = Arc::new(AtomicUsize::new(0));
    let (server, source) = set(move |request, wire| {
        // Whichever representation is asked for first lacks it.
        let missing = request.target.ends_with("/5") && first.fetch_add(1, Ordering::AcqRel) == 0;
        missing.then(|| wire.answer(404, &[], b""))
    });
    let (library, news) = loading(&server);
    let sets = read_on(&mut segments(&library), &source, 0, SEGMENT);
    assert_eq!(sets.len(), 10);
    let asked: Vec<_> = server
        .requests()
        .into_iter()
        .filter(|one| one.target.ends_with("/5"))
        .collect();
    assert_ne!(asked[0].target, asked[1].target);
    assert!(news.try_recv().is_err());
}

#[test]
fn a_segment_that_no_representation_has_ends_the_entry_as_broken() {
    let (server, _) = set(|request, wire| request.target.ends_with("/5").then(|| wire.answer(404, &[], b"")));
    let (library, news) = loading(&server);
    let mut all = segments(&library);
    assert_eq!(
        news.recv_timeout(Duration::from_secs(10)).unwrap().fault,
        MediaFault::Unplayable
    );
    let error = std::iter::repeat_with(|| all.next()).find_map(Result::err);
    assert_eq!(error.unwrap().kind(), ErrorKind::InvalidData, "no clean end");
    let asked = server
        .requests()
        .iter()
        .filter(|one| one.target.ends_with("/5"))
        .count();
    assert_eq!(asked, 2, "each representation once");
}

#[test]
fn a_segment_that_is_cut_is_resumed_and_never_ends_early() {
    let source = song(SEGMENT);
    let (hosted, manifest) = (Arc::clone(&source), manifest("PT40S", 10));
    let server = Server::start(move |request, wire| {
        let bytes = segment(&hosted, &request.target, SEGMENT);
        match (bytes, request.range()) {
            (Some(bytes), Some((from, _))) if !request.target.ends_with("init") && from < 40_000 => {
                announce(wire, &bytes, from);
                wire.raw(&bytes[from..][..20_000]);
                Then::Close
            }
            _ => serve(request, wire, &manifest, &hosted, SEGMENT),
        }
    });
    let (library, _news) = loading(&server);
    assert_eq!(read_on(&mut segments(&library), &source, 0, SEGMENT).len(), 10);
}

/// Reads all of the set at `/old/`, whose address runs out, and then at `/new/`; the sets that were read.
fn read_to_a_fresh_address(server: &Server, source: Arc<Vec<u8>>) -> Vec<String> {
    let (mut library, news) = library(4 * MIB);
    library.want(&[listed(1, server.url("/old/m.mpd"))]);
    let mut all = segments(&library);
    let reading = thread::spawn(move || read_on(&mut all, &source, 0, SEGMENT));
    let told = news.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(told.fault, MediaFault::Expired);
    library.want(&[attempt(1, server.url("/new/m.mpd"), 1)]);
    reading.join().unwrap()
}

#[test]
fn an_expired_address_is_renewed_and_goes_on_at_the_same_segment() {
    let (server, source) = set(|request, wire| {
        let is_expired = request.target.starts_with("/old/") && request.target.ends_with("/6");
        is_expired.then(|| wire.answer(403, &[], b""))
    });
    assert_eq!(read_to_a_fresh_address(&server, source).len(), 10);
    let fresh: Vec<String> = server.requests().into_iter().map(|one| one.target).collect();
    assert!(
        !fresh
            .iter()
            .any(|target| target.starts_with("/new/") && target.ends_with("/5")),
        "{fresh:?}"
    );
    assert!(
        !fresh
            .iter()
            .any(|target| target.starts_with("/old/") && target.ends_with("/7")),
        "{fresh:?}"
    );
}

#[test]
fn whoever_waits_for_a_segment_ends_when_it_is_cancelled() {
    let (server, _) = set(|request, wire| request.target.ends_with("/2").then(|| wire.hang()));
    let (mut library, _news) = library_with(4 * MIB, super::super::fetch::Patience::default());
    library.want(&[listed(1, server.url("/a/m.mpd"))]);
    let opened = library.open(SlotId(1)).unwrap();
    let Entry::Segments(mut all) = opened.stream.wait().unwrap() else {
        panic!("it is no file")
    };
    let reading = thread::spawn(move || {
        loop {
            let read = all.next().and_then(|next| read(next.unwrap()));
            if let Err(error) = read {
                return error;
            }
        }
    });
    until("it waits for the third", || {
        server.requests().iter().any(|one| one.target.ends_with("/2"))
    });
    (opened.cancel)();
    assert_eq!(reading.join().unwrap().to_string(), "superseded");
}

/// A reproducible dice.
fn throw(state: &mut u64, sides: u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % sides
}

/// Two entries, searches and openings at a host that cuts, refuses for a while and ignores ranges, in too little memory.
fn wander(seed: u64) {
    let (fate, manifest) = (Mutex::new(seed), manifest("PT40S", 10));
    let source = song(SEGMENT);
    let hosted = Arc::clone(&source);
    let server = Server::start(move |request, wire| {
        let thrown = {
            let mut fate = fate.lock().unwrap();
            (throw(&mut fate, 8), throw(&mut fate, 70_000))
        };
        let bytes = segment(&hosted, &request.target, 3 * SEGMENT);
        match (thrown, bytes) {
            ((0, _), _) => wire.answer(503, &[], b""),
            ((1, _), Some(bytes)) => wire.answer(200, &[("etag", "\"1\"")], &bytes),
            ((2, length), Some(bytes)) => {
                let first = request.range().map_or(0, |(first, _)| first);
                announce(wire, &bytes, first);
                wire.raw(&bytes[first..][..usize::try_from(length).unwrap().min(bytes.len() - first)]);
                Then::Close
            }
            _ => serve(request, wire, &manifest, &hosted, 3 * SEGMENT),
        }
    });
    let (mut library, news) = library(MIB);
    let mut dice = !seed;
    for turn in 0..12 {
        let mut wishes = vec![listed(1, server.url("/a/m.mpd")), listed(2, server.url("/b/m.mpd"))];
        wishes.rotate_left(usize::from(turn % 3 == 2));
        library.want(&wishes);
        let mut all = segments_in(&library, wishes[0].wish.slot);
        let first = throw(&mut dice, 10);
        assert!(all.seek(Duration::from_secs(4 * first + 1)).unwrap());
        for number in first..(first + 1 + throw(&mut dice, 4)).min(10) {
            let (name, bytes) = read(all.next().unwrap().unwrap()).unwrap();
            let expected = segment(&source, &format!("/{name}/{number}"), 3 * SEGMENT).unwrap();
            assert!(bytes == expected, "seed {seed}: segment {number} of {name}");
            assert!(library.made_bytes() <= MIB, "seed {seed}");
        }
    }
    assert_eq!(news.try_recv().ok(), None, "seed {seed}");
}

#[test]
fn whatever_a_host_does_every_segment_that_is_read_is_right_and_memory_is_kept() {
    for seed in 0..6 {
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
