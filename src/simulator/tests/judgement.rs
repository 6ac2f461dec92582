//! Each finding, over real HTTP; and what a good client may do without one.

use super::*;

fn one_start(simulator: &Simulator) -> (Client, String, Vec<Value>) {
    let client = Client::of(simulator);
    let (id, entries) = client.open(simulator, &json!({}));
    assert_eq!(client.event(&start(&entries[0], 0)), 200);
    (client, id, entries)
}

#[test]
fn a_good_client_has_a_pair_for_every_entry_and_no_finding() {
    let simulator = start_simulator(Tier::Free);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    let mut second = 0;
    for entry in &entries {
        let length = entry["entity"]["duration"].as_f64().unwrap();
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds, as a client reports them")]
        let length = length as i64;
        assert_eq!(client.event(&start(entry, second)), 200);
        assert_eq!(client.get(&format!("/v1/playback/sessions/{id}/next?limit=10")).0, 200);
        second += length;
        assert_eq!(client.event(&stop(entry, second, "trackFinished", length)), 200);
    }
    let count = u64::try_from(entries.len()).unwrap();
    let report = simulator.report();
    assert_eq!((report.tracks, report.events, report.pairs), (count, 2 * count, count));
    assert_eq!(client.found(), Vec::<String>::new());
}

#[test]
fn a_missing_header_is_refused_and_found() {
    let simulator = start_simulator(Tier::Unlimited);
    for name in [
        "x-amzn-audio-drmtype",
        "x-amzn-audio-device-capability",
        "x-amzn-device-id",
    ] {
        assert_eq!(
            Client::of(&simulator).without(name).get("/v1/views/home").0,
            400,
            "{name}"
        );
    }
    assert_eq!(Client::of(&simulator).found(), ["header_missing"; 3]);
}

#[test]
fn a_stop_without_a_start_is_refused_and_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    assert_eq!(client.event(&stop(&entries[0], 5, "userStop", 5)), 400);
    assert_eq!(client.found(), ["stop_without_start"]);
}

#[test]
fn a_start_while_another_entry_sounds_is_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let (client, _, entries) = one_start(&simulator);
    client.event(&start(&entries[1], 5));
    assert_eq!(client.found(), ["start_while_open"]);
}

#[test]
fn an_unknown_metric_and_a_malformed_event_are_refused_and_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let (client, _, entries) = one_start(&simulator);
    let mut unknown = start(&entries[0], 1);
    unknown["metricId"] = json!("made up");
    assert_eq!(client.event(&unknown), 400);
    let mut malformed = stop(&entries[0], 1, "userStop", 1);
    malformed["event"].as_object_mut().unwrap().remove("rebufferCount");
    assert_eq!(client.event(&malformed), 400);
    assert_eq!(client.found(), ["metric_unknown", "event_malformed"]);
    assert_eq!(simulator.report().refused, 2);
}

#[test]
fn references_that_contradict_the_metric_are_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let mut event = start(&entries[0], 0);
    event["entityReferenceId"] = entries[1]["entityReferenceId"].clone();
    event["sessionId"] = json!("another");
    assert_eq!(client.event(&event), 200);
    assert_eq!(client.found(), ["reference_mismatch"; 2]);
}

#[test]
fn time_running_backwards_is_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let (client, _, entries) = one_start(&simulator);
    assert_eq!(client.event(&stop(&entries[0], -1, "userStop", 0)), 200);
    assert_eq!(client.found(), ["time_backwards"]);
}

#[test]
fn impossible_durations_positions_and_ends_are_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let (client, _, entries) = one_start(&simulator);
    client.event(&stop(&entries[0], 3, "userStop", 20));
    client.event(&start(&entries[0], 4));
    client.event(&stop(&entries[0], 14, "trackFinished", 10));
    let mut beyond = start(&entries[0], 20);
    beyond["event"]["playbackStartAbsoluteOffsetMilliseconds"] = json!(900_000);
    client.event(&beyond);
    assert_eq!(
        client.found(),
        ["duration_impossible", "finished_early", "progress_impossible"]
    );
}

#[test]
fn an_advertisement_that_was_skipped_or_left_out_is_found() {
    let simulator = start_simulator(Tier::Free);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    client.event(&start(&entries[4], 0));
    assert_eq!(client.event(&stop(&entries[4], 1, "userNext", 1)), 403);
    assert_eq!(client.found(), ["action_denied"]);
    let (_, entries) = client.open(&simulator, &json!({}));
    client.event(&start(&entries[3], 2));
    client.event(&stop(&entries[3], 3, "userNext", 1));
    client.event(&start(&entries[5], 3));
    assert_eq!(client.found(), ["action_denied", "ad_passed"]);
}

#[test]
fn the_seventh_skip_within_an_hour_is_refused_and_an_hour_later_it_is_not() {
    let simulator = start_simulator(Tier::Prime);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({"startAsStation": true}));
    let tracks: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["entity"]["_type"] == "Track")
        .collect();
    let skip = |second: i64| {
        client.event(&start(tracks[0], second));
        client.event(&stop(tracks[0], second + 1, "userNext", 1))
    };
    let answers: Vec<u16> = (0..7).map(|n| skip(n * 2)).collect();
    assert_eq!(answers, [200, 200, 200, 200, 200, 200, 403]);
    assert_eq!(client.found(), ["skip_limit"]);
    assert_eq!(skip(3_700), 200);
}

#[test]
fn skips_count_down_in_what_is_handed_out() {
    let simulator = start_simulator(Tier::Prime);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({"startAsStation": true}));
    let now = ledger::wall_ms() - *T;
    client.event(&start(&entries[0], now / 1000 - 2));
    client.event(&stop(&entries[0], now / 1000 - 1, "userNext", 1));
    let (_, next) = client.get(&format!("/v1/playback/sessions/{id}/next"));
    assert_eq!(
        next["playables"][0]["actions"]["next"],
        json!({"isAllowed": true, "remainingSkips": 5})
    );
}

#[test]
fn going_back_on_a_tier_without_it_is_found() {
    let simulator = start_simulator(Tier::Prime);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    client.event(&start(&entries[1], 0));
    assert_eq!(client.event(&stop(&entries[1], 1, "userPrev", 1)), 403);
    assert_eq!(client.found(), ["action_denied"]);
}

#[test]
fn a_queue_call_before_an_event_was_answered_is_refused_until_it_is_repeated() {
    for fault in [
        json!({"kind": "status", "status": 503}),
        json!({"kind": "answer_lost"}),
        json!({"kind": "close"}),
    ] {
        let simulator = start_simulator(Tier::Unlimited);
        let client = Client::of(&simulator);
        let (id, entries) = client.open(&simulator, &json!({}));
        let mut planned = fault.clone();
        planned["scope"] = json!("events");
        planned["count"] = json!(1);
        client.fault(&planned);
        let body = start(&entries[0], 0).to_string();
        let _lost = client.ask("POST", "/v1/playback/event", body.as_bytes());
        let next = format!("/v1/playback/sessions/{id}/next");
        assert_eq!(client.get(&next).0, 400, "{fault}");
        assert_eq!(client.found(), ["event_overtaken"], "{fault}");
        assert_eq!(client.event(&start(&entries[0], 0)), 200);
        assert_eq!(client.get(&next).0, 200, "{fault}");
    }
}

#[test]
fn a_queue_call_after_an_event_was_refused_for_good_is_fine() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    client.fault(&json!({"scope": "events", "kind": "status", "status": 404, "count": 1}));
    assert_eq!(client.event(&start(&entries[0], 0)), 404);
    assert_eq!(client.get(&format!("/v1/playback/sessions/{id}/next")).0, 200);
    assert_eq!(
        client.event(&stop(&entries[0], 5, "systemStop", 5)),
        200,
        "its start did happen"
    );
    assert_eq!((client.found(), simulator.report().refused), (Vec::new(), 1));
}

#[test]
fn an_event_that_is_older_than_a_queue_call_is_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    client.event(&start(&entries[0], -7_200));
    client.get(&format!("/v1/playback/sessions/{id}/next"));
    client.event(&stop(&entries[0], -7_195, "userStop", 5));
    assert_eq!(client.found(), ["event_overtaken"]);
}

#[test]
fn the_ledger_keeps_the_whole_body_of_an_event() {
    let simulator = start_simulator(Tier::Unlimited);
    let (client, id, entries) = one_start(&simulator);
    let (_, answer) = client.get(&format!("/sim/ledger?kind=event&session={id}"));
    assert_eq!(answer["records"][0]["body"], start(&entries[0], 0));
    assert_eq!(answer["records"][0]["outcome"], "accepted");
    assert_eq!(client.get("/sim/report").1["events"], 1);
    assert_eq!(client.get("/sim/sessions").1["sessions"][0]["id"], id.as_str());
}

#[test]
fn insisting_on_what_was_refused_is_found_and_asking_again_after_something_else_is_not() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let gone = "/v1/playback/sessions/none/next";
    for _ in 0..3 {
        assert_eq!(client.get(gone).0, 404);
        assert_eq!(client.get("/v1/views/home").0, 200);
    }
    assert_eq!(client.found(), Vec::<String>::new());
    for _ in 0..3 {
        assert_eq!(client.get(gone).0, 404);
    }
    assert_eq!(client.found(), ["refused_repeated"]);
}

#[test]
fn asking_again_before_the_time_that_was_named_is_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    for scope in ["queue", "media"] {
        client.fault(&json!({"scope": scope, "kind": "status", "status": 503, "retry_after_s": 60, "count": 1}));
    }
    assert_eq!(client.get("/media/x").0, 503);
    assert_eq!(client.get("/media/y").0, 404, "another file");
    assert_eq!(client.get("/v1/views/home").0, 503);
    assert_eq!(client.found(), Vec::<String>::new());
    assert_eq!(client.get("/v1/playback/sessions/active").0, 200);
    assert_eq!(client.get("/media/x").0, 404);
    assert_eq!(client.found(), ["back_off_ignored"; 2]);
}

#[test]
fn waiting_as_long_as_was_named_is_fine() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    client.fault(&json!({"scope": "queue", "kind": "status", "status": 429, "retry_after_s": 0, "count": 1}));
    assert_eq!(
        (client.get("/v1/views/home").0, client.get("/v1/views/home").0),
        (429, 200)
    );
    assert_eq!(client.found(), Vec::<String>::new());
}

/// The last second of an entry that began at `second`.
fn finish(client: &Client, entry: &Value, second: i64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds, as a client reports them")]
    let length = entry["entity"]["duration"].as_f64().unwrap() as i64;
    assert_eq!(client.event(&start(entry, second)), 200);
    assert_eq!(
        client.event(&stop(entry, second + length, "trackFinished", length)),
        200
    );
    second + length
}

#[test]
fn going_on_with_another_entry_than_the_next_is_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let end = finish(&client, &entries[0], 0);
    client.event(&start(&entries[2], end));
    assert_eq!(client.found(), ["entry_passed"]);
}

#[test]
fn going_on_in_an_old_order_is_found_once_the_client_was_told_the_new_one() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    for is_told in [false, true] {
        let (id, entries) = client.open(&simulator, &json!({}));
        let path = |what: &str| format!("/v1/playback/sessions/{id}/{what}");
        let mut end = finish(&client, &entries[0], 0);
        let body = json!({"playParams": {"id": entries[4]["entity"]["id"]}});
        assert_eq!(client.call("POST", &path("queue/next"), &body).0, 200);
        if is_told {
            client.get(&path("next?limit=10"));
        }
        client.event(&start(&entries[1], end));
        end += 1;
        client.event(&stop(&entries[1], end, "userStop", 1));
        let expected = if is_told { vec!["stale_order"] } else { Vec::new() };
        assert_eq!(client.found(), expected);
    }
}

#[test]
fn a_second_session_of_a_device_that_still_plays_the_first_is_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let (client, _, entries) = one_start(&simulator);
    let (_, others) = client.open(&simulator, &json!({}));
    client.event(&start(&others[0], 5));
    assert_eq!(client.found(), ["start_while_open"]);
    client.event(&stop(&others[0], 6, "userStop", 1));
    client.event(&stop(&entries[0], 7, "userStop", 7));
    assert_eq!(client.found().len(), 1);
}

#[test]
fn an_entry_of_the_order_before_is_taken_where_the_client_did_not_know_better() {
    let simulator = Simulator::start(Settings {
        seed: Some(1),
        tracks: 1_000,
        ..Settings::default()
    })
    .unwrap();
    let client = Client::of(&simulator);
    let params = json!({"containerIds": simulator.presets()[1].container_ids});
    let (_, answer) = client.call(
        "POST",
        "/v1/playback/sessions",
        &json!({"playParams": params, "limit": 11}),
    );
    let id = answer["sessionId"].as_str().unwrap();
    let path = |what: &str| format!("/v1/playback/sessions/{id}/{what}");
    let shuffle = json!({"shuffleMode": "SHUFFLE_ON"});
    assert_eq!(client.call("PUT", &path("shuffle"), &shuffle).0, 200);
    assert_eq!(client.event(&start(&answer["playables"][5], 0)), 200);
    let current = client.get(&path("current")).1;
    assert_eq!(
        references(&current),
        [answer["playables"][5]["entityReferenceId"].as_str().unwrap()]
    );
    assert_eq!(client.found(), Vec::<String>::new());
}
