//! What the service may do to a client that does everything right: addresses that run out, answers in other words,
//! queues without end.

use serde_json::{Value, json};

use crate::music::{RATE, first_difference, noise, samples, write_flac};
use crate::process::until;
use crate::service::{Music, Service};
use crate::speaker::{Setup, Speaker};

/// What reaches the device goes to a file, as fast as it comes.
const DEVICES: &str = r#"
pcm.null { type null }
pcm.tofile { type file slave.pcm "null" file "out.raw" format "raw" }
"#;
/// Bytes of the track before its connection breaks: more seconds of it than the next request is held up.
const CUT_BYTES: u64 = 1_000_000;

/// The 16 bits of the music in what reached the device, which agreed to 32.
fn sounded(service: &Service) -> Vec<i16> {
    let bytes = std::fs::read(service.folder.path().join("out.raw")).unwrap();
    samples(&bytes).into_iter().skip(1).step_by(2).collect()
}

/// Media requests for the track with this key: status and first byte.
fn requests(service: &Service, key: &str) -> Vec<(Value, u64)> {
    let ledger = service.get("/sim/ledger?kind=request");
    let of_track = ledger["records"].as_array().unwrap().iter();
    let of_track = of_track.filter(|record| record["path"].as_str().unwrap().contains(key));
    let first = |record: &Value| {
        let range = record["range"].as_str().and_then(|range| range.strip_prefix("bytes="));
        let first = range.and_then(|range| range.split('-').next());
        first.map_or(0, |first| first.parse().unwrap())
    };
    of_track
        .map(|record| (record["status"].clone(), first(record)))
        .collect()
}

/// A track of 8 seconds whose connection breaks in its middle, and whose address has run out when that is noticed: its
/// samples, its service and its key.
fn serve_expiring() -> (Vec<i16>, Service, String) {
    let music = Music::empty();
    let all = noise(1, 8 * RATE);
    write_flac(&music.path().join("01.flac"), &all);
    // Longer than a start takes, shorter than the second request is held up.
    let service = music.serve_with("unlimited", &["--url-life", "3"]);
    let home = service.get("/sim/music");
    let id = home["entities"][0]["tracks"][0]["id"].as_str().unwrap().to_owned();
    let key = id.rsplit(':').next().unwrap().to_owned();
    service.fault(&json!({"scope": "media", "path": key, "kind": "cut", "bytes": CUT_BYTES, "count": 1}));
    service.fault(&json!({"scope": "media", "path": key, "kind": "delay", "ms": 4_000, "count": 1}));
    (all, service, key)
}

#[test]
fn an_address_that_runs_out_in_mid_track_is_renewed_before_anybody_hears_of_it() {
    let (_, service, key) = serve_expiring();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start", "01 trackFinished"]);
    let requests = requests(&service, &key);
    let (status, first) = requests.last().unwrap();
    assert_eq!(status, 206, "{requests:?}");
    assert!((1..=CUT_BYTES).contains(first), "{requests:?}");
    let ledger = service.get("/sim/ledger?kind=request");
    let asked = ledger["records"].as_array().unwrap().iter();
    let asked = asked.filter(|record| record["path"].as_str().unwrap().ends_with("/current"));
    assert_ne!(asked.count(), 0, "the entry was asked for again");
    let events = service.get("/sim/ledger?kind=event");
    assert_eq!(events["records"][1]["body"]["event"]["rebufferCount"], 0);
    service.is_content();
}

#[test]
fn not_a_sample_is_lost_where_an_address_runs_out() {
    let (all, service, _) = serve_expiring();
    let setup = Setup::write(&service, "pcm = \"tofile\"\n", "");
    let speaker = setup.with_alsa(DEVICES).with_saved(&json!({ "volume": 100 })).start();
    speaker.press("preset_1");
    service.tells(&["01 start", "01 trackFinished"]);
    speaker.terminate();
    let sounded = sounded(&service);
    // The device is filled up with silence when its last period is not full.
    assert_eq!(first_difference(&sounded[..all.len().min(sounded.len())], &all), None);
}

#[test]
fn the_album_plays_whatever_words_the_service_finds() {
    let dialects: [&[&str]; 4] = [
        &["--dialect", "plain"],
        &["--dialect", "wrapped"],
        &["--dialect", "aliases"],
        &["--dialect", "floats"],
    ];
    for dialect in dialects {
        let service = Music::of_lengths(&[700; 3]).serve_with("unlimited", dialect);
        let speaker = Speaker::at(&service);
        speaker.press("preset_1");
        service.tells_of_all(&["01", "02", "03"]);
        let status = speaker.shows("the end of the queue", |status| status["state"] == "stopped");
        assert_eq!(status["problem"], Value::Null, "{dialect:?}");
        service.is_content();
    }
}

#[test]
fn a_queue_of_a_hundred_thousand_is_played_skipped_and_mixed() {
    let service = Music::of_lengths(&[20_000; 2]).serve_with("unlimited", &["--tracks", "100000"]);
    let speaker = Speaker::at(&service);
    speaker.press("preset_2");
    service.tells(&["01 #0 start"]);
    speaker.press("next");
    service.tells(&["01 #0 start", "01 #0 userNext", "02 #1 start"]);
    speaker.press("shuffle");
    speaker.shows("the mixed order", |status| status["shuffle"] == true);
    // What was known before may still come first.
    let is_far = |event: &String| {
        let number = event.split('#').nth(1).and_then(|rest| rest.split(' ').next());
        number.is_some_and(|number| number.parse::<u32>().unwrap() > 20)
    };
    for skip in 1..=5 {
        speaker.press("next");
        until("the next track", || match service.story().len() {
            events if events >= 3 + 2 * skip => Ok(()),
            events => Err(format!("{events} events")),
        });
    }
    assert!(service.story().iter().any(is_far), "{:?}", service.story());
    service.is_content();
}
