//! The client against answers that went wrong in every way: recorded ones (`tests/answers`), mutated by a seed.
//!
//! Whatever comes back, there is no panic, memory stays bounded, there is one answer, and a refusal leaves a log line
//! that names the operation and the reason. `make fuzz` goes on for as long as it is told.

mod answers;
mod ear;
mod http;
mod json;
mod tally;

#[path = "../../../tests/sim/rng.rs"]
#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "shared with the simulation; each uses a part"
)]
mod rng;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use answers::Case;
use http::{Damage, Mutant};
use rng::Rng;
use tally::Tally;
use tonearm_core::id::RequestId;
use tonearm_core::input::Failure;

use super::client::{Client, Refusal};
use super::fixture::{client, report, settings};
use super::model::Said;
use super::scripted::{Server, Then};
use super::wire::{self, CreateLimit};
use super::worker::{News, Service};

/// Answers of one server, which remembers every request: few enough for its memory, and for the ports of this machine.
const ROUND: u64 = 500;
/// Answers that are read without HTTP for each that is read with it: they cost much less.
const DIRECTLY: usize = 5;
/// Most that one call may have allocated at a time: an answer of 1 MiB that is nothing but short values costs 41 MB while it
/// is read, because a value of the tree takes more room than its text.
const CALL_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// Longest log line of the client: a few cut pieces of the service's text, escaped.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// A server that gives the next mutant to whoever asks.
fn serving(next: &Arc<Mutex<Mutant>>) -> Server {
    let next = Arc::clone(next);
    Server::start(move |_, wire| {
        let mutant = next.lock().unwrap().clone();
        wire.raw(&mutant.bytes);
        if mutant.damage == Damage::Endless {
            while wire.raw(&[b'0'; 16 * 1024]) {}
        }
        if mutant.damage.closes() {
            Then::Close
        } else {
            Then::Keep
        }
    })
}

/// What one call came to.
struct Verdict {
    outcome: &'static str,
    /// Most that was allocated at a time.
    bytes: u64,
    /// What should not have happened.
    wrong: Vec<String>,
}

fn judge(client: &mut Client, case: &Case) -> Verdict {
    let mut wrong = Vec::new();
    let mut heard = None;
    let allocated = allocation_counter::measure(|| {
        heard = Some(ear::listening(|| {
            catch_unwind(AssertUnwindSafe(|| match &case.question {
                Some(question) => client.ask(question).map(drop),
                None => client.report(&[report()]),
            }))
        }));
    });
    let (result, lines) = heard.unwrap();
    if allocated.bytes_max > CALL_BYTES_MAX {
        wrong.push(format!("{} bytes at a time", allocated.bytes_max));
    }
    for line in &lines {
        if line.len() > LINE_BYTES_MAX || line.chars().any(char::is_control) {
            wrong.push(format!("a log line that is too long or steers the screen: {line:?}"));
        }
    }
    let outcome = match result {
        Err(_) => {
            wrong.push("a panic".to_owned());
            "panic"
        }
        Ok(Ok(())) => "understood",
        Ok(Err(Refusal { failure, said })) => {
            let reason = format!("({failure:?})");
            let names_both = |line: &String| line.contains(case.operation()) && line.ends_with(&reason);
            if !lines.iter().any(names_both) {
                wrong.push(format!(
                    "no log line names {} and {reason}: {lines:?}",
                    case.operation()
                ));
            }
            wrong.extend(said.and_then(|said| indecent(&said)));
            name(failure)
        }
    };
    Verdict {
        outcome,
        bytes: allocated.bytes_max,
        wrong,
    }
}

fn name(failure: Failure) -> &'static str {
    match failure {
        Failure::Unreachable => "unreachable",
        Failure::WrongClock => "wrong clock",
        Failure::Busy { .. } => "busy",
        Failure::Unauthorised => "unauthorised",
        Failure::Forbidden => "forbidden",
        Failure::NotFound => "not found",
        Failure::Refused => "refused",
        Failure::TakenOver => "taken over",
        Failure::Garbled => "garbled",
    }
}

/// What a page may not show.
fn indecent(said: &Said) -> Option<String> {
    let texts = [&said.code, &said.message, &said.url].into_iter().flatten();
    let is_odd = |text: &String| text.len() > 4 * 1024 || text.is_empty() || text.chars().any(char::is_control);
    let is_odd_url = said.url.as_ref().is_some_and(|url| !url.starts_with("https://"));
    (texts.into_iter().any(is_odd) || is_odd_url).then(|| format!("words that cannot be shown: {said:?}"))
}

/// The reader without HTTP around it, which is faster: all that is asked of it is to come back.
fn read_directly(case: &Case, body: &[u8], tally: &mut Tally) -> Option<String> {
    let read = catch_unwind(AssertUnwindSafe(|| {
        let _ = wire::fault(case.status, Some("7"), None, body).said(case.operation());
        let _ = CreateLimit::default().lowered(body);
        let question = case.question.as_ref();
        question.is_some_and(|question| wire::reply(question, body).is_ok())
    }));
    tally.read_directly(read.as_ref().is_ok_and(|understood| *understood));
    let text = || String::from_utf8_lossy(&body[..body.len().min(2_000)]).into_owned();
    read.err()
        .map(|_| format!("a panic of the reader on {} {:?}", case.name, text()))
}

/// Mutants of `seed`, until `is_enough` of them.
fn run(seed: u64, cases: &[Case], tally: &mut Tally, mut is_enough: impl FnMut(u64) -> bool) {
    let mut rng = Rng::new(seed);
    let next = Arc::new(Mutex::new(Mutant::default()));
    let mut count = 0;
    while !is_enough(count) {
        let server = serving(&next);
        let mut client = client(&server);
        for _ in 0..ROUND {
            if is_enough(count) {
                return;
            }
            count += 1;
            let case = &cases[rng.index(cases.len())];
            let (body, change) = json::mutated(&mut rng, &case.body);
            let mutant = http::answer(&mut rng, case, &body);
            next.lock().unwrap().clone_from(&mutant);
            let Verdict {
                outcome,
                bytes,
                mut wrong,
            } = judge(&mut client, case);
            for _ in 0..DIRECTLY {
                let case = &cases[rng.index(cases.len())];
                let (body, _) = json::mutated(&mut rng, &case.body);
                wrong.extend(read_directly(case, &body, tally));
            }
            assert!(
                wrong.is_empty(),
                "seed {seed}, mutant {count} ({change:?}, {:?}) of {}: {wrong:#?}\n{:?}",
                mutant.damage,
                case.name,
                String::from_utf8_lossy(&mutant.bytes[..mutant.bytes.len().min(2_000)]),
            );
            tally.answered(case.operation(), change, mutant.damage, outcome);
            tally.allocated(bytes);
        }
    }
}

#[test]
fn no_mutated_answer_makes_the_client_panic_swell_or_fall_silent() {
    let cases = answers::recorded();
    let mut tally = Tally::default();
    let fresh = getrandom::u64().unwrap();
    for seed in [1, 2, fresh] {
        run(seed, &cases, &mut tally, |count| count >= 200);
    }
    tally.assert_everything_was_met();
}

#[test]
fn the_costliest_answer_there_can_be_stays_within_the_bound() {
    let cases = answers::recorded();
    let case = cases.iter().find(|case| case.name == "next.json").unwrap();
    let next = Arc::new(Mutex::new(Mutant::default()));
    let server = serving(&next);
    for shortest in ["0,", "[],", "\"\",", r#"{"playables":[]},"#] {
        let values = shortest.repeat(1_000_000 / shortest.len());
        let body = format!(r#"{{"playables":[{}]}}"#, values.trim_end_matches(','));
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        next.lock().unwrap().bytes = [head.as_bytes(), body.as_bytes()].concat();
        let Verdict { outcome, wrong, bytes } = judge(&mut client(&server), case);
        assert!(
            outcome == "understood" && wrong.is_empty(),
            "{shortest} {outcome} {wrong:?}"
        );
        println!("{shortest} {bytes} bytes at a time");
    }
}

#[test]
#[ignore = "goes on for FUZZ_SECONDS: make fuzz"]
fn mutated_answers_for_as_long_as_asked() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("FUZZ_SEED").unwrap_or_else(|| getrandom::u64().unwrap());
    let seconds = number("FUZZ_SECONDS").unwrap_or(600);
    let mut tally = Tally::default();
    println!("seed {seed}, {seconds} s");
    let until = Instant::now() + Duration::from_secs(seconds);
    run(seed, &answers::recorded(), &mut tally, |_| Instant::now() >= until);
    println!("{tally}");
}

#[test]
fn every_mutated_answer_is_one_news_of_the_worker() {
    let cases = answers::recorded();
    let mut rng = Rng::new(4);
    let next = Arc::new(Mutex::new(Mutant::default()));
    let server = serving(&next);
    let (sender, news) = std::sync::mpsc::channel();
    let tell = Arc::new(move |one| sender.send(one).unwrap_or_default());
    let service = Service::start(settings(server.url("")), tell).unwrap();
    let asked: Vec<_> = cases.iter().filter(|case| case.question.is_some()).collect();
    for number in 0..100 {
        let case = asked[rng.index(asked.len())];
        let question = case.question.clone().unwrap();
        let (body, _) = json::mutated(&mut rng, &case.body);
        *next.lock().unwrap() = http::answer(&mut rng, case, &body);
        service.call(RequestId(number), question).unwrap();
        let mut one = news.recv_timeout(Duration::from_secs(20)).unwrap();
        if matches!(one, News::Said(_)) {
            one = news.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        assert!(
            matches!(one, News::Answered { request: RequestId(answered), .. } if answered == number),
            "{one:?}"
        );
    }
    service.close();
    assert!(news.recv().is_err(), "nothing more comes");
}
