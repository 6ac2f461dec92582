//! How signing in stands. While there is no account, nothing is asked and no event is sent: it would only be refused.

use super::Session;
use crate::input::{Account, Failure};
use crate::refusal::{Notice, Problem, Refusal};
use crate::unit::Moment;

impl Session {
    pub(super) fn account_is(&mut self, account: Account, now: Moment) {
        self.account = account;
        match account {
            Account::Linked => {
                self.troubles.clear(Problem::Linking);
                self.troubles.clear(Problem::NotLinked);
                self.link.hurry();
            }
            Account::Linking => {
                self.troubles.raise(Problem::Linking);
                self.troubles.clear(Problem::NotLinked);
                self.nobody_asks(now);
            }
            Account::Unlinked => {
                self.troubles.clear(Problem::Linking);
                self.troubles.raise(Problem::NotLinked);
                self.nobody_asks(now);
                self.forget_others();
            }
        }
        self.tell_account(account);
    }

    /// Presses that wait for the service are refused rather than followed later.
    fn nobody_asks(&mut self, now: Moment) {
        self.presses_failed(Failure::Unauthorised, now);
        if self.service.opening.take().is_some() {
            self.opening_failed(Failure::Unauthorised, now);
        }
    }

    /// Only a change is told: how it stood when the speaker started is no news. A code that waits is not yet a change.
    fn tell_account(&mut self, account: Account) {
        let notice = match (self.account_told, account) {
            (Some(Account::Unlinked | Account::Linking), Account::Linked) => Some(Notice::Linked),
            (Some(Account::Linked), Account::Unlinked) => Some(Notice::Unlinked),
            (Some(_) | None, _) => None,
        };
        if let Some(notice) = notice {
            self.tell(notice);
        }
        if account != Account::Linking || self.account_told.is_none() {
            self.account_told = Some(account);
        }
    }

    /// The service can be asked as far as the account is concerned.
    pub(super) fn is_linked(&self) -> bool {
        match self.account {
            Account::Linked => true,
            Account::Linking | Account::Unlinked => false,
        }
    }

    pub(super) fn needs_account(&self) -> Result<(), Refusal> {
        if self.is_linked() {
            Ok(())
        } else {
            Err(Refusal::NotLinked)
        }
    }

    /// The service did not accept the account. While it is known not to be linked, that is no news.
    pub(super) fn not_accepted(&mut self) {
        if self.is_linked() {
            self.troubles.raise(Problem::NotLinked);
        }
    }

    /// The service accepted the account.
    pub(super) fn accepted(&mut self) {
        if self.is_linked() {
            self.troubles.clear(Problem::NotLinked);
        }
    }
}
