//! What the tests of the client share: settings, one question of every sort, an event, a server with one answer.

use std::sync::Arc;

use tonearm_core::event::What;
use tonearm_core::input::{Failure, Mode, Verdict};
use tonearm_core::unit::Millis;

use super::client::{Client, Patience};
use super::credentials::FixedToken;
use super::model::{EventReport, PlayParams, Quality, Question, Reply};
use super::scripted::Server;
use super::settings::Settings;

pub const LIST: &[u8] = br#"{"playables":[{"entityReferenceId":"r-1"}]}"#;
pub const OPENED: &[u8] = br#"{"sessionId":"s-1","playables":[{"entityReferenceId":"r-1"}]}"#;

pub fn settings(base_url: String) -> Settings {
    Settings {
        base_url,
        device_id: "device-1".into(),
        qualities: vec![Quality::Standard, Quality::High],
        api_key: None,
        language: None,
        event_batch_path: None,
        tls: crate::tls::fixture::believing(),
        credentials: Arc::new(FixedToken(None)),
    }
}

pub fn client(server: &Server) -> Client {
    Client::new(settings(server.url("")), Patience::default()).unwrap()
}

/// A server that always says the same.
pub fn answering(status: u16, headers: &'static [(&str, &str)], body: &'static [u8]) -> Server {
    Server::start(move |_, wire| wire.answer(status, headers, body))
}

/// What the failure is, without what is said about it.
pub fn ask(client: &mut Client, question: &Question) -> Result<Reply, Failure> {
    client.ask(question).map_err(|refusal| refusal.failure)
}

/// The service's word on one event.
pub fn verdict(client: &Client) -> Verdict {
    client
        .report(&[report()])
        .map_or_else(|refusal| refusal.verdict(), |()| Verdict::Accepted)
}

pub fn play() -> PlayParams {
    PlayParams {
        id: Some("mrn:1.0:x".into()),
        container_ids: Vec::new(),
    }
}

pub fn create() -> Question {
    Question::Create {
        play: play(),
        mode: Mode::Play,
    }
}

pub fn current() -> Question {
    Question::Current { session: "s-1".into() }
}

pub fn next() -> Question {
    Question::Next {
        session: "s-1".into(),
        limit: 10,
    }
}

/// One question of every sort.
pub fn questions() -> [Question; 11] {
    let session = || "s-1".to_owned();
    [
        create(),
        current(),
        next(),
        Question::Previous {
            session: session(),
            limit: 2,
        },
        Question::Queue { session: session() },
        Question::Active,
        Question::Restore {
            reference: "r-1".into(),
        },
        Question::QueueNext {
            session: session(),
            play: play(),
        },
        Question::QueueLast {
            session: session(),
            play: play(),
        },
        Question::Loop {
            session: session(),
            on: true,
        },
        Question::Shuffle {
            session: session(),
            on: false,
        },
    ]
}

pub fn report() -> EventReport {
    EventReport {
        session: "s-1".into(),
        reference: "r-1".into(),
        metric_id: Some("m-1".into()),
        wall_ms: 1,
        zone: "+00:00".into(),
        initial_delay: Millis(2),
        take_over: false,
        what: What::Start { offset: Millis(3) },
    }
}
