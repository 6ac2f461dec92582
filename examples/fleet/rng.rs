//! The seeded source of everything that is left to chance: `SplitMix64`, so that a speaker is the same one in every run.

#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.0)
    }

    /// A number in `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }
}

/// Length of an entry of a speaker's queue: popular music, 2:30 to 4:30, 3:30 on average.
pub fn length_ms(speaker: u64, entry: u32) -> u64 {
    150_000 + mixed(speaker.wrapping_mul(0xA24B_AED4_963E_E407) ^ u64::from(entry)) % 120_001
}

fn mixed(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
