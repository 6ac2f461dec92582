//! The whole queue as others see it: the JSON of `GET /api/queue` and its rendering for people.
//!
//! Field names are a promise to scripts: add, never rename.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of the service's queue around the current entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// The entries of this part, in order.
    pub entries: Vec<Queued>,
    /// Place of the current entry in `entries`; `null` if the service did not list it.
    pub current: Option<usize>,
    /// Entries before this part.
    pub before: usize,
    /// Entries after this part.
    pub after: usize,
}

/// One entry of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Title.
    pub title: String,
    /// Artist, as one line; empty if the service gave none.
    pub artist: String,
    /// Sort of entry, see [`super::kind_name`].
    pub kind: String,
    /// Length; `null` where the service did not say.
    pub duration_ms: Option<u32>,
}

/// For people, a line an entry.
impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.before > 0 {
            writeln!(f, "  ({} before)", self.before)?;
        }
        for (at, entry) in self.entries.iter().enumerate() {
            let mark = if self.current == Some(at) { '>' } else { ' ' };
            write!(f, "{mark} {}", entry.title)?;
            if !entry.artist.is_empty() {
                write!(f, " by {}", entry.artist)?;
            }
            if entry.kind != super::kind_name(tonearm_core::entry::Kind::Track) {
                write!(f, " ({})", entry.kind)?;
            }
            writeln!(f)?;
        }
        if self.after > 0 {
            writeln!(f, "  ({} more)", self.after)?;
        }
        if self.entries.is_empty() {
            writeln!(f, "the queue is empty")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(title: &str, artist: &str, kind: &str) -> Queued {
        Queued {
            title: title.into(),
            artist: artist.into(),
            kind: kind.into(),
            duration_ms: None,
        }
    }

    #[test]
    fn a_part_of_a_queue_says_how_much_there_is_around_it() {
        let queue = Queue {
            entries: vec![queued("One", "A", "track"), queued("Buy", "", "ad")],
            current: Some(1),
            before: 3,
            after: 99,
        };
        assert_eq!(queue.to_string(), "  (3 before)\n  One by A\n> Buy (ad)\n  (99 more)\n");
    }
}
