//! Where the music lies within an MP4 file's decoded frames. Encoders of AAC put silence before and after it; the
//! demuxer drops what the file says about that (edit list, iTunes tag), so it is read here. Nothing else is.

use std::io::{self, Read, Seek, SeekFrom};

/// Boxes looked at before giving up: a `moov` has a few dozen.
const BOXES_MAX: usize = 4096;
/// Largest iTunes tag read: the text has 136 characters.
const TAG_BYTES_MAX: u64 = 512;

/// The part of an entry's decoded frames that is to be heard, in ticks of the track's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audible {
    /// Ticks a second; for audio nearly always the sample rate.
    pub timescale: u32,
    /// Ticks before the music.
    pub skip: u64,
    /// Ticks of music, if the file says so.
    pub length: Option<u64>,
}

/// What an MP4 file tells about itself before it is demuxed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The part that is to be heard, if the file says so.
    pub audible: Option<Audible>,
    /// The index comes before the media: the file can be played from front to back.
    pub is_index_first: bool,
}

/// Reads the boxes of `stream`, which is left anywhere.
///
/// # Errors
/// The stream cannot be read.
pub fn layout<S: Read + Seek + ?Sized>(stream: &mut S) -> io::Result<Layout> {
    let mut is_index_first = true;
    let mut scan = Scan::default();
    let mut budget = BOXES_MAX;
    let mut at = 0;
    while let Some(found) = next_box(stream, at, u64::MAX, &mut budget)? {
        if found.kind == *b"moov" {
            walk(stream, found.body, found.end, &mut scan, &mut budget)?;
            return Ok(Layout {
                audible: scan.conclude(),
                is_index_first,
            });
        }
        is_index_first &= !matches!(&found.kind, b"mdat" | b"moof");
        if found.end == u64::MAX {
            break;
        }
        at = found.end;
    }
    Ok(Layout {
        audible: None,
        is_index_first: false,
    })
}

#[derive(Debug, Default)]
struct Scan {
    movie_timescale: u32,
    /// Of the first track that has sound; files of a music service have one.
    track: Option<Trak>,
    open: Trak,
    itunes: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Trak {
    timescale: u32,
    duration: u64,
    edit: Option<(u64, u64)>,
    is_sound: bool,
}

impl Scan {
    fn conclude(&self) -> Option<Audible> {
        let track = self.track?;
        let timescale = track.timescale;
        if timescale == 0 {
            return None;
        }
        if let Some((skip, length)) = self.itunes {
            return Some(Audible {
                timescale,
                skip,
                length: Some(length),
            });
        }
        let (segment, skip) = track.edit?;
        Some(Audible {
            timescale,
            skip,
            length: self.length(&track, segment, skip),
        })
    }

    /// The edit's length is told in the movie's clock, often of milliseconds only. Where the track's own length agrees
    /// with it to that precision, it is the exact one.
    fn length(&self, track: &Trak, segment: u64, skip: u64) -> Option<u64> {
        let rest = track.duration.checked_sub(skip).filter(|rest| *rest > 0);
        if segment == 0 || self.movie_timescale == 0 {
            return rest;
        }
        let scale = |ticks: u64| u128::from(ticks) * u128::from(track.timescale) / u128::from(self.movie_timescale);
        let segment_ticks = u64::try_from(scale(segment)).ok()?;
        let tick = u64::try_from(scale(1)).ok()?.saturating_add(1);
        match rest {
            Some(rest) if rest.abs_diff(segment_ticks) <= tick => Some(rest),
            Some(_) | None => Some(segment_ticks),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Found {
    kind: [u8; 4],
    body: u64,
    end: u64,
}

fn next_box<S: Read + Seek + ?Sized>(
    stream: &mut S,
    at: u64,
    end: u64,
    budget: &mut usize,
) -> io::Result<Option<Found>> {
    let Some(left) = budget.checked_sub(1) else {
        return Ok(None);
    };
    *budget = left;
    if end.saturating_sub(at) < 8 {
        return Ok(None);
    }
    stream.seek(SeekFrom::Start(at))?;
    let Some([s0, s1, s2, s3, k0, k1, k2, k3]) = read_array::<8, S>(stream)? else {
        return Ok(None);
    };
    let (size, header) = match u32::from_be_bytes([s0, s1, s2, s3]) {
        0 => (end.saturating_sub(at), 8),
        1 => match read_array::<8, S>(stream)? {
            Some(large) => (u64::from_be_bytes(large), 16),
            None => return Ok(None),
        },
        size => (u64::from(size), 8),
    };
    let (Some(body), Some(box_end)) = (at.checked_add(header), at.checked_add(size)) else {
        return Ok(None);
    };
    if box_end < body {
        return Ok(None);
    }
    Ok(Some(Found {
        kind: [k0, k1, k2, k3],
        body,
        end: box_end.min(end),
    }))
}

fn walk<S: Read + Seek + ?Sized>(
    stream: &mut S,
    mut at: u64,
    end: u64,
    scan: &mut Scan,
    budget: &mut usize,
) -> io::Result<()> {
    while let Some(found) = next_box(stream, at, end, budget)? {
        visit(stream, found, scan, budget)?;
        at = found.end;
    }
    Ok(())
}

fn visit<S: Read + Seek + ?Sized>(stream: &mut S, found: Found, scan: &mut Scan, budget: &mut usize) -> io::Result<()> {
    match &found.kind {
        b"mdia" | b"edts" | b"udta" | b"ilst" => walk(stream, found.body, found.end, scan, budget)?,
        b"meta" => walk(stream, found.body.saturating_add(4), found.end, scan, budget)?,
        b"trak" => {
            scan.open = Trak::default();
            walk(stream, found.body, found.end, scan, budget)?;
            if scan.track.is_none() && scan.open.is_sound {
                scan.track = Some(scan.open);
            }
        }
        b"mvhd" => scan.movie_timescale = read_clock(stream, found.body)?.map_or(0, |(timescale, _)| timescale),
        b"mdhd" => {
            if let Some((timescale, duration)) = read_clock(stream, found.body)? {
                scan.open.timescale = timescale;
                scan.open.duration = duration;
            }
        }
        b"hdlr" => {
            stream.seek(SeekFrom::Start(found.body.saturating_add(8)))?;
            if let Some(kind) = read_array::<4, S>(stream)? {
                // A `meta` box has a handler as well, of another kind; it must not take the sound away.
                scan.open.is_sound |= kind == *b"soun";
            }
        }
        b"elst" => scan.open.edit = read_edit(stream, found.body)?,
        b"----" => {
            let length = found.end.saturating_sub(found.body).min(TAG_BYTES_MAX);
            let mut tag = Vec::new();
            stream.seek(SeekFrom::Start(found.body))?;
            stream.take(length).read_to_end(&mut tag)?;
            scan.itunes = scan.itunes.or_else(|| itunes_gaps(&String::from_utf8_lossy(&tag)));
        }
        _ => {}
    }
    Ok(())
}

/// Timescale and duration of an `mvhd` or `mdhd`.
fn read_clock<S: Read + Seek + ?Sized>(stream: &mut S, body: u64) -> io::Result<Option<(u32, u64)>> {
    stream.seek(SeekFrom::Start(body))?;
    let Some([version, ..]) = read_array::<4, S>(stream)? else {
        return Ok(None);
    };
    if version == 1 {
        stream.seek(SeekFrom::Current(16))?;
        let (Some(timescale), Some(duration)) = (read_array(stream)?, read_array(stream)?) else {
            return Ok(None);
        };
        return Ok(Some((u32::from_be_bytes(timescale), u64::from_be_bytes(duration))));
    }
    stream.seek(SeekFrom::Current(8))?;
    let (Some(timescale), Some(duration)) = (read_array(stream)?, read_array(stream)?) else {
        return Ok(None);
    };
    Ok(Some((
        u32::from_be_bytes(timescale),
        u64::from(u32::from_be_bytes(duration)),
    )))
}

/// Length (movie clock) and start (track clock) of the only edit. Empty edits before it only delay the start; several
/// pieces are a cut-up film, not a track of music, and are left alone.
fn read_edit<S: Read + Seek + ?Sized>(stream: &mut S, body: u64) -> io::Result<Option<(u64, u64)>> {
    stream.seek(SeekFrom::Start(body))?;
    let (Some([version, ..]), Some(count)) = (read_array::<4, S>(stream)?, read_array(stream)?) else {
        return Ok(None);
    };
    let mut edit = None;
    for _ in 0..u32::from_be_bytes(count).min(8) {
        let (segment, start) = if version == 1 {
            let (Some(segment), Some(start)) = (read_array(stream)?, read_array(stream)?) else {
                return Ok(None);
            };
            (u64::from_be_bytes(segment), i64::from_be_bytes(start))
        } else {
            let (Some(segment), Some(start)) = (read_array(stream)?, read_array(stream)?) else {
                return Ok(None);
            };
            (
                u64::from(u32::from_be_bytes(segment)),
                i64::from(i32::from_be_bytes(start)),
            )
        };
        stream.seek(SeekFrom::Current(4))?;
        let Ok(start) = u64::try_from(start) else { continue };
        if edit.replace((segment, start)).is_some() {
            return Ok(None);
        }
    }
    Ok(edit)
}

/// Skip and length from the text of an `iTunSMPB` tag: " 00000000 00000840 000001CA 00000000003F31F6 ...".
fn itunes_gaps(tag: &str) -> Option<(u64, u64)> {
    let (_, text) = tag.split_once("iTunSMPB")?;
    let start = text.find(" 00000000 ")?;
    let mut words = text.get(start..)?.split_ascii_whitespace().skip(1);
    let skip = u64::from_str_radix(words.next()?, 16).ok()?;
    let _padding = words.next()?;
    let length = u64::from_str_radix(words.next()?.get(..16)?, 16).ok()?;
    (length > 0).then_some((skip, length))
}

/// `None` at the end of the stream.
fn read_array<const N: usize, S: Read + ?Sized>(stream: &mut S) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match stream.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn read(bytes: &[u8]) -> Layout {
        layout(&mut Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn a_millisecond_edit_list_gives_the_exact_length() {
        let found = read(include_bytes!("../../tests/media/album-1.m4a"));
        let audible = Some(Audible {
            timescale: 44_100,
            skip: 1024,
            length: Some(7919),
        });
        assert_eq!(
            found,
            Layout {
                audible,
                is_index_first: true
            }
        );
    }

    #[test]
    fn the_movie_box_is_found_behind_the_media() {
        let found = read(include_bytes!("../../tests/media/moov-last.m4a"));
        let audible = Some(Audible {
            timescale: 44_100,
            skip: 1024,
            length: Some(7094),
        });
        assert_eq!(
            found,
            Layout {
                audible,
                is_index_first: false
            }
        );
    }

    #[test]
    fn a_file_without_an_edit_list_says_nothing() {
        assert_eq!(read(include_bytes!("../../tests/media/fragments.mp4")).audible, None);
        assert_eq!(read(include_bytes!("../../tests/media/album-1.flac")).audible, None);
    }

    #[test]
    fn an_itunes_tag_is_understood() {
        let tag = "\0\0\0\u{18}meanxxxxcom.apple.iTunesxxxxnamexxxxiTunSMPBxxxxdataxxxx 00000000 00000840 000001CA 00000000003F31F6 00000000";
        assert_eq!(itunes_gaps(tag), Some((0x840, 0x3f_31f6)));
        assert_eq!(itunes_gaps("iTunSMPB 00000000 zz"), None);
    }

    #[test]
    fn a_file_cut_or_damaged_anywhere_is_survived() {
        let whole = include_bytes!("../../tests/media/album-1.m4a");
        for cut in 0..whole.len().min(2000) {
            let _ = read(&whole[..cut]);
            let mut damaged = whole.to_vec();
            damaged[cut] ^= 0xff;
            let _ = read(&damaged);
        }
    }
}
