//! Answers of the service as the documentation shows them, with every alias, and as nobody should send them.

use serde_json::json;

use super::*;

fn documented() -> Value {
    json!({
        "sessionId": "aeddc6cc-1",
        "playables": [{
            "_type": "Playable", "entityReferenceId": "0:6f1c", "metricId": "m 1",
            "entity": { "_type": "Track", "id": "B084", "title": "Song", "duration": 320.5,
                "artists": [{"name": "A"}, {"name": "B"}], "album": {"title": "LP"} },
            "playbackInformation": { "url": "https://cdn/manifest.mpd?sig=1", "protocol": "DASH",
                "format": "ENCRYPTED_OPUS_FLAC", "drmType": "WIDEVINE", "licenseUrl": "https://lic",
                "licenseHeaders": {"x-a": "1"} },
            "actions": { "next": {"isAllowed": true, "remainingSkips": 6},
                "previous": {"isAllowed": false, "disableType": "FEATURE_NOT_AVAILABLE"},
                "scrubForward": {"isAllowed": true} }
        }]
    })
}

fn one(answer: &Value) -> Playable {
    playables(answer.to_string().as_bytes()).unwrap().remove(0)
}

#[test]
fn the_documented_answer_is_read_whole() {
    let answer = opened(documented().to_string().as_bytes()).unwrap();
    assert_eq!(answer.session, "aeddc6cc-1");
    let expected = Playable {
        reference: "0:6f1c".into(),
        metric_id: Some("m 1".into()),
        kind: Kind::Track,
        title: Some("Song".into()),
        artist: Some("A, B".into()),
        album: Some("LP".into()),
        duration: Some(Millis(320_500)),
        actions: Actions {
            next: Permission::Allowed { remaining: Some(6) },
            scrub_forward: Permission::FREE,
            ..Actions::default()
        },
        stream: Some(Stream {
            url: "https://cdn/manifest.mpd?sig=1".into(),
            protocol: Protocol::Dash,
            format: Some("ENCRYPTED_OPUS_FLAC".into()),
            licence: Some(Licence {
                drm: Some("WIDEVINE".into()),
                url: "https://lic".into(),
                headers: vec![("x-a".into(), "1".into())],
            }),
        }),
    };
    assert_eq!(answer.playables, [expected]);
}

#[test]
fn a_data_envelope_changes_nothing() {
    let wrapped = json!({ "data": documented() });
    assert_eq!(
        opened(wrapped.to_string().as_bytes()).unwrap(),
        opened(documented().to_string().as_bytes()).unwrap()
    );
}

#[test]
fn every_name_of_the_list_is_known() {
    for name in ["playables", "next", "previous", "entities"] {
        let answer = json!({ name: [{"entityReferenceId": "r"}] });
        assert_eq!(one(&answer).reference, "r", "{name}");
    }
    assert_eq!(one(&json!({"current": {"entityReferenceId": "r"}})).reference, "r");
    assert_eq!(one(&json!([{"entityReferenceId": "r"}])).reference, "r");
    assert_eq!(one(&json!({"entityReferenceId": "r"})).reference, "r");
}

#[test]
fn the_current_entry_comes_before_the_list_and_only_once() {
    let references = |answer: Value| -> Vec<String> {
        playables(answer.to_string().as_bytes())
            .unwrap()
            .into_iter()
            .map(|one| one.reference)
            .collect()
    };
    let entry = |name: &str| json!({"entityReferenceId": name});
    assert_eq!(
        references(json!({"next": [entry("b"), entry("c")], "current": entry("a")})),
        ["a", "b", "c"]
    );
    assert_eq!(
        references(json!({"playables": [entry("a"), entry("b")], "current": entry("a")})),
        ["a", "b"]
    );
}

#[test]
fn two_aliases_of_one_field_in_one_answer_are_no_error() {
    let answer = json!({"id": "x", "sessionId": "s", "next": [], "playables": [
        {"entityReferenceId": "r", "duration": 3, "durationSeconds": "4.5"}]});
    let answer = opened(answer.to_string().as_bytes()).unwrap();
    assert_eq!(answer.session, "s");
    assert_eq!(answer.playables[0].duration, Some(Millis(4_500)));
}

#[test]
fn fields_on_the_playable_itself_are_read_like_those_of_the_entity() {
    let flat = one(
        &json!([{"id": "e", "_type": "Ad", "title": "T", "artist": "A", "album": "LP", "duration": "7",
        "mediaMetadata": {"url": "https://cdn/a.mp3", "mediaType": "PROGRESSIVE"}}]),
    );
    assert_eq!(
        (flat.reference.as_str(), flat.kind, flat.duration),
        ("e", Kind::Ad, Some(Millis(7_000)))
    );
    assert_eq!(
        (flat.title.as_deref(), flat.artist.as_deref(), flat.album.as_deref()),
        (Some("T"), Some("A"), Some("LP"))
    );
    assert_eq!(flat.stream.unwrap().protocol, Protocol::File);
}

#[test]
fn identity_falls_back_from_reference_to_metric_to_id_to_address() {
    let stream = json!({"url": "https://cdn/a.flac"});
    let full = json!([{"metricId": "m", "entity": {"id": "e"}, "playbackInformation": stream}]);
    assert_eq!(one(&full).reference, "m");
    assert_eq!(
        one(&json!([{"entity": {"id": "e"}, "playbackInformation": stream}])).reference,
        "e"
    );
    assert_eq!(
        one(&json!([{"playbackInformation": stream}])).reference,
        "https://cdn/a.flac"
    );
}

#[test]
fn unknown_types_and_words_play_anyway() {
    let odd = one(
        &json!([{"entityReferenceId": "r", "brandNew": {"x": [1]}, "entity": {"_type": "Hologram"},
        "actions": {"next": {"isAllowed": false, "disableType": "BRAND_NEW"}, "teleport": {}}}]),
    );
    assert_eq!(odd.kind, Kind::Track);
    assert_eq!(odd.actions.next, Permission::Denied(Denial::Unavailable));
}

#[test]
fn a_field_of_a_wrong_type_costs_only_itself() {
    let odd = one(
        &json!([{"entityReferenceId": "r", "entity": {"title": 7, "duration": "long", "artists": "Solo",
        "album": [null]}, "actions": [1], "playbackInformation": "none"}]),
    );
    assert_eq!(
        (odd.title.as_deref(), odd.artist.as_deref(), odd.album),
        (Some("7"), Some("Solo"), None)
    );
    assert_eq!(
        (odd.duration, odd.stream, odd.actions),
        (None, None, Actions::default())
    );
}

#[test]
fn every_reason_against_an_action_is_known() {
    let denied = |word: &str| permission(&json!({"isAllowed": false, "disableType": word}));
    assert_eq!(denied("NO_MORE_SKIPS"), Permission::Denied(Denial::NoMoreSkips));
    for plan in [
        "NEED_AMAZON_MUSIC_SUBSCRIPTION_FOR_AD_FREE_PLAYBACK",
        "NEED_AMAZON_MUSIC_UNLIMITED_CATALOG_ACCESS",
        "NEED_AMAZON_MUSIC_SUBSCRIPTION_TO_SHUFFLE_NON_STATION",
    ] {
        assert_eq!(denied(plan), Permission::Denied(Denial::NeedsSubscription), "{plan}");
    }
    assert_eq!(denied("FEATURE_NOT_AVAILABLE"), Permission::Denied(Denial::Unavailable));
    assert_eq!(permission(&json!({})), Permission::Denied(Denial::Unavailable));
}

#[test]
fn skips_are_counted_from_floats_strings_and_absurd_numbers() {
    let left = |value: Value| permission(&json!({"isAllowed": "true", "remainingSkips": value}));
    assert_eq!(left(json!(2.0)), Permission::Allowed { remaining: Some(2) });
    assert_eq!(left(json!("3")), Permission::Allowed { remaining: Some(3) });
    assert_eq!(left(json!(-1)), Permission::Allowed { remaining: Some(0) });
    assert_eq!(left(json!(1e9)), Permission::Allowed { remaining: Some(255) });
    assert_eq!(left(json!(null)), Permission::FREE);
}

#[test]
fn licence_headers_are_read_as_a_map_and_as_pairs() {
    let expected = vec![("a".to_owned(), "1".to_owned())];
    for form in [
        json!({"a": "1"}),
        json!([["a", "1"]]),
        json!([{"name": "a", "value": "1"}]),
        json!([{"key": "a", "value": 1}]),
    ] {
        assert_eq!(headers(&form), expected, "{form}");
    }
}

#[test]
fn media_that_are_not_encrypted_need_no_licence() {
    let answer = json!([{"entityReferenceId": "r", "playbackInformation": {"url": "https://c/a", "drmType": "NONE",
        "licenseUrl": "https://l", "licenseHeaders": {"a": "1"}}}]);
    assert_eq!(one(&answer).stream.unwrap().licence, None);
}

#[test]
fn licence_headers_and_signatures_are_not_shown_in_debug_output() {
    let answer = json!([{"entityReferenceId": "r", "playbackInformation": {"url": "https://c/a?sig=topsecret",
        "licenseUrl": "https://l?topsecret", "licenseHeaders": {"authorization": "topsecret"}}}]);
    let shown = format!("{:?}", one(&answer));
    assert!(shown.contains("https://c/a") && !shown.contains("topsecret"), "{shown}");
}

#[test]
fn nothing_and_an_empty_list_are_the_end_of_the_queue() {
    for end in [
        "",
        " \n",
        "[]",
        r#"{"playables":[]}"#,
        r#"{"data":{"next":[]}}"#,
        r#"{"current":null}"#,
    ] {
        assert_eq!(playables(end.as_bytes()).unwrap(), [], "{end:?}");
    }
}

#[test]
fn what_is_no_list_is_unreadable_and_not_the_end_of_the_queue() {
    for odd in [
        "<html>",
        "{",
        "7",
        "\"x\"",
        "{}",
        "null",
        r#"{"message":"hello"}"#,
        "\u{feff}[]",
    ] {
        assert!(playables(odd.as_bytes()).is_err(), "{odd:?}");
    }
    assert!(playables("[".repeat(100_000).as_bytes()).is_err(), "nested without end");
    assert!(playables(&[0xff, 0xfe, 0x00]).is_err());
}

#[test]
fn a_session_without_an_id_is_unreadable() {
    for odd in ["", "{}", r#"{"sessionId":""}"#, r#"{"playables":[]}"#, "[]"] {
        assert!(opened(odd.as_bytes()).is_err(), "{odd:?}");
    }
    assert_eq!(opened(br#"{"id":7}"#).unwrap().session, "7");
}

#[test]
fn active_sessions_are_read_with_their_aliases() {
    let row = json!({"sessionId": "s", "entityReferenceId": "r", "currentEntity": {"_type": "Interlude", "title": "T"},
        "queueState": {"shuffleMode": "SHUFFLE_ON", "loopMode": "LOOP_OFF", "playbackState": "PLAYING"}, "deviceId": "d"});
    let expected = ActiveSession {
        session: "s".into(),
        reference: Some("r".into()),
        kind: Kind::Interlude,
        title: Some("T".into()),
        device: Some("d".into()),
        shuffle: true,
        looping: false,
        sounding: Sounding::Yes,
    };
    assert_eq!(
        sessions(json!({"sessions": [row]}).to_string().as_bytes()).unwrap(),
        [expected]
    );
    assert_eq!(sessions(br#"{"queues":[{"id":"q"}]}"#).unwrap()[0].session, "q");
    for (word, sounding) in [
        ("STOPPED", Sounding::No),
        ("PAUSED", Sounding::No),
        ("DANCING", Sounding::Unsaid),
    ] {
        let row = json!({"sessions": [{"sessionId": "s", "queueState": {"playbackState": word}}]});
        assert_eq!(
            sessions(row.to_string().as_bytes()).unwrap()[0].sounding,
            sounding,
            "{word}"
        );
    }
    assert_eq!(sessions(b"").unwrap(), []);
    assert!(sessions(b"{}").is_err());
}
