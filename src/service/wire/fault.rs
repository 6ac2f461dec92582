//! Refusals: what a status, a `code` and a `Retry-After` mean to the speaker. It reads; it never repeats a request.

use std::fmt;

use serde_json::Value;
use tonearm_core::input::{Failure, Verdict};
use tonearm_core::unit::Millis;
use ureq::http::Uri;

use super::super::model::Said;

/// `code` of a lost stream: 422 in V1, 429 in V2 \[S\], so it is looked at before any status.
const CODE_TAKEN_OVER: &str = "MAX_CONCURRENCY_REACHED";
/// Codes of a service that is not well, or has had enough for now \[P\]. Which status comes with them is \[A\], so that does not count.
const CODES_BUSY: [&str; 3] = ["THROTTLED", "INTERNAL", "DEPENDENCY"];
/// Longest piece of the service's text that goes into one log line.
const LOGGED_CHARS_MAX: usize = 120;
/// Longest text for the listener: two or three sentences, which is what a page shows at once.
const SAID_CHARS_MAX: usize = 400;
/// Longest address for the listener: what every browser takes, and a QR code.
const SAID_URL_BYTES_MAX: usize = 1024;

/// A refusal, understood as far as possible.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it means.
    pub failure: Failure,
    /// HTTP status.
    pub status: u16,
    /// `error.code` \[P\].
    pub code: Option<String>,
    /// `error.reference` \[P\] or `error.traceId` (V2): what the service's operators ask for.
    pub reference: Option<String>,
    /// `error.message` \[P\], localised.
    pub message: Option<String>,
    /// `error.url` \[P\]: where the listener may read on or upgrade.
    pub url: Option<String>,
}

impl Fault {
    /// What the listener is to hear of it: the service's own words on a refusal that is about the account or the wish.
    /// That another device has the stream has a notice and a problem of its own, and upgrading does not help.
    /// What is wrong with the request itself (400), its sign-in or the moment is nothing a listener can change.
    pub fn said(&self, operation: &'static str) -> Option<Said> {
        let is_for_listeners = match self.failure {
            Failure::Forbidden => true,
            Failure::Refused => self.status != 400,
            Failure::Unreachable
            | Failure::WrongClock
            | Failure::Busy { .. }
            | Failure::Unauthorised
            | Failure::NotFound
            | Failure::TakenOver
            | Failure::Garbled => false,
        };
        let said = Said {
            operation,
            code: self.code.as_deref().and_then(one_line),
            message: self.message.as_deref().and_then(one_line),
            url: self.url.as_deref().filter(|url| is_showable(url)).map(str::to_owned),
        };
        (is_for_listeners && (said.message.is_some() || said.url.is_some())).then_some(said)
    }
}

/// A text on one line, without anything that could steer a screen, cut to what is shown. `None`: nothing is left.
fn one_line(text: &str) -> Option<String> {
    let steers =
        |letter: char| letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain: String = text
        .chars()
        .map(|letter| if steers(letter) { ' ' } else { letter })
        .take(SAID_CHARS_MAX)
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    Some(words.join(" ")).filter(|line| !line.is_empty())
}

/// Whether an address may be offered to a listener: encrypted, short, and an address at all.
fn is_showable(url: &str) -> bool {
    url.len() <= SAID_URL_BYTES_MAX
        && url.parse::<Uri>().is_ok_and(|uri| {
            uri.scheme_str() == Some("https")
                && uri
                    .authority()
                    .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
        })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        let parts = [
            ("code", &self.code),
            ("reference", &self.reference),
            ("message", &self.message),
        ];
        for (name, part) in parts {
            if let Some(text) = part {
                // Escaped and cut short: it comes from outside and goes into a log.
                let short: String = text.chars().take(LOGGED_CHARS_MAX).collect();
                write!(f, ", {name} {short:?}")?;
            }
        }
        Ok(())
    }
}

/// Understands an answer that is no success.
pub fn fault(status: u16, retry_after: Option<&str>, date: Option<&str>, body: &[u8]) -> Fault {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let error = json
        .get("error")
        .or_else(|| json.pointer("/data/error"))
        .unwrap_or(&json);
    let text = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| error.get(name)?.as_str().map(str::to_owned))
    };
    let code = text(&["code"]);
    let wait = || retry_after.and_then(|value| wait_of(value, date));
    let failure = match code.as_deref() {
        Some(CODE_TAKEN_OVER) => Failure::TakenOver,
        Some(code) if CODES_BUSY.contains(&code) => Failure::Busy { retry_after: wait() },
        Some(_) | None => failure_of(status, wait),
    };
    Fault {
        failure,
        status,
        code,
        reference: text(&["reference", "traceId"]),
        message: text(&["message"]),
        url: text(&["url"]),
    }
}

/// Meaning of a status alone \[P\]. 408 is the server saying that it got no whole request: as good as no answer.
fn failure_of(status: u16, retry_after: impl FnOnce() -> Option<Millis>) -> Failure {
    match status {
        401 => Failure::Unauthorised,
        403 => Failure::Forbidden,
        404 => Failure::NotFound,
        408 | 429 | 500..=599 => Failure::Busy {
            retry_after: retry_after(),
        },
        400..=499 => Failure::Refused,
        // A redirect (a hotel's log-in page, say) or something unheard of: not the service's language.
        _ => Failure::Garbled,
    }
}

/// `Retry-After`: seconds, or a date, counted from the answer's own `Date` because this device's clock may be wrong.
pub fn wait_of(value: &str, date: Option<&str>) -> Option<Millis> {
    let value = value.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        return Some(Millis::from_secs(value.parse().unwrap_or(u32::MAX)));
    }
    let parse = |text: &str| {
        jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(text.trim())
            .ok()
    };
    let from = date.and_then(parse).unwrap_or_else(jiff::Timestamp::now);
    let wait_ms = parse(value)?
        .as_millisecond()
        .saturating_sub(from.as_millisecond())
        .max(0);
    Some(Millis(u32::try_from(wait_ms).unwrap_or(u32::MAX)))
}

/// A `Date`, seconds since 1970.
pub fn date_s(text: &str) -> Option<i64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    Some(parser.parse_timestamp(text.trim()).ok()?.as_second())
}

/// What a failure says about an event: set aside what can never be accepted, keep everything else.
pub const fn verdict_of(failure: Failure) -> Verdict {
    match failure {
        Failure::Forbidden | Failure::NotFound | Failure::Refused => Verdict::Refused,
        Failure::Unreachable
        | Failure::WrongClock
        | Failure::Busy { .. }
        | Failure::Unauthorised
        | Failure::TakenOver
        | Failure::Garbled => Verdict::Failed(failure),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(status: u16, body: &str) -> Failure {
        fault(status, None, None, body.as_bytes()).failure
    }

    #[test]
    fn every_status_has_its_meaning() {
        let busy = Failure::Busy { retry_after: None };
        let rows = [
            (400, Failure::Refused),
            (401, Failure::Unauthorised),
            (403, Failure::Forbidden),
            (404, Failure::NotFound),
            (408, busy),
            (410, Failure::Refused),
            (422, Failure::Refused),
            (429, busy),
            (500, busy),
            (503, busy),
            (302, Failure::Garbled),
        ];
        for (status, expected) in rows {
            assert_eq!(failure(status, ""), expected, "{status}");
        }
    }

    #[test]
    fn a_lost_stream_is_known_by_its_code_whatever_the_status() {
        let body = r#"{"error":{"status":422,"code":"MAX_CONCURRENCY_REACHED"}}"#;
        assert_eq!(failure(422, body), Failure::TakenOver);
        assert_eq!(failure(429, body), Failure::TakenOver);
        assert_eq!(
            failure(429, r#"{"error":{"code":"THROTTLED"}}"#),
            Failure::Busy { retry_after: None }
        );
    }

    #[test]
    fn a_service_in_trouble_is_known_by_its_code_whatever_the_status() {
        for code in CODES_BUSY {
            let body = json!({"error": {"code": code}}).to_string();
            for status in [400, 403, 424, 429, 500, 502] {
                assert_eq!(
                    failure(status, &body),
                    Failure::Busy { retry_after: None },
                    "{status} {code}"
                );
            }
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let wait = |value, date| fault(503, Some(value), date, b"").failure;
        let busy = |retry_after| Failure::Busy { retry_after };
        assert_eq!(wait("7", None), busy(Some(Millis(7_000))));
        assert_eq!(wait("99999999999999", None), busy(Some(Millis(u32::MAX))));
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:40 GMT", date), busy(Some(Millis(3_000))));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT", date), busy(Some(Millis(0))));
        assert_eq!(wait("soon", date), busy(None));
        assert_eq!(wait("", date), busy(None));
    }

    #[test]
    fn the_reference_is_logged_and_cannot_forge_a_log_line() {
        let body = r#"{"error":{"status":"403","code":"ACCESS_DENIED","reference":"r-1\nfake","message":"Nein"}}"#;
        let shown = fault(403, None, None, body.as_bytes()).to_string();
        assert_eq!(
            shown,
            r#"status 403, code "ACCESS_DENIED", reference "r-1\nfake", message "Nein""#
        );
        let newer = fault(500, None, None, br#"{"error":{"traceId":"t-2"}}"#);
        assert_eq!(newer.reference.as_deref(), Some("t-2"));
    }

    fn said(status: u16, error: &Value) -> Option<Said> {
        let body = serde_json::json!({ "error": error }).to_string();
        fault(status, None, None, body.as_bytes()).said("create")
    }

    #[test]
    fn the_words_of_an_up_sell_are_for_the_listener() {
        let error = json!({"status": "403", "code": "DENIED_SUBSCRIPTION_TIER", "message": "Mehr mit Unlimited.",
            "url": "https://music.example/upgrade?from=1"});
        let expected = Said {
            operation: "create",
            code: Some("DENIED_SUBSCRIPTION_TIER".into()),
            message: Some("Mehr mit Unlimited.".into()),
            url: Some("https://music.example/upgrade?from=1".into()),
        };
        assert_eq!(said(403, &error), Some(expected));
        assert!(said(422, &json!({"code": "NO_MORE_SKIPS", "message": "Enough."})).is_some());
    }

    #[test]
    fn that_another_device_plays_is_no_up_sell() {
        let error = json!({"code": "MAX_CONCURRENCY_REACHED", "message": "Elsewhere.", "url": "https://h/"});
        for status in [422, 429] {
            assert_eq!(said(status, &error), None, "{status}");
        }
    }

    #[test]
    fn what_a_listener_cannot_change_is_not_said() {
        for status in [400, 401, 404, 429, 500, 503, 302] {
            assert_eq!(
                said(status, &json!({"message": "m", "url": "https://h/"})),
                None,
                "{status}"
            );
        }
        assert_eq!(said(403, &json!({"code": "ACCESS_DENIED"})), None);
        assert_eq!(said(403, &json!({"message": " \n\u{7}", "url": "http://h/"})), None);
    }

    #[test]
    fn words_for_the_listener_are_one_bounded_line_without_control_characters() {
        let odd = json!({"message": format!("a\r\n\u{1b}[2J\u{202e}b {}", "x".repeat(9_000))});
        let message = said(403, &odd).unwrap().message.unwrap();
        assert!(message.starts_with("a [2J b xxx"), "{message:?}");
        assert!(message.chars().count() <= SAID_CHARS_MAX, "{}", message.len());
    }

    #[test]
    fn only_an_encrypted_address_is_offered() {
        let url = |url: &str| said(403, &json!({"message": "m", "url": url})).unwrap().url;
        assert!(url("https://host/a?b=c").is_some());
        let long = format!("https://host/{}", "x".repeat(SAID_URL_BYTES_MAX));
        for bad in [
            "http://host/",
            "javascript:alert(1)",
            "https://",
            "//host",
            "https://a@host/",
            "https://host/a b",
            &long,
        ] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_event_is_set_aside_only_where_repeating_cannot_help() {
        for failure in [Failure::Forbidden, Failure::NotFound, Failure::Refused] {
            assert_eq!(verdict_of(failure), Verdict::Refused);
        }
        for failure in [
            Failure::Unreachable,
            Failure::Busy { retry_after: None },
            Failure::Unauthorised,
        ] {
            assert_eq!(verdict_of(failure), Verdict::Failed(failure));
        }
        for failure in [Failure::TakenOver, Failure::Garbled] {
            assert_eq!(verdict_of(failure), Verdict::Failed(failure));
        }
    }
}
