//! The speaker of a test: the real program with a configuration of its own, and its page as a listener has it.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use serde_json::{Value, json};
use ureq::Agent;

use crate::process::{Outcome, Program, agent, free_port, run_in, until};
use crate::service::Service;

/// A device for machines without one, at the pace of one.
pub const PACED: &str = "pcm = \"paced\"\n";

/// What identifies the product at the service; nobody else is to see it.
pub const API_KEY: &str = "amzn1.application.k3ep-thi5-qui3t";

/// How a speaker is set up.
pub struct Setup {
    folder: PathBuf,
    port: u16,
    variables: Vec<(&'static str, PathBuf)>,
    /// What the program is started by.
    before: Vec<String>,
}

/// A running speaker.
pub struct Speaker {
    program: Program,
    agent: Agent,
    setup: Setup,
}

impl Setup {
    /// Writes the configuration of a speaker at `service`: its albums are the presets. `output` is the board's
    /// `[output]`, `more` goes to the end of the configuration.
    pub fn write(service: &Service, output: &str, more: &str) -> Self {
        Self::write_with(service, output, "", more)
    }

    /// The same, with a further line about the service.
    pub fn write_with(service: &Service, output: &str, about_service: &str, more: &str) -> Self {
        let folder = service.folder.path().to_owned();
        let port = free_port();
        let mut config = format!(
            "[service]\nbase_url = \"{}\"\napi_key = \"{API_KEY}\"\n{about_service}\n[state]\ndir = \"state\"\n[board]\nfile = \"board.toml\"\n\
             [page]\nlisten = \"127.0.0.1:{port}\"\n",
            service.address()
        );
        config.push_str(more);
        for (number, album) in service.albums().iter().enumerate() {
            write!(
                config,
                "[[preset]]\nname = \"Album {number}\"\ncontainer_ids = [\"{album}\"]\n"
            )
            .unwrap();
        }
        fs::write(folder.join("tonearm.toml"), config).unwrap();
        fs::write(
            folder.join("board.toml"),
            format!("name = \"test bench\"\n[output]\n{output}"),
        )
        .unwrap();
        Self {
            folder,
            port,
            variables: Vec::new(),
            before: Vec::new(),
        }
    }

    /// With these definitions of ALSA devices and no others.
    pub fn with_alsa(mut self, definitions: &str) -> Self {
        let path = self.folder.join("asound.conf");
        fs::write(&path, definitions).unwrap();
        self.variables.push(("ALSA_CONFIG_PATH", path));
        self
    }

    /// Started by another command, which becomes it.
    pub fn through(mut self, before: &[&str]) -> Self {
        self.before = before.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Reaches the service by a name.
    #[allow(dead_code, reason = "only a test with a name server of its own knows one")]
    pub fn by_name(self, service: &Service, name: &str) -> Self {
        let path = self.folder.join("tonearm.toml");
        let config = fs::read_to_string(&path).unwrap();
        let named = service.address().replace("127.0.0.1", name);
        fs::write(path, config.replace(&service.address(), &named)).unwrap();
        self
    }

    /// With a log of everything, of every library.
    pub fn with_all_logged(mut self) -> Self {
        self.variables.push(("RUST_LOG", "trace".into()));
        self
    }

    /// Port of the page.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the speaker keeps its state.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Runs a command with this configuration, whether a speaker runs or not.
    #[track_caller]
    pub fn command(&self, args: &[&str]) -> Outcome {
        let mut args = args.to_vec();
        args.extend(["--config", "tonearm.toml"]);
        run_in(&self.folder, &args)
    }

    /// Starts a command with this configuration that the test watches.
    pub fn start_command(&self, name: &'static str, args: &[&str]) -> Program {
        let mut args = args.to_vec();
        args.extend(["--config", "tonearm.toml"]);
        Program::start(&self.folder, name, &args, &[])
    }

    /// What a first run would have saved.
    pub fn with_saved(self, saved: &Value) -> Self {
        fs::create_dir(self.state()).unwrap();
        fs::write(self.state().join("session.json"), saved.to_string()).unwrap();
        self
    }

    /// Starts the speaker and waits for its page.
    #[track_caller]
    pub fn start(self) -> Speaker {
        let variables: Vec<_> = self
            .variables
            .iter()
            .map(|(name, value)| (*name, value.as_path()))
            .collect();
        let args = ["run", "--config", "tonearm.toml"];
        let program = Program::start_through(&self.folder, "speaker", &self.before, &args, &variables);
        let mut speaker = Speaker {
            program,
            agent: agent(),
            setup: self,
        };
        until("the speaker's page", || {
            assert!(!speaker.program.has_ended(), "the speaker ended");
            speaker.try_status().map(drop)
        });
        speaker
    }
}

impl Speaker {
    /// A speaker at the pace of a sound card, with the usual configuration.
    #[track_caller]
    pub fn at(service: &Service) -> Self {
        Setup::write(service, PACED, "").start()
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.setup.port)
    }

    /// Where it keeps its state.
    pub fn state(&self) -> PathBuf {
        self.setup.state()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// For `/proc`.
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    fn try_status(&self) -> Result<Value, String> {
        let answer = self.agent.get(self.url("/api/status")).call();
        let text = answer.and_then(|mut answer| answer.body_mut().read_to_string());
        let text = text.map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// `GET /api/status`.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.try_status().unwrap()
    }

    /// The status at each change, as the page gets it. Ends by itself when nothing changes for too long.
    pub fn changes(&self) -> impl Iterator<Item = Value> {
        let answer = self.agent.get(self.url("/api/events")).call().unwrap();
        let lines = BufReader::new(answer.into_body().into_reader()).lines();
        lines
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok())
    }

    /// The health figures.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let mut answer = self.agent.get(self.url("/metrics")).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    }

    /// Waits for a status.
    #[track_caller]
    pub fn shows(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        until(what, || {
            let status = self.try_status()?;
            if is_so(&status) {
                Ok(status)
            } else {
                Err(status.to_string())
            }
        })
    }

    /// Waits until the entry of this title sounds.
    #[track_caller]
    pub fn plays(&self, title: &str) -> Value {
        self.shows(&format!("{title} to play"), |status| {
            status["state"] == "playing" && status["entry"]["title"] == title
        })
    }

    /// Waits until every event was delivered.
    #[track_caller]
    pub fn has_reported(&self) {
        self.shows("the events to be delivered", |status| status["outbox"]["waiting"] == 0);
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self
            .agent
            .post(self.url(path))
            .header("content-type", "application/json");
        let mut answer = request.send(body.to_string()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// Presses a button of the page: status and body of the answer.
    pub fn try_press(&self, button: &str) -> (u16, Value) {
        self.post(&format!("/api/press/{button}"), &json!({}))
    }

    /// Presses a button that must be followed.
    #[track_caller]
    pub fn press(&self, button: &str) {
        let (status, body) = self.try_press(button);
        assert_eq!(status, 202, "{button}: {body}");
    }

    /// The account as the page has it.
    #[track_caller]
    pub fn account(&self) -> Value {
        let mut answer = self.agent.get(self.url("/api/account")).call().unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// Asks the page to `link` or `unlink`: status and body of the answer.
    pub fn ask_account(&self, wish: &str) -> (u16, Value) {
        self.post(&format!("/api/account/{wish}"), &json!({}))
    }

    /// Goes to a position.
    #[track_caller]
    pub fn seek(&self, position_ms: u32) {
        let (status, body) = self.post("/api/seek", &json!({ "position_ms": position_ms }));
        assert_eq!(status, 202, "{body}");
    }

    /// Runs a command with this speaker's configuration.
    #[track_caller]
    pub fn command(&self, args: &[&str]) -> Outcome {
        self.setup.command(args)
    }

    /// How it is set up.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// As a pulled plug; starts again with [`Setup::start`].
    pub fn kill(mut self) -> Setup {
        self.program.kill();
        self.setup
    }

    /// SIGTERM; it must leave with exit code 0.
    #[track_caller]
    pub fn terminate(mut self) -> Setup {
        self.program.terminate();
        let ended = self.program.ended();
        assert_eq!(ended.code(), Some(0), "{}", self.program.log());
        self.setup
    }
}
