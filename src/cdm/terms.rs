//! Where a licence is asked for, and as whom. The headers are secrets of that one address; `Debug` hides them. Words only.

use std::fmt;

/// An entry, by the number that it has for whoever opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(pub u32);

/// Where the licence of an entry is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Terms {
    /// The service's word for the system (`WIDEVINE`, ...); `None`: it named none.
    pub system: Option<String>,
    /// Licence address; it may carry a signature.
    pub url: String,
    /// Headers for that address and no other.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("system", &self.system)
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

impl Terms {
    /// Whether the built-in Clear Key is meant: the service's word, or the reverse domain name of W3C.
    pub fn is_clear_key(&self) -> bool {
        let letters = |text: &str| {
            let letters = text.chars().filter(char::is_ascii_alphanumeric);
            letters.map(|letter| letter.to_ascii_lowercase()).collect::<String>()
        };
        let system = self.system.as_deref().map(letters);
        matches!(system.as_deref(), Some("clearkey" | "orgw3clearkey"))
    }

    /// The system as it is called in messages.
    pub fn system_name(&self) -> &str {
        self.system.as_deref().unwrap_or("(not named)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(system: Option<&str>) -> Terms {
        Terms {
            system: system.map(str::to_owned),
            url: "https://licence/?signature=topsecret".to_owned(),
            headers: vec![("x-token".to_owned(), "topsecret".to_owned())],
        }
    }

    #[test]
    fn clear_key_is_known_by_its_names() {
        for name in ["CLEARKEY", "ClearKey", "CLEAR_KEY", "clear-key", "org.w3.clearkey"] {
            assert!(terms(Some(name)).is_clear_key(), "{name}");
        }
        for name in [Some("WIDEVINE"), Some(""), Some("KEY"), None] {
            assert!(!terms(name).is_clear_key(), "{name:?}");
        }
    }

    #[test]
    fn headers_and_signatures_are_not_shown() {
        let shown = format!("{:?}", terms(Some("WIDEVINE")));
        assert!(shown.contains("WIDEVINE") && !shown.contains("topsecret"), "{shown}");
    }
}
