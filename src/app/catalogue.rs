//! The table from the core's small keys to what people and the service call things. Owned by the loop alone.

use std::collections::HashMap;

use tonearm_core::entry::{Actions, Entry, Kind};
use tonearm_core::id::{EntryKey, SessionKey, SourceKey};
use tonearm_core::input::{Elsewhere, Entries, Modes};
use tonearm_core::limits::{ANSWER_MAX, EDITS_MAX, ELSEWHERE_MAX, SOURCES_MAX};

use crate::service::{ActiveSession, PlayParams, Playable};

/// Sessions whose names are kept: the open one, the one before (its last events may be on their way), room, and those
/// on other devices, twice: as listed, and as listed before, until the session has taken the new list.
const SESSIONS_MAX: usize = 4 + 2 * ELSEWHERE_MAX;
/// Sources given on the page that are kept: those that the session may still ask for, and the one that was given last.
/// Presets are kept besides.
const GIVEN_MAX: usize = SOURCES_MAX + 1;
const _: () = assert!(GIVEN_MAX > EDITS_MAX, "what waits to be put into the queue is known");

/// What stands for a title where the service gave none.
pub const UNTITLED: &str = "(untitled)";

/// An entry as the service described it, and where it belongs.
#[derive(Clone, Debug)]
pub struct Known {
    /// Session whose queue it is in.
    pub session: SessionKey,
    /// What the service said.
    pub playable: Playable,
}

/// A session on another device, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    session: SessionKey,
    entry: Option<EntryKey>,
    /// Title of its current entry.
    pub title: Option<String>,
    /// The service's name of the device.
    pub device: Option<String>,
}

/// Keys and what they stand for.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Oldest first.
    sessions: Vec<(SessionKey, String)>,
    /// On other devices, as the service last listed them.
    offered: Vec<Offered>,
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
            let unused = self.sessions.iter().position(|(key, _)| !self.is_used(*key));
            self.sessions.remove(unused.unwrap_or(0));
        }
        let key = SessionKey(self.next_key());
        self.sessions.push((key, name.to_owned()));
        key
    }

    /// An entry or an offer refers to this session.
    fn is_used(&self, session: SessionKey) -> bool {
        self.entries.values().any(|known| known.session == session)
            || self.offered.iter().any(|offered| offered.session == session)
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
        let key = match self.find(session, &playable.reference) {
            Some(key) => key,
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
            metric_id,
            ..bare(reference)
        };
        self.entry(session, playable).key
    }

    /// The entry is now in the queue of `session`: that is what the service restored it in.
    pub fn moved(&mut self, entry: EntryKey, session: SessionKey) {
        if let Some(known) = self.entries.get_mut(&entry) {
            known.session = session;
        }
    }

    /// Sessions on other devices as the core sees them, and as they are offered from here on.
    pub fn elsewhere(&mut self, sessions: Vec<ActiveSession>) -> heapless::Vec<Elsewhere, ELSEWHERE_MAX> {
        self.offered.clear();
        sessions
            .into_iter()
            .take(ELSEWHERE_MAX)
            .map(|active| {
                let session = self.session(&active.session);
                let entry = active.reference.as_deref().map(|reference| {
                    let known = self.find(session, reference);
                    known.unwrap_or_else(|| self.entry(session, glimpse(reference, &active)).key)
                });
                self.offered.push(Offered {
                    session,
                    entry,
                    title: active.title,
                    device: active.device,
                });
                Elsewhere {
                    session,
                    entry,
                    sounding: active.sounding,
                    modes: Modes {
                        shuffle: active.shuffle,
                        looping: active.looping,
                    },
                }
            })
            .collect()
    }

    /// A session that the service last listed on another device.
    pub fn offered(&self, session: SessionKey) -> Option<&Offered> {
        self.offered.iter().find(|offered| offered.session == session)
    }

    fn find(&self, session: SessionKey, reference: &str) -> Option<EntryKey> {
        let is_it = |known: &Known| known.session == session && known.playable.reference == reference;
        self.entries
            .iter()
            .find_map(|(key, known)| is_it(known).then_some(*key))
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
        known.unwrap_or(UNTITLED)
    }

    /// Artist of an entry, if the service named one.
    pub fn artist(&self, key: EntryKey) -> Option<&str> {
        self.known(key)?.playable.artist.as_deref()
    }

    /// Forgets the entries that nothing refers to any more, so that the table does not grow.
    pub fn retain(&mut self, holds: impl Fn(EntryKey) -> bool) {
        let offered = &self.offered;
        self.entries
            .retain(|key, _| holds(*key) || offered.iter().any(|one| one.entry == Some(*key)));
    }

    /// The key of something the page asks for. What nobody holds of what was given before is forgotten.
    pub fn give(&mut self, source: PlayParams, holds: impl Fn(SourceKey) -> bool) -> SourceKey {
        self.given.retain(|(given, _)| holds(*given));
        debug_assert!(self.given.len() < GIVEN_MAX, "the session holds more than it may");
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

/// An entry of which only its name is known.
pub(super) fn bare(reference: &str) -> Playable {
    Playable {
        reference: reference.to_owned(),
        metric_id: None,
        kind: Kind::default(),
        title: None,
        artist: None,
        album: None,
        duration: None,
        actions: Actions::default(),
        stream: None,
    }
}

/// What a list of sessions says about the entry that is current in one of them.
fn glimpse(reference: &str, active: &ActiveSession) -> Playable {
    Playable {
        kind: active.kind,
        title: active.title.clone(),
        ..bare(reference)
    }
}

#[cfg(test)]
mod tests {
    use tonearm_core::input::Sounding;

    use super::*;

    fn active(session: &str, reference: &str) -> ActiveSession {
        ActiveSession {
            session: session.to_owned(),
            reference: Some(reference.to_owned()),
            kind: Kind::Track,
            title: Some("Blue".to_owned()),
            device: Some("kitchen".to_owned()),
            shuffle: false,
            looping: false,
            sounding: Sounding::Yes,
        }
    }

    #[test]
    fn a_restored_entry_keeps_its_key_in_the_session_it_came_back_in() {
        let mut catalogue = Catalogue::new(Vec::new());
        let old = catalogue.session("old");
        let entry = catalogue.recall(old, "r-1", None);
        let new = catalogue.session("new");
        catalogue.moved(entry, new);
        assert_eq!(catalogue.entry(new, bare("r-1")).key, entry);
    }

    #[test]
    fn what_is_offered_keeps_its_names_until_the_next_list() {
        let mut catalogue = Catalogue::new(Vec::new());
        let listed = catalogue.elsewhere(vec![active("s", "r")]);
        catalogue.retain(|_| false);
        let entry = listed[0].entry.unwrap();
        assert_eq!(
            (catalogue.title(entry), catalogue.session_name(listed[0].session)),
            ("Blue", Some("s"))
        );
        assert_eq!(
            catalogue.offered(listed[0].session).unwrap().device.as_deref(),
            Some("kitchen")
        );
        assert!(catalogue.elsewhere(Vec::new()).is_empty());
        catalogue.retain(|_| false);
        assert!(catalogue.known(entry).is_none() && catalogue.offered(listed[0].session).is_none());
    }

    #[test]
    fn a_glimpse_does_not_replace_what_is_known_better() {
        let mut catalogue = Catalogue::new(Vec::new());
        let session = catalogue.session("s");
        let artist = Some("Somebody".to_owned());
        let entry = catalogue.entry(session, Playable { artist, ..bare("r") });
        assert_eq!(catalogue.elsewhere(vec![active("s", "r")])[0].entry, Some(entry.key));
        assert_eq!(catalogue.artist(entry.key), Some("Somebody"));
    }

    #[test]
    fn what_was_given_is_kept_as_long_as_it_may_be_asked_for() {
        let mut catalogue = Catalogue::new(Vec::new());
        let params = |number: usize| PlayParams {
            id: Some(number.to_string()),
            container_ids: Vec::new(),
        };
        let mut held: Vec<SourceKey> = Vec::new();
        for number in 0..SOURCES_MAX {
            held.push(catalogue.give(params(number), |key| held.contains(&key)));
        }
        for number in 0..100 {
            catalogue.give(params(number), |key| held.contains(&key));
        }
        for (number, key) in held.iter().enumerate() {
            assert_eq!(catalogue.source(*key), Some(&params(number)));
        }
        assert_eq!(catalogue.given.len(), GIVEN_MAX);
    }

    #[test]
    fn many_sessions_on_other_devices_do_not_push_out_the_open_one() {
        let mut catalogue = Catalogue::new(Vec::new());
        let open = catalogue.session("open");
        let entry = catalogue.recall(open, "r", None);
        for round in 0..10 {
            let list = (0..ELSEWHERE_MAX).map(|number| active(&format!("s-{round}-{number}"), "r"));
            catalogue.elsewhere(list.collect());
            catalogue.retain(|key| key == entry);
        }
        assert_eq!(catalogue.session_name(open), Some("open"));
        assert!(catalogue.sessions.len() <= SESSIONS_MAX);
    }
}
