//! The local page's API: status, presses, changes as they happen, metrics. See `guard` for who may use it.
//!
//! It shows what it is given and passes on what is asked; it decides nothing and knows neither session nor service.

mod ask;
mod client;
mod guard;
mod queue;
mod server;
mod status;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use ask::{AccountWish, Ask, Button, Place, PlayParams, Reason};
pub use client::{Client, ClientError};
pub use queue::{Queue, Queued};
pub use server::{Settings, serve};
pub use status::{
    Account, Action, Actions, Fault, Invitation, Item, Link, Load, Now, Offer, Outbox, State, Status, Upsell, kind_name,
};
