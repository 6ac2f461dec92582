//! Short sounds that tell a listener what no screen shows: their notes, and the value of each at any moment. Pure; it
//! must not know of devices, nor of what happened: which chime stands for what is said elsewhere.

use std::f64::consts::TAU;

use super::gain::factor;

/// Every note swells this long, so that it does not click.
const ATTACK_MS: f64 = 8.0;
/// Every note fades to nothing over this long at its end.
const RELEASE_MS: f64 = 30.0;
/// A note falls to half in this time, as something struck does.
const HALF_LIFE_MS: f64 = 120.0;
/// Share of the octave above in each note: makes low notes heard on small loudspeakers.
const OCTAVE: f64 = 0.25;
/// Peak of a chime beside full scale: 12 dB below, well within what music reaches.
const LEVEL: f64 = 0.25;
/// Chimes get no quieter than at this volume: there they are 54 dB below full scale, still heard in a quiet room. That
/// is the peak of music at volume 10; so only below that a chime is louder than the music.
const VOLUME_FLOOR: u8 = 30;

/// What a speaker without a screen says by sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chime {
    /// A press is not followed: two low notes.
    Refused,
    /// The volume is at its end: one short high note.
    VolumeEnd,
    /// The queue is played to its end: three falling notes.
    QueueEnded,
    /// The account is linked: three rising notes.
    Linked,
    /// The account is to be linked: a question.
    LinkNeeded,
    /// Another device plays on: a long step down.
    TakenOver,
    /// The service cannot be reached: a fourth down, slowly.
    Offline,
    /// Something needs attention: three low notes.
    Problem,
    /// An entry ended because its key did not come: a lock that does not give, one note twice and a lower one.
    NoLicence,
}

/// One tone of a chime.
#[derive(Clone, Copy, Debug)]
struct Note {
    at_ms: u32,
    length_ms: u32,
    hz: f64,
}

const fn note(at_ms: u32, length_ms: u32, hz: f64) -> Note {
    Note { at_ms, length_ms, hz }
}

/// Notes of the scale that chimes are made of.
const C4: f64 = 261.6;
const E4: f64 = 329.6;
const G4: f64 = 392.0;
const A4: f64 = 440.0;
const C5: f64 = 523.3;
const E5: f64 = 659.3;
const G5: f64 = 784.0;
const A5: f64 = 880.0;
const C6: f64 = 1046.5;

impl Chime {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Refused,
        Self::VolumeEnd,
        Self::QueueEnded,
        Self::Linked,
        Self::LinkNeeded,
        Self::TakenOver,
        Self::Offline,
        Self::Problem,
        Self::NoLicence,
    ];

    /// What it is called on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::VolumeEnd => "volume-end",
            Self::QueueEnded => "queue-ended",
            Self::Linked => "linked",
            Self::LinkNeeded => "link-needed",
            Self::TakenOver => "taken-over",
            Self::Offline => "offline",
            Self::Problem => "problem",
            Self::NoLicence => "no-licence",
        }
    }

    /// In the order of time; no two sound at once.
    const fn notes(self) -> &'static [Note] {
        match self {
            Self::Refused => const { &[note(0, 110, C4), note(140, 130, C4)] },
            Self::VolumeEnd => const { &[note(0, 80, C6)] },
            Self::QueueEnded => const { &[note(0, 110, G5), note(110, 110, E5), note(220, 180, C5)] },
            Self::Linked => const { &[note(0, 110, C5), note(110, 110, E5), note(220, 180, G5)] },
            Self::LinkNeeded => const { &[note(0, 120, E5), note(120, 120, A4), note(240, 160, E5)] },
            Self::TakenOver => const { &[note(0, 160, A5), note(160, 240, A4)] },
            Self::Offline => const { &[note(0, 180, A4), note(200, 200, E4)] },
            Self::Problem => const { &[note(0, 100, G4), note(130, 100, C4), note(260, 140, C4)] },
            Self::NoLicence => const { &[note(0, 90, E4), note(120, 90, E4), note(240, 160, C4)] },
        }
    }

    /// How long it is at `rate` frames a second.
    #[must_use]
    pub fn frames(self, rate: u32) -> u64 {
        let end_ms = self.notes().last().map_or(0, |note| note.at_ms + note.length_ms);
        u64::from(rate) * u64::from(end_ms) / 1000
    }

    /// Its value at `seconds` from its beginning, -1 to 1.
    #[must_use]
    pub fn value(self, seconds: f64) -> f64 {
        let ms = seconds * 1000.0;
        let sounding = |note: &&Note| (0.0..f64::from(note.length_ms)).contains(&(ms - f64::from(note.at_ms)));
        self.notes().iter().find(sounding).map_or(0.0, |note| {
            let (in_ms, length_ms) = (ms - f64::from(note.at_ms), f64::from(note.length_ms));
            let edge = smooth(in_ms / ATTACK_MS) * smooth((length_ms - in_ms) / RELEASE_MS);
            let turn = TAU * note.hz * in_ms / 1000.0;
            let tone = (1.0 - OCTAVE) * turn.sin() + OCTAVE * (2.0 * turn).sin();
            tone * edge * (-in_ms / HALF_LIFE_MS).exp2()
        })
    }
}

/// Peak of a chime beside full scale while the volume is `volume`, 0 to 100.
#[must_use]
pub fn level(volume: u8) -> f64 {
    LEVEL * factor(volume.max(VOLUME_FLOOR))
}

/// From 0 to 1 without a corner at either end.
fn smooth(part: f64) -> f64 {
    let part = part.clamp(0.0, 1.0);
    part * part * (3.0 - 2.0 * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;
    /// Length of the longest chime: a hint, not a tune; whoever presses again is not kept waiting.
    const LENGTH_MS_MAX: u32 = 400;

    fn samples(chime: Chime) -> Vec<f64> {
        let frames = u32::try_from(chime.frames(RATE)).unwrap();
        (0..=frames)
            .map(|frame| chime.value(f64::from(frame) / f64::from(RATE)))
            .collect()
    }

    #[test]
    fn every_chime_is_short_and_is_heard() {
        for chime in Chime::ALL {
            let samples = samples(chime);
            assert!(samples.len() <= (RATE * LENGTH_MS_MAX / 1000) as usize + 1, "{chime:?}");
            let peak = samples.iter().fold(0.0, |peak: f64, sample| peak.max(sample.abs()));
            assert!((0.5..=1.0).contains(&peak), "{chime:?}: {peak}");
        }
    }

    #[test]
    fn a_chime_begins_and_ends_in_silence_and_never_jumps() {
        for chime in Chime::ALL {
            let samples = samples(chime);
            assert!(samples[0].abs() < 1e-9 && samples[samples.len() - 1].abs() < 1e-9);
            let steepest = samples
                .windows(2)
                .map(|pair| (pair[1] - pair[0]).abs())
                .fold(0.0, f64::max);
            // A full sine of the highest tone, and its octave, are no steeper.
            let sine = TAU * C6 / f64::from(RATE);
            assert!(
                steepest <= sine * (1.0 + OCTAVE) * 1.1,
                "{chime:?}: {steepest} of {sine}"
            );
        }
    }

    #[test]
    fn chimes_differ_in_name_and_in_sound() {
        for (index, chime) in Chime::ALL.into_iter().enumerate() {
            assert_eq!(chime as usize, index, "the order of the numbers");
            for other in &Chime::ALL[index + 1..] {
                assert_ne!(chime.name(), other.name());
                assert!(samples(chime) != samples(*other), "{chime:?} and {other:?}");
            }
        }
    }

    #[test]
    fn chimes_follow_the_volume_but_stay_audible() {
        assert!((20.0 * level(0).log10() + 54.0).abs() < 0.1, "{}", level(0));
        for volume in 0..100 {
            assert!(level(volume) <= level(volume + 1));
        }
        for volume in 11..=100 {
            assert!(level(volume) < factor(volume), "not louder than music at {volume}");
        }
    }
}
