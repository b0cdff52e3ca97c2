//! Stops one connection from another thread, whatever it is doing.

use std::{
    os::fd::{BorrowedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::net::{Shutdown, shutdown};

use crate::{link::Gate, net::Cancel};

/// Shared by the coordinator and the worker of one connection.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    pub(crate) gate: Arc<Gate>,
    cancel: Cancel,
    socket: Mutex<Option<RawFd>>,
}

impl Stop {
    /// Stops the connection: a connect returns, a blocked receive ends. No operation is cancelled
    /// from here; each completes with what it has (tokio-uring cannot cancel, and a blocked system
    /// call need not be).
    pub(crate) fn abort(&self) {
        self.gate.abort();
        self.cancel.set();
        if let Some(fd) = *lock(&self.socket) {
            // SAFETY: the worker takes the descriptor out of this mutex before it closes the
            // socket, and the mutex is held: the descriptor is open and is that socket.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            // A socket that the peer closed already is as stopped as it gets.
            let _ = shutdown(socket, Shutdown::Both);
        }
    }

    /// What makes a connect in progress return.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The connection is open: from now on [`Self::abort`] shuts this socket down. False if it was
    /// aborted before.
    pub(crate) fn attach(&self, socket: RawFd) -> bool {
        *lock(&self.socket) = Some(socket);
        !self.gate.is_aborted()
    }

    /// The socket is about to be closed.
    pub(crate) fn detach(&self) {
        *lock(&self.socket) = None;
    }
}

/// A panic elsewhere leaves a plain number behind, which is as good as ever.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
