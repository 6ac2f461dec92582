//! Where the segments of a representation are.

use std::time::Duration;

use super::error::ManifestError;
use super::presentation::{Representation, Resource, Segment};

/// Where the segments of a representation are.
#[derive(Clone, Debug)]
pub enum Index {
    /// One file is one segment.
    Whole(Resource),
}

impl Index {
    pub fn segment(&self, of: &Representation, number: u32) -> Option<Segment> {
        let Self::Whole(resource) = self;
        (number == 0).then(|| Segment {
            resource: resource.clone(),
            begin: of.period_start,
            length: of.period_length,
        })
    }

    pub fn count(&self) -> Option<u32> {
        Some(1)
    }

    pub fn number_at(&self, of: &Representation, at: Duration) -> Option<u32> {
        let begin = at.saturating_sub(of.period_start);
        of.period_length.is_none_or(|length| begin < length).then_some(0)
    }

    pub fn sidx(&self) -> Option<&Resource> {
        None
    }

    pub fn with_sidx(&mut self, _bytes: &[u8]) -> Result<(), ManifestError> {
        Err(ManifestError::Sidx("is not asked for"))
    }
}
