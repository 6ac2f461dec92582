//! Everything that may go wrong, one after the other in an order of chance, each from one request to some minutes long.
//! One that met no request is tried again later, until all were met.

use serde_json::{Value, json};
use tonearm_core::input::Input;

use super::rng::Rng;
use super::world::{Check, Happening, World};

/// Statuses that a service may answer any request with.
const STATUSES: [u16; 7] = [400, 401, 403, 404, 429, 500, 503];
/// What a service says of a request by a device without the stream.
const LOSS: &str = "MAX_CONCURRENCY_REACHED";
/// The second device.
const OTHER: &str = "kitchen";
/// How often a fault that nothing has met is given more time.
const PATIENT_LOOKS: u8 = 4;

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// A fault of the simulator.
    Fault(Value),
    /// Another device of the account plays, and losing the stream to it is answered with this status.
    SecondDevice(u16),
    /// The network cable is out.
    Link,
    /// The sound device is gone.
    Device,
    /// The plug is out.
    Power,
}

impl Trouble {
    pub fn name(&self) -> String {
        match self {
            Self::Fault(fault) => {
                let word = |name: &str| fault[name].as_str().unwrap_or_default().to_owned();
                let status = fault["status"].as_u64().map(|status| format!(" {status}"));
                let later = fault["retry_after_s"].as_u64().map(|_| " with Retry-After");
                let later = later.or(tells_of_loss(fault).then_some(" without the stream"));
                let (status, later) = (status.unwrap_or_default(), later.unwrap_or_default());
                let form = format!(" {}{}", word("form"), fault["by"]).replace("null", "");
                format!("{} {}{status}{later}{}", word("scope"), word("kind"), form.trim_end())
            }
            Self::SecondDevice(status) => format!("second device, {status}"),
            Self::Link => "network cable out".to_owned(),
            Self::Device => "sound device gone".to_owned(),
            Self::Power => "power cut".to_owned(),
        }
    }

    /// The service says for good that the stream or the session is not the speaker's any more, or the speaker itself is
    /// without power or device: the sound has to stop.
    fn ends_the_sound(&self) -> bool {
        match self {
            Self::Fault(fault) => tells_of_loss(fault) || (fault["status"] == 404 && fault["scope"] != "media"),
            Self::Link => false,
            Self::SecondDevice(_) | Self::Device | Self::Power => true,
        }
    }

    fn was_met_by(&self, record: &Value) -> bool {
        let fault = match self {
            Self::Fault(fault) => fault,
            Self::SecondDevice(status) => return record["status"] == *status && record["fault"].is_null(),
            Self::Link | Self::Device | Self::Power => return true,
        };
        let path = record["path"].as_str().unwrap_or_default();
        let scope = match path {
            _ if path.starts_with("/v1/playback/event") => "events",
            _ if path.starts_with("/auth/") => "auth",
            _ if path.starts_with("/media/") => "media",
            _ => "queue",
        };
        let status = fault["status"].is_null() || fault["status"] == record["status"];
        fault["scope"] == scope && fault["kind"] == record["fault"] && status
    }
}

/// What was planned and what came of it.
#[derive(Debug)]
pub struct Troubles {
    /// Still to be met; the first is next, or under way.
    waiting: Vec<Trouble>,
    pub met: Vec<String>,
    under_way: Option<UnderWay>,
    /// The last one ended then.
    calm_since: u64,
    /// Last record of the ledger that was looked at.
    seen: u64,
}

#[derive(Debug)]
struct UnderWay {
    trouble: Trouble,
    looks: u8,
    left_alone: bool,
}

impl Troubles {
    pub fn new(rng: &mut Rng) -> Self {
        let mut waiting: Vec<Trouble> = all().into_iter().map(Trouble::Fault).collect();
        waiting.extend([422, 429].map(Trouble::SecondDevice));
        waiting.extend([
            Trouble::Link,
            Trouble::Link,
            Trouble::Device,
            Trouble::Power,
            Trouble::Power,
        ]);
        rng.shuffle(&mut waiting);
        Self {
            waiting,
            met: Vec::new(),
            under_way: None,
            calm_since: 0,
            seen: 0,
        }
    }

    pub fn all_met(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    pub fn unmet(&self) -> Vec<String> {
        let under_way = self.under_way.as_ref().map(|under_way| &under_way.trouble);
        self.waiting.iter().chain(under_way).map(Trouble::name).collect()
    }

    /// Name of the trouble under way, else of the last one.
    pub fn last_name(&self) -> String {
        let under_way = self.under_way.as_ref().map(|under_way| under_way.trouble.name());
        under_way.or_else(|| self.met.last().cloned()).unwrap_or_default()
    }

    /// How long nothing has been wrong.
    pub fn calm_ms(&self, now: u64) -> u64 {
        match self.under_way {
            None => now - self.calm_since,
            Some(_) => 0,
        }
    }

    /// The listener is elsewhere while this trouble lasts: only the window keeps the sound up.
    pub fn is_left_alone(&self) -> bool {
        self.under_way.as_ref().is_some_and(|under_way| under_way.left_alone)
    }
}

fn tells_of_loss(fault: &Value) -> bool {
    fault["status"] == 422 || fault["code"] == LOSS
}

/// Every fault the simulator knows, in every scope where it makes sense.
fn all() -> Vec<Value> {
    let mut faults = Vec::new();
    for scope in ["queue", "events"] {
        faults.extend(STATUSES.map(|status| json!({"scope": scope, "kind": "status", "status": status})));
        faults.push(json!({"scope": scope, "kind": "garbage", "form": "html"}));
    }
    faults.push(json!({"scope": "queue", "kind": "status", "status": 422}));
    for status in [422, 429] {
        faults.push(json!({"scope": "events", "kind": "status", "status": status, "code": LOSS}));
    }
    for status in [403, 404, 410, 429, 503] {
        faults.push(json!({"scope": "media", "kind": "status", "status": status}));
    }
    for scope in ["queue", "events", "media"] {
        for status in [429, 503] {
            faults.push(json!({"scope": scope, "kind": "status", "status": status, "retry_after_s": 7}));
        }
        for kind in ["refuse", "black_hole", "close", "answer_lost", "garbage"] {
            faults.push(json!({"scope": scope, "kind": kind}));
        }
        faults.push(json!({"scope": scope, "kind": "delay", "ms": 40}));
        faults.extend([-20, 20].map(|by| json!({"scope": scope, "kind": "wrong_length", "by": by})));
    }
    for status in [500, 503] {
        faults.push(json!({"scope": "auth", "kind": "status", "status": status}));
    }
    for kind in ["refuse", "black_hole", "close", "answer_lost", "garbage"] {
        faults.push(json!({"scope": "auth", "kind": kind}));
    }
    for scope in ["queue", "media"] {
        let bytes = if scope == "queue" { 200 } else { 50_000 };
        faults.push(json!({"scope": scope, "kind": "cut", "bytes": bytes}));
        faults.push(json!({"scope": scope, "kind": "slow", "bytes_per_s": 200_000}));
    }
    faults
}

impl World {
    /// Begins the next trouble, or ends the one under way.
    pub fn trouble(&mut self) -> Check {
        match self.troubles.under_way.take() {
            None => self.begin_trouble(),
            Some(under_way) => self.look_at_trouble(under_way),
        }
    }

    fn begin_trouble(&mut self) -> Check {
        if self.program.is_none() || self.troubles.waiting.is_empty() {
            self.enter(5_000, Happening::Trouble);
            return Ok(());
        }
        let trouble = self.troubles.waiting.remove(0);
        let lasts = match self.rng.between(0, 9) {
            0..=3 => 6_000,
            4..=8 => self.rng.between(8_000, 50_000),
            _ => self.rng.between(60_000, 400_000),
        };
        let brief = lasts == 6_000;
        let left_alone = self.rng.chance(500);
        self.note(&format!(
            "---- {} for {lasts} ms, left alone: {left_alone}",
            trouble.name()
        ));
        self.look_at_ledger(&trouble);
        if trouble.ends_the_sound() {
            self.dropouts.expect_nothing();
        } else {
            self.expect_cover();
        }
        match &trouble {
            Trouble::Fault(fault) => {
                let mut fault = fault.clone();
                if brief {
                    fault["count"] = json!(self.rng.between(1, 3));
                }
                self.bench.hand.fault(&fault);
                if fault["scope"] == "auth" {
                    // Only a token that has run out makes the speaker ask.
                    let (status, _) = self.bench.hand.call("POST", "/sim/account/expire", &Value::Null);
                    assert_eq!(status, 200);
                }
            }
            Trouble::SecondDevice(status) => {
                let play = json!({"device": OTHER, "answer": status.to_string()});
                assert_eq!(self.bench.hand.call("POST", "/sim/devices/play", &play).0, 200);
            }
            Trouble::Link => {
                self.link_up = false;
                self.handle(Input::LinkDown)?;
            }
            Trouble::Device => {
                self.audio.device(false, self.now);
                self.send_news();
            }
            Trouble::Power => self.cut_power()?,
        }
        self.enter(lasts, Happening::Trouble);
        self.troubles.under_way = Some(UnderWay {
            trouble,
            looks: 0,
            left_alone,
        });
        Ok(())
    }

    /// Whether a request has met it since the ledger was last looked at.
    fn look_at_ledger(&mut self, trouble: &Trouble) -> bool {
        let records = self.bench.ledger("request", self.troubles.seen);
        let last = records.last().and_then(|record| record["n"].as_u64());
        self.troubles.seen = last.unwrap_or(self.troubles.seen);
        records.iter().any(|record| trouble.was_met_by(record))
    }

    fn look_at_trouble(&mut self, under_way: UnderWay) -> Check {
        let name = under_way.trouble.name();
        let met = self.look_at_ledger(&under_way.trouble)
            || matches!(under_way.trouble, Trouble::Link | Trouble::Device | Trouble::Power);
        if !met && under_way.looks < PATIENT_LOOKS {
            let looks = under_way.looks + 1;
            let left_alone = false;
            self.troubles.under_way = Some(UnderWay {
                looks,
                left_alone,
                ..under_way
            });
            self.enter(10_000, Happening::Trouble);
            return Ok(());
        }
        self.note(&format!("---- {name} is over, met: {met}"));
        self.bench.all_is_well();
        self.troubles.calm_since = self.now;
        match under_way.trouble {
            Trouble::Fault(_) | Trouble::Power => {}
            Trouble::SecondDevice(_) => {
                // It may have lost the stream again to the speaker: then there is nothing to stop.
                self.bench
                    .hand
                    .call("POST", "/sim/devices/stop", &json!({"device": OTHER}));
            }
            Trouble::Link => {
                self.link_up = true;
                self.handle(Input::LinkUp)?;
            }
            Trouble::Device => {
                self.audio.device(true, self.now);
                self.send_news();
            }
        }
        if met {
            self.count(format!("met {name}"));
            self.troubles.met.push(name);
        } else {
            self.troubles.waiting.push(under_way.trouble);
        }
        let gap = self.rng.between(8_000, 30_000);
        self.enter(gap, Happening::Trouble);
        Ok(())
    }

    /// Everything works again, and nobody touches anything any more.
    pub fn calm_down(&mut self) {
        self.note("---- calm");
        self.troubles.calm_since = self.now;
        self.forget_plans();
        self.bench.all_is_well();
    }
}
