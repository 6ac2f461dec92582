//! Events that waited go out several at once, where the service has a path for that.

use serde_json::{Value, json};

use crate::service::{Music, Service};
use crate::speaker::{PACED, Setup, Speaker};

const PATH: &str = "/v1/playback/events/batch";

/// A speaker that sends events in batches and has the whole album loaded.
fn speaker_of(service: &Service) -> Speaker {
    let about_service = format!("event_batch_path = \"{PATH}\"\n");
    let speaker = Setup::write_with(service, PACED, &about_service, "").start();
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    speaker.has_reported();
    speaker.shows("a loaded window", |status| {
        let window = status["window"].as_array().unwrap();
        window.len() == 4 && window.iter().all(|item| item["state"] == "loaded")
    });
    speaker
}

fn skips_to_the_end(speaker: &Speaker) {
    for title in ["02", "03", "04"] {
        speaker.press("next");
        speaker.plays(title);
    }
}

const STORY: [&str; 7] = [
    "01 start",
    "01 userNext",
    "02 start",
    "02 userNext",
    "03 start",
    "03 userNext",
    "04 start",
];

/// Statuses of the requests to the path of batches.
fn batches(service: &Service) -> Vec<Value> {
    let ledger = service.get("/sim/ledger?kind=request");
    let requests = ledger["records"].as_array().unwrap().iter();
    let batches = requests.filter(|record| record["path"] == PATH);
    batches.map(|record| record["status"].clone()).collect()
}

#[test]
fn events_that_waited_for_a_dead_service_arrive_together_each_once_and_in_order() {
    let mut service = Music::of_lengths(&[20_000; 4]).serve();
    let speaker = speaker_of(&service);
    service.kill();
    skips_to_the_end(&speaker);
    service.restart();
    service.tells(&STORY);
    speaker.has_reported();
    assert!(batches(&service).contains(&json!(200)), "{:?}", batches(&service));
    let taken = service
        .heard()
        .iter()
        .filter(|event| event.outcome == "accepted")
        .count();
    assert_eq!(taken, STORY.len(), "{:?}", service.heard());
    service.is_content();
}

#[test]
fn the_events_of_a_batch_that_is_refused_arrive_singly() {
    let mut service = Music::of_lengths(&[20_000; 4]).serve();
    let speaker = speaker_of(&service);
    service.kill();
    skips_to_the_end(&speaker);
    service.restart_with(&["--fault", "scope=events,kind=status,status=400,path=/batch"]);
    service.tells(&STORY);
    speaker.has_reported();
    // Whatever was not recorded yet when the first was refused may come as another one.
    let batches = batches(&service);
    assert!(
        !batches.is_empty() && batches.iter().all(|one| *one == 400),
        "{batches:?}"
    );
    assert_eq!(speaker.status()["outbox"]["set_aside"], 0);
    service.is_content();
}
