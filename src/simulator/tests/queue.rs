//! Orders of a queue: plain, mixed, endless; of any length.

use super::super::course::{Leg, Origin, Sort, Source, Style};
use super::super::entry::{Entry, Item, Place};
use super::super::queue::Queue;
use super::super::tier::{Kind, Rules};
use super::*;

fn tracks(container: &str, count: usize) -> Source {
    Source::new(vec![Leg {
        container: container.to_owned(),
        count,
        sort: Sort::Music,
    }])
}

fn origin(count: usize, first: Option<usize>) -> Origin {
    Origin {
        source: tracks("t", count),
        first,
        pool: tracks("t", count),
        first_of_pool: first.or(Some(0)),
    }
}

fn rules(tier: Tier) -> Rules {
    Rules::new(tier, Shuffle::Plain, None)
}

fn queue(tier: Tier, style: Style, count: usize) -> Queue {
    Queue::new("s", rules(tier), style, origin(count, None))
}

fn name(entry: &Entry) -> String {
    match &entry.item {
        Item::Track(Place { container, index }) | Item::Episode(Place { container, index }) => {
            format!("{container}{index}")
        }
        Item::Ad => "ad".to_owned(),
        Item::Interlude => "interlude".to_owned(),
    }
}

fn names<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<String> {
    entries.map(name).collect()
}

/// Plays to the end, or so many entries; what sounded, the current entry included.
fn play(queue: &mut Queue, count: usize) -> Vec<Entry> {
    let mut heard: Vec<Entry> = queue.current().cloned().into_iter().collect();
    while heard.len() < count && queue.ahead(1).count() == 1 {
        queue.move_to(queue.position() + 1);
        heard.extend(queue.current().cloned());
    }
    heard
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
    let queue = Queue::new("s", rules(Tier::Unlimited), Style::Ordered, origin(4, Some(2)));
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
    let mut queue = Queue::new("s", rules(Tier::Unlimited), Style::Station, origin(3, Some(1)));
    assert_eq!(names(queue.entries().iter().take(2)), ["interlude", "t1"]);
    for _ in 0..1000 {
        assert_eq!(queue.ahead(10).count(), 10);
        queue.move_to(queue.position() + 1);
    }
    assert!(queue.entries().len() < 220, "old entries are forgotten");
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
    queue.insert_next(tracks("n", 1));
    queue.insert_last(tracks("l", 1));
    assert_eq!(names(queue.entries().iter()), ["t0", "n0", "t1", "t2", "l0"]);
}

#[test]
fn the_order_depends_on_the_name_alone() {
    let first = Queue::new("one", rules(Tier::Unlimited), Style::Shuffled, origin(30, None));
    let again = Queue::new("one", rules(Tier::Unlimited), Style::Shuffled, origin(30, None));
    let other = Queue::new("two", rules(Tier::Unlimited), Style::Shuffled, origin(30, None));
    assert_eq!(names(first.entries().iter()), names(again.entries().iter()));
    assert_ne!(names(first.entries().iter()), names(other.entries().iter()));
}

#[test]
fn a_station_does_not_repeat_a_track_at_once() {
    let mut queue = queue(Tier::Unlimited, Style::Station, 3);
    let heard = play(&mut queue, 400);
    let tracks: Vec<String> = heard
        .iter()
        .filter(|entry| entry.kind() == Kind::Track)
        .map(name)
        .collect();
    assert!(tracks.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_station_is_introduced_now_and_then() {
    let mut queue = queue(Tier::Unlimited, Style::Station, 30);
    let heard = play(&mut queue, 16);
    let interludes = heard
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.kind() == Kind::Interlude);
    assert_eq!(interludes.map(|(place, _)| place).collect::<Vec<_>>(), [0, 5, 10, 15]);
}

#[test]
fn shuffling_plays_every_track_that_was_left_exactly_once() {
    let mut queue = queue(Tier::Unlimited, Style::Ordered, 300);
    let before = play(&mut queue, 40);
    queue.set_shuffled(true);
    let mixed = play(&mut queue, 100);
    queue.set_shuffled(false);
    let after = play(&mut queue, 1_000);
    let heard = [&before[..], &mixed[1..], &after[1..]].concat();
    let mut ordinals: Vec<usize> = heard.iter().filter_map(|entry| entry.ordinal).collect();
    assert!(ordinals[40..139].windows(2).any(|pair| pair[0] > pair[1]), "mixed");
    assert!(ordinals[139..].is_sorted(), "in order again");
    ordinals.sort_unstable();
    assert_eq!(ordinals, (0..300).collect::<Vec<_>>());
}

#[test]
fn a_track_has_the_same_reference_wherever_another_order_puts_it() {
    let mut queue = queue(Tier::Unlimited, Style::Ordered, 60);
    let before: Vec<String> = queue.ahead(20).map(|entry| entry.reference.clone()).collect();
    queue.set_shuffled(true);
    assert_ne!(
        before,
        queue.ahead(20).map(|entry| entry.reference.clone()).collect::<Vec<_>>()
    );
    queue.set_shuffled(false);
    assert_eq!(
        before,
        queue.ahead(20).map(|entry| entry.reference.clone()).collect::<Vec<_>>()
    );
}

#[test]
fn an_entry_that_went_to_another_place_can_still_be_started_and_comes_once() {
    let mut queue = queue(Tier::Unlimited, Style::Ordered, 60);
    let known: Vec<Entry> = queue.ahead(11).cloned().collect();
    queue.set_shuffled(true);
    let is_known = |queue: &Queue, entry: &Entry| queue.entries().iter().any(|other| other.metric == entry.metric);
    let gone = known.iter().find(|entry| !is_known(&queue, entry)).unwrap();
    let index = queue.recall(&gone.metric).unwrap();
    queue.move_to(index);
    let heard = play(&mut queue, 100);
    assert_eq!(heard.iter().filter(|entry| entry.metric == gone.metric).count(), 1);
    assert_eq!(heard.len(), 59);
}

#[test]
fn an_album_put_next_plays_whole_and_comes_again_when_the_queue_repeats() {
    let mut queue = queue(Tier::Unlimited, Style::Ordered, 20);
    queue.set_looping(true);
    queue.insert_next(tracks("n", 15));
    let heard: Vec<String> = play(&mut queue, 70).iter().map(name).collect();
    assert_eq!(heard[1..16], names(play_of("n", 15).iter()));
    assert_eq!(
        (heard[16].as_str(), heard[34].as_str(), heard[35].as_str()),
        ("t1", "t19", "t0")
    );
    assert_eq!(heard[55..], names(play_of("n", 15).iter()));
}

fn play_of(container: &str, count: usize) -> Vec<Entry> {
    let origin = Origin {
        source: tracks(container, count),
        ..Origin::default()
    };
    play(
        &mut Queue::new("x", rules(Tier::Unlimited), Style::Ordered, origin),
        100,
    )
}

#[test]
fn tracks_put_last_into_a_repeating_queue_come_before_the_repetition() {
    let mut queue = queue(Tier::Unlimited, Style::Ordered, 3);
    queue.set_looping(true);
    queue.insert_last(tracks("l", 2));
    assert_eq!(names(queue.ahead(5)), ["t1", "t2", "l0", "l1", "t0"]);
}

#[test]
fn no_reference_comes_twice_whatever_is_done_to_a_queue() {
    let mut queue = queue(Tier::Free, Style::Shuffled, 7);
    queue.set_continuing(true);
    let mut heard = Vec::new();
    for turn in 0..60 {
        match turn % 6 {
            0 => queue.insert_next(tracks("n", 2)),
            1 => queue.set_shuffled(true),
            2 => queue.insert_last(tracks("l", 1)),
            3 => queue.set_looping(true),
            4 => queue.set_shuffled(false),
            _ => queue.set_looping(false),
        }
        heard.extend(play(&mut queue, 4).into_iter().skip(1).map(|entry| entry.reference));
    }
    let count = heard.len();
    heard.sort();
    heard.dedup();
    assert_eq!((count, heard.len()), (180, 180));
}

#[test]
fn an_augmented_shuffle_has_tracks_of_the_services_own_choice() {
    let rules = Rules::new(Tier::Unlimited, Shuffle::Augmented, None);
    let origin = Origin {
        source: tracks("t", 30),
        pool: tracks("p", 9),
        ..Origin::default()
    };
    let mut queue = Queue::new("s", rules, Style::Shuffled, origin);
    let heard: Vec<String> = play(&mut queue, 12).iter().map(name).collect();
    let own: Vec<bool> = heard.iter().map(|name| name.starts_with('p')).collect();
    assert_eq!(own, [false, false, false, true].repeat(3));
}

#[test]
fn a_queue_begun_in_the_middle_can_be_walked_back_to_its_beginning() {
    let mut queue = Queue::new(
        "s",
        rules(Tier::Unlimited),
        Style::Ordered,
        origin(100_000, Some(50_000)),
    );
    for expected in (49_850..50_000).rev() {
        queue.move_to(queue.position() - 1);
        assert_eq!(names(queue.current().into_iter()), [format!("t{expected}")]);
    }
    assert_eq!(names(queue.ahead(1)), ["t49851"]);
}

#[test]
fn a_queue_of_a_hundred_thousand_is_kept_in_as_little_as_one_of_a_hundred() {
    for style in [Style::Ordered, Style::Shuffled, Style::Station] {
        let kept = |count| {
            let mut queue = Queue::new("s", rules(Tier::Free), style, origin(count, Some(count / 2)));
            play(&mut queue, 20);
            queue.set_shuffled(true);
            play(&mut queue, 5);
            serde_json::to_vec(&queue).unwrap().len()
        };
        let (small, large) = (kept(100), kept(100_000));
        // Numbers have more digits.
        assert!(large < small + small / 10, "{style:?}: {large} bytes after {small}");
        assert!(large < 32 * 1024, "{large} bytes");
    }
}
