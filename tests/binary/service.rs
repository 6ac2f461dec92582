//! The local playback service of a test, in a process of its own, and its ledger as a story that can be compared.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::music;
use crate::process::{Program, agent, free_port, until};

/// Music of a test and who serves it.
pub struct Service {
    program: Program,
    agent: Agent,
    port: u16,
    tier: &'static str,
    more: &'static [&'static str],
    /// Everything of this test is in here, and gone with it.
    pub folder: TempDir,
}

/// One event as the service heard it.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Title of the entry; `ad` or `interlude` for those.
    pub title: String,
    /// `start`, or the reason of a stop.
    pub what: String,
    /// Where it started, or how far it got.
    pub position_ms: u64,
    /// Whole seconds played; 0 for a start.
    pub played_s: u64,
    /// `accepted`, `repeat`, `refused` or `displaced`.
    pub outcome: String,
}

/// Tracks of a test, before they are served.
pub struct Music(TempDir);

impl Music {
    /// Tracks 01, 02, ... of so many milliseconds each.
    pub fn of_lengths(lengths_ms: &[usize]) -> Self {
        let music = Self::empty();
        for (seed, length_ms) in (1_u32..).zip(lengths_ms) {
            let samples = music::noise(seed, length_ms * music::RATE / 1000);
            music::write_wav(&music.path().join(format!("{seed:02}.wav")), &samples);
        }
        music
    }

    /// A folder for tracks that the test writes.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("music")).unwrap();
        Self(folder)
    }

    /// Where the tracks are.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("music")
    }

    /// The folder of the whole test.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Serves it to an account that may do everything.
    pub fn serve(self) -> Service {
        self.serve_tier("unlimited")
    }

    /// Serves it to an account of this tier.
    pub fn serve_tier(self, tier: &'static str) -> Service {
        self.serve_with(tier, &[])
    }

    /// The same, with more options.
    pub fn serve_with(self, tier: &'static str, more: &'static [&'static str]) -> Service {
        let port = free_port();
        let program = start(self.0.path(), port, tier, more);
        let (folder, agent) = (self.0, agent());
        let service = Service {
            program,
            agent,
            port,
            tier,
            more,
            folder,
        };
        service.is_up();
        service
    }
}

fn start(folder: &Path, port: u16, tier: &str, more: &[&str]) -> Program {
    let listen = format!("127.0.0.1:{port}");
    let mut args = vec![
        "simulator",
        "--music",
        "music",
        "--state",
        "service",
        "--tier",
        tier,
        "--listen",
        &listen,
    ];
    args.extend(more);
    Program::start(folder, "simulator", &args, &[])
}

impl Service {
    /// `http://host:port`.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    #[track_caller]
    fn is_up(&self) {
        until("the service", || self.try_get("/sim/report").map(drop));
    }

    fn try_get(&self, path: &str) -> Result<Value, String> {
        let answer = self.agent.get(format!("{}{path}", self.address())).call();
        let text = answer.and_then(|mut answer| answer.body_mut().read_to_string());
        let text = text.map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// One of the service's pages.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap()
    }

    /// As a pulled plug.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again where it was, with what it remembers on its disk.
    #[track_caller]
    pub fn restart(&mut self) {
        self.program = start(self.folder.path(), self.port, self.tier, self.more);
        self.is_up();
    }

    /// The same with more options from now on.
    #[track_caller]
    pub fn restart_with(&mut self, more: &'static [&'static str]) {
        self.more = more;
        self.restart();
    }

    /// Names of the albums.
    pub fn albums(&self) -> Vec<String> {
        let home = self.get("/sim/music");
        let albums = home["entities"].as_array().unwrap().iter();
        albums.map(|album| album["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Names of the tracks, in the order of the albums.
    pub fn tracks(&self) -> Vec<String> {
        let home = self.get("/sim/music");
        let albums = home["entities"].as_array().unwrap().iter();
        let tracks = albums.flat_map(|album| album["tracks"].as_array().unwrap());
        tracks.map(|track| track["id"].as_str().unwrap().to_owned()).collect()
    }

    /// How many sessions there are, of all devices.
    pub fn sessions(&self) -> usize {
        self.get("/sim/sessions")["sessions"].as_array().unwrap().len()
    }

    /// Plans that something goes wrong.
    #[track_caller]
    pub fn fault(&self, fault: &Value) {
        let address = format!("{}/sim/faults", self.address());
        let answer = self.agent.post(address).send(fault.to_string()).unwrap();
        assert_eq!(answer.status(), 201, "{fault}");
    }

    /// An order to one of the simulator's own pages.
    #[track_caller]
    pub fn order(&self, path: &str, body: &Value) {
        let answer = self
            .agent
            .post(format!("{}{path}", self.address()))
            .send(body.to_string());
        assert_eq!(answer.unwrap().status(), 200, "{path} {body}");
    }

    /// Every planned fault has met its requests.
    #[track_caller]
    pub fn faults_are_used_up(&self) {
        until("the planned faults to strike", || {
            let left = self.try_get("/sim/faults")?;
            if left["faults"] == json!([]) {
                Ok(())
            } else {
                Err(left.to_string())
            }
        });
    }

    /// The judge found nothing.
    #[track_caller]
    pub fn is_content(&self) {
        assert_eq!(self.get("/sim/violations")["records"], json!([]));
    }

    /// The judge found nothing but that more sounded than time went by: what is captured does not take its time.
    #[track_caller]
    pub fn is_content_but_for_speed(&self) {
        let found = self.get("/sim/violations");
        let found = found["records"].as_array().unwrap().iter();
        let others: Vec<_> = found.filter(|one| one["code"] != "duration_impossible").collect();
        assert!(others.is_empty(), "{others:?}");
    }

    /// Every address that was handed out runs out now.
    #[track_caller]
    pub fn addresses_run_out(&self) {
        let answer = self.agent.delete(format!("{}/sim/urls", self.address())).call();
        assert!(answer.unwrap().status().is_success());
    }

    /// Paths of all requests, in order.
    pub fn requested(&self) -> Vec<String> {
        let ledger = self.get("/sim/ledger?kind=request");
        let records = ledger["records"].as_array().unwrap().iter();
        records
            .map(|record| record["path"].as_str().unwrap().to_owned())
            .collect()
    }

    /// All events, in order.
    pub fn heard(&self) -> Vec<Heard> {
        self.try_heard().unwrap()
    }

    fn try_heard(&self) -> Result<Vec<Heard>, String> {
        let ledger = self.try_get("/sim/ledger?kind=event")?;
        // Asked for afterwards: by then every entry of which there is an event was handed out.
        let titles = self.titles()?;
        let records = ledger["records"].as_array().ok_or("a ledger without records")?;
        Ok(records.iter().map(|record| heard(record, &titles)).collect())
    }

    /// All events in a few words each, repeats and those answered with the loss of the stream left out: `01 start`, `01 userNext`.
    pub fn story(&self) -> Vec<String> {
        self.try_story().unwrap()
    }

    fn try_story(&self) -> Result<Vec<String>, String> {
        let heard = self.try_heard()?;
        let once = heard
            .iter()
            .filter(|event| !["repeat", "displaced"].contains(&event.outcome.as_str()));
        Ok(once.map(|event| format!("{} {}", event.title, event.what)).collect())
    }

    /// Waits until the story is as long as this one; then it must be this one.
    #[track_caller]
    pub fn tells(&self, story: &[&str]) {
        let told = until("the next event", || {
            let told = self.try_story()?;
            let is_as_long = told.len() >= story.len();
            if is_as_long { Ok(told) } else { Err(format!("{told:?}")) }
        });
        assert_eq!(told, story);
    }

    /// Waits until these tracks were played from start to end; then nothing else may have been.
    #[track_caller]
    pub fn tells_of_all(&self, titles: &[&str]) {
        let both = |title: &&str| [format!("{title} start"), format!("{title} trackFinished")];
        let story: Vec<String> = titles.iter().flat_map(both).collect();
        self.tells(&story.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Title of every entry that was handed out, by its reference.
    fn titles(&self) -> Result<HashMap<String, String>, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let sessions = self.try_get("/sim/sessions")?;
        let entries = all(&sessions["sessions"]).into_iter().flat_map(|session| {
            let entries = all(&session["entries"]);
            entries.into_iter()
        });
        Ok(entries
            .map(|entry| (text(&entry["reference"]), text(&entry["title"])))
            .collect())
    }
}

fn heard(record: &Value, titles: &HashMap<String, String>) -> Heard {
    let event = &record["body"]["event"];
    let reference = record["entry"].as_str().unwrap_or_default();
    let whole = |name: &str| event[name].as_f64().map_or(0, whole);
    let is_start = event["type"] == "start";
    let what = if is_start {
        &event["type"]
    } else {
        &event["terminationReason"]
    };
    let start_ms = whole("playbackStartAbsoluteOffsetMilliseconds");
    Heard {
        title: titles.get(reference).cloned().unwrap_or_else(|| "?".to_owned()),
        what: what.as_str().unwrap_or("?").to_owned(),
        position_ms: if is_start {
            start_ms
        } else {
            event["entityProgressSeconds"].as_f64().map_or(0, whole_ms)
        },
        played_s: whole("durationSeconds"),
        outcome: record["outcome"].as_str().unwrap_or("?").to_owned(),
    }
}

fn whole_ms(seconds: f64) -> u64 {
    whole(seconds * 1000.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lengths of tracks in a test"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}
