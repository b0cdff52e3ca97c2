//! A stream whose reader may leave while nothing arrives that could be written to it.

use std::time::Duration;

use crate::{files::sink::Sink, orders::Failure};

/// The stream of one transfer, looked at now and then.
pub(super) struct Outlet {
    sink: Sink,
    /// When it was looked at last.
    looked: Duration,
    /// Since when nobody reads it.
    deserted: Option<Duration>,
}

impl Outlet {
    pub(super) fn new(sink: Sink) -> Self {
        Self { sink, looked: Duration::ZERO, deserted: None }
    }

    /// Why there is no point in going on. A reader may leave with the last byte, right before it is
    /// known here that it was the last, so it must be gone for a while.
    pub(super) fn trouble(&mut self, now: Duration) -> Option<Failure> {
        if now < self.looked + Self::PERIOD {
            return None;
        }
        self.looked = now;
        if self.sink.is_deserted() == Some(true) {
            let since = *self.deserted.get_or_insert(now);
            (now >= since + GRACE).then(|| self.sink.deserted())
        } else {
            self.deserted = None;
            None
        }
    }

    /// How often to look.
    pub(super) const PERIOD: Duration = Duration::from_millis(200);
}

/// How long a reader may be gone.
const GRACE: Duration = Duration::from_millis(300);
