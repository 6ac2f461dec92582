//! What the service is told, in which order, and that nothing of it is lost.

use crate::speaker::Speaker;
use tonearm_core::event::What;
use tonearm_core::id::Seq;
use tonearm_core::id::SourceKey;
use tonearm_core::input::{Failure, Mode, Press, Verdict};
use tonearm_core::limits::{TURN_MS_EACH, TURN_MS_FIRST};
use tonearm_core::unit::Millis;

#[test]
fn an_entry_that_ends_flows_into_the_next_without_a_delay() {
    let mut speaker = Speaker::playing_album(3);
    speaker.finish();
    assert_eq!(speaker.story(), ["1 trackFinished 180000", "2 from 0"]);
    assert_eq!(speaker.journal.last().unwrap().initial_delay, Millis::ZERO);
}

#[test]
fn something_new_stops_what_sounds_for_the_listener() {
    let mut speaker = Speaker::playing_album(3);
    speaker.wait(7000).press(Press::Start {
        source: SourceKey(2),
        mode: Mode::Station,
    });
    assert_eq!(speaker.story(), ["1 userStop 7000", "1 from 0"]);
    assert_eq!(speaker.journal.last().unwrap().session.0, 2);
}

#[test]
fn a_lost_device_is_a_stop_by_the_system_and_its_return_a_start() {
    let mut speaker = Speaker::playing_album(3);
    speaker.wait(4000).lose_device().wait(2000).find_device();
    assert_eq!(speaker.story(), ["1 systemStop 4000", "1 from 4000"]);
}

#[test]
fn an_event_is_sent_only_after_it_is_stored() {
    let mut speaker = Speaker::with_album(3);
    speaker.stores = false;
    speaker.press(Press::Preset(1));
    assert!(speaker.sent.is_empty());
    speaker.store();
    assert_eq!(speaker.sent, [Seq(1)]);
}

#[test]
fn events_are_sent_in_order_one_at_a_time() {
    let mut speaker = Speaker::playing_album(5);
    speaker.sent.clear();
    speaker.hold_answers().press(Press::Next).press(Press::Next);
    assert_eq!(speaker.sent, [Seq(2)], "the first one is under way");
    speaker.let_through();
    assert_eq!(speaker.sent, [2, 3, 4, 5].map(Seq));
}

#[test]
fn an_event_that_is_refused_is_set_aside_and_the_next_one_goes_out() {
    let mut speaker = Speaker::playing_album(5);
    speaker.verdicts.push_back(Verdict::Refused);
    speaker.press(Press::Next);
    assert_eq!(speaker.settled[1..], [(Seq(2), false), (Seq(3), true)]);
}

#[test]
fn events_that_were_let_go_are_passed_without_a_word_to_the_service() {
    let mut speaker = Speaker::playing_album(9);
    speaker.offline().finish().finish().finish().reports.clear();
    // Of the events 2 to 7 the journal has let go 2 to 5.
    speaker.verdicts.push_back(Verdict::Folded(Seq(5)));
    speaker.online();
    assert_eq!(speaker.reports, [(2, 2), (6, 6), (7, 7)]);
    assert!(speaker.settled.contains(&(Seq(5), true)), "{:?}", speaker.settled);
    assert_eq!(speaker.view().waiting, 0);
    speaker.finish();
    assert_eq!(speaker.current(), Some(5), "the queue goes on");
}

#[test]
fn an_event_that_is_forbidden_is_not_sent_in_a_loop() {
    let mut speaker = Speaker::playing_album(5);
    speaker.verdicts.push_back(Verdict::Failed(Failure::Forbidden));
    speaker.sent.clear();
    speaker.press(Press::Play);
    assert_eq!(speaker.sent, [Seq(2)]);
    assert_eq!(speaker.settled.last(), Some(&(Seq(2), false)));
}

#[test]
fn a_busy_service_gets_the_same_event_again_after_the_time_it_named() {
    let mut speaker = Speaker::playing_album(5);
    let retry_after = Some(Millis(20_000));
    speaker
        .verdicts
        .push_back(Verdict::Failed(Failure::Busy { retry_after }));
    speaker.sent.clear();
    speaker.press(Press::Play).wait(5000).press(Press::Play).wait(14_000);
    assert_eq!(speaker.sent, [Seq(2)], "not even a press makes it ask before");
    speaker.wait(60_000);
    assert_eq!(speaker.sent, [2, 2, 3].map(Seq));
}

#[test]
fn a_refused_start_makes_the_speaker_ask_where_the_service_is() {
    let mut speaker = Speaker::playing_album(9);
    speaker.verdicts.extend([Verdict::Accepted, Verdict::Refused]);
    speaker.press(Press::Next);
    assert_eq!(
        (speaker.current(), speaker.at),
        (Some(2), 0),
        "the service did not move"
    );
    assert_eq!(
        speaker.ahead()[..2],
        [3, 4],
        "what follows the service's place is not taken for what follows ours"
    );
    speaker.finish();
    assert_eq!((speaker.current(), speaker.at), (Some(3), 2));
}

#[test]
fn a_heartbeat_is_a_stop_and_a_start_in_the_middle() {
    let mut speaker = Speaker::with_heartbeat(3, Millis(30_000));
    speaker.press(Press::Preset(1)).wait(65_000).press(Press::Play);
    let story = [
        "1 from 0",
        "1 systemStop 30000",
        "1 from 30000",
        "1 systemStop 60000",
        "1 from 60000",
        "1 userStop 65000",
    ];
    assert_eq!(speaker.story(), story);
    let What::Stop { played, .. } = speaker.journal.last().unwrap().what else {
        panic!("the last event is a stop");
    };
    assert_eq!(played, Millis(5000), "only what the pair before did not tell");
}

#[test]
fn no_heartbeat_unless_it_is_asked_for() {
    let mut speaker = Speaker::playing_album(3);
    speaker.wait(170_000);
    assert!(speaker.story().is_empty());
}

#[test]
fn stalls_are_counted_in_a_heartbeat_once() {
    let mut speaker = Speaker::with_heartbeat(3, Millis(30_000));
    speaker.press(Press::Preset(1)).wait(1000).stall(3000).wait(70_000);
    let counts: Vec<u16> = speaker
        .journal
        .iter()
        .filter_map(|event| match event.what {
            What::Stop { rebuffers, .. } => Some(rebuffers),
            What::Start { .. } => None,
        })
        .collect();
    assert_eq!(counts, [1, 0]);
}

#[test]
fn events_that_wait_together_go_out_together() {
    let mut speaker = Speaker::with_batches(9, 5);
    speaker.press(Press::Preset(1)).offline();
    speaker.finish().finish().finish().reports.clear();
    speaker.online();
    assert_eq!(speaker.reports, [(2, 6), (7, 7)]);
    assert_eq!(speaker.settled.last(), Some(&(Seq(7), true)));
    assert_eq!(speaker.view().waiting, 0);
}

#[test]
fn of_a_batch_that_is_refused_only_the_bad_event_is_set_aside() {
    let mut speaker = Speaker::with_batches(9, 5);
    speaker.press(Press::Preset(1)).offline();
    speaker.finish().finish().finish().finish().reports.clear();
    speaker.bad.insert(4);
    speaker.online();
    assert_eq!(speaker.reports[..6], [(2, 6), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)]);
    assert_eq!(speaker.reports.last(), Some(&(7, 9)));
    let aside: Vec<u64> = speaker
        .settled
        .iter()
        .filter_map(|(seq, accepted)| (!accepted).then_some(seq.0))
        .collect();
    assert_eq!(aside, [4]);
}

#[test]
fn a_batch_that_reaches_nobody_is_sent_again_and_the_queue_waits_for_it() {
    let mut speaker = Speaker::with_batches(9, 5);
    speaker.press(Press::Preset(1)).offline();
    speaker.finish().finish().forget();
    speaker.wait(60_000);
    assert!(speaker.calls.is_empty());
    speaker.reachable = true;
    speaker.wait(31_000);
    assert_eq!(speaker.view().waiting, 0);
    speaker.wait(u64::from(TURN_MS_FIRST.0 + TURN_MS_EACH.0));
    assert!(!speaker.calls.is_empty());
}

#[test]
fn a_claim_in_a_batch_gets_the_stream_back() {
    let mut speaker = Speaker::with_batches(9, 5);
    speaker.press(Press::Preset(1)).wait(5000).stolen = true;
    speaker.press(Press::Next).wait(60_000);
    speaker.press(Press::Play).wait(60_000);
    assert_eq!(speaker.view().waiting, 0);
    assert_eq!(speaker.claims(), [2]);
}
