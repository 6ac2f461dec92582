//! A volume of a sound card's mixer through ALSA's simple elements. It sets levels; which one, and when, is decided
//! elsewhere.

use alsa::Round;
use alsa::mixer::{MilliBel, Mixer, Selem, SelemId};

use crate::audio::knob::Control;

/// One element of a card's mixer that has a playback volume in decibels.
pub struct AlsaMixer {
    mixer: Mixer,
    name: String,
    /// Loudest level that does not amplify, hundredths of a decibel.
    top: i64,
    bottom: i64,
}

impl AlsaMixer {
    /// The element `control` of `card` (`hw:CARD=DAC`).
    ///
    /// # Errors
    /// In words: there is no such card or element, or it has no volume in decibels; with the elements that have.
    pub fn open(card: &str, control: &str) -> Result<Self, String> {
        if card.contains('\0') || control.contains('\0') {
            return Err("a name with a zero in it".into());
        }
        let chatter = alsa::Output::local_error_handler();
        let mixer = Mixer::new(card, true).map_err(|error| format!("open the mixer of {card}: {error}"));
        drop(chatter);
        let mixer = mixer?;
        let range = mixer
            .find_selem(&SelemId::new(control, 0))
            .filter(Selem::has_playback_volume)
            .map(|element| element.get_playback_db_range());
        let Some((bottom, top)) = range else {
            let names = names(&mixer).join(", ");
            return Err(format!(
                "the mixer of {card} has no playback volume {control:?}; it has: {names}"
            ));
        };
        if bottom.0 >= top.0 {
            return Err(format!("{control:?} of {card} does not tell its decibels"));
        }
        Ok(Self {
            mixer,
            name: control.to_owned(),
            top: top.0.min(0).max(bottom.0),
            bottom: bottom.0,
        })
    }
}

fn names(mixer: &Mixer) -> Vec<String> {
    let elements = mixer.iter().filter_map(Selem::new);
    let with_volume = elements.filter(Selem::has_playback_volume);
    with_volume
        .filter_map(|element| element.get_id().get_name().map(str::to_owned).ok())
        .collect()
}

impl Control for AlsaMixer {
    fn set(&mut self, level_db: Option<f64>) -> Result<(), String> {
        // What others changed meanwhile (a switch, by hand) is taken in first.
        let _ = self.mixer.handle_events();
        let element = self.mixer.find_selem(&SelemId::new(&self.name, 0));
        let element = element.ok_or_else(|| format!("{:?} is gone", self.name))?;
        if element.has_playback_switch() {
            let switched = element.set_playback_switch_all(i32::from(level_db.is_some()));
            switched.map_err(|error| format!("switch {:?}: {error}", self.name))?;
        }
        let level = level_db.map_or(self.bottom, |level| hundredths(level).saturating_add(self.top));
        let level = MilliBel(level.clamp(self.bottom, self.top));
        let set = element.set_playback_db_all(level, Round::Floor);
        set.map_err(|error| format!("set {:?}: {error}", self.name))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "some thousands at most")]
fn hundredths(level_db: f64) -> i64 {
    (level_db * 100.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_is_not_there_is_named() {
        let error = AlsaMixer::open("hw:CARD=tonearm_none", "Digital").err().unwrap();
        assert!(error.starts_with("open the mixer of hw:CARD=tonearm_none: "), "{error}");
        assert!(AlsaMixer::open("hw:0\0", "Digital").is_err());
    }
}
