//! What can be played: a music directory (each folder an album), or the built-in album. Read once, at the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::album;
use super::order::fingerprint;
use super::queue::TRACKS_MAX;
use super::tags::{self, Bytes, Format};

/// Folders inside folders that are looked into. Deep enough for genre/artist/album/disc; ends a loop of links.
const DEPTH_MAX: usize = 8;
/// Audio files the simulator knows of but does not offer yet.
const UNSUPPORTED: [&str; 7] = ["aac", "opus", "wma", "aif", "aiff", "ape", "wv"];

/// One track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// MRN; opaque to clients.
    pub id: String,
    /// Name in a media URL.
    pub key: String,
    /// Title, from the tags or the file name.
    pub title: String,
    /// Performer; empty if unknown.
    pub artist: String,
    /// Title of its album.
    pub album: String,
    /// Length; `None` where the file does not say.
    pub duration_ms: Option<u64>,
    /// The length is exact, so a report can be judged by it.
    pub exact: bool,
    /// Sort of file.
    pub format: Format,
    /// Where its bytes are.
    pub bytes: Bytes,
    place: (u64, u64),
}

impl Track {
    /// A track from its bytes. `name` identifies it for ever: a path inside the music directory.
    pub fn read(name: &str, bytes: Bytes, format: Format, album: &str) -> Result<Self, tags::TagsError> {
        let tags = tags::read(&bytes, format)?;
        let key = format!("{:016x}", fingerprint(name));
        let stem = Path::new(name)
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Ok(Self {
            id: format!("mrn:1.0:sim:track:{key}"),
            key,
            title: tags.title.unwrap_or(stem),
            artist: tags.artist.unwrap_or_default(),
            album: tags.album.unwrap_or_else(|| album.to_owned()),
            duration_ms: tags.duration_ms,
            exact: tags.exact,
            format,
            bytes,
            place: tags.place,
        })
    }
}

/// The tracks of one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Album {
    /// MRN; opaque to clients.
    pub id: String,
    /// Title, from the tags where they agree, or the folder's name.
    pub title: String,
    /// MRNs of its tracks, in order.
    pub tracks: Vec<String>,
}

/// Everything that can be played.
#[derive(Clone, Debug)]
pub struct Catalogue {
    tracks: BTreeMap<String, Track>,
    albums: Vec<Album>,
    ad: Track,
    interlude: Track,
}

/// Why there is nothing to play.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The directory cannot be read.
    #[error("read music directory {path}: {source}")]
    Read {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No playable file is in it.
    #[error("nothing playable in {path}: no flac, mp3, m4a, ogg, opus or wav file in it or in its folders")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// There are more files than a queue may hold.
    #[error("more than {max} tracks in {path}; point --music at a part of it")]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// How many would do.
        max: usize,
    },
    /// A file of the built-in album cannot be read: the program was built from a damaged source tree.
    #[error("built-in track {name}: {source}")]
    Builtin {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        source: tags::TagsError,
    },
}

fn builtin(file: &album::File) -> Result<Track, CatalogueError> {
    Track::read(file.name, Bytes::Builtin(file.bytes), file.format, album::TITLE).map_err(|source| {
        CatalogueError::Builtin {
            name: file.name,
            source,
        }
    })
}

impl Catalogue {
    /// The built-in album.
    pub fn built_in() -> Result<Self, CatalogueError> {
        let mut catalogue = Self::empty()?;
        let tracks = album::TRACKS.iter().map(builtin).collect::<Result<Vec<_>, _>>()?;
        catalogue.add("built-in", album::TITLE, tracks);
        Ok(catalogue)
    }

    /// A music directory: every folder with playable files is an album.
    pub fn of_directory(path: &Path) -> Result<Self, CatalogueError> {
        let mut catalogue = Self::empty()?;
        let list = |folder: &Path| {
            sorted(folder).map_err(|source| CatalogueError::Read {
                path: path.into(),
                source,
            })
        };
        list(path)?;
        catalogue.walk(path, path, 0);
        match catalogue.tracks.len() {
            0 => Err(CatalogueError::Empty { path: path.into() }),
            count if count > TRACKS_MAX => Err(CatalogueError::TooMany {
                path: path.into(),
                max: TRACKS_MAX,
            }),
            _ => Ok(catalogue),
        }
    }

    fn empty() -> Result<Self, CatalogueError> {
        Ok(Self {
            tracks: BTreeMap::new(),
            albums: Vec::new(),
            ad: builtin(&album::AD)?,
            interlude: builtin(&album::INTERLUDE)?,
        })
    }

    fn walk(&mut self, root: &Path, folder: &Path, depth: usize) {
        if depth > DEPTH_MAX || self.tracks.len() > TRACKS_MAX {
            return;
        }
        let entries = match sorted(folder) {
            Ok(entries) => entries,
            Err(error) => return log::warn!("skip folder {}: {error}", folder.display()),
        };
        let title = folder
            .strip_prefix(root)
            .ok()
            .filter(|inner| !inner.as_os_str().is_empty());
        let title = title
            .or_else(|| root.file_name().map(Path::new))
            .unwrap_or(root)
            .display()
            .to_string();
        let tracks = entries
            .iter()
            .filter(|path| path.is_file())
            .filter_map(|path| offer(root, path, &title));
        let tracks: Vec<Track> = tracks.take(TRACKS_MAX.saturating_add(1)).collect();
        if !tracks.is_empty() {
            let name = folder
                .strip_prefix(root)
                .unwrap_or(folder)
                .to_string_lossy()
                .into_owned();
            self.add(&name, &title, tracks);
        }
        for inner in entries.iter().filter(|path| path.is_dir()) {
            self.walk(root, inner, depth.saturating_add(1));
        }
    }

    fn add(&mut self, name: &str, title: &str, mut tracks: Vec<Track>) {
        // A stable sort: equal places stay in the order of their file names.
        tracks.sort_by_key(|track| track.place);
        let said = tracks
            .first()
            .map(|track| track.album.clone())
            .filter(|album| tracks.iter().all(|track| track.album == *album));
        self.albums.push(Album {
            id: format!("mrn:1.0:sim:album:{:016x}", fingerprint(name)),
            title: said.unwrap_or_else(|| title.to_owned()),
            tracks: tracks.iter().map(|track| track.id.clone()).collect(),
        });
        self.tracks
            .extend(tracks.into_iter().map(|track| (track.id.clone(), track)));
    }

    /// Albums in the order of their folders.
    pub fn albums(&self) -> &[Album] {
        &self.albums
    }

    /// A track by its MRN.
    pub fn track(&self, id: &str) -> Option<&Track> {
        self.tracks.get(id)
    }

    /// The track, advertisement or interlude a media URL names.
    pub fn by_key(&self, key: &str) -> Option<&Track> {
        [&self.ad, &self.interlude]
            .into_iter()
            .chain(self.tracks.values())
            .find(|track| track.key == key)
    }

    /// What is played for an injected advertisement.
    pub const fn ad(&self) -> &Track {
        &self.ad
    }

    /// What is played for an injected introduction.
    pub const fn interlude(&self) -> &Track {
        &self.interlude
    }

    /// MRNs of the tracks behind an MRN: those of an album, or the track itself. `None`: nothing has that MRN.
    pub fn expand(&self, id: &str) -> Option<Vec<String>> {
        if let Some(album) = self.albums.iter().find(|album| album.id == id) {
            return Some(album.tracks.clone());
        }
        self.tracks.contains_key(id).then(|| vec![id.to_owned()])
    }

    /// MRNs of every track, in the order of the albums.
    pub fn all(&self) -> Vec<String> {
        self.albums
            .iter()
            .flat_map(|album| album.tracks.iter().cloned())
            .collect()
    }
}

/// Entries of a folder by name, hidden ones left out.
fn sorted(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| {
        !path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'))
    });
    paths.sort();
    Ok(paths)
}

fn offer(root: &Path, path: &Path, album: &str) -> Option<Track> {
    let extension = path.extension()?.to_str()?;
    let Some(format) = Format::of_extension(extension) else {
        if UNSUPPORTED.contains(&extension.to_ascii_lowercase().as_str()) {
            log::warn!("skip {}: {extension} files are not supported now", path.display());
        }
        return None;
    };
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    match Track::read(&name, Bytes::File(path.to_owned()), format, album) {
        Ok(track) => Some(track),
        Err(error) => {
            log::warn!("skip {}: {error}", path.display());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, name: &str, file: &album::File) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file.bytes).unwrap();
    }

    #[test]
    fn the_built_in_album_has_titles_lengths_and_one_album() {
        let catalogue = Catalogue::built_in().unwrap();
        assert_eq!(catalogue.albums().len(), 1);
        assert_eq!(catalogue.albums()[0].title, album::TITLE);
        for id in &catalogue.albums()[0].tracks {
            let track = catalogue.track(id).unwrap();
            assert!(
                track.duration_ms.is_some_and(|ms| (20_000..60_000).contains(&ms)),
                "{track:?}"
            );
            assert!(
                !track.artist.is_empty() && track.album == album::TITLE,
                "{}: {}",
                track.title,
                track.album
            );
        }
    }

    #[test]
    fn folders_inside_folders_are_albums_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "loose.flac", &album::TRACKS[0]);
        put(root.path(), "Artist/Album/02.flac", &album::TRACKS[1]);
        put(root.path(), "Artist/Album/01.flac", &album::TRACKS[0]);
        let catalogue = Catalogue::of_directory(root.path()).unwrap();
        assert_eq!(catalogue.albums().len(), 2);
        let titles: Vec<&str> = catalogue.albums()[1]
            .tracks
            .iter()
            .map(|id| catalogue.track(id).unwrap().title.as_str())
            .collect();
        let first = builtin(&album::TRACKS[0]).unwrap().title;
        assert_eq!(titles[0], first, "in the order of the tags' numbers");
    }

    #[test]
    fn what_cannot_be_played_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "a.flac", &album::TRACKS[0]);
        std::fs::write(root.path().join("b.flac"), b"damaged").unwrap();
        std::fs::write(root.path().join("c.opus"), b"OggS").unwrap();
        std::fs::write(root.path().join("cover.jpg"), b"x").unwrap();
        assert_eq!(Catalogue::of_directory(root.path()).unwrap().all().len(), 1);
    }

    #[test]
    fn a_directory_without_music_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let error = Catalogue::of_directory(root.path()).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("nothing playable in {}", root.path().display())),
            "{error}"
        );
    }

    #[test]
    fn a_missing_directory_is_an_error_that_names_it() {
        let error = Catalogue::of_directory(Path::new("/nowhere/music"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("read music directory /nowhere/music: "), "{error}");
    }

    #[test]
    fn an_mrn_stands_for_its_track_or_the_tracks_of_its_album() {
        let catalogue = Catalogue::built_in().unwrap();
        let album = &catalogue.albums()[0];
        assert_eq!(catalogue.expand(&album.id), Some(album.tracks.clone()));
        assert_eq!(catalogue.expand(&album.tracks[1]), Some(vec![album.tracks[1].clone()]));
        assert_eq!(catalogue.expand("mrn:1.0:other"), None);
    }
}
