//! From the adapters' words to the core's inputs, and from the core's calls to the service's questions.

use tonearm_core::effect::Call;
use tonearm_core::id::SessionKey;
use tonearm_core::input::{Answer, Failure};

use super::catalogue::Catalogue;
use crate::service::{Question, Reply};

/// The question a call stands for.
///
/// # Errors
/// How the call fails instead: the catalogue no longer has what it names, so that repeating it is no use.
pub fn question(call: Call, catalogue: &Catalogue) -> Result<Question, Failure> {
    let gone = || {
        log::error!("a call names something that is not known any more: {call:?}");
        Failure::Refused
    };
    let named = |session: SessionKey| catalogue.session_name(session).map(str::to_owned).ok_or_else(gone);
    Ok(match call {
        Call::Create { source, mode } => Question::Create {
            play: catalogue.source(source).ok_or_else(gone)?.clone(),
            mode,
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
        Call::Active => Question::Active,
        Call::Restore(entry) => Question::Restore {
            reference: catalogue.known(entry).ok_or_else(gone)?.playable.reference.clone(),
        },
        Call::QueueNext { session, source } => Question::QueueNext {
            session: named(session)?,
            play: catalogue.source(source).ok_or_else(gone)?.clone(),
        },
        Call::QueueLast { session, source } => Question::QueueLast {
            session: named(session)?,
            play: catalogue.source(source).ok_or_else(gone)?.clone(),
        },
    })
}

/// The answer to a call as the core sees it; `device` is the service's name of this one.
pub fn answer(call: Call, result: Result<Reply, Failure>, device: &str, catalogue: &mut Catalogue) -> Answer {
    match (result, asked_session(call)) {
        (Ok(Reply::Opened(opened)), _) => {
            let session = catalogue.session(&opened.session);
            if let Call::Restore(entry) = call {
                catalogue.moved(entry, session);
            }
            Answer::Opened {
                session,
                entries: catalogue.entries(session, opened.playables),
            }
        }
        (Ok(Reply::Listed(playables)), Some(session)) => Answer::Listed(catalogue.entries(session, playables)),
        (Ok(Reply::Sessions(mut sessions)), _) => {
            sessions.retain(|session| session.device.as_deref() != Some(device));
            Answer::Sessions(catalogue.elsewhere(sessions))
        }
        (Ok(Reply::Done), _) => Answer::Done,
        (Ok(Reply::Listed(_)), None) => Answer::Failed(Failure::Garbled),
        (Err(failure), _) => Answer::Failed(failure),
    }
}

/// The session a call asks about.
fn asked_session(call: Call) -> Option<SessionKey> {
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
