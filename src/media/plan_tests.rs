//! What a plan decides on, without a network: which representation, and what is fetched for it first.

use super::super::dash::{of_flac, parse};
use super::*;

/// Two of FLAC, by what they are called, and one of Opus, in segments of 4 s.
const MANIFEST: &str = r#"<MPD type="static" mediaPresentationDuration="PT40S"><Period><AdaptationSet mimeType="audio/mp4">
 <SegmentTemplate timescale="1" duration="4" startNumber="0" initialization="$RepresentationID$/init" media="$RepresentationID$/$Number$"/>
 <Representation id="deep" bandwidth="1600000" codecs="flac" audioSamplingRate="44100"/>
 <Representation id="flat" bandwidth="800000" codecs="flac" audioSamplingRate="44100"/>
 <Representation id="lossy" bandwidth="64000" codecs="opus" audioSamplingRate="48000"/>
 </AdaptationSet></Period></MPD>"#;

const SIXTEEN: Limits = Limits {
    rate_max_hz: 48_000,
    bits_max: 16,
};

fn presentation(text: &str) -> Presentation {
    parse(text.as_bytes(), "http://a.test/").unwrap()
}

/// What happens for the part at `key` when nothing is known of the link.
fn then(plan: &mut Plan, key: u32, parts: &BTreeMap<u32, Part>) -> (Option<Document>, String) {
    let about = Circumstances {
        link_bps: None,
        buffered: Duration::ZERO,
    };
    match plan.plan(key, parts, about) {
        Planned::Needs(document, resource) => (Some(document), resource.url),
        Planned::Part(_, part) => (None, part.url),
        Planned::End => (None, String::new()),
    }
}

fn takes(plan: &mut Plan, number: u32, bits: u8) {
    plan.take(Document::Description(number), &of_flac(bits)).unwrap();
}

/// An entry of these whose first description tells of 24 bits.
fn begun() -> Plan {
    let mut plan = Plan::new(presentation(MANIFEST), SIXTEEN).unwrap();
    let first = then(&mut plan, 0, &BTreeMap::new());
    assert_eq!(
        first,
        (Some(Document::Description(0)), "http://a.test/deep/init".to_owned())
    );
    takes(&mut plan, 0, 24);
    plan
}

#[test]
fn what_the_converter_plays_as_it_is_takes_the_place_of_more_bits_before_a_segment_is_fetched() {
    let mut plan = begun();
    let second = then(&mut plan, 0, &BTreeMap::new());
    assert_eq!(
        second,
        (Some(Document::Description(1)), "http://a.test/flat/init".to_owned())
    );
    takes(&mut plan, 1, 16);
    let part = then(&mut plan, 0, &BTreeMap::new());
    assert_eq!(part, (None, "http://a.test/flat/0".to_owned()));
}

#[test]
fn more_bits_than_the_converter_plays_are_better_than_a_lossy_codec() {
    let mut plan = begun();
    then(&mut plan, 0, &BTreeMap::new());
    takes(&mut plan, 1, 24);
    let part = then(&mut plan, 0, &BTreeMap::new());
    assert_eq!(part, (None, "http://a.test/deep/0".to_owned()));
}

#[test]
fn a_fresh_manifest_does_not_forget_what_descriptions_told() {
    let mut plan = begun();
    then(&mut plan, 0, &BTreeMap::new());
    takes(&mut plan, 1, 16);
    assert!(plan.renew(presentation(MANIFEST)).unwrap());
    let part = then(&mut plan, 0, &BTreeMap::new());
    assert_eq!(part, (None, "http://a.test/flat/0".to_owned()));
}

#[test]
fn a_segment_that_cannot_be_had_is_taken_from_more_bits_if_from_nothing_else() {
    let without = MANIFEST.replace(r#"codecs="opus""#, r#"codecs="ec-3""#);
    let mut plan = Plan::new(presentation(&without), SIXTEEN).unwrap();
    then(&mut plan, 0, &BTreeMap::new());
    takes(&mut plan, 0, 16);
    let (_, url) = then(&mut plan, 0, &BTreeMap::new());
    assert_eq!(url, "http://a.test/deep/0", "this time it is the flat one");
    let sound = Sound {
        representation: 0,
        number: 0,
        begin: Duration::ZERO,
        length: Some(Duration::from_secs(4)),
        next: origin(4_000),
    };
    assert_eq!(plan.miss(0, &sound, None), Missing::Elsewhere);
    let (document, _) = then(&mut plan, 0, &BTreeMap::new());
    assert_eq!(document, Some(Document::Description(1)));
    takes(&mut plan, 1, 24);
    let part = then(&mut plan, 0, &BTreeMap::new());
    assert_eq!(part, (None, "http://a.test/flat/0".to_owned()));
}
