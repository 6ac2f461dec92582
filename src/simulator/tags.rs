//! What a music file says of itself: title, artist, album, number, duration. Decodes nothing.

use std::fs::File;
use std::io::Cursor;
use std::path::PathBuf;

use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::{MetadataOptions, MetadataRevision, StandardTag};
use symphonia::core::units::Duration;

/// Where the bytes of a track are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// A file of the music directory.
    File(PathBuf),
    /// Part of the program.
    Builtin(&'static [u8]),
}

impl Bytes {
    /// Opens them.
    pub fn open(&self) -> std::io::Result<Box<dyn MediaSource>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Builtin(bytes) => Box::new(Cursor::new(*bytes)),
        })
    }
}

/// A sort of file the simulator offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Free lossless audio codec in its own container.
    Flac,
    /// MPEG layer III.
    Mp3,
    /// AAC (or ALAC) in an MP4 container.
    M4a,
    /// Vorbis in Ogg.
    Ogg,
    /// Opus in Ogg.
    Opus,
    /// Plain samples.
    Wav,
}

impl Format {
    /// By the ending of a file name.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "flac" => Some(Self::Flac),
            "mp3" => Some(Self::Mp3),
            "m4a" | "mp4" => Some(Self::M4a),
            "ogg" | "oga" => Some(Self::Ogg),
            "opus" => Some(Self::Opus),
            "wav" => Some(Self::Wav),
            _ => None,
        }
    }

    /// `Content-Type` of the file.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Flac => "audio/flac",
            Self::Mp3 => "audio/mpeg",
            Self::M4a => "audio/mp4",
            Self::Ogg | Self::Opus => "audio/ogg",
            Self::Wav => "audio/wav",
        }
    }

    /// Ending of a file name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Flac => "flac",
            Self::Mp3 => "mp3",
            Self::M4a => "m4a",
            Self::Ogg => "ogg",
            Self::Opus => "opus",
            Self::Wav => "wav",
        }
    }

    /// `format` in the playback information.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flac => "FLAC",
            Self::Mp3 => "MP3",
            Self::M4a => "AAC",
            Self::Ogg => "VORBIS",
            Self::Opus => "OPUS",
            Self::Wav => "PCM",
        }
    }
}

/// What was read out of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Title of the track.
    pub title: Option<String>,
    /// Performer.
    pub artist: Option<String>,
    /// Title of the album.
    pub album: Option<String>,
    /// Disc of a set and number on it.
    pub place: (u64, u64),
    /// Length; `None` where the file does not say.
    pub duration_ms: Option<u64>,
    /// The length is exact to the frame, not an estimate.
    pub exact: bool,
}

/// Why a file is no track.
#[derive(Debug, thiserror::Error)]
pub enum TagsError {
    /// It cannot be opened.
    #[error("open: {0}")]
    Open(#[from] std::io::Error),
    /// It is not what its name says, or damaged.
    #[error("not a readable audio file: {0}")]
    Format(#[from] symphonia::core::errors::Error),
    /// There is no sound in it that can be decoded.
    #[error("no audio track in it")]
    Silent,
}

/// Reads the tags of a file.
pub fn read(bytes: &Bytes, format: Format) -> Result<Tags, TagsError> {
    let stream = MediaSourceStream::new(bytes.open()?, MediaSourceStreamOptions::default());
    let mut hint = Hint::new();
    hint.with_extension(format.extension());
    let probe = symphonia::default::get_probe();
    let mut reader = probe.probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())?;
    let mut tags = Tags::default();
    length(reader.as_ref(), format, &mut tags)?;
    if let Some(latest) = reader.metadata().skip_to_latest() {
        collect(latest, &mut tags);
    }
    Ok(tags)
}

fn length(reader: &dyn FormatReader, format: Format, tags: &mut Tags) -> Result<(), TagsError> {
    let track = reader.default_track(TrackType::Audio).ok_or(TagsError::Silent)?;
    let parameters = track.codec_params.as_ref().ok_or(TagsError::Silent)?;
    let is_opus = parameters.audio().is_some_and(|sound| sound.codec == CODEC_ID_OPUS);
    // The length of an Opus stream counts what its decoder leaves out before the music.
    let before = Duration::from(track.delay.filter(|_| is_opus).unwrap_or(0));
    let length = track
        .time_base
        .zip(track.duration.map(|duration| duration.saturating_sub(before)))
        .and_then(|(base, duration)| base.calc_duration(duration));
    tags.duration_ms = length
        .and_then(|length| u64::try_from(length.as_millis()).ok())
        .filter(|ms| *ms > 0);
    // Without an encoder's header the length of an MP3 is guessed from its bit rate.
    tags.exact = tags.duration_ms.is_some() && (format != Format::Mp3 || track.delay.is_some());
    Ok(())
}

fn collect(from: &MetadataRevision, tags: &mut Tags) {
    for tag in &from.media.tags {
        match &tag.std {
            Some(StandardTag::TrackTitle(text)) => keep(&mut tags.title, text),
            Some(StandardTag::Artist(text)) => keep(&mut tags.artist, text),
            Some(StandardTag::Album(text)) => keep(&mut tags.album, text),
            Some(StandardTag::TrackNumber(number)) => tags.place.1 = *number,
            Some(StandardTag::DiscNumber(number)) => tags.place.0 = *number,
            Some(_) | None => {}
        }
    }
}

fn keep(place: &mut Option<String>, text: &str) {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    if place.is_none() && !text.is_empty() {
        *place = Some(text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_what_its_name_says_is_an_error() {
        assert!(read(&Bytes::Builtin(b"this is not music at all"), Format::Flac).is_err());
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let error = read(&Bytes::File(PathBuf::from("/nowhere/x.flac")), Format::Flac).unwrap_err();
        assert!(error.to_string().starts_with("open: "), "{error}");
    }

    #[test]
    fn the_length_of_opus_is_that_of_the_music() {
        let bytes = include_bytes!("../../tests/media/long.opus");
        let tags = read(&Bytes::Builtin(bytes), Format::Opus).unwrap();
        assert_eq!(tags.duration_ms, Some(61_001 / 48));
    }

    #[test]
    fn endings_are_recognised_in_any_case() {
        assert_eq!(Format::of_extension("FLAC"), Some(Format::Flac));
        assert_eq!(Format::of_extension("wma"), None);
    }
}
