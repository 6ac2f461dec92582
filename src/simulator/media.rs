//! The bytes of tracks over HTTP: whole, in ranges, conditionally, and as badly as a fault asks for.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::{Body, Bytes as Chunk};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::catalogue::Track;
use super::faults::Fault;
use super::order::fingerprint;
use super::tags::Bytes;

/// Bytes read and sent at a time.
const CHUNK_BYTES: u64 = 64 * 1024;
/// A slowed body is sent in steps this long.
const SLOW_STEP: Duration = Duration::from_millis(50);
/// Pause before a cut, so that what was sent before it is on its way.
const CUT_PAUSE: Duration = Duration::from_millis(30);

/// Which bytes a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// All of them.
    Whole,
    /// From the first to the last of these, both included.
    Part(u64, u64),
    /// A part that does not exist.
    Beyond,
}

/// Understands one `bytes=` range; anything else (several ranges, other units, nonsense) means the whole file.
fn wanted(range: &str, length: u64) -> Wanted {
    let Some((first, last)) = range
        .strip_prefix("bytes=")
        .and_then(|spec| spec.trim().split_once('-'))
    else {
        return Wanted::Whole;
    };
    let end = length.saturating_sub(1);
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if last < first => Wanted::Whole,
        (Ok(first), _) if first >= length => Wanted::Beyond,
        (Ok(first), Ok(last)) => Wanted::Part(first, last.min(end)),
        (Ok(first), Err(_)) if last.is_empty() => Wanted::Part(first, end),
        (Err(_), Ok(count)) if first.is_empty() && count > 0 && length > 0 => {
            Wanted::Part(length.saturating_sub(count), end)
        }
        (Err(_), Ok(_)) if first.is_empty() => Wanted::Beyond,
        (Ok(_) | Err(_), _) => Wanted::Whole,
    }
}

/// An open track.
enum Opened {
    File(File),
    Builtin(&'static [u8]),
    Made(Chunk),
}

impl Opened {
    fn read(&mut self, at: u64, count: u64) -> io::Result<Chunk> {
        match self {
            Self::File(file) => {
                file.seek(SeekFrom::Start(at))?;
                let mut chunk = Vec::new();
                file.take(count).read_to_end(&mut chunk)?;
                if chunk.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
                }
                Ok(Chunk::from(chunk))
            }
            Self::Builtin(bytes) => bytes
                .get(within(at, count, bytes.len()))
                .map(Chunk::from_static)
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            Self::Made(bytes) => {
                let range = within(at, count, bytes.len());
                let is_there = range.start < range.end;
                let part = is_there.then(|| bytes.slice(range));
                part.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
        }
    }
}

/// So many bytes from here, as far as there are any.
fn within(at: u64, count: u64, length: usize) -> Range<usize> {
    let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(length);
    small(at)..small(at.saturating_add(count))
}

/// Opens a track: its bytes, how many, and a tag that changes when they do.
fn open(track: &Track) -> io::Result<(Opened, u64, String)> {
    match &track.bytes {
        Bytes::File(path) => {
            let file = File::open(path)?;
            let about = file.metadata()?;
            let changed = about
                .modified()
                .ok()
                .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
                .unwrap_or_default();
            let tag = fingerprint(&format!("{}/{}/{}", path.display(), about.len(), changed.as_nanos()));
            Ok((Opened::File(file), about.len(), format!("\"{tag:016x}\"")))
        }
        Bytes::Builtin(bytes) => {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            Ok((Opened::Builtin(bytes), length, format!("\"{}-{length}\"", track.key)))
        }
    }
}

struct Sending {
    from: Opened,
    at: u64,
    left: u64,
    sent: u64,
    cut_after: Option<u64>,
    step: Option<u64>,
}

impl Sending {
    async fn next(mut self) -> io::Result<Option<(Chunk, Self)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut count = self.left.min(CHUNK_BYTES);
        if let Some(step) = self.step {
            tokio::time::sleep(SLOW_STEP).await;
            count = count.min(step);
        }
        if let Some(cut_after) = self.cut_after {
            count = count.min(cut_after.saturating_sub(self.sent));
            if count == 0 {
                tokio::time::sleep(CUT_PAUSE).await;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        let chunk = self.from.read(self.at, count)?;
        let read = u64::try_from(chunk.len()).unwrap_or(count);
        self.at = self.at.saturating_add(read);
        self.left = self.left.saturating_sub(read);
        self.sent = self.sent.saturating_add(read);
        Ok(Some((chunk, self)))
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A GET or HEAD.
pub struct Asked<'a> {
    /// Which of them.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// May cut or slow the body; other faults are carried out elsewhere.
    pub fault: Option<&'a Fault>,
}

/// Answers a request for a track.
pub fn answer(track: &Track, asked: &Asked<'_>) -> Response {
    match open(track) {
        Ok((from, length, tag)) => send(from, length, tag, track.format.mime(), asked),
        Err(error) => {
            log::warn!("media {}: {error}", track.title);
            (StatusCode::NOT_FOUND, "the file of this track is gone\n").into_response()
        }
    }
}

/// Answers a request for something that was made of a track; `name` says which.
pub fn answer_made(bytes: Vec<u8>, name: &str, mime: &str, asked: &Asked<'_>) -> Response {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let tag = format!("\"{:016x}-{length}\"", fingerprint(name));
    send(Opened::Made(Chunk::from(bytes)), length, tag, mime, asked)
}

fn send(from: Opened, length: u64, tag: String, mime: &str, asked: &Asked<'_>) -> Response {
    let Asked { method, headers, fault } = *asked;
    // A condition that does not match (another tag, a date) turns the range into the whole file.
    let same = text(headers, header::IF_RANGE).is_none_or(|condition| condition == tag);
    let wanted = match text(headers, header::RANGE) {
        Some(range) if same => wanted(range, length),
        Some(_) | None => Wanted::Whole,
    };
    let common = [
        (header::CONTENT_TYPE, mime.to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    let (status, first, count, range) = match wanted {
        Wanted::Beyond => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, common, range).into_response();
        }
        Wanted::Whole => (StatusCode::OK, 0, length, None),
        Wanted::Part(first, last) => {
            let count = last.saturating_sub(first).saturating_add(1);
            (
                StatusCode::PARTIAL_CONTENT,
                first,
                count,
                Some(format!("bytes {first}-{last}/{length}")),
            )
        }
    };
    let mut response = (status, common, [(header::CONTENT_LENGTH, count.to_string())]).into_response();
    if let Some(range) = range.and_then(|range| range.parse().ok()) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    if method != Method::HEAD {
        *response.body_mut() = body(from, first, count, fault);
    }
    response
}

fn body(from: Opened, at: u64, left: u64, fault: Option<&Fault>) -> Body {
    let mut sending = Sending {
        from,
        at,
        left,
        sent: 0,
        cut_after: None,
        step: None,
    };
    match fault {
        Some(Fault::Cut { bytes }) => sending.cut_after = Some(*bytes),
        Some(Fault::Slow { bytes_per_s }) => {
            let steps_per_s = u64::try_from(1000 / SLOW_STEP.as_millis().max(1)).unwrap_or(1).max(1);
            sending.step = Some(bytes_per_s.checked_div(steps_per_s).unwrap_or(1).max(1));
        }
        Some(_) | None => {}
    }
    Body::from_stream(stream::try_unfold(sending, Sending::next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood_as_the_standard_says() {
        for (range, expected) in [
            ("bytes=0-9", Wanted::Part(0, 9)),
            ("bytes=90-", Wanted::Part(90, 99)),
            ("bytes=90-500", Wanted::Part(90, 99)),
            ("bytes=-10", Wanted::Part(90, 99)),
            ("bytes=-500", Wanted::Part(0, 99)),
            ("bytes=100-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=9-3", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=x-", Wanted::Whole),
            ("seconds=1-2", Wanted::Whole),
        ] {
            assert_eq!(wanted(range, 100), expected, "{range}");
        }
    }

    #[test]
    fn nothing_is_within_an_empty_file() {
        assert_eq!(wanted("bytes=0-", 0), Wanted::Beyond);
        assert_eq!(wanted("bytes=-5", 0), Wanted::Beyond);
    }
}
