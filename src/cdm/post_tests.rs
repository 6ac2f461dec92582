//! The exchange with a licence server, against a scripted one: what goes out, and what each answer means.

use super::super::scripted::{Request, Server, Then, Wire};
use super::*;

const CHALLENGE: &[u8] = b"\x08\x01 a challenge \xff";

fn terms(url: String) -> Terms {
    Terms {
        system: Some("WIDEVINE".to_owned()),
        url,
        headers: vec![
            ("X-Licence-Token".to_owned(), "topsecret".to_owned()),
            ("Content-Length".to_owned(), "3".to_owned()),
            ("Host".to_owned(), "elsewhere".to_owned()),
        ],
    }
}

fn ask(server: &Server) -> Outcome {
    let agent = agent(&crate::tls::fixture::believing(), Patience::default());
    let media_type = "application/octet-stream";
    post(
        &agent,
        &terms(server.url("/licence?a=b")),
        media_type,
        &Secret::new(CHALLENGE.to_vec()),
    )
}

fn answering(status: u16, headers: &'static [(&str, &str)], body: &'static [u8]) -> Server {
    Server::start(move |_: &Request, wire: &Wire<'_>| -> Then { wire.answer(status, headers, body) })
}

fn got(body: &'static [u8]) -> Outcome {
    ask(&answering(200, &[], body))
}

fn given(bytes: &[u8]) -> Outcome {
    Outcome::Licence(Secret::new(bytes.to_vec()))
}

fn reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused(reason) => reason,
        Outcome::Licence(_) | Outcome::Trouble(..) | Outcome::Outdated(_) => {
            panic!("it is refused for good, not {outcome:?}")
        }
    }
}

#[test]
fn a_request_goes_out_as_it_is_with_the_headers_of_the_licence() {
    let server = answering(200, &[], b"licence");
    assert_eq!(ask(&server), given(b"licence"));
    let requests = server.requests();
    let [request] = requests.as_slice() else {
        panic!("one request")
    };
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/licence?a=b")
    );
    assert_eq!(request.body, CHALLENGE);
    assert_eq!(request.header("x-licence-token"), Some("topsecret"));
    assert_eq!(request.header("content-type"), Some("application/octet-stream"));
    assert_ne!(request.header("host"), Some("elsewhere"));
}

#[test]
fn an_answer_is_the_licence_itself_or_holds_it_in_base64() {
    assert_eq!(got(b"\x08\x02raw\x00"), given(b"\x08\x02raw\x00"));
    for json in [
        r#"{"license":"AQL/"}"#,
        r#"{"licence":"AQL_"}"#,
        r#"{"data":{"licenseResponse":"AQL/"}}"#,
        r#" {"result":{"payload":" AQL/ "},"status":"OK"}"#,
    ] {
        assert_eq!(
            ask(&answering(200, &[], json.as_bytes())),
            given(&[1, 2, 255]),
            "{json}"
        );
    }
    assert_eq!(got(br#"{"license":"AQI"}"#), given(&[1, 2]), "without padding");
}

#[test]
fn a_set_of_keys_is_a_licence_as_it_is() {
    let set = br#"{"keys":[],"license":"AQL/"}"#;
    assert_eq!(got(set), given(set));
    let broken = b"{\"keys\":";
    assert_eq!(got(broken), given(broken), "the module says what is wrong with it");
}

#[test]
fn an_answer_that_cannot_be_a_licence_is_refused() {
    assert!(reason(got(b"")).contains("empty"));
    assert!(reason(got(b" \n")).contains("empty"));
    assert!(reason(got(br#"{"license":"!!"}"#)).contains("not base64"));
    let large = Server::start(|_: &Request, wire: &Wire<'_>| wire.answer(200, &[], &vec![7; 65 * 1024]));
    assert!(reason(ask(&large)).contains("larger than 65536 bytes"));
}

#[test]
fn refusals_are_final_and_trouble_is_not() {
    for status in [400, 401, 404, 422] {
        let reason = reason(ask(&answering(status, &[], b"no")));
        assert!(reason.contains(&format!("status {status}")), "{reason}");
    }
    for status in [403, 410] {
        let reason = format!("the licence server answers with status {status}");
        assert_eq!(ask(&answering(status, &[], b"no")), Outcome::Outdated(reason));
    }
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let server = answering(status, &[("retry-after", "7")], b"");
        assert_eq!(
            ask(&server),
            Outcome::Trouble(format!("status {status}"), Millis(7_000))
        );
    }
    let long = answering(503, &[("retry-after", "86400")], b"");
    assert_eq!(ask(&long), Outcome::Trouble("status 503".to_owned(), Millis(60_000)));
}

#[test]
fn nobody_there_and_a_cut_answer_are_trouble() {
    let gone = answering(200, &[], b"").url("/");
    let agent = agent(&crate::tls::fixture::believing(), Patience::default());
    let outcome = post(&agent, &terms(gone), "a/b", &Secret::default());
    assert!(matches!(outcome, Outcome::Trouble(..)), "{outcome:?}");
    let cut = Server::start(|_: &Request, wire: &Wire<'_>| {
        wire.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf");
        Then::Close
    });
    let outcome = ask(&cut);
    assert!(matches!(outcome, Outcome::Trouble(..)), "{outcome:?}");
}

#[test]
fn a_server_that_stalls_is_given_up() {
    let server = Server::start(|_: &Request, wire: &Wire<'_>| wire.hang());
    let patience = Patience {
        whole: Duration::from_millis(100),
        ..Patience::default()
    };
    let agent = agent(&crate::tls::fixture::believing(), patience);
    let outcome = post(&agent, &terms(server.url("/")), "a/b", &Secret::default());
    assert!(matches!(outcome, Outcome::Trouble(..)), "{outcome:?}");
}

#[test]
fn a_redirect_within_the_host_is_followed_with_request_and_headers() {
    let server = Server::start(|request: &Request, wire: &Wire<'_>| match request.target.as_str() {
        "/there" => wire.answer(200, &[], b"licence"),
        _ => wire.answer(307, &[("location", "/there")], b""),
    });
    assert_eq!(ask(&server), given(b"licence"));
    let requests = server.requests();
    assert_eq!((requests.len(), requests[1].body.as_slice()), (2, CHALLENGE));
    assert_eq!(requests[1].header("x-licence-token"), Some("topsecret"));
}

#[test]
fn a_redirect_to_another_host_is_refused_and_that_host_is_not_asked() {
    let other = answering(200, &[], b"licence");
    let to = other.url("/");
    for status in [301, 302, 303, 307, 308] {
        let to = to.clone();
        let server = Server::start(move |_: &Request, wire: &Wire<'_>| wire.answer(status, &[("location", &to)], b""));
        reason(ask(&server));
    }
    assert_eq!(other.connections(), 0);
    let around = answering(308, &[("location", "/licence?a=b")], b"");
    assert!(reason(ask(&around)).contains("on and on"));
    assert_eq!(around.requests().len(), 4);
}

#[test]
fn headers_travel_encrypted_or_stay_in_this_machine() {
    for good in [
        "https://licence.example/x",
        "http://127.0.0.1:8700/x",
        "http://[::1]/",
        "http://localhost/",
    ] {
        assert!(address(good).is_ok(), "{good}");
    }
    for bad in [
        "http://licence.example/x",
        "http://127.0.0.1.example/",
        "https://me:topsecret@licence.example/",
        "ftp://127.0.0.1/",
        "/licence",
        "licence.example",
        "",
        "https://a b/",
    ] {
        let refusal = address(bad).unwrap_err();
        assert!(!refusal.contains("topsecret"), "{refusal}");
    }
}

#[test]
fn a_header_that_cannot_be_sent_is_named_without_its_value() {
    let mut terms = terms("https://licence.example/".to_owned());
    terms
        .headers
        .push(("x-broken".to_owned(), "topsecret\r\nx: y".to_owned()));
    let refusal = headers(&terms, "a/b").unwrap_err();
    assert!(
        refusal.contains("x-broken") && !refusal.contains("topsecret"),
        "{refusal}"
    );
}
