//! Each fault, over real HTTP.

use std::time::Instant;

use super::*;

const HOME: &str = "/v1/views/home";

#[test]
fn a_status_is_answered_with_its_code_and_its_retry_after() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    client.fault(&json!({"scope": "queue", "kind": "status", "status": 429, "retry_after_s": 7, "count": 1}));
    let mut answer = client.ask("GET", HOME, b"").unwrap();
    assert_eq!(answer.status().as_u16(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
    let body: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "THROTTLED");
    assert_eq!(client.get(HOME).0, 200, "used up");
}

#[test]
fn another_code_can_be_asked_for() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let code = "MAX_CONCURRENCY_REACHED";
    client.fault(&json!({"scope": "queue", "kind": "status", "status": 429, "code": code}));
    assert_eq!(client.get(HOME).1["error"]["code"], code);
}

#[test]
fn a_closed_connection_has_no_answer_and_nothing_was_done() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    client.fault(&json!({"scope": "events", "kind": "close", "count": 1}));
    let body = start(&entries[0], 0).to_string();
    assert!(client.ask("POST", "/v1/playback/event", body.as_bytes()).is_err());
    assert_eq!(simulator.report().events, 0);
}

#[test]
fn a_lost_answer_was_done() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    client.fault(&json!({"scope": "events", "kind": "answer_lost", "count": 1}));
    let body = start(&entries[0], 0);
    assert!(
        client
            .ask("POST", "/v1/playback/event", body.to_string().as_bytes())
            .is_err()
    );
    assert_eq!(client.event(&body), 200);
    let report = simulator.report();
    assert_eq!((report.events, report.repeats, report.violations), (1, 1, 0));
}

#[test]
fn a_black_hole_never_answers_and_does_not_keep_the_simulator_from_stopping() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::patient(&simulator, Duration::from_millis(300));
    client.fault(&json!({"scope": "queue", "kind": "black_hole"}));
    assert!(matches!(
        client.ask("GET", HOME, b"").unwrap_err(),
        ureq::Error::Timeout(_)
    ));
    let since = Instant::now();
    simulator.stop();
    assert!(since.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_delay_answers_late() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    client.fault(&json!({"scope": "queue", "kind": "delay", "ms": 200, "count": 1}));
    let since = Instant::now();
    assert_eq!(client.get(HOME).0, 200);
    assert!(since.elapsed() >= Duration::from_millis(200));
}

#[test]
fn garbage_is_no_json() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    client.fault(&json!({"scope": "queue", "kind": "garbage", "count": 1}));
    let mut answer = client.ask("GET", HOME, b"").unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_err(), "{text}");
}

fn media_url(client: &Client, simulator: &Simulator) -> String {
    let (_, entries) = client.open(simulator, &json!({}));
    entries[0]["playbackInformation"]["url"].as_str().unwrap().to_owned()
}

#[test]
fn cut_media_ends_early_and_says_so() {
    use std::io::Read as _;
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let url = media_url(&client, &simulator);
    client.fault(&json!({"scope": "media", "kind": "cut", "bytes": 100_000, "count": 1}));
    let mut answer = client.ask("GET", &url, b"").unwrap();
    let mut got = Vec::new();
    assert!(answer.body_mut().as_reader().read_to_end(&mut got).is_err());
    assert_eq!(got, album::TRACKS[0].bytes[..100_000]);
}

#[test]
fn slow_media_takes_its_time() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let url = media_url(&client, &simulator);
    client.fault(&json!({"scope": "media", "kind": "slow", "bytes_per_s": 100_000, "count": 1}));
    let since = Instant::now();
    let slow = Client::of(&simulator).with("range", "bytes=0-29999");
    assert_eq!(
        slow.ask("GET", &url, b"")
            .unwrap()
            .body_mut()
            .read_to_vec()
            .unwrap()
            .len(),
        30_000
    );
    assert!(since.elapsed() >= Duration::from_millis(250), "{:?}", since.elapsed());
}

#[test]
fn faults_are_listed_and_cleared() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    client.fault(&json!({"scope": "queue", "kind": "status", "status": 500}));
    assert_eq!(client.get(HOME).0, 500);
    assert_eq!(client.get("/sim/faults").1["faults"][0]["status"], 500);
    assert_eq!(
        client.call("DELETE", "/sim/faults", &Value::Null).1,
        json!({"faults": []})
    );
    assert_eq!(client.get(HOME).0, 200);
}

#[test]
fn a_fault_with_a_mistake_is_refused_and_named() {
    let simulator = start_simulator(Tier::Unlimited);
    let (status, text) = Client::of(&simulator).call("POST", "/sim/faults", &json!({"scope": "queue", "kind": "x"}));
    assert_eq!(status, 400);
    assert!(text.as_str().unwrap().contains("unknown variant"), "{text}");
}

#[test]
fn the_ledger_names_the_fault_that_met_a_request() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    client.fault(&json!({"scope": "queue", "kind": "status", "status": 503, "count": 1}));
    client.get(HOME);
    let (_, answer) = client.get("/sim/ledger?kind=request");
    let record = &answer["records"][0];
    assert_eq!(
        (&record["fault"], &record["status"], &record["path"]),
        (&json!("status"), &json!(503), &json!(HOME))
    );
    assert_eq!(client.get("/sim/ledger?knd=request").0, 400);
}

#[test]
fn a_refused_connection_is_reset_and_nothing_was_done() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    for scope in ["events", "queue", "media", "auth"] {
        client.fault(&json!({"scope": scope, "kind": "refuse", "count": 1}));
    }
    let body = start(&entries[0], 0).to_string();
    let url = entries[0]["playbackInformation"]["url"].as_str().unwrap();
    for (method, path, body) in [
        ("POST", "/v1/playback/event", body.as_bytes()),
        ("GET", HOME, b""),
        ("GET", url, b""),
        ("POST", "/auth/o2/token", b"a=b"),
    ] {
        let ureq::Error::Io(error) = client.ask(method, path, body).unwrap_err() else {
            panic!("{path} was answered");
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{path}");
    }
    assert_eq!(simulator.report().events, 0);
}

#[test]
fn garbage_comes_in_several_forms() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    for (form, kind, part) in [
        ("html", "text/html", "Log in to use this network"),
        ("empty", "application/json", ""),
    ] {
        client.fault(&json!({"scope": "queue", "kind": "garbage", "form": form, "count": 1}));
        let mut answer = client.ask("GET", HOME, b"").unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &kind.parse().unwrap())
        );
        let text = answer.body_mut().read_to_string().unwrap();
        assert!(
            text.contains(part) && serde_json::from_str::<Value>(&text).is_err(),
            "{text}"
        );
    }
}

#[test]
fn answers_of_every_scope_are_cut() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    client.fault(&json!({"scope": "queue", "kind": "cut", "bytes": 20, "count": 1}));
    let mut answer = client.ask("GET", HOME, b"").unwrap();
    assert!(
        answer.headers()["content-length"]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 20
    );
    assert!(answer.body_mut().read_to_string().is_err());
    assert_eq!(client.get(HOME).0, 200, "over another connection");
}

#[test]
fn answers_of_every_scope_are_slowed() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let length = client.get(HOME).1.to_string().len();
    client.fault(&json!({"scope": "queue", "kind": "slow", "bytes_per_s": length * 5, "count": 1}));
    let since = Instant::now();
    assert_eq!(client.get(HOME).1.to_string().len(), length);
    assert!(since.elapsed() >= Duration::from_millis(150), "{:?}", since.elapsed());
}

#[test]
fn a_length_that_is_too_long_breaks_off_and_one_that_is_too_short_leaves_out_the_end() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let url = media_url(&client, &simulator);
    for (scope, path) in [("queue", HOME), ("media", url.as_str())] {
        let whole = client.ask("GET", path, b"").unwrap().body_mut().read_to_vec().unwrap();
        client.fault(&json!({"scope": scope, "kind": "wrong_length", "by": 10, "count": 1}));
        let mut longer = client.ask("GET", path, b"").unwrap();
        assert_eq!(longer.headers()["content-length"], (whole.len() + 10).to_string());
        assert!(longer.body_mut().read_to_vec().is_err(), "{scope}");
        client.fault(&json!({"scope": scope, "kind": "wrong_length", "by": -10, "count": 1}));
        let shorter = client.ask("GET", path, b"").unwrap().body_mut().read_to_vec().unwrap();
        assert_eq!(shorter, whole[..whole.len() - 10], "{scope}");
    }
}

#[test]
fn faults_of_the_command_line_are_there_from_the_start() {
    let simulator = Simulator::start(Settings {
        faults: vec![
            "scope=queue,kind=status,status=503,retry_after_s=2,count=1"
                .parse()
                .unwrap(),
        ],
        ..Settings::default()
    })
    .unwrap();
    let client = Client::of(&simulator);
    assert_eq!((client.get(HOME).0, client.get(HOME).0), (503, 200));
}

#[test]
fn an_event_answered_with_the_loss_of_the_stream_may_come_again() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    client.fault(&json!({"scope": "events", "kind": "status", "status": 422, "count": 2}));
    assert_eq!(client.event(&start(&entries[0], 0)), 422);
    assert_eq!(client.event(&start(&entries[0], 0)), 422);
    assert_eq!(client.event(&start(&entries[0], 0)), 200);
    let report = simulator.report();
    assert_eq!((report.tracks, report.events, report.displaced), (1, 1, 2));
    assert_eq!((report.repeats, report.refused), (0, 0));
    assert_eq!(client.found(), Vec::<String>::new());
}

#[test]
fn an_event_answered_with_the_loss_of_the_stream_may_be_set_aside() {
    for status in [422, 429] {
        let simulator = start_simulator(Tier::Unlimited);
        let client = Client::of(&simulator);
        let (id, entries) = client.open(&simulator, &json!({}));
        let code = "MAX_CONCURRENCY_REACHED";
        client.fault(&json!({"scope": "events", "kind": "status", "status": status, "code": code, "count": 1}));
        assert_eq!(client.event(&start(&entries[0], 0)), status);
        assert_eq!(client.get(&format!("/v1/playback/sessions/{id}/next")).0, 200);
        assert_eq!(client.event(&stop(&entries[0], 5, "systemStop", 5)), 200);
        assert_eq!((simulator.report().pairs, client.found()), (1, Vec::<String>::new()));
    }
}
