//! What the client sends: headers, tokens, limits, batches - and where it does not send anything.

use super::super::credentials::FixedToken;
use super::super::fixture::{LIST, OPENED, answering, ask, client, create, next, questions, report, settings, verdict};
use super::super::scripted::{Request, Server, Then, Wire};
use super::*;

/// Every kind of request there is.
fn ask_everything(client: &mut Client) {
    for question in questions() {
        let _ = client.ask(&question);
    }
    let _ = client.report(&[report()]);
}

#[test]
fn every_request_carries_the_three_audio_headers() {
    let server = answering(200, &[], OPENED);
    ask_everything(&mut client(&server));
    let requests = server.requests();
    assert_eq!(requests.len(), 12);
    for request in requests {
        assert_eq!(request.header("x-amzn-audio-drmtype"), Some("WIDEVINE"), "{request:?}");
        assert_eq!(
            request.header("x-amzn-audio-device-capability"),
            Some("STD_RES,HI_FI"),
            "{request:?}"
        );
        assert_eq!(request.header("x-amzn-device-id"), Some("device-1"), "{request:?}");
        let json = (!request.body.is_empty()).then_some("application/json");
        assert_eq!(request.header("content-type"), json, "{request:?}");
        assert_eq!(
            (request.header("authorization"), request.header("x-api-key")),
            (None, None)
        );
    }
}

#[test]
fn token_and_api_key_are_sent_when_configured() {
    let server = answering(200, &[], LIST);
    let token = FixedToken(Some(Token::new("Atza|abc")));
    let settings = Settings {
        api_key: Some("key-1".into()),
        credentials: Arc::new(token),
        ..settings(server.url(""))
    };
    ask_everything(&mut Client::new(settings, Patience::default()).unwrap());
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer Atza|abc"));
        assert_eq!(request.header("x-api-key"), Some("key-1"));
    }
}

#[test]
fn the_language_is_asked_for_when_configured() {
    let server = answering(200, &[], LIST);
    let settings = Settings {
        language: Some("de-DE".into()),
        ..settings(server.url(""))
    };
    ask_everything(&mut Client::new(settings, Patience::default()).unwrap());
    for request in server.requests() {
        assert_eq!(request.header("accept-language"), Some("de-DE"));
    }
}

#[test]
fn one_connection_serves_many_requests() {
    let server = answering(200, &[], LIST);
    ask_everything(&mut client(&server));
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_repeated_event_is_byte_for_byte_the_same() {
    let server = answering(500, &[], b"");
    let client = client(&server);
    verdict(&client);
    verdict(&client);
    let requests = server.requests();
    assert_eq!(requests[0].target, "/v1/playback/event");
    assert_eq!(requests[0].body, requests[1].body);
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = answering(200, &[], LIST);
    let target = elsewhere.url("/v1/x");
    let server = Server::start(move |_, wire| wire.answer(302, &[("location", &target)], b""));
    let token = FixedToken(Some(Token::new("secret")));
    let settings = Settings {
        credentials: Arc::new(token),
        ..settings(server.url(""))
    };
    assert_eq!(
        ask(&mut Client::new(settings, Patience::default()).unwrap(), &next()),
        Err(Failure::Unreachable)
    );
    assert_eq!(elsewhere.requests().len(), 0);
}

fn refusing_a_limit(request: &Request, wire: &Wire<'_>) -> Then {
    if String::from_utf8_lossy(&request.body).contains("limit") {
        wire.answer(400, &[], br#"{"error":{"code":"BAD_REQUEST"}}"#)
    } else {
        wire.answer(200, &[], OPENED)
    }
}

#[test]
fn a_refused_limit_is_left_out_from_then_on() {
    let server = Server::start(refusing_a_limit);
    let mut client = client(&server);
    assert!(matches!(ask(&mut client, &create()), Ok(Reply::Opened(_))));
    assert!(matches!(ask(&mut client, &create()), Ok(Reply::Opened(_))));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_create_that_is_refused_for_another_reason_is_tried_with_a_limit_again_next_time() {
    let server = answering(400, &[], b"");
    let mut client = client(&server);
    assert_eq!(ask(&mut client, &create()), Err(Failure::Refused));
    assert_eq!(ask(&mut client, &create()), Err(Failure::Refused));
    let limits = |request: &Request| String::from_utf8_lossy(&request.body).contains(r#""limit":5"#);
    assert_eq!(
        server.requests().iter().map(limits).collect::<Vec<_>>(),
        [true, false, true, false]
    );
}

#[test]
fn a_limit_that_a_refusal_names_is_kept_from_then_on() {
    let server = Server::start(|request, wire| {
        if String::from_utf8_lossy(&request.body).contains(r#""limit":5"#) {
            wire.answer(
                400,
                &[],
                br#"{"error":{"code":"BAD_REQUEST","message":"limit must be 1..3"}}"#,
            )
        } else {
            wire.answer(200, &[], OPENED)
        }
    });
    let mut client = client(&server);
    assert!(ask(&mut client, &create()).is_ok() && ask(&mut client, &create()).is_ok());
    let asked = |request: &Request| String::from_utf8_lossy(&request.body).contains(r#""limit":3"#);
    assert_eq!(
        server.requests().iter().map(asked).collect::<Vec<_>>(),
        [false, true, true]
    );
}

#[test]
fn a_base_address_in_clear_text_to_another_machine_starts_no_client() {
    assert!(Client::new(settings("http://example.org".into()), Patience::default()).is_err());
}

fn batching(server: &Server) -> Client {
    let settings = Settings {
        event_batch_path: Some("/v1/playback/events/batch".into()),
        ..settings(server.url(""))
    };
    Client::new(settings, Patience::default()).unwrap()
}

#[test]
fn several_events_go_out_in_one_request_where_a_path_takes_them() {
    let server = answering(200, &[], b"");
    assert_eq!(batching(&server).report(&[report(), report()]), Ok(()));
    let requests = server.requests();
    assert_eq!(
        (requests.len(), requests[0].target.as_str()),
        (1, "/v1/playback/events/batch")
    );
    let body: serde_json::Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(body["events"].as_array().unwrap().len(), 2);
}

#[test]
fn one_event_goes_to_its_own_path_though_another_takes_several() {
    let server = answering(200, &[], b"");
    assert_eq!(verdict(&batching(&server)), Verdict::Accepted);
    assert_eq!(server.requests()[0].target, "/v1/playback/event");
}

#[test]
fn several_events_without_a_path_that_takes_them_are_refused_and_not_sent() {
    let server = answering(200, &[], b"");
    let refusal = client(&server).report(&[report(), report()]).unwrap_err();
    assert_eq!(refusal.verdict(), Verdict::Refused);
    assert_eq!(server.requests().len(), 0);
}
