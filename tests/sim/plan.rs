//! What may go wrong in one world, and how often: drawn from the seed once, before anything happens.

use crate::rng::Rng;
use tonearm_core::input::Press;
use tonearm_core::unit::Millis;
use tonearm_core::{ButtonSetup, OnElsewhere};

/// Whose account it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    Unlimited,
    Prime,
    Free,
}

/// Rates are per thousand exchanges, entries or seconds, as each field says.
#[derive(Clone, Debug)]
pub struct Plan {
    pub tier: Tier,
    pub behind: u8,
    pub ahead: u8,
    pub heartbeat: Option<Millis>,
    /// Length of the troubled part of the world.
    pub length_ms: u64,
    pub entry_ms: (u64, u64),
    pub queue_len: (u64, u64),
    pub latency_ms: (u64, u64),
    /// Delay of the audio path's reports: the larger, the more races with presses.
    pub news_ms: u64,
    pub load_ms: (u64, u64),
    // Per thousand exchanges with the service.
    pub dropped: u64,
    pub answer_lost: u64,
    pub busy: u64,
    pub odd: u64,
    // Per thousand entries.
    pub corrupt: u64,
    pub broken: u64,
    pub expired: u64,
    pub stalls: u64,
    /// Per thousand starts: the service puts an advertisement after the entry.
    pub injected: u64,
    // Times within the world.
    pub presses: u64,
    pub edges: u64,
    pub net_drops: u64,
    pub device_losses: u64,
    pub disk_faults: u64,
    pub kills: u64,
    pub shutdowns: u64,
    pub takeovers: u64,
    /// The service forgets the session, until it is restored.
    pub lapses: u64,
    /// The account is unlinked for a while.
    pub unlinks: u64,
    /// Per thousand restores: they are refused for good.
    pub unrestorable: u64,
    /// While another device owns the stream, nothing at all is taken but a claim; otherwise only starts are refused.
    pub strict: bool,
    pub batch: u8,
    pub elsewhere: OnElsewhere,
}

pub const BUTTONS: [ButtonSetup; 5] = [
    ButtonSetup {
        press: Press::Play,
        hold: None,
    },
    ButtonSetup {
        press: Press::Next,
        hold: Some(Press::ScrubForward),
    },
    ButtonSetup {
        press: Press::Previous,
        hold: Some(Press::ScrubBackward),
    },
    ButtonSetup {
        press: Press::VolumeUp,
        hold: None,
    },
    ButtonSetup {
        press: Press::VolumeDown,
        hold: None,
    },
];

impl Plan {
    pub fn draw(rng: &mut Rng) -> Self {
        let mut often = |most: u64| if rng.chance(500) { rng.between(1, most) } else { 0 };
        let (dropped, answer_lost, busy, odd) = (often(200), often(150), often(200), often(60));
        let (corrupt, broken, expired, stalls) = (often(300), often(150), often(300), often(400));
        let injected = often(300);
        let (presses, edges) = (5 + often(120), often(40));
        let (net_drops, device_losses, disk_faults) = (often(6), often(4), often(2));
        let (kills, shutdowns, takeovers) = (often(4), often(2), often(3));
        let (lapses, unlinks, unrestorable) = (often(3), often(3), often(600));
        let length_ms = rng.between(60, 420) * 1000;
        let short = rng.chance(300);
        Self {
            tier: [Tier::Unlimited, Tier::Unlimited, Tier::Prime, Tier::Free][rng.index(4)],
            behind: u8::try_from(rng.between(0, 2)).unwrap(),
            ahead: u8::try_from(rng.between(1, 10)).unwrap(),
            heartbeat: rng
                .chance(200)
                .then(|| Millis(u32::try_from(rng.between(1000, 30_000)).unwrap())),
            length_ms,
            entry_ms: if short { (200, 4000) } else { (4000, 90_000) },
            queue_len: if rng.chance(300) { (1, 4) } else { (3, 40) },
            latency_ms: if rng.chance(250) { (100, 3000) } else { (5, 150) },
            news_ms: [0, 5, 40, 120][rng.index(4)],
            load_ms: if rng.chance(300) { (200, 6000) } else { (0, 300) },
            dropped,
            answer_lost,
            busy,
            odd,
            corrupt,
            broken,
            expired,
            stalls,
            injected,
            presses,
            edges,
            net_drops,
            device_losses,
            disk_faults,
            kills,
            shutdowns,
            takeovers,
            lapses,
            unlinks,
            unrestorable,
            strict: rng.chance(500),
            batch: if rng.chance(300) { 5 } else { 1 },
            elsewhere: if rng.chance(300) {
                OnElsewhere::TakeOver
            } else {
                OnElsewhere::Offer
            },
        }
    }

    /// From here on nothing goes wrong any more.
    pub fn calm(&mut self) {
        self.dropped = 0;
        self.answer_lost = 0;
        self.busy = 0;
        self.odd = 0;
        self.corrupt = 0;
        self.broken = 0;
        self.expired = 0;
        self.stalls = 0;
        self.unrestorable = 0;
        self.latency_ms = (5, 50);
        self.load_ms = (0, 100);
    }
}
