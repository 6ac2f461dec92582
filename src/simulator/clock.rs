//! What time it is for the simulated account. Everything that ages or runs out asks here, so that a test or a person
//! may move time; nothing waits on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::ledger;

/// Where wall-clock time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Epoch milliseconds that a test sets, for the service and for its client.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests set a clock by hand"))]
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Epoch milliseconds, as a client on this machine reads them.
    pub fn wall_ms(&self) -> i64 {
        match self {
            Self::System => ledger::wall_ms(),
            Self::Manual(ms) => ms.load(Ordering::Relaxed),
        }
    }
}

/// The account's time: a clock, and how far it was moved ahead of it. Clients do not know of the latter.
#[derive(Clone, Debug, Default)]
pub struct Time {
    clock: Clock,
    ahead_ms: i64,
}

impl Time {
    /// The time of a clock that was moved ahead before.
    pub const fn new(clock: Clock, ahead_ms: i64) -> Self {
        Self { clock, ahead_ms }
    }

    /// Epoch milliseconds for the account: by these things age and run out.
    pub fn now_ms(&self) -> i64 {
        self.of_client(self.client_ms())
    }

    /// Epoch milliseconds as a client on this machine reads them: by these its reports are judged.
    pub fn client_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// The account's time of a moment that a client reported.
    pub const fn of_client(&self, client_ms: i64) -> i64 {
        client_ms.saturating_add(self.ahead_ms)
    }

    /// Moves the account's time forward; the clients' stays.
    pub fn advance(&mut self, seconds: u32) {
        self.ahead_ms = self.ahead_ms.saturating_add(i64::from(seconds).saturating_mul(1000));
    }

    /// How far the account is ahead of its clients.
    pub const fn ahead_ms(&self) -> i64 {
        self.ahead_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_until_it_is_set() {
        let ms = Arc::new(AtomicI64::new(5));
        let time = Time::new(Clock::Manual(Arc::clone(&ms)), 0);
        assert_eq!((time.now_ms(), time.now_ms()), (5, 5));
        ms.store(9, Ordering::Relaxed);
        assert_eq!(time.now_ms(), 9);
    }

    #[test]
    fn moving_ahead_moves_the_account_and_not_its_clients() {
        let mut time = Time::new(Clock::Manual(Arc::new(AtomicI64::new(1_000))), 500);
        time.advance(2);
        assert_eq!(
            (time.now_ms(), time.client_ms(), time.of_client(7)),
            (3_500, 1_000, 2_507)
        );
    }
}
