//! Who the speaker is to the service: the narrow place where signing in plugs in. It never logs a secret.

use std::fmt;

/// An access, refresh or device token. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a token as the sign-in service gave it.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The secret itself, for the one header or form field that carries it.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Why there is no token to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// No account is linked, or none of its tokens is accepted: only the listener can change that.
    NotLinked,
    /// The sign-in service cannot be asked at the moment; worth another try later.
    Later,
}

/// Source of access tokens. Called on the service thread, between two requests.
pub trait Credentials: Send + Sync {
    /// The token to send now; `None` sends none. `Err`: nothing is to be sent.
    fn token(&self) -> Result<Option<Token>, NoToken>;

    /// A token better than `refused`, which the service answered with 401.
    ///
    /// May take as long as one request to the sign-in service; the refused request is repeated once.
    fn renew(&self, refused: Option<&Token>) -> Result<Token, NoToken>;
}

/// A token that never changes, or none at all: for the local service and for tests.
#[derive(Clone, Debug, Default)]
pub struct FixedToken(pub Option<Token>);

impl Credentials for FixedToken {
    fn token(&self) -> Result<Option<Token>, NoToken> {
        Ok(self.0.clone())
    }

    fn renew(&self, _refused: Option<&Token>) -> Result<Token, NoToken> {
        Err(NoToken::NotLinked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown_in_debug_output() {
        let shown = format!("{:?}", FixedToken(Some(Token::new("Atza|secret"))));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
