//! How an attempt begins: whether the connection was alive to take it, and how long the head of its
//! answer may take. Pure, time is an argument.

use std::time::Duration;

use super::watch::Pulse;
use crate::{
    http,
    orders::{Failure, Phase},
};

/// An attempt up to the head of its answer.
#[derive(Debug)]
pub(super) struct Start {
    /// The connection has served an answer before.
    reused: bool,
    limit: Duration,
    sent: Duration,
    until: Duration,
    pulse: Pulse,
    first_byte: Option<Duration>,
}

impl Start {
    /// An attempt that begins `now`; its answer's head is to be complete `limit` after the request.
    pub(super) fn new(reused: bool, limit: Duration, now: Duration) -> Self {
        Self {
            reused,
            limit,
            sent: now,
            until: now + limit,
            pulse: Pulse::new(now),
            first_byte: None,
        }
    }

    /// The request is sent. The whole head is under one deadline from here: a drip of octets does
    /// not extend it.
    pub(super) fn sent(&mut self, now: Duration) {
        self.sent = now;
        self.until = now + self.limit;
        self.pulse = Pulse::new(now);
    }

    /// Octets of an answer are there.
    pub(super) fn came(&mut self, now: Duration) {
        self.first_byte.get_or_insert_with(|| now.saturating_sub(self.sent));
    }

    /// From the request's last octet to the answer's first.
    pub(super) fn first_byte(&self) -> Option<Duration> {
        self.first_byte
    }

    /// It is this late, and the head is not complete.
    ///
    /// # Errors
    /// It takes too long.
    pub(super) fn waited(&mut self, now: Duration) -> Result<(), Failure> {
        self.until += self.pulse.missed(now);
        if now < self.until {
            return Ok(());
        }
        Err(Failure::Timeout { phase: Phase::Head, limit: self.limit })
    }

    /// What it means that the connection broke. Before the first octet of an answer, a kept-alive
    /// one that turns out dead has not failed (RFC 9112 section 9.3.1).
    pub(super) fn broke(&self, errno: i32) -> Failure {
        match self.first_byte {
            None if self.reused => Failure::Stale,
            _ => Failure::Receive { errno },
        }
    }

    /// What it means that the peer closed the connection.
    pub(super) fn closed(&self) -> Failure {
        match self.first_byte {
            Some(_) => http::Error::Truncated.into(),
            None => self.broke(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_a_reused_connection_is_stale_and_only_before_the_first_octet() {
        let truncated = Failure::from(http::Error::Truncated);
        for (reused, came, broke, closed) in [
            (false, false, Failure::Receive { errno: 104 }, Failure::Receive { errno: 0 }),
            (false, true, Failure::Receive { errno: 104 }, truncated.clone()),
            (true, false, Failure::Stale, Failure::Stale),
            (true, true, Failure::Receive { errno: 104 }, truncated),
        ] {
            let mut start = Start::new(reused, SECOND, SECOND);
            if came {
                start.came(SECOND);
            }
            assert_eq!(start.broke(104), broke, "reused {reused}, came {came}");
            assert_eq!(start.closed(), closed, "reused {reused}, came {came}");
        }
    }

    #[test]
    fn a_head_has_one_deadline_from_the_request_on() {
        let mut start = Start::new(false, SECOND * 10, SECOND);
        start.sent(SECOND * 6);
        start.came(SECOND * 9);
        start.came(SECOND * 15);
        assert_eq!(start.first_byte(), Some(SECOND * 3));
        let late = Err(Failure::Timeout { phase: Phase::Head, limit: SECOND * 10 });
        for half in 12..32 {
            assert_eq!(start.waited(SECOND * half / 2), Ok(()));
        }
        assert_eq!(start.waited(SECOND * 16 - Duration::from_nanos(1)), Ok(()));
        assert_eq!(start.waited(SECOND * 16), late);
        // When nobody looked for a minute, nobody knows what the peer did.
        let mut start = Start::new(false, SECOND * 10, SECOND);
        assert_eq!(start.waited(SECOND * 61), Ok(()));
        for half in 122..142 {
            assert_eq!(start.waited(SECOND * half / 2), Ok(()));
        }
        assert_eq!(start.waited(SECOND * 71), late);
    }
}
