//! Addresses of media: they run out, and can be made to run out at once. Knows no account and no track.

use serde::{Deserialize, Serialize};

/// How long an address is good if nobody says so, seconds: as long as a token, so that a long pause outlives it.
pub const LIFE_S: u32 = 3_600;

/// What an address that ran out is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Expired {
    /// 403.
    #[default]
    #[value(name = "403")]
    Forbidden,
    /// 410.
    #[value(name = "410")]
    Gone,
}

impl Expired {
    /// The status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Forbidden => 403,
            Self::Gone => 410,
        }
    }
}

/// The addresses of one run.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    life_ms: i64,
    /// What an address that ran out is answered with.
    pub expired: Expired,
    /// Addresses of an earlier issue are no good, whatever their time.
    issue: u32,
}

impl Addresses {
    /// Addresses that are good for so long.
    pub fn new(life_s: u32, expired: Expired) -> Self {
        Self {
            life_ms: i64::from(life_s).saturating_mul(1000),
            expired,
            issue: 0,
        }
    }

    /// The query of an address that is made now.
    pub fn query(&self, now_ms: i64) -> String {
        format!("expires={}&issue={}", now_ms.saturating_add(self.life_ms), self.issue)
    }

    /// Whether an address with this query is good.
    pub fn is_good(&self, query: &str, now_ms: i64) -> bool {
        let number = |name: &str| -> Option<i64> {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(other, _)| *other == name)?.1.parse().ok()
        };
        number("expires").is_some_and(|end_ms| now_ms < end_ms) && number("issue") == Some(i64::from(self.issue))
    }

    /// The part of a path that does what [`Self::query`] does in a query: relative addresses inherit it.
    pub fn token(&self, now_ms: i64) -> String {
        format!("{}-{}", now_ms.saturating_add(self.life_ms), self.issue)
    }

    /// Whether an address with this token is good.
    pub fn is_good_token(&self, token: &str, now_ms: i64) -> bool {
        token
            .split_once('-')
            .is_some_and(|(end, issue)| self.is_good(&format!("expires={end}&issue={issue}"), now_ms))
    }

    /// No address that was handed out is good any more.
    pub fn expire_all(&mut self) {
        self.issue = self.issue.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_good_until_its_time_or_until_all_are_called_in() {
        let mut addresses = Addresses::new(10, Expired::Forbidden);
        let query = addresses.query(1_000);
        assert!(addresses.is_good(&query, 10_999));
        assert!(!addresses.is_good(&query, 11_000));
        addresses.expire_all();
        assert!(!addresses.is_good(&query, 1_000));
        assert!(addresses.is_good(&addresses.query(1_000), 1_000));
        let token = addresses.token(1_000);
        assert!(addresses.is_good_token(&token, 10_999) && !addresses.is_good_token(&token, 11_000));
        addresses.expire_all();
        assert!(!addresses.is_good_token(&token, 1_000) && !addresses.is_good_token("x", 1_000));
    }

    #[test]
    fn an_address_without_a_time_is_no_good() {
        let addresses = Addresses::new(10, Expired::Gone);
        for query in ["", "expires=x&issue=0", "issue=0", "expires=99999"] {
            assert!(!addresses.is_good(query, 0), "{query}");
        }
    }
}
