//! Who gets the next bytes, and whose memory gives way: every decision of the media part, without network or waiting.
//!
//! The wish list is the order of everything: the most urgent wish that lacks bytes is fetched first. Its memory comes, in
//! this order, from the pool; from the least urgent wishes; for what sounds and what comes next, from bytes heard long
//! ago; from what comes next, for what sounds. Bytes somebody reads give way last, and only to what is most urgent.

use std::time::{Duration, Instant};

use tonearm_core::effect::Extent;
use tonearm_core::id::SlotId;
use tonearm_core::unit::Millis;
use ureq::Agent;

use super::body::{Body, CHUNK, Sort};
use super::dash::Throughput;
use super::order::{Order, Subject};
use super::part::{END, Ranges, key_of};
use super::plan::{Circumstances, Plan, Planned};
use super::pool::{Chunk, Pool};

/// Threads that fetch: one for what sounds, one for what comes.
pub const FETCHERS: usize = 2;
/// A reader this far ahead of a running fetch is served soonest by that fetch; further on a request of its own is faster.
const NEAR_BYTES: u64 = 4 * CHUNK;
/// Chunks kept behind a reader when its entry does not fit into memory: a short step back needs no request.
const KEEP_BEHIND_CHUNKS: usize = 4;
/// Parts of one entry that are remembered. More than there are chunks in 64 MiB; those without bytes are forgotten.
const PARTS_MAX: usize = 2048;
/// Decisions for one request: a hole may turn out to be the end of an entry, and there are not many entries.
const DECISIONS_MAX: usize = 32;

/// Urgency of what comes after the entry that sounds.
const NEXT_RANK: usize = 1;

/// One wish, with its place in the list as its urgency.
#[derive(Clone, Copy, Debug)]
pub struct Ranked {
    /// Where the session put it.
    pub slot: SlotId,
    /// Its bytes.
    pub serial: u64,
    /// How much of it.
    pub extent: Extent,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Whose bytes.
    pub serial: u64,
    /// Position it delivers next.
    pub at: u64,
    /// Its bytes are not wanted any more.
    pub cancelled: bool,
}

/// Where a chunk can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The pool has one.
    Spare,
    /// This chunk of this body gives way.
    Taken { serial: u64, index: u64 },
}

/// A candidate for the next request.
#[derive(Clone, Copy)]
struct Candidate {
    serial: u64,
    /// Position of the first byte wanted.
    start: u64,
    /// Position after the last byte wanted.
    limit: u64,
    rank: usize,
    /// A reader waits for just these bytes.
    awaited: bool,
}

/// What to do next.
pub enum Pick {
    /// Make this request.
    Fetch(Order),
    /// Nothing now; something at this moment, if given.
    Rest(Option<Instant>),
}

/// Everything the media part knows.
pub struct State {
    /// Most urgent first.
    pub wishes: Vec<Ranked>,
    /// Bytes of the wishes, and of what is no longer wished but still read.
    pub bodies: Vec<Body>,
    /// Memory.
    pub pool: Pool,
    /// What the threads do.
    pub jobs: [Option<Job>; FETCHERS],
    /// Connections of the threads; taken away to end a request at once.
    pub agents: [Option<Agent>; FETCHERS],
    /// Everything ends.
    pub closing: bool,
    /// First range of a head whose share of the file is not known yet.
    pub head_bytes: u64,
    /// What the link carries.
    pub throughput: Throughput,
    /// Changes of representation in entries that are gone.
    pub switches: u64,
}

impl State {
    /// Nothing wished, nothing loaded.
    pub fn new(pool: Pool, head_bytes: u64) -> Self {
        Self {
            wishes: Vec::new(),
            bodies: Vec::new(),
            pool,
            jobs: [None; FETCHERS],
            agents: [const { None }; FETCHERS],
            closing: false,
            head_bytes,
            throughput: Throughput::default(),
            switches: 0,
        }
    }

    /// A body by its number.
    pub fn body(&self, serial: u64) -> Option<&Body> {
        self.bodies.iter().find(|body| body.serial == serial)
    }

    /// A body by its number.
    pub fn body_mut(&mut self, serial: u64) -> Option<&mut Body> {
        self.bodies.iter_mut().find(|body| body.serial == serial)
    }

    /// Urgency of a body, 0 first; `None` if nobody wishes it.
    pub fn rank(&self, serial: u64) -> Option<usize> {
        self.wishes.iter().position(|wish| wish.serial == serial)
    }

    /// The greatest extent wished of a body.
    fn extent(&self, serial: u64) -> Extent {
        let wished = self.wishes.iter().filter(|wish| wish.serial == serial);
        let head = |wish: &Ranked| match wish.extent {
            Extent::Whole => None,
            Extent::Head(sound) => Some(sound),
        };
        // No head at all where any of them is a whole.
        let heads: Option<Vec<Millis>> = wished.map(head).collect();
        heads.map_or(Extent::Whole, |heads| {
            Extent::Head(heads.into_iter().max().unwrap_or(Millis::ZERO))
        })
    }

    /// Position up to which a body is wished.
    pub fn limit(&self, serial: u64) -> u64 {
        self.body(serial)
            .map_or(0, |body| body.limit(self.extent(serial), self.head_bytes))
    }

    /// How much sound is loaded behind what sounds, up to the body: all of the entry that sounds, if it is another one.
    fn buffered(&self, serial: u64) -> Duration {
        let of = |serial| self.body(serial).map_or(Duration::ZERO, Body::ahead);
        match self.wishes.first() {
            Some(first) if first.serial != serial => of(first.serial).saturating_add(of(serial)),
            Some(_) | None => of(serial),
        }
    }

    /// Takes the memory of manifests and of what belongs to them out of the budget.
    fn account(&mut self) {
        let plans = self.bodies.iter().filter_map(Body::plan);
        self.pool.reserve(plans.map(Plan::memory_bytes).sum());
        while self.pool.is_over() {
            let least = self.unread_below(0).or_else(|| self.heard());
            let Some(Source::Taken { serial, index }) = least.or_else(|| self.other_readers(0)) else {
                break;
            };
            let chunk = self.body_mut(serial).and_then(|body| body.chunks.remove(&index));
            let Some(chunk) = chunk else { break };
            self.pool.give(chunk);
        }
    }

    /// The next request for an idle thread.
    pub fn pick(&mut self, now: Instant) -> Pick {
        self.account();
        for _ in 0..DECISIONS_MAX {
            let Some(best) = self.best(now) else { break };
            if let Some(order) = self.order(best) {
                return Pick::Fetch(order);
            }
        }
        let wished = self
            .bodies
            .iter()
            .filter(|body| body.fault.is_none() && self.rank(body.serial).is_some());
        Pick::Rest(
            wished
                .filter_map(|body| body.not_before)
                .filter(|moment| *moment > now)
                .min(),
        )
    }

    /// The most urgent request there is; what lies behind the readers comes after everything that lies ahead.
    fn best(&self, now: Instant) -> Option<Candidate> {
        let ready = || {
            let mut seen = Vec::with_capacity(self.wishes.len());
            self.wishes.iter().enumerate().filter_map(move |(rank, wish)| {
                let first = !seen.contains(&wish.serial);
                seen.push(wish.serial);
                let body = self.body(wish.serial).filter(|_| first)?;
                let rests = body.fault.is_some() || body.not_before.is_some_and(|moment| moment > now);
                (!rests).then_some((rank, body))
            })
        };
        ready()
            .find_map(|(rank, body)| self.awaited(rank, body).or_else(|| self.ahead(rank, body)))
            .or_else(|| ready().find_map(|(rank, body)| self.behind(rank, body)))
    }

    /// Requests under way for a body.
    fn jobs_of(&self, serial: u64) -> impl Iterator<Item = &Job> {
        self.jobs
            .iter()
            .flatten()
            .filter(move |job| job.serial == serial && !job.cancelled)
    }

    /// Whether a request under way brings the byte at `at` soon.
    fn is_coming(&self, body: &Body, at: u64) -> bool {
        let reach = match body.parts.get(&key_of(at)).map(|part| part.ranges) {
            Some(Ranges::Honoured) | None => NEAR_BYTES,
            Some(Ranges::Ignored) => u64::MAX,
        };
        self.jobs_of(body.serial)
            .any(|job| job.at <= at && at - job.at <= reach && key_of(job.at) == key_of(at))
    }

    /// The hole a reader stands before.
    fn awaited(&self, rank: usize, body: &Body) -> Option<Candidate> {
        let waiting = body.live().filter(|cursor| cursor.waiting).map(|cursor| cursor.at);
        let start = waiting
            .map(|at| body.missing_from(at))
            .find(|start| !self.is_coming(body, *start))?;
        self.candidate(rank, body, start, END, true)
    }

    /// The first hole ahead of the readers, or of the start.
    fn ahead(&self, rank: usize, body: &Body) -> Option<Candidate> {
        if self.jobs_of(body.serial).next().is_some() {
            return None;
        }
        let start = body.missing_from(body.base().unwrap_or(0));
        self.candidate(rank, body, start, self.limit(body.serial), false)
    }

    /// The first hole behind the readers, if there is memory to spare.
    fn behind(&self, rank: usize, body: &Body) -> Option<Candidate> {
        let base = body
            .base()
            .filter(|_| self.jobs_of(body.serial).next().is_none() && self.pool.has_spare())?;
        let start = body.missing_from(0);
        self.candidate(rank, body, start, base.min(self.limit(body.serial)), false)
    }

    fn candidate(&self, rank: usize, body: &Body, start: u64, limit: u64, awaited: bool) -> Option<Candidate> {
        let fits = !start.is_multiple_of(CHUNK) || self.source(body, start / CHUNK).is_some();
        if start >= limit || !fits {
            return None;
        }
        Some(Candidate {
            serial: body.serial,
            start,
            limit,
            rank,
            awaited,
        })
    }

    /// The request for a candidate. `None`: there was nothing to request after all, so something else may be next.
    fn order(&mut self, best: Candidate) -> Option<Order> {
        let Candidate {
            serial, start, limit, ..
        } = best;
        let about = Circumstances {
            link_bps: self.throughput.bps(),
            buffered: self.buffered(serial),
        };
        let body = self.body_mut(serial)?;
        let Sort::Plan(plan) = &mut body.sort else {
            return Order::media(body, start, limit);
        };
        if plan.is_stale {
            return Some(Order::manifest(body, start));
        }
        if let Some(end) = plan.end.filter(|end| key_of(start) >= *end) {
            log::trace!("media: entry {} ends at {end} ms", body.entry.0);
            return None;
        }
        if body.part_over(start).is_some() {
            return Order::media(body, start, limit);
        }
        if body.parts.len() >= PARTS_MAX {
            body.prune();
        }
        let Sort::Plan(plan) = &mut body.sort else { return None };
        match plan.plan(key_of(start), &body.parts, about) {
            Planned::Part(key, part) => {
                body.parts.insert(key, part);
                let start = body.missing_from(start);
                Order::media(body, start, limit)
            }
            Planned::Needs(document, resource) => Some(Order {
                serial,
                subject: Subject::Document(document),
                url: resource.url,
                start: resource.range.as_ref().map_or(0, |range| range.start),
                end: resource.range.map(|range| range.end),
                at: start,
                ranges: Ranges::Honoured,
            }),
            Planned::End => {
                plan.end = Some(key_of(start));
                None
            }
        }
    }

    /// Where a chunk for `index` of `body` would come from; see the top of this file for the order.
    fn source(&self, body: &Body, index: u64) -> Option<Source> {
        if self.pool.has_spare() {
            return Some(Source::Spare);
        }
        let rank = self.rank(body.serial)?;
        self.unread_below(rank.max(NEXT_RANK))
            .or_else(|| self.heard().filter(|_| rank <= NEXT_RANK))
            .or_else(|| self.unread_below(rank))
            .or_else(|| Self::far_ahead(body, index))
            .or_else(|| self.other_readers(body.serial).filter(|_| rank == 0))
    }

    /// The last chunk of the least urgent wish nobody reads, less urgent than `rank`.
    fn unread_below(&self, rank: usize) -> Option<Source> {
        let unread = |wish: &Ranked| {
            let body = self.body(wish.serial).filter(|body| body.cursors.is_empty())?;
            let index = *body.chunks.keys().next_back()?;
            (self.rank(wish.serial)? > rank).then_some(Source::Taken {
                serial: wish.serial,
                index,
            })
        };
        self.wishes.iter().rev().find_map(unread)
    }

    /// The first chunk that lies far behind everybody who reads its entry.
    fn heard(&self) -> Option<Source> {
        let keep = KEEP_BEHIND_CHUNKS.min(self.pool.chunks_max() / 4);
        self.bodies.iter().find_map(|body| {
            let mut behind = body.chunks.range(..body.base()? / CHUNK).map(|(index, _)| *index);
            let index = behind.next()?;
            behind.nth(keep.checked_sub(1)?)?;
            Some(Source::Taken {
                serial: body.serial,
                index,
            })
        })
    }

    /// Where a reader waits for `index`, or for what the request that needs it brings next: what lies farthest ahead.
    fn far_ahead(body: &Body, index: u64) -> Option<Source> {
        let waiting = body
            .live()
            .filter(|cursor| cursor.waiting)
            .map(|cursor| cursor.at / CHUNK);
        let awaited = waiting.filter(|awaited| *awaited >= index).min()?;
        let last = *body.chunks.keys().next_back().filter(|last| **last > awaited)?;
        Some(Source::Taken {
            serial: body.serial,
            index: last,
        })
    }

    /// What readers of other entries do not need next: the last resort of the most urgent wish, so that it never starves.
    fn other_readers(&self, serial: u64) -> Option<Source> {
        let others = self
            .bodies
            .iter()
            .rev()
            .filter(|body| body.serial != serial && !body.cursors.is_empty());
        others.into_iter().find_map(|body| {
            let near = body.base().map_or(u64::MAX, |base| base / CHUNK);
            let ahead = || body.chunks.range(near..).map(|(index, _)| *index);
            let far = ahead().nth(KEEP_BEHIND_CHUNKS + 1).and_then(|_| ahead().next_back());
            let index = far.or_else(|| Some(*body.chunks.range(..near).next_back()?.0))?;
            Some(Source::Taken {
                serial: body.serial,
                index,
            })
        })
    }

    /// An empty chunk for `index` of a body, taken from whoever has to give way.
    pub fn obtain(&mut self, serial: u64, index: u64) -> Option<Chunk> {
        match self.source(self.body(serial)?, index)? {
            Source::Spare => {}
            Source::Taken { serial, index } => {
                let chunk = self.body_mut(serial)?.chunks.remove(&index)?;
                self.pool.give(chunk);
            }
        }
        self.pool.take()
    }

    /// Whether a thread may hold its connection while there is no memory: what sounds goes on as soon as a chunk is heard.
    pub fn may_hold(&self, serial: u64) -> bool {
        self.rank(serial) == Some(0) || self.body(serial).is_some_and(|body| body.live().next().is_some())
    }

    /// Cancels requests nobody wants any more, or that stand in the way of more urgent ones.
    /// Returns the connections to be shut down, outside of any lock.
    #[must_use]
    pub fn preempt(&mut self, now: Instant) -> Vec<Agent> {
        let wished: Vec<u64> = self.wishes.iter().map(|wish| wish.serial).collect();
        let mut doomed = self.cancel_all(|job| !wished.contains(&job.serial));
        let busy = self.jobs.iter().all(|job| job.is_some_and(|job| !job.cancelled));
        if let Some(best) = self.best(now).filter(|_| busy)
            && let Some(thread) = self.least_urgent(&best)
        {
            doomed.extend(self.cancel(thread));
        }
        doomed
    }

    /// The thread that should leave its request for `best`: the one with the least urgent request, if that can wait.
    fn least_urgent(&self, best: &Candidate) -> Option<usize> {
        let urgency = |job: &Job| self.rank(job.serial).unwrap_or(usize::MAX);
        let running = self
            .jobs
            .iter()
            .enumerate()
            .filter_map(|(thread, job)| Some((thread, job.as_ref()?)));
        // Of two requests for one entry the later one gives way: it is the older guess about what is read next.
        let (thread, job) = running.max_by_key(|(_, job)| (urgency(job), job.at))?;
        let can_wait = urgency(job) > best.rank || (best.awaited && job.serial == best.serial);
        can_wait.then_some(thread)
    }

    /// Cancels all requests that are `unwanted`; returns the connections to be shut down.
    #[must_use]
    pub fn cancel_all(&mut self, unwanted: impl Fn(&Job) -> bool) -> Vec<Agent> {
        let is_unwanted = |job: &Option<Job>| job.is_some_and(|job| !job.cancelled && unwanted(&job));
        let threads: Vec<usize> = (0..FETCHERS)
            .filter(|thread| self.jobs.get(*thread).is_some_and(is_unwanted))
            .collect();
        threads.into_iter().filter_map(|thread| self.cancel(thread)).collect()
    }

    /// Cancels the request of one thread.
    fn cancel(&mut self, thread: usize) -> Option<Agent> {
        self.jobs.get_mut(thread)?.as_mut()?.cancelled = true;
        self.agents.get_mut(thread)?.take()
    }

    /// Frees what nobody wishes and nobody reads.
    pub fn sweep(&mut self) {
        let wishes = &self.wishes;
        let kept = |body: &Body| !body.cursors.is_empty() || wishes.iter().any(|wish| wish.serial == body.serial);
        let (keep, drop): (Vec<Body>, Vec<Body>) = std::mem::take(&mut self.bodies).into_iter().partition(kept);
        self.bodies = keep;
        for mut body in drop {
            self.switches += body.plan().map_or(0, |plan| plan.switches.into());
            body.forget(&mut self.pool);
        }
        if self.bodies.is_empty() {
            self.pool.trim();
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
