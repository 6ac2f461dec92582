//! An album in each format, through the whole audio path: what is captured is what went into the encoder, to the frame.

use std::time::Duration;

use super::super::super::listed::{Listed, set};
use super::*;

/// Frames of the album's tracks at 44.1 kHz, and resampled to 48 kHz, which Opus has.
const AT_44: [usize; 3] = [7919, 7094, 8988];
const AT_48: [usize; 3] = [8619, 7721, 9783];

/// Segments as a manifest lists them.
fn segments(file: &[u8]) -> Source {
    let listed = Listed {
        all: set(0, file, Duration::from_millis(60)),
        next: 0,
        length: None,
    };
    Source {
        stream: Stream::Segments(Box::new(listed)),
        hint: None,
        keys: None,
        head: None,
        cancel: Arc::new(|| ()),
    }
}

/// Plays three entries behind each other; gives what the device was given.
fn captured(sources: [Source; 3], frames: [usize; 3], rate: usize) -> Vec<i32> {
    let mut rig = Rig::new(0);
    let millis = frames.map(|frames| u32::try_from(frames * 1000 / rate).unwrap());
    let [first, second, third] = sources;
    rig.engine.play(PlayId(1), first, Millis::ZERO);
    rig.engine.follow(PlayId(2), second);
    // The device holds fewer frames than the first track of Opus has. It hears a part of it first and fills up again, so
    // that what follows is in the device, however late the decoder is, before it is heard.
    rig.bench.fill();
    rig.bench.sound(1000);
    rig.bench.fill();
    rig.bench.sound(frames[0] as u64 - 900);
    rig.told.until(began(2, 0));
    rig.engine.follow(PlayId(3), third);
    rig.bench.fill();
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(3, millis[2], millis[2], Ending::Finished));
    let counters = rig.engine.counters();
    assert_eq!(counters.frames_heard, frames.iter().sum::<usize>() as u64);
    assert_eq!((counters.boundaries_gapless, counters.boundaries_silent), (2, 0));
    assert_eq!((counters.xruns, counters.stalls, counters.cuts), (0, 0, 0));
    let heard = rig.heard();
    rig.engine.close();
    assert_eq!(heard.len() / 2, frames.iter().sum::<usize>());
    heard
}

fn lossless() -> Vec<i32> {
    joined(&[media!("album-1.flac"), media!("album-2.flac"), media!("album-3.flac")])
}

#[test]
fn an_album_of_opus_is_gapless() {
    let files = [media!("album-1.opus"), media!("album-2.opus"), media!("album-3.opus")];
    assert!(captured(files.map(source), AT_48, 48_000) == joined(&files));
}

#[test]
fn an_album_of_flac_in_segments_is_gapless_to_the_bit() {
    let files = [
        media!("album-1-flac.mp4"),
        media!("album-2-flac.mp4"),
        media!("album-3-flac.mp4"),
    ];
    assert!(captured(files.map(segments), AT_44, 44_100) == lossless());
    // As one fragmented file each, too.
    assert!(captured(files.map(source), AT_44, 44_100) == lossless());
}

#[test]
fn an_album_of_aac_in_segments_is_gapless() {
    let files = [
        media!("album-1-aac.mp4"),
        media!("album-2-aac.mp4"),
        media!("album-3-aac.mp4"),
    ];
    let whole = joined(&[media!("album-1.m4a"), media!("album-2.m4a"), media!("album-3.m4a")]);
    assert!(captured(files.map(segments), AT_44, 44_100) == whole);
}

#[test]
fn an_album_of_opus_in_segments_is_gapless() {
    let files = [
        media!("album-1-opus.mp4"),
        media!("album-2-opus.mp4"),
        media!("album-3-opus.mp4"),
    ];
    let whole = joined(&[media!("album-1.opus"), media!("album-2.opus"), media!("album-3.opus")]);
    assert!(captured(files.map(segments), AT_48, 48_000) == whole);
}

#[test]
fn segments_and_files_follow_each_other_without_a_gap() {
    let sources = [
        segments(media!("album-1-flac.mp4")),
        source(media!("album-2.wav")),
        segments(media!("album-3-flac.mp4")),
    ];
    assert!(captured(sources, AT_44, 44_100) == lossless());
}

#[test]
fn no_frame_is_lost_where_the_rate_changes_from_track_to_track() {
    let files = [media!("album-1.flac"), media!("rate48.flac"), media!("album-3.flac")];
    let mut rig = Rig::new(ENDLESS);
    rig.play(1, files[0]);
    rig.follow(2, files[1]);
    rig.told.until(began(2, 0));
    rig.follow(3, files[2]);
    rig.told.until(ended(3, 203, 203, Ending::Finished));
    assert!(rig.heard() == joined(&files));
    assert_eq!(rig.bench.with(|state| state.rates.clone()), [44_100, 48_000, 44_100]);
    let counters = rig.engine.counters();
    assert_eq!((counters.boundaries_silent, counters.xruns, counters.cuts), (2, 0, 0));
    rig.engine.close();
}
