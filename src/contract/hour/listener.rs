//! Somebody in front of the speaker: presses what is allowed and what is not, and gets the music back when it is gone.

use tonearm_core::State;
use tonearm_core::id::SourceKey;
use tonearm_core::input::Press;
use tonearm_core::unit::Millis;

use super::world::{Happening, World};

/// Nobody waits longer than this for the music before doing something about it.
const WAIT_MS: u64 = 12_000;

impl World {
    /// One visit, and the time of the next.
    pub fn listen(&mut self) {
        let pause = self.rng.between(4_000, 40_000);
        let Some(program) = &self.program else {
            self.enter(pause, Happening::Listen);
            return;
        };
        let state = program.session.view(self.moment()).state;
        let wait = match state {
            State::Playing if self.troubles.is_left_alone() => pause,
            State::Playing => {
                self.play_with_it();
                pause
            }
            State::Paused | State::Stopped => {
                self.get_it_back();
                WAIT_MS
            }
            State::Buffering if self.dropouts.silence_ms(self.now) > 2 * WAIT_MS => {
                self.get_it_back();
                WAIT_MS
            }
            State::Buffering => WAIT_MS,
        };
        self.enter(wait, Happening::Listen);
    }

    fn play_with_it(&mut self) {
        let after = self.rng.between(2_000, 15_000);
        let press = match self.rng.between(0, 99) {
            0..=24 => Press::Next,
            25..=34 => Press::Previous,
            35..=42 => {
                self.enter(after, Happening::Press(Press::Play));
                Press::Play
            }
            43..=52 => {
                let position = self.rng.between(0, 30_000);
                Press::Seek(Millis(u32::try_from(position).unwrap()))
            }
            53..=58 => Press::ScrubForward,
            59..=63 => Press::ScrubBackward,
            64..=70 => Press::Shuffle,
            71..=78 => Press::Loop,
            79..=82 => Press::VolumeUp,
            83..=86 => Press::VolumeDown,
            87..=91 => {
                for count in 1..=3 {
                    self.enter(count * 150, Happening::Press(Press::Next));
                }
                Press::Next
            }
            92..=95 => self.some_edit(),
            _ => self.some_preset(),
        };
        self.enter(0, Happening::Press(press));
    }

    /// Play may be all it takes. Where it is not, something else is put on.
    fn get_it_back(&mut self) {
        let press = if self.rng.chance(100) {
            Press::TakeOver
        } else if self.rng.chance(600) {
            Press::Play
        } else {
            self.some_preset()
        };
        self.enter(0, Happening::Press(press));
    }

    /// Something more for the queue that plays.
    fn some_edit(&mut self) -> Press {
        let source = SourceKey(u32::try_from(self.rng.between(1, 3)).unwrap());
        if self.rng.chance(500) {
            Press::QueueNext(source)
        } else {
            Press::QueueLast(source)
        }
    }

    fn some_preset(&mut self) -> Press {
        // The album ends after two minutes; the station never does.
        Press::Preset(if self.rng.chance(500) {
            3
        } else {
            u8::try_from(self.rng.between(1, 2)).unwrap()
        })
    }
}
