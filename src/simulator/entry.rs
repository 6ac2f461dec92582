//! One entry of a queue, as the service keeps it. What it looks like to clients is the business of `wire`.

use serde::{Deserialize, Serialize};

use super::order::fingerprint;
use super::tier::Kind;

/// A track by its container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// MRN of an album, a show or the track itself.
    pub container: String,
    /// Which of its tracks, from 0.
    pub index: usize,
}

/// What sounds: something of the catalogue, or something the service injects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// Track of an album.
    Track(Place),
    /// Episode of a podcast.
    Episode(Place),
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
    /// Which time through a source, from 0.
    pub round: u32,
    /// Place in that source; `None`: it keeps its place in the queue when the order changes.
    pub ordinal: Option<usize>,
}

impl Entry {
    /// An entry of a queue by its name; the same arguments give the same identifiers.
    pub fn new((queue, number): (&str, &str), item: Item, round: u32, ordinal: Option<usize>) -> Self {
        let mark = fingerprint(&format!("{queue}#{round}/{number}"));
        Self {
            reference: format!("{number}:{mark:016x}"),
            metric: format!("mx|{:016x}/{number}+{mark:016x}==", fingerprint(queue)),
            item,
            started: false,
            round,
            ordinal,
        }
    }

    /// Sort of the entry.
    pub const fn kind(&self) -> Kind {
        match self.item {
            Item::Track(_) => Kind::Track,
            Item::Episode(_) => Kind::Episode,
            Item::Ad => Kind::Ad,
            Item::Interlude => Kind::Interlude,
        }
    }
}
