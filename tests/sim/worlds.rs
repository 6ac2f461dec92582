//! Many seeds on all processors, with a line of progress and one report.

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::plan::{Form, Without};
use crate::report::Report;
use crate::rule::Broken;
use crate::trial::{Story, live};
use crate::world::Telling;

/// Stories that are told to the end; more of them would only be more of the same.
const STORIES_MAX: usize = 1;

/// How much is said, and asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing but the outcome.
    Quiet,
    /// A line of progress now and then.
    Progress,
    /// The first failure ends it.
    Brief,
}

/// What became of all of them.
pub struct Outcome {
    pub report: Report,
    /// Seeds that failed, in order.
    pub failures: Vec<(u64, Broken)>,
    form: Form,
    ask: Ask,
    seeds: usize,
}

impl Outcome {
    /// The failures: a line each, and the smallest story of the first.
    pub fn tell(&self) -> String {
        let mut text = String::new();
        if self.ask != Ask::Brief {
            for (seed, broken) in self.failures.iter().take(STORIES_MAX) {
                text = Story::smallest(*seed, self.form, &Without::default(), broken.clone()).tell();
                text.push('\n');
            }
        }
        for (seed, broken) in &self.failures {
            let _ = writeln!(text, "seed {seed}: {broken}");
        }
        format!("{text}{} of {} worlds failed", self.failures.len(), self.seeds)
    }
}

pub fn live_all(seeds: &[u64], form: Form, ask: Ask) -> Outcome {
    let next = AtomicU64::new(0);
    let enough = AtomicBool::new(false);
    let report = Mutex::new(Report::default());
    let failures = Mutex::new(Vec::new());
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(seeds.len()) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()) {
                    if enough.load(Ordering::Relaxed) {
                        break;
                    }
                    let (world, broken) = live(*seed, form, &Without::default(), Telling::Silent);
                    if let Some(broken) = broken {
                        if ask == Ask::Progress {
                            println!("seed {seed}: {broken}");
                        }
                        enough.store(ask == Ask::Brief, Ordering::Relaxed);
                        failures.lock().unwrap().push((*seed, broken));
                    }
                    let mut report = report.lock().unwrap();
                    report.add(&world);
                    if ask == Ask::Progress {
                        progress(&report, seeds.len(), began);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort_by_key(|(seed, _)| *seed);
    Outcome {
        report: report.into_inner().unwrap(),
        failures,
        form,
        ask,
        seeds: seeds.len(),
    }
}

/// About a hundred lines in all.
fn progress(report: &Report, seeds: usize, began: Instant) {
    let (done, all) = (report.worlds(), seeds as u64);
    if !done.is_multiple_of(all.div_ceil(100)) && done != all {
        return;
    }
    let so_far = began.elapsed().as_secs();
    let left = so_far * (all - done) / done;
    println!(
        "{done} of {all} worlds, {} steps, {so_far} s, about {left} s to go",
        report.steps()
    );
}
