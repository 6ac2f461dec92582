//! What a subscription allows: actions of an entry, the limit of skips, what is injected. Knows no HTTP and no queue.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::course::Sort;

/// Skips a limited tier allows within [`SKIP_WINDOW_MS`]. "Prime: usually 6, back to 6 after 60 minutes."
pub const SKIPS_MAX: usize = 6;
/// How long a skip counts.
pub const SKIP_WINDOW_MS: i64 = 60 * 60 * 1000;
/// Tracks between two advertisements on the free tier.
const AD_EVERY_FREE: u32 = 3;
/// Tracks between two advertisements on the prime tier: rarer, but a queue of one album still meets one.
const AD_EVERY_PRIME: u32 = 4;

/// No skip is left within the hour.
pub const NO_MORE_SKIPS: &str = "NO_MORE_SKIPS";
/// What does not exist here for anybody.
pub const UNAVAILABLE: &str = "FEATURE_NOT_AVAILABLE";
const FOR_AD_FREE: &str = "NEED_AMAZON_MUSIC_SUBSCRIPTION_FOR_AD_FREE_PLAYBACK";
/// What a bigger subscription would allow.
pub const FOR_CATALOGUE: &str = "NEED_AMAZON_MUSIC_UNLIMITED_CATALOG_ACCESS";
/// Mixing anything but a station.
pub const FOR_SHUFFLE: &str = "NEED_AMAZON_MUSIC_SUBSCRIPTION_TO_SHUFFLE_NON_STATION";

/// Subscription of the simulated account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Everything is allowed, nothing is injected.
    #[default]
    Unlimited,
    /// Six skips an hour, no way back, an interlude first and an advertisement now and then.
    Prime,
    /// As prime, with more advertisements, and without moving inside a track.
    Free,
}

impl Tier {
    /// Tracks after which an advertisement follows, if this tier has any.
    const fn ad_every(self) -> Option<u32> {
        match self {
            Self::Unlimited => None,
            Self::Prime => Some(AD_EVERY_PRIME),
            Self::Free => Some(AD_EVERY_FREE),
        }
    }

    /// Skips are counted.
    pub const fn limits_skips(self) -> bool {
        match self {
            Self::Unlimited => false,
            Self::Prime | Self::Free => true,
        }
    }
}

/// Who decides what a listener hears next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Shuffle {
    /// The listener, as far as the tier goes.
    #[default]
    Plain,
    /// The service: always mixed, and now and then a track of its own choice.
    Augmented,
}

/// What the account may do and hears besides what it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Subscription.
    pub tier: Tier,
    /// Tracks after which an advertisement follows, if there are any.
    pub ads_every: Option<u32>,
    /// Who decides what comes next.
    pub shuffle: Shuffle,
}

impl Rules {
    /// The rules of a tier. `ads_every` in place of the tier's own number; 0: none.
    pub fn new(tier: Tier, shuffle: Shuffle, ads_every: Option<u32>) -> Self {
        Self {
            tier,
            ads_every: ads_every.or(tier.ad_every()).filter(|every| *every > 0),
            shuffle,
        }
    }

    /// In a few words, for people.
    pub fn words(self) -> String {
        let tier = match self.tier {
            Tier::Unlimited => "unlimited: anything is allowed",
            Tier::Prime => "prime: 6 skips an hour, no way back, no repetition",
            Tier::Free => "free: 6 skips an hour, no way back, no repetition, no moving inside a track",
        };
        let shuffle = match self.shuffle {
            Shuffle::Plain => "",
            Shuffle::Augmented => "; always mixed, with tracks of the service's choice",
        };
        let ads = self
            .ads_every
            .map(|every| format!("; an advertisement after {every} tracks"));
        format!("{tier}{shuffle}{}", ads.unwrap_or_default())
    }

    /// A skip of such an entry counts.
    pub const fn counts_skips(self, kind: Kind) -> bool {
        self.tier.limits_skips()
            && match kind {
                Kind::Track | Kind::Interlude => true,
                Kind::Episode | Kind::Ad => false,
            }
    }

    /// Playback modes a listener may choose from for music or for a podcast.
    pub const fn selections(self, sort: Sort) -> &'static [&'static str] {
        match (sort, self.shuffle) {
            (Sort::Podcast, Shuffle::Plain | Shuffle::Augmented) => &["PLAY"],
            (Sort::Music, Shuffle::Augmented) => &["SHUFFLE", "STATION"],
            (Sort::Music, Shuffle::Plain) => match self.tier {
                Tier::Unlimited | Tier::Prime => &["PLAY", "SHUFFLE", "STATION"],
                Tier::Free => &["PLAY", "STATION"],
            },
        }
    }
}

/// Sort of an entry in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Music somebody asked for, or the station chose.
    Track,
    /// Episode of a podcast: may be scrubbed and left on every tier, its order is the show's.
    Episode,
    /// Injected advertisement.
    Ad,
    /// Injected introduction.
    Interlude,
}

/// One thing a listener may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Skip forward.
    Next,
    /// Go back one entry.
    Previous,
    /// Move forward inside the entry.
    ScrubForward,
    /// Move backward inside the entry.
    ScrubBackward,
    /// Repeat the queue.
    LoopAll,
    /// Mix the queue.
    Shuffle,
}

impl Action {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Next, "next"),
        (Self::Previous, "previous"),
        (Self::ScrubForward, "scrubForward"),
        (Self::ScrubBackward, "scrubBackward"),
        (Self::LoopAll, "loopAll"),
        (Self::Shuffle, "shuffle"),
    ];
}

/// What the answer depends on.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// What the account may do.
    pub rules: Rules,
    /// The queue is a station.
    pub station: bool,
    /// Sort of the entry.
    pub kind: Kind,
    /// There is an entry before it.
    pub has_previous: bool,
    /// Skips left, on tiers that count them.
    pub skips_left: usize,
}

/// Why the action is not allowed, as the service spells it; `None`: it is allowed.
pub fn denial(of: Circumstances, action: Action) -> Option<&'static str> {
    match of.kind {
        Kind::Ad => return Some(FOR_AD_FREE),
        Kind::Interlude if !matches!(action, Action::Next | Action::Shuffle | Action::LoopAll) => {
            return Some(UNAVAILABLE);
        }
        Kind::Episode => {
            return match action {
                Action::Next | Action::ScrubForward | Action::ScrubBackward => None,
                Action::Previous => (!of.has_previous).then_some(UNAVAILABLE),
                Action::LoopAll | Action::Shuffle => Some(UNAVAILABLE),
            };
        }
        Kind::Interlude | Kind::Track => {}
    }
    let tier = of.rules.tier;
    let limited = tier.limits_skips();
    match action {
        Action::Next if limited && of.skips_left == 0 => Some(NO_MORE_SKIPS),
        Action::Next => None,
        Action::Previous if limited => Some(FOR_CATALOGUE),
        Action::Previous => (!of.has_previous).then_some(UNAVAILABLE),
        Action::ScrubForward | Action::ScrubBackward => (tier == Tier::Free).then_some(FOR_CATALOGUE),
        Action::LoopAll | Action::Shuffle if of.station => Some(UNAVAILABLE),
        Action::LoopAll | Action::Shuffle if of.rules.shuffle == Shuffle::Augmented => Some(FOR_CATALOGUE),
        Action::LoopAll => limited.then_some(FOR_CATALOGUE),
        Action::Shuffle => (tier == Tier::Free).then_some(FOR_SHUFFLE),
    }
}

/// The `actions` object of an entry.
pub fn actions(of: Circumstances) -> Value {
    let mut actions = serde_json::Map::new();
    for (action, name) in Action::ALL {
        let mut said = match denial(of, action) {
            None => json!({"isAllowed": true}),
            Some(reason) => json!({"isAllowed": false, "disableType": reason}),
        };
        if action == Action::Next
            && of.rules.counts_skips(of.kind)
            && let Some(object) = said.as_object_mut()
        {
            object.insert("remainingSkips".to_owned(), json!(of.skips_left));
        }
        actions.insert(name.to_owned(), said);
    }
    Value::Object(actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACK: Circumstances = Circumstances {
        rules: Rules {
            tier: Tier::Unlimited,
            ads_every: None,
            shuffle: Shuffle::Plain,
        },
        station: false,
        kind: Kind::Track,
        has_previous: true,
        skips_left: 6,
    };

    #[test]
    fn unlimited_allows_everything_without_counting() {
        for (_, said) in actions(TRACK).as_object().unwrap() {
            assert_eq!(said, &json!({"isAllowed": true}));
        }
    }

    #[test]
    fn prime_counts_skips_and_refuses_the_seventh() {
        let prime = Circumstances {
            rules: Rules::new(Tier::Prime, Shuffle::Plain, None),
            ..TRACK
        };
        assert_eq!(actions(prime)["next"], json!({"isAllowed": true, "remainingSkips": 6}));
        let used_up = Circumstances { skips_left: 0, ..prime };
        assert_eq!(
            actions(used_up)["next"],
            json!({"isAllowed": false, "disableType": "NO_MORE_SKIPS", "remainingSkips": 0})
        );
    }

    #[test]
    fn an_advertisement_allows_nothing() {
        let ad = Circumstances {
            rules: Rules::new(Tier::Free, Shuffle::Plain, None),
            kind: Kind::Ad,
            ..TRACK
        };
        for (name, said) in actions(ad).as_object().unwrap() {
            assert_eq!(said["isAllowed"], json!(false), "{name}");
        }
    }

    #[test]
    fn an_interlude_can_be_skipped_but_not_scrubbed() {
        let interlude = Circumstances {
            kind: Kind::Interlude,
            ..TRACK
        };
        assert_eq!(denial(interlude, Action::Next), None);
        assert_eq!(denial(interlude, Action::ScrubForward), Some(UNAVAILABLE));
    }

    #[test]
    fn a_podcast_may_be_scrubbed_on_every_tier_and_its_skips_do_not_count() {
        for tier in [Tier::Unlimited, Tier::Prime, Tier::Free] {
            let episode = Circumstances {
                rules: Rules::new(tier, Shuffle::Plain, None),
                kind: Kind::Episode,
                skips_left: 0,
                ..TRACK
            };
            for action in [
                Action::ScrubForward,
                Action::ScrubBackward,
                Action::Next,
                Action::Previous,
            ] {
                assert_eq!(denial(episode, action), None, "{tier:?} {action:?}");
            }
            assert_eq!(actions(episode)["next"], json!({"isAllowed": true}));
        }
    }

    #[test]
    fn an_augmented_shuffle_is_neither_ended_nor_repeated() {
        let augmented = Circumstances {
            rules: Rules::new(Tier::Unlimited, Shuffle::Augmented, None),
            ..TRACK
        };
        assert_eq!(denial(augmented, Action::Shuffle), Some(FOR_CATALOGUE));
        assert_eq!(denial(augmented, Action::LoopAll), Some(FOR_CATALOGUE));
        assert_eq!(augmented.rules.selections(Sort::Music), ["SHUFFLE", "STATION"]);
    }

    #[test]
    fn advertisements_come_as_often_as_somebody_says() {
        let every = |tier, said| Rules::new(tier, Shuffle::Plain, said).ads_every;
        assert_eq!(every(Tier::Free, None), Some(AD_EVERY_FREE));
        assert_eq!(every(Tier::Free, Some(0)), None);
        assert_eq!(every(Tier::Unlimited, Some(2)), Some(2));
    }

    #[test]
    fn nothing_lies_before_the_first_entry() {
        let first = Circumstances {
            has_previous: false,
            ..TRACK
        };
        assert_eq!(denial(first, Action::Previous), Some(UNAVAILABLE));
    }

    #[test]
    fn a_station_has_no_order_to_mix() {
        let station = Circumstances { station: true, ..TRACK };
        assert_eq!(denial(station, Action::Shuffle), Some(UNAVAILABLE));
        assert_eq!(denial(station, Action::LoopAll), Some(UNAVAILABLE));
    }
}
