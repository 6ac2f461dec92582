//! Speaker and simulated service with sign-in required: from the first code to a link that is taken away. The judge of the
//! simulator has the last word everywhere.

use serde_json::{Value, json};

use crate::alsa::{DEVICES, sounded};
use crate::music::first_difference;
use crate::playing::odd_album;
use crate::process::{Program, agent, until};
use crate::service::{Music, Service};
use crate::speaker::{PACED, Setup, Speaker};

/// Every request needs a token; a device may ask every second whether its code was approved.
const SIGN_IN: &[&str] = &["--sign-in", "--code-interval", "1"];
/// How a speaker signs in at the simulator.
fn account(service: &Service) -> String {
    format!("client_id = \"product-1\"\nauth_url = \"{}\"", service.address())
}

fn setup(service: &Service) -> Setup {
    Setup::write_with(service, PACED, &account(service), "")
}

/// Waits until the speaker shows a code.
#[track_caller]
fn shown_code(speaker: &Speaker) -> String {
    let status = speaker.shows("a code", |status| {
        status["account"] == "linking" && status["linking"]["code"].is_string()
    });
    status["linking"]["code"].as_str().unwrap().to_owned()
}

#[track_caller]
fn approve(service: &Service, code: &str) {
    service.order("/sim/account/approve", &json!({ "user_code": code }));
}

#[track_caller]
fn is_linked(speaker: &Speaker) {
    speaker.shows("the account to be linked", |status| status["account"] == "linked");
}

#[track_caller]
fn linked(service: &Service) -> Speaker {
    let speaker = setup(service).start();
    approve(service, &shown_code(&speaker));
    is_linked(&speaker);
    speaker
}

/// Access tokens run out at once.
#[track_caller]
fn expire(service: &Service) {
    service.order("/sim/account/expire", &json!({}));
}

/// Requests for `path`: the status of each, null where a fault left it without an answer.
fn requests(service: &Service, path: &str) -> Vec<Value> {
    let ledger = service.get("/sim/ledger?kind=request");
    let records = ledger["records"].as_array().unwrap().iter();
    let of_path = records.filter(|record| record["path"] == path);
    of_path.map(|record| record["status"].clone()).collect()
}

/// Times tokens were handed out and arrived.
fn renewals(service: &Service) -> usize {
    let answers = requests(service, "/auth/o2/token");
    answers.iter().filter(|status| **status == 200).count()
}

/// Codes that were asked for.
fn codes(service: &Service) -> usize {
    requests(service, "/auth/o2/create/codepair").len()
}

#[test]
fn a_speaker_whose_code_was_approved_plays_every_sample() {
    let (music, all) = odd_album();
    let service = music.serve_with("unlimited", SIGN_IN);
    let setup = Setup::write_with(
        &service,
        "pcm = \"tofile\"\n",
        &account(&service),
        "[sound]\nchimes = false\n",
    );
    let speaker = setup.with_alsa(DEVICES).with_saved(&json!({ "volume": 100 })).start();
    let code = shown_code(&speaker);
    let status = speaker.status();
    assert_eq!(status["linking"]["address"], format!("{}/link", service.address()));
    assert_eq!(status["problem"]["code"], "linking");
    assert_eq!(service.sessions(), 0, "nothing is asked without an account");
    approve(&service, &code);
    is_linked(&speaker);
    speaker.press("preset_1");
    service.tells_of_all(&["01", "02", "03"]);
    speaker.terminate();
    let (sounded, _) = sounded(&service);
    assert_eq!(first_difference(&sounded[..all.len().min(sounded.len())], &all), None);
    service.is_content();
}

#[test]
fn tokens_that_run_out_in_mid_track_are_renewed_and_nobody_hears_of_it() {
    let service = Music::of_lengths(&[4_000; 3]).serve_with("unlimited", SIGN_IN);
    let speaker = linked(&service);
    speaker.press("preset_1");
    for title in ["01", "02"] {
        speaker.plays(title);
        speaker.has_reported();
        expire(&service);
    }
    service.tells_of_all(&["01", "02", "03"]);
    let metrics = speaker.metrics();
    for figure in [
        "boundaries_gapless_total 2\n",
        "boundaries_with_gap_total 0\n",
        "rebuffers_total 0\n",
    ] {
        assert!(metrics.contains(&format!("tonearm_{figure}")), "{metrics}");
    }
    assert!(requests(&service, "/v1/playback/event").contains(&json!(401)));
    is_linked(&speaker);
    assert_eq!(codes(&service), 1);
    service.is_content();
}

#[test]
fn an_answer_with_new_tokens_that_is_lost_does_not_cost_the_link() {
    let service = Music::of_lengths(&[20_000; 2]).serve_with("unlimited", SIGN_IN);
    let speaker = linked(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    speaker.has_reported();
    service.fault(&json!({"scope": "auth", "kind": "answer_lost", "path": "/auth/o2/token", "count": 1}));
    expire(&service);
    speaker.press("next");
    speaker.plays("02");
    service.tells(&["01 start", "01 userNext", "02 start"]);
    service.faults_are_used_up();
    is_linked(&speaker);
    let speaker = speaker.kill().start();
    is_linked(&speaker);
    // The tokens on the disk are those of the second answer: they are good for another renewal.
    let before = renewals(&service);
    expire(&service);
    speaker.press("preset_1");
    until("another renewal", || match renewals(&service) {
        renewals if renewals > before => Ok(()),
        renewals => Err(format!("{renewals}")),
    });
    speaker.has_reported();
    speaker.shows("the service", |status| {
        status["link"] == "up" && status["state"] == "playing"
    });
    assert_eq!(codes(&service), 1);
    service.is_content();
}

#[test]
fn without_its_link_a_speaker_plays_what_is_loaded_and_reports_it_after_the_next_approval() {
    let service = Music::of_lengths(&[25_000; 3]).serve_with("unlimited", SIGN_IN);
    let speaker = linked(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    speaker.has_reported();
    speaker.shows("a loaded window", |status| {
        let window = status["window"].as_array().unwrap();
        window.len() == 3 && window.iter().all(|entry| entry["state"] == "loaded")
    });
    service.order("/sim/account/revoke", &json!({}));
    speaker.press("next");
    speaker.plays("02");
    let code = shown_code(&speaker);
    speaker.shows("what is wrong", |status| status["problem"]["code"] == "linking");
    let log = speaker.log();
    assert!(log.contains("does not know the link any more"), "{log}");
    speaker.press("next");
    let status = speaker.plays("03");
    assert!(status["outbox"]["waiting"].as_u64() >= Some(3), "{status}");
    assert_eq!(service.story(), ["01 start"], "nothing is told without an account");
    approve(&service, &code);
    is_linked(&speaker);
    service.tells(&["01 start", "01 userNext", "02 start", "02 userNext", "03 start"]);
    speaker.has_reported();
    let status = speaker.status();
    assert_eq!(status["problem"], Value::Null);
    assert_eq!(status["outbox"]["set_aside"], 0);
    service.is_content();
}

#[test]
fn the_link_command_links_at_the_simulator_and_check_finds_the_account() {
    let service = Music::of_lengths(&[1_000]).serve_with("unlimited", SIGN_IN);
    let setup = setup(&service);
    let mut link = setup.start_command("link", &["link"]);
    let code = until("a code", || {
        let pairs = service.get("/sim/account")["pairs"].clone();
        let code = pairs[0]["user_code"].as_str().map(str::to_owned);
        code.filter(|code| link.output().contains(code.as_str()))
            .ok_or_else(|| link.output())
    });
    approve(&service, &code);
    assert_eq!(link.ended().code(), Some(0), "{}", link.log());
    let check = setup.command(&["check"]).output;
    assert!(check.contains("ok    account: linked\n"), "{check}");
    assert!(check.contains("answers and accepts this speaker"), "{check}");
    let forgotten = setup.command(&["link", "--forget"]);
    assert_eq!(forgotten.code, Some(0), "{}", forgotten.errors);
    let check = setup.command(&["check"]);
    assert_eq!(check.code, Some(1));
    assert!(check.output.contains("WRONG account: not linked"), "{}", check.output);
    service.is_content();
}

#[test]
fn a_larger_plan_is_offered_in_the_listener_s_language_with_its_address() {
    const PLANS: &str = "https://example.com/plans";
    let service = Music::of_lengths(&[1_000; 2]).serve_with("free", &["--upgrade-url", PLANS]);
    let album = service.albums()[0].clone();
    for (language, word) in [("de-DE", "gehört nicht zu deinem Abo"), ("en-GB", "does not include")] {
        let about = format!("language = \"{language}\"");
        let speaker = Setup::write_with(&service, PACED, &about, "").start();
        let play = speaker.command(&["play", "--container", &album, "--shuffle"]);
        assert_eq!(play.code, Some(0), "{}", play.errors);
        let status = speaker.shows("the service's words", |status| status["upsell"] != Value::Null);
        assert!(status["upsell"]["text"].as_str().unwrap().contains(word), "{status}");
        assert_eq!(status["upsell"]["url"], PLANS);
        let shown = speaker.command(&["status"]).output;
        assert!(shown.contains(word) && shown.contains(PLANS), "{shown}");
    }
    service.is_content();
}

#[test]
fn the_demo_plays_without_an_account() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Program::start(folder.path(), "demo", &["demo", "--output", "paced"], &[]);
    let status: Value = until("the demo to play", || {
        let printed = demo.output();
        let page = printed.lines().find_map(|line| line.strip_prefix("page:  "));
        let page = page.ok_or_else(|| printed.clone())?;
        let answer = agent().get(page).call();
        let text = answer.and_then(|mut answer| answer.body_mut().read_to_string());
        let text = text.map_err(|error| error.to_string())?;
        let status: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let plays = status["state"] == "playing" && status["link"] == "up";
        if plays { Ok(status) } else { Err(text) }
    });
    assert_eq!(status["linking"], Value::Null);
    assert_eq!(status["problem"], Value::Null);
    demo.terminate();
    assert_eq!(demo.ended().code(), Some(0));
    assert!(!demo.log().contains("link an account"), "{}", demo.log());
}
