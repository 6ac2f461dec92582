//! The bytes of wished entries: real ranged requests to the simulator, read by the product's own rules for answers; the
//! time they take, the waits between tries and the memory are a model of one fetch thread.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use tonearm_core::effect::{Wish, Wishes};
use tonearm_core::id::EntryKey;
use tonearm_core::input::{Input, MediaFault};
use tonearm_core::limits::FRESH_ADDRESSES_MAX;
use ureq::http::{Request, header};

use super::audio::Medium;
use super::world::{Check, Happening, NO_ANSWER_MS, PATIENCE, World};
use crate::media::answer::{self, Head, Meaning};

/// Bytes asked for at once.
const CHUNK_BYTES: u64 = 256 * 1024;
/// A home network, or a phone's.
const BYTES_PER_MS: u64 = 2_000;
/// Length of an entry that announces none.
const LENGTH_MS: u64 = 20_000;
/// The first try after trouble comes within this, later ones within twice as much each.
const RETRY_MS_FIRST: u64 = 250;
/// No try comes later than this.
const RETRY_MS_MAX: u64 = 8_000;

/// A wished entry.
#[derive(Debug)]
struct Held {
    wish: Wish,
    url: String,
    have: u64,
    total: Option<u64>,
    over: bool,
}

impl Held {
    fn lacks(&self) -> bool {
        !self.over && self.total.is_none_or(|total| self.have < total)
    }
}

/// What is loaded and what is to be.
#[derive(Debug)]
pub struct Loader {
    /// Most urgent first.
    order: Vec<EntryKey>,
    held: BTreeMap<EntryKey, Held>,
    /// Only the newest appointment counts.
    pub serial: u64,
    pub failures: u32,
    agent: ureq::Agent,
}

/// What a request brought.
enum Brought {
    Bytes {
        count: u64,
        total: Option<u64>,
        whole: bool,
    },
    Trouble(Duration),
    Fault(MediaFault),
}

impl Loader {
    pub fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .accept_encoding("identity")
            .build();
        Self {
            order: Vec::new(),
            held: BTreeMap::new(),
            serial: 0,
            failures: 0,
            agent: config.into(),
        }
    }

    /// The memory is gone.
    pub fn reset(&mut self) {
        self.order.clear();
        self.held.clear();
        self.failures = 0;
    }

    fn most_urgent(&self) -> Option<EntryKey> {
        let lacks = |key: &&EntryKey| self.held.get(key).is_some_and(Held::lacks);
        self.order.iter().find(lacks).copied()
    }

    fn fetch(&self, entry: &Held) -> Brought {
        let last = entry.have + CHUNK_BYTES - 1;
        let request = Request::get(&entry.url).header(header::RANGE, format!("bytes={}-{last}", entry.have));
        let answer = request.body(()).map_err(ureq::Error::from);
        let Ok(mut response) = answer.and_then(|request| self.agent.run(request)) else {
            return Brought::Trouble(Duration::ZERO);
        };
        let head = Head::of(response.status().as_u16(), response.headers());
        let total = match answer::meaning(&head) {
            Meaning::Bytes { first, total, .. } if first == entry.have => total,
            Meaning::Bytes { .. } | Meaning::NoRanges | Meaning::Outside { .. } => {
                return Brought::Fault(MediaFault::Unplayable);
            }
            Meaning::Later { retry_after_s } => {
                return Brought::Trouble(Duration::from_secs(retry_after_s.unwrap_or(0).min(60)));
            }
            Meaning::Fault(fault, _) => return Brought::Fault(fault),
        };
        let mut bytes = Vec::new();
        let read = response.body_mut().as_reader().read_to_end(&mut bytes);
        if bytes.is_empty() {
            return Brought::Trouble(Duration::ZERO);
        }
        if entry.have == 0 && answer::begins_like_text(&bytes) {
            return Brought::Fault(MediaFault::Unplayable);
        }
        Brought::Bytes {
            count: bytes.len() as u64,
            total,
            whole: read.is_ok(),
        }
    }
}

impl World {
    pub fn want(&mut self, wishes: &Wishes) {
        let urgent = self.loader.most_urgent();
        let Some(program) = &self.program else { return };
        let mut held = BTreeMap::new();
        for wish in wishes {
            let Some(known) = program.catalogue.known(wish.entry) else {
                continue;
            };
            let url = known.playable.stream.as_ref().map(|stream| stream.url.clone());
            let length_ms = known.playable.duration.map_or(LENGTH_MS, |length| u64::from(length.0));
            let before = self.loader.held.remove(&wish.entry);
            if before.is_none() {
                self.audio.media.insert(wish.entry, empty(length_ms));
            }
            let mut now = before.unwrap_or(Held {
                wish: *wish,
                url: url.clone().unwrap_or_default(),
                have: 0,
                total: None,
                over: false,
            });
            if now.wish.attempt != wish.attempt {
                now.url = url.unwrap_or_default();
                now.over = false;
            }
            now.wish = *wish;
            held.insert(wish.entry, now);
        }
        for (left, _) in std::mem::replace(&mut self.loader.held, held) {
            self.dropouts.unwished(left);
        }
        self.loader.order = wishes.iter().map(|wish| wish.entry).collect();
        if self.loader.most_urgent() != urgent {
            self.load_soon(5);
        }
    }

    pub fn load_soon(&mut self, after: u64) {
        self.loader.serial += 1;
        let (run, serial) = (self.run, self.loader.serial);
        self.enter(after, Happening::Load { run, serial });
    }

    /// One request for the most urgent bytes.
    pub fn load(&mut self) -> Check {
        let Some(entry) = self.loader.most_urgent() else {
            return Ok(());
        };
        let Some(held) = self.loader.held.get(&entry) else {
            return Ok(());
        };
        let wish = held.wish;
        self.bench.set_time(self.wall_ms());
        let began = std::time::Instant::now();
        let brought = if self.link_up {
            self.loader.fetch(held)
        } else {
            Brought::Trouble(Duration::ZERO)
        };
        let silent = began.elapsed() >= PATIENCE;
        self.count("asked media");
        match brought {
            Brought::Bytes { count, total, whole } => {
                self.arrived(entry, count, total);
                let took = 20 + count / BYTES_PER_MS;
                let rest = if whole { 0 } else { self.back_off() };
                self.loader.failures = if whole { 0 } else { self.loader.failures };
                self.load_soon(took + rest);
                self.audio.run(self.now);
                self.send_news();
                Ok(())
            }
            Brought::Trouble(named) => {
                let waited = if silent { NO_ANSWER_MS } else { 30 };
                let named = u64::try_from(named.as_millis()).unwrap_or(u64::MAX);
                let rest = self.back_off().max(named);
                self.load_soon(waited + rest);
                Ok(())
            }
            Brought::Fault(fault) => self.media_fault(wish, fault),
        }
    }

    fn arrived(&mut self, entry: EntryKey, count: u64, total: Option<u64>) {
        let (Some(held), Some(medium)) = (self.loader.held.get_mut(&entry), self.audio.media.get_mut(&entry)) else {
            return;
        };
        held.have += count;
        held.total = total.or(held.total);
        let total = held.total.unwrap_or(u64::MAX).max(1);
        medium.loaded_ms = if held.have >= total {
            medium.length_ms
        } else {
            medium.length_ms * held.have / total
        };
    }

    fn media_fault(&mut self, wish: Wish, fault: MediaFault) -> Check {
        let entry = wish.entry;
        let last_hope = wish.attempt >= FRESH_ADDRESSES_MAX;
        let Some(held) = self.loader.held.get_mut(&entry) else {
            return Ok(());
        };
        held.over = true;
        let fault = match fault {
            MediaFault::Expired if !last_hope => MediaFault::Expired,
            MediaFault::Expired | MediaFault::Unplayable => MediaFault::Unplayable,
        };
        if fault == MediaFault::Unplayable
            && let Some(medium) = self.audio.media.get_mut(&entry)
        {
            if held.have == 0 {
                medium.corrupt = true;
                medium.loaded_ms = medium.length_ms;
            } else {
                medium.broken_at = Some(medium.loaded_ms);
            }
        }
        self.count(format!("media {fault:?}"));
        self.load_soon(20);
        self.audio.run(self.now);
        self.send_news();
        let slot = wish.slot;
        self.handle(Input::Media { slot, entry, fault })
    }

    fn back_off(&mut self) -> u64 {
        let ceiling = (RETRY_MS_FIRST << self.loader.failures.min(8)).min(RETRY_MS_MAX);
        self.loader.failures += 1;
        self.rng.between(0, ceiling)
    }
}

/// An entry of which nothing is loaded.
fn empty(length_ms: u64) -> Medium {
    Medium {
        length_ms,
        corrupt: false,
        broken_at: None,
        stalls: Vec::new(),
        expired: 0,
        load_ms: 0,
        loaded_ms: 0,
    }
}
