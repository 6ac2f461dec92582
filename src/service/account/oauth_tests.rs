//! The sign-in's wire against a scripted server: what goes out, and what each answer means.

use std::time::Duration;

use super::super::super::scripted::{Request, Server, Wire};
use super::super::linking::Pace;
use super::*;

const TOKENS: &[u8] = br#"{"access_token":"Atza|a","refresh_token":"Atzr|r","token_type":"bearer","expires_in":3600}"#;

fn client_at(url: &str, call: Duration) -> Client {
    let patience = Patience {
        call,
        pace: Pace::default(),
    };
    let base = BaseUrl::parse(url).unwrap();
    let id = "amzn1.application-oa2-client.x";
    Client::new(
        base,
        id,
        "music::playback profile",
        &crate::tls::fixture::believing(),
        patience,
    )
}

fn client(server: &Server) -> Client {
    client_at(&server.url(""), Duration::from_secs(8))
}

fn answering(status: u16, headers: &'static [(&str, &str)], body: &'static [u8]) -> Server {
    Server::start(move |_, wire| wire.answer(status, headers, body))
}

/// What the server reads in the form, decoded as servers do.
fn form(request: &Request) -> Vec<(String, String)> {
    let text = String::from_utf8(request.body.clone()).unwrap();
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced)
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    text.split('&')
        .map(|field| field.split_once('=').unwrap())
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn fields(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    fields.iter().map(owned).collect()
}

fn a_pair() -> CodePair {
    pair(
        &serde_json::from_slice(
            br#"{"device_code":"dev|1+2&3=%","user_code":"ABC-DEF","verification_uri":"https://a"}"#,
        )
        .unwrap(),
    )
    .unwrap()
}

type Headers = &'static [(&'static str, &'static str)];

/// What a refresh that is answered like this means.
fn refreshed(status: u16, headers: Headers, body: &'static [u8]) -> Result<Tokens, Trouble> {
    client(&answering(status, headers, body)).refresh(&Token::new("Atzr|old"))
}

#[test]
fn a_pair_is_asked_for_with_the_product_and_what_it_wants() {
    let server = answering(200, &[], br#"{"device_code":"d|1","user_code":"ABC-DEF","verification_uri":"https://example.com/code","expires_in":600,"interval":30,"more":[]}"#);
    let pair = client(&server).create().unwrap();
    assert_eq!(pair.device_code, Token::new("d|1"));
    assert_eq!(
        (pair.user_code.as_str(), pair.address.as_str()),
        ("ABC-DEF", "https://example.com/code")
    );
    assert_eq!((pair.expires_in, pair.interval), (Millis(600_000), Millis(30_000)));
    let request = server.requests().remove(0);
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/auth/o2/create/codepair")
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    let sent = [
        ("response_type", "device_code"),
        ("client_id", "amzn1.application-oa2-client.x"),
        ("scope", "music::playback profile"),
    ];
    assert_eq!(form(&request), fields(&sent));
}

#[test]
fn polling_sends_both_codes_unharmed() {
    let server = answering(200, &[], TOKENS);
    let tokens = client(&server).poll(&a_pair()).unwrap();
    assert_eq!(tokens.access, Token::new("Atza|a"));
    assert_eq!(tokens.refresh, Some(Token::new("Atzr|r")));
    assert_eq!(tokens.life, Millis(3_600_000));
    let request = server.requests().remove(0);
    assert_eq!(request.target, "/auth/o2/token");
    let sent = [
        ("grant_type", "device_code"),
        ("device_code", "dev|1+2&3=%"),
        ("user_code", "ABC-DEF"),
    ];
    assert_eq!(form(&request), fields(&sent));
}

#[test]
fn a_refresh_sends_a_token_of_two_kilobytes_unharmed_and_no_access_token() {
    let long = format!("Atzr|{}+/=&%", "x".repeat(2_038));
    assert_eq!(long.len(), 2_048);
    let server = answering(200, &[], TOKENS);
    client(&server).refresh(&Token::new(long.clone())).unwrap();
    let request = server.requests().remove(0);
    let sent = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &long),
        ("client_id", "amzn1.application-oa2-client.x"),
    ];
    assert_eq!(form(&request), fields(&sent));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header("x-api-key"), None);
}

#[test]
fn an_answer_without_a_refresh_token_leaves_the_old_one() {
    let tokens = refreshed(200, &[], br#"{"access_token":"Atza|b"}"#).unwrap();
    assert_eq!((tokens.refresh, tokens.life), (None, Millis(3_600_000)));
    let linked = client(&answering(200, &[], br#"{"access_token":"Atza|b"}"#)).poll(&a_pair());
    assert!(matches!(linked, Err(Trouble::Later { .. })), "{linked:?}");
}

#[test]
fn every_word_of_the_service_has_its_meaning() {
    let rows: [(&'static [u8], Trouble); 7] = [
        (
            br#"{"error":"authorization_pending","error_description":"x"}"#,
            Trouble::Pending,
        ),
        (br#"{"error":"slow_down"}"#, Trouble::SlowDown),
        (br#"{"error":"invalid_code_pair"}"#, Trouble::PairGone),
        (br#"{"error":"expired_token"}"#, Trouble::PairGone),
        (br#"{"error":"access_denied"}"#, Trouble::Declined),
        (br#"{"error":"invalid_grant"}"#, Trouble::GrantGone),
        (
            br#"{"error":"surprise"}"#,
            Trouble::later(r#"status 400, error "surprise""#),
        ),
    ];
    for (body, expected) in rows {
        assert_eq!(refreshed(400, &[], body), Err(expected));
    }
}

#[test]
fn a_mistake_in_the_configuration_names_what_to_correct() {
    let rows: [(&'static [u8], &str, &str); 4] = [
        (br#"{"error":"invalid_client"}"#, "invalid_client", "client_id"),
        (
            br#"{"error":"unauthorized_client"}"#,
            "unauthorized_client",
            "client_id",
        ),
        (br#"{"error":"invalid_request"}"#, "invalid_request", "client_id, scope"),
        (br#"{"error":"invalid_scope"}"#, "invalid_scope", "[service] scope"),
    ];
    for (body, word, key) in rows {
        for status in [400, 401] {
            match refreshed(status, &[], body) {
                Err(Trouble::Misconfigured(text)) => assert!(text.contains(word) && text.contains(key), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_busy_service_is_asked_later_and_its_time_is_honoured() {
    for status in [429, 500, 503] {
        let trouble = refreshed(status, &[("retry-after", "7")], br#"{"error":"invalid_request"}"#);
        // A service in trouble is not believed that the configuration is wrong.
        assert!(matches!(&trouble, Err(Trouble::Later { .. })), "{trouble:?}");
        assert_eq!(trouble.unwrap_err().retry_after(), Some(Millis(7_000)));
    }
    assert_eq!(refreshed(429, &[], br#"{"error":"slow_down"}"#), Err(Trouble::SlowDown));
}

#[test]
fn what_is_not_the_sign_in_is_trouble_that_passes() {
    let not_yet: [(u16, Headers, &'static [u8]); 5] = [
        (200, &[("content-type", "text/html")], b"<html>Welcome to our hotel"),
        (302, &[("location", "http://hotel.example/")], b""),
        (200, &[], br#"{"access_token":""}"#),
        (200, &[], br#"{"access_token":["a"]}"#),
        (200, &[], br#"{"access_token":"line\r\nbreak","refresh_token":"r"}"#),
    ];
    for (status, headers, body) in not_yet {
        let trouble = refreshed(status, headers, body);
        assert!(matches!(trouble, Err(Trouble::Later { .. })), "{trouble:?}");
    }
}

#[test]
fn a_redirect_is_not_followed_with_secrets() {
    let other = answering(200, &[], TOKENS);
    let to: &'static str = Box::leak(other.url("/auth/o2/token").into_boxed_str());
    let server = Server::start(move |_, wire| wire.answer(307, &[("location", to)], b""));
    assert!(client(&server).refresh(&Token::new("Atzr|old")).is_err());
    assert_eq!((server.requests().len(), other.requests().len()), (1, 0));
}

#[test]
fn a_token_that_is_too_long_is_not_taken() {
    let long = |bytes: usize| format!(r#"{{"access_token":"{}"}}"#, "a".repeat(bytes));
    let ask = |body: String| {
        let server = Server::start(move |_, wire: &Wire<'_>| wire.answer(200, &[], body.as_bytes()));
        client(&server).refresh(&Token::new("r"))
    };
    assert!(ask(long(TOKEN_BYTES_MAX)).is_ok());
    assert!(ask(long(TOKEN_BYTES_MAX + 1)).is_err());
    assert!(ask(long(1024 * 1024)).is_err(), "an answer is read up to its limit");
}

#[test]
fn what_is_shown_to_people_cannot_drive_their_terminal() {
    let bad: [&'static [u8]; 5] = [
        br#"{"device_code":"d","user_code":"\u001b[2J","verification_uri":"https://a"}"#,
        br#"{"device_code":"d","user_code":"A B","verification_uri":"https://a"}"#,
        br#"{"device_code":"d","user_code":"A","verification_uri":"https://a/\u202e"}"#,
        br#"{"device_code":"d","user_code":"A","verification_uri":"javascript:alert(1)"}"#,
        br#"{"device_code":"d","user_code":"A"}"#,
    ];
    for body in bad {
        let made = client(&answering(200, &[], body)).create();
        assert!(matches!(made, Err(Trouble::Later { .. })), "{made:?}");
    }
}

#[test]
fn lengths_of_time_are_read_as_numbers_and_as_text_and_are_bounded() {
    let read = |text: &str| seconds(&serde_json::from_str(text).unwrap(), "interval", INTERVAL_S);
    assert_eq!(read(r#"{"interval":5}"#), Millis(5_000));
    assert_eq!(read(r#"{"interval":0.5}"#), Millis(500));
    assert_eq!(read(r#"{"interval":"7"}"#), Millis(7_000));
    assert_eq!(read(r#"{"interval":1e300}"#), Millis(86_400_000));
    for odd in [
        r#"{"interval":-1}"#,
        r#"{"interval":"soon"}"#,
        r#"{"interval":{}}"#,
        "{}",
    ] {
        assert_eq!(read(odd), Millis(30_000), "{odd}");
    }
}

#[test]
fn silence_ends_in_time_and_is_trouble_that_passes() {
    let server = Server::start(|_, wire| wire.hang());
    let trouble = client_at(&server.url(""), Duration::from_millis(100)).create();
    assert!(matches!(trouble, Err(Trouble::Later { .. })), "{trouble:?}");
}

#[test]
fn no_secret_is_in_what_is_said_about_trouble() {
    let server = Server::start(|request, wire| {
        // A server that gives everything back, in the word itself and beside it.
        let sent = String::from_utf8_lossy(&request.body).into_owned();
        let body = serde_json::json!({ "error": sent, "error_description": sent }).to_string();
        wire.answer(400, &[], body.as_bytes())
    });
    let client = client(&server);
    let secret = "Atzrverysecret";
    let pair = CodePair {
        device_code: Token::new(secret),
        ..a_pair()
    };
    for trouble in [
        client.refresh(&Token::new(secret)).unwrap_err(),
        client.poll(&pair).unwrap_err(),
    ] {
        assert!(!format!("{trouble} {trouble:?}").contains(secret), "{trouble:?}");
    }
    assert!(!format!("{pair:?}").contains(secret));
}
