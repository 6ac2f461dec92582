//! The edit list of an MP4 file, which the demuxer of the catalogue does not tell: where the music of an AAC file lies.
//! Reads nothing but that.

use std::io::{self, Read, Seek, SeekFrom};

/// Largest `moov` looked into: an hour has a few hundred kilobytes.
const MOOV_BYTES_MAX: u64 = 64 << 20;
/// Boxes at the top of a file that are looked at.
const BOXES_MAX: usize = 64;

/// The part of a track that is music, in frames of its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Before it.
    pub skip: u64,
    /// Of it; `None`: up to the end.
    pub frames: Option<u64>,
}

/// Looks for the only edit of the first track. `None`: the file has none that is simple.
pub fn find(file: &mut (impl Read + Seek)) -> io::Result<Option<Edit>> {
    file.seek(SeekFrom::Start(0))?;
    let end = file.seek(SeekFrom::End(0))?;
    let mut at = 0;
    for _ in 0..BOXES_MAX {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 8];
        if file.read_exact(&mut head).is_err() {
            return Ok(None);
        }
        let [a, b, c, d, kind @ ..] = head;
        let mut length = u64::from(u32::from_be_bytes([a, b, c, d]));
        if length == 1 {
            let mut long = [0; 8];
            file.read_exact(&mut long)?;
            length = u64::from_be_bytes(long);
        }
        if &kind == b"moov" && length <= MOOV_BYTES_MAX {
            let mut moov = Vec::new();
            file.take(length.saturating_sub(8)).read_to_end(&mut moov)?;
            return Ok(edit(&moov));
        }
        at = at.saturating_add(length);
        if length < 8 || at >= end {
            return Ok(None);
        }
    }
    Ok(None)
}

fn inside<'a>(mut boxes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    let (first, rest) = path.split_first()?;
    loop {
        let length = number(boxes, 0)? as usize;
        let body = boxes.get(8..length)?;
        if boxes.get(4..8)? == first.as_slice() {
            return if rest.is_empty() {
                Some(body)
            } else {
                inside(body, rest)
            };
        }
        boxes = boxes.get(length.max(8)..)?;
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*four))
}

fn wide(bytes: &[u8], at: usize) -> Option<u64> {
    let eight = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*eight))
}

fn timescale(head: &[u8]) -> Option<u32> {
    number(head, if head.first() == Some(&1) { 20 } else { 12 })
}

fn edit(moov: &[u8]) -> Option<Edit> {
    let movie = timescale(inside(moov, &[b"mvhd"])?)?;
    let media = timescale(inside(moov, &[b"trak", b"mdia", b"mdhd"])?)?;
    let list = inside(moov, &[b"trak", b"edts", b"elst"])?;
    if number(list, 4)? != 1 {
        return None;
    }
    let (length, skip) = if list.first() == Some(&1) {
        (wide(list, 8)?, wide(list, 16)?)
    } else {
        (u64::from(number(list, 8)?), u64::from(number(list, 12)?))
    };
    let length = u128::from(length) * u128::from(media) / u128::from(movie.max(1));
    // The movie's clock is often one of milliseconds: then the length is only nearly right, and the track's end is better.
    let is_exact = movie % media.max(1) == 0;
    Some(Edit {
        skip,
        frames: u64::try_from(length).ok().filter(|frames| *frames > 0 && is_exact),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn the_silence_before_an_aac_file_is_found() {
        let file = include_bytes!("../../../tests/media/album-2.m4a");
        let found = find(&mut Cursor::new(file)).unwrap().unwrap();
        assert_eq!(found.skip, 1024);
    }

    #[test]
    fn what_is_no_mp4_has_no_edit() {
        for file in [&b""[..], b"RIFF\x01\0\0\0WAVE", b"\0\0\0\x10moov\0\0\0\xfftrak"] {
            assert_eq!(find(&mut Cursor::new(file)).unwrap(), None);
        }
    }
}
