//! Tracks that cannot be played.

use serde_json::json;

use crate::music::{RATE, noise, ruin_flac, write_flac};
use crate::service::{Music, Service};
use crate::speaker::Speaker;

/// So many tracks of 1.2 seconds, some of which become unplayable once they are offered.
fn serve(tracks: u32, ruined: &[u32]) -> Service {
    let music = Music::empty();
    let path = |number: u32| music.path().join(format!("{number:02}.flac"));
    for number in 1..=tracks {
        write_flac(&path(number), &noise(number, RATE * 6 / 5));
    }
    let ruined: Vec<_> = ruined.iter().map(|number| path(*number)).collect();
    let service = music.serve();
    for path in &ruined {
        ruin_flac(path);
    }
    service
}

#[test]
fn a_corrupt_track_is_told_and_the_next_one_plays() {
    let service = serve(3, &[2]);
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&[
        "01 start",
        "01 trackFinished",
        "02 start",
        "02 systemStop",
        "03 start",
        "03 trackFinished",
    ]);
    let heard = service.heard();
    assert_eq!((heard[3].position_ms, heard[3].played_s), (0, 0));
    speaker.shows("the end of the queue", |status| status["state"] == "stopped");
    service.is_content();
}

#[test]
fn three_corrupt_tracks_in_a_row_stop_the_speaker_and_it_says_why() {
    let service = serve(6, &[2, 3, 4, 5]);
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    let status = speaker.shows("the speaker to stop", |status| {
        status["state"] == "stopped" && status["problem"]["code"] == "many_unplayable"
    });
    assert!(
        status["problem"]["text"]
            .as_str()
            .unwrap()
            .contains("could not be played")
    );
    let told = [
        "01 start",
        "01 trackFinished",
        "02 start",
        "02 systemStop",
        "03 start",
        "03 systemStop",
        "04 start",
        "04 systemStop",
    ];
    service.tells(&told);
    speaker.has_reported();
    assert_eq!(service.story(), told, "it does not run through the queue");
    service.is_content();
    // A new press begins anew.
    speaker.press("preset_1");
    speaker.plays("01");
}

#[test]
fn a_track_that_is_gone_from_the_service_is_told_and_passed() {
    let service = Music::of_lengths(&[1_500; 3]).serve();
    let speaker = Speaker::at(&service);
    let home = service.get("/sim/music");
    let key = home["entities"][0]["tracks"][1]["id"]
        .as_str()
        .unwrap()
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    service.fault(&json!({"scope": "media", "kind": "status", "status": 404, "path": key}));
    speaker.press("preset_1");
    service.tells(&[
        "01 start",
        "01 trackFinished",
        "02 start",
        "02 systemStop",
        "03 start",
        "03 trackFinished",
    ]);
    service.is_content();
}
