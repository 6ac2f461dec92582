//! What the link carries, from what it carried.

use std::time::Duration;

/// Estimate of what the link carries. One for all transfers over it; times are of the transfers only, so an idle link
/// does not look slow.
#[derive(Clone, Debug, Default)]
pub struct Throughput {
    bps: Option<u64>,
}

impl Throughput {
    /// A transfer, or a part of one: `bytes` came within `took`, counted from the request.
    pub fn add(&mut self, bytes: u64, took: Duration) {
        let bits = u128::from(bytes) * 8 * 1_000_000_000;
        self.bps = u64::try_from(bits / took.as_nanos().max(1)).ok();
    }

    /// Bits a second. `None`: nothing was measured yet.
    pub fn bps(&self) -> Option<u64> {
        self.bps
    }
}
