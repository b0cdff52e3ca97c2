//! What the coordinator hears: from connections, from files, from the user.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    inbox::Inbox,
    shelf::{Published, Start},
};
use crate::{
    files::sink::Sink,
    fleet::TransferId,
    link,
    orders::{Conn, ConnEvent, Failure},
};

/// What comes back to the coordinator.
#[derive(Debug)]
pub(crate) enum Message {
    /// From a connection.
    Conn(Conn, ConnEvent),
    /// From the files of a transfer.
    Store(TransferId, Stored),
    /// It is to end: a signal's number, or 0.
    Cancel(i32),
    /// A worker's thread has ended by a panic.
    Panicked,
}

/// What a worker is told about one connection.
pub(crate) type Order = link::Order<Sink>;

/// Reports for one connection.
#[derive(Clone)]
pub(crate) struct Reporter {
    conn: Conn,
    inbox: Inbox<Message>,
    started: Instant,
}

impl Reporter {
    pub(crate) fn new(conn: Conn, inbox: Inbox<Message>, started: Instant) -> Self {
        Self { conn, inbox, started }
    }

    /// The time since the download started.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn report(&self, event: ConnEvent) {
        // Whatever else a connection reports is waited for.
        let can_wait = matches!(event, ConnEvent::Wrote { .. });
        let message = Message::Conn(self.conn, event);
        if can_wait { self.inbox.send_soon(message) } else { self.inbox.send(message) }
    }
}

/// What the files of a transfer report.
pub(crate) enum Stored {
    /// It is ready, or the name has told what is there.
    Started(Result<Start, Failure>),
    /// The consumer of a stream has taken everything below.
    Consumed(u64),
    /// It is published or kept, or the consumer of a stream is done.
    Over(Result<Published, Failure>),
    /// What was written cannot be recorded, or was lost.
    Failed(Failure),
    /// Something worth a line.
    Note(String),
    /// Something worth a line always.
    Warning(String),
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stored")
    }
}

/// Tells the coordinator of a worker that ends by a panic: nothing else would.
#[derive(Clone)]
pub(super) struct Alarm(pub(super) Inbox<Message>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.send(Message::Panicked);
        }
    }
}
