//! What an entry with a manifest is made of: which segment comes at which position and of which representation, and
//! the documents (descriptions, segment indices) needed for it. It neither fetches nor holds media bytes.

mod lead;
mod loss;
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use loss::Missing;

use super::dash::{self, Chooser, Ladder, Limits, Moment, Presentation, Representation, Resource, Segment};
use super::part::{END, Part, Ranges, Sound, key_at, origin, time_of};

/// Bytes of a manifest. Those of services are some ten kilobytes; the longest lists of segments are below this.
pub const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of all descriptions and segment indices of one entry. A description is some hundred bytes, an index twelve
/// bytes a segment: of ten representations of a whole album side they are a tenth of this.
pub const DOCUMENTS_BYTES_MAX: u64 = 256 * 1024;
/// Two representations whose segments begin closer than this may take turns there. More would be fetched twice.
const OVERLAP_MAX: Duration = Duration::from_millis(500);
/// A manifest may name less sound than the service says the entry has: it rounds, and it may count silence. More is left
/// out by mistake: a version that was not complete yet, perhaps.
const SHORTFALL_MAX: Duration = Duration::from_secs(2);
/// A place within a segment whose key is its begin rounded to a millisecond.
const ROUNDING: Duration = Duration::from_millis(1);

/// What the choice of a representation depends on, from outside of the entry.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// What the link carries, if that was measured.
    pub link_bps: Option<u64>,
    /// Sound loaded behind what sounds.
    pub buffered: Duration,
}

/// Something small that is fetched whole and kept beside the chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// The manifest, from a fresh address.
    Manifest,
    /// What a decoder is made of, of a representation by its number in the entry.
    Description(u32),
    /// Where the segments of a representation are.
    Index(u32),
}

/// What has to happen before the bytes at a position can be fetched.
#[derive(Debug)]
pub enum Planned {
    /// This part belongs there, under this key.
    Part(u32, Part),
    /// First this document.
    Needs(Document, Resource),
    /// Nothing: the entry ends before.
    End,
}

/// A representation that was chosen once. Its number is its place in the list and survives a fresh manifest.
#[derive(Debug)]
struct Known {
    period: usize,
    id: String,
    /// Its place in its period; `None`: the fresh manifest does not have it.
    place: Option<usize>,
    /// As the manifest before had it, where the fresh one does not: its loaded segments are still to be read.
    gone: Option<Box<Representation>>,
    description: Option<Arc<[u8]>>,
    /// Its segment index, as it came.
    index: Option<Box<[u8]>>,
    /// Its documents cannot be had.
    is_ruined: bool,
}

/// A manifest's entry.
#[derive(Debug)]
pub struct Plan {
    presentation: Presentation,
    /// One a period.
    ladders: Vec<Ladder>,
    limits: Limits,
    chooser: Chooser,
    known: Vec<Known>,
    /// A fresh manifest is to be fetched before anything else.
    pub is_stale: bool,
    /// The entry ends at this key, as was found out.
    pub end: Option<u32>,
    /// What was chosen for a key whose documents are being fetched.
    pending: Option<(u32, u32)>,
    /// The key that was chosen for again because its segment could not be had.
    spared: Option<u32>,
    /// The key whose segment does without the one before, because that could not be had.
    leadless: Option<u32>,
    /// What the last segment in order was taken from, and its key.
    last: Option<(u32, u32)>,
    /// Length of the manifest's text.
    manifest_bytes: usize,
    /// Memory of what each representation has for itself.
    own_bytes: usize,
    documents_bytes: u64,
    parts_made: u32,
    /// Times the representation changed from one segment to the next.
    pub switches: u32,
}

impl Plan {
    /// Of a manifest that was read from a text of so many bytes.
    ///
    /// # Errors
    /// A period has nothing that can be played here.
    pub fn new(presentation: Presentation, manifest_bytes: usize, limits: Limits) -> Result<Self, String> {
        let own_bytes = memory::own_bytes(&presentation);
        Ok(Self {
            ladders: ladders(&presentation, limits)?,
            presentation,
            limits,
            chooser: Chooser::default(),
            known: Vec::new(),
            is_stale: false,
            end: None,
            pending: None,
            spared: None,
            leadless: None,
            last: None,
            manifest_bytes,
            own_bytes,
            documents_bytes: 0,
            parts_made: 0,
            switches: 0,
        })
    }

    /// Goes on with a fresh manifest of the same entry. Representations are the same if period, name, codec and rate are.
    /// Says whether all that were used are still there.
    ///
    /// # Errors
    /// A period has nothing that can be played here.
    pub fn renew(&mut self, mut presentation: Presentation, manifest_bytes: usize) -> Result<bool, String> {
        ladders(&presentation, self.limits)?;
        (self.manifest_bytes, self.own_bytes) = (manifest_bytes, memory::own_bytes(&presentation));
        let mut known = std::mem::take(&mut self.known);
        for one in &mut known {
            let before = one.place.and_then(|place| self.at(one.period, place));
            let is_it =
                |other: &Representation| other.id == one.id && before.is_some_and(|before| is_alike(before, other));
            let period = presentation.periods.get_mut(one.period);
            let found = period.and_then(|period| {
                let place = period.representations.iter().position(is_it)?;
                Some((place, period.representations.get_mut(place)?))
            });
            if found.is_none() {
                one.gone = before.cloned().map(Box::new).or(one.gone.take());
            }
            one.place = found.as_ref().map(|(place, _)| *place);
            one.is_ruined = false;
            let Some((_, representation)) = found else { continue };
            representation.bits = one.description.as_deref().and_then(dash::bits);
            if let Some(index) = one.index.as_ref().filter(|_| representation.sidx().is_some()) {
                // It was good for the same bytes; if not, it is fetched again.
                let _ = representation.with_sidx(index);
            }
        }
        let fits = known.iter().all(|one| one.place.is_some());
        self.known = known;
        self.ladders = ladders(&presentation, self.limits)?;
        self.presentation = presentation;
        self.is_stale = false;
        self.pending = None;
        self.spared = None;
        self.leadless = None;
        self.end = None;
        Ok(fits)
    }

    /// Length as announced by the manifest.
    pub fn length(&self) -> Option<Duration> {
        self.presentation.length
    }

    /// Says how much sound the manifest names if that is too little for an entry of this length.
    pub fn shortfall(&self, announced: Duration) -> Option<Duration> {
        let named = self.presentation.end()?;
        (named.saturating_add(SHORTFALL_MAX) < announced).then_some(named)
    }

    /// Bits a second of what the last segment was taken from.
    pub fn bandwidth_bps(&self) -> Option<u64> {
        let (known, _) = self.last?;
        Some(self.representation(known)?.bandwidth_bps)
    }

    /// A representation by its number in the entry.
    pub fn representation(&self, number: u32) -> Option<&Representation> {
        let known = self.known.get(index(number))?;
        self.at(known.period, known.place?)
    }

    /// The representation of a loaded segment, by its number: also one that the manifest has no more.
    pub fn loaded(&self, number: u32) -> Option<&Representation> {
        let gone = self.known.get(index(number))?.gone.as_deref();
        self.representation(number).or(gone)
    }

    /// The description of a representation. The outer `None`: it has to be fetched; the inner: its segments bring it along.
    #[allow(clippy::option_option, reason = "not there yet, and none to come, are two things")]
    pub fn description(&self, number: u32) -> Option<Option<Arc<[u8]>>> {
        let known = self.known.get(index(number))?;
        match &known.description {
            Some(description) => Some(Some(Arc::clone(description))),
            None => self.loaded(number)?.description.is_none().then_some(None),
        }
    }

    fn at(&self, period: usize, place: usize) -> Option<&Representation> {
        self.presentation.periods.get(period)?.representations.get(place)
    }

    /// Decides on the part at `key`, where `parts` has none.
    pub fn plan(&mut self, key: u32, parts: &BTreeMap<u32, Part>, about: Circumstances) -> Planned {
        let probe = time_of(key).saturating_add(ROUNDING);
        let begun = self
            .presentation
            .periods
            .iter()
            .rposition(|period| period.start <= probe);
        for period in begun.unwrap_or(0)..self.presentation.periods.len() {
            let start = self.presentation.periods.get(period).map(|period| period.start);
            let probe = start.map_or(probe, |start| probe.max(start.saturating_add(ROUNDING)));
            let known = self.chosen(period, key, probe, parts, about);
            let Some(representation) = self.representation(known) else {
                return Planned::End;
            };
            if let Some(index) = representation.sidx().filter(|_| representation.count().is_none()) {
                return Planned::Needs(Document::Index(known), index.clone());
            }
            if self.description(known).is_none()
                && let Some(description) = &representation.description
            {
                return Planned::Needs(Document::Description(known), description.clone());
            }
            if let Some((number, segment)) = Self::segment_at(representation, known, key, probe, parts) {
                if let Some((number, lead)) = self.lead((known, number), key, &segment, parts, about) {
                    let next = time_of(key.saturating_add(1));
                    return self.part(key, known, number, lead, Some(next), parts).into_lead();
                }
                let next = self.next_of(period, representation, number);
                return self.part(key, known, number, segment, next, parts);
            }
        }
        Planned::End
    }

    /// The segment over `probe`; never again the one before `key`, whatever the manifest's times say.
    fn segment_at(
        representation: &Representation,
        known: u32,
        key: u32,
        probe: Duration,
        parts: &BTreeMap<u32, Part>,
    ) -> Option<(u32, Segment)> {
        let number = representation.number_at(probe)?;
        let before = parts.range(..key).next_back().and_then(|(_, part)| part.sound.as_ref());
        let number = match before {
            Some(before) if before.representation == known && before.next == origin(key) => {
                number.max(before.number.saturating_add(1))
            }
            Some(_) | None => number,
        };
        Some((number, representation.segment(number)?))
    }

    /// When something follows a segment.
    fn next_of(&self, period: usize, representation: &Representation, number: u32) -> Option<Duration> {
        number
            .checked_add(1)
            .and_then(|next| representation.segment(next))
            .map(|segment| segment.begin)
            .or_else(|| Some(self.presentation.periods.get(period.checked_add(1)?)?.start))
    }

    fn part(
        &mut self,
        key: u32,
        known: u32,
        number: u32,
        segment: Segment,
        next: Option<Duration>,
        parts: &BTreeMap<u32, Part>,
    ) -> Planned {
        // After a search, the segment begins before the moment that was sought.
        let own = key_at(segment.begin).min(key);
        let is_free = own == key
            || parts
                .range(..=key)
                .next_back()
                .is_none_or(|(_, part)| part.next() <= origin(own));
        let key = if is_free { own } else { key };
        let next = next.map_or(END, |next| origin(key_at(next).max(key.saturating_add(1))));
        let later = parts
            .range(key.saturating_add(1)..)
            .next()
            .map(|(later, _)| origin(*later));
        let next = later.map_or(next, |later| later.min(next));
        if let Some((before, _)) = self.last.filter(|(before, at)| *before != known && *at < key) {
            log::debug!("media: representation {before} gives way to {known} at {key} ms");
            self.switches = self.switches.saturating_add(1);
        }
        self.last = Some((known, key));
        self.pending = None;
        self.parts_made = self.parts_made.wrapping_add(1);
        let Segment {
            resource: Resource { url, range },
            begin,
            length,
        } = segment;
        let sound = Sound {
            representation: known,
            number,
            begin,
            length,
            next,
            is_lead: false,
        };
        Planned::Part(
            key,
            Part {
                range,
                ranges: Ranges::Honoured,
                sound: Some(sound),
                ..Part::file(self.parts_made, url)
            },
        )
    }

    /// Number of the representation for `key`. Asks the policy once a key.
    fn chosen(
        &mut self,
        period: usize,
        key: u32,
        probe: Duration,
        parts: &BTreeMap<u32, Part>,
        about: Circumstances,
    ) -> u32 {
        if let Some((_, known)) = self.pending.filter(|(pending, _)| *pending == key)
            && self.is_usable(known, period)
        {
            return known;
        }
        let before = parts.range(..key).next_back().and_then(|(_, part)| part.sound.as_ref());
        let moment = Moment {
            link_bps: about.link_bps,
            buffered: about.buffered,
            segment: before.and_then(|before| before.length),
        };
        let ladder = self.ladders.get(period);
        let place = ladder.map_or(0, |ladder| self.chooser.next(ladder, moment));
        let mut known = self.know(period, place);
        if !self.is_usable(known, period) {
            known = self.alternative(known).unwrap_or(known);
        }
        if let Some(before) = before
            && before.representation != known
            && self.is_usable(before.representation, period)
            && !self.meets(known, key, probe)
        {
            known = before.representation;
        }
        self.pending = Some((key, known));
        known
    }

    fn is_usable(&self, known: u32, period: usize) -> bool {
        self.known
            .get(index(known))
            .is_some_and(|one| !one.is_ruined && one.place.is_some() && one.period == period)
    }

    /// Whether a segment of the representation begins near `key`. One whose index is missing is taken at its word.
    fn meets(&self, known: u32, key: u32, probe: Duration) -> bool {
        let Some(representation) = self.representation(known).filter(|one| one.count().is_some()) else {
            return true;
        };
        let segment = representation
            .number_at(probe)
            .and_then(|number| representation.segment(number));
        segment.is_some_and(|segment| segment.begin.saturating_add(OVERLAP_MAX) >= time_of(key))
    }

    /// Number in the entry of a representation.
    fn know(&mut self, period: usize, place: usize) -> u32 {
        let known = |one: &Known| one.period == period && one.place == Some(place);
        let found = self.known.iter().position(known).unwrap_or_else(|| {
            self.known.push(Known {
                period,
                id: self.at(period, place).map(|one| one.id.clone()).unwrap_or_default(),
                place: Some(place),
                description: None,
                index: None,
                gone: None,
                is_ruined: false,
            });
            self.known.len().saturating_sub(1)
        });
        u32::try_from(found).unwrap_or(u32::MAX)
    }

    /// The samples of a representation have so many bits. If those are too many, it is chosen anew.
    fn learn(&mut self, period: usize, place: usize, bits: u8) {
        let Some(of) = self.presentation.periods.get_mut(period) else {
            return;
        };
        if let Some(representation) = of.representations.get_mut(place) {
            representation.bits = Some(bits);
        }
        if bits <= self.limits.bits_max {
            return;
        }
        if let (Ok(fresh), Some(ladder)) = (
            Ladder::of(&of.representations, self.limits),
            self.ladders.get_mut(period),
        ) {
            *ladder = fresh;
        }
        // What stands in for a segment that could not be had is not the chooser's choice.
        if self.pending.is_none_or(|(key, _)| self.spared != Some(key)) {
            self.pending = None;
            self.chooser.undo();
        }
    }

    /// Takes a description or a segment index.
    ///
    /// # Errors
    /// It cannot be used, or there is too much of it.
    pub fn take(&mut self, document: Document, bytes: &[u8]) -> Result<(), String> {
        let number = match document {
            Document::Manifest => return Ok(()),
            Document::Description(number) | Document::Index(number) => number,
        };
        self.documents_bytes = self.documents_bytes.saturating_add(bytes.len() as u64);
        if self.documents_bytes > DOCUMENTS_BYTES_MAX {
            return Err(format!(
                "its descriptions and segment indices have more than {DOCUMENTS_BYTES_MAX} bytes"
            ));
        }
        let known = self.known.get_mut(index(number)).ok_or("it is of no representation")?;
        let (period, place) = (known.period, known.place);
        match document {
            Document::Manifest => {}
            Document::Description(_) => {
                known.description = Some(bytes.into());
                if let (Some(bits), Some(place)) = (dash::bits(bytes), place) {
                    self.learn(period, place, bits);
                }
            }
            Document::Index(_) => {
                let periods = &mut self.presentation.periods;
                let period = periods.get_mut(period).ok_or("it is of no period")?;
                let place = place.ok_or("it is of no representation")?;
                let representation = period
                    .representations
                    .get_mut(place)
                    .ok_or("it is of no representation")?;
                representation.with_sidx(bytes).map_err(|error| error.to_string())?;
                known.index = Some(bytes.into());
            }
        }
        Ok(())
    }
}

fn ladders(presentation: &Presentation, limits: Limits) -> Result<Vec<Ladder>, String> {
    presentation
        .periods
        .iter()
        .map(|period| Ladder::of(&period.representations, limits).map_err(|error| error.to_string()))
        .collect()
}

/// Whether two descriptions of a representation can be of the same bytes.
fn is_alike(one: &Representation, other: &Representation) -> bool {
    one.codec == other.codec && one.rate_hz == other.rate_hz && one.bandwidth_bps == other.bandwidth_bps
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
