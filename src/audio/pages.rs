//! Keeps the memory that the output thread touches while sound plays in memory, so that it never waits for the disk. Only
//! that: the rest of the program may be swapped out. Where the system does not allow it, sound plays without.

use region::LockGuard;

/// Memory by its place, so that it can be named on another thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    address: usize,
    bytes: usize,
}

/// Memory that stays in memory until this is dropped.
#[derive(Default)]
pub struct Locked {
    guards: Vec<LockGuard>,
    has_failed: bool,
}

impl Span {
    /// The memory of `samples`, which may not hold any yet.
    pub fn of<T>(samples: &[T]) -> Self {
        Self {
            address: samples.as_ptr().addr(),
            bytes: size_of_val(samples),
        }
    }
}

impl Locked {
    /// Keeps `span` as well. That it cannot is told once, for all spans.
    pub fn keep(&mut self, span: Span) {
        if span.bytes == 0 || self.has_failed {
            return;
        }
        match region::lock(std::ptr::without_provenance::<u8>(span.address), span.bytes) {
            Ok(guard) => self.guards.push(guard),
            Err(error) => {
                self.has_failed = true;
                log::info!(
                    "the sound's memory is not kept from being swapped out: {error} (LimitMEMLOCK in the unit file allows it); going on without"
                );
            }
        }
    }

    /// Anything was kept.
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_or_the_program_goes_on_without() {
        let samples = vec![7_i32; 4096];
        let mut locked = Locked::default();
        locked.keep(Span::of::<i32>(&[]));
        assert!(locked.is_empty(), "there is nothing to keep");
        locked.keep(Span::of(&samples));
        assert!(locked.guards.len() == 1 || locked.has_failed);
        assert_eq!(samples[4095], 7);
    }
}
