//! One body on its way: what of it is claimed, received and written.

use std::{ops::Range, time::Duration};

use super::{gate::Gate, watch::Watch};
use crate::{
    http::exchange::Answer,
    orders::{Attempt, Failure, OPEN_END},
};

/// One body on its way.
pub(super) struct Flow<S> {
    pub(super) attempt: Attempt,
    pub(super) span: Range<u64>,
    pub(super) sink: S,
    pub(super) answer: Answer,
    /// The offset of the next byte to write.
    pub(super) written: u64,
    /// The end of what this connection may write.
    pub(super) claimed: u64,
    /// When the last receive began: what it brought is no older.
    pub(super) asked: Duration,
    /// Since when something waits to be written, or a little longer.
    pub(super) waiting: Option<Duration>,
    /// When the first byte was there, and how long our own disk took since.
    pub(super) paused: Duration,
    /// The last receive brought nothing.
    pub(super) quiet: bool,
    pub(super) watch: Watch,
}

impl<S> Flow<S> {
    /// The end of the span as it is now.
    pub(super) fn limit(&self, gate: &Gate) -> u64 {
        gate.shrink(self.attempt, u64::MAX).unwrap_or(self.span.end)
    }

    /// The body is complete and written.
    pub(super) fn finish(&self) -> Result<After, Failure> {
        if self.span.end != OPEN_END && self.written < self.span.end {
            let got = self.written - self.span.start;
            return Err(Failure::ShortBody { range: self.span.clone(), got });
        }
        Ok(if self.answer.keep_alive { After::Reuse } else { After::Close })
    }
}

/// What a served attempt leaves behind.
pub(super) enum After {
    Reuse,
    Close,
}
