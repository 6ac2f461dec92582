//! What a speaker is to the fleet, and how one lives through a scene in virtual time.

use crate::service::{Scene, Service};

/// Longest time that a life goes on after the scene, until the last events are through: they come with a change of entry.
const LAST_EVENTS_MS: u64 = 120_000;

/// What one speaker said, and what the service took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger {
    pub recorded: u64,
    /// Number of the last event that the service took.
    pub taken: u64,
    /// Events that did not come right after the one before.
    pub out_of_order: u64,
    /// Steps of the session.
    pub inputs: u64,
}

/// A speaker of whatever make.
pub trait Device {
    /// When something happens next.
    fn wakes_at(&self, scene: &Scene) -> u64;
    fn wake(&mut self, now: u64, service: &mut Service);
    /// Nothing waits and nothing is being asked.
    fn is_caught_up(&self) -> bool;
    fn is_silent(&self) -> bool;
    fn ledger(&self) -> Ledger;
}

/// What became of one speaker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Life {
    /// After the end of the outage; `None`: not within the scene.
    pub caught_up_ms: Option<u64>,
    /// Silent when the outage ended: how long after it the sound was back.
    pub silent_ms: Option<u64>,
    /// Events that had not arrived when it ended.
    pub lost: u64,
    pub ledger: Ledger,
}

/// A life being lived, so that many can be lived at once.
pub struct Living<D> {
    pub device: D,
    life: Life,
    was_silent: Option<bool>,
}

impl<D: Device> Living<D> {
    pub fn new(device: D) -> Self {
        Self {
            device,
            life: Life::default(),
            was_silent: None,
        }
    }

    /// When it goes on; `None`: it has been lived.
    pub fn wakes_at(&self, scene: &Scene) -> Option<u64> {
        let end = scene.over_ms();
        let at = self.device.wakes_at(scene);
        let is_over = (at > end && self.device.is_caught_up()) || at > end + LAST_EVENTS_MS;
        (!is_over).then_some(at)
    }

    pub fn wake(&mut self, now: u64, service: &mut Service) {
        let end = service.scene.ends_ms();
        if now >= end && self.was_silent.is_none() {
            self.was_silent = Some(self.device.is_silent());
        }
        self.device.wake(now, service);
        if now < end {
            return;
        }
        if self.life.caught_up_ms.is_none() && self.device.is_caught_up() {
            self.life.caught_up_ms = Some(now - end);
        }
        if self.was_silent == Some(true) && self.life.silent_ms.is_none() && !self.device.is_silent() {
            self.life.silent_ms = Some(now - end);
        }
    }

    pub fn over(&self) -> Life {
        let ledger = self.device.ledger();
        Life {
            lost: ledger.recorded - ledger.taken,
            ledger,
            ..self.life
        }
    }
}
