//! What stops a download from another thread.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{
    engine::{Inbox, Message},
    error::{Error, outcome},
    orders::Failure,
};

/// Stops a running download from another thread; cheap to clone.
#[derive(Clone)]
pub struct Canceller {
    /// Of what runs now.
    inbox: Arc<Mutex<Inbox<Message>>>,
    signal: Arc<OnceLock<i32>>,
}

impl Canceller {
    pub(super) fn new(inbox: &Inbox<Message>) -> Self {
        Self { inbox: Arc::new(Mutex::new(inbox.clone())), signal: Arc::default() }
    }

    /// The signal, once there was one.
    pub(super) fn signal(&self) -> Arc<OnceLock<i32>> {
        Arc::clone(&self.signal)
    }

    /// From here on it stops what listens to `inbox`.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled): it was used already.
    pub(super) fn turn_to(&self, inbox: &Inbox<Message>) -> Result<(), Error> {
        *self.inbox.lock().unwrap_or_else(PoisonError::into_inner) = inbox.clone();
        match self.signal.get() {
            Some(&signal) => Err(outcome::early(&Failure::Cancelled { signal })),
            None => Ok(()),
        }
    }

    /// Stops the download; it fails with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled)
    /// holding `signal` (0 when there was none). May be called at any time and more than once.
    pub fn cancel(&self, signal: i32) {
        let signal = *self.signal.get_or_init(|| signal);
        // Nobody listens when the download is over, and that is as good.
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.send(Message::Cancel(signal));
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canceller")
    }
}
