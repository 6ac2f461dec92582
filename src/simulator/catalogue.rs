//! What can be played: a music directory (each folder an album), podcasts, or the built-in album. Read once, at the
//! start. An album of any length is made of the same few files, without a list.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::album;
use super::course::{Leg, Sort, Source};
use super::entry::Place;
use super::order::fingerprint;
use super::tags::{self, Bytes, Format};

/// Folders inside folders that are looked into. Deep enough for genre/artist/album/disc; ends a loop of links.
const DEPTH_MAX: usize = 8;
/// Tracks a music directory may have: each is opened once, at the start.
const TRACKS_MAX: usize = 10_000;
/// Names of folders that hold podcasts, each folder in them a show.
const PODCAST_FOLDERS: [&str; 2] = ["podcast", "podcasts"];
/// MRN of the album of any length.
const LONG: &str = "mrn:1.0:sim:album:long";
/// What the MRN of a track of that album begins with.
const LONG_TRACK: &str = "mrn:1.0:sim:track:long-";
/// MRN of all music.
const EVERYTHING: &str = "mrn:1.0:sim:everything";
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

/// The tracks of one folder, or an album of any length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Album {
    /// MRN; opaque to clients.
    pub id: String,
    /// Title, from the tags where they agree, or the folder's name.
    pub title: String,
    /// Music or a podcast.
    pub sort: Sort,
    tracks: Tracks,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tracks {
    /// MRNs, in order.
    Listed(Vec<String>),
    /// So many: all music again and again.
    Repeated(usize),
}

impl Album {
    fn len(&self) -> usize {
        match &self.tracks {
            Tracks::Listed(ids) => ids.len(),
            Tracks::Repeated(count) => *count,
        }
    }

    /// MRN of one of its tracks.
    pub fn id_at(&self, index: usize) -> Option<Cow<'_, str>> {
        match &self.tracks {
            Tracks::Listed(ids) => ids.get(index).map(|id| Cow::Borrowed(id.as_str())),
            Tracks::Repeated(count) => (index < *count).then(|| Cow::Owned(format!("{LONG_TRACK}{index}"))),
        }
    }

    fn place_of(&self, id: &str) -> Option<usize> {
        match &self.tracks {
            Tracks::Listed(ids) => ids.iter().position(|other| other == id),
            Tracks::Repeated(count) => long_index(id).filter(|index| index < count),
        }
    }
}

fn long_index(id: &str) -> Option<usize> {
    id.strip_prefix(LONG_TRACK)?.parse().ok()
}

/// Everything that can be played.
#[derive(Clone, Debug)]
pub struct Catalogue {
    tracks: BTreeMap<String, Track>,
    albums: Vec<Album>,
    /// MRNs of every track that is music, in the order of the albums.
    music: Vec<String>,
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
        catalogue.add("built-in", album::TITLE, Sort::Music, tracks);
        Ok(catalogue)
    }

    /// Adds an album of so many tracks: all music again and again, under other names.
    pub fn add_long(&mut self, count: usize) {
        self.albums.push(Album {
            id: LONG.to_owned(),
            title: format!("{count} tracks"),
            sort: Sort::Music,
            tracks: Tracks::Repeated(count),
        });
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
        catalogue.walk(path, path, Sort::Music, 0);
        match catalogue.tracks.len() {
            0 => Err(CatalogueError::Empty { path: path.into() }),
            count if count > TRACKS_MAX => Err(CatalogueError::TooMany {
                path: path.into(),
                max: TRACKS_MAX,
            }),
            _ => Ok(catalogue),
        }
    }

    /// Adds a directory of podcasts: every folder with playable files is a show.
    pub fn add_podcasts(&mut self, path: &Path) -> Result<(), CatalogueError> {
        let fail = |source| CatalogueError::Read {
            path: path.into(),
            source,
        };
        sorted(path).map_err(fail)?;
        let before = self.tracks.len();
        self.walk(path, path, Sort::Podcast, 0);
        if self.tracks.len() == before {
            return Err(CatalogueError::Empty { path: path.into() });
        }
        Ok(())
    }

    fn empty() -> Result<Self, CatalogueError> {
        Ok(Self {
            tracks: BTreeMap::new(),
            albums: Vec::new(),
            music: Vec::new(),
            ad: builtin(&album::AD)?,
            interlude: builtin(&album::INTERLUDE)?,
        })
    }

    fn walk(&mut self, root: &Path, folder: &Path, sort: Sort, depth: usize) {
        if depth > DEPTH_MAX || self.tracks.len() > TRACKS_MAX {
            return;
        }
        let entries = match sorted(folder) {
            Ok(entries) => entries,
            Err(error) => return log::warn!("skip folder {}: {error}", folder.display()),
        };
        let name = folder
            .file_name()
            .map(|name| name.to_string_lossy().to_ascii_lowercase());
        let sort = match name {
            Some(name) if PODCAST_FOLDERS.contains(&name.as_str()) => Sort::Podcast,
            Some(_) | None => sort,
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
            self.add(&name, &title, sort, tracks);
        }
        for inner in entries.iter().filter(|path| path.is_dir()) {
            self.walk(root, inner, sort, depth.saturating_add(1));
        }
    }

    fn add(&mut self, name: &str, title: &str, sort: Sort, mut tracks: Vec<Track>) {
        // A stable sort: equal places stay in the order of their file names.
        tracks.sort_by_key(|track| track.place);
        let said = tracks
            .first()
            .map(|track| track.album.clone())
            .filter(|album| tracks.iter().all(|track| track.album == *album));
        let ids: Vec<String> = tracks.iter().map(|track| track.id.clone()).collect();
        match sort {
            Sort::Music => self.music.extend(ids.iter().cloned()),
            Sort::Podcast => {}
        }
        self.albums.push(Album {
            id: format!("mrn:1.0:sim:album:{:016x}", fingerprint(name)),
            title: said.unwrap_or_else(|| title.to_owned()),
            sort,
            tracks: Tracks::Listed(ids),
        });
        self.tracks
            .extend(tracks.into_iter().map(|track| (track.id.clone(), track)));
    }

    /// Albums in the order of their folders.
    pub fn albums(&self) -> &[Album] {
        &self.albums
    }

    /// A track by its MRN.
    pub fn track(&self, id: &str) -> Option<Cow<'_, Track>> {
        if let Some(track) = self.tracks.get(id) {
            return Some(Cow::Borrowed(track));
        }
        let index = long_index(id)?;
        let real = index.checked_rem(self.music.len())?;
        let mut track = self.tracks.get(self.music.get(real)?)?.clone();
        track.title = format!("{} #{index}", track.title);
        id.clone_into(&mut track.id);
        Some(Cow::Owned(track))
    }

    /// A track by its place in a container.
    pub fn track_at(&self, place: &Place) -> Option<Cow<'_, Track>> {
        if place.container == EVERYTHING {
            return self.track(self.music.get(place.index)?);
        }
        match self.album(&place.container) {
            Some(album) => self.track(&album.id_at(place.index)?),
            None => self.track(&place.container),
        }
    }

    fn album(&self, id: &str) -> Option<&Album> {
        self.albums.iter().find(|album| album.id == id)
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

    /// What an MRN stands for in a source: an album, a show or a track. `None`: nothing has that MRN.
    pub fn leg(&self, id: &str) -> Option<Leg> {
        let leg = |count, sort| Leg {
            container: id.to_owned(),
            count,
            sort,
        };
        if let Some(album) = self.album(id) {
            return Some(leg(album.len(), album.sort));
        }
        self.track(id)?;
        let holder = self.albums.iter().find(|album| album.place_of(id).is_some());
        holder.map(|album| leg(1, album.sort))
    }

    /// Place of a track in the album, show or track with the MRN `container`.
    pub fn place_in(&self, container: &str, track: &str) -> Option<usize> {
        match self.album(container) {
            Some(album) => album.place_of(track),
            None => (container == track).then_some(0),
        }
    }

    /// All music, once.
    pub fn everything(&self) -> Source {
        Source::new(vec![Leg {
            container: EVERYTHING.to_owned(),
            count: self.music.len(),
            sort: Sort::Music,
        }])
    }

    /// Place of a track in [`Self::everything`].
    pub fn place_in_everything(&self, track: &str) -> Option<usize> {
        self.music.iter().position(|other| other == track)
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
#[path = "catalogue_tests.rs"]
mod tests;
