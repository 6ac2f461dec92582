//! Sound through ALSA itself, without a sound card: its plugins take every frame and keep it.

use serde_json::json;

use crate::music::{first_difference, samples};
use crate::playing::odd_album;
use crate::service::{Music, Service};
use crate::speaker::{Setup, Speaker};

/// What reaches the device goes to a file, as fast as it comes.
const DEVICES: &str = r#"
pcm.null { type null }
pcm.tofile { type file slave.pcm "null" file "out.raw" format "raw" }
"#;
/// The board's part of it.
const OUTPUT: &str = "pcm = \"tofile\"\n";

/// What reached the device, which agreed to 32 bits, in the 16 that the music has; and what is below those.
fn sounded(service: &Service) -> (Vec<i16>, bool) {
    let bytes = std::fs::read(service.folder.path().join("out.raw")).unwrap();
    let halves = samples(&bytes);
    let low_is_silent = halves.iter().step_by(2).all(|half| *half == 0);
    (halves.into_iter().skip(1).step_by(2).collect(), low_is_silent)
}

#[test]
fn what_reaches_the_device_at_full_volume_is_what_was_recorded() {
    let (music, all) = odd_album();
    let service = music.serve();
    let setup = Setup::write(&service, OUTPUT, "");
    let speaker = setup.with_alsa(DEVICES).with_saved(&json!({ "volume": 100 })).start();
    speaker.press("preset_1");
    service.tells(&[
        "01 start",
        "01 trackFinished",
        "02 start",
        "02 trackFinished",
        "03 start",
        "03 trackFinished",
    ]);
    speaker.terminate();
    let (sounded, low_is_silent) = sounded(&service);
    assert!(low_is_silent, "nothing was added below the music's 16 bits");
    // The device is filled up with silence when its last period is not full.
    let (music, rest) = sounded.split_at(all.len().min(sounded.len()));
    assert_eq!(first_difference(music, &all), None);
    assert!(rest.iter().all(|sample| *sample == 0), "{} samples follow", rest.len());
}

#[test]
fn half_the_volume_is_quieter_and_not_silent() {
    let (music, all) = odd_album();
    let service = music.serve();
    let setup = Setup::write(&service, OUTPUT, "");
    let speaker = setup.with_alsa(DEVICES).with_saved(&json!({ "volume": 50 })).start();
    speaker.press("preset_1");
    speaker.shows("the end", |status| {
        status["state"] == "stopped" && status["outbox"]["waiting"] == 0
    });
    assert_eq!(service.story().last().map(String::as_str), Some("03 trackFinished"));
    speaker.terminate();
    let (sounded, _) = sounded(&service);
    let loudness = |samples: &[i16]| {
        samples
            .iter()
            .map(|sample| u64::from(sample.unsigned_abs()))
            .sum::<u64>()
    };
    let length = all.len().min(sounded.len()).min(40_000);
    let (sounded, recorded) = (loudness(&sounded[..length]), loudness(&all[..length]));
    assert!(sounded > 0 && sounded < recorded / 2, "{sounded} of {recorded}");
}

#[test]
fn without_its_sound_device_the_speaker_runs_and_says_so() {
    let service = Music::of_lengths(&[2_000, 2_000]).serve();
    let speaker = Setup::write(&service, "pcm = \"hw:CARD=Nope\"\n", "").start();
    speaker.press("preset_1");
    let status = speaker.shows("the problem", |status| status["problem"]["code"] == "no_sound_device");
    assert_eq!(status["entry"]["title"], "01");
    still_answers(&speaker);
    let check = speaker.command(&["check"]);
    assert_eq!(check.code, Some(1));
    assert!(
        check.output.contains("WRONG") && check.output.contains("hw:CARD=Nope"),
        "{}",
        check.output
    );
    speaker.terminate();
    // Nothing sounded, so there is nothing to tell.
    assert_eq!(service.story(), Vec::<String>::new());
}

fn still_answers(speaker: &Speaker) {
    speaker.press("volume_up");
    assert_eq!(speaker.status()["volume"], 44);
    speaker.press("next");
    speaker.shows("the next track in line", |status| status["entry"]["title"] == "02");
}

#[test]
fn a_tone_plays_without_a_service_through_any_device() {
    let service = Music::of_lengths(&[1_000]).serve();
    let speaker = Setup::write(&service, OUTPUT, "").with_alsa(DEVICES).start();
    let tone = speaker.command(&["play-tone", "--seconds", "1", "--output", "paced"]);
    assert_eq!(tone.code, Some(0), "{}", tone.errors);
    assert!(tone.output.contains("48000 Hz"), "{}", tone.output);
    let nowhere = speaker.command(&["play-tone", "--seconds", "1", "--output", "hw:CARD=Nope"]);
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.errors.contains("hw:CARD=Nope"), "{}", nowhere.errors);
}
