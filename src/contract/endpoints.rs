//! Each operation of the contract by the product's client against the simulator: what comes back is what the service
//! has, and the judge finds nothing.

use std::time::Duration;

use tonearm_core::entry::{Denial, Kind, Permission};
use tonearm_core::event::{StopReason, What};
use tonearm_core::input::{Failure, Mode, Verdict};
use tonearm_core::unit::Millis;

use super::bench::{Bench, EPOCH_MS};
use crate::service::{Client, EventReport, PlayParams, Playable, Question, Reply};
use crate::simulator::Tier;

/// Longer than any answer here takes; a hang is a failure and not a wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client with a session of the album.
struct Listener {
    bench: Bench,
    client: Client,
    session: String,
    entries: Vec<Playable>,
    /// Wall clock since the beginning.
    now_ms: i64,
}

impl Listener {
    fn opening(tier: Tier, mode: Mode) -> Self {
        let bench = Bench::start(tier, 1);
        let mut client = bench.client(PATIENCE);
        let play = bench.album();
        let opened = match client.ask(&create(play, mode)) {
            Ok(Reply::Opened(opened)) => opened,
            other => panic!("{other:?}"),
        };
        Self {
            bench,
            client,
            session: opened.session,
            entries: opened.playables,
            now_ms: 0,
        }
    }

    fn playing() -> Self {
        Self::opening(Tier::Unlimited, Mode::Play)
    }

    fn session(&self) -> String {
        self.session.clone()
    }

    fn ask(&mut self, question: &Question) -> Result<Reply, Failure> {
        self.client.ask(question).map_err(|refusal| refusal.failure)
    }

    fn list(&mut self, question: &Question) -> Vec<Playable> {
        match self.ask(question) {
            Ok(Reply::Listed(entries)) => entries,
            other => panic!("{question:?}: {other:?}"),
        }
    }

    fn next(&mut self) -> Vec<Playable> {
        let session = self.session();
        self.list(&Question::Next { session, limit: 10 })
    }

    fn report(&mut self, entry: &Playable, what: What) -> Verdict {
        let report = EventReport {
            session: self.session(),
            reference: entry.reference.clone(),
            metric_id: entry.metric_id.clone(),
            wall_ms: EPOCH_MS + self.now_ms,
            zone: "+01:00".to_owned(),
            initial_delay: Millis(40),
            what,
            take_over: false,
        };
        let sent = self.client.report(&[report]);
        sent.map_or_else(|refusal| refusal.verdict(), |()| Verdict::Accepted)
    }

    fn start(&mut self, entry: &Playable) -> Verdict {
        self.report(entry, What::Start { offset: Millis(0) })
    }

    /// It sounded for so long and was stopped.
    fn stop(&mut self, entry: &Playable, reason: StopReason, played: Millis) -> Verdict {
        self.now_ms += i64::from(played.0);
        self.bench.set_time(EPOCH_MS + self.now_ms);
        let what = What::Stop {
            reason,
            played,
            progress: played,
            rebuffers: 0,
        };
        self.report(entry, what)
    }

    fn found_nothing(&self) {
        assert_eq!(self.bench.hand.found(), Vec::<String>::new());
    }
}

fn create(play: PlayParams, mode: Mode) -> Question {
    Question::Create { play, mode }
}

fn references(entries: &[Playable]) -> Vec<&str> {
    entries.iter().map(|entry| entry.reference.as_str()).collect()
}

fn titles(entries: &[Playable]) -> Vec<&str> {
    entries.iter().filter_map(|entry| entry.title.as_deref()).collect()
}

#[test]
fn create_plays_the_album_in_its_order() {
    let listener = Listener::playing();
    assert_eq!(
        titles(&listener.entries),
        ["First Light", "Slow Water", "Rope and Bell", "Far Shore", "Lanterns"]
    );
    let first = &listener.entries[0];
    assert_eq!((first.kind, first.actions.next), (Kind::Track, Permission::FREE));
    assert!(first.stream.is_some() && first.metric_id.is_some() && first.duration.is_some());
    listener.found_nothing();
}

#[test]
fn create_mixes_the_album_if_asked_to() {
    let mixed = Listener::opening(Tier::Unlimited, Mode::Shuffle);
    let plain = Listener::playing();
    let mut both = [titles(&mixed.entries), titles(&plain.entries)];
    assert_ne!(both[0], both[1]);
    for titles in &mut both {
        titles.sort_unstable();
    }
    assert_eq!(both[0], both[1]);
    mixed.found_nothing();
}

#[test]
fn create_begins_a_station_with_an_interlude_and_without_an_end() {
    let mut listener = Listener::opening(Tier::Unlimited, Mode::Station);
    assert_eq!(listener.entries[0].kind, Kind::Interlude);
    assert_eq!(listener.next().len(), 10);
    listener.found_nothing();
}

#[test]
fn create_hands_out_advertisements_that_allow_nothing() {
    let mut listener = Listener::opening(Tier::Free, Mode::Play);
    let ad = listener
        .next()
        .into_iter()
        .find(|entry| entry.kind == Kind::Ad)
        .unwrap();
    assert_eq!(ad.actions.next, Permission::Denied(Denial::NeedsSubscription));
    assert_eq!(ad.actions.scrub_forward, Permission::Denied(Denial::NeedsSubscription));
    listener.found_nothing();
}

#[test]
fn create_of_a_mode_the_plan_does_not_have_is_forbidden() {
    let mut listener = Listener::opening(Tier::Free, Mode::Play);
    let album = listener.bench.album();
    let answer = listener.ask(&create(album, Mode::Shuffle));
    assert_eq!(answer, Err(Failure::Forbidden));
    listener.found_nothing();
}

#[test]
fn create_of_what_is_not_there_is_not_found() {
    let mut listener = Listener::playing();
    let nothing = PlayParams {
        id: Some("mrn:1.0:nothing".to_owned()),
        container_ids: Vec::new(),
    };
    let answer = listener.ask(&create(nothing, Mode::Play));
    assert_eq!(answer, Err(Failure::NotFound));
    listener.found_nothing();
}

#[test]
fn current_follows_the_start_events_and_nothing_else() {
    let mut listener = Listener::playing();
    let question = Question::Current {
        session: listener.session(),
    };
    let second = listener.entries[1].clone();
    listener.next();
    assert_eq!(
        references(&listener.list(&question)),
        [listener.entries[0].reference.as_str()]
    );
    listener.start(&second);
    assert_eq!(references(&listener.list(&question)), [second.reference.as_str()]);
    listener.found_nothing();
}

#[test]
fn next_lists_what_follows_the_nearest_first() {
    let mut listener = Listener::playing();
    let next = listener.next();
    assert_eq!(references(&next), references(&listener.entries[1..]));
    let session = listener.session();
    let one = listener.list(&Question::Next { session, limit: 1 });
    assert_eq!(references(&one), [listener.entries[1].reference.as_str()]);
    listener.found_nothing();
}

#[test]
fn next_is_empty_at_the_end_of_the_queue() {
    let mut listener = Listener::playing();
    let last = listener.entries[4].clone();
    listener.start(&last);
    assert_eq!(listener.next(), []);
    listener.found_nothing();
}

#[test]
fn previous_lists_what_was_before_the_nearest_first() {
    let mut listener = Listener::playing();
    let third = listener.entries[2].clone();
    let session = listener.session();
    let question = Question::Previous { session, limit: 2 };
    assert_eq!(listener.list(&question), [], "nothing is before the first");
    listener.start(&third);
    let before = listener.list(&question);
    let (first, second) = (&listener.entries[0], &listener.entries[1]);
    assert_eq!(
        references(&before),
        [second.reference.as_str(), first.reference.as_str()]
    );
    listener.found_nothing();
}

#[test]
fn queue_lists_everything() {
    let mut listener = Listener::playing();
    let session = listener.session();
    let queue = listener.list(&Question::Queue { session });
    assert_eq!(references(&queue), references(&listener.entries));
    listener.found_nothing();
}

#[test]
fn active_names_the_session_its_entry_and_its_device() {
    let mut listener = Listener::playing();
    let second = listener.entries[1].clone();
    listener.start(&second);
    let Ok(Reply::Sessions(sessions)) = listener.ask(&Question::Active) else {
        panic!("no sessions");
    };
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].session, listener.session);
    assert_eq!(sessions[0].reference, Some(second.reference));
    assert_eq!(sessions[0].title, second.title);
    assert_eq!(sessions[0].device.as_deref(), Some("the-speaker"));
    listener.found_nothing();
}

#[test]
fn restore_brings_the_session_of_an_entry_back() {
    let mut listener = Listener::playing();
    let third = listener.entries[2].reference.clone();
    let Ok(Reply::Opened(restored)) = listener.ask(&Question::Restore {
        reference: third.clone(),
    }) else {
        panic!("not restored");
    };
    assert_eq!(restored.session, listener.session);
    assert_eq!(restored.playables[0].reference, third);
    listener.found_nothing();
}

#[test]
fn restore_of_an_unknown_entry_is_not_found() {
    let mut listener = Listener::playing();
    let reference = "0:nothing".to_owned();
    assert_eq!(listener.ask(&Question::Restore { reference }), Err(Failure::NotFound));
    listener.found_nothing();
}

#[test]
fn queue_next_plays_right_after_the_current_entry() {
    let mut listener = Listener::playing();
    let before = listener.next();
    let (session, play) = (listener.session(), listener.bench.album());
    assert_eq!(listener.ask(&Question::QueueNext { session, play }), Ok(Reply::Done));
    let after = listener.next();
    assert_eq!(titles(&after[..5]), titles(&listener.entries));
    assert_eq!(references(&after[5..]), references(&before));
    listener.found_nothing();
}

#[test]
fn queue_last_plays_at_the_end() {
    let mut listener = Listener::playing();
    let before = listener.next();
    let (session, play) = (listener.session(), listener.bench.album());
    assert_eq!(listener.ask(&Question::QueueLast { session, play }), Ok(Reply::Done));
    let after = listener.next();
    assert_eq!(references(&after[..4]), references(&before));
    assert_eq!(titles(&after[4..]), titles(&listener.entries));
    listener.found_nothing();
}

#[test]
fn loop_repeats_the_queue_and_ends_it_again() {
    let mut listener = Listener::playing();
    let last = listener.entries[4].clone();
    listener.start(&last);
    for (on, follow) in [(true, 10), (false, 0)] {
        let session = listener.session();
        assert_eq!(listener.ask(&Question::Loop { session, on }), Ok(Reply::Done));
        assert_eq!(listener.next().len(), follow, "{on}");
    }
    listener.found_nothing();
}

#[test]
fn shuffle_mixes_what_follows_and_puts_it_back() {
    let mut listener = Listener::playing();
    let in_order = listener.next();
    for on in [true, false] {
        let session = listener.session();
        assert_eq!(listener.ask(&Question::Shuffle { session, on }), Ok(Reply::Done));
        let next = listener.next();
        assert_eq!(references(&next) == references(&in_order), !on, "{on}");
        assert_eq!(next.len(), in_order.len());
    }
    listener.found_nothing();
}

#[test]
fn shuffle_and_loop_that_the_plan_does_not_have_are_forbidden() {
    let mut listener = Listener::opening(Tier::Free, Mode::Play);
    let (session, on) = (listener.session(), true);
    assert_eq!(
        listener.ask(&Question::Shuffle { session, on }),
        Err(Failure::Forbidden)
    );
    let session = listener.session();
    assert_eq!(listener.ask(&Question::Loop { session, on }), Err(Failure::Forbidden));
    listener.found_nothing();
}

#[test]
fn event_pairs_are_accepted_and_counted() {
    let mut listener = Listener::playing();
    for entry in listener.entries.clone() {
        assert_eq!(listener.start(&entry), Verdict::Accepted);
        let length = entry.duration.unwrap();
        assert_eq!(
            listener.stop(&entry, StopReason::TrackFinished, length),
            Verdict::Accepted
        );
    }
    let report = listener.bench.simulator.report();
    assert_eq!((report.tracks, report.events, report.pairs), (5, 10, 5));
    listener.found_nothing();
}

#[test]
fn event_whose_answer_was_lost_is_repeated_byte_for_byte() {
    let mut listener = Listener::playing();
    let first = listener.entries[0].clone();
    let lost = serde_json::json!({"scope": "events", "kind": "answer_lost", "count": 1});
    listener.bench.hand.fault(&lost);
    assert_eq!(listener.start(&first), Verdict::Failed(Failure::Unreachable));
    assert_eq!(listener.start(&first), Verdict::Accepted);
    let report = listener.bench.simulator.report();
    assert_eq!((report.events, report.repeats), (1, 1));
    listener.found_nothing();
}

#[test]
fn event_of_a_skip_counts_it_down_in_the_next_answer() {
    let mut listener = Listener::opening(Tier::Prime, Mode::Play);
    let (first, second) = (listener.entries[0].clone(), listener.entries[1].clone());
    listener.start(&first);
    listener.stop(&first, StopReason::UserNext, Millis(3_000));
    listener.start(&second);
    let remaining = Some(5);
    assert_eq!(listener.next()[0].actions.next, Permission::Allowed { remaining });
    listener.found_nothing();
}

#[test]
fn answers_mean_the_same_in_every_dialect() {
    let mut listener = Listener::playing();
    let third = listener.entries[2].clone();
    listener.start(&third);
    let session = || listener.session.clone();
    let questions = [
        Question::Current { session: session() },
        Question::Next {
            session: session(),
            limit: 10,
        },
        Question::Previous {
            session: session(),
            limit: 2,
        },
        Question::Queue { session: session() },
        Question::Active,
    ];
    let plain: Vec<_> = questions.iter().map(|question| listener.ask(question)).collect();
    assert!(plain.iter().all(Result::is_ok), "{plain:?}");
    for dialect in ["wrapped", "aliases", "floats"] {
        let spoken = serde_json::json!({"dialect": dialect});
        assert_eq!(listener.bench.hand.call("PUT", "/sim/dialect", &spoken).0, 200);
        let other: Vec<_> = questions.iter().map(|question| listener.ask(question)).collect();
        assert_eq!(format!("{other:?}"), format!("{plain:?}"), "{dialect}");
    }
    listener.found_nothing();
}

#[test]
fn the_end_of_the_queue_is_told_in_every_dialect() {
    let (nothing, missing) = (Ok(Reply::Listed(Vec::new())), Err(Failure::NotFound));
    for (dialect, end) in [("wrapped", nothing.clone()), ("aliases", missing), ("floats", nothing)] {
        let mut listener = Listener::playing();
        let last = listener.entries[4].clone();
        listener.start(&last);
        let spoken = serde_json::json!({"dialect": dialect});
        assert_eq!(listener.bench.hand.call("PUT", "/sim/dialect", &spoken).0, 200);
        let session = listener.session();
        // A plain 404 may as well mean that the session is gone: the core asks for the current entry to tell them apart.
        assert_eq!(listener.ask(&Question::Next { session, limit: 10 }), end, "{dialect}");
        listener.found_nothing();
    }
}
