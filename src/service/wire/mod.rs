//! The wire: every path, header, field name and word of the service's language, and nothing of them anywhere else.
//!
//! This is the dialect V1. Who speaks it (`client`) needs five things of it, in the neutral words of `model`: the fixed
//! headers, [`request`], [`report`], [`reply`] and [`fault()`]. Another dialect (V2: queues in place of sessions, 206 for a
//! queue that was restored first) is a second module with these five; nothing else has to know.
//!
//! Trust, per fact: `[O]` public overview, `[P]` another public page of the same documentation, `[S]` second-hand,
//! `[A]` assumed because no public text says it. What is `[S]` or `[A]` is a line in a table here or in one of the
//! submodules, so that somebody who holds credentials corrects it in minutes. Parsing is tolerant: unknown fields,
//! words and types never fail an answer.

mod fault;
mod limit;
mod read;
mod write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Method;

pub use fault::{Fault, date_s, fault, verdict_of, wait_of};
pub use limit::CreateLimit;
pub use read::Unreadable;

use super::model::{EventReport, Quality, Question, Reply};

/// `X-Amzn-Audio-DRMType` \[O\]: its value must be `WIDEVINE`.
pub const HEADER_DRM: (&str, &str) = ("x-amzn-audio-drmtype", "WIDEVINE");
/// `X-Amzn-Audio-Device-Capability` \[O\]: comma list of the qualities the board can play.
pub const HEADER_CAPABILITY: &str = "x-amzn-audio-device-capability";
/// Words of [`HEADER_CAPABILITY`] \[P\].
pub const fn capability(quality: Quality) -> &'static str {
    match quality {
        Quality::Standard => "STD_RES",
        Quality::High => "HI_FI",
        Quality::Ultra => "HI_RES",
        Quality::Spatial => "THREE_DIMENSIONAL",
    }
}
/// `X-Amzn-Device-Id` \[O\]: unique and stable per device.
pub const HEADER_DEVICE: &str = "x-amzn-device-id";
/// Security profile of the application \[P\].
pub const HEADER_API_KEY: &str = "x-api-key";

/// Characters of an id that may stand in a path unchanged.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One request, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// JSON.
    pub body: Option<Vec<u8>>,
}

/// The request that asks a question: methods and paths \[O\], the `limit` parameter \[S\].
pub fn request(question: &Question, limit: CreateLimit) -> Request {
    let get = |path| (Method::GET, path, None);
    let post = |path, body| (Method::POST, path, Some(body));
    let put = |path, body| (Method::PUT, path, Some(body));
    let (method, path, body) = match question {
        Question::Create { play, mode } => post(sessions(), write::create_body(play, *mode, limit.asked())),
        Question::Current { session } => get(of_session(session, "current")),
        Question::Next { session, limit } => get(of_session(session, &format!("next?limit={limit}"))),
        Question::Previous { session, limit } => get(of_session(session, &format!("previous?limit={limit}"))),
        Question::Queue { session } => get(of_session(session, "queue")),
        Question::Active => get(sessions() + "/active"),
        Question::Restore { reference } => get(sessions() + "/entities/" + &segment(reference)),
        Question::QueueNext { session, play } => post(of_session(session, "queue/next"), write::queue_body(play)),
        Question::QueueLast { session, play } => post(of_session(session, "queue/last"), write::queue_body(play)),
        Question::Loop { session, on } => put(of_session(session, "loop"), write::loop_body(*on)),
        Question::Shuffle { session, on } => put(of_session(session, "shuffle"), write::shuffle_body(*on)),
    };
    Request { method, path, body }
}

/// The request that reports events, oldest first: one alone goes to the path of the overview \[O\], several go to
/// `batch_path`, which no public text names \[A\]. `None`: there is nothing to send, or nowhere to send it to.
pub fn report(events: &[EventReport], batch_path: Option<&str>) -> Option<Request> {
    let (path, body) = match events {
        [] => return None,
        [event] => ("/v1/playback/event", write::event_body(event)),
        several => (batch_path?, write::batch_body(several)),
    };
    Some(Request {
        method: Method::POST,
        path: path.to_owned(),
        body: Some(body),
    })
}

/// Path of all sessions.
fn sessions() -> String {
    "/v1/playback/sessions".to_owned()
}

/// Path below one session.
fn of_session(session: &str, rest: &str) -> String {
    format!("{}/{}/{rest}", sessions(), segment(session))
}

/// One segment of a path: an id is opaque and may hold anything.
fn segment(id: &str) -> String {
    utf8_percent_encode(id, PATH_SEGMENT).to_string()
}

/// Whether a refusal says that the queue ends there, by the word V2 has for it \[P\]. A plain 404 may as well mean that
/// the session is not there any more: who asked finds out.
pub fn is_the_end(question: &Question, fault: &Fault) -> bool {
    let word = match question {
        Question::Next { .. } => "NO_MORE_NEXT_ENTITY",
        Question::Previous { .. } => "NO_MORE_PREVIOUS_ENTITY",
        Question::Create { .. }
        | Question::Current { .. }
        | Question::Queue { .. }
        | Question::Active
        | Question::Restore { .. }
        | Question::QueueNext { .. }
        | Question::QueueLast { .. }
        | Question::Loop { .. }
        | Question::Shuffle { .. } => return false,
    };
    fault.status == 404 && fault.code.as_deref() == Some(word)
}

/// Whether a success says all there is by being one, so that nothing about its body can be wrong.
pub fn is_answered_by_status(question: &Question) -> bool {
    matches!(
        question,
        Question::Loop { .. } | Question::Shuffle { .. } | Question::QueueNext { .. } | Question::QueueLast { .. }
    )
}

/// Understands the body of a success. Any 2xx is one; 206 (V2: the queue was restored first) asks for nothing else than
/// what the speaker does with every list: it takes the place of what was known of the queue.
pub fn reply(question: &Question, body: &[u8]) -> Result<Reply, Unreadable> {
    match question {
        Question::Create { .. } | Question::Restore { .. } => read::opened(body).map(Reply::Opened),
        Question::Current { .. } | Question::Next { .. } | Question::Previous { .. } | Question::Queue { .. } => {
            read::playables(body).map(Reply::Listed)
        }
        Question::Active => read::sessions(body).map(Reply::Sessions),
        Question::Loop { .. } | Question::Shuffle { .. } | Question::QueueNext { .. } | Question::QueueLast { .. } => {
            Ok(Reply::Done)
        }
    }
}

#[cfg(test)]
mod tests {
    use tonearm_core::input::Mode;

    use super::super::model::PlayParams;
    use super::*;

    fn line(question: &Question) -> String {
        let Request { method, path, body } = request(question, CreateLimit::default());
        let body = body.map(|body| format!(" {}", String::from_utf8(body).unwrap()));
        format!("{method} {path}{}", body.unwrap_or_default())
    }

    fn play() -> PlayParams {
        PlayParams {
            id: Some("mrn:1.0:x".into()),
            container_ids: vec!["mrn:1.0:c".into()],
        }
    }

    #[test]
    fn an_opaque_id_cannot_leave_its_path_segment() {
        let session = "a/../b?c#d e".to_owned();
        assert_eq!(
            line(&Question::Current { session }),
            "GET /v1/playback/sessions/a%2F..%2Fb%3Fc%23d%20e/current"
        );
        let reference = "../0:6f1c/\u{e9}".to_owned();
        assert_eq!(
            line(&Question::Restore { reference }),
            "GET /v1/playback/sessions/entities/..%2F0%3A6f1c%2F%C3%A9"
        );
    }

    #[test]
    fn the_requests_are_those_of_the_overview() {
        let session = || "s-1".to_owned();
        let create = Question::Create {
            play: play(),
            mode: Mode::Play,
        };
        let rows = [
            (
                create,
                concat!(
                    r#"POST /v1/playback/sessions {"playParams":{"id":"mrn:1.0:x","containerIds":["mrn:1.0:c"]},"#,
                    r#""playbackOptions":{"shuffleMode":"SHUFFLE_OFF","loopMode":"LOOP_OFF"},"limit":5,"takeOverType":"AUTO"}"#
                ),
            ),
            (
                Question::Current { session: session() },
                "GET /v1/playback/sessions/s-1/current",
            ),
            (
                Question::Next {
                    session: session(),
                    limit: 10,
                },
                "GET /v1/playback/sessions/s-1/next?limit=10",
            ),
            (
                Question::Previous {
                    session: session(),
                    limit: 2,
                },
                "GET /v1/playback/sessions/s-1/previous?limit=2",
            ),
            (
                Question::Queue { session: session() },
                "GET /v1/playback/sessions/s-1/queue",
            ),
            (Question::Active, "GET /v1/playback/sessions/active"),
            (
                Question::Restore {
                    reference: "r-1".into(),
                },
                "GET /v1/playback/sessions/entities/r-1",
            ),
            (
                Question::QueueNext {
                    session: session(),
                    play: play(),
                },
                r#"POST /v1/playback/sessions/s-1/queue/next {"playParams":{"id":"mrn:1.0:x","containerIds":["mrn:1.0:c"]}}"#,
            ),
            (
                Question::QueueLast {
                    session: session(),
                    play: play(),
                },
                r#"POST /v1/playback/sessions/s-1/queue/last {"playParams":{"id":"mrn:1.0:x","containerIds":["mrn:1.0:c"]}}"#,
            ),
            (
                Question::Loop {
                    session: session(),
                    on: true,
                },
                r#"PUT /v1/playback/sessions/s-1/loop {"loopMode":"LOOP_ON"}"#,
            ),
            (
                Question::Shuffle {
                    session: session(),
                    on: true,
                },
                r#"PUT /v1/playback/sessions/s-1/shuffle {"shuffleMode":"SHUFFLE_ON"}"#,
            ),
        ];
        for (question, expected) in rows {
            assert_eq!(line(&question), expected);
        }
    }

    #[test]
    fn only_its_own_word_says_that_the_queue_ends() {
        let session = || "s-1".to_owned();
        let next = Question::Next {
            session: session(),
            limit: 1,
        };
        let previous = Question::Previous {
            session: session(),
            limit: 1,
        };
        let refused = |status, code: &str| {
            fault(
                status,
                None,
                None,
                format!(r#"{{"error":{{"code":"{code}"}}}}"#).as_bytes(),
            )
        };
        let (no_next, no_previous) = (
            refused(404, "NO_MORE_NEXT_ENTITY"),
            refused(404, "NO_MORE_PREVIOUS_ENTITY"),
        );
        assert!(is_the_end(&next, &no_next) && is_the_end(&previous, &no_previous));
        assert!(!is_the_end(&next, &refused(404, "RESOURCE_NOT_FOUND")));
        assert!(!is_the_end(&next, &refused(400, "NO_MORE_NEXT_ENTITY")));
        assert!(!is_the_end(&Question::Current { session: session() }, &no_next));
    }
}
