//! `scripts/setup.sh` on machines that lack something, made of stand-ins for the commands it looks for and calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A machine whose only commands are the ones given here.
struct Machine {
    commands: TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

struct Outcome {
    success: bool,
    said: String,
    /// What was called that changes the machine, one line each.
    called: Vec<String>,
}

impl Machine {
    /// With everything a build needs.
    fn complete() -> Self {
        let machine = Self {
            commands: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        };
        for real in ["sh", "sed", "dirname", "env", "cat", "chmod", "rm", "mktemp"] {
            let path = ["/usr/bin", "/bin"]
                .iter()
                .map(|folder| Path::new(folder).join(real))
                .find(|path| path.exists());
            symlink(path.unwrap(), machine.commands.path().join(real)).unwrap();
        }
        machine
            .with("id", "echo 0")
            .with("cc", "")
            .with("make", "")
            .with("pkg-config", "")
            .with("cargo", "")
            .with("rustc", "echo 'rustc 1.95.0 (0123456789 2026-03-21)'")
    }

    /// With the command `name`, a shell script.
    fn with(self, name: &str, script: &str) -> Self {
        let path = self.commands.path().join(name);
        fs::remove_file(&path).ok();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// With the command `name` that does what `script` says and leaves a note that it was called.
    fn with_noted(self, name: &str, script: &str) -> Self {
        let noted = format!("echo \"{name} $*\" >> \"$CALLS\"\n{script}");
        self.with(name, &noted)
    }

    fn without(self, name: &str) -> Self {
        fs::remove_file(self.commands.path().join(name)).unwrap();
        self
    }

    fn set(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    fn for_user(self) -> Self {
        self.with("id", "echo 1000")
    }

    fn set_up(self, arguments: &[&str]) -> Outcome {
        let home = tempfile::tempdir().unwrap();
        let calls = home.path().join("calls");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/setup.sh");
        let output = Command::new("/bin/sh")
            .arg(script)
            .args(arguments)
            .env_clear()
            .env("PATH", self.commands.path())
            .env("HOME", home.path())
            .env("CALLS", &calls)
            .env("COMMANDS", self.commands.path())
            .envs(self.variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Outcome {
            success: output.status.success(),
            said: String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
            called: fs::read_to_string(calls)
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect(),
        }
    }
}

#[track_caller]
fn says(outcome: &Outcome, part: &str) {
    assert!(outcome.said.contains(part), "{part:?} not in {:?}", outcome.said);
}

#[test]
fn nothing_is_said_or_done_when_all_is_there() {
    let outcome = Machine::complete().with_noted("apt-get", "").set_up(&["test"]);
    assert!(outcome.success, "{}", outcome.said);
    assert_eq!(outcome.said, "");
    assert!(outcome.called.is_empty(), "{:?}", outcome.called);
}

#[test]
fn root_installs_what_is_missing_and_nothing_else() {
    let outcome = Machine::complete()
        .without("pkg-config")
        .with_noted("apt-get", "")
        .set_up(&[]);
    assert!(outcome.success, "{}", outcome.said);
    says(&outcome, "installing: pkg-config libasound2-dev");
    let install = "apt-get install -y --no-install-recommends pkg-config libasound2-dev";
    assert_eq!(outcome.called, ["apt-get update", install]);
}

#[test]
fn a_missing_library_is_found_through_pkg_config() {
    let outcome = Machine::complete()
        .with("pkg-config", "exit 1")
        .with_noted("apt-get", "")
        .set_up(&[]);
    assert_eq!(
        outcome.called[1],
        "apt-get install -y --no-install-recommends libasound2-dev"
    );
}

#[test]
fn package_lists_that_cannot_be_renewed_do_not_stop_it() {
    let apt = "case $1 in update) exit 100 ;; esac";
    let outcome = Machine::complete().without("cc").with_noted("apt-get", apt).set_up(&[]);
    assert!(outcome.success, "{}", outcome.said);
    assert_eq!(
        outcome.called[1],
        "apt-get install -y --no-install-recommends gcc libc6-dev"
    );
}

#[test]
fn a_comparison_needs_encoders_and_goes_without_a_player_that_does_not_come() {
    let apt = "case $* in *mpg123*) exit 100 ;; esac";
    let machine = ["python3", "ffmpeg", "flac", "oggenc", "mpd", "mpv", "valgrind"]
        .into_iter()
        .fold(Machine::complete(), |machine, name| machine.with(name, ""));
    let outcome = machine.with_noted("apt-get", apt).set_up(&["bench"]);
    assert!(outcome.success, "{}", outcome.said);
    assert_eq!(outcome.called[1], "apt-get install -y --no-install-recommends lame");
    says(&outcome, "left out of the comparison: mpg123");
}

#[test]
fn an_installation_that_fails_is_a_failure() {
    let outcome = Machine::complete()
        .without("make")
        .with_noted("apt-get", "exit 100")
        .set_up(&[]);
    assert!(!outcome.success);
}

#[test]
fn a_user_without_a_terminal_is_told_the_command() {
    let machine = Machine::complete()
        .for_user()
        .without("cc")
        .with_noted("sudo", "")
        .with_noted("apt-get", "");
    let outcome = machine.set_up(&[]);
    assert!(!outcome.success);
    says(
        &outcome,
        "sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends gcc libc6-dev",
    );
    assert!(outcome.called.is_empty(), "{:?}", outcome.called);
}

#[test]
fn yes_answers_for_the_user() {
    let machine = Machine::complete()
        .for_user()
        .without("cc")
        .with_noted("sudo", "")
        .with("apt-get", "");
    let outcome = machine.set("YES", "1").set_up(&[]);
    assert!(outcome.success, "{}", outcome.said);
    let install = "sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends gcc libc6-dev";
    assert_eq!(outcome.called, ["sudo apt-get update", install]);
}

#[test]
fn a_system_without_apt_is_told_the_packages() {
    let outcome = Machine::complete().without("pkg-config").set_up(&[]);
    assert!(!outcome.success);
    says(
        &outcome,
        "missing: pkg-config libasound2-dev. This is no system with apt",
    );
}

#[test]
fn a_toolchain_is_never_installed_unasked() {
    let outcome = Machine::complete().without("cargo").with_noted("curl", "").set_up(&[]);
    assert!(!outcome.success);
    says(&outcome, "there is no Rust toolchain");
    says(&outcome, "https://sh.rustup.rs");
    assert!(outcome.called.is_empty(), "{:?}", outcome.called);
}

/// A stand-in for the download: writes `script` to the file that `-o` names.
fn download(script: &str) -> String {
    format!("while [ \"$1\" != -o ]; do shift; done\ncat > \"$2\" <<'END'\n{script}\nEND")
}

#[test]
fn yes_installs_the_toolchain_with_the_official_installer() {
    let installer = "echo \"installer $*\" >> \"$CALLS\"\necho > \"$COMMANDS/cargo\"\nchmod +x \"$COMMANDS/cargo\"";
    let machine = Machine::complete()
        .without("cargo")
        .with_noted("curl", &download(installer));
    let outcome = machine.set("YES", "1").set_up(&[]);
    assert!(outcome.success, "{}", outcome.said);
    assert!(
        outcome.called[0].starts_with("curl --proto =https --tlsv1.2 "),
        "{:?}",
        outcome.called
    );
    assert!(
        outcome.called[0].ends_with(" https://sh.rustup.rs"),
        "{:?}",
        outcome.called
    );
    assert_eq!(
        outcome.called[1],
        "installer -y --profile minimal --component clippy,rustfmt"
    );
    says(&outcome, "Rust 1.95 is installed");
}

#[test]
fn an_installer_that_cannot_be_fetched_is_a_failure() {
    let outcome = Machine::complete()
        .without("cargo")
        .with_noted("curl", "exit 6")
        .set("YES", "1")
        .set_up(&[]);
    assert!(!outcome.success);
    says(&outcome, "the installer could not be fetched");
}

#[test]
fn an_installer_that_does_nothing_is_a_failure() {
    let machine = Machine::complete()
        .without("cargo")
        .with_noted("curl", &download("exit 0"));
    let outcome = machine.set("YES", "1").set_up(&[]);
    assert!(!outcome.success);
    says(&outcome, "still none");
}

#[test]
fn versions_are_compared_as_numbers() {
    let rustc = |version: &str| {
        Machine::complete()
            .with("rustc", &format!("echo 'rustc {version} (x)'"))
            .set_up(&[])
    };
    for enough in ["1.89.0", "1.100.1", "2.0.0-nightly"] {
        assert!(rustc(enough).success, "{enough}");
    }
    for old in ["1.88.9", "1.9.0", "0.99.0"] {
        let outcome = rustc(old);
        assert!(!outcome.success, "{old}");
        says(&outcome, "or newer is needed");
    }
}

#[test]
fn an_old_toolchain_of_rustup_is_updated() {
    let newer = "printf '#!/bin/sh\\necho \"rustc 1.95.0 (x)\"\\n' > \"$COMMANDS/rustc\"";
    let machine = Machine::complete()
        .with("rustc", "echo 'rustc 1.63.0 (x)'")
        .with_noted("rustup", newer);
    let outcome = machine.set("YES", "1").set_up(&[]);
    assert!(outcome.success, "{}", outcome.said);
    let install = "rustup toolchain install stable --profile minimal --component clippy,rustfmt";
    assert_eq!(outcome.called, [install, "rustup default stable"]);
}

#[test]
fn the_tests_need_clippy_and_rustfmt_too() {
    let lacking = || Machine::complete().with("cargo", "case $1 in clippy) exit 1 ;; esac");
    let outcome = lacking().with_noted("rustup", "").set("YES", "1").set_up(&["test"]);
    assert_eq!(outcome.called, ["rustup component add clippy"]);
    assert!(!lacking().set_up(&["test"]).success);
    assert!(lacking().set_up(&[]).success, "the demo does not need it");
}
