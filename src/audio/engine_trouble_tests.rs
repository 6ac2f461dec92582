//! Devices that fail, rates that change, bytes that come late: still nothing is lost and every report is true.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};

use symphonia::core::io::MediaSource;

use super::*;

#[test]
fn another_rate_reopens_the_device_and_loses_nothing() {
    let mut rig = Rig::new(ENDLESS);
    rig.play(1, media!("album-1.flac"));
    rig.follow(2, media!("rate48.flac"));
    rig.told.until(ended(2, 187, 187, Ending::Finished));
    assert_eq!(rig.bench.with(|state| state.rates.clone()), [44_100, 48_000]);
    assert!(rig.heard() == joined(&[media!("album-1.flac"), media!("rate48.flac")]));
    assert_eq!(rig.engine.counters().boundaries_silent, 1);
    rig.engine.close();
}

#[test]
fn running_dry_is_counted_and_loses_nothing() {
    let mut rig = Rig::new(0);
    rig.play(1, media!("album-1.flac"));
    rig.follow(2, media!("album-2.flac"));
    rig.bench.fill();
    rig.bench.with(|state| {
        state.dry_after = Some(3000);
        state.allowance = ENDLESS;
    });
    rig.told.until(ended(2, 160, 160, Ending::Finished));
    assert!(rig.heard() == joined(&[media!("album-1.flac"), media!("album-2.flac")]));
    assert_eq!(rig.engine.counters().xruns, 1);
    rig.engine.close();
}

#[test]
fn a_lost_device_is_found_again_and_goes_on_at_the_next_frame() {
    let mut rig = Rig::new(0);
    rig.bench.with(|state| {
        state.vanish_after = Some(3000);
        state.refusals = 1;
        state.allowance = ENDLESS;
    });
    // The first opening is refused as well.
    rig.play(1, media!("album-1.flac"));
    rig.told.until(AudioNews::DeviceBack);
    rig.bench.with(|state| state.refusals = 1);
    rig.told.until(ended(1, 179, 111, Ending::Finished));
    let expected = [
        AudioNews::DeviceLost,
        AudioNews::DeviceBack,
        began(1, 0),
        ended(1, 68, 68, Ending::Interrupted),
        AudioNews::DeviceLost,
        AudioNews::DeviceBack,
        began(1, 68),
        ended(1, 179, 111, Ending::Finished),
    ];
    assert_eq!(rig.told.all(), expected);
    assert!(rig.heard() == decoded(media!("album-1.flac")));
    assert_eq!(rig.engine.counters().losses, 2);
    rig.engine.close();
}

/// A stream whose bytes arrive when the test says so.
struct Slow {
    bytes: Cursor<Vec<u8>>,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    /// Bytes loaded; `u64::MAX` when cancelled.
    loaded: AtomicU64,
    lock: Mutex<()>,
    more: Condvar,
}

impl Gate {
    fn load(&self, bytes: u64) {
        let _guard = self.lock.lock().unwrap();
        self.loaded.store(bytes, Ordering::SeqCst);
        self.more.notify_all();
    }
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let guard = self.gate.lock.lock().unwrap();
        let at = self.bytes.position();
        let length = self.bytes.get_ref().len() as u64;
        let is_missing = |(): &mut ()| self.gate.loaded.load(Ordering::SeqCst) <= at.min(length - 1);
        let _guard = self.gate.more.wait_while(guard, is_missing).unwrap();
        let loaded = self.gate.loaded.load(Ordering::SeqCst);
        if loaded == u64::MAX {
            return Err(io::Error::other("cancelled"));
        }
        let most = usize::try_from(loaded - at).unwrap().min(buffer.len());
        self.bytes.read(&mut buffer[..most])
    }
}

impl Seek for Slow {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

impl MediaSource for Slow {
    fn is_seekable(&self) -> bool {
        true
    }
    fn byte_len(&self) -> Option<u64> {
        Some(self.bytes.get_ref().len() as u64)
    }
}

fn slow(bytes: &[u8]) -> (Arc<Gate>, Source) {
    let gate = Arc::new(Gate::default());
    let cancelled = Arc::clone(&gate);
    let stream = Slow {
        bytes: Cursor::new(bytes.to_vec()),
        gate: Arc::clone(&gate),
    };
    (
        gate,
        Source {
            stream: Stream::File(Box::new(stream)),
            hint: None,
            keys: None,
            head: None,
            cancel: Arc::new(move || cancelled.load(u64::MAX)),
        },
    )
}

#[test]
fn bytes_that_come_late_stall_and_flow_without_a_lost_frame() {
    let mut rig = Rig::new(ENDLESS);
    let (gate, source) = slow(media!("deep24.flac"));
    rig.engine.play(PlayId(1), source, Millis::ZERO);
    gate.load(12_000);
    rig.told.until(AudioNews::Stalled { play: PlayId(1) });
    gate.load(media!("deep24.flac").len() as u64);
    rig.told.until(AudioNews::Flowing { play: PlayId(1) });
    let whole = decoded(media!("deep24.flac"));
    let end = Millis(u32::try_from(whole.len() / 2 * 10 / 441).unwrap());
    rig.told.until(AudioNews::Ended {
        play: PlayId(1),
        position: end,
        played: end,
        rebuffers: 1,
        how: Ending::Finished,
    });
    assert!(rig.heard() == whole);
    assert_eq!(rig.engine.counters().stalls, 1);
    rig.engine.close();
}

#[test]
fn an_entry_without_bytes_does_not_hold_up_a_skip() {
    let mut rig = Rig::new(ENDLESS);
    let (_gate, source) = slow(media!("album-1.flac"));
    rig.engine.play(PlayId(1), source, Millis::ZERO);
    rig.play(2, media!("album-2.flac"));
    rig.told.until(ended(2, 160, 160, Ending::Finished));
    assert_eq!(rig.told.all()[0], began(2, 0), "what never sounded is not told of");
    rig.engine.close();
}
