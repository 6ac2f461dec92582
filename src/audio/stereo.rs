//! Decoded packets of any sample type and channel layout become interleaved stereo of 32 bits, the source's bits at the
//! top. Integer samples stay exact; this file must not trim, seek or scale.

use symphonia::core::audio::{Audio, Channels, GenericAudioBufferRef, Position};

/// Weight of a centre or surround channel in each side it is mixed into: -3 dB, as broadcasters do.
const MINUS_3_DB: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// A sample of one, in the 32-bit scale.
const FULL_SCALE: f64 = 2_147_483_648.0;

/// Brings packets to stereo; keeps its room between packets, so that nothing is allocated once it is large enough.
#[derive(Debug, Default)]
pub struct Stereo {
    interleaved: Vec<i32>,
    floats: Vec<f64>,
}

impl Stereo {
    /// Writes the frames of `packet` to `frames`, which is emptied first.
    pub fn convert(&mut self, packet: &GenericAudioBufferRef<'_>, frames: &mut Vec<i32>) {
        frames.clear();
        let channels = packet.spec().channels();
        match packet {
            GenericAudioBufferRef::F32(_) | GenericAudioBufferRef::F64(_) => {
                packet.copy_to_vec_interleaved::<f64>(&mut self.floats);
                self.interleaved.clear();
                self.interleaved
                    .extend(self.floats.iter().map(|sample| from_float(*sample)));
            }
            GenericAudioBufferRef::S32(samples) => samples.copy_to_vec_interleaved::<i32>(&mut self.interleaved),
            GenericAudioBufferRef::U8(_)
            | GenericAudioBufferRef::U16(_)
            | GenericAudioBufferRef::U24(_)
            | GenericAudioBufferRef::U32(_)
            | GenericAudioBufferRef::S8(_)
            | GenericAudioBufferRef::S16(_)
            | GenericAudioBufferRef::S24(_) => packet.copy_to_vec_interleaved::<i32>(&mut self.interleaved),
        }
        match channels.count() {
            0 => {}
            1 => frames.extend(self.interleaved.iter().flat_map(|sample| [*sample, *sample])),
            2 => frames.extend_from_slice(&self.interleaved),
            count => {
                let weights = weights(channels);
                for frame in self.interleaved.chunks_exact(count) {
                    frames.extend(mix(frame, &weights));
                }
            }
        }
    }
}

/// Rounds to the nearest step and saturates: a lossy codec may well overshoot.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, which is what is wanted"
)]
fn from_float(sample: f64) -> i32 {
    (sample * FULL_SCALE).round_ties_even() as i32
}

/// How much of each channel goes to the left and to the right, so scaled that full scale everywhere does not clip.
fn weights(channels: &Channels) -> Vec<[f64; 2]> {
    let mut weights: Vec<[f64; 2]> = match channels {
        Channels::Positioned(positions) => positions.iter().map(weight).collect(),
        // The crate's enum is open-ended; all of these only count their channels.
        Channels::Discrete(_) | Channels::Ambisonic(_) | Channels::Custom(_) | Channels::None | _ => (0..channels
            .count())
            .map(|index| if index % 2 == 0 { [1.0, 0.0] } else { [0.0, 1.0] })
            .collect(),
    };
    let [left, right] = weights
        .iter()
        .fold([0.0; 2], |sum, weight| [sum[0] + weight[0], sum[1] + weight[1]]);
    let loudest = f64::max(left, right).max(1.0);
    for weight in &mut weights {
        *weight = weight.map(|side| side / loudest);
    }
    weights
}

fn weight(position: Position) -> [f64; 2] {
    if position.intersects(Position::FRONT_LEFT) {
        [1.0, 0.0]
    } else if position.intersects(Position::FRONT_RIGHT) {
        [0.0, 1.0]
    } else if position.intersects(Position::LFE1 | Position::LFE2) {
        [0.0, 0.0]
    } else if position.intersects(Position::REAR_LEFT | Position::SIDE_LEFT | Position::FRONT_LEFT_CENTER) {
        [MINUS_3_DB, 0.0]
    } else if position.intersects(Position::REAR_RIGHT | Position::SIDE_RIGHT | Position::FRONT_RIGHT_CENTER) {
        [0.0, MINUS_3_DB]
    } else if position.intersects(Position::FRONT_CENTER | Position::REAR_CENTER) {
        [MINUS_3_DB, MINUS_3_DB]
    } else {
        [0.5, 0.5]
    }
}

fn mix(frame: &[i32], weights: &[[f64; 2]]) -> [i32; 2] {
    let sum = frame
        .iter()
        .zip(weights)
        .fold([0.0; 2], |sum: [f64; 2], (sample, weight)| {
            let sample = f64::from(*sample) / FULL_SCALE;
            [sum[0] + sample * weight[0], sum[1] + sample * weight[1]]
        });
    sum.map(from_float)
}

#[cfg(test)]
mod tests {
    use symphonia::core::audio::sample::Sample;
    use symphonia::core::audio::{AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec};

    use super::*;

    fn convert<S: Sample>(positions: Position, planes: &[&[S]]) -> Vec<i32>
    where
        AudioBuffer<S>: AsGenericAudioBufferRef,
    {
        let mut buffer = AudioBuffer::<S>::new(AudioSpec::new(44_100, positions.into()), planes[0].len());
        buffer.render_silence(Some(planes[0].len()));
        for (index, plane) in planes.iter().enumerate() {
            buffer.plane_mut(index).unwrap().copy_from_slice(plane);
        }
        let mut frames = Vec::new();
        Stereo::default().convert(&buffer.as_generic_audio_buffer_ref(), &mut frames);
        frames
    }

    #[test]
    fn sixteen_bits_move_to_the_top_exactly() {
        let frames = convert::<i16>(
            Position::FRONT_LEFT | Position::FRONT_RIGHT,
            &[&[1, i16::MIN], &[-1, i16::MAX]],
        );
        assert_eq!(frames, [1 << 16, -(1 << 16), i32::MIN, 0x7fff_0000]);
    }

    #[test]
    fn one_channel_goes_to_both_sides() {
        assert_eq!(
            convert::<i16>(Position::FRONT_LEFT, &[&[3, -4]]),
            [3 << 16, 3 << 16, -4 << 16, -4 << 16]
        );
    }

    #[test]
    fn floats_are_rounded_and_saturate() {
        let frames = convert::<f32>(
            Position::FRONT_LEFT | Position::FRONT_RIGHT,
            &[&[0.5, 1.5], &[-1.0, -7.0]],
        );
        assert_eq!(frames, [1 << 30, i32::MIN, i32::MAX, i32::MIN]);
    }

    #[test]
    fn six_channels_at_full_scale_do_not_clip_and_the_sides_stay_apart() {
        let five_one = Position::FRONT_LEFT
            | Position::FRONT_RIGHT
            | Position::FRONT_CENTER
            | Position::LFE1
            | Position::REAR_LEFT
            | Position::REAR_RIGHT;
        let loud: &[i16] = &[i16::MIN];
        assert_eq!(convert::<i16>(five_one, &[loud; 6]), [i32::MIN, i32::MIN]);
        let left = convert::<i16>(five_one, &[&[i16::MAX], &[0], &[0], &[0], &[0], &[0]]);
        assert!(left[0] > 1 << 28 && left[1] == 0, "{left:?}");
    }
}
