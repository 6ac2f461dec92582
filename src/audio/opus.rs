//! Opus: packets to samples, by a decoder that symphonia does not have, behind symphonia's own trait. Of the frames it
//! keeps what the packet says; the silence before the music is left out by whoever knows where the music starts.

use opus_pure::OpusDecoder;
use symphonia::core::audio::layouts::{CHANNEL_LAYOUT_MONO, CHANNEL_LAYOUT_STEREO};
use symphonia::core::audio::{AsGenericAudioBufferRef, Audio, AudioBuffer, AudioMut, AudioSpec, GenericAudioBufferRef};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, FinalizeResult};
use symphonia::core::errors::{Error, Result};
use symphonia::core::packet::PacketRef;

/// Frames a second of what comes out, whatever went into the encoder.
pub const RATE: u32 = 48_000;
/// The longest packet the format allows: 120 ms.
const PACKET_FRAMES_MAX: usize = 5760;

/// What the decoder is called.
static INFO: CodecInfo = CodecInfo {
    short_name: "opus",
    long_name: "Opus",
    profiles: &[],
};

/// The header of a stream: `OpusHead` in Ogg, made of `dOps` in MP4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// One or two.
    channels: u8,
    /// Frames before the music.
    pub skip: u16,
    /// In 1/256 dB, part of the stream.
    gain: i16,
}

impl Head {
    /// Reads a header.
    ///
    /// # Errors
    /// It is damaged, or of more channels than this speaker has.
    pub fn read(head: &[u8]) -> Result<Self> {
        let Some([_, channels, skip0, skip1, _, _, _, _, gain0, gain1, family]) =
            head.strip_prefix(b"OpusHead").and_then(|rest| rest.first_chunk())
        else {
            return Err(Error::DecodeError("opus: the header is damaged"));
        };
        if *family != 0 || !matches!(channels, 1 | 2) {
            return Err(Error::Unsupported("opus: more than two channels"));
        }
        Ok(Self {
            channels: *channels,
            skip: u16::from_le_bytes([*skip0, *skip1]),
            gain: i16::from_le_bytes([*gain0, *gain1]),
        })
    }
}

/// A stream being decoded.
pub struct Opus {
    decoder: OpusDecoder,
    parameters: AudioCodecParameters,
    interleaved: Vec<f32>,
    frames: AudioBuffer<f32>,
}

impl Opus {
    /// Ready for the first packet.
    ///
    /// # Errors
    /// The stream's header is missing, damaged, or of more channels than this speaker has.
    pub fn new(parameters: &AudioCodecParameters) -> Result<Self> {
        let head = Head::read(parameters.extra_data.as_deref().unwrap_or_default())?;
        let channels = usize::from(head.channels);
        let mut decoder = OpusDecoder::new(RATE.cast_signed(), channels)
            .map_err(|_| Error::Unsupported("opus: the decoder does not take the stream"))?;
        decoder.gain_q8 = i32::from(head.gain);
        let layout = if channels == 1 {
            CHANNEL_LAYOUT_MONO
        } else {
            CHANNEL_LAYOUT_STEREO
        };
        Ok(Self {
            decoder,
            parameters: parameters.clone(),
            interleaved: vec![0.0; PACKET_FRAMES_MAX * channels],
            frames: AudioBuffer::new(AudioSpec::new(RATE, layout), PACKET_FRAMES_MAX),
        })
    }
}

impl AudioDecoder for Opus {
    fn reset(&mut self) {
        if let Err(error) = self.decoder.reset_state() {
            log::debug!("reset the Opus decoder: {error}");
        }
    }

    fn codec_info(&self) -> &CodecInfo {
        &INFO
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.parameters
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.frames.clear();
        // Without bytes, the decoder would make up a lost packet.
        if packet.data.is_empty() {
            return Err(Error::DecodeError("opus: an empty packet"));
        }
        let decoded = self
            .decoder
            .decode(packet.data, PACKET_FRAMES_MAX, &mut self.interleaved);
        let count = decoded.map_err(|_| Error::DecodeError("opus: a damaged packet"))?;
        self.frames.render_silence(Some(count.min(PACKET_FRAMES_MAX)));
        let channels = self.frames.num_planes();
        for (number, plane) in self.frames.iter_planes_mut().enumerate() {
            let samples = self.interleaved.iter().skip(number).step_by(channels);
            for (to, from) in plane.iter_mut().zip(samples) {
                *to = *from;
            }
        }
        let padding = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
        self.frames.truncate(count.saturating_sub(padding));
        Ok(self.frames.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.frames.as_generic_audio_buffer_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEREO: [u8; 19] = *b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\xff\0";

    #[test]
    fn a_header_is_read() {
        let head = Head::read(&STEREO).unwrap();
        assert_eq!((head.channels, head.skip, head.gain), (2, 312, -256));
    }

    #[test]
    fn more_channels_than_the_speaker_has_are_refused_by_name() {
        let mut surround = STEREO;
        surround[9] = 6;
        surround[18] = 1;
        let told = Head::read(&surround).unwrap_err().to_string();
        assert!(told.contains("more than two channels"), "{told}");
        assert!(Head::read(&STEREO[..18]).is_err());
    }
}
