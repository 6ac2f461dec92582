//! Several events in one request.

use super::*;

const PATH: &str = "/v1/playback/events/batch";

fn send(client: &Client, events: &[Value]) -> u16 {
    client.call("POST", PATH, &json!({"events": events})).0
}

/// A session and the events of its first two entries, played to their ends.
fn two_played(simulator: &Simulator) -> (Client, String, Vec<Value>) {
    let client = Client::of(simulator);
    let (id, entries) = client.open(simulator, &json!({}));
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds, as a client reports them")]
    let length = |entry: &Value| entry["entity"]["duration"].as_f64().unwrap() as i64;
    let (first, second) = (length(&entries[0]), length(&entries[1]));
    let events = vec![
        start(&entries[0], 0),
        stop(&entries[0], first, "trackFinished", first),
        start(&entries[1], first),
        stop(&entries[1], first + second, "trackFinished", second),
    ];
    (client, id, events)
}

fn outcomes(client: &Client) -> Vec<Value> {
    let (_, answer) = client.get("/sim/ledger?kind=event");
    let outcome = |record: &Value| record["outcome"].clone();
    answer["records"].as_array().unwrap().iter().map(outcome).collect()
}

#[test]
fn the_events_of_a_batch_are_taken_in_like_single_ones() {
    let simulator = start_simulator(Tier::Unlimited);
    let (client, id, events) = two_played(&simulator);
    assert_eq!(send(&client, &events), 200);
    let report = simulator.report();
    assert_eq!((report.tracks, report.events, report.pairs), (2, 4, 2));
    assert_eq!(client.get(&format!("/v1/playback/sessions/{id}/next")).0, 200);
    assert_eq!(client.found(), Vec::<String>::new());
}

#[test]
fn a_batch_whose_answer_was_lost_may_come_again_with_more_or_singly() {
    let simulator = start_simulator(Tier::Unlimited);
    let (client, _, events) = two_played(&simulator);
    assert_eq!(send(&client, &events[..3]), 200);
    assert_eq!(send(&client, &events), 200);
    for event in &events {
        assert_eq!(client.event(event), 200);
    }
    let once = ["accepted", "accepted", "accepted"];
    let again = ["repeat", "repeat", "repeat", "accepted"];
    assert_eq!(outcomes(&client), [&once[..], &again, &["repeat"; 4]].concat());
    assert_eq!(client.found(), Vec::<String>::new());
}

#[test]
fn one_bad_event_refuses_the_whole_batch_and_changes_nothing() {
    for spoil in [
        |events: &mut Vec<Value>| events[2]["metricId"] = json!("made up"),
        |events: &mut Vec<Value>| events[2]["event"]["type"] = json!("pause"),
        |events: &mut Vec<Value>| drop(events.remove(2)),
    ] {
        let simulator = start_simulator(Tier::Unlimited);
        let (client, _, events) = two_played(&simulator);
        let mut spoilt = events.clone();
        spoil(&mut spoilt);
        let before = client.get("/sim/sessions");
        assert_eq!(send(&client, &spoilt), 400);
        assert_eq!(client.get("/sim/sessions"), before);
        assert_eq!(outcomes(&client), Vec::<Value>::new());
        for event in &events {
            assert_eq!(client.event(event), 200);
        }
        assert_eq!(client.found(), Vec::<String>::new());
    }
}

#[test]
fn what_a_batch_is_judged_for_is_judged_event_by_event() {
    let simulator = start_simulator(Tier::Unlimited);
    let (client, _, mut events) = two_played(&simulator);
    events.swap_remove(1);
    assert_eq!(send(&client, &events[..2]), 400);
    assert_eq!(client.found(), Vec::<String>::new());
    events.remove(1);
    assert_eq!(send(&client, &events), 200);
    assert_eq!(client.found(), ["start_while_open"]);
}

#[test]
fn a_queue_call_that_overtakes_a_batch_is_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let (client, id, events) = two_played(&simulator);
    client.fault(&json!({"scope": "events", "kind": "status", "status": 503, "count": 1}));
    assert_eq!(send(&client, &events), 503);
    assert_eq!(client.get(&format!("/v1/playback/sessions/{id}/next")).0, 400);
    assert_eq!(client.found(), ["event_overtaken"]);
}
