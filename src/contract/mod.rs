//! The speaker and the service against each other: the real client, catalogue, session and journal ask the real
//! simulator over loopback HTTP. Tests only; nothing of it ships. It decides nothing for either side.

mod bench;
mod endpoints;
mod hour;
mod packaging;
mod refusals;
