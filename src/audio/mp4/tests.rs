//! The demuxer by itself: what it says of files that are encrypted, and that damage of any kind costs neither a panic
//! nor memory nor time.

use std::io::Cursor;

use super::entry::Refusal;
use super::*;
use crate::keys::Scheme;

macro_rules! media {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/media/", $name)).as_slice()
    };
}

/// Files of every shape.
const FILES: [&[u8]; 8] = [
    media!("album-1.m4a"),
    media!("alac.m4a"),
    media!("flac.mp4"),
    media!("moov-last.m4a"),
    media!("fragments.mp4"),
    media!("dash-opus.mp4"),
    media!("clear-lead-flac.mp4"),
    media!("cbcs-aac.mp4"),
];
/// Damaged files tried, of each shape.
const RUNS: u64 = 2500;
/// Packets of a damaged file: it may repeat some of its own, but it cannot go on for long.
const PACKETS_MAX: u32 = 1 << 20;
/// Memory for reading a file beyond a few times its own size: one packet of the largest size, and the buffer of the stream.
const ROOM_BYTES: usize = (1 << 20) + (1 << 17);

fn open(bytes: &[u8]) -> Result<Unlocked, Mp4Error> {
    let demuxer = Demuxer::open(Box::new(Cursor::new(bytes.to_vec())))?;
    Ok(Unlocked::new(demuxer, None))
}

/// A box of these fields.
pub fn boxed(kind: [u8; 4], fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes()[..], &kind, &body].concat()
}

/// Reads to the end; says how many packets there were, and why there are no more.
fn drain(demuxer: &mut Unlocked) -> (u32, Result<(), Mp4Error>) {
    let mut packets = 0;
    loop {
        match demuxer.next() {
            Ok(Some(_)) => assert!(!demuxer.data().is_empty()),
            Ok(None) => return (packets, Ok(())),
            Err(error) => return (packets, Err(error)),
        }
        packets += 1;
        assert!(packets < PACKETS_MAX, "it goes on and on");
    }
}

/// Numbers that look like chance and are the same in every run.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// Damages a few places, most of them in the boxes that say where the rest is.
fn damage(bytes: &mut Vec<u8>, boxes: &[usize], chance: &mut Chance) {
    for _ in 0..=chance.below(4) {
        let start = boxes[chance.below(boxes.len())];
        let at = (start + chance.below(700)).min(bytes.len() - 4);
        match chance.below(5) {
            0 => bytes[at] = 0xff,
            1 => bytes[at] ^= 1 << chance.below(8),
            2 => bytes[at..at + 4].fill(0xff),
            3 => bytes[at..at + 4].fill(0),
            _ => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
        }
    }
    if chance.below(4) == 0 {
        bytes.truncate(chance.below(bytes.len()).max(8));
    }
}

#[test]
fn an_encrypted_sample_is_told_by_scheme_and_key() {
    let key = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]
        .repeat(2)
        .try_into()
        .unwrap();
    for (file, clear, scheme) in [
        (media!("clear-lead-aac.mp4"), 27, Scheme::Cenc),
        (media!("clear-lead-flac.mp4"), 8, Scheme::Cenc),
        (media!("cbcs-aac.mp4"), 0, Scheme::Cbcs),
    ] {
        let (packets, end) = drain(&mut open(file).unwrap());
        assert_eq!(packets, clear);
        assert!(matches!(end, Err(Mp4Error::Refused(told)) if told == Refusal::Encrypted { scheme, key }));
    }
}

#[test]
fn times_of_packets_adjoin() {
    for file in FILES {
        let mut demuxer = open(file).unwrap();
        let mut after = 0;
        while let Ok(Some(sample)) = demuxer.next() {
            assert_eq!(sample.at, after);
            after += u64::from(sample.duration);
        }
    }
}

#[test]
fn a_search_ends_at_the_packet_that_sounds_then() {
    let mut demuxer = open(media!("shaka-aac.mp4")).unwrap();
    for tick in (0..62_025).step_by(611) {
        assert!(demuxer.seek(tick).unwrap());
        let sample = demuxer.next().unwrap().unwrap();
        assert!((sample.at..sample.at + u64::from(sample.duration)).contains(&tick));
    }
    assert!(!demuxer.seek(62_025).unwrap());
}

#[test]
fn no_damage_costs_a_panic_or_memory_or_time() {
    for (number, file) in (1..).zip(FILES) {
        let boxes: Vec<_> = (0..file.len() - 4)
            .filter(|at| matches!(&file[*at..at + 4], b"ftyp" | b"moov" | b"stbl" | b"moof"))
            .collect();
        for run in 0..RUNS {
            let mut chance = Chance(number * 1_000_003 + run * 7919 + 1);
            let mut bytes = file.to_vec();
            damage(&mut bytes, &boxes, &mut chance);
            let size = bytes.len();
            let stream = Box::new(Cursor::new(bytes));
            let used = allocation_counter::measure(|| {
                if let Ok(demuxer) = Demuxer::open(stream) {
                    let mut demuxer = Unlocked::new(demuxer, None);
                    let _ = drain(&mut demuxer);
                    let _ = demuxer.seek(chance.0 % 100_000);
                    let _ = drain(&mut demuxer);
                }
            });
            let most = usize::try_from(used.bytes_max).unwrap();
            assert!(most < ROOM_BYTES + 8 * size, "file {number}, run {run}: {most} bytes");
        }
    }
}
