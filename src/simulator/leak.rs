//! Finds credentials where they do not belong, and keeps them out of the ledger.

use axum::http::HeaderMap;

use super::faults::Scope;
use super::grant::{ACCESS, REFRESH};

/// Headers that are for the service only: the sign-in server, the licence server and the media host are others.
const OWN_HEADERS: [&str; 5] = [
    "authorization",
    "x-api-key",
    "x-amzn-device-id",
    "x-amzn-audio-drmtype",
    "x-amzn-audio-device-capability",
];

/// Where a token begins in a text, as it is or as an address carries it.
fn token_in(text: &str) -> Option<usize> {
    [ACCESS, REFRESH]
        .iter()
        .flat_map(|token| {
            [
                (*token).to_owned(),
                token.replace('|', "%7C"),
                token.replace('|', "%7c"),
            ]
        })
        .filter_map(|token| text.find(&token))
        .min()
}

/// A path as the ledger may know it: nothing of a token is in it, and none of the sign-in server's queries.
pub fn redacted(scope: Scope, path: &str) -> String {
    let query = if scope == Scope::Auth { path.find('?') } else { None };
    match token_in(path).into_iter().chain(query).min() {
        Some(end) => format!("{}…", path.get(..end).unwrap_or_default()),
        None => path.to_owned(),
    }
}

/// What is where it does not belong.
pub fn find(scope: Scope, headers: &HeaderMap, path: &str, body: &[u8]) -> Option<String> {
    if token_in(path).is_some() {
        return Some("a token is in the address of a request".to_owned());
    }
    match scope {
        // Media answers for its own headers.
        Scope::Media => None,
        Scope::Licence | Scope::Auth => {
            let server = if scope == Scope::Auth { "sign-in" } else { "licence" };
            OWN_HEADERS
                .iter()
                .find(|name| headers.contains_key(**name))
                .map(|name| format!("{name} came to the {server} server"))
        }
        Scope::Queue | Scope::Events => {
            token_in(&String::from_utf8_lossy(body)).map(|_| "a token is in the body of a request".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_an_address_is_found_and_not_kept() {
        let none = HeaderMap::new();
        for path in ["/v1/x?t=Atza|secret", "/v1/x?t=Atzr%7Csecret", "/v1/x?t=Atza%7csecret"] {
            assert!(find(Scope::Queue, &none, path, b"").is_some(), "{path}");
            assert_eq!(redacted(Scope::Queue, path), "/v1/x?t=…");
        }
        assert_eq!(find(Scope::Queue, &none, "/v1/x?limit=5", b"{}"), None);
        assert_eq!(redacted(Scope::Queue, "/v1/x?limit=5"), "/v1/x?limit=5");
        assert_eq!(redacted(Scope::Auth, "/auth/o2/token?device_code=s"), "/auth/o2/token…");
    }

    #[test]
    fn a_token_in_a_body_is_found_except_by_the_sign_in_server() {
        let none = HeaderMap::new();
        let body = b"{\"metricId\": \"Atza|secret\"}";
        assert!(find(Scope::Events, &none, "/v1/playback/event", body).is_some());
        assert_eq!(find(Scope::Auth, &none, "/auth/o2/token", body), None);
    }

    #[test]
    fn headers_of_the_service_are_not_for_the_other_servers() {
        for name in OWN_HEADERS {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), "x".parse().unwrap())]);
            for (scope, path) in [(Scope::Auth, "/auth/o2/token"), (Scope::Licence, "/licence/1-0/a")] {
                let found = find(scope, &headers, path, b"").unwrap();
                assert!(found.starts_with(name), "{found}");
            }
        }
    }
}
