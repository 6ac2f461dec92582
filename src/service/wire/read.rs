//! Answers that are read: every alias of every field, as tables. Nothing is sent here, and nothing panics on any input.
//!
//! Fields are picked by hand instead of by derived types: an answer may carry two aliases of one field, which a
//! derived type takes for an error, and one field of a surprising type must not cost the whole answer.

use serde_json::{Map, Value};
use thiserror::Error;
use tonearm_core::entry::{Actions, Denial, Kind, Permission};
use tonearm_core::input::Sounding;
use tonearm_core::unit::Millis;

use super::super::model::{ActiveSession, Licence, Opened, Playable, Protocol, Stream};

type Object = Map<String, Value>;
/// Names a field may have, best first.
type Names = &'static [&'static str];

const SESSION: Names = &["sessionId", "id"]; // [S]
const LIST: Names = &["playables", "next", "previous", "entities"]; // [S]
const CURRENT: Names = &["current"]; // [S]
const SESSIONS: Names = &["sessions", "queues"]; // [A]
const REFERENCE: Names = &["entityReferenceId"]; // [O]
const METRIC: Names = &["metricId"]; // [S]
const ENTITY: Names = &["entity"]; // [S]
const ENTITY_CURRENT: Names = &["currentEntity"]; // [A]
const ENTITY_ID: Names = &["id"]; // [S]
const TITLE: Names = &["title", "name"]; // [S]
const ARTISTS: Names = &["artists", "artist"]; // [S]
const ALBUM: Names = &["album"]; // [S]
const DURATION_SECONDS: Names = &["durationSeconds", "duration"]; // [S]
const STREAM: Names = &["playbackInformation", "mediaMetadata"]; // [S]
const PROTOCOL: Names = &["protocol", "mediaType"]; // [S]
const DRM: Names = &["drmType"]; // [S]
/// Word of [`DRM`] for media that are not encrypted, whatever else is said of a licence \[A\].
const CLEAR: &str = "NONE";
const LICENCE_URL: Names = &["licenseUrl", "licenceUrl"]; // [S]
const LICENCE_HEADERS: Names = &["licenseHeaders", "licenceHeaders"]; // [S]
const QUEUE_STATE: Names = &["queueState"]; // [A]

/// A 2xx answer that does not hold what was asked for.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// Not JSON.
    #[error("the answer is not JSON")]
    Json(#[from] serde_json::Error),
    /// JSON of another shape.
    #[error("the answer holds no {0}")]
    Missing(&'static str),
}

/// Answer to create.
pub fn opened(body: &[u8]) -> Result<Opened, Unreadable> {
    let json = parse(body)?;
    let answer = json.as_object().ok_or(Unreadable::Missing("object"))?;
    let session = text(answer, SESSION).ok_or(Unreadable::Missing("session id"))?;
    Ok(Opened {
        session,
        playables: entries(answer).unwrap_or_default(),
    })
}

/// Answer to current, next, previous and queue. An empty body is an empty list: the queue ends.
pub fn playables(body: &[u8]) -> Result<Vec<Playable>, Unreadable> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    match parse(body)? {
        Value::Array(list) => Ok(playable_list(&list)),
        Value::Object(answer) => entries(&answer).ok_or(Unreadable::Missing("list of entries")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(Unreadable::Missing("list of entries"))
        }
    }
}

/// Answer to active.
pub fn sessions(body: &[u8]) -> Result<Vec<ActiveSession>, Unreadable> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let json = parse(body)?;
    let list = match json.as_object() {
        Some(answer) => pick(answer, SESSIONS).and_then(Value::as_array),
        None => json.as_array(),
    };
    let list = list.ok_or(Unreadable::Missing("list of sessions"))?;
    Ok(list
        .iter()
        .filter_map(Value::as_object)
        .filter_map(active_session)
        .collect())
}

/// JSON without the optional `data` envelope \[A\].
fn parse(body: &[u8]) -> Result<Value, Unreadable> {
    let mut json: Value = serde_json::from_slice(body)?;
    match json.get_mut("data").map(Value::take) {
        Some(inner @ (Value::Object(_) | Value::Array(_))) => Ok(inner),
        Some(_) | None => Ok(json),
    }
}

/// First of `names` that is there and not null.
fn pick(object: &Object, names: Names) -> Option<&Value> {
    names
        .iter()
        .find_map(|name| object.get(*name).filter(|value| !value.is_null()))
}

/// First of `names` that is a string with something in it; a number counts as its digits.
fn text(object: &Object, names: Names) -> Option<String> {
    names.iter().find_map(|name| plain(object.get(*name)?))
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number that may be written as an integer, a float or a string.
fn number(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())
        .filter(|number| number.is_finite())
}

/// A truth that may be written as a boolean or a string.
fn truth(value: &Value) -> bool {
    value
        .as_bool()
        .unwrap_or_else(|| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true")))
}

/// Current entry and list of an answer; `None` if it has neither.
fn entries(answer: &Object) -> Option<Vec<Playable>> {
    let current = pick(answer, CURRENT).and_then(Value::as_object).map(playable);
    let list = LIST.iter().find_map(|name| answer.get(*name)?.as_array());
    let bare = || {
        pick(answer, REFERENCE)
            .or_else(|| pick(answer, STREAM))
            .map(|_| vec![playable(answer)])
    };
    let list = match (list, &current) {
        (Some(list), _) => playable_list(list),
        (None, Some(_)) => Vec::new(),
        (None, None) => return known_empty(answer).or_else(|| Some(bare()?.into_iter().flatten().collect())),
    };
    let mut all: Vec<Playable> = current.flatten().into_iter().collect();
    let repeated = all
        .first()
        .is_some_and(|one| list.first().is_some_and(|first| first.reference == one.reference));
    all.extend(list.into_iter().skip(usize::from(repeated)));
    Some(all)
}

/// A list or a current entry that is named but null is an empty one.
fn known_empty(answer: &Object) -> Option<Vec<Playable>> {
    LIST.iter()
        .chain(CURRENT)
        .any(|name| answer.get(*name).is_some_and(Value::is_null))
        .then(Vec::new)
}

fn playable_list(list: &[Value]) -> Vec<Playable> {
    let read: Vec<Playable> = list.iter().filter_map(|item| playable(item.as_object()?)).collect();
    if read.len() < list.len() {
        log::warn!(
            "service: {} of {} entries have nothing to know them by",
            list.len() - read.len(),
            list.len()
        );
    }
    read
}

/// One entry; `None` only if there is no id and no address at all, so that it could neither play nor be reported.
fn playable(item: &Object) -> Option<Playable> {
    let empty = Object::new();
    let entity = pick(item, ENTITY).and_then(Value::as_object).unwrap_or(&empty);
    let either = |names: Names| text(item, names).or_else(|| text(entity, names));
    let stream = stream(item).or_else(|| stream(entity));
    let metric_id = either(METRIC);
    let reference = either(REFERENCE)
        .or_else(|| metric_id.clone())
        .or_else(|| text(entity, ENTITY_ID))
        .or_else(|| text(item, ENTITY_ID))
        .or_else(|| stream.as_ref().map(|stream| stream.url.clone()))?;
    Some(Playable {
        reference,
        metric_id,
        kind: kind(entity).or_else(|| kind(item)).unwrap_or_default(),
        title: either(TITLE),
        artist: names(item, ARTISTS).or_else(|| names(entity, ARTISTS)),
        album: names(item, ALBUM).or_else(|| names(entity, ALBUM)),
        duration: duration(item).or_else(|| duration(entity)),
        actions: pick(item, &["actions"])
            .and_then(Value::as_object)
            .map(actions)
            .unwrap_or_default(),
        stream,
    })
}

/// `_type` \[S\]; an unknown word plays like a track.
fn kind(entity: &Object) -> Option<Kind> {
    match entity.get("_type")?.as_str()? {
        "Track" => Some(Kind::Track),
        "PodcastEpisode" | "Episode" => Some(Kind::Episode),
        "Ad" => Some(Kind::Ad),
        "Interlude" => Some(Kind::Interlude),
        _ => None,
    }
}

/// A name, an object with a name or title, or a list of those joined with commas.
fn names(object: &Object, fields: Names) -> Option<String> {
    fn one(value: &Value) -> Option<String> {
        plain(value).or_else(|| text(value.as_object()?, &["name", "title"]))
    }
    let value = pick(object, fields)?;
    let Some(list) = value.as_array() else {
        return one(value);
    };
    Some(list.iter().filter_map(one).collect::<Vec<_>>().join(", ")).filter(|joined| !joined.is_empty())
}

/// Seconds, possibly with a fraction; nonsense counts as not said.
fn duration(object: &Object) -> Option<Millis> {
    let seconds = DURATION_SECONDS.iter().find_map(|name| number(object.get(*name)?))?;
    let ms = (seconds * 1000.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked just before"
    )]
    (ms >= 1.0 && ms <= f64::from(u32::MAX)).then_some(Millis(ms as u32))
}

/// `actions` \[P\]; what is not mentioned is not allowed \[A\].
fn actions(actions: &Object) -> Actions {
    let of = |name: &str| actions.get(name).map(permission).unwrap_or_default();
    Actions {
        next: of("next"),
        previous: of("previous"),
        scrub_forward: of("scrubForward"),
        scrub_backward: of("scrubBackward"),
        loop_all: of("loopAll"),
        shuffle: of("shuffle"),
    }
}

fn permission(action: &Value) -> Permission {
    if action.get("isAllowed").is_some_and(truth) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` stops at the ends of u8"
        )]
        let remaining = action.get("remainingSkips").and_then(number).map(|left| left as u8);
        return Permission::Allowed { remaining };
    }
    Permission::Denied(match action.get("disableType").and_then(Value::as_str) {
        Some("NO_MORE_SKIPS") => Denial::NoMoreSkips,
        Some(word) if word.starts_with("NEED_AMAZON_MUSIC_") => Denial::NeedsSubscription,
        Some(_) | None => Denial::Unavailable,
    })
}

/// The first stream with an address.
fn stream(item: &Object) -> Option<Stream> {
    let value = pick(item, STREAM)?;
    let object = match value.as_array() {
        Some(list) => list
            .iter()
            .filter_map(Value::as_object)
            .find(|one| text(one, &["url"]).is_some())?,
        None => value.as_object()?,
    };
    let url = text(object, &["url"])?;
    let word = text(object, PROTOCOL).unwrap_or_default().to_ascii_uppercase();
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let dash = word.contains("DASH") || path.to_ascii_lowercase().ends_with(".mpd");
    let protocol = if dash { Protocol::Dash } else { Protocol::File };
    let drm = text(object, DRM);
    let licence = text(object, LICENCE_URL)
        .filter(|_| drm.as_deref() != Some(CLEAR))
        .map(|url| Licence {
            drm,
            url,
            headers: pick(object, LICENCE_HEADERS).map(headers).unwrap_or_default(),
        });
    Some(Stream {
        url,
        protocol,
        format: text(object, &["format"]),
        licence,
    })
}

/// `{"name": "value"}`, `[["name", "value"]]` or `[{"name": "…", "value": "…"}]` \[A\].
fn headers(value: &Value) -> Vec<(String, String)> {
    fn pair(item: &Value) -> Option<(String, String)> {
        match item {
            Value::Array(pair) => Some((plain(pair.first()?)?, plain(pair.get(1)?)?)),
            Value::Object(pair) => Some((text(pair, &["name", "key"])?, text(pair, &["value"])?)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }
    match value {
        Value::Object(map) => map
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), plain(value)?)))
            .collect(),
        Value::Array(list) => list.iter().filter_map(pair).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn active_session(item: &Object) -> Option<ActiveSession> {
    let empty = Object::new();
    let entity = pick(item, ENTITY_CURRENT).and_then(Value::as_object).unwrap_or(&empty);
    let state = pick(item, QUEUE_STATE).and_then(Value::as_object).unwrap_or(&empty);
    let is = |name: &str, word: &str| state.get(name).and_then(Value::as_str) == Some(word);
    Some(ActiveSession {
        session: text(item, SESSION)?,
        reference: text(item, REFERENCE).or_else(|| text(entity, REFERENCE)),
        kind: kind(entity).unwrap_or_default(),
        title: text(entity, TITLE),
        device: text(item, &["deviceId"]),
        shuffle: is("shuffleMode", "SHUFFLE_ON"),
        looping: is("loopMode", "LOOP_ON"),
        sounding: sounding(state),
    })
}

/// `playbackState` \[A\]; a word of which nothing is known says nothing.
fn sounding(state: &Object) -> Sounding {
    match text(state, &["playbackState"]).as_deref() {
        Some("PLAYING") => Sounding::Yes,
        Some("PAUSED" | "STOPPED") => Sounding::No,
        Some(_) | None => Sounding::Unsaid,
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
