//! What is told of the encryption of single samples: `senc` (also in the older form of PIFF), or `saiz` and `saio` with
//! bytes anywhere in the file; one sample after the other. Every count and length is checked; it must not decrypt.

use std::ops::Range;

use super::Mp4Error;
use super::boxes::{Bytes, Fields, FourCc, Header, children};
use super::protection::{Descriptions, GroupCursor, Groups, Iv, Parameters, Protected, padded};
use crate::keys::{KeyId, Scheme, Subsample};

/// `senc` before it had a name of its own.
const PIFF_SENC: [u8; 16] = *b"\xa2\x39\x4f\x52\x5a\x9b\x4f\x14\xa2\x44\x6c\x42\x7c\x64\x8d\xf4";
/// Each sample's entry tells the stretches of the sample.
const HAS_SUBSAMPLES: u32 = 2;
/// The entries have another cipher than the track says.
const OVERRIDES: u32 = 1;

/// How one sample is encrypted, without its stretches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cipher {
    /// How.
    pub scheme: Scheme,
    /// With which key.
    pub key: KeyId,
    /// Initialisation vector, zeros behind it.
    pub iv: [u8; 16],
    /// Blocks encrypted, then left in the clear; both 0: all are encrypted.
    pub crypt_blocks: u8,
    /// See [`Cipher::crypt_blocks`].
    pub skip_blocks: u8,
}

/// What a fragment of a track, or a track without fragments, tells of its samples.
#[derive(Debug, Default)]
pub struct Auxiliary {
    /// Entries of samples, one behind the other; `None`: there is nothing to be told of single samples.
    table: Option<Vec<u8>>,
    /// Entries tell stretches; `None`: as their sizes say.
    has_subsamples: Option<bool>,
    /// Bytes of each entry, where they are told.
    sizes: Option<Sizes>,
    groups: Groups,
    own: Descriptions,
}

/// A place in [`Auxiliary`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AuxiliaryCursor {
    sample: usize,
    read: usize,
    group: GroupCursor,
}

/// `saiz`.
#[derive(Debug)]
struct Sizes {
    count: usize,
    same: u8,
    each: Vec<u8>,
}

impl Sizes {
    fn get(&self, sample: usize) -> usize {
        let size = match self.each.get(sample) {
            Some(size) => *size,
            None if sample < self.count => self.same,
            None => 0,
        };
        usize::from(size)
    }

    /// Bytes of the entries of these samples. Counts may be wild, so none is counted up to.
    fn sum(&self, samples: Range<usize>) -> u64 {
        let samples = samples.start.min(self.count)..samples.end.min(self.count);
        match self.each.get(samples.clone()) {
            Some(each) if self.same == 0 => each.iter().map(|size| u64::from(*size)).sum(),
            Some(_) | None => u64::from(self.same).saturating_mul(samples.len() as u64),
        }
    }
}

fn damaged(kind: [u8; 4]) -> Mp4Error {
    Mp4Error::Damaged(FourCc(kind))
}

impl Auxiliary {
    /// Reads what a `traf` or an `stbl` tells; `runs` are the numbers of samples that adjoin in the file. What lies outside
    /// of `boxes` is read from `bytes`, as far as it has at most `max` bytes; its places count from `base`.
    ///
    /// # Errors
    /// It is damaged, or of another number of samples.
    pub fn read(boxes: &[u8], runs: &[u32], base: u64, bytes: &mut Bytes, max: u64) -> Result<Self, Mp4Error> {
        let mut found = Self {
            groups: Groups::read(boxes)?,
            own: Descriptions::read(boxes)?,
            ..Self::default()
        };
        let samples = runs.iter().map(|run| u64::from(*run)).sum::<u64>();
        if let Some(saiz) = about_encryption(boxes, *b"saiz") {
            let sizes = sizes(saiz).filter(|sizes| sizes.count as u64 <= samples);
            found.sizes = Some(sizes.ok_or(damaged(*b"saiz"))?);
        }
        if let Some(senc) = senc(boxes) {
            let (count, has_subsamples, table) = entries(senc).ok_or(damaged(*b"senc"))?;
            if u64::from(count) != samples {
                return Err(damaged(*b"senc"));
            }
            found.has_subsamples = Some(has_subsamples);
            found.table = Some(table.to_vec());
        } else if let (Some(sizes), Some(saio)) = (&found.sizes, about_encryption(boxes, *b"saio")) {
            let places = places(saio, runs, sizes, base).ok_or(damaged(*b"saio"))?;
            let mut table = Vec::new();
            for (body, length) in places {
                let left = max.saturating_sub(table.len() as u64);
                let end = body.checked_add(length).ok_or(damaged(*b"saio"))?;
                let kind = FourCc(*b"saio");
                let header = Header {
                    kind,
                    start: body,
                    body,
                    end,
                };
                table.extend(bytes.body(&header, left)?);
            }
            found.table = Some(table);
        }
        Ok(found)
    }

    /// What is told of groups that only this fragment knows.
    pub fn own(&self) -> &Descriptions {
        &self.own
    }

    /// How the next sample, of `size` bytes, is encrypted; `None`: it is in the clear. `stretches` is filled with its
    /// stretches.
    ///
    /// # Errors
    /// What is told of it does not fit it, or is missing.
    pub fn next(
        &self,
        cursor: &mut AuxiliaryCursor,
        protected: Option<Protected>,
        shared: &Descriptions,
        size: u32,
        stretches: &mut Vec<Subsample>,
    ) -> Result<Option<Cipher>, Mp4Error> {
        stretches.clear();
        let sample = cursor.sample;
        cursor.sample += 1;
        let told = match protected {
            None => None,
            Some(protected) => {
                let parameters = self
                    .groups
                    .next(&mut cursor.group, &self.own, shared, protected.defaults)?;
                Some((protected.scheme, parameters)).filter(|_| parameters.is_protected)
            }
        };
        let entry = Entry {
            iv_bytes: match told {
                Some((
                    _,
                    Parameters {
                        iv: Iv::Each(bytes), ..
                    },
                )) => usize::from(bytes),
                Some(_) | None => 0,
            },
            size: self.sizes.as_ref().map(|sizes| sizes.get(sample)),
            has_subsamples: self.has_subsamples,
        };
        let table = self.table.as_deref().unwrap_or_default();
        let rest = table.get(cursor.read..).unwrap_or_default();
        let (iv, read) = if self.table.is_some() {
            entry.read(rest, stretches).ok_or(damaged(*b"senc"))?
        } else {
            (&[][..], 0)
        };
        cursor.read += read;
        let Some((scheme, parameters)) = told else {
            stretches.clear();
            return Ok(None);
        };
        let iv = match parameters.iv {
            Iv::Constant(iv) => iv,
            Iv::Each(length) if iv.len() == usize::from(length) => padded(iv).ok_or(damaged(*b"senc"))?,
            Iv::Each(_) => return Err(damaged(*b"senc")),
        };
        let sum = stretches
            .iter()
            .map(|stretch| u64::from(stretch.clear) + u64::from(stretch.encrypted));
        if !stretches.is_empty() && sum.sum::<u64>() != u64::from(size) {
            return Err(damaged(*b"senc"));
        }
        Ok(Some(Cipher {
            scheme,
            key: parameters.key,
            iv,
            crypt_blocks: parameters.crypt_blocks,
            skip_blocks: parameters.skip_blocks,
        }))
    }
}

/// What the entry of one sample looks like.
struct Entry {
    iv_bytes: usize,
    size: Option<usize>,
    has_subsamples: Option<bool>,
}

impl Entry {
    /// The initialisation vector, and how many bytes the entry has.
    fn read<'a>(&self, bytes: &'a [u8], stretches: &mut Vec<Subsample>) -> Option<(&'a [u8], usize)> {
        let mut fields = match self.size {
            // Of a sample in the clear, or one of which nothing need be told.
            Some(0) if self.iv_bytes == 0 => return Some((&[], 0)),
            Some(size) => Fields(bytes.get(..size)?),
            None => Fields(bytes),
        };
        let before = fields.0.len();
        let iv = fields.bytes(self.iv_bytes)?;
        let has_subsamples = self.has_subsamples.unwrap_or(!fields.0.is_empty());
        if has_subsamples {
            for _ in 0..fields.u16()? {
                stretches.push(Subsample {
                    clear: u32::from(fields.u16()?),
                    encrypted: fields.u32()?,
                });
            }
        }
        let is_exact = self.size.is_none() || fields.0.is_empty();
        is_exact.then_some((iv, before - fields.0.len()))
    }
}

/// The body of a `senc` under either of its names.
fn senc(boxes: &[u8]) -> Option<&[u8]> {
    children(boxes).find_map(|(kind, body)| match &kind.0 {
        b"senc" => Some(body),
        b"uuid" => body.strip_prefix(&PIFF_SENC),
        _ => None,
    })
}

/// How many entries there are, whether they tell stretches, and the entries.
fn entries(senc: &[u8]) -> Option<(u32, bool, &[u8])> {
    let mut fields = Fields(senc);
    let (version, flags) = fields.version_and_flags()?;
    let count = fields.u32()?;
    (version == 0 && flags & OVERRIDES == 0).then_some((count, flags & HAS_SUBSAMPLES != 0, fields.0))
}

/// What follows version and flags of the first box of this kind that is about encryption: that says so, or nothing.
fn about_encryption(boxes: &[u8], kind: [u8; 4]) -> Option<(u8, Fields<'_>)> {
    let mut all = children(boxes).filter(|(found, _)| found.0 == kind);
    all.find_map(|(_, body)| {
        let mut fields = Fields(body);
        let (version, flags) = fields.version_and_flags()?;
        let is_ours = flags & 1 == 0 || matches!(fields.array::<8>()?.first_chunk()?, b"cenc" | b"cbcs");
        is_ours.then_some((version, fields))
    })
}

fn sizes((_, mut fields): (u8, Fields<'_>)) -> Option<Sizes> {
    let same = fields.u8()?;
    let count = usize::try_from(fields.u32()?).ok()?;
    let each = if same == 0 {
        fields.bytes(count)?.to_vec()
    } else {
        Vec::new()
    };
    Some(Sizes { count, same, each })
}

/// Where entries lie, and how many bytes: all in one place, or those of each run in their own.
fn places((version, mut fields): (u8, Fields<'_>), runs: &[u32], sizes: &Sizes, base: u64) -> Option<Vec<(u64, u64)>> {
    let count = usize::try_from(fields.u32()?).ok()?;
    let mut offset = || base.checked_add(fields.ticks(version)?);
    if count == 1 {
        return Some(vec![(offset()?, sizes.sum(0..sizes.count))]);
    }
    if count != runs.len() {
        return None;
    }
    let mut sample = 0_usize;
    let place = |run: &u32| {
        let end = sample.checked_add(usize::try_from(*run).ok()?)?;
        let length = sizes.sum(sample..end);
        sample = end;
        Some((offset()?, length))
    };
    runs.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::tests::boxed;
    use super::*;

    const KEY: [u8; 16] = [7; 16];

    fn protected(iv: Iv) -> Protected {
        let defaults = Parameters {
            is_protected: true,
            crypt_blocks: 0,
            skip_blocks: 0,
            key: KEY,
            iv,
        };
        Protected {
            scheme: Scheme::Cenc,
            defaults,
        }
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn read(boxes: &[u8], runs: &[u32], file: &[u8]) -> Result<Auxiliary, Mp4Error> {
        let mut bytes = Bytes::new(Box::new(Cursor::new(file.to_vec()))).unwrap();
        Auxiliary::read(boxes, runs, 100, &mut bytes, 1 << 10)
    }

    /// Initialisation vector and stretches of a sample.
    type Heard = ([u8; 16], Vec<(u32, u32)>);

    /// What is told of samples of 10 bytes.
    fn told(auxiliary: &Auxiliary, samples: usize, iv: Iv) -> Option<Vec<Heard>> {
        let mut cursor = AuxiliaryCursor::default();
        let mut stretches = Vec::new();
        let shared = Descriptions::default();
        let mut next = || {
            let cipher = auxiliary.next(&mut cursor, Some(protected(iv)), &shared, 10, &mut stretches);
            let all = stretches
                .iter()
                .map(|stretch| (stretch.clear, stretch.encrypted))
                .collect();
            Some((cipher.ok()??.iv, all))
        };
        (0..samples).map(|_| next()).collect()
    }

    fn iv(bytes: [u8; 8]) -> [u8; 16] {
        padded(&bytes).unwrap()
    }

    /// Entries of two samples: a vector each, the stretches of the second.
    fn entries() -> Vec<u8> {
        [
            &b"vector-0\0\x01"[..],
            b"\0\x04\0\0\0\x06",
            b"vector-1\0\x02",
            b"\0\x01\0\0\0\x02\0\x03\0\0\0\x04",
        ]
        .concat()
    }

    fn wished() -> Vec<Heard> {
        vec![
            (iv(*b"vector-0"), vec![(4, 6)]),
            (iv(*b"vector-1"), vec![(1, 2), (3, 4)]),
        ]
    }

    #[test]
    fn every_form_of_the_entries_says_the_same() {
        let senc = boxed(*b"senc", &[&words(&[2, 2]), &entries()]);
        let piff = boxed(*b"uuid", &[&PIFF_SENC, &words(&[2, 2]), &entries()]);
        let saiz = boxed(*b"saiz", &[&words(&[0]), &[0], &words(&[2]), &[16, 22]]);
        let named = boxed(
            *b"saiz",
            &[&words(&[1]), b"cenc", &words(&[0]), &[0], &words(&[2]), &[16, 22]],
        );
        let one = boxed(*b"saio", &[&words(&[0, 1, 5])]);
        let long = boxed(*b"saio", &[&words(&[0x0100_0000, 1, 0, 5])]);
        let two = boxed(*b"saio", &[&words(&[0, 2, 5, 23])]);
        let file = [&[9; 105][..], &entries()].concat();
        let apart = [&[9; 105][..], &entries()[..16], b"xx", &entries()[16..]].concat();
        for (boxes, file) in [
            (senc.clone(), &[][..]),
            (piff, &[]),
            ([senc, saiz.clone()].concat(), &[]),
            ([saiz.clone(), one].concat(), &file),
            ([named, long].concat(), &file),
            ([saiz, two].concat(), &apart),
        ] {
            let auxiliary = read(&boxes, &[1, 1], file).unwrap();
            assert_eq!(told(&auxiliary, 2, Iv::Each(8)), Some(wished()));
            assert_eq!(told(&auxiliary, 3, Iv::Each(8)), None, "no more than there are");
        }
    }

    #[test]
    fn samples_with_a_constant_vector_need_no_entries() {
        let auxiliary = read(&[], &[3], &[]).unwrap();
        assert_eq!(
            told(&auxiliary, 3, Iv::Constant([5; 16])),
            Some(vec![([5; 16], vec![]); 3])
        );
        assert_eq!(told(&auxiliary, 1, Iv::Each(8)), None, "others do");
    }

    #[test]
    fn a_sample_in_the_clear_has_an_entry_without_a_vector() {
        let senc = boxed(*b"senc", &[&words(&[0, 2]), b"vector-0"]);
        let sizes = boxed(*b"saiz", &[&words(&[0]), &[0], &words(&[2]), &[0, 8]]);
        let groups = boxed(*b"sbgp", &[&words(&[0]), b"seig", &words(&[1, 1, 0x1_0001])]);
        let described = boxed(*b"sgpd", &[&words(&[0]), b"seig", &words(&[1]), &[0; 20]]);
        for boxes in [
            [&senc[..], &groups, &described].concat(),
            [&senc[..], &groups, &described, &sizes].concat(),
        ] {
            let auxiliary = read(&boxes, &[2], &[]).unwrap();
            let (mut cursor, shared) = (AuxiliaryCursor::default(), Descriptions::default());
            let mut next = || {
                let protected = Some(protected(Iv::Each(8)));
                auxiliary
                    .next(&mut cursor, protected, &shared, 10, &mut Vec::new())
                    .unwrap()
            };
            assert_eq!(next(), None);
            assert_eq!(next().map(|cipher| cipher.iv), Some(iv(*b"vector-0")));
        }
    }

    #[test]
    fn what_does_not_fit_is_damage() {
        let senc = |count, entries: &[u8]| boxed(*b"senc", &[&words(&[2, count]), entries]);
        let cut = read(&senc(2, &entries()[..30]), &[2], &[]).unwrap();
        assert_eq!(told(&cut, 1, Iv::Each(8)).map(|all| all.len()), Some(1));
        assert_eq!(told(&cut, 2, Iv::Each(8)), None);
        let sums = read(&senc(2, &entries()), &[2], &[]).unwrap();
        let mut cursor = AuxiliaryCursor::default();
        let (each, shared) = (Some(protected(Iv::Each(8))), Descriptions::default());
        assert!(sums.next(&mut cursor, each, &shared, 11, &mut Vec::new()).is_err());
        let saiz = |count: u32| boxed(*b"saiz", &[&words(&[0]), &[8], &words(&[count])]);
        let far = boxed(*b"saio", &[&words(&[0, 1, 5000])]);
        let wrapping = boxed(*b"saio", &[&words(&[0x0100_0000, 1, u32::MAX, u32::MAX])]);
        for boxes in [
            senc(3, &entries()),
            senc(u32::MAX, &entries()),
            boxed(*b"senc", &[&words(&[1, 2]), &entries()]),
            saiz(3),
            [saiz(2), far].concat(),
            [saiz(2), wrapping].concat(),
            [saiz(2), boxed(*b"saio", &[&words(&[0, 3, 0, 0, 0])])].concat(),
        ] {
            assert!(read(&boxes, &[2], &[0; 200]).is_err());
        }
        let large = [saiz(200), boxed(*b"saio", &[&words(&[0, 1, 0])])].concat();
        assert!(matches!(
            read(&large, &[200], &[0; 9000]),
            Err(Mp4Error::TooLarge { .. })
        ));
    }
}
