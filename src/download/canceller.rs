//! What stops a download from another thread.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use crate::engine::{Inbox, Message};

/// Stops a running download from another thread; cheap to clone.
#[derive(Clone)]
pub struct Canceller {
    inbox: Inbox<Message>,
    signal: Arc<OnceLock<i32>>,
}

impl Canceller {
    pub(super) fn new(inbox: Inbox<Message>, signal: Arc<OnceLock<i32>>) -> Self {
        Self { inbox, signal }
    }

    /// Stops the download; it fails with [`ErrorKind::Cancelled`] holding `signal` (0 when there
    /// was none). May be called at any time and more than once.
    pub fn cancel(&self, signal: i32) {
        let signal = *self.signal.get_or_init(|| signal);
        // Nobody listens when the download is over, and that is as good.
        self.inbox.send(Message::Cancel(signal));
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canceller")
    }
}
