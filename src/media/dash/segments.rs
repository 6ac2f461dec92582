//! The segments of a representation, from `SegmentTemplate`, `SegmentList`, `SegmentBase` or one address, each inheriting from
//! the same element further out.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::address::resolved;
use super::error::ManifestError;
use super::index::{Index, Item};
use super::presentation::{Representation, Resource};
use super::read::{Sound, wrong};
use super::template::{Template, Values};
use super::time;
use super::timeline::{Stretch, Timeline};
use super::tree::{Element, cut};

/// Most `S` and `SegmentURL` that are read, those that are inherited and read again under other circumstances counted again:
/// more than a manifest can hold, so that only one that is made for it gets there.
const READ_MAX: usize = 200_000;
/// Announced lengths are rounded to a millisecond: a last segment of no more than half of one is that rounding.
const ROUNDING: Duration = Duration::from_micros(500);
/// The elements that list segments, in the order in which one level's are taken.
const KINDS: [&str; 3] = ["SegmentTemplate", "SegmentList", "SegmentBase"];

/// Where a representation stands.
#[derive(Clone)]
pub struct Place<'t, 'a> {
    /// Base of its addresses.
    pub base: String,
    /// It and what is around it, outwards.
    pub layers: Vec<Element<'t, 'a>>,
    /// Of its period.
    pub start: Duration,
    /// Of its period.
    pub length: Option<Duration>,
}

/// Reads segments; what several representations inherit is read once.
#[derive(Default)]
pub struct Reader {
    timelines: HashMap<(usize, Option<u64>), Timeline>,
    lists: HashMap<usize, Arc<[Item]>>,
    read: usize,
}

/// One kind of element on several levels.
struct Info<'t, 'a> {
    kind: &'static str,
    layers: Vec<Element<'t, 'a>>,
}

impl<'t, 'a> Info<'t, 'a> {
    /// The kind of the innermost level that has one.
    fn of(layers: &[Element<'t, 'a>]) -> Option<Self> {
        let innermost = |layer: &Element<'t, 'a>| KINDS.into_iter().find(|kind| layer.child(kind).is_some());
        let kind = layers.iter().find_map(innermost)?;
        let layers = layers.iter().filter_map(|layer| layer.child(kind)).collect();
        Some(Self { kind, layers })
    }

    fn attribute(&self, name: &str) -> Option<String> {
        self.layers.iter().find_map(|layer| layer.attribute(name))
    }

    fn child(&self, name: &str) -> Option<Element<'t, 'a>> {
        self.layers.iter().find_map(|layer| layer.child(name))
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, ManifestError> {
        let Some(text) = self.attribute(name) else {
            return Ok(None);
        };
        let number = text.parse().map(Some);
        number.map_err(|_| wrong(self.kind, name, &text, "it is not a number that is not negative"))
    }

    fn template(&self, name: &'static str) -> Result<Option<Template>, ManifestError> {
        let Some(text) = self.attribute(name) else {
            return Ok(None);
        };
        Template::of(&text)
            .map(Some)
            .map_err(|reason| wrong(self.kind, name, &text, reason))
    }
}

impl Reader {
    /// Reads the representation whose place and sound are known.
    pub fn representation(&mut self, place: &Place<'_, '_>, sound: Sound) -> Result<Representation, ManifestError> {
        let mut representation = Representation {
            id: sound.id,
            bandwidth_bps: sound.bandwidth_bps,
            codec: sound.codec,
            mime: sound.mime,
            rate_hz: sound.rate_hz,
            channels: sound.channels,
            bits: None,
            encryption: None,
            description: None,
            origin_ticks: 0,
            timescale: 1,
            offset_ticks: 0,
            index: Index::Whole(whole(&place.base)),
            period_start: place.start,
            period_length: place.length,
        };
        let info = Info::of(&place.layers);
        if let Some(info) = &info {
            let timescale = info.number("timescale")?.unwrap_or(1);
            let fitting = u32::try_from(timescale).ok().filter(|timescale| *timescale > 0);
            let not_fitting = || {
                wrong(
                    info.kind,
                    "timescale",
                    &timescale.to_string(),
                    "it is not a positive 32-bit number",
                )
            };
            representation.timescale = fitting.ok_or_else(not_fitting)?;
            representation.offset_ticks = info.number("presentationTimeOffset")?.unwrap_or(0);
        }
        let start = i128::from(time::ticks(place.start, representation.timescale));
        let origin = i64::try_from(start - i128::from(representation.offset_ticks));
        let beyond = |_| refused(&representation, "has a presentation time offset beyond all time");
        representation.origin_ticks = origin.map_err(beyond)?;
        if let Some(info) = &info {
            match info.kind {
                "SegmentTemplate" => self.pattern(info, place, &mut representation)?,
                "SegmentList" => self.list(info, place, &mut representation)?,
                _ => indexed(info, place, &mut representation)?,
            }
        }
        Ok(representation)
    }

    fn pattern(
        &mut self,
        info: &Info<'_, '_>,
        place: &Place<'_, '_>,
        of: &mut Representation,
    ) -> Result<(), ManifestError> {
        let first = info.number("startNumber")?.unwrap_or(1);
        let last = info.number("endNumber")?;
        let most = last.map(|last| last.saturating_add(1).saturating_sub(first));
        let timeline = self.timeline(info, place, of, most)?;
        let template = info
            .template("media")?
            .ok_or_else(|| refused(of, "has a SegmentTemplate without media"))?;
        if timeline.count() > 1 && !template.tells_segments_apart() {
            return Err(refused(of, "has one address for all of its segments"));
        }
        let values = Values {
            id: &of.id,
            bandwidth_bps: of.bandwidth_bps,
            number: first
                .checked_add(u64::from(timeline.count()))
                .ok_or_else(|| refused(of, "counts beyond all numbers"))?,
            time: u64::MAX,
        };
        // The longest of its addresses: the others are right if this one is.
        resolved(&place.base, &template.filled(values))?;
        let description = match info.template("initialization")? {
            Some(template) => Some(whole(&resolved(&place.base, &template.filled(values))?)),
            None => initialisation(info, place)?,
        };
        of.description = description;
        of.index = Index::Pattern {
            base: place.base.clone(),
            template,
            timeline,
            first,
        };
        Ok(())
    }

    fn list(
        &mut self,
        info: &Info<'_, '_>,
        place: &Place<'_, '_>,
        of: &mut Representation,
    ) -> Result<(), ManifestError> {
        let with_items = info.layers.iter().find(|layer| layer.child("SegmentURL").is_some());
        let list = with_items.ok_or_else(|| refused(of, "has a SegmentList without SegmentURL"))?;
        let items = if let Some(items) = self.lists.get(&list.number()) {
            Arc::clone(items)
        } else {
            let items = list.all("SegmentURL").map(item).collect::<Result<Arc<[_]>, _>>()?;
            self.lists.insert(list.number(), Arc::clone(&items));
            items
        };
        let timeline =
            if items.len() == 1 && info.child("SegmentTimeline").is_none() && info.attribute("duration").is_none() {
                // One segment needs no length of its own; where the period has none, a tick stands for it.
                let ticks = place.length.map_or(1, |length| time::ticks(length, of.timescale));
                Timeline::regular(
                    of.offset_ticks,
                    ticks.max(1),
                    of.offset_ticks.saturating_add(ticks.max(1)),
                    0,
                )
                .map_err(|reason| refused(of, reason))?
            } else {
                self.timeline(info, place, of, u64::try_from(items.len()).ok())?
            };
        self.spend(items.len())?;
        for item in items.iter().filter_map(|item| item.media.as_ref()) {
            resolved(&place.base, item)?;
        }
        of.description = initialisation(info, place)?;
        of.index = Index::List {
            base: place.base.clone(),
            items,
            timeline,
        };
        Ok(())
    }

    /// When segments begin; `most` is how many there can be by their numbers.
    fn timeline(
        &mut self,
        info: &Info<'_, '_>,
        place: &Place<'_, '_>,
        of: &Representation,
        most: Option<u64>,
    ) -> Result<Timeline, ManifestError> {
        let end = place
            .length
            .map(|length| of.offset_ticks.saturating_add(time::ticks(length, of.timescale)));
        let mut timeline = if let Some(element) = info.child("SegmentTimeline") {
            let key = (element.number(), end);
            if let Some(timeline) = self.timelines.get(&key) {
                timeline.clone()
            } else {
                let stretches = element.all("S").map(stretch).collect::<Result<Vec<_>, _>>()?;
                self.spend(stretches.len())?;
                let timeline = Timeline::of(&stretches, end).map_err(|reason| refused(of, reason))?;
                self.timelines.insert(key, timeline.clone());
                timeline
            }
        } else {
            let length = info
                .number("duration")?
                .ok_or_else(|| refused(of, "does not say how long its segments are"))?;
            let by_number = most.and_then(|most| most.checked_mul(length)?.checked_add(of.offset_ticks));
            // A list is complete; the period's length, which is often rounded, takes nothing from it.
            let end = end.filter(|_| by_number.is_none() || info.kind != "SegmentList");
            let until = end.into_iter().chain(by_number).min();
            let until = until.ok_or_else(|| refused(of, "lists segments without an end"))?;
            let regular = Timeline::regular(of.offset_ticks, length, until, time::ticks(ROUNDING, of.timescale));
            regular.map_err(|reason| refused(of, reason))?
        };
        timeline.cut(most.and_then(|most| u32::try_from(most).ok()).unwrap_or(u32::MAX));
        if timeline.count() == 0 {
            return Err(refused(of, "has no segment within its period"));
        }
        Ok(timeline)
    }

    fn spend(&mut self, count: usize) -> Result<(), ManifestError> {
        self.read += count;
        if self.read > READ_MAX {
            return Err(ManifestError::TooMuch {
                what: "segments that are listed",
                max: READ_MAX,
            });
        }
        Ok(())
    }
}

/// `SegmentBase`: a file with an index in it, or one without, which is one segment.
fn indexed(info: &Info<'_, '_>, place: &Place<'_, '_>, of: &mut Representation) -> Result<(), ManifestError> {
    of.description = initialisation(info, place)?;
    if let Some(text) = info.attribute("indexRange") {
        let range = range(&text).ok_or_else(|| wrong("SegmentBase", "indexRange", &text, "it is not like 100-199"))?;
        of.index = Index::Indexed {
            url: place.base.clone(),
            sidx: Resource {
                url: place.base.clone(),
                range: Some(range),
            },
            subsegments: None,
        };
    }
    Ok(())
}

fn initialisation(info: &Info<'_, '_>, place: &Place<'_, '_>) -> Result<Option<Resource>, ManifestError> {
    let Some(element) = info.child("Initialization") else {
        return Ok(None);
    };
    let url = resolved(&place.base, &element.attribute("sourceURL").unwrap_or_default())?;
    let range = element
        .attribute("range")
        .map(|text| range(&text).ok_or_else(|| wrong("Initialization", "range", &text, "it is not like 0-99")));
    Ok(Some(Resource {
        url,
        range: range.transpose()?,
    }))
}

fn item(element: Element<'_, '_>) -> Result<Item, ManifestError> {
    let told = element.attribute("mediaRange");
    let range =
        told.map(|text| range(&text).ok_or_else(|| wrong("SegmentURL", "mediaRange", &text, "it is not like 100-199")));
    Ok(Item {
        media: element.attribute("media"),
        range: range.transpose()?,
    })
}

fn stretch(element: Element<'_, '_>) -> Result<Stretch, ManifestError> {
    fn number<T: std::str::FromStr>(element: Element<'_, '_>, name: &'static str) -> Result<Option<T>, ManifestError> {
        let text = element.attribute(name);
        let number = text.map(|text| {
            text.parse()
                .map_err(|_| wrong("S", name, &text, "it is not such a number"))
        });
        number.transpose()
    }
    let length = number(element, "d")?.ok_or_else(|| wrong("S", "d", "", "it is needed"))?;
    Ok(Stretch {
        begin: number(element, "t")?,
        length,
        repeat: number(element, "r")?.unwrap_or(0),
    })
}

/// A range of bytes, its last one included, as HTTP writes it.
fn range(text: &str) -> Option<Range<u64>> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some(first..last.checked_add(1)?)
}

fn whole(url: &str) -> Resource {
    Resource {
        url: url.to_owned(),
        range: None,
    }
}

fn refused(of: &Representation, reason: &'static str) -> ManifestError {
    ManifestError::Segments {
        representation: cut(&of.id),
        reason,
    }
}
