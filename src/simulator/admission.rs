//! What the account demands of every request besides its contents: a token, good conduct, the stream. No HTTP server.

use super::account::TurnedDown;
use super::conduct::Request;
use super::faults::Scope;
use super::judge::Code;
use super::pairing;
use super::wire::Refusal;
use super::world::World;

impl World {
    /// Epoch milliseconds for the account: by these tokens and codes run out.
    pub fn account_ms(&self) -> i64 {
        self.time.now_ms()
    }

    /// Epoch milliseconds as a client on this machine reads them.
    pub fn client_ms(&self) -> i64 {
        self.time.client_ms()
    }

    /// Keeps pairs and links.
    pub fn keep_account(&self) {
        if let Some(store) = &self.store {
            store.keep_account(&self.account);
        }
    }

    /// A person approves or denies a code; says what came of it.
    pub fn decide(&mut self, user_code: &str, decision: pairing::State) -> Result<String, String> {
        let done = self.account.decide(user_code, decision, self.account_ms())?;
        self.keep_account();
        Ok(done)
    }

    /// Judges that a request comes at all.
    pub fn asked(&mut self, request: &Request) {
        let now_ms = self.client_ms();
        for finding in self.conduct.asked(request, now_ms) {
            self.ledger.violation(None, finding.code, finding.detail);
        }
    }

    /// A request was answered with this status, and the answer was sent as it should be.
    pub fn answered(&mut self, request: &Request, status: u16, retry_after_s: Option<u32>) {
        let now_ms = self.client_ms();
        match status {
            400 | 403 | 404 | 422 => self.conduct.refused(request, now_ms),
            // With another token it is another try.
            200..=299 | 401 => self.conduct.done(request),
            _ => {}
        }
        if let Some(seconds) = retry_after_s {
            self.conduct.told_to_wait(request, seconds, now_ms);
        }
    }

    /// Whether a request may pass by its `Authorization`.
    pub fn authorize(&mut self, scope: Scope, authorization: Option<&str>) -> Result<(), Refusal> {
        if !matches!(scope, Scope::Queue | Scope::Events) {
            return Ok(());
        }
        let now_ms = self.account_ms();
        let (status, code, message) = match self.account.authorize(authorization, now_ms) {
            Ok(()) => return Ok(()),
            Err(TurnedDown::Missing) => {
                let detail = "Authorization is missing although signing in is required";
                self.ledger.violation(None, Code::HeaderMissing, detail);
                (401, "INVALID_AUTH_TYPE", "there is no Authorization")
            }
            Err(TurnedDown::Type) => (401, "INVALID_AUTH_TYPE", "Authorization is no bearer token"),
            Err(TurnedDown::Unknown) => (401, "INVALID_AUTH_TOKEN", "the token is not known"),
            Err(TurnedDown::Expired) => (401, "INVALID_ACCESS_TOKEN", "the token has expired"),
            Err(TurnedDown::NoMusic) => (
                403,
                "AUTH_NO_MUSIC_ACCOUNT_FOUND",
                "this account cannot play music; sign up for it first",
            ),
        };
        Err(Refusal {
            status,
            code,
            message: message.to_owned(),
            why: None,
        })
    }
}
