//! The words for what a button does, and the presses they stand for.

use tonearm_core::input::Press;

use crate::config::PRESETS_MAX;

/// Every word but the presets.
const WORDS: [(&str, Press); 9] = [
    ("play", Press::Play),
    ("next", Press::Next),
    ("previous", Press::Previous),
    ("volume_up", Press::VolumeUp),
    ("volume_down", Press::VolumeDown),
    ("shuffle", Press::Shuffle),
    ("loop", Press::Loop),
    ("scrub_forward", Press::ScrubForward),
    ("scrub_backward", Press::ScrubBackward),
];

/// What stands before the number of a preset.
const PRESET: &str = "preset_";

/// The press a word stands for. `None`: there is no such word.
pub fn press_of(word: &str) -> Option<Press> {
    if let Some(number) = word.strip_prefix(PRESET) {
        let number: u8 = number.parse().ok()?;
        // Written the one usual way only: no "preset_+1", no "preset_01".
        let usual = word == format!("{PRESET}{number}");
        return (usual && (1..=PRESETS_MAX).contains(&usize::from(number))).then_some(Press::Preset(number));
    }
    WORDS.iter().find(|(name, _)| *name == word).map(|(_, press)| *press)
}

/// The word of a press. `None`: no button can do it.
pub fn word_of(press: Press) -> Option<String> {
    if let Press::Preset(number) = press {
        return Some(format!("{PRESET}{number}"));
    }
    WORDS
        .iter()
        .find(|(_, known)| *known == press)
        .map(|(word, _)| (*word).to_owned())
}

/// Every word that [`press_of`] understands, the first nine presets in place of all of them.
pub fn words() -> Vec<String> {
    let presets = (1..=9).map(|number| format!("{PRESET}{number}"));
    WORDS
        .iter()
        .map(|(word, _)| (*word).to_owned())
        .chain(presets)
        .collect()
}

/// What holding a button does where the board file does not say: skipping scrubs, the volume goes on, the rest nothing.
pub fn usual_hold(press: Press) -> Option<Press> {
    match press {
        Press::Next => Some(Press::ScrubForward),
        Press::Previous => Some(Press::ScrubBackward),
        Press::VolumeUp | Press::VolumeDown | Press::ScrubForward | Press::ScrubBackward => Some(press),
        Press::Play
        | Press::Shuffle
        | Press::Loop
        | Press::Seek(_)
        | Press::Start { .. }
        | Press::Preset(_)
        | Press::QueueNext(_)
        | Press::QueueLast(_)
        | Press::TakeOver => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_stands_for_the_press_that_has_this_word() {
        for word in words() {
            assert_eq!(word_of(press_of(&word).unwrap()).as_deref(), Some(word.as_str()));
        }
    }

    #[test]
    fn presets_have_numbers_from_one() {
        assert_eq!(press_of("preset_1"), Some(Press::Preset(1)));
        assert_eq!(press_of("preset_32"), Some(Press::Preset(32)));
        for word in [
            "preset_0",
            "preset_33",
            "preset_01",
            "preset_+1",
            "preset_",
            "preset_x",
            "Play",
            "",
        ] {
            assert_eq!(press_of(word), None, "{word}");
        }
    }

    #[test]
    fn a_held_skip_scrubs() {
        assert_eq!(usual_hold(Press::Next), Some(Press::ScrubForward));
        assert_eq!(usual_hold(Press::Play), None);
    }
}
