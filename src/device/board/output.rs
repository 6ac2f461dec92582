//! `[output]` of a board file: the sound device, its volume and its amplifier.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::pin::{active, pin};
use super::read::Taken;
use super::{AmplifierSetup, GpioOutput, Level, MixerSetup, OutputSetup};
use crate::document::Table;

/// Shorter periods wake the processor more than a thousand times a second, longer ones delay a skip.
const PERIOD_FRAMES: RangeInclusive<u32> = 64..=16_384;
/// Two is the least that ALSA can play from without a gap.
const PERIODS: RangeInclusive<u32> = 2..=32;
/// Bits of a sample, from a CD's to what a sample of the audio path has.
const BITS: RangeInclusive<u32> = 16..=32;
/// Rates of music, from a CD's to the highest that music comes in.
const RATE_HZ: RangeInclusive<u32> = 44_100..=192_000;
/// Decibels of a hardware volume's scale: from what is hardly a scale to more than a room can tell apart.
const RANGE_DB: RangeInclusive<u32> = 20..=120;
/// As in software.
const RANGE_USUAL_DB: u32 = 60;
/// Amplifiers take a few milliseconds to half a second; more would be a press without an answer.
const WAKE_MS: RangeInclusive<u32> = 0..=2_000;
/// A guess: how long a board's amplifier needs is to be heard on that board.
const WAKE_USUAL_MS: u32 = 50;
/// Shorter than a second would switch between two entries, longer than a day is never.
const IDLE_S: RangeInclusive<u32> = 1..=86_400;
/// Of a board with an amplifier: longer than it takes to choose what comes next.
const IDLE_USUAL_S: u32 = 30;

impl OutputSetup {
    /// The device `pcm` with the buffer of the program's choice.
    pub fn of(pcm: impl Into<String>) -> Self {
        Self {
            pcm: pcm.into(),
            period_frames: None,
            periods: None,
            bits_max: None,
            rate_max_hz: None,
            rate_hz: None,
            mixer: MixerSetup::Software,
            amplifier: None,
            idle: None,
        }
    }
}

/// What `[output]` means.
pub fn output(table: &Table, taken: &mut Taken) -> OutputSetup {
    let pcm = table.text_required(
        "pcm",
        "the name of an ALSA device, such as \"default\" or \"hw:CARD=DAC\"",
    );
    let mut output = OutputSetup::of(pcm.map(|found| found.value).unwrap_or_default());
    output.period_frames = table.whole("period_frames", &PERIOD_FRAMES, "frames");
    output.periods = table.whole("periods", &PERIODS, "periods");
    output.bits_max = table.whole("bits_max", &BITS, "bits");
    output.rate_max_hz = table.whole("rate_max_hz", &RATE_HZ, "Hz");
    if !table.is_text("rates", "reopen") {
        output.rate_hz = table.whole("rates", &RATE_HZ, "Hz, or \"reopen\": each entry's own rate");
    }
    table.refuse_unsupported("formats", "what the device can do is asked of the device; leave it out");
    output.mixer = mixer(table);
    output.amplifier = table.table("amplifier").and_then(|table| amplifier(&table, taken));
    let idle = table.whole("idle_s", &IDLE_S, "s (left out: never without an amplifier)");
    let usual = output.amplifier.is_some().then_some(IDLE_USUAL_S);
    output.idle = idle.or(usual).map(|seconds| Duration::from_secs(seconds.into()));
    output
}

/// `"software"`, or a control of the card.
fn mixer(table: &Table) -> MixerSetup {
    if !table.has("mixer") || table.is_text("mixer", "software") {
        return MixerSetup::Software;
    }
    let Some(mixer) = table.table("mixer") else {
        return MixerSetup::Software;
    };
    let control = mixer.text_required(
        "control",
        "a control of the card, such as \"Digital\" (amixer scontrols)",
    );
    let card = mixer.text("card", "a card, such as \"hw:CARD=DAC\"");
    MixerSetup::Hardware {
        control: control.map(|found| found.value).unwrap_or_default(),
        card: card.map(|found| found.value),
        range_db: mixer.whole("range_db", &RANGE_DB, "dB").unwrap_or(RANGE_USUAL_DB),
    }
}

fn amplifier(table: &Table, taken: &mut Taken) -> Option<AmplifierSetup> {
    let wake_ms = table.whole("wake_ms", &WAKE_MS, "ms").unwrap_or(WAKE_USUAL_MS);
    let line = GpioOutput {
        pin: pin(table)?,
        active: active(table).unwrap_or(Level::High),
    };
    taken.claim_pin(&line.pin, table);
    Some(AmplifierSetup {
        line,
        wake: Duration::from_millis(wake_ms.into()),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Board, Line, Pin};
    use super::*;

    fn parse(line: &str) -> Result<OutputSetup, String> {
        let text = format!("name = \"Test\"\n[output]\npcm = \"hw:0\"\n{line}\n");
        Board::parse(Path::new("b.toml"), &text)
            .map(|board| board.output)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_card_s_own_mixer_may_set_the_volume() {
        assert_eq!(parse("mixer = \"software\"").unwrap().mixer, MixerSetup::Software);
        let hardware = |range_db, card: Option<&str>| MixerSetup::Hardware {
            control: "Digital".to_owned(),
            card: card.map(str::to_owned),
            range_db,
        };
        let mixer = |line: &str| parse(line).map(|output| output.mixer);
        assert_eq!(mixer("mixer = { control = \"Digital\" }"), Ok(hardware(60, None)));
        assert_eq!(
            mixer("mixer = { control = \"Digital\", card = \"hw:1\", range_db = 40 }"),
            Ok(hardware(40, Some("hw:1")))
        );
        for wrong in [
            "mixer = \"hardware\"",
            "mixer = { }",
            "mixer = { control = \"\" }",
            "mixer = { control = \"Digital\", range_db = 5 }",
            "mixer = { control = \"Digital\", contrl = \"x\" }",
        ] {
            assert!(mixer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_amplifier_needs_a_line_and_rests_after_half_a_minute() {
        let output = parse("amplifier = { chip = \"gpiochip0\", line = 25, wake_ms = 120 }").unwrap();
        let line = GpioOutput {
            pin: Pin::Cdev {
                chip: Some("gpiochip0".to_owned()),
                line: Line::Number(25),
            },
            active: Level::High,
        };
        let wake = Duration::from_millis(120);
        assert_eq!(output.amplifier, Some(AmplifierSetup { line, wake }));
        assert_eq!(output.idle, Some(Duration::from_secs(30)));
        for wrong in [
            "amplifier = { wake_ms = 100 }",
            "amplifier = { chip = \"gpiochip0\", line = 25, wake_ms = 5000 }",
            "amplifier = { pin = 25 }",
            "idle_s = 0",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_device_rests_only_if_the_board_says_so() {
        assert_eq!(parse("").unwrap().idle, None);
        assert_eq!(parse("idle_s = 90").unwrap().idle, Some(Duration::from_secs(90)));
    }

    #[test]
    fn the_amplifier_s_line_is_nobody_else_s() {
        let line = "amplifier = { chip = \"gpiochip0\", line = 3 }\n";
        let button = "[[button]]\naction = \"play\"\ngpio = { chip = \"gpiochip0\", line = 3 }";
        let error = parse(&format!("{line}{button}")).unwrap_err();
        assert!(error.contains("this gpio line is used twice"), "{error}");
    }

    #[test]
    fn what_this_version_cannot_do_is_refused() {
        let output = |line: &str| {
            let text = format!("name = \"Test\"\n[output]\npcm = \"default\"\n{line}\n");
            Board::parse(Path::new("b.toml"), &text).map_err(|error| error.to_string())
        };
        let error = output("formats = [\"S16_LE\"]").unwrap_err();
        assert!(error.contains("not supported by this version"), "{error}");
    }

    #[test]
    fn the_buffer_of_the_device_may_be_set() {
        let text = "name = \"Test\"\n[output]\npcm = \"hw:0\"\nperiod_frames = 480\nperiods = 4\n";
        let output = Board::parse(Path::new("b.toml"), text).unwrap().output;
        assert_eq!((output.period_frames, output.periods), (Some(480), Some(4)));
        for (right, wrong) in [("480\n", "7\n"), ("periods = 4", "periods = 1")] {
            assert!(
                Board::parse(Path::new("b.toml"), &text.replace(right, wrong)).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_device_runs_at_each_entry_s_rate_or_always_at_one() {
        let rate = |line: &str| {
            let text = format!("name = \"Test\"\n[output]\npcm = \"hw:0\"\n{line}\n");
            Board::parse(Path::new("b.toml"), &text).map(|board| board.output.rate_hz)
        };
        assert_eq!(rate("").unwrap(), None);
        assert_eq!(rate("rates = \"reopen\"").unwrap(), None);
        assert_eq!(rate("rates = 48000").unwrap(), Some(48_000));
        for wrong in ["rates = 8000", "rates = [44100]", "rates = \"fixed\""] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_the_converter_plays_may_be_limited() {
        let text = "name = \"Test\"\n[output]\npcm = \"hw:0\"\nbits_max = 16\nrate_max_hz = 96000\n";
        let output = Board::parse(Path::new("b.toml"), text).unwrap().output;
        assert_eq!((output.bits_max, output.rate_max_hz), (Some(16), Some(96_000)));
        for (right, wrong) in [("= 16", "= 8"), ("96000", "22050")] {
            assert!(
                Board::parse(Path::new("b.toml"), &text.replace(right, wrong)).is_err(),
                "{wrong}"
            );
        }
    }
}
