//! Entries with a manifest against a scripted media host: every segment right and in order, every lie of a manifest and
//! every whim of a host survived, memory within its budget.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tonearm_core::id::SlotId;
use tonearm_core::input::MediaFault;
use tonearm_core::unit::Millis;

use super::super::fixture::*;
use super::super::library::Library;
use super::*;

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
    library.want(&[item(1, server.url("/a/m.mpd?sig=1"))]);
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
    let (mut library, _news) = library(4 * MIB);
    library.want(&[item(1, server.url("/a/m.mpd"))]);
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

#[test]
fn a_long_album_in_the_highest_quality_slides_through_little_memory() {
    const LENGTH: usize = 4 * MIB + 5;
    let source = song(SEGMENT);
    let (hosted, manifest) = (Arc::clone(&source), manifest("PT32S", 8));
    let server = Server::start(move |request, wire| serve(request, wire, &manifest, &hosted, LENGTH));
    // Segments of 4 s and 4 MiB are 8 Mbit/s: 24 bits at 192 kHz.
    let (mut library, news) = library(8 * MIB);
    library.want(&[item(1, server.url("/a/m.mpd")), item(2, server.url("/b/m.mpd"))]);
    let mut all = segments(&library);
    assert_eq!(read_on(&mut all, &source, 0, LENGTH).len(), 8);
    assert!(library.made_bytes() <= 8 * MIB);
    assert!(
        library.figures().link_bps.is_some(),
        "what the link carries is measured"
    );
    assert!(news.try_recv().is_err());
}

#[test]
fn a_segment_that_is_missing_is_taken_from_another_representation() {
    let first = Arc::new(AtomicUsize::new(0));
    let (server, source) = set(move |request, wire| {
        // Whichever representation is asked for first lacks it.
        let missing = request.target.ends_with("/5") && first.fetch_add(1, Ordering::AcqRel) == 0;
        missing.then(|| wire.answer(404, &[], b""))
    });
    let (mut library, news) = library(4 * MIB);
    library.want(&[item(1, server.url("/a/m.mpd"))]);
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
    let (mut library, news) = library(4 * MIB);
    library.want(&[item(1, server.url("/a/m.mpd"))]);
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
fn what_a_manifest_lists_behind_the_announced_length_may_be_missing() {
    let source = song(SEGMENT);
    let (hosted, listed) = (Arc::clone(&source), manifest("PT40S", 12));
    let server = Server::start(move |request, wire| {
        if request.target.ends_with("/10") || request.target.ends_with("/11") {
            return wire.answer(404, &[], b"");
        }
        serve(request, wire, &listed, &hosted, SEGMENT)
    });
    let (mut library, news) = library(4 * MIB);
    library.want(&[item(1, server.url("/a/m.mpd"))]);
    assert_eq!(read_on(&mut segments(&library), &source, 0, SEGMENT).len(), 10);
    assert!(level(&library, 1).complete);
    assert!(news.try_recv().is_err());
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
    let (mut library, _news) = library(4 * MIB);
    library.want(&[item(1, server.url("/a/m.mpd"))]);
    assert_eq!(read_on(&mut segments(&library), &source, 0, SEGMENT).len(), 10);
}

#[test]
fn an_expired_address_is_renewed_and_goes_on_at_the_same_segment() {
    let (server, source) = set(|request, wire| {
        let is_expired = request.target.starts_with("/old/") && request.target.ends_with("/6");
        is_expired.then(|| wire.answer(403, &[], b""))
    });
    let (mut library, news) = library(4 * MIB);
    library.want(&[item(1, server.url("/old/m.mpd"))]);
    let mut all = segments(&library);
    let reading = thread::spawn(move || read_on(&mut all, &source, 0, SEGMENT));
    let told = news.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(told.fault, MediaFault::Expired);
    library.want(&[attempt(1, server.url("/new/m.mpd"), 1)]);
    assert_eq!(reading.join().unwrap().len(), 10);
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
fn what_an_address_holds_counts_and_not_what_it_is_called() {
    let source = song(SEGMENT);
    let hosted = Arc::clone(&source);
    let server = Server::start(move |request, wire| match request.target.as_str() {
        "/song.mpd" => respond(request, wire, &hosted),
        "/a/album.mp3" => wire.answer(200, &[("content-type", "text/xml")], manifest("PT40S", 10).as_bytes()),
        "/elsewhere.mpd" => wire.answer(302, &[("location", "/b/m.mpd")], b""),
        _ => serve(request, wire, &manifest("PT40S", 10), &hosted, SEGMENT),
    });
    let (mut library, _news) = library(4 * MIB);
    library.want(&[item(1, server.url("/a/album.mp3"))]);
    assert_eq!(read_on(&mut segments(&library), &source, 0, SEGMENT).len(), 10);
    library.want(&[]);
    library.want(&[item(1, server.url("/elsewhere.mpd"))]);
    assert_eq!(
        read_on(&mut segments(&library), &source, 0, SEGMENT).len(),
        10,
        "relative to where it was found"
    );
    library.want(&[]);
    library.want(&[item(1, server.url("/song.mpd"))]);
    match library.open(SlotId(1)).unwrap().stream.wait().unwrap() {
        Entry::File(file) => assert!(read_all(file) == *source),
        Entry::Segments(_) => panic!("it is a file"),
    }
}

#[test]
fn what_is_no_manifest_or_has_nothing_to_be_played_is_unplayable() {
    let surround = manifest("PT40S", 10).replace("codecs=\"opus\"", "codecs=\"ec-3\"");
    let pages = [
        surround,
        "<html><body>log in first</body></html>".to_owned(),
        "<MPD".to_owned(),
        format!("<MPD>{}</MPD>", " ".repeat(2 * MIB)),
    ];
    for page in pages {
        let told = page.chars().take(40).collect::<String>();
        let server = Server::start(move |_, wire| wire.answer(200, &[], page.as_bytes()));
        let (mut library, news) = library(4 * MIB);
        library.want(&[item(1, server.url("/m.mpd"))]);
        let fault = news.recv_timeout(Duration::from_secs(10)).unwrap().fault;
        assert_eq!(fault, MediaFault::Unplayable, "{told}");
        let opened = library.open(SlotId(1)).unwrap();
        assert_eq!(
            opened.stream.wait().err().unwrap().kind(),
            ErrorKind::InvalidData,
            "{told}"
        );
    }
}

#[test]
fn whoever_waits_for_a_segment_ends_when_it_is_cancelled() {
    let (server, _) = set(|request, wire| request.target.ends_with("/2").then(|| wire.hang()));
    let (mut library, _news) = library_with(4 * MIB, super::super::fetch::Patience::default());
    library.want(&[item(1, server.url("/a/m.mpd"))]);
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

/// A segment index of `count` segments of 4 s and so many bytes each.
fn sidx(count: u16, bytes: u32) -> Vec<u8> {
    let mut index = Vec::new();
    let size = 32 + 12 * u32::from(count);
    for word in [size, u32::from_be_bytes(*b"sidx"), 0, 1, 48_000, 0, 0] {
        index.extend_from_slice(&word.to_be_bytes());
    }
    index.extend_from_slice(&[0, 0]);
    index.extend_from_slice(&count.to_be_bytes());
    for _ in 0..count {
        for word in [bytes, 192_000, 0x9000_0000] {
            index.extend_from_slice(&word.to_be_bytes());
        }
    }
    index
}

/// One file of a description, an index and ten segments, and its manifest.
fn single_file() -> (Vec<u8>, String, Arc<Vec<u8>>) {
    let source = song(SEGMENT);
    let mut file = b"\0description of low".to_vec();
    let description = file.len();
    file.extend(sidx(10, u32::try_from(SEGMENT).unwrap()));
    let index = file.len();
    for number in 0..10 {
        file.extend(segment(&source, &format!("/low/{number}"), SEGMENT).unwrap());
    }
    let manifest = format!(
        r#"<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT40S"><Period>
<AdaptationSet contentType="audio" mimeType="audio/mp4"><Representation id="low" bandwidth="64000" codecs="opus"
 audioSamplingRate="48000"><BaseURL>low.mp4</BaseURL><SegmentBase timescale="48000" indexRange="{description}-{}">
<Initialization range="0-{}"/></SegmentBase></Representation></AdaptationSet></Period></MPD>"#,
        index - 1,
        description - 1
    );
    (file, manifest, source)
}

#[test]
fn segments_of_one_file_are_ranges_of_it() {
    let (file, manifest, source) = single_file();
    let server = Server::start(move |request, wire| match request.target.as_str() {
        "/m.mpd" => wire.answer(200, &[], manifest.as_bytes()),
        _ => respond(request, wire, &file),
    });
    let (mut library, news) = library(4 * MIB);
    library.want(&[item(1, server.url("/m.mpd"))]);
    assert_eq!(read_on(&mut segments(&library), &source, 0, SEGMENT).len(), 10);
    assert!(news.try_recv().is_err());
}

#[test]
fn segments_of_one_file_are_found_at_a_host_without_ranges() {
    let (file, manifest, source) = single_file();
    let server = Server::start(move |request, wire| match request.target.as_str() {
        "/m.mpd" => wire.answer(200, &[], manifest.as_bytes()),
        _ => wire.answer(200, &[], &file),
    });
    let (mut library, news) = library(4 * MIB);
    library.want(&[item(1, server.url("/m.mpd"))]);
    assert_eq!(read_on(&mut segments(&library), &source, 0, SEGMENT).len(), 10);
    assert!(news.try_recv().is_err());
}

#[test]
fn an_index_that_names_more_than_there_is_ends_the_entry_as_broken() {
    let (mut file, manifest, _) = single_file();
    file.truncate(file.len() - SEGMENT - 10);
    let server = Server::start(move |request, wire| match request.target.as_str() {
        "/m.mpd" => wire.answer(200, &[], manifest.as_bytes()),
        _ => respond(request, wire, &file),
    });
    let (mut library, news) = library(4 * MIB);
    library.want(&[item(1, server.url("/m.mpd"))]);
    assert_eq!(
        news.recv_timeout(Duration::from_secs(10)).unwrap().fault,
        MediaFault::Unplayable
    );
    assert!(!level(&library, 1).complete);
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
        let mut wishes = vec![item(1, server.url("/a/m.mpd")), item(2, server.url("/b/m.mpd"))];
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
