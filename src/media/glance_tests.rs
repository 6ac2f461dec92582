//! Looks at entries with a manifest: the first segments as far as they are there, nothing fetched because of a look.

use std::io::ErrorKind;
use std::sync::Arc;

use super::super::fixture::*;
use super::*;

const MANIFEST: &[u8] = br#"<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT40S" minBufferTime="PT2S">
 <Period id="0"><AdaptationSet contentType="audio" mimeType="audio/mp4">
  <SegmentTemplate timescale="48000" startNumber="0" initialization="init" media="$Number$">
   <SegmentTimeline><S t="0" d="192000" r="9"/></SegmentTimeline></SegmentTemplate>
  <Representation id="one" bandwidth="64000" codecs="opus" audioSamplingRate="48000"/>
 </AdaptationSet></Period></MPD>"#;

/// A host that gives the first `count` segments, each the same, and then falls silent.
fn host_of(count: usize, segment: &Arc<Vec<u8>>) -> Server {
    let segment = Arc::clone(segment);
    Server::start(move |request, wire| {
        let name = request.target.rsplit('/').next().unwrap_or_default().to_owned();
        match name.parse::<usize>() {
            Ok(number) if number < count => respond(request, wire, &segment),
            Ok(_) => wire.hang(),
            Err(_) if name == "init" => wire.answer(200, &[], b"description"),
            Err(_) => wire.answer(200, &[("content-type", "application/dash+xml")], MANIFEST),
        }
    })
}

#[test]
fn segments_can_be_glanced_at_as_far_as_they_are_loaded() {
    let segment = song(70_001);
    let server = host_of(2, &segment);
    let (mut library, _news) = library_with(8 * MIB, super::super::fetch::Patience::default());
    library.want(&[listed(1, server.url("/a/m.mpd"))]);
    let peek = library.peek(SlotId(1)).unwrap();
    until("two segments are loaded", || level(&library, 1).bytes == 140_002);
    let Some(Look::Segments(mut glances)) = peek.open() else {
        panic!("it has segments")
    };
    assert_eq!(glances.length(), Some(Duration::from_secs(40)));
    for begin_s in [0, 4] {
        let mut next = glances.next().unwrap().unwrap();
        assert_eq!(next.begin, Duration::from_secs(begin_s));
        assert_eq!(next.description.as_deref(), Some(&b"description"[..]));
        let mut bytes = Vec::new();
        next.media.read_to_end(&mut bytes).unwrap();
        assert!(bytes == *segment);
    }
    assert_eq!(
        glances.next().err().map(|error| error.kind()),
        Some(ErrorKind::WouldBlock)
    );
    assert!(glances.seek(Duration::from_secs(5)).unwrap());
    assert_eq!(glances.next().unwrap().unwrap().begin, Duration::from_secs(4));
    let Some(Look::Segments(again)) = peek.open() else {
        panic!("it has segments")
    };
    assert_eq!(again.version(), glances.version(), "they are the same");
    library.want(&[]);
    assert!(peek.open().is_none(), "a look keeps nothing in memory");
}

#[test]
fn there_is_nothing_to_look_at_before_the_first_segment_is_loaded() {
    let server = host_of(0, &song(1));
    let (mut library, _news) = library_with(8 * MIB, super::super::fetch::Patience::default());
    library.want(&[listed(1, server.url("/a/m.mpd"))]);
    // Manifest, description, first segment.
    server.wait_for_requests(3);
    assert!(library.peek(SlotId(1)).unwrap().open().is_none());
}
