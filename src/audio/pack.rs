//! Samples as a device wants them in memory. Where a device takes fewer bits than the source has, the rest is dithered;
//! where it takes as many, the bits pass untouched. Pure.

/// How a device lays out a sample. All are little-endian; the program only runs on such machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// 32 bits.
    S32,
    /// 24 bits in three bytes.
    S24Packed,
    /// 24 bits at the bottom of four bytes.
    S24,
    /// 16 bits.
    S16,
}

impl Layout {
    /// Bits of a sample that are heard.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Self::S32 => 32,
            Self::S24Packed | Self::S24 => 24,
            Self::S16 => 16,
        }
    }

    /// Bytes of a sample in memory.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::S32 | Self::S24 => 4,
            Self::S24Packed => 3,
            Self::S16 => 2,
        }
    }
}

/// Noise of two even distributions, which makes the error of rounding independent of the music.
#[derive(Debug)]
pub struct Dither(u32);

impl Default for Dither {
    fn default() -> Self {
        Self(0x9e37_79b9)
    }
}

impl Dither {
    fn next(&mut self) -> u32 {
        // Xorshift: the noise only has to sound like noise.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// `sample` rounded to its top `bits` bits with triangular noise of one step to either side.
    pub fn round(&mut self, sample: i32, bits: u8) -> i32 {
        let drop = 32 - u32::from(bits);
        let step = 1i64 << drop;
        let noise = i64::from(self.next() >> bits) + i64::from(self.next() >> bits) - step;
        let rounded = (i64::from(sample) + noise + step / 2) >> drop << drop;
        let top = i64::from(i32::MAX) >> drop << drop;
        i32::try_from(rounded.clamp(i64::from(i32::MIN), top)).unwrap_or(0)
    }
}

/// Lays out `samples` of `bits` significant bits in `bytes`, which is emptied first.
pub fn pack(samples: &[i32], bits: u8, layout: Layout, dither: &mut Dither, bytes: &mut Vec<u8>) {
    bytes.clear();
    for sample in samples {
        let sample = if bits > layout.bits() {
            dither.round(*sample, layout.bits())
        } else {
            *sample
        };
        let [_, b1, b2, b3] = sample.to_le_bytes();
        match layout {
            Layout::S32 => bytes.extend(sample.to_le_bytes()),
            Layout::S24Packed => bytes.extend([b1, b2, b3]),
            Layout::S24 => bytes.extend((sample >> 8).to_le_bytes()),
            Layout::S16 => bytes.extend([b2, b3]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(samples: &[i32], bits: u8, layout: Layout) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(samples, bits, layout, &mut Dither::default(), &mut bytes);
        bytes
    }

    #[test]
    fn enough_bits_pass_untouched() {
        let sample = 0x1234_5600;
        assert_eq!(packed(&[sample], 24, Layout::S32), [0x00, 0x56, 0x34, 0x12]);
        assert_eq!(packed(&[sample], 24, Layout::S24Packed), [0x56, 0x34, 0x12]);
        assert_eq!(packed(&[-256], 24, Layout::S24), [0xff, 0xff, 0xff, 0xff]);
        assert_eq!(
            packed(&[i32::MIN, 0x7fff_0000], 16, Layout::S16),
            [0x00, 0x80, 0xff, 0x7f]
        );
    }

    #[test]
    fn fewer_bits_are_dithered_around_the_value() {
        let sample = (100 << 16) + (1 << 14);
        let bytes = packed(&vec![sample; 20_000], 24, Layout::S16);
        let values: Vec<i16> = bytes
            .chunks(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / 20_000.0;
        assert!((mean - 100.25).abs() < 0.02, "the mean is {mean}");
        assert!(values.iter().all(|value| (99..=102).contains(value)));
    }

    #[test]
    fn dithering_does_not_wrap_at_the_extremes() {
        let bytes = packed(&[i32::MAX; 1000], 32, Layout::S16);
        assert!(
            bytes
                .chunks(2)
                .all(|pair| i16::from_le_bytes([pair[0], pair[1]]) > 32_000)
        );
        let bytes = packed(&[i32::MIN; 1000], 32, Layout::S16);
        assert!(
            bytes
                .chunks(2)
                .all(|pair| i16::from_le_bytes([pair[0], pair[1]]) < -32_000)
        );
    }
}
