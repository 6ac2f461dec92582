//! Licences that come in time, late, or not at all: what is heard of an encrypted entry, and what is told of it.

use super::*;
use crate::audio::test_keys::{Licence, RawKeys};
use crate::keys::KeyState;

fn play(rig: &mut Rig, bytes: &[u8], licence: &Arc<Licence>) {
    let mut source = source(bytes);
    source.keys = Some(Box::new(RawKeys(Arc::clone(licence))));
    rig.engine.play(PlayId(1), source, Millis::ZERO);
}

/// A frame every 576 of them, 8 in the clear, 44.1 kHz.
const ENTRY: &[u8] = include_bytes!("../../tests/media/clear-lead-flac.mp4");
const CLEAR_FRAMES: usize = 8 * 576;

#[test]
fn a_licence_that_comes_while_the_clear_beginning_sounds_leaves_no_gap() {
    let mut rig = Rig::new(1000);
    let licence = Arc::<Licence>::default();
    licence.set(KeyState::Awaited);
    play(&mut rig, ENTRY, &licence);
    rig.told.until(began(1, 0));
    licence.set(KeyState::Usable);
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(1, 203, 203, Ending::Finished));
    assert!(rig.heard() == decoded(media!("album-3.flac")));
    assert_eq!(rig.engine.counters().stalls, 0);
    rig.engine.close();
}

#[test]
fn a_licence_that_comes_late_lets_the_entry_go_on_where_it_stopped() {
    let mut rig = Rig::new(ENDLESS);
    let licence = Arc::<Licence>::default();
    licence.set(KeyState::Awaited);
    play(&mut rig, ENTRY, &licence);
    rig.told.until(AudioNews::Stalled { play: PlayId(1) });
    licence.set(KeyState::Usable);
    // Silence that is written while frames are awaited comes behind it.
    rig.told.until(AudioNews::Ended {
        play: PlayId(1),
        position: Millis(203),
        played: Millis(203),
        rebuffers: 1,
        how: Ending::Finished,
    });
    assert!(rig.heard() == decoded(media!("album-3.flac")));
    rig.engine.close();
}

#[test]
fn an_entry_whose_licence_never_comes_ends_as_locked_after_its_clear_beginning() {
    for (bytes, heard, position) in [(ENTRY, CLEAR_FRAMES, 104), (media!("cbcs-aac.mp4"), 0, 0)] {
        let mut rig = Rig::new(ENDLESS);
        let licence = Arc::<Licence>::default();
        licence.set(KeyState::Awaited);
        play(&mut rig, bytes, &licence);
        // The wait behind what was heard is a stall.
        rig.told.until(AudioNews::Ended {
            play: PlayId(1),
            position: Millis(position),
            played: Millis(position),
            rebuffers: u16::from(heard > 0),
            how: Ending::Locked,
        });
        assert_eq!(rig.heard().len() / CHANNELS, heard);
        rig.engine.close();
    }
}

#[test]
fn a_licence_that_is_refused_or_of_another_key_ends_the_entry_as_locked() {
    for is_refused in [true, false] {
        for (bytes, heard, position) in [(ENTRY, CLEAR_FRAMES, 104), (media!("cbcs-aac.mp4"), 0, 0)] {
            let mut rig = Rig::new(ENDLESS);
            let licence = Arc::<Licence>::default();
            if is_refused {
                licence.set(KeyState::Refused("not paid for".into()));
            } else {
                licence.give([1; 16]);
            }
            play(&mut rig, bytes, &licence);
            rig.told.until(ended(1, position, position, Ending::Locked));
            assert_eq!(rig.heard().len() / CHANNELS, heard);
            rig.engine.close();
        }
    }
}

#[test]
fn a_key_that_is_lost_for_a_moment_while_its_entry_sounds_is_not_heard() {
    let mut rig = Rig::new(1000);
    let licence = Arc::<Licence>::default();
    licence.set(KeyState::Usable);
    licence.lose_after(2);
    play(&mut rig, ENTRY, &licence);
    rig.told.until(began(1, 0));
    while *licence.state.lock().unwrap() != Some(KeyState::Awaited) {
        thread::yield_now();
    }
    licence.restore();
    rig.bench.with(|state| state.allowance = ENDLESS);
    rig.told.until(ended(1, 203, 203, Ending::Finished));
    assert!(rig.heard() == decoded(media!("album-3.flac")));
    assert_eq!(rig.engine.counters().stalls, 0);
    rig.engine.close();
}
