//! What the service does not allow is not done, and the listener is told why.

use crate::service::Music;
use crate::speaker::Speaker;

#[test]
fn an_advertisement_is_not_skipped() {
    let service = Music::of_lengths(&[700; 4]).serve_tier("free");
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    let status = speaker.shows("an advertisement", |status| {
        status["entry"]["kind"] == "ad" && status["state"] == "playing"
    });
    assert_eq!(status["actions"]["next"]["allowed"], false);
    let (code, answer) = speaker.try_press("next");
    assert_eq!((code, &answer["error"]), (409, &"not_allowed".into()));
    assert!(!answer["reason"].as_str().unwrap().is_empty());
    let (code, _) = speaker.try_press("previous");
    assert_eq!(code, 409);
    speaker.plays("04");
    let story = service.story();
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
fn skips_count_down_to_none_and_are_refused_then() {
    let service = Music::of_lengths(&[20_000; 9]).serve_tier("prime");
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    for left in (1..=6).rev() {
        let status = speaker.shows("a track that may be skipped", |status| {
            status["state"] == "playing"
                && status["entry"]["kind"] == "track"
                && status["actions"]["next"]["allowed"] == true
        });
        assert_eq!(status["actions"]["next"]["remaining"], left);
        let skipped = status["entry"]["title"].clone();
        speaker.press("next");
        speaker.shows("what follows", |status| status["entry"]["title"] != skipped);
    }
    let status = speaker.shows("the last track", |status| {
        status["state"] == "playing" && status["entry"]["kind"] == "track"
    });
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
