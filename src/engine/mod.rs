//! The shells: threads, sockets, files and clocks around the state machines.
//!
//! [`coordinator`] runs the control plane on the caller's thread. Each connection is a [`link`] on
//! a worker of one of two engines ([`uring`], [`threads`]). Orders go to a worker through a channel
//! of its connection; everything it reports comes back through one channel of [`Message`]s.

pub(crate) mod coordinator;
mod lowat;
pub(crate) mod seat;
mod stop;
mod threads;
mod uring;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::{
    files::sink::Sink,
    fleet::TransferId,
    link::{self, Limits},
    net::Opened,
    options::EngineChoice,
    orders::{Conn, ConnEvent, Failure, StoreEvent},
};
use stop::Stop;

/// What comes back to the coordinator.
#[derive(Debug)]
pub(crate) enum Message {
    /// From a connection.
    Conn(Conn, ConnEvent),
    /// From the thread that finishes a file.
    Store(TransferId, StoreEvent),
    /// Somebody wants it to end: a signal's number, or 0.
    Cancel(i32),
}

/// What a worker is told about one connection.
pub(crate) type Order = link::Order<Sink>;

/// Reports for one connection.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    conn: Conn,
    messages: Sender<Message>,
    started: Instant,
}

impl Reporter {
    pub(crate) fn new(conn: Conn, messages: Sender<Message>, started: Instant) -> Self {
        Self { conn, messages, started }
    }

    /// The time since the download started.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn report(&self, event: ConnEvent) {
        // The coordinator has gone only when the download is over.
        let _ = self.messages.send(Message::Conn(self.conn, event));
    }

    /// The system has no thread for the connection.
    pub(crate) fn failed_to_start(&self, error: &io::Error) {
        self.report(ConnEvent::Failed { failure: no_thread(error) });
    }
}

/// Opens a connection: resolve, connect, shake hands. Runs on a thread of its own.
pub(crate) type Open = Box<dyn FnOnce(&Stop) -> Result<Opened, Failure> + Send>;

/// What an engine needs to bring up one connection.
pub(crate) struct Opening {
    pub(crate) open: Open,
    pub(crate) stop: Arc<Stop>,
    pub(crate) orders: UnboundedReceiver<Order>,
    pub(crate) reporter: Reporter,
    pub(crate) limits: Limits,
}

impl Opening {
    /// Runs [`Self::open`] and tells the stop and the coordinator. `None`: it failed, as reported.
    fn connect(open: Open, stop: &Stop, reporter: &Reporter) -> Option<Opened> {
        use std::os::fd::{AsFd, AsRawFd};
        match open(stop) {
            Ok(opened) if stop.attach(opened.stream.as_fd().as_raw_fd()) => {
                let (peer, took) = (opened.peer, opened.took);
                reporter.report(ConnEvent::Opened { peer, took });
                Some(opened)
            }
            Ok(_) => {
                stop.detach();
                reporter.report(ConnEvent::Failed { failure: Failure::Cancelled { signal: 0 } });
                None
            }
            Err(failure) => {
                reporter.report(ConnEvent::Failed { failure });
                None
            }
        }
    }
}

/// One of the two engines.
pub(crate) enum Engine {
    /// tokio-uring, a ring a worker.
    Uring(uring::Uring),
    /// Blocking sockets, a thread a connection.
    Threads(threads::Threads),
}

impl Engine {
    /// Sets up the engine that was chosen, for `most` connections of which `likely` are likely.
    /// With `Auto`, whatever the kernel says against io_uring means threads, and the second value
    /// says what that was.
    ///
    /// # Errors
    /// With `Uring`, why it cannot be used.
    pub(crate) fn detect(
        choice: EngineChoice,
        most: usize,
        likely: usize,
        limits: Limits,
    ) -> Result<(Self, Option<String>), String> {
        if choice == EngineChoice::Threads {
            return Ok((Self::Threads(threads::Threads::new()), None));
        }
        match uring::Uring::start(most, likely, limits) {
            Ok((uring, note)) => Ok((Self::Uring(uring), note)),
            Err(error) if choice == EngineChoice::Uring => {
                Err(format!("io_uring cannot be used: {error}"))
            }
            Err(error) => Ok((
                Self::Threads(threads::Threads::new()),
                Some(format!("io_uring cannot be used ({error}), threads are")),
            )),
        }
    }

    /// Its name in reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Uring(_) => "uring",
            Self::Threads(_) => "threads",
        }
    }

    /// Brings up a connection on a worker.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn open(&mut self, opening: Opening) -> io::Result<()> {
        match self {
            Self::Uring(uring) => uring.open(opening),
            Self::Threads(threads) => threads.open(opening),
        }
    }
}

/// A channel of orders for one connection.
pub(crate) fn orders() -> (UnboundedSender<Order>, UnboundedReceiver<Order>) {
    tokio::sync::mpsc::unbounded_channel()
}

/// A connection that cannot be tried for want of a thread.
pub(crate) fn no_thread(error: &io::Error) -> Failure {
    Failure::Connect {
        target: "a thread".to_owned(),
        reason: error.to_string(),
        errno: error.raw_os_error().unwrap_or(0),
    }
}

/// How many descriptors this process may still open (RLIMIT_NOFILE, getrlimit(2)).
pub(crate) fn descriptors_left() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    match std::fs::read_dir("/proc/self/fd") {
        // One of those that are counted is the directory's own.
        Ok(open) => limit.saturating_sub(open.count()),
        Err(error) if error.raw_os_error() == Some(libc::EMFILE) => 0,
        Err(_) => limit.saturating_sub(OPEN_GUESS),
    }
}

/// Open descriptors where /proc cannot be read.
const OPEN_GUESS: usize = 8;
