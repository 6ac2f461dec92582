//! The table from the core's small keys to what people and the service call things. Owned by the loop alone.

use std::collections::HashMap;

use tonearm_core::entry::{Actions, Entry, Kind};
use tonearm_core::id::{EntryKey, SessionKey, SourceKey};
use tonearm_core::input::Entries;
use tonearm_core::limits::ANSWER_MAX;

use crate::service::{PlayParams, Playable};

/// Sessions whose names are kept: the open one, the one before (its last events may be on their way), and room.
const SESSIONS_MAX: usize = 4;
/// Sources given on the page that are kept; presets are kept besides.
const GIVEN_MAX: usize = 8;

/// An entry as the service described it, and where it belongs.
#[derive(Clone, Debug)]
pub struct Known {
    /// Session whose queue it is in.
    pub session: SessionKey,
    /// What the service said.
    pub playable: Playable,
}

/// Keys and what they stand for.
#[derive(Debug, Default)]
pub struct Catalogue {
    sessions: Vec<(SessionKey, String)>,
    entries: HashMap<EntryKey, Known>,
    /// Presets, in order: preset n has key n.
    presets: Vec<PlayParams>,
    /// From the page, oldest first.
    given: Vec<(SourceKey, PlayParams)>,
    last_key: u32,
}

impl Catalogue {
    /// With the presets of the configuration.
    pub fn new(presets: Vec<PlayParams>) -> Self {
        let last_key = u32::try_from(presets.len()).unwrap_or(u32::MAX);
        Self {
            presets,
            last_key,
            ..Self::default()
        }
    }

    /// The key of the session with this name.
    pub fn session(&mut self, name: &str) -> SessionKey {
        if let Some((key, _)) = self.sessions.iter().find(|(_, known)| known == name) {
            return *key;
        }
        if self.sessions.len() == SESSIONS_MAX {
            self.sessions.remove(0);
        }
        let key = SessionKey(self.next_key());
        self.sessions.push((key, name.to_owned()));
        key
    }

    /// The name of a session; `None` if it is long gone.
    pub fn session_name(&self, key: SessionKey) -> Option<&str> {
        self.sessions
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, name)| name.as_str())
    }

    /// The entry as the core sees it. The same reference in the same session is the same entry, with fresh facts.
    pub fn entry(&mut self, session: SessionKey, playable: Playable) -> Entry {
        let known = self
            .entries
            .iter()
            .find(|(_, known)| known.session == session && known.playable.reference == playable.reference);
        let key = match known {
            Some((key, _)) => *key,
            None => EntryKey(self.next_key()),
        };
        let entry = Entry {
            key,
            kind: playable.kind,
            duration: playable.duration,
            actions: playable.actions,
        };
        self.entries.insert(key, Known { session, playable });
        entry
    }

    /// The key of an entry of an earlier run, of which no more is known than what was saved.
    pub fn recall(&mut self, session: SessionKey, reference: &str, metric_id: Option<String>) -> EntryKey {
        let playable = Playable {
            reference: reference.to_owned(),
            metric_id,
            kind: Kind::default(),
            title: None,
            artist: None,
            album: None,
            duration: None,
            actions: Actions::default(),
            stream: None,
        };
        self.entry(session, playable).key
    }

    /// Entries as the core sees them; more than an answer may hold are left out.
    pub fn entries(&mut self, session: SessionKey, playables: Vec<Playable>) -> Entries {
        playables
            .into_iter()
            .take(ANSWER_MAX)
            .map(|playable| self.entry(session, playable))
            .collect()
    }

    /// What the service said about an entry.
    pub fn known(&self, key: EntryKey) -> Option<&Known> {
        self.entries.get(&key)
    }

    /// Title of an entry, for people.
    pub fn title(&self, key: EntryKey) -> &str {
        let known = self.known(key).and_then(|known| known.playable.title.as_deref());
        known.unwrap_or("(untitled)")
    }

    /// Artist of an entry, if the service named one.
    pub fn artist(&self, key: EntryKey) -> Option<&str> {
        self.known(key)?.playable.artist.as_deref()
    }

    /// Forgets the entries that nothing refers to any more, so that the table does not grow.
    pub fn retain(&mut self, holds: impl Fn(EntryKey) -> bool) {
        self.entries.retain(|key, _| holds(*key));
    }

    /// The key of something the page asks for.
    pub fn give(&mut self, source: PlayParams) -> SourceKey {
        if self.given.len() == GIVEN_MAX {
            self.given.remove(0);
        }
        let key = SourceKey(self.next_key());
        self.given.push((key, source));
        key
    }

    /// What a source key stands for.
    pub fn source(&self, key: SourceKey) -> Option<&PlayParams> {
        let preset = usize::try_from(key.0).ok()?.checked_sub(1)?;
        self.presets.get(preset).or_else(|| {
            self.given
                .iter()
                .find(|(given, _)| *given == key)
                .map(|(_, source)| source)
        })
    }

    /// Keys are never reused while the program runs: four billion last longer than any board.
    fn next_key(&mut self) -> u32 {
        self.last_key = self.last_key.wrapping_add(1);
        self.last_key
    }
}
