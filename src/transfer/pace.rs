//! How fast a connection is and how far away, from what it did.

use std::time::Duration;

/// Rate and round trip of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    /// Bytes per second once bytes flow, a moving average.
    rate: Option<u64>,
    /// From a request to its first byte: the smallest of the last few, because a busy server or
    /// client lengthens it and nothing shortens it.
    round_trip: [Option<Duration>; 8],
    /// The length of the last lease.
    part: u64,
}

impl Pace {
    /// `bytes` came in `flowing`, the first of them `first_byte` after the request.
    pub(super) fn measure(&mut self, bytes: u64, flowing: Duration, first_byte: Option<Duration>) {
        if let Some(first) = first_byte {
            self.round_trip.rotate_right(1);
            self.round_trip[0] = Some(first);
        }
        let nanos = flowing.as_nanos();
        // What came in one gulp says nothing of the rate.
        if bytes < GULP || nanos == 0 {
            return;
        }
        let now = u128::from(bytes).saturating_mul(1_000_000_000) / nanos;
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        self.rate = Some(self.rate.map_or(now, |rate| rate / 2 + now / 2).max(1));
    }

    /// Bytes per second, if anything was measured.
    pub(super) fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// The time from a request to its first byte, if anything was measured.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.iter().flatten().min().copied()
    }

    /// How many bytes come in the time of `factor` round trips. What a busy machine may add to each
    /// is left out: where they are as short as that, parts stay short too, and in cache.
    pub(super) fn worth(&self, factor: u32) -> u64 {
        match (self.rate, self.round_trip()) {
            (Some(rate), Some(trip)) => bytes_in(rate, trip.saturating_sub(BUSY), factor),
            _ => 0,
        }
    }

    /// A part of this length was leased.
    pub(super) fn leased(&mut self, part: u64) {
        self.part = part;
    }

    /// The longest next part: one odd measurement must not lease half of the object.
    pub(super) fn step(&self) -> u64 {
        self.part.max(1 << 20).saturating_mul(4)
    }

    /// As for a connection that has to be made anew for every part: its making counts.
    pub(super) fn with_setup(&self, took: Duration) -> Self {
        let add = |trip: Option<Duration>| trip.map(|trip| trip.saturating_add(took));
        Self { round_trip: self.round_trip.map(add), ..self.clone() }
    }
}

/// What comes at this rate in `factor` times this time.
pub(super) fn bytes_in(rate: u64, time: Duration, factor: u32) -> u64 {
    let nanos = time.as_nanos().saturating_mul(u128::from(factor));
    let bytes = u128::from(rate).saturating_mul(nanos) / 1_000_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Less than this arrives with the first segments.
const GULP: u64 = 64 << 10;

/// How late a process may run on a machine that has much to do.
const BUSY: Duration = Duration::from_millis(1);
