//! What the account may do, what it is told, how answers are spelt and how long addresses last, over real HTTP.

use super::*;

fn start_with(settings: Settings) -> Simulator {
    Simulator::start(Settings {
        seed: Some(1),
        ..settings
    })
    .unwrap()
}

fn create(client: &Client, simulator: &Simulator, album: usize, options: &Value) -> (u16, Value) {
    let params = json!({"containerIds": simulator.presets()[album].container_ids});
    let body = json!({"playParams": params, "playbackOptions": options, "limit": 11});
    client.call("POST", "/v1/playback/sessions", &body)
}

fn kinds(answer: &Value) -> Vec<&str> {
    let entries = answer["playables"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["entity"]["_type"].as_str().unwrap())
        .collect()
}

#[test]
fn advertisements_come_as_often_as_they_are_asked_for() {
    let simulator = start_with(Settings {
        ads_every: Some(1),
        ..Settings::default()
    });
    let (_, answer) = create(&Client::of(&simulator), &simulator, 0, &json!({}));
    assert_eq!(kinds(&answer)[..4], ["Track", "Ad", "Track", "Ad"]);
}

#[test]
fn a_queue_of_a_hundred_thousand_is_answered_like_any_other() {
    let simulator = start_with(Settings {
        tracks: 100_000,
        ..Settings::default()
    });
    let client = Client::of(&simulator);
    let home = client.get("/v1/views/home").1;
    assert!(home.to_string().len() < 1024 * 1024, "a client reads up to 1 MiB");
    let last = json!({"id": "mrn:1.0:sim:track:long-99998", "containerIds": simulator.presets()[1].container_ids});
    let (status, answer) = client.call(
        "POST",
        "/v1/playback/sessions",
        &json!({"playParams": last, "limit": 5}),
    );
    assert_eq!((status, answer["playables"].as_array().unwrap().len()), (200, 2));
    let path = format!("/v1/playback/sessions/{}", answer["sessionId"].as_str().unwrap());
    assert_eq!(
        references(&client.get(&format!("{path}/previous?limit=10")).1).len(),
        10
    );
    let (_, answer) = create(&client, &simulator, 1, &json!({"shuffleMode": "SHUFFLE_ON"}));
    let path = format!("/v1/playback/sessions/{}/queue", answer["sessionId"].as_str().unwrap());
    let queue = client.get(&path).1;
    assert_eq!(references(&queue).len(), 201);
    assert!(queue.to_string().len() < 1024 * 1024);
}

#[test]
fn a_podcast_may_be_scrubbed_on_the_free_tier() {
    let folder = tempfile::tempdir().unwrap();
    let show = folder.path().join("Show");
    std::fs::create_dir(&show).unwrap();
    std::fs::write(show.join("1.mp3"), album::INTERLUDE.bytes).unwrap();
    let simulator = start_with(Settings {
        tier: Tier::Free,
        podcast: Some(folder.path().to_owned()),
        ..Settings::default()
    });
    let client = Client::of(&simulator);
    let home = client.get("/v1/views/home").1;
    assert_eq!(home["entities"][1]["_type"], "PodcastShow");
    assert_eq!(home["entities"][1]["playParams"]["selections"], json!(["PLAY"]));
    let (_, answer) = create(&client, &simulator, 1, &json!({}));
    let entries = answer["playables"].as_array().unwrap();
    let episode = entries
        .iter()
        .find(|entry| entry["entity"]["_type"] == "PodcastEpisode")
        .unwrap();
    assert_eq!(episode["actions"]["scrubForward"], json!({"isAllowed": true}));
    assert_eq!(create(&client, &simulator, 1, &json!({"startAsStation": true})).0, 403);
}

#[test]
fn what_selections_do_not_offer_is_refused_with_an_offer_in_the_listeners_language() {
    let simulator = start_simulator(Tier::Free);
    for (language, word) in [("de-DE, en;q=0.5", "Abo"), ("en-US", "subscription")] {
        let client = Client::of(&simulator).with("accept-language", language);
        let (status, answer) = create(&client, &simulator, 0, &json!({"shuffleMode": "SHUFFLE_ON"}));
        let error = &answer["error"];
        assert_eq!(
            (status, error["code"].as_str()),
            (403, Some("DENIED_SUBSCRIPTION_TIER"))
        );
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
        assert_eq!(client.get(error["url"].as_str().unwrap()).0, 200);
    }
}

#[test]
fn the_seventh_skip_is_refused_with_an_offer() {
    let simulator = start_simulator(Tier::Prime);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let mut last = (0, Value::Null);
    for second in (0..14).step_by(2) {
        client.event(&start(&entries[1], second));
        last = client.call(
            "POST",
            "/v1/playback/event",
            &stop(&entries[1], second + 1, "userNext", 1),
        );
    }
    assert_eq!(last.0, 403);
    assert!(
        last.1["error"]["message"].as_str().unwrap().contains("skips"),
        "{}",
        last.1
    );
    assert!(last.1["error"]["url"].as_str().unwrap().ends_with("/sim/upgrade"));
}

#[test]
fn an_augmented_shuffle_offers_no_plain_order_and_no_way_out() {
    let simulator = start_with(Settings {
        shuffle: Shuffle::Augmented,
        ..Settings::default()
    });
    let client = Client::of(&simulator);
    assert_eq!(create(&client, &simulator, 0, &json!({})).0, 403);
    let (status, answer) = create(&client, &simulator, 0, &json!({"shuffleMode": "SHUFFLE_ON"}));
    assert_eq!(status, 200);
    assert_eq!(answer["playables"][0]["actions"]["loopAll"]["isAllowed"], false);
    let path = format!(
        "/v1/playback/sessions/{}/shuffle",
        answer["sessionId"].as_str().unwrap()
    );
    assert_eq!(client.call("PUT", &path, &json!({"shuffleMode": "SHUFFLE_OFF"})).0, 403);
}

#[test]
fn an_address_runs_out_and_the_entry_has_a_fresh_one() {
    for (expired, status) in [(Expired::Forbidden, 403), (Expired::Gone, 410)] {
        let simulator = start_with(Settings {
            url_life_s: 60,
            url_expired: expired,
            ..Settings::default()
        });
        let client = Client::of(&simulator);
        let (id, entries) = client.open(&simulator, &json!({}));
        let address = |entry: &Value| entry["playbackInformation"]["url"].as_str().unwrap().to_owned();
        let status_of = |url: &str| client.ask("HEAD", url, b"").unwrap().status().as_u16();
        assert_eq!(status_of(&address(&entries[0])), 200);
        client.call("POST", "/sim/clock", &json!({"advance_s": 61}));
        assert_eq!(status_of(&address(&entries[0])), status);
        let current = || client.get(&format!("/v1/playback/sessions/{id}/current")).1;
        let fresh = address(&current()["playables"][0]);
        assert_eq!(status_of(&fresh), 200);
        assert_eq!(client.call("DELETE", "/sim/urls", &Value::Null).0, 204);
        assert_eq!(status_of(&fresh), status);
        assert_eq!(status_of(&address(&current()["playables"][0])), 200);
    }
}

#[test]
fn the_dialect_can_be_changed_while_it_runs() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    let path = |what: &str| format!("/v1/playback/sessions/{id}/{what}");
    client.event(&start(&entries[4], 0));
    for (dialect, name, end) in [
        ("wrapped", "data", 204),
        ("aliases", "current", 404),
        ("floats", "playables", 200),
    ] {
        assert_eq!(client.call("PUT", "/sim/dialect", &json!({"dialect": dialect})).0, 200);
        assert!(
            client.get(&path("current")).1[name].is_object() != (dialect == "floats"),
            "{dialect}"
        );
        assert_eq!(client.get(&path("next")).0, end, "{dialect}");
    }
    assert_eq!(client.call("PUT", "/sim/dialect", &json!({"dialect": "latin"})).0, 400);
}

#[test]
fn a_session_can_be_restored_for_thirty_days() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let path = format!(
        "/v1/playback/sessions/entities/{}",
        entries[1]["entityReferenceId"].as_str().unwrap()
    );
    let day_s = 24 * 60 * 60;
    client.call("POST", "/sim/clock", &json!({"advance_s": 30 * day_s - 60}));
    assert_eq!(client.get(&path).0, 200);
    client.call("POST", "/sim/clock", &json!({"advance_s": 120}));
    assert_eq!(client.get(&path).0, 404);
    assert_eq!(client.get("/v1/playback/sessions/active").1["sessions"], json!([]));
}
