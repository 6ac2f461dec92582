//! The wire: every path, header, field name and word of the service's language, and nothing of them anywhere else.
//!
//! Trust, per fact: `[O]` public overview, `[P]` another public page of the same documentation, `[S]` second-hand,
//! `[A]` assumed because no public text says it. What is `[S]` or `[A]` is a line in a table here or in one of the
//! submodules, so that somebody who holds credentials corrects it in minutes. Parsing is tolerant: unknown fields,
//! words and types never fail an answer.

mod fault;
mod read;
mod write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Method;

pub use fault::{fault, verdict_of, wait_of};
pub use read::{Unreadable, opened, playables, sessions};
pub use write::{create_body, event_body, loop_body, shuffle_body};

use super::model::{Quality, Question};

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

/// `limit` of the first create: one edition of the documentation allows 1..5, another 1..11 \[P\].
pub const CREATE_LIMIT: u8 = 5;

/// Characters of an id that may stand in a path unchanged.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where events go \[O\].
pub const EVENT: (Method, &str) = (Method::POST, "/v1/playback/event");

/// Method and path of a question \[O\]; the `limit` parameter is \[S\].
pub fn endpoint(question: &Question) -> (Method, String) {
    match question {
        Question::Create { .. } => (Method::POST, "/v1/playback/sessions".to_owned()),
        Question::Current { session } => (Method::GET, of_session(session, "current")),
        Question::Next { session, limit } => (Method::GET, of_session(session, &format!("next?limit={limit}"))),
        Question::Previous { session, limit } => (Method::GET, of_session(session, &format!("previous?limit={limit}"))),
        Question::Queue { session } => (Method::GET, of_session(session, "queue")),
        Question::Active => (Method::GET, "/v1/playback/sessions/active".to_owned()),
        Question::Loop { session, .. } => (Method::PUT, of_session(session, "loop")),
        Question::Shuffle { session, .. } => (Method::PUT, of_session(session, "shuffle")),
    }
}

/// Path below one session, whose id is opaque and may hold anything.
fn of_session(session: &str, rest: &str) -> String {
    format!(
        "/v1/playback/sessions/{}/{rest}",
        utf8_percent_encode(session, PATH_SEGMENT)
    )
}

/// Whether 404 to this question means that the queue ends there \[S\], and not that something is missing.
pub const fn not_found_is_the_end(question: &Question) -> bool {
    match question {
        Question::Next { .. } | Question::Previous { .. } => true,
        Question::Create { .. }
        | Question::Current { .. }
        | Question::Queue { .. }
        | Question::Active
        | Question::Loop { .. }
        | Question::Shuffle { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opaque_session_id_cannot_leave_its_path_segment() {
        let (_, path) = endpoint(&Question::Current {
            session: "a/../b?c#d e".to_owned(),
        });
        assert_eq!(path, "/v1/playback/sessions/a%2F..%2Fb%3Fc%23d%20e/current");
    }

    #[test]
    fn the_path_table_is_the_one_of_the_overview() {
        let session = || "s-1".to_owned();
        let rows = [
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
                Question::Loop {
                    session: session(),
                    on: true,
                },
                "PUT /v1/playback/sessions/s-1/loop",
            ),
            (
                Question::Shuffle {
                    session: session(),
                    on: true,
                },
                "PUT /v1/playback/sessions/s-1/shuffle",
            ),
        ];
        for (question, expected) in rows {
            let (method, path) = endpoint(&question);
            assert_eq!(format!("{method} {path}"), expected);
        }
    }
}
