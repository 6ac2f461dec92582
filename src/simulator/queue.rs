//! One queue: which entry comes when. The service owns it; clients only look at it and report where they are. Entries
//! exist only around the position, however long the source is. Knows no HTTP, no files and no events.

use serde::{Deserialize, Serialize};

use super::course::{Course, Order, Origin, Source, Style};
use super::entry::{Entry, Item};
use super::order::{Permutation, Seed, fingerprint};
use super::tier::{Kind, Rules, Shuffle};

/// Entries made ready ahead of the current one: what `next` may return, and one more.
const AHEAD_MIN: usize = 11;
/// Entries made ready before the current one: what `previous` may return.
const BEHIND_MIN: usize = 10;
/// Played entries that stay known, for `previous` and for late events.
const HISTORY_MAX: usize = 200;
/// Entries of the whole queue that are shown ahead: with the history still well below the 1 MiB that clients may refuse
/// to read beyond.
const SHOWN_MAX: usize = 200;
/// Tracks that may be put between entries at once: these are made ready, so they cost memory.
pub const INSERTED_MAX: usize = 500;
/// Containers a source may have: a request body of 256 KiB holds not many more.
pub const LEGS_MAX: usize = 4_000;
/// Entries that left the window for another order but that a client may hold: two windows of them.
const PARKED_MAX: usize = 24;
/// Tracks of a station between two introductions (DJ mode): often enough that an album's length meets one.
const INTERLUDE_EVERY: u32 = 4;
/// Tracks of an augmented shuffle after which the service chooses one of its own.
const CHOICE_EVERY: u32 = 3;
/// Orders tried so that a round does not begin with the track that just ended; with two tracks every other one does.
const KEYS_MAX: usize = 32;

/// What a round goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Through {
    Source,
    Pool,
}

/// The queue of one session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queue {
    name: String,
    rules: Rules,
    seed: Seed,
    style: Style,
    looping: bool,
    continues: bool,
    source: Source,
    pool: Source,
    through: Through,
    course: Course,
    round: u32,
    /// What is known: some played entries, the current one, some that come.
    entries: Vec<Entry>,
    parked: Vec<Entry>,
    position: usize,
    /// Tracks of the source before the first entry.
    before: usize,
    injected: u64,
    since_ad: u32,
    since_interlude: u32,
    since_choice: u32,
}

impl Queue {
    /// A queue whose order depends on nothing but the arguments. `name` makes its references unique.
    pub fn new(name: &str, rules: Rules, style: Style, origin: Origin) -> Self {
        let mut queue = Self {
            name: name.to_owned(),
            rules,
            seed: Seed::new(fingerprint(name)),
            style,
            looping: false,
            continues: style == Style::Station,
            source: origin.source,
            pool: origin.pool,
            through: Through::Source,
            course: Course::new(Order::Plain, 0, 0),
            round: 0,
            entries: Vec::new(),
            parked: Vec::new(),
            position: 0,
            before: 0,
            injected: 0,
            since_ad: 0,
            since_interlude: 0,
            since_choice: 0,
        };
        queue.begin(origin.first, origin.first_of_pool);
        queue.fill(AHEAD_MIN);
        queue
    }

    fn begin(&mut self, first: Option<usize>, first_of_pool: Option<usize>) {
        if self.style == Style::Station || self.rules.tier.limits_skips() {
            self.inject(Item::Interlude);
        }
        let chosen = match self.style {
            Style::Ordered => {
                self.before = first.unwrap_or(0);
                self.course = Course::new(Order::Plain, self.source.len(), self.before);
                self.look_back();
                return;
            }
            Style::Shuffled => first,
            Style::Station => {
                self.through = Through::Pool;
                first_of_pool
            }
        };
        self.course = Course::new(Order::Mixed(self.seed.draw()), self.size(), 0);
        if let Some(chosen) = chosen {
            self.course.leave_out(std::iter::once(chosen));
            self.push_track(chosen);
        }
    }

    /// Tracks of a whole round.
    fn size(&self) -> usize {
        match self.through {
            Through::Source => self.source.len(),
            Through::Pool => self.pool.len(),
        }
    }

    fn item(&self, ordinal: usize) -> Option<Item> {
        match self.through {
            Through::Source => self.source.item(ordinal),
            Through::Pool => self.pool.item(ordinal),
        }
    }

    /// A track's names follow from its place in the source: it has them again whenever it is made again.
    fn entry_of(&self, ordinal: usize, round: u32, item: Item) -> Entry {
        let number = ordinal.to_string();
        Entry::new((&self.name, &number), item, round, Some(ordinal))
    }

    fn fixed(&mut self, item: Item, round: u32) -> Entry {
        let number = self.injected;
        self.injected = number.saturating_add(1);
        Entry::new((&self.name, &format!("i{number}")), item, round, None)
    }

    fn inject(&mut self, item: Item) {
        let entry = self.fixed(item, self.round);
        self.entries.push(entry);
    }

    fn push_track(&mut self, ordinal: usize) {
        let Some(item) = self.item(ordinal) else { return };
        let entry = self.entry_of(ordinal, self.round, item);
        self.parked.retain(|parked| parked.reference != entry.reference);
        self.entries.push(entry);
        let choice_every = self.choice_every();
        if due(&mut self.since_choice, choice_every) {
            // One track of the pool after the other, in an order of its own.
            let choices = Permutation::new(fingerprint(&self.name), self.pool.len());
            let turn = usize::try_from(self.injected).unwrap_or(0);
            let place = turn.checked_rem(self.pool.len()).unwrap_or(0);
            if let Some(item) = self.pool.item(choices.at(place)) {
                self.inject(item);
            }
        }
        if due(&mut self.since_ad, self.rules.ads_every) {
            self.inject(Item::Ad);
        }
        let is_station = self.style == Style::Station;
        if due(&mut self.since_interlude, is_station.then_some(INTERLUDE_EVERY)) {
            self.inject(Item::Interlude);
        }
    }

    fn choice_every(&self) -> Option<u32> {
        let chooses = self.style == Style::Shuffled && self.rules.shuffle == Shuffle::Augmented;
        chooses.then_some(CHOICE_EVERY)
    }

    /// Makes entries ready ahead of the current one, if the queue goes on at all.
    fn fill(&mut self, ahead: usize) {
        while self.entries.len().saturating_sub(self.position) <= ahead {
            let size = self.size();
            match self.course.draw(size) {
                Some(ordinal) => self.push_track(ordinal),
                None if self.begin_round() => {}
                None => return,
            }
        }
    }

    /// Begins the next time through; false: the queue is over.
    fn begin_round(&mut self) -> bool {
        let through = if self.continues { Through::Pool } else { Through::Source };
        let goes_on = self.continues || self.looping;
        let was = std::mem::replace(&mut self.through, through);
        let size = self.size();
        if !goes_on || size == 0 {
            self.through = was;
            return false;
        }
        self.round = self.round.saturating_add(1);
        let is_mixed = self.continues || self.style != Style::Ordered;
        let order = if is_mixed {
            self.order_of_round(size)
        } else {
            Order::Plain
        };
        self.course = Course::new(order, size, 0);
        true
    }

    /// An order that does not begin with the track that ended, unless there is no other.
    fn order_of_round(&mut self, size: usize) -> Order {
        let last = self.entries.iter().rev().find(|entry| entry.ordinal.is_some());
        let last = last.map(|entry| entry.item.clone());
        let mut key = self.seed.draw();
        for _ in 0..KEYS_MAX {
            if self.item(Permutation::new(key, size).at(0)) != last {
                break;
            }
            key = self.seed.draw();
        }
        Order::Mixed(key)
    }

    /// Makes entries ready before the current one, where the queue began in the middle of its source.
    fn look_back(&mut self) {
        while self.position < BEHIND_MIN && self.before > 0 {
            self.before = self.before.saturating_sub(1);
            if let Some(item) = self.source.item(self.before) {
                self.entries.insert(0, self.entry_of(self.before, 0, item));
                self.position = self.position.saturating_add(1);
            }
        }
    }

    /// Whether other tracks follow when the source is over.
    pub fn set_continuing(&mut self, on: bool) {
        self.continues = on || self.style == Style::Station;
        self.fill(AHEAD_MIN);
    }

    /// Repeats the source, or lets it end with the round that is playing.
    pub fn set_looping(&mut self, on: bool) {
        self.looping = on;
        let round = self.current_round();
        if !on && !self.continues && self.round > round {
            let ahead = self.take_ahead();
            let (stay, leave): (Vec<Entry>, Vec<Entry>) = ahead.into_iter().partition(|entry| entry.round <= round);
            self.entries.extend(stay);
            self.park(leave);
            self.round = round;
            self.course = Course::new(Order::Plain, self.size(), self.size());
        }
        self.fill(AHEAD_MIN);
    }

    /// Mixes what lies ahead, or puts it back in order. Tracks keep their references; injected entries their places.
    pub fn set_shuffled(&mut self, on: bool) {
        if self.style == Style::Station {
            return;
        }
        self.style = if on { Style::Shuffled } else { Style::Ordered };
        let mut ahead = self.take_ahead();
        // What is left of an earlier round is ready as a whole; it is mixed in its own places.
        for round in self.current_round()..self.round {
            let places = ahead
                .iter()
                .enumerate()
                .filter(|(_, entry)| entry.round == round && entry.ordinal.is_some());
            let places: Vec<usize> = places.map(|(place, _)| place).collect();
            let mut tracks: Vec<Entry> = places.iter().filter_map(|place| ahead.get(*place).cloned()).collect();
            tracks.sort_by_key(|entry| entry.ordinal);
            if on {
                let order = Permutation::new(self.seed.draw(), tracks.len());
                tracks = (0..tracks.len())
                    .filter_map(|place| tracks.get(order.at(place)).cloned())
                    .collect();
            }
            for (place, track) in places.into_iter().zip(tracks) {
                if let Some(slot) = ahead.get_mut(place) {
                    *slot = track;
                }
            }
        }
        self.redraw(ahead, on);
        self.fill(AHEAD_MIN);
    }

    /// Puts the tracks of the round that is being drawn back and draws as many again in the new order.
    fn redraw(&mut self, ahead: Vec<Entry>, mixed: bool) {
        let is_drawn = |entry: &Entry| entry.round == self.round && entry.ordinal.is_some();
        let put_back: Vec<usize> = ahead
            .iter()
            .filter(|entry| is_drawn(entry))
            .filter_map(|entry| entry.ordinal)
            .collect();
        let order = if mixed || self.through == Through::Pool {
            Order::Mixed(self.seed.draw())
        } else {
            Order::Plain
        };
        let size = self.size();
        self.course.reorder(order, size, &put_back);
        let mut left = Vec::new();
        for entry in ahead {
            if entry.round != self.round || entry.ordinal.is_none() {
                self.entries.push(entry);
                continue;
            }
            let drawn = self.course.draw(size);
            if let Some((ordinal, item)) = drawn.and_then(|ordinal| Some((ordinal, self.item(ordinal)?))) {
                self.entries.push(self.entry_of(ordinal, self.round, item));
            }
            left.push(entry);
        }
        left.retain(|entry| self.entries.iter().all(|known| known.reference != entry.reference));
        self.park(left);
    }

    fn take_ahead(&mut self) -> Vec<Entry> {
        let from = self.position.saturating_add(1).min(self.entries.len());
        self.entries.split_off(from)
    }

    fn park(&mut self, entries: Vec<Entry>) {
        self.parked.extend(entries);
        let surplus = self.parked.len().saturating_sub(PARKED_MAX);
        self.parked.drain(..surplus);
        let known = &self.entries;
        self.parked
            .retain(|parked| known.iter().all(|entry| entry.reference != parked.reference));
    }

    /// A client that did not know of a new order yet started an entry of the old one: the queue has it come now.
    pub fn recall(&mut self, metric: &str) -> Option<usize> {
        let place = self.parked.iter().position(|entry| entry.metric == metric)?;
        let entry = self.parked.remove(place);
        if entry.round == self.round {
            self.course.leave_out(entry.ordinal.into_iter());
        } else if entry.round > self.round {
            // The repetition had begun for the client when it was ended: this is its last entry.
            self.round = entry.round;
            self.course = Course::new(Order::Plain, self.size(), self.size());
        }
        let at = self.position.saturating_add(1).min(self.entries.len());
        self.entries.insert(at, entry);
        Some(at)
    }

    fn current_round(&self) -> u32 {
        self.entries.get(self.position).map_or(self.round, |entry| entry.round)
    }

    /// Puts tracks right after the current entry.
    pub fn insert_next(&mut self, tracks: Source) {
        self.insert(self.position.saturating_add(1), tracks);
    }

    /// Puts tracks at the end of what plays (before the repetition, if the queue repeats; after what is ready, if it has
    /// no end).
    pub fn insert_last(&mut self, tracks: Source) {
        if self.through == Through::Source && self.round == self.current_round() {
            self.source.extend(tracks);
            return self.fill(AHEAD_MIN);
        }
        let round = self.current_round();
        let last = self.entries.iter().rposition(|entry| entry.round <= round);
        self.insert(last.map_or(0, |last| last.saturating_add(1)), tracks);
    }

    fn insert(&mut self, at: usize, tracks: Source) {
        let rest = self.entries.split_off(at.min(self.entries.len()));
        let round = self.current_round();
        let first = self.source.len();
        let count = tracks.len();
        for index in 0..count {
            let Some(item) = tracks.item(index) else { continue };
            let entry = match self.through {
                Through::Source => self.entry_of(first.saturating_add(index), round, item),
                Through::Pool => self.fixed(item, round),
            };
            self.entries.push(entry);
        }
        if self.through == Through::Source {
            self.source.extend(tracks);
            if self.round == round {
                self.course.leave_out(first..first.saturating_add(count));
            }
        }
        self.entries.extend(rest);
        self.fill(AHEAD_MIN);
    }

    /// How many more containers may be added.
    pub fn room(&self) -> usize {
        LEGS_MAX.saturating_sub(self.source.legs())
    }

    /// The entries that exist now, played and coming.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is shown of the whole queue: what was played, as far as it is known, and much of what comes.
    pub fn shown(&self) -> Vec<Entry> {
        let mut whole = self.clone();
        whole.fill(SHOWN_MAX);
        whole.entries
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
            let surplus = self.position.saturating_sub(HISTORY_MAX);
            self.entries.drain(..surplus);
            self.position = HISTORY_MAX;
            self.before = 0;
        }
        self.look_back();
        self.fill(AHEAD_MIN);
    }

    /// How the order is made.
    pub const fn style(&self) -> Style {
        self.style
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

    /// What it was asked for, ahead of what is injected.
    pub fn kind(&self) -> Kind {
        match self.source.item(0) {
            Some(Item::Episode(_)) => Kind::Episode,
            Some(Item::Track(_) | Item::Ad | Item::Interlude) | None => Kind::Track,
        }
    }
}

/// Counts one more track; true when it is time, which starts the count again.
fn due(since: &mut u32, every: Option<u32>) -> bool {
    let Some(every) = every else { return false };
    *since = since.saturating_add(1);
    let is_due = *since >= every;
    if is_due {
        *since = 0;
    }
    is_due
}
