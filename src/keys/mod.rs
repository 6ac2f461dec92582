//! What the audio path needs of a content decryption module, in the words of Common Encryption (ISO/IEC 23001-7). The
//! audio path knows neither licences nor keys: it names the key it needs and hands over what is encrypted. The words
//! stand between `audio` and `cdm`, which do not know each other.

pub mod cipher;

use thiserror::Error;

/// Number of a key (`KID`).
pub type KeyId = [u8; 16];

/// How samples are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `cenc`: AES-CTR.
    Cenc,
    /// `cbcs`: AES-CBC of a pattern of blocks, a constant initialisation vector.
    Cbcs,
}

/// What an entry tells of its encryption before its first encrypted sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// How.
    pub scheme: Scheme,
    /// With which key.
    pub key: KeyId,
    /// `pssh` boxes, whole, as they stand in the file: what a licence is asked for with.
    pub pssh: Vec<Box<[u8]>>,
}

/// A stretch of a sample: bytes in the clear, then encrypted ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    /// Bytes in the clear.
    pub clear: u32,
    /// Encrypted bytes behind them.
    pub encrypted: u32,
}

/// How one sample is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encryption<'a> {
    /// How.
    pub scheme: Scheme,
    /// With which key.
    pub key: KeyId,
    /// Initialisation vector; one of 8 bytes stands at the front, zeros behind it.
    pub iv: [u8; 16],
    /// Its stretches; none: all of it is encrypted.
    pub subsamples: &'a [Subsample],
    /// Of `cbcs`: so many blocks of 16 bytes are encrypted, ...
    pub crypt_blocks: u8,
    /// ... then so many are not, again and again. Both 0: all are encrypted.
    pub skip_blocks: u8,
}

/// Whether a key can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// A licence is being fetched, for the first time or again.
    Awaited,
    /// It is there and valid.
    Usable,
    /// It will not come, and why.
    Refused(String),
}

/// Why a sample was not decrypted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecryptError {
    /// No such key, or not any more: the sample is as it was, and [`Keys::state`] says whether the key is awaited again.
    #[error("there is no key {:032x}", u128::from_be_bytes(*.0))]
    NoKey(KeyId),
    /// The stretches do not fit the sample.
    #[error("the sample does not fit what is told of its encryption")]
    Mismatch,
    /// The module failed.
    #[error("the decryption module failed: {0}")]
    Module(String),
}

/// The keys of one entry. Used by the decoding thread; dropped with the entry.
pub trait Keys: Send {
    /// The entry will need this key: its licence is fetched from now on, if it is not there. Returns at once; saying it
    /// again does no harm.
    fn need(&mut self, protection: &Protection);

    /// How it stands with a key that was announced. Returns at once.
    fn state(&mut self, key: &KeyId) -> KeyState;

    /// Decrypts a sample in place. Only with [`KeyState::Usable`]; clear samples are not kept.
    ///
    /// # Errors
    /// The key is gone, or the sample is damaged. What is in `sample` then is no sound.
    fn decrypt(&mut self, encryption: &Encryption<'_>, sample: &mut [u8]) -> Result<(), DecryptError>;
}

impl Encryption<'_> {
    /// Decrypts a sample in place with a key that is at hand.
    ///
    /// # Errors
    /// The stretches do not fit the sample. It is left as it is then.
    pub fn undo(&self, key: &[u8; cipher::BLOCK_BYTES], sample: &mut [u8]) -> Result<(), DecryptError> {
        let mode = match self.scheme {
            Scheme::Cenc => cipher::Mode::Counter,
            Scheme::Cbcs => cipher::Mode::Chained {
                crypt: self.crypt_blocks,
                skip: self.skip_blocks,
            },
        };
        let stretches = self.subsamples.iter().map(|part| (part.clear, part.encrypted));
        cipher::decrypt(key, mode, &self.iv, stretches, sample).map_err(|_| DecryptError::Mismatch)
    }
}
