//! Code pairs: a device asks for one, a person approves or denies it, the device polls until then. Knows no HTTP and
//! no clock.

use serde::{Deserialize, Serialize};

use super::grant::secret;
use super::judge::{Code, Violation};
use super::order::fingerprint;

/// Characters of a device code.
const DEVICE_CODE_CHARS: usize = 200;
/// Letters of a user code, in two groups of three. No vowels, so that no word comes out.
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Pairs that wait at a time, over ones included; the oldest is forgotten for a new one.
const PAIRS_MAX: usize = 32;
/// No device has to wait longer than this between two polls, however often it was told to slow down \[S\].
const INTERVAL_MS_MAX: i64 = 60_000;

/// One pair.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pair {
    device_code: u64,
    /// What a person types.
    pub user_code: String,
    /// Which application asks.
    pub client_id: String,
    /// For what.
    pub scope: String,
    /// When it is over.
    pub expires_ms: i64,
    interval_ms: i64,
    polled_ms: Option<i64>,
    brake: Brake,
    /// What became of it.
    pub state: State,
}

/// What a person made of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing yet.
    Waiting,
    /// Yes.
    Approved,
    /// No.
    Denied,
    /// Yes, and it became the link of this number.
    Linked(u64),
}

/// Whether the next poll is to be told to slow down, however well-behaved it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Brake {
    Off,
    On,
}

/// What a poll finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Poll {
    /// No such pair, or its tokens were fetched and used.
    Unknown,
    /// It is over.
    Expired,
    /// Asked again too soon, or so it was ordered.
    SlowDown(Option<Violation>),
    /// Nobody approved it yet.
    Pending,
    /// Somebody said no.
    Denied,
    /// Somebody said yes.
    Approved,
    /// It became this link before.
    Linked(u64),
}

/// All pairs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pairs(Vec<Pair>);

/// A user code as it is compared: people leave out the dash and do not mind the case.
fn plain(user_code: &str) -> String {
    user_code
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_uppercase())
        .collect()
}

fn fresh_user_code() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes)?;
    let mut letters = bytes
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()).copied())
        .map(char::from);
    let first: String = letters.by_ref().take(3).collect();
    Ok(format!("{first}-{}", letters.collect::<String>()))
}

impl Pairs {
    /// A new pair; gives the device code, which is nowhere else.
    pub fn create(
        &mut self,
        (client_id, scope): (&str, &str),
        now_ms: i64,
        (life_ms, interval_ms): (i64, i64),
    ) -> Result<(String, &Pair), getrandom::Error> {
        let device_code = secret("", DEVICE_CODE_CHARS)?;
        let user_code = loop {
            let user_code = fresh_user_code()?;
            if self.0.iter().all(|pair| pair.user_code != user_code) {
                break user_code;
            }
        };
        let surplus = self.0.len().saturating_add(1).saturating_sub(PAIRS_MAX);
        self.0.drain(..surplus);
        let place = self.0.len();
        self.0.push(Pair {
            device_code: fingerprint(&device_code),
            user_code,
            client_id: client_id.to_owned(),
            scope: scope.to_owned(),
            expires_ms: now_ms.saturating_add(life_ms),
            interval_ms,
            polled_ms: None,
            brake: Brake::Off,
            state: State::Waiting,
        });
        // The one that was just put there.
        let pair = self.0.get(place).ok_or(getrandom::Error::UNEXPECTED)?;
        Ok((device_code, pair))
    }

    /// The pair of these two codes.
    pub fn find(&self, device_code: u64, user_code: &str) -> Option<&Pair> {
        self.0
            .iter()
            .find(|pair| pair.device_code == device_code && pair.user_code == user_code)
    }

    /// A device polls.
    pub fn poll(&mut self, device_code: u64, user_code: &str, now_ms: i64) -> Poll {
        let pair = self
            .0
            .iter_mut()
            .find(|pair| pair.device_code == device_code && pair.user_code == user_code);
        let Some(pair) = pair else { return Poll::Unknown };
        if let State::Linked(link) = pair.state {
            return Poll::Linked(link);
        }
        if now_ms >= pair.expires_ms {
            return Poll::Expired;
        }
        let since_ms = pair.polled_ms.replace(now_ms).map(|at| now_ms.saturating_sub(at));
        let ordered = std::mem::replace(&mut pair.brake, Brake::Off) == Brake::On;
        // A tenth is forgiven: requests do not all take equally long.
        let early_ms = since_ms.filter(|since| *since < pair.interval_ms.saturating_mul(9) / 10);
        if ordered || early_ms.is_some() {
            let finding = early_ms.map(|since_ms| {
                let detail = format!(
                    "polled {since_ms} ms after the poll before, not {} ms",
                    pair.interval_ms
                );
                Violation::new(Code::PolledTooFast, detail)
            });
            pair.interval_ms = pair.interval_ms.saturating_mul(2).min(INTERVAL_MS_MAX);
            return Poll::SlowDown(finding);
        }
        match pair.state {
            State::Waiting => Poll::Pending,
            State::Denied => Poll::Denied,
            State::Approved => Poll::Approved,
            State::Linked(link) => Poll::Linked(link),
        }
    }

    /// The pair became a link.
    pub fn became(&mut self, device_code: u64, link: u64) {
        if let Some(pair) = self.0.iter_mut().find(|pair| pair.device_code == device_code) {
            pair.state = State::Linked(link);
        }
    }

    /// A person decides about the pair of a code. An error says why there is nothing to decide.
    pub fn decide(&mut self, user_code: &str, decision: State, now_ms: i64) -> Result<&Pair, String> {
        let wanted = plain(user_code);
        let pair = self.0.iter_mut().find(|pair| plain(&pair.user_code) == wanted);
        let pair = pair.ok_or_else(|| "there is no such code".to_owned())?;
        let code = &pair.user_code;
        match pair.state {
            State::Linked(_) => Err(format!("{code} is linked already")),
            State::Waiting | State::Approved | State::Denied if now_ms >= pair.expires_ms => {
                Err(format!("{code} is over; the device has to show a new one"))
            }
            State::Waiting | State::Approved | State::Denied => {
                pair.state = decision;
                Ok(pair)
            }
        }
    }

    /// The next poll of every pair is told to slow down.
    pub fn slow_down(&mut self) {
        for pair in &mut self.0 {
            pair.brake = Brake::On;
        }
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: i64 = 600_000;
    const INTERVAL: i64 = 30_000;

    fn pairs() -> (Pairs, u64, String) {
        let mut pairs = Pairs::default();
        let (device_code, pair) = pairs.create(("app", "s"), 0, (LIFE, INTERVAL)).unwrap();
        let user_code = pair.user_code.clone();
        (pairs, fingerprint(&device_code), user_code)
    }

    #[test]
    fn a_user_code_is_two_groups_of_three_letters() {
        let (_, _, user_code) = pairs();
        let (left, right) = user_code.split_once('-').unwrap();
        assert_eq!((left.len(), right.len()), (3, 3), "{user_code}");
    }

    #[test]
    fn a_pair_waits_until_somebody_decides() {
        let (mut pairs, device, user) = pairs();
        assert_eq!(pairs.poll(device, &user, 0), Poll::Pending);
        pairs.decide(&user, State::Denied, 1).unwrap();
        assert_eq!(pairs.poll(device, &user, INTERVAL), Poll::Denied);
        pairs.decide(&user, State::Approved, 1).unwrap();
        assert_eq!(pairs.poll(device, &user, 2 * INTERVAL), Poll::Approved);
        pairs.became(device, 4);
        assert_eq!(pairs.poll(device, &user, 2 * INTERVAL), Poll::Linked(4));
    }

    #[test]
    fn people_type_codes_as_they_like() {
        let (mut pairs, _, user) = pairs();
        let typed = format!(" {} ", user.to_lowercase().replace('-', ""));
        assert!(pairs.decide(&typed, State::Approved, 1).is_ok());
    }

    #[test]
    fn a_pair_lapses_and_cannot_be_decided_any_more() {
        let (mut pairs, device, user) = pairs();
        assert_eq!(pairs.poll(device, &user, LIFE), Poll::Expired);
        assert!(pairs.decide(&user, State::Approved, LIFE).unwrap_err().contains("over"));
        assert_eq!(pairs.poll(device ^ 1, &user, 0), Poll::Unknown);
        assert_eq!(pairs.poll(device, "AAA-AAA", 0), Poll::Unknown);
    }

    #[test]
    fn polling_too_soon_is_found_and_doubles_the_interval() {
        let (mut pairs, device, user) = pairs();
        assert_eq!(pairs.poll(device, &user, 0), Poll::Pending);
        let Poll::SlowDown(Some(finding)) = pairs.poll(device, &user, 20_000) else {
            panic!("20 s are too soon");
        };
        assert_eq!(finding.code, Code::PolledTooFast);
        assert!(matches!(pairs.poll(device, &user, 60_000), Poll::SlowDown(Some(_))));
        assert_eq!(pairs.poll(device, &user, 120_000), Poll::Pending, "60 s are the most");
    }

    #[test]
    fn being_told_to_slow_down_without_a_reason_is_no_finding_but_counts() {
        let (mut pairs, device, user) = pairs();
        assert_eq!(pairs.poll(device, &user, 0), Poll::Pending);
        pairs.slow_down();
        assert_eq!(pairs.poll(device, &user, 30_000), Poll::SlowDown(None));
        assert!(matches!(pairs.poll(device, &user, 60_000), Poll::SlowDown(Some(_))));
    }

    #[test]
    fn pairs_do_not_pile_up() {
        let (mut pairs, device, user) = pairs();
        for _ in 0..PAIRS_MAX {
            pairs.create(("app", "s"), 0, (LIFE, INTERVAL)).unwrap();
        }
        assert_eq!(pairs.iter().count(), PAIRS_MAX);
        assert_eq!(pairs.poll(device, &user, 1), Poll::Unknown);
    }
}
