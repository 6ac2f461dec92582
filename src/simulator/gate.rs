//! What every request of the contract passes: faults, mandatory headers, the ledger, the form of errors.

use std::future::pending;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::auth;
use super::batch;
use super::conduct::{self, Origin};
use super::dash::Quality;
use super::devices::{Asks, Passage};
use super::faults::{Fault, Form, Scope};
use super::headers::{self, text};
use super::http::Shared;
use super::intake::Comes;
use super::judge::Code;
use super::leak;
use super::ledger::What;
use super::listener::Connection;
use super::offer::{self, Language};
use super::order::fingerprint;
use super::tamper;
use super::wire::{self, MAX_CONCURRENCY, Refusal};
use super::world::Caller;

/// Longest body of a request. The largest is a list of MRNs.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// An answer no JSON reader accepts.
const GARBAGE: &str = "{\"playables\": [<html>";
/// What a network answers in place of the service until somebody logs in to it.
const PORTAL: &str = "<!doctype html>\n<title>Welcome</title>\n<h1>Log in to use this network</h1>\n";

/// The fault a request was met by, for the handler that carries it out.
#[derive(Clone, Debug)]
pub struct Strike(pub Option<Fault>);

/// A request as the ledger will know it.
struct Asked {
    scope: Scope,
    method: Method,
    /// As the ledger may know it.
    path: String,
    /// Several events at once.
    is_batch: bool,
    authorization: Option<String>,
    session: Option<String>,
    range: Option<String>,
    language: Language,
    caller: Caller,
}

impl Asked {
    fn of(scope: Scope, parts: &Parts, connection: &Connection, address: &str) -> Self {
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
            scope,
            method: parts.method.clone(),
            path: leak::redacted(scope, &path),
            is_batch: parts.uri.path() == batch::PATH,
            authorization: text(&parts.headers, "authorization"),
            session: session.map(|(id, _)| id.to_owned()).filter(|id| id != "entities"),
            range: text(&parts.headers, "range"),
            language: Language::of(text(&parts.headers, "accept-language").as_deref()),
            caller: Caller {
                base: format!("http://{host}"),
                device: text(&parts.headers, "x-amzn-device-id").unwrap_or_default(),
                quality: headers::quality(&parts.headers),
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

    /// The request as its conduct is judged.
    fn conduct(&self, connection: &Connection, body: &[u8]) -> conduct::Request {
        let Self {
            scope, method, path, ..
        } = self;
        let who = match scope {
            Scope::Queue | Scope::Events => self.caller.device.clone(),
            Scope::Media | Scope::Licence | Scope::Auth => path.clone(),
        };
        let origin = match scope {
            // Opening, mixing, repeating, adding: what a press asks for.
            Scope::Queue if *method != Method::GET => Origin::Person,
            Scope::Queue | Scope::Events | Scope::Media | Scope::Licence | Scope::Auth => Origin::Client,
        };
        conduct::Request {
            scope: *scope,
            who,
            print: fingerprint(&format!("{method} {path} {}", String::from_utf8_lossy(body))),
            origin,
            peer: connection.peer,
        }
    }

    fn error(&self, refusal: &Refusal, upgrade_url: Option<String>) -> Response {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        match refusal.why {
            None => self.error_with(status, refusal.code, &refusal.message),
            Some(why) => {
                let offer = upgrade_url.unwrap_or_else(|| format!("{}{}", self.caller.base, offer::PATH));
                self.error_at(status, refusal.code, offer::words(why, self.language), &offer)
            }
        }
    }

    fn error_with(&self, status: StatusCode, code: &str, message: &str) -> Response {
        self.error_at(status, code, message, &self.path)
    }

    fn error_at(&self, status: StatusCode, code: &str, message: &str, url: &str) -> Response {
        if self.scope == Scope::Auth {
            return (status, Json(auth::error(code, message))).into_response();
        }
        let reference = format!("sim-{:016x}", fingerprint(&format!("{}{message}", self.path)));
        let body = wire::error(status.as_u16(), code, message, url, &reference);
        (status, Json(body)).into_response()
    }
}

/// Whether a request may go on to its operation at all, and how.
fn admit(
    shared: &Shared,
    asked: &Asked,
    parts: &Parts,
    body: &[u8],
    events: &[&[u8]],
) -> Result<Vec<Passage>, Refusal> {
    let mut world = shared.world();
    let session = asked.session.as_deref();
    let address = parts.uri.path_and_query().map_or("", |path| path.as_str());
    if let Some(leak) = leak::find(asked.scope, &parts.headers, address, body) {
        world.ledger.violation(session, Code::CredentialsLeaked, leak.clone());
        // What holds a token in the wrong place goes no further, and so into no record.
        return Err(Refusal::bad(leak));
    }
    world.authorize(asked.scope, asked.authorization.as_deref())?;
    let asks: Vec<Asks<'_>> = match asked.scope {
        Scope::Media | Scope::Licence | Scope::Auth => return Ok(Vec::new()),
        Scope::Events => events.iter().map(|body| Asks::ToReport { body }).collect(),
        Scope::Queue if session.is_some() => vec![Asks::OfSession],
        Scope::Queue if parts.uri.path() == "/v1/playback/sessions" => vec![Asks::ToCreate { body }],
        Scope::Queue => Vec::new(),
    };
    if let Some(wrong) = headers::missing(&parts.headers) {
        world.ledger.violation(session, Code::HeaderMissing, wrong.clone());
        return Err(Refusal::bad(wrong));
    }
    asks.into_iter()
        .map(|asks| world.ask_for_stream(asks, &asked.caller))
        .collect()
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
    let asked = Asked::of(scope, &parts, &connection, "localhost");
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        asked.record(&shared, Some(StatusCode::PAYLOAD_TOO_LARGE), None);
        return asked.error_with(StatusCode::PAYLOAD_TOO_LARGE, "BAD_REQUEST", "the body is too long");
    };
    let conduct = asked.conduct(&connection, &body);
    let events = match scope {
        Scope::Events => batch::events(parts.uri.path(), &body),
        Scope::Queue | Scope::Media | Scope::Licence | Scope::Auth => Vec::new(),
    };
    let fault = {
        let mut world = shared.world();
        world.asked(&conduct);
        for event in &events {
            world.owe(event);
        }
        world.faults.strike(scope, &asked.path)
    };
    if let Some(answer) = before(&shared, &asked, &connection, &body, &events, fault.as_ref(), &conduct).await {
        return answer;
    }
    let response = match admit(&shared, &asked, &parts, &body, &events) {
        Err(refusal) => refusal.into_response(),
        Ok(passages) => {
            parts.extensions.insert(Strike(fault.clone()));
            parts.extensions.insert(asked.caller.clone());
            let response = next.run(Request::from_parts(parts, Body::from(body.clone()))).await;
            if response.status().is_success() {
                let mut world = shared.world();
                for passage in passages {
                    world.passed(passage, &asked.caller);
                }
            }
            response
        }
    };
    let status = response.status();
    let code = response
        .extensions()
        .get::<Refusal>()
        .map_or("", |refusal| refusal.code);
    if fault.is_none() {
        told(&shared, &asked, &conduct, status, code, None);
    }
    // Who does not hear of the loss owes the event as before.
    if code == MAX_CONCURRENCY && !matches!(fault, Some(Fault::AnswerLost)) {
        displace(&shared, &asked, &events);
    }
    // The events of a batch that is refused are sent again, singly.
    let settles = status.is_success() || (is_final(status, code) && !asked.is_batch);
    let settle = |shared: &Shared| {
        let mut world = shared.world();
        for event in events.iter().filter(|_| settles) {
            world.settle(event);
        }
    };
    let response = match response.extensions().get::<Refusal>() {
        Some(refusal) => asked.error(refusal, shared.world().upgrade_url.clone()),
        None => response,
    };
    if !matches!(fault, Some(Fault::Delay { .. })) {
        asked.record(&shared, Some(status), fault.as_ref());
    }
    let Some(fault) = fault else {
        settle(&shared);
        return response;
    };
    if matches!(fault, Fault::AnswerLost) {
        connection.hang_up();
        return response;
    }
    settle(&shared);
    after(asked.scope, &fault, response)
}

/// A device hears that the stream is another one's.
fn displace(shared: &Shared, asked: &Asked, events: &[&[u8]]) {
    let comes = if asked.is_batch { Comes::Together } else { Comes::Alone };
    for event in events {
        shared.world().displace_event(event, &asked.caller, comes);
    }
}

/// Notes what a client was told, where it is certain to have heard it.
fn told(
    shared: &Shared,
    asked: &Asked,
    conduct: &conduct::Request,
    status: StatusCode,
    code: &str,
    retry_after_s: Option<u32>,
) {
    let mut world = shared.world();
    if status == StatusCode::UNAUTHORIZED {
        world.account.turned_down(asked.authorization.as_deref());
    }
    // A device that lost the stream may keep its event and send it again.
    if code != MAX_CONCURRENCY {
        world.answered(conduct, status.as_u16(), retry_after_s);
    }
}

async fn own_page(mut request: Request, next: Next, connection: &Connection) -> Response {
    let caller = Caller {
        base: String::new(),
        device: String::new(),
        quality: Quality::default(),
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
    body: &Bytes,
    events: &[&[u8]],
    fault: Option<&Fault>,
    conduct: &conduct::Request,
) -> Option<Response> {
    match fault? {
        Fault::Status {
            status,
            code,
            retry_after_s,
        } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let code = code.as_deref().unwrap_or_else(|| match asked.scope {
                Scope::Auth => auth::error_of(status),
                Scope::Queue | Scope::Events | Scope::Media | Scope::Licence => code_of(status),
            });
            if code == MAX_CONCURRENCY {
                displace(shared, asked, events);
            } else if asked.scope == Scope::Events && !asked.is_batch && is_final(status, code) {
                shared.world().refuse_event(body, &asked.caller);
            }
            asked.record(shared, Some(status), fault);
            told(shared, asked, conduct, status, code, *retry_after_s);
            let mut response = asked.error_with(status, code, "a fault that was asked for");
            if let Some(seconds) = retry_after_s {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            Some(response)
        }
        Fault::Refuse => {
            asked.record(shared, None, fault);
            connection.reset();
            Some(StatusCode::NO_CONTENT.into_response())
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
        Fault::AnswerLost
        | Fault::Garbage { .. }
        | Fault::Cut { .. }
        | Fault::Slow { .. }
        | Fault::WrongLength { .. }
        | Fault::WrongKey
        | Fault::Lie { .. } => None,
    }
}

/// Carries out what a fault does to the answer.
fn after(scope: Scope, fault: &Fault, response: Response) -> Response {
    match fault {
        Fault::Garbage { form } => {
            let (kind, text) = match form {
                Form::Json => ("application/json", GARBAGE),
                Form::Html => ("text/html", PORTAL),
                Form::Empty => ("application/json", ""),
            };
            (response.status(), [(header::CONTENT_TYPE, kind)], text).into_response()
        }
        // Media breaks off and slows down on its own: it knows how long it is.
        Fault::Cut { .. } | Fault::Slow { .. } if scope == Scope::Media => response,
        Fault::Cut { .. } | Fault::Slow { .. } | Fault::WrongLength { .. } => tamper::spoil(response, fault),
        Fault::Status { .. }
        | Fault::Refuse
        | Fault::BlackHole
        | Fault::Close
        | Fault::Delay { .. }
        | Fault::AnswerLost
        | Fault::WrongKey
        | Fault::Lie { .. } => response,
    }
}

/// A client never repeats what was answered like this.
fn is_final(status: StatusCode, code: &str) -> bool {
    status.is_client_error() && !matches!(status.as_u16(), 401 | 408 | 429) && code != MAX_CONCURRENCY
}

const fn code_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "INVALID_ACCESS_TOKEN",
        403 => "ACCESS_DENIED",
        404 => "RESOURCE_NOT_FOUND",
        422 => MAX_CONCURRENCY,
        429 => "THROTTLED",
        500..=599 => "INTERNAL",
        _ => "BAD_REQUEST",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_may_change_are_repeated() {
        for (status, code, expected) in [
            (400, "BAD_REQUEST", true),
            (404, "RESOURCE_NOT_FOUND", true),
            (422, "", true),
            (422, MAX_CONCURRENCY, false),
            (401, "", false),
            (429, "", false),
            (503, "", false),
        ] {
            let found = is_final(StatusCode::from_u16(status).unwrap(), code);
            assert_eq!(found, expected, "{status} {code}");
        }
    }
}
