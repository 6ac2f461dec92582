//! What the service does not allow is not done, and the listener is told why.

use serde_json::{Value, json};

use crate::process::until;
use crate::service::{Music, Service};
use crate::speaker::Speaker;

#[test]
fn an_advertisement_is_not_skipped() {
    let service = Music::of_lengths(&[700; 4]).serve_tier("free");
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["interlude start"]);
    speaker.press("next");
    let status = speaker.shows("an advertisement", |status| {
        status["entry"]["kind"] == "ad" && status["state"] == "playing"
    });
    assert_eq!(status["actions"]["next"]["allowed"], false);
    let (code, answer) = speaker.try_press("next");
    assert_eq!((code, &answer["error"]), (409, &"not_allowed".into()));
    assert!(!answer["reason"].as_str().unwrap().is_empty());
    let (code, _) = speaker.try_press("previous");
    assert_eq!(code, 409);
    let story = until("the start of what follows the advertisement", || {
        let story = service.story();
        let is_there = story.iter().any(|event| event == "04 start");
        if is_there { Ok(story) } else { Err(format!("{story:?}")) }
    });
    let at = story.iter().position(|event| event == "ad start").unwrap();
    assert_eq!(story[at + 1..at + 3], ["ad trackFinished", "04 start"]);
    service.is_content();
}

#[test]
fn moving_within_a_track_is_refused_where_the_plan_does_not_include_it() {
    let service = Music::of_lengths(&[20_000; 2]).serve_tier("free");
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["interlude start"]);
    // The interlude may be left, at the price of a skip.
    speaker.press("next");
    let story = ["interlude start", "interlude userNext", "01 start"];
    service.tells(&story);
    for button in ["previous", "shuffle", "loop"] {
        let (code, answer) = speaker.try_press(button);
        assert_eq!((code, &answer["error"]), (409, &"not_allowed".into()), "{button}");
    }
    let press = speaker.command(&["press", "previous"]);
    assert_eq!(press.code, Some(1));
    assert!(press.errors.contains("plan does not include"), "{}", press.errors);
    assert_eq!(service.story(), story);
    service.is_content();
}

#[test]
fn a_late_answer_does_not_give_a_used_skip_back() {
    let service = Music::of_lengths(&[20_000; 3]).serve_tier("prime");
    service.fault(&json!({"scope": "queue", "path": "/next", "kind": "delay", "ms": 1_000, "count": 2}));
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    let left = |status: &Value| status["actions"]["next"]["remaining"].clone();
    assert_eq!(left(&speaker.plays("Before the music")), 6);
    speaker.press("next");
    // Until the service has told twice what follows: once without knowing of the skip.
    speaker.shows("the answers", |status| {
        assert_eq!(left(status), 5, "{status}");
        let story = service.story();
        story.len() == 3 && service.get("/sim/faults")["faults"] == json!([])
    });
    service.is_content();
}

/// Skips `title`, which may be done `left` times.
#[track_caller]
fn skip(service: &Service, speaker: &Speaker, title: &str, left: usize) {
    // Until the service is sure to know of the last skip, the speaker counts it itself: rather one too few than one
    // too many.
    let status = speaker.shows("the skips that are left", |status| {
        let next = &status["actions"]["next"];
        status["entry"]["title"] == title && status["state"] == "playing" && next["remaining"] == left
    });
    assert_eq!(status["actions"]["next"]["allowed"], true, "{title}: {status}");
    let before = service.story().len();
    speaker.press("next");
    until("the skip to be told", || match service.story() {
        story if story.len() >= before + 2 => Ok(()),
        story => Err(format!("{story:?}")),
    });
}

#[test]
fn skips_count_down_to_none_and_are_refused_then() {
    let service = Music::of_lengths(&[20_000; 9]).serve_tier("prime");
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    // The interlude counts as well. An advertisement would follow the fourth track; a new queue has its own, but no
    // skips of its own.
    let titles = ["Before the music", "01", "02", "03"];
    for (title, left) in titles.iter().zip([6, 5, 4, 3]) {
        skip(&service, &speaker, title, left);
    }
    speaker.plays("04");
    speaker.press("preset_1");
    for (title, left) in titles.iter().zip([2, 1]) {
        skip(&service, &speaker, title, left);
    }
    let status = speaker.plays("02");
    let next = &status["actions"]["next"];
    assert_eq!(next["allowed"], false, "{next}");
    let (code, answer) = speaker.try_press("next");
    assert_eq!((code, &answer["error"]), (409, &"not_allowed".into()));
    assert!(answer["reason"].as_str().unwrap().contains("no more skips"), "{answer}");
    assert_eq!(speaker.status()["entry"]["title"], status["entry"]["title"]);
    speaker.has_reported();
    let skips = service
        .story()
        .iter()
        .filter(|event| event.ends_with("userNext"))
        .count();
    assert_eq!(skips, 6);
    service.is_content();
}

#[test]
fn the_service_s_own_words_on_a_refusal_are_shown_until_something_new_is_opened() {
    let service = Music::of_lengths(&[20_000; 2]).serve_tier("free");
    let speaker = Speaker::at(&service);
    let album = service.albums()[0].clone();
    let play = speaker.command(&["play", "--container", &album, "--shuffle"]);
    assert_eq!(
        play.code,
        Some(0),
        "only the service knows what the plan includes: {}",
        play.errors
    );
    let status = speaker.shows("the service's words", |status| status["upsell"] != Value::Null);
    let words = status["upsell"]["text"].as_str().unwrap();
    assert_eq!(status["state"], "stopped");
    assert!(
        speaker.log().contains(&format!("the service says: {words}")),
        "{}",
        speaker.log()
    );
    let shown = speaker.command(&["status"]).output;
    assert!(shown.contains(&format!("the service says: {words}")), "{shown}");
    speaker.press("preset_1");
    speaker.shows("no words any more", |status| status["upsell"] == Value::Null);
    service.is_content();
}
