//! Each refusal of the contract, and each way of not answering, upon every operation: what the product's client makes
//! of it, over real HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use tonearm_core::event::What;
use tonearm_core::input::{Failure, Mode, Verdict};
use tonearm_core::unit::Millis;

use super::bench::{Bench, EPOCH_MS};
use crate::service::{Client, EventReport, PlayParams, Question, Reply};
use crate::simulator::Tier;

/// A request that is not answered within this is not answered at all.
const PATIENCE: Duration = Duration::from_millis(300);
/// Longer than any time that the service names here before which it is not to be asked.
const NAMED_MS: i64 = 10_000;

/// Every operation but the event.
fn questions(session: &str, reference: &str, play: &PlayParams) -> Vec<Question> {
    let (session, play) = (|| session.to_owned(), || play.clone());
    vec![
        Question::Create {
            play: play(),
            mode: Mode::Play,
        },
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
        Question::Restore {
            reference: reference.to_owned(),
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
            on: true,
        },
    ]
}

/// Plans `fault` for one request after the other and asks every operation: each must come back as `expected`.
fn every_operation(fault: &Value, expected: impl Fn(&Question) -> Option<Failure>, event: Verdict) {
    let bench = Bench::start(Tier::Unlimited, 1);
    let mut client = bench.client(PATIENCE);
    let album = bench.album();
    let Ok(Reply::Opened(opened)) = client.ask(&questions("", "", &album)[0]) else {
        panic!("no session");
    };
    let first = &opened.playables[0];
    let met_by = |scope: &str, count: usize| {
        let mut fault = fault.clone();
        fault["scope"] = json!(scope);
        fault["count"] = json!(count);
        bench.hand.fault(&fault);
    };
    let mut now_ms = 0;
    for question in questions(&opened.session, &first.reference, &album) {
        // A refused creation is asked again without a limit.
        let again = question.operation() == "create" && fault["status"] == 400;
        met_by("queue", if again { 2 } else { 1 });
        let failure = client.ask(&question).err().map(|refusal| refusal.failure);
        assert_eq!(failure, expected(&question), "{question:?}");
        bench.all_is_well();
        now_ms += NAMED_MS;
        bench.set_time(EPOCH_MS + now_ms);
    }
    met_by("events", 1);
    let start = EventReport {
        session: opened.session.clone(),
        reference: first.reference.clone(),
        metric_id: first.metric_id.clone(),
        wall_ms: EPOCH_MS + now_ms,
        zone: "+01:00".to_owned(),
        initial_delay: Millis(40),
        what: What::Start { offset: Millis(0) },
        take_over: false,
    };
    let said = client.report(std::slice::from_ref(&start));
    let verdict = said.map_or_else(|refusal| refusal.verdict(), |()| Verdict::Accepted);
    assert_eq!(verdict, event);
    bench.set_time(EPOCH_MS + now_ms + NAMED_MS);
    settle(&client, &start, verdict);
    assert_eq!(bench.hand.found(), Vec::<String>::new());
}

/// What was kept is sent again, the same, and accepted.
fn settle(client: &Client, start: &EventReport, verdict: Verdict) {
    match verdict {
        Verdict::Accepted | Verdict::Refused | Verdict::Folded(_) => {}
        Verdict::Failed(_) => assert!(client.report(std::slice::from_ref(start)).is_ok()),
    }
}

fn status(status: u16, code: &str) -> Value {
    json!({"kind": "status", "status": status, "code": code})
}

/// The same failure for every operation, and what it means for an event.
fn all_fail(fault: &Value, failure: Failure) {
    let event = match failure {
        Failure::Forbidden | Failure::Refused | Failure::NotFound => Verdict::Refused,
        Failure::Unreachable
        | Failure::WrongClock
        | Failure::Busy { .. }
        | Failure::Unauthorised
        | Failure::TakenOver
        | Failure::Garbled => Verdict::Failed(failure),
    };
    every_operation(fault, |_| Some(failure), event);
}

#[test]
fn bad_request_is_refused_for_good() {
    all_fail(&status(400, "BAD_REQUEST"), Failure::Refused);
}

#[test]
fn invalid_auth_type_means_not_linked() {
    all_fail(&status(401, "INVALID_AUTH_TYPE"), Failure::Unauthorised);
}

#[test]
fn invalid_auth_token_means_not_linked() {
    all_fail(&status(401, "INVALID_AUTH_TOKEN"), Failure::Unauthorised);
}

#[test]
fn invalid_access_token_means_not_linked() {
    all_fail(&status(401, "INVALID_ACCESS_TOKEN"), Failure::Unauthorised);
}

#[test]
fn auth_no_music_account_found_is_forbidden() {
    all_fail(&status(403, "AUTH_NO_MUSIC_ACCOUNT_FOUND"), Failure::Forbidden);
}

#[test]
fn denied_subscription_tier_is_forbidden() {
    all_fail(&status(403, "DENIED_SUBSCRIPTION_TIER"), Failure::Forbidden);
}

#[test]
fn access_denied_is_forbidden() {
    all_fail(&status(403, "ACCESS_DENIED"), Failure::Forbidden);
}

/// `ends`: the operation whose list ends by this code. Everywhere else something is missing.
fn not_found(code: &str, ends: Option<&str>) {
    let expected = |question: &Question| (Some(question.operation()) != ends).then_some(Failure::NotFound);
    every_operation(&status(404, code), expected, Verdict::Refused);
}

#[test]
fn resource_not_found_says_that_something_is_missing() {
    not_found("RESOURCE_NOT_FOUND", None);
}

#[test]
fn no_more_next_entity_ends_a_list() {
    not_found("NO_MORE_NEXT_ENTITY", Some("next"));
}

#[test]
fn no_more_previous_entity_begins_a_list() {
    not_found("NO_MORE_PREVIOUS_ENTITY", Some("previous"));
}

#[test]
fn max_concurrency_reached_means_another_device() {
    all_fail(&status(422, "MAX_CONCURRENCY_REACHED"), Failure::TakenOver);
}

#[test]
fn max_concurrency_reached_with_429_means_another_device() {
    all_fail(&status(429, "MAX_CONCURRENCY_REACHED"), Failure::TakenOver);
}

#[test]
fn throttled_means_later() {
    all_fail(&status(429, "THROTTLED"), Failure::Busy { retry_after: None });
}

#[test]
fn throttled_with_retry_after_means_not_before() {
    let retry_after = Some(Millis(7_000));
    let fault = json!({"kind": "status", "status": 429, "code": "THROTTLED", "retry_after_s": 7});
    all_fail(&fault, Failure::Busy { retry_after });
}

#[test]
fn internal_means_later() {
    all_fail(&status(500, "INTERNAL"), Failure::Busy { retry_after: None });
}

#[test]
fn dependency_means_later() {
    all_fail(&status(500, "DEPENDENCY"), Failure::Busy { retry_after: None });
}

#[test]
fn unavailable_with_retry_after_means_not_before() {
    let retry_after = Some(Millis(2_000));
    let fault = json!({"kind": "status", "status": 503, "retry_after_s": 2});
    all_fail(&fault, Failure::Busy { retry_after });
}

#[test]
fn a_redirect_is_not_followed() {
    all_fail(&status(302, "MOVED"), Failure::Unreachable);
}

#[test]
fn no_answer_means_that_nobody_was_reached() {
    all_fail(&json!({"kind": "black_hole"}), Failure::Unreachable);
}

#[test]
fn a_closed_connection_means_that_nobody_was_reached() {
    all_fail(&json!({"kind": "close"}), Failure::Unreachable);
}

#[test]
fn a_lost_answer_means_that_nobody_was_reached() {
    all_fail(&json!({"kind": "answer_lost"}), Failure::Unreachable);
}

#[test]
fn garbage_is_told_from_an_answer_where_an_answer_is_needed() {
    let expected = |question: &Question| match question.operation() {
        "loop" | "shuffle" | "queue next" | "queue last" => None,
        _ => Some(Failure::Garbled),
    };
    every_operation(&json!({"kind": "garbage"}), expected, Verdict::Accepted);
}

#[test]
fn a_late_answer_is_an_answer() {
    every_operation(&json!({"kind": "delay", "ms": 60}), |_| None, Verdict::Accepted);
}
