//! Brings up one connection: resolve, connect, shake hands, all blocking, on a short-lived thread
//! of its own. What is ready goes to a worker.

use std::{io, sync::Arc, thread};

use super::{
    message::Reporter,
    post::{Connected, Mail, Post},
    stop::Stop,
};
use crate::{
    link::Limits,
    net::Opened,
    orders::{Conn, ConnEvent, Failure},
};

/// Opens a connection; blocks.
pub(crate) type Open = Box<dyn FnOnce(&Stop) -> Result<Opened, Failure> + Send>;

/// What it takes to bring up one connection.
pub(crate) struct Opening {
    pub(crate) conn: Conn,
    pub(crate) open: Open,
    pub(crate) stop: Arc<Stop>,
    pub(crate) reporter: Reporter,
    pub(crate) limits: Limits,
}

impl Opening {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn start(self, worker: Post) -> io::Result<()> {
        let connect = move || self.run(&worker);
        let thread = thread::Builder::new().name("uget-connect".to_owned()).stack_size(STACK);
        thread.spawn(connect).map(drop)
    }

    /// Connects, and tells the worker before the coordinator: no order overtakes the connection.
    fn run(self, worker: &Post) {
        let Self { conn, open, stop, reporter, limits } = self;
        let opened = match open(&stop) {
            Ok(opened) => opened,
            Err(failure) => return reporter.report(ConnEvent::Failed { failure }),
        };
        let Opened { stream, secure, peer, took } = opened;
        let stream = Arc::new(stream);
        if !stop.attach(&stream) {
            let failure = Failure::Cancelled { signal: 0 };
            return reporter.report(ConnEvent::Failed { failure });
        }
        let connected =
            Connected { conn, stream, secure, stop, reporter: reporter.clone(), limits };
        worker.send(Mail::Connected(Box::new(connected)));
        reporter.report(ConnEvent::Opened { peer, took });
    }
}

/// Stack of a connecting thread: the handshake's certificate checks are the deepest it goes.
const STACK: usize = 512 * 1024;
