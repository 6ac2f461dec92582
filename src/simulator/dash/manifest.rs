//! The manifest of a track (ISO/IEC 23009-1), in each of the forms a client must read. Knows no samples.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::boxes::Codec;
use super::protect::{Protection, Scheme};
use super::rendition::{Plan, SEGMENT_S};

/// What DASH calls the system of every `pssh` that only lists keys.
const COMMON_SYSTEM: &str = "urn:uuid:1077efec-c0b2-4d02-ace3-3c1e52e2fb4b";

/// How a manifest lists segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// A template, times of all segments.
    #[default]
    Timeline,
    /// A template, numbers, one length for all.
    Number,
    /// Every segment by name.
    List,
    /// One file with an index in it.
    Base,
}

/// What a manifest is wrong about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lie {
    /// Twice as long as it is, with as many segments more.
    Longer,
    /// Half as long.
    Shorter,
    /// Other codecs than the samples are of.
    Codec,
}

/// A rendition as a manifest tells of it.
#[derive(Clone, Debug)]
pub struct Listed<'a> {
    /// It.
    pub plan: &'a Plan,
    /// When each segment begins and how long it is, in frames.
    pub segments: Vec<(u64, u64)>,
    /// Where in the one file its description ends, and where its index does.
    pub index: (usize, usize),
}

/// What is the same for all renditions.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    /// How segments are listed.
    pub listing: Listing,
    /// Keys, if there are any.
    pub protection: Option<&'a Protection>,
    /// An adaptation set of Dolby Atmos is offered, too.
    pub atmos: bool,
    /// What is wrong.
    pub lie: Option<Lie>,
}

/// Writes it.
pub fn write(renditions: &[Listed<'_>], form: Form<'_>) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let longest = renditions.iter().map(|one| length_ms(one, form)).max().unwrap_or(0);
    let length = format!("PT{}.{:03}S", longest / 1000, longest % 1000);
    put(
        &mut out,
        &format!(
            "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" xmlns:cenc=\"urn:mpeg:cenc:2013\" \
             profiles=\"urn:mpeg:dash:profile:isoff-{}:2011\" type=\"static\" minBufferTime=\"PT2S\" \
             mediaPresentationDuration=\"{length}\">\n<Period id=\"0\" start=\"PT0S\">",
            if form.listing == Listing::Base {
                "on-demand"
            } else {
                "live"
            }
        ),
    );
    if form.atmos {
        atmos(&mut out);
    }
    // Renditions of one codec stand together: a client may change between them.
    for codec in [Codec::Aac, Codec::Opus, Codec::Flac] {
        let alike: Vec<_> = renditions
            .iter()
            .filter(|one| one.plan.description.codec == codec)
            .collect();
        if alike.is_empty() {
            continue;
        }
        put(
            &mut out,
            "<AdaptationSet contentType=\"audio\" mimeType=\"audio/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\">",
        );
        if let Some(protection) = form.protection {
            protected(&mut out, protection);
        }
        for one in alike {
            representation(&mut out, one, form);
        }
        put(&mut out, "</AdaptationSet>");
    }
    put(&mut out, "</Period>\n</MPD>");
    out
}

fn put(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn length_ms(one: &Listed<'_>, form: Form<'_>) -> u64 {
    let of = &one.plan.description;
    let ms = (of.frames * 1000).div_ceil(u64::from(of.rate.max(1)));
    match form.lie {
        Some(Lie::Longer) => ms * 2,
        Some(Lie::Shorter) => ms / 2,
        Some(Lie::Codec) | None => ms,
    }
}

fn protected(out: &mut String, protection: &Protection) {
    let scheme = match protection.scheme {
        Scheme::Cenc => "cenc",
        Scheme::Cbcs => "cbcs",
    };
    let key = protection.key.dashed_id();
    put(
        out,
        &format!(
            "<ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"{scheme}\" cenc:default_KID=\"{key}\"/>"
        ),
    );
    let pssh = STANDARD.encode(protection.pssh());
    put(
        out,
        &format!(
            "<ContentProtection schemeIdUri=\"{COMMON_SYSTEM}\"><cenc:pssh>{pssh}</cenc:pssh></ContentProtection>"
        ),
    );
}

fn atmos(out: &mut String) {
    put(
        out,
        "<AdaptationSet contentType=\"audio\" mimeType=\"audio/mp4\" codecs=\"ec-3\">\n\
         <SupplementalProperty schemeIdUri=\"tag:dolby.com,2018:dash:EC3_ExtensionType:2018\" value=\"JOC\"/>\n\
         <Representation id=\"atmos\" bandwidth=\"768000\" audioSamplingRate=\"48000\">\n\
         <SegmentTemplate timescale=\"48000\" duration=\"288000\" startNumber=\"1\" \
         initialization=\"$RepresentationID$/init.mp4\" media=\"$RepresentationID$/$Number$.m4s\"/>\n\
         </Representation>\n</AdaptationSet>",
    );
}

fn representation(out: &mut String, one: &Listed<'_>, form: Form<'_>) {
    let Plan {
        id,
        bandwidth,
        description: of,
        ..
    } = one.plan;
    let codec = match (form.lie, of.codec) {
        (Some(Lie::Codec), Codec::Flac) => Codec::Opus,
        (Some(Lie::Codec), Codec::Opus | Codec::Aac) => Codec::Flac,
        (Some(Lie::Longer | Lie::Shorter) | None, codec) => codec,
    };
    put(
        out,
        &format!(
            "<Representation id=\"{id}\" codecs=\"{}\" bandwidth=\"{bandwidth}\" audioSamplingRate=\"{}\">\n\
             <AudioChannelConfiguration schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" value=\"{}\"/>",
            codec.name(),
            of.rate,
            of.channels
        ),
    );
    let segments = lied(&one.segments, form.lie);
    let rate = of.rate;
    match form.listing {
        Listing::Timeline => {
            put(
                out,
                &format!(
                    "<SegmentTemplate timescale=\"{rate}\" initialization=\"$RepresentationID$/init.mp4\" \
                     media=\"$RepresentationID$/t$Time$.m4s\">"
                ),
            );
            timeline(out, &segments);
            put(out, "</SegmentTemplate>");
        }
        Listing::Number => put(
            out,
            &format!(
                "<SegmentTemplate timescale=\"{rate}\" duration=\"{}\" startNumber=\"1\" \
                 initialization=\"$RepresentationID$/init.mp4\" media=\"$RepresentationID$/$Number%05d$.m4s\"/>",
                SEGMENT_S * u64::from(rate)
            ),
        ),
        Listing::List => {
            put(
                out,
                &format!("<SegmentList timescale=\"{rate}\">\n<Initialization sourceURL=\"{id}/init.mp4\"/>"),
            );
            timeline(out, &segments);
            for number in 1..=segments.len() {
                put(out, &format!("<SegmentURL media=\"{id}/{number}.m4s\"/>"));
            }
            put(out, "</SegmentList>");
        }
        Listing::Base => {
            let (description, index) = one.index;
            put(
                out,
                &format!(
                    "<BaseURL>{id}/whole.mp4</BaseURL>\n<SegmentBase timescale=\"{rate}\" indexRange=\"{description}-{}\">\n\
                     <Initialization range=\"0-{}\"/>\n</SegmentBase>",
                    index.saturating_sub(1),
                    description.saturating_sub(1)
                ),
            );
        }
    }
    put(out, "</Representation>");
}

fn lied(segments: &[(u64, u64)], lie: Option<Lie>) -> Vec<(u64, u64)> {
    let mut segments = segments.to_vec();
    match lie {
        Some(Lie::Longer) => {
            let end = segments.last().map_or(0, |(begin, length)| begin + length);
            let more: Vec<_> = segments.iter().map(|(begin, length)| (begin + end, *length)).collect();
            segments.extend(more);
        }
        Some(Lie::Shorter) => segments.truncate(segments.len().div_ceil(2)),
        Some(Lie::Codec) | None => {}
    }
    segments
}

/// Equal lengths in a row are told once.
fn timeline(out: &mut String, segments: &[(u64, u64)]) {
    put(out, "<SegmentTimeline>");
    for run in segments.chunk_by(|one, other| one.1 == other.1) {
        let Some((begin, length)) = run.first() else { continue };
        let _ = write!(out, "<S t=\"{begin}\" d=\"{length}\"");
        if run.len() > 1 {
            let _ = write!(out, " r=\"{}\"", run.len() - 1);
        }
        put(out, "/>");
    }
    put(out, "</SegmentTimeline>");
}
