//! What a device and we agree on before it plays: format, rate, sizes. It must not write a frame.

use alsa::ValueOr;
use alsa::pcm::{Access, Format, Frames, HwParams, PCM};

use super::classify;
use crate::audio::output::OutputError;
use crate::audio::pack::Layout;

/// Formats in the order they are tried: the most exact first.
const FORMATS: [(Format, Layout); 4] = [
    (Format::S32LE, Layout::S32),
    (Format::S243LE, Layout::S24Packed),
    (Format::S24LE, Layout::S24),
    (Format::S16LE, Layout::S16),
];

/// How a PCM begins that is a card itself.
const CARD: &str = "hw:";

/// Which device, and how its buffer is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlsaSettings {
    /// Any ALSA PCM name: "hw:CARD=DAC", "plughw:0", "default".
    pub pcm: String,
    /// Frames between two wake-ups; the device may choose a near value. `None`: about 46 ms.
    pub period_frames: Option<u32>,
    /// Periods in the buffer; 0 and 1 count as 2.
    pub periods: u32,
}

impl AlsaSettings {
    /// The default sizes: 4 periods of about 46 ms ride out a busy processor and still skip at once.
    #[must_use]
    pub fn new(pcm: &str) -> Self {
        Self {
            pcm: pcm.to_owned(),
            period_frames: None,
            periods: 4,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Resample {
    No,
    Yes,
}

/// What the device agreed to.
pub struct Negotiated {
    /// How samples are laid out.
    pub layout: Layout,
    /// The same in ALSA's words.
    pub format: String,
    /// Frames a second the device runs at.
    pub rate: u32,
    /// Frames between two wake-ups.
    pub period: Frames,
    /// Frames in the buffer.
    pub buffer: Frames,
}

/// Sets `pcm` up for `rate`: the exact rate first, ALSA's resampler only if the device cannot and has one: a card itself
/// has none, and is converted for by us.
///
/// # Errors
/// [`OutputError::Rate`]: it lacks this rate and has another. Else it takes no format or number of channels that can be
/// offered.
pub fn negotiate(settings: &AlsaSettings, pcm: &PCM, rate: u32) -> Result<Negotiated, OutputError> {
    match configure(settings, pcm, rate, Resample::No) {
        Ok(negotiated) => Ok(negotiated),
        Err(first) if settings.pcm.starts_with(CARD) => Err(first),
        Err(first) => match configure(settings, pcm, rate, Resample::Yes) {
            Ok(negotiated) => {
                log::warn!(
                    "{}: cannot play {rate} Hz itself; ALSA resamples, samples are not exact",
                    &settings.pcm
                );
                Ok(negotiated)
            }
            Err(_) => Err(first),
        },
    }
}

fn configure(settings: &AlsaSettings, pcm: &PCM, rate: u32, resample: Resample) -> Result<Negotiated, OutputError> {
    let fault = |attempt: &'static str| move |error| classify(&settings.pcm, attempt, error);
    let hw = HwParams::any(pcm).map_err(fault("ask the abilities of"))?;
    hw.set_rate_resample(resample == Resample::Yes)
        .map_err(fault("choose resampling of"))?;
    hw.set_access(Access::RWInterleaved).map_err(fault("set access of"))?;
    hw.set_channels(2).map_err(fault("set two channels of"))?;
    let Some((format, layout)) = FORMATS.into_iter().find(|(format, _)| hw.test_format(*format).is_ok()) else {
        return Err(OutputError::Other {
            attempt: "choose a format of",
            name: settings.pcm.clone(),
            reason: "it takes none of S32, S24_3LE, S24, S16; name it plughw:... to let ALSA convert".into(),
        });
    };
    hw.set_format(format).map_err(fault("set the format of"))?;
    if hw.test_rate(rate).is_err() {
        let name = settings.pcm.clone();
        let nearest = hw
            .set_rate_near(rate, ValueOr::Nearest)
            .map_err(fault("ask the rates of"))?;
        return Err(OutputError::Rate { name, rate, nearest });
    }
    hw.set_rate(rate, ValueOr::Nearest).map_err(fault("set the rate of"))?;
    let wanted = settings.period_frames.unwrap_or_else(|| default_period(rate));
    // Always set: left to itself, ALSA takes the largest buffer there is.
    let period = hw
        .set_period_size_near(frames(wanted.max(1)), ValueOr::Nearest)
        .map_err(fault("set the period of"))?;
    let buffer = hw
        .set_buffer_size_near(period.saturating_mul(frames(settings.periods.max(2))))
        .map_err(fault("set the buffer of"))?;
    pcm.hw_params(&hw).map_err(fault("set up"))?;
    let sw = pcm.sw_params_current().map_err(fault("ask the settings of"))?;
    sw.set_start_threshold(1).map_err(fault("set the start of"))?;
    // Half a buffer at a time, not every period: half as many wake-ups, and still half a buffer to be late by.
    let wake = period.max(buffer / 2 / period.max(1) * period);
    sw.set_avail_min(wake).map_err(fault("set the wake-up of"))?;
    pcm.sw_params(&sw).map_err(fault("set up"))?;
    let rate = hw.get_rate().map_err(fault("ask the rate of"))?;
    Ok(Negotiated {
        layout,
        format: format.to_string(),
        rate,
        period,
        buffer,
    })
}

/// ALSA counts in the machine's word, which has 32 bits on some boards.
fn frames(count: u32) -> Frames {
    Frames::from(i32::try_from(count).unwrap_or(i32::MAX))
}

/// About 46 ms, a power of two, which sound cards like.
fn default_period(rate: u32) -> u32 {
    (rate / 32).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_near_46_ms() {
        assert_eq!(default_period(44_100), 2048);
        assert_eq!(default_period(48_000), 2048);
        assert_eq!(default_period(192_000), 8192);
    }
}
