//! What every request of the contract passes: faults, mandatory headers, the ledger, the form of errors.

use std::future::pending;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::faults::{Fault, Scope};
use super::http::Shared;
use super::judge::Code;
use super::ledger::What;
use super::listener::Connection;
use super::offer::{self, Language};
use super::wire::{self, Refusal};
use super::world::Caller;

/// Longest body of a request. The largest is a list of MRNs.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Values of the capability header.
const CAPABILITIES: [&str; 4] = ["STD_RES", "HI_FI", "HI_RES", "THREE_DIMENSIONAL"];
/// An answer no JSON reader accepts.
const GARBAGE: &str = "{\"playables\": [<html>";

/// The fault a request was met by, for the handler that carries it out.
#[derive(Clone, Debug)]
pub struct Strike(pub Option<Fault>);

/// A request as the ledger will know it.
struct Asked {
    method: Method,
    path: String,
    session: Option<String>,
    range: Option<String>,
    language: Language,
    caller: Caller,
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

impl Asked {
    fn of(parts: &Parts, connection: &Connection, address: &str) -> Self {
        let path = parts
            .uri
            .path_and_query()
            .map_or_else(String::new, |path| path.as_str().to_owned());
        let session = parts
            .uri
            .path()
            .strip_prefix("/v1/playback/sessions/")
            .and_then(|rest| rest.split_once('/'));
        let plain =
            |host: &String| !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/\"<>@".contains(c));
        let host = text(&parts.headers, "host")
            .filter(plain)
            .unwrap_or_else(|| address.to_owned());
        Self {
            method: parts.method.clone(),
            path,
            session: session.map(|(id, _)| id.to_owned()).filter(|id| id != "entities"),
            range: text(&parts.headers, "range"),
            language: Language::of(text(&parts.headers, "accept-language").as_deref()),
            caller: Caller {
                base: format!("http://{host}"),
                device: text(&parts.headers, "x-amzn-device-id").unwrap_or_default(),
                local: connection.peer.ip().to_canonical().is_loopback(),
            },
        }
    }

    fn record(&self, shared: &Shared, status: Option<StatusCode>, fault: Option<&Fault>) {
        let what = What::Request {
            method: self.method.to_string(),
            path: self.path.clone(),
            status: status.map(|status| status.as_u16()),
            device: Some(self.caller.device.clone()).filter(|device| !device.is_empty()),
            range: self.range.clone(),
            fault: fault.map(|fault| fault.name().to_owned()),
        };
        shared.world().ledger.write(self.session.as_deref(), what);
    }

    fn error(&self, refusal: &Refusal) -> Response {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        match refusal.why {
            None => self.error_with(status, refusal.code, &refusal.message),
            Some(why) => {
                let offer = format!("{}{}", self.caller.base, offer::PATH);
                self.error_at(status, refusal.code, offer::words(why, self.language), &offer)
            }
        }
    }

    fn error_with(&self, status: StatusCode, code: &str, message: &str) -> Response {
        self.error_at(status, code, message, &self.path)
    }

    fn error_at(&self, status: StatusCode, code: &str, message: &str, url: &str) -> Response {
        let reference = format!(
            "sim-{:016x}",
            super::order::fingerprint(&format!("{}{message}", self.path))
        );
        let body = wire::error(status.as_u16(), code, message, url, &reference);
        (status, Json(body)).into_response()
    }
}

/// What is wrong with the headers every request must carry.
fn missing_header(headers: &HeaderMap) -> Option<String> {
    match text(headers, "x-amzn-audio-drmtype").as_deref() {
        None => return Some("X-Amzn-Audio-DRMType is missing".to_owned()),
        Some("WIDEVINE") => {}
        Some(other) => return Some(format!("X-Amzn-Audio-DRMType is {other:?}, not WIDEVINE")),
    }
    let Some(capability) = text(headers, "x-amzn-audio-device-capability") else {
        return Some("X-Amzn-Audio-Device-Capability is missing".to_owned());
    };
    if let Some(unknown) = capability
        .split(',')
        .map(str::trim)
        .find(|word| !CAPABILITIES.contains(word))
    {
        return Some(format!("X-Amzn-Audio-Device-Capability has {unknown:?}"));
    }
    let device = text(headers, "x-amzn-device-id").unwrap_or_default();
    device
        .trim()
        .is_empty()
        .then(|| "X-Amzn-Device-Id is missing".to_owned())
}

/// The way of a request. The simulator's own pages pass untouched.
pub async fn gate(
    State(shared): State<Shared>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
    next: Next,
) -> Response {
    let Some(scope) = Scope::of(request.uri().path()) else {
        return own_page(request, next, &connection).await;
    };
    let (mut parts, body) = request.into_parts();
    let asked = Asked::of(&parts, &connection, "localhost");
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        asked.record(&shared, Some(StatusCode::PAYLOAD_TOO_LARGE), None);
        return asked.error_with(StatusCode::PAYLOAD_TOO_LARGE, "BAD_REQUEST", "the body is too long");
    };
    let fault = {
        let mut world = shared.world();
        if scope == Scope::Events {
            world.owe(&body);
        }
        world.faults.strike(scope, &asked.path)
    };
    if let Some(answer) = before(&shared, &asked, &connection, scope, &body, fault.as_ref()).await {
        return answer;
    }
    let response = if let Some(wrong) = missing_header(&parts.headers).filter(|_| scope != Scope::Media) {
        shared
            .world()
            .ledger
            .violation(asked.session.as_deref(), Code::HeaderMissing, wrong.clone());
        Refusal::bad(wrong).into_response()
    } else {
        parts.extensions.insert(Strike(fault.clone()));
        parts.extensions.insert(asked.caller.clone());
        next.run(Request::from_parts(parts, Body::from(body.clone()))).await
    };
    let response = match response.extensions().get::<Refusal>() {
        Some(refusal) => asked.error(refusal),
        None => response,
    };
    if !matches!(fault, Some(Fault::Delay { .. })) {
        asked.record(&shared, Some(response.status()), fault.as_ref());
    }
    after(&shared, &connection, scope, &body, fault.as_ref(), response)
}

async fn own_page(mut request: Request, next: Next, connection: &Connection) -> Response {
    let caller = Caller {
        base: String::new(),
        device: String::new(),
        local: connection.peer.ip().is_loopback(),
    };
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    match response.extensions().get::<Refusal>() {
        Some(refusal) => (response.status(), format!("{}\n", refusal.message)).into_response(),
        None => response,
    }
}

/// Carries out what a fault does instead of, or before, the operation. `Some`: that is the answer.
async fn before(
    shared: &Shared,
    asked: &Asked,
    connection: &Connection,
    scope: Scope,
    body: &Bytes,
    fault: Option<&Fault>,
) -> Option<Response> {
    match fault? {
        Fault::Status {
            status,
            code,
            retry_after_s,
        } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            if scope == Scope::Events && is_final(status) {
                shared.world().refuse_event(body, &asked.caller);
            }
            asked.record(shared, Some(status), fault);
            let code = code.as_deref().unwrap_or_else(|| code_of(status));
            let mut response = asked.error_with(status, code, "a fault that was asked for");
            if let Some(seconds) = retry_after_s {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            Some(response)
        }
        Fault::BlackHole => {
            asked.record(shared, None, fault);
            pending().await
        }
        Fault::Close => {
            asked.record(shared, None, fault);
            connection.hang_up();
            Some(StatusCode::NO_CONTENT.into_response())
        }
        Fault::Delay { ms } => {
            asked.record(shared, None, fault);
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            None
        }
        Fault::AnswerLost | Fault::Garbage | Fault::Cut { .. } | Fault::Slow { .. } => None,
    }
}

/// Carries out what a fault does to the answer, and notes that an event was answered.
fn after(
    shared: &Shared,
    connection: &Connection,
    scope: Scope,
    body: &Bytes,
    fault: Option<&Fault>,
    response: Response,
) -> Response {
    if matches!(fault, Some(Fault::AnswerLost)) {
        connection.hang_up();
        return response;
    }
    if scope == Scope::Events {
        shared.world().settle(body);
    }
    if matches!(fault, Some(Fault::Garbage)) {
        return (response.status(), [(header::CONTENT_TYPE, "application/json")], GARBAGE).into_response();
    }
    response
}

/// A client never repeats what was answered like this.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status.as_u16(), 401 | 408 | 429)
}

const fn code_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "INVALID_ACCESS_TOKEN",
        403 => "ACCESS_DENIED",
        404 => "RESOURCE_NOT_FOUND",
        422 => "MAX_CONCURRENCY_REACHED",
        429 => "THROTTLED",
        500..=599 => "INTERNAL",
        _ => "BAD_REQUEST",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn each_mandatory_header_is_missed_by_its_name() {
        let all = [
            ("x-amzn-audio-drmtype", "WIDEVINE"),
            ("x-amzn-audio-device-capability", "STD_RES, HI_FI"),
            ("x-amzn-device-id", "d"),
        ];
        assert_eq!(missing_header(&headers(&all)), None);
        for left_out in 0..all.len() {
            let mut some = all.to_vec();
            let (name, _) = some.remove(left_out);
            let wrong = missing_header(&headers(&some)).unwrap();
            assert!(wrong.to_lowercase().starts_with(name), "{wrong}");
        }
    }

    #[test]
    fn wrong_values_of_mandatory_headers_are_found() {
        let wrong_drm = [("x-amzn-audio-drmtype", "NONE")];
        assert!(missing_header(&headers(&wrong_drm)).unwrap().contains("not WIDEVINE"));
        let wrong_capability = [
            ("x-amzn-audio-drmtype", "WIDEVINE"),
            ("x-amzn-audio-device-capability", "LOUD"),
            ("x-amzn-device-id", "d"),
        ];
        assert!(missing_header(&headers(&wrong_capability)).unwrap().contains("LOUD"));
    }

    #[test]
    fn only_answers_that_may_change_are_repeated() {
        for (status, expected) in [
            (400, true),
            (404, true),
            (422, true),
            (401, false),
            (429, false),
            (503, false),
        ] {
            assert_eq!(is_final(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
