//! A model of the audio path: one order sounds, one follows, and everything is reported in order.

use std::collections::{BTreeMap, VecDeque};

use tonearm_core::event::StopReason;
use tonearm_core::id::{EntryKey, PlayId};
use tonearm_core::input::{AudioNews, Ending};
use tonearm_core::unit::Millis;

/// What an entry's bytes turn out to be.
#[derive(Clone, Debug)]
pub struct Medium {
    pub length_ms: u64,
    pub corrupt: bool,
    pub broken_at: Option<u64>,
    /// Position and length of a stall; each happens once.
    pub stalls: Vec<(u64, u64)>,
    /// Addresses that have expired before one works.
    pub expired: u8,
    pub load_ms: u64,
    /// Loaded from the beginning up to here.
    pub loaded_ms: u64,
}

impl Medium {
    /// There is something to sound at this position.
    fn reaches(&self, position: u64) -> bool {
        self.loaded_ms > position || self.loaded_ms >= self.length_ms
    }
}

#[derive(Clone, Copy, Debug)]
struct Order {
    play: PlayId,
    entry: EntryKey,
    position: u64,
    /// It came up as a follower and has not begun: another follower takes its place.
    replaceable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Silent: no bytes yet, paused, or no device.
    Waiting,
    Sounding {
        since: u64,
    },
    Stalled {
        until: u64,
    },
    /// What is loaded has sounded; it goes on when there is more.
    Starved,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    began_at_position: u64,
    rebuffers: u16,
}

/// A report, and for a cut the reasons that would be true.
#[derive(Clone, Debug)]
pub struct News {
    pub news: AudioNews,
    pub reasons: Vec<StopReason>,
}

#[derive(Debug)]
pub struct Audio {
    pub media: BTreeMap<EntryKey, Medium>,
    pub device_works: bool,
    paused: bool,
    current: Option<Order>,
    follower: Option<Order>,
    phase: Phase,
    span: Option<Span>,
    /// Reports that wait to be delivered.
    pub news: VecDeque<News>,
}

fn millis(ms: u64) -> Millis {
    Millis(u32::try_from(ms).unwrap())
}

impl Audio {
    pub fn new() -> Self {
        Self {
            media: BTreeMap::new(),
            device_works: true,
            paused: false,
            current: None,
            follower: None,
            phase: Phase::Waiting,
            span: None,
            news: VecDeque::new(),
        }
    }

    /// The program was ended: the sound with it. What the entries are stays.
    pub fn reset(&mut self) {
        self.paused = false;
        self.current = None;
        self.follower = None;
        self.phase = Phase::Waiting;
        self.span = None;
        self.news.clear();
        for medium in self.media.values_mut() {
            medium.loaded_ms = 0;
        }
    }

    pub fn play(&mut self, play: PlayId, entry: EntryKey, from: Millis, reasons: &[StopReason], now: u64) {
        self.cut(Ending::Cut, reasons, now);
        self.paused = false;
        self.follower = None;
        let position = u64::from(from.0);
        self.current = Some(Order {
            play,
            entry,
            position,
            replaceable: false,
        });
        self.run(now);
    }

    pub fn follow(&mut self, play: PlayId, entry: EntryKey, now: u64) {
        let order = Order {
            play,
            entry,
            position: 0,
            replaceable: true,
        };
        if self.current.is_some_and(|current| !current.replaceable) {
            self.follower = Some(order);
        } else {
            self.current = Some(order);
        }
        self.run(now);
    }

    pub fn unfollow(&mut self) {
        self.follower = None;
        self.current = self.current.filter(|current| !current.replaceable);
    }

    pub fn pause(&mut self, reasons: &[StopReason], now: u64) {
        self.cut(Ending::Cut, reasons, now);
        self.paused = true;
    }

    pub fn resume(&mut self, now: u64) {
        self.paused = false;
        self.run(now);
    }

    pub fn silence(&mut self, reasons: &[StopReason], now: u64) {
        self.cut(Ending::Cut, reasons, now);
        self.paused = false;
        self.current = None;
        self.follower = None;
    }

    pub fn device(&mut self, works: bool, now: u64) {
        if works == self.device_works {
            return;
        }
        if !works {
            self.cut(Ending::Interrupted, &[], now);
        }
        self.device_works = works;
        self.tell(if works {
            AudioNews::DeviceBack
        } else {
            AudioNews::DeviceLost
        });
        self.run(now);
    }

    /// Forgets what entries are, but for those that are kept or under way.
    pub fn forget(&mut self, keep: impl Fn(EntryKey) -> bool) {
        let orders = [self.current, self.follower];
        self.media
            .retain(|entry, _| keep(*entry) || orders.iter().flatten().any(|order| order.entry == *entry));
    }

    /// What is heard now.
    pub fn heard(&self, now: u64) -> Option<(PlayId, Millis)> {
        let order = self.current?;
        self.span?;
        Some((order.play, millis(self.position(now))))
    }

    pub fn is_flowing(&self) -> bool {
        matches!(self.phase, Phase::Sounding { .. })
    }

    /// When something happens by itself.
    pub fn wakes_at(&self) -> Option<u64> {
        let order = self.current?;
        match self.phase {
            Phase::Waiting | Phase::Starved => None,
            Phase::Stalled { until } => Some(until),
            Phase::Sounding { since } => {
                let medium = &self.media[&order.entry];
                let stop = Self::next_mark(medium, order.position);
                Some(since + stop.saturating_sub(order.position))
            }
        }
    }

    /// Lets everything happen that is due by `now`.
    pub fn run(&mut self, now: u64) {
        for _ in 0..100 {
            if self.wakes_at().is_some_and(|at| at <= now) {
                self.reach_mark(now);
            } else if !self.try_flow(now) && !self.try_begin(now) {
                return;
            }
        }
        panic!("the model of the audio path runs in circles");
    }

    fn next_mark(medium: &Medium, position: u64) -> u64 {
        let stall = medium
            .stalls
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| *at >= position)
            .min();
        let broken = medium.broken_at.filter(|at| *at >= position);
        let loaded = Some(medium.loaded_ms).filter(|at| *at >= position);
        [stall, broken, loaded, Some(medium.length_ms)]
            .into_iter()
            .flatten()
            .min()
            .unwrap()
    }

    fn reach_mark(&mut self, now: u64) {
        let Some(order) = self.current else { return };
        if let Phase::Stalled { .. } = self.phase {
            self.phase = Phase::Sounding { since: now };
            self.tell(AudioNews::Flowing { play: order.play });
            return;
        }
        let position = self.position(now);
        let medium = self.media.get_mut(&order.entry).unwrap();
        if position >= medium.length_ms {
            self.cut(Ending::Finished, &[], now);
            self.current = self.follower.take();
        } else if medium.broken_at.is_some_and(|at| at == position) {
            self.cut(Ending::Broken, &[], now);
            self.current = self.follower.take();
        } else if let Some(index) = medium.stalls.iter().position(|(at, _)| *at == position) {
            let (_, length) = medium.stalls.remove(index);
            self.current = Some(Order { position, ..order });
            self.phase = Phase::Stalled { until: now + length };
            if let Some(span) = &mut self.span {
                span.rebuffers += 1;
            }
            self.tell(AudioNews::Stalled { play: order.play });
        } else if !medium.reaches(position) {
            self.current = Some(Order { position, ..order });
            self.phase = Phase::Starved;
            if let Some(span) = &mut self.span {
                span.rebuffers += 1;
            }
            self.tell(AudioNews::Stalled { play: order.play });
        }
    }

    fn try_flow(&mut self, now: u64) -> bool {
        let starved = self.current.filter(|_| self.phase == Phase::Starved);
        let Some(order) = starved.filter(|order| self.media[&order.entry].reaches(order.position)) else {
            return false;
        };
        self.phase = Phase::Sounding { since: now };
        self.tell(AudioNews::Flowing { play: order.play });
        true
    }

    fn try_begin(&mut self, now: u64) -> bool {
        let Some(order) = self.current else { return false };
        let medium = self.media.get(&order.entry).expect("what is played was described");
        if self.phase != Phase::Waiting || self.paused || !self.device_works || !medium.reaches(order.position) {
            return false;
        }
        if medium.corrupt {
            self.tell(AudioNews::Failed { play: order.play });
            self.current = self.follower.take();
            return true;
        }
        let position = order.position.min(medium.length_ms);
        self.current = Some(Order {
            position,
            replaceable: false,
            ..order
        });
        self.phase = Phase::Sounding { since: now };
        self.span = Some(Span {
            began_at_position: position,
            rebuffers: 0,
        });
        self.tell(AudioNews::Began {
            play: order.play,
            position: millis(position),
        });
        true
    }

    fn position(&self, now: u64) -> u64 {
        let Some(order) = self.current else { return 0 };
        match self.phase {
            Phase::Sounding { since } => (order.position + now - since).min(self.media[&order.entry].length_ms),
            Phase::Waiting | Phase::Stalled { .. } | Phase::Starved => order.position,
        }
    }

    fn cut(&mut self, how: Ending, reasons: &[StopReason], now: u64) {
        let position = self.position(now);
        self.phase = Phase::Waiting;
        let (Some(order), Some(span)) = (&mut self.current, self.span.take()) else {
            return;
        };
        order.position = position;
        let reasons = match how {
            Ending::Finished => vec![StopReason::TrackFinished],
            Ending::Interrupted | Ending::Broken | Ending::Locked => vec![StopReason::SystemStop],
            Ending::Cut => reasons.to_vec(),
        };
        let news = AudioNews::Ended {
            play: order.play,
            position: millis(position),
            played: millis(position - span.began_at_position),
            rebuffers: span.rebuffers,
            how,
        };
        self.news.push_back(News { news, reasons });
    }

    fn tell(&mut self, news: AudioNews) {
        self.news.push_back(News {
            news,
            reasons: Vec::new(),
        });
    }
}
