//! The loop: wait for an input or the deadline, hand it to the session, carry out the effects, show the status.
//!
//! It translates between the adapters' words and the core's; it decides nothing. Everything here runs on one thread.

mod account;
pub mod catalogue;
mod dispatch;
mod look;
mod metrics;
mod opened;
mod presence;
pub mod translate;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tonearm_core::effect::{Call, Wishes};
use tonearm_core::id::{ButtonId, RequestId, Seq, SourceKey};
use tonearm_core::input::{AudioNews, Contact, Failure, MediaFault, Press, Verdict};
use tonearm_core::unit::Moment;
use tonearm_core::{Effect, Input, Reach, Session};

use crate::audio::{Chime, Engine, urge};
use crate::cdm::{self, Licences};
use crate::device::clock::{self, Trust};
use crate::device::lights::Lights;
use crate::journal::{self, Journal};
use crate::media::{self, Library};
use crate::page::{self, Ask, Status};
use crate::service::{self, Service};
use crate::state::StateWriter;
use catalogue::Catalogue;
use look::Look;
use words::Words;

/// News that may wait for the loop. It takes microseconds to handle one, and the busiest source (a held
/// button that bounces) makes a few hundred a second.
const NEWS_MAX: usize = 1024;

/// Niceness of the loop where permitted: a press goes before whatever else a small board is doing.
const NICENESS: i32 = -10;

/// Something an adapter has to say.
#[derive(Debug)]
pub enum News {
    /// A button's contact.
    Edge(ButtonId, Contact),
    /// A key of the demo's terminal.
    #[cfg(feature = "simulator")]
    Press(Press),
    /// The service's client.
    Service(service::News),
    /// Signing in.
    Account(service::account::News),
    /// The fetcher.
    Media(media::News),
    /// The licence address of an entry is no good any more.
    Licence(cdm::Owner),
    /// The audio path.
    Audio(AudioNews),
    /// The journal.
    Stored(journal::Stored),
    /// Leave.
    Shutdown,
}

/// Where adapters put their news. Never waits: a full channel means that [`NEWS_MAX`] is wrong.
#[derive(Clone, Debug)]
pub struct Post(mpsc::Sender<News>);

impl Post {
    /// The post and the box it goes to.
    pub fn new() -> (Self, mpsc::Receiver<News>) {
        let (sender, receiver) = mpsc::channel(NEWS_MAX);
        (Self(sender), receiver)
    }

    /// Puts news into the box.
    pub fn send(&self, news: News) {
        if let Err(mpsc::error::TrySendError::Full(news)) = self.0.try_send(news) {
            log::error!("the loop is behind by {NEWS_MAX} inputs, this one is lost: {news:?}");
        }
    }

    /// An adapter's callback that wraps its news.
    pub fn callback<T>(&self, wrap: fn(T) -> News) -> Arc<dyn Fn(T) + Send + Sync>
    where
        T: 'static,
    {
        let post = self.clone();
        Arc::new(move |news| post.send(wrap(news)))
    }
}

/// Everything the effects are carried out by.
pub struct Adapters {
    /// The playback service's client.
    pub service: Service,
    /// Signing in; `None`: this speaker signs in nowhere.
    pub account: Option<service::account::Account>,
    /// What is loaded.
    pub library: Library,
    /// Licences and decryption modules.
    pub licences: Licences,
    /// The audio path.
    pub engine: Engine,
    /// The event journal.
    pub journal: Journal,
    /// The lights.
    pub lights: Lights,
    /// `session.json`.
    pub state: StateWriter,
}

/// The speaker: session, catalogue, adapters, and what ties them together.
pub struct App {
    /// Some tens of KiB: bounded queues instead of growing ones.
    session: Box<Session>,
    catalogue: Catalogue,
    adapters: Adapters,
    news: mpsc::Receiver<News>,
    asks: mpsc::Receiver<Ask>,
    /// What followers were last told.
    status: watch::Sender<Arc<Status>>,
    /// The service's name of this device.
    device: String,
    /// A look at the whole queue that somebody waits for.
    look: Look,
    /// What the service said last to the listener.
    words: Words,
    /// Calls under way: what was asked, for translating the answer.
    calls: HashMap<RequestId, Call>,
    /// The wish list.
    wishes: Wishes,
    /// It changed, and its heads are yet to be ordered to be decoded.
    has_new_wishes: bool,
    /// Inputs that the loop itself gives next: what could not even be tried.
    own: Vec<Input>,
    boot: journal::Boot,
    /// Dates events.
    calendar: clock::Calendar,
    /// Whether the journal knows what time it is in this boot.
    clock: Trust,
    /// Whether the service answered when last looked at.
    reach: Reach,
    /// How signing in stands.
    standing: account::Standing,
    /// The sound of the problem that there is.
    alarm: Option<Chime>,
    exit: Exit,
}

/// Whether the session asked to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    No,
    Asked,
}

/// What [`App::new`] is made from.
pub struct Parts {
    /// The mind.
    pub session: Box<Session>,
    /// The table of names.
    pub catalogue: Catalogue,
    /// The hands.
    pub adapters: Adapters,
    /// The ears.
    pub news: mpsc::Receiver<News>,
    /// What the page asks.
    pub asks: mpsc::Receiver<Ask>,
    /// The service's name of this device.
    pub device: String,
    /// This boot.
    pub boot: journal::Boot,
}

impl App {
    /// A speaker that has not begun yet.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            session,
            catalogue,
            adapters,
            news,
            asks,
            device,
            boot,
        } = parts;
        Self {
            session,
            catalogue,
            adapters,
            news,
            asks,
            status: watch::Sender::new(Arc::default()),
            device,
            look: Look::default(),
            words: Words::default(),
            calls: HashMap::new(),
            wishes: Wishes::new(),
            has_new_wishes: false,
            own: Vec::new(),
            boot,
            calendar: clock::Calendar::default(),
            clock: Trust::Doubtful,
            reach: Reach::Up,
            standing: account::Standing::default(),
            alarm: None,
            exit: Exit::No,
        }
    }

    /// Runs until the session leaves; gives the adapters back, to be closed.
    pub async fn run(mut self) -> Adapters {
        // Only now: threads take over the niceness of whoever starts them, and all others are there.
        urge(NICENESS);
        self.carry_out();
        while self.exit == Exit::No {
            let deadlines = [self.session.deadline(), self.words.until()];
            let deadline = deadlines.into_iter().flatten().min();
            tokio::select! {
                biased;
                Some(news) = self.news.recv() => self.take(news),
                Some(ask) = self.asks.recv() => self.reply(ask),
                () = until(deadline) => self.handle(Input::Tick),
            }
            while let Some(input) = self.own.pop() {
                self.handle(input);
            }
            self.words.forget_old(clock::now());
            self.go_on_looking();
            self.sound_alarm();
            self.show();
        }
        self.adapters
    }

    fn take(&mut self, news: News) {
        let input = match news {
            News::Edge(button, contact) => Input::Edge { button, contact },
            #[cfg(feature = "simulator")]
            News::Press(press) => Input::Press(press),
            News::Audio(news) => Input::Audio(news),
            News::Stored(stored) => Input::Stored {
                seq: stored.seq,
                durable: stored.durable,
            },
            News::Media(media::News { slot, entry, fault }) => Input::Media { slot, entry, fault },
            News::Licence(owner) => {
                let Some(wish) = self.wishes.iter().find(|wish| opened::owner(wish.entry) == owner) else {
                    return;
                };
                Input::Media {
                    slot: wish.slot,
                    entry: wish.entry,
                    fault: MediaFault::Expired,
                }
            }
            News::Service(service::News::Reported { last, verdict }) => Input::Reported { last, verdict },
            News::Service(service::News::Said(said)) => {
                log::info!("the service says: {said}");
                return self.words.said(said, clock::now());
            }
            News::Service(service::News::Answered { request, result }) if request == look::REQUEST => {
                return self.looked(result);
            }
            News::Service(service::News::Answered { request, result }) => {
                let Some(call) = self.calls.remove(&request) else {
                    return;
                };
                if matches!(result, Ok(service::Reply::Opened(_))) {
                    self.words = Words::default();
                }
                Input::Answer {
                    request,
                    answer: translate::answer(call, result, &self.device, &mut self.catalogue),
                }
            }
            News::Account(news) => return self.account_news(news),
            News::Shutdown => Input::Shutdown,
        };
        self.handle(input);
    }

    /// One input: the position heard first, because much depends on it; then the input; then what follows.
    fn handle(&mut self, input: Input) {
        let now = clock::now();
        if !matches!(input, Input::Audio(_))
            && let Some((play, position)) = self.adapters.engine.heard()
        {
            self.session
                .handle(Input::Audio(AudioNews::Heard { play, position }), now);
            self.carry_out();
        }
        log::trace!("{input:?}");
        let answered = matches!(input, Input::Answer { .. });
        self.session.handle(input, now);
        self.carry_out();
        if answered {
            self.catalogue.retain(|key| self.session.holds(key));
        }
        let reach = self.session.view(now).reach;
        if reach == Reach::Up && self.reach == Reach::Down {
            // The network is back: media need not wait for their own back-off.
            self.adapters.library.retry_now();
            self.adapters.licences.retry_now();
        }
        self.reach = reach;
    }

    fn carry_out(&mut self) {
        let mut is_playing_anew = false;
        while let Some(effect) = self.session.poll() {
            is_playing_anew |= matches!(effect, Effect::Play { .. });
            self.dispatch(effect);
        }
        if is_playing_anew {
            self.adapters.engine.look();
        }
        self.prepare();
    }

    fn reply(&mut self, ask: Ask) {
        let now = clock::now();
        let (press, reply) = match ask {
            Ask::Press { button, reply } => (presence::press(button), reply),
            Ask::Seek { position, reply } => (Press::Seek(position), reply),
            Ask::Play { request, reply } => {
                let source = self.given(request.play);
                (
                    Press::Start {
                        source,
                        mode: request.mode,
                    },
                    reply,
                )
            }
            Ask::Enqueue { play, place, reply } => (presence::enqueue(self.given(play), place), reply),
            Ask::Queue { reply } => return self.look(reply),
            Ask::Account { wish, reply } => {
                drop(reply.send(self.standing.ask(wish, self.adapters.account.as_ref())));
                return;
            }
            Ask::Status { reply } => {
                drop(reply.send(self.current_status()));
                return;
            }
            Ask::Follow { reply } => {
                // While nobody followed, nobody was told.
                self.status.send_replace(Arc::new(self.current_status()));
                drop(reply.send(self.status.subscribe()));
                return;
            }
            Ask::Metrics { reply } => {
                drop(reply.send(metrics::text(&self.session, &self.adapters)));
                return;
            }
        };
        let permitted = self.session.permits(press, now).map_err(page::Reason::from);
        // A refused press is pressed all the same: light and sound answer it like any other.
        self.handle(Input::Press(press));
        drop(reply.send(permitted));
    }

    /// The key of something given on the page.
    fn given(&mut self, play: page::PlayParams) -> SourceKey {
        let session = &self.session;
        let holds = |source| session.holds_source(source);
        self.catalogue.give(presence::play_params(play), holds)
    }

    /// The call could not even be handed over.
    fn unasked(&mut self, request: RequestId, failure: Failure) {
        self.calls.remove(&request);
        let answer = tonearm_core::input::Answer::Failed(failure);
        self.own.push(Input::Answer { request, answer });
    }

    fn unreported(&mut self, seq: Seq, verdict: Verdict) {
        self.own.push(Input::Reported { last: seq, verdict });
    }

    fn current_status(&self) -> Status {
        let now = clock::now();
        let status = presence::status(&self.session, &self.catalogue, &self.adapters, self.boot, now);
        Status {
            upsell: self.words.shown(),
            account: self.standing.shown(status.account),
            linking: self.standing.code(now),
            account_problem: self.standing.problem(),
            ..status
        }
    }

    /// A problem that comes is told once by sound; the page says which, and the light stays.
    fn sound_alarm(&mut self) {
        let alarm = self.session.view(clock::now()).problem.and_then(presence::alarm);
        if let Some(chime) = alarm.filter(|_| alarm != self.alarm) {
            self.adapters.engine.chime(chime);
        }
        self.alarm = alarm;
    }

    /// Tells those who follow, if there are any.
    fn show(&self) {
        if self.status.receiver_count() == 0 {
            return;
        }
        let status = self.current_status();
        self.status.send_if_modified(|shown| {
            let changed = **shown != status;
            *shown = Arc::new(status);
            changed
        });
    }
}

/// Sleeps until a moment of the boot clock; for ever without one.
async fn until(deadline: Option<Moment>) {
    match deadline {
        Some(at) => tokio::time::sleep(Duration::from_millis(u64::from(at.since(clock::now()).0))).await,
        None => std::future::pending().await,
    }
}
