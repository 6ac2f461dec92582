//! One time through a source of any length: which of its tracks comes when, by arithmetic. Holds no list of the tracks.

use serde::{Deserialize, Serialize};

use super::entry::{Item, Place};
use super::order::Permutation;

/// What the tracks of a container are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Tracks of an album.
    Music,
    /// Episodes of a podcast show.
    Podcast,
}

/// An album, a show or a single track, as part of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Its MRN.
    pub container: String,
    /// How many tracks it has.
    pub count: usize,
    /// What they are.
    pub sort: Sort,
}

/// Containers one after the other; a track in it is known by its number from 0, its ordinal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source(Vec<Leg>);

impl Source {
    /// A source.
    pub const fn new(legs: Vec<Leg>) -> Self {
        Self(legs)
    }

    /// How many tracks it has.
    pub fn len(&self) -> usize {
        self.0.iter().fold(0, |sum, leg| sum.saturating_add(leg.count))
    }

    /// How many containers it has.
    pub const fn legs(&self) -> usize {
        self.0.len()
    }

    /// Puts another source behind it.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The track with this ordinal.
    pub fn item(&self, ordinal: usize) -> Option<Item> {
        let mut index = ordinal;
        for leg in &self.0 {
            if index < leg.count {
                let place = Place {
                    container: leg.container.clone(),
                    index,
                };
                return Some(match leg.sort {
                    Sort::Music => Item::Track(place),
                    Sort::Podcast => Item::Episode(place),
                });
            }
            index = index.saturating_sub(leg.count);
        }
        None
    }
}

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
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// What was asked for; not empty.
    pub source: Source,
    /// Which of it is to sound first, if that was asked for.
    pub first: Option<usize>,
    /// What a station, the continuation and the service's own choice are taken from.
    pub pool: Source,
    /// Which of the pool is `first` (or the beginning of the source).
    pub first_of_pool: Option<usize>,
}

/// A set of ordinals as spans `first..end`, sorted and apart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Spans(Vec<(usize, usize)>);

impl Spans {
    fn of(mut ordinals: Vec<usize>) -> Self {
        ordinals.sort_unstable();
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for ordinal in ordinals {
            match spans.last_mut() {
                Some((_, end)) if ordinal <= *end => *end = (*end).max(ordinal.saturating_add(1)),
                Some(_) | None => spans.push((ordinal, ordinal.saturating_add(1))),
            }
        }
        Self(spans)
    }

    fn ordinals(&self) -> impl Iterator<Item = usize> {
        self.0.iter().flat_map(|(first, end)| *first..*end)
    }

    fn contains(&self, ordinal: usize) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= ordinal);
        let span = after.checked_sub(1).and_then(|place| self.0.get(place));
        span.is_some_and(|(_, end)| ordinal < *end)
    }
}

/// One time through a source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Course {
    /// Order of the ordinals below its size; what was added to the source later follows as it came.
    order: Permutation,
    /// Next place of the order.
    cursor: usize,
    /// Ordinals that do not come (again) in this course.
    gone: Spans,
}

/// How a course is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As the source has it.
    Plain,
    /// Mixed, by this key.
    Mixed(u64),
}

impl Order {
    const fn of(self, size: usize) -> Permutation {
        match self {
            Self::Plain => Permutation::new(0, 0),
            Self::Mixed(key) => Permutation::new(key, size),
        }
    }
}

impl Course {
    /// A course through a source of `size` tracks, from the place `cursor` of its order.
    pub fn new(order: Order, size: usize, cursor: usize) -> Self {
        Self {
            order: order.of(size),
            cursor,
            gone: Spans::default(),
        }
    }

    /// Ordinal of the track that comes next, out of a source that has `size` of them by now.
    pub fn draw(&mut self, size: usize) -> Option<usize> {
        while self.cursor < size {
            let ordinal = self.order.at(self.cursor);
            self.cursor = self.cursor.saturating_add(1);
            if !self.gone.contains(ordinal) {
                return Some(ordinal);
            }
        }
        None
    }

    /// These do not come any more.
    pub fn leave_out(&mut self, ordinals: impl Iterator<Item = usize>) {
        self.gone = Spans::of(self.gone.ordinals().chain(ordinals).collect());
    }

    /// Goes on in another order. What was drawn does not come again, except what is put back.
    pub fn reorder(&mut self, order: Order, size: usize, put_back: &[usize]) {
        let drawn = (0..self.cursor).map(|place| self.order.at(place));
        let gone = self.gone.ordinals().chain(drawn);
        self.gone = Spans::of(gone.filter(|ordinal| !put_back.contains(ordinal)).collect());
        self.order = order.of(size);
        self.cursor = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(course: &mut Course, size: usize) -> Vec<usize> {
        std::iter::from_fn(|| course.draw(size)).collect()
    }

    #[test]
    fn a_plain_course_is_the_source_from_where_it_begins() {
        assert_eq!(rest(&mut Course::new(Order::Plain, 5, 2), 5), [2, 3, 4]);
    }

    #[test]
    fn what_is_added_to_a_mixed_source_follows_at_the_end() {
        let mut course = Course::new(Order::Mixed(1), 4, 0);
        let all = rest(&mut course, 6);
        assert_eq!(all[4..], [4, 5]);
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn another_order_brings_what_was_not_drawn_and_what_was_put_back() {
        let mut course = Course::new(Order::Plain, 8, 0);
        let drawn: Vec<usize> = std::iter::from_fn(|| course.draw(8)).take(5).collect();
        course.reorder(Order::Mixed(3), 8, &drawn[3..]);
        let first = course.draw(8).unwrap();
        course.reorder(Order::Plain, 8, &[]);
        let mut expected = vec![3, 4, 5, 6, 7];
        expected.retain(|ordinal| *ordinal != first);
        assert_eq!(rest(&mut course, 8), expected);
    }

    #[test]
    fn what_is_left_out_does_not_come() {
        let mut course = Course::new(Order::Plain, 5, 0);
        course.leave_out([1, 3].into_iter());
        assert_eq!(rest(&mut course, 5), [0, 2, 4]);
    }

    #[test]
    fn a_source_finds_a_track_by_its_ordinal() {
        let leg = |container: &str, count, sort| Leg {
            container: container.to_owned(),
            count,
            sort,
        };
        let source = Source::new(vec![leg("a", 2, Sort::Music), leg("b", 1, Sort::Podcast)]);
        let place = |container: &str, index| Place {
            container: container.to_owned(),
            index,
        };
        assert_eq!(source.item(1), Some(Item::Track(place("a", 1))));
        assert_eq!(source.item(2), Some(Item::Episode(place("b", 0))));
        assert_eq!(source.item(3), None);
    }
}
