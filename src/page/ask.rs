//! What can be asked of the speaker over the page, parsed and checked before anyone else sees it.

use serde::Deserialize;
use tokio::sync::oneshot;
use tonearm_core::input::Mode;
use tonearm_core::refusal::Refusal;
use tonearm_core::unit::Millis;

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
    /// The n-th preset, from 1.
    Preset(u8),
}

impl Button {
    /// For messages.
    pub const NAMES: &str = "play, next, previous, volume_up, volume_down, shuffle, loop, preset_1, preset_2, ...";

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
    /// The service's identifier of the thing, if given.
    pub id: Option<String>,
    /// Identifiers of what contains it. With no `id` at least one.
    pub container_ids: Vec<String>,
    /// How.
    pub mode: Mode,
}

/// The body of `POST /api/play`.
#[derive(Debug, Deserialize)]
pub struct PlayBody {
    #[serde(rename = "playParams")]
    play_params: PlayParams,
    #[serde(default)]
    mode: ModeName,
}

/// As the service's catalogue gives them; what else it may contain is not needed.
#[derive(Debug, Deserialize)]
struct PlayParams {
    #[serde(default)]
    id: Option<String>,
    #[serde(default, rename = "containerIds")]
    container_ids: Vec<String>,
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
        let Self {
            play_params: PlayParams { id, container_ids },
            mode,
        } = self;
        if container_ids.len() > CONTAINERS_MAX {
            return Err(format!(
                "playParams.containerIds has more than {CONTAINERS_MAX} entries"
            ));
        }
        for text in id.iter().chain(&container_ids) {
            if text.is_empty() || text.len() > ID_BYTES_MAX || text.chars().any(char::is_control) {
                return Err(format!(
                    "playParams: an identifier has 1 to {ID_BYTES_MAX} bytes and no control characters"
                ));
            }
        }
        if id.is_none() && container_ids.is_empty() {
            return Err("playParams needs id, containerIds or both".into());
        }
        let mode = match mode {
            ModeName::Play => Mode::Play,
            ModeName::Shuffle => Mode::Shuffle,
            ModeName::Station => Mode::Station,
        };
        Ok(PlayRequest {
            id,
            container_ids,
            mode,
        })
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
                id: Some("mrn:1".into()),
                container_ids: Vec::new(),
                mode: Mode::Station
            }
        );
        assert!(check(r#"{"playParams":{}}"#).unwrap_err().contains("containerIds"));
        assert!(check(r#"{"playParams":{"id":""}}"#).unwrap_err().contains("identifier"));
    }
}
