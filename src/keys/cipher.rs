//! The ciphers of Common Encryption (ISO/IEC 23001-7) on one sample: `cenc` (AES-128 in counter mode) and `cbcs` (AES-128
//! chained, in a pattern of blocks). Pure: it must not know licences, files or threads, and it allocates nothing.

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, KeyInit};
use ctr::cipher::{KeyIvInit, StreamCipher};
use thiserror::Error;

/// Bytes of a block of AES.
pub const BLOCK_BYTES: usize = 16;

/// How a sample is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `cenc`: one stream of key bytes over all encrypted stretches. The last 8 bytes of the initialisation vector count
    /// blocks.
    Counter,
    /// `cbcs`: each stretch begins anew with the initialisation vector; what is left of it behind its last whole block
    /// is in the clear.
    Chained {
        /// So many blocks are encrypted, ...
        crypt: u8,
        /// ... then so many are not, again and again. 0: all are encrypted.
        skip: u8,
    },
}

/// What is told of a sample's encryption does not fit the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the stretches do not fit the sample")]
pub struct Mismatch;

/// Decrypts `sample` in place. `stretches` are bytes in the clear and encrypted bytes behind them, again and again; without
/// any, all of it is encrypted.
///
/// # Errors
/// The stretches are not as long as the sample together. It is left as it is then.
pub fn decrypt<S>(
    key: &[u8; BLOCK_BYTES],
    mode: Mode,
    iv: &[u8; BLOCK_BYTES],
    stretches: S,
    sample: &mut [u8],
) -> Result<(), Mismatch>
where
    S: ExactSizeIterator<Item = (u32, u32)> + Clone,
{
    let length = stretches
        .clone()
        .map(|(clear, encrypted)| u64::from(clear) + u64::from(encrypted))
        .sum::<u64>();
    let is_whole = stretches.len() == 0;
    if !is_whole && length != sample.len() as u64 {
        return Err(Mismatch);
    }
    match mode {
        Mode::Counter => {
            let mut stream = ctr::Ctr64BE::<Aes128>::new(key.into(), iv.into());
            each(sample, is_whole, stretches, |encrypted| {
                stream.apply_keystream(encrypted);
            });
        }
        Mode::Chained { crypt, skip } => {
            let cipher = Aes128::new(key.into());
            each(sample, is_whole, stretches, |encrypted| {
                chained(&cipher, *iv, crypt, skip, encrypted);
            });
        }
    }
    Ok(())
}

fn each(
    sample: &mut [u8],
    is_whole: bool,
    stretches: impl Iterator<Item = (u32, u32)>,
    mut work: impl FnMut(&mut [u8]),
) {
    if is_whole {
        return work(sample);
    }
    let mut rest = sample;
    for (clear, encrypted) in stretches {
        let bytes = |count| usize::try_from(count).unwrap_or(usize::MAX);
        // The sum was compared with the sample's length.
        let Some((_, from)) = rest.split_at_mut_checked(bytes(clear)) else {
            return;
        };
        let Some((stretch, after)) = from.split_at_mut_checked(bytes(encrypted)) else {
            return;
        };
        work(stretch);
        rest = after;
    }
}

/// Blocks that are in the clear are left out of the chain.
fn chained(cipher: &Aes128, iv: [u8; BLOCK_BYTES], crypt: u8, skip: u8, stretch: &mut [u8]) {
    let period = u32::from(crypt) + u32::from(skip);
    let mut before = iv;
    let mut number = 0;
    for block in stretch.as_chunks_mut::<BLOCK_BYTES>().0 {
        let is_encrypted = skip == 0 || number < u32::from(crypt);
        number += 1;
        if number == period {
            number = 0;
        }
        if !is_encrypted {
            continue;
        }
        let encrypted = *block;
        cipher.decrypt_block(block.into());
        for (byte, mask) in block.iter_mut().zip(before) {
            *byte ^= mask;
        }
        before = encrypted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [(u32, u32); 0] = [];

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let all: Vec<_> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        all.try_into().unwrap()
    }

    fn key() -> [u8; 16] {
        bytes("2b7e151628aed2a6abf7158809cf4f3c")
    }

    /// The four blocks of NIST SP 800-38A, appendix F.
    fn plain() -> [u8; 64] {
        bytes(concat!(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
            "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
        ))
    }

    fn counted() -> [u8; 64] {
        bytes(concat!(
            "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff",
            "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"
        ))
    }

    fn chained() -> [u8; 64] {
        bytes(concat!(
            "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2",
            "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"
        ))
    }

    const ALL: Mode = Mode::Chained { crypt: 0, skip: 0 };

    #[test]
    fn a_whole_sample_is_decrypted_as_published() {
        let counter = bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
        let mut sample = counted();
        decrypt(&key(), Mode::Counter, &counter, NONE.into_iter(), &mut sample).unwrap();
        assert_eq!(sample, plain());
        let mut sample = chained();
        let iv = bytes("000102030405060708090a0b0c0d0e0f");
        decrypt(&key(), ALL, &iv, NONE.into_iter(), &mut sample).unwrap();
        assert_eq!(sample, plain());
    }

    #[test]
    fn a_counter_goes_on_over_stretches_in_the_clear() {
        let counter = bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
        let cut = [&b"clear"[..], &counted()[..7], b"and clear", &counted()[7..50], b"!"].concat();
        let mut sample = cut.clone();
        let stretches = [(5, 7), (9, 43), (1, 0)];
        decrypt(&key(), Mode::Counter, &counter, stretches.into_iter(), &mut sample).unwrap();
        let wished = [&b"clear"[..], &plain()[..7], b"and clear", &plain()[7..50], b"!"].concat();
        assert_eq!(sample, wished);
    }

    #[test]
    fn a_counter_of_blocks_has_eight_bytes_and_comes_round_to_zero() {
        let mut iv = [0xff; 16];
        let mut together = [0; 32];
        decrypt(&key(), Mode::Counter, &iv, NONE.into_iter(), &mut together).unwrap();
        iv[8..].fill(0);
        let mut second = [0; 16];
        decrypt(&key(), Mode::Counter, &iv, NONE.into_iter(), &mut second).unwrap();
        assert_eq!(together[16..], second);
    }

    #[test]
    fn each_stretch_of_chained_blocks_begins_anew_and_leaves_its_last_bytes() {
        let iv = bytes("000102030405060708090a0b0c0d0e0f");
        let mut sample = [&b"head"[..], &chained()[..32], b"left", b"x", &chained()[..16]].concat();
        let stretches = [(4, 36), (1, 16)];
        decrypt(&key(), ALL, &iv, stretches.into_iter(), &mut sample).unwrap();
        let wished = [&b"head"[..], &plain()[..32], b"left", b"x", &plain()[..16]].concat();
        assert_eq!(sample, wished);
    }

    #[test]
    fn a_pattern_leaves_blocks_out_of_the_chain() {
        let iv = bytes("000102030405060708090a0b0c0d0e0f");
        let clear = [7; 16];
        let woven = |blocks: &[u8; 64]| {
            [
                &blocks[..16],
                &clear,
                &clear,
                &blocks[16..32],
                &clear,
                &clear,
                &blocks[32..48],
                b"rest",
            ]
            .concat()
        };
        let mut sample = woven(&chained());
        let pattern = Mode::Chained { crypt: 1, skip: 2 };
        decrypt(&key(), pattern, &iv, NONE.into_iter(), &mut sample).unwrap();
        assert_eq!(sample, woven(&plain()));
        let mut sample = chained();
        let full = Mode::Chained { crypt: 10, skip: 0 };
        decrypt(&key(), full, &iv, NONE.into_iter(), &mut sample).unwrap();
        assert_eq!(sample, plain());
    }

    #[test]
    fn stretches_of_another_length_change_nothing() {
        for stretches in [[(0, 63), (0, 0)], [(1, 64), (0, 0)], [(u32::MAX, u32::MAX), (1, 1)]] {
            let mut sample = counted();
            let result = decrypt(&key(), ALL, &[0; 16], stretches.into_iter(), &mut sample);
            assert_eq!((result, sample), (Err(Mismatch), counted()));
        }
    }
}
