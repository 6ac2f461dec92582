//! The queue that belongs to the service: looked at, and added to while it plays.

use serde_json::{Value, json};

use crate::music::{RATE, first_difference, noise, read_wav, write_flac};
use crate::process::{Program, run_in, until};
use crate::service::Music;
use crate::speaker::Speaker;

/// Runs a command that must succeed and say nothing.
#[track_caller]
fn silent(speaker: &Speaker, args: &[&str]) {
    let outcome = speaker.command(args);
    assert_eq!(
        (outcome.code, outcome.output.as_str()),
        (Some(0), ""),
        "{args:?}: {}",
        outcome.errors
    );
}

/// The queue as `tonearm queue --json` has it, once it is as long as this.
#[track_caller]
fn queue_of(speaker: &Speaker, length: usize) -> Value {
    until("the queue", || {
        let outcome = speaker.command(&["queue", "--json"]);
        let queue: Value = serde_json::from_str(&outcome.output).map_err(|_| outcome.errors.clone())?;
        let is_as_long = queue["entries"]
            .as_array()
            .is_some_and(|entries| entries.len() == length);
        if is_as_long { Ok(queue) } else { Err(queue.to_string()) }
    })
}

fn titles(queue: &Value) -> Vec<&str> {
    let entries = queue["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["title"].as_str().unwrap()).collect()
}

#[test]
fn what_is_put_into_the_queue_sounds_in_its_place_without_a_gap() {
    let music = Music::empty();
    let lengths = [8 * RATE + 11, RATE / 2 + 7, RATE - 1013];
    let samples: Vec<Vec<i16>> = (1_u32..)
        .zip(lengths)
        .map(|(seed, frames)| noise(seed, frames))
        .collect();
    for (number, samples) in (1..).zip(&samples) {
        write_flac(&music.path().join(format!("{number:02}.flac")), samples);
    }
    // Only to be asked for the names; the demo plays the same folder by its own service.
    let service = music.serve();
    let tracks = service.tracks();
    let folder = service.folder.path();
    let args = ["demo", "--music", "music", "--capture", "out.wav", "--output", "paced"];
    let mut demo = Program::start(folder, "demo", &args, &[]);
    let address = until("the demo's page", || {
        let printed = demo.output();
        let after = printed.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        after.map(str::to_owned).ok_or_else(|| printed.clone())
    });
    let plays = |count: usize| {
        until("the demo to play", || {
            let played = demo.output().matches("playing ").count();
            if played >= count { Ok(()) } else { Err(demo.output()) }
        });
    };
    plays(1);
    for (place, track) in [("--next", &tracks[2]), ("--last", &tracks[1])] {
        let outcome = run_in(folder, &["play", place, "--id", track, "--address", &address]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.errors);
    }
    until("the end", || {
        let printed = demo.output();
        if printed.contains("stopped") {
            Ok(())
        } else {
            Err(printed)
        }
    });
    demo.terminate();
    assert_eq!(demo.ended().code(), Some(0));
    let printed = demo.output();
    assert!(
        printed.contains("gaps:    0 (4 tracks followed without one)"),
        "{printed}"
    );
    assert!(printed.contains("the service found 0 violations"), "{printed}");
    let expected = [0, 2, 1, 2, 1].map(|track: usize| samples[track].clone()).concat();
    assert_eq!(first_difference(&read_wav(&folder.join("out.wav")), &expected), None);
}

#[test]
fn the_queue_is_shown_with_what_was_put_into_it() {
    let service = Music::of_lengths(&[20_000; 3]).serve();
    let tracks = service.tracks();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    silent(&speaker, &["play", "--last", "--id", &tracks[0]]);
    silent(&speaker, &["play", "--next", "--id", &tracks[2]]);
    let queue = queue_of(&speaker, 5);
    assert_eq!(titles(&queue), ["01", "03", "02", "03", "01"]);
    assert_eq!(
        (&queue["current"], &queue["before"], &queue["after"]),
        (&json!(0), &json!(0), &json!(0))
    );
    speaker.press("next");
    speaker.plays("03");
    speaker.has_reported();
    let shown = speaker.command(&["queue"]);
    assert_eq!(
        (shown.code, shown.output.as_str()),
        (Some(0), "  01\n> 03\n  02\n  03\n  01\n")
    );
    service.is_content();
}

#[test]
fn a_look_at_the_queue_says_why_there_is_nothing_to_see() {
    let mut service = Music::of_lengths(&[20_000; 3]).serve();
    let speaker = Speaker::at(&service);
    let refused = |why: &str| {
        let outcome = speaker.command(&["queue"]);
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.errors.contains(why), "{}", outcome.errors);
    };
    refused("nothing is playing");
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    service.kill();
    refused("cannot be reached");
    assert_eq!(speaker.status()["state"], "playing", "looking disturbs nothing");
}

#[test]
fn what_does_not_exist_is_not_put_into_the_queue_and_the_music_goes_on() {
    let service = Music::of_lengths(&[20_000; 2]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    silent(&speaker, &["play", "--next", "--id", "mrn:1.0:of:nothing"]);
    until("the refusal in the log", || {
        let log = speaker.log();
        if log.contains("queue next refused") {
            Ok(())
        } else {
            Err(log)
        }
    });
    assert_eq!(titles(&queue_of(&speaker, 2)), ["01", "02"]);
    assert_eq!(service.story(), ["01 start"]);
}
