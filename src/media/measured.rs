//! What a transfer carries, told to whoever chooses representations. It knows no bytes, only how many came when.

use std::time::Instant;

use super::library::Shared;

/// What a transfer carried is measured anew after so many bytes, so that a long one tells in time.
const MEASURE_BYTES: u64 = 256 * 1024;
/// What a transfer carried and how long that took, without the time that this side made it wait.
pub struct Measured {
    since: Instant,
    bytes: u64,
    is_held: bool,
}

impl Measured {
    /// A request is about to be made.
    pub fn begin() -> Self {
        Self {
            since: Instant::now(),
            bytes: 0,
            is_held: false,
        }
    }

    /// Bytes came.
    pub fn add(&mut self, shared: &Shared, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes >= MEASURE_BYTES {
            self.tell(shared);
        }
    }

    /// This side makes the host wait: what comes then comes out of buffers and measures nothing.
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// Tells what was measured since it was told last.
    pub fn tell(&mut self, shared: &Shared) {
        if !self.is_held && self.bytes > 0 {
            let took = self.since.elapsed();
            shared.lock().throughput.add(self.bytes, took);
        }
        self.since = Instant::now();
        self.bytes = 0;
    }
}
