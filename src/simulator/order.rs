//! Random order that is always the same for the same key, without a list of it. No source of randomness of its own.

use serde::{Deserialize, Serialize};

/// Rounds of the network: fewer leave patterns that a listener could notice.
const ROUNDS: u64 = 4;

/// One step of a generator (`SplitMix64`): not for secrets, good enough to mix a queue.
const fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Numbers, one after the other, for keys of orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seed(u64);

impl Seed {
    /// Equal numbers give equal sequences.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The next number.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        scramble(self.0)
    }
}

/// A random order of the numbers below `size`, computed place by place: a Feistel network over the next power of four,
/// walked on until it lands inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permutation {
    key: u64,
    size: usize,
}

impl Permutation {
    /// Equal keys and sizes give equal orders.
    pub const fn new(key: u64, size: usize) -> Self {
        Self { key, size }
    }

    /// The number at a place; the place itself where there is nothing to order.
    pub fn at(self, place: usize) -> usize {
        if place >= self.size {
            return place;
        }
        // Places lie on cycles of the network, so walking on from one inside comes back inside.
        let mut number = self.network(place);
        while number >= self.size {
            number = self.network(number);
        }
        number
    }

    fn network(self, place: usize) -> usize {
        let last = u64::try_from(self.size.saturating_sub(1)).unwrap_or(u64::MAX);
        let half_bits = (u64::BITS.saturating_sub(last.leading_zeros()))
            .div_ceil(2)
            .clamp(1, 32);
        let mask = u64::MAX >> (u64::BITS.saturating_sub(half_bits));
        let whole = u64::try_from(place).unwrap_or(u64::MAX);
        let (mut left, mut right) = ((whole >> half_bits) & mask, whole & mask);
        for round in 0..ROUNDS {
            let mixed = scramble(self.key ^ scramble(right ^ round.rotate_right(8))) & mask;
            (left, right) = (right, left ^ mixed);
        }
        usize::try_from((left << half_bits) | right).unwrap_or(place)
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

    fn order(key: u64, size: usize) -> Vec<usize> {
        (0..size).map(|place| Permutation::new(key, size).at(place)).collect()
    }

    #[test]
    fn every_number_has_exactly_one_place() {
        for size in [0, 1, 2, 3, 4, 5, 16, 17, 50, 1_000, 100_000] {
            let mut mixed = order(7, size);
            mixed.sort_unstable();
            assert_eq!(mixed, (0..size).collect::<Vec<_>>(), "{size}");
        }
    }

    #[test]
    fn equal_keys_give_equal_orders_and_others_give_others() {
        assert_eq!(order(7, 50), order(7, 50));
        assert_ne!(order(7, 50), order(8, 50));
        assert_ne!(order(7, 50), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn every_order_of_three_comes_up() {
        let mut orders: Vec<Vec<usize>> = (0..200).map(|key| order(key, 3)).collect();
        orders.sort();
        orders.dedup();
        assert_eq!(orders.len(), 6);
    }

    #[test]
    fn different_texts_have_different_fingerprints() {
        assert_ne!(fingerprint("a/01.flac"), fingerprint("a/02.flac"));
    }
}
