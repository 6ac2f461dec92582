//! Mutations of an answer's body: of its tree first, then of its text.

use serde_json::{Map, Value, json};

use super::rng::Rng;

/// Deepest nesting that is put around a value: beyond what the reader takes (128).
const DEPTH_MAX: u64 = 300;
/// Longest string.
const STRING_BYTES_MAX: u64 = 100_000;

/// What was done to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    Nothing,
    Delete,
    Rename,
    Retarget,
    OtherType,
    Number,
    Text,
    Nest,
    Repeat,
    DoubleKey,
    Escape,
    CutOff,
    Flip,
    Insert,
}

impl Change {
    pub const ALL: [Self; 14] = [
        Self::Nothing,
        Self::Delete,
        Self::Rename,
        Self::Retarget,
        Self::OtherType,
        Self::Number,
        Self::Text,
        Self::Nest,
        Self::Repeat,
        Self::DoubleKey,
        Self::Escape,
        Self::CutOff,
        Self::Flip,
        Self::Insert,
    ];
}

/// Names that fields have somewhere, so that a renamed one means something else.
const NAMES: [&str; 22] = [
    "sessionId",
    "id",
    "playables",
    "next",
    "previous",
    "entities",
    "current",
    "sessions",
    "queues",
    "data",
    "error",
    "entity",
    "entityReferenceId",
    "metricId",
    "actions",
    "isAllowed",
    "playbackInformation",
    "mediaMetadata",
    "url",
    "code",
    "message",
    "duration",
];

/// Numbers at the ends of every range, as they are written.
const NUMBERS: [&str; 12] = [
    "0",
    "-0",
    "-1",
    "255",
    "256",
    "4294967296",
    "18446744073709551616",
    "-9223372036854775809",
    "1e308",
    "-1e-400",
    "1e999",
    "0.1",
];

/// The body after one to three changes, and the last of them.
pub fn mutated(rng: &mut Rng, body: &Value) -> (Vec<u8>, Change) {
    let mut tree = body.clone();
    let mut text = None;
    let mut last = Change::Nothing;
    for _ in 0..rng.between(1, 3) {
        last = Change::ALL[rng.index(Change::ALL.len())];
        match &mut text {
            None if !changes_text(last) => change_tree(rng, &mut tree, last),
            None => text = Some(changed(rng, tree.to_string().into_bytes(), last)),
            Some(text) => *text = changed(rng, std::mem::take(text), last),
        }
    }
    (text.unwrap_or_else(|| tree.to_string().into_bytes()), last)
}

const fn changes_text(change: Change) -> bool {
    matches!(
        change,
        Change::Number | Change::DoubleKey | Change::Escape | Change::CutOff | Change::Flip | Change::Insert
    )
}

/// Every value of a tree, by its place.
fn places(tree: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match tree {
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                places(value, &format!("{here}/{index}"), all);
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{here}/{name}"), all);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn change_tree(rng: &mut Rng, tree: &mut Value, change: Change) {
    let mut all = Vec::new();
    places(tree, "", &mut all);
    let mut place = all[rng.index(all.len())].clone();
    // Most places are deep down, and most of what can go wrong is not: so every other time an ancestor is taken.
    if rng.chance(500) {
        let slashes: Vec<usize> = place.match_indices('/').map(|(at, _)| at).skip(1).collect();
        if let Some(at) = slashes.get(rng.index(slashes.len().max(1))) {
            place.truncate(*at);
        }
    }
    let other = all[rng.index(all.len())].clone();
    let other = tree.pointer(&other).cloned().unwrap_or_default();
    match change {
        Change::Delete | Change::Rename => change_member(rng, tree, &place, change),
        Change::Retarget => replace(tree, &place, |_| other),
        Change::OtherType => {
            let types = [
                json!(null),
                json!(true),
                json!(-7.5),
                json!("true"),
                json!([]),
                json!({}),
                json!([{}]),
            ];
            let value = types[rng.index(types.len())].clone();
            replace(tree, &place, |_| value);
        }
        Change::Text => {
            let text = text(rng);
            replace(tree, &place, |_| Value::String(text));
        }
        Change::Nest => {
            let depth = rng.between(1, DEPTH_MAX);
            let in_lists = rng.chance(500);
            let wrap = |value| {
                if in_lists {
                    json!([value])
                } else {
                    json!({ "data": value })
                }
            };
            replace(tree, &place, |value| (0..depth).fold(value, |value, _| wrap(value)));
        }
        Change::Repeat => {
            // Seldom more than the client reads: it takes long to make.
            let bytes_max = if rng.chance(20) { 2 * 1024 * 1024 } else { 32 * 1024 };
            let copies = 1 + rng.index(bytes_max) / (1 + tree.to_string().len());
            replace(tree, &place, |value| match value.as_array() {
                Some(list) => list.iter().cycle().take(list.len() * copies).cloned().collect(),
                None => Value::Array(vec![value; copies]),
            });
        }
        Change::Nothing
        | Change::Number
        | Change::DoubleKey
        | Change::Escape
        | Change::CutOff
        | Change::Flip
        | Change::Insert => {}
    }
}

fn replace(tree: &mut Value, place: &str, by: impl FnOnce(Value) -> Value) {
    if let Some(value) = tree.pointer_mut(place) {
        *value = by(value.take());
    }
}

/// Deletes or renames what is at `place`, or empties the whole.
fn change_member(rng: &mut Rng, tree: &mut Value, place: &str, change: Change) {
    let Some((parent, name)) = place.rsplit_once('/') else {
        *tree = Value::Object(Map::new());
        return;
    };
    match tree.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            let value = map.remove(&name.replace("~1", "/").replace("~0", "~"));
            if let (Change::Rename, Some(value)) = (change, value) {
                map.insert(NAMES[rng.index(NAMES.len())].to_owned(), value);
            }
        }
        Some(Value::Array(list)) => drop(list.remove(name.parse().unwrap())),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {}
    }
}

/// A text nobody should send.
fn text(rng: &mut Rng) -> String {
    let pieces = [
        "",
        " ",
        "\0",
        "\r\nx-evil: 1",
        "\u{1b}[2J",
        "\u{202e}abc",
        "\u{feff}",
        "ü\u{301}",
        "😀",
        "limit 1 and 3",
        "../..",
        "%00",
        "MAX_CONCURRENCY_REACHED",
        "https://h/x",
        "http://h/",
        "true",
        "9".repeat(400).leak(),
    ];
    let piece = pieces[rng.index(pieces.len())];
    if rng.chance(100) {
        let times = usize::try_from(rng.between(1, STRING_BYTES_MAX)).unwrap() / piece.len().max(1);
        return piece.repeat(times);
    }
    piece.to_owned()
}

fn changed(rng: &mut Rng, mut bytes: Vec<u8>, change: Change) -> Vec<u8> {
    let at = rng.index(bytes.len().max(1));
    match change {
        Change::Number => splice_value(rng, &mut bytes, NUMBERS),
        Change::Escape => splice_value(
            rng,
            &mut bytes,
            [r#""\ud800""#, r#""\u0000\u202e""#, r#""\x""#, "\"\u{7f}\t\""],
        ),
        Change::DoubleKey => {
            let name = NAMES[rng.index(NAMES.len())];
            if let Some(open) = find(&bytes, at, b'{') {
                bytes.splice(
                    open + 1..=open,
                    format!(r#""{name}":[{{"{name}":1}}],"{name}":{{}},"#).into_bytes(),
                );
            }
        }
        Change::CutOff => bytes.truncate(at),
        Change::Flip => {
            for _ in 0..rng.between(1, 20) {
                let at = rng.index(bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.next().to_le_bytes()[0];
                }
            }
        }
        Change::Insert => {
            let pieces: [&[u8]; 6] = [b"\xff\xfe", b"\xef\xbb\xbf", b"\0\0", b"<html>", b"}{", b"//"];
            bytes.splice(at..at, pieces[rng.index(pieces.len())].iter().copied());
        }
        Change::Nothing
        | Change::Delete
        | Change::Rename
        | Change::Retarget
        | Change::OtherType
        | Change::Text
        | Change::Nest
        | Change::Repeat => {}
    }
    bytes
}

/// First `byte` from `at` on.
fn find(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    bytes
        .iter()
        .skip(at)
        .position(|one| *one == byte)
        .map(|found| found + at)
}

/// Puts one of `texts` in the place of a value that ends with a comma.
fn splice_value<const N: usize>(rng: &mut Rng, bytes: &mut Vec<u8>, texts: [&str; N]) {
    let at = rng.index(bytes.len().max(1));
    let value = find(bytes, at, b':').and_then(|colon| Some((colon + 1, find(bytes, colon, b',')?)));
    if let Some((begin, end)) = value {
        bytes.splice(begin..end, texts[rng.index(N)].bytes());
    }
}
