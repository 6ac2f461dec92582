//! The `account` thread: links, renews and unlinks, one request at a time. When is decided in `linking` and `renewal`.
//!
//! New tokens are on disk before anybody uses them, because the service may have made the old ones worthless.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tonearm_core::unit::{Millis, Moment};

use super::super::credentials::{NoToken, Token};
use super::desk::{Desk, Wish};
use super::grant::{Grant, GrantFile};
use super::linking::{Due, Linking, Turn};
use super::oauth::{Client, CodePair, Tokens, Trouble};
use super::renewal::{Cure, Renewal};
use super::{Clock, News, Start, Why};

/// How often storing tokens is tried again when the disk did not take them.
const SAVE_EVERY: Millis = Millis(60_000);
/// A stored token that claims to live longer was stored under a wrong clock: its age is not known.
const LEFT_S_MAX: i64 = 86_400;

/// What the thread works with.
pub struct Keeper {
    pub desk: Arc<Desk>,
    pub client: Client,
    pub file: GrantFile,
    pub clock: Clock,
    pub start: Start,
    pub news: Arc<dyn Fn(News) + Send + Sync>,
    pub linking: Linking,
    pub renewal: Renewal,
    /// The account, while one is linked.
    pub grant: Option<Grant>,
    /// When the grant is stored again, because the disk did not take it.
    pub save_at: Option<Moment>,
    /// What the log said last about trouble: the same is not said twice.
    pub complaint: String,
}

enum Step {
    Create,
    Poll(CodePair),
    Refresh,
    Save,
    Sleep(Option<Moment>),
}

impl Keeper {
    /// Works until the speaker leaves.
    pub fn run(mut self) {
        self.begin();
        let mut wait = Some(Duration::ZERO);
        loop {
            let wishes = self.desk.wishes(wait);
            if wishes.closing {
                break;
            }
            if let Some(wish) = wishes.listener {
                self.heed(wish);
            }
            if wishes.hurries {
                let now = self.now();
                self.linking.hurry(now);
                self.renewal.hurry(now);
            }
            if wishes.is_refused {
                self.cure();
            }
            wait = Some(Duration::ZERO);
            match self.next(self.now()) {
                Step::Create => self.create(),
                Step::Poll(pair) => self.poll(&pair),
                Step::Refresh => self.refresh(),
                Step::Save => self.save(),
                Step::Sleep(until) => {
                    wait = until.map(|until| Duration::from_millis(until.since(self.now()).0.into()));
                }
            }
        }
        self.desk.closed();
    }

    fn now(&self) -> Moment {
        (self.clock)().at
    }

    fn begin(&mut self) {
        let Some(grant) = &self.grant else {
            self.tell(News::Unlinked(Why::Never));
            return self.link_again();
        };
        let now = (self.clock)();
        let left = match (grant.expires_at_s, now.wall_s) {
            (Some(end_s), Some(now_s)) => Some(end_s.saturating_sub(now_s)).filter(|left_s| *left_s <= LEFT_S_MAX),
            (None, _) | (_, None) => None,
        };
        let left = left.map(|left_s| Millis::from_secs(u32::try_from(left_s).unwrap_or(0)));
        self.renewal.found(left, now.at);
        self.tell(News::Linked);
    }

    fn tell(&self, news: News) {
        (self.news)(news);
    }

    fn link_again(&mut self) {
        match self.start {
            Start::ByItself => self.linking.begin(),
            Start::OnRequest => {}
        }
    }

    fn heed(&mut self, wish: Wish) {
        match wish {
            Wish::Link if self.grant.is_none() => self.linking.begin(),
            // Whoever is linked must unlink first.
            Wish::Link => {}
            Wish::Unlink => {
                self.linking.end();
                self.unlink(Why::Asked);
            }
        }
    }

    fn next(&self, now: Moment) -> Step {
        let (linking_at, linking) = match (self.linking.due(), self.linking.shown()) {
            (Due::Never, _) | (Due::Poll(_), None) => (None, None),
            (Due::Create(at), _) => (Some(at), Some(Step::Create)),
            (Due::Poll(at), Some((pair, _))) => (Some(at), Some(Step::Poll(pair.clone()))),
        };
        let refresh_at = self.grant.as_ref().and_then(|_| self.renewal.due());
        let is_due = |at: Option<Moment>| at.is_some_and(|at| at <= now);
        match linking {
            Some(step) if is_due(linking_at) => step,
            Some(_) | None if is_due(self.save_at) => Step::Save,
            Some(_) | None if is_due(refresh_at) => Step::Refresh,
            Some(_) | None => Step::Sleep([linking_at, self.save_at, refresh_at].into_iter().flatten().min()),
        }
    }

    fn create(&mut self) {
        let answer = guarded(|| self.client.create());
        self.complain("ask for a code", answer.as_ref().err());
        let now = self.now();
        let turn = self.linking.created(answer, now);
        if let (Turn::GoOn, Some((pair, until))) = (&turn, self.linking.shown()) {
            let (address, code) = (pair.address.clone(), pair.user_code.clone());
            self.tell(News::Linking { address, code, until });
        }
        self.turned(turn);
    }

    fn poll(&mut self, pair: &CodePair) {
        let answer = guarded(|| self.client.poll(pair));
        match &answer {
            Err(Trouble::Pending | Trouble::SlowDown | Trouble::PairGone | Trouble::Declined) => {}
            Ok(_) | Err(Trouble::GrantGone | Trouble::Misconfigured(_) | Trouble::Later { .. }) => {
                self.complain("ask whether the code was entered", answer.as_ref().err());
            }
        }
        let now = self.now();
        let turn = self.linking.polled(answer, now);
        self.turned(turn);
    }

    fn turned(&mut self, turn: Turn) {
        match turn {
            Turn::GoOn => {}
            Turn::Granted(tokens) => {
                self.take(tokens, None);
                self.tell(News::Linked);
            }
            Turn::Declined => self.tell(News::Unlinked(Why::Declined)),
            Turn::Misconfigured(text) => self.tell(News::Misconfigured(text)),
        }
    }

    /// The playback service refused the token in use.
    fn cure(&mut self) {
        match &self.grant {
            None => self.desk.failed(NoToken::NotLinked),
            Some(_) => match self.renewal.cure(self.now()) {
                Cure::Renew => self.refresh(),
                Cure::Later => self.desk.failed(NoToken::Later),
                Cure::None => self.desk.failed(NoToken::NotLinked),
            },
        }
    }

    fn refresh(&mut self) {
        let Some(grant) = self.grant.clone() else { return };
        let answer = guarded(|| self.client.refresh(&grant.refresh));
        self.complain("renew the access token", answer.as_ref().err());
        let now = self.now();
        match answer {
            Ok(tokens) => {
                log::debug!("sign-in: the access token was renewed");
                self.take(tokens, Some(grant.refresh));
            }
            Err(Trouble::GrantGone) => self.lost(&grant),
            Err(Trouble::Misconfigured(text)) => {
                self.renewal.stop();
                self.tell(News::Misconfigured(text));
                self.desk.failed(NoToken::NotLinked);
            }
            Err(
                trouble @ (Trouble::Pending
                | Trouble::SlowDown
                | Trouble::PairGone
                | Trouble::Declined
                | Trouble::Later { .. }),
            ) => {
                self.renewal.failed(now, trouble.retry_after());
                self.desk.failed(NoToken::Later);
            }
        }
    }

    /// New tokens: on disk first, then in use. `refresh` is the token that got them and stays where none came with them.
    fn take(&mut self, tokens: Tokens, refresh: Option<Token>) {
        let Some(refresh) = tokens.refresh.or(refresh) else {
            return;
        };
        let now = (self.clock)();
        let life_s = i64::from(tokens.life.0 / 1000);
        self.renewal.obtained(tokens.life, now.at);
        self.grant = Some(Grant {
            refresh,
            access: tokens.access.clone(),
            expires_at_s: now.wall_s.map(|now_s| now_s.saturating_add(life_s)),
        });
        self.save();
        self.desk.publish(Some(tokens.access));
    }

    /// A failure costs only what a restart would need: the speaker goes on with what is in memory.
    fn save(&mut self) {
        let Some(grant) = &self.grant else { return };
        match self.file.save(grant) {
            Ok(()) => self.save_at = None,
            Err(error) => {
                if self.save_at.is_none() {
                    log::error!(
                        "the account cannot be stored: {error}. The speaker goes on, but after a restart it must be \
                         linked again; storing is tried again"
                    );
                }
                self.save_at = Some(self.now() + SAVE_EVERY);
            }
        }
    }

    /// The service does not know the refresh token any more. Another process may have stored a newer one.
    fn lost(&mut self, used: &Grant) {
        match self.file.load() {
            Ok(Some(stored)) if stored.refresh != used.refresh && self.save_at.is_none() => {
                log::info!("sign-in: the account on disk is a newer one; going on with it");
                self.desk.publish(Some(stored.access.clone()));
                self.grant = Some(stored);
            }
            Ok(_) | Err(_) => {
                self.unlink(Why::Revoked);
                self.link_again();
            }
        }
    }

    fn unlink(&mut self, why: Why) {
        self.grant = None;
        self.save_at = None;
        if let Err(error) = self.file.remove() {
            log::error!("the account cannot be removed from the disk: {error}");
        }
        self.desk.publish(None);
        self.tell(News::Unlinked(why));
    }

    /// Trouble goes to the log once, until it changes or is over.
    fn complain(&mut self, what: &str, trouble: Option<&Trouble>) {
        let complaint = trouble.map_or(String::new(), |trouble| format!("sign-in: {what}: {trouble}"));
        if !complaint.is_empty() && complaint != self.complaint {
            log::warn!("{complaint}");
        }
        self.complaint = complaint;
    }
}

/// A panic (a library met an answer its author never thought of) costs this one answer only.
fn guarded<T>(ask: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|_| {
        Err(Trouble::Later {
            words: "panicked on the answer".to_owned(),
            retry_after: None,
        })
    })
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
