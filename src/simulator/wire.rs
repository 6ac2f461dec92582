//! How requests and answers of the contract look in JSON. Holds no state and decides nothing.

use serde::Deserialize;
use serde_json::{Value, json};

use super::catalogue::Track;
use super::course::Style;
use super::entry::Entry;
use super::tier::Kind;

/// Entries `POST sessions` may be asked for.
const CREATE_LIMIT_MAX: u64 = 11;
/// Entries `POST sessions` returns if it is not told.
const CREATE_LIMIT: u64 = 5;
/// Entries `next` and `previous` may be asked for \[O: "up to 10 tracks in advance"\].
const LIST_LIMIT_MAX: usize = 10;

/// `code` of the error that says that another device has the stream: 422 in V1, 429 in V2 \[S\].
pub const MAX_CONCURRENCY: &str = "MAX_CONCURRENCY_REACHED";

/// A refusal in the service's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// `code` of the error body.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Reason of `disableType`, where a bigger subscription would help: the message is made of it.
    pub why: Option<&'static str>,
}

impl Refusal {
    /// 400.
    pub fn bad(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code: "BAD_REQUEST",
            message: message.into(),
            why: None,
        }
    }

    /// 403 because of the tier.
    pub fn tier(why: &'static str) -> Self {
        Self {
            status: 403,
            code: "DENIED_SUBSCRIPTION_TIER",
            message: why.to_owned(),
            why: Some(why),
        }
    }

    /// 404.
    pub fn missing(what: &str) -> Self {
        Self {
            status: 404,
            code: "RESOURCE_NOT_FOUND",
            message: format!("{what} does not exist"),
            why: None,
        }
    }
}

/// The error body.
pub fn error(status: u16, code: &str, message: &str, url: &str, reference: &str) -> Value {
    json!({"error": {"status": status.to_string(), "code": code, "message": message, "url": url,
        "reference": reference, "payload": {}}})
}

/// `playParams` of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlayParams {
    /// MRN of a track or an album.
    pub id: Option<String>,
    /// MRNs of albums or tracks: the context.
    pub container_ids: Option<Vec<String>>,
}

impl PlayParams {
    /// The containers, none if there are none.
    pub fn containers(&self) -> &[String] {
        self.container_ids.as_deref().unwrap_or_default()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    shuffle_mode: Option<String>,
    loop_mode: Option<String>,
    start_as_station: Option<bool>,
    playback_continuation_mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCreate {
    play_params: Option<PlayParams>,
    playback_options: Option<Options>,
    play_options: Option<Options>,
    limit: Option<u64>,
}

/// What `POST sessions` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// What to play.
    pub params: PlayParams,
    /// In which order.
    pub style: Style,
    /// Repeated.
    pub looping: bool,
    /// Other tracks follow at the end.
    pub continues: bool,
    /// Entries to return.
    pub limit: usize,
}

impl Create {
    /// Reads and checks the body of `POST sessions`.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let raw: RawCreate = serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))?;
        let limit = raw.limit.unwrap_or(CREATE_LIMIT);
        if !(1..=CREATE_LIMIT_MAX).contains(&limit) {
            return Err(Refusal::bad(format!(
                "limit {limit} is not within 1 to {CREATE_LIMIT_MAX}"
            )));
        }
        let options = raw.playback_options.or(raw.play_options).unwrap_or_default();
        let shuffled = switch(
            "shuffleMode",
            options.shuffle_mode.as_deref(),
            "SHUFFLE_ON",
            "SHUFFLE_OFF",
        )?;
        let style = if options.start_as_station == Some(true) {
            Style::Station
        } else if shuffled == Some(true) {
            Style::Shuffled
        } else {
            Style::Ordered
        };
        let looping = switch("loopMode", options.loop_mode.as_deref(), "LOOP_ON", "LOOP_OFF")?;
        let continues = options.playback_continuation_mode.as_deref();
        let continues = switch("playbackContinuationMode", continues, "AUTOPLAY_ON", "AUTOPLAY_OFF")?;
        Ok(Self {
            params: checked(raw.play_params)?,
            style,
            looping: looping == Some(true),
            continues: continues == Some(true),
            limit: usize::try_from(limit).unwrap_or(1),
        })
    }
}

fn checked(params: Option<PlayParams>) -> Result<PlayParams, Refusal> {
    let params = params.ok_or_else(|| Refusal::bad("playParams is missing"))?;
    if params.id.is_none() && params.containers().is_empty() {
        return Err(Refusal::bad("playParams has neither id nor containerIds"));
    }
    Ok(params)
}

fn switch(name: &str, value: Option<&str>, on: &str, off: &str) -> Result<Option<bool>, Refusal> {
    match value {
        None => Ok(None),
        Some(value) if value == on => Ok(Some(true)),
        Some(value) if value == off => Ok(Some(false)),
        Some(value) => Err(Refusal::bad(format!("{name} is {value:?}, not {on} or {off}"))),
    }
}

/// Reads the body of `queue/next` and `queue/last`.
pub fn insertion(body: &[u8]) -> Result<PlayParams, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        play_params: Option<PlayParams>,
    }
    let raw: Raw = serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))?;
    checked(raw.play_params)
}

/// Reads the body of `loop` (`loopMode`) and `shuffle` (`shuffleMode`).
pub fn mode(body: &[u8], name: &str, on: &str, off: &str) -> Result<bool, Refusal> {
    let value: Value = serde_json::from_slice(body).map_err(|error| Refusal::bad(error.to_string()))?;
    let value = value.get(name).and_then(Value::as_str);
    switch(name, value, on, off)?.ok_or_else(|| Refusal::bad(format!("{name} is missing")))
}

/// Reads the query of `next` and `previous`.
pub fn limit(query: Option<&str>) -> Result<usize, Refusal> {
    let given = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("limit="));
    let Some(given) = given else { return Ok(1) };
    match given.parse() {
        Ok(limit @ 1..=LIST_LIMIT_MAX) => Ok(limit),
        Ok(_) | Err(_) => Err(Refusal::bad(format!(
            "limit {given} is not within 1 to {LIST_LIMIT_MAX}"
        ))),
    }
}

/// One entry of an answer.
pub fn playable(entry: &Entry, track: &Track, actions: &Value, stream: &Value) -> Value {
    json!({
        "_type": "Playable",
        "entityReferenceId": entry.reference,
        "metricId": entry.metric,
        "entity": entity(entry.kind(), track),
        "playbackInformation": stream,
        "actions": actions,
    })
}

/// The thing that sounds, as entries and views describe it.
pub fn entity(kind: Kind, track: &Track) -> Value {
    let sort = match kind {
        Kind::Track => "Track",
        Kind::Episode => "PodcastEpisode",
        Kind::Ad => "Ad",
        Kind::Interlude => "Interlude",
    };
    let mut entity = json!({
        "_type": sort,
        "id": track.id,
        "title": track.title,
        "artists": [{"name": track.artist}],
        "album": {"title": track.album},
        "images": [],
    });
    if let (Some(ms), Some(object)) = (track.duration_ms, entity.as_object_mut()) {
        object.insert("duration".to_owned(), json!(seconds(ms)));
    }
    entity
}

#[expect(clippy::cast_precision_loss, reason = "lengths of tracks are far below 2^52 ms")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(body: &Value) -> Result<Create, Refusal> {
        Create::parse(body.to_string().as_bytes())
    }

    #[test]
    fn both_spellings_of_the_options_are_taken() {
        for name in ["playbackOptions", "playOptions"] {
            let body = json!({"playParams": {"id": "x"}, name: {"shuffleMode": "SHUFFLE_ON", "loopMode": "LOOP_ON"}});
            let create = create(&body).unwrap();
            assert_eq!((create.style, create.looping), (Style::Shuffled, true), "{name}");
        }
    }

    #[test]
    fn a_station_ignores_the_shuffle_mode() {
        let options = json!({"startAsStation": true, "shuffleMode": "SHUFFLE_ON"});
        let body = json!({"playParams": {"id": "x"}, "playbackOptions": options});
        assert_eq!(create(&body).unwrap().style, Style::Station);
    }

    #[test]
    fn mistakes_are_bad_requests_that_name_them() {
        for (body, word) in [
            (json!({}), "playParams"),
            (json!({"playParams": {}}), "neither"),
            (json!({"playParams": {"containerIds": []}}), "neither"),
            (json!({"playParams": {"id": "x"}, "limit": 0}), "limit 0"),
            (json!({"playParams": {"id": "x"}, "limit": 12}), "limit 12"),
            (
                json!({"playParams": {"id": "x"}, "playOptions": {"loopMode": "YES"}}),
                "loopMode",
            ),
        ] {
            let refusal = create(&body).unwrap_err();
            assert_eq!(refusal.status, 400);
            assert!(refusal.message.contains(word), "{body}: {}", refusal.message);
        }
    }

    #[test]
    fn a_limit_is_one_to_ten() {
        assert_eq!(limit(None), Ok(1));
        assert_eq!(limit(Some("a=1&limit=10")), Ok(10));
        for wrong in ["limit=0", "limit=11", "limit=x", "limit="] {
            assert_eq!(limit(Some(wrong)).unwrap_err().status, 400, "{wrong}");
        }
    }
}
