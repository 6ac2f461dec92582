//! How the session looks from outside: status, words for people, and what the page asks in the core's words.

use tonearm_core::entry::Kind;
use tonearm_core::id::{SessionKey, SourceKey};
use tonearm_core::input::{self, Press};
use tonearm_core::refusal::{Notice, Problem, Refusal};
use tonearm_core::unit::Moment;
use tonearm_core::{Reach, Session, State, View};

use super::Adapters;
use super::catalogue::{Catalogue, UNTITLED};
use crate::audio::Chime;
use crate::device::clock::{Reading, Trust};
use crate::journal;
use crate::media::Level;
use crate::page::{
    self, Account, Action, Actions, Button, Item, Link, Load, Now, Offer, Outbox, Place, Queue, Queued, Reason, Status,
};
use crate::service::{PlayParams, Playable};

/// Entries of the queue that are shown before the current one.
const QUEUE_BEFORE_MAX: usize = 20;
/// Entries of the queue that are shown at once: some pages of a telephone's screen, and a few ten KiB.
const QUEUE_SHOWN_MAX: usize = 200;

/// The press a button of the page means.
pub(super) fn press(button: Button) -> Press {
    match button {
        Button::Play => Press::Play,
        Button::Next => Press::Next,
        Button::Previous => Press::Previous,
        Button::VolumeUp => Press::VolumeUp,
        Button::VolumeDown => Press::VolumeDown,
        Button::Shuffle => Press::Shuffle,
        Button::Loop => Press::Loop,
        Button::TakeOver => Press::TakeOver,
        Button::Preset(number) => Press::Preset(number),
    }
}

/// The press that puts something given on the page into the queue.
pub(super) fn enqueue(source: SourceKey, place: Place) -> Press {
    match place {
        Place::Next => Press::QueueNext(source),
        Place::Last => Press::QueueLast(source),
    }
}

/// What the page asks for in the service's words.
pub(super) fn play_params(play: page::PlayParams) -> PlayParams {
    let page::PlayParams { id, container_ids } = play;
    PlayParams { id, container_ids }
}

/// The part of the service's queue around the entry with the reference `current`; the first part if that is not in it.
pub(super) fn queue(playables: Vec<Playable>, current: Option<&str>) -> Queue {
    let total = playables.len();
    let place = playables
        .iter()
        .position(|playable| Some(playable.reference.as_str()) == current);
    let before = place.unwrap_or(0).saturating_sub(QUEUE_BEFORE_MAX);
    let part = playables.into_iter().skip(before).take(QUEUE_SHOWN_MAX);
    let entries: Vec<Queued> = part.map(queued).collect();
    Queue {
        current: place.map(|place| place - before),
        before,
        after: total - before - entries.len(),
        entries,
    }
}

fn queued(playable: Playable) -> Queued {
    Queued {
        title: playable.title.unwrap_or_else(|| UNTITLED.to_owned()),
        artist: playable.artist.unwrap_or_default(),
        kind: kind(playable.kind),
        duration_ms: playable.duration.map(|duration| duration.0),
    }
}

/// A notice in words, for the log.
pub(super) fn told(notice: Notice) -> String {
    match notice {
        Notice::Refused(refusal) => format!("a press was refused: {}", Reason::from(refusal).text),
        Notice::VolumeEnd => "the volume is at its end".to_owned(),
        Notice::QueueEnded => "the queue ends here".to_owned(),
        Notice::RanDry => {
            "what was loaded is played, and nobody can be reached for more; it goes on by itself".to_owned()
        }
        Notice::TakenOver => "another device took over the stream".to_owned(),
        Notice::Linked => "an account is linked".to_owned(),
        Notice::Unlinked => "the account is not linked any more".to_owned(),
        Notice::NoLicence => "an entry ended early: it is encrypted and its key did not come".to_owned(),
    }
}

/// A notice as a sound: there is no screen.
pub(super) fn sounded(notice: Notice) -> Chime {
    match notice {
        Notice::Refused(Refusal::NoNetwork) | Notice::RanDry => Chime::Offline,
        Notice::Refused(Refusal::Denied(_) | Refusal::NothingPlaying | Refusal::NoSuchPreset | Refusal::Leaving) => {
            Chime::Refused
        }
        Notice::VolumeEnd => Chime::VolumeEnd,
        Notice::QueueEnded => Chime::QueueEnded,
        Notice::TakenOver => Chime::TakenOver,
        Notice::Linked => Chime::Linked,
        Notice::NoLicence => Chime::NoLicence,
        Notice::Unlinked | Notice::Refused(Refusal::NotLinked) => Chime::LinkNeeded,
    }
}

/// A problem as a sound, when it comes. `None`: a notice tells of it, no sound can (no device), or music goes on and the
/// light says enough.
pub(super) fn alarm(problem: Problem) -> Option<Chime> {
    match problem {
        Problem::NotLinked | Problem::Linking => Some(Chime::LinkNeeded),
        Problem::WrongClock | Problem::ServiceRefused | Problem::ManyUnplayable | Problem::StorageFailed => {
            Some(Chime::Problem)
        }
        Problem::Offline
        | Problem::TakenOver
        | Problem::EntryUnplayable
        | Problem::NoLicence
        | Problem::NoSoundDevice => None,
    }
}

/// Everything the page shows.
pub(super) fn status(
    session: &Session,
    catalogue: &Catalogue,
    adapters: &Adapters,
    boot: journal::Boot,
    now: Moment,
) -> Status {
    let view = session.view(now);
    let levels = adapters.library.levels();
    let item = |entry: &tonearm_core::entry::Entry| {
        let level = levels.iter().find(|level| level.entry == entry.key);
        Item {
            title: catalogue.title(entry.key).to_owned(),
            kind: kind(entry.kind),
            loaded_ms: level.and_then(|level| level.loaded).map_or(0, |loaded| loaded.0),
            state: level.map_or(Load::Waiting, loading),
        }
    };
    let entry = view.entries.get(view.cursor).map(|entry| Now {
        title: catalogue.title(entry.key).to_owned(),
        artist: catalogue.artist(entry.key).unwrap_or_default().to_owned(),
        kind: kind(entry.kind),
        position_ms: view.position.0,
        duration_ms: entry.duration.map(|duration| duration.0),
    });
    Status {
        state: state(view.state),
        volume: view.volume,
        shuffle: view.shuffle,
        looping: view.looping,
        window: view.entries.iter().map(item).collect(),
        cursor: entry.is_some().then_some(view.cursor),
        entry,
        outbox: outbox(&view, adapters, boot, now),
        link: match view.reach {
            Reach::Up => Link::Up,
            Reach::Down => Link::Down,
        },
        account: account(session, &view),
        linking: None,
        account_problem: None,
        actions: actions(session, now),
        problem: view.problem.map(page::Fault::from),
        offer: view.offer.and_then(|session| offer(session, catalogue)),
        upsell: None,
    }
}

fn offer(session: SessionKey, catalogue: &Catalogue) -> Option<Offer> {
    let offered = catalogue.offered(session)?;
    Some(Offer {
        title: offered.title.clone().unwrap_or_else(|| UNTITLED.to_owned()),
        device: offered.device.clone(),
    })
}

fn kind(kind: Kind) -> String {
    page::kind_name(kind).to_owned()
}

fn state(state: State) -> page::State {
    match state {
        State::Stopped => page::State::Stopped,
        State::Buffering => page::State::Buffering,
        State::Playing => page::State::Playing,
        State::Paused => page::State::Paused,
    }
}

fn loading(level: &Level) -> Load {
    if level.failed.is_some() {
        Load::Failed
    } else if level.complete {
        Load::Loaded
    } else if level.bytes == 0 {
        Load::Waiting
    } else {
        Load::Loading
    }
}

/// The session counts what waits; the journal knows how old it is and what was set aside.
fn outbox(view: &View<'_>, adapters: &Adapters, boot: journal::Boot, now: Moment) -> Outbox {
    let summary = adapters.journal.summary();
    // Asked after every input: the clock is only looked at when something waits.
    let age = |oldest: journal::Oldest| {
        let reading = Reading::take();
        let wall_now_ms = (reading.trust == Trust::Synchronised).then_some(reading.wall_ms);
        oldest.age(boot, now, wall_now_ms)
    };
    let oldest = summary.oldest.filter(|_| view.waiting > 0);
    Outbox {
        waiting: view.waiting.saturating_sub(summary.folded_waiting),
        set_aside: summary.set_aside,
        folded: summary.folded,
        oldest_age_s: oldest.and_then(age).map(|age| age.as_secs()),
    }
}

fn account(session: &Session, view: &View<'_>) -> Account {
    match (view.account, view.problem, session.service_session()) {
        (input::Account::Linking, _, _) => Account::Linking,
        (input::Account::Unlinked, _, _) | (_, Some(Problem::NotLinked), _) => Account::NotLinked,
        (input::Account::Linked, _, Some(_)) => Account::Linked,
        (input::Account::Linked, _, None) => Account::Unknown,
    }
}

fn actions(session: &Session, now: Moment) -> Actions {
    let action = |press| {
        let availability = session.availability(press, now);
        Action {
            allowed: availability.permitted.is_ok(),
            reason: availability.permitted.err().map(|refusal| Reason::from(refusal).text),
            remaining: availability.remaining,
        }
    };
    Actions {
        next: action(Press::Next),
        previous: action(Press::Previous),
        scrub_forward: action(Press::ScrubForward),
        scrub_backward: action(Press::ScrubBackward),
        looping: action(Press::Loop),
        shuffle: action(Press::Shuffle),
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::bare;
    use super::*;

    fn part(total: usize, current: &str) -> Queue {
        let playable = |number| {
            let reference = format!("r-{number}");
            Playable {
                title: Some(reference.clone()),
                ..bare(&reference)
            }
        };
        queue((0..total).map(playable).collect(), Some(current))
    }

    #[test]
    fn a_short_queue_is_shown_whole() {
        let queue = part(3, "r-1");
        assert_eq!((queue.entries.len(), queue.current), (3, Some(1)));
        assert_eq!((queue.before, queue.after), (0, 0));
    }

    #[test]
    fn of_a_long_queue_the_part_around_the_current_entry_is_shown() {
        let queue = part(1_000, "r-500");
        assert_eq!(queue.entries[queue.current.unwrap()].title, "r-500");
        assert_eq!((queue.before, queue.entries.len(), queue.after), (480, 200, 320));
    }

    #[test]
    fn a_queue_without_the_current_entry_is_shown_from_its_start() {
        let queue = part(300, "gone");
        assert_eq!((queue.current, queue.before, queue.after), (None, 0, 100));
    }
}
