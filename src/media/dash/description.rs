//! What a description (initialisation segment) tells of a representation and a manifest does not: the bits of a lossless
//! sample. Bytes only; what a decoder needs of a description is the decoder's business.

/// Boxes around the sample entries, from the outside in.
const PATH: [[u8; 4]; 6] = [*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl", *b"stsd"];
/// Version, flags and count before the sample entries.
const TABLE_HEAD_BYTES: usize = 8;
/// Fields of a sample entry before its boxes.
const ENTRY_HEAD_BYTES: usize = 28;
/// Version and flags of a codec's own box.
const BOX_HEAD_BYTES: usize = 4;

/// Bits of a sample, by the first sample entry that tells them, encrypted or not. `None`: of a lossy codec, or damaged.
pub fn bits(description: &[u8]) -> Option<u8> {
    let table = PATH.iter().try_fold(description, |around, kind| child(around, *kind))?;
    boxes(table.get(TABLE_HEAD_BYTES..)?).find_map(|(_, entry)| {
        let boxes = entry.get(ENTRY_HEAD_BYTES..)?;
        let flac = child(boxes, *b"dfLa").and_then(flac);
        flac.or_else(|| child(boxes, *b"alac").and_then(alac))
    })
}

/// `STREAMINFO` is the first metadata block: 34 bytes behind a header of four.
fn flac(body: &[u8]) -> Option<u8> {
    let ([kind, length @ ..], info) = body.get(BOX_HEAD_BYTES..)?.split_first_chunk::<4>()?;
    if kind & 0x7f != 0 || *length != [0, 0, 34] {
        return None;
    }
    // Behind sizes, rate and channels: five bits, less one.
    let [high, low] = *info.get(12..14)?.first_chunk::<2>()?;
    Some(((high & 1) << 4 | low >> 4) + 1)
}

/// Apple's cookie: frames of a packet, a version, bits.
fn alac(body: &[u8]) -> Option<u8> {
    body.get(BOX_HEAD_BYTES..)?.get(5).copied()
}

fn child(around: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    boxes(around).find(|(found, _)| *found == kind).map(|(_, body)| body)
}

/// The boxes in `rest`, up to the first that is damaged: what they are and what is in them.
fn boxes(mut rest: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, behind) = rest.split_first_chunk::<4>()?;
        let (kind, behind) = behind.split_first_chunk::<4>()?;
        let (body, next) = match u32::from_be_bytes(*size) {
            0 => (behind, &[][..]),
            1 => {
                let (size, behind) = behind.split_first_chunk::<8>()?;
                let body = u64::from_be_bytes(*size).checked_sub(16)?;
                behind.split_at_checked(usize::try_from(body).ok()?)?
            }
            size => behind.split_at_checked(usize::try_from(size.checked_sub(8)?).ok()?)?,
        };
        rest = next;
        Some((*kind, body))
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../../../tests/media/", $name)).as_slice()
        };
    }

    /// A box around `body`.
    fn boxed(kind: &[u8], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).unwrap();
        [&size.to_be_bytes()[..], kind, body].concat()
    }

    /// A description of FLAC of so many bits.
    pub fn of_flac(bits: u8) -> Vec<u8> {
        let mut info = [0; 34];
        info[12..14].copy_from_slice(&[(bits - 1) >> 4, (bits - 1) << 4]);
        let codec = boxed(b"dfLa", &[&[0, 0, 0, 0, 0x80, 0, 0, 34], &info[..]].concat());
        let entry = boxed(b"fLaC", &[&[0; ENTRY_HEAD_BYTES], &codec[..]].concat());
        let table = [&[0; TABLE_HEAD_BYTES], &entry[..]].concat();
        PATH.iter().rev().fold(table, |body, kind| boxed(kind, &body))
    }

    #[test]
    fn the_bits_of_lossless_samples_are_told_whatever_the_packager() {
        let all: [(&[u8], Option<u8>); 8] = [
            (&of_flac(16), Some(16)),
            (&of_flac(24), Some(24)),
            (fixture!("fragments-flac.mp4"), Some(24)),
            (fixture!("set-fl44.mp4"), Some(16)),
            (fixture!("set-deep96.mp4"), Some(24)),
            (fixture!("alac24.m4a"), Some(24)),
            (fixture!("dash-opus.mp4"), None),
            (fixture!("dash-aac.mp4"), None),
        ];
        for (number, (bytes, expected)) in all.into_iter().enumerate() {
            assert_eq!(bits(bytes), expected, "{number}");
        }
    }

    #[test]
    fn what_is_cut_or_damaged_tells_nothing_wrong() {
        let whole = of_flac(24);
        for length in 0..whole.len() {
            assert_eq!(bits(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            for value in [0, 1, 0xff] {
                damaged[at] = value;
                let told = bits(&damaged);
                assert!(told.is_none_or(|bits| (1..=32).contains(&bits)), "{at}: {told:?}");
            }
        }
    }
}
