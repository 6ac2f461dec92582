//! The client of the service: one exchange after the other, and everything that happens to exchanges.

use super::{Check, Fate, Happening, Job, World};
use crate::ledger::Entry as Recorded;
use crate::service::Shape;
use tonearm_core::effect::Call;
use tonearm_core::id::SessionKey;
use tonearm_core::input::{Answer, Failure, Input, Verdict};
use tonearm_core::unit::Millis;

impl World {
    pub(super) fn next_job(&mut self) {
        if self.worker_busy || self.session.is_none() {
            return;
        }
        let Some(job) = self.jobs.pop_front() else { return };
        self.worker_busy = true;
        let run = self.run;
        let latency = self.rng.between(self.plan.latency_ms.0, self.plan.latency_ms.1);
        if !self.net_up || self.rng.chance(self.plan.dropped) {
            self.stats.count("exchanges that reached nobody");
            let waits = self.rng.between(0, 3000);
            return self.answer(run, &job, Err(Failure::Unreachable), None, waits);
        }
        let fate = self.fate(&job);
        self.enter(latency / 2, Happening::ServiceHandles { run, job, fate });
    }

    pub(super) fn fate(&mut self, job: &Job) -> Fate {
        if self.rng.chance(self.plan.answer_lost) {
            self.stats.count("answers lost");
            return Fate::AnswerLost;
        }
        if self.rng.chance(self.plan.busy) {
            self.stats.count("429 and 5xx");
            let retry_after = self
                .rng
                .chance(400)
                .then(|| Millis(u32::try_from(self.rng.between(1, 30) * 1000).unwrap()));
            return Fate::Fails(Failure::Busy { retry_after });
        }
        if !self.rng.chance(self.plan.odd) {
            return Fate::Answered;
        }
        self.stats.count("401, 403, 404, garbage");
        let failures = [
            Failure::Unauthorised,
            Failure::Garbled,
            Failure::Forbidden,
            Failure::NotFound,
            Failure::Refused,
        ];
        match (self.rng.index(failures.len()), job) {
            (kind, Job::Events(_)) if kind >= 2 => Fate::Refused,
            (kind, _) => Fate::Fails(failures[kind]),
        }
    }

    pub(super) fn service_handles(&mut self, run: u32, job: &Job, fate: &Fate) -> Check {
        let shape = self.shape();
        let after = self.rng.between(self.plan.latency_ms.0, self.plan.latency_ms.1) / 2;
        if self.now < self.expired_until {
            self.stats.count("refused tokens");
            self.answer(run, job, Err(Failure::Unauthorised), None, after);
            return Ok(());
        }
        match fate {
            Fate::Fails(failure) => {
                if *failure == Failure::NotFound
                    && let Job::Call(_, Call::Current(session)) = job
                {
                    self.service.forget(*session);
                }
                self.answer(run, job, Err(*failure), None, after);
            }
            Fate::Refused => {
                if let Job::Events(records) = job {
                    // It is set aside when the answer arrives; should that be lost in a kill, it may come again.
                    if let [record] = &records[..] {
                        self.ledger.set_aside.insert(record.uid);
                    }
                    self.deliver(run, after, reported(records, Verdict::Refused), None);
                }
            }
            Fate::Answered | Fate::AnswerLost => {
                let lost = matches!(fate, Fate::AnswerLost);
                match job {
                    Job::Call(_, call) => {
                        let answer = self.service.call(*call, &shape, &mut self.rng);
                        let learned = match (*call, &answer) {
                            (Call::Next { session, .. }, Answer::Listed(_)) => {
                                Some((session, self.service.version(session)))
                            }
                            _ => None,
                        };
                        let result = if lost { Err(Failure::Unreachable) } else { Ok(answer) };
                        self.answer(run, job, result, learned, after);
                    }
                    Job::Events(records) => {
                        if lost || run != self.run {
                            self.ledger.repeatable.extend(records.iter().map(|record| record.uid));
                        }
                        let verdict = self.service.events(records, &self.ledger, &shape, &mut self.rng)?;
                        let verdict = if lost {
                            Verdict::Failed(Failure::Unreachable)
                        } else {
                            verdict
                        };
                        self.deliver(run, after, reported(records, verdict), None);
                    }
                }
            }
        }
        Ok(())
    }

    /// What the service makes, as the plan has it at the moment.
    pub(super) fn shape(&self) -> Shape {
        Shape {
            entry_ms: self.plan.entry_ms,
            queue_len: self.plan.queue_len,
            injected: self.plan.injected,
            unrestorable: self.plan.unrestorable,
            strict: self.plan.strict,
        }
    }

    pub(super) fn answer(
        &mut self,
        run: u32,
        job: &Job,
        result: Result<Answer, Failure>,
        learned: Option<(SessionKey, usize)>,
        after: u64,
    ) {
        let input = match (job, result) {
            (Job::Call(request, _), Ok(answer)) => Input::Answer {
                request: *request,
                answer,
            },
            (Job::Call(request, _), Err(failure)) => Input::Answer {
                request: *request,
                answer: Answer::Failed(failure),
            },
            (Job::Events(records), Err(failure)) => reported(records, Verdict::Failed(failure)),
            (Job::Events(_), Ok(_)) => return,
        };
        self.deliver(run, after, input, learned);
    }

    pub(super) fn deliver(&mut self, run: u32, after: u64, input: Input, learned: Option<(SessionKey, usize)>) {
        // What is to be tried again has no second answer: the one who asks again waits for it.
        let is_final = matches!(
            &input,
            Input::Answer { .. }
                | Input::Reported {
                    verdict: Verdict::Accepted | Verdict::Refused,
                    ..
                }
        );
        if is_final && self.rng.chance(self.plan.twice) {
            self.stats.count("answers that came twice");
            let later = after + self.rng.between(1, 5000);
            self.enter(
                later,
                Happening::Deliver {
                    run,
                    input: input.clone(),
                    learned: None,
                    frees_worker: false,
                },
            );
        }
        let happening = Happening::Deliver {
            run,
            input,
            learned,
            frees_worker: true,
        };
        self.enter(after, happening);
    }
}

fn reported(records: &[Recorded], verdict: Verdict) -> Input {
    let last = records.last().map(|record| record.event.seq).unwrap_or_default();
    Input::Reported { last, verdict }
}
