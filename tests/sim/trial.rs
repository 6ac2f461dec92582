//! One seed: lives its world, and where a promise was broken, finds a smaller story that breaks the same.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::plan::{Form, Rate, Without};
use crate::rule::{Broken, Rule};
use crate::world::{Telling, World};

/// Worlds that may be lived through to find a smaller story.
const TRIES_MAX: u32 = 400;
/// Steps of all of them together: some minutes for a long world.
const STEPS_MAX: u64 = 60_000_000;

thread_local! {
    /// A world that is tried again to find a smaller story panics again; nobody wants to read that.
    static HUSHED: Cell<bool> = const { Cell::new(false) };
}

/// Panics of worlds are told with their story, not when they happen.
pub fn hush_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !HUSHED.get() {
            usual(panic);
        }
    }));
}

/// Lives the world of a seed. The world afterwards, and what was broken.
pub fn live(seed: u64, form: Form, without: &Without, telling: Telling) -> (World, Option<Broken>) {
    let mut world = World::new(seed, form, without, telling);
    HUSHED.set(true);
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    HUSHED.set(false);
    let broken = match lived {
        Ok(lived) => lived.err(),
        Err(panic) => Some(Broken {
            rule: Rule::Panic,
            words: panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_else(|| "without words".into()),
        }),
    };
    (world, broken)
}

/// A seed whose world broke a promise, and what is left of it when all is taken away that the failure does not need.
pub struct Story {
    pub seed: u64,
    pub form: Form,
    pub broken: Broken,
    without: Without,
    tries: u32,
    laid_out: usize,
}

impl Story {
    /// Takes away what can be: days, chances, troubles, in ever smaller parts, as long as the same promise is broken.
    pub fn smallest(seed: u64, form: Form, without: &Without, broken: Broken) -> Self {
        let (world, _) = live(seed, form, without, Telling::Silent);
        let form = match form {
            Form::Short => form,
            Form::Days(_) => Form::Days(world.day + 1),
        };
        let mut story = Self {
            seed,
            form,
            broken,
            without: without.clone(),
            tries: 0,
            laid_out: 0,
        };
        let mut steps = world.stats.steps;
        let mut troubles: Vec<(u32, usize)> = Vec::new();
        for day in 0..=world.day {
            let count = world.laid_out_on.get(day as usize).copied().unwrap_or(0);
            troubles.extend((0..count).map(|index| (day, index)));
        }
        story.laid_out = troubles.len();
        let rates: Vec<Without> = Rate::ALL
            .into_iter()
            .map(|rate| Without {
                rates: BTreeSet::from([rate]),
                ..Without::default()
            })
            .collect();
        for part in rates {
            story.try_without(&part, &mut steps);
        }
        let mut size = troubles.len().div_ceil(2);
        while size > 0 {
            for part in troubles.chunks(size) {
                let part = Without {
                    troubles: part.iter().copied().collect(),
                    ..Without::default()
                };
                story.try_without(&part, &mut steps);
            }
            troubles.retain(|trouble| !story.without.troubles.contains(trouble));
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
        story
    }

    fn try_without(&mut self, part: &Without, steps: &mut u64) {
        let mut without = self.without.clone();
        without.rates.extend(&part.rates);
        without.troubles.extend(&part.troubles);
        if self.tries >= TRIES_MAX || *steps >= STEPS_MAX || without == self.without {
            return;
        }
        self.tries += 1;
        let (world, broken) = live(self.seed, self.form, &without, Telling::Silent);
        *steps += world.stats.steps;
        if let Some(broken) = broken.filter(|broken| broken.rule == self.broken.rule) {
            self.without = without;
            self.broken = broken;
        }
    }

    /// How many troubles there were, and how many are left.
    pub fn troubles(&self) -> (usize, usize) {
        (self.laid_out, self.laid_out - self.without.troubles.len())
    }

    /// The story: how to live it again, what is left, and how it came to it.
    pub fn tell(&self) -> String {
        let (world, broken) = live(self.seed, self.form, &self.without, Telling::Everything);
        let again = broken.map_or_else(|| "it does not happen again".into(), |broken| broken.to_string());
        let (laid_out, left) = self.troubles();
        let trace: Vec<String> = world.trace.iter().cloned().collect();
        format!(
            "{}\n\n{}\n\nwithout chances of {:?}, and with {left} of {laid_out} troubles ({} worlds tried)\n{}\n{again}",
            world.story.join("\n"),
            trace.join("\n"),
            self.without.rates,
            self.tries,
            self.replay(),
        )
    }

    /// How to live through it again.
    fn replay(&self) -> String {
        match self.form {
            Form::Short => format!("cargo run --example sim -- --seed {}", self.seed),
            Form::Days(days) => format!("make sim SEED={} DAYS={days}", self.seed),
        }
    }
}
