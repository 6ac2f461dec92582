//! What is found in a directory, and what an MRN stands for.

use super::*;

fn put(root: &Path, name: &str, file: &album::File) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, file.bytes).unwrap();
}

fn titles(catalogue: &Catalogue, album: &Album) -> Vec<String> {
    let title = |index| catalogue.track(&album.id_at(index).unwrap()).unwrap().title.clone();
    (0..album.len()).map(title).collect()
}

#[test]
fn the_built_in_album_has_titles_lengths_and_one_album() {
    let catalogue = Catalogue::built_in().unwrap();
    assert_eq!(catalogue.albums().len(), 1);
    assert_eq!(catalogue.albums()[0].title, album::TITLE);
    for id in &catalogue.music {
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
    let titles = titles(&catalogue, &catalogue.albums()[1]);
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
    assert_eq!(Catalogue::of_directory(root.path()).unwrap().music.len(), 1);
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
    assert_eq!(catalogue.leg(&album.id).unwrap().count, 5);
    assert_eq!(catalogue.leg(&catalogue.music[1]).unwrap().count, 1);
    assert_eq!(catalogue.leg("mrn:1.0:other"), None);
}

#[test]
fn a_long_album_repeats_the_music_under_other_names() {
    let mut catalogue = Catalogue::built_in().unwrap();
    catalogue.add_long(100_000);
    let album = catalogue.albums()[1].clone();
    let id = album.id_at(99_999).unwrap();
    let (track, real) = (
        catalogue.track(&id).unwrap(),
        catalogue.track(&catalogue.music[4]).unwrap(),
    );
    assert_eq!((&track.key, &track.bytes), (&real.key, &real.bytes));
    assert_eq!(track.title, format!("{} #99999", real.title));
    assert_eq!(catalogue.place_in(&album.id, &id), Some(99_999));
    assert_eq!(album.id_at(100_000), None);
    assert_eq!(catalogue.everything().len(), 5, "a station plays real music once");
}

#[test]
fn podcasts_are_shows_and_no_music() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "Album/01.flac", &album::TRACKS[0]);
    put(root.path(), "Podcasts/Show/01.mp3", &album::INTERLUDE);
    let mut catalogue = Catalogue::of_directory(root.path()).unwrap();
    let more = tempfile::tempdir().unwrap();
    put(more.path(), "Other/01.mp3", &album::AD);
    catalogue.add_podcasts(more.path()).unwrap();
    let sorts: Vec<Sort> = catalogue.albums().iter().map(|album| album.sort).collect();
    assert_eq!(sorts, [Sort::Music, Sort::Podcast, Sort::Podcast]);
    assert_eq!(catalogue.music.len(), 1);
    let show = &catalogue.albums()[1];
    let episode = show.id_at(0).unwrap();
    assert_eq!(catalogue.leg(&episode).unwrap().sort, Sort::Podcast);
}
