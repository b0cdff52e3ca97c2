//! What the coordinator and a worker share about one connection: whether it was told to stop, and
//! how far its lease goes. The only state of a connection that two threads touch.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::orders::Attempt;

/// Shared by the coordinator and the worker of one connection.
#[derive(Debug, Default)]
pub struct Gate {
    aborted: AtomicBool,
    lease: Mutex<Option<Lease>>,
}

#[derive(Debug)]
struct Lease {
    attempt: Attempt,
    /// Everything below is the worker's for good.
    claimed: u64,
    end: u64,
}

impl Gate {
    /// Whatever fails from now on, fails because the connection was told to stop.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
    }

    /// Whether [`Self::abort`] was called.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// The worker starts on a span.
    pub fn lease(&self, attempt: Attempt, start: u64, end: u64) {
        *lock(&self.lease) = Some(Lease { attempt, claimed: start, end });
    }

    /// The worker takes up to `want` further bytes of its span; returns the end of what it holds
    /// now, which is where it was when the span is used up.
    pub fn claim(&self, want: u64) -> u64 {
        match lock(&self.lease).as_mut() {
            Some(lease) => {
                lease.claimed =
                    lease.claimed.saturating_add(want).min(lease.end.max(lease.claimed));
                lease.claimed
            }
            None => 0,
        }
    }

    /// The end of `attempt`'s span as it is now; 0 if that has no lease here.
    pub(crate) fn end(&self, attempt: Attempt) -> u64 {
        self.shrink(attempt, u64::MAX).unwrap_or(0)
    }

    /// The coordinator lowers the end of `attempt`'s span, to `end` or to what was claimed already.
    /// Returns the end that holds; `None` if that attempt has no lease here.
    pub fn shrink(&self, attempt: Attempt, end: u64) -> Option<u64> {
        let mut lease = lock(&self.lease);
        let lease = lease.as_mut().filter(|lease| lease.attempt == attempt)?;
        lease.end = lease.end.min(end.max(lease.claimed));
        Some(lease.end)
    }

    /// The worker is done with its span.
    pub fn release(&self) {
        *lock(&self.lease) = None;
    }
}

/// A panic elsewhere leaves plain numbers behind, which are as good as ever.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shrink_never_takes_back_what_was_claimed() {
        let gate = Gate::default();
        gate.lease(Attempt(1), 0, 100);
        assert_eq!(gate.claim(40), 40);
        assert_eq!(gate.shrink(Attempt(1), 10), Some(40));
        assert_eq!(gate.claim(40), 40);
    }

    #[test]
    fn a_claim_ends_where_the_span_was_shrunk_to() {
        let gate = Gate::default();
        gate.lease(Attempt(1), 0, 100);
        assert_eq!(gate.claim(10), 10);
        assert_eq!(gate.shrink(Attempt(1), 50), Some(50));
        assert_eq!(gate.claim(u64::MAX), 50);
        assert_eq!(gate.shrink(Attempt(1), 80), Some(50), "a span never grows");
    }

    #[test]
    fn another_attempt_is_not_shrunk() {
        let gate = Gate::default();
        gate.lease(Attempt(2), 0, 100);
        assert_eq!(gate.shrink(Attempt(1), 50), None);
        gate.release();
        assert_eq!(gate.shrink(Attempt(2), 50), None);
    }
}
