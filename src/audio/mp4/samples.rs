//! The tables of a progressive file: how long, how large and where its samples are. They are kept as they stand in the
//! file, so they take the memory of the file's own index and no more, whatever counts it claims.

use super::Mp4Error;
use super::auxiliary::Cipher;
use super::boxes::{Fields, FourCc, find};

/// Samples of a track: a day of AAC at 96 kHz. More is damage, and would keep a search busy.
pub const SAMPLES_MAX: u32 = 1 << 23;

/// Where a sample is and when it sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its first byte in the file.
    pub offset: u64,
    /// Bytes.
    pub size: u32,
    /// Ticks of the track before it.
    pub at: u64,
    /// Ticks it lasts.
    pub duration: u32,
    /// Number of its entry, from one on.
    pub entry: u32,
    /// How it is encrypted; `None`: not, or nobody looked yet.
    pub cipher: Option<Cipher>,
}

/// Entries of a fixed length, one after the other.
#[derive(Debug, Default)]
struct Table {
    bytes: Vec<u8>,
    width: usize,
}

impl Table {
    /// Keeps what is there of `count` entries of `width` bytes.
    fn new(rest: Fields<'_>, count: u32, width: usize) -> Self {
        let length = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(width);
        let bytes = rest.0.get(..length).unwrap_or(rest.0).to_vec();
        Self { bytes, width }
    }

    /// The `stts`, `stsc`, `stco` or `co64` of these bytes.
    fn of_box(body: Option<&[u8]>, width: usize) -> Option<Self> {
        let mut fields = Fields(body?);
        fields.version_and_flags()?;
        let count = fields.u32()?;
        Some(Self::new(fields, count, width))
    }

    fn get(&self, number: u32) -> Option<Fields<'_>> {
        let start = usize::try_from(number).ok()?.checked_mul(self.width)?;
        self.bytes.get(start..start.checked_add(self.width)?).map(Fields)
    }
}

#[derive(Debug)]
enum Sizes {
    /// All samples have these bytes.
    Same(u32),
    /// In whole bytes.
    Each(Table),
    /// In halves of a byte.
    Halves(Table),
}

/// All tables of a track.
#[derive(Debug)]
pub struct Index {
    count: u32,
    sizes: Sizes,
    /// Runs of samples of one duration.
    times: Table,
    /// From which chunk on: how many samples a chunk has, and their entry.
    chunks: Table,
    offsets: Table,
}

impl Index {
    /// Reads the tables of an `stbl`.
    pub fn read(stbl: &[u8]) -> Result<Self, Mp4Error> {
        let damaged = |kind: &[u8; 4]| Mp4Error::Damaged(FourCc(*kind));
        let (count, sizes) = match find(stbl, &[b"stsz"]) {
            Some(body) => sizes(body),
            None => find(stbl, &[b"stz2"]).and_then(compact_sizes),
        }
        .ok_or(damaged(b"stsz"))?;
        let offsets = match find(stbl, &[b"co64"]) {
            Some(body) => Table::of_box(Some(body), 8),
            None => Table::of_box(find(stbl, &[b"stco"]), 4),
        };
        if count > SAMPLES_MAX {
            return Err(damaged(b"stsz"));
        }
        Ok(Self {
            count,
            sizes,
            times: Table::of_box(find(stbl, &[b"stts"]), 8).ok_or(damaged(b"stts"))?,
            chunks: Table::of_box(find(stbl, &[b"stsc"]), 12).ok_or(damaged(b"stsc"))?,
            offsets: offsets.ok_or(damaged(b"stco"))?,
        })
    }

    /// How many samples it lists.
    pub fn count(&self) -> u32 {
        self.count
    }

    fn size(&self, sample: u32) -> Option<u32> {
        match &self.sizes {
            Sizes::Same(size) => Some(*size),
            Sizes::Each(table) => {
                let mut fields = table.get(sample)?;
                if table.width == 4 {
                    fields.u32()
                } else if table.width == 2 {
                    fields.u16().map(u32::from)
                } else {
                    fields.u8().map(u32::from)
                }
            }
            Sizes::Halves(table) => {
                let pair = table.get(sample / 2)?.u8()?;
                Some(u32::from(if sample.is_multiple_of(2) { pair >> 4 } else { pair & 15 }))
            }
        }
    }

    fn offset(&self, chunk: u32) -> Option<u64> {
        let mut fields = self.offsets.get(chunk)?;
        if self.offsets.width == 8 {
            fields.u64()
        } else {
            fields.u32().map(u64::from)
        }
    }
}

fn sizes(stsz: &[u8]) -> Option<(u32, Sizes)> {
    let mut fields = Fields(stsz);
    fields.version_and_flags()?;
    let (same, count) = (fields.u32()?, fields.u32()?);
    let sizes = if same > 0 {
        Sizes::Same(same)
    } else {
        Sizes::Each(Table::new(fields, count, 4))
    };
    Some((count, sizes))
}

fn compact_sizes(stz2: &[u8]) -> Option<(u32, Sizes)> {
    let mut fields = Fields(stz2);
    fields.version_and_flags()?;
    let bits = fields.u32()? & 0xff;
    let count = fields.u32()?;
    let sizes = match bits {
        4 => Sizes::Halves(Table::new(fields, count.div_ceil(2), 1)),
        8 => Sizes::Each(Table::new(fields, count, 1)),
        16 => Sizes::Each(Table::new(fields, count, 2)),
        _ => return None,
    };
    Some((count, sizes))
}

/// Goes through an index from its first sample to its last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    sample: u32,
    /// Number of the next chunk, and of the run of chunks that the current one belongs to.
    chunk: u32,
    run: u32,
    /// Samples left in the chunk, and where the next one is.
    left: u32,
    offset: u64,
    entry: u32,
    /// Run of durations: its number, samples left in it, its duration.
    time: u32,
    time_left: u32,
    duration: u32,
    at: u64,
}

impl Cursor {
    /// The next sample; `None` behind the last.
    pub fn next(&mut self, index: &Index) -> Result<Option<Place>, Mp4Error> {
        if self.sample >= index.count {
            return Ok(None);
        }
        let damaged = |kind: &[u8; 4]| Mp4Error::Damaged(FourCc(*kind));
        while self.left == 0 {
            self.enter_chunk(index).ok_or(damaged(b"stsc"))?;
        }
        while self.time_left == 0 {
            let mut run = index.times.get(self.time).ok_or(damaged(b"stts"))?;
            let fields = run.u32().zip(run.u32());
            (self.time_left, self.duration) = fields.ok_or(damaged(b"stts"))?;
            self.time += 1;
        }
        let place = Place {
            offset: self.offset,
            size: index.size(self.sample).ok_or(damaged(b"stsz"))?,
            at: self.at,
            duration: self.duration,
            entry: self.entry,
            cipher: None,
        };
        self.sample += 1;
        self.left -= 1;
        self.time_left -= 1;
        self.offset = self.offset.saturating_add(u64::from(place.size));
        self.at = self.at.saturating_add(u64::from(place.duration));
        Ok(Some(place))
    }

    fn enter_chunk(&mut self, index: &Index) -> Option<()> {
        let first_of = |run: u32| index.chunks.get(run).and_then(|mut fields| fields.u32());
        // Chunks are numbered from one on.
        let number = self.chunk.checked_add(1)?;
        while first_of(self.run.checked_add(1)?).is_some_and(|first| first <= number) {
            self.run += 1;
        }
        let mut run = index.chunks.get(self.run)?;
        let (_, left, entry) = (run.u32()?, run.u32()?, run.u32()?);
        self.offset = index.offset(self.chunk)?;
        self.chunk = number;
        self.left = left;
        self.entry = entry;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box of these fields.
    fn boxed(kind: [u8; 4], fields: &[&[u8]]) -> Vec<u8> {
        let body = fields.concat();
        let size = u32::try_from(body.len() + 8).unwrap();
        [&size.to_be_bytes()[..], &kind, &body].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// Five samples in three chunks, of two entries.
    fn places(sizes: &[u8], offsets: &[u8]) -> Vec<Place> {
        let times = boxed(*b"stts", &[&words(&[0, 2, 4, 1024, 1, 600])]);
        let chunks = boxed(*b"stsc", &[&words(&[0, 2, 1, 2, 1, 3, 1, 2])]);
        let index = Index::read(&[sizes, offsets, &times, &chunks].concat()).unwrap();
        let mut cursor = Cursor::default();
        std::iter::from_fn(|| cursor.next(&index).unwrap()).collect()
    }

    #[test]
    fn every_form_of_the_tables_says_the_same() {
        let in_32_bits = boxed(*b"stsz", &[&words(&[0, 0, 5, 7, 8, 9, 10, 11])]);
        let near = boxed(*b"stco", &[&words(&[0, 3, 100, 200, 300])]);
        let found = places(&in_32_bits, &near);
        let short: Vec<_> = found
            .iter()
            .map(|place| (place.offset, place.size, place.at, place.duration, place.entry))
            .collect();
        assert_eq!(
            short,
            [
                (100, 7, 0, 1024, 1),
                (107, 8, 1024, 1024, 1),
                (200, 9, 2048, 1024, 1),
                (209, 10, 3072, 1024, 1),
                (300, 11, 4096, 600, 2)
            ]
        );
        let compact = |bits, bytes: &[u8]| boxed(*b"stz2", &[&words(&[0, bits, 5]), bytes]);
        assert_eq!(places(&compact(4, &[0x78, 0x9a, 0xb0]), &near), found);
        assert_eq!(places(&compact(8, &[7, 8, 9, 10, 11]), &near), found);
        assert_eq!(places(&compact(16, &[0, 7, 0, 8, 0, 9, 0, 10, 0, 11]), &near), found);
        let far = boxed(*b"co64", &[&words(&[0, 3, 0, 100, 0, 200, 0, 300])]);
        assert_eq!(places(&in_32_bits, &far), found);
    }

    #[test]
    fn samples_of_one_size_need_no_table_of_sizes() {
        let same = boxed(*b"stsz", &[&words(&[0, 20, 4])]);
        let near = boxed(*b"stco", &[&words(&[0, 3, 100, 200, 300])]);
        let offsets: Vec<_> = places(&same, &near).iter().map(|place| place.offset).collect();
        assert_eq!(offsets, [100, 120, 200, 220]);
    }

    #[test]
    fn tables_that_claim_more_than_they_have_take_no_room_and_end() {
        let claims = boxed(*b"stsz", &[&words(&[0, 0, SAMPLES_MAX, 7, 8])]);
        let rest = [
            boxed(*b"stco", &[&words(&[0, u32::MAX, 100])]),
            boxed(*b"stts", &[&words(&[0, 1, u32::MAX, 1024])]),
            boxed(*b"stsc", &[&words(&[0, 1, 1, u32::MAX, 1])]),
        ];
        let stbl = [claims, rest.concat()].concat();
        let used = allocation_counter::measure(|| {
            let index = Index::read(&stbl).unwrap();
            let mut cursor = Cursor::default();
            assert!(cursor.next(&index).unwrap().is_some());
            assert!(cursor.next(&index).unwrap().is_some());
            assert!(cursor.next(&index).is_err());
        });
        assert!(used.bytes_max < 200, "{} bytes", used.bytes_max);
        let too_many = boxed(*b"stsz", &[&words(&[0, 20, SAMPLES_MAX + 1])]);
        assert!(Index::read(&[too_many, rest.concat()].concat()).is_err());
    }
}
