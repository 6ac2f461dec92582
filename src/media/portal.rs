//! Whether an answer is somebody else's: the log-in page of a network stands between here and the media host.
//!
//! Whoever is in between can write only what comes in the clear; a page that came encrypted, or from this machine, is the
//! host's own word. It decides from addresses and the beginning of an answer, and keeps nothing.

use std::net::IpAddr;

use ureq::ResponseExt;
use ureq::http::{Response, StatusCode, Uri};

use super::answer::Head;

/// What is logged.
pub const WORDS: &str = "a page came instead of media, perhaps the log-in page of this network";

/// Whether the answer to a request for `asked` is not the host's.
pub fn is_foreign(asked: &str, response: &Response<ureq::Body>) -> bool {
    let head = Head::of(response.status().as_u16(), response.headers());
    is_open(asked, response.get_uri()) && is_page(&head)
}

/// Whether a text that begins like this, from `answered` in the end, is not the host's.
pub fn is_foreign_text(asked: &str, answered: &str, beginning: &[u8]) -> bool {
    let answered: Result<Uri, _> = answered.parse();
    answered.is_ok_and(|answered| is_open(asked, &answered)) && begins_like_a_page(beginning)
}

/// Whether somebody in between may have written what came: it went in the clear at its beginning or at its end.
fn is_open(asked: &str, answered: &Uri) -> bool {
    is_clear_url(asked) || is_clear(answered)
}

/// Whether a request to this address can be answered by anybody in between.
pub fn is_clear_url(url: &str) -> bool {
    let uri: Result<Uri, _> = url.parse();
    uri.is_ok_and(|uri| is_clear(&uri))
}

fn is_clear(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here =
        bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("http") && !is_here
}

fn is_page(head: &Head) -> bool {
    let kind = head.content_type.as_deref().unwrap_or_default();
    head.status == StatusCode::NETWORK_AUTHENTICATION_REQUIRED.as_u16()
        || kind.starts_with("text/html")
        || kind.starts_with("application/xhtml")
}

/// Whether a text is a page for people.
pub fn begins_like_a_page(beginning: &[u8]) -> bool {
    let bare = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
    let mut start = bare.trim_ascii_start().iter().take(14).map(u8::to_ascii_lowercase);
    start.clone().eq(*b"<!doctype html") || start.by_ref().take(5).eq(*b"<html")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(asked: &str, answered: &str) -> bool {
        is_open(asked, &answered.parse().unwrap())
    }

    #[test]
    fn whoever_is_in_between_can_write_what_goes_in_the_clear() {
        assert!(open("http://media.example/1.flac", "http://media.example/1.flac"));
        assert!(
            open("http://media.example/1.flac", "https://hotel.example/login"),
            "it was passed on in the clear"
        );
        assert!(open("https://media.example/1.flac", "http://near.example/1.flac"));
        assert!(!open("https://media.example/1.flac", "https://near.example/1.flac"));
        for here in ["http://127.0.0.1:8700/1", "http://[::1]/1", "http://localhost/1"] {
            assert!(!open(here, here), "{here}");
        }
    }

    #[test]
    fn a_page_is_known_by_its_type_its_status_or_its_beginning() {
        let head = |status, kind: &str| Head {
            status,
            content_type: Some(kind.to_owned()),
            ..Head::default()
        };
        assert!(is_page(&head(200, "text/html")));
        assert!(is_page(&head(403, "text/html")), "media hosts speak XML, or nothing");
        assert!(is_page(&head(511, "text/plain")));
        assert!(!is_page(&head(200, "audio/flac")));
        assert!(!is_page(&head(404, "application/xml")));
        for page in ["<!DOCTYPE html><p>", "\n <HTML lang=de>", "\u{feff}<html>"] {
            assert!(begins_like_a_page(page.as_bytes()), "{page}");
        }
        for other in ["<?xml version=\"1.0\"?><MPD", "<MPD", "{}", "fLaC", ""] {
            assert!(!begins_like_a_page(other.as_bytes()), "{other}");
        }
    }
}
