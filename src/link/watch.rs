//! When a silent peer is given up: pure, time is an argument.

use std::time::Duration;

/// Watches that a body makes progress while we are reading. In every window of `limit` at least
/// [`RATE_MIN`] bytes a second must arrive; a drip below that is a stall too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    limit: Duration,
    since: Duration,
    bytes: u64,
}

/// Bytes a second below which a peer counts as stalled (a 300 baud modem was as fast).
const RATE_MIN: u64 = 32;

impl Watch {
    /// A watch that starts `now`.
    pub(crate) fn new(limit: Duration, now: Duration) -> Self {
        Self { limit, since: now, bytes: 0 }
    }

    /// `bytes` arrived.
    pub(crate) fn received(&mut self, now: Duration, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes >= self.limit.as_secs().saturating_mul(RATE_MIN).max(1) {
            self.since = now;
            self.bytes = 0;
        }
    }

    /// We were busy with our own disk for `pause`: that is not the peer's fault.
    pub(crate) fn paused(&mut self, pause: Duration) {
        self.since += pause;
    }

    /// Whether the peer has stalled as of `now`. It has not when that is noticed so late that it
    /// was this process that stood still: then it gets a second chance.
    pub(crate) fn is_over(&mut self, now: Duration) -> bool {
        let deadline = self.deadline();
        match excuse(deadline, now) {
            Some(later) => {
                self.since += later.saturating_sub(deadline);
                false
            }
            None => now >= deadline,
        }
    }

    fn deadline(&self) -> Duration {
        self.since + self.limit
    }
}

/// A later deadline in place of one that passed long before anybody could look: then it was this
/// process that stood still (SIGSTOP, a frozen container, a machine that is out of breath), and
/// what the peer did meanwhile is not known yet.
pub(crate) fn excuse(deadline: Duration, now: Duration) -> Option<Duration> {
    (now.saturating_sub(deadline) > LATE).then(|| now + GRACE)
}

/// Whoever waits looks at the clock more often than this, if it is let run.
const LATE: Duration = Duration::from_millis(500);

/// What the peer gets after such a standstill.
const GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn progress_moves_the_deadline_and_a_drip_does_not() {
        let start = Duration::from_secs(1000);
        let mut watch = Watch::new(SECOND * 10, start);
        watch.received(start + SECOND, 319);
        assert_eq!(watch.deadline(), start + SECOND * 10);
        watch.received(start + SECOND * 2, 1);
        assert_eq!(watch.deadline(), start + SECOND * 12);
    }

    #[test]
    fn our_own_disk_is_not_the_peers_fault() {
        let start = Duration::from_secs(1000);
        let mut watch = Watch::new(SECOND, start);
        watch.paused(SECOND * 5);
        assert_eq!(watch.deadline(), start + SECOND * 6);
    }

    #[test]
    fn a_standstill_of_our_own_is_not_the_peers_fault() {
        let start = Duration::from_secs(1000);
        let mut watch = Watch::new(SECOND, start);
        assert!(!watch.is_over(start));
        assert!(watch.is_over(start + SECOND + LATE));
        assert!(!watch.is_over(start + SECOND * 60), "nobody looked for a minute");
        assert!(!watch.is_over(start + SECOND * 60 + GRACE / 2));
        assert!(watch.is_over(start + SECOND * 60 + GRACE));
        let deadline = Duration::from_secs(1000);
        assert_eq!(excuse(deadline, deadline), None);
        assert_eq!(excuse(deadline, deadline + LATE), None);
        assert_eq!(excuse(deadline + SECOND, deadline), None);
        assert_eq!(excuse(deadline, deadline + SECOND * 3), Some(deadline + SECOND * 3 + GRACE));
    }
}
