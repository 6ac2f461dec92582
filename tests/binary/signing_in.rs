//! Signing in, from outside: the page, the commands, restarts, and a link that is lost in the middle of a track.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::process::{Program, run_in, until};
use crate::service::{Music, Service};
use crate::sign_in::{SECRET, SignIn};
use crate::speaker::{PACED, Setup, Speaker};

fn setup(service: &Service, sign_in: &SignIn) -> Setup {
    Setup::write_with(service, PACED, &sign_in.configuration(), "")
}

/// A speaker with an account.
#[track_caller]
fn linked(service: &Service, sign_in: &SignIn) -> Speaker {
    let speaker = setup(service, sign_in).start();
    shows_a_code(&speaker, sign_in);
    sign_in.enter();
    is_linked(&speaker);
    speaker
}

#[track_caller]
fn shows_a_code(speaker: &Speaker, sign_in: &SignIn) {
    speaker.shows("a code", |status| {
        status["account"] == "linking" && status["linking"]["code"] == sign_in.code().as_str()
    });
}

#[track_caller]
fn is_linked(speaker: &Speaker) {
    speaker.shows("the account to be linked", |status| status["account"] == "linked");
}

/// Waits until a command printed this.
#[track_caller]
fn prints(command: &mut Program, what: &str) {
    until(what, || {
        let output = command.output();
        if output.contains(what) {
            return Ok(());
        }
        assert!(!command.has_ended(), "ended: {output}{}", command.log());
        Err(output)
    });
}

#[test]
fn at_its_first_start_a_speaker_shows_a_code_and_plays_once_it_was_entered() {
    let service = Music::of_lengths(&[20_000]).serve();
    let sign_in = SignIn::start();
    let speaker = setup(&service, &sign_in).start();
    shows_a_code(&speaker, &sign_in);
    let account = speaker.account();
    assert_eq!(account["linking"]["address"], "https://example.com/code");
    assert!(account["linking"]["expires_in_s"].as_u64().unwrap() > 500, "{account}");
    sign_in.enter();
    is_linked(&speaker);
    assert_eq!(
        speaker.account(),
        json!({"account": "linked", "linking": null, "problem": null})
    );
    let file = speaker.state().join("account.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(speaker.log().contains("enter CODE-1"), "{}", speaker.log());
    speaker.press("preset_1");
    speaker.plays("01");
    assert_eq!(sign_in.strays(), [""; 0]);
}

#[test]
fn a_linked_speaker_needs_no_code_after_a_restart() {
    let service = Music::of_lengths(&[20_000]).serve();
    let sign_in = SignIn::start();
    let speaker = linked(&service, &sign_in).kill().start();
    is_linked(&speaker);
    speaker.press("preset_1");
    speaker.plays("01");
    assert_eq!(sign_in.pairs(), 1);
}

#[test]
fn the_page_unlinks_and_links_again() {
    let service = Music::of_lengths(&[20_000]).serve();
    let sign_in = SignIn::start();
    let speaker = linked(&service, &sign_in);
    let (status, body) = speaker.ask_account("link");
    assert_eq!((status, body["error"].as_str()), (409, Some("already_linked")));
    assert_eq!(speaker.ask_account("unlink").0, 202);
    speaker.shows("the account to be gone", |status| status["account"] == "not_linked");
    assert!(!speaker.state().join("account.json").exists());
    assert_eq!(sign_in.pairs(), 1, "who unlinks is not asked to link");
    assert_eq!(speaker.ask_account("link").0, 202);
    shows_a_code(&speaker, &sign_in);
    assert_eq!(sign_in.pairs(), 2);
}

#[test]
fn a_refused_token_is_renewed_and_nobody_hears_of_it() {
    let service = Music::of_lengths(&[20_000, 20_000]).serve();
    let sign_in = SignIn::start();
    let speaker = linked(&service, &sign_in);
    speaker.press("preset_1");
    speaker.plays("01");
    service.fault(&json!({"scope": "events", "kind": "status", "status": 401, "count": 1}));
    speaker.press("next");
    speaker.plays("02");
    service.tells(&["01 start", "01 userNext", "02 start"]);
    service.faults_are_used_up();
    assert_eq!(sign_in.refreshes(), 1);
    assert_eq!(speaker.account()["account"], "linked");
    let stored = fs::read_to_string(speaker.state().join("account.json")).unwrap();
    assert!(stored.contains("refresh-2"), "the rotated one is kept");
}

#[test]
fn a_link_that_is_lost_while_playing_shows_a_code_and_the_music_goes_on() {
    let service = Music::of_lengths(&[60_000, 60_000]).serve();
    let sign_in = SignIn::start();
    let speaker = linked(&service, &sign_in);
    speaker.press("preset_1");
    speaker.plays("01");
    speaker.has_reported();
    sign_in.revoke();
    service.fault(&json!({"scope": "events", "kind": "status", "status": 401, "count": 1}));
    speaker.press("next");
    shows_a_code(&speaker, &sign_in);
    assert!(!speaker.state().join("account.json").exists());
    assert!(
        speaker.log().contains("does not know the link any more"),
        "{}",
        speaker.log()
    );
    speaker.plays("02");
    sign_in.enter();
    is_linked(&speaker);
    service.tells(&["01 start", "01 userNext", "02 start"]);
}

#[test]
fn no_secret_of_the_account_is_logged_whatever_the_level() {
    let service = Music::of_lengths(&[20_000]).serve();
    let sign_in = SignIn::start();
    let speaker = setup(&service, &sign_in).with_all_logged().start();
    shows_a_code(&speaker, &sign_in);
    sign_in.enter();
    is_linked(&speaker);
    service.fault(&json!({"scope": "queue", "kind": "status", "status": 401, "count": 1}));
    speaker.press("preset_1");
    speaker.plays("01");
    service.faults_are_used_up();
    assert_eq!(sign_in.refreshes(), 1);
    let log = speaker.log();
    assert!(
        log.contains("TRACE") && log.contains("/auth/o2/token"),
        "the log shows requests"
    );
    // Where a dump of bytes breaks a secret into pieces it would not be found.
    let shown = |line: &&str| line.contains(&SECRET[..3]);
    assert_eq!(log.lines().find(shown), None);
}

#[test]
fn the_link_command_watches_a_running_speaker() {
    let service = Music::of_lengths(&[1_000]).serve();
    let sign_in = SignIn::start();
    let speaker = setup(&service, &sign_in).start();
    shows_a_code(&speaker, &sign_in);
    let mut command = speaker.setup().start_command("link", &["link"]);
    prints(&mut command, "CODE-1");
    prints(&mut command, "https://example.com/code");
    sign_in.enter();
    assert_eq!(command.ended().code(), Some(0), "{}", command.log());
    assert!(
        command.output().ends_with("The account is linked.\n"),
        "{}",
        command.output()
    );
    is_linked(&speaker);
    let again = speaker.command(&["link"]);
    assert_eq!(again.code, Some(0));
    assert!(again.output.contains("linked already"), "{}", again.output);
    let forgotten = speaker.command(&["link", "--forget"]);
    assert_eq!(forgotten.code, Some(0), "{}", forgotten.errors);
    assert_eq!(speaker.account()["account"], "not_linked");
}

#[test]
fn the_link_command_links_without_a_speaker_which_then_needs_no_code() {
    let service = Music::of_lengths(&[20_000]).serve();
    let sign_in = SignIn::start();
    let setup = setup(&service, &sign_in);
    let mut command = setup.start_command("link", &["link"]);
    prints(&mut command, "CODE-1");
    sign_in.enter();
    assert_eq!(command.ended().code(), Some(0), "{}", command.log());
    let check = setup.command(&["check"]);
    assert!(check.output.contains("ok    account: linked\n"), "{}", check.output);
    assert!(check.output.contains("accepts this speaker"), "{}", check.output);
    let speaker = setup.start();
    is_linked(&speaker);
    let check = speaker.command(&["check"]);
    assert!(
        check.output.contains("ok    account: linked, says the running speaker"),
        "{}",
        check.output
    );
    assert_eq!(sign_in.pairs(), 1);
    let setup = speaker.terminate();
    assert_eq!(setup.command(&["link", "--forget"]).code, Some(0));
    assert!(!setup.state().join("account.json").exists());
    let check = setup.command(&["check"]);
    assert_eq!(check.code, Some(1));
    let line = check.output.lines().find(|line| line.contains("account:")).unwrap();
    assert!(line.starts_with("WRONG") && line.contains("tonearm link"), "{line}");
}

#[test]
fn who_declines_ends_the_link_command_with_1() {
    let service = Music::of_lengths(&[1_000]).serve();
    let sign_in = SignIn::start();
    let mut command = setup(&service, &sign_in).start_command("link", &["link"]);
    prints(&mut command, "CODE-1");
    sign_in.decline();
    assert_eq!(command.ended().code(), Some(1));
    assert!(command.output().contains("declined"), "{}", command.output());
}

#[test]
fn ctrl_c_leaves_the_link_command_with_nothing_linked() {
    let service = Music::of_lengths(&[1_000]).serve();
    let sign_in = SignIn::start();
    let setup = setup(&service, &sign_in);
    let mut command = setup.start_command("link", &["link"]);
    prints(&mut command, "CODE-1");
    command.interrupt();
    assert_eq!(command.ended().code(), Some(130));
    assert!(!setup.state().join("account.json").exists());
}

#[test]
fn a_speaker_without_a_client_id_says_how_to_get_one() {
    let service = Music::of_lengths(&[1_000]).serve();
    let speaker = Speaker::at(&service);
    let (status, body) = speaker.ask_account("link");
    assert_eq!((status, body["error"].as_str()), (409, Some("no_client_id")));
    let outcome = run_in(service.folder.path(), &["link", "--config", "tonearm.toml"]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.errors.contains("client_id in [service] of tonearm.toml"),
        "{}",
        outcome.errors
    );
}

#[test]
fn a_client_id_that_the_sign_in_does_not_know_is_named() {
    let service = Music::of_lengths(&[1_000]).serve();
    let sign_in = SignIn::start();
    let about = sign_in.configuration().replace("product-1", "product-2");
    let setup = Setup::write_with(&service, PACED, &about, "");
    let outcome = setup.command(&["link"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.errors.contains("[service] client_id"), "{}", outcome.errors);
    let speaker = setup.start();
    speaker.shows("what to correct", |status| {
        let text = status["account_problem"].as_str().unwrap_or_default();
        status["account"] == "not_linked" && text.contains("[service] client_id")
    });
}
