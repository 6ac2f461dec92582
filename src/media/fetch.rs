//! The fetch threads: make the requests that `state` decides on, put bytes where they belong, wait out trouble.
//!
//! They know no credentials, log no query of an address, and never give up on a network: only an answer is a fault.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tonearm_core::input::MediaFault;
use ureq::http::{Request, Response, header};
use ureq::{Agent, Error, ResponseExt};

use super::answer::{self, Head};
use super::body::{Admission, Body, CHUNK, Sort};
use super::documents;
use super::library::{News, Shared};
use super::measured::Measured;
use super::order::{Order, Subject};
use super::part::{PART_BYTES, Ranges};
use super::portal;
use super::state::{Job, Pick, State};
use crate::tls::Tls;

/// Bytes read at once, per thread and outside of the budget.
const READ_BYTES: usize = 16 * 1024;
/// Buffer of a connection for what arrives; holds one whole TLS record (16 KiB) and the longest head.
const INPUT_BUFFER_BYTES: usize = 32 * 1024;
/// Buffer of a connection for what is sent: a head with a long signed address.
const OUTPUT_BUFFER_BYTES: usize = 16 * 1024;
/// A media address may be passed on a few times (to a nearer host); more is a loop.
const REDIRECTS_MAX: u32 = 5;
/// Connections kept by each thread: entries mostly come from one or two hosts.
const IDLE_CONNECTIONS_MAX: usize = 2;
/// A `Retry-After` of a media host is honoured up to here: nobody waits longer for the next piece of a song.
const RETRY_AFTER_S_MAX: u64 = 60;

/// How long the threads wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Looking up a name.
    pub resolve: Duration,
    /// Connecting, TLS included.
    pub connect: Duration,
    /// The head of an answer.
    pub answer: Duration,
    /// No byte for this long: the connection is dead. A slow one may take any time.
    pub stall: Duration,
    /// The first try after trouble comes between zero and this.
    pub retry_first: Duration,
    /// No try comes later than this.
    pub retry_max: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(4),
            connect: Duration::from_secs(4),
            answer: Duration::from_secs(7),
            stall: Duration::from_secs(5),
            retry_first: Duration::from_millis(250),
            retry_max: Duration::from_secs(8),
        }
    }
}

/// How a request ended.
#[derive(Debug)]
pub enum Outcome {
    /// As wished, or because it is not wished any more.
    Done,
    /// The network, or a host that is not well: try again, not before so many seconds if the host named a time.
    Trouble(String, Option<u64>),
    /// There will be no more bytes.
    Fault(MediaFault, String),
}

/// What to do with an answer after some of its bytes.
enum Flow {
    Go,
    Stop(Outcome),
}

/// Fetches until the library closes. `thread` is the place of this thread in the state.
pub fn serve(shared: &Shared, thread: usize) {
    let mut buffer = vec![0; READ_BYTES];
    while let Some((order, agent)) = next(shared, thread) {
        let run = AssertUnwindSafe(|| run(shared, thread, &order, &agent, &mut buffer));
        let panicked = |_| Outcome::Fault(MediaFault::Unplayable, "the answer made the program panic".to_owned());
        let outcome = catch_unwind(run).unwrap_or_else(panicked);
        finish(shared, thread, &order, outcome);
    }
}

/// The next request; waits for one. `None` when the library closes.
fn next(shared: &Shared, thread: usize) -> Option<(Order, Agent)> {
    let mut state = shared.lock();
    loop {
        if state.closing {
            return None;
        }
        let now = Instant::now();
        state = match state.pick(now) {
            Pick::Fetch(order) => {
                let at = match order.ranges {
                    Ranges::Ignored => order.position(0),
                    Ranges::Honoured => order.at,
                };
                *state.jobs.get_mut(thread)? = Some(Job {
                    serial: order.serial,
                    at,
                    cancelled: false,
                });
                let agent = state.agents.get_mut(thread)?;
                let agent = agent
                    .get_or_insert_with(|| agent_of(&shared.settings.tls, &shared.patience))
                    .clone();
                return Some((order, agent));
            }
            Pick::Rest(None) => shared.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            Pick::Rest(Some(moment)) => {
                let rest = moment.saturating_duration_since(now);
                shared
                    .work
                    .wait_timeout(state, rest)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
    }
}

fn agent_of(tls: &Tls, patience: &Patience) -> Agent {
    tls.agent(
        Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(REDIRECTS_MAX)
            .user_agent(concat!("tonearm/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(patience.resolve))
            .timeout_connect(Some(patience.connect))
            .timeout_send_request(Some(patience.stall))
            .timeout_recv_response(Some(patience.answer))
            .timeout_per_read(Some(patience.stall))
            .timeout_per_write(Some(patience.stall))
            .input_buffer_size(INPUT_BUFFER_BYTES)
            .output_buffer_size(OUTPUT_BUFFER_BYTES)
            .max_response_header_size(INPUT_BUFFER_BYTES)
            .max_idle_connections(IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(1)
            .build(),
    )
}

/// One request, until its bytes are in or it ends otherwise.
fn run(shared: &Shared, thread: usize, order: &Order, agent: &Agent, buffer: &mut [u8]) -> Outcome {
    let (key, part) = match order.subject {
        Subject::Media { key, part, .. } => (key, part),
        Subject::Document(document) => return documents::run(shared, thread, order, document, agent),
    };
    let mut measured = Measured::begin();
    let mut response = match ask(order, agent) {
        Ok(response) => response,
        Err(outcome) => return outcome,
    };
    let head = Head::of(response.status().as_u16(), response.headers());
    let (mut at, end) = match admit(shared, thread, order, (key, part), &head) {
        Ok(admitted) => admitted,
        Err(outcome) => return outcome,
    };
    let address = response.get_uri().to_string();
    let mut reader = response.body_mut().as_reader();
    loop {
        let data = match reader.read(buffer) {
            Ok(0) => {
                measured.tell(shared);
                return ended(shared, order, at, end);
            }
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) => return Outcome::Trouble(error.to_string(), None),
        };
        measured.add(shared, data.len());
        if at == 0 && answer::begins_like_text(data) {
            let beginning = data.to_vec();
            return documents::text(shared, thread, order, &address, beginning, &mut reader, end);
        }
        if let Flow::Stop(outcome) = store(shared, thread, order, at, data, end, &mut measured) {
            return outcome;
        }
        at = at.saturating_add(data.len() as u64);
    }
}

/// Makes the request.
pub fn ask(order: &Order, agent: &Agent) -> Result<Response<ureq::Body>, Outcome> {
    let mut request = Request::get(&order.url);
    let is_ranged = match order.subject {
        Subject::Media { .. } => order.ranges == Ranges::Honoured,
        Subject::Document(_) => order.end.is_some(),
    };
    if is_ranged {
        let range = match order.end {
            Some(end) => format!("bytes={}-{}", order.start, end.saturating_sub(1)),
            None => format!("bytes={}-", order.start),
        };
        request = request.header(header::RANGE, range);
    }
    let response = request
        .body(())
        .map_err(Error::from)
        .and_then(|request| agent.run(request))
        .map_err(|error| outcome_of(order, &error))?;
    if portal::is_foreign(&order.url, &response) {
        return Err(Outcome::Trouble(portal::WORDS.to_owned(), None));
    }
    Ok(response)
}

/// What a request without an answer leads to: trouble, unless the address itself is no good.
fn outcome_of(order: &Order, error: &Error) -> Outcome {
    let astray = matches!(error, Error::TooManyRedirects | Error::RedirectFailed) && !portal::is_clear_url(&order.url);
    if astray || matches!(error, Error::BadUri(_) | Error::Http(_)) {
        Outcome::Fault(MediaFault::Unplayable, error.to_string())
    } else {
        Outcome::Trouble(error.to_string(), None)
    }
}

/// Takes in the head of an answer; gives where its bytes begin and end, as the address counts.
fn admit(
    shared: &Shared,
    thread: usize,
    order: &Order,
    (key, part): (u32, u32),
    head: &Head,
) -> Result<(u64, Option<u64>), Outcome> {
    let mut state = shared.lock();
    let State { bodies, pool, jobs, .. } = &mut *state;
    let job = jobs
        .get_mut(thread)
        .and_then(Option::as_mut)
        .filter(|job| !job.cancelled)
        .ok_or(Outcome::Done)?;
    let body = bodies
        .iter_mut()
        .find(|body| body.serial == order.serial)
        .filter(|body| body.parts.get(&key).is_some_and(|known| known.serial == part))
        .ok_or(Outcome::Done)?;
    let admission = body.admit(head, key, order.start, pool);
    let admitted = match admission {
        Admission::Go { first, end } => {
            job.at = order.position(first);
            Ok((first, end))
        }
        refused @ (Admission::Again(_) | Admission::Later(_) | Admission::Fault(..)) => {
            Err(documents::outcome_of_refusal(refused, head.status))
        }
    };
    drop(state);
    shared.data.notify_all();
    admitted
}

/// Puts bytes that belong at `at` into their chunks; waits for memory where that is worth it.
fn store(
    shared: &Shared,
    thread: usize,
    order: &Order,
    at: u64,
    data: &[u8],
    end: Option<u64>,
    measured: &mut Measured,
) -> Flow {
    let bound = match order.subject {
        Subject::Media { bound, .. } => bound.unwrap_or(u64::MAX),
        Subject::Document(_) => return Flow::Stop(Outcome::Done),
    };
    // What a host sends beyond what the manifest names belongs to somebody else.
    let mine = usize::try_from(bound.saturating_sub(at))
        .unwrap_or(usize::MAX)
        .min(data.len());
    let (mut at, mut data) = (at, data.get(..mine).unwrap_or_default());
    let mut state = shared.lock();
    while !data.is_empty() {
        let cancelled = state
            .jobs
            .get(thread)
            .and_then(Option::as_ref)
            .is_none_or(|job| job.cancelled);
        if cancelled || state.closing || state.body(order.serial).is_none() {
            return Flow::Stop(Outcome::Done);
        }
        let taken = match put(&mut state, order, at, data) {
            Put::Taken(taken) => taken,
            Put::NoMemory if state.may_hold(order.serial) => {
                measured.hold();
                state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            Put::NoMemory | Put::Elsewhere => return Flow::Stop(Outcome::Done),
        };
        at = at.saturating_add(taken as u64);
        data = data.get(taken..).unwrap_or_default();
        if let Some(Some(job)) = state.jobs.get_mut(thread) {
            job.at = order.position(at);
        }
        shared.data.notify_all();
    }
    // An answer that ends here by itself is read to its end, so that the connection can be used again.
    let is_enough = at >= bound || order.position(at) >= state.limit(order.serial);
    if is_enough && end != Some(at) {
        return Flow::Stop(Outcome::Done);
    }
    Flow::Go
}

/// What became of some bytes.
enum Put {
    /// So many are where they belong, or are not needed.
    Taken(usize),
    /// They cannot be attached: other bytes are needed first, or these are there already.
    Elsewhere,
    /// There is no chunk for them.
    NoMemory,
}

/// Puts as many bytes as go into one chunk.
fn put(state: &mut State, order: &Order, at: u64, data: &[u8]) -> Put {
    let Subject::Media { key, part, base, .. } = order.subject else {
        return Put::Elsewhere;
    };
    if at < order.start {
        // The host ignored the range; what comes before it is passed over.
        let before = usize::try_from(order.start - at).unwrap_or(data.len());
        return Put::Taken(data.len().min(before));
    }
    let position = order.position(at);
    let (index, offset) = (position / CHUNK, position % CHUNK);
    let rest = usize::try_from(CHUNK - offset).unwrap_or(data.len()).min(data.len());
    let body = state.body(order.serial);
    let is_mine = |body: &&Body| body.parts.get(&key).is_some_and(|known| known.serial == part);
    let Some(body) = body.filter(is_mine).filter(|_| at.saturating_sub(base) < PART_BYTES) else {
        return Put::Elsewhere;
    };
    match body.chunks.get(&index).map(|chunk| chunk.len() as u64) {
        Some(filled) if filled > offset => {
            let known = usize::try_from(filled - offset).unwrap_or(rest);
            let jump = known as u64 == CHUNK && order.ranges == Ranges::Honoured;
            return if jump {
                Put::Elsewhere
            } else {
                Put::Taken(rest.min(known))
            };
        }
        Some(filled) if filled < offset => return Put::Elsewhere,
        None if offset > 0 => return Put::Elsewhere,
        None => {
            let Some(chunk) = state.obtain(order.serial, index) else {
                return Put::NoMemory;
            };
            if let Some(body) = state.body_mut(order.serial) {
                body.chunks.insert(index, chunk);
            } else {
                state.pool.give(chunk);
            }
        }
        Some(_) => {}
    }
    let Some(body) = state.body_mut(order.serial) else {
        return Put::Elsewhere;
    };
    body.trouble = 0;
    if matches!(body.sort, Sort::Unknown) {
        body.sort = Sort::File;
    }
    let taken = body.chunks.get_mut(&index).map_or(0, |chunk| chunk.append(data));
    if taken == 0 { Put::Elsewhere } else { Put::Taken(taken) }
}

/// The answer ended at `at` as if all was well; believes it only if nothing else was announced.
fn ended(shared: &Shared, order: &Order, at: u64, end: Option<u64>) -> Outcome {
    let mut state = shared.lock();
    let Some(body) = state.body_mut(order.serial) else {
        return Outcome::Done;
    };
    let Subject::Media { key, base, .. } = order.subject else {
        return Outcome::Done;
    };
    let Some(part) = body.parts.get_mut(&key) else {
        return Outcome::Done;
    };
    let expected = end.or(part.file_total);
    if let Some(expected) = expected.filter(|expected| at < *expected) {
        let reason = format!("cut at byte {at} of {expected}");
        return if part.is_hollow(order.start, at) {
            Outcome::Fault(MediaFault::Unplayable, reason)
        } else {
            Outcome::Trouble(reason, None)
        };
    }
    if at <= base {
        return Outcome::Fault(MediaFault::Unplayable, "it is empty".to_owned());
    }
    if let Some(range) = part.range.as_ref().filter(|range| end.is_none() && at < range.end) {
        let reason = format!("the manifest names bytes up to {} of {at}", range.end);
        return Outcome::Fault(MediaFault::Unplayable, reason);
    }
    if end.is_none() {
        part.file_total = Some(part.file_total.unwrap_or(at));
    }
    drop(state);
    shared.data.notify_all();
    Outcome::Done
}

/// Draws the consequences of a request that is over.
fn finish(shared: &Shared, thread: usize, order: &Order, outcome: Outcome) {
    let mut state = shared.lock();
    let job = state.jobs.get_mut(thread).and_then(Option::take);
    // Errors of a request that was cut short, or news of an address that was replaced, mean nothing.
    let outdated = job.is_none_or(|job| job.cancelled) || state.closing;
    let slot = state
        .wishes
        .iter()
        .find(|wish| wish.serial == order.serial)
        .map(|wish| wish.slot);
    let State { bodies, pool, .. } = &mut *state;
    let body = bodies
        .iter_mut()
        .find(|body| body.serial == order.serial)
        .filter(|_| !outdated);
    let news = body.and_then(|body| match outcome {
        Outcome::Done => None,
        Outcome::Trouble(reason, wait_s) => {
            trouble(body, &shared.patience, &reason, wait_s);
            None
        }
        Outcome::Fault(fault, reason) => {
            log::warn!(
                "media: entry {}: {}: {reason} ({fault:?})",
                body.entry.0,
                answer::loggable(&order.url)
            );
            if fault == MediaFault::Unplayable && documents::spare(body, order, pool) {
                return None;
            }
            body.fault = Some((fault, reason));
            if fault == MediaFault::Unplayable && !body.is_consumed() {
                body.forget(pool);
            }
            Some(News {
                slot: slot?,
                entry: body.entry,
                fault,
            })
        }
    });
    drop(state);
    shared.data.notify_all();
    shared.work.notify_all();
    if let Some(news) = news {
        (shared.news)(news);
    }
}

/// Sets the moment of the next try.
fn trouble(body: &mut Body, patience: &Patience, reason: &str, wait_s: Option<u64>) {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    let asked = Duration::from_secs(wait_s.unwrap_or(0).min(RETRY_AFTER_S_MAX));
    let wait = backoff(patience, body.trouble, random).max(asked);
    body.trouble = body.trouble.saturating_add(1);
    body.not_before = Some(Instant::now() + wait);
    let level = if body.trouble == 1 {
        log::Level::Info
    } else {
        log::Level::Debug
    };
    let address = answer::loggable(&body.url);
    log::log!(
        level,
        "media: entry {}: {address}: {reason}; trying again in {} ms",
        body.entry.0,
        wait.as_millis()
    );
}

/// Full jitter: anywhere between zero and a ceiling that doubles with each try in a row.
fn backoff(patience: &Patience, tries: u32, random: u32) -> Duration {
    let ceiling = patience
        .retry_first
        .saturating_mul(1_u32 << tries.min(16))
        .min(patience.retry_max);
    ceiling.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
