//! The bytes of tracks.

use super::*;

fn first_url(client: &Client, simulator: &Simulator) -> String {
    let (_, entries) = client.open(simulator, &json!({}));
    entries[0]["playbackInformation"]["url"].as_str().unwrap().to_owned()
}

/// Status, named headers and bytes of an answer.
fn fetch(client: &Client, method: &str, url: &str) -> (u16, Vec<Option<String>>, Vec<u8>) {
    let mut answer = client.ask(method, url, b"").unwrap();
    let names = [
        "content-type",
        "content-length",
        "content-range",
        "accept-ranges",
        "etag",
    ];
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let headers = names.map(header).to_vec();
    let bytes = answer.body_mut().read_to_vec().unwrap();
    (answer.status().as_u16(), headers, bytes)
}

#[test]
fn a_track_comes_whole_with_its_type_and_length() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (status, headers, bytes) = fetch(&client, "GET", &first_url(&client, &simulator));
    assert_eq!((status, bytes.as_slice()), (200, album::TRACKS[0].bytes));
    assert_eq!(headers[0].as_deref(), Some("audio/flac"));
    assert_eq!(headers[1].as_deref(), Some(bytes.len().to_string().as_str()));
    assert_eq!(headers[3].as_deref(), Some("bytes"));
}

#[test]
fn head_has_the_headers_and_no_bytes() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let (status, headers, bytes) = fetch(&client, "HEAD", &first_url(&client, &simulator));
    assert_eq!((status, bytes.len()), (200, 0));
    assert_eq!(
        headers[1].as_deref(),
        Some(album::TRACKS[0].bytes.len().to_string().as_str())
    );
}

#[test]
fn a_range_is_a_part() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator).with("range", "bytes=1000-1999");
    let (status, headers, bytes) = fetch(&client, "GET", &first_url(&client, &simulator));
    assert_eq!((status, bytes.as_slice()), (206, &album::TRACKS[0].bytes[1000..2000]));
    let expected = format!("bytes 1000-1999/{}", album::TRACKS[0].bytes.len());
    assert_eq!(headers[2].as_deref(), Some(expected.as_str()));
}

#[test]
fn a_range_beyond_the_end_is_refused_with_the_length() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator).with("range", "bytes=999999999-");
    let (status, headers, _) = fetch(&client, "GET", &first_url(&client, &simulator));
    assert_eq!(status, 416);
    let expected = format!("bytes */{}", album::TRACKS[0].bytes.len());
    assert_eq!(headers[2].as_deref(), Some(expected.as_str()));
}

#[test]
fn a_range_of_another_version_is_the_whole_file() {
    let simulator = start_simulator(Tier::Unlimited);
    let url = first_url(&Client::of(&simulator), &simulator);
    let stale = Client::of(&simulator)
        .with("range", "bytes=5-9")
        .with("if-range", "\"other\"");
    assert_eq!(fetch(&stale, "GET", &url).0, 200);
    let (_, headers, _) = fetch(&Client::of(&simulator), "HEAD", &url);
    let tag: &'static str = headers[4].clone().unwrap().leak();
    let same = Client::of(&simulator).with("range", "bytes=5-9").with("if-range", tag);
    assert_eq!(fetch(&same, "GET", &url).0, 206);
}

#[test]
fn an_unknown_track_does_not_exist() {
    let simulator = start_simulator(Tier::Unlimited);
    assert_eq!(
        fetch(
            &Client::of(&simulator),
            "GET",
            &format!("http://{}/media/x.flac", simulator.address())
        )
        .0,
        404
    );
}

#[test]
fn a_file_that_left_the_music_directory_is_gone_and_nothing_else_is_harmed() {
    let music = tempfile::tempdir().unwrap();
    for (name, file) in [("1.flac", &album::TRACKS[0]), ("2.flac", &album::TRACKS[1])] {
        std::fs::write(music.path().join(name), file.bytes).unwrap();
    }
    let settings = Settings {
        music: Some(music.path().to_owned()),
        ..Settings::default()
    };
    let simulator = Simulator::start(settings).unwrap();
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    std::fs::remove_file(music.path().join("1.flac")).unwrap();
    let url = |n: usize| entries[n]["playbackInformation"]["url"].as_str().unwrap();
    assert_eq!(fetch(&client, "GET", url(0)).0, 404);
    assert_eq!(fetch(&client, "GET", url(1)).2, album::TRACKS[1].bytes);
}

#[test]
fn every_built_in_file_has_the_type_of_its_format() {
    let simulator = start_simulator(Tier::Free);
    let client = Client::of(&simulator);
    let (_, entries) = client.open(&simulator, &json!({}));
    let types: Vec<String> = entries
        .iter()
        .map(|entry| {
            fetch(&client, "HEAD", entry["playbackInformation"]["url"].as_str().unwrap()).1[0]
                .clone()
                .unwrap()
        })
        .collect();
    let expected = [
        "audio/mpeg",
        "audio/flac",
        "audio/flac",
        "audio/mpeg",
        "audio/mpeg",
        "audio/mp4",
        "audio/ogg",
    ];
    assert_eq!(types, expected);
}

#[test]
fn credentials_sent_for_media_are_found() {
    let simulator = start_simulator(Tier::Unlimited);
    let client = Client::of(&simulator);
    let url = first_url(&client, &simulator);
    fetch(&client, "GET", &url);
    assert_eq!(client.found(), Vec::<String>::new());
    fetch(&Client::of(&simulator).with("authorization", "Bearer x"), "GET", &url);
    assert_eq!(client.found(), ["credentials_leaked"]);
}
