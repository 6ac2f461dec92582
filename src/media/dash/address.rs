//! Addresses: relative ones against their base (RFC 3986, section 5). Only what HTTP can fetch comes out.

use oxiri::{Iri, IriRef};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::error::ManifestError;
use super::tree::cut;

/// Longest address: servers and proxies refuse longer ones; signed ones have some 1,500 bytes.
pub const ADDRESS_BYTES_MAX: usize = 8 * 1024;
/// What an address may not contain as it is, yet manifests do.
const NEVER: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The absolute address of `relative` seen from `base`, without a fragment.
pub fn resolved(base: &str, relative: &str) -> Result<String, ManifestError> {
    let wrong = |reason: String| ManifestError::Address {
        address: cut(relative),
        reason,
    };
    if relative.len().max(base.len()) > ADDRESS_BYTES_MAX {
        return Err(wrong(format!("it is longer than {ADDRESS_BYTES_MAX} bytes")));
    }
    let base = Iri::parse(utf8_percent_encode(base, NEVER).to_string()).map_err(|error| wrong(error.to_string()))?;
    let relative = IriRef::parse(utf8_percent_encode(relative, NEVER).to_string());
    let relative = relative.map_err(|error| wrong(error.to_string()))?;
    let whole = base.resolve(&relative).map_err(|error| wrong(error.to_string()))?;
    let (scheme, has_host) = (whole.scheme(), whole.authority().is_some_and(|host| !host.is_empty()));
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) || !has_host {
        return Err(wrong("it is not one of http or https".to_owned()));
    }
    let whole = whole.into_inner();
    if whole.len() > ADDRESS_BYTES_MAX {
        return Err(wrong(format!("it is longer than {ADDRESS_BYTES_MAX} bytes")));
    }
    Ok(whole.split('#').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_addresses_are_resolved() {
        let base = "https://a.test/b/c.mpd?token=1#x";
        for (relative, whole) in [
            ("", "https://a.test/b/c.mpd?token=1"),
            ("d.mp4", "https://a.test/b/d.mp4"),
            ("../d/", "https://a.test/d/"),
            ("../../../d", "https://a.test/d"),
            ("/d?e=f", "https://a.test/d?e=f"),
            ("//b.test/d", "https://b.test/d"),
            ("http://b.test/d#e", "http://b.test/d"),
            ("a b ü|.mp4", "https://a.test/b/a%20b%20%C3%BC%7C.mp4"),
            ("a%20b", "https://a.test/b/a%20b"),
        ] {
            assert_eq!(resolved(base, relative).unwrap(), whole);
        }
    }

    #[test]
    fn what_http_cannot_fetch_is_refused() {
        for relative in [
            "file:///etc/passwd",
            "data:,x",
            "http:///x",
            "ftp://a.test/",
            "http://[x/",
            "a%zz",
        ] {
            assert!(resolved("http://a.test/", relative).is_err(), "{relative}");
        }
        assert!(resolved("http://a.test/", &"x".repeat(9000)).is_err());
        assert!(resolved("no base", "x").is_err());
    }
}
