//! Mirror of the part of the service's queue around the current entry. The service owns the queue: nothing here
//! re-orders, drops or invents an entry; the cursor moves one step at a time and answers replace what was known.

use heapless::Vec;

use crate::entry::{Actions, Entry, Kind};
use crate::id::EntryKey;
use crate::limits::{AHEAD_MAX, BEHIND_MAX, QUEUE_MAX};

/// Entries behind, the current one, and those ahead, in the service's order.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    entries: Vec<Entry, QUEUE_MAX>,
    /// Index of the current entry; meaningless while `entries` is empty.
    cursor: usize,
    behind_max: usize,
    ahead_max: usize,
    /// The first mirrored entry is the first of the service's queue: there is nothing before it to ask for.
    begins: bool,
    /// Entries, their order or the cursor changed since somebody last took notice.
    changed: bool,
}

/// What an answer did to the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// The entries ahead are now as the service said.
    Taken,
    /// The answer speaks of another place in the queue and says nothing about what follows the current entry.
    Elsewhere,
}

impl Queue {
    /// Bounds above the limits are cut down to them; one entry on either side is needed to step at all.
    pub(crate) fn new(behind_max: u8, ahead_max: u8) -> Self {
        Self {
            entries: Vec::new(),
            cursor: 0,
            behind_max: usize::from(behind_max).clamp(1, BEHIND_MAX),
            ahead_max: usize::from(ahead_max).clamp(1, AHEAD_MAX),
            begins: false,
            changed: false,
        }
    }

    /// Whether entries, their order or the cursor changed since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    /// Forgets everything and starts at `entries[0]`.
    pub(crate) fn open(&mut self, entries: &[Entry], begins: bool) {
        self.changed = true;
        self.entries.clear();
        self.cursor = 0;
        self.begins = begins;
        for entry in entries.iter().take(1 + self.ahead_max) {
            self.push(*entry);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.open(&[], false);
    }

    pub(crate) fn current(&self) -> Option<&Entry> {
        self.entries.get(self.cursor)
    }

    /// The entry after the current one.
    pub(crate) fn upcoming(&self) -> Option<&Entry> {
        self.ahead().first()
    }

    /// Entries after the current one, nearest first.
    pub(crate) fn ahead(&self) -> &[Entry] {
        self.entries.get(self.cursor.saturating_add(1)..).unwrap_or_default()
    }

    /// Entries before the current one, oldest first.
    pub(crate) fn behind(&self) -> &[Entry] {
        self.entries.get(..self.cursor).unwrap_or_default()
    }

    /// Everything mirrored, in order.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Index of the current entry in [`Self::entries`].
    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// There is certainly nothing before the first mirrored entry.
    pub(crate) fn begins(&self) -> bool {
        self.begins
    }

    pub(crate) fn ahead_max(&self) -> usize {
        self.ahead_max
    }

    pub(crate) fn behind_max(&self) -> usize {
        self.behind_max
    }

    /// Moves to the next entry; `false` if none is known. The oldest one behind leaves when there are too many.
    pub(crate) fn advance(&mut self) -> bool {
        if self.upcoming().is_none() {
            return false;
        }
        self.changed = true;
        self.cursor += 1;
        while self.cursor > self.behind_max {
            self.entries.remove(0);
            self.cursor -= 1;
            self.begins = false;
        }
        true
    }

    /// Moves to the entry before; `false` if none is known. The farthest one ahead leaves when there are too many.
    pub(crate) fn retreat(&mut self) -> bool {
        if self.cursor == 0 {
            return false;
        }
        self.changed = true;
        self.cursor -= 1;
        self.entries.truncate(self.cursor + 1 + self.ahead_max);
        true
    }

    /// Moves to `key`, which sounds: nothing is known of what follows it. An entry that has left the mirror comes back
    /// without permissions, until the service describes it anew.
    pub(crate) fn step_to(&mut self, key: EntryKey) {
        let known = self.entries.iter().find(|entry| entry.key == key).copied();
        self.changed = true;
        self.entries.truncate(self.cursor.saturating_add(1));
        self.push(known.unwrap_or(Entry {
            key,
            kind: Kind::default(),
            duration: None,
            actions: Actions::default(),
        }));
        self.advance();
    }

    /// Forgets everything but the current entry.
    pub(crate) fn keep_current(&mut self) {
        if let Some(current) = self.current().copied() {
            self.open(&[current], true);
        }
    }

    /// Takes the service's list of what follows `service_at`, the entry the service believes to be current.
    pub(crate) fn take_next(&mut self, service_at: Option<EntryKey>, list: &[Entry]) -> Merge {
        let Some(current) = self.current().map(|entry| entry.key) else {
            return Merge::Elsewhere;
        };
        // While the service is still at an entry before the current one, the list leads up to and past it.
        let ahead = if service_at == Some(current) {
            list
        } else if let Some(index) = list.iter().position(|entry| entry.key == current) {
            list.get(index + 1..).unwrap_or_default()
        } else {
            return Merge::Elsewhere;
        };
        self.changed = true;
        self.entries.truncate(self.cursor + 1);
        for entry in ahead.iter().take(self.ahead_max) {
            self.push(*entry);
        }
        Merge::Taken
    }

    /// Takes the service's list of what comes before `service_at`, nearest first.
    pub(crate) fn take_previous(&mut self, service_at: Option<EntryKey>, list: &[Entry]) {
        let short = list.len() < self.behind_max;
        let current = self.current().map(|entry| entry.key);
        let behind = |key| self.behind().iter().any(|known| known.key == key);
        // While the service is still at a later entry, the list leads back to and past the current one.
        let before = if service_at == current || service_at.is_some_and(behind) {
            list
        } else if let Some(index) = list.iter().position(|entry| Some(entry.key) == current) {
            list.get(index + 1..).unwrap_or_default()
        } else {
            return;
        };
        for entry in before {
            if self.cursor == self.behind_max {
                return;
            }
            if self.behind().iter().any(|known| known.key == entry.key) {
                continue;
            }
            self.changed = true;
            if self.entries.insert(0, *entry).is_err() {
                return;
            }
            self.cursor += 1;
        }
        if short {
            self.begins = true;
        }
    }

    /// Takes fresh facts (actions, length) about an entry that is mirrored.
    pub(crate) fn refresh(&mut self, fresh: &Entry) {
        for entry in &mut self.entries {
            if entry.key == fresh.key {
                *entry = *fresh;
            }
        }
    }

    pub(crate) fn contains(&self, key: EntryKey) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Callers bound the list, so it always fits; should it not, the farthest entry is simply not known yet.
    fn push(&mut self, entry: Entry) {
        let pushed = self.entries.push(entry);
        debug_assert!(pushed.is_ok(), "behind + current + ahead fit the mirror");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec as List;

    fn entry(key: u32) -> Entry {
        Entry {
            key: EntryKey(key),
            kind: Kind::Track,
            duration: None,
            actions: Actions::default(),
        }
    }

    fn list(keys: impl IntoIterator<Item = u32>) -> List<Entry> {
        keys.into_iter().map(entry).collect()
    }

    fn keys(entries: &[Entry]) -> List<u32> {
        entries.iter().map(|entry| entry.key.0).collect()
    }

    #[test]
    fn it_slides_and_keeps_two_behind() {
        let mut queue = Queue::new(2, 10);
        queue.open(&list(1..=11), true);
        for _ in 0..3 {
            assert!(queue.advance());
        }
        assert_eq!(keys(queue.behind()), [2, 3]);
        assert_eq!(queue.current().map(|e| e.key.0), Some(4));
        assert!(!queue.begins(), "entry 1 has left");
    }

    #[test]
    fn it_does_not_move_past_what_is_known() {
        let mut queue = Queue::new(2, 10);
        queue.open(&list([1]), true);
        assert!(!queue.advance());
        assert!(!queue.retreat());
        assert_eq!(queue.current().map(|e| e.key.0), Some(1));
    }

    #[test]
    fn an_answer_from_the_current_place_replaces_what_is_ahead() {
        let mut queue = Queue::new(2, 10);
        queue.open(&list([1, 2, 3]), true);
        assert_eq!(queue.take_next(Some(EntryKey(1)), &list([3, 2])), Merge::Taken);
        assert_eq!(keys(queue.ahead()), [3, 2]);
    }

    #[test]
    fn an_answer_from_before_a_skip_is_read_from_the_current_entry_on() {
        let mut queue = Queue::new(2, 10);
        queue.open(&list([1, 2, 3]), true);
        queue.advance();
        assert_eq!(queue.take_next(Some(EntryKey(1)), &list([2, 3, 4])), Merge::Taken);
        assert_eq!(keys(queue.ahead()), [3, 4]);
    }

    #[test]
    fn an_answer_about_another_place_changes_nothing() {
        let mut queue = Queue::new(2, 10);
        queue.open(&list([1, 2, 3]), true);
        assert_eq!(queue.take_next(Some(EntryKey(2)), &list([3, 4])), Merge::Elsewhere);
        assert_eq!(keys(queue.ahead()), [2, 3]);
    }

    #[test]
    fn a_repeating_queue_may_list_the_current_entry_again() {
        let mut queue = Queue::new(2, 10);
        queue.open(&list([1, 2]), true);
        assert_eq!(queue.take_next(Some(EntryKey(1)), &list([2, 1, 2])), Merge::Taken);
        assert_eq!(keys(queue.ahead()), [2, 1, 2]);
    }

    #[test]
    fn what_comes_before_is_put_in_order_and_bounded() {
        let mut queue = Queue::new(2, 10);
        queue.open(&list(5..=15), false);
        queue.take_previous(Some(EntryKey(5)), &list([4, 3, 2]));
        assert_eq!(keys(queue.behind()), [3, 4]);
        assert_eq!(queue.current().map(|e| e.key.0), Some(5));
        assert!(!queue.begins());
        assert_eq!(queue.entries().len(), QUEUE_MAX);
    }

    #[test]
    fn what_comes_before_a_later_entry_is_read_from_the_current_one_on() {
        let mut queue = Queue::new(2, 10);
        queue.open(&list([5, 6]), false);
        queue.take_previous(Some(EntryKey(6)), &list([5, 4]));
        assert_eq!(keys(queue.behind()), [4]);
        queue.take_previous(Some(EntryKey(9)), &list([8, 7]));
        assert_eq!(
            keys(queue.behind()),
            [4],
            "an answer about another place changes nothing"
        );
    }

    #[test]
    fn a_short_list_before_means_the_queue_begins_there() {
        let mut queue = Queue::new(2, 10);
        queue.open(&list([5]), false);
        queue.take_previous(Some(EntryKey(5)), &list([4]));
        assert!(queue.begins());
    }
}
