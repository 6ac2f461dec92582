//! What the service does not allow, and how the listener learns of it.

use crate::speaker::{FREE, Speaker};
use tonearm_core::entry::{Actions, Denial, Permission};
use tonearm_core::input::Press;
use tonearm_core::light::Scene;
use tonearm_core::refusal::{Notice, Refusal};

const AD: Actions = Actions {
    next: Permission::Denied(Denial::Unavailable),
    previous: Permission::Denied(Denial::Unavailable),
    scrub_forward: Permission::Denied(Denial::Unavailable),
    scrub_backward: Permission::Denied(Denial::Unavailable),
    loop_all: Permission::Denied(Denial::Unavailable),
    shuffle: Permission::Denied(Denial::NeedsSubscription),
};

fn with_skips(left: u8) -> Actions {
    Actions {
        next: Permission::Allowed { remaining: Some(left) },
        ..FREE
    }
}

#[test]
fn an_advertisement_cannot_be_skipped_left_or_scrubbed() {
    let mut speaker = Speaker::with_album(5);
    speaker.actions.insert(2, AD);
    speaker.press(Press::Preset(1)).press(Press::Next).forget();
    for press in [
        Press::Next,
        Press::Previous,
        Press::ScrubForward,
        Press::ScrubBackward,
        Press::Loop,
    ] {
        speaker.notices.clear();
        speaker.wait(5000).press(press);
        assert_eq!(
            speaker.refusal(),
            Some(Refusal::Denied(Denial::Unavailable)),
            "{press:?}"
        );
    }
    assert!(speaker.story().is_empty());
}

#[test]
fn an_advertisement_may_be_paused() {
    let mut speaker = Speaker::with_album(5);
    speaker.actions.insert(1, AD);
    speaker.press(Press::Preset(1)).forget();
    speaker.wait(1000).press(Press::Play).press(Press::Play);
    assert_eq!(speaker.story(), ["1 userStop 1000", "1 from 1000"]);
}

#[test]
fn shuffle_and_loop_are_refused_where_the_plan_has_them_not() {
    let mut speaker = Speaker::with_album(5);
    speaker.everywhere = Actions {
        shuffle: Permission::Denied(Denial::NeedsSubscription),
        loop_all: Permission::Denied(Denial::NeedsSubscription),
        ..FREE
    };
    speaker.press(Press::Preset(1)).forget();
    for press in [Press::Shuffle, Press::Loop] {
        speaker.press(press);
        assert_eq!(
            speaker.notices.pop(),
            Some(Notice::Refused(Refusal::Denied(Denial::NeedsSubscription)))
        );
    }
    assert!(speaker.calls.is_empty());
}

#[test]
fn skips_are_counted_down_without_the_service() {
    let mut speaker = Speaker::with_album(9);
    speaker.everywhere = with_skips(2);
    speaker.press(Press::Preset(1)).offline().forget();
    speaker.press(Press::Next).press(Press::Next).press(Press::Next);
    assert_eq!(speaker.current(), Some(3));
    assert_eq!(speaker.refusal(), Some(Refusal::Denied(Denial::NoMoreSkips)));
}

#[test]
fn an_answer_from_before_a_skip_does_not_give_the_skip_back() {
    let mut speaker = Speaker::with_album(9);
    speaker.everywhere = with_skips(1);
    speaker.press(Press::Preset(1)).forget();
    speaker.finish().hold_answers();
    speaker.finish().press(Press::Next);
    // The answer under way was made before the service heard of the skip: it says one is left.
    speaker.let_through();
    assert_eq!(
        speaker
            .session
            .availability(Press::Next, tonearm_core::unit::Moment(speaker.now))
            .remaining,
        Some(1)
    );
    speaker.offline().press(Press::Next).forget();
    speaker.press(Press::Next);
    assert_eq!(speaker.refusal(), Some(Refusal::Denied(Denial::NoMoreSkips)));
}

#[test]
fn a_track_that_ends_by_itself_is_no_skip() {
    let mut speaker = Speaker::with_album(9);
    speaker.everywhere = with_skips(1);
    speaker.press(Press::Preset(1)).offline();
    speaker.finish().finish().press(Press::Next);
    assert_eq!(speaker.refusal(), None);
}

#[test]
fn skips_without_a_limit_follow_skips_with_one() {
    let mut speaker = Speaker::with_album(9);
    speaker.everywhere = with_skips(1);
    speaker.press(Press::Preset(1));
    speaker.everywhere = FREE;
    speaker.finish().offline().forget();
    speaker.press(Press::Next).press(Press::Next).press(Press::Next);
    assert_eq!(speaker.refusal(), None);
}

#[test]
fn a_refusal_flashes_for_a_moment() {
    let mut speaker = Speaker::with_album(3);
    speaker.press(Press::Next);
    assert_eq!(speaker.light, Scene::Refused);
    assert_eq!(speaker.refusal(), Some(Refusal::NothingPlaying));
    speaker.wait(500);
    assert_eq!(speaker.light, Scene::Ready);
}

#[test]
fn a_preset_that_does_not_exist_is_refused() {
    let mut speaker = Speaker::with_album(3);
    for number in [0, 4, 255] {
        speaker.press(Press::Preset(number));
        assert_eq!(speaker.notices.pop(), Some(Notice::Refused(Refusal::NoSuchPreset)));
    }
    assert!(speaker.calls.is_empty());
}
