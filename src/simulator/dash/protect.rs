//! Common Encryption (ISO/IEC 23001-7) of a rendition: keys made of a seed, the boxes that tell of them, samples
//! encrypted whole. `cenc` has an initialisation vector of 8 bytes for every sample; `cbcs` one constant vector, and, as
//! is usual for sound, no pattern: all whole blocks are encrypted, a rest of less than a block is not.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, BlockModeEncrypt, KeyInit, KeyIvInit, StreamCipher};
use serde::{Deserialize, Serialize};

use super::boxes::{Kind, boxed, full};
use crate::simulator::order::fingerprint;

/// Bytes of a key, of its number and of a block.
const BLOCK_BYTES: usize = 16;
/// The common system of W3C: `pssh` boxes that list key numbers.
const COMMON_SYSTEM: [u8; 16] = [
    0x10, 0x77, 0xef, 0xec, 0xc0, 0xb2, 0x4d, 0x02, 0xac, 0xe3, 0x3c, 0x1e, 0x52, 0xe2, 0xfb, 0x4b,
];

/// How samples are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// AES in counter mode.
    #[default]
    Cenc,
    /// AES with chained blocks.
    Cbcs,
}

/// A key and its number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its number (`KID`).
    pub id: [u8; 16],
    /// It.
    pub value: [u8; 16],
}

impl Key {
    /// The key of a track: always the same for the same seed.
    pub fn of(seed: u64, track: &str) -> Self {
        let block = |what: &str| {
            let half = |n: u32| fingerprint(&format!("{seed}/{track}/{what}/{n}")).to_be_bytes();
            let mut block = [0; BLOCK_BYTES];
            for (to, from) in block.iter_mut().zip([half(0), half(1)].concat()) {
                *to = from;
            }
            block
        };
        let mut value = Array::from(block("value"));
        Aes128::new(&Array::from(block("key"))).encrypt_block(&mut value);
        Self {
            id: block("number"),
            value: value.into(),
        }
    }

    /// Another key under the same number: what a mistaken licence server gives.
    pub fn spoiled(self) -> Self {
        Self {
            value: self.value.map(|byte| !byte),
            ..self
        }
    }

    /// Its number as manifests write it.
    pub fn dashed_id(&self) -> String {
        let hex = format!("{:032x}", u128::from_be_bytes(self.id));
        let groups = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
        groups
            .map(|(from, to)| hex.get(from..to).unwrap_or_default().to_owned())
            .join("-")
    }
}

/// The encryption of a track.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// How.
    pub scheme: Scheme,
    /// With what.
    pub key: Key,
    /// Seconds at the start that are in the clear.
    pub lead_s: u32,
}

impl Protection {
    /// `pssh`: which keys are needed, for every system.
    pub fn pssh(&self) -> Vec<u8> {
        full(
            b"pssh",
            1,
            0,
            &[&COMMON_SYSTEM, &1_u32.to_be_bytes(), &self.key.id, &0_u32.to_be_bytes()],
        )
    }

    /// `sinf` of a sample entry that was `original`.
    pub fn sinf(&self, original: Kind) -> Vec<u8> {
        let schm = full(
            b"schm",
            0,
            0,
            &[self.scheme.letters().as_slice(), &0x1_0000_u32.to_be_bytes()],
        );
        let tenc = match self.scheme {
            Scheme::Cenc => full(b"tenc", 0, 0, &[&[0, 0, 1, 8], &self.key.id]),
            Scheme::Cbcs => {
                let constant = self.constant_vector();
                full(b"tenc", 1, 0, &[&[0, 0, 1, 0], &self.key.id, &[16], &constant])
            }
        };
        let frma = boxed(b"frma", &[original]);
        boxed(b"sinf", &[&frma, &schm, &boxed(b"schi", &[&tenc])])
    }

    fn constant_vector(&self) -> [u8; 16] {
        let mut vector = Array::from(self.key.id);
        Aes128::new(&Array::from(self.key.value)).encrypt_block(&mut vector);
        vector.into()
    }

    /// Vector of a sample: its own number, after a part that is the track's.
    fn vector(&self, sample: u64) -> [u8; 8] {
        let [first, second, third, fourth, ..] = self.key.id;
        let own = u64::from(u32::from_be_bytes([first, second, third, fourth])) << 32;
        own.wrapping_add(sample).to_be_bytes()
    }

    /// The vectors of `count` samples from the one numbered `first` on, as `senc` has them; `None`: they are constant.
    pub fn vectors(&self, first: u64, count: u32) -> Option<Vec<u8>> {
        match self.scheme {
            Scheme::Cbcs => None,
            Scheme::Cenc => {
                let numbers = (first..).take(count as usize);
                Some(numbers.flat_map(|number| self.vector(number)).collect())
            }
        }
    }

    /// Encrypts the sample of this number in place.
    pub fn encrypt(&self, number: u64, sample: &mut [u8]) {
        let key = Array::from(self.key.value);
        match self.scheme {
            Scheme::Cenc => {
                let mut vector = [0; BLOCK_BYTES];
                for (to, from) in vector.iter_mut().zip(self.vector(number)) {
                    *to = from;
                }
                ctr::Ctr64BE::<Aes128>::new(&key, &Array::from(vector)).apply_keystream(sample);
            }
            Scheme::Cbcs => {
                let mut chain = cbc::Encryptor::<Aes128>::new(&key, &Array::from(self.constant_vector()));
                for block in sample.chunks_exact_mut(BLOCK_BYTES) {
                    if let Ok(block) = <&mut aes::Block>::try_from(block) {
                        chain.encrypt_block(block);
                    }
                }
            }
        }
    }
}

/// Length of a `pssh`, for tests of manifests.
#[cfg(test)]
pub const PSSH_BYTES: usize = 8 + 4 + 16 + 4 + 16 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn protection(scheme: Scheme) -> Protection {
        Protection {
            scheme,
            key: Key::of(1, "track"),
            lead_s: 0,
        }
    }

    #[test]
    fn keys_are_of_their_seed_and_track() {
        assert!(Key::of(1, "a") == Key::of(1, "a"));
        let others = [Key::of(2, "a"), Key::of(1, "b")];
        assert!(others.iter().all(|other| *other != Key::of(1, "a")));
        assert!(others.iter().all(|other| other.id != Key::of(1, "a").id));
    }

    #[test]
    fn counter_mode_is_undone_by_itself_and_differs_from_sample_to_sample() {
        let protection = protection(Scheme::Cenc);
        let clear: Vec<u8> = (0..100).collect();
        let (mut one, mut other) = (clear.clone(), clear.clone());
        protection.encrypt(7, &mut one);
        protection.encrypt(8, &mut other);
        assert_ne!(one, clear);
        assert_ne!(one, other);
        protection.encrypt(7, &mut one);
        assert_eq!(one, clear);
    }

    #[test]
    fn chained_blocks_leave_the_rest_of_a_sample_alone() {
        let protection = protection(Scheme::Cbcs);
        let clear: Vec<u8> = (0..37).collect();
        let mut sample = clear.clone();
        protection.encrypt(0, &mut sample);
        assert_ne!(sample[..32], clear[..32]);
        assert_eq!(sample[32..], clear[32..]);
        let mut chain = cbc::Decryptor::<Aes128>::new(
            &Array::from(protection.key.value),
            &Array::from(protection.constant_vector()),
        );
        for block in sample.chunks_exact_mut(BLOCK_BYTES) {
            aes::cipher::BlockModeDecrypt::decrypt_block(&mut chain, block.try_into().unwrap());
        }
        assert_eq!(sample, clear);
    }

    #[test]
    fn the_box_for_every_system_has_the_number_of_the_key() {
        let protection = protection(Scheme::Cenc);
        let pssh = protection.pssh();
        assert_eq!(pssh.len(), PSSH_BYTES);
        assert_eq!(pssh[32..48], protection.key.id);
        assert_eq!(protection.key.dashed_id().len(), 36);
        assert_eq!(
            crate::simulator::dash::boxes::small(pssh.len()).to_be_bytes(),
            pssh[..4]
        );
    }
}
