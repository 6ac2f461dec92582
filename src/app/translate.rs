//! From the adapters' words to the core's inputs, and from the core's effects to the adapters' words. It reads no clock
//! and does nothing.

use tonearm_core::effect::{Bookmark, Call};
use tonearm_core::event::{Claim, Event};
use tonearm_core::id::SessionKey;
use tonearm_core::input::{Answer, Failure};

use super::catalogue::Catalogue;
use crate::journal::Record;
use crate::service::{EventReport, Question, Reply};
use crate::state::{Saved, SavedPlace};

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

/// When and where an event is recorded, as far as the outside knows it.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Which run of the board.
    pub boot: [u8; 16],
    /// Wall-clock time of the event, epoch milliseconds, if the clock is right.
    pub wall_ms: Option<i64>,
    /// Offset of the time zone from UTC at that moment.
    pub zone_minutes: i16,
}

/// An event as it is stored.
pub fn record(event: &Event, stamp: Stamp, catalogue: &Catalogue) -> Record {
    let known = catalogue.known(event.entry).map(|known| &known.playable);
    let session = catalogue.session_name(event.session).unwrap_or_default();
    Record {
        seq: event.seq,
        boot: stamp.boot,
        at: event.at,
        wall_ms: stamp.wall_ms,
        zone_minutes: stamp.zone_minutes,
        session: session.to_owned(),
        reference: known.map(|playable| playable.reference.clone()).unwrap_or_default(),
        metric_id: known.and_then(|playable| playable.metric_id.clone()),
        initial_delay: event.initial_delay,
        what: event.what,
        claim: event.claim,
    }
}

/// A stored event as it is reported, with the wall-clock time that is believed by then.
pub fn report(record: Record, wall_ms: i64) -> EventReport {
    EventReport {
        wall_ms,
        zone: zone(record.zone_minutes),
        session: record.session,
        reference: record.reference,
        metric_id: record.metric_id,
        initial_delay: record.initial_delay,
        take_over: record.claim == Claim::TakesOver,
        what: record.what,
    }
}

/// What is to be known after a restart, in words that mean something then. A place that has lost its names is none.
pub fn saved(bookmark: Bookmark, catalogue: &Catalogue) -> Saved {
    let place = bookmark.place.and_then(|place| {
        let known = &catalogue.known(place.entry)?.playable;
        Some(SavedPlace {
            session: catalogue.session_name(place.session)?.to_owned(),
            reference: known.reference.clone(),
            metric_id: known.metric_id.clone(),
            position_ms: place.position.0,
        })
    });
    Saved {
        place,
        playing: bookmark.playing,
        volume: bookmark.volume,
        shuffle: bookmark.shuffle,
        looping: bookmark.looping,
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

/// An offset from UTC as the service writes it: `+01:00`.
fn zone(minutes: i16) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::zone;

    #[test]
    fn a_zone_is_written_with_sign_hours_and_minutes() {
        assert_eq!(zone(0), "+00:00");
        assert_eq!(zone(-480), "-08:00");
        assert_eq!(zone(345), "+05:45");
        assert_eq!(zone(-30), "-00:30");
    }
}
