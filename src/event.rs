//! What an observer of a running download is told.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What a download is doing, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Resolving, connecting, shaking hands.
    Connecting,
    /// The first request is out.
    Probing,
    /// The part file is made ready.
    Allocating {
        /// How large, in bytes.
        size: u64,
    },
    /// Bytes flow, or will after a retry.
    Downloading,
    /// Nothing runs until a delay is over.
    Waiting {
        /// How long the delay is.
        delay: Duration,
        /// Why, in a few words.
        why: String,
    },
    /// The rest of the file is hashed.
    Verifying,
    /// Data and name are made durable, the name is published.
    Publishing,
}

/// One thing that happened. Delivered on the thread that runs the download, in order; an observer
/// must not block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It started.
    Started {
        /// The URL, redacted.
        url: String,
    },
    /// The phase changed.
    Phase(Phase),
    /// The first answer was believed: from here on size, target and strategy are known.
    Discovered {
        /// The URL after redirects, redacted.
        final_url: String,
        /// The complete length, if known.
        total: Option<u64>,
        /// Bytes of an earlier run that count.
        resumed: u64,
        /// Where the object will be published.
        path: Option<PathBuf>,
        /// How many connections will be used.
        connections: usize,
    },
    /// Bytes were written. Delivered at least every MiB; never goes backwards except at a restart
    /// that [`Event::Note`] announces.
    Progress {
        /// Bytes in place, resumed ones included.
        bytes: u64,
        /// The complete length, if known.
        total: Option<u64>,
        /// Connections open now.
        connections: usize,
    },
    /// Something worth a line when the user asked for details.
    Note(String),
    /// Something worth a line always.
    Warning(String),
}

/// Receives events. The default does nothing.
pub trait Observer: Send {
    /// Something happened.
    fn on(&mut self, event: &Event) {
        let _ = event;
    }
}

impl Observer for () {}

/// The lock-free progress counter: bytes in place, exact, readable from any thread at any rate.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Bytes in place, resumed ones included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}
