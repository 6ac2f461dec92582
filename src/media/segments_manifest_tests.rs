//! What manifests say and hosts have: where the two do not agree, where segments are ranges of a file, where there is no
//! manifest.

use std::time::Instant;

use super::*;

#[test]
fn a_manifest_that_names_too_little_is_fetched_again() {
    let (source, asked) = (song(SEGMENT), AtomicUsize::new(0));
    let hosted = Arc::clone(&source);
    let server = Server::start(move |request, wire| {
        let is_first = request.target.ends_with("m.mpd") && asked.fetch_add(1, Ordering::AcqRel) == 0;
        let manifest = if is_first {
            manifest("PT20S", 5)
        } else {
            manifest("PT40S", 10)
        };
        serve(request, wire, &manifest, &hosted, SEGMENT)
    });
    let (library, news) = loading(&server);
    let mut all = segments(&library);
    assert_eq!(all.length(), Some(Duration::from_secs(40)));
    assert_eq!(read_on(&mut all, &source, 0, SEGMENT).len(), 10);
    assert!(news.try_recv().is_err());
}

#[test]
fn an_entry_whose_manifest_always_names_too_little_is_longer_than_that() {
    for (named, count, length) in [("PT20S", 5, 40), ("PT40S", 5, 40), ("PT38S", 10, 38), ("PT44S", 11, 44)] {
        let (source, manifest) = (song(SEGMENT), manifest(named, count));
        let hosted = Arc::clone(&source);
        let server = Server::start(move |request, wire| serve(request, wire, &manifest, &hosted, SEGMENT));
        let (library, news) = loading(&server);
        let mut all = segments(&library);
        assert_eq!(all.length(), Some(Duration::from_secs(length)), "{named}");
        assert_eq!(read_on(&mut all, &source, 0, SEGMENT).len(), count);
        let is_manifest = |one: &&Request| one.target.ends_with("m.mpd");
        let asked = server.requests().iter().filter(is_manifest).count();
        assert_eq!(asked, if count < 10 { 2 } else { 1 }, "{named}");
        assert!(news.try_recv().is_err());
    }
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
    let (library, news) = loading(&server);
    assert_eq!(read_on(&mut segments(&library), &source, 0, SEGMENT).len(), 10);
    assert!(level(&library, 1).complete);
    assert!(news.try_recv().is_err());
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
    library.want(&[listed(1, server.url("/a/album.mp3"))]);
    assert_eq!(read_on(&mut segments(&library), &source, 0, SEGMENT).len(), 10);
    library.want(&[]);
    library.want(&[listed(1, server.url("/elsewhere.mpd"))]);
    assert_eq!(
        read_on(&mut segments(&library), &source, 0, SEGMENT).len(),
        10,
        "relative to where it was found"
    );
    library.want(&[]);
    library.want(&[listed(1, server.url("/song.mpd"))]);
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
        library.want(&[listed(1, server.url("/m.mpd"))]);
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
    library.want(&[listed(1, server.url("/m.mpd"))]);
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
    library.want(&[listed(1, server.url("/m.mpd"))]);
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
    library.want(&[listed(1, server.url("/m.mpd"))]);
    assert_eq!(
        news.recv_timeout(Duration::from_secs(10)).unwrap().fault,
        MediaFault::Unplayable
    );
    assert!(!level(&library, 1).complete);
}

#[test]
fn periods_follow_each_other() {
    let whole = manifest("PT20S", 5);
    let (head, period) = whole.split_once("<Period id=\"0\">").unwrap();
    let (period, _) = period.split_once("</Period>").unwrap();
    let second = period.replace("startNumber=\"0\"", "startNumber=\"5\"");
    let text = format!(
        "{}<Period id=\"0\" duration=\"PT20S\">{period}</Period><Period id=\"1\">{second}</Period></MPD>",
        head.replace("PT20S", "PT40S")
    );
    let source = song(SEGMENT);
    let hosted = Arc::clone(&source);
    let server = Server::start(move |request, wire| serve(request, wire, &text, &hosted, SEGMENT));
    let (library, news) = loading(&server);
    let mut all = segments(&library);
    assert_eq!(read_on(&mut all, &source, 0, SEGMENT).len(), 10);
    assert!(all.seek(Duration::from_secs(29)).unwrap());
    assert_eq!(read_on(&mut all, &source, 7, SEGMENT).len(), 3);
    assert!(news.try_recv().is_err());
}

#[test]
fn a_fresh_manifest_with_other_representations_goes_on_where_the_old_one_ran_out() {
    let source = song(SEGMENT);
    let hosted = Arc::clone(&source);
    let server = Server::start(move |request, wire| {
        let is_old = request.target.starts_with("/old/");
        if is_old && request.target.ends_with("/6") {
            return wire.answer(403, &[], b"");
        }
        let mut manifest = manifest("PT40S", 10);
        if !is_old {
            manifest = manifest
                .replace("id=\"low\"", "id=\"low2\"")
                .replace("id=\"high\"", "id=\"high2\"");
        }
        serve(request, wire, &manifest, &hosted, SEGMENT)
    });
    let sets = read_to_a_fresh_address(&server, source);
    assert_eq!(sets.len(), 10);
    let (old, fresh) = sets.split_at(6);
    assert!(old.iter().all(|set| !set.ends_with('2')), "{sets:?}");
    assert!(fresh.iter().all(|set| set.ends_with('2')), "{sets:?}");
}

#[test]
fn what_was_loaded_before_a_fresh_manifest_with_other_representations_is_still_read() {
    let source = song(SEGMENT);
    let hosted = Arc::clone(&source);
    let server = Server::start(move |request, wire| {
        let is_old = request.target.starts_with("/old/");
        if is_old && request.target.ends_with("/6") {
            return wire.answer(403, &[], b"");
        }
        let mut manifest = manifest("PT40S", 10);
        if !is_old {
            manifest = manifest
                .replace("id=\"low\"", "id=\"low2\"")
                .replace("id=\"high\"", "id=\"high2\"");
        }
        serve(request, wire, &manifest, &hosted, SEGMENT)
    });
    let (mut library, news) = library(4 * MIB);
    library.want(&[listed(1, server.url("/old/m.mpd"))]);
    let mut all = segments(&library);
    // Nobody has read a segment yet.
    assert_eq!(
        news.recv_timeout(Duration::from_secs(10)).unwrap().fault,
        MediaFault::Expired
    );
    library.want(&[attempt(1, server.url("/new/m.mpd"), 1)]);
    let begun = Instant::now();
    while library.levels()[0].bytes < 10 * SEGMENT as u64 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", library.levels());
        thread::sleep(Duration::from_millis(1));
    }
    let sets = read_on(&mut all, &source, 0, SEGMENT);
    assert_eq!(sets.len(), 10);
    assert!(!sets[5].ends_with('2') && sets[6].ends_with('2'), "{sets:?}");
}

#[test]
fn a_link_that_turns_out_slow_makes_the_next_segments_smaller() {
    let manifest = manifest("PT40S", 10).replace("128000", "32000000");
    let source = song(SEGMENT);
    let hosted = Arc::clone(&source);
    let server = Server::start(move |request, wire| {
        if request.target.contains("/high/") && !request.target.ends_with("init") {
            // 70 kB in so long are some 5 Mbit/s.
            thread::sleep(Duration::from_millis(100));
        }
        serve(request, wire, &manifest, &hosted, SEGMENT)
    });
    let (library, news) = loading(&server);
    let sets = read_on(&mut segments(&library), &source, 0, SEGMENT);
    assert_eq!((sets.len(), sets[0].as_str(), sets[1].as_str()), (10, "high", "low"));
    assert!(library.figures().switches > 0);
    assert!(news.try_recv().is_err());
}
