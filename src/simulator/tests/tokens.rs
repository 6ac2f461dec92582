//! Tokens over real HTTP: what they open, how they are refreshed, and where they must not be seen.

use super::signing_in::{Device, HOME, denied, start_quick, start_with};
use super::*;

#[test]
fn a_refresh_replaces_both_tokens_and_the_old_one_is_then_out_of_use() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    let first = device.linked();
    let (status, second) = device.refresh(&first);
    assert_eq!(status, 200);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(device.ask_with(&second).0, 200);
    assert_eq!(device.ask_with(&first).0, 200, "it lives to its end");
    denied("invalid_grant", &device.refresh(&first));
    assert_eq!(device.client.found(), ["refresh_reused"]);
}

#[test]
fn a_refresh_whose_answer_was_lost_may_be_repeated_and_so_may_an_exchange() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    let pair = device.pair();
    device.order("approve", &json!({"user_code": pair["user_code"]}));
    assert_eq!(device.poll(&pair).0, 200, "lost");
    let (status, tokens) = device.poll(&pair);
    assert_eq!(status, 200);
    device
        .client
        .fault(&json!({"scope": "auth", "kind": "answer_lost", "count": 1}));
    let path = "/auth/o2/token";
    let form = format!(
        "grant_type=refresh_token&client_id=app&refresh_token={}",
        percent_encoding::utf8_percent_encode(
            tokens["refresh_token"].as_str().unwrap(),
            percent_encoding::NON_ALPHANUMERIC
        )
    );
    assert!(device.client.ask("POST", path, form.as_bytes()).is_err());
    let (status, fresh) = device.refresh(&tokens);
    assert_eq!((status, device.ask_with(&fresh).0), (200, 200));
    assert_eq!(device.client.found(), Vec::<String>::new());
}

#[test]
fn without_rotation_the_refresh_token_stays() {
    let simulator = start_with(Linking {
        code_interval: 0,
        rotation: account::Rotation::Never,
        ..Linking::default()
    });
    let device = Device::of(&simulator);
    let tokens = device.linked();
    for _ in 0..2 {
        let (status, fresh) = device.refresh(&tokens);
        assert_eq!((status, &fresh["refresh_token"]), (200, &Value::Null));
        assert_eq!(device.ask_with(&fresh).0, 200);
    }
}

#[test]
fn only_a_live_bearer_token_opens_the_service() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    let tokens = device.linked();
    let access = tokens["access_token"].as_str().unwrap();
    let refused = |authorization: String| device.ask_as(authorization);
    assert_eq!(
        refused(format!("Basic {access}")),
        (401, "INVALID_AUTH_TYPE".to_owned())
    );
    assert_eq!(
        refused("Bearer Atza|x".to_owned()),
        (401, "INVALID_AUTH_TOKEN".to_owned())
    );
    device.order("expire", &Value::Null);
    assert_eq!(device.ask_with(&tokens), (401, "INVALID_ACCESS_TOKEN".to_owned()));
    let (_, fresh) = device.refresh(&tokens);
    assert_eq!(device.ask_with(&fresh).0, 200);
    assert_eq!(device.client.found(), Vec::<String>::new());
    let (status, answer) = Client::of(&simulator).get(HOME);
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (401, Some("INVALID_AUTH_TYPE"))
    );
    assert_eq!(device.client.found(), ["header_missing"]);
}

#[test]
fn a_token_lives_as_long_as_it_is_told() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    device.change(&json!({"token_life": 0}));
    let tokens = device.linked();
    assert_eq!(tokens["expires_in"], 0);
    assert_eq!(device.ask_with(&tokens), (401, "INVALID_ACCESS_TOKEN".to_owned()));
}

#[test]
fn a_revoked_link_is_gone_for_good() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    let tokens = device.linked();
    device.order("revoke", &Value::Null);
    assert_eq!(device.ask_with(&tokens), (401, "INVALID_AUTH_TOKEN".to_owned()));
    denied("invalid_grant", &device.refresh(&tokens));
    assert_eq!(device.client.found(), Vec::<String>::new());
}

#[test]
fn an_account_without_music_is_refused() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    let tokens = device.linked();
    device.change(&json!({"music_account": "missing"}));
    assert_eq!(
        device.ask_with(&tokens),
        (403, "AUTH_NO_MUSIC_ACCOUNT_FOUND".to_owned())
    );
}

#[test]
fn an_event_that_was_turned_down_is_owed() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    let tokens = device.linked();
    let bearer = |tokens: &Value| format!("Bearer {}", tokens["access_token"].as_str().unwrap()).leak();
    let client = Client::of(&simulator).with("authorization", bearer(&tokens));
    let (id, entries) = client.open(&simulator, &json!({}));
    device.order("expire", &Value::Null);
    assert_eq!(client.event(&start(&entries[0], 0)), 401);
    let (_, fresh) = device.refresh(&tokens);
    let client = Client::of(&simulator).with("authorization", bearer(&fresh));
    let next = format!("/v1/playback/sessions/{id}/next");
    assert_eq!(client.get(&next).0, 400, "the event comes first");
    assert_eq!(client.found(), ["event_overtaken"]);
    assert_eq!(client.event(&start(&entries[0], 0)), 200);
    assert_eq!(client.get(&next).0, 200);
}

#[test]
fn refreshing_without_need_is_found_at_the_sixth_time() {
    let simulator = start_quick();
    let device = Device::of(&simulator);
    let mut tokens = device.linked();
    for n in 1..=6 {
        assert_eq!(device.client.found(), Vec::<String>::new(), "before refresh {n}");
        tokens = device.refresh(&tokens).1;
    }
    assert_eq!(device.client.found(), ["refresh_storm"]);
}

#[test]
fn no_secret_is_kept_or_shown() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(Settings {
        state: Some(folder.path().to_owned()),
        sign_in: SignIn::Required,
        linking: Linking {
            code_interval: 0,
            ..Linking::default()
        },
        ..Settings::default()
    })
    .unwrap();
    let device = Device::of(&simulator);
    let pair = device.pair();
    device.order("approve", &json!({"user_code": pair["user_code"]}));
    let (_, tokens) = device.poll(&pair);
    device.ask_with(&tokens);
    device.refresh(&tokens);
    // Careless clients put them everywhere.
    let access = tokens["access_token"].as_str().unwrap();
    let bearer = format!("Bearer {access}").leak();
    let careless = Client::of(&simulator).with("authorization", bearer);
    assert_eq!(careless.get(&format!("{HOME}?t={}", access.replace('|', "%7C"))).0, 400);
    assert_eq!(careless.event(&json!({"metricId": access})), 400);
    device
        .client
        .get(&format!("/auth/o2/token?{}", pair["device_code"].as_str().unwrap()));
    assert_eq!(device.client.found(), ["credentials_leaked"; 2]);
    let mut kept = device.client.get("/sim/account").1.to_string();
    kept += &device.client.get("/sim/ledger").1.to_string();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        kept += &std::fs::read_to_string(file.unwrap().path()).unwrap();
    }
    assert!(kept.contains("/auth/o2/create/codepair") && kept.contains("/auth/o2/token"));
    for secret in [&pair["device_code"], &tokens["access_token"], &tokens["refresh_token"]] {
        let secret = secret.as_str().unwrap();
        assert!(kept.len() > 1_000 && !kept.contains(&secret[5..14]), "{kept}");
    }
}

#[test]
fn credentials_of_the_service_at_the_sign_in_server_are_found() {
    let simulator = start_quick();
    for name in ["authorization", "x-api-key", "x-amzn-device-id"] {
        let mut device = Device::of(&simulator);
        device.client = device.client.with(name, "x");
        assert_eq!(device.post("token", &[("grant_type", "device_code")]).0, 400);
    }
    assert_eq!(Client::of(&simulator).found(), ["credentials_leaked"; 3]);
}
