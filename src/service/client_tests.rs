//! The client against a scripted server: what goes out, and what each answer means.

use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Instant;

use tonearm_core::event::What;
use tonearm_core::input::Mode;
use tonearm_core::unit::Millis;

use super::super::credentials::FixedToken;
use super::super::model::PlayParams;
use super::super::scripted::{Request, Server, Then, Wire};
use super::*;

const LIST: &[u8] = br#"{"playables":[{"entityReferenceId":"r-1"}]}"#;
const OPENED: &[u8] = br#"{"sessionId":"s-1","playables":[{"entityReferenceId":"r-1"}]}"#;

fn settings(base_url: String) -> Settings {
    Settings {
        base_url,
        device_id: "device-1".into(),
        qualities: vec![Quality::Standard, Quality::High],
        api_key: None,
        roots: RootCerts::WebPki,
        credentials: Arc::new(FixedToken(None)),
    }
}

fn client(server: &Server) -> Client {
    Client::new(settings(server.url("")), Patience::default()).unwrap()
}

fn answering(status: u16, headers: &'static [(&str, &str)], body: &'static [u8]) -> Server {
    Server::start(move |_, wire| wire.answer(status, headers, body))
}

fn next() -> Question {
    Question::Next {
        session: "s-1".into(),
        limit: 10,
    }
}

fn create() -> Question {
    let play = PlayParams {
        id: Some("mrn:1.0:x".into()),
        container_ids: Vec::new(),
    };
    Question::Create {
        play,
        mode: Mode::Play,
        looping: false,
    }
}

fn report() -> EventReport {
    EventReport {
        session: "s-1".into(),
        reference: "r-1".into(),
        metric_id: Some("m-1".into()),
        wall_ms: 1,
        zone: "+00:00".into(),
        initial_delay: Millis(2),
        what: What::Start { offset: Millis(3) },
        take_over: false,
    }
}

/// All questions that are answered with entries or sessions, and an event: every kind of request there is.
fn ask_everything(client: &mut Client) {
    let session = || "s-1".to_owned();
    let _ = client.ask(&create());
    let _ = client.ask(&next());
    for question in [
        Question::Current { session: session() },
        Question::Previous {
            session: session(),
            limit: 2,
        },
        Question::Queue { session: session() },
        Question::Active,
        Question::Loop {
            session: session(),
            on: true,
        },
        Question::Shuffle {
            session: session(),
            on: false,
        },
    ] {
        let _ = client.ask(&question);
    }
    let _ = client.report(&report());
}

#[test]
fn every_request_carries_the_three_audio_headers() {
    let server = answering(200, &[], OPENED);
    ask_everything(&mut client(&server));
    let requests = server.requests();
    assert_eq!(requests.len(), 9);
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
fn one_connection_serves_many_requests() {
    let server = answering(200, &[], LIST);
    ask_everything(&mut client(&server));
    assert_eq!(server.connections(), 1);
}

#[test]
fn each_refusal_of_a_call_has_its_meaning() {
    let rows: [(u16, &'static [u8], Failure); 11] = [
        (400, br#"{"error":{"code":"BAD_REQUEST"}}"#, Failure::Refused),
        (
            401,
            br#"{"error":{"code":"INVALID_ACCESS_TOKEN"}}"#,
            Failure::Unauthorised,
        ),
        (
            403,
            br#"{"error":{"status":"403","code":"DENIED_SUBSCRIPTION_TIER"}}"#,
            Failure::Forbidden,
        ),
        (
            404,
            br#"{"error":{"status":404,"code":"RESOURCE_NOT_FOUND"}}"#,
            Failure::NotFound,
        ),
        (
            422,
            br#"{"error":{"code":"MAX_CONCURRENCY_REACHED"}}"#,
            Failure::TakenOver,
        ),
        (
            429,
            br#"{"error":{"code":"MAX_CONCURRENCY_REACHED"}}"#,
            Failure::TakenOver,
        ),
        (422, b"", Failure::Refused),
        (
            429,
            br#"{"error":{"code":"THROTTLED"}}"#,
            Failure::Busy { retry_after: None },
        ),
        (500, b"oops", Failure::Busy { retry_after: None }),
        (503, b"<html>", Failure::Busy { retry_after: None }),
        (302, b"", Failure::Garbled),
    ];
    for (status, body, expected) in rows {
        let server = answering(status, &[], body);
        let failure = client(&server).ask(&Question::Current { session: "s-1".into() });
        assert_eq!(failure, Err(expected), "{status}");
    }
}

#[test]
fn retry_after_comes_back_with_busy() {
    let server = answering(429, &[("retry-after", "3")], b"");
    let busy = Failure::Busy {
        retry_after: Some(Millis(3_000)),
    };
    assert_eq!(client(&server).ask(&next()), Err(busy));
    assert_eq!(client(&server).report(&report()), Verdict::Failed(busy));
}

#[test]
fn nothing_and_not_found_are_the_end_of_the_queue() {
    for (status, body) in [
        (204, &b""[..]),
        (404, br#"{"error":{"code":"NO_MORE_NEXT_ENTITY"}}"#),
        (200, b"[]"),
        (200, b""),
    ] {
        let server = answering(status, &[], body);
        assert_eq!(
            client(&server).ask(&next()),
            Ok(Reply::Listed(Vec::new())),
            "{status} {body:?}"
        );
    }
}

#[test]
fn a_2xx_that_makes_no_sense_is_garbled() {
    for body in [&b"<html>log in</html>"[..], b"{", b"{}", b"\xff\xfe"] {
        let server = answering(200, &[], body);
        assert_eq!(client(&server).ask(&next()), Err(Failure::Garbled), "{body:?}");
        assert_eq!(client(&server).ask(&create()), Err(Failure::Garbled), "{body:?}");
    }
}

#[test]
fn a_huge_answer_is_not_read_into_memory() {
    let server = Server::start(|_, wire| {
        wire.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n");
        while wire.raw(&[b' '; 8 * 1024]) {}
        Then::Close
    });
    assert_eq!(client(&server).ask(&next()), Err(Failure::Garbled));
}

#[test]
fn an_answer_that_breaks_off_counts_as_unreachable() {
    let server = Server::start(|_, wire| {
        wire.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"play");
        Then::Close
    });
    assert_eq!(client(&server).ask(&next()), Err(Failure::Unreachable));
}

#[test]
fn what_does_not_speak_http_is_garbled() {
    let server = Server::start(|_, wire| {
        wire.raw(b"220 mail ready\r\n\r\n");
        Then::Close
    });
    assert_eq!(client(&server).ask(&next()), Err(Failure::Garbled));
}

#[test]
fn nobody_listening_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut client = Client::new(settings(format!("http://127.0.0.1:{port}")), Patience::default()).unwrap();
    assert_eq!(client.ask(&next()), Err(Failure::Unreachable));
    assert_eq!(client.report(&report()), Verdict::Failed(Failure::Unreachable));
}

#[test]
fn a_server_that_never_answers_is_noticed_in_time() {
    let server = Server::start(|_, wire| wire.hang());
    let patience = Patience {
        call: Duration::from_millis(300),
    };
    let mut client = Client::new(settings(server.url("")), patience).unwrap();
    let asked = Instant::now();
    assert_eq!(client.ask(&next()), Err(Failure::Unreachable));
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[test]
fn the_default_patience_notices_a_dead_link_within_eight_seconds() {
    assert!(Patience::default().call <= Duration::from_secs(8));
}

#[test]
fn any_2xx_accepts_an_event_whatever_its_body() {
    for (status, body) in [(200, &b"<html>"[..]), (202, b""), (204, b""), (201, b"{\"ok\":1}")] {
        let server = answering(status, &[], body);
        assert_eq!(client(&server).report(&report()), Verdict::Accepted, "{status}");
    }
}

#[test]
fn each_refusal_of_an_event_keeps_it_or_sets_it_aside() {
    let rows: [(u16, &'static [u8], Verdict); 8] = [
        (400, b"", Verdict::Refused),
        (403, b"", Verdict::Refused),
        (404, b"", Verdict::Refused),
        (422, b"", Verdict::Refused),
        (
            422,
            br#"{"error":{"code":"MAX_CONCURRENCY_REACHED"}}"#,
            Verdict::Failed(Failure::TakenOver),
        ),
        (401, b"", Verdict::Failed(Failure::Unauthorised)),
        (500, b"", Verdict::Failed(Failure::Busy { retry_after: None })),
        (307, b"", Verdict::Failed(Failure::Garbled)),
    ];
    for (status, body, expected) in rows {
        let server = answering(status, &[("location", "http://127.0.0.1:1/")], body);
        assert_eq!(client(&server).report(&report()), expected, "{status}");
    }
}

#[test]
fn a_repeated_event_is_byte_for_byte_the_same() {
    let server = answering(500, &[], b"");
    let client = client(&server);
    client.report(&report());
    client.report(&report());
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
        Client::new(settings, Patience::default()).unwrap().ask(&next()),
        Err(Failure::Garbled)
    );
    assert_eq!(elsewhere.requests().len(), 0);
}

/// Tokens that are renewed at most `left` times.
struct Renewable {
    left: Mutex<u8>,
}

impl Credentials for Renewable {
    fn token(&self) -> Option<Token> {
        Some(Token::new("old"))
    }

    fn renew(&self, refused: Option<&Token>) -> Option<Token> {
        assert_eq!(refused, Some(&Token::new("old")));
        let mut left = self.left.lock().unwrap();
        *left = left.checked_sub(1)?;
        Some(Token::new("new"))
    }
}

fn accepting_only_new(request: &Request, wire: &Wire<'_>) -> Then {
    match request.header("authorization") {
        Some("Bearer new") => wire.answer(200, &[], LIST),
        _ => wire.answer(401, &[], br#"{"error":{"code":"INVALID_ACCESS_TOKEN"}}"#),
    }
}

#[test]
fn a_401_is_repeated_once_with_a_renewed_token() {
    let server = Server::start(accepting_only_new);
    let credentials = Arc::new(Renewable { left: Mutex::new(1) });
    let settings = Settings {
        credentials,
        ..settings(server.url(""))
    };
    let mut client = Client::new(settings, Patience::default()).unwrap();
    assert!(matches!(client.ask(&next()), Ok(Reply::Listed(list)) if list.len() == 1));
    assert_eq!(client.ask(&next()), Err(Failure::Unauthorised));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_token_that_would_split_the_header_is_not_sent() {
    let server = answering(200, &[], LIST);
    let token = FixedToken(Some(Token::new("a\r\nx-evil: 1")));
    let settings = Settings {
        credentials: Arc::new(token),
        ..settings(server.url(""))
    };
    assert_eq!(
        Client::new(settings, Patience::default()).unwrap().ask(&next()),
        Err(Failure::Unauthorised)
    );
    assert_eq!(server.requests().len(), 0);
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
    assert!(matches!(client.ask(&create()), Ok(Reply::Opened(_))));
    assert!(matches!(client.ask(&create()), Ok(Reply::Opened(_))));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_create_that_is_refused_for_another_reason_is_tried_with_a_limit_again_next_time() {
    let server = answering(400, &[], b"");
    let mut client = client(&server);
    assert_eq!(client.ask(&create()), Err(Failure::Refused));
    assert_eq!(client.ask(&create()), Err(Failure::Refused));
    let limits = |request: &Request| String::from_utf8_lossy(&request.body).contains(r#""limit":5"#);
    assert_eq!(
        server.requests().iter().map(limits).collect::<Vec<_>>(),
        [true, false, true, false]
    );
}

#[test]
fn settings_that_cannot_be_sent_are_refused_with_their_name() {
    let base = || settings("https://host".into());
    let refusal = |settings| {
        Client::new(settings, Patience::default())
            .err()
            .map(|error| error.to_string())
    };
    assert!(
        refusal(Settings {
            device_id: " ".into(),
            ..base()
        })
        .unwrap()
        .contains("device id")
    );
    assert!(
        refusal(Settings {
            device_id: "a\nb".into(),
            ..base()
        })
        .unwrap()
        .contains("device id")
    );
    assert!(
        refusal(Settings {
            api_key: Some("\u{1}".into()),
            ..base()
        })
        .unwrap()
        .contains("api key")
    );
    assert!(
        refusal(Settings {
            base_url: "http://example.org".into(),
            ..base()
        })
        .is_some()
    );
    assert!(refusal(base()).is_none());
}

#[test]
fn a_certificate_file_must_be_there_and_hold_a_certificate() {
    let missing = roots(Some(Path::new("/nonexistent/ca.pem"))).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/ca.pem"), "{missing}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(
        roots(Some(empty.path())),
        Err(ServiceError::NoCertificate { .. })
    ));
    assert!(matches!(roots(None), Ok(RootCerts::WebPki)));
}
