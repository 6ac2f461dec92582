//! The page over real HTTP on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tonearm_core::entry::Denial;
use tonearm_core::input::Mode;
use tonearm_core::refusal::Problem;

use super::ask::PlayRequest;
use super::client::ClientError;
use super::fixture::{Speaker, queue, speaker};
use super::status::denial_text;
use super::*;

/// The next status a follower gets.
fn next(follower: &mut BufReader<TcpStream>) -> Value {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(follower.read_line(&mut line).unwrap() > 0, "the connection ended");
        if let Some(data) = line.strip_prefix("data: ") {
            return serde_json::from_str(data).unwrap();
        }
    }
}

fn playing() -> Status {
    let denied = Action {
        reason: Some(denial_text(Denial::Unavailable).into()),
        ..Action::default()
    };
    let skips = Action {
        allowed: true,
        reason: None,
        remaining: Some(6),
    };
    Status {
        state: State::Playing,
        entry: Some(Now {
            title: "Blue".into(),
            artist: "Somebody".into(),
            kind: "track".into(),
            position_ms: 61_000,
            duration_ms: Some(200_000),
        }),
        window: vec![Item {
            title: "Blue".into(),
            kind: "track".into(),
            loaded_ms: 200_000,
            state: Load::Loaded,
        }],
        cursor: Some(0),
        outbox: Outbox {
            waiting: 2,
            set_aside: 1,
            folded: 3,
            oldest_age_s: Some(7),
        },
        link: Link::Up,
        account: Account::Linked,
        actions: Actions {
            next: skips,
            previous: denied.clone(),
            scrub_forward: denied.clone(),
            scrub_backward: denied.clone(),
            looping: denied.clone(),
            shuffle: denied,
        },
        problem: Some(Problem::StorageFailed.into()),
        offer: Some(Offer {
            title: "Green".into(),
            device: Some("kitchen".into()),
        }),
        upsell: Some(Upsell {
            text: "More with a larger plan.".into(),
            url: Some("https://example.com/plans".into()),
        }),
        ..Status::default()
    }
}

#[test]
fn the_status_has_the_promised_form() {
    let speaker = speaker();
    speaker.status.send_replace(Arc::new(playing()));
    let denied = json!({"allowed": false, "reason": "the service does not allow this here", "remaining": null});
    let expected = json!({
        "state": "playing",
        "entry": {"title": "Blue", "artist": "Somebody", "kind": "track", "position_ms": 61000, "duration_ms": 200_000},
        "volume": 40, "shuffle": false, "loop": false,
        "window": [{"title": "Blue", "kind": "track", "loaded_ms": 200_000, "state": "loaded"}],
        "cursor": 0,
        "outbox": {"waiting": 2, "set_aside": 1, "folded": 3, "oldest_age_s": 7},
        "link": "up", "account": "linked", "linking": null, "account_problem": null,
        "actions": {
            "next": {"allowed": true, "reason": null, "remaining": 6},
            "previous": denied, "scrub_forward": denied, "scrub_backward": denied, "loop": denied, "shuffle": denied,
        },
        "problem": {"code": "storage_failed", "text": "events cannot be stored: is the disk full or read-only?"},
        "offer": {"title": "Green", "device": "kitchen"},
        "upsell": {"text": "More with a larger plan.", "url": "https://example.com/plans"},
    });
    assert_eq!(speaker.client().status_json().unwrap(), expected);
    assert_eq!(speaker.client().status().unwrap(), playing());
}

#[test]
fn the_status_is_rendered_for_people() {
    let text = playing().to_string();
    assert!(
        text.starts_with("playing: Blue by Somebody (1:01 of 3:20)\nvolume 40, shuffle off, loop off\n> Blue"),
        "{text}"
    );
    assert!(
        text.contains("events waiting 2 (oldest 7 s), set aside 1, 3 pairs let go for want of room\nproblem: events cannot be stored"),
        "{text}"
    );
    assert!(
        text.ends_with(
            "Green is on kitchen: `tonearm press take_over` goes on here\n\
             the service says: More with a larger plan. https://example.com/plans\n"
        ),
        "{text}"
    );
}

#[test]
fn presses_are_passed_on_and_a_refusal_is_told_with_its_reason() {
    let speaker = speaker();
    let client = speaker.client();
    client.press("play").unwrap();
    client.press("preset_3").unwrap();
    let json = "host: localhost\r\ncontent-type: application/json";
    let (status, _) = speaker.raw(
        &format!("POST /api/seek HTTP/1.1\r\n{json}"),
        r#"{"position_ms":30000}"#,
    );
    assert_eq!(status, 202);
    client
        .play(Some("mrn:1.0:x"), &["mrn:1.0:y".into()], "shuffle")
        .unwrap();
    let (status, body) = speaker.raw("POST /api/press/next HTTP/1.1\r\nhost: tonearm.local", "");
    assert_eq!(status, 409);
    assert_eq!(
        body,
        json!({"error": "not_allowed", "reason": "no more skips for now; the service allows some each hour"})
    );
    let error = client.press("next").unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused { status: 409, reason } if reason.starts_with("no more skips")),
        "{error}"
    );
    let asked = speaker.asked();
    let play = PlayParams {
        id: Some("mrn:1.0:x".into()),
        container_ids: vec!["mrn:1.0:y".into()],
    };
    let request = PlayRequest {
        play,
        mode: Mode::Shuffle,
    };
    assert_eq!(asked[0], "Press { button: Play");
    assert_eq!(asked[1], "Press { button: Preset(3)");
    assert_eq!(asked[2], "Seek { position: Millis(30000)");
    assert_eq!(asked[3], format!("Play {{ request: {request:?}"));
}

#[test]
fn what_is_put_into_the_queue_and_taken_over_is_passed_on() {
    let speaker = speaker();
    let client = speaker.client();
    client.enqueue(Some("mrn:1.0:x"), &[], Place::Next).unwrap();
    client.enqueue(None, &["mrn:1.0:y".into()], Place::Last).unwrap();
    client.press("take_over").unwrap();
    assert_eq!(
        speaker.raw("POST /api/take-over HTTP/1.1\r\nhost: localhost", "").0,
        202
    );
    let play = |id: Option<&str>, container_ids: &[&str]| PlayParams {
        id: id.map(str::to_owned),
        container_ids: container_ids.iter().map(|&id| id.to_owned()).collect(),
    };
    let (next, last) = (play(Some("mrn:1.0:x"), &[]), play(None, &["mrn:1.0:y"]));
    assert_eq!(
        speaker.asked(),
        [
            format!("Enqueue {{ play: {next:?}, place: Next"),
            format!("Enqueue {{ play: {last:?}, place: Last"),
            "Press { button: TakeOver".to_owned(),
            "Press { button: TakeOver".to_owned(),
        ]
    );
}

#[test]
fn the_queue_has_the_promised_form() {
    let speaker = speaker();
    speaker.status.send_replace(Arc::new(playing()));
    let expected = json!({
        "entries": [{"title": "Blue", "artist": "Somebody", "kind": "track", "duration_ms": 200_000}],
        "current": 0, "before": 2, "after": 7,
    });
    assert_eq!(speaker.client().queue_json().unwrap(), expected);
    assert_eq!(speaker.client().queue().unwrap(), queue());
}

#[test]
fn where_there_is_no_queue_the_reason_is_told() {
    let speaker = speaker();
    let (status, body) = speaker.raw("GET /api/queue HTTP/1.1\r\nhost: localhost", "");
    assert_eq!((status, body["error"].as_str()), (409, Some("nothing_playing")));
    assert!(!body["reason"].as_str().unwrap().is_empty());
}

#[test]
fn the_account_is_shown_linked_and_unlinked() {
    let speaker = speaker();
    let code = Invitation {
        address: "https://example.com/code".into(),
        code: "ABC-DEF".into(),
        expires_in_s: 599,
    };
    let status = Status {
        account: Account::Linking,
        linking: Some(code),
        ..playing()
    };
    assert!(
        status
            .to_string()
            .contains("open https://example.com/code and enter ABC-DEF\n")
    );
    speaker.status.send_replace(Arc::new(status));
    let (status, body) = speaker.raw("GET /api/account HTTP/1.1\r\nhost: localhost", "");
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({
            "account": "linking",
            "linking": {"address": "https://example.com/code", "code": "ABC-DEF", "expires_in_s": 599},
            "problem": null,
        })
    );
    speaker.client().unlink().unwrap();
    let refused = speaker.client().link().unwrap_err();
    assert!(
        matches!(&refused, ClientError::Refused { status: 409, reason } if reason.contains("already")),
        "{refused}"
    );
    let foreign = "POST /api/account/unlink HTTP/1.1\r\nhost: tonearm\r\norigin: https://evil.example";
    assert_eq!(speaker.raw(foreign, "").0, 403);
    assert_eq!(speaker.asked(), ["Account { wish: Unlink", "Account { wish: Link"]);
}

#[test]
fn a_status_of_a_speaker_that_knows_no_accounts_is_understood() {
    let mut json = serde_json::to_value(playing()).unwrap();
    let fields = json.as_object_mut().unwrap();
    fields.remove("linking").unwrap();
    fields.remove("account_problem").unwrap();
    assert_eq!(serde_json::from_value::<Status>(json).unwrap(), playing());
}

#[test]
fn an_unknown_button_is_not_found_and_the_answer_names_the_valid_ones() {
    let speaker = speaker();
    let (status, body) = speaker.raw("POST /api/press/louder HTTP/1.1\r\nhost: localhost", "");
    assert_eq!((status, body["error"].as_str()), (404, Some("no_such_button")));
    assert!(body["reason"].as_str().unwrap().contains("volume_up"));
    assert!(
        speaker
            .client()
            .press("../status")
            .unwrap_err()
            .to_string()
            .contains("volume_up")
    );
}

#[test]
fn a_speaker_that_leaves_without_an_answer_is_unavailable() {
    let (status, body) = speaker().raw("POST /api/press/shuffle HTTP/1.1\r\nhost: localhost", "");
    assert_eq!((status, body["error"].as_str()), (503, Some("leaving")));
}

#[test]
fn strangers_are_refused_over_the_wire() {
    let speaker = speaker();
    let (status, body) = speaker.raw("GET /api/status HTTP/1.1\r\nhost: evil.example", "");
    assert_eq!((status, body["error"].as_str()), (403, Some("forbidden")));
    let head = "POST /api/press/play HTTP/1.1\r\nhost: tonearm\r\norigin: https://evil.example";
    assert_eq!(speaker.raw(head, "").0, 403);
    assert_eq!(speaker.raw("GET /api/status HTTP/1.1\r\nx-no: host", "").0, 400);
    assert_eq!(speaker.asked(), Vec::<String>::new());
}

#[test]
fn bad_requests_get_an_error_with_a_reason() {
    let speaker = speaker();
    let json = "host: tonearm\r\ncontent-type: application/json";
    let cases = [
        (
            format!("POST /api/seek HTTP/1.1\r\n{json}"),
            "{\"position_ms\": -1}",
            422,
        ),
        (format!("POST /api/seek HTTP/1.1\r\n{json}"), "{", 400),
        (
            "POST /api/seek HTTP/1.1\r\nhost: tonearm".into(),
            "{\"position_ms\": 1}",
            415,
        ),
        (
            format!("POST /api/play HTTP/1.1\r\n{json}"),
            "{\"playParams\": {}}",
            400,
        ),
        (
            format!("POST /api/play HTTP/1.1\r\n{json}"),
            "{\"playParams\": {\"id\": \"x\"}, \"mode\": \"loud\"}",
            422,
        ),
        (
            format!("POST /api/queue/next HTTP/1.1\r\n{json}"),
            "{\"playParams\": {}}",
            400,
        ),
        (
            format!("POST /api/queue/last HTTP/1.1\r\n{json}"),
            "{\"playParams\": {\"id\": \"x\"}, \"mode\": \"shuffle\"}",
            422,
        ),
        ("GET /api/press/play HTTP/1.1\r\nhost: tonearm".into(), "", 405),
        ("GET /nothing HTTP/1.1\r\nhost: tonearm".into(), "", 404),
    ];
    for (head, body, expected) in cases {
        let (status, answer) = speaker.raw(&head, body);
        assert_eq!(status, expected, "{head} {body}");
        assert!(!answer["reason"].as_str().unwrap().is_empty(), "{head} {body}");
    }
    let long = format!("{{\"playParams\": {{\"id\": \"{}\"}}}}", "x".repeat(70_000));
    assert_eq!(speaker.raw(&format!("POST /api/play HTTP/1.1\r\n{json}"), &long).0, 413);
    assert_eq!(speaker.asked(), Vec::<String>::new());
}

#[test]
fn a_follower_gets_the_status_at_once_and_at_each_change() {
    let speaker = speaker();
    let mut follower = speaker.follow();
    assert_eq!(next(&mut follower)["state"], "stopped");
    speaker.status.send_replace(Arc::new(playing()));
    assert_eq!(next(&mut follower)["state"], "playing");
    speaker.status.send_modify(|status| Arc::make_mut(status).volume = 44);
    assert_eq!(next(&mut follower)["volume"], 44);
}

#[test]
fn followers_are_bounded_and_a_place_becomes_free_when_one_leaves() {
    let speaker = speaker();
    let mut followers: Vec<_> = (0..8).map(|_| speaker.follow()).collect();
    for follower in &mut followers {
        next(follower);
    }
    let refused = |speaker: &Speaker| speaker.raw("HEAD /api/events HTTP/1.1\r\nhost: localhost", "").0 == 503;
    assert!(refused(&speaker));
    followers.pop();
    // The page notices the closed connection when it next looks at it; a second is plenty.
    let freed = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !refused(&speaker)
    });
    assert!(freed);
}

#[test]
fn the_front_page_names_the_api_and_metrics_are_text() {
    let speaker = speaker();
    let get = |path: &str| {
        let mut stream = speaker.connect();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(get("/").contains("/api/press/BUTTON"));
    let metrics = get("/metrics");
    assert!(
        metrics.contains("text/plain; version=0.0.4") && metrics.ends_with("tonearm_xruns_total 0\n"),
        "{metrics}"
    );
}

#[test]
fn without_a_speaker_the_error_asks_whether_it_runs() {
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = Client::local(address).status().unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("no speaker answers at {address}: is it running?")),
        "{error}"
    );
}

#[test]
fn a_speaker_that_listens_everywhere_is_asked_on_loopback() {
    let error = Client::local("0.0.0.0:1".parse().unwrap())
        .press("play")
        .unwrap_err()
        .to_string();
    assert!(error.contains("at 127.0.0.1:1:"), "{error}");
}
