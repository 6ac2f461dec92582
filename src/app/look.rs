//! The page's look at the whole queue. It is asked of the service beside the session's calls, when the session lets it
//! pass, one at a time; the answer goes to the page and nowhere else.

use tokio::sync::oneshot;
use tonearm_core::Input;
use tonearm_core::id::RequestId;
use tonearm_core::input::Failure;
use tonearm_core::refusal::Refusal;

use super::{App, presence};
use crate::device::clock;
use crate::page::{Queue, Reason};
use crate::service::{Question, Reply};

/// Number of the look's request. Those of the session count up from one and never get here.
pub(super) const REQUEST: RequestId = RequestId(u32::MAX);

/// Where the answer goes.
type Answer = oneshot::Sender<Result<Queue, Reason>>;

/// A look at the queue.
#[derive(Debug, Default)]
pub(super) enum Look {
    /// Nobody looks.
    #[default]
    No,
    /// Events or calls of the session come first.
    Waits(Answer),
    /// The service was asked.
    Asked(Answer),
}

impl App {
    /// Somebody wants to see the queue.
    pub(super) fn look(&mut self, answer: Answer) {
        match &self.look {
            Look::Asked(_) => return refuse(answer, busy()),
            Look::Waits(waiting) if !waiting.is_closed() => return refuse(answer, busy()),
            Look::Waits(_) | Look::No => {}
        }
        self.look = Look::Waits(answer);
    }

    /// Asks the service as soon as that may be done. Called after every input.
    pub(super) fn go_on_looking(&mut self) {
        self.look = match std::mem::take(&mut self.look) {
            Look::Waits(answer) => self.try_to_look(answer),
            look @ (Look::No | Look::Asked(_)) => look,
        };
    }

    fn try_to_look(&self, answer: Answer) -> Look {
        if answer.is_closed() {
            return Look::No;
        }
        let session = match self.session.may_look(clock::now()) {
            tonearm_core::Look::Later => return Look::Waits(answer),
            tonearm_core::Look::No(refusal) => Err(refusal),
            tonearm_core::Look::Now(session) => self.catalogue.session_name(session).ok_or(Refusal::NothingPlaying),
        };
        let asked = session.map_err(Reason::from).and_then(|session| {
            let session = session.to_owned();
            let asked = self.adapters.service.call(REQUEST, Question::Queue { session });
            asked.map_err(|_| busy())
        });
        match asked {
            Ok(()) => Look::Asked(answer),
            Err(reason) => {
                refuse(answer, reason);
                Look::No
            }
        }
    }

    /// The service answered.
    pub(super) fn looked(&mut self, result: Result<Reply, Failure>) {
        let Look::Asked(answer) = std::mem::take(&mut self.look) else {
            log::error!("the service answered a look at the queue that nobody asked for");
            return;
        };
        let listed = match result {
            Ok(Reply::Listed(playables)) => Ok(playables),
            Ok(Reply::Opened(_) | Reply::Sessions(_) | Reply::Done) => Err(Failure::Garbled),
            Err(failure) => Err(failure),
        };
        let view = self.session.view(clock::now());
        let current = view
            .entries
            .get(view.cursor)
            .and_then(|entry| self.catalogue.known(entry.key));
        let current = current.map(|known| known.playable.reference.as_str());
        let queue = match listed {
            Ok(playables) => Ok(presence::queue(playables, current)),
            Err(failure) => {
                self.handle(Input::Looked(failure));
                Err(reason(failure))
            }
        };
        drop(answer.send(queue));
    }
}

fn refuse(answer: Answer, reason: Reason) {
    drop(answer.send(Err(reason)));
}

/// One look at a time, and nothing is asked of a thread that is behind.
fn busy() -> Reason {
    Reason {
        error: "busy",
        text: "somebody else is looking at the queue, or too much is asked at once; try again".into(),
    }
}

/// Why there is nothing to show, for who looks.
fn reason(failure: Failure) -> Reason {
    match failure {
        Failure::Unreachable | Failure::WrongClock | Failure::Busy { .. } | Failure::Garbled => {
            Refusal::NoNetwork.into()
        }
        Failure::Unauthorised | Failure::Forbidden | Failure::NotFound | Failure::Refused => Reason {
            error: "service_refused",
            text: "the service does not show this queue; the log has its words".into(),
        },
        Failure::TakenOver => Reason {
            error: "taken_over",
            text: "another device plays with this account".into(),
        },
    }
}
