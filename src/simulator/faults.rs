//! Faults on request: what is to go wrong, where, and how many more times. Decides only; others carry it out.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::batch;
use super::dash::manifest::Lie;

/// Faults that wait at the same time; more are refused.
const FAULTS_MAX: usize = 64;
/// Longest delay: an hour is as good as never.
const DELAY_MS_MAX: u64 = 3_600_000;

/// Which requests a fault meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything under `/v1/` but events.
    Queue,
    /// `POST /v1/playback/event`, and several of them at once.
    Events,
    /// Everything under `/media/`.
    Media,
    /// Everything under `/licence/`.
    Licence,
    /// Everything under `/auth/`: signing in.
    Auth,
}

impl Scope {
    /// Scope of a path. `None`: the simulator's own pages, which never fail.
    pub fn of(path: &str) -> Option<Self> {
        if path.starts_with("/media/") {
            Some(Self::Media)
        } else if path.starts_with("/licence/") {
            Some(Self::Licence)
        } else if path.starts_with("/auth/") {
            Some(Self::Auth)
        } else if path == "/v1/playback/event" || path == batch::PATH {
            Some(Self::Events)
        } else {
            path.starts_with("/v1/").then_some(Self::Queue)
        }
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// Answer with this status, without doing anything.
    Status {
        /// HTTP status, 300 to 599.
        status: u16,
        /// Code in the error body.
        code: Option<String>,
        /// `Retry-After`, seconds.
        retry_after_s: Option<u32>,
    },
    /// Reset the connection, as a service does that is not there; nothing is done.
    Refuse,
    /// Accept the request, never answer.
    BlackHole,
    /// Close the connection instead of answering; nothing is done.
    Close,
    /// Do it, but only after a while.
    Delay {
        /// How long.
        ms: u64,
    },
    /// Do it, then close the connection instead of answering.
    AnswerLost,
    /// Do it, but answer with something that is no JSON.
    Garbage {
        /// What it looks like.
        form: Form,
    },
    /// Do it, but break the connection after this many bytes of the answer's body.
    Cut {
        /// How many.
        bytes: u64,
    },
    /// Do it, but send the answer's body this slowly.
    Slow {
        /// How slowly.
        bytes_per_s: u64,
    },
    /// Do it, but `Content-Length` of the answer is wrong.
    WrongLength {
        /// Bytes it says too many; negative: too few.
        by: i64,
    },
    /// Give a licence whose keys are others.
    WrongKey,
    /// Give a manifest that is wrong.
    Lie {
        /// About what.
        about: Lie,
    },
}

/// What an answer looks like that is no JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// JSON that breaks off.
    #[default]
    Json,
    /// The log-in page of somebody else's network.
    Html,
    /// Nothing at all.
    Empty,
}

impl Fault {
    /// Name in the ledger.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Refuse => "refuse",
            Self::BlackHole => "black_hole",
            Self::Close => "close",
            Self::Delay { .. } => "delay",
            Self::AnswerLost => "answer_lost",
            Self::Garbage { .. } => "garbage",
            Self::Cut { .. } => "cut",
            Self::Slow { .. } => "slow",
            Self::WrongLength { .. } => "wrong_length",
            Self::WrongKey => "wrong_key",
            Self::Lie { .. } => "lie",
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawKind {
    Status,
    Refuse,
    BlackHole,
    Close,
    Delay,
    AnswerLost,
    Garbage,
    Cut,
    Slow,
    WrongLength,
    WrongKey,
    Lie,
}

/// A fault as somebody wrote it, not checked yet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    scope: Scope,
    kind: RawKind,
    status: Option<u16>,
    code: Option<String>,
    retry_after_s: Option<u32>,
    ms: Option<u64>,
    bytes: Option<u64>,
    bytes_per_s: Option<u64>,
    by: Option<i64>,
    form: Option<Form>,
    about: Option<Lie>,
    path: Option<String>,
    count: Option<u32>,
}

/// A fault that waits for its requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    scope: Scope,
    #[serde(flatten)]
    fault: Fault,
    /// Only requests whose path contains this.
    path: Option<String>,
    /// Requests it still meets; `None`: all, until it is cleared.
    count: Option<u32>,
}

impl Planned {
    /// Reads one from JSON.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(body).map_err(|error| format!("fault: {error}"))?;
        Self::of(&value)
    }

    fn of(value: &Value) -> Result<Self, String> {
        let raw = Raw::deserialize(value).map_err(|error| format!("fault: {error}"))?;
        let need = |value: Option<u64>, name: &str| value.ok_or_else(|| format!("fault: {name} is missing"));
        let fault = match raw.kind {
            RawKind::Status => match raw.status {
                Some(status @ 300..=599) => Fault::Status {
                    status,
                    code: raw.code,
                    retry_after_s: raw.retry_after_s,
                },
                Some(other) => return Err(format!("fault: status {other} is not within 300 to 599")),
                None => return Err("fault: status is missing".to_owned()),
            },
            RawKind::Refuse => Fault::Refuse,
            RawKind::BlackHole => Fault::BlackHole,
            RawKind::Close => Fault::Close,
            RawKind::Delay => Fault::Delay {
                ms: need(raw.ms, "ms")?.min(DELAY_MS_MAX),
            },
            RawKind::AnswerLost => Fault::AnswerLost,
            RawKind::Garbage => Fault::Garbage {
                form: raw.form.unwrap_or_default(),
            },
            RawKind::Cut => Fault::Cut {
                bytes: need(raw.bytes, "bytes")?,
            },
            RawKind::Slow => match need(raw.bytes_per_s, "bytes_per_s")? {
                0 => return Err("fault: bytes_per_s is 0; use the kind black_hole".to_owned()),
                bytes_per_s => Fault::Slow { bytes_per_s },
            },
            RawKind::WrongLength => match raw.by {
                Some(0) => return Err("fault: by is 0; say by how many bytes the length is wrong".to_owned()),
                Some(by) => Fault::WrongLength { by },
                None => return Err("fault: by is missing".to_owned()),
            },
            RawKind::WrongKey if raw.scope == Scope::Licence => Fault::WrongKey,
            RawKind::WrongKey => return Err("fault: wrong_key is for the scope licence".to_owned()),
            RawKind::Lie if raw.scope == Scope::Media => Fault::Lie {
                about: raw.about.ok_or("fault: about is missing")?,
            },
            RawKind::Lie => return Err("fault: lie is for the scope media".to_owned()),
        };
        if raw.count == Some(0) {
            return Err("fault: count is 0; leave it out for a lasting fault".to_owned());
        }
        Ok(Self {
            scope: raw.scope,
            fault,
            path: raw.path,
            count: raw.count,
        })
    }
}

impl FromStr for Planned {
    type Err = String;

    /// Reads one from a command line: the members of the JSON object as `name=value,name=value`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut members = Map::new();
        for pair in text.split(',') {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("fault: {pair:?} is not name=value"))?;
            let value = value.trim();
            let value = value.parse::<i64>().map_or_else(|_| Value::from(value), Value::from);
            if members.insert(name.trim().to_owned(), value).is_some() {
                return Err(format!("fault: {name:?} is given twice"));
            }
        }
        Self::of(&Value::Object(members))
    }
}

/// The faults that wait, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    planned: Vec<Planned>,
}

impl Faults {
    /// Adds one behind the others.
    pub fn plan(&mut self, planned: Planned) -> Result<(), String> {
        if self.planned.len() >= FAULTS_MAX {
            return Err(format!("{FAULTS_MAX} faults are waiting; DELETE /sim/faults first"));
        }
        self.planned.push(planned);
        Ok(())
    }

    /// Everything works again.
    pub fn clear(&mut self) {
        self.planned.clear();
    }

    /// What waits.
    pub fn planned(&self) -> &[Planned] {
        &self.planned
    }

    /// The fault that meets a request, if any: the oldest that fits. Counts it.
    pub fn strike(&mut self, scope: Scope, path: &str) -> Option<Fault> {
        let fits = |planned: &Planned| {
            // Only a manifest can lie.
            let suits = !matches!(planned.fault, Fault::Lie { .. }) || path.as_bytes().ends_with(b".mpd");
            suits && planned.scope == scope && planned.path.as_deref().is_none_or(|part| path.contains(part))
        };
        let place = self.planned.iter().position(fits)?;
        let planned = self.planned.get_mut(place)?;
        let fault = planned.fault.clone();
        if let Some(count) = &mut planned.count {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.planned.remove(place);
            }
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Planned, String> {
        Planned::parse(text.as_bytes())
    }

    #[test]
    fn a_counted_fault_is_used_up_and_the_next_one_takes_over() {
        let mut faults = Faults::default();
        faults
            .plan(plan(r#"{"scope":"events","kind":"status","status":503,"count":2}"#).unwrap())
            .unwrap();
        faults
            .plan(plan(r#"{"scope":"events","kind":"close","count":1}"#).unwrap())
            .unwrap();
        let names: Vec<_> = (0..4)
            .map(|_| {
                faults
                    .strike(Scope::Events, "/v1/playback/event")
                    .map(|fault| fault.name())
            })
            .collect();
        assert_eq!(names, [Some("status"), Some("status"), Some("close"), None]);
    }

    #[test]
    fn a_fault_meets_only_its_scope_and_path() {
        let mut faults = Faults::default();
        faults
            .plan(plan(r#"{"scope":"media","kind":"cut","bytes":10,"path":"abc"}"#).unwrap())
            .unwrap();
        assert_eq!(faults.strike(Scope::Queue, "/v1/abc"), None);
        assert_eq!(faults.strike(Scope::Media, "/media/xyz"), None);
        assert_eq!(
            faults.strike(Scope::Media, "/media/abc.flac"),
            Some(Fault::Cut { bytes: 10 })
        );
    }

    #[test]
    fn mistakes_in_a_fault_are_named() {
        for (text, word) in [
            (r#"{"scope":"queue","kind":"status"}"#, "status is missing"),
            (r#"{"scope":"queue","kind":"status","status":200}"#, "300 to 599"),
            (r#"{"scope":"queue","kind":"cut"}"#, "bytes is missing"),
            (r#"{"scope":"queue","kind":"wrong_length","by":0}"#, "by is 0"),
            (
                r#"{"scope":"queue","kind":"garbage","form":"xml"}"#,
                "`json`, `html`, `empty`",
            ),
            (r#"{"scope":"queue","kind":"close","count":0}"#, "count is 0"),
            (r#"{"scope":"queue","kind":"sleep"}"#, "unknown variant"),
            (r#"{"scope":"queue","kind":"close","cont":1}"#, "unknown field"),
            (r#"{"scope":"media","kind":"slow","bytes_per_s":0}"#, "black_hole"),
            (r#"{"scope":"media","kind":"wrong_key"}"#, "scope licence"),
            (r#"{"scope":"media","kind":"lie"}"#, "about is missing"),
            (r#"{"scope":"licence","kind":"lie","about":"codec"}"#, "scope media"),
        ] {
            assert!(plan(text).unwrap_err().contains(word), "{text}");
        }
    }

    #[test]
    fn a_fault_of_the_command_line_is_the_same_as_one_of_the_page() {
        let typed: Planned = "scope=queue, kind=status,status=503,retry_after_s=2,path=/next,count=3"
            .parse()
            .unwrap();
        let sent = r#"{"scope":"queue","kind":"status","status":503,"retry_after_s":2,"path":"/next","count":3}"#;
        assert_eq!(typed, plan(sent).unwrap());
        let short: Planned = "scope=media,kind=wrong_length,by=-100".parse().unwrap();
        assert_eq!(short.fault, Fault::WrongLength { by: -100 });
    }

    #[test]
    fn mistakes_on_the_command_line_name_what_is_valid() {
        for (text, word) in [
            ("scope=queue", "missing field `kind`"),
            (
                "scope=queues,kind=close",
                "`queue`, `events`, `media`, `licence`, `auth`",
            ),
            ("scope=auth,kind=sleep", "`black_hole`"),
            ("scope=auth,kind=close,cuont=1", "`count`"),
            ("scope=auth,kind", "is not name=value"),
            ("scope=auth,scope=queue,kind=close", "given twice"),
            ("scope=auth,kind=close,count=many", "expected u32"),
        ] {
            let error = text.parse::<Planned>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn only_a_manifest_lies() {
        let mut faults = Faults::default();
        let lie = plan(r#"{"scope":"media","kind":"lie","about":"codec"}"#).unwrap();
        faults.plan(lie).unwrap();
        assert_eq!(faults.strike(Scope::Media, "/media/clear/1-0/a/flac/1.m4s"), None);
        let about = Lie::Codec;
        let manifest = "/media/clear/1-0/a/hd.mpd";
        assert_eq!(faults.strike(Scope::Media, manifest), Some(Fault::Lie { about }));
    }

    #[test]
    fn the_simulators_own_pages_have_no_scope() {
        assert_eq!(Scope::of("/link"), None);
        assert_eq!(Scope::of("/auth/o2/token"), Some(Scope::Auth));
        assert_eq!(Scope::of("/licence/1-0/a"), Some(Scope::Licence));
        assert_eq!(Scope::of("/sim/faults"), None);
        assert_eq!(Scope::of("/v1/playback/event"), Some(Scope::Events));
        assert_eq!(Scope::of(batch::PATH), Some(Scope::Events));
        assert_eq!(Scope::of("/v1/playback/sessions"), Some(Scope::Queue));
    }
}
