//! A model of the playback service: it owns the queues, moves along with the events, and judges what it is sent.

use std::collections::BTreeMap;

use crate::journal::{Journal, Record};
use crate::plan::Tier;
use crate::rng::Rng;
use tonearm_core::effect::Call;
use tonearm_core::entry::{Actions, Denial, Entry, Kind, Permission};
use tonearm_core::event::{Claim, StopReason, What};
use tonearm_core::id::{EntryKey, SessionKey};
use tonearm_core::input::{Answer, Elsewhere, Entries, Failure, Mode, Modes, Sounding, Verdict};
use tonearm_core::unit::Millis;

const SKIPS: u8 = 6;

#[derive(Debug)]
struct Queue {
    order: Vec<u32>,
    /// Every order there was; the last one holds.
    versions: Vec<Vec<u32>>,
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
    seen: BTreeMap<u64, Record>,
    last_seen: u64,
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
            processed: 0,
            repeats: 0,
        }
    }

    pub fn refill_skips(&mut self) {
        self.skips_left = SKIPS;
    }

    pub fn length_ms(&self, entry: EntryKey) -> u64 {
        self.kinds[&entry.0].1
    }

    pub fn has_seen(&self, uid: u64) -> bool {
        self.seen.contains_key(&uid)
    }

    pub fn is_ad(&self, entry: EntryKey) -> bool {
        self.kinds[&entry.0].0 == Kind::Ad
    }

    /// Which order of the queue is the newest; what a client does may still follow from an older one.
    pub fn version(&self, session: SessionKey) -> usize {
        self.queues.get(&session.0).map_or(0, |queue| queue.versions.len() - 1)
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

    /// Takes events that came in one piece, all of them or none. `Err`: they should not have been sent.
    pub fn events(
        &mut self,
        records: &[Record],
        journal: &Journal,
        shape: &Shape,
        rng: &mut Rng,
    ) -> Result<Verdict, String> {
        if !self.linked {
            return Ok(Verdict::Failed(Failure::Unauthorised));
        }
        let mut taken = self.taken;
        for record in records {
            let known = self.seen.contains_key(&record.uid);
            let claims = record.event.claim == Claim::TakesOver;
            let start = matches!(record.event.what, What::Start { .. });
            if taken && !claims && !known && (start || shape.strict) {
                return Ok(Verdict::Failed(Failure::TakenOver));
            }
            taken &= !claims;
        }
        for record in records {
            self.event(*record, journal, shape, rng)?;
        }
        Ok(Verdict::Accepted)
    }

    /// Takes one event. `Err`: it should not have been sent.
    fn event(&mut self, record: Record, journal: &Journal, shape: &Shape, rng: &mut Rng) -> Result<(), String> {
        if let Some(first) = self.seen.get(&record.uid) {
            if first.event != record.event {
                return Err(format!("event {:?} was repeated with other contents", record.event.seq));
            }
            if !journal.repeatable.contains(&record.uid) {
                return Err(format!(
                    "event {:?} was sent again although its answer arrived",
                    record.event.seq
                ));
            }
            self.repeats += 1;
            return Ok(());
        }
        if record.uid < self.last_seen && journal.repeatable.contains(&record.uid) {
            // It was refused, and a kill made the speaker forget that.
            self.seen.insert(record.uid, record);
            return Ok(());
        }
        if record.uid < self.last_seen {
            return Err(format!("event {:?} came after a later one", record.event.seq));
        }
        let expected = (self.last_seen + 1..record.uid)
            .find(|uid| !journal.lost.contains(uid) && !journal.set_aside.contains(uid));
        if let Some(missing) = expected {
            return Err(format!(
                "event with uid {missing} was passed over by {:?}",
                record.event.seq
            ));
        }
        let event = record.event;
        if event.claim == Claim::TakesOver {
            self.give_stream_back();
            if self.is_foreign(event.session) {
                self.other = None;
            }
        }
        self.seen.insert(record.uid, record);
        self.last_seen = record.uid;
        self.processed += 1;
        match event.what {
            What::Start { .. } => self.started(event.session, event.entry, shape, rng)?,
            What::Stop { reason, .. } => self.stopped(event.entry, reason)?,
        }
        Ok(())
    }

    fn started(&mut self, session: SessionKey, entry: EntryKey, shape: &Shape, rng: &mut Rng) -> Result<(), String> {
        let Some(queue) = self.queues.get_mut(&session.0) else {
            return Err(format!("start in the unknown session {session:?}"));
        };
        let Some(at) = queue.order.iter().position(|key| *key == entry.0) else {
            return Err(format!("{entry:?} is not of {session:?}"));
        };
        queue.at = at;
        if self.tier == Tier::Free && rng.chance(shape.injected) {
            self.last_entry += 1;
            let key = self.last_entry;
            self.kinds.insert(key, (Kind::Ad, rng.between(500, 15_000)));
            queue.order.insert(at + 1, key);
            queue.versions.push(queue.order.clone());
        }
        Ok(())
    }

    fn stopped(&mut self, entry: EntryKey, reason: StopReason) -> Result<(), String> {
        if reason != StopReason::UserNext {
            return Ok(());
        }
        if self.is_ad(entry) {
            return Err(format!("the advertisement {entry:?} was skipped"));
        }
        if self.tier != Tier::Unlimited {
            if self.skips_left == 0 {
                return Err(format!("{entry:?} was skipped beyond the limit"));
            }
            self.skips_left -= 1;
        }
        Ok(())
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
        queue.versions.iter().skip(known).any(|order| {
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
        let first = self.queues.get(&session.0)?.versions.first()?.first()?;
        Some(EntryKey(*first))
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
            versions: vec![order.clone()],
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
