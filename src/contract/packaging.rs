//! What the simulator packages, read by the speaker's demuxer and decoders: frames for frame what the file has.

use std::io::Cursor;

use tonearm_core::unit::Millis;

use crate::audio::{Step, Track};
use crate::simulator::tests::{Client, start_packaged};

/// All samples of an entry, and its rate.
fn decoded(bytes: Vec<u8>, hint: Option<&str>) -> (Vec<i32>, u32) {
    let mut track = Track::of_file(Box::new(Cursor::new(bytes)), hint, Millis(0)).unwrap();
    let mut samples = Vec::new();
    loop {
        let step = track.step();
        if step != Step::Frames {
            assert_eq!(step, Step::Finished, "after {} frames", samples.len() / 2);
            return (samples, track.shape().rate);
        }
        samples.extend_from_slice(track.frames());
    }
}

/// The renditions of a file in one piece each, by name.
fn renditions(folder: &tempfile::TempDir) -> Vec<(String, Vec<u8>)> {
    let simulator = start_packaged(folder.path());
    let client = Client::of(&simulator).without("x-amzn-audio-device-capability");
    let client = client.with("x-amzn-audio-device-capability", "STD_RES,HI_FI,HI_RES");
    let (_, entries) = client.open(&simulator, &serde_json::json!({}));
    let manifest = entries[0]["playbackInformation"]["url"].as_str().unwrap();
    let fetch = |url: &str| {
        let mut answer = client.ask("GET", url, b"").unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap()
    };
    let text = String::from_utf8(fetch(manifest)).unwrap();
    let ids = text.split("<Representation id=\"").skip(1);
    let ids = ids.map(|rest| rest.split('"').next().unwrap().to_owned());
    let folder = manifest.rsplit_once('/').unwrap().0;
    ids.map(|id| {
        let bytes = fetch(&format!("{folder}/{id}/whole.mp4"));
        (id, bytes)
    })
    .collect()
}

fn of_file(name: &str) -> (tempfile::TempDir, (Vec<i32>, u32)) {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(format!("{}/tests/media/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    std::fs::write(folder.path().join(name), &bytes).unwrap();
    let hint = name.rsplit_once('.').map(|(_, extension)| extension);
    (folder, decoded(bytes, hint))
}

/// The rendition of this name.
fn named(renditions: &[(String, Vec<u8>)], name: &str) -> (Vec<i32>, u32) {
    let found = renditions.iter().find(|(id, _)| id == name);
    let (_, bytes) = found.unwrap_or_else(|| panic!("no {name}"));
    decoded(bytes.clone(), None)
}

#[test]
fn lossless_renditions_are_the_file_to_the_bit() {
    for (name, id) in [
        ("album-2.flac", "flac-16-44100"),
        ("album-2.wav", "flac-16-44100"),
        ("alac.m4a", "flac-16-44100"),
        ("deep24.flac", "flac-24-44100"),
        ("noise96.flac", "flac-24-96000"),
        ("rate48.flac", "flac-16-48000"),
    ] {
        let (folder, source) = of_file(name);
        let all = renditions(&folder);
        assert!(named(&all, id) == source, "{name}");
    }
}

#[test]
fn packets_that_are_used_as_they_are_sound_as_in_the_file() {
    for (name, id) in [("long.opus", "opus"), ("album-2.m4a", "aac")] {
        let (folder, source) = of_file(name);
        assert!(named(&renditions(&folder), id) == source, "{name}");
    }
}

#[test]
fn fewer_bits_are_the_file_rounded() {
    let (folder, (source, rate)) = of_file("deep24.flac");
    let (rounded, rounded_rate) = named(&renditions(&folder), "flac-16-44100");
    assert_eq!((rounded.len(), rounded_rate), (source.len(), rate));
    let worst = source.iter().zip(&rounded).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(1 << 15), "{worst:?}: half a step of 16 bits");
}

#[test]
fn opus_has_the_length_of_the_file_and_its_shape() {
    for (name, frames) in [("rate48.flac", None), ("long.mp3", Some(61_001_u64 * 480 / 441 + 1))] {
        let (folder, (source, rate)) = of_file(name);
        for (id, bytes) in renditions(&folder).into_iter().filter(|(id, _)| id.starts_with("opus")) {
            let (sound, opus_rate) = decoded(bytes, None);
            assert_eq!(opus_rate, 48_000);
            if let Some(frames) = frames {
                assert_eq!(sound.len() as u64 / 2, frames, "{id} of {name}");
            } else {
                assert_eq!((sound.len(), rate), (source.len(), 48_000), "{id} of {name}");
                assert!(
                    likeness(&source, &sound) > 0.9,
                    "{id} of {name}: {}",
                    likeness(&source, &sound)
                );
            }
        }
    }
}

/// How much of one signal is the other, at the same place: 1 is all.
fn likeness(one: &[i32], other: &[i32]) -> f64 {
    let of = |one: &[i32], other: &[i32]| -> f64 {
        let both = one.iter().zip(other);
        both.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    of(one, other) / (of(one, one) * of(other, other)).sqrt()
}
