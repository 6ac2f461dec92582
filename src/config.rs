//! The configuration: what the file says, its defaults, and which values make no sense together.
//!
//! The document is read key by key by [`crate::document`] (raw), [`Config`] is its checked meaning: whoever holds one
//! need not check again. It opens nothing but its own file and knows none of the adapters it configures.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonearm_core::input::Mode;
pub use tonearm_core::limits::PRESETS_MAX;
use tonearm_core::limits::{AHEAD_MAX, BEHIND_MAX};
use tonearm_core::{Load, OnElsewhere};

use crate::document::{self, DocumentError};

mod read;

/// Where the configuration stands when nobody says otherwise.
pub const PATH: &str = "/etc/tonearm/tonearm.toml";
/// Environment variable that names another file.
pub const ENVIRONMENT: &str = "TONEARM_CONFIG";

/// Loudest volume that the speaker goes on with by itself unless told otherwise: half of the scale. After a power cut nobody may be
/// near who could turn it down, and whoever had it louder is there to turn it up again.
const START_VOLUME_MAX: u8 = 50;

/// All that can be set, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file it came from; `None`: there is none, all of it is the defaults.
    pub file: Option<PathBuf>,
    /// The playback service.
    pub service: Service,
    /// Folder of tokens, device id, journal and the last session.
    pub state_dir: PathBuf,
    /// The board file.
    pub board: BoardFile,
    /// The local page.
    pub page: Page,
    /// What is kept loaded.
    pub window: Window,
    /// How encrypted entries are decrypted.
    pub cdm: Cdm,
    /// Whether the speaker tells by sound what no screen shows.
    pub chimes: Chimes,
    /// Loudest volume that the speaker goes on with by itself after a start, of 100.
    pub start_volume_max: u8,
    /// What the preset buttons start, in their order.
    pub presets: Vec<Preset>,
}

/// How to reach the playback service and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Address that the paths of queue calls are added to; no slash at its end.
    pub base_url: String,
    /// Address that the paths of signing in are added to; no slash at its end.
    pub auth_url: String,
    /// `x-api-key`, where the service asks for one.
    pub api_key: Option<Secret>,
    /// Name of this product at the service's sign-in.
    pub client_id: Option<String>,
    /// What the account is asked to allow.
    pub scope: String,
    /// When linking an account starts.
    pub linking: Linking,
    /// Certificates that are trusted in place of the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// Language of the service's own words (`de-DE`); `None` leaves it to the account.
    pub language: Option<String>,
    /// Path that takes several events at once, below `base_url`; `None`: each is sent alone.
    pub event_batch_path: Option<String>,
    /// What is done about a session on another device, where this one has none of its own to go on with.
    pub elsewhere: OnElsewhere,
    /// Time between two heartbeats; `None`: none are sent.
    pub heartbeat: Option<Duration>,
}

/// Where an account is at home: each region has a sign-in of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// North America.
    NorthAmerica,
    /// Europe.
    Europe,
    /// Far East.
    FarEast,
}

impl Region {
    /// Address of the sign-in: the first \[P\], the others \[S\].
    pub const fn auth_url(self) -> &'static str {
        match self {
            Self::NorthAmerica => "https://api.amazon.com",
            Self::Europe => "https://api.amazon.co.uk",
            Self::FarEast => "https://api.amazon.co.jp",
        }
    }
}

/// When linking an account starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linking {
    /// By itself, whenever there is no account.
    Auto,
    /// When somebody asks for it.
    OnRequest,
}

/// A text that never shows in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Which board file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardFile {
    /// Its path.
    pub path: PathBuf,
    /// Who chose the path.
    pub chosen: Chosen,
}

/// Who chose a path: a file that somebody named must be there, one at the usual place may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// A person, by an option, the environment or the configuration.
    Named,
    /// Nobody: it is the usual place.
    Usual,
}

/// The local page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Address and port it listens on.
    pub listen: SocketAddr,
    /// Name of the speaker on the local network, without `.local`.
    pub hostname: String,
}

/// Whether the speaker chimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chimes {
    /// It does.
    On,
    /// Nothing but music sounds.
    Off,
}

/// How encrypted entries are decrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cdm {
    /// Socket of a decryption module in a process of its own; `None`: only Clear Key, which is built in, is decrypted.
    pub socket: Option<PathBuf>,
}

/// What is kept loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Entries after the current one.
    pub ahead: usize,
    /// Entries before the current one.
    pub behind: usize,
    /// Bytes of all of them together.
    pub memory_bytes: usize,
    /// How much of each.
    pub load: Load,
}

/// Something to play that has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// For people.
    pub name: String,
    /// What to play, as the service names it; at least one of `id` and `container_ids` is given.
    pub id: Option<String>,
    /// What contains it.
    pub container_ids: Vec<String>,
    /// How it is started.
    pub mode: Mode,
}

impl Config {
    /// The configuration of the file that `option` names, else the environment, else the usual place.
    ///
    /// A file that was named must be there. Where nobody named one and the usual place is empty, it is the defaults,
    /// and the log says so.
    ///
    /// # Errors
    /// The file cannot be read or has mistakes: all of them, with their lines.
    pub fn load(option: Option<&Path>) -> Result<Self, DocumentError> {
        let (path, chosen) = locate(option, std::env::var_os(ENVIRONMENT));
        Self::load_from(&path, chosen)
    }

    fn load_from(path: &Path, chosen: Chosen) -> Result<Self, DocumentError> {
        match document::text_of(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if chosen == Chosen::Usual && error.is_not_found() => {
                log::info!("no configuration at {}: using the defaults", path.display());
                Ok(Self::default())
            }
            Err(error) => Err(error),
        }
    }

    /// The meaning of `text`. Relative paths in it are relative to the folder of `path`.
    ///
    /// # Errors
    /// Every mistake in it, with its line.
    pub fn parse(path: &Path, text: &str) -> Result<Self, DocumentError> {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut config = document::read(path, text, |root| read::config(root, &folder))?;
        config.file = Some(path.to_owned());
        Ok(config)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: None,
            service: Service {
                base_url: "https://api.music.amazon.dev".to_owned(),
                auth_url: Region::NorthAmerica.auth_url().to_owned(),
                api_key: None,
                client_id: None,
                scope: "music::playback".to_owned(),
                linking: Linking::Auto,
                ca_file: None,
                language: None,
                event_batch_path: None,
                elsewhere: OnElsewhere::Offer,
                heartbeat: None,
            },
            state_dir: "/var/lib/tonearm".into(),
            board: BoardFile {
                path: "/etc/tonearm/board.toml".into(),
                chosen: Chosen::Usual,
            },
            page: Page {
                listen: SocketAddr::from(([0, 0, 0, 0], 80)),
                hostname: "tonearm".to_owned(),
            },
            window: Window {
                ahead: AHEAD_MAX,
                behind: BEHIND_MAX,
                memory_bytes: 64 * 1024 * 1024,
                load: Load::default(),
            },
            cdm: Cdm::default(),
            chimes: Chimes::On,
            start_volume_max: START_VOLUME_MAX,
            presets: Vec::new(),
        }
    }
}

/// An empty variable counts as none: that is how a unit file or a shell clears one.
fn locate(option: Option<&Path>, environment: Option<OsString>) -> (PathBuf, Chosen) {
    let named = option
        .map(Path::to_owned)
        .or(environment.filter(|path| !path.is_empty()).map(PathBuf::from));
    named.map_or_else(|| (PathBuf::from(PATH), Chosen::Usual), |path| (path, Chosen::Named))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../board/tonearm.example.toml");

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/etc/tonearm/tonearm.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(
            Config {
                file: None,
                ..parse("").unwrap()
            },
            Config::default()
        );
    }

    #[test]
    fn the_example_says_the_defaults() {
        let example = Config {
            file: None,
            ..parse(EXAMPLE).unwrap()
        };
        let named = BoardFile {
            chosen: Chosen::Named,
            ..Config::default().board
        };
        assert_eq!(
            example,
            Config {
                board: named,
                ..Config::default()
            }
        );
    }

    #[test]
    fn every_line_that_the_example_leaves_out_is_valid_too() {
        let uncommented: String = EXAMPLE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let config = parse(&uncommented).unwrap();
        assert_eq!(
            config.service.ca_file.as_deref(),
            Some(Path::new("/etc/tonearm/ca.pem"))
        );
        assert!(config.service.api_key.is_some() && config.service.client_id.is_some());
        assert_eq!(config.service.language.as_deref(), Some("de-DE"));
        assert_eq!(
            config.service.event_batch_path.as_deref(),
            Some("/v1/playback/events/batch")
        );
        assert_eq!(config.cdm.socket.as_deref(), Some(Path::new("/run/tonearm-cdm/socket")));
        assert_eq!(config.presets.len(), 2);
        assert_eq!(config.presets.last().unwrap().mode, Mode::Station);
    }

    #[test]
    fn a_region_chooses_the_sign_in_and_an_address_of_its_own_overrides_it() {
        let auth_url = |text: &str| parse(text).unwrap().service.auth_url;
        assert_eq!(auth_url("[service]\nregion = \"na\""), "https://api.amazon.com");
        assert_eq!(auth_url("[service]\nregion = \"eu\""), "https://api.amazon.co.uk");
        assert_eq!(auth_url("[service]\nregion = \"fe\""), "https://api.amazon.co.jp");
        let both = "[service]\nauth_url = \"http://127.0.0.1:8700\"\nregion = \"eu\"";
        assert_eq!(auth_url(both), "http://127.0.0.1:8700");
        let error = parse("[service]\nregion = \"us\"").unwrap_err();
        assert!(
            error.contains("line 2: service.region: found \"us\", expected one of \"na\", \"eu\", \"fe\""),
            "{error}"
        );
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "[service]\nbase_ur = \"x\"\nauth_url = \"http://example.com\"\n[page]\nlisten = \"80\"\n\
                    [window]\nahead = 12\n[sevice]\n[[preset]]\nmode = \"random\"\n";
        let error = parse(text).unwrap_err();
        for part in [
            "/etc/tonearm/tonearm.toml: 8 mistakes\n",
            "line 2: service.base_ur: unknown key; did you mean \"base_url\"?",
            "line 3: service.auth_url: found \"http://example.com\", http:// is allowed to this machine only",
            "line 5: page.listen: found \"80\", expected an address with a port",
            "line 7: window.ahead: found 12, expected a whole number from 1 to 10 entries",
            "line 8: sevice: unknown key; did you mean \"service\"?",
            "line 9: preset[1].name: missing",
            "line 9: preset[1]: nothing to play",
            "line 10: preset[1].mode: found \"random\", expected one of \"play\", \"shuffle\", \"station\"",
        ] {
            assert!(error.contains(part), "{part:?} not in\n{error}");
        }
    }

    #[test]
    fn a_language_is_a_tag_and_a_path_is_a_path() {
        let good = parse("[service]\nlanguage = \"zh-Hant-TW\"\nevent_batch_path = \"/v2/a/b-c\"").unwrap();
        assert_eq!(good.service.language.as_deref(), Some("zh-Hant-TW"));
        for bad in [
            "language = \"german please\"",
            "language = \"de_DE\"",
            "language = \"-\"",
            "language = \"\"",
            "event_batch_path = \"events\"",
            "event_batch_path = \"//host/x\"",
            "event_batch_path = \"/a b\"",
            "event_batch_path = \"/a?b\"",
        ] {
            let error = parse(&format!("[service]\n{bad}")).unwrap_err();
            assert!(error.contains("line 2: service."), "{bad}: {error}");
        }
    }

    #[test]
    fn a_session_on_another_device_is_offered_unless_it_is_to_be_taken_over() {
        assert_eq!(parse("").unwrap().service.elsewhere, OnElsewhere::Offer);
        let config = parse("[service]\nelsewhere = \"take_over\"").unwrap();
        assert_eq!(config.service.elsewhere, OnElsewhere::TakeOver);
        assert!(
            parse("[service]\nelsewhere = \"grab\"")
                .unwrap_err()
                .contains("\"offer\", \"take_over\"")
        );
    }

    #[test]
    fn chimes_can_be_switched_off() {
        assert_eq!(parse("[sound]\nchimes = false\n").unwrap().chimes, Chimes::Off);
        let error = parse("[sound]\nchimes = \"off\"\n").unwrap_err();
        assert!(
            error.contains("line 2: sound.chimes: found \"off\", expected true or false"),
            "{error}"
        );
    }

    #[test]
    fn a_decryption_module_is_named_by_its_socket() {
        assert_eq!(parse("").unwrap().cdm.socket, None);
        let config = parse("[cdm]\nsocket = \"module\"").unwrap();
        assert_eq!(config.cdm.socket.as_deref(), Some(Path::new("/etc/tonearm/module")));
        let long = format!("[cdm]\nsocket = \"/{}\"", "x".repeat(107));
        let error = parse(&long).unwrap_err();
        assert!(
            error.contains("line 2: cdm.socket: ") && error.contains("at most 107"),
            "{error}"
        );
    }

    #[test]
    fn relative_paths_start_at_the_folder_of_the_file() {
        let config = parse("[state]\ndir = \"state\"\n[board]\nfile = \"/boards/a.toml\"\n").unwrap();
        assert_eq!(config.state_dir, Path::new("/etc/tonearm/state"));
        assert_eq!(
            config.board,
            BoardFile {
                path: "/boards/a.toml".into(),
                chosen: Chosen::Named
            }
        );
    }

    #[test]
    fn the_option_goes_before_the_environment() {
        let environment = || Some(OsString::from("/b.toml"));
        assert_eq!(
            locate(Some(Path::new("/a.toml")), environment()),
            ("/a.toml".into(), Chosen::Named)
        );
        assert_eq!(locate(None, environment()), ("/b.toml".into(), Chosen::Named));
        assert_eq!(locate(None, Some(OsString::new())), (PATH.into(), Chosen::Usual));
    }

    #[test]
    fn only_the_usual_file_may_be_missing() {
        let path = Path::new("/nowhere/tonearm.toml");
        assert_eq!(Config::load_from(path, Chosen::Usual).unwrap(), Config::default());
        assert!(Config::load_from(path, Chosen::Named).is_err());
    }

    #[test]
    fn a_secret_shows_neither_in_a_dump_nor_in_a_mistake() {
        let config = parse("[service]\napi_key = \"hush\"").unwrap();
        assert_eq!(config.service.api_key.as_ref().unwrap().reveal(), "hush");
        assert!(!format!("{config:?}").contains("hush"));
        let error = parse("[service]\napi_key = \"hush\\n\"").unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }

    #[test]
    fn every_beginning_of_a_file_is_read_or_refused_with_a_line_of_it() {
        for end in EXAMPLE.char_indices().map(|(at, _)| at) {
            let text = &EXAMPLE[..end];
            if let Err(DocumentError::Wrong { mistakes, .. }) = Config::parse(Path::new("a.toml"), text) {
                let lines = text.lines().count() + 1;
                assert!(
                    mistakes.iter().all(|mistake| (1..=lines).contains(&mistake.line)),
                    "{mistakes:?}"
                );
            }
        }
    }
}
