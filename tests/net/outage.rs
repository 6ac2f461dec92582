//! What a listener hears, sees and loses when the network goes away: nothing but the time in which nobody could be reached.

use std::time::{Duration, Instant};

use crate::rig::Rig;
use crate::speaker::Speaker;

/// Bounds are not asserted tightly: the machine may be busy. What was measured is printed.
const SOON: Duration = Duration::from_secs(3);
/// A dead link is to be noticed in 8 s.
const NOTICED: Duration = Duration::from_secs(10);
/// One track is loaded ahead of the one that sounds.
const ONE_AHEAD: &str = "[window]\nahead = 1\n";

fn is_down(status: &serde_json::Value) -> bool {
    status["link"] == "down"
}

fn is_up(status: &serde_json::Value) -> bool {
    status["link"] == "up"
}

#[track_caller]
fn is_soon(what: &str, took: Duration, bound: Duration) {
    println!("net: {what}: {} ms", took.as_millis());
    assert!(took < bound, "{what}: {took:?}");
}

#[test]
#[ignore = "needs network namespaces of its own: make net-test"]
fn short_a_cable_that_is_out_for_a_while_is_noticed_at_once_and_not_heard() {
    let rig = Rig::start(&[6_000; 3], "");
    rig.play(3);
    rig.cable.plug(false);
    is_soon(
        "a cable pulled: noticed after",
        rig.until("a lost link", is_down).0,
        SOON,
    );
    std::thread::sleep(Duration::from_secs(4));
    rig.cable.plug(true);
    is_soon(
        "a cable plugged in: noticed after",
        rig.until("a found link", is_up).0,
        SOON,
    );
    let silences = rig.ends_whole();
    assert_eq!(silences.0, [], "what is loaded plays on");
}

#[test]
#[ignore = "needs network namespaces of its own: make net-test"]
fn what_is_loaded_plays_to_its_end_then_waits_and_goes_on_at_the_very_next_frame() {
    let rig = Rig::start(&[8_000; 4], ONE_AHEAD);
    rig.play(2);
    rig.cable.plug(false);
    let (after, status) = rig.until("the end of what is loaded", |status| status["state"] == "buffering");
    println!("net: a cable pulled: music goes on for {} ms", after.as_millis());
    assert!(
        after > Duration::from_secs(12),
        "both loaded tracks sound, 16 s less the time until it was pulled: {after:?}"
    );
    assert_eq!(status["problem"]["code"], "offline", "{status}");
    assert!(is_down(&status), "{status}");
    // A button that needs the service says so at once; the volume does not need it.
    let pressed = Instant::now();
    let (refused, body) = rig.speaker(|speaker| speaker.try_press("shuffle"));
    assert_eq!(
        (refused, &body["error"]),
        (409, &serde_json::json!("no_network")),
        "{body}"
    );
    rig.speaker(|speaker| {
        speaker.press("volume_down");
        speaker.press("volume_up");
    });
    is_soon("presses without a network: answered after", pressed.elapsed(), SOON);
    std::thread::sleep(Duration::from_secs(10));
    rig.cable.plug(true);
    is_soon("a cable plugged in: sound after", rig.until_sound(), SOON);
    assert!(rig.speaker(Speaker::log).contains("what was loaded is played"));
    // A card that gets nothing stops; what it heard is whole all the same.
    rig.ends_whole();
}

#[test]
#[ignore = "needs network namespaces of its own: make net-test"]
fn an_interface_that_is_switched_off_and_on_goes_on_at_once() {
    let rig = Rig::start(&[6_000; 4], ONE_AHEAD);
    rig.play(2);
    rig.cable.switch(false);
    is_soon(
        "an interface switched off: noticed after",
        rig.until("a lost link", is_down).0,
        SOON,
    );
    rig.until("the end of what is loaded", |status| status["state"] == "buffering");
    rig.cable.switch(true);
    is_soon("an interface switched on: sound after", rig.until_sound(), SOON);
    rig.ends_whole();
}

#[test]
#[ignore = "needs network namespaces of its own: make net-test"]
fn packets_that_are_lost_in_silence_are_noticed_by_who_waits_for_an_answer() {
    let rig = Rig::start(&[8_000; 4], ONE_AHEAD);
    rig.play(2);
    rig.cable.lose_packets(true);
    rig.speaker(|speaker| speaker.press("loop"));
    is_soon(
        "packets lost: noticed after a press in",
        rig.until("a lost link", is_down).0,
        NOTICED,
    );
    rig.until("the end of what is loaded", |status| status["state"] == "buffering");
    std::thread::sleep(Duration::from_secs(5));
    rig.cable.lose_packets(false);
    // Nobody tells that packets arrive again: the next try does, which is up to 30 s away.
    let answered = rig.until("an answer", is_up).0;
    println!("net: packets arrive again: answered after {} ms", answered.as_millis());
    is_soon("... and sound after further", rig.until_sound(), SOON);
    rig.ends_whole();
}

#[test]
#[ignore = "needs network namespaces of its own: make net-test"]
fn a_service_that_dies_and_comes_back_is_found_again() {
    let mut rig = Rig::start(&[6_000; 4], ONE_AHEAD);
    rig.play(2);
    rig.service.kill();
    rig.until("the end of what is loaded", |status| {
        status["state"] == "buffering" && is_down(status)
    });
    std::thread::sleep(Duration::from_secs(5));
    rig.service.restart();
    let answered = rig.until("an answer", is_up).0;
    println!("net: the service is back: answered after {} ms", answered.as_millis());
    is_soon("... and sound after further", rig.until_sound(), SOON);
    rig.ends_whole();
}

#[test]
#[ignore = "needs network namespaces of its own: make net-test"]
fn a_name_that_nobody_knows_any_more_is_a_network_that_is_away() {
    let mut rig = Rig::start(&[6_000; 4], ONE_AHEAD);
    rig.play(2);
    rig.names.be_silent(true);
    // Connections that are there need no name; these are gone, and new ones would need one.
    rig.service.kill();
    rig.service.restart();
    rig.until("the end of what is loaded", |status| {
        status["state"] == "buffering" && is_down(status)
    });
    std::thread::sleep(Duration::from_secs(5));
    rig.names.be_silent(false);
    let answered = rig.until("an answer", is_up).0;
    println!("net: the name is back: answered after {} ms", answered.as_millis());
    is_soon("... and sound after further", rig.until_sound(), SOON);
    rig.ends_whole();
}
