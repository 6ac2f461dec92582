//! Where the music lies within a track's samples. Encoders put silence before and after it, and say so in an edit list
//! or, those of Apple, in a tag. This file reads both; it must not look at samples.

use super::boxes::Fields;

/// Edits looked at. Several pieces are a cut-up film, which is told by the second one already.
const EDITS_MAX: u32 = 8;

/// The part of a track that is to be heard, in ticks of the track's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audible {
    /// Ticks before the music.
    pub skip: u64,
    /// Ticks of music, if the file says so.
    pub length: Option<u64>,
}

/// The only edit of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// How long it is, in the movie's clock; zero is "to the end".
    pub length: u64,
    /// Where it starts, in the track's clock.
    pub start: u64,
}

impl Edit {
    /// Reads an `elst`. Empty edits before the music only delay it. Several pieces are left alone.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let (version, _) = fields.version_and_flags()?;
        let count = fields.u32()?.min(EDITS_MAX);
        let mut only = None;
        for _ in 0..count {
            let length = fields.ticks(version)?;
            let start = if version == 1 {
                i64::from_be_bytes(fields.array()?)
            } else {
                i64::from(i32::from_be_bytes(fields.array()?))
            };
            let _speed = fields.u32()?;
            let Ok(start) = u64::try_from(start) else { continue };
            if only.replace(Self { length, start }).is_some() {
                return None;
            }
        }
        only
    }

    /// The edit's length is told in the movie's clock, often of milliseconds only. Where the `rest` of the track behind
    /// the edit's start agrees with it to that precision, it is the exact one.
    pub fn audible(self, movie_timescale: u32, timescale: u32, duration: u64) -> Audible {
        let rest = duration.checked_sub(self.start).filter(|rest| *rest > 0);
        let scale = |ticks: u64| {
            let scaled = u128::from(ticks) * u128::from(timescale) / u128::from(movie_timescale.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        let told = scale(self.length);
        let length = match rest {
            Some(rest) if told == 0 || rest.abs_diff(told) <= scale(1).saturating_add(1) => Some(rest),
            Some(_) | None => Some(told).filter(|told| *told > 0),
        };
        Audible {
            skip: self.start,
            length,
        }
    }
}

/// Reads the text of an `iTunSMPB` tag: " 00000000 00000840 000001CA 00000000003F31F6 ...".
pub fn itunes(tag: &[u8]) -> Option<Audible> {
    let tag = String::from_utf8_lossy(tag);
    let (_, text) = tag.split_once("iTunSMPB")?;
    let start = text.find(" 00000000 ")?;
    let mut words = text.get(start..)?.split_ascii_whitespace().skip(1);
    let skip = u64::from_str_radix(words.next()?, 16).ok()?;
    let _padding = words.next()?;
    let length = u64::from_str_radix(words.next()?.get(..16)?, 16).ok()?;
    (length > 0).then_some(Audible {
        skip,
        length: Some(length),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_itunes_tag_is_understood() {
        let tag = b"\0\0\0\x18meanxxxxcom.apple.iTunesxxxxnamexxxxiTunSMPBxxxxdataxxxx 00000000 00000840 000001CA 00000000003F31F6 00000000";
        let found = Audible {
            skip: 0x840,
            length: Some(0x3f_31f6),
        };
        assert_eq!(itunes(tag), Some(found));
        assert_eq!(itunes(b"iTunSMPB 00000000 zz"), None);
    }

    #[test]
    fn a_length_in_milliseconds_gives_way_to_the_exact_one_of_the_track() {
        let edit = Edit {
            length: 180,
            start: 1024,
        };
        let exact = edit.audible(1000, 44_100, 8943);
        assert_eq!((exact.skip, exact.length), (1024, Some(7919)));
        let cut_short = edit.audible(1000, 44_100, 20_000);
        assert_eq!(cut_short.length, Some(7938));
        let to_the_end = Edit { length: 0, start: 1024 }.audible(1000, 44_100, 0);
        assert_eq!(to_the_end.length, None);
    }

    #[test]
    fn several_pieces_are_left_alone() {
        let piece = [0, 0, 0, 9, 0, 0, 0, 1, 0, 1, 0, 0];
        let one = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &piece].concat();
        let two = [&[0, 0, 0, 0, 0, 0, 0, 2][..], &piece, &piece].concat();
        assert_eq!(Edit::read(&one), Some(Edit { length: 9, start: 1 }));
        assert_eq!(Edit::read(&two), None);
    }
}
