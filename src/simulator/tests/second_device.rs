//! Another device of the account takes the stream, over real HTTP.

use super::*;

/// A device that plays its first entry, and the kitchen that takes the stream from it.
fn lost(answer: &str) -> (Simulator, Client, String, Vec<Value>) {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (id, entries) = client.open(&simulator, &json!({}));
    assert_eq!(client.event(&start(&entries[0], 0)), 200);
    play(&client, &json!({"device": "kitchen", "answer": answer}));
    (simulator, client, id, entries)
}

fn play(client: &Client, body: &Value) -> Value {
    let (status, devices) = client.call("POST", "/sim/devices/play", body);
    assert_eq!(status, 200, "{devices}");
    devices
}

fn claimed(mut event: Value) -> Value {
    event["takeOverType"] = json!("AUTO");
    event
}

/// Device, session and state of everything that is active, newest first.
fn active(client: &Client) -> Vec<(String, String)> {
    let (status, answer) = client.get("/v1/playback/sessions/active");
    assert_eq!(status, 200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let sessions = answer["sessions"].as_array().unwrap().iter();
    sessions
        .map(|session| {
            (
                text(&session["deviceId"]),
                text(&session["queueState"]["playbackState"]),
            )
        })
        .collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter()
        .map(|(device, state)| ((*device).to_owned(), (*state).to_owned()))
        .collect()
}

#[test]
fn the_device_that_lost_is_told_by_its_next_call() {
    for (answer, status) in [("422", 422), ("429", 429)] {
        let (_simulator, client, id, _) = lost(answer);
        for _ in 0..2 {
            let (got, body) = client.get(&format!("/v1/playback/sessions/{id}/next"));
            assert_eq!(
                (got, body["error"]["code"].as_str()),
                (status, Some("MAX_CONCURRENCY_REACHED"))
            );
        }
        assert_eq!(
            active(&client),
            pairs(&[("kitchen", "PLAYING"), ("test-device", "STOPPED")])
        );
        assert_eq!(client.get("/sim/devices").1["told"], json!(["test-device"]));
        assert_eq!(client.found(), Vec::<String>::new());
    }
}

#[test]
fn it_may_report_what_happened_before_it_knew() {
    let (simulator, client, _, entries) = lost("422");
    let end = stop(&entries[0], 20, "trackFinished", 20);
    assert_eq!(client.event(&end), 422, "this is how it learns");
    assert_eq!(client.event(&end), 200);
    assert_eq!(client.event(&start(&entries[1], -3_600)), 200, "before it knew");
    assert_eq!(simulator.report().events, 3);
    assert_eq!(active(&client)[1], ("test-device".to_owned(), "STOPPED".to_owned()));
}

#[test]
fn an_event_that_was_refused_may_come_again_or_not() {
    for comes_again in [true, false] {
        let (simulator, client, id, entries) = lost("422");
        let end = stop(&entries[0], 20, "userStop", 20);
        assert_eq!(client.event(&end), 422);
        client.call("POST", "/sim/devices/stop", &json!({"device": "kitchen"}));
        if comes_again {
            assert_eq!(client.event(&end), 200);
        }
        assert_eq!(client.get(&format!("/v1/playback/sessions/{id}/next")).0, 200);
        assert_eq!(client.event(&claimed(start(&entries[0], 60))), 200);
        let report = simulator.report();
        assert_eq!((report.pairs, report.events), (1, 2 + u64::from(comes_again)));
        assert_eq!(client.found(), Vec::<String>::new());
    }
}

#[test]
fn a_refused_event_does_not_make_a_session_its_own_again() {
    let (_simulator, client, id, entries) = lost("422");
    play(&client, &json!({"device": "bath", "session": id}));
    assert_eq!(client.event(&stop(&entries[0], 5, "systemStop", 5)), 422);
    assert!(active(&client).contains(&("bath".to_owned(), "PLAYING".to_owned())));
}

#[test]
fn playing_on_after_it_was_told_is_refused_and_found() {
    let (_simulator, client, id, entries) = lost("422");
    assert_eq!(client.get(&format!("/v1/playback/sessions/{id}/current")).0, 422);
    assert_eq!(client.event(&stop(&entries[0], 1, "systemStop", 1)), 200);
    assert_eq!(client.event(&start(&entries[1], 60)), 422);
    assert_eq!(client.found(), ["plays_without_stream"]);
}

#[test]
fn it_takes_the_stream_back_with_a_start() {
    let (_simulator, client, id, entries) = lost("422");
    let next = format!("/v1/playback/sessions/{id}/next");
    assert_eq!(client.get(&next).0, 422);
    assert_eq!(client.event(&stop(&entries[0], 5, "systemStop", 5)), 200);
    assert_eq!(client.event(&claimed(start(&entries[0], 60))), 200);
    assert_eq!(client.get(&next).0, 200);
    assert_eq!(
        active(&client),
        pairs(&[("kitchen", "STOPPED"), ("test-device", "PLAYING")])
    );
    assert_eq!(client.found(), Vec::<String>::new());
}

#[test]
fn it_takes_the_stream_with_a_new_session_or_not_at_all() {
    let (simulator, client, _, _) = lost("422");
    let params = json!({"containerIds": simulator.presets()[0].container_ids});
    let create = |body: &Value| client.call("POST", "/v1/playback/sessions", body).0;
    assert_eq!(create(&json!({"playParams": params})), 422);
    assert_eq!(create(&json!({"playParams": params, "takeOverType": "AUTO"})), 200);
    assert_eq!(create(&json!({"playParams": params})), 200, "it has the stream");
}

#[test]
fn the_other_device_may_take_the_very_session_and_give_it_back() {
    let (_simulator, client, id, entries) = lost("422");
    let devices = play(&client, &json!({"device": "bath", "session": id}));
    assert_eq!(
        (&devices["has_stream"], &devices["session"]),
        (&json!("bath"), &json!(id))
    );
    let end = stop(&entries[0], 5, "systemStop", 5);
    assert_eq!((client.event(&end), client.event(&end)), (422, 200));
    assert!(active(&client).contains(&("bath".to_owned(), "PLAYING".to_owned())));
    let stop_it = |device: &str| client.call("POST", "/sim/devices/stop", &json!({"device": device})).0;
    assert_eq!((stop_it("attic"), stop_it("bath")), (404, 200));
    assert_eq!(client.get(&format!("/v1/playback/sessions/{id}/next")).0, 200);
    assert!(active(&client).contains(&("bath".to_owned(), "STOPPED".to_owned())));
}

#[test]
fn a_second_real_device_takes_the_stream_and_frees_it_when_it_stops() {
    let simulator = start_simulator(Tier::Unlimited);
    let first = Client::of(&simulator);
    let second = Client::of(&simulator)
        .without("x-amzn-device-id")
        .with("x-amzn-device-id", "attic");
    let (id, entries) = first.open(&simulator, &json!({}));
    first.event(&start(&entries[0], 0));
    let (_, others) = second.open(&simulator, &json!({}));
    assert_eq!(second.event(&claimed(start(&others[0], 0))), 200);
    let next = format!("/v1/playback/sessions/{id}/next");
    assert_eq!(first.get(&next).0, 422);
    assert_eq!(second.event(&stop(&others[0], 9, "userStop", 9)), 200);
    assert_eq!(first.get(&next).0, 200);
    assert_eq!(first.found(), Vec::<String>::new());
}

#[test]
fn orders_for_another_device_with_a_mistake_are_refused() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    for (body, status) in [
        (json!({"session": "none"}), 400),
        (json!({"device": ""}), 400),
        (json!({"device": "kitchen", "session": "none"}), 404),
        (json!({"device": "kitchen", "music": "none"}), 404),
        (json!({"device": "kitchen", "answer": "500"}), 400),
    ] {
        assert_eq!(client.call("POST", "/sim/devices/play", &body).0, status, "{body}");
    }
    assert_eq!(client.get("/sim/devices").1["has_stream"], Value::Null);
}
