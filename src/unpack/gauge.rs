//! How far unpacking is, readable from any thread.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::http::escape;

/// Counts members and bytes; holds the name of what is being written.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    members: AtomicU64,
    bytes: AtomicU64,
    name: Mutex<Vec<u8>>,
}

impl Gauge {
    /// Members so far.
    #[must_use]
    pub fn members(&self) -> u64 {
        self.0.members.load(Ordering::Relaxed)
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// The name of the current member, safe for a terminal; cut to `max` characters.
    #[must_use]
    pub fn name(&self, max: usize) -> String {
        escape(&self.0.name.lock().unwrap_or_else(PoisonError::into_inner), max)
    }

    /// A member begins.
    pub(super) fn begin(&self, name: &[u8]) {
        self.0.members.fetch_add(1, Ordering::Relaxed);
        let mut own = self.0.name.lock().unwrap_or_else(PoisonError::into_inner);
        own.clear();
        own.extend_from_slice(name);
    }

    /// So many bytes were written.
    pub(super) fn wrote(&self, count: u64) {
        self.0.bytes.fetch_add(count, Ordering::Relaxed);
    }
}
