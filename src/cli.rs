//! The command line: what can be typed, and its help.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are shown as help, where Markdown is noise"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
#[cfg(feature = "simulator")]
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::audio::Chime;

/// Firmware of a network speaker.
#[derive(Debug, Parser)]
#[command(name = "tonearm", version, about, long_about = None, disable_help_subcommand = true)]
#[command(after_help = "Log level: RUST_LOG=error|warn|info|debug|trace (default info).")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the speaker: what the unit file starts. SIGTERM ends it cleanly.
    Run(ConfigArgs),
    /// Speaker and local playback service in one program: music now, keys as buttons, no account.
    #[cfg(feature = "simulator")]
    Demo(DemoArgs),
    /// The local playback service alone, for a speaker or curl to talk to.
    #[cfg(feature = "simulator")]
    Simulator(crate::simulator::Arguments),
    /// Check configuration, board, sound device, pins, clock and service: a line each.
    Check(ConfigArgs),
    /// Link an account: shows an address and a code to enter there, and waits.
    Link(LinkArgs),
    /// Show the events that wait to be reported, and those set aside.
    Journal(JournalArgs),
    /// Press a button of a running speaker.
    Press(PressArgs),
    /// Show what a running speaker does.
    Status(StatusArgs),
    /// Start something on a running speaker, or put it into its queue.
    Play(PlayArgs),
    /// Show the queue of a running speaker.
    Queue(QueueArgs),
    /// Play a test tone through the sound device, without a service.
    PlayTone(PlayToneArgs),
    /// Show every edge of every button, without a service.
    WatchButtons(ConfigArgs),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file [default: $TONEARM_CONFIG, else /etc/tonearm/tonearm.toml].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Options of `demo`.
#[cfg(feature = "simulator")]
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder of music to play; folders in it are albums [default: a small built-in album].
    #[arg(long, value_name = "DIR")]
    pub music: Option<PathBuf>,
    /// End by itself after this long ("30s", "2m") and print a short report.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub run_for: Option<Duration>,
    /// Subscription tier that the service plays: what may be skipped, whether advertisements are injected.
    #[arg(long, value_enum, default_value_t)]
    pub tier: crate::simulator::Tier,
    #[command(flatten)]
    pub packaging: crate::simulator::Packaging,
    /// Keep every sample of the music that sounds in a WAV file.
    #[arg(long, value_name = "OUT.wav")]
    pub capture: Option<PathBuf>,
    /// Sound device: any ALSA PCM name, or "paced" for none [default: ALSA's default, else paced].
    #[arg(long, value_name = "PCM")]
    pub output: Option<String>,
}

/// Options of `link`.
#[derive(Debug, Args)]
pub struct LinkArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Forget the account that is linked.
    #[arg(long)]
    pub forget: bool,
}

/// Options of `journal`.
#[derive(Debug, Args)]
pub struct JournalArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// How to find the running speaker.
#[derive(Debug, Args)]
pub struct SpeakerArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Address and port of the speaker's page [default: the configuration's, on this machine].
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<SocketAddr>,
}

/// Options of `press`.
#[derive(Debug, Args)]
pub struct PressArgs {
    /// play, next, previous, volume_up, volume_down, shuffle, loop, take_over, preset_1, preset_2, ...
    #[arg(value_name = "BUTTON")]
    pub button: String,
    #[command(flatten)]
    pub speaker: SpeakerArgs,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub speaker: SpeakerArgs,
}

/// Options of `queue`.
#[derive(Debug, Args)]
pub struct QueueArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub speaker: SpeakerArgs,
}

/// Options of `play`.
#[derive(Debug, Args)]
pub struct PlayArgs {
    /// Resource name (MRN) of what to play.
    #[arg(long, value_name = "MRN", required_unless_present = "container")]
    pub id: Option<String>,
    /// Resource name of an album, playlist or station it is in; may be given more than once.
    #[arg(long, value_name = "MRN")]
    pub container: Vec<String>,
    /// In random order.
    #[arg(long, conflicts_with = "station")]
    pub shuffle: bool,
    /// As a station that starts from it.
    #[arg(long)]
    pub station: bool,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub speaker: SpeakerArgs,
}

/// Where `play` puts something instead of starting it.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Not at once, but after what plays, in the same queue.
    #[arg(long, conflicts_with_all = ["last", "shuffle", "station"])]
    pub next: bool,
    /// Not at once, but at the end of the same queue.
    #[arg(long, conflicts_with_all = ["shuffle", "station"])]
    pub last: bool,
}

/// Options of `play-tone`.
#[derive(Debug, Args)]
pub struct PlayToneArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Sound device in place of the board's: any ALSA PCM name.
    #[arg(long, value_name = "PCM")]
    pub output: Option<String>,
    /// Sound a chime of the speaker in place of the tone, or all of them in turn.
    #[arg(long, value_name = "NAME", value_parser = ChimeChoice::parser(), conflicts_with = "seconds")]
    pub chime: Option<ChimeChoice>,
    /// Length of the tone.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub seconds: u32,
}

/// Chimes that somebody asks for.
#[derive(Clone, Debug)]
pub struct ChimeChoice(pub Vec<Chime>);

impl ChimeChoice {
    /// Reads the name of one, or "all"; help lists the names.
    fn parser() -> impl TypedValueParser<Value = Self> {
        let names = Chime::ALL.map(Chime::name);
        PossibleValuesParser::new(names.into_iter().chain(["all"])).map(|name| {
            let is_asked = |chime: &Chime| name == "all" || name == chime.name();
            Self(Chime::ALL.into_iter().filter(is_asked).collect())
        })
    }
}

/// A length of time as people write it.
#[cfg(feature = "simulator")]
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| format!("{text:?} is no length of time; try \"30s\" or \"2m\""))?;
    let length = Duration::try_from(parsed).map_err(|_| "a length of time is not negative".to_owned())?;
    if length.is_zero() {
        Err("that is no time at all; try \"30s\"".to_owned())
    } else {
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_unknown_command_names_the_nearest_one() {
        let error = Cli::try_parse_from(["tonearm", "statsu"]).unwrap_err().to_string();
        assert!(error.contains("'status'"), "{error}");
    }

    #[cfg(feature = "simulator")]
    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("0s").is_err() && duration("-3s").is_err() && duration("soon").is_err());
    }
}
