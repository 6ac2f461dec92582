//! What a playing speaker costs, as counts: memory, wake-ups, bytes written to disk, and how long a press takes to be
//! heard as the speaker itself reports it. Plays the built-in album from the local service through the paced output, so
//! that it needs neither a sound card nor an account. `make bench` prints the table; nothing here passes or fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made ends by panicking"
)]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tonearm");
/// Length of a window in which counts are taken.
const WINDOW: Duration = Duration::from_secs(20);
/// Skips that are timed for each latency of the service: forwards and back in turn, within what is loaded.
const SKIPS: usize = 200;
/// How long the service takes to answer meanwhile.
const LATENCIES_MS: [u64; 3] = [0, 300, 3000];
/// Between a skip and the next: what the one before set going is over.
const PAUSE: Duration = Duration::from_millis(100);

fn main() {
    // Test runners start this, too, to list or run its tests: there are none. It measures for `cargo bench` only.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (service, page) = (free_address(), free_address());
    let simulator = Killed::start(
        &["simulator", "--listen", &service, "--state", "simulator"],
        folder.path(),
    );
    let music = wait(|| get(&format!("http://{service}/sim/music")));
    write_configuration(
        folder.path(),
        &service,
        &page,
        music["entities"][0]["id"].as_str().unwrap(),
    );

    let start = Instant::now();
    let speaker = Killed::start(&["run", "--config", "tonearm.toml"], folder.path());
    let status = format!("http://{page}/api/status");
    wait(|| get(&status));
    row(
        "program start to page answering",
        format!("{} ms", start.elapsed().as_millis()),
    );
    let idle = speaker.counts();
    std::thread::sleep(WINDOW);
    speaker.row_since("idle", &idle);

    press(&page, "play");
    wait(|| get(&status).filter(|status| status["state"] == "playing"));
    let playing = speaker.counts();
    std::thread::sleep(WINDOW);
    speaker.row_since("playing", &playing);

    press(&page, "loop");
    wait(|| get(&status).filter(|status| status["loop"] == true));
    for latency_ms in LATENCIES_MS {
        time_skips(&service, &page, latency_ms);
    }
    row("memory after the skips", speaker.memory());
    let report = get(&format!("http://{service}/sim/report")).unwrap();
    row(
        "service's findings against the contract",
        report["violations"].to_string(),
    );
    row(
        "size of the program",
        format!("{} KiB", fs::metadata(PROGRAM).unwrap().len() / 1024),
    );
    drop(speaker);
    drop(simulator);
}

/// A row for skips while the service takes this long.
fn time_skips(service: &str, page: &str, latency_ms: u64) {
    let status = format!("http://{page}/api/status");
    let is_reported = |status: &Value| status["outbox"]["waiting"] == 0;
    wait(|| get(&status).filter(is_reported));
    let before = skip_delays(service).len();
    let faults = format!("http://{service}/sim/faults");
    if latency_ms > 0 {
        for scope in ["queue", "events"] {
            let fault = serde_json::json!({ "scope": scope, "kind": "delay", "ms": latency_ms });
            ureq::post(&faults).send(fault.to_string()).unwrap();
        }
    }
    for number in 0..SKIPS {
        let title = get(&status).unwrap()["entry"]["title"].clone();
        press(page, if number % 2 == 0 { "next" } else { "previous" });
        wait(|| get(&status).filter(|status| status["entry"]["title"] != title && status["state"] == "playing"));
        std::thread::sleep(PAUSE);
    }
    ureq::delete(&faults).call().unwrap();
    let mut delays = wait(|| Some(skip_delays(service)).filter(|delays| delays.len() >= before + SKIPS));
    let mut delays = delays.split_off(before);
    delays.sort_unstable();
    let at = |share: usize| delays[(delays.len() - 1) * share / 100];
    row(
        &format!("skip, service answers after {latency_ms} ms"),
        format!("p50 {} ms, p99 {} ms, n = {}", at(50), at(99), delays.len()),
    );
}

/// A program of ours that does not outlive the measurement.
struct Killed(Child);

/// What the kernel counts.
struct Counts {
    wakeups: u64,
    cpu_ms: u64,
    written_bytes: u64,
}

impl Killed {
    fn start(arguments: &[&str], folder: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(folder)
            .env("RUST_LOG", "error,symphonia=off")
            .stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.0.id())).unwrap()
    }

    fn counts(&self) -> Counts {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let of_task = |task: std::io::Result<fs::DirEntry>| {
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
            field(&status, "voluntary_ctxt_switches:")
        };
        let stat = self.read("stat");
        let times: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(number)
            .collect();
        Counts {
            wakeups: tasks.map(of_task).sum(),
            // USER_HZ is 100 on every Linux this runs on.
            cpu_ms: times.iter().sum::<u64>() * 10,
            written_bytes: field(&self.read("io"), "write_bytes:"),
        }
    }

    fn memory(&self) -> String {
        let status = self.read("status");
        let kib = |name| field(&status, name);
        format!(
            "{} KiB resident, {} KiB of it anonymous",
            kib("VmRSS:"),
            kib("RssAnon:")
        )
    }

    fn row_since(&self, doing: &str, before: &Counts) {
        let now = self.counts();
        let seconds = WINDOW.as_secs();
        let tenths = (now.wakeups - before.wakeups) * 10 / seconds;
        row(
            &format!("{doing}: wake-ups"),
            format!("{}.{} a second", tenths / 10, tenths % 10),
        );
        row(
            &format!("{doing}: processor time"),
            format!("{} ms in {seconds} s", now.cpu_ms - before.cpu_ms),
        );
        let written_bytes = now.written_bytes - before.written_bytes;
        row(
            &format!("{doing}: written to disk"),
            format!("{written_bytes} bytes in {seconds} s"),
        );
        row(&format!("{doing}: memory"), self.memory());
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn row(what: &str, value: impl std::fmt::Display) {
    println!("{what:<42} {value}");
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    number(line.split_whitespace().next().unwrap())
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

fn write_configuration(folder: &Path, service: &str, page: &str, album: &str) {
    let configuration = format!(
        "[service]\nbase_url = \"http://{service}\"\n[state]\ndir = \"state\"\n[board]\nfile = \"board.toml\"\n\
         [page]\nlisten = \"{page}\"\n[[preset]]\nname = \"album\"\ncontainer_ids = [\"{album}\"]\n"
    );
    fs::write(folder.join("tonearm.toml"), configuration).unwrap();
    fs::write(
        folder.join("board.toml"),
        "name = \"bench\"\n[output]\npcm = \"paced\"\n",
    )
    .unwrap();
}

fn get(address: &str) -> Option<Value> {
    let text = ureq::get(address).call().ok()?.body_mut().read_to_string().ok()?;
    serde_json::from_str(&text).ok()
}

fn press(page: &str, button: &str) {
    ureq::post(format!("http://{page}/api/press/{button}"))
        .send_empty()
        .unwrap();
}

/// `initialPlaybackDelayMilliseconds` of every start that a press asked for.
fn skip_delays(service: &str) -> Vec<u64> {
    let ledger = get(&format!("http://{service}/sim/ledger?kind=event&limit=10000")).unwrap();
    let events = ledger
        .as_array()
        .or_else(|| ledger["records"].as_array())
        .unwrap()
        .clone();
    let body = |record: &Value| record["body"]["event"].clone();
    let delay = |pair: &[Value]| {
        let (stop, start) = (body(&pair[0]), body(&pair[1]));
        let reason = &stop["terminationReason"];
        let is_skip = (reason == "userNext" || reason == "userPrev") && start["type"] == "start";
        is_skip
            .then(|| start["initialPlaybackDelayMilliseconds"].as_u64())
            .flatten()
    };
    events.windows(2).filter_map(delay).collect()
}

fn wait<T>(look: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}
