//! The account's time, as a test or a person moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

/// An hour and a second.
const AN_HOUR_S: i64 = 3_601;

/// Uses up every skip of a limited tier, the last one refused.
fn skip_seven_times(client: &Client, simulator: &Simulator) -> String {
    let (id, entries) = client.open(simulator, &json!({"playbackContinuationMode": "AUTOPLAY_ON"}));
    let tracks = entries.iter().filter(|entry| entry["entity"]["_type"] != "Ad");
    for (second, entry) in (0..).step_by(2).zip(tracks.take(7)) {
        client.event(&start(entry, second));
        client.event(&stop(entry, second + 1, "userNext", 1));
    }
    id
}

fn skips_left(client: &Client, session: &str) -> Value {
    let current = client.get(&format!("/v1/playback/sessions/{session}/current")).1;
    current["playables"][0]["actions"]["next"]["remainingSkips"].clone()
}

#[test]
fn skips_come_back_after_an_hour_of_a_manual_clock() {
    let ms = Arc::new(AtomicI64::new(*T));
    let simulator = Simulator::start(Settings {
        tier: Tier::Prime,
        seed: Some(1),
        clock: Clock::Manual(Arc::clone(&ms)),
        ..Settings::default()
    })
    .unwrap();
    let client = Client::of(&simulator);
    let session = skip_seven_times(&client, &simulator);
    assert_eq!(skips_left(&client, &session), 0);
    ms.fetch_add(AN_HOUR_S * 1000 + 20_000, Ordering::Relaxed);
    assert_eq!(skips_left(&client, &session), 6);
}

#[test]
fn skips_come_back_when_somebody_moves_time_ahead_and_a_restart_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        tier: Tier::Prime,
        state: Some(folder.path().to_owned()),
        seed: Some(1),
        ..Settings::default()
    };
    let simulator = Simulator::start(settings.clone()).unwrap();
    let client = Client::of(&simulator);
    let session = skip_seven_times(&client, &simulator);
    assert_eq!(skips_left(&client, &session), 0);
    // The events of these tests lie an hour ahead.
    let (status, clock) = client.call("POST", "/sim/clock", &json!({"advance_s": 3 * AN_HOUR_S}));
    assert_eq!((status, &clock["ahead_ms"]), (200, &json!(3 * AN_HOUR_S * 1000)));
    assert_eq!(skips_left(&client, &session), 6);
    simulator.stop();
    let again = Simulator::start(settings).unwrap();
    let client = Client::of(&again);
    assert_eq!(client.get("/sim/clock").1["ahead_ms"], clock["ahead_ms"]);
    assert_eq!(skips_left(&client, &session), 6);
}

#[test]
fn time_goes_forward_only() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    for wrong in [json!({"advance_s": -1}), json!({}), json!({"advance_s": 1, "x": 1})] {
        assert_eq!(client.call("POST", "/sim/clock", &wrong).0, 400, "{wrong}");
    }
    assert_eq!(client.get("/sim/clock").1["ahead_ms"], 0);
}

#[test]
fn records_of_the_ledger_carry_the_manual_time() {
    let simulator = Simulator::start(Settings {
        clock: Clock::Manual(Arc::new(AtomicI64::new(1_234))),
        ..Settings::default()
    })
    .unwrap();
    let client = Client::of(&simulator);
    client.get("/v1/views/home");
    assert_eq!(client.get("/sim/ledger").1["records"][0]["wall_ms"], 1_234);
}
