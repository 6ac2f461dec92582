//! What a track says of its encryption before any sample: `sinf` with `schm` and `tenc`, and the groups of samples (`seig`)
//! that differ from it. It must not decrypt, and knows no sample.

use super::boxes::{Fields, FourCc, children, find};
use super::entry::Refusal;
use crate::keys::{KeyId, Scheme};

/// Descriptions of groups that are read of one box: keys change every few minutes where they change at all.
const GROUPS_MAX: usize = 256;
/// Numbers of groups that a fragment describes itself begin behind this one.
const OWN_GROUPS: u32 = 0x1_0000;

/// How the samples of a track, or of a group of them, are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// They are encrypted at all.
    pub is_protected: bool,
    /// Blocks encrypted, then left in the clear, again and again (`cbcs`); both 0: all are encrypted.
    pub crypt_blocks: u8,
    /// See [`Parameters::crypt_blocks`].
    pub skip_blocks: u8,
    /// With which key.
    pub key: KeyId,
    /// Where the initialisation vector is.
    pub iv: Iv,
}

/// Where the initialisation vector of a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iv {
    /// It is the same for all, zeros behind it.
    Constant([u8; 16]),
    /// Each sample has its own, of 8 or 16 bytes.
    Each(u8),
}

/// An encrypted track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protected {
    /// How.
    pub scheme: Scheme,
    /// What holds for samples of no group.
    pub defaults: Parameters,
}

/// The codec behind an encrypted entry, and how its samples are encrypted; a scheme that nothing here decrypts is refused
/// by name, unless nothing is encrypted by it.
pub fn read(boxes: &[u8]) -> Option<(FourCc, Result<Option<Protected>, Refusal>)> {
    let sinf = find(boxes, &[b"sinf"])?;
    let codec = FourCc(Fields(find(sinf, &[b"frma"])?).array()?);
    let name = FourCc(Fields(find(sinf, &[b"schm"])?.get(4..)?).array()?);
    let tenc = find(sinf, &[b"schi", b"tenc"]);
    let scheme = match &name.0 {
        b"cenc" => Scheme::Cenc,
        b"cbcs" => Scheme::Cbcs,
        _ => {
            // Without its defaults, it is one of a world that is not Common Encryption.
            let is_clear = tenc.and_then(defaults).is_some_and(|defaults| !defaults.is_protected);
            return Some((codec, if is_clear { Ok(None) } else { Err(Refusal::Scheme(name)) }));
        }
    };
    let defaults = defaults(tenc?)?;
    Some((codec, Ok(Some(Protected { scheme, defaults }))))
}

/// Reads a `tenc`.
fn defaults(tenc: &[u8]) -> Option<Parameters> {
    let mut fields = Fields(tenc);
    let (version, _) = fields.version_and_flags()?;
    let mut parameters = parameters(&mut fields)?;
    if version == 0 {
        // These bits had no meaning yet.
        (parameters.crypt_blocks, parameters.skip_blocks) = (0, 0);
    }
    Some(parameters)
}

/// The fields that a `tenc` and a `seig` share.
fn parameters(fields: &mut Fields<'_>) -> Option<Parameters> {
    let [_, pattern, is_protected, iv_bytes] = fields.array()?;
    let key = fields.array()?;
    let is_protected = match is_protected {
        0 => false,
        1 => true,
        _ => return None,
    };
    let iv = match iv_bytes {
        0 if is_protected => {
            let length = fields.u8().filter(|length| matches!(length, 8 | 16))?;
            Iv::Constant(padded(fields.bytes(usize::from(length))?)?)
        }
        0 => Iv::Constant([0; 16]),
        8 | 16 => Iv::Each(iv_bytes),
        _ => return None,
    };
    let (crypt_blocks, skip_blocks) = (pattern >> 4, pattern & 15);
    (crypt_blocks > 0 || skip_blocks == 0).then_some(Parameters {
        is_protected,
        crypt_blocks,
        skip_blocks,
        key,
        iv,
    })
}

/// An initialisation vector of 8 or 16 bytes, as one of 16.
pub fn padded(bytes: &[u8]) -> Option<[u8; 16]> {
    let mut iv = [0; 16];
    iv.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(iv)
}

/// Descriptions of groups: those of the whole track, or those of one fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptions {
    all: Vec<Parameters>,
    /// Number of the one for samples that no table puts into a group; 0: none.
    default: u32,
}

impl Descriptions {
    /// Reads the `sgpd` of these `boxes` that is about encryption; without one, there are no groups.
    ///
    /// # Errors
    /// It is damaged.
    pub fn read(boxes: &[u8]) -> Result<Self, Refusal> {
        match about_encryption(boxes, *b"sgpd") {
            None => Ok(Self::default()),
            // Of version 2 there are two forms: with the length of a description, and without.
            Some(body) => described(body, true)
                .or_else(|| described(body, false))
                .ok_or(Refusal::Damaged(FourCc(*b"sgpd"))),
        }
    }

    /// Keys of the groups.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> {
        let protected = self.all.iter().filter(|parameters| parameters.is_protected);
        protected.map(|parameters| parameters.key)
    }

    fn get(&self, number: u32) -> Option<Parameters> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        self.all.get(at).copied()
    }
}

/// The body of the first box of this kind whose grouping is `seig`.
fn about_encryption(boxes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    children(boxes)
        .filter(|(found, _)| found.0 == kind)
        .find_map(|(_, body)| (body.get(4..8)? == b"seig").then_some(body))
}

fn described(sgpd: &[u8], is_length_told: bool) -> Option<Descriptions> {
    let mut fields = Fields(sgpd);
    let (version, _) = fields.version_and_flags()?;
    fields.u32()?;
    let length = if version == 1 || (version >= 2 && is_length_told) {
        Some(fields.u32()?)
    } else {
        None
    };
    let default = if version >= 2 { fields.u32()? } else { 0 };
    let count = usize::try_from(fields.u32()?)
        .ok()
        .filter(|count| *count <= GROUPS_MAX)?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(match length {
            None => parameters(&mut fields)?,
            Some(length) => {
                let length = if length == 0 { fields.u32()? } else { length };
                parameters(&mut Fields(fields.bytes(usize::try_from(length).ok()?)?))?
            }
        });
    }
    fields.0.is_empty().then_some(Descriptions { all, default })
}

/// Which samples belong to which group.
#[derive(Debug, Default)]
pub struct Groups {
    /// Runs of samples of one group: how many, and its number.
    runs: Vec<u8>,
}

/// A place in [`Groups`].
#[derive(Clone, Copy, Debug, Default)]
pub struct GroupCursor {
    read: usize,
    left: u32,
    number: u32,
}

impl Groups {
    /// Reads the `sbgp` of these `boxes` that is about encryption; without one, no sample is in a group.
    ///
    /// # Errors
    /// It is damaged.
    pub fn read(boxes: &[u8]) -> Result<Self, Refusal> {
        match about_encryption(boxes, *b"sbgp") {
            None => Ok(Self::default()),
            Some(body) => runs(body).ok_or(Refusal::Damaged(FourCc(*b"sbgp"))),
        }
    }

    /// What holds for the next sample: of the groups of the fragment (`own`) or of the track (`shared`), or the `defaults`.
    ///
    /// # Errors
    /// It is in a group that nobody describes.
    pub fn next(
        &self,
        cursor: &mut GroupCursor,
        own: &Descriptions,
        shared: &Descriptions,
        defaults: Parameters,
    ) -> Result<Parameters, Refusal> {
        while cursor.left == 0 {
            let mut fields = Fields(self.runs.get(cursor.read..).unwrap_or_default());
            let Some((left, number)) = fields.u32().zip(fields.u32()) else {
                break;
            };
            cursor.read += 8;
            (cursor.left, cursor.number) = (left, number);
        }
        let number = if cursor.left > 0 {
            cursor.left -= 1;
            cursor.number
        } else {
            shared.default
        };
        let described = match number {
            0 => return Ok(defaults),
            OWN_GROUPS.. => own.get(number - OWN_GROUPS),
            _ => shared.get(number),
        };
        described.ok_or(Refusal::Damaged(FourCc(*b"sbgp")))
    }
}

fn runs(sbgp: &[u8]) -> Option<Groups> {
    let mut fields = Fields(sbgp);
    let (version, _) = fields.version_and_flags()?;
    fields.u32()?;
    if version == 1 {
        fields.u32()?;
    }
    let bytes = usize::try_from(fields.u32()?).ok()?.checked_mul(8)?;
    let runs = fields.bytes(bytes)?.to_vec();
    fields.0.is_empty().then_some(Groups { runs })
}

#[cfg(test)]
mod tests {
    use super::super::tests::boxed;
    use super::*;

    const KEY: [u8; 16] = *b"0123456789abcdef";

    fn tenc(version: u8, fields: [u8; 4], rest: &[u8]) -> Option<Parameters> {
        defaults(&[&[version, 0, 0, 0][..], &fields, &KEY, rest].concat())
    }

    #[test]
    fn both_versions_of_the_defaults_are_read() {
        let plain = Parameters {
            is_protected: true,
            crypt_blocks: 0,
            skip_blocks: 0,
            key: KEY,
            iv: Iv::Each(8),
        };
        assert_eq!(tenc(0, [0, 0x19, 1, 8], &[]), Some(plain));
        let patterned = Parameters {
            crypt_blocks: 1,
            skip_blocks: 9,
            iv: Iv::Constant(*b"12345678\0\0\0\0\0\0\0\0"),
            ..plain
        };
        assert_eq!(tenc(1, [0, 0x19, 1, 0], b"\x0812345678"), Some(patterned));
        assert_eq!(tenc(1, [0, 0, 0, 0], &[]).map(|told| told.is_protected), Some(false));
    }

    #[test]
    fn defaults_that_cannot_be_are_damage() {
        for (fields, rest) in [
            ([0, 0, 2, 8], &[][..]),
            ([0, 0, 1, 7], &[]),
            ([0, 0, 1, 0], &[]),
            ([0, 0, 1, 0], b"\x0712345678"),
            ([0, 0, 1, 0], b"\x081234567"),
            ([0, 0x09, 1, 8], &[]),
        ] {
            assert_eq!(tenc(1, fields, rest), None, "{fields:?}");
        }
    }

    fn sgpd(head: &[u32], entries: &[&[u8]]) -> Vec<u8> {
        let head: Vec<_> = head.iter().flat_map(|word| word.to_be_bytes()).collect();
        boxed(*b"sgpd", &[&head[..4], b"seig", &head[4..], &entries.concat()])
    }

    #[test]
    fn groups_are_read_in_every_version() {
        let entry = [&[0, 0, 1, 8][..], &KEY].concat();
        let constant = [&[0, 0, 1, 0][..], &KEY, &[8], b"12345678"].concat();
        let lengths = [&[0, 0, 0, 20][..], &entry, &[0, 0, 0, 29], &constant].concat();
        let versions = [
            sgpd(&[0, 2], &[&entry, &constant]),
            sgpd(&[1 << 24, 0, 2], &[&lengths]),
            sgpd(&[2 << 24, 0, 0, 2], &[&lengths]),
            sgpd(&[2 << 24, 0, 2], &[&entry, &constant]),
        ];
        let wished = Descriptions::read(&versions[0]).unwrap();
        assert_eq!((wished.all.len(), wished.all[0].iv), (2, Iv::Each(8)));
        for version in versions {
            assert_eq!(Descriptions::read(&version), Ok(wished.clone()));
        }
        assert!(Descriptions::read(&sgpd(&[0, 3], &[&entry, &constant])).is_err());
        let many = entry.repeat(GROUPS_MAX + 1);
        assert!(Descriptions::read(&sgpd(&[0, 257], &[&many])).is_err());
    }

    #[test]
    fn each_sample_has_the_parameters_of_its_group() {
        let of = |key| [&[0, 0, 1, 8][..], &[key; 16]].concat();
        let shared = Descriptions::read(&sgpd(&[0, 1], &[&of(1)])).unwrap();
        let own = Descriptions::read(&sgpd(&[0, 1], &[&of(2)])).unwrap();
        let words: Vec<u8> = [0, 0, 4_u32, 2, 0, 1, 0x1_0001, 1, 1, 1, 2]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect();
        let sbgp = boxed(*b"sbgp", &[&words[..4], b"seig", &words[8..]]);
        let groups = Groups::read(&sbgp).unwrap();
        let defaults = tenc(0, [0, 0, 1, 8], &[]).unwrap();
        let mut cursor = GroupCursor::default();
        let mut next = || groups.next(&mut cursor, &own, &shared, defaults).map(|told| told.key);
        assert_eq!([(); 4].map(|()| next().unwrap()), [KEY, KEY, [2; 16], [1; 16]]);
        assert!(next().is_err(), "nobody describes its group");
        assert_eq!(next(), Ok(KEY), "behind the table");
        assert!(Groups::read(&sbgp[..sbgp.len() - 1]).is_ok_and(|groups| groups.runs.is_empty()));
    }
}
