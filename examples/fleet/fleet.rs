//! Many speakers in one scene, and what came of it.
//!
//! Where the service's answers do not depend on how many ask, no speaker can tell whether there are others: one after the
//! other lives through the scene, in a few threads, and what they asked is added up. So a million whole sessions need the
//! memory of a few. Where the service throttles, all are alive at once and go in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::device::{Device, Life, Living};
use crate::service::{Load, OUTAGE_S, STEADY_S, Scene, Service};

/// Speakers that a thread takes at a time.
const PORTION: u64 = 256;

/// What came of a fleet.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub speakers: u64,
    pub load: Load,
    /// Moments after the outage at which a speaker had caught up, in seconds, rounded up; sorted at the end.
    caught_up_s: Vec<u32>,
    /// How long those that were silent when the outage ended stayed so, in seconds, rounded up; sorted at the end.
    silent_s: Vec<u32>,
    /// Speakers that had not caught up, or were still silent, when the scene ended.
    pub late: u64,
    pub recorded: u64,
    pub lost: u64,
    pub out_of_order: u64,
    /// Steps of sessions.
    pub inputs: u64,
}

impl Outcome {
    fn count(&mut self, life: &Life) {
        let seconds = |ms: u64| u32::try_from(ms.div_ceil(1000)).unwrap();
        self.speakers += 1;
        self.caught_up_s.extend(life.caught_up_ms.map(seconds));
        self.silent_s.extend(life.silent_ms.map(seconds));
        self.late += u64::from(life.caught_up_ms.is_none());
        self.recorded += life.ledger.recorded;
        self.lost += life.lost;
        self.out_of_order += life.ledger.out_of_order;
        self.inputs += life.ledger.inputs;
    }

    fn add(&mut self, other: &Self) {
        self.speakers += other.speakers;
        self.load.add(&other.load);
        self.caught_up_s.extend(&other.caught_up_s);
        self.silent_s.extend(&other.silent_s);
        self.late += other.late;
        self.recorded += other.recorded;
        self.lost += other.lost;
        self.out_of_order += other.out_of_order;
        self.inputs += other.inputs;
    }

    fn sorted(mut self) -> Self {
        self.caught_up_s.sort_unstable();
        self.silent_s.sort_unstable();
        self
    }

    /// Requests a second on an ordinary day.
    pub fn steady(&self) -> f64 {
        let day = &self.load.asked[usize::try_from(STEADY_S).unwrap()..usize::try_from(OUTAGE_S).unwrap()];
        day.iter().map(|count| f64::from(*count)).sum::<f64>() / day.len() as f64
    }

    /// The most requests a second, averaged over `bin` seconds, as a multiple of steady: during the outage, and after it.
    pub fn peaks(&self, scene: &Scene, bin: usize) -> (f64, f64) {
        let outage = usize::try_from(OUTAGE_S).unwrap();
        let end = outage + usize::try_from(scene.lasts_s).unwrap();
        let most = |range: &[u32]| {
            let sums = range
                .chunks_exact(bin)
                .map(|bin| bin.iter().map(|count| f64::from(*count)).sum());
            sums.fold(0.0, f64::max) / bin as f64 / self.steady()
        };
        (
            most(&self.load.asked[outage..end]),
            most(&self.load.asked[end..scene.seconds()]),
        )
    }

    /// When the last one had caught up, in seconds after the outage; `None`: not all did.
    pub fn all_caught_up_s(&self) -> Option<u32> {
        (self.late == 0).then(|| self.caught_up_s.last().copied().unwrap_or(0))
    }

    /// How many were silent when the outage ended, and how long half of them and the last of them stayed so, in seconds.
    pub fn silence(&self) -> (usize, u32, u32) {
        let at = |index: usize| self.silent_s.get(index).copied().unwrap_or(0);
        let count = self.silent_s.len();
        (count, at(count / 2), at(count.saturating_sub(1)))
    }
}

/// Lives of speakers that cannot tell whether there are others.
pub fn apart<D: Device>(speakers: u64, scene: Scene, make: impl Fn(u64) -> D + Sync) -> Outcome {
    assert!(scene.throttle.is_none(), "throttled speakers feel each other");
    let next = AtomicU64::new(0);
    let all = Mutex::new(Outcome::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut service = Service::new(scene);
                let mut own = Outcome::default();
                loop {
                    let first = next.fetch_add(PORTION, Ordering::Relaxed);
                    if first >= speakers {
                        break;
                    }
                    for number in first..speakers.min(first + PORTION) {
                        own.count(&live(make(number), &mut service));
                    }
                }
                own.load = service.load;
                all.lock().unwrap().add(&own);
            });
        }
    });
    all.into_inner().unwrap().sorted()
}

fn live<D: Device>(device: D, service: &mut Service) -> Life {
    let mut living = Living::new(device);
    while let Some(at) = living.wakes_at(&service.scene) {
        living.wake(at, service);
    }
    living.over()
}

/// Lives of speakers that share what the service lets through.
pub fn together<D: Device>(speakers: u64, scene: Scene, make: impl Fn(u64) -> D) -> Outcome {
    let mut service = Service::new(scene);
    let mut lives: Vec<_> = (0..speakers).map(|number| Living::new(make(number))).collect();
    let mut agenda = BinaryHeap::new();
    for (index, living) in lives.iter().enumerate() {
        agenda.extend(living.wakes_at(&scene).map(|at| Reverse((at, index))));
    }
    while let Some(Reverse((at, index))) = agenda.pop() {
        lives[index].wake(at, &mut service);
        agenda.extend(lives[index].wakes_at(&scene).map(|at| Reverse((at, index))));
    }
    let mut outcome = Outcome::default();
    for living in &lives {
        outcome.count(&living.over());
    }
    outcome.load = service.load;
    outcome.sorted()
}
