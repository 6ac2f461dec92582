//! What a listener hears and what the service hears of it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::music::{RATE, first_difference, noise, read_wav, write_flac};
use crate::process::{Program, until};
use crate::service::{Music, Service};
use crate::speaker::{API_KEY, PACED, Setup, Speaker};

/// Growth of the memory in use that is not from what the program keeps: the allocator's and the kernel's habits.
const SLACK_KIB: u64 = 6 * 1024;

/// Three tracks whose lengths are no multiple of anything: 01.flac, 02.flac, 03.flac. And all samples in one.
pub fn odd_album() -> (Music, Vec<i16>) {
    let music = Music::empty();
    let mut all = Vec::new();
    for (seed, frames) in (1_u32..).zip([RATE + 7919, RATE / 2 + 7, RATE - 1013]) {
        let samples = noise(seed, frames);
        write_flac(&music.path().join(format!("{seed:02}.flac")), &samples);
        all.extend(samples);
    }
    (music, all)
}

#[test]
fn the_demo_sounds_an_album_without_a_gap_and_ends_by_itself() {
    let (music, all) = odd_album();
    let args = [
        "demo",
        "--music",
        "music",
        "--for",
        "8s",
        "--capture",
        "out.wav",
        "--output",
        "paced",
    ];
    let mut demo = Program::start(music.folder(), "demo", &args, &[]);
    let code = demo.ended().code();
    let printed = demo.output();
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("tracks:  3 played"), "{printed}");
    assert!(
        printed.contains("gaps:    0 (2 tracks followed without one)"),
        "{printed}"
    );
    assert!(
        printed.contains("events:  6 sent in order, 0 waiting, 0 refused; the service found 0 violations"),
        "{printed}"
    );
    let captured = read_wav(&music.folder().join("out.wav"));
    assert_eq!(first_difference(&captured, &all), None);
}

#[test]
fn a_demo_that_is_told_to_leave_reports_and_its_capture_plays() {
    let (music, all) = odd_album();
    let args = ["demo", "--music", "music", "--capture", "out.wav", "--output", "paced"];
    let mut demo = Program::start(music.folder(), "demo", &args, &[]);
    until("the second track", || {
        let printed = demo.output();
        if printed.contains("playing 02") {
            Ok(())
        } else {
            Err(printed)
        }
    });
    demo.terminate();
    assert_eq!(demo.ended().code(), Some(0));
    assert!(
        demo.output()
            .contains("0 waiting, 0 refused; the service found 0 violations"),
        "{}",
        demo.output()
    );
    let captured = read_wav(&music.folder().join("out.wav"));
    assert!(captured.len() > 2 * RATE, "a second sounded, and more");
    assert_eq!(first_difference(&captured, &all[..captured.len()]), None);
}

#[test]
fn every_way_to_start_and_stop_is_told_in_order() {
    let service = Music::of_lengths(&[20_000, 20_000, 1_500, 20_000]).serve();
    let speaker = Speaker::at(&service);
    let mut story = Vec::new();
    let mut then = |more: &[&'static str]| {
        story.extend_from_slice(more);
        service.tells(&story);
    };
    speaker.press("preset_1");
    then(&["01 start"]);
    speaker.press("next");
    then(&["01 userNext", "02 start"]);
    speaker.press("previous");
    then(&["02 userPrev", "01 start"]);
    speaker.press("next");
    then(&["01 userNext", "02 start"]);
    speaker.press("next");
    then(&["02 userNext", "03 start"]);
    then(&["03 trackFinished", "04 start"]);
    speaker.press("play");
    then(&["04 userStop"]);
    assert_eq!(speaker.status()["state"], "paused");
    speaker.press("play");
    then(&["04 start"]);
    speaker.seek(8_000);
    then(&["04 trackScrub", "04 start"]);
    speaker.terminate();
    then(&["04 systemStop"]);
    service.is_content();
}

#[test]
fn a_seek_starts_where_it_was_told_to() {
    let service = Music::of_lengths(&[30_000]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    speaker.seek(12_345);
    service.tells(&["01 start", "01 trackScrub", "01 start"]);
    assert_eq!(service.heard()[2].position_ms, 12_345);
}

#[test]
fn going_back_late_returns_to_the_start_of_the_track() {
    let service = Music::of_lengths(&[20_000, 20_000]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    speaker.plays("01");
    speaker.press("next");
    service.tells(&["01 start", "01 userNext", "02 start"]);
    speaker.seek(10_000);
    service.tells(&["01 start", "01 userNext", "02 start", "02 trackScrub", "02 start"]);
    speaker.press("previous");
    let story = [
        "01 start",
        "01 userNext",
        "02 start",
        "02 trackScrub",
        "02 start",
        "02 trackScrub",
        "02 start",
    ];
    service.tells(&story);
    assert_eq!(service.heard()[6].position_ms, 0);
    service.is_content();
}

#[test]
fn a_pause_keeps_its_place() {
    let service = Music::of_lengths(&[30_000]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    speaker.plays("01");
    speaker.seek(5_000);
    service.tells(&["01 start", "01 trackScrub", "01 start"]);
    speaker.press("play");
    // The device has fallen silent when the stop is told.
    service.tells(&["01 start", "01 trackScrub", "01 start", "01 userStop"]);
    let status = speaker.status();
    assert_eq!(status["state"], "paused");
    let paused = status["entry"]["position_ms"].clone();
    // A second of nothing, by the speaker's own telling.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(speaker.status()["entry"]["position_ms"], paused);
    speaker.press("play");
    service.tells(&["01 start", "01 trackScrub", "01 start", "01 userStop", "01 start"]);
    let resumed_ms = service.heard()[4].position_ms;
    assert!(
        resumed_ms.abs_diff(paused.as_u64().unwrap()) < 50,
        "paused at {paused}, resumed at {resumed_ms}"
    );
    service.is_content();
}

#[test]
fn the_next_track_is_loaded_before_it_is_needed() {
    let service = Music::of_lengths(&[20_000; 4]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    let is_loaded = |item: &serde_json::Value| item["state"] == "loaded";
    let status = speaker.shows("a loaded window", |status| {
        let window = status["window"].as_array().unwrap();
        window.len() == 4 && window.iter().all(is_loaded)
    });
    assert_eq!(status["cursor"], 0);
    // What is loaded plays although no byte of it can be had any more.
    service.fault(&serde_json::json!({"scope": "media", "kind": "status", "status": 500}));
    speaker.press("next");
    speaker.plays("02");
}

#[test]
fn a_heartbeat_tells_the_position_without_touching_the_sound() {
    let service = Music::of_lengths(&[60_000]).serve();
    let speaker = Setup::write_with(&service, PACED, "heartbeat_s = 1", "").start();
    speaker.press("preset_1");
    service.tells(&["01 start", "01 systemStop", "01 start", "01 systemStop", "01 start"]);
    let heard = service.heard();
    assert_eq!(heard[2].position_ms / 1000, heard[1].position_ms / 1000);
    let metrics = speaker.metrics();
    for name in ["xruns_total", "boundaries_with_gap_total", "boundaries_gapless_total"] {
        assert!(metrics.contains(&format!("\ntonearm_{name} 0\n")), "{metrics}");
    }
    service.is_content();
}

#[test]
fn the_key_of_the_product_is_in_no_log_and_not_sent_for_media() {
    let service = Music::of_lengths(&[1_500]).serve();
    let speaker = Setup::write(&service, PACED, "").with_all_logged().start();
    speaker.press("preset_1");
    service.tells(&["01 start", "01 trackFinished"]);
    // The service finds it where it does not belong.
    service.is_content();
    let log = speaker.log();
    assert!(
        log.contains("TRACE") && log.contains("/v1/playback/sessions"),
        "the log shows requests"
    );
    // A piece of it, because a dump of bytes breaks lines anywhere.
    let pieces = API_KEY.split('-').filter_map(|piece| piece.rsplit('.').next());
    for piece in pieces {
        assert_eq!(log.lines().find(|line| line.contains(piece)), None, "{piece}");
    }
}

#[test]
fn a_preset_starts_in_the_mode_its_configuration_says() {
    let service = Music::of_lengths(&[20_000; 5]).serve();
    let album = service.albums()[0].clone();
    let preset = |mode| format!("[[preset]]\nname = \"{mode}\"\nmode = \"{mode}\"\ncontainer_ids = [\"{album}\"]\n");
    let speaker = Setup::write(&service, PACED, &(preset("shuffle") + &preset("station"))).start();
    let started = |button, style: &str| {
        speaker.press(button);
        until("the queue", || {
            let sessions = service.get("/sim/sessions");
            let sessions = sessions["sessions"].as_array().unwrap();
            let is_there = sessions.iter().any(|session| session["style"] == style);
            if is_there { Ok(()) } else { Err(format!("{sessions:?}")) }
        });
    };
    started("preset_1", "shuffled");
    speaker.shows("the order", |status| {
        status["shuffle"] == true && status["state"] == "playing"
    });
    started("preset_2", "station");
    // The album itself, as it was recorded.
    started("preset_3", "ordered");
    speaker.plays("01");
    assert_eq!(speaker.status()["shuffle"], false);
    service.is_content();
}

#[test]
fn followers_of_the_page_are_told_of_changes() {
    let service = Music::of_lengths(&[20_000]).serve();
    let speaker = Speaker::at(&service);
    let mut changes = speaker.changes();
    assert_eq!(changes.next().unwrap()["state"], "stopped");
    speaker.press("preset_1");
    let playing = changes.find(|status| status["state"] == "playing").unwrap();
    assert_eq!(playing["entry"]["title"], "01");
    speaker.press("volume_up");
    assert!(changes.any(|status| status["volume"] == 44));
}

#[test]
fn many_skips_do_not_grow_the_memory() {
    const SKIPS: usize = 60;
    let service = Music::of_lengths(&[6_000; 12]).serve();
    let speaker = Setup::write(&service, PACED, "[window]\nahead = 4\nmemory_mib = 8\n").start();
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    speaker.press("loop");
    speaker.shows("the loop", |status| status["loop"] == true);
    skip(&service, &speaker, SKIPS);
    let before_kib = resident_kib(&speaker);
    skip(&service, &speaker, 2 * SKIPS);
    let after_kib = resident_kib(&speaker);
    assert!(
        after_kib < before_kib + SLACK_KIB,
        "{before_kib} KiB grew to {after_kib} KiB"
    );
    service.is_content();
}

/// Presses next and waits for the next start, so many times.
fn skip(service: &Service, speaker: &Speaker, times: usize) {
    for _ in 0..times {
        let before = events(service);
        speaker.press("next");
        // A stop and a start; a track that ends just now makes more.
        until("the next start", || {
            let now = events(service);
            if now >= before + 2 {
                Ok(())
            } else {
                Err(format!("{now} events after {before}"))
            }
        });
    }
}

fn events(service: &Service) -> u64 {
    service.get("/sim/report")["events"].as_u64().unwrap()
}

fn resident_kib(speaker: &Speaker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", speaker.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn five_presses_in_a_second_land_on_the_fifth_entry_while_the_service_takes_three_to_answer() {
    const LATENCY: Duration = Duration::from_secs(3);
    let service = Music::of_lengths(&[20_000; 9]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    speaker.plays("01");
    speaker.shows("a loaded window", |status| {
        let window = status["window"].as_array().unwrap();
        window.len() == 9 && window.iter().all(|item| item["state"] == "loaded")
    });
    speaker.has_reported();
    for scope in ["queue", "events"] {
        service.fault(&json!({ "scope": scope, "kind": "delay", "ms": LATENCY.as_millis() }));
    }
    let asked = Instant::now();
    for _ in 0..5 {
        speaker.press("next");
        // A listener's pace.
        std::thread::sleep(Duration::from_millis(150));
    }
    speaker.plays("06");
    speaker.press("previous");
    speaker.plays("05");
    speaker.press("previous");
    speaker.plays("04");
    assert!(
        asked.elapsed() < LATENCY,
        "it waited for the service: {:?}",
        asked.elapsed()
    );
}
