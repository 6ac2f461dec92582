//! The running simulator over real HTTP. What is common to all of these tests: a client that behaves.

mod batch;
mod contract;
mod faults;
mod judgement;
mod media;
mod packaged;
mod queue;
mod rules;
mod second_device;
mod signing_in;
mod time;
mod tokens;

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{Request, Response};

use super::*;

/// Longer than any answer here takes; short enough that a hang is a failure and not a wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// Wall clock of the first event: an hour ahead, so that a queue call of a test is never later than its events.
static T: LazyLock<i64> = LazyLock::new(|| ledger::wall_ms() + 3_600_000);

pub(crate) struct Client {
    agent: ureq::Agent,
    pub base: String,
    headers: Vec<(&'static str, &'static str)>,
}

impl Client {
    pub(crate) fn of(simulator: &Simulator) -> Self {
        Self::patient(simulator, PATIENCE)
    }

    pub(crate) fn patient(simulator: &Simulator, patience: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(patience))
            .accept_encoding("identity")
            .build();
        Self {
            agent: config.into(),
            base: format!("http://{}", simulator.address()),
            headers: vec![
                ("x-amzn-audio-drmtype", "WIDEVINE"),
                ("x-amzn-audio-device-capability", "STD_RES,HI_FI"),
                ("x-amzn-device-id", "test-device"),
            ],
        }
    }

    /// The same client, but it forgets a header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| *header != name);
        self
    }

    /// The same client, with one more header.
    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<Response<ureq::Body>, ureq::Error> {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        };
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        if body.is_empty() {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.body(body).unwrap())
        }
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let mut answer = self.ask(method, path, body.as_bytes()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, &Value::Null)
    }

    pub(crate) fn fault(&self, fault: &Value) {
        assert_eq!(self.call("POST", "/sim/faults", fault).0, 201, "{fault}");
    }

    /// Creates a session of everything there is; returns its identifier and its first entries.
    pub(crate) fn open(&self, simulator: &Simulator, options: &Value) -> (String, Vec<Value>) {
        let params = json!({"containerIds": simulator.presets()[0].container_ids});
        let body = json!({"playParams": params, "playbackOptions": options, "limit": 11});
        let (status, answer) = self.call("POST", "/v1/playback/sessions", &body);
        assert_eq!(status, 200, "{answer}");
        (
            answer["sessionId"].as_str().unwrap().to_owned(),
            answer["playables"].as_array().unwrap().clone(),
        )
    }

    pub(crate) fn event(&self, body: &Value) -> u16 {
        self.call("POST", "/v1/playback/event", body).0
    }

    /// Codes of everything that was found so far.
    pub(crate) fn found(&self) -> Vec<String> {
        let (_, answer) = self.get("/sim/violations");
        let code = |record: &Value| record["code"].as_str().unwrap().to_owned();
        answer["records"].as_array().unwrap().iter().map(code).collect()
    }
}

pub(crate) fn start_simulator(tier: Tier) -> Simulator {
    Simulator::start(Settings {
        tier,
        seed: Some(1),
        ..Settings::default()
    })
    .unwrap()
}

/// One that hands out this folder as DASH.
pub(crate) fn start_packaged(music: &std::path::Path) -> Simulator {
    Simulator::start(Settings {
        music: Some(music.to_owned()),
        packaging: Packaging {
            media: dash::Media::Dash,
            ..Packaging::default()
        },
        ..Settings::default()
    })
    .unwrap()
}

/// A start of an entry, `second` seconds into the test's history.
pub(crate) fn start(entry: &Value, second: i64) -> Value {
    json!({"metricId": entry["metricId"], "entityReferenceId": entry["entityReferenceId"], "event": {
        "type": "start", "clientTimestampInMilliseconds": *T + second * 1000, "initialPlaybackDelayMilliseconds": 12,
        "deviceTimezone": "+00:00", "playbackCurrentSpeed": 1, "playbackStartAbsoluteOffsetMilliseconds": 0}})
}

/// Its stop after `played` seconds.
pub(crate) fn stop(entry: &Value, second: i64, reason: &str, played: i64) -> Value {
    json!({"metricId": entry["metricId"], "entityReferenceId": entry["entityReferenceId"], "event": {
        "type": "stop", "clientTimestampInMilliseconds": *T + second * 1000, "initialPlaybackDelayMilliseconds": 12,
        "deviceTimezone": "+00:00", "playbackCurrentSpeed": 1, "terminationReason": reason,
        "durationSeconds": played, "entityProgressSeconds": played, "rebufferCount": 0}})
}

pub(crate) fn references(answer: &Value) -> Vec<String> {
    let reference = |entry: &Value| entry["entityReferenceId"].as_str().unwrap().to_owned();
    answer["playables"].as_array().unwrap().iter().map(reference).collect()
}
