//! Bodies that are sent. The order of fields is fixed, so equal facts give equal bytes; nothing is read here.

use serde::Serialize;
use tonearm_core::event::{StopReason, What};
use tonearm_core::input::Mode;
use tonearm_core::unit::Millis;

use super::super::model::{EventReport, PlayParams};

/// `takeOverType` \[A\]: whatever device has the stream, this one takes it.
const TAKE_OVER: &str = "AUTO";

/// Body of create. `playbackOptions` \[P\] is what the overview calls `playOptions` \[O\].
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Create<'a> {
    play_params: Params<'a>,
    playback_options: Options,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u8>, // [P]
    take_over_type: &'static str, // [A]
}

/// What to play, or to add.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    container_ids: &'a [String],
}

impl<'a> From<&'a PlayParams> for Params<'a> {
    fn from(play: &'a PlayParams) -> Self {
        Self {
            id: play.id.as_deref(),
            container_ids: &play.container_ids,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    shuffle_mode: Option<&'static str>,
    loop_mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_as_station: Option<bool>,
}

/// Body of create. A new session is always the listener's own press, so it takes the stream over; repeating is switched
/// on later, if at all.
pub fn create_body(play: &PlayParams, mode: Mode, limit: Option<u8>) -> Vec<u8> {
    let (shuffle_mode, start_as_station) = match mode {
        Mode::Play => (Some(shuffle_word(false)), None),
        Mode::Shuffle => (Some(shuffle_word(true)), None),
        Mode::Station => (None, Some(true)), // shuffleMode is ignored with it [P]
    };
    encode(&Create {
        play_params: play.into(),
        playback_options: Options {
            shuffle_mode,
            loop_mode: loop_word(false),
            start_as_station,
        },
        limit,
        take_over_type: TAKE_OVER,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Addition<'a> {
    play_params: Params<'a>, // [A]
}

/// Body of queue/next and queue/last \[A\].
pub fn queue_body(play: &PlayParams) -> Vec<u8> {
    encode(&Addition {
        play_params: play.into(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoopMode {
    loop_mode: &'static str, // [A]
}

/// Body of loop \[A\].
pub fn loop_body(on: bool) -> Vec<u8> {
    encode(&LoopMode {
        loop_mode: loop_word(on),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShuffleMode {
    shuffle_mode: &'static str, // [A]
}

/// Body of shuffle \[A\].
pub fn shuffle_body(on: bool) -> Vec<u8> {
    encode(&ShuffleMode {
        shuffle_mode: shuffle_word(on),
    })
}

const fn shuffle_word(on: bool) -> &'static str {
    if on { "SHUFFLE_ON" } else { "SHUFFLE_OFF" } // [P]
}

const fn loop_word(on: bool) -> &'static str {
    if on { "LOOP_ON" } else { "LOOP_OFF" } // [P]
}

/// Body of an event \[S\]; `entityReferenceId`, `sessionId` and `takeOverType` beside `metricId` are \[A\].
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_id: Option<&'a str>,
    event: Event<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_reference_id: Option<&'a str>,
    session_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    take_over_type: Option<&'static str>,
}

/// Body of many events \[A\].
#[derive(Serialize)]
struct Batch<'a> {
    events: Vec<Report<'a>>,
}

/// Fields of an event \[O\].
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Event<'a> {
    Start {
        client_timestamp_in_milliseconds: i64,
        initial_playback_delay_milliseconds: u32,
        device_timezone: &'a str,
        playback_current_speed: u8,
        playback_start_absolute_offset_milliseconds: u32,
    },
    Stop {
        client_timestamp_in_milliseconds: i64,
        initial_playback_delay_milliseconds: u32,
        device_timezone: &'a str,
        termination_reason: &'static str,
        playback_current_speed: u8,
        duration_seconds: u32,
        entity_progress_seconds: u32,
        rebuffer_count: u16,
    },
}

/// The speaker plays at natural speed only.
const SPEED: u8 = 1;

/// Body of an event: the same bytes for the same report, whenever it is sent.
pub fn event_body(report: &EventReport) -> Vec<u8> {
    encode(&Report::from(report))
}

/// Body of several events, in the order given.
pub fn batch_body(reports: &[EventReport]) -> Vec<u8> {
    encode(&Batch {
        events: reports.iter().map(Report::from).collect(),
    })
}

impl<'a> From<&'a EventReport> for Report<'a> {
    fn from(report: &'a EventReport) -> Self {
        // An entry without a reference of its own is known by its metric id, which must not be sent as a reference.
        let metric_id = report.metric_id.as_deref();
        Self {
            metric_id,
            event: Event::from(report),
            entity_reference_id: Some(report.reference.as_str()).filter(|reference| metric_id != Some(reference)),
            session_id: &report.session,
            take_over_type: report.take_over.then_some(TAKE_OVER),
        }
    }
}

impl<'a> From<&'a EventReport> for Event<'a> {
    fn from(report: &'a EventReport) -> Self {
        let client_timestamp_in_milliseconds = report.wall_ms;
        let initial_playback_delay_milliseconds = report.initial_delay.0;
        let device_timezone = report.zone.as_str();
        match report.what {
            What::Start { offset } => Self::Start {
                client_timestamp_in_milliseconds,
                initial_playback_delay_milliseconds,
                device_timezone,
                playback_current_speed: SPEED,
                playback_start_absolute_offset_milliseconds: offset.0,
            },
            What::Stop {
                reason,
                played,
                progress,
                rebuffers,
            } => Self::Stop {
                client_timestamp_in_milliseconds,
                initial_playback_delay_milliseconds,
                device_timezone,
                termination_reason: reason_word(reason),
                playback_current_speed: SPEED,
                duration_seconds: whole_seconds(played),
                entity_progress_seconds: whole_seconds(progress),
                rebuffer_count: rebuffers,
            },
        }
    }
}

/// `terminationReason` \[O\].
const fn reason_word(reason: StopReason) -> &'static str {
    match reason {
        StopReason::TrackFinished => "trackFinished",
        StopReason::UserStop => "userStop",
        StopReason::UserNext => "userNext",
        StopReason::UserPrev => "userPrev",
        StopReason::TrackScrub => "trackScrub",
        StopReason::SystemStop => "systemStop",
    }
}

/// Truncated, as the overview's example does \[O\].
const fn whole_seconds(length: Millis) -> u32 {
    length.0 / 1000
}

/// Strings, numbers and booleans under string keys always encode; should they not, the service refuses the empty body.
fn encode(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: Vec<u8>) -> String {
        String::from_utf8(body).unwrap()
    }

    fn report(what: What) -> EventReport {
        EventReport {
            session: "s-1".into(),
            reference: "0:6f1c".into(),
            metric_id: Some("m\"1".into()),
            wall_ms: 1_763_800_000_123,
            zone: "-08:00".into(),
            initial_delay: Millis(87),
            take_over: false,
            what,
        }
    }

    #[test]
    fn a_start_event_has_the_fields_of_the_overview() {
        assert_eq!(
            text(event_body(&report(What::Start { offset: Millis(1500) }))),
            concat!(
                r#"{"metricId":"m\"1","event":{"type":"start","clientTimestampInMilliseconds":1763800000123,"#,
                r#""initialPlaybackDelayMilliseconds":87,"deviceTimezone":"-08:00","playbackCurrentSpeed":1,"#,
                r#""playbackStartAbsoluteOffsetMilliseconds":1500},"entityReferenceId":"0:6f1c","sessionId":"s-1"}"#
            )
        );
    }

    #[test]
    fn a_stop_event_has_the_fields_of_the_overview_with_truncated_seconds() {
        let what = What::Stop {
            reason: StopReason::TrackScrub,
            played: Millis(2_999),
            progress: Millis(61_001),
            rebuffers: 2,
        };
        assert_eq!(
            text(event_body(&report(what))),
            concat!(
                r#"{"metricId":"m\"1","event":{"type":"stop","clientTimestampInMilliseconds":1763800000123,"#,
                r#""initialPlaybackDelayMilliseconds":87,"deviceTimezone":"-08:00","terminationReason":"trackScrub","#,
                r#""playbackCurrentSpeed":1,"durationSeconds":2,"entityProgressSeconds":61,"rebufferCount":2},"#,
                r#""entityReferenceId":"0:6f1c","sessionId":"s-1"}"#
            )
        );
    }

    #[test]
    fn a_claim_stands_beside_the_metric_id_and_only_where_it_is_made() {
        let held = report(What::Start { offset: Millis(0) });
        assert!(!text(event_body(&held)).contains("takeOverType"));
        let claimed = EventReport {
            take_over: true,
            ..held
        };
        assert!(
            text(event_body(&claimed)).ends_with(r#","sessionId":"s-1","takeOverType":"AUTO"}"#),
            "{}",
            text(event_body(&claimed))
        );
    }

    #[test]
    fn a_batch_holds_the_bodies_of_its_events_in_their_order() {
        let start = report(What::Start { offset: Millis(0) });
        let stop = report(What::Stop {
            reason: StopReason::UserStop,
            played: Millis(1),
            progress: Millis(1),
            rebuffers: 0,
        });
        let expected = format!(
            r#"{{"events":[{},{}]}}"#,
            text(event_body(&start)),
            text(event_body(&stop))
        );
        assert_eq!(text(batch_body(&[start, stop])), expected);
    }

    #[test]
    fn a_metric_id_that_stands_in_for_the_reference_is_not_sent_as_one() {
        let known_by_metric = EventReport {
            reference: "m\"1".into(),
            ..report(What::Start { offset: Millis(0) })
        };
        assert!(!text(event_body(&known_by_metric)).contains("entityReferenceId"));
    }

    #[test]
    fn the_three_modes_differ_as_the_overview_says() {
        let play = PlayParams {
            id: Some("mrn:1.0:x".into()),
            container_ids: vec!["mrn:1.0:c".into()],
        };
        assert_eq!(
            text(create_body(&play, Mode::Shuffle, Some(5))),
            concat!(
                r#"{"playParams":{"id":"mrn:1.0:x","containerIds":["mrn:1.0:c"]},"playbackOptions":"#,
                r#"{"shuffleMode":"SHUFFLE_ON","loopMode":"LOOP_OFF"},"limit":5,"takeOverType":"AUTO"}"#
            )
        );
        let station = text(create_body(&play, Mode::Station, None));
        assert!(
            station.contains(r#""playbackOptions":{"loopMode":"LOOP_OFF","startAsStation":true}"#),
            "{station}"
        );
        assert!(!station.contains("limit"), "{station}");
        assert!(text(create_body(&play, Mode::Play, None)).contains("SHUFFLE_OFF"));
    }

    #[test]
    fn modes_are_switched_with_the_words_of_create() {
        assert_eq!(text(loop_body(true)), r#"{"loopMode":"LOOP_ON"}"#);
        assert_eq!(text(shuffle_body(false)), r#"{"shuffleMode":"SHUFFLE_OFF"}"#);
    }
}
