//! Programs that a test starts: their output is kept, they are gone when the test ends, and nothing waits for ever.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use ureq::Agent;

/// Longest wait for anything. Nothing here takes a tenth of it on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// Waits until `look` finds what it looks for. `Err` is what it found instead; the last one is in the message.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begin = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) if begin.elapsed() > PATIENCE => {
                panic!("waited {} s in vain for {what}; there is {instead}", PATIENCE.as_secs())
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// A started `tonearm`. Killed when it is dropped.
pub struct Program {
    child: Child,
    folder: PathBuf,
    name: &'static str,
    /// How many of this name were started in this folder before.
    generation: usize,
}

impl Program {
    /// Starts `tonearm` with `folder` as its working directory. What it says goes to files there.
    pub fn start(folder: &Path, name: &'static str, args: &[&str], variables: &[(&str, &Path)]) -> Self {
        Self::start_reading(folder, name, &[], args, variables, Stdio::null())
    }

    /// Starts it by another command, which takes the program and its arguments at its end and becomes it.
    pub fn start_through(
        folder: &Path,
        name: &'static str,
        before: &[String],
        args: &[&str],
        variables: &[(&str, &Path)],
    ) -> Self {
        Self::start_reading(folder, name, before, args, variables, Stdio::null())
    }

    /// Starts it with somebody who types.
    pub fn start_typed(folder: &Path, name: &'static str, args: &[&str]) -> (Self, ChildStdin) {
        let mut program = Self::start_reading(folder, name, &[], args, &[], Stdio::piped());
        let typist = program.child.stdin.take().unwrap();
        (program, typist)
    }

    fn start_reading(
        folder: &Path,
        name: &'static str,
        before: &[String],
        args: &[&str],
        variables: &[(&str, &Path)],
        input: Stdio,
    ) -> Self {
        let generation = (1_usize..10_000)
            .find(|n| !folder.join(format!("{name}-{n}.out")).exists())
            .unwrap();
        let file = |kind| File::create(folder.join(format!("{name}-{generation}.{kind}"))).unwrap();
        let tonearm = env!("CARGO_BIN_EXE_tonearm").to_owned();
        let mut words = before.iter().cloned().chain([tonearm]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(args).current_dir(folder).stdin(input);
        command.stdout(file("out")).stderr(file("err"));
        for variable in [
            "TONEARM_CONFIG",
            "RUST_LOG",
            "ALSA_CONFIG_PATH",
            "http_proxy",
            "HTTP_PROXY",
        ] {
            command.env_remove(variable);
        }
        command.envs(variables.iter().copied());
        let child = command.spawn().expect("start the program");
        Self {
            child,
            folder: folder.to_owned(),
            name,
            generation,
        }
    }

    fn said(&self, kind: &str) -> String {
        let path = self.folder.join(format!("{}-{}.{kind}", self.name, self.generation));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        self.said("out")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.said("err")
    }

    /// For `/proc`.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to leave.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// As a pulled plug: it has no time for anything.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// It has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the end of the program", || {
            child
                .try_wait()
                .unwrap()
                .ok_or_else(|| "a program that runs on".to_owned())
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            let (name, generation) = (self.name, self.generation);
            eprintln!("--- {name} {generation} printed:\n{}", self.output());
            eprintln!("--- {name} {generation} logged:\n{}", self.log());
        }
    }
}

/// What a command that ends by itself left.
pub struct Outcome {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

/// Runs a command to its end in `folder`.
#[track_caller]
pub fn run_in(folder: &Path, args: &[&str]) -> Outcome {
    let mut program = Program::start(folder, "command", args, &[]);
    let code = program.ended().code();
    Outcome {
        code,
        output: program.output(),
        errors: program.log(),
    }
}

/// A port nobody listens on. Below those that the system gives to outgoing connections, so that none of them takes it
/// while a test's program is away for a moment.
pub fn free_port() -> u16 {
    static TURN: AtomicU16 = AtomicU16::new(0);
    /// Ports between the first ones of two tests that run at the same time in processes of their own.
    const STRIDE: u32 = 11;
    let offset = u16::try_from(std::process::id().wrapping_mul(STRIDE) % 20_000).unwrap();
    loop {
        let port = 10_000 + (offset + TURN.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Talks HTTP to this machine; an error status is an answer.
pub fn agent() -> Agent {
    Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(15)))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .new_agent()
}
