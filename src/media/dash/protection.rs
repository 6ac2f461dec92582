//! What a manifest says of encryption (Common Encryption, ISO/IEC 23001-7). Only carried on; nothing is decrypted here.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::tree::{Element, cut};

/// Most elements that are read: one a system there is, and a few.
const PROTECTIONS_MAX: usize = 32;
/// The scheme by which the media itself is meant.
const COMMON_ENCRYPTION: &str = "urn:mpeg:dash:mp4protection:2011";

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    /// How. `None`: only the media tells.
    pub scheme: Option<Scheme>,
    /// `pssh` boxes, whole, in the manifest's order.
    pub pssh: Vec<Arc<[u8]>>,
}

impl Encryption {
    /// What the element's `ContentProtection` say, on top of what is said around it. What is damaged is left out: the
    /// media says it again.
    pub fn of(element: Element<'_, '_>, around: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let mut protections = element.all("ContentProtection").take(PROTECTIONS_MAX).peekable();
        if protections.peek().is_none() {
            return around.cloned();
        }
        let mut encryption = around.map(|around| (**around).clone()).unwrap_or_default();
        for protection in protections {
            let system = protection.attribute("schemeIdUri").unwrap_or_default();
            if system.eq_ignore_ascii_case(COMMON_ENCRYPTION) {
                let scheme = protection.attribute("value").filter(|value| !value.is_empty());
                encryption.scheme = scheme.map(|value| scheme_of(&value)).or(encryption.scheme);
            }
            let boxes = protection.all("pssh").filter_map(|one| pssh_of(one.text()));
            let room = PROTECTIONS_MAX.saturating_sub(encryption.pssh.len());
            encryption.pssh.extend(boxes.take(room));
        }
        Some(Arc::new(encryption))
    }
}

fn scheme_of(value: &str) -> Scheme {
    match value {
        "cenc" => Scheme::Cenc,
        "cbcs" => Scheme::Cbcs,
        other => Scheme::Other(cut(other)),
    }
}

/// A box in base64, perhaps with white space.
fn pssh_of(text: &str) -> Option<Arc<[u8]>> {
    let text: String = text.split_whitespace().collect();
    let bytes = STANDARD.decode(text).ok()?;
    let size = bytes.first_chunk().map(|size| u32::from_be_bytes(*size))?;
    let is_whole = usize::try_from(size).is_ok_and(|size| size == bytes.len());
    (is_whole && bytes.get(4..8)? == b"pssh").then(|| bytes.into())
}
