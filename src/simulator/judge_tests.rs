//! Each finding, and what a good client may do without one.

use super::*;

const T: i64 = 1_700_000_000_000;
const FACTS: Facts<'static> = Facts {
    reference: "0:a",
    duration_ms: Some(60_000),
    exact: true,
    distance: 0,
    passed: None,
    passes_ad: false,
    denied: Denied {
        next: None,
        previous: None,
        scrub: None,
    },
    last_call_ms: None,
};

fn event(at_ms: i64, what: What) -> Event {
    Event {
        metric: "m".to_owned(),
        reference: None,
        session: None,
        at_ms,
        what,
    }
}

fn start(at_ms: i64, offset_ms: f64) -> Event {
    event(at_ms, What::Start { offset_ms })
}

fn stop(at_ms: i64, reason: Reason, played_s: i64, progress_s: f64) -> Event {
    event(
        at_ms,
        What::Stop {
            reason,
            played_s,
            progress_s,
        },
    )
}

fn codes(events: &[(Event, Facts<'_>)]) -> Vec<Code> {
    let mut history = History::default();
    events
        .iter()
        .flat_map(|(event, facts)| history.judge(event, *facts).violations)
        .map(|violation| violation.code)
        .collect()
}

#[test]
fn a_good_pair_has_no_finding() {
    assert_eq!(
        codes(&[
            (start(T, 0.0), FACTS),
            (stop(T + 60_000, Reason::Finished, 60, 60.0), FACTS)
        ]),
        []
    );
}

#[test]
fn a_stop_without_a_start_is_found_and_refused() {
    let judgement = History::default().judge(&stop(T, Reason::Paused, 0, 0.0), FACTS);
    assert_eq!(judgement.violations[0].code, Code::StopWithoutStart);
    assert_eq!(judgement.refused, Some(Refused::Senseless));
}

#[test]
fn two_starts_in_a_row_are_found() {
    assert_eq!(
        codes(&[(start(T, 0.0), FACTS), (start(T + 1, 0.0), FACTS)]),
        [Code::StartWhileOpen]
    );
}

#[test]
fn time_that_runs_backwards_is_found() {
    let events = [(start(T, 0.0), FACTS), (stop(T - 1, Reason::Paused, 0, 0.0), FACTS)];
    assert_eq!(codes(&events), [Code::TimeBackwards]);
}

#[test]
fn playing_longer_than_time_went_by_is_found() {
    let events = [
        (start(T, 0.0), FACTS),
        (stop(T + 5_000, Reason::Paused, 30, 30.0), FACTS),
    ];
    assert_eq!(codes(&events), [Code::DurationImpossible]);
}

#[test]
fn a_position_that_was_not_played_to_is_found() {
    let events = [
        (start(T, 10_000.0), FACTS),
        (stop(T + 5_000, Reason::Paused, 5, 40.0), FACTS),
    ];
    assert_eq!(codes(&events), [Code::DurationImpossible]);
}

#[test]
fn positions_beyond_the_end_are_found() {
    assert_eq!(codes(&[(start(T, 70_000.0), FACTS)]), [Code::ProgressImpossible]);
    let events = [
        (start(T, 50_000.0), FACTS),
        (stop(T + 20_000, Reason::Paused, 20, 70.0), FACTS),
    ];
    assert_eq!(codes(&events), [Code::ProgressImpossible]);
}

#[test]
fn an_early_end_is_found_where_the_length_is_exact() {
    let guessed = Facts { exact: false, ..FACTS };
    let early = stop(T + 30_000, Reason::Finished, 30, 30.0);
    assert_eq!(
        codes(&[(start(T, 0.0), FACTS), (early.clone(), FACTS)]),
        [Code::FinishedEarly]
    );
    assert_eq!(codes(&[(start(T, 0.0), guessed), (early, guessed)]), []);
}

#[test]
fn leaving_out_an_advertisement_is_found() {
    assert_eq!(
        codes(&[(
            start(T, 0.0),
            Facts {
                passes_ad: true,
                distance: 2,
                ..FACTS
            }
        )]),
        [Code::AdPassed]
    );
}

#[test]
fn going_on_with_the_wrong_entry_is_found_unless_somebody_may_have_pressed() {
    let passed = Facts {
        distance: 2,
        passed: Some(Code::EntryPassed),
        ..FACTS
    };
    let after = |reason, ms| {
        let end = stop(T + 60_000, reason, 60, 60.0);
        codes(&[
            (start(T, 0.0), FACTS),
            (end, FACTS),
            (start(T + 60_000 + ms, 0.0), passed),
        ])
    };
    assert_eq!(after(Reason::Finished, 0), [Code::EntryPassed]);
    assert_eq!(after(Reason::Finished, 400), []);
    assert_eq!(after(Reason::Next, 0), []);
}

#[test]
fn reaching_further_than_any_answer_is_found() {
    assert_eq!(codes(&[(start(T, 0.0), Facts { distance: 10, ..FACTS })]), []);
    assert_eq!(
        codes(&[(start(T, 0.0), Facts { distance: 11, ..FACTS })]),
        [Code::OutOfReach]
    );
}

#[test]
fn a_skip_that_is_not_allowed_is_found_and_still_closes_the_pair() {
    for (why, code) in [
        ("NO_MORE_SKIPS", Code::SkipLimit),
        ("FEATURE_NOT_AVAILABLE", Code::ActionDenied),
    ] {
        let denied = Facts {
            denied: Denied {
                next: Some(why),
                ..Denied::default()
            },
            ..FACTS
        };
        let mut history = History::default();
        history.judge(&start(T, 0.0), denied);
        let judgement = history.judge(&stop(T + 1_000, Reason::Next, 1, 1.0), denied);
        assert_eq!(judgement.violations[0].code, code);
        assert_eq!(judgement.refused, Some(Refused::NotAllowed(why)));
        assert!(judgement.pair && history.sounding().is_none());
    }
}

#[test]
fn a_queue_call_before_an_older_event_is_found_except_after_a_power_cut() {
    let overtaken = Facts {
        last_call_ms: Some(T + 9_000),
        ..FACTS
    };
    assert_eq!(codes(&[(start(T, 0.0), overtaken)]), [Code::EventOvertaken]);
    let events = [
        (start(T, 0.0), FACTS),
        (stop(T + 1_000, Reason::System, 1, 1.0), overtaken),
    ];
    assert_eq!(codes(&events), []);
}
