//! One HTTP exchange at a time with the service: headers, timeouts, limits, and what an answer means.
//!
//! It never retries on its own (but for a renewed token and a refused `limit`), never follows a redirect, never logs
//! a secret.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tonearm_core::input::{Failure, Verdict};
use tonearm_core::unit::Millis;
use ureq::Agent;
use ureq::http::{self, HeaderMap, HeaderName, HeaderValue, header};

use super::base::BaseUrl;
use super::credentials::{Credentials, NoToken, Token};
use super::model::{EventReport, Question, Reply, Said};
use super::settings::{ServiceError, Settings, fixed_headers};
use super::wire::{self, CreateLimit, Fault, Request};
use super::worker::News;
use crate::tls::{Connections, Tls};

/// A connection, TLS included, that takes longer is as good as dead.
const CONNECT_MS_MAX: u64 = 4_000;
/// Looking up a name; within the whole call.
const RESOLVE_MS_MAX: u64 = 4_000;
/// A whole call: a dead link is noticed in 8 s, with some time to tell of it.
const CALL_MS_MAX: u64 = 7_500;
/// An answer: a thousand entries of a kilobyte. More is not the service.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// Buffer for what arrives; holds one whole TLS record (16 KiB) and the longest head.
const INPUT_BUFFER_BYTES: usize = 32 * 1024;
/// Buffer for what is sent: a head with a long token; a body may take several.
const OUTPUT_BUFFER_BYTES: usize = 8 * 1024;
/// Connections kept between calls: there is one thread and one host.
const IDLE_CONNECTIONS_MAX: usize = 1;

/// Status of a network that wants somebody to log in (RFC 6585).
const LOG_IN_FIRST: u16 = 511;

const _: () = assert!(CONNECT_MS_MAX < CALL_MS_MAX, "a call may connect and still be answered");

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
    connections: Connections,
    tls: Tls,
    base: BaseUrl,
    headers: HeaderMap,
    credentials: Arc<dyn Credentials>,
    event_batch_path: Option<String>,
    create_limit: CreateLimit,
    /// When the service answered last, if that was not told yet.
    time: Cell<Option<Time>>,
}

/// When the service answered, by its own clock.
#[derive(Clone, Copy)]
struct Time {
    date_s: Option<i64>,
    took: Duration,
}

/// The service did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What that means.
    pub failure: Failure,
    /// Its words for the listener.
    pub said: Option<Said>,
}

impl Refusal {
    /// What it means for the events it came upon.
    pub const fn verdict(&self) -> Verdict {
        wire::verdict_of(self.failure)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, said: None }
    }
}

/// What came back, read as far as it could be.
struct Answer {
    status: u16,
    retry_after: Option<String>,
    date: Option<String>,
    content_type: Option<String>,
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
            .build();
        Ok(Self {
            base: BaseUrl::parse(&settings.base_url)?,
            headers: fixed_headers(&settings)?,
            connections: settings.tls.connections(config),
            tls: settings.tls,
            credentials: settings.credentials,
            event_batch_path: settings.event_batch_path,
            create_limit: CreateLimit::default(),
            time: Cell::new(None),
        })
    }

    /// What time the service said it was in its last answer. Told once.
    pub fn take_time(&self) -> Option<News> {
        let Time { date_s, took } = self.time.take()?;
        let took = Millis(u32::try_from(took.as_millis()).unwrap_or(u32::MAX));
        Some(News::Time { date_s, took })
    }

    /// A handle that ends calls under way from another thread.
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// Asks one question.
    pub fn ask(&mut self, question: &Question) -> Result<Reply, Refusal> {
        let operation = question.operation();
        let mut answer = self.exchange(operation, &wire::request(question, self.create_limit))?;
        if matches!(question, Question::Create { .. })
            && answer.status == 400
            && let Some(lower) = self.create_limit.lowered(answer.body.as_deref().unwrap_or_default())
        {
            log::info!(
                "service: create refused with {:?}, asking with {lower:?}",
                self.create_limit
            );
            answer = self.exchange(operation, &wire::request(question, lower))?;
            if answer.is_success() {
                self.create_limit = lower;
            }
        }
        if answer.is_success() {
            return Ok(read_reply(question, answer)?);
        }
        let fault = answer.fault();
        if wire::is_the_end(question, &fault) {
            log::debug!("service: {operation}: {fault}, the queue ends");
            return Ok(Reply::Listed(Vec::new()));
        }
        Err(refusal(operation, &fault))
    }

    /// Sends events, oldest first. The answer's body does not matter: any 2xx accepts all of them.
    pub fn report(&self, events: &[EventReport]) -> Result<(), Refusal> {
        let Some(request) = wire::report(events, self.event_batch_path.as_deref()) else {
            log::error!("service: event: {} at once, and no path that takes them", events.len());
            return Err(Failure::Refused.into());
        };
        let answer = self.exchange("event", &request)?;
        if answer.is_success() {
            return Ok(());
        }
        Err(refusal("event", &answer.fault()))
    }

    /// One request; a second one where a renewed token may cure a 401.
    fn exchange(&self, operation: &str, request: &Request) -> Result<Answer, Failure> {
        let token = self.credentials.token().map_err(|why| no_token(operation, why))?;
        let answer = self.send(operation, request, token.as_ref())?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let renewed = match self.credentials.renew(token.as_ref()) {
            Ok(renewed) => renewed,
            Err(NoToken::NotLinked) => return Ok(answer),
            Err(NoToken::Later) => return Err(no_token(operation, NoToken::Later)),
        };
        log::info!("service: {operation}: 401, repeating with a renewed token");
        self.send(operation, request, Some(&renewed))
    }

    fn send(&self, operation: &str, request: &Request, token: Option<&Token>) -> Result<Answer, Failure> {
        let mut headers = self.headers.clone();
        if let Some(token) = token {
            let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.secret())) else {
                log::warn!("service: {operation}: the access token holds characters that a header cannot carry");
                return Err(Failure::Unauthorised);
            };
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        if request.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let asked = Instant::now();
        let answer = self.run(request, headers).map_err(|error| {
            let failure = if self.tls.blames_clock(&error) {
                Failure::WrongClock
            } else {
                failure_of(&error)
            };
            log::warn!("service: {operation}: {error} ({failure:?})");
            failure
        })?;
        if answer.is_foreign() {
            log::warn!(
                "service: {operation}: status {} with a page or a redirect, perhaps the log-in page of this network \
                 (Unreachable)",
                answer.status
            );
            return Err(Failure::Unreachable);
        }
        self.time.set(Some(Time {
            date_s: answer.date.as_deref().and_then(wire::date_s),
            took: asked.elapsed(),
        }));
        Ok(answer)
    }

    fn run(&self, request: &Request, headers: HeaderMap) -> Result<Answer, ureq::Error> {
        let mut head = http::Request::builder()
            .method(&request.method)
            .uri(self.base.join(&request.path))
            .body(())?;
        *head.headers_mut() = headers;
        let agent = self.connections.agent();
        let mut response = match &request.body {
            Some(body) => agent.run(head.map(|()| body.as_slice()))?,
            None => agent.run(head)?,
        };
        let text = |name: HeaderName| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (retry_after, date) = (text(header::RETRY_AFTER), text(header::DATE));
        let content_type = text(header::CONTENT_TYPE);
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        Ok(Answer {
            status,
            retry_after,
            date,
            content_type,
            body,
        })
    }
}

impl Answer {
    /// Somebody else answered: a redirect or a page for people, such as a network's log-in page. The service speaks JSON
    /// and passes nobody on; only what it sends while it is not well may be a page of a machine before it.
    fn is_foreign(&self) -> bool {
        let body = self.body.as_deref().unwrap_or_default().trim_ascii_start();
        let kind = self.content_type.as_deref().unwrap_or_default().to_ascii_lowercase();
        let is_page = kind.starts_with("text/html") || body.starts_with(b"<");
        match self.status {
            300..=399 | LOG_IN_FIRST => true,
            500..=599 => false,
            _ => is_page,
        }
    }

    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What a refusal means. A body that could not be read only costs its details.
    fn fault(&self) -> Fault {
        let body = self.body.as_deref().unwrap_or_default();
        wire::fault(self.status, self.retry_after.as_deref(), self.date.as_deref(), body)
    }
}

/// What a refusal means to who asked; logs it.
fn refusal(operation: &'static str, fault: &Fault) -> Refusal {
    log::warn!("service: {operation} refused: {fault} ({:?})", fault.failure);
    Refusal {
        failure: fault.failure,
        said: fault.said(operation),
    }
}

/// Understands a 2xx.
fn read_reply(question: &Question, answer: Answer) -> Result<Reply, Failure> {
    let operation = question.operation();
    match answer.body {
        Err(_) if wire::is_answered_by_status(question) => Ok(Reply::Done),
        Err(error) => {
            let failure = failure_of(&error);
            log::warn!("service: {operation}: the answer broke off: {error} ({failure:?})");
            Err(failure)
        }
        Ok(body) => wire::reply(question, &body).map_err(|error| {
            log::warn!("service: {operation}: status {}, {error} (Garbled)", answer.status);
            Failure::Garbled
        }),
    }
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

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "client_token_tests.rs"]
mod token_tests;
