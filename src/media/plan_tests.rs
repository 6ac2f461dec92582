//! What a plan decides on, without a network: which representation, and what is fetched for it first.

use super::super::dash::{of_flac, parse};
use super::super::part::key_of;
use super::*;

/// Two of FLAC, by what they are called, and one of Opus, in segments of 4 s.
const MANIFEST: &str = r#"<MPD type="static" mediaPresentationDuration="PT40S"><Period><AdaptationSet mimeType="audio/mp4">
 <SegmentTemplate timescale="1" duration="4" startNumber="0" initialization="$RepresentationID$/init" media="$RepresentationID$/$Number$"/>
 <Representation id="deep" bandwidth="1600000" codecs="flac" audioSamplingRate="48000"/>
 <Representation id="flat" bandwidth="800000" codecs="flac" audioSamplingRate="48000"/>
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
    let mut plan = Plan::new(presentation(MANIFEST), MANIFEST.len(), SIXTEEN).unwrap();
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
    assert!(plan.renew(presentation(MANIFEST), MANIFEST.len()).unwrap());
    let part = then(&mut plan, 0, &BTreeMap::new());
    assert_eq!(part, (None, "http://a.test/flat/0".to_owned()));
}

#[test]
fn a_segment_that_cannot_be_had_is_taken_from_more_bits_if_from_nothing_else() {
    let without = MANIFEST.replace(r#"codecs="opus""#, r#"codecs="ec-3""#);
    let mut plan = Plan::new(presentation(&without), without.len(), SIXTEEN).unwrap();
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
        is_lead: false,
    };
    assert_eq!(plan.miss(0, &sound, None), Missing::Elsewhere);
    let (document, _) = then(&mut plan, 0, &BTreeMap::new());
    assert_eq!(document, Some(Document::Description(1)));
    takes(&mut plan, 1, 24);
    let part = then(&mut plan, 0, &BTreeMap::new());
    assert_eq!(part, (None, "http://a.test/flat/0".to_owned()));
}

/// What is asked for at the begin of the second segment when the link, with so much loaded, carries Opus only.
fn stepped_down(buffered: Duration) -> (Plan, BTreeMap<u32, Part>, Vec<String>) {
    let wide = Limits {
        bits_max: 24,
        ..SIXTEEN
    };
    let mut plan = Plan::new(presentation(MANIFEST), MANIFEST.len(), wide).unwrap();
    let mut parts = BTreeMap::new();
    then(&mut plan, 0, &parts);
    takes(&mut plan, 0, 24);
    let about = |link_bps| Circumstances { link_bps, buffered };
    let Planned::Part(key, part) = plan.plan(0, &parts, about(None)) else {
        panic!("everything for the first segment is there");
    };
    parts.insert(key, part);
    let mut asked = Vec::new();
    let mut key = 4_000;
    while key < 8_000 {
        match plan.plan(key, &parts, about(Some(70_000))) {
            Planned::Needs(document, _) => plan.take(document, b"of Opus").unwrap(),
            Planned::Part(at, part) => {
                key = key_of(part.next());
                asked.push(part.url.clone());
                parts.insert(at, part);
            }
            Planned::End => panic!("there is more"),
        }
    }
    (plan, parts, asked)
}

#[test]
fn a_lossy_decoder_gets_going_on_the_segment_before_where_there_is_time() {
    let (_, parts, asked) = stepped_down(Duration::from_secs(30));
    assert_eq!(asked, ["http://a.test/lossy/0", "http://a.test/lossy/1"]);
    let leads: Vec<_> = parts
        .values()
        .map(|part| part.sound.as_ref().unwrap().is_lead)
        .collect();
    assert_eq!(leads, [false, true, false]);
    let (_, _, asked) = stepped_down(Duration::from_secs(4));
    assert_eq!(asked, ["http://a.test/lossy/1"], "what sounds goes first");
}

#[test]
fn a_segment_that_was_only_to_get_a_decoder_going_may_be_missing() {
    let (mut plan, mut parts, _) = stepped_down(Duration::from_secs(30));
    let lead = parts.remove(&4_000).unwrap();
    parts.remove(&4_001).unwrap();
    assert_eq!(plan.miss(4_000, lead.sound.as_ref().unwrap(), None), Missing::Elsewhere);
    let about = Circumstances {
        link_bps: Some(70_000),
        buffered: Duration::from_secs(30),
    };
    let Planned::Part(4_000, part) = plan.plan(4_000, &parts, about) else {
        panic!("the segment itself takes its place");
    };
    assert_eq!(part.url, "http://a.test/lossy/1");
}

#[test]
fn a_manifest_takes_no_more_memory_than_is_charged_for_it() {
    let listed = |segments: &str, count: usize| {
        let inside = segments.repeat(count);
        format!(
            r#"<MPD><Period duration="PT40S"><AdaptationSet mimeType="audio/mp4" codecs="opus"><SegmentTemplate timescale="1" media="$Time$"
 initialization="i"><SegmentTimeline>{inside}</SegmentTimeline></SegmentTemplate><Representation bandwidth="1"/></AdaptationSet></Period></MPD>"#
        )
    };
    let addresses = |count: usize| {
        let inside = "<SegmentURL/>".repeat(count);
        format!(
            r#"<MPD><Period duration="PT40S"><AdaptationSet mimeType="audio/mp4" codecs="opus"><SegmentList duration="4"><Initialization
 sourceURL="i"/>{inside}</SegmentList><Representation bandwidth="1"/></AdaptationSet></Period></MPD>"#
        )
    };
    let sets = |base: &str, count: usize| {
        let inside = r#"<Representation bandwidth="1"/>"#.repeat(count);
        format!(
            r#"<MPD><BaseURL>{base}</BaseURL><Period duration="PT40S"><AdaptationSet mimeType="audio/mp4" codecs="opus"><SegmentTemplate timescale="1" media="$Number$"
 duration="4" initialization="i"/>{inside}</AdaptationSet></Period></MPD>"#
        )
    };
    let all = [
        MANIFEST.to_owned(),
        listed(r#"<S d="4"/>"#, 30_000),
        listed(r#"<S d="4"/><S d="5" r="2"/>"#, 10_000),
        addresses(30_000),
        sets("a/", 250),
        sets(&"a/".repeat(700), 250),
    ];
    for text in all {
        let mut read = None;
        let memory = allocation_counter::measure(|| {
            read = Some(Plan::new(presentation(&text), text.len(), SIXTEEN).unwrap());
        });
        let charged = read.as_ref().unwrap().memory_bytes();
        let kept = usize::try_from(memory.bytes_current).unwrap();
        println!("{} bytes of text: {kept} kept, {charged} charged", text.len());
        assert!(
            kept <= charged,
            "{}: {kept} bytes of {charged}",
            &text[..300.min(text.len())]
        );
    }
}
