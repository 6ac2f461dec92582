//! Media as MPEG-DASH: what the manifest promises is there, in every form; licences.

use super::super::dash::manifest::Listing;
use super::super::dash::{Media, Quality};
use super::*;

/// Frames of the track that [`packaged`] serves, at 48 kHz: two segments and a part of one.
const FRAMES: usize = 48_000 * 13 + 77;

/// A simulator, and the music it reads when somebody asks.
struct Packaged {
    simulator: Simulator,
    _music: tempfile::TempDir,
}

impl std::ops::Deref for Packaged {
    type Target = Simulator;

    fn deref(&self) -> &Simulator {
        &self.simulator
    }
}

/// A simulator that hands out tracks of its own so. They are at the rate of Opus, and quiet: quickly encoded.
fn packaged(packaging: Packaging) -> Packaged {
    packaged_for(Tier::Unlimited, packaging)
}

fn packaged_for(tier: Tier, packaging: Packaging) -> Packaged {
    let music = tempfile::tempdir().unwrap();
    for seed in 0..2 {
        std::fs::write(music.path().join(format!("{seed}.wav")), wav(seed)).unwrap();
    }
    let settings = Settings {
        music: Some(music.path().to_owned()),
        seed: Some(1),
        tier,
        packaging,
        ..Settings::default()
    };
    Packaged {
        simulator: Simulator::start(settings).unwrap(),
        _music: music,
    }
}

/// A file of 16 bits and one channel.
fn wav(seed: usize) -> Vec<u8> {
    let bytes = u32::try_from(2 * FRAMES).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(48_000_u32.to_le_bytes());
    file.extend(96_000_u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(bytes.to_le_bytes());
    let sample = |frame: usize| i16::try_from((frame * (seed + 3)) % 61).unwrap();
    file.extend((0..FRAMES).flat_map(|frame| sample(frame).to_le_bytes()));
    file
}

fn dash(media: Media, manifest: Listing) -> Packaging {
    Packaging {
        media,
        manifest,
        ..Packaging::default()
    }
}

fn fetch(client: &Client, url: &str) -> (u16, Vec<u8>) {
    let mut answer = client.ask("GET", url, b"").unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap())
}

fn manifest(client: &Client, url: &str) -> String {
    let (status, bytes) = fetch(client, url);
    assert_eq!(status, 200, "{url}");
    String::from_utf8(bytes).unwrap()
}

/// Everything between quotes behind `name=`.
fn attributes<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let mark = format!(" {name}=\"");
    let rest = text.split(mark.as_str()).skip(1);
    rest.map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Names of the renditions a manifest offers.
fn offered(manifest: &str) -> Vec<&str> {
    let rest = manifest.split("<Representation id=\"").skip(1);
    rest.map(|rest| rest.split('"').next().unwrap()).collect()
}

fn stream(entry: &Value) -> &Value {
    &entry["playbackInformation"]
}

fn url(entry: &Value) -> &str {
    stream(entry)["url"].as_str().unwrap()
}

/// An address beside the manifest.
fn beside(manifest: &str, name: &str) -> String {
    format!("{}/{name}", manifest.rsplit_once('/').unwrap().0)
}

/// Kinds of the boxes at the top of a file.
fn boxes(bytes: &[u8]) -> Vec<String> {
    let mut kinds = Vec::new();
    let mut rest = bytes;
    while let Some(head) = rest.first_chunk::<8>() {
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        kinds.push(String::from_utf8_lossy(&head[4..]).into_owned());
        rest = &rest[length..];
    }
    assert!(rest.is_empty(), "{kinds:?}");
    kinds
}

#[test]
fn a_manifest_offers_what_the_capability_header_asked_for_and_no_more() {
    let simulator = packaged(dash(Media::Dash, Listing::Timeline));
    let usual = Client::of(&simulator);
    let (_, entries) = usual.open(&simulator, &json!({}));
    assert_eq!(stream(&entries[0])["protocol"], "DASH");
    assert_eq!(stream(&entries[0])["drmType"], "NONE");
    let text = manifest(&usual, url(&entries[0]));
    let all = ["opus-96", "opus-192", "opus-320", "flac-16-48000"];
    assert_eq!(offered(&text), all);
    let modest = Client::of(&simulator)
        .without("x-amzn-audio-device-capability")
        .with("x-amzn-audio-device-capability", "STD_RES");
    let (_, entries) = modest.open(&simulator, &json!({}));
    let text = manifest(&modest, url(&entries[0]));
    assert_eq!(offered(&text), all[..3]);
}

#[test]
fn a_lowest_quality_leaves_out_what_is_below_it_if_there_is_more() {
    for (lowest, modest, expected) in [
        (Quality::Hd, false, &["flac-16-48000"][..]),
        (Quality::Uhd, false, &["flac-16-48000"]),
        (Quality::Hd, true, &["opus-96", "opus-192", "opus-320"]),
    ] {
        let simulator = packaged(Packaging {
            lowest,
            ..dash(Media::Dash, Listing::Timeline)
        });
        let mut client = Client::of(&simulator);
        if modest {
            client = client.without("x-amzn-audio-device-capability");
            client = client.with("x-amzn-audio-device-capability", "STD_RES");
        }
        let (_, entries) = client.open(&simulator, &json!({}));
        assert_eq!(offered(&manifest(&client, url(&entries[0]))), expected);
    }
}

#[test]
fn the_small_tiers_get_standard_quality_whatever_they_ask_for() {
    let simulator = packaged_for(Tier::Prime, dash(Media::Dash, Listing::Timeline));
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    for entry in &entries {
        assert!(!manifest(&client, url(entry)).contains("codecs=\"flac\""), "{entry}");
    }
}

#[test]
fn every_segment_of_a_timeline_is_there_and_none_behind_it() {
    let simulator = packaged(dash(Media::Dash, Listing::Timeline));
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    for entry in entries.iter().take(1) {
        let text = manifest(&client, url(entry));
        for set in text.split("<Representation ").skip(1) {
            let id = set.strip_prefix("id=\"").unwrap().split('"').next().unwrap();
            let (status, description) = fetch(&client, &beside(url(entry), &format!("{id}/init.mp4")));
            assert_eq!((status, boxes(&description)), (200, vec!["ftyp".into(), "moov".into()]));
            let mut count = 0;
            let mut at = 0;
            for run in set.split("<S ").skip(1) {
                let number = |name: &str| {
                    let run = run.split("/>").next().unwrap();
                    attributes(&format!(" {run}"), name)
                        .first()
                        .map(|n| n.parse::<u64>().unwrap())
                };
                assert_eq!(number("t").unwrap(), at, "no gap");
                for _ in 0..=number("r").unwrap_or(0) {
                    let (status, segment) = fetch(&client, &beside(url(entry), &format!("{id}/t{at}.m4s")));
                    assert_eq!(status, 200, "{id} {at}");
                    assert_eq!(boxes(&segment), ["styp", "moof", "mdat"]);
                    at += number("d").unwrap();
                    count += 1;
                    let by_number = fetch(&client, &beside(url(entry), &format!("{id}/{count}.m4s")));
                    assert_eq!(by_number, (200, segment), "{id} {count}");
                }
            }
            assert!(count > 0);
            let (status, _) = fetch(&client, &beside(url(entry), &format!("{id}/{}.m4s", count + 1)));
            assert_eq!(status, 404);
        }
    }
    assert_eq!(client.found(), Vec::<String>::new());
}

#[test]
fn one_file_has_its_description_and_its_index_where_the_manifest_says() {
    let simulator = packaged(dash(Media::Encrypted, Listing::Base));
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let text = manifest(&client, url(&entries[0]));
    let indices = attributes(&text, "indexRange");
    assert_eq!(indices.len(), 4);
    for (range, id) in indices.iter().zip(offered(&text)) {
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let (_, whole) = fetch(&client, &beside(url(&entries[0]), &format!("{id}/whole.mp4")));
        assert_eq!(boxes(&whole[..first]), ["ftyp", "moov"], "{id}");
        assert_eq!(boxes(&whole[first..=last]), ["sidx"], "{id}");
        let segments = boxes(&whole[last + 1..]);
        assert!(
            segments.chunks(3).all(|segment| segment == ["styp", "moof", "mdat"]),
            "{segments:?}"
        );
        let index = &whole[first..=last];
        let count = u16::from_be_bytes(index[38..40].try_into().unwrap());
        assert_eq!(usize::from(count), segments.len() / 3);
        let sizes = index[40..]
            .chunks(12)
            .map(|one| u32::from_be_bytes(one[..4].try_into().unwrap()));
        assert_eq!(
            sizes.sum::<u32>() as usize,
            whole.len() - last - 1,
            "the index covers the rest"
        );
    }
}

#[test]
fn lists_and_templates_of_equal_lengths_name_the_same_segments() {
    let simulator = packaged(dash(Media::Dash, Listing::List));
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let list = manifest(&client, url(&entries[0]));
    let names: Vec<_> = attributes(&list, "media").into_iter().map(str::to_owned).collect();
    assert!(
        names
            .iter()
            .all(|name| fetch(&client, &beside(url(&entries[0]), name)).0 == 200)
    );
    let (status, now) = client.call("PUT", "/sim/media", &json!({"manifest": "number"}));
    assert_eq!(
        (status, &now["manifest"], &now["media"]),
        (200, &json!("number"), &json!("dash"))
    );
    let numbers = manifest(&client, url(&entries[0]));
    let starts = attributes(&numbers, "startNumber");
    assert!(starts.len() == 4 && starts.iter().all(|start| *start == "1"));
    assert_eq!(attributes(&numbers, "duration")[0], "288000", "6 s of Opus");
}

#[test]
fn parts_run_out_with_their_manifest() {
    let simulator = packaged(dash(Media::Dash, Listing::Timeline));
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let segment = beside(url(&entries[0]), "flac-16-48000/1.m4s");
    assert_eq!(fetch(&client, &segment).0, 200);
    assert_eq!(client.ask("DELETE", "/sim/urls", b"").unwrap().status(), 204);
    assert_eq!(fetch(&client, &segment).0, 403);
    assert_eq!(fetch(&client, url(&entries[0])).0, 403);
}

#[test]
fn parts_that_do_not_exist_are_not_found() {
    let simulator = packaged(Packaging {
        atmos: true,
        ..dash(Media::Dash, Listing::Timeline)
    });
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let text = manifest(&client, url(&entries[0]));
    assert!(text.contains("codecs=\"ec-3\""), "{text}");
    for name in [
        "atmos/init.mp4",
        "flac-16-48000/0.m4s",
        "flac-16-48000/x.m4s",
        "flac-16-48000/t1.m4s",
        "flac-24-96000/1.m4s",
        "ultra.mpd",
        "a/b/c",
    ] {
        assert_eq!(fetch(&client, &beside(url(&entries[0]), name)).0, 404, "{name}");
    }
}

#[test]
fn a_range_of_a_segment_is_a_part_of_it() {
    let simulator = packaged(dash(Media::Dash, Listing::Timeline));
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let segment = beside(url(&entries[0]), "opus-96/1.m4s");
    let (_, whole) = fetch(&client, &segment);
    let (status, part) = fetch(&Client::of(&simulator).with("range", "bytes=100-199"), &segment);
    assert_eq!((status, part.as_slice()), (206, &whole[100..200]));
    client.fault(&json!({"scope": "media", "kind": "wrong_length", "by": -50, "path": "1.m4s", "count": 1}));
    assert_eq!(
        fetch(&client, &segment).1,
        whole[..whole.len() - 50],
        "cut short and nobody says so"
    );
    client.fault(&json!({"scope": "media", "kind": "cut", "bytes": 50, "count": 1}));
    let mut broken = client.ask("GET", &segment, b"").unwrap();
    assert!(broken.body_mut().read_to_vec().is_err());
}

#[test]
fn a_manifest_that_lies_is_asked_for_by_a_fault() {
    let simulator = packaged(dash(Media::Dash, Listing::List));
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let truth = manifest(&client, url(&entries[0]));
    let lie = |about: &str| {
        client.fault(&json!({"scope": "media", "kind": "lie", "about": about, "count": 1}));
        manifest(&client, url(&entries[0]))
    };
    let count = |text: &str| attributes(text, "media").len();
    assert_eq!(count(&lie("longer")), 2 * count(&truth));
    assert!(count(&lie("shorter")) < count(&truth));
    let codecs = attributes(&truth, "codecs").len();
    let lied = lie("codec");
    let swapped = attributes(&lied, "codecs");
    assert_eq!((swapped.len(), swapped[0], swapped[3]), (codecs, "flac", "opus"));
    assert_eq!(manifest(&client, url(&entries[0])), truth, "used up");
}

/// What a client asks for: the key of the manifest.
fn challenge(manifest: &str) -> Value {
    use base64::Engine as _;
    let key = attributes(manifest, "cenc:default_KID")[0].replace('-', "");
    let key: Vec<u8> = (0..16)
        .map(|n| u8::from_str_radix(&key[2 * n..2 * n + 2], 16).unwrap())
        .collect();
    json!({"kids": [base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key)], "type": "temporary"})
}

/// Asks for the licence of an entry as a client does: with the headers it was told, and none of the service.
fn licence(simulator: &Simulator, entry: &Value, challenge: &Value) -> (u16, Value) {
    let mut client = Client::of(simulator);
    client.headers.clear();
    for (name, value) in stream(entry)["licenseHeaders"].as_object().unwrap() {
        let leaked = |text: &str| &*text.to_owned().leak();
        client = client.with(leaked(name), leaked(value.as_str().unwrap()));
    }
    client.call("POST", stream(entry)["licenseUrl"].as_str().unwrap(), challenge)
}

#[test]
fn a_licence_is_for_who_shows_the_header_and_names_the_key() {
    let simulator = packaged(dash(Media::Encrypted, Listing::Timeline));
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    assert_eq!(stream(&entries[0])["drmType"], "CLEARKEY");
    let ask = challenge(&manifest(&client, url(&entries[0])));
    let (status, given) = licence(&simulator, &entries[0], &ask);
    assert_eq!(status, 200, "{given}");
    assert_eq!(given["keys"][0]["kid"], ask["kids"][0]);
    assert_eq!(given["keys"][0]["kty"], "oct");
    let (status, _) = licence(&simulator, &entries[1], &ask);
    assert_eq!(status, 403, "the key of another track");
    let mut bare = Client::of(&simulator);
    bare.headers.clear();
    let address = stream(&entries[0])["licenseUrl"].as_str().unwrap();
    assert_eq!(bare.call("POST", address, &ask).0, 401);
    assert_eq!(bare.with("x-sim-licence", "0").call("POST", address, &ask).0, 403);
    assert_eq!(client.found(), Vec::<String>::new());
    assert_eq!(client.call("POST", address, &ask).0, 400, "headers of the service");
    fetch(&Client::of(&simulator).with("x-sim-licence", "0"), url(&entries[0]));
    assert_eq!(client.found(), ["credentials_leaked", "credentials_leaked"]);
}

#[test]
fn a_licence_comes_raw_or_wrapped_and_wrong_if_a_fault_says_so() {
    use base64::Engine as _;
    let simulator = packaged(dash(Media::Encrypted, Listing::Timeline));
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let ask = challenge(&manifest(&client, url(&entries[0])));
    let (_, raw) = licence(&simulator, &entries[0], &ask);
    client.call("PUT", "/sim/dialect", &json!({"dialect": "wrapped"}));
    let (_, wrapped) = licence(&simulator, &entries[0], &ask);
    let inside = base64::engine::general_purpose::STANDARD.decode(wrapped["license"].as_str().unwrap());
    assert_eq!(serde_json::from_slice::<Value>(&inside.unwrap()).unwrap(), raw);
    client.call("PUT", "/sim/dialect", &json!({"dialect": "plain"}));
    client.fault(&json!({"scope": "licence", "kind": "wrong_key", "count": 1}));
    let (status, wrong) = licence(&simulator, &entries[0], &ask);
    assert_eq!((status, &wrong["keys"][0]["kid"]), (200, &raw["keys"][0]["kid"]));
    assert_ne!(wrong["keys"][0]["k"], raw["keys"][0]["k"]);
    client.fault(&json!({"scope": "licence", "kind": "status", "status": 503, "count": 1}));
    assert_eq!(licence(&simulator, &entries[0], &ask).0, 503);
    client.fault(&json!({"scope": "licence", "kind": "garbage", "count": 1}));
    assert!(licence(&simulator, &entries[0], &ask).1.is_string());
    assert_eq!(licence(&simulator, &entries[0], &ask), (200, raw));
}

#[test]
fn a_mistake_in_the_form_of_media_changes_nothing() {
    let simulator = packaged(Packaging::default());
    let client = Client::of(&simulator);
    let before = client.get("/sim/media");
    for wrong in [json!({"media": "tape"}), json!({"colour": "red"}), json!([1])] {
        let (status, _) = client.call("PUT", "/sim/media", &wrong);
        assert!(status == 400 || client.get("/sim/media") == before, "{wrong}");
    }
    assert_eq!(client.get("/sim/media"), before);
}
