//! Physical buttons, from the contact to what is heard.

use crate::speaker::Speaker;
use tonearm_core::State;
use tonearm_core::effect::Effect;
use tonearm_core::id::ButtonId;
use tonearm_core::input::{Contact, Input, Press};
use tonearm_core::refusal::Notice;

const PLAY: u8 = 0;
const NEXT: u8 = 1;
const LOUDER: u8 = 3;

fn contact(speaker: &mut Speaker, button: u8, contact: Contact) {
    let button = ButtonId(button);
    speaker.input(Input::Edge { button, contact });
}

#[test]
fn a_bouncing_button_skips_once() {
    let mut speaker = Speaker::playing_album(9);
    for _ in 0..4 {
        contact(&mut speaker, NEXT, Contact::Closed);
        speaker.wait(2);
        contact(&mut speaker, NEXT, Contact::Open);
        speaker.wait(1);
    }
    speaker.wait(2000);
    assert_eq!(speaker.current(), Some(2));
}

#[test]
fn ten_presses_a_second_are_ten_skips() {
    let mut speaker = Speaker::playing_album(20);
    for _ in 0..10 {
        contact(&mut speaker, NEXT, Contact::Closed);
        speaker.wait(50);
        contact(&mut speaker, NEXT, Contact::Open);
        speaker.wait(50);
    }
    assert_eq!(speaker.current(), Some(11));
    assert_eq!(speaker.story().len(), 20, "each of them has its pair");
}

#[test]
fn a_held_next_button_scrubs_the_new_entry() {
    let mut speaker = Speaker::playing_album(9);
    contact(&mut speaker, NEXT, Contact::Closed);
    speaker.wait(850);
    contact(&mut speaker, NEXT, Contact::Open);
    speaker.wait(3000);
    let story = [
        "1 userNext 0",
        "2 from 0",
        "2 trackScrub 600",
        "2 from 10600",
        "2 trackScrub 10800",
        "2 from 20800",
    ];
    assert_eq!(speaker.story(), story);
}

#[test]
fn volume_rises_while_held_and_says_where_it_ends() {
    let mut speaker = Speaker::playing_album(2);
    contact(&mut speaker, LOUDER, Contact::Closed);
    speaker.wait(10_000);
    assert_eq!(speaker.view().volume, 100);
    assert!(speaker.notices.contains(&Notice::VolumeEnd));
    contact(&mut speaker, LOUDER, Contact::Open);
    assert_eq!(speaker.bookmark.volume, 100, "it is kept for a restart");
}

#[test]
fn volume_does_not_go_below_silence() {
    let mut speaker = Speaker::playing_album(2);
    for _ in 0..30 {
        speaker.press(Press::VolumeDown);
    }
    assert_eq!(speaker.view().volume, 0);
}

#[test]
fn play_on_a_fresh_speaker_starts_the_first_preset() {
    let mut speaker = Speaker::with_album(3);
    contact(&mut speaker, PLAY, Contact::Closed);
    assert_eq!(speaker.state(), State::Playing);
}

#[test]
fn all_buttons_at_once_are_survived() {
    let mut speaker = Speaker::playing_album(9);
    for button in 0..20 {
        contact(&mut speaker, button, Contact::Closed);
    }
    speaker.wait(5000);
    for button in 0..20 {
        contact(&mut speaker, button, Contact::Open);
    }
    speaker.wait(1000).forget();
    speaker.wait(10_000);
    let acts = |effect: &&Effect| !matches!(effect, Effect::Checkpoint { .. });
    assert_eq!(
        speaker.effects.iter().filter(acts).count(),
        0,
        "nothing repeats once they are open"
    );
}
