//! The built-in album: files that are part of the program. How they were made is in `assets/album/`.

use super::tags::Format;

/// Title of the album.
pub const TITLE: &str = "Harbour Lights";

/// One file.
#[derive(Debug)]
pub struct File {
    /// Name, for messages and for its MRN.
    pub name: &'static str,
    /// Sort of file.
    pub format: Format,
    /// All of it.
    pub bytes: &'static [u8],
}

macro_rules! file {
    ($name:literal, $format:expr) => {
        File {
            name: $name,
            format: $format,
            bytes: include_bytes!(concat!("../../assets/album/", $name)),
        }
    };
}

/// The tracks: one continuous piece, so that a gap between two of them is heard.
pub static TRACKS: [File; 5] = [
    file!("01-first-light.flac", Format::Flac),
    file!("02-slow-water.flac", Format::Flac),
    file!("03-rope-and-bell.mp3", Format::Mp3),
    file!("04-far-shore.m4a", Format::M4a),
    file!("05-lanterns.ogg", Format::Ogg),
];
/// What is played for an advertisement.
pub static AD: File = file!("ad.mp3", Format::Mp3);
/// What is played for an introduction.
pub static INTERLUDE: File = file!("interlude.mp3", Format::Mp3);
