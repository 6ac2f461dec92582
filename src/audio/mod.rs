//! Samples: the data plane. Bytes of an entry are decoded, go through one ring and are sounded by a device; what was
//! heard is reported exactly. Decisions are the session's: nothing here chooses what plays.
//!
//! ```text
//!   orders          frames and marks           frames                reports
//! handle -> decode ----------------> output --------> device   output -------> audio-news -> session
//!                    one ring each     (peeks)
//! ```
//!
//! The output looks at frames in the ring without taking them out; they leave it when they are heard. So a pause, a
//! skip or a lost device costs nothing that has not been heard.

mod aac;
mod alsa;
mod amplified;
#[cfg(test)]
mod bench;
#[cfg(any(feature = "simulator", test))]
mod capture;
mod chime;
mod chimer;
mod converter;
mod decode;
mod engine;
mod fader;
#[cfg(test)]
mod fuzz;
mod gain;
mod heads;
mod knob;
#[cfg(test)]
mod listed;
mod mark;
mod mp4;
mod opus;
mod outcome;
mod output;
mod paced;
mod pack;
mod packets;
mod pages;
mod pump;
mod ramp;
mod resample;
mod seam;
mod shared;
mod stereo;
mod stream;
mod stretch;
#[cfg(test)]
mod test_keys;
mod timeline;
mod tone;
mod track;

use crate::keys;

#[cfg(feature = "simulator")]
pub use alsa::is_present;
pub use alsa::{Alsa, AlsaMixer, AlsaSettings};
pub use amplified::{Amplified, Amplifier};
#[cfg(feature = "simulator")]
pub use capture::Capture;
pub use chime::Chime;
pub use chimer::Chimer;
pub use converter::{Converter, Rates};
pub use decode::Source;
pub use engine::Engine;
pub use fader::Fader;
pub use heads::{Beginning, HeadKey, Preparation};
pub use knob::Knob;
pub use output::Output;
pub use paced::Paced;
pub use shared::{Counters, urge};
pub use stream::{Segment, Segments, Stream};
pub use tone::{play_chime, play_tone};
#[cfg(all(test, feature = "simulator"))]
pub use track::{Step, Track};
