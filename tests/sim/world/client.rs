//! The client of the service: one exchange after the other, and everything that happens to exchanges.

use super::{Check, Fate, Happening, Job, World};
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
            (kind, Job::Event(_)) if kind >= 2 => Fate::Refused,
            (kind, _) => Fate::Fails(failures[kind]),
        }
    }

    pub(super) fn service_handles(&mut self, run: u32, job: &Job, fate: &Fate) -> Check {
        let shape = Shape {
            entry_ms: self.plan.entry_ms,
            queue_len: self.plan.queue_len,
            injected: self.plan.injected,
        };
        let after = self.rng.between(self.plan.latency_ms.0, self.plan.latency_ms.1) / 2;
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
                if let Job::Event(record) = job {
                    // It is set aside when the answer arrives; should that be lost in a kill, it may come again.
                    self.journal.set_aside.insert(record.uid);
                    self.deliver(
                        run,
                        after,
                        Input::Reported {
                            last: record.event.seq,
                            verdict: Verdict::Refused,
                        },
                        None,
                    );
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
                    Job::Event(record) => {
                        if lost || run != self.run {
                            self.journal.repeatable.insert(record.uid);
                        }
                        let verdict = self.service.event(*record, &self.journal, &shape, &mut self.rng)?;
                        let verdict = if lost {
                            Verdict::Failed(Failure::Unreachable)
                        } else {
                            verdict
                        };
                        self.deliver(
                            run,
                            after,
                            Input::Reported {
                                last: record.event.seq,
                                verdict,
                            },
                            None,
                        );
                    }
                }
            }
        }
        Ok(())
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
            (Job::Event(record), Err(failure)) => Input::Reported {
                last: record.event.seq,
                verdict: Verdict::Failed(failure),
            },
            (Job::Event(_), Ok(_)) => return,
        };
        self.deliver(run, after, input, learned);
    }

    pub(super) fn deliver(&mut self, run: u32, after: u64, input: Input, learned: Option<(SessionKey, usize)>) {
        let happening = Happening::Deliver {
            run,
            input,
            learned,
            frees_worker: true,
        };
        self.enter(after, happening);
    }
}
