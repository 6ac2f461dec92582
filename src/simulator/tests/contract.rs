//! Every endpoint of the contract, as a good client sees it.

use super::*;

#[test]
fn a_session_hands_out_full_entries() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    assert_eq!(entries.len(), 5);
    let first = &entries[0];
    assert_eq!(first["_type"], "Playable");
    assert_eq!(first["entity"]["_type"], "Track");
    assert_eq!(first["entity"]["album"]["title"], simulator.presets()[0].name.as_str());
    assert!(first["entity"]["duration"].as_f64().unwrap() > 20.0);
    assert_eq!(first["actions"]["next"], json!({"isAllowed": true}));
    assert_eq!(first["actions"]["previous"]["disableType"], "FEATURE_NOT_AVAILABLE");
    let url = first["playbackInformation"]["url"].as_str().unwrap();
    assert!(url.starts_with(&client.base), "{url}");
    simulator.stop();
}

#[test]
fn the_limit_of_a_new_session_counts_the_current_entry() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let params = json!({"containerIds": simulator.presets()[0].container_ids});
    for limit in [1, 3] {
        let (_, answer) = client.call(
            "POST",
            "/v1/playback/sessions",
            &json!({"playParams": params, "limit": limit}),
        );
        assert_eq!(answer["playables"].as_array().unwrap().len(), limit);
    }
}

#[test]
fn wrong_creations_are_refused_in_the_form_of_the_contract() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    for (body, status, code) in [
        (json!({}), 400, "BAD_REQUEST"),
        (json!({"playParams": {"containerIds": []}}), 400, "BAD_REQUEST"),
        (json!({"playParams": {"id": "x"}, "limit": 12}), 400, "BAD_REQUEST"),
        (
            json!({"playParams": {"id": "mrn:1.0:nothing"}}),
            404,
            "RESOURCE_NOT_FOUND",
        ),
        (json!("not an object"), 400, "BAD_REQUEST"),
    ] {
        let (got, answer) = client.call("POST", "/v1/playback/sessions", &body);
        assert_eq!(got, status, "{body}");
        let error = &answer["error"];
        assert_eq!(
            (error["code"].as_str(), error["status"].as_str()),
            (Some(code), Some(status.to_string().as_str()))
        );
        assert_eq!(error["url"], "/v1/playback/sessions");
        assert!(!error["reference"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_start_moves_the_session_and_looking_does_not() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    let path = |what: &str| format!("/v1/playback/sessions/{id}/{what}");
    let name = |n: usize| entries[n]["entityReferenceId"].as_str().unwrap().to_owned();
    assert_eq!(
        references(&client.get(&path("next?limit=10")).1),
        [name(1), name(2), name(3), name(4)]
    );
    assert_eq!(references(&client.get(&path("current")).1), [name(0)]);
    assert_eq!(client.event(&start(&entries[2], 0)), 200);
    assert_eq!(references(&client.get(&path("current")).1), [name(2)]);
    assert_eq!(references(&client.get(&path("previous?limit=5")).1), [name(1), name(0)]);
    assert_eq!(references(&client.get(&path("next")).1), [name(3)]);
    assert_eq!(references(&client.get(&path("queue")).1).len(), 5);
}

#[test]
fn the_end_of_the_queue_is_an_empty_list() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    client.event(&start(&entries[4], 0));
    let (status, answer) = client.get(&format!("/v1/playback/sessions/{id}/next?limit=10"));
    assert_eq!((status, answer["playables"].as_array().unwrap().len()), (200, 0));
}

#[test]
fn unknown_sessions_paths_and_methods_are_refused_in_the_form_of_the_contract() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    for (method, path, status) in [
        ("GET", "/v1/playback/sessions/none/current", 404),
        ("GET", "/v1/playback/sessions/none/next?limit=99", 400),
        ("GET", "/v1/playback/sessions/entities/none", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/playback/event", 405),
    ] {
        let (got, answer) = client.call(method, path, &Value::Null);
        assert_eq!(got, status, "{path}");
        assert_eq!(answer["error"]["status"], status.to_string(), "{path}: {answer}");
    }
}

#[test]
fn shuffle_and_loop_change_what_comes_next() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (id, _) = client.open(&simulator, &json!({}));
    let path = |what: &str| format!("/v1/playback/sessions/{id}/{what}");
    let plain = references(&client.get(&path("next?limit=10")).1);
    assert_eq!(
        client.call("PUT", &path("loop"), &json!({"loopMode": "LOOP_ON"})).0,
        200
    );
    assert_eq!(references(&client.get(&path("next?limit=10")).1).len(), 10);
    assert_eq!(
        client.call("PUT", &path("loop"), &json!({"loopMode": "LOOP_OFF"})).0,
        200
    );
    assert_eq!(references(&client.get(&path("next?limit=10")).1), plain);
    assert_eq!(
        client
            .call("PUT", &path("shuffle"), &json!({"shuffleMode": "SHUFFLE_ON"}))
            .0,
        200
    );
    let mut mixed = references(&client.get(&path("next?limit=10")).1);
    assert_ne!(mixed, plain);
    mixed.sort();
    assert_eq!(mixed, plain, "the same entries");
    assert_eq!(
        client.call("PUT", &path("shuffle"), &json!({"shuffleMode": "ON"})).0,
        400
    );
}

#[test]
fn tracks_are_inserted_next_and_last() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    let body = json!({"playParams": {"id": entries[3]["entity"]["id"]}});
    for end in ["next", "last"] {
        assert_eq!(
            client
                .call("POST", &format!("/v1/playback/sessions/{id}/queue/{end}"), &body)
                .0,
            200
        );
    }
    let queue = client.get(&format!("/v1/playback/sessions/{id}/queue")).1;
    let titles: Vec<&Value> = queue["playables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["entity"]["title"])
        .collect();
    assert_eq!(titles.len(), 7);
    assert_eq!(
        (titles[1], titles[6]),
        (&entries[3]["entity"]["title"], &entries[3]["entity"]["title"])
    );
}

#[test]
fn active_sessions_say_where_they_are() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    client.event(&start(&entries[1], 0));
    let (_, answer) = client.get("/v1/playback/sessions/active");
    let session = &answer["sessions"][0];
    assert_eq!(session["sessionId"], id.as_str());
    assert_eq!(session["entityReferenceId"], entries[1]["entityReferenceId"]);
    assert_eq!(session["currentEntity"]["title"], entries[1]["entity"]["title"]);
    assert_eq!(session["queueState"]["playbackState"], "PLAYING");
    assert_eq!(session["deviceId"], "test-device");
}

#[test]
fn a_session_is_restored_from_one_of_its_entries() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    let reference = entries[2]["entityReferenceId"].as_str().unwrap();
    let (_, answer) = client.get(&format!("/v1/playback/sessions/entities/{reference}"));
    assert_eq!(answer["sessionId"], id.as_str());
    assert_eq!(references(&answer)[0], reference);
}

#[test]
fn the_free_tier_has_ads_and_no_shuffle_and_no_loop() {
    let simulator = start_simulator(Tier::Free);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    let kinds: Vec<&str> = entries
        .iter()
        .map(|entry| entry["entity"]["_type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["Interlude", "Track", "Track", "Track", "Ad", "Track", "Track"]);
    assert_eq!(entries[4]["actions"]["next"]["isAllowed"], false);
    for (what, body) in [
        ("shuffle", json!({"shuffleMode": "SHUFFLE_ON"})),
        ("loop", json!({"loopMode": "LOOP_ON"})),
    ] {
        let (status, answer) = client.call("PUT", &format!("/v1/playback/sessions/{id}/{what}"), &body);
        assert_eq!(
            (status, answer["error"]["code"].as_str()),
            (403, Some("DENIED_SUBSCRIPTION_TIER")),
            "{what}"
        );
    }
}

#[test]
fn a_station_starts_with_an_interlude_and_always_has_more() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({"startAsStation": true}));
    assert_eq!(entries[0]["entity"]["_type"], "Interlude");
    assert_eq!(entries.len(), 11);
}

#[test]
fn what_the_home_view_offers_can_be_played() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (_, home) = client.get("/v1/views/home");
    let track = &home["entities"][0]["tracks"][2];
    let (status, answer) = client.call(
        "POST",
        "/v1/playback/sessions",
        &json!({"playParams": track["playParams"]}),
    );
    assert_eq!(status, 200);
    assert_eq!(answer["playables"][0]["entity"]["title"], track["title"]);
}

#[test]
fn a_restart_loses_no_session_no_position_and_no_count() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        state: Some(folder.path().to_owned()),
        ..Settings::default()
    };
    let simulator = Simulator::start(settings.clone()).unwrap();
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    client.event(&start(&entries[1], 0));
    let before = simulator.report();
    simulator.stop();
    let simulator = Simulator::start(settings).unwrap();
    assert_eq!(simulator.report(), before);
    let client = Client::of(&simulator);
    assert_eq!(client.event(&start(&entries[1], 0)), 200, "the same bytes again");
    assert_eq!(simulator.report().repeats, 1);
    let current = client.get(&format!("/v1/playback/sessions/{id}/current")).1;
    assert_eq!(
        references(&current)[0],
        entries[1]["entityReferenceId"].as_str().unwrap()
    );
    assert_eq!(client.event(&stop(&entries[1], 5, "userStop", 5)), 200);
    assert_eq!((simulator.report().pairs, simulator.report().violations), (1, 0));
}

#[test]
fn an_event_that_a_kill_kept_out_of_the_ledger_is_written_down_when_it_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        state: Some(folder.path().to_owned()),
        ..Settings::default()
    };
    let simulator = Simulator::start(settings.clone()).unwrap();
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    client.event(&start(&entries[0], 0));
    simulator.stop();
    std::fs::remove_file(folder.path().join("ledger.jsonl")).unwrap();
    let simulator = Simulator::start(settings).unwrap();
    let client = Client::of(&simulator);
    for _ in 0..2 {
        assert_eq!(client.event(&start(&entries[0], 0)), 200);
    }
    let report = simulator.report();
    assert_eq!((report.events, report.tracks, report.repeats), (1, 1, 1));
}

#[test]
fn a_taken_address_is_an_error_that_names_it() {
    let first = start_simulator(Tier::Unlimited);
    let error = Simulator::start(Settings {
        listen: first.address(),
        ..Settings::default()
    })
    .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("listen on {}: ", first.address())),
        "{error}"
    );
}

#[test]
fn the_lines_at_the_start_say_where_it_is_and_what_it_plays() {
    let simulator = start_simulator(Tier::Unlimited);
    let text = simulator.lines().join("\n");
    for part in [
        simulator.address().to_string(),
        simulator.presets()[0].name.clone(),
        "account unlimited".to_owned(),
        "base_url".to_owned(),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }
}
