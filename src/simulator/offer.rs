//! What the service says to a listener whose subscription does not include something. Text only.

use super::tier;

/// Language of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
}

impl Language {
    /// The first language of `Accept-Language` that is spoken here.
    pub fn of(accepted: Option<&str>) -> Self {
        let mut tags = accepted.unwrap_or_default().split(',').map(str::trim);
        tags.find_map(|tag| match tag.get(..2)?.to_ascii_lowercase().as_str() {
            "de" => Some(Self::German),
            "en" => Some(Self::English),
            _ => None,
        })
        .unwrap_or_default()
    }
}

/// Where a bigger subscription is offered, behind the address of this server.
pub const PATH: &str = "/sim/upgrade";

/// The message for a reason of `disableType`.
pub fn words(why: &str, language: Language) -> &'static str {
    match (why, language) {
        (tier::NO_MORE_SKIPS, Language::English) => {
            "You have no skips left for now. Upgrade to skip as often as you like."
        }
        (tier::NO_MORE_SKIPS, Language::German) => {
            "Du kannst gerade keinen Titel mehr überspringen. Mit einem größeren Abo so oft du willst."
        }
        (tier::UNAVAILABLE, Language::English) => "This is not available here.",
        (tier::UNAVAILABLE, Language::German) => "Das gibt es hier nicht.",
        (_, Language::English) => "Your subscription does not include this. Upgrade to choose what you hear.",
        (_, Language::German) => "Das gehört nicht zu deinem Abo. Mit einem größeren Abo bestimmst du, was du hörst.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_that_is_spoken_here_is_used() {
        for (accepted, expected) in [
            (None, Language::English),
            (Some("de-DE,en;q=0.5"), Language::German),
            (Some("fr, de"), Language::German),
            (Some("en-GB, de"), Language::English),
            (Some("é"), Language::English),
        ] {
            assert_eq!(Language::of(accepted), expected, "{accepted:?}");
        }
    }
}
