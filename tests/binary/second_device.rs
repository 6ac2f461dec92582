//! Another device of the account takes the stream from a speaker that plays.

use serde_json::json;

use crate::service::Music;
use crate::speaker::Speaker;

#[test]
fn the_sound_stops_when_another_device_takes_the_stream_and_goes_on_when_it_is_free() {
    let service = Music::of_lengths(&[3_000; 3]).serve();
    let speaker = Speaker::at(&service);
    speaker.press("preset_1");
    service.tells(&["01 start"]);
    service.order("/sim/devices/play", &json!({"device": "kitchen"}));
    let status = speaker.shows("the speaker to stop", |status| {
        status["problem"]["code"] == "taken_over"
    });
    assert_eq!(status["state"], "paused");
    speaker.has_reported();
    service.order("/sim/devices/stop", &json!({"device": "kitchen"}));
    speaker.press("play");
    speaker.shows("the end of the queue", |status| status["state"] == "stopped");
    speaker.has_reported();
    let story = service.story();
    assert_eq!(story.first().map(String::as_str), Some("01 start"));
    assert_eq!(story.last().map(String::as_str), Some("03 trackFinished"));
    service.is_content();
}
