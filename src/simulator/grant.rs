//! Links between the account and applications: the tokens of each, what they are worth, and who used them too often.
//! Keeps fingerprints of tokens, never tokens; knows no HTTP and no clock.

use serde::{Deserialize, Serialize};

use super::judge::{Code, Violation};
use super::order::fingerprint;

/// Characters of an access token: within the 1 to 2 KiB of real ones.
const ACCESS_CHARS: usize = 1_400;
/// Characters of a refresh token; different from an access token, so that mixing them up is seen.
const REFRESH_CHARS: usize = 1_100;
/// Access tokens of a link that are known, expired ones included: an older one counts as never issued.
const ACCESS_MAX: usize = 32;
/// Replaced refresh tokens of a link that are known: an older one counts as never issued.
const RETIRED_MAX: usize = 64;
/// Refreshes without need within the life of a token: a few may come from restarts, more are a loop.
const NEEDLESS_MAX: usize = 5;
/// What base64 is made of. `+`, `/` and `=` are in it, so that careless form encoding is found out.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Beginning of every access token.
pub const ACCESS: &str = "Atza|";
/// Beginning of every refresh token.
pub const REFRESH: &str = "Atzr|";

/// A text of so many random characters behind `prefix`.
pub fn secret(prefix: &str, chars: usize) -> Result<String, getrandom::Error> {
    let mut bytes = vec![0; chars.saturating_sub(prefix.len())];
    getrandom::fill(&mut bytes)?;
    let letters = bytes
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte & 63)).copied());
    Ok(prefix
        .chars()
        .chain(letters.map(char::from))
        .chain("==".chars())
        .collect())
}

/// An access token that was given out.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Access {
    print: u64,
    expires_ms: i64,
}

/// Tokens as they are handed out. Not kept, not shown.
pub struct Tokens {
    /// For `Authorization`.
    pub access: String,
    /// For the next refresh; none where the old one stays.
    pub refresh: Option<String>,
}

/// One application that may act for the account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Link {
    /// Which one, from 1.
    pub number: u64,
    /// Which application.
    pub client_id: String,
    /// What it may do.
    pub scope: String,
    refresh: u64,
    /// The refresh token before, as long as nobody used what replaced it: the answer may have been lost.
    before: Option<u64>,
    /// The device code the link came from, just as long and for the same reason.
    pair: Option<u64>,
    retired: Vec<u64>,
    access: Vec<Access>,
    refreshed_ms: i64,
    /// Moments of refreshes that nothing asked for.
    needless_ms: Vec<i64>,
    standing: Standing,
}

/// Whether the service turned down a request of the link since its last refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Good,
    TurnedDown,
}

/// What an access token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It is good.
    Live,
    /// It was.
    Expired,
}

/// Which of a link's refresh tokens somebody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// The one that counts.
    Current,
    /// The one before, whose replacement may never have arrived.
    Before,
    /// One that was replaced long ago.
    Retired,
}

impl Link {
    /// A link that grew out of a code pair; no tokens yet.
    pub fn new(number: u64, client_id: &str, scope: &str, device_code: u64) -> Self {
        Self {
            number,
            client_id: client_id.to_owned(),
            scope: scope.to_owned(),
            refresh: 0,
            before: None,
            pair: Some(device_code),
            retired: Vec::new(),
            access: Vec::new(),
            refreshed_ms: 0,
            needless_ms: Vec::new(),
            standing: Standing::Good,
        }
    }

    /// The pair may be exchanged once more: nothing that came of it was used yet.
    pub fn awaits(&self, device_code: u64) -> bool {
        self.pair == Some(device_code)
    }

    /// The first tokens, or the same step again because its answer was lost.
    pub fn begin(&mut self, now_ms: i64, life_ms: i64) -> Result<Tokens, getrandom::Error> {
        let access = self.new_access(now_ms, life_ms)?;
        let refresh = self.new_refresh()?;
        Ok(Tokens {
            access,
            refresh: Some(refresh),
        })
    }

    fn new_access(&mut self, now_ms: i64, life_ms: i64) -> Result<String, getrandom::Error> {
        let access = secret(ACCESS, ACCESS_CHARS)?;
        self.access.push(Access {
            print: fingerprint(&access),
            expires_ms: now_ms.saturating_add(life_ms),
        });
        let surplus = self.access.len().saturating_sub(ACCESS_MAX);
        self.access.drain(..surplus);
        self.refreshed_ms = now_ms;
        self.standing = Standing::Good;
        Ok(access)
    }

    fn new_refresh(&mut self) -> Result<String, getrandom::Error> {
        let refresh = secret(REFRESH, REFRESH_CHARS)?;
        self.refresh = fingerprint(&refresh);
        Ok(refresh)
    }

    /// Which of its refresh tokens this is, if it is one.
    pub fn knows(&self, refresh: u64) -> Option<Refresh> {
        if refresh == self.refresh {
            Some(Refresh::Current)
        } else if self.before == Some(refresh) {
            Some(Refresh::Before)
        } else {
            self.retired.contains(&refresh).then_some(Refresh::Retired)
        }
    }

    /// A new access token, and a new refresh token that replaces the old one.
    pub fn rotate(&mut self, held: Refresh, now_ms: i64, life_ms: i64) -> Result<Tokens, getrandom::Error> {
        let replaced = self.refresh;
        let tokens = self.begin(now_ms, life_ms)?;
        match held {
            Refresh::Current => {
                self.used();
                self.before = Some(replaced);
            }
            // What replaced it first never arrived: it is the one that is out of use.
            Refresh::Before | Refresh::Retired => self.retire(replaced),
        }
        Ok(tokens)
    }

    /// A new access token; the refresh token stays.
    pub fn renew(&mut self, now_ms: i64, life_ms: i64) -> Result<Tokens, getrandom::Error> {
        self.used();
        Ok(Tokens {
            access: self.new_access(now_ms, life_ms)?,
            refresh: None,
        })
    }

    fn retire(&mut self, refresh: u64) {
        self.retired.push(refresh);
        let surplus = self.retired.len().saturating_sub(RETIRED_MAX);
        self.retired.drain(..surplus);
    }

    /// What was given out last has arrived: what it replaced is out of use.
    fn used(&mut self) {
        self.pair = None;
        if let Some(before) = self.before.take() {
            self.retire(before);
        }
    }

    /// What an access token is worth; `None`: it is not of this link. Using the newest one shows that it arrived.
    pub fn worth(&mut self, access: u64, now_ms: i64) -> Option<Worth> {
        let place = self.access.iter().position(|known| known.print == access)?;
        let expires_ms = self.access.get(place)?.expires_ms;
        if place.saturating_add(1) == self.access.len() {
            self.used();
        }
        Some(if now_ms < expires_ms {
            Worth::Live
        } else {
            Worth::Expired
        })
    }

    /// The service answered 401 to a request with this access token: a refresh has a reason.
    pub fn turned_down(&mut self, access: u64) {
        if self.access.iter().any(|known| known.print == access) {
            self.standing = Standing::TurnedDown;
        }
    }

    /// All its access tokens run out now.
    pub fn expire(&mut self, now_ms: i64) {
        for access in &mut self.access {
            access.expires_ms = access.expires_ms.min(now_ms);
        }
    }

    /// Judges a refresh before it is done: nobody needs one long before the token runs out, unless it was turned down.
    pub fn judge_refresh(&mut self, held: Refresh, now_ms: i64, life_ms: i64) -> Option<Violation> {
        match held {
            Refresh::Retired => Some(Violation::new(
                Code::RefreshReused,
                "a refresh token that was replaced, and whose replacement was used, came again",
            )),
            Refresh::Before => None,
            Refresh::Current => {
                let age_ms = now_ms.saturating_sub(self.refreshed_ms);
                if self.standing == Standing::TurnedDown || age_ms >= life_ms / 2 {
                    return None;
                }
                self.needless_ms.retain(|at| now_ms.saturating_sub(*at) < life_ms);
                self.needless_ms.push(now_ms);
                let count = self.needless_ms.len();
                if count <= NEEDLESS_MAX {
                    return None;
                }
                self.needless_ms.clear();
                let detail = format!("{count} refreshes within the life of one token, none of them needed");
                Some(Violation::new(Code::RefreshStorm, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: i64 = 3_600_000;

    fn link() -> (Link, Tokens) {
        let mut link = Link::new(1, "app", "music::playback", 7);
        let tokens = link.begin(0, LIFE).unwrap();
        (link, tokens)
    }

    fn print(token: Option<&String>) -> u64 {
        fingerprint(token.unwrap())
    }

    #[test]
    fn tokens_are_as_long_and_as_awkward_as_real_ones() {
        let (_, tokens) = link();
        assert!((1_024..2_048).contains(&tokens.access.len()));
        assert!(tokens.access.starts_with("Atza|") && tokens.access.ends_with('='));
        assert!(tokens.refresh.unwrap().starts_with("Atzr|"));
    }

    #[test]
    fn an_access_token_is_good_until_it_expires() {
        let (mut link, tokens) = link();
        let access = fingerprint(&tokens.access);
        assert_eq!(link.worth(access, LIFE - 1), Some(Worth::Live));
        assert_eq!(link.worth(access, LIFE), Some(Worth::Expired));
        assert_eq!(link.worth(access ^ 1, 0), None);
    }

    #[test]
    fn the_old_refresh_token_works_until_something_of_the_new_answer_was_used() {
        let (mut link, first) = link();
        let first = print(first.refresh.as_ref());
        let lost = link.rotate(Refresh::Current, 1, LIFE).unwrap();
        assert_eq!(link.knows(first), Some(Refresh::Before));
        let arrived = link.rotate(Refresh::Before, 2, LIFE).unwrap();
        assert_eq!(link.knows(print(lost.refresh.as_ref())), Some(Refresh::Retired));
        assert_eq!(
            link.knows(first),
            Some(Refresh::Before),
            "this answer may be lost as well"
        );
        link.worth(fingerprint(&arrived.access), 3);
        assert_eq!(link.knows(first), Some(Refresh::Retired));
        assert_eq!(link.knows(print(arrived.refresh.as_ref())), Some(Refresh::Current));
    }

    #[test]
    fn using_the_new_refresh_token_also_retires_the_old_one() {
        let (mut link, first) = link();
        let second = link.rotate(Refresh::Current, 1, LIFE).unwrap();
        link.rotate(Refresh::Current, 2, LIFE).unwrap();
        assert_eq!(link.knows(print(first.refresh.as_ref())), Some(Refresh::Retired));
        assert_eq!(link.knows(print(second.refresh.as_ref())), Some(Refresh::Before));
    }

    #[test]
    fn a_pair_may_be_exchanged_again_until_its_tokens_are_used() {
        let (mut link, tokens) = link();
        assert!(link.awaits(7));
        link.worth(fingerprint(&tokens.access), 1);
        assert!(!link.awaits(7));
    }

    #[test]
    fn refreshing_again_and_again_is_found_and_refreshing_in_need_is_not() {
        let found = |step_ms: i64, turned_down: bool| {
            let (mut link, mut tokens) = link();
            (1..=20)
                .filter_map(|n| {
                    if turned_down {
                        link.turned_down(fingerprint(&tokens.access));
                    }
                    let finding = link.judge_refresh(Refresh::Current, n * step_ms, LIFE);
                    tokens = link.rotate(Refresh::Current, n * step_ms, LIFE).unwrap();
                    finding
                })
                .count()
        };
        assert_eq!(found(1_000, false), 3, "at every sixth");
        assert_eq!(found(LIFE / 2, false), 0);
        assert_eq!(found(1_000, true), 0);
    }

    #[test]
    fn refreshing_again_because_answers_are_lost_is_no_storm() {
        let (mut link, _) = link();
        link.rotate(Refresh::Current, 0, LIFE).unwrap();
        for n in 1..50 {
            assert_eq!(link.judge_refresh(Refresh::Before, n, LIFE), None);
            link.rotate(Refresh::Before, n, LIFE).unwrap();
        }
    }

    #[test]
    fn a_refresh_token_out_of_use_is_found() {
        let (mut link, _) = link();
        let finding = link.judge_refresh(Refresh::Retired, 1, LIFE).unwrap();
        assert_eq!(finding.code, Code::RefreshReused);
    }
}
