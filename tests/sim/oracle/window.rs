//! What must hold for what is loaded, shown and heard.

use super::{Check, Oracle, Rule, Seen};
use tonearm_core::id::EntryKey;
use tonearm_core::{Session, State, View};

impl Oracle {
    /// Under one order and one start, what is heard only goes on. Between reports of the audio path it is reckoned by the
    /// clock, so that a late report may take a little of it back.
    pub(super) fn monotone(&mut self, view: &View<'_>, world: &Seen<'_>) -> Check {
        let current = view.entries.get(view.cursor).map(|entry| entry.key);
        let open = self
            .open
            .filter(|open| Some(open.entry) == current && view.state == State::Playing);
        let Some(open) = open else {
            self.heard = None;
            return Ok(());
        };
        let before = self.heard.replace((open.seq, self.last_play, view.position));
        let late = 2 * world.plan.news_ms;
        let goes_back = before.is_some_and(|(of, under, before)| {
            (of, under) == (open.seq, self.last_play) && u64::from(view.position.0) + late < u64::from(before.0)
        });
        Rule::Monotone.holds(!goes_back, || {
            format!("{current:?} is at {:?} after {before:?}", view.position)
        })
    }

    /// Mirror and window agree, and no more is loaded than may be.
    pub(super) fn window(
        &self,
        session: &Session,
        entries: &[tonearm_core::entry::Entry],
        cursor: usize,
        world: &Seen<'_>,
    ) -> Check {
        let (behind, ahead) = (usize::from(world.plan.behind).max(1), usize::from(world.plan.ahead));
        if !entries.is_empty() && (cursor >= entries.len() || cursor > behind || entries.len() - cursor > 1 + ahead) {
            return Rule::Window.broken(format!("the cursor is {cursor} of {}", entries.len()));
        }
        let mut keys: Vec<EntryKey> = entries.iter().map(|entry| entry.key).collect();
        let current = keys.get(cursor).copied();
        keys.sort_unstable();
        keys.dedup();
        let mut wished: Vec<EntryKey> = self.wishes.iter().map(|wish| wish.entry).collect();
        if wished.first().copied() != current {
            return Rule::Window.broken(format!("{current:?} is current, {:?} is loaded first", wished.first()));
        }
        wished.sort_unstable();
        if keys != wished {
            return Rule::Window.broken(format!("mirrored are {keys:?}, wished {wished:?}"));
        }
        let lost = keys
            .iter()
            .find(|key| !session.holds(**key) || session.slot_of(**key).is_none());
        lost.map_or(Ok(()), |key| {
            Rule::Window.broken(format!("{key:?} is mirrored and has no place"))
        })
    }
}
