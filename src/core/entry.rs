//! What the core knows of an entry of the service's queue, and what the service allows with it.

use crate::id::EntryKey;
use crate::unit::Millis;

/// One entry as the service described it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which entry.
    pub key: EntryKey,
    /// What sort of thing it is; only for people, never a reason to treat it differently.
    pub kind: Kind,
    /// Length as announced; `None` where the service did not say.
    pub duration: Option<Millis>,
    /// What the listener may do while it is the current entry.
    pub actions: Actions,
}

/// Sort of an entry. Unknown sorts play like a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A piece of music.
    #[default]
    Track,
    /// An episode of a podcast.
    Episode,
    /// An advertisement the service injected.
    Ad,
    /// A spoken introduction the service injected.
    Interlude,
}

/// What the service allows while an entry is current: the only authority; the tier is never guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// Skip to the next entry.
    pub next: Permission,
    /// Go back to the entry before.
    pub previous: Permission,
    /// Move forward within the entry.
    pub scrub_forward: Permission,
    /// Move backward within the entry.
    pub scrub_backward: Permission,
    /// Repeat the whole queue.
    pub loop_all: Permission,
    /// Play in random order.
    pub shuffle: Permission,
}

/// Whether one action is allowed. An action the service did not mention is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Allowed; `remaining` counts skips where they are limited.
    Allowed {
        /// Uses left, `None` where there is no limit.
        remaining: Option<u8>,
    },
    /// Not allowed, and why.
    Denied(Denial),
}

impl Default for Permission {
    fn default() -> Self {
        Self::Denied(Denial::Unavailable)
    }
}

impl Permission {
    /// Allowed without a limit.
    pub const FREE: Self = Self::Allowed { remaining: None };
}

/// The service's reason for not allowing an action (`disableType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// `NO_MORE_SKIPS`: the limit of skips is used up for now.
    NoMoreSkips,
    /// `NEED_AMAZON_MUSIC_SUBSCRIPTION_…`, `NEED_AMAZON_MUSIC_UNLIMITED_…`: another plan is needed.
    NeedsSubscription,
    /// `FEATURE_NOT_AVAILABLE`, anything unknown, or not mentioned at all.
    Unavailable,
}
