//! The service's base address, checked once. It never talks to anyone.

use std::net::IpAddr;

use thiserror::Error;
use ureq::http::Uri;

/// Base address without a trailing slash, `https` or loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

/// Why an address is no base address.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BaseUrlError {
    /// Not an absolute address.
    #[error("base address {0:?} is not an absolute address; write it like https://host")]
    NotAbsolute(String),
    /// Plain text to another machine.
    #[error("base address {0:?} would send credentials in clear text; use https (http is for a loopback host only)")]
    ClearText(String),
    /// A user name, query or fragment.
    #[error("base address {0:?} may hold scheme, host, port and path only")]
    Extras(String),
}

impl BaseUrl {
    /// Checks a configured address.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let given = text.trim();
        let not_absolute = || BaseUrlError::NotAbsolute(given.to_owned());
        let uri: Uri = given.parse().map_err(|_| not_absolute())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(not_absolute)?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_loopback(host) => {}
            Some("http") => return Err(BaseUrlError::ClearText(given.to_owned())),
            Some(_) | None => return Err(not_absolute()),
        }
        let user = uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'));
        if user || uri.query().is_some() || given.contains('#') {
            // The text may hold a password: show the host only.
            return Err(BaseUrlError::Extras(host.to_owned()));
        }
        Ok(Self(given.trim_end_matches('/').to_owned()))
    }

    /// Address of `path`, which starts with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// Whether an address is this very machine's, written as a number: no network is needed to get there. A name may lead
/// anywhere.
pub fn is_here(address: &str) -> bool {
    let uri: Result<Uri, _> = address.trim().parse();
    uri.is_ok_and(|uri| {
        let host = uri.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// Whether a host of an address is this machine itself, without asking a name server.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_loopback_http_are_taken() {
        for good in [
            "https://api.music.amazon.dev",
            "http://127.0.0.1:8700",
            "http://localhost:1/",
            "http://[::1]:9/x",
        ] {
            assert!(BaseUrl::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn only_a_number_of_this_machine_needs_no_network() {
        assert!(is_here("http://127.0.0.1:8700") && is_here("http://[::1]:9/x"));
        for elsewhere in [
            "http://localhost:1/",
            "https://api.music.amazon.dev",
            "https://192.168.1.2",
            "",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn clear_text_to_another_machine_is_refused() {
        for bad in [
            "http://api.music.amazon.dev",
            "http://192.168.1.2:8700",
            "http://localhost.example.org",
        ] {
            assert!(matches!(BaseUrl::parse(bad), Err(BaseUrlError::ClearText(_))), "{bad}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "api.music.amazon.dev",
            "ftp://host",
            "https://",
            "/v1",
            "https://a b",
        ] {
            assert!(
                matches!(BaseUrl::parse(bad), Err(BaseUrlError::NotAbsolute(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        let refused = BaseUrl::parse("https://me:hunter2@host/").unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }

    #[test]
    fn a_trailing_slash_makes_no_double_slash() {
        assert_eq!(
            BaseUrl::parse("https://host/base/").unwrap().join("/v1/x"),
            "https://host/base/v1/x"
        );
    }
}
