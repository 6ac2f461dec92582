//! Which decoder a representation needs, from RFC 6381's `codecs` of a manifest.

/// What is to be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    /// `flac`.
    Flac,
    /// `alac`.
    Alac,
    /// `opus`.
    Opus,
    /// `mp4a.40.2`: AAC, low complexity.
    AacLc,
    /// `mp4a.40.5` and `mp4a.40.29`: with spectral band replication.
    HeAac,
    /// `mp4a.40.42`: extended HE-AAC.
    XheAac,
    /// `mp4a.40.34`, `mp4a.6b`, `mp4a.69`.
    Mp3,
    /// `ac-3`.
    Ac3,
    /// `ec-3`: E-AC-3, Atmos too.
    Eac3,
    /// `ac-4`.
    Ac4,
    /// Another one, as the manifest says; empty: it says nothing.
    Other(String),
}

impl Codec {
    /// From the attribute, or the first of its list.
    pub fn of(codecs: &str) -> Self {
        let first = codecs.split(',').next().unwrap_or_default().trim();
        match first.to_ascii_lowercase().as_str() {
            "flac" => Self::Flac,
            "alac" => Self::Alac,
            "opus" => Self::Opus,
            "mp4a.40.2" | "mp4a.40.02" | "mp4a.67" => Self::AacLc,
            "mp4a.40.5" | "mp4a.40.05" | "mp4a.40.29" => Self::HeAac,
            "mp4a.40.42" => Self::XheAac,
            "mp4a.40.34" | "mp4a.6b" | "mp4a.69" => Self::Mp3,
            "ac-3" | "mp4a.a5" => Self::Ac3,
            "ec-3" | "mp4a.a6" => Self::Eac3,
            lower if lower == "ac-4" || lower.starts_with("ac-4.") => Self::Ac4,
            _ => Self::Other(first.chars().take(NAME_CHARS_MAX).collect()),
        }
    }

    /// Whether this program decodes it from segments of MP4.
    pub fn is_decodable(&self) -> bool {
        match self {
            Self::Flac | Self::Alac | Self::Opus | Self::AacLc | Self::Mp3 => true,
            Self::HeAac | Self::XheAac | Self::Ac3 | Self::Eac3 | Self::Ac4 | Self::Other(_) => false,
        }
    }

    /// Whether the source comes back to the bit.
    pub fn is_lossless(&self) -> bool {
        matches!(self, Self::Flac | Self::Alac)
    }

    /// As people call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Flac => "FLAC",
            Self::Alac => "ALAC",
            Self::Opus => "Opus",
            Self::AacLc => "AAC-LC",
            Self::HeAac => "HE-AAC",
            Self::XheAac => "xHE-AAC",
            Self::Mp3 => "MP3",
            Self::Ac3 => "AC-3",
            Self::Eac3 => "E-AC-3",
            Self::Ac4 => "AC-4",
            Self::Other(name) if name.is_empty() => "an unnamed codec",
            Self::Other(name) => name,
        }
    }
}

/// Longest name of an unknown codec that is carried on: those that are registered are shorter.
const NAME_CHARS_MAX: usize = 40;
