//! The client and its tokens: what is sent with which, and what a 401 leads to.

use std::sync::Mutex;

use super::super::credentials::FixedToken;
use super::super::fixture::{LIST, OPENED, answering, ask, create, next, settings, verdict};
use super::super::scripted::{Request, Server, Then, Wire};
use super::*;

/// Tokens that are renewed at most `left` times, and how it goes then.
struct Renewable {
    left: Mutex<u8>,
    then: NoToken,
}

impl Credentials for Renewable {
    fn token(&self) -> Result<Option<Token>, NoToken> {
        Ok(Some(Token::new("old")))
    }

    fn renew(&self, refused: Option<&Token>) -> Result<Token, NoToken> {
        assert_eq!(refused, Some(&Token::new("old")));
        let mut left = self.left.lock().unwrap();
        *left = left.checked_sub(1).ok_or(self.then)?;
        Ok(Token::new("new"))
    }
}

fn accepting_only_new(request: &Request, wire: &Wire<'_>) -> Then {
    match request.header("authorization") {
        Some("Bearer new") => wire.answer(200, &[], LIST),
        _ => wire.answer(401, &[], br#"{"error":{"code":"INVALID_ACCESS_TOKEN"}}"#),
    }
}

#[test]
fn a_401_is_repeated_once_with_a_renewed_token() {
    let server = Server::start(accepting_only_new);
    let credentials = Arc::new(Renewable {
        left: Mutex::new(1),
        then: NoToken::NotLinked,
    });
    let settings = Settings {
        credentials,
        ..settings(server.url(""))
    };
    let mut client = Client::new(settings, Patience::default()).unwrap();
    assert!(matches!(ask(&mut client, &next()), Ok(Reply::Listed(list)) if list.len() == 1));
    assert_eq!(ask(&mut client, &next()), Err(Failure::Unauthorised));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_token_that_cannot_be_renewed_at_the_moment_is_no_lost_account() {
    let server = Server::start(accepting_only_new);
    let credentials = Arc::new(Renewable {
        left: Mutex::new(0),
        then: NoToken::Later,
    });
    let settings = Settings {
        credentials,
        ..settings(server.url(""))
    };
    let mut client = Client::new(settings, Patience::default()).unwrap();
    assert_eq!(ask(&mut client, &next()), Err(Failure::Unreachable));
    assert_eq!(server.requests().len(), 1);
}

/// No account is linked.
struct Unlinked;

impl Credentials for Unlinked {
    fn token(&self) -> Result<Option<Token>, NoToken> {
        Err(NoToken::NotLinked)
    }

    fn renew(&self, _refused: Option<&Token>) -> Result<Token, NoToken> {
        Err(NoToken::NotLinked)
    }
}

#[test]
fn without_an_account_nothing_is_sent() {
    let server = answering(200, &[], OPENED);
    let settings = Settings {
        credentials: Arc::new(Unlinked),
        ..settings(server.url(""))
    };
    let mut client = Client::new(settings, Patience::default()).unwrap();
    assert_eq!(ask(&mut client, &create()), Err(Failure::Unauthorised));
    assert_eq!(verdict(&client), Verdict::Failed(Failure::Unauthorised));
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_token_that_would_split_the_header_is_not_sent() {
    let server = answering(200, &[], LIST);
    let token = FixedToken(Some(Token::new("a\r\nx-evil: 1")));
    let settings = Settings {
        credentials: Arc::new(token),
        ..settings(server.url(""))
    };
    assert_eq!(
        ask(&mut Client::new(settings, Patience::default()).unwrap(), &next()),
        Err(Failure::Unauthorised)
    );
    assert_eq!(server.requests().len(), 0);
}
