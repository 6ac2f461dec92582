//! The command line: what it prints, how it ends, and what it says to those who mistype.

use serde_json::{Value, json};

use crate::process::{Outcome, free_port, run_in};
use crate::service::Music;
use crate::speaker::Speaker;

const COMMANDS: [&str; 12] = [
    "run",
    "demo",
    "simulator",
    "check",
    "link",
    "journal",
    "press",
    "status",
    "play",
    "queue",
    "play-tone",
    "watch-buttons",
];

fn run(args: &[&str]) -> Outcome {
    run_in(tempfile::tempdir().unwrap().path(), args)
}

#[test]
fn help_names_every_command_and_every_command_has_help() {
    let help = run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for command in COMMANDS {
        assert!(
            help.output.contains(&format!("\n  {command} ")),
            "{command} is missing in:\n{}",
            help.output
        );
        let own = run(&[command, "--help"]);
        assert_eq!(own.code, Some(0), "{command}");
        assert!(
            own.output.contains(&format!("Usage: tonearm {command}")),
            "{}",
            own.output
        );
    }
}

#[test]
fn the_version_is_the_package_s() {
    let version = run(&["--version"]);
    assert_eq!(version.code, Some(0));
    assert_eq!(version.output, format!("tonearm {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_mistyped_is_an_error_that_names_the_nearest() {
    for (args, nearest) in [
        (&["statsu"][..], "'status'"),
        (&["run", "--cnofig", "x"], "'--config'"),
        (&["demo", "--teir", "free"], "'--tier'"),
        (&["demo", "--tier", "fre"], "'free'"),
        (&["press"], "<BUTTON>"),
        (&["play"], "--id"),
        (&["play", "--id", "x", "--next", "--shuffle"], "--shuffle"),
        (&["play", "--id", "x", "--next", "--last"], "--last"),
        (&["demo", "--for", "soon"], "30s"),
        (&["play-tone", "--chime", "refusd"], "'refused'"),
    ] {
        let outcome = run(args);
        assert_eq!(outcome.code, Some(2), "{args:?}");
        assert!(outcome.errors.contains(nearest), "{args:?}:\n{}", outcome.errors);
        assert_eq!(outcome.output, "", "{args:?}");
    }
}

#[test]
fn without_a_speaker_the_commands_that_need_one_say_so() {
    let address = format!("127.0.0.1:{}", free_port());
    for args in [
        &["status"][..],
        &["press", "play"],
        &["play", "--id", "mrn:1"],
        &["queue"],
    ] {
        let mut args = args.to_vec();
        args.extend(["--address", &address]);
        let outcome = run(&args);
        assert_eq!(outcome.code, Some(1), "{args:?}");
        let asked = format!("no speaker answers at {address}: is it running?");
        assert!(outcome.errors.contains(&asked), "{args:?}:\n{}", outcome.errors);
        assert_eq!(outcome.output, "");
    }
}

#[test]
fn a_music_folder_without_music_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["demo", "simulator"] {
        for (music, says) in [(".", "nothing playable"), ("absent", "absent")] {
            let outcome = run_in(folder.path(), &[command, "--music", music]);
            assert_eq!(outcome.code, Some(1), "{command} {music}");
            assert!(outcome.errors.contains(says), "{command} {music}:\n{}", outcome.errors);
        }
    }
}

#[test]
fn a_journal_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tonearm.toml"), "[state]\ndir = \"state\"\n").unwrap();
    let outcome = run_in(folder.path(), &["journal", "--config", "tonearm.toml"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.errors.contains("state/journal"), "{}", outcome.errors);
}

#[test]
fn presses_play_and_status_reach_the_speaker() {
    let service = Music::of_lengths(&[20_000, 20_000]).serve();
    let speaker = Speaker::at(&service);
    let silent = |args: &[&str]| {
        let outcome = speaker.command(args);
        assert_eq!(
            (outcome.code, outcome.output.as_str()),
            (Some(0), ""),
            "{args:?}: {}",
            outcome.errors
        );
    };
    let refused = speaker.command(&["press", "next"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.errors.contains("nothing is playing"), "{}", refused.errors);
    let album = service.albums()[0].clone();
    silent(&["play", "--container", &album]);
    speaker.plays("01");
    silent(&["press", "next"]);
    speaker.plays("02");
    silent(&["press", "volume_down"]);
    silent(&["press", "play"]);
    speaker.shows("a pause", |status| status["state"] == "paused");
    let status = speaker.command(&["status"]);
    assert_eq!(status.code, Some(0));
    assert!(status.output.starts_with("paused: 02 ("), "{}", status.output);
    assert!(status.output.contains("volume 36"), "{}", status.output);
    let status = speaker.command(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status.output).unwrap();
    assert_eq!((&status["state"], &status["volume"]), (&json!("paused"), &json!(36)));
    service.tells(&["01 start", "01 userNext", "02 start", "02 userStop"]);
}

#[test]
fn a_button_that_does_not_exist_names_those_that_do() {
    let service = Music::of_lengths(&[1_000]).serve();
    let speaker = Speaker::at(&service);
    for button in ["pley", "preset_0", "../status"] {
        let outcome = speaker.command(&["press", button]);
        assert_eq!(outcome.code, Some(1), "{button}");
        assert!(outcome.errors.contains("volume_up"), "{button}: {}", outcome.errors);
    }
    let outcome = speaker.command(&["press", "preset_9"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.errors.contains("no such preset"), "{}", outcome.errors);
}

#[test]
fn check_has_a_line_for_each_thing_and_ends_with_0_only_if_all_is_well() {
    let mut service = Music::of_lengths(&[1_000]).serve();
    let speaker = Speaker::at(&service);
    let well = speaker.command(&["check"]);
    assert!(well.output.contains("a speaker answers on"), "{}", well.output);
    assert!(
        well.output.contains("answers and accepts this speaker"),
        "{}",
        well.output
    );
    // The machine that runs this may not have set its clock; everything else is ours.
    let (clock, ours): (Vec<_>, Vec<_>) = well.output.lines().partition(|line| line.contains(" clock: "));
    assert!(ours.iter().all(|line| line.starts_with("ok ")), "{}", well.output);
    assert_eq!(
        well.code,
        Some(i32::from(clock[0].starts_with("WRONG"))),
        "{}",
        well.output
    );
    service.kill();
    let wrong = speaker.command(&["check"]);
    assert_eq!(wrong.code, Some(1));
    let line = wrong.output.lines().find(|line| line.contains("service:")).unwrap();
    assert!(line.starts_with("WRONG") && line.contains("does not answer"), "{line}");
}

#[test]
fn a_simulator_whose_port_is_taken_says_so() {
    let service = Music::of_lengths(&[1_000]).serve();
    let listen = service.address().replace("http://", "");
    let args = ["simulator", "--listen", &listen, "--state", "other", "--music", "music"];
    let outcome = run_in(service.folder.path(), &args);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.errors.contains(&listen) && outcome.errors.contains("another simulator"),
        "{}",
        outcome.errors
    );
}
