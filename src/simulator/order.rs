//! Random order that is always the same for the same seed. No source of randomness of its own.

use serde::{Deserialize, Serialize};

/// State of a small generator (`SplitMix64`): not for secrets, good enough to mix a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seed(u64);

impl Seed {
    /// Equal numbers give equal orders.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// Mixes in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last.saturating_add(1));
            items.swap(last, other);
        }
    }
}

/// A number for a text, the same on every machine and in every run (FNV-1a).
pub fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_orders() {
        let mut first: Vec<u32> = (0..50).collect();
        let mut second = first.clone();
        Seed::new(7).shuffle(&mut first);
        Seed::new(7).shuffle(&mut second);
        assert_eq!(first, second);
    }

    #[test]
    fn shuffling_keeps_every_item_once_and_changes_the_order() {
        let mut mixed: Vec<u32> = (0..50).collect();
        Seed::new(7).shuffle(&mut mixed);
        assert_ne!(mixed, (0..50).collect::<Vec<_>>());
        mixed.sort_unstable();
        assert_eq!(mixed, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn different_texts_have_different_fingerprints() {
        assert_ne!(fingerprint("a/01.flac"), fingerprint("a/02.flac"));
    }
}
