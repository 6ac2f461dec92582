//! Licences as the audio path sees them, with a scripted licence server and a real module, in time and in trouble.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::external::tests::Process;
use super::scripted::{Request, Server, Then, Wire};
use super::*;
use crate::keys::{DecryptError, Encryption, KeyId, KeyState, Protection, Scheme};

const ID: KeyId = [0x11; 16];
const KEY: [u8; 16] = [0x22; 16];
const OTHER: KeyId = [0x33; 16];
/// `ID` and `KEY` in base64url.
const LICENCE: &str = r#"{"keys":[{"kty":"oct","kid":"EREREREREREREREREREREQ","k":"IiIiIiIiIiIiIiIiIiIiIg"}]}"#;
const REQUEST: &[u8] = br#"{"kids":["EREREREREREREREREREREQ"],"type":"temporary"}"#;
const SCENARIO: &str = "TONEARM_TEST_LICENCE_LOG";
const CLEAR: &[u8] = b"sixteen clear bytes and more";

const ENTRY: Owner = Owner(5);

fn start(socket: Option<PathBuf>) -> Licences {
    start_telling(socket, Arc::new(|_| {}))
}

fn start_telling(socket: Option<PathBuf>, news: News) -> Licences {
    let settings = Settings {
        socket,
        tls: crate::tls::fixture::believing(),
    };
    let patience = external::Patience {
        hello: Duration::from_secs(5),
        licence: Duration::from_secs(5),
        sample: Duration::from_millis(300),
    };
    Licences::start_with(Office::new(settings, news, 1, post::Patience::default(), patience)).unwrap()
}

fn terms(server: &Server, system: &str) -> Terms {
    Terms {
        system: Some(system.to_owned()),
        url: server.url("/licence"),
        headers: vec![("x-licence-token".to_owned(), "topsecret".to_owned())],
    }
}

fn protection(key: KeyId) -> Protection {
    Protection {
        scheme: Scheme::Cenc,
        key,
        pssh: Vec::new(),
    }
}

/// An entry that needs `ID`.
fn entry(licences: &Licences, server: &Server, system: &str) -> Box<dyn Keys> {
    let mut keys = licences.keys(ENTRY, Some(terms(server, system)));
    keys.need(&protection(ID));
    keys
}

/// How it stands with a key once it is not awaited any more.
fn settled(keys: &mut dyn Keys) -> KeyState {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match keys.state(&ID) {
            KeyState::Awaited => assert!(Instant::now() < until, "it is decided"),
            state @ (KeyState::Usable | KeyState::Refused(_)) => return state,
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn refusal(keys: &mut dyn Keys) -> String {
    match settled(keys) {
        KeyState::Refused(reason) => reason,
        state @ (KeyState::Usable | KeyState::Awaited) => panic!("it is refused, not {state:?}"),
    }
}

fn encryption() -> Encryption<'static> {
    Encryption {
        scheme: Scheme::Cenc,
        key: ID,
        iv: [5; 16],
        subsamples: &[],
        crypt_blocks: 0,
        skip_blocks: 0,
    }
}

fn decrypts(keys: &mut dyn Keys) -> Result<(), DecryptError> {
    let mut sample = CLEAR.to_vec();
    // Counting is its own opposite.
    encryption().undo(&KEY, &mut sample).unwrap();
    keys.decrypt(&encryption(), &mut sample)?;
    assert_eq!(sample, CLEAR);
    Ok(())
}

fn giving(licence: &'static str) -> Server {
    Server::start(move |_: &Request, wire: &Wire<'_>| wire.answer(200, &[], licence.as_bytes()))
}

#[test]
fn clear_key_needs_no_module_and_no_configuration() {
    let (server, licences) = (giving(LICENCE), start(None));
    let mut keys = entry(&licences, &server, "CLEARKEY");
    assert_eq!(settled(&mut *keys), KeyState::Usable);
    decrypts(&mut *keys).unwrap();
    let requests = server.requests();
    assert_eq!((requests.len(), requests[0].body.as_slice()), (1, REQUEST));
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    assert_eq!(requests[0].header("x-licence-token"), Some("topsecret"));
    let counters = licences.counters();
    assert_eq!((counters.asked, counters.granted, counters.refused), (1, 1, 0));
}

#[test]
fn an_entry_that_comes_again_does_not_ask_again() {
    let (server, licences) = (giving(LICENCE), start(None));
    settled(&mut *entry(&licences, &server, "CLEARKEY"));
    let mut again = entry(&licences, &server, "CLEARKEY");
    assert_eq!(again.state(&ID), KeyState::Usable);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn decrypting_with_the_built_in_module_allocates_nothing() {
    let (server, licences) = (giving(LICENCE), start(None));
    let mut keys = entry(&licences, &server, "CLEARKEY");
    settled(&mut *keys);
    let mut sample = [7; 4_096];
    let counted = allocation_counter::measure(|| {
        for _ in 0..100 {
            assert_eq!(keys.state(&ID), KeyState::Usable);
            keys.decrypt(&encryption(), &mut sample).unwrap();
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_system_without_a_module_is_refused_by_name_with_the_way_out() {
    let licences = start(None);
    let server = giving(LICENCE);
    let mut keys = entry(&licences, &server, "WIDEVINE");
    let reason = refusal(&mut *keys);
    assert!(
        reason.contains("WIDEVINE") && reason.contains("[cdm] socket"),
        "{reason}"
    );
    let mut keys = licences.keys(ENTRY, None);
    keys.need(&protection(ID));
    assert!(refusal(&mut *keys).contains("no licence address"));
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_key_that_is_not_in_the_licence_or_was_not_announced_is_refused() {
    let (server, licences) = (giving(r#"{"keys":[]}"#), start(None));
    let mut keys = entry(&licences, &server, "CLEARKEY");
    assert!(refusal(&mut *keys).contains("does not hold this key"));
    assert!(matches!(keys.state(&OTHER), KeyState::Refused(_)));
    assert_eq!(decrypts(&mut *keys), Err(DecryptError::NoKey(ID)));
    assert_eq!(licences.counters().refused, 1);
}

#[test]
fn trouble_is_outlasted_and_a_refusal_is_not() {
    let tries = AtomicUsize::new(0);
    let server = Server::start(
        move |_: &Request, wire: &Wire<'_>| match tries.fetch_add(1, Ordering::Relaxed) {
            0 => wire.answer(503, &[], b""),
            1 => Then::Close,
            2 => wire.answer(429, &[], b""),
            _ => wire.answer(200, &[], LICENCE.as_bytes()),
        },
    );
    let licences = start(None);
    let mut keys = entry(&licences, &server, "CLEARKEY");
    assert_eq!(settled(&mut *keys), KeyState::Usable);
    assert_eq!(licences.counters().asked, 4);

    let server = Server::start(|_: &Request, wire: &Wire<'_>| wire.answer(401, &[], b"no"));
    let licences = start(None);
    let mut keys = entry(&licences, &server, "CLEARKEY");
    assert!(refusal(&mut *keys).contains("status 401"));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_address_that_ran_out_is_told_of_and_a_fresh_one_is_asked() {
    let server = Server::start(|request: &Request, wire: &Wire<'_>| match request.target.as_str() {
        "/fresh" => wire.answer(200, &[], LICENCE.as_bytes()),
        _ => wire.answer(410, &[], b"gone"),
    });
    let (tell, told) = channel();
    let licences = start_telling(None, Arc::new(move |owner| tell.send(owner).unwrap_or_default()));
    let mut keys = entry(&licences, &server, "CLEARKEY");
    assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(ENTRY));
    assert_eq!(keys.state(&ID), KeyState::Awaited);
    let fresh = Terms {
        url: server.url("/fresh"),
        ..terms(&server, "CLEARKEY")
    };
    licences.renew(ENTRY, fresh);
    assert_eq!(settled(&mut *keys), KeyState::Usable);
    decrypts(&mut *keys).unwrap();
    assert_eq!(server.requests().len(), 2);
    let counters = licences.counters();
    assert_eq!((counters.asked, counters.granted, counters.refused), (2, 1, 0));
}

#[test]
fn an_entry_that_is_gone_is_not_asked_for_any_more() {
    let server = Server::start(|_: &Request, wire: &Wire<'_>| wire.answer(503, &[("retry-after", "1")], b""));
    let licences = start(None);
    let keys = entry(&licences, &server, "CLEARKEY");
    server.wait_for_requests(1);
    drop(keys);
    let table = || licences.office.state(Which::ClearKey, &ID);
    assert!(matches!(table(), KeyState::Refused(_)), "it is forgotten");
}

#[test]
fn leaving_does_not_wait_for_a_licence_server_that_stalls() {
    let server = Server::start(|_: &Request, wire: &Wire<'_>| wire.hang());
    let licences = start(None);
    let _keys = entry(&licences, &server, "CLEARKEY");
    server.wait_for_requests(1);
    let office = Arc::clone(&licences.office);
    licences.close();
    let until = Instant::now() + Duration::from_secs(6);
    while Arc::strong_count(&office) > 2 {
        assert!(Instant::now() < until, "the thread ends before the exchange would");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn any_other_system_goes_to_the_module_in_its_own_process() {
    let process = Process::start("", 0);
    let (server, licences) = (giving(LICENCE), start(Some(process.socket())));
    let mut keys = entry(&licences, &server, "WIDEVINE");
    assert_eq!(settled(&mut *keys), KeyState::Usable);
    decrypts(&mut *keys).unwrap();
    assert_eq!(
        server.requests()[0].header("content-type"),
        Some("application/octet-stream")
    );
}

#[test]
fn a_module_killed_in_the_middle_is_licensed_anew_when_it_is_back() {
    let mut process = Process::start("", 0);
    let (server, licences) = (giving(LICENCE), start(Some(process.socket())));
    let mut keys = entry(&licences, &server, "WIDEVINE");
    settled(&mut *keys);
    process.kill();
    assert_eq!(decrypts(&mut *keys), Err(DecryptError::NoKey(ID)));
    assert_eq!(keys.state(&ID), KeyState::Awaited, "not refused: it may come back");
    process.restart();
    licences.retry_now();
    assert_eq!(settled(&mut *keys), KeyState::Usable);
    decrypts(&mut *keys).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_key_that_the_module_forgot_is_asked_for_anew() {
    let process = Process::start("forget", 1);
    let (server, licences) = (giving(LICENCE), start(Some(process.socket())));
    let mut keys = entry(&licences, &server, "WIDEVINE");
    settled(&mut *keys);
    assert_eq!(decrypts(&mut *keys), Err(DecryptError::NoKey(ID)));
    assert_eq!(keys.state(&ID), KeyState::Awaited);
    assert_eq!(settled(&mut *keys), KeyState::Usable);
    decrypts(&mut *keys).unwrap();
}

#[test]
fn a_licence_is_prolonged_while_its_key_is_in_use() {
    const SHORT: &str = r#"{"lifetime_ms":60000,"renew_in_ms":1,"keys":[{"kty":"oct","kid":"EREREREREREREREREREREQ","k":"IiIiIiIiIiIiIiIiIiIiIg"}]}"#;
    let process = Process::start("", 0);
    let (server, licences) = (giving(SHORT), start(Some(process.socket())));
    let mut keys = entry(&licences, &server, "WIDEVINE");
    settled(&mut *keys);
    let requests = server.wait_for_requests(2);
    let renewal = String::from_utf8(requests[1].body.clone()).unwrap();
    assert!(renewal.contains(r#""renewal":true"#), "{renewal}");
    assert_eq!(keys.state(&ID), KeyState::Usable, "all the while");
    decrypts(&mut *keys).unwrap();
}

#[test]
fn a_licence_that_expired_before_it_came_is_refused() {
    const OLD: &str =
        r#"{"lifetime_ms":0,"keys":[{"kty":"oct","kid":"EREREREREREREREREREREQ","k":"IiIiIiIiIiIiIiIiIiIiIg"}]}"#;
    let process = Process::start("", 0);
    let (server, licences) = (giving(OLD), start(Some(process.socket())));
    let mut keys = entry(&licences, &server, "WIDEVINE");
    assert!(refusal(&mut *keys).contains("expired"));
    assert_eq!(decrypts(&mut *keys), Err(DecryptError::NoKey(ID)));
}

/// Not a test: licences had, refused and retried in a process whose log another test reads.
#[test]
fn the_process_that_logs_everything() {
    if std::env::var_os(SCENARIO).is_none() {
        return;
    }
    crate::logger("trace").init();
    let process = Process::start("", 0);
    let licences = start(Some(process.socket()));
    for system in ["CLEARKEY", "WIDEVINE"] {
        let server = giving(LICENCE);
        let mut keys = entry(&licences, &server, system);
        assert_eq!(settled(&mut *keys), KeyState::Usable);
        decrypts(&mut *keys).unwrap();
        log::debug!("{:?} {:?}", terms(&server, system), licences.counters());
    }
    for (status, body) in [(404, LICENCE), (200, "{\"keys\":\"IiIiIiIiIiIiIiIiIiIiIg\"}")] {
        let server = Server::start(move |_: &Request, wire: &Wire<'_>| wire.answer(status, &[], body.as_bytes()));
        let licences = start(None);
        refusal(&mut *entry(&licences, &server, "CLEARKEY"));
    }
}

#[test]
fn no_key_no_licence_no_header_and_no_clear_sample_reaches_the_log_at_any_level() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cdm::tests::the_process_that_logs_everything", "--nocapture"])
        .env(SCENARIO, "1")
        .env("RUST_LOG", "trace")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(log.contains("licence: there is one for key 1111111111"), "{log}");
    assert!(
        log.contains("TRACE") && log.contains("status 404"),
        "it logs at all levels: {log}"
    );
    let hex = "22".repeat(8);
    let list = "34, 34, 34, 34";
    for secret in ["IiIiIi", &hex, list, "topsecret", "\"kty\"", "sixteen clear"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}
