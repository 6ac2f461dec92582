//! Which renditions a file has, and where their segments begin.

use super::*;
use crate::simulator::tags::{Bytes, Format};

fn track(bytes: &'static [u8], format: Format) -> Track {
    Track::read("a", Bytes::Builtin(bytes), format, "album").unwrap()
}

fn names(bytes: &'static [u8], format: Format) -> Vec<(String, Quality)> {
    let ladder = ladder(&track(bytes, format)).unwrap();
    ladder.into_iter().map(|plan| (plan.id, plan.quality)).collect()
}

macro_rules! media {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/media/", $name))
    };
}

#[test]
fn a_file_has_the_renditions_it_is_good_enough_for() {
    let opus = ["opus-96", "opus-192", "opus-320"].map(|name| (name.to_owned(), Quality::Sd));
    let with = |more: &[(&str, Quality)]| {
        let more = more.iter().map(|(name, quality)| ((*name).to_owned(), *quality));
        opus.iter().cloned().chain(more).collect::<Vec<_>>()
    };
    let disc = with(&[("flac-16-44100", Quality::Hd)]);
    assert_eq!(names(media!("album-1.flac"), Format::Flac), disc);
    assert_eq!(names(media!("album-2.wav"), Format::Wav), disc);
    assert_eq!(names(media!("alac.m4a"), Format::M4a), disc);
    assert_eq!(names(media!("album-1.mp3"), Format::Mp3), with(&[]));
    assert_eq!(names(media!("album-1.ogg"), Format::Ogg), with(&[]));
    let deep = with(&[("flac-16-44100", Quality::Hd), ("flac-24-44100", Quality::Uhd)]);
    assert_eq!(names(media!("deep24.flac"), Format::Flac), deep);
    let fast = names(media!("noise96.flac"), Format::Flac);
    assert_eq!(fast[3].0, "flac-16-48000");
    assert_eq!(fast[4].1, Quality::Uhd);
    assert_eq!(
        names(media!("long.opus"), Format::Opus),
        [("opus".to_owned(), Quality::Sd)]
    );
    assert_eq!(
        names(media!("long.m4a"), Format::M4a),
        [("aac".to_owned(), Quality::Sd)]
    );
}

#[test]
fn a_file_of_more_channels_is_offered_as_it_is_or_not_at_all() {
    let surround = names(media!("surround.flac"), Format::Flac);
    assert_eq!(surround.len(), 1, "{surround:?}");
}

#[test]
fn what_a_manifest_says_before_anything_is_made_is_what_is_made() {
    for (bytes, format, frames) in [
        (media!("long.mp3").as_slice(), Format::Mp3, 61_001),
        (media!("long.ogg"), Format::Ogg, 61_001),
        (media!("album-2.wav"), Format::Wav, 7_094),
        (media!("album-2.flac"), Format::Flac, 7_094),
        (media!("noise96.flac"), Format::Flac, 0),
    ] {
        let track = track(bytes, format);
        for plan in ladder(&track).unwrap() {
            let of = plan.description.clone();
            let planned = plan.segments().unwrap();
            let rendition = Rendition::new(plan, &track).unwrap();
            let mut made = Vec::new();
            let mut end = 0;
            while let Some(part) = rendition.segment(made.len()).unwrap() {
                end = part.begin + part.ticks();
                made.push(part.begin);
            }
            let id = &rendition.plan.id;
            assert_eq!(heard(&made, &of), planned, "{id}");
            assert_eq!(end, of.skip + of.frames, "{id} of {:?}", track.format);
            if of.rate == 44_100 {
                assert_eq!(of.frames, frames, "{id}");
            }
        }
    }
}

#[test]
fn segments_begin_at_multiples_of_their_length_or_with_the_next_sample() {
    let plan = encoded(
        Quality::Hd,
        &About {
            sort: Sort::Lossless,
            rate: 44_100,
            channels: 2,
            bits: 16,
            setup: Vec::new(),
            skip: 0,
            frames: None,
        },
        44_100 * 61,
    )
    .unwrap();
    let segments = plan.segments().unwrap();
    assert_eq!(segments.len(), 11);
    for (number, (begin, _)) in (0_u64..).zip(&segments) {
        let due = number * SEGMENT_S * 44_100;
        assert!(
            (due..due + maker::FLAC_BLOCK as u64).contains(begin),
            "{number}: {begin}"
        );
    }
    let lead = segments
        .iter()
        .filter(|(begin, _)| plan.is_lead(*begin, LEAD_S))
        .count();
    assert_eq!(lead, 5, "30 s");
    assert_eq!(segments.iter().map(|(_, length)| length).sum::<u64>(), 44_100 * 61);
}

#[test]
fn packets_that_are_used_as_they_are_keep_the_length_of_the_music() {
    for (bytes, format) in [
        (media!("long.opus").as_slice(), Format::Opus),
        (media!("long.m4a"), Format::M4a),
    ] {
        let ladder = ladder(&track(bytes, format)).unwrap();
        let of = &ladder[0].description;
        assert!(of.skip > 0);
        assert_eq!(of.frames, 61_001, "{format:?}");
    }
}
