//! One exchange with the service after the other, as the product's worker does them: real requests by the real client,
//! at their virtual moment. It says how long each would have taken.

use std::time::{Duration, Instant};

use tonearm_core::effect::Call;
use tonearm_core::id::{RequestId, Seq};
use tonearm_core::input::{Answer, Failure, Input, Verdict};

use super::world::{Back, Check, Happening, NO_ANSWER_MS, PATIENCE, World};
use crate::app::translate;
use crate::contract::bench::DEVICE;
use crate::journal::{Found, Journal, Record};

/// Longest wait for the journal's thread. It takes microseconds where the machine is idle.
const DISK_PATIENCE: Duration = Duration::from_secs(20);

/// Work of the client.
#[derive(Debug)]
pub enum Job {
    Call(RequestId, Call),
    Report(Seq, Seq),
}

impl World {
    /// The next exchange, if none is under way.
    pub fn next_job(&mut self) -> Check {
        if self.busy || self.program.is_none() {
            return Ok(());
        }
        let Some(job) = self.jobs.pop_front() else {
            return Ok(());
        };
        self.busy = true;
        self.bench.set_time(self.wall_ms());
        let began = Instant::now();
        let (back, failure) = match job {
            Job::Call(request, call) => {
                let result = self.ask(call)?;
                let failure = result.as_ref().err().copied();
                (Back::Call(request, call, result), failure)
            }
            Job::Report(first, last) => {
                let verdict = self.report(first, last)?;
                let failure = match verdict {
                    Verdict::Failed(failure) => Some(failure),
                    Verdict::Accepted | Verdict::Refused | Verdict::Folded(_) => None,
                };
                (Back::Events(last, verdict), failure)
            }
        };
        self.sign_in.is_linked()?;
        if self.bench.simulator.report().violations > 0 {
            return Err(format!("violations: {:?}", self.bench.ledger("violation", 0)));
        }
        let silent = failure == Some(Failure::Unreachable) && began.elapsed() >= PATIENCE;
        let after = if silent {
            NO_ANSWER_MS
        } else {
            self.rng.between(15, 250)
        };
        let run = self.run;
        self.enter(after, Happening::Answered { run, back });
        Ok(())
    }

    fn ask(&mut self, call: Call) -> Result<Result<crate::service::Reply, Failure>, String> {
        let Some(program) = &self.program else {
            return Err("the program does not run".into());
        };
        let question = match translate::question(call, &program.catalogue) {
            Ok(question) => question,
            Err(failure) => return Ok(Err(failure)),
        };
        if !self.link_up {
            return Ok(Err(Failure::Unreachable));
        }
        self.count(format!("asked {}", question.operation()));
        let client = self.client.as_mut().ok_or("there is no client")?;
        Ok(client.ask(&question).map_err(|refusal| refusal.failure))
    }

    fn report(&mut self, first: Seq, last: Seq) -> Result<Verdict, String> {
        let Some(program) = &self.program else {
            return Err("the program does not run".into());
        };
        let mut events = Vec::new();
        for seq in first.0..=last.0 {
            let record = read(&program.journal, seq)?;
            self.books.is_as_recorded(&record)?;
            let wall_ms = record.wall_ms.ok_or("an event without its time")?;
            events.push(translate::report(record, wall_ms));
        }
        if !self.link_up {
            return Ok(Verdict::Failed(Failure::Unreachable));
        }
        self.count(if events.len() == 1 {
            "sent events"
        } else {
            "sent batches"
        });
        let client = self.client.as_ref().ok_or("there is no client")?;
        let sent = client.report(&events);
        Ok(sent.map_or_else(|refusal| refusal.verdict(), |()| Verdict::Accepted))
    }

    pub fn answered(&mut self, back: Back) -> Check {
        self.busy = false;
        let input = match back {
            Back::Events(last, verdict) => Input::Reported { last, verdict },
            Back::Call(request, call, result) => {
                let Some(program) = &mut self.program else {
                    return Ok(());
                };
                let answer = translate::answer(call, result, DEVICE, &mut program.catalogue);
                if let Answer::Failed(failure) = answer {
                    self.count(format!("call failed {failure:?}"));
                }
                Input::Answer { request, answer }
            }
        };
        self.handle(input)
    }
}

/// An event, once the journal's thread has settled those before it on disk. That works in real time, on a disk in memory.
fn read(journal: &Journal, seq: u64) -> Result<Record, String> {
    let begin = Instant::now();
    loop {
        match journal.read(Seq(seq)) {
            Found::Event(record) => return Ok(record),
            Found::Later if begin.elapsed() < DISK_PATIENCE => std::thread::yield_now(),
            Found::Later => return Err(format!("event {seq} is kept back for ever")),
            Found::Nothing | Found::Folded(_) => return Err(format!("event {seq} cannot be read back")),
        }
    }
}
