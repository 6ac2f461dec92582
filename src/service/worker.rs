//! The thread that talks to the service: calls and events strictly in the order given, one at a time.
//!
//! It never blocks who gives it work, and it owes exactly one news for each piece of work it took.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tonearm_core::id::{RequestId, Seq};
use tonearm_core::input::{Failure, Verdict};
use tonearm_core::unit::Millis;

use super::client::{Client, Patience, Refusal};
use super::model::{EventReport, Question, Reply, Said};
use super::settings::{ServiceError, Settings};
use crate::tls::Connections;

/// Work that waits for the thread. The session has one event and a handful of calls under way; this is room to spare.
const WORK_MAX: usize = 64;
/// Leaving waits this long for the thread. A name lookup cannot be cut short; then the thread ends on its own later.
const CLOSE_MS_MAX: u64 = 500;

/// What became of a call or an event.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A call was answered, or could not be.
    Answered {
        /// The call.
        request: RequestId,
        /// What came back.
        result: Result<Reply, Failure>,
    },
    /// Events were sent, or could not be.
    Reported {
        /// The last of them.
        last: Seq,
        /// The service's word on all of them.
        verdict: Verdict,
    },
    /// The service wants the listener to know something about a refusal; comes just before the news of the refusal.
    Said(Said),
    /// The service answered; comes just before the news of the answer, where [`Service::tell_time`] asked for it.
    Time {
        /// What time it said it was, seconds since 1970; `None`: it did not say.
        date_s: Option<i64>,
        /// How long the exchange took.
        took: Millis,
    },
}

/// The work was not taken: too much waits, or the client is closed. No news will come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too much work waits for the service thread")]
pub struct Full;

enum Work {
    Call(RequestId, Question),
    Report(Seq, Vec<EventReport>),
}

/// The playback service, asked from anywhere.
pub struct Service {
    work: Option<SyncSender<Work>>,
    connections: Connections,
    closing: Arc<AtomicBool>,
    tells_time: Arc<AtomicBool>,
    /// Says that the thread is over, by being dropped.
    done: Receiver<()>,
}

impl Service {
    /// Checks the settings and starts the thread; connects to nobody yet. `news` is called on the thread and never blocks.
    pub fn start(settings: Settings, news: Arc<dyn Fn(News) + Send + Sync>) -> Result<Self, ServiceError> {
        Self::start_with(settings, Patience::default(), news)
    }

    fn start_with(
        settings: Settings,
        patience: Patience,
        news: Arc<dyn Fn(News) + Send + Sync>,
    ) -> Result<Self, ServiceError> {
        let client = Client::new(settings, patience)?;
        let connections = client.connections();
        let closing = Arc::new(AtomicBool::new(false));
        let (work, inbox) = sync_channel(WORK_MAX);
        let (over, done) = channel();
        let leaving = Arc::clone(&closing);
        let tells_time = Arc::new(AtomicBool::new(false));
        let telling = Arc::clone(&tells_time);
        thread::Builder::new()
            .name("service".to_owned())
            .spawn(move || {
                let _over = over;
                let tell = |one: News| match one {
                    News::Time { .. } if !telling.load(Ordering::Acquire) => {}
                    told @ (News::Answered { .. } | News::Reported { .. } | News::Said(_) | News::Time { .. }) => {
                        news(told);
                    }
                };
                serve(client, &inbox, &leaving, &tell);
            })
            .map_err(ServiceError::Thread)?;
        Ok(Self {
            work: Some(work),
            connections,
            closing,
            tells_time,
            done,
        })
    }

    /// Asks a question. Answered by exactly one [`News::Answered`] if taken.
    pub fn call(&self, request: RequestId, question: Question) -> Result<(), Full> {
        self.give(Work::Call(request, question))
    }

    /// Sends events, oldest first: several only if [`Settings::event_batch_path`] takes them. Answered by exactly one
    /// [`News::Reported`] if taken.
    pub fn report(&self, last: Seq, events: Vec<EventReport>) -> Result<(), Full> {
        self.give(Work::Report(last, events))
    }

    /// From now on what time the service says it is comes with its answers as [`News::Time`], or does not.
    pub fn tell_time(&self, is_told: bool) {
        self.tells_time.store(is_told, Ordering::Release);
    }

    fn give(&self, work: Work) -> Result<(), Full> {
        self.work.as_ref().ok_or(Full)?.try_send(work).map_err(|_| Full)
    }

    /// The way to the service is another one: what is under way is answered as unreachable, and the next exchange
    /// connects anew.
    pub fn reconnect(&self) {
        self.connections.renew();
    }

    /// Cuts what is under way short and leaves. Work that was not done is answered as unreachable.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        self.work = None;
        self.connections.close();
        if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) =
            self.done.recv_timeout(Duration::from_millis(CLOSE_MS_MAX))
        {
            log::debug!("service: the thread is still looking up or connecting; not waiting for it");
        }
    }
}

/// Works until nobody can give work any more.
fn serve(mut client: Client, inbox: &Receiver<Work>, closing: &AtomicBool, news: &dyn Fn(News)) {
    for work in inbox {
        let unreachable = Refusal::from(Failure::Unreachable);
        let is_leaving = closing.load(Ordering::Acquire);
        let (said, outcome) = match work {
            Work::Call(request, question) => {
                let ask = || {
                    if is_leaving {
                        Err(unreachable)
                    } else {
                        client.ask(&question)
                    }
                };
                let result = guarded(question.operation(), ask);
                let said = result.as_ref().err().and_then(|refusal| refusal.said.clone());
                let result = result.map_err(|refusal| refusal.failure);
                (said, News::Answered { request, result })
            }
            Work::Report(last, events) => {
                let report = || {
                    if is_leaving {
                        Err(unreachable)
                    } else {
                        client.report(&events)
                    }
                };
                let result = guarded("event", report);
                let verdict = result.as_ref().map_or_else(Refusal::verdict, |()| Verdict::Accepted);
                let said = result.err().and_then(|refusal| refusal.said);
                (said, News::Reported { last, verdict })
            }
        };
        if let Some(time) = client.take_time() {
            news(time);
        }
        if let Some(said) = said {
            news(News::Said(said));
        }
        news(outcome);
    }
}

/// Runs `act`; a panic in it (a library met an answer its author never thought of) costs this one answer only.
fn guarded<T>(operation: &str, act: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| {
        log::error!("service: {operation}: panicked on the answer (Garbled)");
        Err(Failure::Garbled.into())
    })
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
