//! One HTTP exchange at a time with the service: headers, timeouts, limits, and what an answer means.
//!
//! It never retries on its own (but for a renewed token and a refused `limit`), never follows a redirect, never logs
//! a secret.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tonearm_core::input::{Failure, Verdict};
use ureq::Agent;
use ureq::http::{self, HeaderMap, HeaderName, HeaderValue, Method, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::base::{BaseUrl, BaseUrlError};
use super::credentials::{Credentials, NoToken, Token};
use super::model::{EventReport, Quality, Question, Reply};
use super::wire;

/// A connection, TLS included, that takes longer is as good as dead.
const CONNECT_MS_MAX: u64 = 4_000;
/// Looking up a name; within the whole call.
const RESOLVE_MS_MAX: u64 = 4_000;
/// A whole call: a dead link is noticed in this time.
const CALL_MS_MAX: u64 = 8_000;
/// An answer: a thousand entries of a kilobyte. More is not the service.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// Buffer for what arrives; holds one whole TLS record (16 KiB) and the longest head.
const INPUT_BUFFER_BYTES: usize = 32 * 1024;
/// Buffer for what is sent; bodies are smaller than 1 KiB.
const OUTPUT_BUFFER_BYTES: usize = 8 * 1024;
/// Connections kept between calls: there is one thread and one host.
const IDLE_CONNECTIONS_MAX: usize = 1;

const _: () = assert!(CONNECT_MS_MAX < CALL_MS_MAX, "a call may connect and still be answered");

/// Where the service is, and who asks.
#[derive(Clone)]
pub struct Settings {
    /// Base address; `https`, or `http` on a loopback host.
    pub base_url: String,
    /// Unique and stable per device.
    pub device_id: String,
    /// What the board can play; empty counts as standard quality.
    pub qualities: Vec<Quality>,
    /// Security profile of the application, if the service asks for one.
    pub api_key: Option<String>,
    /// Whose certificates are trusted; see [`roots`].
    pub roots: RootCerts,
    /// Access tokens.
    pub credentials: Arc<dyn Credentials>,
}

/// Why the client cannot be started.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The base address.
    #[error("configure the service")]
    BaseUrl(#[from] BaseUrlError),
    /// The certificate file cannot be read.
    #[error("read certificates {path}", path = path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate file holds none.
    #[error("read certificates {path}: no PEM certificate in it", path = path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A value that cannot be sent.
    #[error("configure the service: {0} is empty or holds characters that a header cannot carry")]
    Header(&'static str),
    /// No thread to be had.
    #[error("start the service thread")]
    Thread(#[source] std::io::Error),
}

/// Trusted certificates: those of a PEM file, or Mozilla's.
pub fn roots(ca_file: Option<&Path>) -> Result<RootCerts, ServiceError> {
    let Some(path) = ca_file else {
        return Ok(RootCerts::WebPki);
    };
    let pem = std::fs::read(path).map_err(|source| ServiceError::CaFile {
        path: path.to_owned(),
        source,
    })?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(ServiceError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates.into())
}

/// How long the client waits. Only tests differ from the default.
#[derive(Clone, Copy)]
pub struct Patience {
    /// For a whole call.
    pub call: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            call: Duration::from_millis(CALL_MS_MAX),
        }
    }
}

/// The service, as one thread asks it.
pub struct Client {
    agent: Agent,
    base: BaseUrl,
    headers: HeaderMap,
    credentials: Arc<dyn Credentials>,
    /// `limit` of create; `None` once the service refused it.
    create_limit: Option<u8>,
}

/// What came back, read as far as it could be.
struct Answer {
    status: u16,
    retry_after: Option<String>,
    date: Option<String>,
    body: Result<Vec<u8>, ureq::Error>,
}

impl Client {
    /// Checks the settings; connects to nobody.
    pub fn new(settings: Settings, patience: Patience) -> Result<Self, ServiceError> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("tonearm/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .timeout_global(Some(patience.call))
            .timeout_connect(Some(Duration::from_millis(CONNECT_MS_MAX)))
            .timeout_resolve(Some(Duration::from_millis(RESOLVE_MS_MAX)))
            .input_buffer_size(INPUT_BUFFER_BYTES)
            .output_buffer_size(OUTPUT_BUFFER_BYTES)
            .max_response_header_size(INPUT_BUFFER_BYTES)
            .max_idle_connections(IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
            .tls_config(TlsConfig::builder().root_certs(settings.roots).build())
            .build();
        Ok(Self {
            agent: Agent::new_with_config(config),
            base: BaseUrl::parse(&settings.base_url)?,
            headers: fixed_headers(&settings.device_id, &settings.qualities, settings.api_key.as_deref())?,
            credentials: settings.credentials,
            create_limit: Some(wire::CREATE_LIMIT),
        })
    }

    /// A handle that ends calls under way from another thread, for good.
    pub fn agent(&self) -> Agent {
        self.agent.clone()
    }

    /// Asks one question.
    pub fn ask(&mut self, question: &Question) -> Result<Reply, Failure> {
        let operation = question.operation();
        let (method, path) = wire::endpoint(question);
        let body = match question {
            Question::Create { play, mode, looping } => {
                Some(wire::create_body(play, *mode, *looping, self.create_limit))
            }
            Question::Loop { on, .. } => Some(wire::loop_body(*on)),
            Question::Shuffle { on, .. } => Some(wire::shuffle_body(*on)),
            Question::Current { .. }
            | Question::Next { .. }
            | Question::Previous { .. }
            | Question::Queue { .. }
            | Question::Active => None,
        };
        let mut answer = self.exchange(operation, &method, &path, body.as_deref())?;
        if let (400, Question::Create { play, mode, looping }, Some(limit)) =
            (answer.status, question, self.create_limit)
        {
            log::info!("service: create with limit {limit} refused, asking without");
            let body = wire::create_body(play, *mode, *looping, None);
            answer = self.exchange(operation, &method, &path, Some(&body))?;
            if answer.is_success() {
                self.create_limit = None;
            }
        }
        if answer.status == 404 && wire::not_found_is_the_end(question) {
            log::debug!("service: {operation}: 404, the queue ends");
            return Ok(Reply::Listed(Vec::new()));
        }
        if !answer.is_success() {
            return Err(answer.refusal(operation));
        }
        read_reply(question, answer)
    }

    /// Sends one event. The answer's body does not matter: any 2xx accepts.
    pub fn report(&self, report: &EventReport) -> Verdict {
        let (method, path) = wire::EVENT;
        match self.exchange("event", &method, path, Some(&wire::event_body(report))) {
            Ok(answer) if answer.is_success() => Verdict::Accepted,
            Ok(answer) => wire::verdict_of(answer.refusal("event")),
            Err(failure) => wire::verdict_of(failure),
        }
    }

    /// One request; a second one where a renewed token may cure a 401.
    fn exchange(&self, operation: &str, method: &Method, path: &str, body: Option<&[u8]>) -> Result<Answer, Failure> {
        let token = self.credentials.token().map_err(|why| no_token(operation, why))?;
        let answer = self.send(operation, method, path, body, token.as_ref())?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let renewed = match self.credentials.renew(token.as_ref()) {
            Ok(renewed) => renewed,
            Err(NoToken::NotLinked) => return Ok(answer),
            Err(NoToken::Later) => return Err(no_token(operation, NoToken::Later)),
        };
        log::info!("service: {operation}: 401, repeating with a renewed token");
        self.send(operation, method, path, body, Some(&renewed))
    }

    fn send(
        &self,
        operation: &str,
        method: &Method,
        path: &str,
        body: Option<&[u8]>,
        token: Option<&Token>,
    ) -> Result<Answer, Failure> {
        let mut headers = self.headers.clone();
        if let Some(token) = token {
            let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.secret())) else {
                log::warn!("service: {operation}: the access token holds characters that a header cannot carry");
                return Err(Failure::Unauthorised);
            };
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        self.run(method, path, headers, body).map_err(|error| {
            let failure = failure_of(&error);
            log::warn!("service: {operation}: {error} ({failure:?})");
            failure
        })
    }

    fn run(&self, method: &Method, path: &str, headers: HeaderMap, body: Option<&[u8]>) -> Result<Answer, ureq::Error> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(self.base.join(path))
            .body(())?;
        *request.headers_mut() = headers;
        let mut response = match body {
            Some(bytes) => self.agent.run(request.map(|()| bytes))?,
            None => self.agent.run(request)?,
        };
        let text = |name: HeaderName| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (retry_after, date) = (text(header::RETRY_AFTER), text(header::DATE));
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        Ok(Answer {
            status,
            retry_after,
            date,
            body,
        })
    }
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What a refusal means; logs it. A body that could not be read only costs its details.
    fn refusal(&self, operation: &str) -> Failure {
        let body = self.body.as_deref().unwrap_or_default();
        let fault = wire::fault(self.status, self.retry_after.as_deref(), self.date.as_deref(), body);
        log::warn!("service: {operation} refused: {fault} ({:?})", fault.failure);
        fault.failure
    }
}

/// Understands a 2xx.
fn read_reply(question: &Question, answer: Answer) -> Result<Reply, Failure> {
    let operation = question.operation();
    let body = match (question, answer.body) {
        // Nothing in the body is needed, so nothing about it can be wrong.
        (Question::Loop { .. } | Question::Shuffle { .. }, _) => return Ok(Reply::Done),
        (_, Ok(body)) => body,
        (_, Err(error)) => {
            let failure = failure_of(&error);
            log::warn!("service: {operation}: the answer broke off: {error} ({failure:?})");
            return Err(failure);
        }
    };
    let reply = match question {
        Question::Create { .. } => wire::opened(&body).map(Reply::Opened),
        Question::Current { .. } | Question::Next { .. } | Question::Previous { .. } | Question::Queue { .. } => {
            wire::playables(&body).map(Reply::Listed)
        }
        Question::Active => wire::sessions(&body).map(Reply::Sessions),
        Question::Loop { .. } | Question::Shuffle { .. } => Ok(Reply::Done),
    };
    reply.map_err(|error: wire::Unreadable| {
        log::warn!("service: {operation}: status {}, {error} (Garbled)", answer.status);
        Failure::Garbled
    })
}

/// Meaning of a request that cannot be sent for want of a token.
fn no_token(operation: &str, why: NoToken) -> Failure {
    match why {
        NoToken::NotLinked => {
            log::debug!("service: {operation} not sent: no account is linked");
            Failure::Unauthorised
        }
        NoToken::Later => {
            log::warn!("service: {operation}: 401, and the token cannot be renewed at the moment");
            Failure::Unreachable
        }
    }
}

/// Meaning of an exchange that failed below HTTP.
fn failure_of(error: &ureq::Error) -> Failure {
    use ureq::Error as E;
    if matches!(
        error,
        E::Protocol(_) | E::LargeResponseHeader(..) | E::BodyExceedsLimit(_)
    ) {
        Failure::Garbled
    } else if matches!(error, E::Http(_) | E::BadUri(_)) {
        // The request cannot even be written; so it is the same next time.
        Failure::Refused
    } else {
        Failure::Unreachable
    }
}

/// The headers of every request that never change.
fn fixed_headers(device_id: &str, qualities: &[Quality], api_key: Option<&str>) -> Result<HeaderMap, ServiceError> {
    let qualities = if qualities.is_empty() {
        &[Quality::Standard]
    } else {
        qualities
    };
    let words: Vec<&str> = qualities.iter().map(|quality| wire::capability(*quality)).collect();
    let value = |what: &'static str, text: &str| {
        let text = Some(text.trim())
            .filter(|text| !text.is_empty())
            .ok_or(ServiceError::Header(what))?;
        HeaderValue::from_str(text).map_err(|_| ServiceError::Header(what))
    };
    let mut headers = HeaderMap::new();
    let (drm, drm_value) = wire::HEADER_DRM;
    headers.insert(drm, HeaderValue::from_static(drm_value));
    headers.insert(
        wire::HEADER_CAPABILITY,
        value("the list of qualities", &words.join(","))?,
    );
    headers.insert(wire::HEADER_DEVICE, value("the device id", device_id)?);
    if let Some(key) = api_key {
        let mut key = value("the api key", key)?;
        key.set_sensitive(true);
        headers.insert(wire::HEADER_API_KEY, key);
    }
    Ok(headers)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "client_token_tests.rs"]
mod token_tests;
