//! One exchange with a licence server: the request goes out as it is, with the headers of this address, and the answer is
//! what the module takes in. It never retries, never passes anything on to another host, never logs a secret.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};
use serde_json::{Map, Value};
use tonearm_core::unit::Millis;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use ureq::{Agent, Error};
use zeroize::Zeroize;

use super::module::Secret;
use super::terms::Terms;
use crate::tls::Tls;

/// A licence: some KiB. Ten times that is no licence.
const LICENCE_BYTES_MAX: u64 = 64 * 1024;
/// Passing on within one host a few times is common; more is a loop.
const REDIRECTS_MAX: u32 = 3;
/// `Retry-After` is honoured up to here: the entry is over by then.
const RETRY_AFTER_S_MAX: u32 = 60;
/// Headers of a licence request; the service names a few.
const HEADERS_MAX: usize = 64;
/// Buffer for what arrives; holds one whole TLS record (16 KiB) and the longest head.
const INPUT_BUFFER_BYTES: usize = 32 * 1024;
/// Buffer for what is sent: a head with long tokens; a body may take several.
const OUTPUT_BUFFER_BYTES: usize = 16 * 1024;
/// Connections kept: one host, one thread.
const IDLE_CONNECTIONS_MAX: usize = 1;
/// Where a licence stands in an answer of JSON \[A\].
const FIELDS: [&str; 7] = [
    "license",
    "licence",
    "licenseResponse",
    "licenceResponse",
    "licenseData",
    "payload",
    "response",
];
/// What an answer of JSON may be wrapped in \[A\].
const ENVELOPES: [&str; 2] = ["data", "result"];
/// Headers that say how a request is sent: the connection's own, whatever the service names.
const OWN_HEADERS: [HeaderName; 6] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::EXPECT,
    header::ACCEPT_ENCODING,
];

/// How long an exchange may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Connecting, TLS included.
    pub connect: Duration,
    /// All of it.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(4),
            // Three tries fit into a lead of 30 s.
            whole: Duration::from_secs(8),
        }
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What the module takes in.
    Licence(Secret),
    /// Worth trying again, not before so long.
    Trouble(String, Millis),
    /// The address is no good, perhaps not any more: another one may be.
    Outdated(String),
    /// Asking again the same way does not help.
    Refused(String),
}

/// A client for licence servers, without a proxy and without redirects of its own.
pub fn agent(tls: &Tls, patience: Patience) -> Agent {
    tls.agent(
        Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("tonearm/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_global(Some(patience.whole))
            .timeout_connect(Some(patience.connect))
            .timeout_resolve(Some(patience.connect))
            .input_buffer_size(INPUT_BUFFER_BYTES)
            .output_buffer_size(OUTPUT_BUFFER_BYTES)
            .max_response_header_size(INPUT_BUFFER_BYTES)
            .max_idle_connections(IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
            .build(),
    )
}

/// Posts a request for a licence.
pub fn post(agent: &Agent, terms: &Terms, media_type: &'static str, challenge: &Secret) -> Outcome {
    let mut uri = match address(&terms.url) {
        Ok(uri) => uri,
        Err(reason) => return Outcome::Refused(reason),
    };
    let headers = match headers(terms, media_type) {
        Ok(headers) => headers,
        Err(reason) => return Outcome::Refused(reason),
    };
    for _ in 0..=REDIRECTS_MAX {
        match exchange(agent, &uri, &headers, challenge) {
            Ok(Reply::Outcome(outcome)) => return outcome,
            Ok(Reply::Moved(to)) => uri = to,
            Err(error) => return failed(&error),
        }
    }
    Outcome::Refused("the licence server passes the request on and on".to_owned())
}

enum Reply {
    Outcome(Outcome),
    Moved(Uri),
}

fn exchange(agent: &Agent, uri: &Uri, headers: &HeaderMap, challenge: &Secret) -> Result<Reply, Error> {
    let mut request = Request::post(uri.clone()).body(challenge.reveal())?;
    *request.headers_mut() = headers.clone();
    let mut response = agent.run(request)?;
    let status = response.status();
    if status.is_redirection() {
        let location = response.headers().get(header::LOCATION);
        let moved = moved(status, location, uri);
        return Ok(moved.map_or_else(|reason| Reply::Outcome(Outcome::Refused(reason)), Reply::Moved));
    }
    if !status.is_success() {
        let wait = response.headers().get(header::RETRY_AFTER);
        return Ok(Reply::Outcome(meaning(status, wait)));
    }
    let body = response
        .body_mut()
        .with_config()
        .limit(LICENCE_BYTES_MAX)
        .read_to_vec()?;
    Ok(Reply::Outcome(match licence(Secret::new(body)) {
        Ok(licence) => Outcome::Licence(licence),
        Err(reason) => Outcome::Refused(reason.to_owned()),
    }))
}

/// What a status that brings no licence means.
fn meaning(status: StatusCode, retry_after: Option<&HeaderValue>) -> Outcome {
    let code = status.as_u16();
    if status.is_server_error() || [408, 425, 429].contains(&code) {
        let seconds = retry_after.and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
        let wait = Millis::from_secs(seconds.unwrap_or(0).min(RETRY_AFTER_S_MAX));
        return Outcome::Trouble(format!("status {code}"), wait);
    }
    let reason = format!("the licence server answers with status {code}");
    // As a host of media says that a signed address ran out [A].
    match status {
        StatusCode::FORBIDDEN | StatusCode::GONE => Outcome::Outdated(reason),
        _ => Outcome::Refused(reason),
    }
}

/// Where a redirect leads. The headers are secrets of one host, so it leads nowhere else.
fn moved(status: StatusCode, location: Option<&HeaderValue>, from: &Uri) -> Result<Uri, String> {
    if ![StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT].contains(&status) {
        return Err(format!(
            "the licence server answers with status {}, which does not pass a request on",
            status.as_u16()
        ));
    }
    let unreadable = || "the licence server passes the request on to no address".to_owned();
    let location = location
        .and_then(|location| location.to_str().ok())
        .ok_or_else(unreadable)?;
    let to: Uri = location.parse().map_err(|_| unreadable())?;
    match (to.scheme(), to.authority()) {
        (None, None) if location.starts_with('/') => {
            let mut parts = from.clone().into_parts();
            parts.path_and_query = to.into_parts().path_and_query;
            Uri::from_parts(parts).map_err(|_| unreadable())
        }
        (scheme, authority) if scheme == from.scheme() && authority == from.authority() => Ok(to),
        _ => {
            Err("the licence server passes the request on to another host, which must not learn its headers".to_owned())
        }
    }
}

/// The licence address, if what is sent there stays between the two.
fn address(url: &str) -> Result<Uri, String> {
    let uri: Uri = url
        .parse()
        .map_err(|_| "the licence address is no address".to_owned())?;
    let host = uri.host().unwrap_or_default();
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err("the licence address holds a user name, which is not sent".to_owned());
    }
    match uri.scheme_str() {
        Some("https") if !host.is_empty() => Ok(uri),
        Some("http") if is_loopback(host) => Ok(uri),
        Some("http") => Err(format!(
            "the licence address of {host} is http://, which anybody can read; it must be https://"
        )),
        Some(_) | None => Err("the licence address is not absolute".to_owned()),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip: Result<std::net::IpAddr, _> = bare.parse();
    bare.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

/// The headers of the request. A reason never repeats a value.
fn headers(terms: &Terms, media_type: &'static str) -> Result<HeaderMap, String> {
    if terms.headers.len() > HEADERS_MAX {
        return Err(format!(
            "the service names more than {HEADERS_MAX} headers for the licence"
        ));
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    for (name, value) in &terms.headers {
        let unusable = || format!("the service names a header for the licence that cannot be sent: {name:?}");
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
        if OWN_HEADERS.contains(&name) {
            continue;
        }
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// What a request without an answer means.
fn failed(error: &Error) -> Outcome {
    if matches!(error, Error::BodyExceedsLimit(_)) {
        let text = format!("the answer is larger than {LICENCE_BYTES_MAX} bytes, so it is no licence");
        return Outcome::Refused(text);
    }
    if matches!(error, Error::BadUri(_) | Error::Http(_)) {
        return Outcome::Refused("the licence address cannot be asked".to_owned());
    }
    // Texts of the others name hosts and causes, no header and no body.
    Outcome::Trouble(error.to_string(), Millis::ZERO)
}

/// The licence in an answer: the answer itself, or base64 in JSON \[A\]. A set of keys is a licence of Clear Key as it is.
fn licence(body: Secret) -> Result<Secret, &'static str> {
    let bytes = body.reveal();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("the licence server's answer is empty");
    }
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return Ok(body);
    }
    let Ok(Value::Object(mut object)) = serde_json::from_slice::<Value>(bytes) else {
        return Ok(body);
    };
    let found = in_json(&object).map(|text| {
        let text = text.trim();
        let bytes = STANDARD_PAD_INDIFFERENT
            .decode(text)
            .or_else(|_| URL_SAFE_PAD_INDIFFERENT.decode(text));
        bytes
            .map(Secret::new)
            .map_err(|_| "the licence in the answer is not base64")
    });
    forget(&mut object);
    found.unwrap_or(Ok(body))
}

fn in_json(object: &Map<String, Value>) -> Option<&str> {
    if object.contains_key("keys") {
        return None;
    }
    let text = FIELDS.iter().find_map(|field| object.get(*field)?.as_str());
    let wrapped = || {
        ENVELOPES
            .iter()
            .find_map(|envelope| in_json(object.get(*envelope)?.as_object()?))
    };
    text.or_else(wrapped)
}

/// Leaves nothing of the texts behind in memory.
fn forget(object: &mut Map<String, Value>) {
    for value in object.values_mut() {
        match value {
            Value::String(text) => text.zeroize(),
            Value::Object(inner) => forget(inner),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {}
        }
    }
}

#[cfg(test)]
#[path = "post_tests.rs"]
mod tests;
