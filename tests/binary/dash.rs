//! Music as MPEG-DASH, in the clear and encrypted: what reaches the device, and what the service hears when something is
//! wrong with a licence, a segment or a manifest.

use serde_json::{Value, json};

use crate::alsa::{DEVICES, sounded};
use crate::music::{RATE, first_difference, noise, write_wav};
use crate::process::until;
use crate::service::{Music, Service};
use crate::sink::{self, Sink};
use crate::speaker::{PACED, Setup, Speaker};

/// What is captured goes by as fast as it is decoded.
const OUTPUT: &str = "pcm = \"tofile\"\n";
const NO_CHIMES: &str = "[sound]\nchimes = false\n";
/// Frames of a lead of 6 s: up to the end of its last block.
const LEAD_FRAMES: usize = (6 * RATE).div_ceil(4096) * 4096;

/// Tracks 01, 02, ... of so many frames, and their samples.
fn album(lengths: &[usize]) -> (Music, Vec<Vec<i16>>) {
    let music = Music::empty();
    let tracks: Vec<_> = (1_u32..)
        .zip(lengths)
        .map(|(seed, frames)| noise(seed, *frames))
        .collect();
    for (number, samples) in (1..).zip(&tracks) {
        write_wav(&music.path().join(format!("{number:02}.wav")), samples);
    }
    (music, tracks)
}

/// A speaker whose every sample is kept.
fn captured(service: &Service) -> Speaker {
    let setup = Setup::write(service, OUTPUT, NO_CHIMES);
    setup.with_alsa(DEVICES).with_saved(&json!({ "volume": 100 })).start()
}

/// An album of two tracks, neither of which is a whole number of anything, sounds to the bit and without a gap.
fn sounds_exactly(more: &'static [&'static str]) {
    let (music, tracks) = album(&[13 * RATE + 77, 7 * RATE - 1013]);
    let service = music.serve_with("unlimited", more);
    let speaker = captured(&service);
    speaker.press("preset_1");
    service.tells(&["01 start", "01 trackFinished", "02 start", "02 trackFinished"]);
    speaker.terminate();
    let (sound, low_is_silent) = sounded(&service);
    let all = tracks.concat();
    assert!(low_is_silent, "16 bits and no more");
    let (music, rest) = sound.split_at(all.len().min(sound.len()));
    assert_eq!(first_difference(music, &all), None);
    assert!(rest.iter().all(|sample| *sample == 0), "{} samples follow", rest.len());
    service.is_content_but_for_speed();
}

#[test]
fn an_album_of_segments_is_what_was_recorded() {
    sounds_exactly(&["--media", "dash", "--lowest", "hd", "--atmos"]);
}

#[test]
fn an_album_whose_segments_have_numbers_is_what_was_recorded() {
    sounds_exactly(&["--media", "dash", "--lowest", "hd", "--manifest", "number"]);
}

#[test]
fn an_album_whose_segments_are_listed_is_what_was_recorded() {
    sounds_exactly(&["--media", "dash", "--lowest", "hd", "--manifest", "list"]);
}

#[test]
fn an_album_in_one_file_with_an_index_is_what_was_recorded() {
    sounds_exactly(&["--media", "dash", "--lowest", "hd", "--manifest", "base"]);
}

#[test]
fn an_album_encrypted_in_counter_mode_is_what_was_recorded() {
    sounds_exactly(&["--media", "encrypted", "--lowest", "hd", "--clear-lead", "6"]);
}

#[test]
fn an_album_encrypted_in_chained_blocks_is_what_was_recorded() {
    sounds_exactly(&[
        "--media",
        "encrypted",
        "--encryption",
        "cbcs",
        "--lowest",
        "hd",
        "--clear-lead",
        "6",
        "--dialect",
        "wrapped",
    ]);
}

/// The clear lead sounds, then the entry ends and nothing more is heard.
fn only_the_lead_sounds(fault: &Value) {
    let (music, tracks) = album(&[13 * RATE]);
    let service = music.serve_with(
        "unlimited",
        &["--media", "encrypted", "--lowest", "hd", "--clear-lead", "6"],
    );
    service.fault(fault);
    let speaker = captured(&service);
    speaker.press("preset_1");
    service.tells(&["01 start", "01 systemStop"]);
    speaker.terminate();
    assert_eq!(service.heard()[1].played_s, 6);
    let (sound, _) = sounded(&service);
    let lead = &tracks[0][..2 * LEAD_FRAMES];
    let (music, rest) = sound.split_at(lead.len().min(sound.len()));
    assert_eq!(first_difference(music, lead), None);
    assert!(rest.iter().all(|sample| *sample == 0), "noise is heard");
    service.is_content_but_for_speed();
}

#[test]
fn a_wrong_key_is_never_heard() {
    only_the_lead_sounds(&json!({"scope": "licence", "kind": "wrong_key"}));
}

#[test]
fn a_licence_that_is_refused_ends_the_entry_behind_its_lead() {
    only_the_lead_sounds(&json!({"scope": "licence", "kind": "status", "status": 403}));
}

#[test]
fn a_licence_that_wants_another_account_ends_the_entry_behind_its_lead() {
    only_the_lead_sounds(&json!({"scope": "licence", "kind": "status", "status": 401}));
}

#[test]
fn an_answer_that_is_no_licence_ends_the_entry_behind_its_lead() {
    only_the_lead_sounds(&json!({"scope": "licence", "kind": "garbage"}));
}

/// Statuses of the requests for the licence of this track, in order.
fn licences(service: &Service, track: &str) -> Vec<u64> {
    let ledger = service.get("/sim/ledger?kind=request");
    let key = track.rsplit(':').next().unwrap();
    let records = ledger["records"].as_array().unwrap().iter();
    let is_asked = |path: &str| path.starts_with("/licence/") && path.ends_with(key);
    let asked = records.filter(|record| is_asked(record["path"].as_str().unwrap()));
    asked.map(|record| record["status"].as_u64().unwrap()).collect()
}

#[test]
fn a_licence_whose_address_ran_out_while_its_entry_waited_is_had_at_a_fresh_one() {
    let (music, _) = album(&[20 * RATE, 3 * RATE, 3 * RATE]);
    let service = music.serve_with(
        "unlimited",
        &["--media", "encrypted", "--lowest", "hd", "--clear-lead", "0"],
    );
    let speaker = Setup::write(&service, PACED, NO_CHIMES).start();
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    let last = service.tracks()[2].clone();
    until("the segment of the last track", || {
        let key = last.rsplit(':').next().unwrap();
        let paths = service.requested();
        let is_there = paths.iter().any(|path| path.contains(key) && path.contains(".m4s"));
        if is_there { Ok(()) } else { Err(format!("{paths:?}")) }
    });
    assert_eq!(
        licences(&service, &last),
        [0; 0],
        "only what comes next has its licence"
    );
    service.addresses_run_out();
    speaker.press("next");
    speaker.press("next");
    until("the end of the last track", || {
        let story = service.story();
        let is_over = story.ends_with(&["03 start".to_owned(), "03 trackFinished".to_owned()]);
        if is_over { Ok(()) } else { Err(format!("{story:?}")) }
    });
    assert_eq!(licences(&service, &last), [403, 200]);
    service.is_content();
}

#[test]
fn a_licence_that_is_refused_once_may_be_had_at_a_fresh_address() {
    let (music, tracks) = album(&[13 * RATE]);
    let service = music.serve_with(
        "unlimited",
        &["--media", "encrypted", "--lowest", "hd", "--clear-lead", "6"],
    );
    service.fault(&json!({"scope": "licence", "kind": "status", "status": 410, "count": 1}));
    let speaker = captured(&service);
    speaker.press("preset_1");
    service.tells(&["01 start", "01 trackFinished"]);
    speaker.terminate();
    assert_eq!(licences(&service, &service.tracks()[0]), [410, 200]);
    let (sound, _) = sounded(&service);
    assert_eq!(
        first_difference(&sound[..tracks[0].len().min(sound.len())], &tracks[0]),
        None
    );
    service.is_content_but_for_speed();
}

/// Stalls of an entry behind whose lead there is so much more, at the pace of a sound card, when something is wrong with
/// its licence; whole seconds of it that sounded, and how it ended.
fn with_a_licence(lead: &'static str, seconds: usize, faults: &[Value]) -> (u64, u64, String) {
    let (music, _) = album(&[seconds * RATE]);
    let more: &'static [&'static str] = match lead {
        "6" => &["--media", "encrypted", "--lowest", "hd", "--clear-lead", "6"],
        _ => &["--media", "encrypted", "--lowest", "hd"],
    };
    let service = music.serve_with("unlimited", more);
    for fault in faults {
        service.fault(fault);
    }
    let speaker = Setup::write(&service, PACED, NO_CHIMES).start();
    speaker.press("preset_1");
    let heard = until("the end of the entry", || {
        let heard = service.heard();
        if heard.len() == 2 {
            Ok(heard)
        } else {
            Err(format!("{heard:?}"))
        }
    });
    let ledger = service.get("/sim/ledger?kind=event");
    let stalls = ledger["records"][1]["body"]["event"]["rebufferCount"].as_u64();
    service.is_content();
    (stalls.unwrap(), heard[1].played_s, heard[1].what.clone())
}

fn late(ms: u64) -> [Value; 1] {
    [json!({"scope": "licence", "kind": "delay", "ms": ms, "count": 1})]
}

/// The licence is there at this second: no exchange is waited for so long, so the server first says when to come again.
fn at_second(second: u64) -> [Value; 2] {
    let put_off = json!({"scope": "licence", "kind": "status", "status": 503, "retry_after_s": second - 6, "count": 1});
    let [late] = late(6_000);
    [put_off, late]
}

#[test]
fn a_licence_a_second_before_the_end_of_the_lead_is_in_time() {
    assert_eq!(
        with_a_licence("6", 10, &late(5_000)),
        (0, 10, "trackFinished".to_owned())
    );
}

#[test]
fn a_licence_a_second_behind_the_end_of_the_lead_is_waited_for() {
    assert_eq!(
        with_a_licence("6", 10, &late(7_000)),
        (1, 10, "trackFinished".to_owned())
    );
}

#[test]
fn a_licence_that_never_comes_ends_the_entry_behind_its_lead() {
    let fault = json!({"scope": "licence", "kind": "black_hole"});
    let (_, played_s, ending) = with_a_licence("6", 10, &[fault]);
    assert_eq!((played_s, ending.as_str()), (6, "systemStop"));
}

#[test]
#[ignore = "40 s of real time: make lead"]
fn a_licence_at_second_29_is_in_time_for_the_usual_lead() {
    assert_eq!(
        with_a_licence("30", 35, &at_second(29)),
        (0, 35, "trackFinished".to_owned())
    );
}

#[test]
#[ignore = "40 s of real time: make lead"]
fn a_licence_at_second_31_is_waited_for_behind_the_usual_lead() {
    assert_eq!(
        with_a_licence("30", 35, &at_second(31)),
        (1, 35, "trackFinished".to_owned())
    );
}

/// The path of the segment that begins at the end of the first 6 s.
const SECOND_SEGMENT: &str = "t266240.m4s";
/// Options of segments that are found by it.
const CLEAR: &[&str] = &["--media", "dash", "--lowest", "hd", "--manifest", "timeline"];

#[test]
fn a_segment_that_breaks_off_once_is_fetched_again() {
    let (music, tracks) = album(&[13 * RATE]);
    let service = music.serve_with("unlimited", CLEAR);
    service.fault(&json!({"scope": "media", "kind": "cut", "bytes": 50_000, "path": SECOND_SEGMENT, "count": 1}));
    let speaker = captured(&service);
    speaker.press("preset_1");
    service.tells(&["01 start", "01 trackFinished"]);
    service.faults_are_used_up();
    speaker.terminate();
    let (sound, _) = sounded(&service);
    let sound = &sound[..tracks[0].len().min(sound.len())];
    assert_eq!(first_difference(sound, &tracks[0]), None);
    service.is_content_but_for_speed();
}

/// What is wrong with the manifest of the first entry only, whichever is fetched first.
fn at_its_manifest(service: &Service, mut fault: Value) -> Value {
    let tracks = service.tracks();
    let key = tracks[0].rsplit(':').next().unwrap();
    fault["path"] = format!("{key}/hd.mpd").into();
    fault
}

/// The second entry of two plays behind the first one, which ends in this way; what sounded, and what was recorded.
fn the_next_entry_plays(fault: &Value, ending: &str) -> (Vec<i16>, Vec<Vec<i16>>) {
    // Half of five segments, rounded up, is more than two seconds short of all of them.
    let seconds = if fault["about"] == "shorter" { 25 } else { 13 };
    let (music, tracks) = album(&[seconds * RATE, 3 * RATE]);
    let service = music.serve_with("unlimited", CLEAR);
    if fault["kind"] == "lie" {
        service.fault(&at_its_manifest(&service, fault.clone()));
    } else {
        service.fault(fault);
    }
    let speaker = captured(&service);
    speaker.press("preset_1");
    service.tells(&["01 start", ending, "02 start", "02 trackFinished"]);
    speaker.terminate();
    service.is_content_but_for_speed();
    (sounded(&service).0, tracks)
}

/// Only what was recorded sounds: at least the first segment of the first track, and all of the second.
fn nothing_else_sounds((sound, tracks): &(Vec<i16>, Vec<Vec<i16>>)) {
    let played = sound
        .iter()
        .zip(&tracks[0])
        .take_while(|(one, other)| one == other)
        .count()
        / 2
        * 2;
    assert!(played >= 2 * LEAD_FRAMES, "{} frames of the first track", played / 2);
    let rest = &sound[played..];
    let silence = rest.iter().take_while(|sample| **sample == 0).count();
    let rest = &rest[silence / 2 * 2..];
    let rest = &rest[..tracks[1].len().min(rest.len())];
    assert_eq!(first_difference(rest, &tracks[1]), None, "behind {} frames", played / 2);
}

#[test]
fn a_segment_that_is_cut_short_ends_its_entry() {
    let fault = json!({"scope": "media", "kind": "wrong_length", "by": -50_000, "path": SECOND_SEGMENT});
    nothing_else_sounds(&the_next_entry_plays(&fault, "01 systemStop"));
}

#[test]
fn a_segment_that_is_missing_ends_its_entry() {
    let fault = json!({"scope": "media", "kind": "status", "status": 404, "path": SECOND_SEGMENT});
    nothing_else_sounds(&the_next_entry_plays(&fault, "01 systemStop"));
}

#[test]
fn a_manifest_that_promises_more_than_there_is_is_played_as_far_as_it_goes() {
    let fault = json!({"scope": "media", "kind": "lie", "about": "longer", "count": 1});
    let played = the_next_entry_plays(&fault, "01 systemStop");
    let all = played.1.concat();
    let sound = &played.0[..all.len().min(played.0.len())];
    assert_eq!(first_difference(sound, &all), None);
}

#[test]
fn a_manifest_that_names_half_of_what_there_is_is_fetched_again() {
    let fault = json!({"scope": "media", "kind": "lie", "about": "shorter", "count": 1});
    let (sound, tracks) = the_next_entry_plays(&fault, "01 trackFinished");
    let all = tracks.concat();
    assert_eq!(first_difference(&sound[..all.len().min(sound.len())], &all), None);
}

#[test]
fn a_manifest_that_always_names_half_of_what_there_is_breaks_off_where_it_ends() {
    let fault = json!({"scope": "media", "kind": "lie", "about": "shorter"});
    nothing_else_sounds(&the_next_entry_plays(&fault, "01 systemStop"));
}

#[test]
fn a_manifest_that_names_another_codec_is_no_reason_for_noise() {
    let fault = json!({"scope": "media", "kind": "lie", "about": "codec", "count": 1});
    nothing_else_sounds(&the_next_entry_plays(&fault, "01 trackFinished"));
}

#[test]
fn a_manifest_that_is_none_ends_its_entry() {
    let (music, tracks) = album(&[13 * RATE, 3 * RATE]);
    let service = music.serve_with("unlimited", CLEAR);
    let fault = json!({"scope": "media", "kind": "garbage", "count": 1});
    service.fault(&at_its_manifest(&service, fault));
    let speaker = captured(&service);
    speaker.press("preset_1");
    service.tells(&["01 start", "01 systemStop", "02 start", "02 trackFinished"]);
    speaker.terminate();
    let (sound, _) = sounded(&service);
    let sound = &sound[..tracks[1].len().min(sound.len())];
    assert_eq!(first_difference(sound, &tracks[1]), None);
    service.is_content_but_for_speed();
}

#[test]
fn segments_whose_addresses_run_out_are_found_at_fresh_ones() {
    let (music, _) = album(&[10 * RATE]);
    let service = music.serve_with("unlimited", CLEAR);
    service.fault(&json!({"scope": "media", "kind": "delay", "ms": 2_500, "path": SECOND_SEGMENT, "count": 1}));
    let speaker = Setup::write(&service, PACED, NO_CHIMES).start();
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    service.faults_are_used_up();
    service.addresses_run_out();
    service.tells(&["01 start", "01 trackFinished"]);
    let mut asked = service.requested().into_iter();
    assert!(
        asked.any(|path| path.ends_with("/current")),
        "the entry was asked for again"
    );
    let ledger = service.get("/sim/ledger?kind=event");
    assert_eq!(ledger["records"][1]["body"]["event"]["rebufferCount"], 0);
    service.is_content();
}

#[test]
fn a_plan_without_high_quality_is_given_standard_quality_only() {
    for tier in ["prime", "free"] {
        let service = Music::of_lengths(&[20_000; 2]).serve_with(tier, &["--media", "dash"]);
        let speaker = Setup::write(&service, PACED, NO_CHIMES).start();
        speaker.press("preset_1");
        service.tells(&["interlude start"]);
        speaker.press("next");
        service.tells(&["interlude start", "interlude userNext", "01 start"]);
        let paths: Vec<_> = service.requested();
        let segments: Vec<_> = paths.iter().filter(|path| path.contains(".m4s")).collect();
        assert!(!segments.is_empty());
        assert!(segments.iter().all(|path| path.contains("/opus-")), "{segments:?}");
        let manifests: Vec<_> = paths.iter().filter(|path| path.contains(".mpd")).collect();
        assert!(manifests.iter().all(|path| path.contains("/sd.mpd")), "{manifests:?}");
        service.is_content();
    }
}

/// Frames of the two files below, at the rate of Opus: 61,001, and 7,919 at 44.1 kHz.
const OPUS_FRAMES: usize = 61_001 + (7_919_usize * 48_000).div_ceil(44_100);

#[test]
fn opus_in_segments_is_as_long_as_what_was_recorded_and_has_no_gap() {
    for more in [
        &["--media", "dash"] as &'static [&'static str],
        &["--media", "encrypted", "--clear-lead", "0"],
        &["--media", "encrypted", "--encryption", "cbcs", "--clear-lead", "0"],
    ] {
        let music = Music::empty();
        // One is packaged as it is, the other one is encoded.
        for (from, to) in [("long.opus", "01.opus"), ("album-1.mp3", "02.mp3")] {
            let from = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/").to_owned() + from;
            std::fs::copy(from, music.path().join(to)).unwrap();
        }
        let service = music.serve_with("unlimited", more);
        let card = Sink::new(service.folder.path(), "formats \"S16_LE\"");
        let setup = Setup::write(&service, &format!("pcm = \"{}\"\n", sink::NAME), NO_CHIMES);
        let setup = setup.with_alsa(&card.definitions());
        let speaker = setup.with_saved(&json!({ "volume": 100 })).start();
        speaker.press("preset_1");
        until("the end of the album", || {
            let story = service.story();
            let ends = story.iter().filter(|event| event.ends_with("trackFinished")).count();
            if ends == 2 { Ok(()) } else { Err(format!("{story:?}")) }
        });
        speaker.terminate();
        let heard = sink::samples(&card.heard(), "S16_LE");
        assert_eq!(heard.len() / 2, OPUS_FRAMES, "{more:?}");
        assert_eq!((card.lines("START").len(), card.lines("XRUN").len()), (1, 0));
        service.is_content();
    }
}
