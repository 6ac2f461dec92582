//! One playback event as a client reported it: read strictly, because what is wrong in it is a finding.

use serde_json::{Map, Value};

/// 2020-01-01: a wall clock before this was never set.
const CLOCK_MS_MIN: i64 = 1_577_836_800_000;

/// An event that has the form the contract asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Which entry, as the service named it.
    pub metric: String,
    /// The entry by its other name, if the client said so.
    pub reference: Option<String>,
    /// The session, if the client said so.
    pub session: Option<String>,
    /// Moment it happened, wall clock of the client, epoch milliseconds.
    pub at_ms: i64,
    /// What happened.
    pub what: What,
}

/// What happened to the sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// It started or resumed.
    Start {
        /// Where in the track.
        offset_ms: f64,
    },
    /// It stopped.
    Stop {
        /// Why.
        reason: Reason,
        /// Seconds played since the start.
        played_s: i64,
        /// Position in the track.
        progress_s: f64,
    },
}

impl What {
    /// It is a start.
    pub const fn is_start(self) -> bool {
        match self {
            Self::Start { .. } => true,
            Self::Stop { .. } => false,
        }
    }
}

/// `terminationReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Played to the end.
    Finished,
    /// Paused.
    Paused,
    /// Skipped forward.
    Next,
    /// Skipped back.
    Previous,
    /// Moved inside the track.
    Scrub,
    /// Anything else.
    System,
}

impl Reason {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "trackFinished" => Self::Finished,
            "userStop" => Self::Paused,
            "userNext" => Self::Next,
            "userPrev" => Self::Previous,
            "trackScrub" => Self::Scrub,
            "systemStop" => Self::System,
            _ => return None,
        })
    }
}

/// The names in an event by which its session can be found, even if the rest of it is wrong.
pub fn metric_of(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    Some(value.get("metricId")?.as_str()?.to_owned())
}

impl Event {
    /// Reads the body of a report; the error says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(body).map_err(|error| format!("body is not JSON: {error}"))?;
        let outer = value.as_object().ok_or("body is not an object")?;
        let event = outer
            .get("event")
            .and_then(Value::as_object)
            .ok_or("event is missing or not an object")?;
        let what = match string(event, "type")? {
            "start" => What::Start {
                offset_ms: positive(event, "playbackStartAbsoluteOffsetMilliseconds")?,
            },
            "stop" => stop(event)?,
            other => return Err(format!("type is {other:?}, not start or stop")),
        };
        positive(event, "initialPlaybackDelayMilliseconds")?;
        if positive(event, "playbackCurrentSpeed")? <= 0.0 {
            return Err("playbackCurrentSpeed is 0".to_owned());
        }
        let zone = string(event, "deviceTimezone")?;
        if !is_offset(zone) {
            return Err(format!("deviceTimezone is {zone:?}, not like -08:00"));
        }
        let at_ms = whole(event, "clientTimestampInMilliseconds")?;
        if at_ms < CLOCK_MS_MIN {
            return Err(format!(
                "clientTimestampInMilliseconds is {at_ms}: that clock was never set"
            ));
        }
        let optional = |name: &str| match outer.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("{name} is not a string")),
        };
        Ok(Self {
            metric: string(outer, "metricId")?.to_owned(),
            reference: optional("entityReferenceId")?,
            session: optional("sessionId")?,
            at_ms,
            what,
        })
    }
}

fn stop(event: &Map<String, Value>) -> Result<What, String> {
    let reason = string(event, "terminationReason")?;
    whole(event, "rebufferCount")?;
    Ok(What::Stop {
        reason: Reason::parse(reason).ok_or_else(|| format!("terminationReason is {reason:?}"))?,
        played_s: whole(event, "durationSeconds")?,
        progress_s: positive(event, "entityProgressSeconds")?,
    })
}

fn field<'a>(of: &'a Map<String, Value>, name: &str) -> Result<&'a Value, String> {
    of.get(name).ok_or_else(|| format!("{name} is missing"))
}

fn string<'a>(of: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    field(of, name)?
        .as_str()
        .ok_or_else(|| format!("{name} is not a string"))
}

fn positive(of: &Map<String, Value>, name: &str) -> Result<f64, String> {
    let value = field(of, name)?;
    value
        .as_f64()
        .filter(|number| *number >= 0.0)
        .ok_or_else(|| format!("{name} is {value}, not a number from 0"))
}

fn whole(of: &Map<String, Value>, name: &str) -> Result<i64, String> {
    let value = field(of, name)?;
    value
        .as_i64()
        .filter(|number| *number >= 0)
        .ok_or_else(|| format!("{name} is {value}, not a whole number from 0"))
}

/// `+01:00`, `-08:00`.
fn is_offset(zone: &str) -> bool {
    match zone.as_bytes() {
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(event: &Value) -> Vec<u8> {
        json!({"metricId": "m", "event": event}).to_string().into_bytes()
    }

    fn start() -> Value {
        json!({"type": "start", "clientTimestampInMilliseconds": 1_700_000_000_000_i64,
            "initialPlaybackDelayMilliseconds": 5, "deviceTimezone": "+01:00", "playbackCurrentSpeed": 1,
            "playbackStartAbsoluteOffsetMilliseconds": 1500})
    }

    fn stop() -> Value {
        json!({"type": "stop", "clientTimestampInMilliseconds": 1_700_000_000_000_i64,
            "initialPlaybackDelayMilliseconds": 5, "deviceTimezone": "+01:00", "playbackCurrentSpeed": 1,
            "terminationReason": "userNext", "durationSeconds": 3, "entityProgressSeconds": 4.5, "rebufferCount": 0})
    }

    #[test]
    fn a_start_and_a_stop_are_read() {
        assert_eq!(
            Event::parse(&body(&start())).unwrap().what,
            What::Start { offset_ms: 1500.0 }
        );
        let expected = What::Stop {
            reason: Reason::Next,
            played_s: 3,
            progress_s: 4.5,
        };
        assert_eq!(Event::parse(&body(&stop())).unwrap().what, expected);
    }

    #[test]
    fn every_field_of_the_contract_is_required() {
        for event in [start(), stop()] {
            for name in event.as_object().unwrap().keys() {
                let mut without = event.clone();
                without.as_object_mut().unwrap().remove(name);
                let error = Event::parse(&body(&without)).unwrap_err();
                assert!(error.contains(name), "{name}: {error}");
            }
        }
    }

    #[test]
    fn wrong_values_are_named() {
        for (name, value) in [
            ("durationSeconds", json!(3.5)),
            ("durationSeconds", json!(-1)),
            ("entityProgressSeconds", json!("4")),
            ("terminationReason", json!("bored")),
            ("deviceTimezone", json!("CET")),
            ("clientTimestampInMilliseconds", json!(12)),
        ] {
            let mut wrong = stop();
            wrong[name] = value;
            assert!(Event::parse(&body(&wrong)).unwrap_err().contains(name), "{wrong}");
        }
    }

    #[test]
    fn the_metric_is_found_even_in_a_wrong_event() {
        assert_eq!(metric_of(br#"{"metricId":"m"}"#), Some("m".to_owned()));
        assert_eq!(metric_of(b"{"), None);
    }
}
