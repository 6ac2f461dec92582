//! The whole audio path over a device that keeps every frame: nothing is lost, repeated or put in between, and every
//! report is true.

macro_rules! media {
    ($name:literal) => {
        &include_bytes!(concat!("../../tests/media/", $name))[..]
    };
}

#[path = "engine_chime_tests.rs"]
mod chimes;
#[path = "engine_cut_tests.rs"]
mod cuts;
#[path = "engine_format_tests.rs"]
mod formats;
#[path = "engine_head_tests.rs"]
mod heads;
#[path = "engine_key_tests.rs"]
mod keys;
#[path = "engine_trouble_tests.rs"]
mod trouble;

use std::io::Cursor;
use std::sync::{Condvar, Mutex};

use tonearm_core::input::Ending;

use super::super::bench::Bench;
use super::super::capture::Capture;
use super::super::chimer::Chimer;
use super::super::fader::Fader;
use super::super::paced::Paced;
use super::super::stream::Stream;
use super::super::track::{Step, Track};
use super::*;

const ENDLESS: u64 = u64::MAX / 2;

#[derive(Clone, Default)]
struct Told(Arc<(Mutex<Vec<AudioNews>>, Condvar)>);

impl Told {
    /// An engine whose reports come here.
    fn listen(&self, output: Box<dyn Output + Send>) -> Engine {
        let ear = self.clone();
        let news = move |news| {
            ear.0.0.lock().unwrap().push(news);
            ear.0.1.notify_all();
        };
        Engine::start(output, Arc::new(news)).unwrap()
    }

    fn until(&self, wanted: AudioNews) {
        let guard = self.0.0.lock().unwrap();
        let timeout = Duration::from_secs(10);
        let (all, patience) = self
            .0
            .1
            .wait_timeout_while(guard, timeout, |all| !all.contains(&wanted))
            .unwrap();
        assert!(
            !patience.timed_out(),
            "waited in vain for {wanted:?}; told so far: {all:?}"
        );
    }

    fn all(&self) -> Vec<AudioNews> {
        self.0.0.lock().unwrap().clone()
    }
}

struct Rig {
    engine: Engine,
    bench: Bench,
    told: Told,
}

impl Rig {
    fn new(allowance: u64) -> Self {
        let (bench, output) = Bench::new(allowance);
        let told = Told::default();
        let ear = told.clone();
        let news = move |news| {
            ear.0.0.lock().unwrap().push(news);
            ear.0.1.notify_all();
        };
        Self {
            engine: Engine::start(chain(output), Arc::new(news)).unwrap(),
            bench,
            told,
        }
    }

    fn play(&mut self, play: u32, bytes: &[u8]) {
        self.engine.play(PlayId(play), source(bytes), Millis::ZERO);
    }

    fn follow(&mut self, play: u32, bytes: &[u8]) {
        self.engine.follow(PlayId(play), source(bytes));
    }

    fn heard(&self) -> Vec<i32> {
        self.bench.with(|state| state.heard.clone())
    }
}

/// What stands before a device in a speaker.
fn chain(output: Box<dyn Output + Send>) -> Box<dyn Output + Send> {
    Box::new(Fader::new(Box::new(Chimer::new(output))))
}

fn source(bytes: &[u8]) -> Source {
    Source {
        stream: Stream::File(Box::new(Cursor::new(bytes.to_vec()))),
        hint: None,
        keys: None,
        head: None,
        cancel: Arc::new(|| ()),
    }
}

fn decoded(bytes: &[u8]) -> Vec<i32> {
    let mut track = Track::of_file(Box::new(Cursor::new(bytes.to_vec())), None, Millis::ZERO).unwrap();
    let mut frames = Vec::new();
    while track.step() == Step::Frames {
        frames.extend_from_slice(track.frames());
    }
    frames
}

fn joined(tracks: &[&[u8]]) -> Vec<i32> {
    tracks.iter().flat_map(|bytes| decoded(bytes)).collect()
}

fn began(play: u32, position: u32) -> AudioNews {
    AudioNews::Began {
        play: PlayId(play),
        position: Millis(position),
    }
}

fn ended(play: u32, position: u32, played: u32, how: Ending) -> AudioNews {
    AudioNews::Ended {
        play: PlayId(play),
        position: Millis(position),
        played: Millis(played),
        rebuffers: 0,
        how,
    }
}

/// Plays three entries, each ordered as a session does: the next one when the one before has begun.
fn album(tracks: [&[u8]; 3], millis: [u32; 3]) -> Counters {
    let mut rig = Rig::new(0);
    rig.play(1, tracks[0]);
    rig.follow(2, tracks[1]);
    rig.bench.fill();
    rig.bench.sound(7919 + 100);
    rig.told.until(began(2, 0));
    rig.follow(3, tracks[2]);
    rig.bench.fill();
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(3, millis[2], millis[2], Ending::Finished));
    assert!(rig.heard() == joined(&tracks), "the album is not what its tracks are");
    let [first, second, third] = millis;
    let expected = [
        began(1, 0),
        ended(1, first, first, Ending::Finished),
        began(2, 0),
        ended(2, second, second, Ending::Finished),
        began(3, 0),
        ended(3, third, third, Ending::Finished),
    ];
    assert_eq!(rig.told.all(), expected);
    assert_eq!(rig.engine.heard(), None);
    let counters = rig.engine.counters();
    assert_eq!(counters.boundaries_gapless, 2);
    assert_eq!(
        (counters.xruns, counters.stalls, counters.cuts, counters.news_lost),
        (0, 0, 0, 0)
    );
    assert_eq!(counters.frames_heard, 24_001);
    rig.engine.close();
    counters
}

/// Plays the album of FLAC through any device; gives the samples that must have come out.
pub fn album_through(output: Box<dyn Output + Send>) -> Vec<i32> {
    let told = Told::default();
    let mut engine = told.listen(output);
    engine.play(PlayId(1), source(media!("album-1.flac")), Millis::ZERO);
    engine.follow(PlayId(2), source(media!("album-2.flac")));
    told.until(began(2, 0));
    engine.follow(PlayId(3), source(media!("album-3.flac")));
    told.until(ended(3, 203, 203, Ending::Finished));
    engine.close();
    joined(&[media!("album-1.flac"), media!("album-2.flac"), media!("album-3.flac")])
}

#[test]
fn a_paced_device_gets_the_album_in_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.wav");
    let capture = Capture::new(Box::new(Paced::new(4)), &path).unwrap();
    let expected = album_through(Box::new(capture));
    let expected: Vec<u8> = expected
        .iter()
        .flat_map(|sample| [sample.to_le_bytes()[2], sample.to_le_bytes()[3]])
        .collect();
    assert!(std::fs::read(&path).unwrap()[44..] == expected);
}

/// Plays noise of 24 bits at 96 kHz through any device; gives the samples that must have come out.
pub fn noise_through(output: Box<dyn Output + Send>) -> Vec<i32> {
    let told = Told::default();
    let mut engine = told.listen(output);
    engine.play(PlayId(1), source(media!("noise96.flac")), Millis::ZERO);
    told.until(ended(1, 31, 31, Ending::Finished));
    engine.close();
    noise(96)
}

/// The samples of `noise96.flac` (seed 96) and `noise192.flac` (192), computed as when they were made.
fn noise(seed: u32) -> Vec<i32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let sample = |()| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state & !0xff).cast_signed()
    };
    std::iter::repeat_n((), 2 * 3001).map(sample).collect()
}

#[test]
fn what_comes_in_24_bits_up_to_192_khz_reaches_the_device_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.wav");
    let told = Told::default();
    // Next to the device: behind the volume and the chimes.
    let device = Capture::new(Box::new(Paced::new(1)), &path).unwrap();
    let mut engine = told.listen(chain(Box::new(device)));
    engine.play(PlayId(1), source(media!("noise96.flac")), Millis::ZERO);
    engine.follow(PlayId(2), source(media!("noise192.flac")));
    told.until(ended(2, 15, 15, Ending::Finished));
    engine.close();
    for (name, rate, seed) in [("out.wav", 96_000_u32, 96), ("out-2.wav", 192_000, 192)] {
        let wave = std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(wave[24..28], rate.to_le_bytes());
        assert_eq!(wave[34], 32, "bits of a sample");
        let samples = wave[44..].chunks_exact(4).map(|bytes| bytes.try_into().unwrap());
        assert!(samples.map(i32::from_le_bytes).eq(noise(seed)), "{name}");
    }
}

#[test]
fn an_album_of_flac_is_gapless_to_the_bit() {
    album(
        [media!("album-1.flac"), media!("album-2.flac"), media!("album-3.flac")],
        [179, 160, 203],
    );
}

#[test]
fn an_album_of_mp3_is_gapless() {
    album(
        [media!("album-1.mp3"), media!("album-2.mp3"), media!("album-3.mp3")],
        [179, 160, 203],
    );
}

#[test]
fn an_album_of_aac_is_gapless() {
    album(
        [media!("album-1.m4a"), media!("album-2.m4a"), media!("album-3.m4a")],
        [179, 160, 203],
    );
}

#[test]
fn an_album_of_vorbis_is_gapless() {
    album(
        [media!("album-1.ogg"), media!("album-2.ogg"), media!("album-3.ogg")],
        [179, 160, 203],
    );
}

#[test]
fn an_album_of_mixed_codecs_is_gapless() {
    album(
        [media!("album-1.flac"), media!("album-2.wav"), media!("album-3.m4a")],
        [179, 160, 203],
    );
}

#[test]
fn a_skip_drops_the_old_sound_and_starts_at_the_first_frame() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("album-1.flac"));
    rig.follow(2, media!("album-2.flac"));
    rig.bench.sound(1500);
    rig.play(3, media!("album-3.flac"));
    rig.told.until(ended(1, 34, 34, Ending::Cut));
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(3, 203, 203, Ending::Finished));
    let mut expected = decoded(media!("album-1.flac"))[..3000].to_vec();
    expected.extend(decoded(media!("album-3.flac")));
    assert!(rig.heard() == expected);
    rig.engine.close();
}

#[test]
fn a_skip_ends_a_pause() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("album-1.flac"));
    rig.bench.sound(441);
    rig.engine.pause();
    rig.told.until(ended(1, 10, 10, Ending::Cut));
    rig.play(2, media!("album-2.flac"));
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(2, 160, 160, Ending::Finished));
    assert!(!rig.told.all().contains(&began(1, 10)));
    rig.engine.close();
}

#[test]
fn a_start_in_the_middle_is_exact() {
    let mut rig = Rig::new(ENDLESS);
    rig.engine.play(PlayId(1), source(media!("album-1.flac")), Millis(100));
    rig.told.until(ended(1, 179, 79, Ending::Finished));
    assert!(rig.heard() == decoded(media!("album-1.flac"))[4410 * 2..]);
    assert_eq!(rig.told.all()[0], began(1, 100));
    rig.engine.close();
}

#[test]
fn a_follower_that_is_in_the_device_already_can_be_replaced() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("album-1.flac"));
    rig.follow(2, media!("album-2.flac"));
    rig.bench.fill();
    rig.bench.sound(7900);
    rig.follow(3, media!("album-3.flac"));
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(3, 203, 203, Ending::Finished));
    assert!(rig.heard() == joined(&[media!("album-1.flac"), media!("album-3.flac")]));
    assert!(!rig.told.all().contains(&began(2, 0)));
    rig.engine.close();
}

#[test]
fn a_follower_taken_back_is_not_heard() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("album-1.flac"));
    rig.follow(2, media!("album-2.flac"));
    rig.bench.sound(7000);
    rig.engine.unfollow();
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(1, 179, 179, Ending::Finished));
    rig.engine.close();
    assert!(rig.bench.with(|state| state.heard == decoded(media!("album-1.flac"))));
}

#[test]
fn a_follower_that_comes_after_the_end_begins_at_once() {
    let mut rig = Rig::new(ENDLESS);
    rig.play(1, media!("album-1.flac"));
    rig.told.until(ended(1, 179, 179, Ending::Finished));
    rig.follow(2, media!("album-2.flac"));
    rig.told.until(began(2, 0));
    rig.engine.close();
}

#[test]
fn many_changes_of_the_follower_leave_the_last_one() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("album-1.flac"));
    for play in 2..300 {
        rig.follow(play, media!("album-2.flac"));
        if play % 50 == 0 {
            rig.bench.sound(20);
        }
    }
    rig.follow(300, media!("album-3.flac"));
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(300, 203, 203, Ending::Finished));
    assert!(rig.heard() == joined(&[media!("album-1.flac"), media!("album-3.flac")]));
    rig.engine.close();
}

#[test]
fn a_follower_that_cannot_be_decoded_is_told_when_its_turn_comes() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("album-1.flac"));
    rig.follow(2, b"this is not music");
    rig.bench.sound(4000);
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(AudioNews::Failed { play: PlayId(2) });
    rig.follow(3, media!("album-3.flac"));
    rig.told.until(ended(3, 203, 203, Ending::Finished));
    let told = rig.told.all();
    assert_eq!(told[1], ended(1, 179, 179, Ending::Finished));
    assert_eq!(told[2], AudioNews::Failed { play: PlayId(2) });
    assert!(rig.heard() == joined(&[media!("album-1.flac"), media!("album-3.flac")]));
    rig.engine.close();
}

#[test]
fn a_truncated_entry_is_played_as_far_as_it_goes() {
    let mut rig = Rig::new(ENDLESS);
    let bytes = media!("album-2.wav");
    rig.play(1, &bytes[..44 + 4 * 2205]);
    rig.told.until(ended(1, 50, 50, Ending::Broken));
    rig.engine.close();
}

#[test]
fn silence_forgets_everything_and_a_new_order_plays() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("album-1.flac"));
    rig.follow(2, media!("album-2.flac"));
    rig.bench.sound(882);
    rig.engine.silence();
    rig.told.until(ended(1, 20, 20, Ending::Cut));
    rig.play(3, media!("album-3.flac"));
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(3, 203, 203, Ending::Finished));
    assert_eq!(rig.told.all().len(), 4);
    rig.engine.close();
}

#[test]
fn closing_reports_the_end_of_what_sounded() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("album-1.flac"));
    rig.bench.sound(4410);
    rig.engine.close();
    assert_eq!(rig.told.all(), [began(1, 0), ended(1, 100, 100, Ending::Cut)]);
}

#[test]
fn a_lower_volume_scales_and_full_volume_tells_the_source_bits() {
    let mut rig = Rig::new(ENDLESS);
    rig.play(1, media!("album-1.flac"));
    rig.told.until(ended(1, 179, 179, Ending::Finished));
    assert!(rig.bench.with(|state| state.bits.iter().all(|bits| *bits == 16)));
    rig.engine.volume(0);
    rig.play(2, media!("album-1.flac"));
    rig.told.until(ended(2, 179, 179, Ending::Finished));
    assert!(rig.heard()[7919 * 2..].iter().all(|sample| *sample == 0));
    rig.engine.close();
}
