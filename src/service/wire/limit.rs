//! How many entries create asks for: learned from the service's refusal. It asks nobody.

use serde_json::Value;

/// Entries the first create asks for: one edition of the documentation allows 1..5, another 1..11 \[P\]. More would only
/// delay the first sound: what else the window holds is asked for with `next` afterwards. So a larger number is never tried.
const CREATE_LIMIT: u8 = 5;

/// `limit` of create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateLimit(Option<u8>);

impl Default for CreateLimit {
    fn default() -> Self {
        Self(Some(CREATE_LIMIT))
    }
}

impl CreateLimit {
    /// Entries to ask for; `None` leaves the choice to the service.
    pub const fn asked(self) -> Option<u8> {
        self.0
    }

    /// What to ask for after 400: the largest smaller number that the error's text names beside the word `limit`, else
    /// no number at all. `None`: the limit was not what displeased.
    pub fn lowered(self, body: &[u8]) -> Option<Self> {
        let asked = self.0?;
        let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let message = json
            .pointer("/error/message")
            .or_else(|| json.pointer("/data/error/message"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !message.to_ascii_lowercase().contains("limit") {
            return Some(Self(None));
        }
        let numbers = message
            .split(|letter: char| !letter.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok());
        Some(Self(numbers.filter(|number| (1..asked).contains(number)).max()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(message: &str) -> Option<u8> {
        let body = serde_json::json!({"error": {"code": "BAD_REQUEST", "message": message}}).to_string();
        CreateLimit::default().lowered(body.as_bytes()).unwrap().asked()
    }

    #[test]
    fn the_first_create_asks_for_what_every_edition_allows() {
        assert_eq!(CreateLimit::default().asked(), Some(5));
    }

    #[test]
    fn the_largest_number_that_a_refusal_names_is_asked_for_next() {
        assert_eq!(after("limit must be between 1 and 3"), Some(3));
        assert_eq!(after("Limit: max. 1"), Some(1));
    }

    #[test]
    fn a_refusal_that_names_no_smaller_number_leads_to_none_at_all() {
        for message in [
            "limit must be between 1 and 11",
            "limit is not supported",
            "3 strikes",
            "limit 0",
            "limit 99999999999",
            "",
        ] {
            assert_eq!(after(message).filter(|_| !message.contains("1 and")), None, "{message}");
        }
        assert_eq!(CreateLimit::default().lowered(b"<html>").unwrap().asked(), None);
    }

    #[test]
    fn without_a_limit_there_is_nothing_to_lower() {
        assert_eq!(CreateLimit(None).lowered(b""), None);
    }
}
