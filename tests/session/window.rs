//! The sliding window: what is loaded, where, and in which order.

use crate::speaker::Speaker;
use tonearm_core::effect::{Call, Extent};
use tonearm_core::id::EntryKey;
use tonearm_core::input::{Failure, Press};

fn loaded(speaker: &Speaker) -> Vec<u32> {
    speaker.wishes.iter().map(|wish| wish.entry.0).collect()
}

#[test]
fn the_current_entry_is_loaded_first_then_the_next_then_the_rest() {
    let speaker = Speaker::playing_album(20);
    assert_eq!(loaded(&speaker), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn ten_ahead_and_two_behind_are_kept() {
    let mut speaker = Speaker::playing_album(30);
    for _ in 0..6 {
        speaker.press(Press::Next);
    }
    let mut all = loaded(&speaker);
    all.sort_unstable();
    assert_eq!(all, (5..=17).collect::<Vec<_>>());
}

#[test]
fn current_next_and_the_one_before_are_loaded_whole_and_the_rest_in_part() {
    let mut speaker = Speaker::playing_album(6);
    speaker.press(Press::Next).press(Press::Next);
    let whole = speaker.wishes.iter().filter(|wish| wish.extent == Extent::Whole);
    assert_eq!(whole.map(|wish| wish.entry.0).collect::<Vec<_>>(), [3, 4, 2]);
}

#[test]
fn an_entry_that_survives_a_new_order_keeps_its_place() {
    let mut speaker = Speaker::playing_album(8);
    let before: Vec<_> = (1..=8).map(|key| speaker.session.slot_of(EntryKey(key))).collect();
    speaker.press(Press::Shuffle);
    assert_eq!(speaker.ahead(), [8, 7, 6, 5, 4, 3, 2]);
    let after: Vec<_> = (1..=8).map(|key| speaker.session.slot_of(EntryKey(key))).collect();
    assert_eq!(before, after);
}

#[test]
fn a_finished_entry_leaves_and_a_new_one_comes() {
    let mut speaker = Speaker::playing_album(20);
    speaker.finish().finish().finish();
    assert!(!loaded(&speaker).contains(&1));
    assert!(loaded(&speaker).contains(&14));
}

#[test]
fn an_expired_address_of_the_current_entry_is_asked_for() {
    let mut speaker = Speaker::playing_album(5);
    speaker.expired(1);
    assert!(matches!(speaker.calls[..], [Call::Current(_)]));
    let wish = speaker.wishes.iter().find(|wish| wish.entry.0 == 1).unwrap();
    assert_eq!(wish.attempt, 1, "it is to be fetched from the fresh address");
}

#[test]
fn an_expired_address_ahead_is_asked_for_with_what_follows() {
    let mut speaker = Speaker::playing_album(5);
    speaker.expired(3);
    assert!(matches!(speaker.calls[..], [Call::Next { .. }]));
    assert_eq!(speaker.wishes.iter().find(|wish| wish.entry.0 == 3).unwrap().attempt, 1);
}

#[test]
fn a_skip_to_an_entry_whose_address_expired_does_not_get_stuck() {
    let mut speaker = Speaker::playing_album(5);
    speaker.slow.insert(2);
    speaker.press(Press::Next).forget();
    speaker.expired(2);
    assert_eq!(speaker.wishes.iter().find(|wish| wish.entry.0 == 2).unwrap().attempt, 1);
    speaker.loaded(2);
    assert_eq!(speaker.story(), ["2 from 0"]);
}

#[test]
fn going_back_to_an_entry_whose_address_expired_does_not_get_stuck() {
    let mut speaker = Speaker::playing_album(5);
    speaker.press(Press::Next).press(Press::Next).forget();
    speaker.slow.insert(2);
    speaker.press(Press::Previous);
    speaker.expired(2);
    assert!(speaker.calls.iter().any(|call| matches!(call, Call::Previous { .. })));
    assert_eq!(speaker.wishes.iter().find(|wish| wish.entry.0 == 2).unwrap().attempt, 1);
}

#[test]
fn an_address_that_was_refused_is_asked_for_again_when_its_entry_is_to_sound() {
    let mut speaker = Speaker::playing_album(5);
    speaker.fails = Some(Failure::Forbidden);
    speaker.expired(2).fails = None;
    speaker.finish();
    assert!(!speaker.is_sounding());
    assert_eq!(speaker.wishes.iter().find(|wish| wish.entry.0 == 2).unwrap().attempt, 1);
}

#[test]
fn an_address_that_expires_again_and_again_is_not_asked_for_without_end() {
    let mut speaker = Speaker::playing_album(5);
    for _ in 0..50 {
        speaker.expired(1);
    }
    assert_eq!(speaker.calls.len(), 3);
}
