//! Refusals: what a status, a `code` and a `Retry-After` mean to the speaker. It reads; it never repeats a request.

use std::fmt;

use serde_json::Value;
use tonearm_core::input::{Failure, Verdict};
use tonearm_core::unit::Millis;

/// `code` of a lost stream: 422 in V1, 429 in V2 \[S\], so it is looked at before any status.
const CODE_TAKEN_OVER: &str = "MAX_CONCURRENCY_REACHED";
/// Longest piece of the service's text that goes into one log line.
const LOGGED_CHARS_MAX: usize = 120;

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
    let failure = if code.as_deref() == Some(CODE_TAKEN_OVER) {
        Failure::TakenOver
    } else {
        failure_of(status, || retry_after.and_then(|value| wait_of(value, date)))
    };
    Fault {
        failure,
        status,
        code,
        reference: text(&["reference", "traceId"]),
        message: text(&["message"]),
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
fn wait_of(value: &str, date: Option<&str>) -> Option<Millis> {
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
