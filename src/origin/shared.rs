//! What all connections of an origin share: how it serves, what it served, and who is connected.

use std::{
    collections::BTreeMap,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rustix::fd::OwnedFd;

use super::{certificate::Certificate, directory::Tree, synthetic::Synthetic};
use crate::wire::Acceptor;

/// How it is served.
#[derive(Clone)]
pub struct OriginOptions {
    /// Connections that are served at once; more are answered with 503.
    pub connections_max: usize,
    /// How long a connection may be silent before, and how long it may take to send, a request;
    /// and how long it may accept nothing of a response.
    pub idle_timeout: Duration,
    /// Speak TLS, with this certificate.
    pub tls: Option<Certificate>,
    /// Called after every response, on the connection's thread.
    pub log: Option<Arc<Log>>,
}

/// Told of every response.
pub type Log = dyn Fn(&Access<'_>) + Send + Sync;

/// One response, for a log. The texts are the peer's: escape them before they are shown.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    /// Who asked.
    pub peer: SocketAddr,
    /// `-` if it was no request.
    pub method: &'a str,
    /// The request target; the first line of what came if it was no request.
    pub target: &'a str,
    /// The `Range` field.
    pub range: Option<&'a [u8]>,
    /// The status answered.
    pub status: u16,
    /// Bytes of the body that were handed to the kernel.
    pub body_bytes: u64,
    /// Nothing failed while it was sent.
    pub complete: bool,
    /// How long sending took.
    pub elapsed: Duration,
}

/// What was served so far. All of it only grows.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) connections: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Default for OriginOptions {
    fn default() -> Self {
        Self { connections_max: 512, idle_timeout: Duration::from_secs(60), tls: None, log: None }
    }
}

impl Counters {
    /// Connections accepted, refused ones included.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Responses sent, refusals included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Bytes of bodies handed to the kernel.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn count_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) served: Served,
    pub(super) acceptor: Option<Acceptor>,
    pub(super) options: OriginOptions,
    pub(super) counters: Counters,
    pub(super) stop: AtomicBool,
    /// Readable when it is time to stop.
    pub(super) wake: OwnedFd,
    /// The open connections by number, to end them.
    pub(super) open: Mutex<BTreeMap<u64, TcpStream>>,
    /// Signalled when one has ended.
    pub(super) closed: Condvar,
}

/// The content, opened.
pub(super) enum Served {
    Tree(Tree),
    Synthetic(Synthetic),
}

impl Shared {
    /// It is time to stop.
    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// The open connections.
    pub(super) fn open(&self) -> MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        // The map is whole after every statement that changes it, so a panic elsewhere leaves
        // nothing half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all connections and waits until their threads are done with them.
    pub(super) fn finish(&self) {
        self.stop.store(true, Relaxed);
        let mut open = self.open();
        // Who waits for a request reads its end; who sends a response may finish it.
        open.values().for_each(|socket| drop(socket.shutdown(Shutdown::Read)));
        let deadline = Instant::now() + GRACE;
        while !open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                open.values().for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
            }
            let wait = left.max(Duration::from_millis(10));
            let waited = self.closed.wait_timeout(open, wait);
            open = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// How long a response on its way may take after the origin was told to stop.
pub(super) const GRACE: Duration = Duration::from_secs(1);
