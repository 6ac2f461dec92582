//! Several events in one request: judged like single ones, in their order; all of them are taken in, or none. No public
//! text names the path or the body \[A\]. It judges nothing itself.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::wire::Refusal;
use super::world::{Caller, World};

/// Where they are taken.
pub const PATH: &str = "/v1/playback/events/batch";
/// Events of one request. A speaker sends 20.
const EVENTS_MAX: usize = 50;

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// The events of a batch as they were written; the error says what is wrong with it.
fn parts(body: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    let batch: Batch<'_> = serde_json::from_slice(body).map_err(|error| Refusal::bad(format!("batch: {error}")))?;
    match batch.events.len() {
        1..=EVENTS_MAX => Ok(batch.events.iter().map(|event| event.get().as_bytes()).collect()),
        count => Err(Refusal::bad(format!("batch: {count} events are not 1 to {EVENTS_MAX}"))),
    }
}

/// The events in the body of a request to this path, as they were written.
pub fn events<'a>(path: &str, body: &'a [u8]) -> Vec<&'a [u8]> {
    if path == PATH {
        parts(body).unwrap_or_default()
    } else {
        vec![body]
    }
}

impl World {
    /// `POST events/batch`. One bad event refuses all, and nothing has changed: its client sends them singly, and is judged
    /// by that.
    pub fn batch(&mut self, body: &[u8], caller: &Caller) -> Result<Value, Refusal> {
        let events = parts(body)?;
        let (sessions, skips, store) = (self.sessions.clone(), self.skips.clone(), self.store.take());
        let bad = (1..)
            .zip(&events)
            .find_map(|(place, event)| Some((place, self.rehearse(event, caller).err()?)));
        (self.sessions, self.skips, self.store) = (sessions, skips, store);
        if let Some((place, refusal)) = bad {
            let detail = format!("event {place} of {}: {}", events.len(), refusal.message);
            return Err(Refusal::bad(detail));
        }
        for event in events {
            self.take_batched(event, caller)?;
        }
        Ok(json!({}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_of_a_batch_are_its_very_bytes() {
        let body = br#"{"events": [{"b": 1.50,"a":2} , {"x":[]}]}"#;
        assert_eq!(events(PATH, body), [&br#"{"b": 1.50,"a":2}"#[..], br#"{"x":[]}"#]);
        assert_eq!(events("/v1/playback/event", body), [&body[..]]);
    }

    #[test]
    fn what_is_no_batch_holds_no_events() {
        for body in [&b"{"[..], b"{}", br#"{"events":{}}"#, br#"{"events":[]}"#] {
            assert_eq!(events(PATH, body), Vec::<&[u8]>::new());
        }
    }
}
