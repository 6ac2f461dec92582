//! Fetching what is small and needed whole: descriptions, segment indices, a manifest from a fresh address. It holds
//! them in memory of their own, bounded by the request; what they mean stands in `plan`.

use std::io::Read;

use tonearm_core::input::MediaFault;
use ureq::{Agent, ResponseExt};

use super::answer::{self, Head, Meaning};
use super::body::{Admission, Body, Sort};
use super::dash::{self, Limits};
use super::fetch::{Outcome, ask};
use super::library::Shared;
use super::order::{Order, Subject};
use super::part::key_of;
use super::plan::{DOCUMENTS_BYTES_MAX, Document, MANIFEST_BYTES_MAX, Missing, Plan};
use super::pool::Pool;
use super::state::State;

/// Whether a text may be a manifest.
pub fn is_markup(beginning: &[u8]) -> bool {
    let bare = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
    let mut name = bare.trim_ascii_start().iter().take(15).map(u8::to_ascii_lowercase);
    let is_page = name.clone().eq(*b"<!doctype html>") || name.clone().take(5).eq(*b"<html");
    name.next() == Some(b'<') && !is_page
}

/// What a manifest is made of.
///
/// # Errors
/// It is none, or has nothing that can be played here; in words.
pub fn plan_of(bytes: &[u8], address: &str, limits: Limits) -> Result<Plan, String> {
    let presentation = dash::parse(bytes, address).map_err(|error| error.to_string())?;
    Plan::new(presentation, bytes.len(), limits)
}

/// One request for a document.
pub fn run(shared: &Shared, thread: usize, order: &Order, document: Document, agent: &Agent) -> Outcome {
    let mut response = match ask(order, agent) {
        Ok(response) => response,
        Err(outcome) => return outcome,
    };
    let head = Head::of(response.status().as_u16(), response.headers());
    let address = response.get_uri().to_string();
    let bytes = match read(order, document, &head, &mut response.body_mut().as_reader()) {
        Ok(bytes) => bytes,
        Err(Admission::Fault(fault, reason)) => return refused(shared, order, fault, reason, head.status),
        Err(other) => return outcome_of_refusal(other, head.status),
    };
    let mut state = shared.lock();
    let State { bodies, pool, jobs, .. } = &mut *state;
    let is_wanted = jobs
        .get(thread)
        .and_then(Option::as_ref)
        .is_some_and(|job| !job.cancelled);
    let body = bodies.iter_mut().find(|body| body.serial == order.serial && is_wanted);
    let Some(body) = body else {
        return Outcome::Done;
    };
    let taken = match document {
        Document::Manifest => renew(body, &bytes, &address, pool),
        Document::Description(_) | Document::Index(_) => {
            body.plan_mut().map_or(Ok(()), |plan| plan.take(document, &bytes))
        }
    };
    match taken {
        Ok(()) => {
            body.trouble = 0;
            drop(state);
            shared.data.notify_all();
            Outcome::Done
        }
        Err(reason) => Outcome::Fault(MediaFault::Unplayable, reason),
    }
}

fn refused(shared: &Shared, order: &Order, fault: MediaFault, reason: String, status: u16) -> Outcome {
    let admission = match shared.lock().body(order.serial) {
        Some(body) => body.refuse(fault, reason),
        None => return Outcome::Done,
    };
    outcome_of_refusal(admission, status)
}

/// The bytes of a document, all of them.
fn read(order: &Order, document: Document, head: &Head, reader: &mut impl Read) -> Result<Vec<u8>, Admission> {
    let (first, end) = match answer::meaning(head) {
        Meaning::Bytes { first, end, .. } => (first, end),
        Meaning::Outside { .. } => return Err(fault("the manifest names bytes that are not there")),
        Meaning::NoRanges => return Err(fault("the host mishandles ranges")),
        Meaning::Later { retry_after_s } => return Err(Admission::Later(retry_after_s)),
        Meaning::Fault(fault, reason) => return Err(Admission::Fault(fault, reason)),
    };
    let max = match document {
        Document::Manifest => MANIFEST_BYTES_MAX,
        Document::Description(_) | Document::Index(_) => DOCUMENTS_BYTES_MAX,
    };
    let length = order
        .end
        .map_or(max.saturating_add(1), |end| end.saturating_sub(order.start));
    if length > max && order.end.is_some() {
        return Err(fault("the manifest names too many bytes for a description or an index"));
    }
    let Some(before) = order.start.checked_sub(first) else {
        return Err(Admission::Again("the host sent another range than it was asked for"));
    };
    let broken = |_| Admission::Again("the connection broke off");
    let passed = std::io::copy(&mut reader.by_ref().take(before), &mut std::io::sink()).map_err(broken)?;
    let mut bytes = Vec::new();
    reader.take(length).read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() as u64 > max {
        return Err(fault("it is too long"));
    }
    let came = passed.saturating_add(bytes.len() as u64).saturating_add(first);
    if order.end.is_some_and(|wanted| came < wanted) {
        return Err(if end.is_none_or(|end| came >= end) {
            fault("the manifest names bytes that are not there")
        } else {
            Admission::Again("the answer was cut")
        });
    }
    if bytes.is_empty() {
        return Err(fault("it is empty"));
    }
    Ok(bytes)
}

fn fault(reason: &str) -> Admission {
    Admission::Fault(MediaFault::Unplayable, reason.to_owned())
}

/// Goes on with the manifest of a fresh address. Segments of representations that it has no more are dropped, unless
/// somebody is reading in an unfinished one.
fn renew(body: &mut Body, bytes: &[u8], address: &str, pool: &mut Pool) -> Result<(), String> {
    let presentation = dash::parse(bytes, address).map_err(|error| error.to_string())?;
    let Some(plan) = body.plan_mut() else { return Ok(()) };
    let fits = plan.renew(presentation, bytes.len())?;
    if !fits {
        log::info!(
            "media: entry {}: the fresh manifest has other representations",
            body.entry.0
        );
    }
    let mut stale = Vec::new();
    let mut addresses = Vec::new();
    for (key, part) in &body.parts {
        let Some(sound) = &part.sound else { continue };
        let representation = body.plan().and_then(|plan| plan.representation(sound.representation));
        let segment = representation.and_then(|one| one.segment(sound.number));
        let missing = body.missing_from(super::part::origin(*key));
        let is_whole = key_of(missing) != *key;
        match segment {
            Some(segment) if segment.begin == sound.begin => addresses.push((*key, segment.resource)),
            Some(_) | None if is_whole => {}
            Some(_) | None => stale.push(*key),
        }
    }
    for (key, resource) in addresses {
        if let Some(part) = body.parts.get_mut(&key).filter(|part| part.range == resource.range) {
            part.url = resource.url;
        } else {
            stale.push(key);
        }
    }
    for key in stale {
        if body.is_part_consumed(key) {
            return Err("the fresh manifest does not have the segment that is being read".to_owned());
        }
        body.unplan(key, pool);
    }
    Ok(())
}

/// The address has a text: a manifest, or nothing to be played.
pub fn text(
    shared: &Shared,
    thread: usize,
    order: &Order,
    address: &str,
    mut bytes: Vec<u8>,
    reader: &mut impl Read,
    end: Option<u64>,
) -> Outcome {
    let refused = |reason: String| Outcome::Fault(MediaFault::Unplayable, reason);
    if !is_markup(&bytes) {
        return refused("it is a text, no audio".to_owned());
    }
    if let Err(error) = reader.take(MANIFEST_BYTES_MAX).read_to_end(&mut bytes) {
        return Outcome::Trouble(error.to_string(), None);
    }
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        return refused(format!(
            "it is a text of more than {MANIFEST_BYTES_MAX} bytes, no audio"
        ));
    }
    let mut state = shared.lock();
    let State { bodies, pool, jobs, .. } = &mut *state;
    let is_wanted = jobs
        .get(thread)
        .and_then(Option::as_ref)
        .is_some_and(|job| !job.cancelled);
    let body = bodies.iter_mut().find(|body| body.serial == order.serial && is_wanted);
    let Some(body) = body.filter(|body| matches!(body.sort, Sort::Unknown)) else {
        return Outcome::Done;
    };
    let total = body.total();
    if end.is_some() && total.is_some() && end < total {
        body.is_long_text = true;
        body.forget(pool);
        return Outcome::Done;
    }
    let plan = match plan_of(&bytes, address, shared.settings.limits) {
        Ok(plan) => plan,
        Err(reason) => return refused(reason),
    };
    if let Some(reason) = too_little(body, &plan) {
        if !std::mem::replace(&mut body.is_doubted, true) {
            body.forget(pool);
            return Outcome::Trouble(reason, None);
        }
        log::warn!("media: entry {}: {reason}; it will break off", body.entry.0);
    }
    body.adopt(plan, pool);
    Outcome::Done
}

/// What is wrong with a manifest that names less sound than the entry has.
fn too_little(body: &Body, plan: &Plan) -> Option<String> {
    let announced = body.announced()?;
    let named = plan.shortfall(announced)?;
    let (named, all) = (named.as_secs_f32(), announced.as_secs_f32());
    Some(format!("the manifest names {named:.1} s of {all:.1} s"))
}

/// Whether an entry goes on although `order` was refused for good: its manifest may list more than there is, or another
/// representation may do.
pub fn spare(body: &mut Body, order: &Order, pool: &mut Pool) -> bool {
    let announced = body.announced();
    match order.subject {
        Subject::Document(document) => body.plan_mut().is_some_and(|plan| plan.lose(document)),
        Subject::Media { key, .. } => {
            let is_consumed = body.is_part_consumed(key);
            let sound = body.parts.get(&key).and_then(|part| part.sound.clone());
            let (Some(sound), Some(plan)) = (sound, body.plan_mut()) else {
                return false;
            };
            if is_consumed {
                return false;
            }
            match plan.miss(key, &sound, announced) {
                Missing::End | Missing::Elsewhere => {
                    body.unplan(key, pool);
                    true
                }
                Missing::Lost => false,
            }
        }
    }
}

/// How a request ends whose answer was not let in.
pub fn outcome_of_refusal(admission: Admission, status: u16) -> Outcome {
    match admission {
        Admission::Go { .. } => Outcome::Done,
        Admission::Again(reason) => Outcome::Trouble(reason.to_owned(), None),
        Admission::Later(wait_s) => Outcome::Trouble(format!("status {status}"), wait_s),
        Admission::Fault(fault, reason) => Outcome::Fault(fault, reason),
    }
}
