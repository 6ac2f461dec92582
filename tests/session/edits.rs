//! Changes of the queue while it plays: put in next, put in last, repeated, mixed.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::effect::{Call, Effect};
use tonearm_core::id::{EntryKey, SlotId, SourceKey};
use tonearm_core::input::{Account, Failure, Input, Mode, Press};
use tonearm_core::limits::EDITS_MAX;
use tonearm_core::refusal::Refusal;

const NEXT: Press = Press::QueueNext(SourceKey(2));
const LAST: Press = Press::QueueLast(SourceKey(3));

fn slots(speaker: &Speaker) -> Vec<Option<SlotId>> {
    (1..=6).map(|key| speaker.session.slot_of(EntryKey(key))).collect()
}

/// Nothing reached the audio path that could be heard before the current entry ends.
fn is_undisturbed(effects: &[Effect]) -> bool {
    !effects.iter().any(|effect| {
        matches!(
            effect,
            Effect::Play { .. } | Effect::Pause | Effect::Resume | Effect::Silence
        )
    })
}

#[test]
fn what_is_put_in_next_plays_next_without_a_gap() {
    let mut speaker = Speaker::playing_album(4);
    speaker.press(NEXT).finish();
    assert_eq!(speaker.story(), ["1 trackFinished 180000", "1002 from 0"]);
    assert_eq!(speaker.journal.last().unwrap().initial_delay.0, 0);
}

#[test]
fn what_is_to_be_put_in_is_held_until_the_service_has_done_it() {
    let mut speaker = Speaker::playing_album(3);
    let given = |number| SourceKey(100 + u32::try_from(number).unwrap());
    speaker.hold_answers();
    for number in 0..EDITS_MAX {
        speaker.press(Press::QueueLast(given(number)));
    }
    assert!((0..EDITS_MAX).all(|number| speaker.session.holds_source(given(number))));
    assert!(!speaker.session.holds_source(given(EDITS_MAX)));
    speaker.let_through();
    assert!(!(0..EDITS_MAX).any(|number| speaker.session.holds_source(given(number))));
}

#[test]
fn what_is_opened_is_held_for_as_long_as_play_may_start_it_again() {
    let mut speaker = Speaker::with_album(3);
    let source = SourceKey(100);
    speaker.hold_answers().press(Press::Start {
        source,
        mode: Mode::Play,
    });
    assert!(speaker.session.holds_source(source));
    speaker.let_through();
    assert!(speaker.session.holds_source(source));
    speaker.press(Press::Preset(1));
    assert!(!speaker.session.holds_source(source));
}

#[test]
fn what_is_put_in_last_comes_after_everything_else() {
    let mut speaker = Speaker::playing_album(3);
    speaker.press(LAST);
    assert_eq!(speaker.ahead(), [2, 3, 1003]);
}

#[test]
fn what_is_put_in_while_the_last_entry_plays_follows_it() {
    for press in [NEXT, LAST] {
        let mut speaker = Speaker::playing_album(1);
        speaker.press(press).finish();
        assert_eq!(speaker.state(), State::Playing, "{press:?}");
    }
}

#[test]
fn several_are_put_in_in_the_order_of_the_presses() {
    let mut speaker = Speaker::playing_album(3);
    speaker.hold_answers().press(NEXT).press(LAST).let_through();
    let edits = speaker
        .calls
        .iter()
        .filter(|call| matches!(call, Call::QueueNext { .. } | Call::QueueLast { .. }));
    assert_eq!(edits.count(), 2);
    assert_eq!(speaker.ahead(), [1002, 2, 3, 1003]);
}

#[test]
fn what_follows_is_asked_for_after_every_change() {
    for press in [NEXT, LAST, Press::Shuffle, Press::Loop] {
        let mut speaker = Speaker::playing_album(6);
        speaker.press(press);
        assert!(matches!(speaker.calls[..], [_, Call::Next { .. }]), "{press:?}");
    }
}

#[test]
fn no_change_disturbs_what_plays_or_moves_what_is_loaded() {
    for press in [NEXT, LAST, Press::Shuffle, Press::Loop] {
        let mut speaker = Speaker::playing_album(6);
        let before = slots(&speaker);
        speaker.wait(5000).press(press).wait(5000);
        assert!(is_undisturbed(&speaker.effects), "{press:?}");
        assert!(speaker.story().is_empty(), "{press:?}");
        assert_eq!(slots(&speaker), before, "{press:?}");
    }
}

#[test]
fn with_nothing_open_there_is_no_queue_to_change() {
    let mut speaker = Speaker::with_album(3);
    for press in [NEXT, LAST] {
        speaker.notices.clear();
        speaker.press(press);
        assert_eq!(speaker.refusal(), Some(Refusal::NothingPlaying));
    }
    assert!(speaker.calls.is_empty());
}

#[test]
fn without_a_network_a_change_is_refused_and_not_made_later() {
    let mut speaker = Speaker::playing_album(3);
    speaker.offline().press(NEXT);
    assert_eq!(speaker.refusal(), Some(Refusal::NoNetwork));
    speaker.online().wait(100_000);
    assert_eq!(speaker.order, [1, 2, 3]);
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn without_an_account_a_change_is_refused() {
    let mut speaker = Speaker::playing_album(3);
    speaker.input(Input::Account(Account::Unlinked)).press(LAST);
    assert_eq!(speaker.refusal(), Some(Refusal::NotLinked));
}

#[test]
fn a_change_that_reaches_nobody_takes_those_behind_it_along() {
    let mut speaker = Speaker::playing_album(3);
    speaker.reachable = false;
    speaker.hold_answers().press(NEXT).press(LAST);
    speaker.let_through();
    speaker.reachable = true;
    speaker.wait(100_000);
    assert_eq!(speaker.order, [1, 2, 3]);
    assert!(
        matches!(speaker.calls.last(), Some(Call::Next { .. })),
        "only its answer may be lost: what follows is asked for"
    );
}

#[test]
fn a_change_that_the_service_refuses_leaves_everything_as_it_was() {
    let mut speaker = Speaker::playing_album(3);
    speaker.fails = Some(Failure::Forbidden);
    speaker.press(NEXT);
    assert!(matches!(speaker.refusal(), Some(Refusal::Denied(_))));
    speaker.fails = None;
    speaker.forget().wait(100_000);
    assert_eq!(speaker.ahead(), [2, 3]);
    assert!(speaker.calls.is_empty(), "it is not repeated");
}

#[test]
fn what_was_to_be_put_in_is_not_put_into_another_queue() {
    let mut speaker = Speaker::playing_album(3);
    speaker.stores = false;
    speaker.press(Press::Next).press(LAST).press(Press::Preset(1));
    assert_eq!(speaker.refusal(), Some(Refusal::NothingPlaying));
    speaker.store().wait(1000);
    assert_eq!(speaker.order, [1, 2, 3]);
}

#[test]
fn the_end_of_the_queue_said_as_not_found_is_the_end_if_the_session_is_there() {
    let mut speaker = Speaker::playing_album(2);
    speaker.ends_as_not_found = true;
    speaker.finish().finish();
    assert_eq!(speaker.state(), State::Stopped);
    assert!(!speaker.calls.iter().any(|call| matches!(call, Call::Restore(_))));
}

#[test]
fn a_queue_that_is_not_found_while_it_plays_goes_on_once_restored() {
    let mut speaker = Speaker::playing_album(20);
    speaker.lapse().finish();
    assert!(speaker.calls.iter().any(|call| matches!(call, Call::Restore(_))));
    assert_eq!(speaker.ahead(), (3..=12).collect::<Vec<_>>());
}
