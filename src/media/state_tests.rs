//! Decisions about the next request and about memory, one at a time, without a network.

use tonearm_core::id::EntryKey;

use super::super::body::Cursor;
use super::super::pool::CHUNK_BYTES;
use super::*;

const HEAD: Extent = Extent::Head(Millis(30_000));

/// A state whose pool has room for `chunks`, with one wish of `wishes` chunks' length per number.
fn state(chunks: usize, wishes: &[(Extent, u64)]) -> State {
    let mut state = State::new(Pool::new(chunks * CHUNK_BYTES), CHUNK);
    for (serial, (extent, length)) in (0_u64..).zip(wishes) {
        let key = u32::try_from(serial).unwrap();
        let mut body = Body::new(serial, EntryKey(key), 0, format!("http://h/{serial}"), None);
        body.parts.get_mut(&0).unwrap().file_total = Some(length * CHUNK);
        body.sort = Sort::File;
        state.bodies.push(body);
        state.wishes.push(Ranked {
            slot: SlotId(u8::try_from(serial).unwrap()),
            serial,
            extent: *extent,
        });
    }
    state
}

fn fill(state: &mut State, serial: u64, indices: impl IntoIterator<Item = u64>) {
    for index in indices {
        let mut chunk = state.pool.take().unwrap();
        chunk.append(&vec![1; CHUNK_BYTES]);
        state.body_mut(serial).unwrap().chunks.insert(index, chunk);
    }
}

fn read(state: &mut State, serial: u64, at: u64, waiting: bool) {
    let cursor = Cursor {
        reader: 9,
        opening: 9,
        at,
        waiting,
        consumed: true,
        cancelled: false,
    };
    state.body_mut(serial).unwrap().cursors = vec![cursor];
}

fn run(state: &mut State, thread: usize, serial: u64, at: u64) {
    state.jobs[thread] = Some(Job {
        serial,
        at,
        cancelled: false,
    });
    state.agents[thread] = Some(Agent::new_with_defaults());
}

/// What would be fetched: whose, from which chunk, up to which chunk.
fn picked(state: &mut State) -> Option<(u64, u64, Option<u64>)> {
    match state.pick(Instant::now()) {
        Pick::Fetch(order) => Some((order.serial, order.start / CHUNK, order.end.map(|end| end / CHUNK))),
        Pick::Rest(_) => None,
    }
}

fn chunks(state: &State, serial: u64) -> Vec<u64> {
    state.body(serial).unwrap().chunks.keys().copied().collect()
}

#[test]
fn the_most_urgent_wish_that_lacks_bytes_is_fetched_first() {
    let mut state = state(32, &[(Extent::Whole, 4), (Extent::Whole, 4), (HEAD, 4)]);
    assert_eq!(picked(&mut state), Some((0, 0, None)));
    fill(&mut state, 0, 0..4);
    assert_eq!(picked(&mut state), Some((1, 0, None)));
    run(&mut state, 0, 1, 0);
    assert_eq!(
        picked(&mut state),
        Some((2, 0, Some(1))),
        "two threads work on two wishes"
    );
    fill(&mut state, 1, 0..4);
    fill(&mut state, 2, 0..1);
    assert_eq!(picked(&mut state), None);
}

#[test]
fn a_hole_that_a_reader_stands_before_comes_first() {
    let mut state = state(64, &[(Extent::Whole, 32), (Extent::Whole, 4)]);
    fill(&mut state, 0, 0..2);
    run(&mut state, 0, 0, 2 * CHUNK);
    read(&mut state, 0, 30 * CHUNK + 5, true);
    assert_eq!(picked(&mut state), Some((0, 30, None)));
    read(&mut state, 0, 3 * CHUNK, true);
    assert_eq!(
        picked(&mut state),
        Some((1, 0, None)),
        "the running request brings it soon"
    );
}

#[test]
fn a_request_ends_where_later_bytes_are_already_there() {
    let mut state = state(64, &[(Extent::Whole, 32)]);
    fill(&mut state, 0, [0, 10]);
    assert_eq!(picked(&mut state), Some((0, 1, Some(10))));
}

#[test]
fn bytes_behind_a_reader_come_after_every_other_wish() {
    let mut state = state(64, &[(Extent::Whole, 8), (Extent::Whole, 2)]);
    fill(&mut state, 0, 4..8);
    read(&mut state, 0, 4 * CHUNK, false);
    assert_eq!(picked(&mut state), Some((1, 0, None)));
    fill(&mut state, 1, 0..2);
    assert_eq!(picked(&mut state), Some((0, 0, Some(4))));
}

#[test]
fn trouble_delays_an_entry_and_not_the_others() {
    let mut state = state(64, &[(Extent::Whole, 2), (Extent::Whole, 2)]);
    let later = Instant::now() + Duration::from_secs(60);
    state.body_mut(0).unwrap().not_before = Some(later);
    assert_eq!(picked(&mut state), Some((1, 0, None)));
    fill(&mut state, 1, 0..2);
    assert!(matches!(state.pick(Instant::now()), Pick::Rest(Some(moment)) if moment == later));
    assert!(matches!(state.pick(later), Pick::Fetch(_)));
}

#[test]
fn memory_comes_from_the_end_of_the_least_urgent_wish() {
    let mut state = state(8, &[(Extent::Whole, 8), (Extent::Whole, 4), (Extent::Whole, 4)]);
    fill(&mut state, 1, 0..4);
    fill(&mut state, 2, 0..4);
    let chunk = state.obtain(0, 0).unwrap();
    state.pool.give(chunk);
    assert_eq!(
        (chunks(&state, 1), chunks(&state, 2)),
        (vec![0, 1, 2, 3], vec![0, 1, 2])
    );
}

#[test]
fn memory_never_comes_from_a_more_urgent_wish() {
    let mut state = state(8, &[(Extent::Whole, 8), (Extent::Whole, 4)]);
    fill(&mut state, 0, 0..8);
    assert!(state.obtain(1, 0).is_none());
    assert_eq!(picked(&mut state), None, "no request is made that could store nothing");
}

#[test]
fn what_was_heard_long_ago_gives_way_and_what_was_just_heard_stays() {
    let mut state = state(16, &[(Extent::Whole, 64), (Extent::Whole, 4)]);
    fill(&mut state, 0, 0..16);
    read(&mut state, 0, 10 * CHUNK, false);
    assert_eq!(picked(&mut state), Some((0, 16, None)), "the entry that sounds slides");
    let mut obtained = 0;
    while let Some(chunk) = state.obtain(0, 16) {
        state.body_mut(0).unwrap().chunks.insert(16 + obtained, chunk);
        obtained += 1;
    }
    assert_eq!(
        chunks(&state, 0).first(),
        Some(&6),
        "four chunks behind the reader stay"
    );
    assert_eq!(obtained, 6);
}

#[test]
fn the_next_entry_gets_what_was_heard_when_nothing_else_is_left() {
    let mut state = state(16, &[(Extent::Whole, 16), (Extent::Whole, 4), (HEAD, 4)]);
    fill(&mut state, 0, 0..16);
    read(&mut state, 0, 15 * CHUNK, false);
    assert_eq!(picked(&mut state), Some((1, 0, None)));
    assert!(state.obtain(1, 0).is_some());
    assert!(state.source(state.body(2).unwrap(), 0).is_none(), "later ones do not");
}

#[test]
fn a_reader_that_went_back_never_starves() {
    let mut state = state(8, &[(Extent::Whole, 64)]);
    fill(&mut state, 0, 40..48);
    read(&mut state, 0, 3 * CHUNK, true);
    assert_eq!(picked(&mut state), Some((0, 3, Some(40))));
    assert!(state.obtain(0, 3).is_some());
    assert_eq!(chunks(&state, 0), (40..47).collect::<Vec<_>>());
}

#[test]
fn a_request_on_its_way_to_a_waiting_reader_never_starves() {
    let mut state = state(8, &[(Extent::Whole, 64)]);
    fill(&mut state, 0, 40..48);
    read(&mut state, 0, 22 * CHUNK + 7, true);
    run(&mut state, 0, 0, 21 * CHUNK);
    assert!(state.obtain(0, 21).is_some());
    assert_eq!(chunks(&state, 0), (40..47).collect::<Vec<_>>());
}

#[test]
fn the_most_urgent_wish_gets_memory_even_if_an_old_reader_holds_it_all() {
    let mut state = state(8, &[(Extent::Whole, 8), (Extent::Whole, 8)]);
    fill(&mut state, 1, 0..8);
    read(&mut state, 1, 0, false);
    state.wishes.truncate(1);
    assert_eq!(picked(&mut state), Some((0, 0, None)));
    assert!(state.obtain(0, 0).is_some());
    assert_eq!(
        chunks(&state, 1),
        (0..7).collect::<Vec<_>>(),
        "what it reads next stays"
    );
}

#[test]
fn a_request_that_is_not_wished_any_more_is_cut_short() {
    let mut state = state(64, &[(Extent::Whole, 8), (Extent::Whole, 8)]);
    run(&mut state, 0, 0, 0);
    run(&mut state, 1, 1, 0);
    state.wishes.remove(0);
    assert_eq!(state.preempt(Instant::now()).len(), 1);
    assert!(state.jobs[0].unwrap().cancelled && !state.jobs[1].unwrap().cancelled);
}

#[test]
fn a_more_urgent_wish_takes_the_thread_of_the_least_urgent_one() {
    let mut state = state(64, &[(Extent::Whole, 8), (Extent::Whole, 8), (Extent::Whole, 8)]);
    run(&mut state, 0, 1, 0);
    run(&mut state, 1, 2, 0);
    assert_eq!(state.preempt(Instant::now()).len(), 1);
    assert!(!state.jobs[0].unwrap().cancelled && state.jobs[1].unwrap().cancelled);
    assert!(state.preempt(Instant::now()).is_empty(), "one thread is enough");
}

#[test]
fn requests_that_are_urgent_enough_go_on() {
    let mut state = state(64, &[(Extent::Whole, 8), (Extent::Whole, 8), (Extent::Whole, 8)]);
    run(&mut state, 0, 0, 0);
    run(&mut state, 1, 1, 0);
    assert!(state.preempt(Instant::now()).is_empty());
}

#[test]
fn nothing_wished_and_nothing_read_takes_no_memory() {
    let mut state = state(8, &[(Extent::Whole, 8)]);
    fill(&mut state, 0, 0..8);
    state.wishes.clear();
    read(&mut state, 0, 0, false);
    state.sweep();
    assert_eq!(state.pool.made_bytes(), 8 * CHUNK_BYTES, "it is still read");
    state.body_mut(0).unwrap().cursors.clear();
    state.sweep();
    assert_eq!(state.pool.made_bytes(), 0);
}
