//! The books of an hour: every event the session numbered, what the journal kept of it, and what the service's ledger
//! says of it. Nothing may be lost, out of order, or repeated with other bytes.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use tonearm_core::State;
use tonearm_core::event::What;
use tonearm_core::id::Seq;
use tonearm_core::input::Input;

use super::world::{Check, World};
use crate::journal::{Record, Recovered};

#[derive(Debug)]
struct Line {
    record: Record,
    stored: bool,
    settled: Option<bool>,
}

/// Every event there ever was, by number.
#[derive(Debug, Default)]
pub struct Books {
    lines: BTreeMap<u64, Line>,
    last_settled: u64,
    pub restarts: u64,
}

impl Books {
    pub fn recorded(&mut self, record: &Record) -> Check {
        let seq = record.seq.0;
        let last = self.lines.last_key_value();
        if last.is_some_and(|(last, _)| seq != last + 1) {
            return Err(format!("event {seq} is numbered after {last:?}"));
        }
        let is_start = |record: &Record| matches!(record.what, What::Start { .. });
        if last.is_some_and(|(_, last)| is_start(&last.record) == is_start(record)) {
            return Err(format!("{record:?} follows its like: {last:?}"));
        }
        let line = Line {
            record: record.clone(),
            stored: false,
            settled: None,
        };
        self.lines.insert(seq, line);
        Ok(())
    }

    pub fn stored(&mut self, seq: Seq) {
        for (_, line) in self.lines.range_mut(..=seq.0) {
            line.stored = true;
        }
    }

    /// What is sent is what was recorded.
    pub fn is_as_recorded(&self, read: &Record) -> Check {
        let line = self.lines.get(&read.seq.0);
        match line {
            Some(line) if line.record == *read && line.stored => Ok(()),
            other => Err(format!("the journal gives {read:?} for {other:?}")),
        }
    }

    pub fn settled(&mut self, seq: Seq, accepted: bool) {
        self.last_settled = seq.0;
        // What is accepted was sent in one piece with everything before it that is still open.
        for (_, line) in self
            .lines
            .range_mut(..=seq.0)
            .filter(|(_, line)| line.settled.is_none())
        {
            line.settled = Some(accepted);
        }
    }

    /// After a power cut: everything that was called stored is there, and what was left open is closed.
    pub fn restarted(&mut self, found: &Recovered, closes: Option<Record>) -> Check {
        if let Some((seq, _)) = self.lines.iter().find(|(_, line)| !line.stored) {
            return Err(format!("event {seq} was neither stored nor lost"));
        }
        self.restarts += 1;
        let next = self.lines.last_key_value().map_or(1, |(last, _)| last + 1);
        if found.next.0 != next || found.settled.0 != self.last_settled {
            return Err(format!(
                "{next} is the next event and {} the last settled; the journal found {found:?}",
                self.last_settled
            ));
        }
        if let Some(stop) = closes {
            self.recorded(&stop)?;
            self.stored(stop.seq);
        }
        Ok(())
    }

    /// Milliseconds of sound that were reported.
    pub fn heard_ms(&self) -> u64 {
        let played = |line: &Line| match line.record.what {
            What::Stop { played, .. } => u64::from(played.0),
            What::Start { .. } => 0,
        };
        self.lines.values().map(played).sum()
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn set_aside(&self) -> usize {
        self.lines.values().filter(|line| line.settled == Some(false)).count()
    }
}

/// An event as the service knows it: which entry, what, when.
fn told(body: &Value) -> (String, String, i64) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let event = &body["event"];
    let at = event["clientTimestampInMilliseconds"].as_i64().unwrap_or_default();
    (text(&body["metricId"]), text(&event["type"]), at)
}

/// The same of a record.
fn meant(record: &Record) -> (String, String, i64) {
    let what = match record.what {
        What::Start { .. } => "start",
        What::Stop { .. } => "stop",
    };
    let metric = record.metric_id.clone().unwrap_or_default();
    (metric, what.to_owned(), record.wall_ms.unwrap_or_default())
}

impl World {
    /// After some minutes of calm: everything is sent, and if sound is wanted, it sounds.
    pub fn check_sounds(&mut self) -> Check {
        let Some(program) = &self.program else {
            return Err("the program does not run".into());
        };
        let view = program.session.view(self.moment());
        if view.waiting > 2 {
            return Err(format!("{} events wait although nothing is wrong", view.waiting));
        }
        match view.state {
            State::Buffering => Err(format!("nothing sounds although nothing is wrong: {view:?}")),
            State::Playing | State::Paused | State::Stopped => Ok(()),
        }
    }

    /// It leaves when asked.
    pub fn leave(&mut self) -> Check {
        self.dropouts.expect_nothing();
        self.handle(Input::Shutdown)?;
        let until = self.now + 2_000;
        while self.now < until && self.program.as_ref().is_some_and(|program| !program.has_left) {
            self.advance_to(self.now + 10)?;
        }
        match self.program.take() {
            Some(program) if program.has_left => program.journal.close().map_err(|error| error.to_string()),
            Some(_) | None => Err("it does not leave".into()),
        }
    }

    /// The service's ledger against the journal's events, one by one.
    pub fn check_books(&mut self) -> Check {
        let found = self.bench.hand.found();
        if !found.is_empty() {
            return Err(format!("violations: {:?}", self.bench.ledger("violation", 0)));
        }
        let ledger = self.bench.ledger("event", 0);
        let mut arrived: Vec<(&Value, Vec<&str>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for record in &ledger {
            let outcome = record["outcome"].as_str().unwrap_or_default();
            let words = record["body"].to_string();
            let before = places.get(&words).and_then(|place| arrived.get_mut(*place));
            match before {
                // Two events within a millisecond may have the same words: what is accepted is another one, but for one
                // that was kept because the stream was another device's.
                Some((_, outcomes)) if outcome != "accepted" || outcomes.last() == Some(&"displaced") => {
                    outcomes.push(outcome);
                }
                Some(_) | None => {
                    places.insert(words, arrived.len());
                    arrived.push((&record["body"], vec![outcome]));
                }
            }
        }
        self.counts
            .insert("repeats".into(), (ledger.len() - arrived.len()) as u64);
        let mut arrived = arrived.into_iter();
        for line in self.books.lines.values() {
            let Some((body, outcomes)) = arrived.next() else {
                return Err(format!("lost: {line:?}"));
            };
            if told(body) != meant(&line.record) {
                return Err(format!("out of order: {line:?} should have arrived, {body} did"));
            }
            let refused = outcomes
                .iter()
                .any(|outcome| ["refused", "displaced"].contains(outcome));
            let accepted = outcomes.iter().any(|outcome| ["accepted", "repeat"].contains(outcome));
            match line.settled {
                Some(true) if accepted => {}
                Some(false) if refused => {}
                settled => return Err(format!("settled as {settled:?}, but {outcomes:?}: {line:?}")),
            }
        }
        arrived
            .next()
            .map_or(Ok(()), |(body, _)| Err(format!("made up: {body}")))
    }
}
