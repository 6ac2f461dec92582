//! What a media host's answer means: which bytes it brings, or why it brings none. No state, no network.

use tonearm_core::input::MediaFault;
use ureq::http::{HeaderMap, HeaderName, header};

/// Content types that are neither audio nor a manifest, by their beginning. XML counts by its content.
const NO_MEDIA: [&str; 4] = ["text/html", "application/xhtml", "application/json", "text/json"];

/// The part of an answer's head that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// HTTP status.
    pub status: u16,
    /// Content type without parameters, lower case.
    pub content_type: Option<String>,
    /// Something else than the bytes themselves comes (gzip, ...).
    pub encoded: bool,
    /// `Content-Length`.
    pub length: Option<u64>,
    /// `Content-Range`, raw.
    pub content_range: Option<String>,
    /// What changes when the file changes.
    pub validator: Validator,
    /// `Retry-After` in seconds.
    pub retry_after_s: Option<u64>,
}

impl Head {
    /// Picks the head of an answer.
    pub fn of(status: u16, headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let plain = |kind: &str| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Self {
            status,
            content_type: text(header::CONTENT_TYPE).map(plain).filter(|kind| !kind.is_empty()),
            encoded: text(header::CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")),
            length: text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            content_range: text(header::CONTENT_RANGE).map(str::to_owned),
            validator: Validator {
                etag: text(header::ETAG).map(str::to_owned),
                modified: text(header::LAST_MODIFIED).map(str::to_owned),
            },
            retry_after_s: text(header::RETRY_AFTER).and_then(|wait| wait.parse().ok()),
        }
    }
}

/// Marks of one version of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validator {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<String>,
}

impl Validator {
    /// Nothing is known.
    pub const fn is_empty(&self) -> bool {
        self.etag.is_none() && self.modified.is_none()
    }

    /// Whether the two cannot be of one version. The tag decides where both have one; what is missing decides nothing.
    pub fn contradicts(&self, other: &Self) -> bool {
        match (&self.etag, &other.etag) {
            (Some(one), Some(two)) => one != two,
            (Some(_) | None, None) | (None, Some(_)) => {
                self.modified.is_some() && other.modified.is_some() && self.modified != other.modified
            }
        }
    }
}

/// Meaning of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Bytes from `first` on, up to `end` (exclusive) if announced, out of `total` if announced.
    Bytes {
        /// Position of the first byte that comes.
        first: u64,
        /// Position after the last byte that comes.
        end: Option<u64>,
        /// Length of the whole.
        total: Option<u64>,
        /// The host honours ranges.
        ranged: bool,
    },
    /// The range lies outside; the whole has this length, if the host said.
    Outside {
        /// Length of the whole.
        total: Option<u64>,
    },
    /// The host mishandles ranges: ask for the whole.
    NoRanges,
    /// Not now; not before so many seconds if the host named a time.
    Later {
        /// `Retry-After`.
        retry_after_s: Option<u64>,
    },
    /// Never, and why.
    Fault(MediaFault, String),
}

/// Understands an answer.
pub fn meaning(head: &Head) -> Meaning {
    match head.status {
        206 => content_meaning(head).unwrap_or_else(|| partial_meaning(head)),
        200 | 203 => content_meaning(head).unwrap_or(Meaning::Bytes {
            first: 0,
            end: head.length,
            total: head.length,
            ranged: false,
        }),
        416 => Meaning::Outside {
            total: head.content_range.as_deref().and_then(|range| parse_range(range)?.1),
        },
        403 | 410 => Meaning::Fault(MediaFault::Expired, format!("status {}", head.status)),
        408 | 429 | 500..=599 => Meaning::Later {
            retry_after_s: head.retry_after_s,
        },
        status => Meaning::Fault(MediaFault::Unplayable, format!("status {status}")),
    }
}

/// A fault if the content cannot be an audio file.
fn content_meaning(head: &Head) -> Option<Meaning> {
    let kind = head.content_type.as_deref().unwrap_or_default();
    let reason = if head.encoded {
        "the host sends it compressed without being asked to".to_owned()
    } else if NO_MEDIA.iter().any(|no_media| kind.starts_with(no_media)) {
        format!("it is {kind:?}, no audio")
    } else {
        return None;
    };
    Some(Meaning::Fault(MediaFault::Unplayable, reason))
}

fn partial_meaning(head: &Head) -> Meaning {
    match head.content_range.as_deref().and_then(parse_range) {
        Some((Some((first, last)), total)) if first <= last && total.is_none_or(|total| last < total) => {
            Meaning::Bytes {
                first,
                end: last.checked_add(1),
                total,
                ranged: true,
            }
        }
        Some(_) | None => Meaning::NoRanges,
    }
}

/// First and last byte, and the length of the whole.
type ParsedRange = (Option<(u64, u64)>, Option<u64>);

/// `bytes 5-9/20`, `bytes 5-9/*` or `bytes */20`.
fn parse_range(text: &str) -> Option<ParsedRange> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let total = total.trim().parse().ok();
    let range = range
        .split_once('-')
        .and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)));
    Some((range, total))
}

/// Extension of a file of this content type, if it is a known one.
pub fn format_of(kind: &str) -> Option<String> {
    let known = [
        ("audio/mpeg", "mp3"),
        ("audio/mp4", "m4a"),
        ("video/mp4", "mp4"),
        ("audio/flac", "flac"),
        ("audio/x-flac", "flac"),
        ("audio/ogg", "ogg"),
        ("application/ogg", "ogg"),
        ("audio/aac", "aac"),
        ("audio/wav", "wav"),
        ("audio/x-wav", "wav"),
    ];
    known
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, extension)| (*extension).to_owned())
}

/// Whether a body that begins like this is a page, a manifest or JSON instead of audio. No audio format begins so.
pub fn begins_like_text(beginning: &[u8]) -> bool {
    let bare = beginning
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(beginning)
        .trim_ascii_start();
    matches!(bare.first(), Some(b'<' | b'{'))
}

/// Path of an address.
pub fn path_of(url: &str) -> &str {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    let after_scheme = bare.split_once("://").map_or(bare, |(_, rest)| rest);
    after_scheme
        .find('/')
        .and_then(|slash| after_scheme.get(slash..))
        .unwrap_or_default()
}

/// Whether an address is an MPEG-DASH manifest by its name.
pub fn is_manifest(url: &str) -> bool {
    extension_of(url).is_some_and(|extension| extension == "mpd")
}

/// Extension of an address's path, lower case, if it looks like one.
pub fn extension_of(url: &str) -> Option<String> {
    let (_, extension) = path_of(url).rsplit('/').next()?.rsplit_once('.')?;
    let plausible = (1..=5).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plausible.then(|| extension.to_ascii_lowercase())
}

/// An address without its query, which may hold a signature: for logs.
pub fn loggable(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(range: &str) -> Meaning {
        meaning(&Head {
            status: 206,
            content_range: Some(range.into()),
            ..Head::default()
        })
    }

    #[test]
    fn a_whole_and_a_partial_answer_say_which_bytes_come() {
        let whole = Head {
            status: 200,
            length: Some(20),
            ..Head::default()
        };
        let expected = Meaning::Bytes {
            first: 0,
            end: Some(20),
            total: Some(20),
            ranged: false,
        };
        assert_eq!(meaning(&whole), expected);
        let expected = Meaning::Bytes {
            first: 5,
            end: Some(10),
            total: Some(20),
            ranged: true,
        };
        assert_eq!(partial("bytes 5-9/20"), expected);
        let expected = Meaning::Bytes {
            first: 5,
            end: Some(10),
            total: None,
            ranged: true,
        };
        assert_eq!(partial("bytes 5-9/*"), expected);
    }

    #[test]
    fn a_partial_answer_that_contradicts_itself_is_not_believed() {
        for range in [
            "",
            "bytes",
            "bytes 9-5/20",
            "bytes 5-20/20",
            "items 1-2/3",
            "bytes x-y/z",
            "bytes */20",
        ] {
            assert_eq!(partial(range), Meaning::NoRanges, "{range:?}");
        }
        assert_eq!(
            meaning(&Head {
                status: 206,
                ..Head::default()
            }),
            Meaning::NoRanges
        );
    }

    #[test]
    fn each_status_has_its_meaning() {
        let of = |status| {
            meaning(&Head {
                status,
                ..Head::default()
            })
        };
        for status in [403, 410] {
            assert!(matches!(of(status), Meaning::Fault(MediaFault::Expired, _)), "{status}");
        }
        for status in [204, 304, 400, 401, 404, 451] {
            assert!(
                matches!(of(status), Meaning::Fault(MediaFault::Unplayable, _)),
                "{status}"
            );
        }
        for status in [408, 429, 500, 502, 503] {
            assert_eq!(of(status), Meaning::Later { retry_after_s: None }, "{status}");
        }
        let outside = Head {
            status: 416,
            content_range: Some("bytes */7".into()),
            ..Head::default()
        };
        assert_eq!(meaning(&outside), Meaning::Outside { total: Some(7) });
    }

    #[test]
    fn a_version_is_known_by_its_tag_else_by_its_date() {
        let of = |etag: Option<&str>, modified: Option<&str>| Validator {
            etag: etag.map(str::to_owned),
            modified: modified.map(str::to_owned),
        };
        assert!(of(Some("a"), Some("x")).contradicts(&of(Some("b"), Some("x"))));
        assert!(!of(Some("a"), Some("x")).contradicts(&of(Some("a"), Some("y"))));
        assert!(of(None, Some("x")).contradicts(&of(Some("a"), Some("y"))));
        assert!(!of(Some("a"), None).contradicts(&of(None, Some("y"))));
    }

    #[test]
    fn what_is_no_audio_is_a_fault() {
        for kind in ["text/html", "application/json", "application/xhtml+xml"] {
            let head = Head {
                status: 200,
                content_type: Some(kind.into()),
                ..Head::default()
            };
            assert!(
                matches!(meaning(&head), Meaning::Fault(MediaFault::Unplayable, _)),
                "{kind}"
            );
        }
        for kind in [
            "audio/mpeg",
            "application/octet-stream",
            "video/mp4",
            "text/plain",
            "text/xml",
            "application/dash+xml",
        ] {
            let head = Head {
                status: 200,
                content_type: Some(kind.into()),
                ..Head::default()
            };
            assert!(matches!(meaning(&head), Meaning::Bytes { .. }), "{kind}");
        }
    }

    #[test]
    fn pages_and_manifests_are_known_by_their_beginning() {
        for text in ["<!doctype html>", " \n<MPD", "\u{feff}<?xml", "{\"error\":1}"] {
            assert!(begins_like_text(text.as_bytes()), "{text:?}");
        }
        for audio in [
            &b"ID3\x04"[..],
            b"fLaC",
            b"OggS",
            b"RIFF",
            b"\xff\xfb\x90",
            b"\0\0\0\x20ftyp",
            b"",
        ] {
            assert!(!begins_like_text(audio), "{audio:?}");
        }
    }

    #[test]
    fn the_extension_comes_from_the_path_and_not_from_the_query() {
        assert_eq!(
            extension_of("https://h.example/a/b.FLAC?x=c.mp3").as_deref(),
            Some("flac")
        );
        assert_eq!(extension_of("https://h.example"), None);
        assert_eq!(extension_of("https://h.example/a.b/c"), None);
        assert!(is_manifest("https://h/m.mpd?sig=1") && !is_manifest("https://h/m.mp3?x=.mpd"));
    }

    #[test]
    fn a_signature_is_not_logged() {
        assert_eq!(loggable("https://h/a.mp3?sig=secret"), "https://h/a.mp3");
    }
}
