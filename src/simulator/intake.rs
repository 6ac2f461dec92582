//! Takes events in: who sent one, whether it came before, what the judge finds, where it moves the session.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::event::{self, Event, Reason, What};
use super::judge::{Code, Denied, Facts, Judgement, Refused};
use super::ledger::{self, Outcome};
use super::session::Session;
use super::tier::{self, Action, Kind};
use super::wire::Refusal;
use super::world::{Caller, World};

/// Skips remembered. More than the limit allows can only come from a client that ignores it.
const SKIPS_KEPT_MAX: usize = 1_000;
/// Bodies by which events of batches are known when they come again, singly or in another batch: more than a batch has.
const BODIES_MAX: usize = 64;

/// How an event comes. One that comes alone shows that those before it are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comes {
    /// By itself.
    Alone,
    /// In a batch.
    Together,
}

/// What the judgement means for its client.
fn answer(judgement: &Judgement) -> Result<(), Refusal> {
    match judgement.refused {
        None => Ok(()),
        Some(Refused::Senseless) => Err(Refusal::bad("a stop of an entry that had not started")),
        Some(Refused::NotAllowed(why)) => Err(Refusal::tier(why)),
    }
}

impl World {
    /// An event was sent; until it is answered for good, the client owes it.
    pub fn owe(&mut self, body: &[u8]) {
        self.owed(body, Some(String::from_utf8_lossy(body).into_owned()));
    }

    /// The event was answered for good.
    pub fn settle(&mut self, body: &[u8]) {
        self.owed(body, None);
    }

    fn owed(&mut self, body: &[u8], owed: Option<String>) {
        let Some(metric) = event::metric_of(body) else { return };
        let place = self.find_entry(&metric).map(|(place, _)| place);
        if let Some(session) = place.and_then(|place| self.sessions.get_mut(place)) {
            session.owed = owed;
            // The event was kept while it was owed: after a restart a client that has its answer owes nothing.
            if session.owed.is_none()
                && let Some(store) = &self.store
            {
                store.keep_session(session);
            }
        }
    }

    /// Session and entry of a `metricId`. An entry that another order moved far away comes back for it.
    fn find_entry(&mut self, metric: &str) -> Option<(usize, usize)> {
        let known = |(place, session): (usize, &Session)| Some((place, session.find_metric(metric)?));
        let recall = |(place, session): (usize, &mut Session)| Some((place, session.queue.recall(metric)?));
        let found = self.sessions.iter().enumerate().find_map(known);
        found.or_else(|| self.sessions.iter_mut().enumerate().find_map(recall))
    }

    /// An event the client may never send again because a fault refused it. It did happen, so it is judged all the same.
    pub fn refuse_event(&mut self, body: &[u8], caller: &Caller) {
        self.turn_down(body, caller, Comes::Alone, Outcome::Refused);
    }

    /// An event that was answered with the loss of the stream. A client may keep it and repeat it, or set it aside once
    /// it takes the stream back: it did happen, so it is judged here, and nothing is owed.
    pub fn displace_event(&mut self, body: &[u8], caller: &Caller, comes: Comes) {
        self.turn_down(body, caller, comes, Outcome::Displaced);
        self.give_back();
    }

    fn turn_down(&mut self, body: &[u8], caller: &Caller, comes: Comes, outcome: Outcome) {
        if let Err(refusal) = self.take_event(body, caller, comes, Some(outcome)) {
            log::debug!(
                "an event that was turned down would have been refused anyway: {}",
                refusal.message
            );
        }
        self.settle(body);
    }

    /// `POST event`.
    pub fn event(&mut self, body: &[u8], caller: &Caller) -> Result<Value, Refusal> {
        self.take_event(body, caller, Comes::Alone, None).map(|()| json!({}))
    }

    /// An event of a batch.
    pub fn take_batched(&mut self, body: &[u8], caller: &Caller) -> Result<(), Refusal> {
        self.take_event(body, caller, Comes::Together, None)
    }

    /// Takes an event in, but writes nothing down. Whoever calls it puts things back as they were.
    pub fn rehearse(&mut self, body: &[u8], caller: &Caller) -> Result<(), Refusal> {
        let event = Event::parse(body).map_err(Refusal::bad)?;
        let found = self.find_entry(&event.metric);
        let (place, index) = found.ok_or_else(|| Refusal::bad("this metricId was never handed out"))?;
        let text = String::from_utf8_lossy(body).into_owned();
        let known = |session: &Session| session.last_bodies.contains(&text);
        if self.sessions.get(place).is_some_and(known) {
            return Ok(());
        }
        let (judgement, _) = self.judge(place, index, &event);
        self.take_in(place, index, &event, &judgement, (text, Comes::Together, caller));
        answer(&judgement)
    }

    fn take_event(
        &mut self,
        body: &[u8],
        caller: &Caller,
        comes: Comes,
        forced: Option<Outcome>,
    ) -> Result<(), Refusal> {
        let text = String::from_utf8_lossy(body).into_owned();
        let value: Value = serde_json::from_slice(body).unwrap_or_else(|_| Value::String(text.clone()));
        let record = |outcome, entry: Option<&str>, first, pair| ledger::What::Event {
            outcome: forced.unwrap_or(outcome),
            entry: entry.map(str::to_owned),
            first,
            pair,
            body: value.clone(),
        };
        let event = match Event::parse(body) {
            Ok(event) => event,
            Err(wrong) => {
                self.ledger.write(None, record(Outcome::Refused, None, false, false));
                self.ledger.violation(None, Code::EventMalformed, wrong.clone());
                return Err(Refusal::bad(wrong));
            }
        };
        let Some((place, index)) = self.find_entry(&event.metric) else {
            self.ledger.write(None, record(Outcome::Refused, None, false, false));
            self.ledger
                .violation(None, Code::MetricUnknown, format!("metricId {:?}", event.metric));
            return Err(Refusal::bad("this metricId was never handed out"));
        };
        let Some((id, reference, again)) = self.sessions.get(place).and_then(|session| {
            let entry = session.queue.entries().get(index)?;
            Some((
                session.id.clone(),
                entry.reference.clone(),
                session.last_bodies.contains(&text),
            ))
        }) else {
            return Err(Refusal::missing("entity"));
        };
        if again {
            let repeat = match self.ledger.outcome_of(&id, &value) {
                Some(Outcome::Accepted | Outcome::Repeat | Outcome::Refused) => {
                    record(Outcome::Repeat, Some(&reference), false, false)
                }
                Some(Outcome::Displaced) => record(Outcome::Accepted, Some(&reference), false, false),
                None => {
                    // Killed after the session was kept and before this was written down: it is written down now.
                    let is_start = event.what.is_start();
                    let first = is_start && !self.ledger.has_start_of(&id, &reference);
                    record(Outcome::Accepted, Some(&reference), first, !is_start)
                }
            };
            self.ledger.write(Some(&id), repeat);
            return Ok(());
        }
        self.judge_references(&event, &id, &reference);
        self.judge_device(&event, &id, caller);
        let (judgement, first) = self.judge(place, index, &event);
        self.take_in(place, index, &event, &judgement, (text, comes, caller));
        let outcome = if judgement.refused.is_some() {
            Outcome::Refused
        } else {
            Outcome::Accepted
        };
        self.ledger
            .write(Some(&id), record(outcome, Some(&reference), first, judgement.pair));
        let answer = answer(&judgement);
        for violation in judgement.violations {
            self.ledger.violation(Some(&id), violation.code, violation.detail);
        }
        answer
    }

    fn judge_references(&mut self, event: &Event, id: &str, reference: &str) {
        let said = [
            (&event.session, "sessionId", id),
            (&event.reference, "entityReferenceId", reference),
        ];
        for (said, name, truth) in said {
            if let Some(said) = said.as_deref().filter(|said| *said != truth) {
                let detail = format!("{name} {said:?} beside a metricId of {truth:?}");
                self.ledger.violation(Some(id), Code::ReferenceMismatch, detail);
            }
        }
    }

    /// One device plays one session at a time.
    fn judge_device(&mut self, event: &Event, id: &str, caller: &Caller) {
        let plays =
            |other: &&Session| other.id != id && other.device == caller.device && other.history.sounding().is_some();
        if let Some(other) = self.sessions.iter().find(plays).filter(|_| event.what.is_start()) {
            let detail = format!("session {} of this device has not stopped", other.id);
            self.ledger.violation(Some(id), Code::StartWhileOpen, detail);
        }
    }

    /// Judges an event; also says whether it is the first start of its entry.
    fn judge(&mut self, place: usize, index: usize, event: &Event) -> (Judgement, bool) {
        let Some(session) = self.sessions.get(place) else {
            return (Judgement::default(), false);
        };
        let Some(entry) = session.queue.entries().get(index) else {
            return (Judgement::default(), false);
        };
        let track = self.track_of(entry).map(Cow::into_owned);
        let of = self.circumstances(session, entry, self.time.of_client(event.at_ms));
        let ahead = i64::try_from(index).unwrap_or(i64::MAX);
        let here = i64::try_from(session.queue.position()).unwrap_or(i64::MAX);
        let reference = entry.reference.clone();
        let facts = Facts {
            reference: &reference,
            duration_ms: track.as_ref().and_then(|track| track.duration_ms),
            exact: track.as_ref().is_some_and(|track| track.exact),
            distance: ahead.saturating_sub(here),
            passed: session.judges_passing(ahead.saturating_sub(here), event.at_ms),
            passes_ad: session.edit.is_known(event.at_ms)
                && session
                    .between(index)
                    .any(|between| between.kind() == Kind::Ad && !between.started),
            denied: Denied {
                next: tier::denial(of, Action::Next),
                previous: tier::denial(of, Action::Previous),
                scrub: tier::denial(of, Action::ScrubForward).and(tier::denial(of, Action::ScrubBackward)),
            },
            last_call_ms: session.last_call_ms,
        };
        let first = !entry.started && event.what.is_start();
        let judgement = self
            .sessions
            .get_mut(place)
            .map(|session| session.history.judge(event, facts));
        (judgement.unwrap_or_default(), first)
    }

    fn take_in(
        &mut self,
        place: usize,
        index: usize,
        event: &Event,
        judgement: &Judgement,
        how: (String, Comes, &Caller),
    ) {
        let (text, comes, caller) = how;
        let Some(session) = self.sessions.get_mut(place) else {
            return;
        };
        let entry = session.queue.entries().get(index);
        let is_counted = entry.is_some_and(|entry| self.rules.counts_skips(entry.kind()));
        match comes {
            Comes::Alone => session.last_bodies.clear(),
            Comes::Together if session.last_bodies.len() >= BODIES_MAX => {
                session.last_bodies.pop_front();
            }
            Comes::Together => {}
        }
        session.last_bodies.push_back(text);
        session.device.clone_from(&caller.device);
        session.used_ms = self.time.now_ms();
        match event.what {
            What::Start { .. } => session.queue.move_to(index),
            What::Stop {
                reason: Reason::Next, ..
            } if is_counted && judgement.refused.is_none() => {
                self.skips.push(self.time.of_client(event.at_ms));
                let surplus = self.skips.len().saturating_sub(SKIPS_KEPT_MAX);
                self.skips.drain(..surplus);
                if let Some(store) = &self.store {
                    store.keep_skips(&self.skips);
                }
            }
            What::Stop { .. } => {}
        }
        if let Some(store) = &self.store {
            store.keep_session(session);
        }
    }
}
