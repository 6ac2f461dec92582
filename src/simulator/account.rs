//! The sign-in server's side of the account: who may link, which requests carry a good token. The rules of the contract
//! for linking by code; no HTTP and no clock.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::grant::{Link, Refresh, Tokens, Worth};
use super::judge::Violation;
use super::order::fingerprint;
use super::pairing::{Pairs, Poll, State};

/// Links at a time; the oldest is forgotten for a new one. A household has fewer speakers.
const LINKS_MAX: usize = 16;
/// What an application may ask for begins with one of these.
const SCOPES: [&str; 2] = ["music::", "profile"];

/// Whether requests need a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SignIn {
    /// Everybody may ask.
    #[default]
    Off,
    /// Every request under `/v1/` carries a token.
    Required,
}

/// Whether a refresh replaces the refresh token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// Every time.
    #[default]
    Always,
    /// Never: the answer carries none.
    Never,
}

/// Whether the linked account can play music at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MusicAccount {
    /// It can.
    #[default]
    Found,
    /// It has no music: every request is refused.
    Missing,
}

/// How signing in goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, clap::Args)]
pub struct Linking {
    /// Seconds a code can be approved
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    pub code_life: u32,
    /// Seconds a device has to wait between two polls
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub code_interval: u32,
    /// Seconds an access token lives
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    pub token_life: u32,
    /// Whether a refresh replaces the refresh token
    #[arg(long, value_enum, default_value_t = Rotation::Always)]
    pub rotation: Rotation,
    /// Only application that may link [default: any]
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// Whether the linked account can play music.
    #[arg(skip)]
    pub music_account: MusicAccount,
}

impl Default for Linking {
    /// What the contract says.
    fn default() -> Self {
        Self {
            code_life: 600,
            code_interval: 30,
            token_life: 3600,
            rotation: Rotation::default(),
            client_id: None,
            music_account: MusicAccount::default(),
        }
    }
}

/// Linking that somebody wants to change; what is left out stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    sign_in: Option<SignIn>,
    code_life: Option<u32>,
    code_interval: Option<u32>,
    token_life: Option<u32>,
    rotation: Option<Rotation>,
    client_id: Option<String>,
    music_account: Option<MusicAccount>,
}

/// A form as it was sent: names and values.
pub type Form = Vec<(String, String)>;

/// An error of the sign-in server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// `error`.
    pub error: &'static str,
    /// `error_description`.
    pub description: String,
}

impl Denial {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self {
            error,
            description: description.into(),
        }
    }

    fn no_randomness(error: getrandom::Error) -> Self {
        Self::new("server_error", format!("no random numbers: {error}"))
    }
}

/// Why a request under `/v1/` is turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedDown {
    /// There is no `Authorization` at all.
    Missing,
    /// It is no bearer token.
    Type,
    /// It was never given out, or its link is gone.
    Unknown,
    /// It is too old.
    Expired,
    /// The account has no music.
    NoMusic,
}

/// The account as the sign-in server knows it, as it is kept across restarts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// How it goes; comes with every start.
    #[serde(skip)]
    pub linking: Linking,
    /// Whether a token is needed; comes with every start.
    #[serde(skip)]
    pub sign_in: SignIn,
    pairs: Pairs,
    links: Vec<Link>,
    linked: u64,
}

fn ms(seconds: u32) -> i64 {
    i64::from(seconds).saturating_mul(1000)
}

/// The one value of this name; a form that lacks it is an invalid request.
fn field<'a>(form: &'a Form, name: &str) -> Result<&'a str, Denial> {
    let mut values = form.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value),
        (_, Some(_)) => Err(Denial::new("invalid_request", format!("{name} is there twice"))),
        (_, None) => Err(Denial::new("invalid_request", format!("{name} is missing"))),
    }
}

fn tokens(tokens: &Tokens, life: u32) -> Value {
    let mut answer = json!({"access_token": tokens.access, "token_type": "bearer", "expires_in": life});
    if let (Some(refresh), Some(answer)) = (&tokens.refresh, answer.as_object_mut()) {
        answer.insert("refresh_token".to_owned(), json!(refresh));
    }
    answer
}

impl Account {
    fn check_client(&self, client_id: &str) -> Result<(), Denial> {
        match &self.linking.client_id {
            Some(known) if known != client_id => Err(Denial::new("invalid_client", "client_id is not known")),
            Some(_) | None => Ok(()),
        }
    }

    /// `POST create/codepair`.
    pub fn create_pair(&mut self, form: &Form, base: &str, now_ms: i64) -> Result<Value, Denial> {
        let response_type = field(form, "response_type")?;
        if response_type != "device_code" {
            let wrong = format!("response_type is {response_type:?}, not device_code");
            return Err(Denial::new("invalid_request", wrong));
        }
        let client_id = field(form, "client_id")?;
        self.check_client(client_id)?;
        let scope = field(form, "scope")?;
        if let Some(other) = scope
            .split_ascii_whitespace()
            .find(|word| !SCOPES.iter().any(|known| word.starts_with(known)))
        {
            return Err(Denial::new(
                "unauthorized_client",
                format!("the scope {other:?} is not for this client"),
            ));
        }
        let times = (ms(self.linking.code_life), ms(self.linking.code_interval));
        let (device_code, pair) = self
            .pairs
            .create((client_id, scope), now_ms, times)
            .map_err(Denial::no_randomness)?;
        log::info!(
            "{client_id:?} asks to be linked: type \"approve {code}\" or \"deny {code}\", or open {base}/link",
            code = pair.user_code
        );
        Ok(json!({
            "device_code": device_code,
            "user_code": pair.user_code,
            "verification_uri": format!("{base}/link"),
            "expires_in": self.linking.code_life,
            "interval": self.linking.code_interval,
        }))
    }

    /// `POST token`. The finding, if there is one, stands beside the answer.
    pub fn token(&mut self, form: &Form, now_ms: i64) -> (Result<Value, Denial>, Option<Violation>) {
        match field(form, "grant_type") {
            Ok("device_code") => self.poll(form, now_ms),
            Ok("refresh_token") => self.refresh(form, now_ms),
            Ok(other) => {
                let wrong = format!("grant_type is {other:?}, not device_code or refresh_token");
                (Err(Denial::new("invalid_request", wrong)), None)
            }
            Err(denial) => (Err(denial), None),
        }
    }

    fn poll(&mut self, form: &Form, now_ms: i64) -> (Result<Value, Denial>, Option<Violation>) {
        let codes = field(form, "device_code").and_then(|device| Ok((fingerprint(device), field(form, "user_code")?)));
        let (device_code, user_code) = match codes {
            Ok(codes) => codes,
            Err(denial) => return (Err(denial), None),
        };
        let deny = |error, why: &str| (Err(Denial::new(error, why)), None);
        match self.pairs.poll(device_code, user_code, now_ms) {
            Poll::Unknown => deny("invalid_code_pair", "this pair of codes does not exist"),
            Poll::Expired => deny("expired_token", "the codes are over"),
            Poll::Pending => deny("authorization_pending", "nobody has approved the code yet"),
            Poll::Denied => deny("access_denied", "the code was denied"),
            Poll::SlowDown(finding) => (Err(Denial::new("slow_down", "wait longer between polls")), finding),
            Poll::Approved => (self.link(device_code, user_code, now_ms), None),
            Poll::Linked(number) => {
                let life = self.linking.token_life;
                let link = self.links.iter_mut().find(|link| link.number == number);
                match link.filter(|link| link.awaits(device_code)) {
                    // The answer with the tokens was lost.
                    Some(link) => (
                        link.begin(now_ms, ms(life))
                            .map(|fresh| tokens(&fresh, life))
                            .map_err(Denial::no_randomness),
                        None,
                    ),
                    None => deny("invalid_code_pair", "this pair of codes was used"),
                }
            }
        }
    }

    fn link(&mut self, device_code: u64, user_code: &str, now_ms: i64) -> Result<Value, Denial> {
        let pair = self.pairs.find(device_code, user_code);
        let pair = pair.ok_or_else(|| Denial::new("invalid_code_pair", "this pair of codes does not exist"))?;
        self.linked = self.linked.saturating_add(1);
        let mut link = Link::new(self.linked, &pair.client_id, &pair.scope, device_code);
        let life = self.linking.token_life;
        let fresh = link.begin(now_ms, ms(life)).map_err(Denial::no_randomness)?;
        self.links.push(link);
        let surplus = self.links.len().saturating_sub(LINKS_MAX);
        self.links.drain(..surplus);
        self.pairs.became(device_code, self.linked);
        log::info!("{user_code} is linked");
        Ok(tokens(&fresh, life))
    }

    fn refresh(&mut self, form: &Form, now_ms: i64) -> (Result<Value, Denial>, Option<Violation>) {
        let said =
            field(form, "refresh_token").and_then(|refresh| Ok((fingerprint(refresh), field(form, "client_id")?)));
        let (refresh, client_id) = match said {
            Ok(said) => said,
            Err(denial) => return (Err(denial), None),
        };
        if let Err(denial) = self.check_client(client_id) {
            return (Err(denial), None);
        }
        let gone = || Denial::new("invalid_grant", "the refresh token is not valid any more; link again");
        let known = self
            .links
            .iter_mut()
            .find_map(|link| Some((link.knows(refresh)?, link)));
        let Some((held, link)) = known.filter(|(_, link)| link.client_id == client_id) else {
            return (Err(gone()), None);
        };
        let life = self.linking.token_life;
        let finding = link.judge_refresh(held, now_ms, ms(life));
        let fresh = match (held, self.linking.rotation) {
            (Refresh::Retired, _) => return (Err(gone()), finding),
            (Refresh::Current | Refresh::Before, Rotation::Always) => link.rotate(held, now_ms, ms(life)),
            (Refresh::Current | Refresh::Before, Rotation::Never) => link.renew(now_ms, ms(life)),
        };
        let answer = fresh.map(|fresh| tokens(&fresh, life)).map_err(Denial::no_randomness);
        (answer, finding)
    }

    /// Whether a request with this `Authorization` may pass.
    pub fn authorize(&mut self, authorization: Option<&str>, now_ms: i64) -> Result<(), TurnedDown> {
        if self.sign_in == SignIn::Off {
            return Ok(());
        }
        let authorization = authorization.ok_or(TurnedDown::Missing)?;
        let token = bearer(authorization).ok_or(TurnedDown::Type)?;
        let token = fingerprint(token);
        let worth = self.links.iter_mut().find_map(|link| link.worth(token, now_ms));
        match (worth, self.linking.music_account) {
            (None, _) => Err(TurnedDown::Unknown),
            (Some(Worth::Expired), _) => Err(TurnedDown::Expired),
            (Some(Worth::Live), MusicAccount::Missing) => Err(TurnedDown::NoMusic),
            (Some(Worth::Live), MusicAccount::Found) => Ok(()),
        }
    }

    /// A request with this `Authorization` was answered with 401, for whatever reason.
    pub fn turned_down(&mut self, authorization: Option<&str>) {
        if let Some(token) = authorization.and_then(bearer).map(fingerprint) {
            self.links.iter_mut().for_each(|link| link.turned_down(token));
        }
    }

    /// A person approves or denies a code; says what came of it.
    pub fn decide(&mut self, user_code: &str, decision: State, now_ms: i64) -> Result<String, String> {
        let pair = self.pairs.decide(user_code, decision, now_ms)?;
        let done = match decision {
            State::Waiting => "waits again",
            State::Approved | State::Linked(_) => "is approved: the device links itself at its next poll",
            State::Denied => "is denied",
        };
        Ok(format!("{} {done}", pair.user_code))
    }

    /// All access tokens run out now.
    pub fn expire(&mut self, now_ms: i64) {
        self.links.iter_mut().for_each(|link| link.expire(now_ms));
    }

    /// Nobody is linked any more.
    pub fn revoke(&mut self) {
        self.links.clear();
    }

    /// The next poll of every pair is told to slow down.
    pub fn slow_down(&mut self) {
        self.pairs.slow_down();
    }

    /// Changes the linking.
    pub fn change(&mut self, change: Change) {
        let linking = &mut self.linking;
        self.sign_in = change.sign_in.unwrap_or(self.sign_in);
        linking.code_life = change.code_life.unwrap_or(linking.code_life);
        linking.code_interval = change.code_interval.unwrap_or(linking.code_interval);
        linking.token_life = change.token_life.unwrap_or(linking.token_life);
        linking.rotation = change.rotation.unwrap_or(linking.rotation);
        linking.music_account = change.music_account.unwrap_or(linking.music_account);
        if let Some(client_id) = change.client_id {
            linking.client_id = Some(client_id).filter(|id| !id.is_empty());
        }
    }

    /// What is known, without any secret.
    pub fn view(&self, now_ms: i64) -> Value {
        let pair = |pair: &super::pairing::Pair| {
            let left_s = pair.expires_ms.saturating_sub(now_ms).max(0) / 1000;
            json!({"user_code": pair.user_code, "client_id": pair.client_id, "scope": pair.scope,
                "state": pair.state, "expires_in_s": left_s})
        };
        let link = |link: &Link| json!({"number": link.number, "client_id": link.client_id, "scope": link.scope});
        json!({
            "sign_in": self.sign_in,
            "linking": self.linking,
            "pairs": self.pairs.iter().map(pair).collect::<Vec<_>>(),
            "links": self.links.iter().map(link).collect::<Vec<_>>(),
        })
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
