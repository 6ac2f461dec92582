//! The sign-in service of a test: hands out codes, waits for the test to enter them, rotates tokens.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::scripted::{Request, Server, Wire};

/// Begins every secret that goes over the wire here; nobody is to find it in a log.
pub const SECRET: &str = "s3cret";

/// What the listener did with the code.
#[derive(Clone, Copy, PartialEq)]
enum Entered {
    No,
    Yes,
    Declined,
}

struct State {
    pairs: u32,
    entered: Entered,
    /// The tokens that are good: a number that rotates.
    generation: u32,
    revoked: bool,
    refreshes: u32,
}

/// A running sign-in service.
pub struct SignIn {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl SignIn {
    /// Nobody is linked yet.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            pairs: 0,
            entered: Entered::No,
            generation: 0,
            revoked: false,
            refreshes: 0,
        }));
        let answering = Arc::clone(&state);
        let server = Server::start(move |request: &Request, wire: &Wire<'_>| {
            let (status, body) = answering.lock().unwrap().answer(request);
            wire.answer(status, &[], body.to_string().as_bytes())
        });
        Self { server, state }
    }

    /// What a configuration says to sign in here.
    pub fn configuration(&self) -> String {
        format!("client_id = \"product-1\"\nauth_url = \"{}\"", self.server.url(""))
    }

    /// The code that was handed out last.
    pub fn code(&self) -> String {
        format!("CODE-{}", self.state.lock().unwrap().pairs)
    }

    /// Somebody enters the code.
    pub fn enter(&self) {
        self.state.lock().unwrap().entered = Entered::Yes;
    }

    /// Somebody enters the code and says no.
    pub fn decline(&self) {
        self.state.lock().unwrap().entered = Entered::Declined;
    }

    /// Somebody removes the speaker from the account.
    pub fn revoke(&self) {
        self.state.lock().unwrap().revoked = true;
    }

    /// Pairs of codes that were handed out.
    pub fn pairs(&self) -> u32 {
        self.state.lock().unwrap().pairs
    }

    /// Access tokens that were renewed.
    pub fn refreshes(&self) -> u32 {
        self.state.lock().unwrap().refreshes
    }

    /// Headers of the playback service that came here, where they do not belong.
    pub fn strays(&self) -> Vec<String> {
        let stray = |name: &str| name == "authorization" || name == "x-api-key" || name.starts_with("x-amzn");
        let requests = self.server.requests();
        let headers = requests.into_iter().flat_map(|request| request.headers);
        headers.map(|(name, _)| name).filter(|name| stray(name)).collect()
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> (u16, Value) {
        let form = String::from_utf8(request.body.clone()).unwrap();
        let has = |field: &str| form.split('&').any(|found| found == field);
        match request.target.as_str() {
            "/auth/o2/create/codepair" if has("client_id=product-1") => {
                self.pairs += 1;
                self.entered = Entered::No;
                let pair = json!({
                    "device_code": format!("{SECRET}|device-{}", self.pairs), "user_code": format!("CODE-{}", self.pairs),
                    "verification_uri": "https://example.com/code", "expires_in": 600, "interval": 1,
                });
                (200, pair)
            }
            "/auth/o2/token" if has("grant_type=refresh_token") => {
                let is_good = has(&format!("refresh_token={SECRET}%7Crefresh-{}", self.generation));
                if self.revoked || !is_good {
                    return error("invalid_grant");
                }
                self.refreshes += 1;
                self.tokens()
            }
            "/auth/o2/token" if has(&format!("device_code={SECRET}%7Cdevice-{}", self.pairs)) => match self.entered {
                Entered::No => error("authorization_pending"),
                Entered::Declined => error("access_denied"),
                Entered::Yes => {
                    self.revoked = false;
                    self.tokens()
                }
            },
            _ => error("invalid_request"),
        }
    }

    fn tokens(&mut self) -> (u16, Value) {
        self.generation += 1;
        let token = |kind: &str| format!("{SECRET}|{kind}-{}", self.generation);
        let tokens = json!({
            "access_token": token("access"), "refresh_token": token("refresh"), "token_type": "bearer", "expires_in": 3600,
        });
        (200, tokens)
    }
}

fn error(word: &str) -> (u16, Value) {
    (400, json!({ "error": word, "error_description": "as asked" }))
}
