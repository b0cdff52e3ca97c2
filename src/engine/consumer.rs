//! Who takes the bytes of a stream, on a thread of its own: a slow one delays nothing but itself.

use std::{
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, bounded};

use super::{
    feed::Feed,
    inbox::Inbox,
    message::{Alarm, Message},
};
use crate::{files::descriptor::Descriptor, orders::Failure, stream::Next};

/// Takes a stream from its first byte to its last.
pub(crate) trait Consumer: Send {
    /// Takes everything, up to [`Next::End`], and makes of it what it should be. Returns what that
    /// is called, if it has a name. What comes before the end is not proven yet.
    ///
    /// # Errors
    /// What the feed says, or what is wrong at this end: then the transfer ends with that.
    fn consume(self: Box<Self>, feed: &mut Feed) -> Result<Option<PathBuf>, Failure>;

    /// Whether it has something on disk that goes with it, unless that is published.
    fn is_staged(&self) -> bool {
        false
    }
}

/// A consumer at work.
pub(crate) struct Running(Receiver<()>);

impl Running {
    /// Starts the thread. What comes of it is reported as
    /// [`Stored::Over`](super::message::Stored::Over).
    ///
    /// # Errors
    /// The system has none.
    pub(crate) fn start(
        mut feed: Feed,
        consumer: Box<dyn Consumer>,
        reports: &Inbox<Message>,
    ) -> io::Result<Self> {
        let (done, over) = bounded::<()>(0);
        let alarm = Alarm(reports.clone());
        thread::Builder::new().name("uget-out".to_owned()).spawn(move || {
            let (_alarm, _done) = (alarm, done);
            let result = consumer.consume(&mut feed);
            feed.over(result);
        })?;
        Ok(Self(over))
    }

    /// Waits until it is done, at most so long.
    pub(crate) fn wait(&self, patience: Duration) {
        // Nothing is ever sent; the other end goes when the thread is over.
        let _ = self.0.recv_timeout(patience);
    }
}

impl Consumer for Descriptor {
    fn consume(self: Box<Self>, feed: &mut Feed) -> Result<Option<PathBuf>, Failure> {
        let mut deserted = None;
        loop {
            match feed.next(LOOK)? {
                Next::Bytes => {
                    let count = self.write(feed.piece())?;
                    feed.consume(count);
                }
                Next::End => return Ok(None),
                // A reader may leave with the last byte, before it is known here that it was the
                // last, so it must be gone for a while.
                Next::Quiet if self.is_deserted() => {
                    let since = *deserted.get_or_insert_with(Instant::now);
                    if since.elapsed() >= GRACE {
                        return Err(self.deserted());
                    }
                }
                Next::Quiet | Next::Broken => deserted = None,
            }
        }
    }
}

/// How often a reader is looked after while nothing comes.
const LOOK: Duration = Duration::from_millis(200);

/// How long a reader may be gone.
const GRACE: Duration = Duration::from_millis(300);
