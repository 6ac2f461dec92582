//! What a manifest says of encryption (Common Encryption, ISO/IEC 23001-7). Only carried on; nothing is decrypted here.

/// How samples are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `cenc`: AES-CTR.
    Cenc,
    /// `cbcs`: AES-CBC of a pattern of blocks.
    Cbcs,
    /// Another one, by its four letters: cannot be played.
    Other(String),
}

/// Encryption of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// How. `None`: only the media tells.
    pub scheme: Option<Scheme>,
    /// Number of the key that is meant where the media names none (`cenc:default_KID`).
    pub key: Option<[u8; 16]>,
    /// `pssh` boxes, whole, in the manifest's order.
    pub pssh: Vec<Box<[u8]>>,
}
