//! The sign-in service's wire: its paths, form fields, answers and error words, and nothing of them anywhere else.
//!
//! One request at a time, never repeated, never redirected. Secrets go into forms and come out of answers; neither is
//! logged, and no word of an answer that could hold one is.

use serde_json::Value;
use thiserror::Error;
use tonearm_core::unit::Millis;
use ureq::Agent;
use ureq::http::{HeaderName, Uri, header};

use super::super::base::BaseUrl;
use super::super::credentials::Token;
use super::super::wire;
use super::Patience;
use crate::tls::{Connections, Tls};

/// Where a pair of codes is made \[P\].
const CREATE_PATH: &str = "/auth/o2/create/codepair";
/// Where tokens come from \[P\].
const TOKEN_PATH: &str = "/auth/o2/token";

/// Polled too fast \[P\].
const SLOW_DOWN: &str = "slow_down";
/// What each word of `error` means.
const WORDS: [(&str, Word); 12] = [
    ("authorization_pending", Word::Pending),                // [P]
    (SLOW_DOWN, Word::SlowDown),                             // [P]
    ("invalid_code_pair", Word::PairGone),                   // [S]
    ("expired_token", Word::PairGone),                       // [S]
    ("access_denied", Word::Declined),                       // [A]
    ("invalid_grant", Word::GrantGone),                      // [P]
    ("invalid_client", Word::Misconfigured(CLIENT)),         // [P]
    ("unauthorized_client", Word::Misconfigured(CLIENT)),    // [P]
    ("invalid_request", Word::Misconfigured(ALL)),           // [P]
    ("invalid_scope", Word::Misconfigured(SCOPE)),           // [A]
    ("unsupported_grant_type", Word::Misconfigured(ALL)),    // [A]
    ("unsupported_response_type", Word::Misconfigured(ALL)), // [A]
];
/// What to correct, by what is refused.
const CLIENT: &str = "[service] client_id (is sign-in by code enabled for it, and is [service] region right?)";
const SCOPE: &str = "[service] scope";
const ALL: &str = "[service] client_id, scope and region";

/// Life of an access token where the answer does not say \[P\].
const LIFE_S: u32 = 3_600;
/// Life of a pair of codes where the answer does not say \[P\].
const PAIR_S: u32 = 600;
/// Time between two polls where the answer does not say \[P\].
const INTERVAL_S: u32 = 30;
/// Longest time that an answer may name: more is a mistake, and an interval of a month would be silence.
const NAMED_S_MAX: u32 = 86_400;

/// Longest token: 2048 bytes \[P\], and room to grow.
const TOKEN_BYTES_MAX: usize = 4_096;
/// Longest code that a person is to type.
const USER_CODE_CHARS_MAX: usize = 32;
/// Longest address that a person is to open.
const ADDRESS_CHARS_MAX: usize = 256;
/// Longest answer: two tokens of the longest kind, however they are escaped, and some words.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Buffers for what arrives; one TLS record and the longest head.
const INPUT_BUFFER_BYTES: usize = 32 * 1024;
/// Longest word of an answer that goes into the log.
const LOGGED_CHARS_MAX: usize = 40;

/// A pair of codes that waits to be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodePair {
    /// The speaker's half: a secret.
    pub device_code: Token,
    /// The listener's half, meant to be shown.
    pub user_code: String,
    /// Where the listener enters it.
    pub address: String,
    /// How long it is good for.
    pub expires_in: Millis,
    /// The least time between two polls.
    pub interval: Millis,
}

/// Tokens as they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Goes to the playback service.
    pub access: Token,
    /// Gets the next ones; `None`: the one there is stays good.
    pub refresh: Option<Token>,
    /// How long the access token is good for.
    pub life: Millis,
}

/// Why there is no pair or no token.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Trouble {
    /// The code was not entered yet.
    #[error("the code was not entered yet")]
    Pending,
    /// Polled too fast.
    #[error("asked too often")]
    SlowDown,
    /// The pair lapsed.
    #[error("the code lapsed")]
    PairGone,
    /// The listener said no.
    #[error("the listener declined")]
    Declined,
    /// The refresh token is not good any more: the account was unlinked elsewhere.
    #[error("the account was unlinked at the service")]
    GrantGone,
    /// Repeating would not help.
    #[error("{0}")]
    Misconfigured(String),
    /// Not now: nobody answers, the service is busy, or what answers is not the service.
    #[error("{words}")]
    Later {
        /// What is wrong, for the log.
        words: String,
        /// The service's word on when.
        retry_after: Option<Millis>,
    },
}

impl Trouble {
    fn later(words: impl Into<String>) -> Self {
        Self::Later {
            words: words.into(),
            retry_after: None,
        }
    }

    /// The service's word on when to try again.
    pub fn retry_after(&self) -> Option<Millis> {
        match self {
            Self::Later { retry_after, .. } => *retry_after,
            Self::Pending
            | Self::SlowDown
            | Self::PairGone
            | Self::Declined
            | Self::GrantGone
            | Self::Misconfigured(_) => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Word {
    Pending,
    SlowDown,
    PairGone,
    Declined,
    GrantGone,
    Misconfigured(&'static str),
}

/// The sign-in service, as one thread asks it.
pub struct Client {
    connections: Connections,
    base: BaseUrl,
    /// Name of this product.
    product: String,
    scope: String,
}

struct Answer {
    status: u16,
    retry_after: Option<String>,
    date: Option<String>,
    body: Vec<u8>,
}

impl Client {
    /// Connects to nobody yet.
    pub fn new(base: BaseUrl, product: &str, scope: &str, tls: &Tls, patience: Patience) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("tonearm/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .timeout_global(Some(patience.call))
            .timeout_connect(Some(patience.call / 2))
            .timeout_resolve(Some(patience.call / 2))
            .input_buffer_size(INPUT_BUFFER_BYTES)
            .max_response_header_size(INPUT_BUFFER_BYTES)
            // Minutes lie between two requests: nothing is worth keeping open.
            .max_idle_connections(0)
            .build();
        Self {
            connections: tls.connections(config),
            base,
            product: product.to_owned(),
            scope: scope.to_owned(),
        }
    }

    /// A handle that ends a request under way from another thread.
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// Asks for a pair of codes \[P\].
    pub fn create(&self) -> Result<CodePair, Trouble> {
        let form = [
            ("response_type", "device_code"),
            ("client_id", &self.product),
            ("scope", &self.scope),
        ];
        pair(&self.exchange(CREATE_PATH, &form)?)
    }

    /// Asks whether the code was entered \[P\].
    pub fn poll(&self, pair: &CodePair) -> Result<Tokens, Trouble> {
        let form = [
            ("grant_type", "device_code"),
            ("device_code", pair.device_code.secret()),
            ("user_code", &pair.user_code),
        ];
        let tokens = tokens(&self.exchange(TOKEN_PATH, &form)?)?;
        if tokens.refresh.is_none() {
            return Err(Trouble::later("the answer holds no refresh_token"));
        }
        Ok(tokens)
    }

    /// Asks for another access token; `client_id` beside the token is \[S\].
    pub fn refresh(&self, refresh: &Token) -> Result<Tokens, Trouble> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.secret()),
            ("client_id", &self.product),
        ];
        tokens(&self.exchange(TOKEN_PATH, &form)?)
    }

    /// The JSON of a 200.
    fn exchange(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, Trouble> {
        let answer = self
            .run(path, form)
            .map_err(|error| Trouble::later(format!("{}: {error}", self.base.join(path))))?;
        if answer.status == 200 {
            return serde_json::from_slice(&answer.body)
                .map_err(|_| Trouble::later("the answer is not JSON; is this the sign-in service, or a log-in page?"));
        }
        Err(trouble(&answer))
    }

    fn run(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer, ureq::Error> {
        let agent = self.connections.agent();
        let mut response = agent.post(self.base.join(path)).send_form(form.iter().copied())?;
        let text = |name: HeaderName| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (retry_after, date) = (text(header::RETRY_AFTER), text(header::DATE));
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after,
            date,
            body: response
                .body_mut()
                .with_config()
                .limit(ANSWER_BYTES_MAX)
                .read_to_vec()?,
        })
    }
}

/// What an answer other than 200 means: by its word where it is known, else by its status.
fn trouble(answer: &Answer) -> Trouble {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let word = json.get("error").and_then(Value::as_str).unwrap_or_default();
    let is_believed = match answer.status {
        // Too much traffic, whatever else it says.
        408 | 429 => word == SLOW_DOWN,
        status => (400..500).contains(&status),
    };
    let known = WORDS.iter().find(|(known, _)| is_believed && *known == word);
    match known {
        Some((_, Word::Pending)) => Trouble::Pending,
        Some((_, Word::SlowDown)) => Trouble::SlowDown,
        Some((_, Word::PairGone)) => Trouble::PairGone,
        Some((_, Word::Declined)) => Trouble::Declined,
        Some((_, Word::GrantGone)) => Trouble::GrantGone,
        Some((word, Word::Misconfigured(what))) => Trouble::Misconfigured(format!(
            "the sign-in service refuses this product ({word}); correct {what}"
        )),
        None => {
            let retry_after = answer.retry_after.as_deref();
            Trouble::Later {
                words: format!("status {}{}", answer.status, loggable(word)),
                retry_after: retry_after.and_then(|value| wire::wait_of(value, answer.date.as_deref())),
            }
        }
    }
}

/// A word as the service's words look. Anything else may hold a secret that was sent and comes back.
fn loggable(word: &str) -> String {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if word.is_empty() || word.len() > LOGGED_CHARS_MAX || !word.bytes().all(is_word) {
        return String::new();
    }
    format!(", error {word:?}")
}

fn pair(json: &Value) -> Result<CodePair, Trouble> {
    Ok(CodePair {
        device_code: token(json, "device_code")?.ok_or_else(|| missing("device_code"))?,
        user_code: shown(json, "user_code", USER_CODE_CHARS_MAX)?,
        address: address(shown(json, "verification_uri", ADDRESS_CHARS_MAX)?)?,
        expires_in: seconds(json, "expires_in", PAIR_S),
        interval: seconds(json, "interval", INTERVAL_S),
    })
}

fn tokens(json: &Value) -> Result<Tokens, Trouble> {
    Ok(Tokens {
        access: token(json, "access_token")?.ok_or_else(|| missing("access_token"))?,
        refresh: token(json, "refresh_token")?,
        life: seconds(json, "expires_in", LIFE_S),
    })
}

fn missing(name: &str) -> Trouble {
    Trouble::later(format!("the answer holds no {name}"))
}

/// A token that a header or form can carry.
fn token(json: &Value, name: &str) -> Result<Option<Token>, Trouble> {
    let Some(text) = json.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.len() > TOKEN_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Trouble::later(format!("the {name} of the answer cannot be one")));
    }
    Ok(Some(Token::new(text)))
}

/// A text for people. Only plain letters: it goes to a terminal and to a page.
fn shown(json: &Value, name: &str, chars_max: usize) -> Result<String, Trouble> {
    let text = json.get(name).and_then(Value::as_str).unwrap_or_default().trim();
    if text.is_empty() {
        return Err(missing(name));
    }
    if text.len() > chars_max || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Trouble::later(format!("the {name} of the answer cannot be shown")));
    }
    Ok(text.to_owned())
}

/// An address that a person may be sent to.
fn address(text: String) -> Result<String, Trouble> {
    let uri: Option<Uri> = text.parse().ok();
    let scheme = uri.as_ref().and_then(Uri::scheme_str);
    if matches!(scheme, Some("https" | "http")) {
        Ok(text)
    } else {
        Err(Trouble::later("the verification_uri of the answer is no address"))
    }
}

/// A length of time in seconds, whole or not, as a number or as text.
fn seconds(json: &Value, name: &str, usual_s: u32) -> Millis {
    let named_s = match json.get(name) {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    let named = named_s.and_then(|named_s| {
        let capped_s = named_s.min(NAMED_S_MAX.into());
        std::time::Duration::try_from_secs_f64(capped_s).ok()
    });
    named.map_or(Millis::from_secs(usual_s), |named| {
        Millis(u32::try_from(named.as_millis()).unwrap_or(u32::MAX))
    })
}

#[cfg(test)]
#[path = "oauth_tests.rs"]
mod tests;
