//! Keys for tests of the audio path: given raw, at once or later, right or wrong.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::keys::cipher::{Mode, decrypt};
use crate::keys::{DecryptError, Encryption, KeyId, KeyState, Keys, Protection, Scheme};

/// The number of the key of all encrypted entries in tests/media.
pub const ID: KeyId = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef";
/// It.
pub const KEY: [u8; 16] = *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";

/// Another number that the same key has: what an entry says when its keys change.
pub const ROTATED: KeyId = *b"rotated key's id";

/// What the test does with the keys of an entry; shared with the entry.
#[derive(Default)]
pub struct Licence {
    /// How it stands; without one, it is there.
    pub state: Mutex<Option<KeyState>>,
    /// Decrypts in place of [`KEY`].
    pub key: Mutex<Option<[u8; 16]>>,
    /// What was asked for.
    pub asked: Mutex<Vec<Protection>>,
    /// Samples that were decrypted by [`ROTATED`].
    pub rotated: AtomicU32,
    /// How often somebody looked how it stands.
    pub looks: AtomicU32,
    /// So many samples are decrypted yet, then the key is lost: what held it died.
    left: Mutex<Option<u32>>,
}

impl Licence {
    /// It stands like this from now on.
    pub fn set(&self, state: KeyState) {
        *self.state.lock().unwrap() = Some(state);
    }

    /// The key is lost after `left` more samples, and awaited again.
    pub fn lose_after(&self, left: u32) {
        *self.left.lock().unwrap() = Some(left);
    }

    /// The key that was lost is there again.
    pub fn restore(&self) {
        *self.left.lock().unwrap() = None;
        self.set(KeyState::Usable);
    }

    /// Counts a sample.
    fn is_lost_now(&self) -> bool {
        let mut left = self.left.lock().unwrap();
        match *left {
            None => false,
            Some(0) => {
                self.set(KeyState::Awaited);
                true
            }
            Some(count) => {
                *left = Some(count - 1);
                false
            }
        }
    }

    /// Another key is given from now on.
    pub fn give(&self, key: [u8; 16]) {
        *self.key.lock().unwrap() = Some(key);
    }
}

/// The keys of one entry.
pub struct RawKeys(pub Arc<Licence>);

impl Keys for RawKeys {
    fn need(&mut self, protection: &Protection) {
        self.0.asked.lock().unwrap().push(protection.clone());
    }

    fn state(&mut self, _key: &KeyId) -> KeyState {
        self.0.looks.fetch_add(1, Ordering::SeqCst);
        let told = self.0.state.lock().unwrap();
        told.as_ref().map_or(KeyState::Usable, Clone::clone)
    }

    fn decrypt(&mut self, encryption: &Encryption<'_>, sample: &mut [u8]) -> Result<(), DecryptError> {
        if ![ID, ROTATED].contains(&encryption.key) || self.0.is_lost_now() {
            return Err(DecryptError::NoKey(encryption.key));
        }
        self.0
            .rotated
            .fetch_add(u32::from(encryption.key == ROTATED), Ordering::SeqCst);
        let mode = match encryption.scheme {
            Scheme::Cenc => Mode::Counter,
            Scheme::Cbcs => Mode::Chained {
                crypt: encryption.crypt_blocks,
                skip: encryption.skip_blocks,
            },
        };
        let stretches = encryption.subsamples.iter().map(|part| (part.clear, part.encrypted));
        let key = self.0.key.lock().unwrap().unwrap_or(KEY);
        decrypt(&key, mode, &encryption.iv, stretches, sample).map_err(|_| DecryptError::Mismatch)
    }
}
