//! A stream as a download knows it: its consumer, if that is at work on a thread of its own.

use std::time::Duration;

use crate::{
    engine::{
        Inbox, Message,
        consumer::{Consumer, Running},
        feed::Feed,
        shelf::no_thread,
        tap::Tap,
    },
    error::{Error, outcome},
    orders::StoreOp,
};

/// The stream that a download goes to. Whatever becomes of the download, its consumer is told that
/// no more comes.
pub(super) struct Outgoing {
    tap: Tap,
    running: Option<Running>,
    /// The consumer has something that is to go if it is not published.
    staged: bool,
}

impl Outgoing {
    /// To a consumer that takes it on a thread of its own.
    ///
    /// # Errors
    /// There is no thread.
    pub(super) fn consumed(
        tap: Tap,
        feed: Feed,
        consumer: Box<dyn Consumer>,
        reports: &Inbox<Message>,
    ) -> Result<Self, Error> {
        let staged = consumer.is_staged();
        let running = Running::start(feed, consumer, reports);
        let running = running.map_err(|error| no_thread(StoreOp::Create, &error));
        let running = running.map_err(|failure| outcome::early(&failure))?;
        Ok(Self { tap, running: Some(running), staged })
    }

    /// To the caller, who takes it when it likes.
    pub(super) fn read(tap: Tap) -> Self {
        Self { tap, running: None, staged: false }
    }

    pub(super) fn tap(&self) -> Tap {
        self.tap.clone()
    }

    /// What a consumer has staged goes with it: waits for that, after a signal no longer than there
    /// is time.
    pub(super) fn clear(&self, cancelled: bool) {
        if let Some(running) = self.running.as_ref().filter(|_| self.staged) {
            running.wait(if cancelled { CLEARING } else { Duration::MAX });
        }
    }

    /// The download is over: a consumer may take what is there in order, in so much time.
    pub(super) fn finish(&self, patience: Duration) {
        self.tap.fail();
        if let Some(running) = &self.running {
            running.wait(patience);
            self.tap.close();
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.tap.fail();
    }
}

/// How long what is staged may take to go after a signal, which has a limit of its own.
const CLEARING: Duration = Duration::from_millis(1200);
