//! How signing in stands, as the loop knows it: the account thread's words for the session, the page and the log.

use tonearm_core::input;
use tonearm_core::unit::Moment;

use super::{App, Input};
use crate::page::{self, AccountWish, Invitation, Reason};
use crate::service::account::{Account, News, Why};

/// What the account thread said last. A speaker without sign-in never hears of it.
#[derive(Debug, Default)]
pub(super) struct Standing {
    state: State,
    code: Option<Shown>,
    /// What somebody must correct.
    problem: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unheard,
    Linked,
    Linking,
    Unlinked,
}

#[derive(Debug)]
struct Shown {
    address: String,
    code: String,
    until: Moment,
}

impl Standing {
    /// Takes news in. `None`: nothing changes for the session.
    fn note(&mut self, news: News) -> Option<input::Account> {
        let before = std::mem::take(self);
        match news {
            News::Linking { address, code, until } => {
                self.state = State::Linking;
                self.code = Some(Shown { address, code, until });
                Some(input::Account::Linking)
            }
            News::Linked => {
                self.state = State::Linked;
                Some(input::Account::Linked)
            }
            News::Unlinked(_) => {
                self.state = State::Unlinked;
                Some(input::Account::Unlinked)
            }
            News::Misconfigured(text) => {
                self.problem = Some(text);
                // A linked account works on until its token ends.
                let is_linked = before.state == State::Linked;
                self.state = if is_linked { State::Linked } else { State::Unlinked };
                (!is_linked).then_some(input::Account::Unlinked)
            }
        }
    }

    /// The code that waits to be entered; a lapsed one is not shown while the next is on its way.
    pub(super) fn code(&self, now: Moment) -> Option<Invitation> {
        let shown = self.code.as_ref().filter(|shown| now < shown.until)?;
        Some(Invitation {
            address: shown.address.clone(),
            code: shown.code.clone(),
            expires_in_s: shown.until.since(now).0 / 1000,
        })
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }

    /// What is shown, given what the session makes of the service's answers.
    pub(super) fn shown(&self, by_session: page::Account) -> page::Account {
        match (self.state, by_session) {
            (State::Linked, page::Account::Unknown) => page::Account::Linked,
            (State::Linked | State::Linking | State::Unlinked | State::Unheard, shown) => shown,
        }
    }

    /// Passes what the listener wants on to the account thread, or says why not.
    pub(super) fn ask(&self, wish: AccountWish, account: Option<&Account>) -> Result<(), Reason> {
        let refused = |error, text: &str| {
            Err(Reason {
                error,
                text: text.to_owned(),
            })
        };
        match (account, wish) {
            (None, _) => refused(
                "no_client_id",
                "this speaker signs in nowhere: set [service] client_id in its configuration and restart it",
            ),
            (Some(_), AccountWish::Link) if self.state == State::Linked => refused(
                "already_linked",
                "an account is linked already; `tonearm link --forget` unlinks it",
            ),
            (Some(account), AccountWish::Link) => {
                account.link();
                Ok(())
            }
            (Some(account), AccountWish::Unlink) => {
                account.unlink();
                Ok(())
            }
        }
    }
}

impl App {
    pub(super) fn account_news(&mut self, news: News) {
        log(&news);
        if let Some(account) = self.standing.note(news) {
            self.handle(Input::Account(account));
        }
    }
}

fn log(news: &News) {
    match news {
        News::Linking { address, code, .. } => {
            log::info!("to link an account with this speaker, open {address} and enter {code}");
        }
        News::Linked => log::debug!("an account is linked"),
        News::Unlinked(Why::Never) => log::info!("no account is linked"),
        News::Unlinked(Why::Asked) => log::info!("the account was forgotten, as asked"),
        News::Unlinked(Why::Revoked) => {
            log::warn!("the service does not know the link any more; link the account again");
        }
        News::Unlinked(Why::Declined) => {
            log::warn!("linking was declined at the service; `tonearm link` or the page asks for another code");
        }
        News::Misconfigured(text) => log::error!("signing in stopped: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linking(until: Moment) -> News {
        News::Linking {
            address: "https://example.com/code".into(),
            code: "ABC-DEF".into(),
            until,
        }
    }

    #[test]
    fn a_code_is_shown_until_it_lapses() {
        let mut standing = Standing::default();
        assert_eq!(standing.note(linking(Moment(600_000))), Some(input::Account::Linking));
        assert_eq!(standing.code(Moment(0)).unwrap().expires_in_s, 600);
        assert_eq!(standing.code(Moment(599_999)).unwrap().code, "ABC-DEF");
        assert_eq!(standing.code(Moment(600_000)), None);
    }

    #[test]
    fn the_code_is_gone_when_the_account_is_linked() {
        let mut standing = Standing::default();
        standing.note(linking(Moment(600_000)));
        assert_eq!(standing.note(News::Linked), Some(input::Account::Linked));
        assert_eq!(standing.code(Moment(0)), None);
        assert_eq!(standing.shown(page::Account::Unknown), page::Account::Linked);
        assert_eq!(standing.shown(page::Account::NotLinked), page::Account::NotLinked);
    }

    #[test]
    fn what_must_be_corrected_is_told_and_a_linked_account_stays() {
        let mut standing = Standing::default();
        assert_eq!(
            standing.note(News::Misconfigured("x".into())),
            Some(input::Account::Unlinked)
        );
        assert_eq!(standing.problem().as_deref(), Some("x"));
        standing.note(News::Linked);
        assert_eq!(standing.problem(), None);
        assert_eq!(standing.note(News::Misconfigured("y".into())), None);
        assert_eq!(standing.shown(page::Account::Unknown), page::Account::Linked);
    }

    #[test]
    fn a_speaker_that_signs_in_nowhere_says_so() {
        let reason = Standing::default().ask(AccountWish::Link, None).unwrap_err();
        assert_eq!(reason.error, "no_client_id");
    }
}
