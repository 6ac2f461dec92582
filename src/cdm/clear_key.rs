//! Clear Key, the decryption module that every client of W3C's Encrypted Media Extensions has (section 9.1): licences are
//! JSON, keys stand in them as they are. It must not show a key to anybody, nor let it outlive its session in memory.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::module::{Cdm, CdmError, Grant, Init, Secret, SessionId};
use crate::keys::{DecryptError, Encryption, KeyId};

/// Keys of one licence. Each representation of an entry may have its own, and each period of a rotation.
const KEYS_MAX: usize = 64;
/// Sessions at once: one per entry that is open or was, and room for renewals. The oldest goes.
const SESSIONS_MAX: usize = 32;

/// A key. Leaves nothing behind in memory.
struct Key(Zeroizing<[u8; 16]>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(key)")
    }
}

/// A request: `{"kids":["..."],"type":"temporary"}`.
#[derive(Serialize)]
struct Request {
    kids: Vec<String>,
    r#type: &'static str,
}

/// A licence: a JSON Web Key set.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    k: Text,
}

/// A text that leaves nothing behind in memory.
#[derive(Default)]
struct Text(Zeroizing<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

#[derive(Debug)]
struct Held {
    session: SessionId,
    keys: Vec<(KeyId, Key)>,
}

/// Clear Key.
#[derive(Debug, Default)]
pub struct ClearKey {
    held: Mutex<Vec<Held>>,
    last: AtomicU64,
}

impl ClearKey {
    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cdm for ClearKey {
    fn open(&self, init: &Init<'_>) -> Result<(SessionId, Secret), CdmError> {
        let request = Request {
            kids: init.keys.iter().map(|key| URL_SAFE_NO_PAD.encode(key)).collect(),
            r#type: "temporary",
        };
        let challenge = serde_json::to_vec(&request).map_err(|error| CdmError::Refused(error.to_string()))?;
        let session = SessionId(self.last.fetch_add(1, Ordering::Relaxed));
        let mut held = self.held();
        if held.len() == SESSIONS_MAX {
            held.remove(0);
        }
        held.push(Held {
            session,
            keys: Vec::new(),
        });
        Ok((session, Secret::new(challenge)))
    }

    fn renew(&self, _session: SessionId) -> Result<Secret, CdmError> {
        Err(CdmError::Refused("licences of Clear Key are not renewed".to_owned()))
    }

    fn update(&self, session: SessionId, licence: &Secret) -> Result<Grant, CdmError> {
        let keys = keys_of(licence.reveal()).map_err(|reason| CdmError::Refused(reason.to_owned()))?;
        let granted = keys.iter().map(|(id, _)| *id).collect();
        let mut held = self.held();
        let Some(held) = held.iter_mut().find(|held| held.session == session) else {
            return Err(CdmError::Gone("the session is closed".to_owned()));
        };
        held.keys = keys;
        Ok(Grant {
            keys: granted,
            lifetime: None,
            renew_in: None,
        })
    }

    fn close(&self, session: SessionId) {
        self.held().retain(|held| held.session != session);
    }

    fn holds(&self, session: SessionId) -> bool {
        self.held().iter().any(|held| held.session == session)
    }

    fn decrypt(&self, session: SessionId, encryption: &Encryption<'_>, sample: &mut [u8]) -> Result<(), DecryptError> {
        let held = self.held();
        let keys = held.iter().find(|held| held.session == session).map(|held| &held.keys);
        let mut keys = keys.into_iter().flatten();
        let Some((_, key)) = keys.find(|(id, _)| *id == encryption.key) else {
            return Err(DecryptError::NoKey(encryption.key));
        };
        encryption.undo(&key.0, sample)
    }

    fn media_type(&self) -> &'static str {
        "application/json"
    }
}

/// The keys of a licence. Reasons never repeat anything of it.
fn keys_of(licence: &[u8]) -> Result<Vec<(KeyId, Key)>, &'static str> {
    let set: KeySet = serde_json::from_slice(licence)
        .map_err(|_| "the licence is no JSON Web Key set (expected {\"keys\":[...]})")?;
    if set.keys.len() > KEYS_MAX {
        return Err("the licence holds more keys than any entry has");
    }
    let keys = set.keys.iter().filter(|jwk| jwk.kty == "oct").map(|jwk| {
        let id = sixteen(&jwk.kid).ok_or("a key's id in the licence is not 16 bytes of base64url")?;
        let key = sixteen(&jwk.k.0).ok_or("a key in the licence is not 16 bytes of base64url")?;
        Ok((*id, Key(key)))
    });
    keys.collect()
}

/// 16 bytes of base64url without padding; padding is forgiven.
fn sixteen(text: &str) -> Option<Zeroizing<[u8; 16]>> {
    // The decoder wants room for what it estimates, which is more.
    let mut room = Zeroizing::new([0; 24]);
    let length = URL_SAFE_NO_PAD
        .decode_slice(text.trim_end_matches('='), room.as_mut_slice())
        .ok()?;
    let (key, _) = room.split_first_chunk::<16>().filter(|_| length == 16)?;
    let out = Zeroizing::new(*key);
    room.zeroize();
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Scheme;

    /// The examples of "9.1.3 License Request Format" and "9.1.4 License Format" of W3C's recommendation.
    const REQUEST: &str = r#"{"kids":["LwVHf8JLtPrv2GUXFW2v_A"],"type":"temporary"}"#;
    const LICENCE: &str =
        r#"{"keys":[{"kty":"oct","k":"tQ0bJVWb6b0KPL6KtZIy_A","kid":"LwVHf8JLtPrv2GUXFW2v_A"}],"type":"temporary"}"#;
    const ID: KeyId = 0x2f05_477f_c24b_b4fa_efd8_6517_156d_affc_u128.to_be_bytes();
    const KEY: [u8; 16] = 0xb50d_1b25_559b_e9bd_0a3c_be8a_b592_32fc_u128.to_be_bytes();

    fn init(keys: &[KeyId]) -> Init<'_> {
        Init {
            system: "CLEARKEY",
            scheme: Scheme::Cenc,
            keys,
            pssh: &[],
        }
    }

    fn encryption(key: KeyId) -> Encryption<'static> {
        Encryption {
            scheme: Scheme::Cenc,
            key,
            iv: [7; 16],
            subsamples: &[],
            crypt_blocks: 0,
            skip_blocks: 0,
        }
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_request_is_that_of_the_recommendation() {
        let (_, challenge) = ClearKey::default().open(&init(&[ID])).unwrap();
        assert_eq!(std::str::from_utf8(challenge.reveal()).unwrap(), REQUEST);
    }

    #[test]
    fn the_licence_of_the_recommendation_gives_its_key() {
        let keys = keys_of(LICENCE.as_bytes()).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].0, *keys[0].1.0), (ID, KEY));
    }

    #[test]
    fn a_sample_is_decrypted_with_the_key_of_its_session_only() {
        let module = ClearKey::default();
        let (session, _) = module.open(&init(&[ID])).unwrap();
        let mut sample = *b"sixteen bytes, or so";
        let clear = sample;
        encryption(ID).undo(&KEY, &mut sample).unwrap();
        let encrypted = sample;
        let no_key = Err(DecryptError::NoKey(ID));
        assert_eq!(
            module.decrypt(session, &encryption(ID), &mut sample),
            no_key,
            "no licence yet"
        );
        let grant = module.update(session, &secret(LICENCE)).unwrap();
        assert_eq!(grant.keys, [ID]);
        let other = module.decrypt(SessionId(99), &encryption(ID), &mut sample);
        assert_eq!((other, sample), (no_key.clone(), encrypted), "left as it was");
        module.decrypt(session, &encryption(ID), &mut sample).unwrap();
        assert_eq!(sample, clear);
        module.close(session);
        assert!(!module.holds(session));
        assert_eq!(module.decrypt(session, &encryption(ID), &mut sample), no_key);
    }

    #[test]
    fn what_is_no_licence_is_refused_without_repeating_it() {
        let many = format!(r#"{{"keys":[{}]}}"#, vec![r#"{"kty":"oct"}"#; KEYS_MAX + 1].join(","));
        for bad in [
            "",
            "nonsense",
            "[]",
            "{}",
            r#"{"keys":[{"kty":"oct","k":"c2hvcnQ","kid":"LwVHf8JLtPrv2GUXFW2v_A"}]}"#,
            r#"{"keys":[{"kty":"oct","k":"tQ0bJVWb6b0KPL6KtZIy_A","kid":"?"}]}"#,
            r#"{"keys":[{"kty":"oct","k":"dFFwYkpWV2I2YjBLUEw2S3RaSXlfQQAAAAAAAAAAAAAAAAAA","kid":"LwVHf8JLtPrv2GUXFW2v_A"}]}"#,
            many.as_str(),
        ] {
            let module = ClearKey::default();
            let (session, _) = module.open(&init(&[ID])).unwrap();
            let error = module.update(session, &secret(bad)).unwrap_err();
            assert!(
                matches!(&error, CdmError::Refused(reason) if !reason.contains("tQ0b")),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn keys_of_other_types_and_padding_are_passed_over() {
        let licence =
            r#"{"keys":[{"kty":"RSA"},{"kty":"oct","k":"tQ0bJVWb6b0KPL6KtZIy_A==","kid":"LwVHf8JLtPrv2GUXFW2v_A=="}]}"#;
        assert_eq!(keys_of(licence.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn neither_a_key_nor_a_licence_is_shown_in_debug_output() {
        let module = ClearKey::default();
        let (session, _) = module.open(&init(&[ID])).unwrap();
        let licence = secret(LICENCE);
        module.update(session, &licence).unwrap();
        let shown = format!("{module:?} {licence:?}");
        assert!(!shown.contains("181, 13") && !shown.contains("tQ0b"), "{shown}");
        assert!(shown.contains("(key)"), "{shown}");
    }

    #[test]
    fn sessions_that_nobody_closes_do_not_pile_up() {
        let module = ClearKey::default();
        let (first, _) = module.open(&init(&[ID])).unwrap();
        for _ in 0..SESSIONS_MAX {
            module.open(&init(&[ID])).unwrap();
        }
        assert!(!module.holds(first));
        assert_eq!(module.held().len(), SESSIONS_MAX);
    }
}
