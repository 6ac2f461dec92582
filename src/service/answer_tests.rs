//! What each answer means, and each that never came: the policy of the client, over real HTTP.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tonearm_core::input::{Failure, Verdict};
use tonearm_core::unit::Millis;

use super::client::{Client, Patience};
use super::fixture::{LIST, OPENED, answering, ask, client, create, current, next, questions, settings, verdict};
use super::model::{Reply, Said};
use super::scripted::{Server, Then};
use super::settings::Settings;
use super::worker::News;
use crate::tls::fixture as tls;

/// Refuses everything with this status and code.
fn refusing(status: u16, code: &str) -> Server {
    let body = format!(r#"{{"error":{{"status":"{status}","code":"{code}","reference":"r-1"}}}}"#);
    Server::start(move |_, wire| wire.answer(status, &[], body.as_bytes()))
}

#[test]
fn every_code_of_the_contract_has_its_meaning() {
    let busy = Failure::Busy { retry_after: None };
    let rows = [
        (400, "BAD_REQUEST", Failure::Refused),
        (401, "INVALID_AUTH_TYPE", Failure::Unauthorised),
        (401, "INVALID_AUTH_TOKEN", Failure::Unauthorised),
        (401, "INVALID_ACCESS_TOKEN", Failure::Unauthorised),
        (403, "AUTH_NO_MUSIC_ACCOUNT_FOUND", Failure::Forbidden),
        (403, "DENIED_SUBSCRIPTION_TIER", Failure::Forbidden),
        (403, "ACCESS_DENIED", Failure::Forbidden),
        (403, "NO_MORE_SKIPS", Failure::Forbidden),
        (404, "RESOURCE_NOT_FOUND", Failure::NotFound),
        (422, "MAX_CONCURRENCY_REACHED", Failure::TakenOver),
        (429, "MAX_CONCURRENCY_REACHED", Failure::TakenOver),
        (422, "SOMETHING_NEW", Failure::Refused),
        (429, "THROTTLED", busy),
        (500, "INTERNAL", busy),
        (503, "DEPENDENCY", busy),
        (302, "", Failure::Unreachable),
    ];
    for (status, code, expected) in rows {
        let server = refusing(status, code);
        let mut client = client(&server);
        assert_eq!(ask(&mut client, &current()), Err(expected), "{status} {code}");
        let is_final = matches!(expected, Failure::Refused | Failure::Forbidden | Failure::NotFound);
        let event = if is_final {
            Verdict::Refused
        } else {
            Verdict::Failed(expected)
        };
        assert_eq!(verdict(&client), event, "{status} {code}");
        assert_eq!(server.requests().len(), 2, "nothing is repeated: {status} {code}");
    }
}

#[test]
fn every_question_is_refused_alike() {
    for question in questions() {
        assert_eq!(
            ask(&mut client(&refusing(403, "ACCESS_DENIED")), &question),
            Err(Failure::Forbidden),
            "{question:?}"
        );
        assert_eq!(
            ask(&mut client(&refusing(422, "MAX_CONCURRENCY_REACHED")), &question),
            Err(Failure::TakenOver),
            "{question:?}"
        );
    }
}

#[test]
fn success_says_all_there_is_where_nothing_is_asked_for() {
    for body in [&b"done"[..], b"", br#"{"sessionId":"s-1"}"#] {
        for status in [200, 202, 204] {
            let server = answering(status, &[], body);
            let done = questions()
                .into_iter()
                .filter(|question| ask(&mut client(&server), question) == Ok(Reply::Done));
            let operations: Vec<_> = done.map(|question| question.operation()).collect();
            assert_eq!(
                operations,
                ["queue next", "queue last", "loop", "shuffle"],
                "{status} {body:?}"
            );
        }
    }
}

#[test]
fn any_success_is_read_alike() {
    for status in [200, 201, 206] {
        let server = answering(status, &[], OPENED);
        assert!(matches!(ask(&mut client(&server), &create()), Ok(Reply::Opened(opened)) if opened.session == "s-1"));
        assert!(matches!(ask(&mut client(&server), &next()), Ok(Reply::Listed(list)) if list.len() == 1));
    }
}

#[test]
fn retry_after_comes_back_with_busy() {
    let server = answering(429, &[("retry-after", "3")], b"");
    let busy = Failure::Busy {
        retry_after: Some(Millis(3_000)),
    };
    assert_eq!(ask(&mut client(&server), &next()), Err(busy));
    assert_eq!(verdict(&client(&server)), Verdict::Failed(busy));
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
            ask(&mut client(&server), &next()),
            Ok(Reply::Listed(Vec::new())),
            "{status} {body:?}"
        );
    }
}

#[test]
fn a_2xx_that_makes_no_sense_is_garbled() {
    for body in [&b"{"[..], b"{}", b"\xff\xfe"] {
        let server = answering(200, &[], body);
        assert_eq!(ask(&mut client(&server), &next()), Err(Failure::Garbled), "{body:?}");
        assert_eq!(ask(&mut client(&server), &create()), Err(Failure::Garbled), "{body:?}");
    }
}

#[test]
fn a_huge_answer_is_not_read_into_memory() {
    let server = Server::start(|_, wire| {
        wire.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n");
        while wire.raw(&[b' '; 8 * 1024]) {}
        Then::Close
    });
    assert_eq!(ask(&mut client(&server), &next()), Err(Failure::Garbled));
}

#[test]
fn an_answer_that_breaks_off_counts_as_unreachable() {
    let server = Server::start(|_, wire| {
        wire.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"play");
        Then::Close
    });
    assert_eq!(ask(&mut client(&server), &next()), Err(Failure::Unreachable));
}

#[test]
fn what_does_not_speak_http_is_garbled() {
    let server = Server::start(|_, wire| {
        wire.raw(b"220 mail ready\r\n\r\n");
        Then::Close
    });
    assert_eq!(ask(&mut client(&server), &next()), Err(Failure::Garbled));
}

#[test]
fn nobody_listening_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut client = Client::new(settings(format!("http://127.0.0.1:{port}")), Patience::default()).unwrap();
    assert_eq!(ask(&mut client, &next()), Err(Failure::Unreachable));
    assert_eq!(verdict(&client), Verdict::Failed(Failure::Unreachable));
}

#[test]
fn a_server_that_never_answers_is_noticed_in_time() {
    let server = Server::start(|_, wire| wire.hang());
    let patience = Patience {
        call: Duration::from_millis(300),
    };
    let mut client = Client::new(settings(server.url("")), patience).unwrap();
    let asked = Instant::now();
    assert_eq!(ask(&mut client, &next()), Err(Failure::Unreachable));
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[test]
fn the_default_patience_notices_a_dead_link_within_eight_seconds() {
    assert!(Patience::default().call <= Duration::from_secs(8));
}

#[test]
fn any_2xx_accepts_an_event_whatever_its_body() {
    for (status, body) in [(200, &b"thanks"[..]), (202, b""), (204, b""), (201, b"{\"ok\":1}")] {
        let server = answering(status, &[], body);
        assert_eq!(verdict(&client(&server)), Verdict::Accepted, "{status}");
    }
}

/// Status, headers and body of an answer.
type Page = (u16, &'static [(&'static str, &'static str)], &'static [u8]);

/// Log-in pages of other people's networks, in the forms they come in.
const PORTALS: [Page; 6] = [
    (200, &[("content-type", "text/html; charset=utf-8")], b"log in"),
    (200, &[], b"\n<!doctype html><p>Welcome to our hotel"),
    (302, &[("location", "http://127.0.0.1:1/login")], b""),
    (307, &[("location", "http://127.0.0.1:1/login")], b""),
    (403, &[("content-type", "text/html")], b"<html>accept our terms"),
    (511, &[("content-type", "text/html")], b"<html>log in first"),
];

#[test]
fn a_log_in_page_is_nobody_s_answer_to_any_question_and_takes_no_event() {
    for (status, headers, body) in PORTALS {
        let server = answering(status, headers, body);
        let mut client = client(&server);
        for question in questions() {
            assert_eq!(
                ask(&mut client, &question),
                Err(Failure::Unreachable),
                "{status} {question:?}"
            );
        }
        assert_eq!(verdict(&client), Verdict::Failed(Failure::Unreachable), "{status}");
    }
}

#[test]
fn a_page_of_a_machine_before_a_service_that_is_not_well_is_the_service_s_own() {
    let server = answering(503, &[("content-type", "text/html")], b"<html>try later");
    let busy = Failure::Busy { retry_after: None };
    assert_eq!(ask(&mut client(&server), &next()), Err(busy));
}

#[test]
fn a_name_that_is_not_found_is_nobody_reached() {
    // This name is reserved for never being found (RFC 2606).
    let mut client = Client::new(settings("https://service.invalid".to_owned()), Patience::default()).unwrap();
    assert_eq!(ask(&mut client, &next()), Err(Failure::Unreachable));
}

#[test]
fn a_certificate_of_somebody_in_between_is_nobody_reached() {
    let server = tls::Server::start("localhost", tls::Valid::Always);
    // Mozilla's authorities did not sign it.
    let mut client = Client::new(settings(server.url()), Patience::default()).unwrap();
    assert_eq!(ask(&mut client, &next()), Err(Failure::Unreachable));
    assert_eq!(verdict(&client), Verdict::Failed(Failure::Unreachable));
}

#[test]
fn an_answer_says_what_time_it_is_once() {
    let server = answering(200, &[("date", "Tue, 22 Sep 2026 14:13:20 GMT")], LIST);
    let mut client = client(&server);
    ask(&mut client, &next()).unwrap();
    let Some(News::Time { date_s, .. }) = client.take_time() else {
        panic!("it answered")
    };
    assert_eq!(date_s, Some(1_790_086_400));
    assert!(client.take_time().is_none());
}

#[test]
fn what_is_under_way_ends_and_the_next_exchange_connects_anew_when_the_way_is_another_one() {
    let server = Server::start(|request, wire| match request.connection {
        0 => wire.hang(),
        _ => wire.answer(200, &[], LIST),
    });
    let mut client = client(&server);
    let connections = client.connections();
    let asked = Instant::now();
    let renewing = std::thread::spawn({
        let connections = connections.clone();
        move || {
            server.wait_for_requests(1);
            connections.renew();
            server
        }
    });
    assert_eq!(ask(&mut client, &next()), Err(Failure::Unreachable));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let _server = renewing.join().unwrap();
    assert!(ask(&mut client, &next()).is_ok());
    connections.close();
    connections.renew();
    assert_eq!(ask(&mut client, &next()), Err(Failure::Unreachable), "closed is closed");
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
        (307, b"", Verdict::Failed(Failure::Unreachable)),
    ];
    for (status, body, expected) in rows {
        let server = answering(status, &[("location", "http://127.0.0.1:1/")], body);
        assert_eq!(verdict(&client(&server)), expected, "{status}");
    }
}

#[test]
fn the_words_of_a_refusal_come_with_it() {
    let body = br#"{"error":{"code":"DENIED_SUBSCRIPTION_TIER","message":"Upgrade!","url":"https://h/up"}}"#;
    let server = answering(403, &[], body);
    let refusal = client(&server).ask(&create()).unwrap_err();
    let said = Said {
        operation: "create",
        code: Some("DENIED_SUBSCRIPTION_TIER".into()),
        message: Some("Upgrade!".into()),
        url: Some("https://h/up".into()),
    };
    assert_eq!((refusal.failure, refusal.said), (Failure::Forbidden, Some(said)));
}

#[test]
fn a_certificate_out_of_its_time_blames_the_clock_only_where_that_is_doubtful() {
    let server = tls::Server::start("localhost", tls::Valid::OneDay);
    let failure = |clock| {
        let settings = Settings {
            tls: server.trusted(clock),
            ..settings(server.url())
        };
        ask(&mut Client::new(settings, Patience::default()).unwrap(), &next())
    };
    assert_eq!(failure(tls::plugged_in), Err(Failure::WrongClock));
    assert_eq!(failure(tls::set), Err(Failure::Unreachable));
}

#[test]
fn one_encrypted_connection_serves_many_calls() {
    let server = tls::Server::start("localhost", tls::Valid::Always);
    let settings = Settings {
        tls: server.trusted(tls::plugged_in),
        ..settings(server.url())
    };
    let mut client = Client::new(settings, Patience::default()).unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&mut client, &next()), Ok(Reply::Listed(Vec::new())));
    }
    assert_eq!(server.connections(), 1);
}
