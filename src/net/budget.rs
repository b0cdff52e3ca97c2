//! How long opening a connection may take, and what stops it early.

use std::{
    io,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::fault::broken;
use crate::orders::{Failure, Phase};

/// Stops whatever waits for it; cheap to clone, set once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Stops everything that holds a clone, within [`SLICE`].
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was set.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// No wait is longer than this before [`Cancel`] is looked at. A flag that is looked at costs no
/// descriptor, of which a process may have as few as sixteen.
pub(crate) const SLICE: Duration = Duration::from_millis(20);

/// The time that one connection may take to open, from the name to the last handshake.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    started: Instant,
    limit: Duration,
    cancel: Cancel,
}

impl Budget {
    /// `limit` from now on.
    pub(crate) fn new(limit: Duration, cancel: &Cancel) -> Self {
        Self { started: Instant::now(), limit, cancel: cancel.clone() }
    }

    /// How long it has run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long the next wait may be: what is left, at most a [`SLICE`], at most until `wake`.
    ///
    /// # Errors
    /// [`Failure::Timeout`] in `phase` when nothing is left, [`Failure::Cancelled`].
    pub(crate) fn slice(&self, phase: Phase, wake: Option<Instant>) -> Result<Duration, Failure> {
        if self.cancel.is_set() {
            return Err(Failure::Cancelled { signal: 0 });
        }
        let left = self.limit.saturating_sub(self.started.elapsed());
        if left.is_zero() {
            return Err(Failure::Timeout { phase, limit: self.limit });
        }
        let left = left.min(SLICE);
        Ok(wake.map_or(left, |at| left.min(at.saturating_duration_since(Instant::now()))))
    }

    /// Waits until `fd` is ready for `what`, or broken, which the next call on it will tell.
    ///
    /// # Errors
    /// As [`Self::slice`], in the phase `Connect`.
    pub(crate) fn ready(&self, fd: impl AsFd, what: PollFlags) -> Result<(), Failure> {
        loop {
            let wait = self.slice(Phase::Connect, None)?;
            let mut fds = [PollFd::new(&fd, what)];
            if poll_for(&mut fds, wait).map_err(|e| broken(&e))? {
                return Ok(());
            }
        }
    }
}

/// poll(2) for at most `wait`; whether any is ready. An interrupted wait is a short one.
pub(super) fn poll_for(fds: &mut [PollFd<'_>], wait: Duration) -> io::Result<bool> {
    let timeout = Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    };
    match poll(fds, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
