//! High-efficiency AAC that nothing announces: packets of plain AAC at half the rate, with what makes the other half in an
//! element at their end. Decoded as plain AAC it would sound muffled, so it is recognised before it is heard. This file
//! looks at the ends of packets only; it must not decode.

/// Highest rate of plain AAC that may be the lower half of a higher one, in frames a second.
pub const HALF_RATE_MAX: u32 = 24_000;
/// Packets judged. Chance fits one packet in about 60 (the bit counts of an element must lead exactly to the end of the
/// packet): all of eight, one file in 10^14.
const PACKETS: u32 = 8;
/// Packets looked at: silence has packets that are too short to judge.
const LOOKS_MAX: u32 = 32;
/// Fewest bytes of a packet that is judged.
const BYTES_MIN: usize = 24;
/// Bits that an element can have, and those behind it: what is searched from the end.
const BITS_MAX: usize = 8 * 600;

/// What the first packets of an entry show.
#[derive(Debug, Default)]
pub struct Evidence {
    looks: u32,
    judged: u32,
    found: u32,
}

impl Evidence {
    /// Looks at a packet.
    pub fn add(&mut self, packet: &[u8]) {
        self.looks += 1;
        if packet.len() >= BYTES_MIN {
            self.judged += 1;
            self.found += u32::from(carries_replication(packet));
        }
    }

    /// No more packets are needed.
    pub fn is_enough(&self) -> bool {
        self.judged > self.found || self.judged >= PACKETS || self.looks >= LOOKS_MAX
    }

    /// Every packet carries spectral band replication.
    pub fn is_replication(&self) -> bool {
        self.judged == self.found && self.judged >= PACKETS / 2
    }
}

/// A fill element with spectral band replication stands at the end of the packet, with nothing but other fill elements
/// behind it.
fn carries_replication(packet: &[u8]) -> bool {
    let Some(last) = packet.last().filter(|last| **last != 0) else {
        return false;
    };
    let padding = usize::try_from(last.trailing_zeros()).unwrap_or(0);
    let bits = packet.len() * 8 - padding;
    // The end element: three ones.
    let Some(end) = bits.checked_sub(3).filter(|end| take(packet, *end, 3) == Some(7)) else {
        return false;
    };
    (end.saturating_sub(BITS_MAX)..end).any(|at| {
        let Some((kind, mut next)) = fill(packet, at).filter(|(_, next)| *next <= end) else {
            return false;
        };
        while next < end {
            match fill(packet, next) {
                Some((_, after)) => next = after,
                None => return false,
            }
        }
        matches!(kind, 13 | 14) && next == end
    })
}

/// Kind of extension of the fill element at this bit, and the first bit behind it.
fn fill(packet: &[u8], at: usize) -> Option<(u32, usize)> {
    if take(packet, at, 3)? != 6 {
        return None;
    }
    let (mut count, mut body) = (take(packet, at + 3, 4)?, at + 7);
    if count == 15 {
        count = 14 + take(packet, body, 8)?;
        body += 8;
    }
    let kind = if count == 0 { 0 } else { take(packet, body, 4)? };
    Some((kind, body + 8 * usize::try_from(count).ok()?))
}

fn take(bytes: &[u8], at: usize, count: usize) -> Option<u32> {
    (at..at + count).try_fold(0, |value, bit| {
        let byte = bytes.get(bit / 8)?;
        Some(value << 1 | u32::from(byte >> (7 - bit % 8) & 1))
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A packet of plain AAC with spectral band replication of `bytes` bytes put before its end.
    pub fn extended(packet: &[u8], bytes: u32) -> Vec<u8> {
        let padding = packet.last().unwrap().trailing_zeros() as usize;
        let mut bits: Vec<u32> = (0..packet.len() * 8 - padding - 3)
            .map(|bit| take(packet, bit, 1).unwrap())
            .collect();
        let mut put = |value: u32, count: u32| bits.extend((0..count).rev().map(|bit| value >> bit & 1));
        put(6, 3);
        if bytes < 15 {
            put(bytes, 4);
        } else {
            put(15, 4);
            put(bytes - 14, 8);
        }
        put(13, 4);
        for number in 0..bytes * 2 - 1 {
            put(number * 7 % 16, 4);
        }
        put(7, 3);
        bits.resize(bits.len().next_multiple_of(8), 0);
        bits.chunks(8)
            .map(|byte| u8::try_from(byte.iter().fold(0, |value, bit| value << 1 | bit)).unwrap())
            .collect()
    }

    #[test]
    fn an_element_at_the_end_is_found_whatever_its_length() {
        let plain: Vec<u8> = (0..200_u32)
            .map(|byte| u8::try_from(byte * 37 % 251).unwrap())
            .chain([0b1011_1000])
            .collect();
        assert!(!carries_replication(&plain));
        for bytes in [1, 14, 15, 60, 269] {
            assert!(carries_replication(&extended(&plain, bytes)), "{bytes} bytes");
        }
    }

    #[test]
    fn one_plain_packet_is_enough_to_rule_it_out() {
        let plain = [0x55; 40];
        let mut evidence = Evidence::default();
        evidence.add(&plain);
        assert!(evidence.is_enough() && !evidence.is_replication());
    }
}
