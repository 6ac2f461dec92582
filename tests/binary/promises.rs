//! Two books kept side by side: what the speaker's journal says on disk after each kill, and what the service was told.
//! Event number n of the journal must be the n-th event of the service, word for word, whatever happened in between.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::service::Service;

/// What identifies an event in both books.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    kind: String,
    metric: String,
    wall_ms: i64,
}

/// Both books.
#[derive(Debug, Default)]
pub struct Promises {
    /// Record of the ledger that was read last.
    read_to: u64,
    /// Every event the service was told, once, in its order.
    told: Vec<Fact>,
    /// The body of the last of them, to the byte.
    last_body: Value,
    /// Events that were on disk at a kill, by number.
    stored: BTreeMap<u64, Fact>,
    /// Events that came twice.
    pub repeats: u64,
    /// Events that were refused for good.
    pub refused: u64,
    /// Events that came again although they were refused.
    pub refused_again: u64,
    is_last_refused: bool,
    /// Most events that waited at a kill.
    pub waiting_most: u64,
}

impl Promises {
    /// Events of the service, each once.
    pub fn told(&self) -> u64 {
        self.told.len() as u64
    }

    /// Reads on in the ledger. `Err`: what is wrong.
    pub fn read(&mut self, service: &Service) -> Result<(), String> {
        let ledger = service.get(&format!("/sim/ledger?kind=event&after={}", self.read_to));
        for record in ledger["records"].as_array().ok_or("a ledger without records")? {
            self.read_to = record["n"].as_u64().ok_or("a record without a number")?;
            let body = &record["body"];
            match record["outcome"].as_str() {
                // A fault may refuse what was taken in before.
                Some("repeat" | "refused") if *body == self.last_body => {
                    self.repeats += 1;
                    self.refused_again += u64::from(self.is_last_refused);
                }
                Some("repeat") => return Err(format!("{body} came again, but {} came after it", self.last_body)),
                Some(outcome @ ("accepted" | "refused")) => {
                    self.is_last_refused = outcome == "refused";
                    self.refused += u64::from(self.is_last_refused);
                    self.tell(body);
                }
                other => return Err(format!("an event with the outcome {other:?}: {body}")),
            }
        }
        let wrong = self.stored.iter().find(|(seq, fact)| {
            let index = usize::try_from(**seq - 1).unwrap();
            self.told.get(index).is_some_and(|told| told != *fact)
        });
        match wrong {
            Some((seq, fact)) => {
                let told = &self.told[usize::try_from(*seq - 1).unwrap()];
                Err(format!(
                    "event {seq} is {fact:?} on disk, and the service was told {told:?}"
                ))
            }
            None => Ok(()),
        }
    }

    fn tell(&mut self, body: &Value) {
        self.last_body = body.clone();
        let event = &body["event"];
        self.told.push(Fact {
            kind: event["type"].as_str().unwrap_or_default().to_owned(),
            metric: body["metricId"].as_str().unwrap_or_default().to_owned(),
            wall_ms: event["clientTimestampInMilliseconds"].as_i64().unwrap_or_default(),
        });
    }

    /// Compares with the journal as it is on disk. `Err`: what is wrong.
    pub fn compare(&mut self, journal: &Value) -> Result<(), String> {
        let number = |name: &str| journal[name].as_u64().ok_or(format!("no {name} in {journal}"));
        let (next, settled, told) = (number("next")?, number("settled")?, self.told());
        if number("lost")? > 0 || journal["damaged"] != serde_json::json!([]) {
            return Err(format!("damage: lost {}, {}", journal["lost"], journal["damaged"]));
        }
        if !(settled..=settled + 1).contains(&told) {
            return Err(format!("{settled} events are settled, and the service was told {told}"));
        }
        if next <= told {
            return Err(format!(
                "the next event is number {next}, and the service was told {told}"
            ));
        }
        let waiting = journal["waiting"].as_array().ok_or("no waiting events")?;
        self.waiting_most = self.waiting_most.max(waiting.len() as u64);
        let numbers: Vec<u64> = waiting.iter().filter_map(|event| event["seq"].as_u64()).collect();
        if numbers != (settled + 1..next).collect::<Vec<_>>() {
            return Err(format!("{numbers:?} wait between {settled} and {next}"));
        }
        for event in waiting {
            let fact = Fact {
                kind: event["type"].as_str().unwrap_or_default().to_owned(),
                metric: event["metric_id"].as_str().unwrap_or_default().to_owned(),
                wall_ms: event["wall_ms"].as_i64().unwrap_or_default(),
            };
            let seq = event["seq"].as_u64().unwrap_or_default();
            match self.stored.insert(seq, fact.clone()) {
                Some(before) if before != fact => {
                    return Err(format!(
                        "number {seq} was {before:?} at an earlier kill and is {fact:?} now"
                    ));
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Nothing waits any more: every number was told, and every event that was ever on disk.
    pub fn are_kept(&self, journal: &Value) -> Result<(), String> {
        let numbered = journal["next"].as_u64().unwrap_or_default() - 1;
        if journal["waiting"] != serde_json::json!([]) || self.told() != numbered {
            return Err(format!(
                "{numbered} events were numbered, and the service was told {}",
                self.told()
            ));
        }
        if self.stored.keys().next_back().is_some_and(|last| *last > numbered) {
            return Err("an event that was on disk at a kill is gone".to_owned());
        }
        Ok(())
    }

    /// How many different events were found on disk at kills.
    pub fn stored(&self) -> usize {
        self.stored.len()
    }
}
