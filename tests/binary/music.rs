//! Music that a test makes itself, so that it knows every sample: noise, written as WAV or as FLAC without compression.
//! Shares nothing with the program's decoders.

use std::fs;
use std::path::Path;

/// Sample rate of everything made here.
pub const RATE: usize = 44_100;
/// Frames of a FLAC block.
const BLOCK_FRAMES: usize = 4096;

/// `frames` of stereo noise, left and right in turn; another `seed` is other noise. No two frames of it are alike by
/// chance for long, so a gap, a repeat or a shift of a single frame shows.
pub fn noise(seed: u32, frames: usize) -> Vec<i16> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let sample = |()| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let bytes = state.to_le_bytes();
        i16::from_le_bytes([bytes[2], bytes[3]])
    };
    std::iter::repeat_n((), 2 * frames).map(sample).collect()
}

/// Writes a WAV file of 16 bits.
pub fn write_wav(path: &Path, samples: &[i16]) {
    let wide: Vec<i32> = samples.iter().map(|sample| i32::from(*sample) << 16).collect();
    write_wav_of(path, u32::try_from(RATE).unwrap(), 16, &wide);
}

/// Writes a WAV file of 16 or 24 bits at any rate, from samples whose upper bits those are.
pub fn write_wav_of(path: &Path, rate: u32, bits: u16, samples: &[i32]) {
    let frame_bytes = bits / 8 * 2;
    let data_bytes = u32::try_from(samples.len() / 2).unwrap() * u32::from(frame_bytes);
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + data_bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(2_u16.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((u32::from(frame_bytes) * rate).to_le_bytes());
    file.extend(frame_bytes.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(data_bytes.to_le_bytes());
    let unused = 4 - usize::from(bits / 8);
    file.extend(
        samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes().into_iter().skip(unused)),
    );
    fs::write(path, file).unwrap();
}

/// The samples of a WAV file of 16 bits and two channels.
pub fn read_wav(path: &Path) -> Vec<i16> {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..4], b"RIFF");
    assert_eq!(bytes[22..24], [2, 0], "two channels");
    assert_eq!(bytes[34..36], [16, 0], "bits of a sample");
    assert_eq!(&bytes[36..40], b"data");
    let said = u32::from_le_bytes(bytes[40..44].try_into().unwrap());
    assert_eq!(
        usize::try_from(said).unwrap(),
        bytes.len() - 44,
        "the header tells the length"
    );
    samples(&bytes[44..])
}

/// Little-endian samples of 16 bits.
pub fn samples(bytes: &[u8]) -> Vec<i16> {
    let sample = |pair: &[u8]| i16::from_le_bytes([pair[0], pair[1]]);
    bytes.chunks_exact(2).map(sample).collect()
}

/// Writes a FLAC file of 16 bits, every block verbatim.
pub fn write_flac(path: &Path, samples: &[i16]) {
    let frames = u64::try_from(samples.len() / 2).unwrap();
    let block = u16::try_from(BLOCK_FRAMES).unwrap();
    let mut file = b"fLaC".to_vec();
    // STREAMINFO, the last metadata block, 34 bytes.
    file.extend([0x80, 0, 0, 34]);
    file.extend(block.to_be_bytes());
    file.extend(block.to_be_bytes());
    // Smallest and largest frame: not known.
    file.extend([0; 6]);
    let (rate, channels, bits) = (u64::try_from(RATE).unwrap(), 2_u64, 16_u64);
    file.extend((rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | frames).to_be_bytes());
    // MD5 of the samples: not known.
    file.extend([0; 16]);
    for (number, block) in (0_u32..).zip(samples.chunks(2 * BLOCK_FRAMES)) {
        file.extend(flac_frame(number, block));
    }
    fs::write(path, file).unwrap();
}

fn flac_frame(number: u32, samples: &[i16]) -> Vec<u8> {
    // Sync; length of the block in 16 bits, 44.1 kHz; left and right, 16 bits.
    let mut frame = vec![0xff, 0xf8, 0x79, 0x18];
    // A frame's number is written as UTF-8 writes a letter's.
    let mut letter = [0; 4];
    frame.extend(char::from_u32(number).unwrap().encode_utf8(&mut letter).bytes());
    frame.extend(u16::try_from(samples.len() / 2 - 1).unwrap().to_be_bytes());
    let crc = crc(&frame, 0x07 << 8);
    frame.push(crc.to_be_bytes()[0]);
    for channel in 0..2 {
        // A subframe: verbatim.
        frame.push(0x02);
        let own = samples.iter().skip(channel).step_by(2);
        frame.extend(own.flat_map(|sample| sample.to_be_bytes()));
    }
    let crc = crc_wide(&frame);
    frame.extend(crc.to_be_bytes());
    frame
}

/// One byte into a checksum with the polynomial `of`, the highest bit first.
const fn crc_step(mut state: u16, of: u16) -> u16 {
    let mut bit = 0;
    while bit < 8 {
        state = if state & 0x8000 == 0 {
            state << 1
        } else {
            state << 1 ^ of
        };
        bit += 1;
    }
    state
}

/// Few bytes: one bit after the other. A checksum of 8 bits stands in the upper half.
fn crc(bytes: &[u8], of: u16) -> u16 {
    let step = |state: u16, byte: &u8| crc_step(state ^ u16::from(*byte) << 8, of);
    bytes.iter().fold(0, step)
}

/// The checksum of a frame; frames are long, so by a table.
fn crc_wide(bytes: &[u8]) -> u16 {
    const TABLE: [u16; 256] = {
        let mut table = [0; 256];
        let mut byte = 0_u16;
        while byte < 256 {
            table[byte as usize] = crc_step(byte << 8, 0x8005);
            byte += 1;
        }
        table
    };
    let step = |state: u16, byte: &u8| state << 8 ^ TABLE[usize::from(state.to_be_bytes()[0] ^ byte)];
    bytes.iter().fold(0, step)
}

/// Ruins a FLAC file that is served already: its head stays good, so it is offered, and nothing of it can be played.
pub fn ruin_flac(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    // Zeros hold no sync code, so there is nothing that a decoder could find its way back to.
    bytes[42..].fill(0);
    fs::write(path, bytes).unwrap();
}

/// Where two sequences part, for a message a person can read; `None`: they are the same.
pub fn first_difference(left: &[i16], right: &[i16]) -> Option<String> {
    let shorter = left.len().min(right.len());
    if let Some(at) = (0..shorter).find(|at| left[*at] != right[*at]) {
        let shown = |samples: &[i16]| format!("{:?}", &samples[at..samples.len().min(at + 6)]);
        let (left, right) = (shown(left), shown(right));
        return Some(format!("frame {}: {left} is not {right}", at / 2));
    }
    (left.len() != right.len()).then(|| format!("{} frames are not {}", left.len() / 2, right.len() / 2))
}
