//! The sliding window: which entry of the mirrored queue is loaded in which slot. An entry keeps its slot for as long
//! as it stays in the mirror, whatever happens to the order around it, so that what is loaded is never loaded twice.

use heapless::Vec;

use crate::effect::{Extent, Wish, Wishes};
use crate::entry::Entry;
use crate::id::{EntryKey, SlotId};
use crate::limits::{FRESH_ADDRESSES_MAX, SLOTS_MAX};
use crate::queue::Queue;
use crate::unit::Millis;

/// How much of the mirrored queue is loaded. The current entry always is, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Entries after the current one that are loaded whole; 0: none.
    pub whole_ahead: u8,
    /// Entries before it that are loaded whole; 0: none.
    pub whole_behind: u8,
    /// How much of each other one is loaded, from its start; zero: nothing.
    pub head: Millis,
}

impl Default for Load {
    /// The caching rule of the service: the one before, the current one and the next whole, of the rest 30 seconds.
    fn default() -> Self {
        Self {
            whole_ahead: 1,
            whole_behind: 1,
            head: Millis(30_000),
        }
    }
}

/// The slots and who holds them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Index is the slot number.
    slots: Vec<Option<Held>, SLOTS_MAX>,
    load: Load,
    /// An entry is to be fetched from a fresh address since somebody last took notice.
    renewed: bool,
}

/// An entry in a slot.
#[derive(Clone, Copy, Debug)]
struct Held {
    entry: EntryKey,
    /// Addresses asked for so far, less one.
    attempt: u8,
    address: Address,
}

/// Whether the address of an entry still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    Good,
    Expired,
    /// A fresh one was asked for.
    Asked,
}

impl Window {
    pub(crate) fn new(load: Load) -> Self {
        let mut slots = Vec::new();
        slots.resize(SLOTS_MAX, None).unwrap_or_default();
        Self {
            slots,
            load,
            renewed: false,
        }
    }

    /// Slot that holds `entry`.
    pub(crate) fn slot_of(&self, entry: EntryKey) -> Option<SlotId> {
        let index = self
            .slots
            .iter()
            .position(|slot| slot.is_some_and(|held| held.entry == entry))?;
        u8::try_from(index).ok().map(SlotId)
    }

    /// Frees the slots of entries that left the queue, gives slots to those that came, and says what is to be loaded,
    /// most urgent first: the current one, those after and before it that are loaded whole, then the rest ahead, then the
    /// rest behind.
    pub(crate) fn slide(&mut self, queue: &Queue) -> Wishes {
        for slot in &mut self.slots {
            if slot.is_some_and(|held| !queue.contains(held.entry)) {
                *slot = None;
            }
        }
        let Load {
            whole_ahead,
            whole_behind,
            head,
        } = self.load;
        let (ahead, behind) = (queue.ahead(), queue.behind());
        let (near_ahead, far_ahead) = ahead.split_at_checked(whole_ahead.into()).unwrap_or((ahead, &[]));
        let older = behind.len().saturating_sub(whole_behind.into());
        let (far_behind, near_behind) = behind.split_at_checked(older).unwrap_or((&[], behind));
        let near = queue
            .current()
            .into_iter()
            .chain(near_ahead)
            .chain(near_behind.iter().rev());
        let far = far_ahead.iter().chain(far_behind.iter().rev());
        let mut wishes = Wishes::new();
        for entry in near {
            self.wish(entry, Extent::Whole, &mut wishes);
        }
        for entry in far {
            self.wish(entry, Extent::Head(head), &mut wishes);
        }
        wishes
    }

    /// The address of `entry` no longer works.
    pub(crate) fn expire(&mut self, entry: EntryKey) {
        for held in self.slots.iter_mut().flatten().filter(|held| held.entry == entry) {
            held.address = Address::Expired;
        }
    }

    /// The first of the wished entries that needs a fresh address and has not been asked for.
    pub(crate) fn first_expired(&self, wishes: &Wishes) -> Option<EntryKey> {
        // So it nearly always is, and this is asked after every input.
        if self.slots.iter().flatten().all(|held| held.address != Address::Expired) {
            return None;
        }
        let needs = |wish: &&Wish| {
            let held = self.slots.iter().flatten().find(|held| held.entry == wish.entry);
            held.is_some_and(|held| held.address == Address::Expired && held.attempt < FRESH_ADDRESSES_MAX)
        };
        wishes.iter().find(needs).map(|wish| wish.entry)
    }

    /// A fresh address is being asked for.
    pub(crate) fn asked(&mut self, entry: EntryKey) {
        for held in self.slots.iter_mut().flatten().filter(|held| held.entry == entry) {
            held.address = Address::Asked;
        }
    }

    /// A fresh address was asked for and has not come.
    pub(crate) fn awaits_address(&self, entry: EntryKey) -> bool {
        self.slots
            .iter()
            .flatten()
            .any(|held| held.entry == entry && held.address == Address::Asked)
    }

    /// A fresh address that was asked for and did not come is to be asked for again.
    pub(crate) fn ask_again(&mut self, entry: EntryKey) {
        for held in self.slots.iter_mut().flatten().filter(|held| held.entry == entry) {
            if held.address == Address::Asked {
                held.address = Address::Expired;
            }
        }
    }

    /// It cannot load, for want of an address.
    pub(crate) fn lacks_address(&self, entry: EntryKey) -> bool {
        self.slots
            .iter()
            .flatten()
            .any(|held| held.entry == entry && held.address != Address::Good)
    }

    /// The service described `entry` anew: if its address had expired, it is fetched on from the fresh one.
    pub(crate) fn renew(&mut self, entry: EntryKey) {
        for held in self.slots.iter_mut().flatten().filter(|held| held.entry == entry) {
            if held.address != Address::Good {
                held.attempt = held.attempt.saturating_add(1);
                held.address = Address::Good;
                self.renewed = true;
            }
        }
    }

    /// Whether an entry is to be fetched from a fresh address since the last call.
    pub(crate) fn take_renewed(&mut self) -> bool {
        core::mem::take(&mut self.renewed)
    }

    fn wish(&mut self, entry: &Entry, extent: Extent, wishes: &mut Wishes) {
        // A repeating queue lists an entry more than once; it is loaded once.
        if wishes.iter().any(|wish| wish.entry == entry.key) {
            return;
        }
        let Some(slot) = self.slot_of(entry.key).or_else(|| self.occupy(entry.key)) else {
            debug_assert!(false, "there is a slot for every mirrored entry");
            return;
        };
        let attempt = self
            .slots
            .iter()
            .flatten()
            .find(|held| held.entry == entry.key)
            .map_or(0, |held| held.attempt);
        let pushed = wishes.push(Wish {
            slot,
            entry: entry.key,
            extent,
            attempt,
        });
        debug_assert!(pushed.is_ok(), "there are as many wishes as slots at most");
    }

    fn occupy(&mut self, entry: EntryKey) -> Option<SlotId> {
        let (index, slot) = self.slots.iter_mut().enumerate().find(|(_, slot)| slot.is_none())?;
        *slot = Some(Held {
            entry,
            attempt: 0,
            address: Address::Good,
        });
        u8::try_from(index).ok().map(SlotId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Actions, Kind};
    use std::vec::Vec as List;

    fn queue(keys: impl IntoIterator<Item = u32>) -> Queue {
        let entries: List<Entry> = keys
            .into_iter()
            .map(|key| Entry {
                key: EntryKey(key),
                kind: Kind::Track,
                duration: None,
                actions: Actions::default(),
            })
            .collect();
        let mut queue = Queue::new(2, 10);
        queue.open(&entries, true);
        queue
    }

    fn order(wishes: &Wishes) -> List<u32> {
        wishes.iter().map(|wish| wish.entry.0).collect()
    }

    #[test]
    fn the_current_entry_comes_first_then_the_next_then_the_one_before() {
        let mut queue = queue(1..=5);
        let mut window = Window::new(Load::default());
        queue.advance();
        queue.advance();
        let wishes = window.slide(&queue);
        assert_eq!(order(&wishes), [3, 4, 2, 5, 1]);
        let whole = wishes.iter().filter(|wish| wish.extent == Extent::Whole).count();
        assert_eq!(whole, 3);
    }

    #[test]
    fn what_is_loaded_whole_is_a_matter_of_settings() {
        let mut queue = queue(1..=6);
        queue.advance();
        queue.advance();
        let load = Load {
            whole_ahead: 2,
            whole_behind: 0,
            head: Millis(10_000),
        };
        let wishes = Window::new(load).slide(&queue);
        let head = Extent::Head(Millis(10_000));
        let extents: List<_> = wishes.iter().map(|wish| (wish.entry.0, wish.extent)).collect();
        let whole = Extent::Whole;
        assert_eq!(
            extents,
            [(3, whole), (4, whole), (5, whole), (6, head), (2, head), (1, head)]
        );
    }

    #[test]
    fn an_entry_keeps_its_slot_while_the_window_slides() {
        let mut queue = queue(1..=11);
        let mut window = Window::new(Load::default());
        window.slide(&queue);
        let before = window.slot_of(EntryKey(4));
        for _ in 0..3 {
            queue.advance();
            window.slide(&queue);
        }
        assert_eq!(window.slot_of(EntryKey(4)), before);
        assert_eq!(window.slot_of(EntryKey(1)), None, "it left the window");
    }

    #[test]
    fn every_mirrored_entry_finds_a_slot_when_the_window_is_full() {
        let mut queue = queue(1..=11);
        let mut window = Window::new(Load::default());
        for turn in 0..40_u32 {
            assert_eq!(window.slide(&queue).len(), queue.entries().len());
            queue.advance();
            let fresh: List<Entry> = (turn + 2..turn + 12)
                .map(|key| Entry {
                    key: EntryKey(key + 1),
                    ..*queue.current().unwrap()
                })
                .collect();
            let at = queue.current().map(|entry| entry.key);
            queue.take_next(at, &fresh);
        }
    }

    #[test]
    fn an_entry_listed_twice_is_loaded_once() {
        let mut window = Window::new(Load::default());
        assert_eq!(order(&window.slide(&queue([1, 2, 1, 2]))), [1, 2]);
    }

    #[test]
    fn an_expired_entry_is_wished_again_once_it_has_a_fresh_address() {
        let queue = queue([1, 2]);
        let mut window = Window::new(Load::default());
        window.slide(&queue);
        window.expire(EntryKey(2));
        window.renew(EntryKey(1));
        window.renew(EntryKey(2));
        let wishes = window.slide(&queue);
        assert_eq!(wishes.iter().map(|wish| wish.attempt).collect::<List<_>>(), [0, 1]);
    }
}
