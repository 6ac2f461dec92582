//! The program is killed at random moments, under load, again and again: nothing is lost, nothing is out of order, and
//! an event comes twice only where its answer was lost. `make kill-test` kills 10,000 times.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;

use crate::promises::Promises;
use crate::service::{Music, Service};
use crate::speaker::Setup;

/// Kills of the ordinary run; `TONEARM_KILLS` asks for more.
const KILLS: u64 = 40;
/// Twenty times as fast as real time: a track of two seconds takes a tenth of one.
const OUTPUT: &str = "pcm = \"paced:20\"\n";
/// Longest life: a few tracks, presses, and a retry or two.
const LIFE_MS_MAX: u64 = 700;
/// One life in so many is so short that it ends while it recovers.
const SHORT_ONE_IN: u64 = 5;
const SHORT_MS_MAX: u64 = 60;
/// How often the long run says how far it is.
const TELL_EVERY: u64 = 100;

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % sides
    }
}

/// A number from the environment.
fn asked(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is {text:?} and no number")),
    )
}

/// The speaker as something that is killed.
struct Victim {
    setup: Setup,
    folder: PathBuf,
    /// Of the page, for one that may be gone any moment.
    agent: Agent,
}

impl Victim {
    fn start(&self) -> Child {
        let log = File::create(self.folder.join("victim.log")).unwrap();
        Command::new(env!("CARGO_BIN_EXE_tonearm"))
            .args(["run", "--config", "tonearm.toml"])
            .current_dir(&self.folder)
            .env_remove("TONEARM_CONFIG")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start the program")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("victim.log")).unwrap_or_default()
    }

    fn page(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.setup.port())
    }

    /// Presses something; whether anybody is there is all the same.
    fn press(&self, dice: &mut Dice, album: usize) {
        let (path, body) = match dice.roll(20) {
            0..=8 => ("/api/press/next".to_owned(), json!({})),
            9..=11 => ("/api/press/previous".to_owned(), json!({})),
            12..=13 => ("/api/press/play".to_owned(), json!({})),
            14..=15 => ("/api/seek".to_owned(), json!({ "position_ms": dice.roll(1_800) })),
            16 => ("/api/press/volume_up".to_owned(), json!({})),
            17 => ("/api/press/shuffle".to_owned(), json!({})),
            _ => (format!("/api/press/preset_{album}"), json!({})),
        };
        let request = self
            .agent
            .post(self.page(&path))
            .header("content-type", "application/json");
        drop(request.send(body.to_string()));
    }

    fn status(&self) -> Option<Value> {
        let mut answer = self.agent.get(self.page("/api/status")).call().ok()?;
        serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
    }

    /// The journal as it is on disk.
    fn journal(&self) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_tonearm"))
            .args(["journal", "--json", "--config", "tonearm.toml"])
            .current_dir(&self.folder)
            .env_remove("TONEARM_CONFIG")
            .output()
            .expect("start the program");
        // Before the first life has begun it there is none.
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("open journal"), "{said}");
            json!({"next": 1, "settled": 0, "lost": 0, "damaged": [], "waiting": []})
        })
    }
}

/// A fault of the network or of the service; says whether it can lose the answer to an event.
fn fault(dice: &mut Dice) -> (Value, bool) {
    let count = 1 + dice.roll(2);
    match dice.roll(12) {
        0..=2 => (json!({"scope": "events", "kind": "answer_lost", "count": count}), true),
        3 => (
            json!({"scope": "events", "kind": "cut", "bytes": 1, "count": count}),
            true,
        ),
        4 => (json!({"scope": "events", "kind": "close", "count": count}), false),
        5 => (json!({"scope": "events", "kind": "refuse", "count": count}), false),
        6 => (
            json!({"scope": "events", "kind": "status", "status": 503, "count": count}),
            false,
        ),
        7 => (
            json!({"scope": "events", "kind": "delay", "ms": 5 + dice.roll(200), "count": count}),
            false,
        ),
        8 => (
            json!({"scope": "events", "kind": "status", "status": 400, "code": "BAD_REQUEST", "count": 1}),
            false,
        ),
        9 => (json!({"scope": "queue", "kind": "answer_lost", "count": count}), false),
        10 => (
            json!({"scope": "queue", "kind": "status", "status": 503, "count": count}),
            false,
        ),
        _ => (
            json!({"scope": "media", "kind": "cut", "bytes": 20_000, "count": count}),
            false,
        ),
    }
}

/// What the lives of a run came to.
#[derive(Default)]
struct Totals {
    faults: u64,
    answers_lost: u64,
    presses: u64,
    /// From the start of the program to the first answer of its page.
    starts_ms: Vec<u64>,
}

impl Totals {
    fn start_ms(&mut self) -> String {
        self.starts_ms.sort_unstable();
        match (self.starts_ms.first(), self.starts_ms.get(self.starts_ms.len() / 2)) {
            (Some(least), Some(middle)) => format!("{least} ms at least, {middle} ms in the middle"),
            _ => "never seen".to_owned(),
        }
    }
}

/// One life: starts, is loaded with faults and presses, and is killed.
fn live(victim: &Victim, service: &Service, dice: &mut Dice, album: usize, totals: &mut Totals) {
    let ms = if dice.roll(SHORT_ONE_IN) == 0 {
        dice.roll(SHORT_MS_MAX)
    } else {
        dice.roll(LIFE_MS_MAX)
    };
    if dice.roll(2) == 0 {
        let (fault, loses) = fault(dice);
        totals.faults += 1;
        totals.answers_lost += fault["count"].as_u64().filter(|_| loses).unwrap_or(0);
        service.fault(&fault);
    }
    let begin = Instant::now();
    let end = begin + Duration::from_millis(ms);
    let mut program = victim.start();
    let mut is_up = false;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        std::thread::sleep(left.min(Duration::from_millis(if is_up { 5 + dice.roll(60) } else { 4 })));
        if !is_up {
            let Some(status) = victim.status() else { continue };
            is_up = true;
            totals
                .starts_ms
                .push(u64::try_from(begin.elapsed().as_millis()).unwrap());
            if status["state"] != "playing" && status["state"] != "buffering" {
                let request = victim.agent.post(victim.page(&format!("/api/press/preset_{album}")));
                drop(request.header("content-type", "application/json").send("{}"));
            }
        } else if Instant::now() < end {
            victim.press(dice, album);
            totals.presses += 1;
        }
    }
    assert!(
        program.try_wait().unwrap().is_none(),
        "the program ended by itself: {}",
        victim.log()
    );
    program.kill().unwrap();
    program.wait().unwrap();
}

/// A last life without faults: pauses, and leaves as it should once everything is told.
fn rest(victim: &Victim) {
    let mut program = victim.start();
    let begin = Instant::now();
    loop {
        assert!(
            begin.elapsed() < Duration::from_secs(120),
            "events wait for ever: {}",
            victim.log()
        );
        std::thread::sleep(Duration::from_millis(50));
        let Some(status) = victim.status() else { continue };
        match status["state"].as_str() {
            Some("playing" | "buffering") => {
                let request = victim.agent.post(victim.page("/api/press/play"));
                drop(request.header("content-type", "application/json").send("{}"));
            }
            Some(_) if status["outbox"]["waiting"] == 0 => break,
            Some(_) | None => {}
        }
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&program),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert_eq!(program.wait().unwrap().code(), Some(0), "{}", victim.log());
}

fn agent() -> Agent {
    Agent::config_builder()
        .timeout_global(Some(Duration::from_millis(300)))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .new_agent()
}

#[test]
fn no_kill_loses_reorders_or_repeats_an_event() {
    let kills = asked("TONEARM_KILLS").unwrap_or(KILLS);
    let seed = asked("TONEARM_KILL_SEED").unwrap_or(1);
    let service = Music::of_lengths(&[2_000; 6]).serve_with("unlimited", &["--tracks", "5000"]);
    let album = service.albums().len();
    let setup = Setup::write(&service, OUTPUT, "[sound]\nchimes = false\n[window]\nahead = 4\n");
    let victim = Victim {
        folder: service.folder.path().to_owned(),
        setup,
        agent: agent(),
    };
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut totals = Totals::default();
    let mut promises = Promises::default();
    let begin = Instant::now();
    for kill in 1..=kills {
        live(&victim, &service, &mut dice, album, &mut totals);
        service.clear_faults();
        let kept = promises
            .read(&service)
            .and_then(|()| promises.compare(&victim.journal()));
        if let Err(wrong) = kept {
            panic!(
                "kill {kill} of seed {seed} (TONEARM_KILL_SEED={seed} TONEARM_KILLS={kill} replays it): {wrong}\n{}",
                victim.log()
            );
        }
        if kill % TELL_EVERY == 0 {
            let left = begin.elapsed() * u32::try_from(kills - kill).unwrap() / u32::try_from(kill).unwrap();
            println!(
                "{kill} kills of {kills}: {} events, {} repeats, {} refused, at most {} waiting; {} min left",
                promises.told(),
                promises.repeats,
                promises.refused,
                promises.waiting_most,
                left.as_secs() / 60
            );
        }
    }
    rest(&victim);
    let journal = victim.journal();
    let kept = promises.read(&service).and_then(|()| promises.are_kept(&journal));
    assert_eq!(kept, Ok(()), "seed {seed}");
    let (again, others): (Vec<_>, Vec<_>) = service
        .found_but_for_speed()
        .into_iter()
        .partition(|one| one["code"] == "refused_repeated");
    assert!(others.is_empty(), "seed {seed}: {others:?}");
    // A refusal that was not on disk yet when the kill came is asked for again, as any answer that was lost.
    assert!(again.len() as u64 <= promises.refused_again, "seed {seed}: {again:?}");
    assert!(
        promises.repeats <= kills + totals.answers_lost,
        "{} repeats, {kills} kills and {} answers lost",
        promises.repeats,
        totals.answers_lost
    );
    let start_ms = totals.start_ms();
    println!(
        "seed {seed}: {kills} kills, {} presses, {} faults ({} answers to events lost at most); {} events told, {} of them \
         found on disk at a kill, {} repeated, {} refused for good, at most {} waiting; start to page {}; 0 lost, 0 out of order",
        totals.presses,
        totals.faults,
        totals.answers_lost,
        promises.told(),
        promises.stored(),
        promises.repeats,
        promises.refused,
        promises.waiting_most,
        start_ms
    );
    assert!(promises.told() > kills, "there was load");
}
