//! The speaker is stopped, politely or by a pulled plug, and goes on where it was.

use serde_json::Value;

use crate::process::until;
use crate::service::{Heard, Music};
use crate::speaker::Speaker;

/// The position of what sounds is noted at least this often.
const CHECKPOINT_EVERY_MS: u64 = 10_000;
/// Sound in the device and the moment between a look at the status and the signal.
const SLACK_MS: u64 = 1_500;

fn saved(speaker: &Speaker) -> Result<Value, String> {
    let text = std::fs::read_to_string(speaker.state().join("session.json")).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

#[track_caller]
fn near(heard: &Heard, position_ms: u64, within_ms: u64) {
    assert!(
        heard.position_ms.abs_diff(position_ms) <= within_ms,
        "{heard:?} is not at {position_ms} ms"
    );
}

#[test]
fn a_pulled_plug_loses_seconds_and_no_event() {
    let service = Music::of_lengths(&[5_000, 60_000]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    speaker.plays("01");
    speaker.press("next");
    speaker.press("volume_up");
    until("the volume on disk", || match saved(&speaker)? {
        saved if saved["volume"] == 44 => Ok(()),
        other => Err(other.to_string()),
    });
    let beyond_a_checkpoint = CHECKPOINT_EVERY_MS + 1_000;
    let last = speaker.shows("the music to play on", |status| {
        status["entry"]["title"] == "02" && status["entry"]["position_ms"].as_u64() >= Some(beyond_a_checkpoint)
    });
    let killed_ms = last["entry"]["position_ms"].as_u64().unwrap();
    let speaker = speaker.kill().start();
    service.tells(&["01 start", "01 userNext", "02 start", "02 systemStop", "02 start"]);
    let heard = service.heard();
    let stop = &heard[3];
    assert!(stop.position_ms > 0, "{stop:?}");
    near(
        stop,
        killed_ms.saturating_sub(CHECKPOINT_EVERY_MS / 2),
        CHECKPOINT_EVERY_MS / 2 + SLACK_MS,
    );
    near(&heard[4], stop.position_ms, 1_000);
    let status = speaker.plays("02");
    assert_eq!(status["volume"], 44);
    assert!(heard.iter().all(|event| event.outcome == "accepted"), "{heard:?}");
    service.is_content();
}

#[test]
fn a_plug_pulled_while_the_service_is_away_loses_no_event_either() {
    let mut service = Music::of_lengths(&[20_000; 3]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    speaker.has_reported();
    speaker.shows("a loaded window", |status| {
        status["window"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item["state"] == "loaded")
            .count()
            == 3
    });
    service.kill();
    speaker.press("next");
    speaker.plays("02");
    speaker.press("next");
    speaker.plays("03");
    // What was only just numbered is not on the disk yet; what a plug cuts off there never was told to anyone.
    until("the events on disk", || {
        let listing: Value = serde_json::from_str(&speaker.command(&["journal", "--json"]).output).unwrap();
        match listing["waiting"].as_array().unwrap() {
            waiting if waiting.len() == 4 => Ok(()),
            waiting => Err(format!("{waiting:?}")),
        }
    });
    let speaker = speaker.kill().start();
    let status = speaker.status();
    assert!(status["outbox"]["waiting"].as_u64() >= Some(4), "{status}");
    service.restart();
    let told = [
        "01 start",
        "01 userNext",
        "02 start",
        "02 userNext",
        "03 start",
        "03 systemStop",
        "03 start",
    ];
    service.tells(&told);
    speaker.plays("03");
    service.is_content();
}

#[test]
fn sigterm_tells_the_stop_and_the_next_start_goes_on_there() {
    let service = Music::of_lengths(&[5_000, 60_000]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    speaker.plays("01");
    speaker.press("next");
    speaker.plays("02");
    speaker.seek(20_000);
    let story = ["01 start", "01 userNext", "02 start", "02 trackScrub", "02 start"];
    service.tells(&story);
    let setup = speaker.terminate();
    let mut story = story.to_vec();
    story.push("02 systemStop");
    assert_eq!(service.story(), story, "the stop was delivered before the program left");
    let speaker = setup.start();
    story.push("02 start");
    service.tells(&story);
    let heard = service.heard();
    near(&heard[5], 20_000, SLACK_MS + 1_000);
    near(&heard[6], heard[5].position_ms, 1_000);
    speaker.plays("02");
    assert!(speaker.log().contains("playing \"02\""), "{}", speaker.log());
    service.is_content();
}

#[test]
fn what_was_paused_stays_paused_after_a_restart() {
    let service = Music::of_lengths(&[60_000]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    speaker.plays("01");
    speaker.seek(30_000);
    service.tells(&["01 start", "01 trackScrub", "01 start"]);
    speaker.press("play");
    let mut story = vec!["01 start", "01 trackScrub", "01 start", "01 userStop"];
    service.tells(&story);
    let speaker = speaker.terminate().start();
    let status = speaker.shows("the place", |status| status["entry"]["title"] == "01");
    assert_eq!(status["state"], "paused");
    assert_eq!(service.story(), story);
    speaker.press("play");
    story.push("01 start");
    service.tells(&story);
    near(&service.heard()[4], 30_000, SLACK_MS + 1_000);
    service.is_content();
}

#[test]
fn a_stop_that_could_not_be_delivered_waits_for_the_next_start() {
    let mut service = Music::of_lengths(&[20_000]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    speaker.has_reported();
    service.kill();
    let setup = speaker.terminate();
    service.restart();
    assert_eq!(service.story(), ["01 start"]);
    let _speaker = setup.start();
    service.tells(&["01 start", "01 systemStop", "01 start"]);
    service.is_content();
}

#[test]
fn damaged_files_in_the_state_folder_are_put_aside_and_the_speaker_plays() {
    let service = Music::of_lengths(&[20_000; 2]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    speaker.press("next");
    service.tells(&["01 start", "01 userNext", "02 start"]);
    speaker.has_reported();
    let setup = speaker.kill();
    let journal = std::fs::read_dir(setup.state().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut ruined: Vec<_> = journal.collect();
    assert!(!ruined.is_empty());
    ruined.extend(["session.json", "device_id"].map(|name| setup.state().join(name)));
    for path in ruined.iter().filter(|path| path.is_file()) {
        std::fs::write(path, [0xa5; 300]).unwrap();
    }
    let speaker = setup.start();
    assert!(speaker.state().join("session.json.damaged").exists());
    assert!(speaker.log().contains("damaged"), "{}", speaker.log());
    speaker.press("preset_1");
    speaker.plays("01");
    until("the start of the new queue", || match service.story() {
        story if story.len() >= 4 => Ok(()),
        story => Err(format!("{story:?}")),
    });
}
