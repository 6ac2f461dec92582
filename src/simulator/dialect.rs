//! The forms an answer may take: the public text is not certain of them, so a client must read each. Changes the form
//! of an answer, never what it says.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How answers are spelt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// As the documents show them.
    #[default]
    Plain,
    /// Inside a `data` object, with the licence's headers as a map; the end of a queue is 204.
    Wrapped,
    /// Every field by its other name, titles beside the entity, unknown fields and sorts; the end of a queue is 404.
    Aliases,
    /// Every number as a float.
    Floats,
}

/// Which answer it is: some names depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `current`.
    Current,
    /// `next`.
    Next,
    /// `previous`.
    Previous,
    /// Any other.
    Other,
}

/// What goes over the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Spoken {
    /// 200 with this body.
    Body(Value),
    /// 204: nothing comes.
    Nothing,
    /// 404: nothing comes.
    NotFound,
}

impl Dialect {
    /// Puts an answer into words.
    pub fn speak(self, mut answer: Value, form: Form) -> Spoken {
        let is_over = answer
            .get("playables")
            .and_then(Value::as_array)
            .is_some_and(Vec::is_empty);
        match self {
            Self::Plain => Spoken::Body(answer),
            Self::Wrapped if is_over => Spoken::Nothing,
            Self::Wrapped => {
                let headers = json!({"x-sim-licence": "1"});
                each_entry(&mut answer, |entry| licence(entry, "playbackInformation", &headers));
                Spoken::Body(json!({"data": answer}))
            }
            Self::Aliases if is_over => Spoken::NotFound,
            Self::Aliases => {
                each_entry(&mut answer, rename_entry);
                rename_answer(&mut answer, form);
                Spoken::Body(answer)
            }
            Self::Floats => {
                loosen(&mut answer);
                Spoken::Body(answer)
            }
        }
    }
}

fn each_entry(answer: &mut Value, act: impl Fn(&mut Map<String, Value>)) {
    let entries = answer.get_mut("playables").and_then(Value::as_array_mut);
    entries
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
        .for_each(act);
}

fn rename(object: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = object.remove(from) {
        object.insert(to.to_owned(), value);
    }
}

fn licence(entry: &mut Map<String, Value>, stream: &str, headers: &Value) {
    let stream = entry.get_mut(stream).and_then(Value::as_object_mut);
    if let Some(stream) = stream.filter(|stream| !stream.contains_key("licenseUrl")) {
        // Media in the clear have a licence that nobody needs.
        stream.insert("licenseUrl".to_owned(), json!("https://licence.invalid/"));
        stream.insert("licenseHeaders".to_owned(), headers.clone());
    }
}

fn rename_answer(answer: &mut Value, form: Form) {
    let Some(object) = answer.as_object_mut() else { return };
    rename(object, "sessionId", "id");
    match form {
        Form::Current => {
            let entries = object.remove("playables");
            let current = entries.and_then(|entries| entries.get(0).cloned());
            object.insert("current".to_owned(), current.unwrap_or(Value::Null));
        }
        Form::Next => rename(object, "playables", "next"),
        Form::Previous => rename(object, "playables", "previous"),
        Form::Other => rename(object, "playables", "entities"),
    }
    rename(object, "sessions", "queues");
    let sessions = object.get_mut("queues").and_then(Value::as_array_mut);
    for session in sessions.into_iter().flatten().filter_map(Value::as_object_mut) {
        rename(session, "sessionId", "id");
    }
    object.insert("experiment".to_owned(), json!({"cohort": [1, "b", null]}));
}

fn rename_entry(entry: &mut Map<String, Value>) {
    entry.insert("_type".to_owned(), json!("PlayableV7"));
    entry.insert("ratings".to_owned(), json!([{"stars": 4.5}]));
    licence(
        entry,
        "playbackInformation",
        &json!([{"name": "x-sim-licence", "value": "1"}]),
    );
    rename(entry, "playbackInformation", "mediaMetadata");
    if let Some(stream) = entry.get_mut("mediaMetadata").and_then(Value::as_object_mut) {
        rename(stream, "protocol", "mediaType");
        let headers = stream.get("licenseHeaders").and_then(Value::as_object);
        if let Some(headers) = headers {
            let pairs = headers
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}));
            let pairs = pairs.collect();
            stream.insert("licenseHeaders".to_owned(), Value::Array(pairs));
        }
    }
    let Some(entity) = entry.get_mut("entity").and_then(Value::as_object_mut) else {
        return;
    };
    // A sort nobody knows plays like a track; of an advertisement more depends on it.
    if entity.get("_type").is_some_and(|sort| sort == "Track") {
        entity.insert("_type".to_owned(), json!("SpatialTrack"));
    }
    let moved = [
        ("title", "title"),
        ("artists", "artists"),
        ("duration", "durationSeconds"),
    ];
    let moved = moved.map(|(from, to)| (to, entity.remove(from)));
    for (name, value) in moved {
        if let Some(value) = value {
            entry.insert(name.to_owned(), value);
        }
    }
}

/// Whole numbers become floats.
fn loosen(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().and_then(serde_json::Number::from_f64) {
                *number = float;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(loosen),
        Value::Object(object) => object.values_mut().for_each(loosen),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Value {
        json!({"sessionId": "s", "playables": [{
            "_type": "Playable",
            "entity": {"_type": "Track", "title": "t", "duration": 3},
            "playbackInformation": {"url": "u", "protocol": "PROGRESSIVE"},
            "actions": {"next": {"isAllowed": true, "remainingSkips": 6}},
        }]})
    }

    fn body(dialect: Dialect, form: Form) -> Value {
        match dialect.speak(answer(), form) {
            Spoken::Body(body) => body,
            other @ (Spoken::Nothing | Spoken::NotFound) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_list_is_named_after_its_answer() {
        for (form, name) in [
            (Form::Next, "next"),
            (Form::Previous, "previous"),
            (Form::Other, "entities"),
        ] {
            assert!(body(Dialect::Aliases, form)[name].is_array(), "{name}");
        }
        assert!(body(Dialect::Aliases, Form::Current)["current"].is_object());
    }

    #[test]
    fn every_field_has_another_name() {
        let body = body(Dialect::Aliases, Form::Next);
        let entry = &body["next"][0];
        assert_eq!(
            (&body["id"], &entry["title"], &entry["durationSeconds"]),
            (&json!("s"), &json!("t"), &json!(3))
        );
        assert_eq!(entry["mediaMetadata"]["mediaType"], "PROGRESSIVE");
    }

    #[test]
    fn a_licence_that_is_needed_keeps_its_address_and_changes_its_form() {
        let mut answer = answer();
        let stream = &mut answer["playables"][0]["playbackInformation"];
        stream["licenseUrl"] = json!("http://licence");
        stream["licenseHeaders"] = json!({"x": "1"});
        let Spoken::Body(wrapped) = Dialect::Wrapped.speak(answer.clone(), Form::Next) else {
            panic!("an answer");
        };
        let kept = &wrapped["data"]["playables"][0]["playbackInformation"];
        assert_eq!(
            (&kept["licenseUrl"], &kept["licenseHeaders"]["x"]),
            (&json!("http://licence"), &json!("1"))
        );
        let Spoken::Body(listed) = Dialect::Aliases.speak(answer, Form::Next) else {
            panic!("an answer");
        };
        assert_eq!(
            listed["next"][0]["mediaMetadata"]["licenseHeaders"],
            json!([{"name": "x", "value": "1"}])
        );
    }

    #[test]
    fn every_number_is_a_float() {
        let body = body(Dialect::Floats, Form::Next);
        let entry = &body["playables"][0];
        assert!(entry["entity"]["duration"].is_f64());
        assert!(entry["actions"]["next"]["remainingSkips"].is_f64());
    }

    #[test]
    fn the_end_of_a_queue_is_said_in_three_ways() {
        let end = json!({"sessionId": "s", "playables": []});
        assert_eq!(Dialect::Plain.speak(end.clone(), Form::Next), Spoken::Body(end.clone()));
        assert_eq!(Dialect::Wrapped.speak(end.clone(), Form::Next), Spoken::Nothing);
        assert_eq!(Dialect::Aliases.speak(end, Form::Next), Spoken::NotFound);
    }
}
