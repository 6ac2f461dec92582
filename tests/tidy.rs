//! The rules of the house that a compiler does not know, as ordinary tests. A failure names file, line and rule.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;

/// Adapters: each knows the core and none of the others.
const ADAPTERS: [&str; 8] = [
    "service",
    "media",
    "audio",
    "cdm",
    "device",
    "journal",
    "page",
    "simulator",
];
/// Lines of a file. Longer ones have more than one job.
const LINES_MAX: usize = 500;
/// Words that say a thing is not finished, put together so that this file passes its own test.
const UNFINISHED: [&str; 4] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

struct File {
    /// From the top of the repository.
    name: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folder`, none where there is no such folder.
fn rust_files(folder: &str) -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path());
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(File {
                    name: name_of(&path),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

fn name_of(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn all_files() -> Vec<File> {
    let files: Vec<_> = ["src", "tests", "benches", "fuzz"]
        .into_iter()
        .flat_map(rust_files)
        .collect();
    assert!(files.len() > 10, "the files are not where this test looks");
    files
}

/// The part of a file that ships: its unit tests stand last.
fn shipped(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// Lines that hold code, with their numbers; what follows `//` is left out.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or(line)))
}

#[track_caller]
fn none(violations: &[String], rule: &str) {
    assert!(violations.is_empty(), "{rule}\n  {}", violations.join("\n  "));
}

/// First segments of the paths that a line uses, such as `std` in `use std::fs;` and `let a = std::fs::read(…)`.
fn roots_of_paths(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("::").filter_map(move |(at, _)| {
        let before = &line[..at];
        let start = before
            .rfind(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
            .map_or(0, |start| start + 1);
        let is_first = !before[..start].ends_with("::");
        (is_first && start < at).then(|| &before[start..])
    })
}

#[test]
fn the_core_uses_no_crate_but_heapless() {
    let crates = crates_of_the_manifest();
    let mut violations = Vec::new();
    for file in rust_files("src/core") {
        for (number, line) in code_lines(shipped(&file.text)) {
            for root in roots_of_paths(line) {
                let is_foreign = ["std", "alloc"].contains(&root) || crates.iter().any(|name| name == root);
                if is_foreign && root != "heapless" {
                    violations.push(format!("{}:{number}: {root}", file.name));
                }
            }
        }
    }
    none(&violations, "src/core may use core, its own modules and heapless");
}

#[test]
fn the_core_is_without_std_and_without_alloc() {
    let text = fs::read_to_string(root().join("src/core/lib.rs")).unwrap();
    assert!(
        text.contains("\n#![no_std]\n"),
        "src/core/lib.rs must begin with #![no_std]"
    );
    let shipped = text.replace("#[cfg(test)]\nextern crate std;", "");
    assert!(
        !shipped.contains("extern crate"),
        "src/core/lib.rs brings in another crate"
    );
}

#[test]
fn adapters_do_not_know_each_other() {
    let mut violations = Vec::new();
    for adapter in ADAPTERS {
        let own_files = rust_files(&format!("src/{adapter}"))
            .into_iter()
            .chain(single_file(adapter));
        for file in own_files {
            for (number, line) in code_lines(&file.text) {
                let others = ADAPTERS.iter().filter(|other| **other != adapter);
                for other in others.filter(|other| line.contains(&format!("crate::{other}"))) {
                    violations.push(format!("{}:{number}: uses {other}", file.name));
                }
            }
        }
    }
    none(
        &violations,
        "an adapter knows the core, never another adapter; main and app bring them together",
    );
}

fn single_file(adapter: &str) -> Option<File> {
    let path = root().join(format!("src/{adapter}.rs"));
    let text = fs::read_to_string(&path).ok()?;
    Some(File {
        name: name_of(&path),
        text,
    })
}

#[test]
fn no_file_is_too_long() {
    let count = |file: &File| file.text.lines().count();
    let long: Vec<_> = all_files()
        .iter()
        .filter(|file| count(file) > LINES_MAX)
        .map(|file| format!("{}: {} lines", file.name, count(file)))
        .collect();
    none(&long, "a file has one job and at most 500 lines");
}

#[test]
fn every_file_begins_with_its_job() {
    let silent: Vec<_> = all_files()
        .into_iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.name)
        .collect();
    none(&silent, "a file begins with //! and its one job");
}

#[test]
fn nothing_is_left_unfinished() {
    let mut violations = Vec::new();
    for file in all_files() {
        for (index, line) in file.text.lines().enumerate() {
            if UNFINISHED.iter().any(|word| line.contains(word)) {
                violations.push(format!("{}:{}: {}", file.name, index + 1, line.trim()));
            }
        }
    }
    none(&violations, "finish it, or leave it out");
}

#[test]
fn an_ignored_test_says_why() {
    let mut violations = Vec::new();
    let bare = concat!("#[", "ignore]");
    for file in all_files() {
        for (index, line) in file
            .text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.trim().starts_with(bare))
        {
            violations.push(format!("{}:{}: {}", file.name, index + 1, line.trim()));
        }
    }
    none(&violations, "write #[ignore = \"why, and which make target runs it\"]");
}

#[test]
fn the_limits_of_the_core_stand_in_one_place() {
    let mut violations = Vec::new();
    for file in rust_files("src/core")
        .into_iter()
        .filter(|file| !file.name.ends_with("/limits.rs"))
    {
        for (number, line) in code_lines(shipped(&file.text)) {
            let Some(name) = line.trim_start().trim_start_matches("pub ").strip_prefix("const ") else {
                continue;
            };
            let name = name.split(':').next().unwrap_or(name);
            if name.contains("_MAX") || name.contains("_MIN") {
                violations.push(format!("{}:{number}: {name}", file.name));
            }
        }
    }
    none(
        &violations,
        "a bound of the core stands in src/core/limits.rs with its reason",
    );
}

#[test]
fn every_bound_has_a_reason() {
    let mut violations = Vec::new();
    for file in rust_files("src") {
        let lines: Vec<_> = file.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let is_bound = line.trim_start().trim_start_matches("pub ").starts_with("const ") && line.contains("_MAX:");
            let before = index.checked_sub(1).map_or("", |before| lines[before].trim_start());
            if is_bound && !before.starts_with("//") && !line.contains("//") {
                violations.push(format!("{}:{}: {}", file.name, index + 1, line.trim()));
            }
        }
    }
    none(&violations, "the line above a bound says why it is as it is");
}

/// Lines of the manifest's dependency tables that name a crate, with their numbers.
fn dependency_lines(manifest: &str) -> Vec<(usize, &str)> {
    let mut is_dependencies = false;
    let mut lines = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            is_dependencies = line.trim_end_matches(']').ends_with("dependencies");
        } else if is_dependencies && line.contains('=') && !line.starts_with('#') {
            lines.push((index + 1, line));
        }
    }
    lines
}

fn manifest() -> String {
    fs::read_to_string(root().join("Cargo.toml")).unwrap()
}

fn crates_of_the_manifest() -> Vec<String> {
    let name = |line: &str| line.split(['=', ' ']).next().unwrap_or(line).replace('-', "_");
    dependency_lines(&manifest())
        .into_iter()
        .map(|(_, line)| name(line))
        .collect()
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = manifest();
    let lines = dependency_lines(&manifest);
    assert!(lines.len() > 10, "the dependencies are not where this test looks");
    let silent: Vec<_> = lines.into_iter().filter(|(_, line)| !line.contains("# ")).collect();
    let silent: Vec<_> = silent
        .into_iter()
        .map(|(number, line)| format!("Cargo.toml:{number}: {line}"))
        .collect();
    none(
        &silent,
        "a dependency line ends with a comment that says why it is there",
    );
}

#[test]
fn the_paths_of_a_line_are_found_by_their_first_segment() {
    let roots = |line| roots_of_paths(line).collect::<Vec<_>>();
    assert_eq!(roots("use std::fs::File;"), ["std"]);
    assert_eq!(
        roots("let a: heapless::Vec<core::num::NonZero<u8>, 3> = crate::a::b();"),
        ["heapless", "core", "crate"]
    );
    assert_eq!(roots("self::next()"), ["self"]);
}

/// The tables of `docs/service.md`, row by row: the first cell, and the words in code marks of the last.
fn rows_of_the_service_page() -> Vec<(String, Vec<String>)> {
    let page = fs::read_to_string(root().join("docs/service.md")).unwrap();
    let marked = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let lines: Vec<_> = page.lines().collect();
    let mut rows = Vec::new();
    let mut has_tests = false;
    for (index, line) in lines.iter().enumerate() {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let last = cells.last().copied().unwrap_or_default();
        let is_heading = lines.get(index + 1).is_some_and(|next| next.starts_with("|--"));
        if is_heading {
            has_tests = last == "tests";
        } else if has_tests && line.starts_with("| ") {
            rows.push((cells[0].to_owned(), marked(last)));
        }
    }
    rows
}

#[test]
fn the_tests_that_the_service_page_names_exist() {
    let code: String = all_files().into_iter().map(|file| file.text).collect();
    let rows = rows_of_the_service_page();
    assert!(rows.len() > 40, "the tables are not where this test looks");
    let mut missing = Vec::new();
    for (fact, tests) in rows {
        if tests.is_empty() {
            missing.push(format!("{fact}: no test"));
        }
        let unknown = tests.iter().filter(|test| !code.contains(&format!("fn {test}()")));
        missing.extend(unknown.map(|test| format!("{fact}: {test}")));
    }
    // Between the tables, too: nothing but a test has a name that is a sentence.
    let page = fs::read_to_string(root().join("docs/service.md")).unwrap();
    let sentences = page.split('`').filter(|word| {
        let is_name = |byte: u8| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
        word.matches('_').count() > 3 && word.bytes().all(is_name)
    });
    let unknown = sentences.filter(|test| !code.contains(&format!("fn {test}()")));
    missing.extend(unknown.map(str::to_owned));
    none(&missing, "docs/service.md names tests that exist");
}

#[test]
fn every_question_has_its_row_on_the_service_page() {
    let model = fs::read_to_string(root().join("src/service/model.rs")).unwrap();
    let questions = model.split("pub enum Question {").nth(1).unwrap();
    let questions = questions.split("\n}\n").next().unwrap();
    let variants: Vec<_> = questions
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.split([' ', ',']).next())
        .filter(|word| word.starts_with(|letter: char| letter.is_ascii_uppercase()))
        .collect();
    assert!(
        variants.len() > 10,
        "the questions are not where this test looks: {variants:?}"
    );
    let rows = rows_of_the_service_page();
    let is_missing = |variant: &&&str| !rows.iter().any(|(first, _)| *first == format!("`{variant}`"));
    let missing: Vec<_> = variants.iter().filter(is_missing).map(ToString::to_string).collect();
    none(&missing, "docs/service.md has a row for every question");
}
