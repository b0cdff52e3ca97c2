//! Random moments that a seed repeats.

use std::time::Duration;

/// A small generator (xorshift64*): the moments of a test are those of its seed.
pub(crate) struct Moments(u64);

impl Moments {
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % end.max(1)
    }

    /// A moment between two.
    pub(crate) fn between(&mut self, first: Duration, last: Duration) -> Duration {
        let span = u64::try_from(last.saturating_sub(first).as_micros()).unwrap_or(u64::MAX);
        first + Duration::from_micros(self.below(span))
    }
}
