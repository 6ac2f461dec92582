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
use tonearm_core::limits::{AHEAD_MAX, BEHIND_MAX};
use ureq::http::Uri;

use crate::document::{self, DocumentError, Found, Table};

/// Where the configuration stands when nobody says otherwise.
pub const PATH: &str = "/etc/tonearm/tonearm.toml";
/// Environment variable that names another file.
pub const ENVIRONMENT: &str = "TONEARM_CONFIG";
/// Presets that can be named. Buttons and the demo's keys reach the first nine; the page lists the rest.
pub const PRESETS_MAX: usize = 32;
/// Parents of one preset (album, playlist, ...). The service names one or two.
const CONTAINERS_MAX: usize = 8;
/// Bytes of the window in MiB: below, a single lossless track does not fit; above, the largest board has none to give.
const MEMORY_MIB: std::ops::RangeInclusive<u32> = 4..=1024;
/// Longest time between two heartbeats.
const HEARTBEAT_S_MAX: u32 = 3600;

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
    /// Certificates that are trusted in place of the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// Time between two heartbeats; `None`: none are sent.
    pub heartbeat: Option<Duration>,
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

/// What is kept loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Entries after the current one.
    pub ahead: usize,
    /// Entries before the current one.
    pub behind: usize,
    /// Bytes of all of them together.
    pub memory_bytes: usize,
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
        let mut config = document::read(path, text, |root| checked(root, &folder))?;
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
                auth_url: "https://api.amazon.com".to_owned(),
                api_key: None,
                client_id: None,
                scope: "music::playback".to_owned(),
                ca_file: None,
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
            },
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

fn checked(root: &Table, folder: &Path) -> Config {
    let mut config = Config::default();
    if let Some(table) = root.table("service") {
        read_service(&table, folder, &mut config.service);
    }
    if let Some(dir) = root
        .table("state")
        .and_then(|table| path_in(&table, "dir", "a folder", folder))
    {
        config.state_dir = dir;
    }
    if let Some(path) = root
        .table("board")
        .and_then(|table| path_in(&table, "file", "a board file", folder))
    {
        config.board = BoardFile {
            path,
            chosen: Chosen::Named,
        };
    }
    if let Some(table) = root.table("page") {
        read_page(&table, &mut config.page);
    }
    if let Some(table) = root.table("window") {
        read_window(&table, &mut config.window);
    }
    let presets = root.tables("preset");
    if let Some(excess) = presets.get(PRESETS_MAX) {
        excess.refuse_whole(format!("at most {PRESETS_MAX} presets"));
    }
    config.presets = presets.iter().map(preset).collect();
    config
}

fn path_in(table: &Table, key: &'static str, expected: &str, folder: &Path) -> Option<PathBuf> {
    Some(folder.join(table.text(key, expected)?.value))
}

fn read_service(table: &Table, folder: &Path, service: &mut Service) {
    if let Some(url) = url(table, "base_url") {
        service.base_url = url;
    }
    if let Some(url) = url(table, "auth_url") {
        service.auth_url = url;
    }
    service.api_key = header_text(table, "api_key").map(Secret);
    service.client_id = header_text(table, "client_id");
    if let Some(scope) = header_text(table, "scope") {
        service.scope = scope;
    }
    service.ca_file = path_in(table, "ca_file", "a file of certificates (PEM)", folder);
    let heartbeat_s = table
        .whole("heartbeat_s", &(0..=HEARTBEAT_S_MAX), "seconds (0 = off)")
        .unwrap_or(0);
    service.heartbeat = (heartbeat_s > 0).then(|| Duration::from_secs(heartbeat_s.into()));
}

/// A text that can stand in a header or form. The value is not repeated in a mistake: it may be a secret.
fn header_text(table: &Table, key: &'static str) -> Option<String> {
    let found = table.text(key, "a text")?;
    if found
        .value
        .chars()
        .all(|letter| letter.is_ascii_graphic() || letter == ' ')
    {
        return Some(found.value);
    }
    table.refuse(
        &found,
        "contains letters that cannot be sent; expected plain ASCII on one line",
    );
    None
}

/// An address without a slash at its end. Credentials travel over it, so it is encrypted or stays in this machine.
fn url(table: &Table, key: &'static str) -> Option<String> {
    let expected = "an address such as \"https://api.example.com\"";
    let found = table.text(key, expected)?;
    match checked_url(&found.value) {
        Ok(()) => Some(found.value.trim_end_matches('/').to_owned()),
        Err(text) => {
            table.refuse(&found, format!("found {:?}, {text}", found.value));
            None
        }
    }
}

fn checked_url(text: &str) -> Result<(), &'static str> {
    const EXPECTED: &str = "expected an address such as \"https://api.example.com\"";
    let uri: Uri = text.parse().map_err(|_| EXPECTED)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(EXPECTED);
    };
    if authority.as_str().contains('@') || uri.query().is_some() {
        return Err("expected an address without a user name and without a query");
    }
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback(authority.host()) => Ok(()),
        "http" => Err("http:// is allowed to this machine only (127.0.0.1, [::1], localhost); use https://"),
        _ => Err(EXPECTED),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn read_page(table: &Table, page: &mut Page) {
    let expected = "an address with a port, such as \"0.0.0.0:80\" or \"127.0.0.1:8080\"";
    if let Some(found) = table.text("listen", expected) {
        match found.value.parse() {
            Ok(listen) => page.listen = listen,
            Err(_) => table.refuse(&found, format!("found {:?}, expected {expected}", found.value)),
        }
    }
    if let Some(found) = table.text("hostname", "a name for the local network") {
        if is_host_label(&found.value) {
            page.hostname = found.value;
        } else {
            let text = "expected letters, digits and inner hyphens, at most 63, without \".local\"";
            table.refuse(&found, format!("found {:?}, {text}", found.value));
        }
    }
}

fn is_host_label(name: &str) -> bool {
    let inner = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    name.len() <= 63 && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

fn read_window(table: &Table, window: &mut Window) {
    let count = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    // One ahead is the least with which tracks follow each other without a gap.
    if let Some(ahead) = table.whole("ahead", &(1..=count(AHEAD_MAX)), "entries") {
        window.ahead = size(ahead);
    }
    if let Some(behind) = table.whole("behind", &(0..=count(BEHIND_MAX)), "entries") {
        window.behind = size(behind);
    }
    if let Some(memory_mib) = table.whole("memory_mib", &MEMORY_MIB, "MiB") {
        window.memory_bytes = size(memory_mib) * 1024 * 1024;
    }
}

fn preset(table: &Table) -> Preset {
    let modes = [
        ("play", Mode::Play),
        ("shuffle", Mode::Shuffle),
        ("station", Mode::Station),
    ];
    let name = table.text_required("name", "a name for people");
    let id = table.text("id", "what to play, as the service names it");
    let containers: Option<Found<Vec<String>>> = table.texts("container_ids", "a list of what contains it");
    let mode = table.choice("mode", &modes).unwrap_or_default();
    if let Some(found) = containers.as_ref().filter(|found| found.value.len() > CONTAINERS_MAX) {
        table.refuse(found, format!("at most {CONTAINERS_MAX} of them"));
    }
    let container_ids = containers.map(|found| found.value).unwrap_or_default();
    if !table.has("id") && container_ids.is_empty() {
        table.refuse_whole("nothing to play: give id, container_ids or both");
    }
    let text = |found: Option<Found<String>>| found.map(|found| found.value);
    Preset {
        name: text(name).unwrap_or_default(),
        id: text(id),
        container_ids,
        mode,
    }
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
        assert_eq!(config.presets.len(), 2);
        assert_eq!(config.presets.last().unwrap().mode, Mode::Station);
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
    fn plain_http_stays_in_this_machine() {
        for url in [
            "http://127.0.0.1:8700",
            "http://[::1]:8700/",
            "http://LOCALHOST",
            "https://example.com/v",
        ] {
            assert_eq!(checked_url(url), Ok(()), "{url}");
        }
        for url in [
            "http://example.com",
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@example.com",
            "http://localhost.example.com",
            "ftp://127.0.0.1",
            "example.com",
            "https://",
            "https://example.com?key=1",
            "",
        ] {
            assert!(checked_url(url).is_err(), "{url}");
        }
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
    fn a_host_name_is_one_label() {
        for name in ["tonearm", "kitchen-2", "A"] {
            assert!(is_host_label(name), "{name}");
        }
        for name in ["kitchen.local", "-a", "a-", "küche", "a b"] {
            assert!(!is_host_label(name), "{name}");
        }
    }
}
