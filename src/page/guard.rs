//! Who may use the page: somebody who typed the speaker's address, not a web page that makes a browser do it.
//!
//! A rebound name (some site's name that resolves to the speaker) is caught by `Host`: only addresses and the speaker's
//! own names are answered. A foreign site's form or script is caught by `Origin` and `Sec-Fetch-Site` on everything that
//! changes something. It does not know users and has no passwords: the local network is trusted as with any speaker.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, Method, Uri, header};

/// Why a request is refused, for the answer's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// No `Host`, several, or one that cannot be read.
    NoHost,
    /// A name that is not the speaker's.
    Host(String),
    /// A request that another site made.
    Origin(String),
}

/// Checks one request against the speaker's `hostname`.
pub fn check(hostname: &str, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Stranger> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Stranger::NoHost);
    };
    let host = host.to_str().map_err(|_| Stranger::NoHost)?;
    let (name, port) = split(host).ok_or(Stranger::NoHost)?;
    if !is_own(name, hostname) {
        return Err(Stranger::Host(name.to_owned()));
    }
    // A request line with a whole address overrules the header in some servers; here both must be the speaker.
    if let Some(authority) = uri.host()
        && !is_own(authority, hostname)
    {
        return Err(Stranger::Host(authority.to_owned()));
    }
    if method.is_safe() {
        return Ok(());
    }
    if headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none")
    {
        return Err(Stranger::Origin("another site".into()));
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or("?");
    let is_same = origin
        .strip_prefix("http://")
        .and_then(split)
        .is_some_and(|(from, from_port)| {
            from.eq_ignore_ascii_case(name) && from_port.unwrap_or(80) == port.unwrap_or(80)
        });
    if is_same {
        Ok(())
    } else {
        Err(Stranger::Origin(origin.to_owned()))
    }
}

/// Name and port of `name`, `name:port`, `[v6]` or `[v6]:port`.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (name, rest) = authority.split_at_checked(end)?;
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if rest.is_empty() => None,
        None => return None,
    };
    (!name.is_empty()).then_some((name, port))
}

fn is_own(name: &str, hostname: &str) -> bool {
    if let Some(v6) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<Ipv6Addr>().is_ok();
    }
    if name.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let bare = name.len().checked_sub(6).and_then(|at| name.split_at_checked(at));
    let bare = bare
        .filter(|(_, end)| end.eq_ignore_ascii_case(".local"))
        .map_or(name, |(bare, _)| bare);
    name.eq_ignore_ascii_case("localhost")
        || name.eq_ignore_ascii_case(hostname)
        || (!hostname.is_empty() && bare.eq_ignore_ascii_case(hostname))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &Method, headers: &[(&'static str, &str)]) -> Result<(), Stranger> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        check("tonearm", method, &Uri::from_static("/api/press/play"), &map)
    }

    #[test]
    fn the_speakers_addresses_and_names_are_answered() {
        for host in [
            "192.168.1.5",
            "192.168.1.5:8080",
            "[fe80::1]",
            "[::1]:80",
            "localhost:80",
            "tonearm",
            "Tonearm.local",
            "tonearm.local.:80",
        ] {
            assert_eq!(ask(&Method::GET, &[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_rebound_name_is_refused_also_for_reading() {
        for host in [
            "evil.example",
            "tonearm.evil.example",
            "127.0.0.1.evil.example",
            "[evil]",
            "tonearm.local.evil",
            ".local",
        ] {
            assert!(
                matches!(ask(&Method::GET, &[("host", host)]), Err(Stranger::Host(_))),
                "{host}"
            );
        }
    }

    #[test]
    fn a_request_without_one_readable_host_is_refused() {
        assert_eq!(ask(&Method::GET, &[]), Err(Stranger::NoHost));
        assert_eq!(
            ask(&Method::GET, &[("host", "tonearm"), ("host", "tonearm")]),
            Err(Stranger::NoHost)
        );
        assert_eq!(ask(&Method::GET, &[("host", "tonearm:x")]), Err(Stranger::NoHost));
        assert_eq!(ask(&Method::GET, &[("host", "")]), Err(Stranger::NoHost));
    }

    #[test]
    fn a_whole_address_in_the_request_line_is_checked_too() {
        let mut map = HeaderMap::new();
        map.append("host", "tonearm".parse().unwrap());
        let uri = Uri::from_static("http://evil.example/api/status");
        assert!(check("tonearm", &Method::GET, &uri, &map).is_err());
    }

    #[test]
    fn another_sites_post_is_refused() {
        for origin in [
            "https://evil.example",
            "null",
            "http://tonearm:8080",
            "http://192.168.1.5",
            "http://",
        ] {
            let refused = ask(&Method::POST, &[("host", "tonearm"), ("origin", origin)]);
            assert_eq!(refused, Err(Stranger::Origin(origin.into())));
        }
        assert!(ask(&Method::POST, &[("host", "tonearm"), ("sec-fetch-site", "cross-site")]).is_err());
    }

    #[test]
    fn the_pages_own_post_and_a_plain_tools_are_followed() {
        assert_eq!(
            ask(&Method::POST, &[("host", "tonearm:80"), ("origin", "http://tonearm")]),
            Ok(())
        );
        assert_eq!(
            ask(&Method::POST, &[("host", "[::1]:81"), ("origin", "http://[::1]:81")]),
            Ok(())
        );
        assert_eq!(ask(&Method::POST, &[("host", "tonearm")]), Ok(()));
    }
}
