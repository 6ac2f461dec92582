//! Readable scenarios (being written).
