//! From the adapters' words to the core's inputs, and from the core's calls to the service's questions.

use tonearm_core::effect::Call;
use tonearm_core::id::SessionKey;
use tonearm_core::input::{Answer, Failure};

use super::catalogue::Catalogue;
use crate::service::{Question, Reply};

/// The question a call stands for.
///
/// # Errors
/// How the call fails instead: the catalogue no longer has what it names, or the service's client does not know it.
pub(super) fn question(call: Call, catalogue: &Catalogue) -> Result<Question, Failure> {
    let gone = || {
        log::error!("a call names something that is not known any more: {call:?}");
        Failure::Unreachable
    };
    let named = |session: SessionKey| catalogue.session_name(session).map(str::to_owned).ok_or_else(gone);
    Ok(match call {
        Call::Create { source, mode } => Question::Create {
            play: catalogue.source(source).ok_or_else(gone)?.clone(),
            mode,
            looping: false,
        },
        Call::Current(session) => Question::Current {
            session: named(session)?,
        },
        Call::Next { session, limit } => Question::Next {
            session: named(session)?,
            limit,
        },
        Call::Previous { session, limit } => Question::Previous {
            session: named(session)?,
            limit,
        },
        Call::Loop { session, on } => Question::Loop {
            session: named(session)?,
            on,
        },
        Call::Shuffle { session, on } => Question::Shuffle {
            session: named(session)?,
            on,
        },
        Call::Active | Call::Restore(_) | Call::QueueNext { .. } | Call::QueueLast { .. } => {
            return Err(Failure::Refused);
        }
    })
}

/// The answer as the core sees it; `asked` is the session whose queue was asked about.
pub(super) fn answer(result: Result<Reply, Failure>, asked: Option<SessionKey>, catalogue: &mut Catalogue) -> Answer {
    match (result, asked) {
        (Ok(Reply::Opened(opened)), _) => {
            let session = catalogue.session(&opened.session);
            Answer::Opened {
                session,
                entries: catalogue.entries(session, opened.playables),
            }
        }
        (Ok(Reply::Listed(playables)), Some(session)) => Answer::Listed(catalogue.entries(session, playables)),
        (Ok(Reply::Done), _) => Answer::Done,
        (Ok(Reply::Listed(_) | Reply::Sessions(_)), _) => Answer::Failed(Failure::Garbled),
        (Err(failure), _) => Answer::Failed(failure),
    }
}

/// The session a call asks about.
pub(super) fn asked_session(call: Call) -> Option<SessionKey> {
    match call {
        Call::Create { .. } | Call::Active | Call::Restore(_) => None,
        Call::Current(session)
        | Call::Next { session, .. }
        | Call::Previous { session, .. }
        | Call::Loop { session, .. }
        | Call::Shuffle { session, .. }
        | Call::QueueNext { session, .. }
        | Call::QueueLast { session, .. } => Some(session),
    }
}
