//! The recorded answers, each with the question it answers.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::super::fixture::questions;
use super::super::model::Question;

/// One recorded answer.
pub struct Case {
    /// Name of its file.
    pub name: String,
    /// What it answers; `None`: an event.
    pub question: Option<Question>,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Case {
    pub fn operation(&self) -> &'static str {
        self.question.as_ref().map_or("event", Question::operation)
    }
}

/// All of `tests/answers`.
pub fn recorded() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().map(|file| case(file)).collect()
}

fn case(file: &Path) -> Case {
    let recorded: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let operation = recorded["operation"].as_str().unwrap();
    let question = questions()
        .into_iter()
        .find(|question| question.operation() == operation);
    assert!(
        question.is_some() || operation == "event",
        "{operation} is no operation"
    );
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Case {
        name: file.file_name().unwrap().to_string_lossy().into_owned(),
        question,
        status: u16::try_from(recorded["status"].as_u64().unwrap()).unwrap(),
        headers: recorded["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        body: recorded["body"].clone(),
    }
}

#[test]
fn every_operation_has_a_recorded_answer_that_is_understood() {
    let cases = recorded();
    for question in questions() {
        let understood = |case: &&Case| {
            let body = case.body.to_string();
            case.question.as_ref() == Some(&question)
                && (200..300).contains(&case.status)
                && super::wire::reply(&question, body.as_bytes()).is_ok()
        };
        assert!(cases.iter().any(|case| understood(&case)), "{}", question.operation());
    }
    assert!(cases.iter().any(|case| case.question.is_none()));
}
