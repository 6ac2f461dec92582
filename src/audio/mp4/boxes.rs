//! Boxes of an MP4 file: their headers in the stream, and the fields of those that are in memory. Every length is checked
//! against what is there; this file must not know what a box means.

use std::fmt;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::Mp4Error;

/// Bytes read at once: a few packets, so that an entry that is still loading is not waited for further than needed.
const READ_BYTES_MAX: usize = 16 * 1024;

/// The four letters that name a box or a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FourCc(pub [u8; 4]);

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.escape_ascii())
    }
}

/// Where a box lies in the stream.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// What it is.
    pub kind: FourCc,
    /// Its first byte, that of its length.
    pub start: u64,
    /// The first byte behind its header.
    pub body: u64,
    /// The first byte behind it; `u64::MAX` where it goes on to the end of the file.
    pub end: u64,
}

/// The stream, read by position.
pub struct Bytes {
    inner: BufReader<Box<dyn MediaSource>>,
    at: u64,
}

impl Bytes {
    /// Goes to the front of `stream`.
    ///
    /// # Errors
    /// It cannot seek.
    pub fn new(mut stream: Box<dyn MediaSource>) -> io::Result<Self> {
        stream.seek(SeekFrom::Start(0))?;
        Ok(Self {
            inner: BufReader::with_capacity(READ_BYTES_MAX, stream),
            at: 0,
        })
    }

    /// The header of the box at `start`, which ends by `limit`. `None`: nothing is there.
    pub fn header(&mut self, start: u64, limit: u64) -> Result<Option<Header>, Mp4Error> {
        if start >= limit {
            return Ok(None);
        }
        let mut head = [0; 8];
        let kind = match self.read(start, &mut head) {
            Ok(()) => head.last_chunk::<4>().copied().unwrap_or_default(),
            Err(Mp4Error::Truncated) if self.is_nothing_at(start)? => return Ok(None),
            Err(error) => return Err(error),
        };
        let kind = FourCc(kind);
        let mut fields = Fields(&head);
        let (size, header) = match fields.u32().unwrap_or(0) {
            0 => (limit - start, 8),
            1 => {
                let mut large = [0; 8];
                self.read(start.saturating_add(8), &mut large)?;
                (u64::from_be_bytes(large), 16)
            }
            size => (u64::from(size), 8),
        };
        let end = start.checked_add(size).filter(|end| *end <= limit);
        match end {
            Some(end) if size >= header => Ok(Some(Header {
                kind,
                start,
                body: start.saturating_add(header),
                end,
            })),
            Some(_) | None => Err(Mp4Error::Damaged(kind)),
        }
    }

    /// The whole body of a box, at most `max` bytes. Room is taken for what is there, not for what is announced.
    pub fn body(&mut self, header: &Header, max: u64) -> Result<Vec<u8>, Mp4Error> {
        let length = header.end.saturating_sub(header.body);
        if length > max {
            return Err(Mp4Error::TooLarge {
                kind: header.kind,
                bytes: length,
                max,
            });
        }
        self.go(header.body)?;
        let mut body = Vec::new();
        let got = self.inner.by_ref().take(length).read_to_end(&mut body)?;
        self.at = self.at.saturating_add(got as u64);
        if got as u64 == length {
            Ok(body)
        } else {
            Err(Mp4Error::Truncated)
        }
    }

    /// Fills `buffer` from `at` on.
    pub fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<(), Mp4Error> {
        self.go(at)?;
        let mut left = buffer;
        while !left.is_empty() {
            match self.inner.read(left) {
                Ok(0) => return Err(Mp4Error::Truncated),
                Ok(got) => {
                    self.at = self.at.saturating_add(got as u64);
                    left = left.get_mut(got..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn is_nothing_at(&mut self, at: u64) -> Result<bool, Mp4Error> {
        match self.read(at, &mut [0]) {
            Ok(()) => Ok(false),
            Err(Mp4Error::Truncated) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Keeps what is buffered where the way is short.
    fn go(&mut self, to: u64) -> io::Result<()> {
        if to == self.at {
            return Ok(());
        }
        match i64::try_from(i128::from(to) - i128::from(self.at)) {
            Ok(way) => self.inner.seek_relative(way)?,
            Err(_) => {
                self.inner.seek(SeekFrom::Start(to))?;
            }
        }
        self.at = to;
        Ok(())
    }
}

/// Reads big-endian numbers one after the other; `None` behind the end.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next bytes, as many as the array has.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The version and the flags that many boxes begin with.
    pub fn version_and_flags(&mut self) -> Option<(u8, u32)> {
        let [version, flags @ ..] = self.array::<4>()?;
        let [high, middle, low] = flags;
        Some((version, u32::from_be_bytes([0, high, middle, low])))
    }

    /// A time or length: of eight bytes in version 1 of a box, of four else.
    pub fn ticks(&mut self, version: u8) -> Option<u64> {
        if version == 1 {
            self.u64()
        } else {
            self.u32().map(u64::from)
        }
    }
}

/// The boxes in `bytes`, with their bodies. One that does not fit ends them.
pub fn children(bytes: &[u8]) -> impl Iterator<Item = (FourCc, &[u8])> {
    let mut rest = Fields(bytes);
    std::iter::from_fn(move || {
        let size = rest.u32()?;
        let kind = FourCc(rest.array()?);
        let body = match size {
            0 => rest.0.len(),
            1 => usize::try_from(rest.u64()?.checked_sub(16)?).ok()?,
            size => usize::try_from(size.checked_sub(8)?).ok()?,
        };
        Some((kind, rest.bytes(body)?))
    })
}

/// The body of the first box that lies at `path` below `bytes`.
pub fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| {
        children(bytes).find_map(|(found, body)| (found.0 == **kind).then_some(body))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn stream(bytes: &[u8]) -> Bytes {
        Bytes::new(Box::new(Cursor::new(bytes.to_vec()))).unwrap()
    }

    #[test]
    fn a_box_may_tell_its_length_in_three_ways() {
        let mut bytes = stream(b"\0\0\0\x0cfree....\0\0\0\x01wide\0\0\0\0\0\0\0\x12..\0\0\0\0mdat...");
        let mut at = 0;
        let mut found = Vec::new();
        while let Some(header) = bytes.header(at, u64::MAX).unwrap() {
            found.push((header.kind.0, header.start, header.body, header.end));
            at = header.end;
        }
        assert_eq!(
            found,
            [
                (*b"free", 0, 8, 12),
                (*b"wide", 12, 28, 30),
                (*b"mdat", 30, 38, u64::MAX)
            ]
        );
        let inside: Vec<_> = children(b"\0\0\0\x0aabcd12\0\0\0\x01wide\0\0\0\0\0\0\0\x123456").collect();
        assert_eq!(inside, [(FourCc(*b"abcd"), &b"12"[..]), (FourCc(*b"wide"), b"34")]);
    }

    #[test]
    fn a_box_that_cannot_be_is_damage_and_half_a_header_is_truncation() {
        let mut short = stream(b"\0\0\0\x07free....");
        assert!(matches!(short.header(0, u64::MAX), Err(Mp4Error::Damaged(_))));
        let mut outside = stream(b"\0\0\0\x0dfree....");
        assert!(matches!(outside.header(0, 12), Err(Mp4Error::Damaged(_))));
        let mut half = stream(b"\0\0\0\x0c");
        assert!(matches!(half.header(0, u64::MAX), Err(Mp4Error::Truncated)));
        assert!(stream(b"").header(0, u64::MAX).unwrap().is_none());
    }

    #[test]
    fn room_is_taken_for_what_is_there() {
        let mut bytes = stream(b"\0\x10\0\0moov....");
        let header = bytes.header(0, u64::MAX).unwrap().unwrap();
        let used = allocation_counter::measure(|| {
            assert!(matches!(bytes.body(&header, 1 << 20), Err(Mp4Error::Truncated)));
            assert!(matches!(bytes.body(&header, 1 << 19), Err(Mp4Error::TooLarge { .. })));
        });
        assert!(used.bytes_max < 1024, "{} bytes", used.bytes_max);
    }
}
