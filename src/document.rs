//! Reads a TOML document key by key and collects every mistake with its line, instead of stopping at the first.
//!
//! It knows nothing of what the keys mean: the configuration and the board file say which keys they read, and
//! whatever they did not ask for is a mistake. It never fills in a default and never repairs a value.

use std::cell::{Cell, RefCell};
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use mistake::{DocumentError, Mistake, text_of};

mod mistake;

/// What `meaning` makes of the document `text`; `path` is only named in the error.
///
/// # Errors
/// The text is not TOML, or `meaning` noted a mistake: all of them are listed.
pub fn read<T>(path: &Path, text: &str, meaning: impl FnOnce(&Table) -> T) -> Result<T, DocumentError> {
    let wrong = |mut mistakes: Vec<Mistake>| {
        mistakes.sort();
        mistakes.dedup();
        DocumentError::Wrong {
            path: path.to_owned(),
            mistakes,
        }
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mistake = |error: &toml::de::Error| Mistake {
            line: line_at(text, error.span().map_or(0, |span| span.start)),
            key: String::new(),
            text: error.message().replace('\n', ", "),
        };
        return Err(wrong(errors.iter().map(mistake).collect()));
    }
    let log = Log {
        text,
        mistakes: RefCell::new(Vec::new()),
    };
    let root = Table::new(&log, String::new(), table.get_ref(), 1);
    let value = meaning(&root);
    root.refuse_unknown_keys();
    drop(root);
    let mistakes = log.mistakes.into_inner();
    if mistakes.is_empty() {
        Ok(value)
    } else {
        Err(wrong(mistakes))
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

struct Log<'a> {
    text: &'a str,
    mistakes: RefCell<Vec<Mistake>>,
}

impl Log<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        line_at(self.text, span.start)
    }
}

/// One table of the document. Each key that is asked for becomes a valid key of it; dropping it reports the others.
pub struct Table<'a> {
    log: &'a Log<'a>,
    name: String,
    entries: &'a DeTable<'a>,
    line: usize,
    known: RefCell<Vec<&'static str>>,
    closed: Cell<bool>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// The value.
    pub value: T,
    key: String,
    line: usize,
}

impl<'a> Table<'a> {
    fn new(log: &'a Log<'a>, name: String, entries: &'a DeTable<'a>, line: usize) -> Self {
        Self {
            log,
            name,
            entries,
            line,
            known: RefCell::default(),
            closed: Cell::new(false),
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    fn note(&self, line: usize, key: String, text: String) {
        self.log.mistakes.borrow_mut().push(Mistake { line, key, text });
    }

    /// Notes that a value that could be read means nothing valid.
    pub fn refuse<T>(&self, found: &Found<T>, text: impl Into<String>) {
        self.note(found.line, found.key.clone(), text.into());
    }

    /// Notes that the table as a whole is wrong: two keys that exclude each other, one of several that is missing.
    pub fn refuse_whole(&self, text: impl Into<String>) {
        self.note(self.line, self.name.clone(), text.into());
    }

    /// Notes a value that is valid in itself but that this version cannot follow.
    pub fn refuse_unsupported(&self, key: &'static str, advice: &str) {
        if let Some(value) = self.get(key) {
            self.note(
                self.log.line(&value.span()),
                self.path_of(key),
                format!("not supported by this version; {advice}"),
            );
        }
    }

    fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        self.entries
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    fn take<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<Found<T>> {
        let value = self.get(key)?;
        let line = self.log.line(&value.span());
        let path = self.path_of(key);
        if let Some(value) = read(value.get_ref()) {
            return Some(Found { value, key: path, line });
        }
        self.note(
            line,
            path,
            format!("found {}, expected {expected}", shown(value.get_ref())),
        );
        None
    }

    /// Whether the key stands in the document, whatever its value.
    pub fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// Whether the key stands in the document with this very word.
    pub fn is_text(&self, key: &'static str, word: &str) -> bool {
        self.get(key)
            .is_some_and(|value| value.get_ref().as_str() == Some(word))
    }

    /// A text that is not empty.
    pub fn text(&self, key: &'static str, expected: &str) -> Option<Found<String>> {
        self.take(key, expected, |value| {
            value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
        })
    }

    /// A text that must be there.
    pub fn text_required(&self, key: &'static str, expected: &str) -> Option<Found<String>> {
        self.require(key, expected);
        self.text(key, expected)
    }

    fn require(&self, key: &'static str, expected: &str) {
        if !self.has(key) {
            self.note(self.line, self.path_of(key), format!("missing, expected {expected}"));
        }
    }

    /// A whole number within `range`.
    pub fn whole(&self, key: &'static str, range: &RangeInclusive<u32>, unit: &str) -> Option<u32> {
        let unit = if unit.is_empty() {
            String::new()
        } else {
            format!(" {unit}")
        };
        let expected = format!("a whole number from {} to {}{unit}", range.start(), range.end());
        let found = self.take(key, &expected, |value| {
            whole(value).filter(|number| range.contains(number))
        });
        found.map(|found| found.value)
    }

    /// A whole number or a name.
    pub fn whole_or_text(&self, key: &'static str, expected: &str) -> Option<Found<WholeOrText>> {
        self.require(key, expected);
        self.take(key, expected, |value| {
            let text = || {
                value
                    .as_str()
                    .filter(|text| !text.is_empty())
                    .map(|text| WholeOrText::Text(text.to_owned()))
            };
            whole(value).map(WholeOrText::Whole).or_else(text)
        })
    }

    /// `true` or `false`, as what each of them means.
    pub fn either<T>(&self, key: &'static str, when_true: T, when_false: T) -> Option<T> {
        let found = self.take(key, "true or false", DeValue::as_bool)?;
        Some(if found.value { when_true } else { when_false })
    }

    /// One of the words of `choices`.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let found = self.take(key, &any_of(choices.iter().map(|(word, _)| *word)), |value| {
            value.as_str().map(str::to_owned)
        })?;
        let hit = choices
            .iter()
            .find(|(word, _)| *word == found.value)
            .map(|(_, meaning)| *meaning);
        if hit.is_none() {
            self.refuse_choice(&found, choices.iter().map(|(word, _)| *word));
        }
        hit
    }

    /// Notes that `found` is none of `words`, and which of them is the nearest.
    pub fn refuse_choice<'w>(&self, found: &Found<String>, words: impl Iterator<Item = &'w str> + Clone) {
        let near =
            nearest(&found.value, words.clone()).map_or(String::new(), |word| format!("; did you mean {word:?}?"));
        self.refuse(
            found,
            format!("found {:?}, expected {}{near}", found.value, any_of(words)),
        );
    }

    /// A list of texts, none of them empty.
    pub fn texts(&self, key: &'static str, expected: &str) -> Option<Found<Vec<String>>> {
        let text = |value: &DeValue| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        self.take(key, expected, |value| {
            value.as_array()?.iter().map(|value| text(value.get_ref())).collect()
        })
    }

    /// The table `key`, written `[key]` or `key = { … }`. `None` where it is not there.
    pub fn table(&self, key: &'static str) -> Option<Self> {
        let found = self.take(key, "a table", DeValue::as_table)?;
        Some(Self::new(self.log, found.key, found.value, found.line))
    }

    /// The tables `[[key]]`, in their order.
    pub fn tables(&self, key: &'static str) -> Vec<Self> {
        let expected = format!("tables, each begun with [[{key}]]");
        let found = self.take(key, &expected, |value| {
            let members = value.as_array()?.iter();
            members
                .map(|value| Some((value.get_ref().as_table()?, value.span())))
                .collect::<Option<Vec<_>>>()
        });
        let Some(found) = found else { return Vec::new() };
        let numbered = found.value.into_iter().enumerate();
        numbered
            .map(|(index, (entries, span))| {
                let name = format!("{}[{}]", found.key, index + 1);
                Self::new(self.log, name, entries, self.log.line(&span))
            })
            .collect()
    }

    fn refuse_unknown_keys(&self) {
        if self.closed.replace(true) {
            return;
        }
        let mut known = self.known.borrow().clone();
        known.sort_unstable();
        known.dedup();
        for (name, _) in self.entries {
            let key = name.get_ref().as_ref();
            if !known.contains(&key) {
                let near = nearest(key, known.iter().copied());
                let near = near.map_or(String::new(), |word| format!("; did you mean \"{word}\"?"));
                let text = format!("unknown key{near} (valid: {})", known.join(", "));
                self.note(self.log.line(&name.span()), self.path_of(key), text);
            }
        }
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        self.refuse_unknown_keys();
    }
}

/// A value that may be a number or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WholeOrText {
    /// A number.
    Whole(u32),
    /// A name, not empty.
    Text(String),
}

fn whole(value: &DeValue) -> Option<u32> {
    let integer = value.as_integer()?;
    u32::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn shown(value: &DeValue) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn any_of<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.map(|word| format!("{word:?}")).collect();
    match words.as_slice() {
        [only] => only.clone(),
        words => format!("one of {}", words.join(", ")),
    }
}

/// The word that was probably meant, if one is near enough to be worth a question.
pub fn nearest<'w>(found: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let found = plain(found);
    let distance = |word: &str| strsim::damerau_levenshtein(&found, &plain(word));
    let (distance, word) = words.map(|word| (distance(word), word)).min()?;
    (distance <= found.chars().count().div_ceil(3)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str, meaning: impl FnOnce(&Table)) -> Vec<String> {
        match read(Path::new("a.toml"), text, meaning) {
            Ok(()) => Vec::new(),
            Err(DocumentError::Wrong { mistakes, .. }) => mistakes.iter().map(ToString::to_string).collect(),
            Err(error @ DocumentError::Read { .. }) => panic!("{error}"),
        }
    }

    #[test]
    fn every_mistake_is_listed_with_its_line() {
        let found = mistakes("ahead = 12\n\n[page]\nlisten = 7\nhostnme = \"a\"\n", |root| {
            root.whole("ahead", &(1..=10), "");
            let page = root.table("page").unwrap();
            page.text("listen", "an address");
            page.text("hostname", "a name");
        });
        assert_eq!(
            found,
            [
                "line 1: ahead: found 12, expected a whole number from 1 to 10",
                "line 4: page.listen: found 7, expected an address",
                "line 5: page.hostnme: unknown key; did you mean \"hostname\"? (valid: hostname, listen)",
            ]
        );
    }

    #[test]
    fn a_table_nobody_asks_for_is_a_mistake() {
        let found = mistakes("[servce]\nkey = 1\n", |root| assert!(root.table("service").is_none()));
        assert_eq!(
            found,
            ["line 1: servce: unknown key; did you mean \"service\"? (valid: service)"]
        );
    }

    #[test]
    fn text_that_is_not_toml_names_its_line() {
        let found = mistakes("a = 1\nb = = 2\n", |_| {});
        assert!(found.first().unwrap().starts_with("line 2: "), "{found:?}");
    }

    #[test]
    fn a_choice_lists_the_valid_words_and_the_nearest() {
        let found = mistakes("bias = \"pullup\"", |root| {
            root.choice("bias", &[("pull-up", 1), ("pull-down", 2)]);
        });
        let expected = "found \"pullup\", expected one of \"pull-up\", \"pull-down\"; did you mean \"pull-up\"?";
        assert_eq!(found, [format!("line 1: bias: {expected}")]);
    }

    #[test]
    fn a_missing_key_is_reported_at_its_table() {
        let found = mistakes("\n[[button]]\n", |root| {
            for button in root.tables("button") {
                button.text_required("action", "what it does");
            }
        });
        assert_eq!(found, ["line 2: button[1].action: missing, expected what it does"]);
    }

    #[test]
    fn numbers_may_be_written_in_every_way_of_toml() {
        read(Path::new("a.toml"), "a = 48_000\nb = 0xFF", |root| {
            assert_eq!(root.whole("a", &(0..=192_000), ""), Some(48_000));
            assert_eq!(root.whole("b", &(0..=255), ""), Some(255));
        })
        .unwrap();
    }

    #[test]
    fn a_number_that_does_not_fit_is_shown_as_written() {
        let found = mistakes("a = -3\nb = 99999999999999999999", |root| {
            root.whole("a", &(0..=9), "ms");
            root.whole("b", &(0..=9), "");
        });
        assert_eq!(
            found.first().unwrap(),
            "line 1: a: found -3, expected a whole number from 0 to 9 ms"
        );
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
