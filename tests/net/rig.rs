//! A speaker behind a cable, with a card whose samples are kept.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cable::{Cable, HERE};
use crate::heard::{Silences, compare};
use crate::music::{RATE, noise};
use crate::names::Names;
use crate::process::until;
use crate::service::{Music, Service};
use crate::sink::{NAME, Sink, samples};
use crate::speaker::{Setup, Speaker};

/// All of it together. The speaker goes first.
pub struct Rig {
    speaker: Speaker,
    sink: Sink,
    pub service: Service,
    pub names: Names,
    pub cable: Cable,
    lengths_ms: Vec<usize>,
}

impl Rig {
    /// Tracks of these lengths; `more` goes to the speaker's configuration.
    pub fn start(lengths_ms: &[usize], more: &str) -> Self {
        let cable = Cable::lay();
        let names = Names::serve(HERE);
        let service = Music::of_lengths(lengths_ms).serve_everywhere();
        let sink = Sink::new(service.folder.path(), "formats \"S16_LE\" rates \"44100\"");
        let only_music = format!("[sound]\nchimes = false\n{more}");
        // A name that needs no encryption, and is looked up like any other: it leads to this end of the cable.
        let setup = Setup::write(&service, &format!("pcm = \"{NAME}\"\n"), &only_music)
            .by_name(&service, "localhost")
            .with_alsa(&sink.definitions())
            .with_saved(&json!({ "volume": 100 }));
        let speaker = cable.inside(|| setup.start());
        Self {
            speaker,
            sink,
            service,
            names,
            cable,
            lengths_ms: lengths_ms.to_vec(),
        }
    }

    /// Does something with the speaker, which is reached in its namespace only.
    pub fn speaker<T>(&self, act: impl FnOnce(&Speaker) -> T) -> T {
        self.cable.inside(|| act(&self.speaker))
    }

    /// Starts the album and waits until so many tracks are loaded.
    pub fn play(&self, loaded: usize) {
        self.speaker(|speaker| {
            speaker.press("preset_1");
            speaker.plays("01");
            speaker.shows("loaded tracks", |status| {
                let window = status["window"].as_array().unwrap();
                window.iter().filter(|item| item["state"] == "loaded").count() >= loaded
            });
            speaker.has_reported();
        });
    }

    /// How long until the status is so.
    pub fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> (Duration, Value) {
        let begun = Instant::now();
        let status = self.speaker(|speaker| speaker.shows(what, is_so));
        (begun.elapsed(), status)
    }

    /// How long until sound goes on: by what the card has heard.
    pub fn until_sound(&self) -> Duration {
        let begun = Instant::now();
        let before = self.music_heard();
        until("sound", || {
            let now = self.music_heard();
            if now > before {
                Ok(())
            } else {
                Err(format!("{now} frames"))
            }
        });
        begun.elapsed()
    }

    /// Frames of music that the card has heard.
    fn music_heard(&self) -> usize {
        let heard = samples(&self.sink.heard(), "S16_LE");
        heard.chunks_exact(2).filter(|frame| *frame != [0, 0]).count()
    }

    /// Plays to the end of the album: every frame was heard once and in order, with these silences; the ledger is clean.
    pub fn ends_whole(self) -> Silences {
        let whole: Vec<String> = (1..=self.lengths_ms.len())
            .flat_map(|track| [format!("{track:02} start"), format!("{track:02} trackFinished")])
            .collect();
        self.service
            .tells(&whole.iter().map(String::as_str).collect::<Vec<_>>());
        self.service.is_content();
        self.speaker(Speaker::has_reported);
        let music: Vec<i16> = (1..)
            .zip(&self.lengths_ms)
            .flat_map(|(seed, length_ms)| noise(seed, length_ms * RATE / 1000))
            .collect();
        let Self {
            speaker, sink, cable, ..
        } = self;
        cable.inside(|| speaker.terminate());
        let heard: Vec<i16> = samples(&sink.heard(), "S16_LE")
            .into_iter()
            .map(|sample| i16::try_from(sample >> 16).unwrap())
            .collect();
        compare(&heard, &music).unwrap()
    }
}
