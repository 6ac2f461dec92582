//! What cannot be had of a manifest's entry, and what goes on in its place.

use std::time::Duration;

use super::super::dash::{Ladder, Representation};
use super::super::part::{Sound, time_of};
use super::{Document, Plan, ROUNDING, index};

/// What a segment that cannot be had means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The manifest lists more than there is: less than half of the segment lies within the announced length.
    End,
    /// Another segment takes its place.
    Elsewhere,
    /// Sound is missing.
    Lost,
}

impl Plan {
    /// A document cannot be had: its representation is not used any more. False: there is no other one.
    pub fn lose(&mut self, document: Document) -> bool {
        let number = match document {
            Document::Manifest => return false,
            Document::Description(number) | Document::Index(number) => number,
        };
        if let Some(known) = self.known.get_mut(index(number)) {
            known.is_ruined = true;
        }
        self.pending = None;
        self.alternative(number).is_some()
    }

    /// The segment at `key` cannot be had. Says what that means.
    pub fn miss(&mut self, key: u32, sound: &Sound, announced: Option<Duration>) -> Missing {
        if sound.is_lead {
            self.leadless = Some(key);
            return Missing::Elsewhere;
        }
        let announced = self.presentation.length.or(announced);
        let half = sound.length.unwrap_or_default() / 2;
        let is_behind_end = announced.is_none_or(|announced| sound.begin.saturating_add(half) >= announced);
        if is_behind_end && key > 0 {
            self.end = Some(key);
            return Missing::End;
        }
        // One other try a segment: a host that has lost them all is not asked for each.
        if self.spared == Some(key) {
            return Missing::Lost;
        }
        match self.alternative(sound.representation) {
            Some(other) if self.meets(other, key, time_of(key).saturating_add(ROUNDING)) => {
                self.spared = Some(key);
                self.pending = Some((key, other));
                Missing::Elsewhere
            }
            Some(_) | None => Missing::Lost,
        }
    }

    /// Another representation of the same period that can be played: the best of those that take less, else the one that
    /// takes least.
    pub(super) fn alternative(&mut self, instead_of: u32) -> Option<u32> {
        let refused = self.known.get(index(instead_of))?;
        let (period, place) = (refused.period, refused.place);
        let taken = self.representation(instead_of).map_or(0, |one| one.bandwidth_bps);
        let ruined = |place: usize| {
            self.known
                .iter()
                .any(|one| one.is_ruined && one.period == period && one.place == Some(place))
        };
        let others = self
            .presentation
            .periods
            .get(period)?
            .representations
            .iter()
            .enumerate();
        let others = others.filter(|(other, one)| {
            Some(*other) != place && !ruined(*other) && Ladder::of(std::slice::from_ref(*one), self.limits).is_ok()
        });
        let below_first = |(_, one): &(usize, &Representation)| {
            let bps = one.bandwidth_bps;
            (bps > taken, if bps > taken { bps } else { u64::MAX - bps })
        };
        let other = others.min_by_key(below_first)?.0;
        Some(self.know(period, other))
    }
}
