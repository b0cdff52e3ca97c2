//! The shells: threads, sockets, files and clocks around the state machines.
//!
//! [`coordinator`] runs the control plane on the caller's thread. Each connection is a [`link`] on
//! a worker of one of two engines ([`uring`], [`threads`]). Orders go to a worker through a channel
//! of its connection; everything it reports comes back through one channel of [`Message`]s.

pub(crate) mod connect;
pub(crate) mod coordinator;
pub(crate) mod existing;
pub(crate) mod follow;
mod gate;
mod intake;
mod link;
mod lowat;
pub(crate) mod outcome;
pub(crate) mod output;
mod reread;
pub(crate) mod resolve;
pub(crate) mod seat;
pub(crate) mod store;
mod threads;
mod uring;
mod watch;

use std::{io, ops::Range, sync::Arc, time::Duration};

use crossbeam_channel::Sender;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::{
    fleet::TransferId,
    options::EngineChoice,
    sink::Sink,
    transfer::{Accept, Attempt, Conn, ConnEvent, Failure, StoreEvent},
};

use connect::Opened;
use gate::Gate;

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
#[derive(Debug)]
pub(crate) enum Order {
    /// Send a request.
    Request(Box<Job>),
    /// The head of this attempt is believed.
    Receive {
        /// Which attempt.
        attempt: Attempt,
        /// Where the body belongs.
        span: Range<u64>,
        /// Where it is written to.
        sink: Sink,
    },
    /// The body of this attempt is of no use.
    Skip {
        /// Which attempt.
        attempt: Attempt,
    },
}

/// One request for one span.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) attempt: Attempt,
    pub(crate) request: Vec<u8>,
    pub(crate) accept: Accept,
    /// Where to write to; there once the part file is.
    pub(crate) sink: Option<Sink>,
}

/// Sizes and times that every connection keeps to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// No progress while reading.
    pub(crate) stall: Duration,
    /// How much is written at a time, in bytes.
    pub(crate) write: usize,
}

impl Limits {
    /// The length of a connection's buffer: what is written at a time, and besides it room for a
    /// head, for what TLS adds, and for a record that is not whole yet.
    pub(crate) fn buffer(&self) -> usize {
        self.write + SLACK
    }
}

/// Reports for one connection.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    conn: Conn,
    messages: Sender<Message>,
}

impl Reporter {
    pub(crate) fn new(conn: Conn, messages: Sender<Message>) -> Self {
        Self { conn, messages }
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
pub(crate) type Open = Box<dyn FnOnce(&Gate) -> Result<Opened, Failure> + Send>;

/// What an engine needs to bring up one connection.
pub(crate) struct Opening {
    pub(crate) open: Open,
    pub(crate) gate: Arc<Gate>,
    pub(crate) orders: UnboundedReceiver<Order>,
    pub(crate) reporter: Reporter,
    pub(crate) limits: Limits,
}

impl Opening {
    /// Runs [`Self::open`] and tells the gate and the coordinator. `None`: it failed, as reported.
    fn connect(open: Open, gate: &Gate, reporter: &Reporter) -> Option<Opened> {
        use std::os::fd::{AsFd, AsRawFd};
        match open(gate) {
            Ok(opened) if gate.attach(opened.stream.as_fd().as_raw_fd()) => {
                let (peer, took) = (opened.peer, opened.took);
                reporter.report(ConnEvent::Opened { peer, took });
                Some(opened)
            }
            Ok(_) => {
                gate.detach();
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

/// See [`Limits::buffer`]; at least a head of the largest size.
const SLACK: usize = 64 * 1024;

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
