//! When what goes wrong in a world, and what is pressed: laid out before it begins.

use super::{Happening, World};
use crate::plan::BUTTONS;
use tonearm_core::id::SourceKey;
use tonearm_core::input::{Account, Contact, Mode, Press};
use tonearm_core::unit::Millis;

/// How often, what, and whether `true` is the bad side of it.
type Trouble = (u64, fn(bool) -> Happening, bool);

impl World {
    pub(super) fn lay_out_trouble(&mut self) {
        let plan = self.plan.clone();
        self.enter(100, Happening::Press(Press::Preset(1)));
        let length = plan.length_ms;
        for _ in 0..plan.presses {
            let at = self.rng.between(0, length - 1);
            // People press in bursts.
            for step in 0..self.rng.between(1, 4) {
                let press = self.some_press();
                let gap = self.rng.between(1, 400);
                self.enter(at + step * gap, Happening::Press(press));
            }
        }
        for _ in 0..plan.edges {
            self.lay_out_edges(length);
        }
        let pairs: [Trouble; 5] = [
            (plan.net_drops, Happening::Net, false),
            (plan.device_losses, Happening::Device, false),
            (plan.disk_faults, Happening::Disk, false),
            (plan.takeovers, Happening::Takeover, true),
            (plan.unlinks, Happening::Account, false),
        ];
        for (count, happening, bad) in pairs {
            for _ in 0..count {
                let at = self.rng.between(0, length - 1);
                let lasts = self.rng.between(10, 40_000);
                self.enter(at, happening(bad));
                self.enter(at + lasts, happening(!bad));
            }
        }
        for _ in 0..plan.kills {
            let at = self.rng.between(0, length - 1);
            self.enter(at, Happening::Kill);
        }
        for _ in 0..plan.lapses {
            let at = self.rng.between(0, length - 1);
            self.enter(at, Happening::Lapse);
        }
        for _ in 0..plan.shutdowns {
            let at = self.rng.between(0, length - 1);
            self.enter(at, Happening::Shutdown);
        }
        self.enter(length / 2, Happening::RefillSkips);
    }

    pub(super) fn lay_out_edges(&mut self, length: u64) {
        let button = u8::try_from(self.rng.index(BUTTONS.len())).unwrap();
        let at = self.rng.between(0, length - 1);
        let held = if self.rng.chance(200) {
            self.rng.between(600, 3000)
        } else {
            self.rng.between(15, 300)
        };
        for (edge, contact, other) in [
            (at, Contact::Closed, Contact::Open),
            (at + held, Contact::Open, Contact::Closed),
        ] {
            self.enter(edge, Happening::Edge(button, contact));
            for bounce in 0..self.rng.between(0, 3) {
                self.enter(edge + 2 * bounce + 1, Happening::Edge(button, other));
                self.enter(edge + 2 * bounce + 2, Happening::Edge(button, contact));
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

    pub(super) fn some_press(&mut self) -> Press {
        let seek = Millis(u32::try_from(self.rng.between(0, 100_000)).unwrap());
        let mode = [Mode::Play, Mode::Shuffle, Mode::Station][self.rng.index(3)];
        let source = SourceKey(u32::try_from(self.rng.between(1, 3)).unwrap());
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
            if self.rng.chance(500) {
                Press::QueueNext(source)
            } else {
                Press::QueueLast(source)
            },
            if self.rng.chance(300) {
                Press::Start { source, mode }
            } else {
                Press::Next
            },
            if self.rng.chance(300) {
                Press::Preset(u8::try_from(self.rng.between(0, 4)).unwrap())
            } else {
                Press::Play
            },
        ];
        presses[self.rng.index(presses.len())]
    }
}
