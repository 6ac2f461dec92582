//! Mistakes in the two files a person writes: the program says where and what would do, and does not start.

use std::fs;
use std::path::Path;

use crate::process::{Outcome, run_in};

const BOARD: &str = "name = \"bench\"\n[output]\npcm = \"paced\"\n";
const CONFIG: &str = "[state]\ndir = \"state\"\n[board]\nfile = \"board.toml\"\n[page]\nlisten = \"127.0.0.1:0\"\n";

fn run(folder: &Path, config: &str, board: &str) -> Outcome {
    fs::write(folder.join("tonearm.toml"), config).unwrap();
    fs::write(folder.join("board.toml"), board).unwrap();
    run_in(folder, &["run", "--config", "tonearm.toml"])
}

/// The program ends at once with exit code 1, and its message has all of these words.
#[track_caller]
fn refuses(config: &str, board: &str, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(folder.path(), config, board);
    assert_eq!(outcome.code, Some(1), "{}", outcome.errors);
    for word in words {
        assert!(
            outcome.errors.contains(word),
            "{word:?} is missing in:\n{}",
            outcome.errors
        );
    }
    assert!(!folder.path().join("state").exists(), "it started half-configured");
}

#[test]
fn an_unknown_key_names_file_line_and_the_nearest_one() {
    let config = format!("{CONFIG}[window]\nbehnd = 1\n");
    refuses(
        &config,
        BOARD,
        &["tonearm.toml", "line 8", "window.behnd", "\"behind\"", "ahead"],
    );
}

#[test]
fn a_value_out_of_range_names_the_range() {
    let config = format!("{CONFIG}[window]\nahead = 99\n");
    refuses(
        &config,
        BOARD,
        &["tonearm.toml", "line 8", "window.ahead", "99", "from 1 to 10"],
    );
}

#[test]
fn a_service_without_encryption_is_refused_outside_this_machine() {
    let config = format!("{CONFIG}[service]\nbase_url = \"http://example.com\"\n");
    refuses(&config, BOARD, &["tonearm.toml", "line 8", "service.base_url", "https"]);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let config = format!("{CONFIG}[window]\nahead = 0\n[servce]\n[[preset]]\nname = \"empty\"\n");
    refuses(
        &config,
        BOARD,
        &["3 mistakes", "line 8", "line 9", "\"service\"", "line 10"],
    );
}

#[test]
fn a_file_that_is_no_toml_names_the_line() {
    refuses(&format!("{CONFIG}[window\n"), BOARD, &["tonearm.toml", "line 7"]);
}

#[test]
fn a_file_that_is_not_there_is_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run_in(folder.path(), &["run", "--config", "absent.toml"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.errors.contains("absent.toml"), "{}", outcome.errors);
    assert_eq!(outcome.errors.matches("No such file").count(), 1, "{}", outcome.errors);
}

#[test]
fn an_unknown_action_of_a_button_names_the_actions() {
    let board = format!("{BOARD}[[button]]\naction = \"plya\"\nkey = \"KEY_PLAY\"\n");
    refuses(
        CONFIG,
        &board,
        &[
            "board.toml",
            "line 5",
            "button[1].action",
            "did you mean \"play\"",
            "volume_up",
        ],
    );
}

#[test]
fn an_unknown_key_of_the_kernel_names_the_nearest() {
    let board = format!("{BOARD}[[button]]\naction = \"next\"\nkey = \"KEY_NEXTSNG\"\n");
    refuses(
        CONFIG,
        &board,
        &["board.toml", "line 6", "button[1].key", "KEY_NEXTSONG"],
    );
}

#[test]
fn a_board_without_a_sound_device_is_refused() {
    refuses(CONFIG, "name = \"bench\"\n", &["board.toml", "output"]);
}

#[test]
fn periods_that_no_device_can_have_name_the_range() {
    let board = format!("{BOARD}period_frames = 7\n");
    refuses(
        CONFIG,
        &board,
        &["board.toml", "line 4", "output.period_frames", "from 64 to 16384"],
    );
}
