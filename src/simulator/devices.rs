//! The one stream of the account: which device has it, who lost it, and what the one that lost may still send. No HTTP.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::event::{self, Event, Reason};
use super::judge::{Code, Violation};
use super::order::fingerprint;
use super::session::Session;
use super::wire::{MAX_CONCURRENCY, Refusal};
use super::world::{Caller, World};

/// Devices remembered as having lost the stream; the oldest is forgotten. An account has fewer.
const TOLD_MAX: usize = 64;
/// A start this long after the refusal was sent may still have happened before it arrived.
const LEARNS_MS: i64 = 2_000;

/// How the loss of the stream is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// As V1 does.
    #[default]
    #[serde(rename = "422")]
    V1,
    /// As V2 does.
    #[serde(rename = "429")]
    V2,
}

/// Who has the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    device: String,
    /// What it plays, if it is one of the simulator's own devices: those report nothing.
    session: Option<String>,
}

/// A device that was refused because another one has the stream.
#[derive(Debug)]
struct Told {
    device: String,
    at_ms: i64,
    /// The event that brought the news.
    refused: u64,
}

/// What a device wants of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// To look at or change a queue.
    Call,
    /// To have it, from now on.
    Take,
    /// To report that its sound ended.
    Stop(Ending),
    /// To report that it sounds.
    Start { at_ms: i64, print: u64 },
}

/// What ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The entry: another one may follow at once.
    OfEntry,
    /// The sound.
    Final,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Passes(Passage),
    /// It lost the stream.
    Lost(Option<Violation>),
}

/// How a request passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Nobody else has the stream.
    Free,
    /// The device has the stream from now on.
    Taken,
    /// The sound of the device ended for a reason other than the end of the entry.
    Ending,
    /// It happened before the device knew: written down, without giving it the stream.
    Past,
}

/// The stream of the account.
#[derive(Debug, Default)]
pub struct Stream {
    /// How its loss is answered.
    pub answer: Answer,
    holder: Option<Holder>,
    told: Vec<Told>,
}

impl Stream {
    fn hold(&mut self, device: &str, session: Option<&str>) {
        self.told.retain(|told| told.device != device);
        self.holder = Some(Holder {
            device: device.to_owned(),
            session: session.map(str::to_owned),
        });
    }

    fn release(&mut self) {
        self.holder = None;
        self.told.clear();
    }

    fn is_lost_for(&self, device: &str) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.device != device)
    }

    fn ask(&mut self, device: &str, wish: Wish, now_ms: i64) -> Verdict {
        if !self.is_lost_for(device) {
            return Verdict::Passes(match wish {
                Wish::Stop(Ending::Final) => Passage::Ending,
                Wish::Call | Wish::Take | Wish::Stop(Ending::OfEntry) | Wish::Start { .. } => Passage::Free,
            });
        }
        let told = self.told.iter().find(|told| told.device == device);
        match (wish, told) {
            (Wish::Take, _) => {
                self.hold(device, None);
                Verdict::Passes(Passage::Taken)
            }
            (Wish::Call, Some(_)) => Verdict::Lost(None),
            (Wish::Stop(_), Some(_)) => Verdict::Passes(Passage::Past),
            (Wish::Start { at_ms, print }, Some(told)) => {
                let learnt_ms = told.at_ms.saturating_add(LEARNS_MS);
                if print == told.refused || at_ms <= learnt_ms {
                    Verdict::Passes(Passage::Past)
                } else {
                    let late_ms = at_ms.saturating_sub(told.at_ms);
                    let detail = format!("started {late_ms} ms after it was told that another device has the stream");
                    Verdict::Lost(Some(Violation::new(Code::PlaysWithoutStream, detail)))
                }
            }
            (Wish::Call | Wish::Stop(_) | Wish::Start { .. }, None) => {
                let refused = match wish {
                    Wish::Start { print, .. } => print,
                    Wish::Call | Wish::Take | Wish::Stop(_) => 0,
                };
                if self.told.len() >= TOLD_MAX {
                    self.told.remove(0);
                }
                self.told.push(Told {
                    device: device.to_owned(),
                    at_ms: now_ms,
                    refused,
                });
                Verdict::Lost(None)
            }
        }
    }

    fn refusal(&self) -> Refusal {
        Refusal {
            status: match self.answer {
                Answer::V1 => 422,
                Answer::V2 => 429,
            },
            code: MAX_CONCURRENCY,
            message: "another device of this account plays".to_owned(),
            why: None,
        }
    }
}

/// `takeOverType` of a body.
fn takes_over(body: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    value.get("takeOverType").and_then(Value::as_str) == Some("AUTO")
}

/// Requests that need the stream.
#[derive(Clone, Copy, Debug)]
pub enum Asks<'a> {
    /// A new session.
    ToCreate {
        /// Body of the request.
        body: &'a [u8],
    },
    /// To look at or change a session's queue.
    OfSession,
    /// To report an event.
    ToReport {
        /// Body of the request.
        body: &'a [u8],
    },
}

/// Body of `POST /sim/devices/play`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Play {
    device: String,
    session: Option<String>,
    music: Option<String>,
    answer: Option<Answer>,
}

/// What an event wants of the stream; `None`: it is no event.
fn reported(body: &[u8]) -> Option<Wish> {
    let event = Event::parse(body).ok()?;
    Some(match event.what {
        event::What::Start { .. } if takes_over(body) => Wish::Take,
        event::What::Start { .. } => Wish::Start {
            at_ms: event.at_ms,
            print: fingerprint(&String::from_utf8_lossy(body)),
        },
        event::What::Stop { reason, .. } => Wish::Stop(match reason {
            Reason::Paused | Reason::System => Ending::Final,
            Reason::Finished | Reason::Next | Reason::Previous | Reason::Scrub => Ending::OfEntry,
        }),
    })
}

impl World {
    /// Whether a request may pass as far as the stream goes.
    pub fn ask_for_stream(&mut self, asks: Asks<'_>, caller: &Caller) -> Result<Passage, Refusal> {
        let wish = match asks {
            Asks::ToCreate { body } if takes_over(body) => Wish::Take,
            Asks::ToCreate { .. } | Asks::OfSession => Wish::Call,
            Asks::ToReport { body } => match reported(body) {
                Some(wish) => wish,
                // What is no event is refused for that.
                None => return Ok(Passage::Free),
            },
        };
        let elsewhere = self
            .sessions
            .iter()
            .any(|session| session.device != caller.device && session.history.sounding().is_some());
        if wish == Wish::Take && elsewhere && self.stream.holder.is_none() {
            self.stream.hold(&caller.device, None);
        }
        match self.stream.ask(&caller.device, wish, self.client_ms()) {
            Verdict::Passes(passage) => Ok(passage),
            Verdict::Lost(finding) => {
                // Only a client on this machine shares the clock by which that is certain.
                if let Some(finding) = finding.filter(|_| caller.local) {
                    self.ledger.violation(None, finding.code, finding.detail);
                }
                Err(self.stream.refusal())
            }
        }
    }

    /// A request that passed was done.
    pub fn passed(&mut self, passage: Passage, caller: &Caller) {
        let holds = self.stream.holder.as_ref().map(|holder| holder.device == caller.device);
        match passage {
            Passage::Past => self.give_back(),
            Passage::Ending if holds == Some(true) => self.stream.release(),
            Passage::Free | Passage::Taken | Passage::Ending => {}
        }
    }

    /// What a device reported of the past does not make the session its own again.
    pub fn give_back(&mut self) {
        let Some(Holder {
            device,
            session: Some(id),
        }) = &self.stream.holder
        else {
            return;
        };
        if let Some(session) = self.sessions.iter_mut().find(|session| session.id == *id) {
            session.device.clone_from(device);
            if let Some(store) = &self.store {
                store.keep_session(session);
            }
        }
    }

    /// Whether a session sounds, as far as the service knows.
    pub fn is_playing(&self, session: &Session) -> bool {
        let reported = session.history.sounding().is_some();
        match &self.stream.holder {
            None => reported,
            Some(holder) if holder.session.as_deref() == Some(&session.id) => true,
            Some(holder) => reported && holder.device == session.device,
        }
    }

    /// One of the simulator's own devices plays: a session that is there, or one of its own.
    pub fn play_elsewhere(&mut self, play: Play) -> Result<Value, Refusal> {
        if play.device.is_empty() {
            return Err(Refusal::bad("device is empty"));
        }
        let caller = Caller {
            base: String::new(),
            device: play.device.clone(),
            quality: super::dash::Quality::default(),
            local: true,
        };
        let id = if let Some(id) = play.session {
            id
        } else {
            let first = self.catalogue.albums().first().map(|album| album.id.clone());
            let music = play.music.or(first);
            // In its order; where only a mixed queue is offered, mixed.
            let mut create = |shuffle| {
                let options = json!({"shuffleMode": shuffle});
                let body = json!({"playParams": {"containerIds": [&music]}, "playbackOptions": options});
                self.create(body.to_string().as_bytes(), &caller)
            };
            let answer = create("SHUFFLE_OFF").or_else(|_| create("SHUFFLE_ON"))?;
            answer
                .get("sessionId")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let session = self.sessions.iter_mut().find(|session| session.id == id);
        let session = session.ok_or_else(|| Refusal::missing("session"))?;
        session.device.clone_from(&play.device);
        if let Some(store) = &self.store {
            store.keep_session(session);
        }
        self.stream.answer = play.answer.unwrap_or(self.stream.answer);
        self.stream.hold(&play.device, Some(&id));
        Ok(self.devices())
    }

    /// That device stops: the stream is free.
    pub fn stop_elsewhere(&mut self, device: &str) -> Result<Value, Refusal> {
        if self.stream.holder.as_ref().is_none_or(|holder| holder.device != device) {
            return Err(Refusal::missing("a device of this name that has the stream"));
        }
        self.stream.release();
        Ok(self.devices())
    }

    /// Who has the stream, and who was told.
    pub fn devices(&self) -> Value {
        let holder = self.stream.holder.as_ref();
        let told: Vec<_> = self.stream.told.iter().map(|told| &told.device).collect();
        json!({
            "has_stream": holder.map(|holder| &holder.device),
            "session": holder.and_then(|holder| holder.session.as_ref()),
            "told": told,
            "answer": self.stream.answer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Verdict = Verdict::Passes(Passage::Free);
    const PAST: Verdict = Verdict::Passes(Passage::Past);

    fn lost() -> Stream {
        let mut stream = Stream::default();
        stream.hold("kitchen", Some("s"));
        stream
    }

    const fn start(at_ms: i64, print: u64) -> Wish {
        Wish::Start { at_ms, print }
    }

    #[test]
    fn nobody_is_refused_while_nobody_else_has_the_stream() {
        let mut stream = Stream::default();
        for wish in [Wish::Call, Wish::Take, Wish::Stop(Ending::OfEntry), start(0, 1)] {
            assert_eq!(stream.ask("speaker", wish, 0), FREE);
        }
        stream.hold("speaker", None);
        assert_eq!(stream.ask("speaker", Wish::Call, 0), FREE);
    }

    #[test]
    fn calls_are_refused_until_the_stream_is_taken_back_or_free() {
        let mut stream = lost();
        for _ in 0..3 {
            assert_eq!(stream.ask("speaker", Wish::Call, 0), Verdict::Lost(None));
        }
        assert_eq!(stream.ask("speaker", Wish::Take, 0), Verdict::Passes(Passage::Taken));
        assert_eq!(stream.ask("speaker", Wish::Call, 0), FREE);
        assert_eq!(stream.ask("kitchen", Wish::Call, 0), Verdict::Lost(None));
        stream.release();
        assert_eq!(stream.ask("kitchen", Wish::Call, 0), FREE);
    }

    #[test]
    fn the_event_that_brought_the_news_is_taken_when_it_is_repeated() {
        let mut stream = lost();
        assert_eq!(stream.ask("speaker", start(9_000_000, 5), 0), Verdict::Lost(None));
        assert_eq!(stream.ask("speaker", start(9_000_000, 5), 50), PAST);
        assert_eq!(stream.ask("speaker", Wish::Stop(Ending::Final), 60), PAST);
        assert!(stream.is_lost_for("speaker"));
    }

    #[test]
    fn what_happened_before_the_news_is_taken_and_what_was_started_after_it_is_found() {
        let mut stream = lost();
        stream.ask("speaker", Wish::Call, 10_000);
        assert_eq!(stream.ask("speaker", start(9_000, 1), 11_000), PAST);
        assert_eq!(stream.ask("speaker", start(10_000 + LEARNS_MS, 2), 12_000), PAST);
        let Verdict::Lost(Some(finding)) = stream.ask("speaker", start(20_000, 3), 20_000) else {
            panic!("it knew");
        };
        assert_eq!(finding.code, Code::PlaysWithoutStream);
    }
}
