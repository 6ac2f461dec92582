//! Whom the speaker talks to and whom not, over real TLS on loopback.

use std::io::Write;

use super::fixture::{Server, Valid, plugged_in, set};
use super::*;

/// A clock that was set to a day before the program was built.
fn yesterday() -> Wall {
    Wall::Believed(built().saturating_sub(Duration::from_secs(86_400)))
}

fn agent(tls: &Tls) -> Agent {
    let config = Agent::config_builder().timeout_global(Some(Duration::from_secs(20)));
    tls.agent(config.build())
}

/// Asks `server`, trusting its authority, at the time of `clock`; how it failed, and whether the clock is to blame.
fn refusal(server: &Server, clock: Clock) -> (String, bool) {
    let tls = server.trusted(clock);
    let error = agent(&tls).get(server.url()).call().unwrap_err();
    (error.to_string(), tls.blames_clock(&error))
}

fn is_reached(server: &Server, clock: Clock) -> bool {
    let answer = agent(&server.trusted(clock)).get(server.url()).call();
    answer.is_ok_and(|mut answer| answer.body_mut().read_to_string().is_ok_and(|body| body == "[]"))
}

#[test]
fn the_program_knows_when_it_was_built() {
    assert_eq!(BUILT_S.parse(), Ok(built().as_secs()), "{BUILT_S:?}");
}

#[test]
fn a_board_that_wakes_up_in_1970_reaches_the_service() {
    let server = Server::start("localhost", Valid::Always);
    assert!(is_reached(&server, plugged_in));
    assert!(is_reached(&server, yesterday));
    assert!(is_reached(&server, set));
}

#[test]
fn a_certificate_that_has_expired_is_refused_whatever_the_clock_says() {
    let server = Server::start("localhost", Valid::Formerly);
    let (words, is_clock) = refusal(&server, set);
    assert!(words.contains("localhost") && words.contains("expired"), "{words}");
    assert!(!is_clock, "a clock that is believed is not to blame");
    let (words, is_clock) = refusal(&server, plugged_in);
    assert!(words.contains("expired") && is_clock, "{words}");
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_refused_and_a_doubtful_clock_blamed() {
    let server = Server::start("localhost", Valid::OneDay);
    let (words, is_clock) = refusal(&server, plugged_in);
    assert!(words.contains("not valid yet") && is_clock, "{words}");
    assert!(
        refusal(&server, yesterday).1,
        "a clock before the program was built is wrong"
    );
    assert!(!refusal(&server, set).1);
}

#[test]
fn a_certificate_for_another_host_is_refused_and_no_clock_blamed() {
    let server = Server::start("other.example", Valid::Always);
    let (words, is_clock) = refusal(&server, plugged_in);
    assert!(words.contains("not valid for name") && !is_clock, "{words}");
}

#[test]
fn a_certificate_from_nobody_known_is_refused_and_no_clock_blamed() {
    let server = Server::start("localhost", Valid::Always);
    // The other authority has the same name, so only its signature tells them apart.
    let namesake = Server::start("localhost", Valid::Always).trusted(plugged_in);
    let mozilla = Tls::new(None, plugged_in).unwrap();
    for (tls, reason) in [(namesake, "BadSignature"), (mozilla, "UnknownIssuer")] {
        let error = agent(&tls).get(server.url()).call().unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!tls.blames_clock(&error));
    }
}

#[test]
fn one_encrypted_connection_serves_many_requests() {
    let server = Server::start("localhost", Valid::Always);
    let agent = agent(&server.trusted(set));
    for _ in 0..5 {
        let mut answer = agent.get(server.url()).call().unwrap();
        assert_eq!(answer.body_mut().read_to_string().unwrap(), "[]");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_handshake_that_stands_still_ends_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let config = Agent::config_builder().timeout_connect(Some(Duration::from_millis(200)));
    let error = fixture::believing().agent(config.build()).get(url).call().unwrap_err();
    assert!(matches!(error, ureq::Error::Timeout(ureq::Timeout::Connect)), "{error}");
}

#[test]
fn who_does_not_speak_tls_is_refused_before_anything_is_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let plain = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]")
            .unwrap();
        let mut heard = Vec::new();
        drop(stream.read_to_end(&mut heard));
        heard
    });
    let request = agent(&fixture::believing())
        .get(url)
        .header("authorization", "Bearer hush");
    assert!(request.call().is_err());
    let heard = plain.join().unwrap();
    assert!(!heard.windows(4).any(|window| window == b"hush"));
}

#[test]
fn a_certificate_file_must_be_there_and_hold_a_certificate() {
    let missing = Tls::new(Some(Path::new("/nonexistent/ca.pem")), set).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/ca.pem"), "{missing}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let refusal = Tls::new(Some(empty.path()), set).unwrap_err();
    assert!(matches!(refusal, TlsError::NoCertificate { .. }), "{refusal}");
    assert!(Tls::new(None, set).is_ok());
}
