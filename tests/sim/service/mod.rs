//! A model of the playback service: it owns the queues, moves along with the events, and judges what it is sent.

mod judge;

use std::collections::{BTreeMap, VecDeque};

use crate::ledger::Entry as Recorded;
use crate::plan::Tier;
use crate::rng::Rng;
use tonearm_core::effect::Call;
use tonearm_core::entry::{Actions, Denial, Entry, Kind, Permission};
use tonearm_core::id::{EntryKey, SessionKey};
use tonearm_core::input::{Answer, Elsewhere, Entries, Failure, Mode, Modes, Sounding};
use tonearm_core::unit::Millis;

const SKIPS: u8 = 6;
/// Sessions that are kept; older ones are not to be had any more.
const SESSIONS_MAX: usize = 40;
/// Orders of one queue that are kept. The speaker is told of new ones long before so many have passed.
const VERSIONS_MAX: usize = 60;
/// Nothing is put into a queue as long as this.
const QUEUE_MAX: usize = 80;

/// Every order of a queue there was; the last one holds. The oldest are forgotten.
#[derive(Debug)]
struct Versions {
    forgotten: usize,
    orders: VecDeque<Vec<u32>>,
}

impl Versions {
    fn push(&mut self, order: Vec<u32>) {
        if self.orders.len() == VERSIONS_MAX {
            self.orders.pop_front();
            self.forgotten += 1;
        }
        self.orders.push_back(order);
    }

    fn newest(&self) -> usize {
        self.forgotten + self.orders.len() - 1
    }

    fn since(&self, version: usize) -> impl Iterator<Item = &Vec<u32>> {
        self.orders.iter().skip(version.saturating_sub(self.forgotten))
    }
}

#[derive(Debug)]
struct Queue {
    order: Vec<u32>,
    versions: Versions,
    /// Where it began, as it was first handed out.
    first: Option<u32>,
    at: usize,
    looping: bool,
    ever_looped: bool,
    gone: bool,
}

#[derive(Debug)]
pub struct Service {
    tier: Tier,
    queues: BTreeMap<u32, Queue>,
    kinds: BTreeMap<u32, (Kind, u64)>,
    last_session: u32,
    last_entry: u32,
    pub skips_left: u8,
    /// Another device owns the stream.
    taken: bool,
    /// The session that another device opened last, and whether it sounds there.
    other: Option<(SessionKey, Sounding)>,
    /// No account is linked: everything is refused.
    pub linked: bool,
    seen: BTreeMap<u64, Recorded>,
    last_seen: u64,
    /// The last event that was taken, if it is a start.
    open: Option<u64>,
    pub processed: u64,
    pub repeats: u64,
}

/// What the service is made of new: lengths of entries, and how many.
pub struct Shape {
    pub entry_ms: (u64, u64),
    pub queue_len: (u64, u64),
    pub injected: u64,
    pub unrestorable: u64,
    pub strict: bool,
}

impl Service {
    pub fn new(tier: Tier) -> Self {
        Self {
            tier,
            queues: BTreeMap::new(),
            kinds: BTreeMap::new(),
            last_session: 0,
            last_entry: 0,
            skips_left: SKIPS,
            taken: false,
            other: None,
            linked: true,
            seen: BTreeMap::new(),
            last_seen: 0,
            open: None,
            processed: 0,
            repeats: 0,
        }
    }

    pub fn refill_skips(&mut self) {
        self.skips_left = SKIPS;
    }

    pub fn length_ms(&self, entry: EntryKey) -> u64 {
        self.kinds.get(&entry.0).map_or(180_000, |(_, length)| *length)
    }

    /// Somebody else puts something at the end of the queue that this speaker plays from.
    pub fn edit(&mut self, shape: &Shape, rng: &mut Rng) {
        let own = self.queues.keys().rev().map(|key| SessionKey(*key));
        if let Some(session) = own.into_iter().find(|session| !self.is_foreign(*session)) {
            self.put(session, usize::MAX, shape, rng);
        }
    }

    /// The newest event that was taken.
    pub fn last_seen(&self) -> u64 {
        self.last_seen
    }

    /// Forgets events before this one.
    pub fn prune(&mut self, uid: u64) {
        self.seen = self.seen.split_off(&uid);
    }

    /// How many things it keeps.
    pub fn len(&self) -> usize {
        let orders: usize = self.queues.values().map(|queue| queue.versions.orders.len()).sum();
        self.seen.len() + self.kinds.len() + orders
    }

    pub fn has_seen(&self, uid: u64) -> bool {
        self.seen.contains_key(&uid)
    }

    pub fn is_ad(&self, entry: EntryKey) -> bool {
        self.kinds.get(&entry.0).is_some_and(|(kind, _)| *kind == Kind::Ad)
    }

    /// Which order of the queue is the newest; what a client does may still follow from an older one.
    pub fn version(&self, session: SessionKey) -> usize {
        self.queues.get(&session.0).map_or(0, |queue| queue.versions.newest())
    }

    /// Another device plays something of its own.
    pub fn take_stream(&mut self, shape: &Shape, rng: &mut Rng) {
        self.taken = true;
        if let Answer::Opened { session, .. } = self.create(Mode::Play, shape, rng) {
            self.other = Some((session, Sounding::Yes));
        }
    }

    /// The other device stops.
    pub fn give_stream_back(&mut self) {
        self.taken = false;
        if let Some((_, sounding)) = &mut self.other {
            *sounding = Sounding::No;
        }
    }

    /// The last session this device created is forgotten.
    pub fn lapse(&mut self) {
        if let Some(queue) = self.queues.values_mut().next_back() {
            queue.gone = true;
        }
    }

    pub fn is_foreign(&self, session: SessionKey) -> bool {
        self.other.is_some_and(|(other, _)| other == session)
    }

    pub fn forget(&mut self, session: SessionKey) {
        if let Some(queue) = self.queues.get_mut(&session.0) {
            queue.gone = true;
        }
    }

    pub fn call(&mut self, call: Call, shape: &Shape, rng: &mut Rng) -> Answer {
        if !self.linked {
            return Answer::Failed(Failure::Unauthorised);
        }
        if self.taken && !matches!(call, Call::Create { .. } | Call::Active) {
            return Answer::Failed(Failure::TakenOver);
        }
        match call {
            Call::Create { mode, .. } => {
                self.give_stream_back();
                self.create(mode, shape, rng)
            }
            Call::Current(session) => self.with(session, |service, queue| {
                let count = usize::from(!queue.order.is_empty());
                service.list(&queue.order, queue.at..queue.at + count)
            }),
            Call::Next { session, limit } => self.with(session, |service, queue| {
                let from = queue.at + 1;
                let end = from + usize::from(limit);
                let end = if queue.looping { end } else { end.min(queue.order.len()) };
                service.list(&queue.order, from..end.max(from))
            }),
            Call::Previous { session, limit } => self.with(session, |service, queue| {
                let from = queue.at.saturating_sub(usize::from(limit));
                let mut keys: Vec<u32> = queue.order[from..queue.at].to_vec();
                keys.reverse();
                service.list(&keys, 0..keys.len())
            }),
            Call::Loop { session, on } => self.change(session, |queue| {
                queue.looping = on;
                queue.ever_looped |= on;
            }),
            Call::Shuffle { session, on } => self.change(session, |queue| {
                let after = queue.order.get_mut(queue.at + 1..).unwrap_or_default();
                if on {
                    rng.shuffle(after);
                } else {
                    after.sort_unstable();
                }
            }),
            Call::Active => {
                let other = self.other.map(|(session, sounding)| Elsewhere {
                    session,
                    entry: self.current(session),
                    sounding,
                    modes: Modes::default(),
                });
                Answer::Sessions(other.into_iter().collect())
            }
            Call::Restore(entry) => self.restore(entry, shape, rng),
            Call::QueueNext { session, .. } => self.put(session, 1, shape, rng),
            Call::QueueLast { session, .. } => self.put(session, usize::MAX, shape, rng),
        }
    }

    /// Whether `to` may have started after `from` with so many presses in between, in any order of the queue since `version`.
    pub fn may_follow(
        &self,
        session: SessionKey,
        from: EntryKey,
        to: EntryKey,
        presses: (usize, usize),
        version: usize,
    ) -> bool {
        let Some(queue) = self.queues.get(&session.0) else {
            return false;
        };
        let (forward_max, back_max) = (presses.0 + 1, if presses.1 == 0 { 0 } else { presses.1 + 1 });
        // Going back leads along what was played, whatever became of the order since.
        let known = if back_max > 0 { 0 } else { version };
        queue.versions.since(known).any(|order| {
            let find = |entry: EntryKey| order.iter().position(|key| *key == entry.0);
            let (Some(a), Some(b)) = (find(from), find(to)) else {
                return false;
            };
            let forward = if b > a {
                b - a
            } else if queue.ever_looped {
                b + order.len() - a
            } else {
                usize::MAX
            };
            let passes_ad =
                (1..forward.min(order.len())).any(|step| self.is_ad(EntryKey(order[(a + step) % order.len()])));
            let back = if b < a {
                a - b
            } else if queue.ever_looped {
                a + order.len() - b
            } else {
                usize::MAX
            };
            (forward <= forward_max && !passes_ad) || back <= back_max
        })
    }

    /// Where the queue of a session begins, as it was first handed out.
    pub fn first(&self, session: SessionKey) -> Option<EntryKey> {
        self.queues.get(&session.0)?.first.map(EntryKey)
    }

    /// Where the service believes playing is.
    pub fn current(&self, session: SessionKey) -> Option<EntryKey> {
        let queue = self.queues.get(&session.0)?;
        queue.order.get(queue.at).map(|key| EntryKey(*key))
    }

    fn create(&mut self, mode: Mode, shape: &Shape, rng: &mut Rng) -> Answer {
        self.last_session += 1;
        let key = self.last_session;
        let mut order = Vec::new();
        for number in 0..rng.between(shape.queue_len.0, shape.queue_len.1) {
            let kind = match self.tier {
                Tier::Free if number % 4 == 3 => Kind::Ad,
                Tier::Prime if mode == Mode::Station && number % 5 == 2 => Kind::Interlude,
                Tier::Unlimited | Tier::Prime | Tier::Free => Kind::Track,
            };
            self.last_entry += 1;
            self.kinds
                .insert(self.last_entry, (kind, rng.between(shape.entry_ms.0, shape.entry_ms.1)));
            order.push(self.last_entry);
        }
        let queue = Queue {
            versions: Versions {
                forgotten: 0,
                orders: VecDeque::from([order.clone()]),
            },
            first: order.first().copied(),
            order,
            at: 0,
            looping: false,
            ever_looped: false,
            gone: false,
        };
        let count = queue.order.len().min(usize::try_from(rng.between(1, 11)).unwrap());
        let Answer::Listed(entries) = self.list(&queue.order, 0..count) else {
            return Answer::Failed(Failure::Garbled);
        };
        self.queues.insert(key, queue);
        if self.queues.len() > SESSIONS_MAX
            && let Some((_, old)) = self.queues.pop_first()
        {
            for key in old.order {
                self.kinds.remove(&key);
            }
        }
        let session = SessionKey(key);
        Answer::Opened { session, entries }
    }

    fn restore(&mut self, entry: EntryKey, shape: &Shape, rng: &mut Rng) -> Answer {
        let found = self.queues.iter_mut().find(|(_, queue)| queue.order.contains(&entry.0));
        let Some((key, queue)) = found else {
            return Answer::Failed(Failure::NotFound);
        };
        if rng.chance(shape.unrestorable) {
            return Answer::Failed(Failure::NotFound);
        }
        queue.gone = false;
        let session = SessionKey(*key);
        let count = (queue.order.len() - queue.at).min(usize::try_from(rng.between(1, 11)).unwrap());
        let (order, at) = (queue.order.clone(), queue.at);
        let Answer::Listed(entries) = self.list(&order, at..at + count) else {
            return Answer::Failed(Failure::Garbled);
        };
        Answer::Opened { session, entries }
    }

    /// Something is put into the queue, so far behind the current entry.
    fn put(&mut self, session: SessionKey, behind: usize, shape: &Shape, rng: &mut Rng) -> Answer {
        self.last_entry += 1;
        let key = self.last_entry;
        let length = rng.between(shape.entry_ms.0, shape.entry_ms.1);
        self.kinds.insert(key, (Kind::Track, length));
        if self
            .queues
            .get(&session.0)
            .is_some_and(|queue| queue.order.len() >= QUEUE_MAX)
        {
            return Answer::Failed(Failure::Refused);
        }
        self.change(session, |queue| {
            let at = queue.at.saturating_add(behind).min(queue.order.len());
            queue.order.insert(at, key);
        })
    }

    fn with(&self, session: SessionKey, answer: impl FnOnce(&Self, &Queue) -> Answer) -> Answer {
        match self.queues.get(&session.0) {
            Some(queue) if !queue.gone => answer(self, queue),
            Some(_) | None => Answer::Failed(Failure::NotFound),
        }
    }

    fn change(&mut self, session: SessionKey, change: impl FnOnce(&mut Queue)) -> Answer {
        match self.queues.get_mut(&session.0) {
            Some(queue) if !queue.gone => {
                change(queue);
                queue.versions.push(queue.order.clone());
                Answer::Done
            }
            Some(_) | None => Answer::Failed(Failure::NotFound),
        }
    }

    fn list(&self, order: &[u32], range: std::ops::Range<usize>) -> Answer {
        let keys = range.map(|index| order[index % order.len()]);
        Answer::Listed(keys.map(|key| self.describe(key)).collect::<Entries>())
    }

    fn describe(&self, key: u32) -> Entry {
        let (kind, length) = self.kinds[&key];
        let denied = |denial| Permission::Denied(denial);
        let skip = match (self.tier, self.skips_left) {
            (Tier::Unlimited, _) => Permission::FREE,
            (Tier::Prime | Tier::Free, 0) => denied(Denial::NoMoreSkips),
            (Tier::Prime | Tier::Free, left) => Permission::Allowed { remaining: Some(left) },
        };
        let subscriber = |free| {
            if free {
                Permission::FREE
            } else {
                denied(Denial::NeedsSubscription)
            }
        };
        let actions = Actions {
            next: skip,
            previous: subscriber(self.tier != Tier::Free),
            scrub_forward: subscriber(self.tier != Tier::Free),
            scrub_backward: subscriber(self.tier != Tier::Free),
            loop_all: subscriber(self.tier == Tier::Unlimited),
            shuffle: subscriber(self.tier == Tier::Unlimited),
        };
        Entry {
            key: EntryKey(key),
            kind,
            duration: (!key.is_multiple_of(7)).then(|| Millis(u32::try_from(length).unwrap())),
            actions: if kind == Kind::Ad { Actions::default() } else { actions },
        }
    }
}
