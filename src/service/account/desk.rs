//! What the account thread, the service thread and the loop share: wishes, the access token, and who waits for another.
//!
//! It holds and hands over; it asks nobody and decides nothing.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::credentials::{Credentials, NoToken, Token};

/// What the listener wants of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A code to link with.
    Link,
    /// No account any more.
    Unlink,
}

/// What the account thread is to look at next.
#[derive(Debug, Default)]
pub struct Wishes {
    /// The listener's last word.
    pub listener: Option<Wish>,
    /// The playback service refused the token in use.
    pub is_refused: bool,
    /// The network is back: nothing waits for its turn after a failure.
    pub hurries: bool,
    /// The speaker leaves.
    pub closing: bool,
}

impl Wishes {
    fn are_none(&self) -> bool {
        self.listener.is_none() && !self.is_refused && !self.hurries && !self.closing
    }
}

#[derive(Debug)]
struct State {
    wishes: Wishes,
    access: Option<Token>,
    /// Renewals that failed, and how the last one did: those who wait see that their turn is over.
    failures: u64,
    failure: NoToken,
    closed: bool,
}

/// The meeting place.
#[derive(Debug)]
pub struct Desk {
    state: Mutex<State>,
    /// There is a wish.
    wished: Condvar,
    /// A renewal is over.
    renewed: Condvar,
    /// Longest wait for a renewal.
    renewal_max: Duration,
}

impl Desk {
    /// With the access token that is there already.
    pub fn new(access: Option<Token>, renewal_max: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                wishes: Wishes::default(),
                access,
                failures: 0,
                failure: NoToken::Later,
                closed: false,
            }),
            wished: Condvar::new(),
            renewed: Condvar::new(),
            renewal_max,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a wish; it takes the place of an earlier one.
    pub fn wish(&self, wish: Wish) {
        self.state().wishes.listener = Some(wish);
        self.wished.notify_one();
    }

    /// What failed is to be tried again at once.
    pub fn hurry(&self) {
        self.state().wishes.hurries = true;
        self.wished.notify_one();
    }

    /// The thread is to end.
    pub fn close(&self) {
        self.state().wishes.closing = true;
        self.wished.notify_one();
    }

    /// The thread has ended: nobody is to wait for it.
    pub fn closed(&self) {
        self.state().closed = true;
        self.renewed.notify_all();
    }

    /// Takes the wishes; waits for one until `wait` is over, or for ever.
    pub fn wishes(&self, wait: Option<Duration>) -> Wishes {
        let begun = Instant::now();
        let mut state = self.state();
        while state.wishes.are_none() {
            state = match wait {
                None => self.wished.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    let left = wait.saturating_sub(begun.elapsed());
                    if left.is_zero() {
                        break;
                    }
                    let woken = self.wished.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        std::mem::take(&mut state.wishes)
    }

    /// Somebody was refused and nobody looked at it yet.
    #[cfg(test)]
    pub fn is_refusal_waiting(&self) -> bool {
        self.state().wishes.is_refused
    }

    /// From now on this token is sent; `None`: the account is gone.
    pub fn publish(&self, access: Option<Token>) {
        let mut state = self.state();
        state.access = access;
        state.wishes.is_refused = false;
        self.renewed.notify_all();
    }

    /// A renewal came to nothing. That answers everybody who waits.
    pub fn failed(&self, failure: NoToken) {
        let mut state = self.state();
        state.failures += 1;
        state.failure = failure;
        state.wishes.is_refused = false;
        self.renewed.notify_all();
    }
}

impl Credentials for Desk {
    fn token(&self) -> Result<Option<Token>, NoToken> {
        self.state().access.clone().map(Some).ok_or(NoToken::NotLinked)
    }

    /// Everybody who waits at the same time waits for the same request.
    fn renew(&self, refused: Option<&Token>) -> Result<Token, NoToken> {
        let begun = Instant::now();
        let mut state = self.state();
        let failures = state.failures;
        loop {
            match &state.access {
                None => return Err(NoToken::NotLinked),
                Some(access) if Some(access) != refused => return Ok(access.clone()),
                Some(_) => {}
            }
            if state.failures != failures {
                return Err(state.failure);
            }
            let left = self.renewal_max.saturating_sub(begun.elapsed());
            if state.closed || left.is_zero() {
                return Err(NoToken::Later);
            }
            state.wishes.is_refused = true;
            self.wished.notify_one();
            let woken = self.renewed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
