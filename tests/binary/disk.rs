//! The disk is full, read-only, or takes nothing for another reason: the speaker plays on, says so, and stores what
//! happened in between, in order, once it can.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::process::until;
use crate::service::Music;
use crate::speaker::{PACED, Setup, Speaker};

/// How the disk comes to take nothing.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The kernel lets no file of this process grow: a limit that needs no permission.
    Limit,
    /// A file system of its own is filled up to its last byte.
    Full,
}

/// Mounts a small file system where the state is, in a namespace that is gone with the program.
const MOUNT: &str = "mkdir -p state && mount -t tmpfs -o size=192k tmpfs state && exec \"$0\" \"$@\"";

impl Way {
    /// What the speaker is started by.
    fn before(self) -> &'static [&'static str] {
        match self {
            // The signal that comes with the limit would end the program; a full disk sends none.
            Self::Limit => &["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""],
            Self::Full => &["unshare", "--mount", "sh", "-c", MOUNT],
        }
    }

    /// The state folder of the speaker, as this process reaches it.
    fn state(self, speaker: &Speaker) -> PathBuf {
        match self {
            Self::Limit => speaker.state(),
            Self::Full => {
                let root = PathBuf::from(format!("/proc/{}/root", speaker.id()));
                root.join(speaker.state().strip_prefix("/").unwrap())
            }
        }
    }

    fn take_nothing(self, speaker: &Speaker) {
        match self {
            Self::Limit => limit(speaker, Some(0)),
            Self::Full => {
                let mut filler = Vec::new();
                // Page by page, so that not one is left.
                while {
                    filler.extend([0xA5; 4096]);
                    fs::write(self.state(speaker).join("filler"), &filler).is_ok()
                } {}
            }
        }
    }

    fn take_all(self, speaker: &Speaker) {
        match self {
            Self::Limit => limit(speaker, None),
            Self::Full => fs::remove_file(self.state(speaker).join("filler")).unwrap(),
        }
    }
}

fn limit(speaker: &Speaker, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(speaker.id()).unwrap());
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

/// Whether this process may mount. Where it may not, the limit stands in, and the test's output says so.
fn may_mount() -> bool {
    let mount = "mount -t tmpfs tmpfs /mnt";
    let tried = Command::new("unshare").args(["--mount", "sh", "-c", mount]).output();
    tried.is_ok_and(|output| output.status.success())
}

fn waiting(folder: &std::path::Path, speaker: &Speaker) -> Vec<String> {
    fs::write(
        speaker.state().with_file_name("look.toml"),
        format!("[state]\ndir = \"{}\"\n", folder.display()),
    )
    .unwrap();
    let outcome = crate::process::run_in(
        speaker.state().parent().unwrap(),
        &["journal", "--json", "--config", "look.toml"],
    );
    let listing: Value = serde_json::from_str(&outcome.output).unwrap_or_else(|_| panic!("{}", outcome.errors));
    let kind = |event: &Value| {
        let what = if event["type"] == "start" {
            &event["type"]
        } else {
            &event["reason"]
        };
        what.as_str().unwrap().to_owned()
    };
    listing["waiting"].as_array().unwrap().iter().map(kind).collect()
}

fn shows_the_problem(speaker: &Speaker) {
    let status = speaker.shows("the trouble with the disk", |status| {
        status["problem"]["code"] == "storage_failed"
    });
    let text = status["problem"]["text"].as_str().unwrap();
    assert!(text.contains("full or read-only"), "{text}");
}

#[track_caller]
fn plays_on_and_stores_later(way: Way) {
    let mut service = Music::of_lengths(&[30_000; 4]).serve();
    let speaker = Setup::write(&service, PACED, "").through(way.before()).start();
    way.take_nothing(&speaker);
    speaker.press("preset_1");
    speaker.plays("01");
    let used_up = use_up(&speaker);
    shows_the_problem(&speaker);
    speaker.has_reported();
    speaker.shows("a loaded window", |status| {
        let window = status["window"].as_array().unwrap();
        window.len() == 4 && window.iter().all(|item| item["state"] == "loaded")
    });
    let state = way.state(&speaker);
    let before = waiting(&state, &speaker);
    service.kill();
    speaker.press("next");
    speaker.plays("02");
    speaker.press("next");
    speaker.plays("03");
    assert!(unstored(&speaker) >= 4, "{}", speaker.metrics());
    assert_eq!(waiting(&state, &speaker), before, "{way:?}: nothing of it is on disk");
    way.take_all(&speaker);
    // Without a press: it tries by itself.
    speaker.shows("the disk to be trusted again", |status| {
        status["problem"]["code"] != "storage_failed"
    });
    until("the events on disk", || match waiting(&state, &speaker) {
        events if events == ["userNext", "start", "userNext", "start"] => Ok(()),
        events => Err(format!("{events:?}")),
    });
    assert_eq!(unstored(&speaker), 0);
    service.restart();
    let mut told = vec!["01 start"];
    told.extend(["01 userNext", "02 start", "02 userPrev", "01 start"].repeat(used_up));
    told.extend(["01 userNext", "02 start", "02 userNext", "03 start"]);
    service.tells(&told);
    speaker.has_reported();
    service.is_content();
}

/// Events that are in memory alone.
fn unstored(speaker: &Speaker) -> u32 {
    let metrics = speaker.metrics();
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix("tonearm_events_unstored "));
    count.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

/// There may be room for some events in the last page of a file. Returns how often the next entry and the one before were
/// played until there was none.
fn use_up(speaker: &Speaker) -> usize {
    let mut rounds = 0;
    // What is reported was stored before, or refused by the disk.
    while rounds < 40 && {
        speaker.has_reported();
        unstored(speaker) == 0
    } {
        speaker.press("next");
        speaker.plays("02");
        speaker.press("previous");
        speaker.plays("01");
        rounds += 1;
    }
    rounds
}

#[test]
fn files_that_may_not_grow_stop_no_music_and_lose_no_event() {
    plays_on_and_stores_later(Way::Limit);
}

#[test]
fn a_full_file_system_stops_no_music_and_loses_no_event() {
    plays_on_and_stores_later(mounted(Way::Full));
}

/// A file system that is read-only from the start, without a folder for the journal.
const MOUNT_READ_ONLY: &str = "mkdir -p state && mount -t tmpfs -o ro tmpfs state && exec \"$0\" \"$@\"";

#[test]
fn a_speaker_starts_and_tells_all_with_a_disk_that_takes_nothing() {
    if !may_mount() {
        eprintln!("NOT RUN as meant: mounting is not permitted here, so the disk is taken away after the start");
        return tells_all_meanwhile(Way::Limit.before(), true);
    }
    tells_all_meanwhile(&["unshare", "--mount", "sh", "-c", MOUNT_READ_ONLY], false);
}

fn mounted(way: Way) -> Way {
    if may_mount() {
        return way;
    }
    eprintln!("NOT RUN as meant: mounting is not permitted here, so a limit of the kernel stands in for {way:?}");
    Way::Limit
}

#[test]
fn events_are_told_while_the_disk_takes_nothing() {
    tells_all_meanwhile(Way::Limit.before(), true);
}

fn tells_all_meanwhile(before: &[&str], is_limited: bool) {
    let service = Music::of_lengths(&[30_000; 3]).serve();
    let speaker = Setup::write(&service, PACED, "").through(before).start();
    if is_limited {
        Way::Limit.take_nothing(&speaker);
    }
    speaker.press("preset_1");
    speaker.plays("01");
    shows_the_problem(&speaker);
    speaker.press("next");
    speaker.plays("02");
    service.tells(&["01 start", "01 userNext", "02 start"]);
    speaker.has_reported();
    service.is_content();
}
