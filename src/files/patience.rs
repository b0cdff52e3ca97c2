//! How long somebody waits for the files: until a signal, or until the whole transfer's time is up.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use crate::orders::{Failure, Phase};

/// What may end a wait where no state machine can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    signal: Arc<OnceLock<i32>>,
    started: Instant,
    limit: Option<Duration>,
}

impl Patience {
    /// Ends when `signal` is set (to a signal's number, or 0), or `limit` after now.
    pub(crate) fn new(signal: Arc<OnceLock<i32>>, limit: Option<Duration>) -> Self {
        Self { signal, started: Instant::now(), limit }
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`Failure::Cancelled`], or [`Failure::Timeout`] of the whole transfer.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match (self.signal.get(), self.limit) {
            (Some(signal), _) => Err(Failure::Cancelled { signal: *signal }),
            (None, Some(limit)) if self.started.elapsed() >= limit => {
                Err(Failure::Timeout { phase: Phase::Transfer, limit })
            }
            (None, _) => Ok(()),
        }
    }
}
