//! What a content decryption module does, whichever it is: makes requests for licences, takes licences in, decrypts
//! samples. Words and one trait; it must not know how a request reaches anybody.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::{DecryptError, Encryption, KeyId, Scheme};

/// Bytes that hold keys, or may: gone from memory when dropped, never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves, for those who need them.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} secret bytes)", self.0.len())
    }
}

/// A licence, or what is on its way to be one, within a module. Numbers of one module are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(pub u64);

/// What a licence is asked for with.
#[derive(Clone, Copy, Debug)]
pub struct Init<'a> {
    /// The service's word for the system (`WIDEVINE`, ...).
    pub system: &'a str,
    /// How the samples are encrypted.
    pub scheme: Scheme,
    /// The keys that are needed.
    pub keys: &'a [KeyId],
    /// `pssh` boxes, whole.
    pub pssh: &'a [Box<[u8]>],
}

/// What a licence holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Keys that can be used now.
    pub keys: Vec<KeyId>,
    /// How long; `None`: as long as the session is open.
    pub lifetime: Option<Duration>,
    /// When the module wants the licence renewed; `None`: it does not say.
    pub renew_in: Option<Duration>,
}

/// Why a module did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CdmError {
    /// It is not there, or was lost with all its keys: worth trying again.
    #[error("the decryption module is not there: {0}")]
    Gone(String),
    /// It says no: asking again the same way does not help.
    #[error("the decryption module refuses: {0}")]
    Refused(String),
}

/// A content decryption module. Licences are asked for and taken in by one thread, samples are decrypted by another.
pub trait Cdm: Send + Sync {
    /// Opens a session; gives the request for its licence, as it is to be sent. May take seconds.
    ///
    /// # Errors
    /// The module is not there, or cannot ask for such a licence.
    fn open(&self, init: &Init<'_>) -> Result<(SessionId, Secret), CdmError>;

    /// The request that prolongs a session's licence. May take seconds.
    ///
    /// # Errors
    /// The module is not there any more, or does not know how.
    fn renew(&self, session: SessionId) -> Result<Secret, CdmError>;

    /// Takes in the answer to the last request of a session. May take seconds.
    ///
    /// # Errors
    /// The module is not there any more, or cannot use the answer.
    fn update(&self, session: SessionId, licence: &Secret) -> Result<Grant, CdmError>;

    /// Forgets a session and its keys.
    fn close(&self, session: SessionId);

    /// Whether what a session holds is still there. Returns at once.
    fn holds(&self, session: SessionId) -> bool;

    /// Decrypts a sample in place.
    ///
    /// # Errors
    /// [`DecryptError::NoKey`]: the session holds no such key, or not any more; the sample is as it was. Otherwise what
    /// is in it is no sound.
    fn decrypt(&self, session: SessionId, encryption: &Encryption<'_>, sample: &mut [u8]) -> Result<(), DecryptError>;

    /// Media type of its requests.
    fn media_type(&self) -> &'static str {
        "application/octet-stream"
    }
}
