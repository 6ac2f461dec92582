//! From the configuration's document to its meaning: which keys there are and which values they take.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonearm_core::OnElsewhere;
use tonearm_core::input::Mode;
use tonearm_core::limits::{AHEAD_MAX, BEHIND_MAX};
use tonearm_core::unit::Millis;
use ureq::http::Uri;

use super::{
    BoardFile, Cdm, Chimes, Chosen, Config, Linking, PRESETS_MAX, Page, Preset, Region, Secret, Service, Window,
};
use crate::document::{Found, Table};

/// Parents of one preset (album, playlist, ...). The service names one or two.
const CONTAINERS_MAX: usize = 8;
/// Bytes of the window in MiB: below, a single lossless track does not fit; above, the largest board has none to give.
const MEMORY_MIB: RangeInclusive<u32> = 4..=1024;
/// Longest head of an entry: whoever wants more wants the whole.
const HEAD_S_MAX: u32 = 600;
/// Bytes of a socket's path; the kernel takes no more.
const SOCKET_PATH_MAX: usize = 107;
/// A volume that can be heard, to the loudest.
const VOLUME: RangeInclusive<u32> = 1..=100;
/// Longest time between two heartbeats.
const HEARTBEAT_S_MAX: u32 = 3600;

/// What the document means: what it leaves out has its default, what makes no sense is noted as a mistake.
pub fn config(root: &Table, folder: &Path) -> Config {
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
    if let Some(table) = root.table("cdm") {
        read_cdm(&table, folder, &mut config.cdm);
    }
    if let Some(table) = root.table("sound") {
        read_sound(&table, &mut config);
    }
    let presets = root.tables("preset");
    if let Some(excess) = presets.get(PRESETS_MAX) {
        excess.refuse_whole(format!("at most {PRESETS_MAX} presets"));
    }
    config.presets = presets.iter().map(preset).collect();
    config
}

fn read_sound(table: &Table, config: &mut Config) {
    if let Some(chimes) = table.either("chimes", Chimes::On, Chimes::Off) {
        config.chimes = chimes;
    }
    let volume = table.whole("start_volume_max", &VOLUME, "of 100");
    if let Some(volume) = volume.and_then(|volume| u8::try_from(volume).ok()) {
        config.start_volume_max = volume;
    }
}

fn path_in(table: &Table, key: &'static str, expected: &str, folder: &Path) -> Option<PathBuf> {
    Some(folder.join(table.text(key, expected)?.value))
}

fn read_service(table: &Table, folder: &Path, service: &mut Service) {
    if let Some(url) = url(table, "base_url") {
        service.base_url = url;
    }
    let regions = [
        ("na", Region::NorthAmerica),
        ("eu", Region::Europe),
        ("fe", Region::FarEast),
    ];
    let region = table.choice("region", &regions);
    let auth_url = url(table, "auth_url").or(region.map(|region| region.auth_url().to_owned()));
    if let Some(url) = auth_url {
        service.auth_url = url;
    }
    let linkings = [("auto", Linking::Auto), ("on_request", Linking::OnRequest)];
    if let Some(linking) = table.choice("linking", &linkings) {
        service.linking = linking;
    }
    service.api_key = header_text(table, "api_key").map(Secret);
    service.client_id = header_text(table, "client_id");
    if let Some(scope) = header_text(table, "scope") {
        service.scope = scope;
    }
    service.ca_file = path_in(table, "ca_file", "a file of certificates (PEM)", folder);
    service.language = checked(table, "language", "a language tag such as \"en-GB\"", is_language);
    let path = "a path such as \"/v1/playback/events/batch\"";
    service.event_batch_path = checked(table, "event_batch_path", path, is_path);
    let elsewhere = [("offer", OnElsewhere::Offer), ("take_over", OnElsewhere::TakeOver)];
    service.elsewhere = table.choice("elsewhere", &elsewhere).unwrap_or_default();
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

/// A text that `is_valid`.
fn checked(table: &Table, key: &'static str, expected: &str, is_valid: fn(&str) -> bool) -> Option<String> {
    let found = table.text(key, expected)?;
    if is_valid(&found.value) {
        return Some(found.value);
    }
    table.refuse(&found, format!("found {:?}, expected {expected}", found.value));
    None
}

/// A language tag (BCP 47), as far as its form goes: parts of 1 to 8 letters or digits, the first one of letters.
fn is_language(tag: &str) -> bool {
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let first = tag.split('-').next().unwrap_or_default();
    tag.split('-').all(is_part) && first.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// A path below the base address, without anything that would need to be encoded.
fn is_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/')
            .all(|part| !part.is_empty() && part.bytes().all(is_plain))
    })
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
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
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
    let few = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    if let Some(whole) = table.whole("whole_ahead", &(1..=count(AHEAD_MAX)), "entries") {
        window.load.whole_ahead = few(whole);
    }
    if let Some(whole) = table.whole("whole_behind", &(0..=count(BEHIND_MAX)), "entries") {
        window.load.whole_behind = few(whole);
    }
    if let Some(head_s) = table.whole("head_s", &(0..=HEAD_S_MAX), "seconds (0 = nothing)") {
        window.load.head = Millis(head_s.saturating_mul(1_000));
    }
    if let Some(memory_mib) = table.whole("memory_mib", &MEMORY_MIB, "MiB") {
        window.memory_bytes = size(memory_mib) * 1024 * 1024;
    }
}

fn read_cdm(table: &Table, folder: &Path, cdm: &mut Cdm) {
    let Some(found) = table.text("socket", "the path of a socket") else {
        return;
    };
    let path = folder.join(&found.value);
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        let text = format!("the path of a socket has at most {SOCKET_PATH_MAX} bytes");
        return table.refuse(&found, text);
    }
    cdm.socket = Some(path);
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
    fn a_host_name_is_one_label() {
        for name in ["tonearm", "kitchen-2", "A"] {
            assert!(is_host_label(name), "{name}");
        }
        for name in ["kitchen.local", "-a", "a-", "küche", "a b"] {
            assert!(!is_host_label(name), "{name}");
        }
    }
}
