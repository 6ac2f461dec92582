//! Silence that was not asked for: whether what was loaded could have covered it.

use std::collections::HashMap;

use tonearm_core::State;
use tonearm_core::id::{EntryKey, PlayId};
use tonearm_core::input::{AudioNews, Ending};

use super::world::{Check, World};

/// From the end of one sound to the next a report and an order are under way; more than this is heard as a hole.
const HOLE_MS: u64 = 400;
/// Silence may outlast its trouble by this: the longest wait before a retry, an exchange without an answer before it,
/// and a visit of the listener.
const STUCK_MS: u64 = 70_000;
/// Reports are this late at most, and positions that much older.
const SLACK_MS: u64 = 1_000;

/// What is known of silences.
#[derive(Debug, Default)]
pub struct Dropouts {
    orders: HashMap<PlayId, EntryKey>,
    /// The entry that ended by itself last, if nothing was ordered since.
    over: Option<EntryKey>,
    /// Sound is wanted and there is none, since then.
    silent_since: Option<u64>,
    /// The same, while what is due is loaded.
    loaded_since: Option<u64>,
    /// What was loaded when trouble began lasts until then, if nobody presses anything.
    covered_until: Option<u64>,
    /// Silences longer than [`HOLE_MS`] and their length together.
    pub holes: u64,
    pub silent_ms: u64,
    /// Troubles that found so much music loaded that they could not be heard.
    pub covered: u64,
    pub cover_ms_max: u64,
}

impl Dropouts {
    /// When somebody should look whether it is still silent.
    pub fn looks_at(&self) -> Option<u64> {
        self.loaded_since.map(|since| since + HOLE_MS)
    }

    pub fn silence_ms(&self, now: u64) -> u64 {
        self.silent_since.map_or(0, |since| now - since)
    }

    /// The program is gone: its silence is another matter.
    pub fn reset(&mut self) {
        self.orders.clear();
        self.over = None;
        self.silent_since = None;
        self.loaded_since = None;
        self.covered_until = None;
    }

    /// Somebody changes what is to sound, or it has to stop: nothing that was loaded covers that.
    pub fn expect_nothing(&mut self) {
        self.covered_until = None;
    }

    pub fn ordered(&mut self, play: PlayId, entry: EntryKey) {
        self.orders.insert(play, entry);
    }

    pub fn replaced(&mut self) {
        self.over = None;
    }

    pub fn unwished(&mut self, entry: EntryKey) {
        self.over = self.over.filter(|over| *over != entry);
    }
}

impl World {
    /// Music that is loaded in a row from what is heard now on.
    fn loaded_ahead_ms(&self) -> u64 {
        let Some(program) = &self.program else { return 0 };
        let view = program.session.view(self.moment());
        let mut sum = 0;
        for (place, entry) in view.entries.iter().enumerate().skip(view.cursor) {
            let Some(medium) = self.audio.media.get(&entry.key) else {
                break;
            };
            if medium.corrupt {
                break;
            }
            let position = if place == view.cursor {
                u64::from(view.position.0)
            } else {
                0
            };
            sum += medium.loaded_ms.saturating_sub(position);
            if medium.loaded_ms < medium.length_ms {
                break;
            }
        }
        sum
    }

    /// Trouble begins: what is loaded now must sound to its end, whatever happens, unless somebody presses something.
    pub fn expect_cover(&mut self) {
        let playing = self
            .program
            .as_ref()
            .is_some_and(|program| program.session.view(self.moment()).state == State::Playing);
        let ahead = self.loaded_ahead_ms().saturating_sub(SLACK_MS);
        self.dropouts.covered_until = playing.then_some(self.now + ahead);
        self.dropouts.cover_ms_max = self.dropouts.cover_ms_max.max(ahead);
        self.dropouts.covered += u64::from(playing && ahead > 60_000);
    }

    /// What the audio path says, before the session hears of it.
    pub fn watch_news(&mut self, news: AudioNews) {
        match news {
            AudioNews::Ended {
                play,
                how: Ending::Finished | Ending::Broken | Ending::Locked,
                ..
            }
            | AudioNews::Failed { play } => self.dropouts.over = self.dropouts.orders.get(&play).copied(),
            AudioNews::Began { .. } => self.dropouts.over = None,
            AudioNews::Stalled { .. } => self.count("stalls"),
            AudioNews::Ended { .. }
            | AudioNews::Flowing { .. }
            | AudioNews::Heard { .. }
            | AudioNews::DeviceLost
            | AudioNews::DeviceBack => {}
        }
    }

    /// After every step: silence that is wanted by nobody and covered by what is loaded is a dropout.
    pub fn watch_silence(&mut self) -> Check {
        let now = self.now;
        let Some(program) = &self.program else {
            return Ok(());
        };
        let view = program.session.view(self.moment());
        let (state, problem) = (view.state, view.problem);
        let wanted = matches!(view.state, State::Buffering | State::Playing);
        let silent = wanted && !self.audio.is_flowing() && self.audio.device_works && self.audio.news.is_empty();
        let current = view.entries.get(view.cursor).map(|entry| entry.key);
        let due = if current.is_some() && current == self.dropouts.over {
            view.entries.get(view.cursor + 1).map(|entry| (entry.key, 0))
        } else {
            current.map(|entry| (entry, u64::from(view.position.0)))
        };
        let loaded = due.is_some_and(|(entry, position)| {
            let medium = self.audio.media.get(&entry);
            medium.is_some_and(|medium| {
                let rest = medium.loaded_ms.saturating_sub(position);
                !medium.corrupt && (rest > SLACK_MS || medium.loaded_ms >= medium.length_ms)
            })
        });
        if silent {
            self.dropouts.silent_since.get_or_insert(now);
        } else if let Some(since) = self.dropouts.silent_since.take()
            && now - since > HOLE_MS
        {
            self.note(&format!("---- it was silent for {} ms", now - since));
            self.dropouts.holes += 1;
            let trouble = self.troubles.last_name();
            *self.counts.entry(format!("silent ms, {trouble}")).or_default() += now - since;
            self.dropouts.silent_ms += now - since;
        }
        let since = if silent && loaded {
            *self.dropouts.loaded_since.get_or_insert(now)
        } else {
            self.dropouts.loaded_since = None;
            now
        };
        if now - since >= HOLE_MS {
            return Err(format!("silence since {since}, and {due:?} is loaded"));
        }
        let stuck = self.dropouts.silence_ms(now).min(self.troubles.calm_ms(now));
        if stuck > STUCK_MS {
            return Err(format!(
                "nothing sounds for {stuck} ms, and nothing is wrong: {state:?}, {problem:?}"
            ));
        }
        let hole = self.dropouts.silence_ms(now) > HOLE_MS || (!wanted && self.audio.news.is_empty());
        if hole && self.dropouts.covered_until.is_some_and(|until| now < until) {
            return Err(format!(
                "the sound is gone ({:?}), and what was loaded when trouble began lasts until {:?}",
                state, self.dropouts.covered_until
            ));
        }
        Ok(())
    }
}
