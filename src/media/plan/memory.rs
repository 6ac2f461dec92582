//! What a manifest's entry takes in memory beside its media bytes: it counts towards the same budget.

use super::super::dash::{Presentation, Representation};
use super::Plan;

/// What the representations of a manifest share takes in memory, in multiples of its text, at most. A test measures it.
const MANIFEST_FACTOR: usize = 5;
/// The same for descriptions, kept as they are, and segment indices, kept and read.
const DOCUMENTS_FACTOR: usize = 3;

impl Plan {
    /// Memory that it takes at most.
    pub fn memory_bytes(&self) -> usize {
        let documents = usize::try_from(self.documents_bytes).unwrap_or(usize::MAX);
        let documents = documents.saturating_mul(DOCUMENTS_FACTOR);
        let shared = self.manifest_bytes.saturating_mul(MANIFEST_FACTOR);
        shared.saturating_add(self.own_bytes).saturating_add(documents)
    }
}

/// Memory of what each representation has for itself.
pub(super) fn own_bytes(presentation: &Presentation) -> usize {
    let all = presentation.periods.iter().flat_map(|period| &period.representations);
    all.map(Representation::memory_bytes).sum()
}
