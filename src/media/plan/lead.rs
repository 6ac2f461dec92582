//! Whether a lossy decoder is given the segment before the one that it is to be heard from: one that starts in the middle
//! of the music is rough for some packets, and no other representation's segment helps it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::dash::Segment;
use super::super::part::{Part, origin, time_of};
use super::{Circumstances, Plan, Planned, index};

/// So much of the music heard already makes a decoder ready: Opus needs 80 ms, AAC two packets.
const ENOUGH: Duration = Duration::from_millis(125);
/// Both segments have to arrive while this part of what is loaded sounds.
const ARRIVAL_SHARE: u128 = 2;

impl Planned {
    /// The part is only there for a decoder to get going.
    pub(super) fn into_lead(mut self) -> Self {
        if let Self::Part(_, part) = &mut self
            && let Some(sound) = &mut part.sound
        {
            sound.is_lead = true;
            sound.length = None;
        }
        self
    }
}

impl Plan {
    /// What comes before the segment `number` at `key`, if that is worth it and there is time for it.
    pub(super) fn lead(
        &self,
        (known, number): (u32, u32),
        key: u32,
        segment: &Segment,
        parts: &BTreeMap<u32, Part>,
        about: Circumstances,
    ) -> Option<(u32, Segment)> {
        let before = parts
            .range(..key)
            .next_back()
            .and_then(|(_, part)| part.sound.as_ref())?;
        let (here, there) = (self.representation(known)?, self.representation(before.representation)?);
        let period = |known: u32| self.known.get(index(known)).map(|one| one.period);
        let follows = before.next == origin(key) && period(known) == period(before.representation);
        let goes_on = here.codec == there.codec && here.rate_hz == there.rate_hz;
        let is_ready = goes_on || here.codec.is_lossless() || time_of(key).saturating_sub(segment.begin) >= ENOUGH;
        if !follows || is_ready || self.leadless == Some(key) {
            return None;
        }
        let number = number.checked_sub(1)?;
        let lead = here.segment(number)?;
        let length = lead.length?.saturating_add(segment.length?);
        let needed = length.as_millis().saturating_mul(here.bandwidth_bps.into());
        let carried = about.buffered.as_millis().saturating_mul(about.link_bps?.into());
        (needed <= carried / ARRIVAL_SHARE).then_some((number, lead))
    }
}
