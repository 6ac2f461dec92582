//! One entry of a queue, as the service keeps it. What it looks like to clients is the business of `wire`.

use serde::{Deserialize, Serialize};

use super::tier::Kind;

/// What sounds: a track of the catalogue by its MRN, or something the service injects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// MRN of a track.
    Track(String),
    /// Advertisement.
    Ad,
    /// Introduction.
    Interlude,
}

/// One entry of the queue. The same track twice in a queue is two entries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// `entityReferenceId`: unique, and stays with the entry when the order changes.
    pub reference: String,
    /// `metricId`: opaque to clients, with characters that must survive a round trip.
    pub metric: String,
    /// What sounds.
    pub item: Item,
    /// A start of it was reported.
    pub started: bool,
    /// Which time through the source, from 0.
    pub round: u32,
    /// Place in the source, to restore the order when shuffle ends.
    pub ordinal: usize,
}

impl Entry {
    /// Sort of the entry.
    pub const fn kind(&self) -> Kind {
        match self.item {
            Item::Track(_) => Kind::Track,
            Item::Ad => Kind::Ad,
            Item::Interlude => Kind::Interlude,
        }
    }
}
