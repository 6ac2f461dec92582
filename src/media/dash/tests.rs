//! Manifests, and what is read from them: real ones by two packagers (`tests/media/dash`), and small ones for each rule.

use std::time::Duration;

use super::error::ManifestError;
use super::protection::Scheme;
use super::*;

const AT: &str = "https://a.test/music/album.mpd?t=1";

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A manifest of one period of 10 s with one set around `inside`.
fn set(inside: &str) -> String {
    format!(
        r#"<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT10S"><Period>
        <AdaptationSet mimeType="audio/mp4" codecs="flac" audioSamplingRate="44100">{inside}</AdaptationSet></Period></MPD>"#
    )
}

/// One representation around `inside`.
fn one(inside: &str) -> Result<Representation, ManifestError> {
    let text = set(&format!(
        r#"<Representation id="r" bandwidth="900000">{inside}</Representation>"#
    ));
    let mut presentation = parse(text.as_bytes(), AT)?;
    Ok(presentation.periods.remove(0).representations.remove(0))
}

fn urls(of: &Representation) -> Vec<String> {
    let segments = (0..of.count().unwrap()).map(|number| of.segment(number).unwrap());
    segments.map(|segment| segment.resource.url).collect()
}

fn begins(of: &Representation) -> Vec<u128> {
    let segments = (0..of.count().unwrap()).map(|number| of.segment(number).unwrap());
    segments.map(|segment| segment.begin.as_millis()).collect()
}

/// The segments follow each other without a gap to the end, and each is found by its place.
fn assert_whole(of: &Representation, name: &str) {
    let mut at = of.segment(0).unwrap().begin;
    for number in 0..of.count().unwrap() {
        let segment = of.segment(number).unwrap();
        assert!(segment.begin.abs_diff(at) < ms(1), "{name} {number}: {segment:?}");
        assert_eq!(of.number_at(segment.begin + ms(2)), Some(number), "{name}");
        at = segment.begin + segment.length.unwrap();
    }
    // All are made of 61,001 frames; ffmpeg announces tenths of seconds.
    let length = ms(61_001_000 / u64::from(of.rate_hz.unwrap()));
    assert!(at.abs_diff(length) < ms(20), "{name} ends at {at:?}");
    assert_eq!(of.segment(of.count().unwrap()), None);
}

macro_rules! real {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../tests/media/dash/", $name, ".mpd")),
        )
    };
}

/// The manifests of the fixtures that list all segments themselves.
pub const LISTING: [(&str, &[u8]); 8] = [
    real!("ffmpeg-timeline"),
    real!("ffmpeg-number"),
    real!("ffmpeg-list"),
    real!("ffmpeg-list-timeline"),
    real!("ffmpeg-file"),
    real!("shaka-number"),
    real!("shaka-time"),
    real!("shaka-cenc"),
];
/// Those whose segments are listed within the file.
pub const INDEXED: [(&str, &[u8]); 2] = [real!("shaka-file"), real!("shaka-cbcs")];

/// The index within the first file of `shaka-file`, ...
pub const SIDX: &[u8] = include_bytes!("../../../tests/media/dash/shaka-file.sidx");
/// ... and that file's length.
const FILE_BYTES: u64 = 18_759;

#[test]
fn the_manifests_of_two_packagers_list_the_whole_entry() {
    for (name, xml) in LISTING {
        let presentation = parse(xml, AT).unwrap_or_else(|error| panic!("{name}: {error}"));
        let [period] = &presentation.periods[..] else {
            panic!("{name}")
        };
        assert!(!period.representations.is_empty(), "{name}");
        for representation in &period.representations {
            assert!(
                representation.codec.is_decodable() && representation.channels == Some(2),
                "{name}"
            );
            assert!(representation.description.is_some(), "{name}");
            assert_whole(representation, name);
        }
    }
}

#[test]
fn an_index_within_the_file_is_asked_for_and_then_lists_it() {
    for (name, xml) in INDEXED {
        let mut presentation = parse(xml, AT).unwrap();
        let representation = &mut presentation.periods[0].representations[0];
        assert!(representation.sidx().unwrap().range.is_some(), "{name}");
        assert!(representation.count().is_none() && representation.segment(0).is_none());
        assert_eq!(representation.number_at(ms(1)), None);
    }
    let mut presentation = parse(INDEXED[0].1, AT).unwrap();
    let representation = &mut presentation.periods[0].representations[0];
    let range = representation.sidx().unwrap().range.clone().unwrap();
    assert_eq!(range, 833..925);
    representation.with_sidx(SIDX).unwrap();
    assert_whole(representation, "shaka-file");
    let last = representation.segment(representation.count().unwrap() - 1).unwrap();
    assert_eq!(last.resource.range.unwrap().end, FILE_BYTES, "to the file's last byte");
    assert!(representation.sidx().is_none(), "it is asked for once");
}

fn sidx(version: u8, references: &[(u32, u32)]) -> Vec<u8> {
    let mut body = vec![version, 0, 0, 0, 0, 0, 0, 1, 0, 0, 3, 232];
    body.extend(vec![0; if version == 0 { 8 } else { 16 }]);
    body.extend([0, 0]);
    body.extend(u16::try_from(references.len()).unwrap().to_be_bytes());
    for (size, length) in references {
        body.extend([size.to_be_bytes(), length.to_be_bytes(), [0; 4]].concat());
    }
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes()[..], b"sidx", &body].concat()
}

#[test]
fn both_versions_of_the_index_are_read_and_what_cannot_be_is_refused() {
    for version in [0, 1] {
        let mut of = one(r#"<SegmentBase indexRange="100-199"/>"#).unwrap();
        let bytes = sidx(version, &[(10, 5000), (20, 5000)]);
        of.with_sidx(&bytes).unwrap();
        let second = of.segment(1).unwrap();
        let from = 100 + u64::try_from(bytes.len()).unwrap() + 10;
        assert_eq!(second.resource.range, Some(from..from + 20));
        assert_eq!((second.begin, second.length), (ms(5000), Some(ms(5000))));
    }
    let mut of = one(r#"<SegmentBase indexRange="100-199"/>"#).unwrap();
    let hierarchical = sidx(0, &[(0x8000_000a, 5000)]);
    let refusal = of.with_sidx(&hierarchical).unwrap_err().to_string();
    assert!(refusal.contains("hierarchical"), "{refusal}");
    let good = sidx(1, &[(10, 5000)]);
    for cut in 0..good.len() {
        assert!(of.with_sidx(&good[..cut]).is_err(), "{cut}");
    }
    assert!(of.with_sidx(&sidx(0, &[])).is_err() && of.with_sidx(&sidx(2, &[(1, 1)])).is_err());
    assert!(of.with_sidx(&sidx(0, &[(0, 1)])).is_err() && of.count().is_none());
}

#[test]
fn encryption_is_carried_on_with_scheme_and_boxes() {
    for ((_, xml), scheme, boxes) in [(LISTING[7], Scheme::Cenc, 2), (INDEXED[1], Scheme::Cbcs, 1)] {
        let presentation = parse(xml, AT).unwrap();
        let encryption = presentation.periods[0].representations[0].encryption.clone().unwrap();
        assert_eq!(encryption.scheme, Some(scheme));
        assert_eq!(encryption.pssh.len(), boxes);
        assert!(encryption.pssh.iter().all(|one| &one[4..8] == b"pssh"));
    }
    assert_eq!(one("").unwrap().encryption, None);
}

#[test]
fn a_regular_template_counts_from_its_start_number_to_the_end_of_the_period() {
    let template = r#"<SegmentTemplate media="$RepresentationID$-$Bandwidth$-$Number%03d$.m4s" initialization="i-$RepresentationID$.mp4"
        timescale="1000" duration="4000" startNumber="5" presentationTimeOffset="8000"/>"#;
    let of = one(template).unwrap();
    let expected = ["005", "006", "007"].map(|number| format!("https://a.test/music/r-900000-{number}.m4s"));
    assert_eq!(urls(&of), expected);
    assert_eq!(begins(&of), [0, 4000, 8000]);
    assert_eq!(of.segment(2).unwrap().length, Some(ms(2000)), "until the period ends");
    assert_eq!(of.description.unwrap().url, "https://a.test/music/i-r.mp4");
    assert_eq!((of.origin_ticks, of.timescale), (-8000, 1000));
    let until_6 = template.replace("startNumber", r#"endNumber="6" startNumber"#);
    assert_eq!(one(&until_6).unwrap().count(), Some(2));
}

#[test]
fn a_timeline_repeats_until_the_next_stretch_or_the_end() {
    let timeline = r#"<SegmentTemplate media="$Time$.m4s" timescale="1000" presentationTimeOffset="500"><SegmentTimeline>
        <S t="500" d="1000" r="-1"/><S t="4500" d="2000"/><S d="1500" r="-1"/></SegmentTimeline></SegmentTemplate>"#;
    let of = one(timeline).unwrap();
    assert_eq!(begins(&of), [0, 1000, 2000, 3000, 4000, 6000, 7500, 9000]);
    assert_eq!(urls(&of)[7], "https://a.test/music/9500.m4s");
    assert_eq!(of.number_at(ms(5_999)), Some(4));
    assert_eq!(of.number_at(ms(10_000)), None);
}

#[test]
fn a_list_has_ranges_of_one_file_or_addresses_of_its_own() {
    let list = r#"<BaseURL>x/all.mp4</BaseURL><SegmentList duration="5"><Initialization range="0-99"/>
        <SegmentURL mediaRange="100-199"/><SegmentURL media="two.m4s"/></SegmentList>"#;
    let of = one(list).unwrap();
    assert_eq!(
        urls(&of),
        ["https://a.test/music/x/all.mp4", "https://a.test/music/x/two.m4s"]
    );
    assert_eq!(of.segment(0).unwrap().resource.range, Some(100..200));
    assert_eq!(of.description.unwrap().range, Some(0..100));
}

#[test]
fn only_an_address_is_one_segment() {
    let of = one("<BaseURL>all.mp4?a=1&amp;b=2</BaseURL><BaseURL>other.mp4</BaseURL>").unwrap();
    assert_eq!(urls(&of), ["https://a.test/music/all.mp4?a=1&b=2"]);
    assert_eq!(
        (of.description.clone(), of.segment(0).unwrap().length),
        (None, Some(ms(10_000)))
    );
}

#[test]
fn periods_follow_each_other_with_bases_and_inherited_templates_of_their_own() {
    let text = r#"<m:MPD xmlns:m="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT9S"><m:BaseURL>https://b.test/x/</m:BaseURL>
        <m:Period duration="PT4S"><m:BaseURL>one/</m:BaseURL><m:SegmentTemplate timescale="10" duration="20" startNumber="0"/>
          <m:AdaptationSet contentType="audio"><m:SegmentTemplate media="$Number$"/><m:Representation id="1" bandwidth="1" codecs="Opus"/></m:AdaptationSet>
          <m:AdaptationSet contentType="video"><m:Representation id="v" bandwidth="1"/></m:AdaptationSet></m:Period>
        <m:Period id="2"><m:AdaptationSet mimeType="audio/mp4"><m:Representation id="1" bandwidth="1" codecs="mp4a.40.2">
          <m:BaseURL>/two.mp4</m:BaseURL></m:Representation></m:AdaptationSet></m:Period></m:MPD>"#;
    let presentation = parse(text.as_bytes(), AT).unwrap();
    let [first, second] = &presentation.periods[..] else {
        panic!("{presentation:?}")
    };
    assert_eq!(
        urls(&first.representations[0]),
        ["https://b.test/x/one/0", "https://b.test/x/one/1"]
    );
    assert_eq!(
        (first.representations.len(), second.start, second.length),
        (1, ms(4000), Some(ms(5000)))
    );
    assert_eq!(second.representations[0].segment(0).unwrap().begin, ms(4000));
    assert_eq!(urls(&second.representations[0]), ["https://b.test/two.mp4"]);
    assert_eq!(presentation.length, Some(ms(9000)));
}

#[test]
fn channels_are_told_in_three_languages() {
    let channels = |scheme: &str, value: &str| {
        one(&format!(
            r#"<AudioChannelConfiguration schemeIdUri="{scheme}" value="{value}"/>"#
        ))
        .unwrap()
        .channels
    };
    assert_eq!(
        channels("urn:mpeg:dash:23003:3:audio_channel_configuration:2011", "6"),
        Some(6)
    );
    assert_eq!(channels("urn:mpeg:mpegB:cicp:ChannelConfiguration", "12"), Some(8));
    assert_eq!(
        channels("tag:dolby.com,2014:dash:audio_channel_configuration:2011", "F801"),
        Some(6)
    );
    assert_eq!(
        channels("tag:dolby.com,2014:dash:audio_channel_configuration:2011", "A000"),
        Some(2)
    );
}

#[test]
fn a_day_of_segments_is_one_run_and_2_to_the_63_are_an_error() {
    let text = set("").replace("PT10S", "PT24H");
    let with = |inside: &str| {
        let representation =
            format!(r#"<Representation id="r" bandwidth="1">{inside}</Representation></AdaptationSet>"#);
        parse(text.replace("</AdaptationSet>", &representation).as_bytes(), AT)
    };
    let day = with(
        r#"<SegmentTemplate media="$Time$"><SegmentTimeline><S d="1" r="86399"/></SegmentTimeline></SegmentTemplate>"#,
    );
    let of = &day.unwrap().periods[0].representations[0];
    assert_eq!(of.count(), Some(86_400));
    let index::Index::Pattern { timeline, .. } = &of.index else {
        panic!("{of:?}")
    };
    assert!(timeline.size() < 64);
    let absurd = r#"<SegmentTemplate media="$Time$" timescale="4000000000"><SegmentTimeline><S d="1" r="9223372036854775807"/>
        </SegmentTimeline></SegmentTemplate>"#;
    assert!(with(absurd).unwrap_err().to_string().contains("more segments than"));
}

#[test]
fn lying_manifests_are_refused_with_the_reason() {
    let template = |rest: &str| {
        one(&format!(
            r#"<SegmentTemplate media="$Number$" {rest}</SegmentTemplate>"#
        ))
    };
    for (result, reason) in [
        (template(r#"timescale="0" duration="1">"#), "timescale"),
        (template(r#"duration="0">"#), "no length"),
        (template(r#"duration="-4">"#), "duration"),
        (template(">"), "how long"),
        (template("><SegmentTimeline/>"), "no segment"),
        (
            template(r#"><SegmentTimeline><S t="3" d="1"/><S t="3" d="1"/></SegmentTimeline>"#),
            "backwards",
        ),
        (
            template(r#"><SegmentTimeline><S d="0"/></SegmentTimeline>"#),
            "no length",
        ),
        (
            template(r#"duration="1" startNumber="18446744073709551615">"#),
            "beyond all numbers",
        ),
        (one(r#"<SegmentTemplate media="same" duration="1"/>"#), "one address"),
        (
            one(r#"<SegmentTemplate media="$Nonsense$" duration="1"/>"#),
            "unknown identifier",
        ),
        (one(r#"<SegmentBase indexRange="9-3"/>"#), "indexRange"),
        (one("<BaseURL>file:///etc/passwd</BaseURL>"), "http"),
        (one("<SegmentList duration=\"1\"/>"), "without SegmentURL"),
    ] {
        let error = result.map(|of| of.count()).unwrap_err().to_string();
        assert!(error.contains(reason), "{error} does not say {reason}");
    }
}

#[test]
fn what_is_no_whole_manifest_is_refused_by_name() {
    let refusal = |text: &str| parse(text.as_bytes(), AT).unwrap_err().to_string();
    assert!(refusal("").contains("empty"));
    assert!(refusal("<html></html>").contains("<html>"));
    assert!(refusal("<MPD><Period>").contains("well-formed") && refusal("\u{0}").contains("empty"));
    assert!(refusal(r#"<MPD type="dynamic"/>"#).contains("live"));
    assert!(refusal(r#"<MPD><Period xmlns:x="y" x:href="http://a/"/></MPD>"#).contains("another address"));
    assert!(refusal("<MPD/>").contains("no period with sound"));
    assert!(refusal(&set(r#"<Representation id="a"/>"#)).contains("bandwidth"));
    assert!(refusal(&"<a>".repeat(1000)).contains("nesting"));
    assert!(refusal(&format!("<MPD>{}</MPD>", "<a/>".repeat(50_000))).contains("elements"));
    assert!(refusal(&" ".repeat(2 << 20)).contains("bytes"));
    let bomb = r#"<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><MPD><BaseURL>&c;</BaseURL></MPD>"#;
    assert!(refusal(bomb).contains("entity"));
}

#[test]
fn what_was_live_and_is_complete_is_read() {
    let text = set(r#"<Representation id="a" bandwidth="1"/>"#).replace("static", "dynamic");
    assert!(parse(text.as_bytes(), AT).is_ok());
}
