//! The whole audio path over a device that keeps every frame: nothing is lost, repeated or put in between, and every
//! report is true.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

use symphonia::core::io::MediaSource;
use tonearm_core::input::Ending;

use super::super::bench::Bench;
use super::super::capture::Capture;
use super::super::paced::Paced;
use super::super::track::{Step, Track};
use super::*;

const ENDLESS: u64 = u64::MAX / 2;

macro_rules! media {
    ($name:literal) => {
        &include_bytes!(concat!("../../tests/media/", $name))[..]
    };
}

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
            engine: Engine::start(output, Arc::new(news)).unwrap(),
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

fn source(bytes: &[u8]) -> Source {
    Source {
        stream: Box::new(Cursor::new(bytes.to_vec())),
        hint: None,
        cancel: Arc::new(|| ()),
    }
}

fn decoded(bytes: &[u8]) -> Vec<i32> {
    let mut track = Track::open(Box::new(Cursor::new(bytes.to_vec())), None, Millis::ZERO).unwrap();
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
fn pause_and_resume_lose_and_repeat_nothing() {
    let mut rig = Rig::new(0);
    rig.play(7, media!("album-1.flac"));
    rig.bench.sound(1000);
    rig.engine.pause();
    rig.told.until(ended(7, 22, 22, Ending::Cut));
    assert_eq!(rig.engine.heard(), Some((PlayId(7), Millis(22))));
    rig.bench.with(|state| state.allowance = 5000);
    rig.engine.resume();
    rig.bench.until("the rest", |state| state.allowance == 0);
    rig.engine.pause();
    rig.told.until(ended(7, 136, 114, Ending::Cut));
    rig.engine.resume();
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(7, 179, 43, Ending::Finished));
    let expected = [
        began(7, 0),
        ended(7, 22, 22, Ending::Cut),
        began(7, 22),
        ended(7, 136, 114, Ending::Cut),
        began(7, 136),
        ended(7, 179, 43, Ending::Finished),
    ];
    assert_eq!(rig.told.all(), expected);
    assert!(rig.heard() == decoded(media!("album-1.flac")));
    assert!(
        rig.bench.with(|state| state.dropped) > 0,
        "the device held frames when it was paused"
    );
    rig.engine.close();
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
fn another_rate_reopens_the_device_and_loses_nothing() {
    let mut rig = Rig::new(ENDLESS);
    rig.play(1, media!("album-1.flac"));
    rig.follow(2, media!("rate48.flac"));
    rig.told.until(ended(2, 187, 187, Ending::Finished));
    assert_eq!(rig.bench.with(|state| state.rates.clone()), [44_100, 48_000]);
    assert!(rig.heard() == joined(&[media!("album-1.flac"), media!("rate48.flac")]));
    assert_eq!(rig.engine.counters().boundaries_silent, 1);
    rig.engine.close();
}

#[test]
fn running_dry_is_counted_and_loses_nothing() {
    let mut rig = Rig::new(0);
    rig.bench.with(|state| {
        state.dry_after = Some(3000);
        state.allowance = ENDLESS;
    });
    rig.play(1, media!("album-1.flac"));
    rig.told.until(ended(1, 179, 179, Ending::Finished));
    assert!(rig.heard() == decoded(media!("album-1.flac")));
    assert_eq!(rig.engine.counters().xruns, 1);
    rig.engine.close();
}

#[test]
fn a_lost_device_is_found_again_and_goes_on_at_the_next_frame() {
    let mut rig = Rig::new(0);
    rig.bench.with(|state| {
        state.vanish_after = Some(3000);
        state.refusals = 1;
        state.allowance = ENDLESS;
    });
    // The first opening is refused as well.
    rig.play(1, media!("album-1.flac"));
    rig.told.until(AudioNews::DeviceBack);
    rig.bench.with(|state| state.refusals = 1);
    rig.told.until(ended(1, 179, 111, Ending::Finished));
    let expected = [
        AudioNews::DeviceLost,
        AudioNews::DeviceBack,
        began(1, 0),
        ended(1, 68, 68, Ending::Interrupted),
        AudioNews::DeviceLost,
        AudioNews::DeviceBack,
        began(1, 68),
        ended(1, 179, 111, Ending::Finished),
    ];
    assert_eq!(rig.told.all(), expected);
    assert!(rig.heard() == decoded(media!("album-1.flac")));
    assert_eq!(rig.engine.counters().losses, 2);
    rig.engine.close();
}

/// A stream whose bytes arrive when the test says so.
struct Slow {
    bytes: Cursor<Vec<u8>>,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    /// Bytes loaded; `u64::MAX` when cancelled.
    loaded: AtomicU64,
    lock: Mutex<()>,
    more: Condvar,
}

impl Gate {
    fn load(&self, bytes: u64) {
        let _guard = self.lock.lock().unwrap();
        self.loaded.store(bytes, Ordering::SeqCst);
        self.more.notify_all();
    }
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let guard = self.gate.lock.lock().unwrap();
        let at = self.bytes.position();
        let length = self.bytes.get_ref().len() as u64;
        let is_missing = |(): &mut ()| self.gate.loaded.load(Ordering::SeqCst) <= at.min(length - 1);
        let _guard = self.gate.more.wait_while(guard, is_missing).unwrap();
        let loaded = self.gate.loaded.load(Ordering::SeqCst);
        if loaded == u64::MAX {
            return Err(io::Error::other("cancelled"));
        }
        let most = usize::try_from(loaded - at).unwrap().min(buffer.len());
        self.bytes.read(&mut buffer[..most])
    }
}

impl Seek for Slow {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

impl MediaSource for Slow {
    fn is_seekable(&self) -> bool {
        true
    }
    fn byte_len(&self) -> Option<u64> {
        Some(self.bytes.get_ref().len() as u64)
    }
}

fn slow(bytes: &[u8]) -> (Arc<Gate>, Source) {
    let gate = Arc::new(Gate::default());
    let cancelled = Arc::clone(&gate);
    let stream = Slow {
        bytes: Cursor::new(bytes.to_vec()),
        gate: Arc::clone(&gate),
    };
    (
        gate,
        Source {
            stream: Box::new(stream),
            hint: None,
            cancel: Arc::new(move || cancelled.load(u64::MAX)),
        },
    )
}

#[test]
fn bytes_that_come_late_stall_and_flow_without_a_lost_frame() {
    let mut rig = Rig::new(ENDLESS);
    let (gate, source) = slow(media!("deep24.flac"));
    rig.engine.play(PlayId(1), source, Millis::ZERO);
    gate.load(12_000);
    rig.told.until(AudioNews::Stalled { play: PlayId(1) });
    gate.load(media!("deep24.flac").len() as u64);
    rig.told.until(AudioNews::Flowing { play: PlayId(1) });
    let whole = decoded(media!("deep24.flac"));
    let end = Millis(u32::try_from(whole.len() / 2 * 10 / 441).unwrap());
    rig.told.until(AudioNews::Ended {
        play: PlayId(1),
        position: end,
        played: end,
        rebuffers: 1,
        how: Ending::Finished,
    });
    assert!(rig.heard() == whole);
    assert_eq!(rig.engine.counters().stalls, 1);
    rig.engine.close();
}

#[test]
fn an_entry_without_bytes_does_not_hold_up_a_skip() {
    let mut rig = Rig::new(ENDLESS);
    let (_gate, source) = slow(media!("album-1.flac"));
    rig.engine.play(PlayId(1), source, Millis::ZERO);
    rig.play(2, media!("album-2.flac"));
    rig.told.until(ended(2, 160, 160, Ending::Finished));
    assert_eq!(rig.told.all()[0], began(2, 0), "what never sounded is not told of");
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
