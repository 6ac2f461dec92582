//! MPEG-DASH (ISO/IEC 23009-1), static presentations: what a manifest says there is, and which representation comes
//! next. Pure: nothing is fetched here, nothing waits, nothing is decrypted or decoded.
//!
//! ```text
//! bytes -> tree (XML) -> read (inheritance, addresses) -> Presentation -> Ladder -> Chooser -> number of a representation
//!                                                             `-> Representation::segment(n): computed when asked
//! ```
//!
//! **Invariant** Whatever a manifest says, reading it ends, and takes memory in proportion to its text at most.

mod address;
mod choice;
mod codec;
mod description;
mod error;
mod index;
mod presentation;
mod protection;
mod read;
mod segments;
mod sidx;
mod template;
mod throughput;
mod time;
mod timeline;
mod tree;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

pub use choice::{Chooser, Ladder, Limits, Moment};
pub use description::bits;
#[cfg(test)]
pub use description::tests::of_flac;
pub use presentation::{Presentation, Representation, Resource, Segment};
pub use read::parse;
pub use throughput::Throughput;
