//! `account.json`: the tokens on disk, for their owner only, replaced as a whole. It never logs what is in them.

use serde::{Deserialize, Serialize};

use super::super::credentials::Token;
use crate::state::{StateDir, StateError};

/// The file's name in the state folder.
const FILE: &str = "account.json";
/// What this program writes. A file of another version is set aside: a guess at tokens would be refused anyway.
const VERSION: u32 = 1;

/// The tokens of a linked account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Gets the next access token.
    pub refresh: Token,
    /// Goes to the playback service.
    pub access: Token,
    /// When the access token ends, in seconds since 1970; `None` where the clock could not be trusted when it came.
    pub expires_at_s: Option<i64>,
}

#[derive(Deserialize, Serialize)]
struct Document {
    version: u32,
    refresh_token: String,
    access_token: String,
    expires_at: Option<i64>,
}

/// Where the tokens are kept.
#[derive(Debug)]
pub struct GrantFile(StateDir);

impl GrantFile {
    /// In this folder.
    pub fn new(dir: StateDir) -> Self {
        Self(dir)
    }

    /// The tokens; `None` if there are none, or what is there cannot be used (then it is set aside, and the log says so).
    pub fn load(&self) -> Result<Option<Grant>, StateError> {
        let Some(bytes) = self.0.read(FILE)? else {
            return Ok(None);
        };
        // serde's words can hold a piece of the text: they are not logged.
        let Ok(document) = serde_json::from_slice::<Document>(&bytes) else {
            self.0.set_aside(FILE, "not the JSON of an account");
            return Ok(None);
        };
        if document.version != VERSION || document.refresh_token.is_empty() || document.access_token.is_empty() {
            self.0.set_aside(FILE, "of another version or without tokens");
            return Ok(None);
        }
        Ok(Some(Grant {
            refresh: Token::new(document.refresh_token),
            access: Token::new(document.access_token),
            expires_at_s: document.expires_at,
        }))
    }

    /// Replaces the tokens. `Ok`: they survive a power cut; `Err`: the old ones are still there.
    pub fn save(&self, grant: &Grant) -> Result<(), StateError> {
        let document = Document {
            version: VERSION,
            refresh_token: grant.refresh.secret().to_owned(),
            access_token: grant.access.secret().to_owned(),
            expires_at: grant.expires_at_s,
        };
        self.0.write_json(FILE, &document)
    }

    /// Removes the tokens, if there are any.
    pub fn remove(&self) -> Result<(), StateError> {
        self.0.remove(FILE)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    pub fn grant(number: u32) -> Grant {
        Grant {
            refresh: Token::new(format!("Atzr|refresh-{number}")),
            access: Token::new(format!("Atza|access-{number}")),
            expires_at_s: Some(1_800_000_000),
        }
    }

    fn file() -> (tempfile::TempDir, GrantFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = GrantFile::new(StateDir::open(folder.path()).unwrap());
        (folder, file)
    }

    #[test]
    fn the_tokens_are_read_back_and_are_for_their_owner_only() {
        let (folder, file) = file();
        assert_eq!(file.load().unwrap(), None);
        file.save(&grant(1)).unwrap();
        file.save(&grant(2)).unwrap();
        assert_eq!(file.load().unwrap(), Some(grant(2)));
        let mode = std::fs::metadata(folder.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn removed_tokens_are_gone_and_removing_none_is_no_error() {
        let (folder, file) = file();
        file.save(&grant(1)).unwrap();
        file.remove().unwrap();
        assert_eq!(file.load().unwrap(), None);
        file.remove().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn every_beginning_of_the_file_is_survived_and_set_aside() {
        let (folder, file) = file();
        file.save(&grant(1)).unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() - 2 {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(file.load().unwrap(), None, "{end} bytes");
            assert!(!path.exists() && folder.path().join("account.json.damaged").exists());
        }
    }

    #[test]
    fn a_file_of_another_version_or_without_tokens_is_set_aside() {
        let (folder, file) = file();
        for text in [
            r#"{"version":2,"refresh_token":"a","access_token":"b","expires_at":null}"#,
            r#"{"version":1,"refresh_token":"","access_token":"b","expires_at":null}"#,
        ] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            assert_eq!(file.load().unwrap(), None);
            assert!(!folder.path().join(FILE).exists());
        }
    }
}
