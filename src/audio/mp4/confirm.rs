//! Whether a key is the right one, told from what it made of the packets: a wrong one makes noise of them, and noise must
//! not be heard. Pure; it must not decrypt or decode.
//!
//! Each packet is a wager against the claim that the key is wrong, so that its bytes are chance. A packet that has a mark
//! which chance gives it with a probability of at most p multiplies the stake by 1/(2p), one without it halves the stake:
//! by chance the stake does not grow on the average (p/(2p) + (1-p)/2 <= 1), so it ever reaches 2^30 with a probability of
//! at most 2^-30 < 1e-9 (Ville's inequality), however long the packets go on. The marks:
//!
//! | codec | mark | p | packets for 2^30 |
//! |---|---|---|---|
//! | FLAC | frame header's 15 bits, checksum of the frame (16 bits) | 2^-31 | 1 |
//! | FLAC, header in the clear | checksum of the frame | 2^-16 | 2 |
//! | Opus | first byte as that of the packet before, as long as announced | 2^-8 | 5, after one |
//! | AAC, ALAC | element and its number (7 bits) as in the packet before | 2^-7 | 5, after one |
//! | MP3 | frame header's 11 bits | 2^-11 | 3 |
//!
//! A packet counts only if its first encrypted bytes were made with a key stream, or of a block, that none before it had:
//! else a wrong key would make the same of the same again and again, and chance would look like order.

use super::Codec;

/// Binary logarithm of the stake at which the key is the right one.
const CONFIRMED_BITS: i32 = 30;
/// ... and at which it is not: ten packets without their mark more than the others outweigh.
const WRONG_BITS: i32 = -10;
/// Packets that may be looked at before the key is held to be wrong for lack of order.
const WITNESSES_MAX: usize = 64;
/// After which a key that was right is so no more (a new key under the old number): packets that cannot be count two, others
/// take one back. Eight in a row are a sixth of a second.
const STRIKES_MAX: u32 = 16;
/// Frames a second of Opus.
const OPUS_RATE: u64 = 48_000;

/// What is known of a packet beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Witness {
    /// Its first byte was encrypted.
    pub is_start_encrypted: bool,
    /// Bytes of it that were.
    pub encrypted: u64,
    /// What the first encrypted bytes were made of or with: of two packets with the same, one counts.
    pub source: [u8; 16],
    /// Ticks it lasts, and ticks a second.
    pub duration: (u32, u32),
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough.
    Open,
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
}

/// The trial of one key.
#[derive(Debug)]
pub struct Trial {
    codec: Codec,
    /// Binary logarithm of the stake.
    bits: i32,
    sources: Vec<[u8; 16]>,
    verdict: Verdict,
    strikes: u32,
}

impl Trial {
    /// Nothing is known yet of a key for packets of this codec.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            bits: 0,
            sources: Vec::new(),
            verdict: Verdict::Open,
            strikes: 0,
        }
    }

    /// Takes in what the key made of a packet; `before` is the packet before it.
    pub fn hear(&mut self, packet: &[u8], before: Option<u8>, witness: &Witness) -> Verdict {
        match self.verdict {
            Verdict::Open => self.weigh(packet, before, witness),
            Verdict::Right => self.watch(packet, before, witness),
            Verdict::Wrong => {}
        }
        self.verdict
    }

    fn weigh(&mut self, packet: &[u8], before: Option<u8>, witness: &Witness) {
        if self.sources.contains(&witness.source) {
            return;
        }
        let Some((is_marked, gain)) = mark(self.codec, packet, before, witness) else {
            return;
        };
        self.sources.push(witness.source);
        self.bits += if is_marked { gain } else { -1 };
        if self.bits >= CONFIRMED_BITS {
            self.verdict = Verdict::Right;
            self.sources = Vec::new();
        } else if self.bits <= WRONG_BITS || self.sources.len() >= WITNESSES_MAX {
            self.verdict = Verdict::Wrong;
        }
    }

    /// The checksum of a whole frame is left to the decoder: it costs more than it tells here.
    fn watch(&mut self, packet: &[u8], before: Option<u8>, witness: &Witness) {
        if !witness.is_start_encrypted {
            return;
        }
        let is_plausible = match self.codec {
            Codec::Flac => has_flac_sync(packet),
            Codec::Opus => is_as_long(packet, witness.duration),
            Codec::Aac | Codec::Alac | Codec::Mp3 => {
                mark(self.codec, packet, before, witness).is_none_or(|(is_marked, _)| is_marked)
            }
        };
        self.strikes = if is_plausible {
            self.strikes.saturating_sub(1)
        } else {
            self.strikes + 2
        };
        if self.strikes >= STRIKES_MAX {
            self.verdict = Verdict::Wrong;
        }
    }
}

/// The packet has its mark, and what that gains; `None`: nothing can be said.
fn mark(codec: Codec, packet: &[u8], before: Option<u8>, witness: &Witness) -> Option<(bool, i32)> {
    let first = packet.first().copied()?;
    let is_start = witness.is_start_encrypted;
    // Fewer say less than the table has it.
    let needed = if codec == Codec::Flac { 16 } else { 2 };
    if witness.encrypted < needed {
        return None;
    }
    match codec {
        Codec::Flac => {
            let is_whole = has_flac_sync(packet) && crc_16(packet) == 0;
            Some((is_whole, if is_start { 30 } else { 15 }))
        }
        Codec::Opus if is_start => Some((first == before? && is_as_long(packet, witness.duration), 7)),
        Codec::Aac | Codec::Alac if is_start => Some((first >> 1 == before? >> 1, 6)),
        Codec::Mp3 if is_start => Some((packet.starts_with(&[0xff]) && packet.get(1)? >> 5 == 7, 10)),
        Codec::Opus | Codec::Aac | Codec::Alac | Codec::Mp3 => None,
    }
}

fn has_flac_sync(packet: &[u8]) -> bool {
    matches!(packet, [0xff, 0xf8 | 0xf9, ..])
}

/// Checksum of a FLAC frame, whose last two bytes make it 0.
fn crc_16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 }
        })
    })
}

/// The packet lasts as long as announced; the last one of the music may be announced as shorter.
fn is_as_long(packet: &[u8], (duration, timescale): (u32, u32)) -> bool {
    let frames = opus_frames(packet).unwrap_or(0);
    // Times are rounded to a tick.
    frames * u64::from(timescale) >= u64::from(duration.saturating_sub(1)) * OPUS_RATE
}

/// Frames of an Opus packet, by its first one or two bytes (RFC 6716, section 3.1).
fn opus_frames(packet: &[u8]) -> Option<u64> {
    let toc = *packet.first()?;
    let frames = match toc >> 3 {
        config @ 0..12 => [480, 960, 1920, 2880].get(usize::from(config & 3)).copied(),
        config @ 12..16 => [480, 960].get(usize::from(config & 1)).copied(),
        config => [120, 240, 480, 960].get(usize::from(config & 3)).copied(),
    }?;
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1)? & 63),
    };
    Some(frames * count).filter(|frames| *frames <= 5760)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Chance;
    use super::*;

    fn witness(number: u64) -> Witness {
        let mut source = [0; 16];
        source[..8].copy_from_slice(&number.to_be_bytes());
        Witness {
            is_start_encrypted: true,
            encrypted: 40,
            source,
            duration: (960, 48_000),
        }
    }

    fn packet(chance: &mut Chance) -> Vec<u8> {
        (0..40).map(|_| u8::try_from(chance.below(256)).unwrap()).collect()
    }

    #[test]
    fn chance_is_never_taken_for_order_and_found_out_soon() {
        let codecs = [Codec::Flac, Codec::Opus, Codec::Aac, Codec::Alac, Codec::Mp3];
        for (run, codec) in (1..=2000).flat_map(|run| codecs.map(|codec| (run, codec))) {
            let mut chance = Chance(run * 7919);
            let mut trial = Trial::new(codec);
            let mut before = None;
            let mut packets = 0;
            let verdict = loop {
                let packet = packet(&mut chance);
                let verdict = trial.hear(&packet, before, &witness(packets));
                before = packet.first().copied();
                packets += 1;
                if verdict != Verdict::Open {
                    break verdict;
                }
            };
            assert_eq!(verdict, Verdict::Wrong, "{codec:?}, {packets} packets");
            assert!(packets <= WITNESSES_MAX as u64 + 1);
        }
    }

    /// Packets it takes.
    fn confirmed(codec: Codec, packet: &[u8]) -> Option<u64> {
        let mut trial = Trial::new(codec);
        let mut before = None;
        (1..20).find(|number| {
            let verdict = trial.hear(packet, before, &witness(*number));
            before = packet.first().copied();
            verdict == Verdict::Right
        })
    }

    #[test]
    fn as_many_packets_as_said_confirm_a_key() {
        assert_eq!(confirmed(Codec::Opus, &[0xfc, 1, 2]), Some(6));
        assert_eq!(confirmed(Codec::Aac, &[0x21, 1, 2]), Some(6));
        assert_eq!(confirmed(Codec::Alac, &[0x20, 1, 2]), Some(6));
        assert_eq!(confirmed(Codec::Mp3, &[0xff, 0xfb, 2]), Some(3));
        let mut frame = b"\xff\xf8 123456789".to_vec();
        frame.extend(crc_16(&frame).to_be_bytes());
        assert_eq!(confirmed(Codec::Flac, &frame), Some(1));
        frame[5] ^= 1;
        assert_eq!(confirmed(Codec::Flac, &frame), None);
    }

    #[test]
    fn the_same_noise_again_and_again_is_no_order() {
        let mut trial = Trial::new(Codec::Opus);
        for _ in 0..1000 {
            assert_eq!(trial.hear(&[0xfc, 7], Some(0xfc), &witness(1)), Verdict::Open);
        }
    }

    #[test]
    fn bytes_in_the_clear_say_nothing() {
        let clear = Witness {
            is_start_encrypted: false,
            ..witness(1)
        };
        for codec in [Codec::Opus, Codec::Aac, Codec::Alac, Codec::Mp3] {
            let mut trial = Trial::new(codec);
            assert_eq!(trial.hear(&[0xff, 0xfb, 9], Some(0xff), &clear), Verdict::Open);
            assert_eq!(trial.bits, 0);
        }
    }

    #[test]
    fn a_key_that_becomes_another_is_found_out() {
        for codec in [Codec::Flac, Codec::Opus, Codec::Aac, Codec::Alac, Codec::Mp3] {
            let mut trial = Trial::new(codec);
            trial.verdict = Verdict::Right;
            let mut chance = Chance(99);
            let mut before = None;
            let wrong = (0..200).find(|number| {
                let packet = packet(&mut chance);
                let verdict = trial.hear(&packet, before, &witness(*number));
                before = packet.first().copied();
                verdict == Verdict::Wrong
            });
            assert!(wrong.is_some(), "{codec:?}");
        }
    }

    #[test]
    fn the_length_of_an_opus_packet_is_in_its_first_bytes() {
        for (packet, frames) in [
            (&[0xfc_u8, 0][..], Some(960)),
            (&[0x00], Some(480)),
            (&[0x1a], Some(5760)),
            (&[0x63, 3], Some(1440)),
            (&[0xff, 0x8d], None),
            (&[0x03], None),
            (&[], None),
        ] {
            assert_eq!(opus_frames(packet), frames, "{packet:x?}");
        }
        assert!(is_as_long(&[0xfc], (882, 44_100)) && is_as_long(&[0xfc], (500, 48_000)));
        assert!(!is_as_long(&[0xfc], (1920, 48_000)));
    }
}
