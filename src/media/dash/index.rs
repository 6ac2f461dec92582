//! Where the segments of a representation are: compact, one segment is worked out when it is asked for. `read` makes it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::address::resolved;
use super::error::ManifestError;
use super::presentation::{Representation, Resource, Segment};
use super::sidx::{self, Subsegments};
use super::template::{Template, Values};
use super::time;
use super::timeline::{Slice, Timeline};

/// Where the segments of a representation are.
#[derive(Clone, Debug)]
pub enum Index {
    /// One file is one segment.
    Whole(Resource),
    /// Addresses by a pattern.
    Pattern {
        /// What they are relative to.
        base: String,
        template: Template,
        timeline: Timeline,
        /// `$Number$` of the first one.
        first: u64,
    },
    /// Addresses one by one.
    List {
        /// What they are relative to.
        base: String,
        items: Arc<[Item]>,
        timeline: Timeline,
    },
    /// Ranges of one file, by an index within it.
    Indexed {
        /// The file.
        url: String,
        /// The index.
        sidx: Resource,
        /// `None`: not there yet.
        subsegments: Option<Subsegments>,
    },
}

/// A `SegmentURL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `None`: the base itself.
    pub media: Option<String>,
    pub range: Option<Range<u64>>,
}

impl Index {
    /// Memory of what no other representation has a share in.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Whole(resource) => resource.url.capacity(),
            Self::Pattern { base, template, .. } => base.capacity() + template.memory_bytes(),
            Self::List { base, .. } => base.capacity(),
            Self::Indexed { url, sidx, .. } => url.capacity() + sidx.url.capacity(),
        }
    }

    pub fn segment(&self, of: &Representation, number: u32) -> Option<Segment> {
        match self {
            Self::Whole(resource) => (number == 0).then(|| Segment {
                resource: resource.clone(),
                begin: of.period_start,
                length: of.period_length,
            }),
            Self::Pattern {
                base,
                template,
                timeline,
                first,
            } => {
                let slice = timeline.slice(number)?;
                let values = Values {
                    id: &of.id,
                    bandwidth_bps: of.bandwidth_bps,
                    number: first.checked_add(u64::from(number))?,
                    time: slice.begin,
                };
                let url = resolved(base, &template.filled(values)).ok()?;
                Some(placed(of, of.timescale, slice, Resource { url, range: None }))
            }
            Self::List { base, items, timeline } => {
                let slice = timeline.slice(number)?;
                let item = items.get(usize::try_from(number).ok()?)?;
                let url = match &item.media {
                    Some(media) => resolved(base, media).ok()?,
                    None => base.clone(),
                };
                let range = item.range.clone();
                Some(placed(of, of.timescale, slice, Resource { url, range }))
            }
            Self::Indexed { url, subsegments, .. } => {
                let subsegments = subsegments.as_ref()?;
                let (slice, range) = subsegments.get(number)?;
                let resource = Resource {
                    url: url.clone(),
                    range: Some(range),
                };
                Some(placed(of, subsegments.timescale, slice, resource))
            }
        }
    }

    pub fn count(&self) -> Option<u32> {
        match self {
            Self::Whole(_) => Some(1),
            Self::Pattern { timeline, .. } | Self::List { timeline, .. } => Some(timeline.count()),
            Self::Indexed { subsegments, .. } => subsegments.as_ref().map(Subsegments::count),
        }
    }

    pub fn number_at(&self, of: &Representation, at: Duration) -> Option<u32> {
        let within = at.saturating_sub(of.period_start);
        if of.period_length.is_some_and(|length| within >= length) {
            return None;
        }
        let media = |timescale| offset(of, timescale).saturating_add(time::ticks(within, timescale));
        match self {
            Self::Whole(_) => Some(0),
            Self::Pattern { timeline, .. } | Self::List { timeline, .. } => timeline.number_at(media(of.timescale)),
            Self::Indexed { subsegments, .. } => {
                let subsegments = subsegments.as_ref()?;
                subsegments.number_at(media(subsegments.timescale))
            }
        }
    }

    pub fn sidx(&self) -> Option<&Resource> {
        match self {
            Self::Indexed {
                sidx,
                subsegments: None,
                ..
            } => Some(sidx),
            Self::Indexed { .. } | Self::Whole(_) | Self::Pattern { .. } | Self::List { .. } => None,
        }
    }

    pub fn with_sidx(&mut self, bytes: &[u8]) -> Result<(), ManifestError> {
        let Self::Indexed { sidx, subsegments, .. } = self else {
            return Err(ManifestError::Sidx("is not asked for by this representation"));
        };
        let at = sidx.range.as_ref().map_or(0, |range| range.start);
        *subsegments = Some(sidx::read(bytes, at).map_err(ManifestError::Sidx)?);
        Ok(())
    }
}

/// The presentation time offset in ticks of another timescale.
fn offset(of: &Representation, timescale: u32) -> u64 {
    let ticks = u128::from(of.offset_ticks) * u128::from(timescale) / u128::from(of.timescale.max(1));
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// A slice of media time as a segment of the presentation; it sounds until its period ends at most.
fn placed(of: &Representation, timescale: u32, slice: Slice, resource: Resource) -> Segment {
    let offset = offset(of, timescale);
    let within = |ticks: u64| {
        let distance = time::of_ticks(ticks.abs_diff(offset), timescale);
        if ticks >= offset {
            of.period_start.saturating_add(distance)
        } else {
            of.period_start.saturating_sub(distance)
        }
    };
    let begin = within(slice.begin);
    let end = within(slice.begin.saturating_add(slice.length));
    let period_end = of.period_length.map(|length| of.period_start.saturating_add(length));
    let end = period_end.map_or(end, |last| end.min(last));
    Segment {
        resource,
        begin,
        length: Some(end.saturating_sub(begin)),
    }
}
