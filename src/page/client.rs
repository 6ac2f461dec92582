//! The command line's side of the page: `tonearm press`, `status`, `play` and `queue` talk to a running speaker with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::ask::Place;
use super::queue::Queue;
use super::status::Status;

/// A speaker on the local network answers at once or not at all; for the queue it asks the service first.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A connection on the local network is there after milliseconds, or nobody is.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Longest answer. A status with the largest window has a few KiB.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Why the speaker did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody there.
    #[error("no speaker answers at {address}: is it running? ({cause})")]
    NoSpeaker {
        /// Where.
        address: String,
        /// The system's words.
        cause: String,
    },
    /// The speaker said no.
    #[error("{reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its reason.
        reason: String,
    },
    /// Something else answers there.
    #[error("what answers at {address} is not a speaker of this version: {cause}")]
    NotASpeaker {
        /// Where.
        address: String,
        /// What is wrong with the answer.
        cause: String,
    },
}

/// A running speaker.
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    agent: ureq::Agent,
}

#[derive(Deserialize)]
struct RefusedBody {
    reason: String,
}

impl Client {
    /// The speaker on this machine, which listens at `[page] listen`.
    pub fn local(listen: SocketAddr) -> Self {
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        };
        Self::at(&SocketAddr::new(ip, listen.port()).to_string())
    }

    /// The speaker at `host` or `host:port`.
    pub fn at(address: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_MAX))
            .timeout_global(Some(ANSWER_MAX))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build()
            .new_agent();
        Self {
            address: address.to_owned(),
            agent,
        }
    }

    /// What the speaker does.
    pub fn status(&self) -> Result<Status, ClientError> {
        self.get("/api/status")
    }

    /// The status as the speaker gave it, for `--json`.
    pub fn status_json(&self) -> Result<Value, ClientError> {
        self.get("/api/status")
    }

    /// The queue around the current entry.
    pub fn queue(&self) -> Result<Queue, ClientError> {
        self.get("/api/queue")
    }

    /// The queue as the speaker gave it, for `--json`.
    pub fn queue_json(&self) -> Result<Value, ClientError> {
        self.get("/api/queue")
    }

    /// Presses a button by its name.
    pub fn press(&self, button: &str) -> Result<(), ClientError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if button.is_empty() || !button.bytes().all(is_plain) {
            let reason = format!("there is no button \"{button}\"; there are {}", super::Button::NAMES);
            return Err(ClientError::Refused { status: 404, reason });
        }
        self.post(&format!("/api/press/{button}"), &json!({}))
    }

    /// Plays something; `mode` is `play`, `shuffle` or `station`.
    pub fn play(&self, id: Option<&str>, container_ids: &[String], mode: &str) -> Result<(), ClientError> {
        let params = play_params(id, container_ids);
        self.post("/api/play", &json!({ "playParams": params, "mode": mode }))
    }

    /// Puts something into the queue.
    pub fn enqueue(&self, id: Option<&str>, container_ids: &[String], place: Place) -> Result<(), ClientError> {
        let path = match place {
            Place::Next => "/api/queue/next",
            Place::Last => "/api/queue/last",
        };
        self.post(path, &json!({ "playParams": play_params(id, container_ids) }))
    }

    /// Asks for a code to link an account with; it is in the status a moment later.
    pub fn link(&self) -> Result<(), ClientError> {
        self.post("/api/account/link", &json!({}))
    }

    /// Has the account forgotten.
    pub fn unlink(&self) -> Result<(), ClientError> {
        self.post("/api/account/unlink", &json!({}))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let text = self.read(self.agent.get(self.url(path)).call())?;
        serde_json::from_str(&text).map_err(|error| self.not_a_speaker(&error))
    }

    fn post(&self, path: &str, body: &Value) -> Result<(), ClientError> {
        let request = self
            .agent
            .post(self.url(path))
            .header("content-type", "application/json");
        self.read(request.send(body.to_string())).map(|_| ())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The text of a successful answer.
    fn read(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<String, ClientError> {
        let no_speaker = |error: ureq::Error| ClientError::NoSpeaker {
            address: self.address.clone(),
            cause: error.to_string(),
        };
        let mut answer = answer.map_err(no_speaker)?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|error| self.not_a_speaker(&error))?;
        if status.is_success() {
            return Ok(text);
        }
        match serde_json::from_str::<RefusedBody>(&text) {
            Ok(body) => Err(ClientError::Refused {
                status: status.as_u16(),
                reason: body.reason,
            }),
            Err(_) => Err(self.not_a_speaker(&format!("status {status}"))),
        }
    }

    fn not_a_speaker(&self, cause: &dyn std::fmt::Display) -> ClientError {
        ClientError::NotASpeaker {
            address: self.address.clone(),
            cause: cause.to_string(),
        }
    }
}

fn play_params(id: Option<&str>, container_ids: &[String]) -> Value {
    let mut params = json!({ "containerIds": container_ids });
    if let (Some(id), Value::Object(params)) = (id, &mut params) {
        params.insert("id".into(), id.into());
    }
    params
}
