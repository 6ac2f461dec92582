//! Music as MPEG-DASH, in the clear and encrypted: what reaches the device, and what the service hears when something is
//! wrong with a licence, a segment or a manifest.

use serde_json::{Value, json};

use crate::alsa::{DEVICES, sounded};
use crate::music::{RATE, first_difference, noise, write_wav};
use crate::service::{Music, Service};
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
    service.is_content();
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
    service.is_content();
}

#[test]
fn a_wrong_key_is_never_heard() {
    only_the_lead_sounds(&json!({"scope": "licence", "kind": "wrong_key"}));
}

#[test]
fn a_licence_that_is_refused_ends_the_entry_behind_its_lead() {
    only_the_lead_sounds(&json!({"scope": "licence", "kind": "status", "status": 403}));
}

/// Stalls of the first entry when its licence comes so late, at the pace of a sound card; and how the entry ended.
fn with_a_licence_after(ms: u64) -> (u64, String) {
    let (music, _) = album(&[10 * RATE]);
    let service = music.serve_with(
        "unlimited",
        &["--media", "encrypted", "--lowest", "hd", "--clear-lead", "6"],
    );
    service.fault(&json!({"scope": "licence", "kind": "delay", "ms": ms, "count": 1}));
    let speaker = Setup::write(&service, PACED, NO_CHIMES).start();
    speaker.press("preset_1");
    let story = crate::process::until("the end of the entry", || {
        let story = service.story();
        if story.len() == 2 {
            Ok(story)
        } else {
            Err(format!("{story:?}"))
        }
    });
    let ledger = service.get("/sim/ledger?kind=event");
    let stop = &ledger["records"][1]["body"]["event"];
    service.is_content();
    (stop["rebufferCount"].as_u64().unwrap(), story[1].clone())
}

#[test]
fn a_licence_a_second_before_the_end_of_the_lead_is_in_time() {
    assert_eq!(with_a_licence_after(5_000), (0, "01 trackFinished".to_owned()));
}

/// The path of the segment that begins at the end of the first 6 s.
const SECOND_SEGMENT: &str = "t266240.m4s";

#[test]
fn a_segment_that_breaks_off_once_is_fetched_again() {
    let (music, tracks) = album(&[13 * RATE]);
    let service = music.serve_with("unlimited", &["--media", "dash", "--lowest", "hd"]);
    service.fault(&json!({"scope": "media", "kind": "cut", "bytes": 50_000, "path": SECOND_SEGMENT, "count": 1}));
    let speaker = captured(&service);
    speaker.press("preset_1");
    service.tells(&["01 start", "01 trackFinished"]);
    speaker.terminate();
    let (sound, _) = sounded(&service);
    let sound = &sound[..tracks[0].len().min(sound.len())];
    assert_eq!(first_difference(sound, &tracks[0]), None);
}

/// The first entry ends in trouble of this kind, the second one plays.
fn the_next_entry_plays(fault: &Value, ending: &str) {
    let (music, _) = album(&[13 * RATE, 3 * RATE]);
    let service = music.serve_with(
        "unlimited",
        &["--media", "dash", "--lowest", "hd", "--manifest", "timeline"],
    );
    service.fault(fault);
    let speaker = captured(&service);
    speaker.press("preset_1");
    service.tells(&["01 start", ending, "02 start", "02 trackFinished"]);
    service.is_content();
}

#[test]
fn a_segment_that_is_cut_short_ends_its_entry() {
    let fault = json!({"scope": "media", "kind": "wrong_length", "by": -50_000, "path": SECOND_SEGMENT});
    the_next_entry_plays(&fault, "01 systemStop");
}

#[test]
fn a_segment_that_is_missing_ends_its_entry() {
    let fault = json!({"scope": "media", "kind": "status", "status": 404, "path": SECOND_SEGMENT});
    the_next_entry_plays(&fault, "01 systemStop");
}

#[test]
fn a_manifest_that_is_none_ends_its_entry() {
    let fault = json!({"scope": "media", "kind": "garbage", "path": ".mpd", "count": 1});
    the_next_entry_plays(&fault, "01 systemStop");
}
