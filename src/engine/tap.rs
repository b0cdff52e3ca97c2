//! The end of a stream that the coordinator and the shelf hold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    files::{checks::Checks, sink::Sink},
    options::Digest,
    stream::{Inlet, Outlet, Shape, stream},
};

/// What the coordinator and the shelf have of a stream; cheap to clone.
#[derive(Clone)]
pub(crate) struct Tap {
    inlet: Inlet,
    checks: Arc<Mutex<Checks>>,
}

impl Tap {
    /// A stream, and its consumer's end.
    pub(super) fn new(shape: Shape, checks: Checks) -> (Self, Outlet) {
        let (inlet, outlet) = stream(shape);
        (Self { inlet, checks: Arc::new(Mutex::new(checks)) }, outlet)
    }

    /// How far beyond what was consumed may be written.
    pub(super) fn window(&self) -> u64 {
        self.inlet.window()
    }

    /// Makes it ready for an object from its first byte on, whatever came before. The server
    /// states these digests of it. `None` if the consumer has begun with another.
    pub(super) fn prepare(&self, stated: &[Digest]) -> Option<Sink> {
        if !self.inlet.restart() {
            return None;
        }
        self.checks().stated = stated.to_vec();
        Some(Sink::stream(self.inlet.clone()))
    }

    /// From now on the consumer has begun.
    pub(super) fn commit(&self) {
        self.inlet.commit();
    }

    /// Every byte is there. The consumer says when it has taken them.
    pub(super) fn finish(&self, total: u64) {
        self.inlet.finish(total);
    }

    /// No more comes: the consumer has what is there in order, and then the failure.
    pub(crate) fn fail(&self) {
        self.inlet.fail();
    }

    /// Nothing goes to the consumer any more.
    pub(crate) fn close(&self) {
        self.inlet.close();
    }

    /// What is demanded, stated and printed.
    pub(super) fn checks(&self) -> MutexGuard<'_, Checks> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
