//! Spoils the body of an answer on its way: cut short, slowed down, or of another length than was said.

use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};

use super::faults::Fault;

/// A slowed body is sent in steps this long.
const STEP: Duration = Duration::from_millis(50);
/// Steps in a second.
const STEPS_PER_S: u64 = 20;
/// Pause before the connection breaks, so that what was sent before it is on its way.
const CUT_PAUSE: Duration = Duration::from_millis(30);

/// A body under way.
struct Spoiled {
    from: BodyDataStream,
    waiting: Bytes,
    /// Bytes until it breaks off.
    left: Option<usize>,
    /// Bytes of a step.
    step: Option<usize>,
    /// Pause before the end.
    pause: Duration,
}

impl Spoiled {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while self.waiting.is_empty() {
            match self.from.next().await {
                None => {
                    tokio::time::sleep(self.pause).await;
                    return Ok(None);
                }
                Some(Ok(bytes)) => self.waiting = bytes,
                Some(Err(error)) => return Err(io::Error::other(error)),
            }
        }
        let mut count = self.waiting.len();
        if let Some(step) = self.step {
            tokio::time::sleep(STEP).await;
            count = count.min(step);
        }
        if let Some(left) = &mut self.left {
            count = count.min(*left);
            *left = left.saturating_sub(count);
            if count == 0 {
                tokio::time::sleep(CUT_PAUSE).await;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        let bytes = self.waiting.split_to(count);
        Ok(Some((bytes, self)))
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The range of an answer whose end is missing without anybody saying so: the file seems to be that much shorter.
fn shorten_range(headers: &mut HeaderMap, by: i64) {
    let said = headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let numbers = said.and_then(|range| {
        let (place, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = place.split_once('-')?;
        let numbers = [first, last, total].map(|number| number.parse::<u64>().ok());
        Some((numbers[0]?, numbers[1]?, numbers[2]?))
    });
    let Some((first, last, total)) = numbers else { return };
    let last = last.saturating_add_signed(by).max(first);
    let range = format!("bytes {first}-{last}/{}", total.saturating_add_signed(by));
    if let Ok(range) = HeaderValue::from_str(&range) {
        headers.insert(header::CONTENT_RANGE, range);
    }
}

/// The same answer, spoiled as the fault says. Faults that do not touch the body leave it alone.
pub fn spoil(response: Response, fault: &Fault) -> Response {
    let (mut left, mut step, mut by) = (None, None, 0);
    match fault {
        Fault::Cut { bytes } => left = Some(small(*bytes)),
        Fault::Slow { bytes_per_s } => step = Some(small(bytes_per_s.div_euclid(STEPS_PER_S)).max(1)),
        Fault::WrongLength { by: wrong } => by = *wrong,
        Fault::Status { .. }
        | Fault::Refuse
        | Fault::BlackHole
        | Fault::Close
        | Fault::Delay { .. }
        | Fault::AnswerLost
        | Fault::Garbage { .. }
        | Fault::WrongKey
        | Fault::Lie { .. } => return response,
    }
    let (mut head, body) = response.into_parts();
    let said = head.headers.get(header::CONTENT_LENGTH);
    let said = said.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = said.or_else(|| body.size_hint().exact()) {
        let length = length.saturating_add_signed(by);
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if by < 0 {
        shorten_range(&mut head.headers, by);
    }
    let spoiled = Spoiled {
        from: body.into_data_stream(),
        waiting: Bytes::new(),
        left,
        step,
        // An end that comes too early breaks the connection.
        pause: if by > 0 { CUT_PAUSE } else { Duration::ZERO },
    };
    Response::from_parts(head, Body::from_stream(stream::try_unfold(spoiled, Spoiled::next)))
}
