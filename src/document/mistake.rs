//! Why a document could not be used: what a person reads who has to mend the file.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Bytes of a document. A hundred presets fit many times; a device node or a log given by mistake does not.
const DOCUMENT_BYTES_MAX: u64 = 256 * 1024;
/// Mistakes that are listed; the rest is only counted, so that a wrong file does not flood the log.
const MISTAKES_LISTED_MAX: usize = 20;

/// Why a document could not be used.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// It cannot be read at all.
    #[error("read {}: {source}{}", .path.display(), remedy(.source))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// It was read, and this is wrong with it.
    #[error("{}", describe(.path, .mistakes))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// All of them, in the order of the lines.
        mistakes: Vec<Mistake>,
    },
}

impl DocumentError {
    /// There is no such file (and nothing else is wrong).
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Read { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Wrong { .. } => false,
        }
    }
}

/// One thing that is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Line in the file, from 1.
    pub line: usize,
    /// Key with the names of its tables, such as `window.ahead`; empty where the text is not TOML at all.
    pub key: String,
    /// What was found and what is valid.
    pub text: String,
}

impl Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "line {}: {}", self.line, self.text)
        } else {
            write!(f, "line {}: {}: {}", self.line, self.key, self.text)
        }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::NotFound {
        "; is the path right?"
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        "; make it readable for the user the program runs as"
    } else {
        ""
    }
}

fn describe(path: &Path, mistakes: &[Mistake]) -> String {
    let path = path.display();
    if let [only] = mistakes {
        return format!("{path}: {only}");
    }
    let mut text = format!("{path}: {} mistakes", mistakes.len());
    for mistake in mistakes.iter().take(MISTAKES_LISTED_MAX) {
        text.push_str("\n  ");
        text.push_str(&mistake.to_string());
    }
    if mistakes.len() > MISTAKES_LISTED_MAX {
        text.push_str("\n  (the others are not listed)");
    }
    text
}

/// The text of the file at `path`.
///
/// # Errors
/// It cannot be opened, is no UTF-8 or is far too large to be a document of ours.
pub fn text_of(path: &Path) -> Result<String, DocumentError> {
    let read = || {
        let mut text = String::new();
        let count = File::open(path)?
            .take(DOCUMENT_BYTES_MAX + 1)
            .read_to_string(&mut text)?;
        if count as u64 > DOCUMENT_BYTES_MAX {
            return Err(io::Error::other(format!(
                "more than {DOCUMENT_BYTES_MAX} bytes; is this the right file?"
            )));
        }
        Ok(text)
    };
    read().map_err(|source| DocumentError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = text_of(Path::new("/nowhere/tonearm.toml")).unwrap_err().to_string();
        assert!(error.starts_with("read /nowhere/tonearm.toml: "), "{error}");
        assert!(error.ends_with("is the path right?"), "{error}");
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = text_of(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.contains("more than 262144 bytes"), "{error}");
    }

    #[test]
    fn a_flood_of_mistakes_is_cut_short() {
        let mistake = |n| Mistake {
            line: n,
            key: format!("k{n}"),
            text: "unknown key".to_owned(),
        };
        let error = DocumentError::Wrong {
            path: "a.toml".into(),
            mistakes: (1..=50).map(mistake).collect(),
        }
        .to_string();
        assert!(error.starts_with("a.toml: 50 mistakes\n  line 1: k1: "), "{error}");
        assert_eq!(error.lines().count(), 1 + MISTAKES_LISTED_MAX + 1);
    }
}
