//! What a card hears, from the real program through ALSA: the card of `tests/alsa/` has a pace, a buffer and faults.

use std::path::Path;

use serde_json::json;

use crate::music::{noise, write_wav_of};
use crate::process::until;
use crate::service::{Music, Service};
use crate::sink::{NAME, Sink, samples};
use crate::speaker::{Setup, Speaker};

/// Rates of music.
const RATES_HZ: [u32; 4] = [44_100, 48_000, 96_000, 192_000];
/// Where only music is to be heard.
const NO_CHIMES: &str = "[sound]\nchimes = false\n";

/// A speaker at full volume with a card of its own.
struct Rig {
    service: Service,
    speaker: Speaker,
    sink: Sink,
}

impl Rig {
    /// `more` goes to the board's `[output]`.
    fn start(music: Music, parameters: &str, more: &str) -> Self {
        let service = music.serve();
        let sink = Sink::new(service.folder.path(), parameters);
        let setup = Setup::write(&service, &format!("pcm = \"{NAME}\"\n{more}"), NO_CHIMES);
        let speaker = setup
            .with_alsa(&sink.definitions())
            .with_saved(&json!({ "volume": 100 }))
            .start();
        Self { service, speaker, sink }
    }

    /// Plays the first album to its end.
    fn play_through(parameters: &str, music: Music, tracks: usize) -> Self {
        let rig = Self::start(music, parameters, "");
        rig.speaker.press("preset_1");
        until("the end of the album", || {
            let told = rig.service.story();
            let ends = told.iter().filter(|event| event.ends_with("trackFinished")).count();
            if ends == tracks {
                Ok(())
            } else {
                Err(format!("{told:?}"))
            }
        });
        rig
    }

    /// What was heard, once the program is gone; and the card, whose files go with the service's folder.
    fn heard(self, format: &str) -> (Vec<i32>, Sink, Service) {
        self.speaker.terminate();
        (samples(&self.sink.heard(), format), self.sink, self.service)
    }
}

/// Noise of so many bits, in the upper bits of 32.
fn deep_noise(seed: u32, bits: u16, frames: usize) -> Vec<i32> {
    let halves = noise(seed, 2 * frames);
    let sample = |pair: &[i16]| {
        let whole = i32::from(pair[0]) << 16 | i32::from(pair[1].cast_unsigned());
        whole >> (32 - bits) << (32 - bits)
    };
    halves.chunks_exact(2).map(sample).collect()
}

fn track(folder: &Path, number: u32, rate: u32, bits: u16, frames: usize) -> Vec<i32> {
    let samples = deep_noise(number, bits, frames);
    write_wav_of(&folder.join(format!("{number:02}.wav")), rate, bits, &samples);
    samples
}

/// Tracks of one rate; all samples.
fn album(frames: &[usize]) -> (Music, Vec<i32>) {
    let music = Music::empty();
    let mut all = Vec::new();
    for (number, frames) in (1..).zip(frames) {
        all.extend(track(&music.path(), number, 44_100, 16, *frames));
    }
    (music, all)
}

#[track_caller]
fn is_same(heard: &[i32], expected: &[i32]) {
    let at = heard
        .iter()
        .zip(expected)
        .position(|(heard, expected)| heard != expected);
    let frames = |samples: &[i32]| samples.len() / 2;
    assert_eq!(at.map(|at| at / 2), None, "the first frame that differs");
    assert_eq!(frames(heard), frames(expected), "frames");
}

#[test]
fn every_bit_of_every_rate_reaches_a_card_of_every_format() {
    for (format, bits) in [("S16_LE", 16), ("S24_3LE", 24), ("S24_LE", 24), ("S32_LE", 24)] {
        let music = Music::empty();
        let mut all = Vec::new();
        for (number, rate) in (1..).zip(RATES_HZ) {
            let frames = usize::try_from(rate / 5 + 7).unwrap();
            all.extend(track(&music.path(), number, rate, bits, frames));
        }
        let (heard, sink, _folder) = Rig::play_through(&format!("formats \"{format}\""), music, 4).heard(format);
        is_same(&heard, &all);
        let agreed = sink.lines("HW");
        let rates: Vec<_> = agreed.iter().map(|line| line.number("rate")).collect();
        assert_eq!(rates, RATES_HZ.map(u64::from), "{format}");
        assert!(agreed.iter().all(|line| line.text("format") == format));
        assert_eq!(sink.lines("XRUN"), []);
    }
}

#[test]
fn no_frame_is_lost_on_a_card_that_takes_few_frames_at_a_time_and_runs_fast() {
    let (music, all) = album(&[30_001, 20_011, 25_013]);
    let (heard, sink, _folder) =
        Rig::play_through("formats \"S16_LE\" faults \"short@997\" drift_ppm 300", music, 3).heard("S16_LE");
    is_same(&heard, &all);
    // Its first helpings last 23 ms: a busy machine may be late once, but then the output gets ahead.
    let dry = sink.lines("XRUN");
    assert!(dry.len() <= 2, "{dry:?}");
}

#[test]
fn a_card_that_ran_dry_goes_on_with_the_next_frame() {
    let (music, all) = album(&[60_000, 30_000]);
    let (heard, sink, _folder) =
        Rig::play_through("formats \"S16_LE\" faults \"xrun@20000 xrun@50000\"", music, 2).heard("S16_LE");
    let dry: Vec<_> = sink
        .lines("XRUN")
        .iter()
        .map(|line| usize::try_from(line.number("at")).unwrap())
        .collect();
    assert_eq!(dry.len(), 2);
    assert!(dry.iter().all(|at| *at > 20_000), "it played what it had");
    is_same(&heard, &all);
}

#[test]
fn a_card_that_slept_goes_on_with_the_first_frame_not_heard() {
    let (music, all) = album(&[60_000]);
    let (heard, sink, _folder) =
        Rig::play_through("formats \"S16_LE\" faults \"suspend@22222\"", music, 1).heard("S16_LE");
    assert!(sink.lines("SUSPEND")[0].number("lost") > 0);
    is_same(&heard, &all);
}

#[test]
fn a_card_that_is_busy_at_first_is_waited_for() {
    let (music, all) = album(&[30_000]);
    let (heard, sink, _folder) = Rig::play_through("formats \"S16_LE\" faults \"busy+2\"", music, 1).heard("S16_LE");
    assert_eq!(sink.lines("REFUSED").len(), 2);
    is_same(&heard, &all);
}

#[test]
fn a_card_that_was_unplugged_sounds_within_a_second_of_its_return_from_the_frame_it_had_reached() {
    let (music, all) = album(&[90_000]);
    let (heard, sink, _folder) =
        Rig::play_through("formats \"S16_LE\" faults \"gone@33333+1200\"", music, 1).heard("S16_LE");
    let gone = &sink.lines("GONE")[0];
    let back = sink
        .lines("START")
        .iter()
        .map(|line| line.at_ns)
        .find(|at_ns| *at_ns > gone.at_ns)
        .unwrap();
    let waited_ms = (back - gone.number("until")) / 1_000_000;
    assert!(waited_ms <= 1000, "{waited_ms} ms");
    assert_eq!(gone.number("at"), 33_333);
    is_same(&heard, &all);
}

#[test]
fn a_card_of_one_rate_hears_an_album_of_another_converted_without_a_gap() {
    let (music, all) = album(&[30_001, 20_011, 25_013]);
    let (heard, sink, _folder) = Rig::play_through("rates \"48000\"", music, 3).heard("S32_LE");
    let frames = (all.len() / 2 * 48_000 + 22_050) / 44_100;
    assert_eq!(heard.len() / 2, frames);
    assert_eq!(sink.lines("HW").last().unwrap().number("rate"), 48_000);
    assert_eq!((sink.lines("START").len(), sink.lines("XRUN").len()), (1, 0));
}

/// The frames that are not silence.
fn sounding(samples: &[i32]) -> Vec<i32> {
    let frames = samples.chunks_exact(2).filter(|frame| frame != &[0, 0]);
    frames.flatten().copied().collect()
}

#[test]
fn where_frames_come_late_the_card_gets_silence_before_it_runs_dry() {
    let (music, all) = album(&[5 * 44_100]);
    let rig = Rig::start(music, "formats \"S16_LE\"", "");
    // A second of sound has 176 kB.
    rig.service
        .fault(&json!({"scope": "media", "kind": "slow", "bytes_per_s": 140_000}));
    rig.speaker.press("preset_1");
    until("the end of the track", || {
        let told = rig.service.story();
        if told.iter().any(|event| event.ends_with("trackFinished")) {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    });
    let (heard, sink, _folder) = rig.heard("S16_LE");
    assert!(heard.len() > all.len(), "there was silence between");
    is_same(&sounding(&heard), &sounding(&all));
    // Without silence it would run dry at every halt; a virtual machine may wake the output 25 ms late once or twice.
    let dry = sink.lines("XRUN");
    assert!(dry.len() <= 2, "{dry:?}");
}

#[test]
fn an_amplifier_hears_silence_first_and_what_is_not_there_stops_no_sound() {
    let (music, all) = album(&[30_000, 20_000]);
    let more = "mixer = { control = \"Digital\" }\n\
                amplifier = { chip = \"gpiochip999\", line = 25, wake_ms = 400 }\n\
                idle_s = 1\n";
    let rig = Rig::start(music, "formats \"S16_LE\"", more);
    for round in 1..=2 {
        rig.speaker.press("preset_1");
        until("the end of the album, and the card's rest", || {
            let closed = rig.sink.lines("CLOSE").len();
            if rig.service.story().len() == round * 4 && closed == rig.sink.lines("OPEN").len() {
                Ok(())
            } else {
                Err(format!("{:?}, closed {closed} times", rig.service.story()))
            }
        });
    }
    let log = rig.speaker.log();
    assert!(log.contains("amplifier: gpio chip gpiochip999: there is none"), "{log}");
    assert!(log.contains("the volume is set in software"), "{log}");
    let (heard, sink, _folder) = rig.heard("S16_LE");
    // More than the card's buffer holds.
    let silence = vec![0; 2 * 17_640];
    is_same(&heard, &[&silence, all.as_slice(), &silence, &all].concat());
    assert_eq!((sink.lines("START").len(), sink.lines("XRUN").len()), (2, 0));
}

/// A tone of so many frames at half of full scale, beginning and ending in silence.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "samples of 16 bits"
)]
fn tone(frames: usize) -> Vec<i32> {
    let step = 441.0 / 44_100.0 * std::f64::consts::TAU;
    let sample = |frame| ((frame as f64 * step).sin() * 16_384.0) as i32;
    (0..frames).flat_map(|frame| [sample(frame) << 16; 2]).collect()
}

#[test]
fn pausing_going_on_skipping_and_seeking_do_not_click() {
    let music = Music::empty();
    for number in 1..=3 {
        write_wav_of(
            &music.path().join(format!("{number:02}.wav")),
            44_100,
            16,
            &tone(40 * 44_100),
        );
    }
    let rig = Rig::start(music, "formats \"S16_LE\"", "");
    rig.speaker.press("preset_1");
    rig.service.tells(&["01 start"]);
    rig.speaker.press("play");
    rig.service.tells(&["01 start", "01 userStop"]);
    rig.speaker.press("play");
    rig.service.tells(&["01 start", "01 userStop", "01 start"]);
    rig.speaker.press("next");
    rig.speaker.plays("02");
    rig.speaker.seek(12_345);
    until("the sound of the seek", || {
        let drops = rig
            .sink
            .lines("STOP")
            .iter()
            .filter(|line| line.number("lost") > 4_000)
            .count();
        if drops == 3 {
            Ok(())
        } else {
            Err(format!("{drops} drops"))
        }
    });
    rig.service.tells(&[
        "01 start",
        "01 userStop",
        "01 start",
        "01 userNext",
        "02 start",
        "02 trackScrub",
        "02 start",
    ]);
    let (heard, sink, _folder) = rig.heard("S16_LE");
    // Half of full scale at 441 Hz moves by at most 1030 of 32768 from frame to frame, and a ramp of 2 ms adds 187. On a busy
    // machine the card may play two frames more between being asked where it is and being stopped.
    let jump = heard.chunks(2).map(|frame| frame[0] >> 16).collect::<Vec<_>>();
    let jump = jump.windows(2).map(|pair| (pair[1] - pair[0]).abs()).max().unwrap();
    assert!(
        jump <= 3 * 1_030 + 187,
        "from one frame to the next the sound jumped by {jump}"
    );
    assert_eq!(sink.lines("XRUN"), []);
}
