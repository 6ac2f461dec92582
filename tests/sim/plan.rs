//! What may go wrong in one world, and how often: drawn from the seed before anything happens; in a long world anew for
//! each day. What a failure does not need is left out again (`Without`).

use std::collections::BTreeSet;

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

/// Trouble of one day of a long world; the rest of the day is calm.
pub const DAY_MS: u64 = 24 * 3600 * 1000 - CALM_MS;
/// Without faults, everything is sent and the sound is back within this.
pub const CALM_MS: u64 = 150_000;

/// What happens by chance per exchange, entry or start, as opposed to what is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rate {
    Dropped,
    AnswerLost,
    Busy,
    Odd,
    Twice,
    Corrupt,
    Broken,
    Expired,
    Stalls,
    Injected,
    Unrestorable,
}

impl Rate {
    pub const ALL: [Self; 11] = [
        Self::Dropped,
        Self::AnswerLost,
        Self::Busy,
        Self::Odd,
        Self::Twice,
        Self::Corrupt,
        Self::Broken,
        Self::Expired,
        Self::Stalls,
        Self::Injected,
        Self::Unrestorable,
    ];
}

/// How long a world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Minutes, with everything at once.
    Short,
    /// Days of listening.
    Days(u32),
}

/// Something that keeps a promise, left out on purpose to see that the oracle notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The disk syncs nothing, and says it did.
    Sync,
    /// The stop that is made up for a start that a kill left open.
    ClosingStop,
    /// The journal is not told what the service said.
    Settlement,
    /// Events are announced as stored before they are written.
    Writing,
}

/// What is left out of a world. Its seed and this together are the same world for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Without {
    pub rates: BTreeSet<Rate>,
    /// Troubles, by day and place in the list of the day.
    pub troubles: BTreeSet<(u32, usize)>,
    pub part: Option<Part>,
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
    /// Answers that arrive twice, the second time when nobody waits for them.
    pub twice: u64,
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
    /// The program is killed, the system goes on.
    pub kills: u64,
    /// The plug is pulled: what was not synced is torn, reordered or gone.
    pub power_cuts: u64,
    /// The wall clock jumps, and the kernel says that it is not synchronised.
    pub clock_jumps: u64,
    /// Access tokens expire and are renewed a little later.
    pub expiries: u64,
    /// Somebody sits down to listen: a preset.
    pub sittings: u64,
    /// Somebody else puts something into the queue.
    pub edits: u64,
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
        let (injected, twice) = (often(300), often(100));
        let (presses, edges) = (5 + often(120), often(40));
        let (net_drops, device_losses, disk_faults) = (often(6), often(4), often(2));
        let (kills, power_cuts, shutdowns, takeovers) = (often(4), often(4), often(2), often(3));
        let (clock_jumps, expiries, edits) = (often(3), often(3), often(4));
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
            twice,
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
            power_cuts,
            clock_jumps,
            expiries,
            edits,
            sittings: 0,
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

    /// Another day of a long life: other troubles, days of listening at the length of real music. What the program was
    /// set up with stays.
    pub fn day(&mut self, rng: &mut Rng) {
        let mut often = |most: u64| if rng.chance(400) { rng.between(1, most) } else { 0 };
        (self.dropped, self.answer_lost, self.busy, self.odd) = (often(60), often(40), often(60), often(15));
        (self.corrupt, self.broken, self.expired, self.stalls) = (often(60), often(30), often(100), often(100));
        (self.injected, self.twice) = (often(200), often(40));
        (self.presses, self.edges) = (10 + often(80), often(40));
        (self.net_drops, self.device_losses, self.disk_faults) = (often(8), often(4), often(3));
        (self.kills, self.power_cuts, self.shutdowns, self.takeovers) = (often(4), often(4), often(2), often(4));
        (self.clock_jumps, self.expiries, self.edits) = (often(3), often(24), often(6));
        (self.lapses, self.unlinks, self.unrestorable) = (often(2), often(2), often(600));
        self.length_ms = DAY_MS;
        self.sittings = rng.between(4, 12);
        self.entry_ms = (120_000, 360_000);
        self.queue_len = (5, 40);
        self.latency_ms = if rng.chance(250) { (100, 3000) } else { (5, 150) };
        self.load_ms = if rng.chance(300) { (200, 6000) } else { (0, 300) };
        // A heartbeat every second all day is a world of heartbeats.
        self.heartbeat = self.heartbeat.map(|every| Millis(every.0.max(60_000)));
    }

    /// What a smaller story does without.
    pub fn without(&mut self, rates: &BTreeSet<Rate>) {
        for rate in rates {
            *match rate {
                Rate::Dropped => &mut self.dropped,
                Rate::AnswerLost => &mut self.answer_lost,
                Rate::Busy => &mut self.busy,
                Rate::Odd => &mut self.odd,
                Rate::Twice => &mut self.twice,
                Rate::Corrupt => &mut self.corrupt,
                Rate::Broken => &mut self.broken,
                Rate::Expired => &mut self.expired,
                Rate::Stalls => &mut self.stalls,
                Rate::Injected => &mut self.injected,
                Rate::Unrestorable => &mut self.unrestorable,
            } = 0;
        }
    }

    /// From here on nothing goes wrong any more.
    pub fn calm(&mut self) {
        self.dropped = 0;
        self.answer_lost = 0;
        self.busy = 0;
        self.odd = 0;
        self.twice = 0;
        self.corrupt = 0;
        self.broken = 0;
        self.expired = 0;
        self.stalls = 0;
        self.unrestorable = 0;
        self.latency_ms = (5, 50);
        self.load_ms = (0, 100);
    }
}
