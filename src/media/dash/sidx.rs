//! The segment index (`sidx`, ISO/IEC 14496-12) of a file: where its subsegments are and how long they sound. Bytes only.

use std::ops::Range;

use super::timeline::Slice;

/// Most subsegments: what its counter of 16 bits can say.
const REFERENCES_MAX: usize = 65_535;

/// A segment index, read.
#[derive(Clone, Debug)]
pub struct Subsegments {
    /// Ticks a second; not zero.
    pub timescale: u32,
    /// Begin of each: time in ticks, then byte of the file; one more than there are, for the end of the last.
    marks: Vec<(u64, u64)>,
}

impl Subsegments {
    pub fn count(&self) -> u32 {
        u32::try_from(self.marks.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    pub fn get(&self, number: u32) -> Option<(Slice, Range<u64>)> {
        let number = usize::try_from(number).ok()?;
        let (begin, from) = *self.marks.get(number)?;
        let (end, to) = *self.marks.get(number + 1)?;
        Some((
            Slice {
                begin,
                length: end - begin,
            },
            from..to,
        ))
    }

    pub fn number_at(&self, at: u64) -> Option<u32> {
        let behind = self.marks.partition_point(|mark| mark.0 <= at);
        let number = u32::try_from(behind.saturating_sub(1)).ok()?;
        (number < self.count()).then_some(number)
    }
}

/// Reads the first `sidx` among `bytes`, which begin at byte `at` of the file.
pub fn read(bytes: &[u8], at: u64) -> Result<Subsegments, &'static str> {
    let mut rest = Fields(bytes);
    loop {
        let before = rest.0.len();
        let size = rest.number(4).ok_or("is not where the manifest says")?;
        let kind = rest.take(4).ok_or("is not where the manifest says")?;
        let (head, size) = match size {
            1 => (16, rest.number(8).ok_or("is cut off")?),
            size => (8, size),
        };
        let body = size.checked_sub(head).and_then(|body| usize::try_from(body).ok());
        let body = body.ok_or("stands behind a damaged box")?;
        let body = rest.take(body).ok_or("is cut off")?;
        if kind == b"sidx" {
            let behind = bytes.len() - before;
            let behind = u64::try_from(behind).ok().and_then(|behind| behind.checked_add(size));
            let anchor = behind.and_then(|behind| behind.checked_add(at));
            return subsegments(Fields(body), anchor.ok_or("ends beyond all files")?);
        }
    }
}

/// The box's fields; `anchor` is the byte of the file behind it.
fn subsegments(mut fields: Fields<'_>, anchor: u64) -> Result<Subsegments, &'static str> {
    const CUT: &str = "is cut off";
    let version = fields.number(1).ok_or(CUT)?;
    let wide = match version {
        0 => 4,
        1 => 8,
        _ => return Err("is of an unknown version"),
    };
    fields.take(3 + 4).ok_or(CUT)?;
    let timescale = fields
        .number(4)
        .and_then(|timescale| u32::try_from(timescale).ok())
        .ok_or(CUT)?;
    if timescale == 0 {
        return Err("has a timescale of 0");
    }
    let mut time = fields.number(wide).ok_or(CUT)?;
    let mut byte = fields
        .number(wide)
        .and_then(|offset| offset.checked_add(anchor))
        .ok_or(CUT)?;
    fields.take(2).ok_or(CUT)?;
    let count = fields
        .number(2)
        .and_then(|count| usize::try_from(count).ok())
        .ok_or(CUT)?;
    if fields.0.len() / 12 < count {
        return Err(CUT);
    }
    let mut marks = Vec::with_capacity(count.min(REFERENCES_MAX) + 1);
    marks.push((time, byte));
    for _ in 0..count {
        let reference = fields.number(4).ok_or(CUT)?;
        let length = fields.number(4).ok_or(CUT)?;
        fields.take(4).ok_or(CUT)?;
        if reference >> 31 == 1 {
            return Err("leads to further indices (hierarchical), which are not followed");
        }
        if reference == 0 || length == 0 {
            return Err("has an empty subsegment");
        }
        time = time.checked_add(length).ok_or("ends beyond all time")?;
        byte = byte.checked_add(reference).ok_or("ends beyond all files")?;
        marks.push((time, byte));
    }
    if count == 0 {
        return Err("lists nothing");
    }
    Ok(Subsegments { timescale, marks })
}

/// Bytes that are taken from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    /// Big-endian, of up to 8 bytes.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let front = self.take(bytes)?;
        Some(front.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}
