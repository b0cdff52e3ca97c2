//! The end of a stream that the coordinator and the shelf hold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    files::{checks::Checks, sink::Sink},
    http::field::Coding,
    options::Digest,
    stream::{Inlet, Outlet, Shape, stream},
};

/// What the coordinator and the shelf have of a stream; cheap to clone.
#[derive(Clone)]
pub(crate) struct Tap {
    inlet: Inlet,
    checks: Arc<Mutex<Checks>>,
    /// How the content is coded.
    coding: Arc<Mutex<Coding>>,
}

impl Tap {
    /// A stream, and its consumer's end.
    pub(super) fn new(shape: Shape, checks: Checks) -> (Self, Outlet) {
        let (inlet, outlet) = stream(shape);
        let checks = Arc::new(Mutex::new(checks));
        (Self { inlet, checks, coding: Arc::default() }, outlet)
    }

    /// How far beyond what was consumed may be written.
    pub(super) fn window(&self) -> u64 {
        self.inlet.window()
    }

    /// Makes it ready for an object from its first byte on, whatever came before. The server
    /// states these digests of it. `None` if the consumer has begun with another.
    pub(super) fn prepare(&self, stated: &[Digest], coding: Coding) -> Option<Sink> {
        if !self.inlet.restart() {
            return None;
        }
        self.checks().stated = stated.to_vec();
        *self.coding.lock().unwrap_or_else(PoisonError::into_inner) = coding;
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

    /// How the content is coded.
    pub(super) fn coding(&self) -> Coding {
        *self.coding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is demanded, stated and printed.
    pub(super) fn checks(&self) -> MutexGuard<'_, Checks> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
