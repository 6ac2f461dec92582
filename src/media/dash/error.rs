//! Why a manifest or a segment index cannot be used.

use thiserror::Error;

/// What is wrong with a manifest or a segment index. Messages name the element or attribute.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// No XML.
    #[error("the manifest is no well-formed XML: {0}")]
    Xml(String),
    /// XML, but no manifest of DASH.
    #[error("the manifest begins with <{0}>, not with <MPD>")]
    NoManifest(String),
    /// More of something than any entry needs.
    #[error("the manifest has too much of it: {what}, more than {max}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// It is still being written.
    #[error("the manifest is of a live presentation (type=\"dynamic\"); only whole ones (type=\"static\") are played")]
    Dynamic,
    /// Part of it is elsewhere.
    #[error("<{0}> of the manifest is at another address (xlink:href), which is not followed")]
    Remote(String),
    /// An attribute says what it cannot mean.
    #[error("<{element}> of the manifest has {attribute}=\"{value}\": {reason}")]
    Attribute {
        /// Where.
        element: &'static str,
        /// Which.
        attribute: &'static str,
        /// What it says, cut.
        value: String,
        /// What was expected.
        reason: &'static str,
    },
    /// An address cannot be resolved.
    #[error("the manifest has the address {address:?}: {reason}")]
    Address {
        /// What it says, cut.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The segments cannot be listed.
    #[error("representation {representation:?} of the manifest {reason}")]
    Segments {
        /// Its name, cut.
        representation: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The segment index cannot be used.
    #[error("the segment index (sidx) {0}")]
    Sidx(&'static str),
    /// Nothing to play.
    #[error("the manifest has no period with sound")]
    Empty,
}
