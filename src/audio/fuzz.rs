//! Entries that went wrong in every way, through the whole of `Track`: boxes of MP4, what they tell of encryption, packets
//! under the decoders. Whatever they hold, decoding ends, nothing of this program panics, and memory stays bounded.
//! `make fuzz FUZZ_TARGET=mp4` (or `cenc`, `decoders`) goes on for as long as it is told.

use std::cell::Cell;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use tonearm_core::unit::Millis;

use super::stream::Stream;
use super::test_keys::{Licence, RawKeys};
use super::track::{Step, Track};

#[path = "../../tests/sim/rng.rs"]
#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "shared with the simulation; each uses a part"
)]
mod rng;

use rng::Rng;

macro_rules! media {
    ($($name:literal),*) => {
        [$(include_bytes!(concat!("../../tests/media/", $name)).as_slice()),*]
    };
}

/// Steps of one entry: it may repeat some of its packets, but it cannot go on for long.
const STEPS_MAX: u32 = 1 << 20;
/// Memory for an entry, in excess of eight times its size: a packet of the largest size, frames of the largest block, packets
/// held until a key is confirmed, and the decoders' own.
const ROOM_BYTES: u64 = 8 << 20;

/// What went wrong with what.
struct Target {
    files: Vec<&'static [u8]>,
    /// Boxes that are worth damaging.
    kinds: &'static [&'static [u8; 4]],
    /// Damage goes anywhere but there.
    spares_head: bool,
}

fn mp4() -> Target {
    Target {
        files: media!(
            "album-1.m4a",
            "alac.m4a",
            "flac.mp4",
            "moov-last.m4a",
            "fragments.mp4",
            "dash-opus.mp4",
            "hybrid.mp4"
        )
        .to_vec(),
        kinds: &[
            b"ftyp", b"moov", b"mvhd", b"mdhd", b"elst", b"stsd", b"esds", b"stts", b"stsc", b"stsz", b"stco", b"mvex",
            b"trex", b"moof", b"tfhd", b"tfdt", b"trun", b"mdat",
        ],
        spares_head: false,
    }
}

fn cenc() -> Target {
    Target {
        files: media!(
            "clear-lead-flac.mp4",
            "cbcs-flac.mp4",
            "cbcs-aac.mp4",
            "clear-lead-opus.mp4",
            "cenc-progressive.mp4"
        )
        .to_vec(),
        kinds: &[
            b"enca", b"sinf", b"schm", b"tenc", b"senc", b"saiz", b"saio", b"sgpd", b"sbgp", b"pssh", b"tfhd", b"trun",
            b"moof", b"stsc",
        ],
        spares_head: false,
    }
}

fn decoders() -> Target {
    Target {
        files: media!(
            "flac.mp4",
            "album-2.m4a",
            "alac.m4a",
            "opus.mp4",
            "album-2.mp3",
            "album-2.ogg",
            "long.opus",
            "album-2.flac"
        )
        .to_vec(),
        kinds: &[],
        spares_head: true,
    }
}

fn places(file: &[u8], kinds: &[&[u8; 4]]) -> Vec<usize> {
    let is_kind = |at: &usize| kinds.iter().any(|kind| file[*at..].starts_with(*kind));
    (4..file.len() - 4).filter(is_kind).collect()
}

/// Damages a file in a few places.
fn damaged(target: &Target, file: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let places = places(file, target.kinds);
    for _ in 0..=rng.index(4) {
        let at = if target.spares_head {
            // Most packets, few headers.
            file.len() / 5 + rng.index(file.len() - file.len() / 5)
        } else {
            places[rng.index(places.len())].saturating_sub(4) + rng.index(40)
        };
        let at = at.min(bytes.len() - 4);
        match rng.index(8) {
            0 => bytes[at] = 0xff,
            1 | 2 => bytes[at] ^= 1 << rng.index(8),
            3 => bytes[at..at + 4].fill(0xff),
            4 => bytes[at..at + 4].fill(0),
            5 => bytes[at] = bytes[at].wrapping_add(1),
            6 if !target.kinds.is_empty() => {
                // A box under another name, with fields that were not meant.
                let place = places[rng.index(places.len())];
                bytes[place..place + 4].copy_from_slice(target.kinds[rng.index(target.kinds.len())]);
            }
            _ => bytes[at] = u8::try_from(rng.index(256)).unwrap(),
        }
    }
    if rng.index(8) == 0 {
        bytes.truncate(rng.index(bytes.len()).max(8));
    }
    if bytes.starts_with(b"OggS") {
        sign_pages(&mut bytes);
    }
    bytes
}

/// Gives pages of Ogg the checksum of what is in them, so that damage gets as far as the decoder.
fn sign_pages(bytes: &mut [u8]) {
    let mut at = 0;
    while bytes
        .get(at..)
        .is_some_and(|rest| rest.starts_with(b"OggS") && rest.len() > 27)
    {
        let segments = usize::from(bytes[at + 26]);
        let Some(lengths) = bytes.get(at + 27..at + 27 + segments) else {
            return;
        };
        let length = 27 + segments + lengths.iter().map(|length| usize::from(*length)).sum::<usize>();
        let Some(page) = bytes.get_mut(at..at + length) else {
            return;
        };
        page[22..26].fill(0);
        let crc = page.iter().fold(0, |crc: u32, byte| {
            (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
                crc << 1 ^ if crc & 0x8000_0000 == 0 { 0 } else { 0x04c1_1db7 }
            })
        });
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        at += length;
    }
}

thread_local! {
    /// The panic seen last came from this program's own code.
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// Notes whose code panicked, and is silent about what the decoding thread survives.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let is_ours = info
                .location()
                .is_none_or(|location| location.file().starts_with("src/"));
            IS_OURS.set(is_ours);
            if is_ours {
                before(info);
            }
        }));
    });
}

/// What became of the entries.
#[derive(Debug, Default)]
struct Tally {
    entries: u64,
    refused: u64,
    finished: u64,
    broken: u64,
    locked: u64,
    /// Panics of foreign code, which end the entry.
    panics: u64,
    frames: u64,
    bytes_max: u64,
}

/// Decodes an entry from `from` on to its end.
fn decode(bytes: Vec<u8>, from: Millis, tally: &mut Tally) {
    let keys = Box::new(RawKeys(Arc::<Licence>::default()));
    let stream = Stream::File(Box::new(Cursor::new(bytes)));
    let Ok(mut track) = Track::open(stream, None, Some(keys), from) else {
        tally.refused += 1;
        return;
    };
    for _ in 0..STEPS_MAX {
        match track.step() {
            Step::Frames => tally.frames += track.frames().len() as u64 / 2,
            Step::Finished => return tally.finished += 1,
            Step::Broken => return tally.broken += 1,
            // A damaged entry may name a key that nobody has; the decoder waits for it, and only so long.
            Step::Locked | Step::Awaiting => return tally.locked += 1,
        }
    }
    panic!("it goes on and on");
}

fn run(target: &Target, seed: u64, mut is_enough: impl FnMut(u64) -> bool) -> Tally {
    watch_panics();
    let mut rng = Rng::new(seed);
    let mut tally = Tally::default();
    while !is_enough(tally.entries) {
        tally.entries += 1;
        let file = target.files[rng.index(target.files.len())];
        let bytes = damaged(target, file, &mut rng);
        let size = bytes.len() as u64;
        let from = Millis(if rng.index(3) == 0 {
            u32::try_from(rng.index(1500)).unwrap()
        } else {
            0
        });
        let used = allocation_counter::measure(|| {
            if catch_unwind(AssertUnwindSafe(|| decode(bytes, from, &mut tally))).is_err() {
                assert!(
                    !IS_OURS.get(),
                    "seed {seed}, entry {}: a panic of this program",
                    tally.entries
                );
                tally.panics += 1;
            }
        });
        tally.bytes_max = tally.bytes_max.max(used.bytes_max);
        assert!(
            used.bytes_max < ROOM_BYTES + 8 * size,
            "seed {seed}, entry {}: {} bytes",
            tally.entries,
            used.bytes_max
        );
    }
    tally
}

fn shortly(target: &Target) {
    let fresh = getrandom::u64().unwrap();
    for seed in [1, fresh] {
        let tally = run(target, seed, |count| count >= 300);
        assert!(
            tally.refused + tally.broken + tally.locked > 0 && tally.frames > 0,
            "{tally:?}"
        );
    }
}

fn at_length(target: &Target) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("FUZZ_SEED").unwrap_or_else(|| getrandom::u64().unwrap());
    let seconds = number("FUZZ_SECONDS").unwrap_or(600);
    println!("seed {seed}, {seconds} s");
    let until = Instant::now() + Duration::from_secs(seconds);
    println!("{:?}", run(target, seed, |_| Instant::now() >= until));
}

/// Defines both forms of a target.
macro_rules! target {
    ($name:ident) => {
        mod $name {
            #[test]
            fn no_damage_costs_a_panic_memory_or_an_end() {
                super::shortly(&super::$name());
            }

            #[test]
            #[ignore = "goes on for FUZZ_SECONDS: make fuzz"]
            fn damage_for_as_long_as_asked() {
                super::at_length(&super::$name());
            }
        }
    };
}

target!(mp4);
target!(cenc);
target!(decoders);
