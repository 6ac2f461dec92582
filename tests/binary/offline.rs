//! The network and the service fail; the music and what is told of it do not.

use serde_json::json;

use crate::process::until;
use crate::service::{Music, Service};
use crate::speaker::{PACED, Setup, Speaker};

/// The story of so many tracks that were played to their ends.
fn whole(tracks: usize) -> Vec<String> {
    let pair = |track| [format!("{track:02} start"), format!("{track:02} trackFinished")];
    (1..=tracks).flat_map(pair).collect()
}

#[track_caller]
fn tells_all_of(service: &Service, tracks: usize) {
    let story = whole(tracks);
    service.tells(&story.iter().map(String::as_str).collect::<Vec<_>>());
}

fn is_loaded(status: &serde_json::Value, count: usize) -> bool {
    let window = status["window"].as_array().unwrap();
    window.len() == count && window.iter().all(|item| item["state"] == "loaded")
}

#[test]
fn a_service_that_dies_and_returns_misses_nothing() {
    let mut service = Music::of_lengths(&[2_500; 6]).serve();
    let speaker = Setup::write(&service, PACED, "[window]\nahead = 3\n").start();
    speaker.press("preset_1");
    speaker.plays("01");
    speaker.shows("a loaded window", |status| is_loaded(status, 4));
    service.kill();
    let offline = speaker.plays("03");
    assert_eq!(offline["link"], "down");
    assert!(offline["outbox"]["waiting"].as_u64() >= Some(3), "{offline}");
    service.restart();
    tells_all_of(&service, 6);
    speaker.has_reported();
    assert_eq!(speaker.status()["link"], "up");
    // Only an answer that was lost in the crash is asked for twice.
    let repeats = service.heard().iter().filter(|event| event.outcome == "repeat").count();
    assert!(repeats <= 1, "{:?}", service.heard());
    service.is_content();
}

#[test]
fn presses_offline_move_within_what_is_loaded_and_are_told_later() {
    let mut service = Music::of_lengths(&[20_000; 4]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    speaker.has_reported();
    speaker.shows("a loaded window", |status| is_loaded(status, 4));
    service.kill();
    for title in ["02", "03", "04"] {
        speaker.press("next");
        speaker.plays(title);
    }
    let (status, body) = speaker.try_press("shuffle");
    assert_eq!((status, &body["error"]), (409, &json!("no_network")), "{body}");
    service.restart();
    service.tells(&[
        "01 start",
        "01 userNext",
        "02 start",
        "02 userNext",
        "03 start",
        "03 userNext",
        "04 start",
    ]);
    service.is_content();
}

#[test]
fn a_lost_answer_repeats_one_event_byte_for_byte_and_no_other() {
    let service = Music::of_lengths(&[1_500; 3]).serve();
    service.fault(&json!({"scope": "events", "kind": "answer_lost", "count": 1}));
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    tells_all_of(&service, 3);
    let heard = service.heard();
    let repeats: Vec<_> = heard.iter().filter(|event| event.outcome == "repeat").collect();
    assert_eq!(repeats.len(), 1, "{heard:?}");
    assert_eq!(heard[1].outcome, "repeat");
    service.is_content();
}

#[test]
fn server_errors_everywhere_are_survived() {
    let service = Music::of_lengths(&[1_500; 3]).serve();
    let speaker = Setup::write(&service, PACED, "[window]\nahead = 1\n").start();
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    for scope in ["queue", "events", "media"] {
        service.fault(&json!({"scope": scope, "kind": "status", "status": 500, "count": 2}));
    }
    tells_all_of(&service, 3);
    service.faults_are_used_up();
    speaker.shows("the service", |status| {
        status["link"] == "up" && status["problem"].is_null()
    });
    service.is_content();
}

#[test]
fn garbage_in_answers_is_survived() {
    let service = Music::of_lengths(&[1_500; 3]).serve();
    let speaker = Setup::write(&service, PACED, "[window]\nahead = 1\n").start();
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    for scope in ["queue", "events"] {
        service.fault(&json!({"scope": scope, "kind": "garbage", "count": 2}));
    }
    tells_all_of(&service, 3);
    service.faults_are_used_up();
    service.is_content();
}

#[test]
fn a_press_of_play_that_meets_garbage_is_answered_and_the_next_one_plays() {
    let service = Music::of_lengths(&[5_000]).serve();
    let speaker = Speaker::at(&service);
    service.fault(&json!({"scope": "queue", "kind": "garbage", "count": 1}));
    speaker.press("preset_1");
    service.faults_are_used_up();
    speaker.shows("silence", |status| status["state"] == "stopped");
    speaker.press("preset_1");
    speaker.plays("01");
}

#[test]
fn media_that_breaks_off_is_fetched_on_from_there() {
    let service = Music::of_lengths(&[1_500; 2]).serve();
    service.fault(&json!({"scope": "media", "kind": "cut", "bytes": 50_000, "count": 3}));
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    tells_all_of(&service, 2);
    service.faults_are_used_up();
    service.is_content();
}

#[test]
fn an_event_the_service_refuses_is_set_aside_for_people_to_see() {
    let service = Music::of_lengths(&[1_500; 2]).serve();
    service.fault(&json!({"scope": "events", "kind": "status", "status": 400, "code": "BAD_REQUEST", "count": 1}));
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    // It did happen, so the service's ledger has it, too.
    tells_all_of(&service, 2);
    speaker.has_reported();
    assert_eq!(service.heard()[0].outcome, "refused");
    assert_eq!(speaker.status()["outbox"]["set_aside"], 1);
    assert!(
        speaker.metrics().contains("tonearm_events_set_aside 1\n"),
        "{}",
        speaker.metrics()
    );
    let listing = speaker.command(&["journal", "--json"]);
    assert_eq!(listing.code, Some(0), "{}", listing.errors);
    let listing: serde_json::Value = serde_json::from_str(&listing.output).unwrap();
    assert_eq!(listing["waiting"], json!([]));
    assert_eq!(listing["set_aside_total"], 1);
    assert_eq!(listing["set_aside"][0]["event"]["type"], "start");
    assert!(
        listing["set_aside"][0]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("refused"))
    );
}

#[test]
fn without_a_service_the_journal_shows_what_waits() {
    let mut service = Music::of_lengths(&[20_000; 2]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    speaker.has_reported();
    speaker.shows("a loaded window", |status| is_loaded(status, 2));
    service.kill();
    speaker.press("next");
    speaker.plays("02");
    until("the events on disk", || {
        let listing = speaker.command(&["journal", "--json"]);
        let listing: serde_json::Value = serde_json::from_str(&listing.output).unwrap();
        let waiting = listing["waiting"].as_array().unwrap();
        let kinds: Vec<_> = waiting.iter().map(|event| event["type"].clone()).collect();
        if kinds == ["stop", "start"] {
            Ok(())
        } else {
            Err(format!("{kinds:?}"))
        }
    });
    let people = speaker.command(&["journal"]);
    assert_eq!(people.code, Some(0));
    assert!(people.output.contains("userNext"), "{}", people.output);
}
