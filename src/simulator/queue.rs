//! One queue: which entry comes when. The service owns it; clients only look at it and report where they are.
//! Knows no HTTP, no files and no events.

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Item};
use super::order::{Seed, fingerprint};
use super::tier::{Kind, Tier};

/// Entries made ready ahead of the current one: what `next` may return, and one more.
const AHEAD_MIN: usize = 11;
/// Played entries that stay known, for `previous` and for late events.
const HISTORY_MAX: usize = 200;
/// Tracks one queue may hold: more is refused, not cut off.
pub const TRACKS_MAX: usize = 10_000;

/// How the order is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// The source in its order.
    Ordered,
    /// The source mixed.
    Shuffled,
    /// An endless choice out of everything there is.
    Station,
}

/// What a queue is made from.
#[derive(Clone, Debug)]
pub struct Source {
    /// MRNs in their order; not empty.
    pub tracks: Vec<String>,
    /// Which of them is to sound first.
    pub first: usize,
    /// MRNs a station or the continuation chooses from.
    pub pool: Vec<String>,
}

/// The queue of one session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queue {
    name: String,
    tier: Tier,
    seed: Seed,
    style: Style,
    looping: bool,
    continues: bool,
    tracks: Vec<String>,
    pool: Vec<String>,
    entries: Vec<Entry>,
    position: usize,
    round: u32,
    made: u64,
    since_ad: u32,
}

impl Queue {
    /// A queue whose order depends on nothing but the arguments. `name` makes its references unique.
    pub fn new(name: &str, tier: Tier, style: Style, source: Source) -> Self {
        let mut queue = Self {
            name: name.to_owned(),
            tier,
            seed: Seed::new(fingerprint(name)),
            style,
            looping: false,
            continues: style == Style::Station,
            tracks: source.tracks,
            pool: source.pool,
            entries: Vec::new(),
            position: 0,
            round: 0,
            made: 0,
            since_ad: 0,
        };
        queue.begin(source.first);
        queue.fill();
        queue
    }

    fn begin(&mut self, first: usize) {
        let numbered: Vec<(usize, String)> = self.tracks.iter().cloned().enumerate().collect();
        let interlude = self.style == Style::Station || self.tier.limits_skips();
        let (before, after) = match self.style {
            Style::Ordered => numbered.split_at(first.min(numbered.len())),
            Style::Shuffled | Style::Station => (&[][..], &numbered[..]),
        };
        for (ordinal, track) in before {
            self.push(Item::Track(track.clone()), *ordinal);
        }
        self.position = self.entries.len();
        if interlude {
            self.push(Item::Interlude, 0);
        }
        let mut round = after.to_vec();
        if self.style == Style::Station {
            let chosen = numbered.get(first).map(|(_, track)| track.clone());
            round = self.pool.iter().cloned().enumerate().collect();
            self.mix_with_first(&mut round, chosen.as_deref());
        } else if self.style == Style::Shuffled {
            let chosen = numbered
                .get(first)
                .filter(|_| first > 0)
                .map(|(_, track)| track.clone());
            self.mix_with_first(&mut round, chosen.as_deref());
        }
        self.push_round(round);
    }

    fn mix_with_first(&mut self, round: &mut [(usize, String)], first: Option<&str>) {
        self.seed.shuffle(round);
        if let Some(place) = first.and_then(|wanted| round.iter().position(|(_, track)| track == wanted)) {
            round.swap(0, place);
        }
    }

    fn push(&mut self, item: Item, ordinal: usize) {
        let entry = self.make(item, ordinal);
        self.entries.push(entry);
    }

    fn make(&mut self, item: Item, ordinal: usize) -> Entry {
        let number = self.made;
        self.made = number.saturating_add(1);
        let mark = fingerprint(&format!("{}#{number}", self.name));
        Entry {
            reference: format!("{number}:{mark:016x}"),
            metric: format!("mx|{:016x}/{number}+{mark:016x}==", fingerprint(&self.name)),
            item,
            started: false,
            round: self.round,
            ordinal,
        }
    }

    fn push_round(&mut self, round: Vec<(usize, String)>) {
        for (ordinal, track) in round {
            self.push(Item::Track(track), ordinal);
            self.since_ad = self.since_ad.saturating_add(1);
            if self.tier.ad_every().is_some_and(|every| self.since_ad >= every) {
                self.push(Item::Ad, ordinal);
                self.since_ad = 0;
            }
        }
    }

    /// Makes entries ready ahead of the current one, if the queue goes on at all.
    fn fill(&mut self) {
        while self.entries.len().saturating_sub(self.position) <= AHEAD_MIN {
            let source = if self.continues {
                &self.pool
            } else if self.looping {
                &self.tracks
            } else {
                return;
            };
            if source.is_empty() {
                return;
            }
            let mut round: Vec<(usize, String)> = source.iter().cloned().enumerate().collect();
            self.round = self.round.saturating_add(1);
            if self.continues || self.style != Style::Ordered {
                self.seed.shuffle(&mut round);
                let last = self.entries.iter().rev().find_map(|entry| match &entry.item {
                    Item::Track(track) => Some(track.as_str()),
                    Item::Ad | Item::Interlude => None,
                });
                if round.len() > 1 && round.first().map(|(_, track)| track.as_str()) == last {
                    round.rotate_left(1);
                }
            }
            self.push_round(round);
        }
    }

    /// Whether other tracks follow when the source is over.
    pub fn set_continuing(&mut self, on: bool) {
        self.continues = on || self.style == Style::Station;
        self.fill();
    }

    /// Repeats the source, or lets it end with the round that is playing.
    pub fn set_looping(&mut self, on: bool) {
        self.looping = on;
        if !on && !self.continues {
            let round = self.entries.get(self.position).map_or(self.round, |entry| entry.round);
            let keep = self.position;
            let mut index = 0_usize;
            self.entries.retain(|entry| {
                let kept = index <= keep || entry.round <= round;
                index = index.saturating_add(1);
                kept
            });
        }
        self.fill();
    }

    /// Mixes what lies ahead, or puts it back in order. Entries keep their references; injected ones keep their places.
    pub fn set_shuffled(&mut self, on: bool) {
        if self.style == Style::Station {
            return;
        }
        self.style = if on { Style::Shuffled } else { Style::Ordered };
        let ahead = self
            .entries
            .split_off(self.position.saturating_add(1).min(self.entries.len()));
        let mut rounds: Vec<u32> = ahead.iter().map(|entry| entry.round).collect();
        rounds.dedup();
        let mut rest = ahead;
        for round in rounds {
            let (this, later): (Vec<Entry>, Vec<Entry>) = rest.into_iter().partition(|entry| entry.round == round);
            rest = later;
            let places: Vec<Option<Entry>> = this
                .iter()
                .map(|entry| (entry.kind() != Kind::Track).then(|| entry.clone()))
                .collect();
            let mut tracks: Vec<Entry> = this.into_iter().filter(|entry| entry.kind() == Kind::Track).collect();
            if on {
                self.seed.shuffle(&mut tracks);
            } else {
                tracks.sort_by_key(|entry| entry.ordinal);
            }
            let mut tracks = tracks.into_iter();
            self.entries
                .extend(places.into_iter().filter_map(|place| place.or_else(|| tracks.next())));
        }
    }

    /// Puts tracks right after the current entry.
    pub fn insert_next(&mut self, tracks: &[String]) {
        let at = self.position.saturating_add(1).min(self.entries.len());
        self.insert(at, tracks);
    }

    /// Puts tracks at the end of what plays (before the repetition, if the queue repeats).
    pub fn insert_last(&mut self, tracks: &[String]) {
        let round = self.entries.get(self.position).map_or(self.round, |entry| entry.round);
        let at = self
            .entries
            .iter()
            .rposition(|entry| entry.round <= round)
            .map_or(0, |last| last.saturating_add(1));
        self.insert(at, tracks);
    }

    fn insert(&mut self, at: usize, tracks: &[String]) {
        let round = self.entries.get(self.position).map_or(self.round, |entry| entry.round);
        let mut rest = self.entries.split_off(at.min(self.entries.len()));
        for track in tracks {
            let mut entry = self.make(Item::Track(track.clone()), self.tracks.len());
            entry.round = round;
            self.entries.push(entry);
            self.tracks.push(track.clone());
        }
        self.entries.append(&mut rest);
        self.fill();
    }

    /// Room for more tracks.
    pub fn room(&self) -> usize {
        TRACKS_MAX.saturating_sub(self.tracks.len())
    }

    /// All entries that are known, played and coming.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Place of the current entry in [`Self::entries`].
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Up to `limit` entries after the current one, nearest first.
    pub fn ahead(&self, limit: usize) -> impl Iterator<Item = &Entry> {
        self.entries.iter().skip(self.position.saturating_add(1)).take(limit)
    }

    /// Up to `limit` entries before the current one, nearest first.
    pub fn behind(&self, limit: usize) -> impl Iterator<Item = &Entry> {
        self.entries.iter().take(self.position).rev().take(limit)
    }

    /// The current entry.
    pub fn current(&self) -> Option<&Entry> {
        self.entries.get(self.position)
    }

    /// Moves to an entry that started to sound. Entries played long ago are forgotten, new ones are made ready.
    pub fn move_to(&mut self, index: usize) {
        let Some(entry) = self.entries.get_mut(index) else {
            return;
        };
        entry.started = true;
        self.position = index;
        if self.position > HISTORY_MAX {
            let drop = self.position.saturating_sub(HISTORY_MAX);
            self.entries.drain(..drop);
            self.position = HISTORY_MAX;
        }
        self.fill();
    }

    /// The order is random.
    pub fn is_shuffled(&self) -> bool {
        self.style == Style::Shuffled
    }

    /// The queue repeats.
    pub const fn is_looping(&self) -> bool {
        self.looping
    }

    /// The queue is an endless station.
    pub fn is_station(&self) -> bool {
        self.style == Style::Station
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(count: usize, first: usize) -> Source {
        let tracks: Vec<String> = (0..count).map(|n| format!("t{n}")).collect();
        Source {
            pool: tracks.clone(),
            tracks,
            first,
        }
    }

    fn queue(tier: Tier, style: Style, count: usize) -> Queue {
        Queue::new("s", tier, style, source(count, 0))
    }

    fn names<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<String> {
        entries
            .map(|entry| match &entry.item {
                Item::Track(track) => track.clone(),
                Item::Ad => "ad".to_owned(),
                Item::Interlude => "interlude".to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_plain_queue_is_the_source_in_order_and_ends() {
        assert_eq!(
            names(queue(Tier::Unlimited, Style::Ordered, 4).entries().iter()),
            ["t0", "t1", "t2", "t3"]
        );
    }

    #[test]
    fn a_later_first_track_leaves_the_ones_before_it_behind() {
        let queue = Queue::new("s", Tier::Unlimited, Style::Ordered, source(4, 2));
        assert_eq!(names(queue.current().into_iter()), ["t2"]);
        assert_eq!(names(queue.behind(5)), ["t1", "t0"], "nearest first");
    }

    #[test]
    fn the_free_tier_has_an_interlude_first_and_an_ad_after_every_third_track() {
        let queue = queue(Tier::Free, Style::Ordered, 7);
        let expected = ["interlude", "t0", "t1", "t2", "ad", "t3", "t4", "t5", "ad", "t6"];
        assert_eq!(names(queue.entries().iter()), expected);
    }

    #[test]
    fn a_station_starts_with_an_interlude_and_the_chosen_track_and_never_ends() {
        let mut queue = Queue::new("s", Tier::Unlimited, Style::Station, source(3, 1));
        assert_eq!(names(queue.entries().iter().take(2)), ["interlude", "t1"]);
        for _ in 0..1000 {
            assert_eq!(queue.ahead(10).count(), 10);
            queue.move_to(queue.position() + 1);
        }
        assert!(queue.entries().len() < HISTORY_MAX + 20, "old entries are forgotten");
    }

    #[test]
    fn a_station_does_not_repeat_a_track_at_once() {
        let mut queue = queue(Tier::Unlimited, Style::Station, 3);
        for _ in 0..200 {
            let pair = names(queue.entries().iter().skip(queue.position()).take(2));
            assert_ne!(pair[0], pair[1]);
            queue.move_to(queue.position() + 1);
        }
    }

    #[test]
    fn shuffling_mixes_what_lies_ahead_and_keeps_references() {
        let mut queue = queue(Tier::Unlimited, Style::Ordered, 20);
        queue.move_to(3);
        let mut before: Vec<String> = queue.ahead(20).map(|entry| entry.reference.clone()).collect();
        queue.set_shuffled(true);
        let mut after: Vec<String> = queue.ahead(20).map(|entry| entry.reference.clone()).collect();
        assert_ne!(before, after);
        before.sort();
        after.sort();
        assert_eq!(before, after);
        assert_eq!(names(queue.current().into_iter()), ["t3"]);
    }

    #[test]
    fn ending_shuffle_restores_the_order() {
        let mut queue = queue(Tier::Unlimited, Style::Ordered, 12);
        let before: Vec<String> = queue.ahead(20).map(|entry| entry.reference.clone()).collect();
        queue.set_shuffled(true);
        queue.set_shuffled(false);
        assert_eq!(
            before,
            queue.ahead(20).map(|entry| entry.reference.clone()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn shuffling_leaves_advertisements_in_their_places() {
        let mut queue = queue(Tier::Prime, Style::Ordered, 9);
        let places = |queue: &Queue| -> Vec<usize> {
            queue
                .entries()
                .iter()
                .enumerate()
                .filter(|(_, e)| e.kind() == Kind::Ad)
                .map(|(n, _)| n)
                .collect()
        };
        let before = places(&queue);
        queue.set_shuffled(true);
        assert_eq!(before, places(&queue));
        assert_eq!(before, [5, 10]);
    }

    #[test]
    fn looping_repeats_with_new_references_and_ending_it_ends_the_queue() {
        let mut queue = queue(Tier::Unlimited, Style::Ordered, 3);
        queue.set_looping(true);
        assert_eq!(names(queue.ahead(5)), ["t1", "t2", "t0", "t1", "t2"]);
        let mut references: Vec<&str> = queue.entries().iter().map(|entry| entry.reference.as_str()).collect();
        references.sort_unstable();
        references.dedup();
        assert_eq!(references.len(), queue.entries().len());
        queue.set_looping(false);
        assert_eq!(names(queue.ahead(5)), ["t1", "t2"]);
    }

    #[test]
    fn inserted_tracks_come_next_or_last() {
        let mut queue = queue(Tier::Unlimited, Style::Ordered, 3);
        queue.insert_next(&["n".to_owned()]);
        queue.insert_last(&["l".to_owned()]);
        assert_eq!(names(queue.entries().iter()), ["t0", "n", "t1", "t2", "l"]);
    }

    #[test]
    fn the_order_depends_on_the_name_alone() {
        let first = Queue::new("one", Tier::Unlimited, Style::Shuffled, source(30, 0));
        let again = Queue::new("one", Tier::Unlimited, Style::Shuffled, source(30, 0));
        let other = Queue::new("two", Tier::Unlimited, Style::Shuffled, source(30, 0));
        assert_eq!(names(first.entries().iter()), names(again.entries().iter()));
        assert_ne!(names(first.entries().iter()), names(other.entries().iter()));
    }
}
