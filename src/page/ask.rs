//! What can be asked of the speaker over the page, parsed and checked before anyone else sees it.

use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::{oneshot, watch};
use tonearm_core::input::Mode;
use tonearm_core::refusal::Refusal;
use tonearm_core::unit::Millis;

use super::queue::Queue;
use super::status::{Status, denial_text};

/// Longest identifier in a request to play. Those of the service have less than a hundred characters.
const ID_BYTES_MAX: usize = 1024;
/// Most containers in a request to play.
const CONTAINERS_MAX: usize = 32;

/// Where the answer to an ask goes: followed, or why not.
pub type Reply = oneshot::Sender<Result<(), Reason>>;

/// Something that is asked of the speaker.
#[derive(Debug)]
pub enum Ask {
    /// A button of the page.
    Press {
        /// Which.
        button: Button,
        /// Must be answered within seconds.
        reply: Reply,
    },
    /// Go to a position within the entry.
    Seek {
        /// Where.
        position: Millis,
        /// Must be answered within seconds.
        reply: Reply,
    },
    /// Play something new.
    Play {
        /// What and how.
        request: PlayRequest,
        /// Must be answered within seconds.
        reply: Reply,
    },
    /// Put something into the queue.
    Enqueue {
        /// What.
        play: PlayParams,
        /// Where.
        place: Place,
        /// Must be answered within seconds.
        reply: Reply,
    },
    /// The whole queue, as the service has it.
    Queue {
        /// May take as long as the service does.
        reply: oneshot::Sender<Result<Queue, Reason>>,
    },
    /// Link or forget the account.
    Account {
        /// Which.
        wish: AccountWish,
        /// Must be answered within seconds.
        reply: Reply,
    },
    /// What the speaker does at this moment.
    Status {
        /// Must be answered within seconds.
        reply: oneshot::Sender<Status>,
    },
    /// What the speaker does, at this moment and whenever it changes.
    Follow {
        /// Must be answered within seconds.
        reply: oneshot::Sender<watch::Receiver<Arc<Status>>>,
    },
    /// The health figures, as Prometheus text.
    Metrics {
        /// Must be answered within seconds.
        reply: oneshot::Sender<String>,
    },
}

/// What is wanted of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountWish {
    /// A code to link one with.
    Link,
    /// To forget it.
    Unlink,
}

/// A button of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// Play, pause or resume.
    Play,
    /// Skip forward.
    Next,
    /// Skip back.
    Previous,
    /// Louder.
    VolumeUp,
    /// Quieter.
    VolumeDown,
    /// Random order on or off.
    Shuffle,
    /// Repeating on or off.
    Loop,
    /// Go on here with what another device plays.
    TakeOver,
    /// The n-th preset, from 1.
    Preset(u8),
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Right after the current entry.
    Next,
    /// After everything else.
    Last,
}

impl Button {
    /// For messages.
    pub const NAMES: &str =
        "play, next, previous, volume_up, volume_down, shuffle, loop, take_over, preset_1, preset_2, ...";

    /// The button of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "play" => Self::Play,
            "next" => Self::Next,
            "previous" => Self::Previous,
            "volume_up" => Self::VolumeUp,
            "volume_down" => Self::VolumeDown,
            "shuffle" => Self::Shuffle,
            "loop" => Self::Loop,
            "take_over" => Self::TakeOver,
            preset => {
                let digits = preset.strip_prefix("preset_")?;
                let is_plain = !digits.starts_with(['0', '+']);
                Self::Preset(digits.parse().ok().filter(|_| is_plain)?)
            }
        })
    }
}

/// What to play and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayRequest {
    /// What.
    pub play: PlayParams,
    /// How.
    pub mode: Mode,
}

/// What to play, as the service's catalogue gives it; what else may be in it is not needed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PlayParams {
    /// The service's identifier of the thing, if given.
    #[serde(default)]
    pub id: Option<String>,
    /// Identifiers of what contains it. With no `id` at least one.
    #[serde(default, rename = "containerIds")]
    pub container_ids: Vec<String>,
}

/// The body of `POST /api/play`.
#[derive(Debug, Deserialize)]
pub struct PlayBody {
    #[serde(rename = "playParams")]
    play_params: PlayParams,
    #[serde(default)]
    mode: ModeName,
}

/// The body of `POST /api/queue/next` and `POST /api/queue/last`. How the queue is played is not its business.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueBody {
    #[serde(rename = "playParams")]
    play_params: PlayParams,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeName {
    #[default]
    Play,
    Shuffle,
    Station,
}

/// The body of `POST /api/seek`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeekBody {
    /// Where to.
    pub position_ms: u32,
}

impl PlayBody {
    /// The request, or what is wrong with it.
    pub fn check(self) -> Result<PlayRequest, String> {
        let mode = match self.mode {
            ModeName::Play => Mode::Play,
            ModeName::Shuffle => Mode::Shuffle,
            ModeName::Station => Mode::Station,
        };
        Ok(PlayRequest {
            play: self.play_params.check()?,
            mode,
        })
    }
}

impl QueueBody {
    /// What is to be put into the queue, or what is wrong with it.
    pub fn check(self) -> Result<PlayParams, String> {
        self.play_params.check()
    }
}

impl PlayParams {
    fn check(self) -> Result<Self, String> {
        if self.container_ids.len() > CONTAINERS_MAX {
            return Err(format!(
                "playParams.containerIds has more than {CONTAINERS_MAX} entries"
            ));
        }
        for text in self.id.iter().chain(&self.container_ids) {
            if text.is_empty() || text.len() > ID_BYTES_MAX || text.chars().any(char::is_control) {
                return Err(format!(
                    "playParams: an identifier has 1 to {ID_BYTES_MAX} bytes and no control characters"
                ));
            }
        }
        if self.id.is_none() && self.container_ids.is_empty() {
            return Err("playParams needs id, containerIds or both".into());
        }
        Ok(self)
    }
}

/// Why an ask is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// For scripts.
    pub error: &'static str,
    /// For people.
    pub text: String,
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        let (error, text) = match refusal {
            Refusal::Denied(denial) => ("not_allowed", denial_text(denial)),
            Refusal::NothingPlaying => ("nothing_playing", "nothing is playing or paused"),
            Refusal::NoNetwork => ("no_network", "the service is needed for this and cannot be reached"),
            Refusal::NotLinked => ("not_linked", "no account is linked; link one with `tonearm link`"),
            Refusal::NoSuchPreset => ("no_such_preset", "there is no such preset in the configuration"),
            Refusal::Leaving => ("leaving", "the speaker is shutting down"),
        };
        Self {
            error,
            text: text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buttons_are_known_by_their_names() {
        assert_eq!(Button::parse("volume_up"), Some(Button::VolumeUp));
        assert_eq!(Button::parse("preset_12"), Some(Button::Preset(12)));
    }

    #[test]
    fn what_is_no_button_is_not_taken_for_one() {
        for name in [
            "",
            "Play",
            "preset_",
            "preset_0",
            "preset_01",
            "preset_+1",
            "preset_256",
            "preset_x",
        ] {
            assert_eq!(Button::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_request_to_play_needs_something_to_play() {
        let check = |body: &str| serde_json::from_str::<PlayBody>(body).unwrap().check();
        let request = check(r#"{"playParams":{"id":"mrn:1","selections":["PLAY"]},"mode":"station"}"#).unwrap();
        assert_eq!(
            request,
            PlayRequest {
                play: PlayParams {
                    id: Some("mrn:1".into()),
                    container_ids: Vec::new(),
                },
                mode: Mode::Station
            }
        );
        assert!(check(r#"{"playParams":{}}"#).unwrap_err().contains("containerIds"));
        assert!(check(r#"{"playParams":{"id":""}}"#).unwrap_err().contains("identifier"));
    }

    #[test]
    fn what_goes_into_the_queue_has_no_mode_of_its_own() {
        let read = |body: &str| serde_json::from_str::<QueueBody>(body).map(QueueBody::check);
        let play = read(r#"{"playParams":{"containerIds":["mrn:2"]}}"#).unwrap().unwrap();
        assert_eq!((play.id, play.container_ids), (None, vec!["mrn:2".to_owned()]));
        assert!(read(r#"{"playParams":{"id":"mrn:1"},"mode":"shuffle"}"#).is_err());
        assert!(read(r#"{"playParams":{}}"#).unwrap().is_err());
    }
}
