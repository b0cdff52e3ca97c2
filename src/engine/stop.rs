//! Stops one connection from another thread, whatever it is doing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::net::{Shutdown, shutdown};

use crate::{
    link::Gate,
    net::{Cancel, Stream},
};

/// Shared by the coordinator and the worker of one connection.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    pub(crate) gate: Arc<Gate>,
    cancel: Cancel,
    /// The worker's: it is closed when the worker lets go of it.
    socket: Mutex<Weak<Stream>>,
}

impl Stop {
    /// Stops the connection: a connect returns, a receive ends. No operation is cancelled from
    /// here; each completes with what it has.
    pub(crate) fn abort(&self) {
        self.gate.abort();
        self.cancel.set();
        if let Some(socket) = lock(&self.socket).upgrade() {
            // A socket that the peer closed already is as stopped as it gets.
            let _ = shutdown(&*socket, Shutdown::Both);
        }
    }

    /// What makes a connect in progress return.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The connection is open: from now on [`Self::abort`] shuts this socket down. False if it was
    /// aborted before.
    pub(super) fn attach(&self, socket: &Arc<Stream>) -> bool {
        *lock(&self.socket) = Arc::downgrade(socket);
        !self.gate.is_aborted()
    }
}

/// A panic elsewhere leaves a plain reference behind, which is as good as ever.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
