//! What puts the threads of a test in order without a clock: a gate that is shut until somebody
//! opens it.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A gate; its clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// A gate that is shut.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).open = true;
        self.0.changed.notify_all();
    }

    /// Whether it was opened.
    pub fn is_open(&self) -> bool {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).open
    }

    /// Waits until it is open; false when it is not within `patience`, so that a test fails in its
    /// own words and not by its limit.
    pub fn pass_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting += 1;
        self.0.changed.notify_all();
        while !state.open {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state =
                self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting -= 1;
        state.open
    }

    /// Waits until it is open, fifteen seconds at most.
    pub fn pass(&self) -> bool {
        self.pass_within(Duration::from_secs(15))
    }

    /// How many wait at it now.
    pub fn waiting(&self) -> usize {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).waiting
    }
}
