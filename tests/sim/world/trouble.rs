//! When what goes wrong in a world, and what is pressed: laid out before it begins, one trouble after the other, so that
//! each can be left out without touching the rest.

use super::{Happening, World};
use crate::disk::Health;
use crate::plan::{BUTTONS, Plan};
use crate::rng::Rng;
use tonearm_core::id::SourceKey;
use tonearm_core::input::{Account, Contact, Mode, Press};
use tonearm_core::unit::Millis;

/// One thing that goes wrong, or is done: what happens, and how long after the beginning of the day.
#[derive(Clone, Debug)]
pub struct Trouble(pub Vec<(u64, Happening)>);

/// How often, what, and whether `true` is the bad side of it.
type Pair = (u64, fn(bool) -> Happening, bool);

impl World {
    pub(super) fn lay_out_trouble(&mut self) {
        let mut rng = Rng::new(self.seed ^ (u64::from(self.day) + 1).wrapping_mul(0xA076_1D64_78BD_642F));
        let troubles = lay_out(&self.plan, &mut rng);
        self.laid_out_on.push(troubles.len());
        for (index, trouble) in troubles.into_iter().enumerate() {
            if self.without.troubles.contains(&(self.day, index)) {
                continue;
            }
            if self.tells() {
                self.story
                    .push(format!("day {} trouble {index}: {trouble:?}", self.day));
            }
            for (after, happening) in trouble.0 {
                self.enter(after, happening);
            }
        }
    }

    /// The sign-in adapter notices sooner or later; before an account is linked, a code may wait for it.
    pub(super) fn tell_account(&mut self, linked: bool) {
        let after = self.rng.between(0, 3000);
        let account = if linked {
            Account::Linked
        } else if self.rng.chance(500) {
            self.enter(after + 500, Happening::Told(Account::Linking));
            Account::Unlinked
        } else {
            Account::Unlinked
        };
        self.agenda
            .retain(|_, happening| !matches!(happening, Happening::Told(_)) || !linked);
        self.enter(after, Happening::Told(account));
    }
}

/// Everything that is to happen within one day, or one short world.
fn lay_out(plan: &Plan, rng: &mut Rng) -> Vec<Trouble> {
    let length = plan.length_ms;
    let mut troubles = vec![Trouble(vec![(100, Happening::Press(Press::Preset(1)))])];
    for _ in 0..plan.presses {
        let at = rng.between(0, length - 1);
        // People press in bursts.
        let burst = (0..rng.between(1, 4)).map(|step| {
            let press = some_press(rng);
            let gap = rng.between(1, 400);
            (at + step * gap, Happening::Press(press))
        });
        troubles.push(Trouble(burst.collect()));
    }
    for _ in 0..plan.sittings {
        let preset = u8::try_from(rng.between(0, 2)).unwrap();
        let at = rng.between(0, length - 1);
        troubles.push(Trouble(vec![(at, Happening::Press(Press::Preset(preset)))]));
    }
    troubles.extend((0..plan.edges).map(|_| edges(length, rng)));
    let pairs: [Pair; 5] = [
        (plan.net_drops, Happening::Net, false),
        (plan.device_losses, Happening::Device, false),
        (plan.takeovers, Happening::Takeover, true),
        (plan.unlinks, Happening::Account, false),
        (plan.clock_jumps, Happening::ClockTrusted, false),
    ];
    for (count, happening, bad) in pairs {
        for _ in 0..count {
            let at = rng.between(0, length - 1);
            let lasts = lasting(length, rng);
            troubles.push(Trouble(vec![(at, happening(bad)), (at + lasts, happening(!bad))]));
        }
    }
    for _ in 0..plan.disk_faults {
        let at = rng.between(0, length - 1);
        let health = [Health::Full, Health::ReadOnly, Health::NoSync][rng.index(3)];
        let lasts = lasting(length, rng);
        troubles.push(Trouble(vec![
            (at, Happening::Disk(health)),
            (at + lasts, Happening::Disk(Health::Good)),
        ]));
    }
    let singles: [(u64, Happening); 6] = [
        (plan.kills, Happening::Kill),
        (plan.power_cuts, Happening::PowerCut),
        (plan.lapses, Happening::Lapse),
        (plan.shutdowns, Happening::Shutdown),
        (plan.expiries, Happening::Expiry),
        (plan.edits, Happening::Edited),
    ];
    for (count, happening) in singles {
        for _ in 0..count {
            troubles.push(Trouble(vec![(rng.between(0, length - 1), happening.clone())]));
        }
    }
    troubles.push(Trouble(vec![(length / 2, Happening::RefillSkips)]));
    troubles
}

/// Seconds mostly; on a long day now and then a night.
fn lasting(length: u64, rng: &mut Rng) -> u64 {
    let is_long = rng.chance(200);
    let most = if is_long { (length / 3).max(40_000) } else { 40_000 };
    rng.between(10, most)
}

fn edges(length: u64, rng: &mut Rng) -> Trouble {
    let button = u8::try_from(rng.index(BUTTONS.len())).unwrap();
    let at = rng.between(0, length - 1);
    let held = if rng.chance(200) {
        rng.between(600, 3000)
    } else {
        rng.between(15, 300)
    };
    let mut edges = Vec::new();
    for (edge, contact, other) in [
        (at, Contact::Closed, Contact::Open),
        (at + held, Contact::Open, Contact::Closed),
    ] {
        edges.push((edge, Happening::Edge(button, contact)));
        for bounce in 0..rng.between(0, 3) {
            edges.push((edge + 2 * bounce + 1, Happening::Edge(button, other)));
            edges.push((edge + 2 * bounce + 2, Happening::Edge(button, contact)));
        }
    }
    Trouble(edges)
}

/// Any press, also those that cannot be: a preset that there is none of, a position behind the end, back in a station.
fn some_press(rng: &mut Rng) -> Press {
    let seek = Millis(u32::try_from(rng.between(0, 100_000)).unwrap());
    let mode = [Mode::Play, Mode::Shuffle, Mode::Station][rng.index(3)];
    let source = SourceKey(u32::try_from(rng.between(1, 3)).unwrap());
    let presses = [
        Press::Next,
        Press::Next,
        Press::Next,
        Press::Play,
        Press::Play,
        Press::Previous,
        Press::Previous,
        Press::VolumeUp,
        Press::VolumeDown,
        Press::Shuffle,
        Press::Loop,
        Press::ScrubForward,
        Press::ScrubBackward,
        Press::Seek(seek),
        Press::TakeOver,
        if rng.chance(500) {
            Press::QueueNext(source)
        } else {
            Press::QueueLast(source)
        },
        if rng.chance(300) {
            Press::Start { source, mode }
        } else {
            Press::Next
        },
        if rng.chance(300) {
            Press::Preset(u8::try_from(rng.between(0, 4)).unwrap())
        } else {
            Press::Play
        },
    ];
    presses[rng.index(presses.len())]
}
