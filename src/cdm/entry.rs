//! The keys of one entry, as the audio path sees them. It must not block: licences are fetched elsewhere.

use std::sync::Arc;

use super::desk::Which;
use super::office::Office;
use super::terms::{Owner, Terms};
use crate::keys::{DecryptError, Encryption, KeyId, KeyState, Keys, Protection};

/// Keys of one entry. Representations may each have one, and rotating keys change every few minutes.
const ENTRY_KEYS_MAX: usize = 24;

/// Keys that come by licence.
pub struct EntryKeys {
    office: Arc<Office>,
    which: Which,
    owner: Owner,
    terms: Arc<Terms>,
    announced: Vec<KeyId>,
}

impl EntryKeys {
    /// None is needed yet.
    pub fn new(office: Arc<Office>, which: Which, owner: Owner, terms: Terms) -> Self {
        Self {
            office,
            which,
            owner,
            terms: Arc::new(terms),
            announced: Vec::new(),
        }
    }
}

impl Keys for EntryKeys {
    fn need(&mut self, protection: &Protection) {
        let is_new = !self.announced.contains(&protection.key) && self.announced.len() < ENTRY_KEYS_MAX;
        if is_new && self.office.need(self.which, self.owner, &self.terms, protection) {
            self.announced.push(protection.key);
        }
    }

    fn state(&mut self, key: &KeyId) -> KeyState {
        if self.announced.contains(key) {
            self.office.state(self.which, key)
        } else {
            KeyState::Refused("it was not announced, or there are more keys than any entry should have".to_owned())
        }
    }

    fn decrypt(&mut self, encryption: &Encryption<'_>, sample: &mut [u8]) -> Result<(), DecryptError> {
        self.office.decrypt(self.which, encryption, sample)
    }
}

impl Drop for EntryKeys {
    fn drop(&mut self) {
        for key in &self.announced {
            self.office.release(self.which, self.owner, key);
        }
    }
}

/// Keys that cannot come, and why.
pub struct NoKeys {
    reason: String,
}

impl NoKeys {
    /// Every key is refused with this reason.
    pub fn new(reason: String) -> Self {
        Self { reason }
    }
}

impl Keys for NoKeys {
    fn need(&mut self, _protection: &Protection) {}

    fn state(&mut self, _key: &KeyId) -> KeyState {
        KeyState::Refused(self.reason.clone())
    }

    fn decrypt(&mut self, encryption: &Encryption<'_>, _sample: &mut [u8]) -> Result<(), DecryptError> {
        Err(DecryptError::NoKey(encryption.key))
    }
}
