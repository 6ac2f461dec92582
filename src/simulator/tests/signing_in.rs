//! Signing in over real HTTP: codes, who approves them, and every answer on the way to tokens.

use super::*;

pub(super) const HOME: &str = "/v1/views/home";

pub(super) fn start_with(linking: Linking) -> Simulator {
    Simulator::start(Settings {
        sign_in: SignIn::Required,
        linking,
        ..Settings::default()
    })
    .unwrap()
}

/// Polls as fast as it likes.
pub(super) fn start_quick() -> Simulator {
    start_with(Linking {
        code_interval: 0,
        ..Linking::default()
    })
}

/// A device without the service's headers, as the sign-in server is to see it.
pub(super) struct Device<'a> {
    pub(super) client: Client,
    simulator: &'a Simulator,
}

impl<'a> Device<'a> {
    pub(super) fn of(simulator: &'a Simulator) -> Self {
        let mut client = Client::of(simulator);
        client.headers = vec![("content-type", "application/x-www-form-urlencoded")];
        Self { client, simulator }
    }

    pub(super) fn post(&self, what: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let pairs: Vec<_> = form
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        let path = format!("/auth/o2/{what}");
        let mut answer = self.client.ask("POST", &path, pairs.join("&").as_bytes()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    pub(super) fn pair(&self) -> Value {
        let form = [
            ("response_type", "device_code"),
            ("client_id", "app"),
            ("scope", "music::playback"),
        ];
        let (status, pair) = self.post("create/codepair", &form);
        assert_eq!(status, 200, "{pair}");
        pair
    }

    pub(super) fn poll(&self, pair: &Value) -> (u16, Value) {
        let form = [
            ("grant_type", "device_code"),
            ("device_code", pair["device_code"].as_str().unwrap()),
            ("user_code", pair["user_code"].as_str().unwrap()),
        ];
        self.post("token", &form)
    }

    pub(super) fn refresh(&self, tokens: &Value) -> (u16, Value) {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
            ("client_id", "app"),
        ];
        self.post("token", &form)
    }

    pub(super) fn linked(&self) -> Value {
        let pair = self.pair();
        let named = json!({"user_code": pair["user_code"]});
        assert_eq!(self.order("approve", &named).0, 200);
        let (status, tokens) = self.poll(&pair);
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    pub(super) fn order(&self, what: &str, body: &Value) -> (u16, Value) {
        self.client.call("POST", &format!("/sim/account/{what}"), body)
    }

    pub(super) fn change(&self, linking: &Value) {
        assert_eq!(self.client.call("PUT", "/sim/account", linking).0, 200, "{linking}");
    }

    /// Status and code of a request with this `Authorization`.
    pub(super) fn ask_as(&self, authorization: String) -> (u16, String) {
        let client = Client::of(self.simulator).with("authorization", authorization.leak());
        let (status, answer) = client.get(HOME);
        (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    pub(super) fn ask_with(&self, tokens: &Value) -> (u16, String) {
        self.ask_as(format!("Bearer {}", tokens["access_token"].as_str().unwrap()))
    }
}

pub(super) fn denied(error: &str, (status, answer): &(u16, Value)) {
    let expected = if error == "invalid_client" { 401 } else { 400 };
    assert_eq!((*status, answer["error"].as_str()), (expected, Some(error)), "{answer}");
    assert!(!answer["error_description"].as_str().unwrap().is_empty());
}

#[test]
fn a_code_is_shown_approved_and_exchanged_for_tokens_that_open_the_service() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    let pair = device.pair();
    assert_eq!((&pair["expires_in"], &pair["interval"]), (&json!(600), &json!(0)));
    assert_eq!(pair["verification_uri"], format!("{}/link", device.client.base));
    denied("authorization_pending", &device.poll(&pair));
    assert_eq!(device.order("approve", &json!({"user_code": pair["user_code"]})).0, 200);
    let (status, tokens) = device.poll(&pair);
    assert_eq!(status, 200);
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"]),
        (&json!("bearer"), &json!(3600))
    );
    assert_eq!(device.ask_with(&tokens).0, 200);
    assert_eq!(device.client.found(), Vec::<String>::new());
}

#[test]
fn the_contracts_times_are_the_default() {
    let simulator = start_with(Linking::default());
    let pair = Device::of(&simulator).pair();
    assert_eq!((&pair["expires_in"], &pair["interval"]), (&json!(600), &json!(30)));
}

#[test]
fn polling_faster_than_the_interval_is_slowed_down_and_found() {
    let simulator = start_with(Linking::default());
    let device = Device::of(&simulator);
    let pair = device.pair();
    denied("authorization_pending", &device.poll(&pair));
    denied("slow_down", &device.poll(&pair));
    assert_eq!(device.client.found(), ["polled_too_fast"]);
}

#[test]
fn a_device_can_be_told_to_slow_down_without_having_hurried() {
    let simulator = start_with(Linking::default());
    let device = Device::of(&simulator);
    let pair = device.pair();
    device.order("slow_down", &Value::Null);
    denied("slow_down", &device.poll(&pair));
    assert_eq!(device.client.found(), Vec::<String>::new());
}

#[test]
fn codes_that_are_wrong_denied_used_or_over_are_told_apart() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    let pair = device.pair();
    denied(
        "invalid_code_pair",
        &device.poll(&json!({"device_code": "made up", "user_code": pair["user_code"]})),
    );
    device.order("deny", &json!({"user_code": pair["user_code"]}));
    denied("access_denied", &device.poll(&pair));
    let used = device.pair();
    device.order("approve", &json!({"user_code": used["user_code"]}));
    let (_, tokens) = device.poll(&used);
    assert_eq!(device.ask_with(&tokens).0, 200);
    denied("invalid_code_pair", &device.poll(&used));
    assert_eq!(device.order("approve", &json!({"user_code": used["user_code"]})).0, 404);
    device.change(&json!({"code_life": 0}));
    denied("expired_token", &device.poll(&device.pair()));
}

#[test]
fn requests_that_are_configured_wrongly_are_named() {
    let simulator = start_with(Linking {
        client_id: Some("app".to_owned()),
        ..Linking::default()
    });
    let device = Device::of(&simulator);
    let create = |response_type, client_id, scope| {
        let form = [
            ("response_type", response_type),
            ("client_id", client_id),
            ("scope", scope),
        ];
        device.post("create/codepair", &form)
    };
    denied("invalid_request", &create("code", "app", "music::playback"));
    denied("invalid_request", &create("device_code", "", "music::playback"));
    denied("invalid_client", &create("device_code", "other", "music::playback"));
    denied(
        "unauthorized_client",
        &create("device_code", "app", "music::playback alexa:all"),
    );
    denied("invalid_request", &device.post("token", &[("grant_type", "password")]));
    denied(
        "invalid_request",
        &device.post("token", &[("grant_type", "device_code")]),
    );
    denied(
        "invalid_request",
        &device.post("token", &[("grant_type", "refresh_token")]),
    );
    let twice = [("grant_type", "device_code"), ("grant_type", "refresh_token")];
    denied("invalid_request", &device.post("token", &twice));
}

#[test]
fn a_body_that_is_no_form_is_an_invalid_request() {
    let simulator = start_quick();
    let mut device = Device::of(&simulator);
    device.client.headers = vec![("content-type", "application/json")];
    denied(
        "invalid_request",
        &device.post("token", &[("grant_type", "device_code")]),
    );
}

#[test]
fn links_and_codes_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings {
        sign_in: SignIn::Required,
        state: Some(folder.path().to_owned()),
        linking: Linking {
            code_interval: 0,
            ..Linking::default()
        },
        ..Settings::default()
    };
    let simulator = Simulator::start(settings()).unwrap();
    let tokens = Device::of(&simulator).linked();
    let pair = Device::of(&simulator).pair();
    simulator.stop();
    let simulator = Simulator::start(settings()).unwrap();
    let device = Device::of(&simulator);
    assert_eq!(device.ask_with(&tokens).0, 200);
    assert_eq!(device.refresh(&tokens).0, 200);
    denied("authorization_pending", &device.poll(&pair));
}

#[test]
fn a_person_approves_in_a_browser_or_on_the_console() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    let pair = device.pair();
    let page = device.client.get("/link").1;
    assert!(page.as_str().unwrap().contains("<input name=\"user_code\""));
    let typed = |code: &str| format!("user_code={}&answer=approve", code.to_lowercase());
    let ask = |body: String| device.client.ask("POST", "/link", body.as_bytes()).unwrap().status();
    assert_eq!(ask(typed("none")), 404);
    assert_eq!(ask("answer=perhaps".to_owned()), 422);
    assert_eq!(ask(typed(pair["user_code"].as_str().unwrap())), 200);
    assert_eq!(device.poll(&pair).0, 200);

    let console = simulator.console();
    let pair = device.pair();
    let code = pair["user_code"].as_str().unwrap();
    assert!(console.obey("help\n").contains("approve CODE"));
    assert_eq!(console.obey("deny QQQ-QQQ\n"), "there is no such code");
    assert_eq!(console.obey(&format!("deny {code}\n")), format!("{code} is denied"));
    denied("access_denied", &device.poll(&pair));
}

#[test]
fn orders_with_a_mistake_are_refused_and_named() {
    let simulator = start_quick();
    let client = Client::of(&simulator);
    let (status, text) = client.call("PUT", "/sim/account", &json!({"rotation": "often"}));
    assert_eq!(status, 400);
    assert!(text.as_str().unwrap().contains("`always`"), "{text}");
    assert_eq!(
        client.call("POST", "/sim/account/approve", &json!({"code": "x"})).0,
        400
    );
}

#[test]
fn faults_meet_the_sign_in_server_in_its_own_words() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    device
        .client
        .fault(&json!({"scope": "auth", "kind": "status", "status": 503, "retry_after_s": 3, "count": 1}));
    let (status, answer) = device.post("token", &[]);
    assert_eq!(
        (status, answer["error"].as_str()),
        (503, Some("temporarily_unavailable"))
    );
    let code = "unauthorized_client";
    device
        .client
        .fault(&json!({"scope": "auth", "kind": "status", "status": 400, "code": code, "count": 1}));
    assert_eq!(device.post("token", &[]).1["error"], code);
    assert_eq!(
        device.pair()["interval"],
        0,
        "the service of the other scopes is not met"
    );
}
