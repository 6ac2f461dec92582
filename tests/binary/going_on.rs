//! What a speaker goes on with when it starts: its own session, the same one brought back, one of another device.

use serde_json::{Value, json};

use crate::process::until;
use crate::service::{Music, Service};
use crate::speaker::{PACED, Setup, Speaker};

/// Requests to the service, each as its method and the end of its path.
fn requests(service: &Service) -> Vec<String> {
    let ledger = service.get("/sim/ledger?kind=request");
    let records = ledger["records"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let end = |path: String| path.rsplit('/').next().unwrap_or_default().to_owned();
    records
        .iter()
        .map(|record| format!("{} {}", text(&record["method"]), end(text(&record["path"]))))
        .collect()
}

/// Another device of the account plays, from before this speaker starts.
fn played_in_the_kitchen() -> Service {
    let service = Music::of_lengths(&[20_000; 2]).serve();
    service.order("/sim/devices/play", &json!({"device": "kitchen"}));
    service
}

#[track_caller]
fn offered(speaker: &Speaker) -> Value {
    let status = speaker.shows("an offer", |status| status["offer"] != Value::Null);
    status["offer"].clone()
}

#[test]
fn at_the_very_first_start_it_is_silent_and_asks_only_what_others_play() {
    let service = Music::of_lengths(&[20_000]).serve();
    let speaker = Speaker::at(&service);
    until("the question", || {
        let asked = requests(&service);
        if asked == ["GET active"] {
            Ok(())
        } else {
            Err(format!("{asked:?}"))
        }
    });
    let status = speaker.status();
    assert_eq!((&status["state"], &status["offer"]), (&json!("stopped"), &Value::Null));
    speaker.press("play");
    speaker.plays("01");
    service.is_content();
}

#[test]
fn what_another_device_plays_is_offered_and_goes_on_here_when_it_is_taken_over() {
    let service = played_in_the_kitchen();
    let speaker = Speaker::at(&service);
    assert_eq!(offered(&speaker), json!({"title": "01", "device": "kitchen"}));
    let shown = speaker.command(&["status"]).output;
    assert!(shown.contains("01 is on kitchen"), "{shown}");
    assert_eq!(service.story(), Vec::<String>::new(), "an offer makes no sound");
    let outcome = speaker.command(&["press", "take_over"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.errors);
    let status = speaker.plays("01");
    assert_eq!(status["offer"], Value::Null);
    service.tells(&["01 start"]);
    assert_eq!(service.sessions(), 1, "it is the same session");
    speaker.has_reported();
    service.is_content();
}

#[test]
fn play_takes_an_offer_before_it_takes_a_preset() {
    let service = played_in_the_kitchen();
    let speaker = Speaker::at(&service);
    offered(&speaker);
    speaker.press("play");
    service.tells(&["01 start"]);
    assert_eq!(service.sessions(), 1);
    service.is_content();
}

#[test]
fn without_an_offer_there_is_nothing_to_take_over() {
    let service = Music::of_lengths(&[20_000]).serve();
    let speaker = Speaker::at(&service);
    let outcome = speaker.command(&["press", "take_over"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.errors.contains("nothing"), "{}", outcome.errors);
}

#[test]
fn a_speaker_that_is_told_to_take_over_goes_on_by_itself_if_it_played_before() {
    let service = played_in_the_kitchen();
    let setup = Setup::write_with(&service, PACED, "elsewhere = \"take_over\"", "");
    let speaker = setup.with_saved(&json!({"playing": true, "volume": 40})).start();
    speaker.plays("01");
    service.tells(&["01 start"]);
    assert_eq!(service.sessions(), 1);
    service.is_content();
}

#[test]
fn a_session_that_the_service_forgot_is_brought_back_where_it_was() {
    let service = Music::of_lengths(&[20_000; 2]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    speaker.press("next");
    speaker.plays("02");
    speaker.shows("some of it", |status| {
        status["entry"]["position_ms"].as_u64() > Some(1_200)
    });
    let setup = speaker.terminate();
    service.fault(&json!({"scope": "queue", "path": "/current", "kind": "status", "status": 404, "count": 1}));
    let speaker = setup.start();
    let status = speaker.plays("02");
    assert!(status["entry"]["position_ms"].as_u64() > Some(1_000), "{status}");
    service.tells(&["01 start", "01 userNext", "02 start", "02 systemStop", "02 start"]);
    let brought_back = service.heard().last().unwrap().position_ms;
    assert!(brought_back > 1_000, "{brought_back}");
    let asked = service.get("/sim/ledger?kind=request").to_string();
    assert!(asked.contains("/v1/playback/sessions/entities/"), "{asked}");
    service.is_content();
}

#[test]
fn a_speaker_whose_stream_was_taken_gets_it_back_by_taking_over() {
    let service = Music::of_lengths(&[20_000; 2]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    service.order("/sim/devices/play", &json!({"device": "kitchen"}));
    // It learns of it by the next event or call.
    speaker.press("next");
    let lost = speaker.shows("the loss", |status| status["problem"]["code"] == "taken_over");
    assert_eq!(lost["state"], "paused");
    speaker.press("take_over");
    speaker.plays("02");
    speaker.has_reported();
    assert_eq!(speaker.status()["problem"], Value::Null);
    service.is_content();
}
