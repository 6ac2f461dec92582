//! Sound through ALSA itself, without a sound card: its plugins take every frame and keep it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;

use crate::music::{first_difference, samples};
use crate::playing::odd_album;
use crate::process::{Program, until};
use crate::service::{Music, Service};
use crate::speaker::{Setup, Speaker};

/// What reaches the device goes to a file, as fast as it comes.
pub const DEVICES: &str = r#"
pcm.null { type null }
pcm.tofile { type file slave.pcm "null" file "out.raw" format "raw" }
"#;
/// The board's part of it.
const OUTPUT: &str = "pcm = \"tofile\"\n";
/// The configuration's part, where only music is to be heard.
const NO_CHIMES: &str = "[sound]\nchimes = false\n";
/// Frames of the chimes of a refused press and of the end of a queue, at 44.1 kHz.
const REFUSED_FRAMES: usize = 11_907;
const QUEUE_ENDED_FRAMES: usize = 17_640;

/// What reached the device, which agreed to 32 bits, in the 16 that the music has; and what is below those.
pub fn sounded(service: &Service) -> (Vec<i16>, bool) {
    let bytes = std::fs::read(service.folder.path().join("out.raw")).unwrap_or_default();
    let halves = samples(&bytes);
    let low_is_silent = halves.iter().step_by(2).all(|half| *half == 0);
    (halves.into_iter().skip(1).step_by(2).collect(), low_is_silent)
}

#[test]
fn what_reaches_the_device_at_full_volume_is_what_was_recorded() {
    let (music, all) = odd_album();
    let service = music.serve();
    let setup = Setup::write(&service, OUTPUT, NO_CHIMES);
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
fn the_end_of_the_queue_is_heard_after_the_last_sample_of_it() {
    let (music, all) = odd_album();
    let service = music.serve();
    let setup = Setup::write(&service, OUTPUT, "");
    let speaker = setup.with_alsa(DEVICES).with_saved(&json!({ "volume": 100 })).start();
    speaker.press("preset_1");
    let chime = until("the chime", || {
        let (sounded, _) = sounded(&service);
        let rest = sounded.get(all.len()..).unwrap_or_default();
        let is_whole = rest.len() >= 2 * QUEUE_ENDED_FRAMES;
        if is_whole {
            Ok(rest.to_vec())
        } else {
            Err(format!("{}", rest.len()))
        }
    });
    assert!(chime.iter().any(|sample| *sample > 2000), "it is heard");
    speaker.terminate();
    let (sounded, _) = sounded(&service);
    assert_eq!(first_difference(&sounded[..all.len()], &all), None);
    assert_eq!(
        service.story(),
        [
            "01 start",
            "01 trackFinished",
            "02 start",
            "02 trackFinished",
            "03 start",
            "03 trackFinished"
        ]
    );
}

#[test]
fn a_refused_press_is_heard_though_nothing_sounds_and_the_volume_is_0() {
    let service = Music::of_lengths(&[1_000]).serve();
    let setup = Setup::write(&service, OUTPUT, "");
    let speaker = setup.with_alsa(DEVICES).with_saved(&json!({ "volume": 0 })).start();
    let (code, _) = speaker.try_press("next");
    assert_eq!(code, 409);
    let path = service.folder.path().join("out.raw");
    until("the chime", || {
        let samples = std::fs::read(&path).unwrap_or_default();
        let is_heard = samples.len() >= 8 * REFUSED_FRAMES && samples.iter().any(|byte| *byte != 0);
        if is_heard {
            Ok(())
        } else {
            Err(format!("{}", samples.len()))
        }
    });
    speaker.terminate();
    assert_eq!(service.story(), Vec::<String>::new());
}

/// What `tonearm check` asks the service for with a board whose output is `output`; "hw:" is a device that takes all.
fn asked_for(output: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "asound.conf",
        "pcm.hw { @args [ CARD ] @args.CARD { type string } type null }\npcm.null { type null }\n",
    );
    write("board.toml", &format!("name = \"Test\"\n[output]\n{output}"));
    write(
        "tonearm.toml",
        &format!(
            "[service]\nbase_url = \"http://127.0.0.1:{port}\"\n[state]\ndir = \"state\"\n[board]\nfile = \"board.toml\"\n"
        ),
    );
    let devices = folder.path().join("asound.conf");
    let args = ["check", "--config", "tonearm.toml"];
    let mut check = Program::start(folder.path(), "check", &args, &[("ALSA_CONFIG_PATH", &devices)]);
    listener.set_nonblocking(true).unwrap();
    let (mut connection, _) = until("the question", || listener.accept().map_err(|error| error.to_string()));
    connection.set_nonblocking(false).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    connection
        .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .unwrap();
    check.ended();
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let capability = head
        .lines()
        .find_map(|line| line.strip_prefix("x-amzn-audio-device-capability:"));
    capability.unwrap().trim().to_ascii_uppercase()
}

#[test]
fn the_service_is_asked_for_what_the_converter_plays_and_no_more() {
    for (output, expected) in [
        ("pcm = \"hw:CARD=DAC\"\n", "STD_RES,HI_FI,HI_RES"),
        ("pcm = \"hw:CARD=DAC\"\nbits_max = 16\n", "STD_RES,HI_FI"),
        ("pcm = \"hw:CARD=DAC\"\nrate_max_hz = 96000\n", "STD_RES,HI_FI"),
        ("pcm = \"null\"\n", "STD_RES,HI_FI"),
    ] {
        assert_eq!(asked_for(output), expected, "{output}");
    }
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
    let chimes = speaker.command(&["play-tone", "--chime", "all", "--output", "null"]);
    assert_eq!(chimes.code, Some(0), "{}", chimes.errors);
    let names: Vec<_> = chimes.output.lines().collect();
    assert!(names.len() == 9 && names.contains(&"refused"), "{names:?}");
    let nowhere = speaker.command(&["play-tone", "--seconds", "1", "--output", "hw:CARD=Nope"]);
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.errors.contains("hw:CARD=Nope"), "{}", nowhere.errors);
}
