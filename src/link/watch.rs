//! When a silent peer is given up: pure, time is an argument.

use std::time::Duration;

/// Watches that a body makes progress while we are reading. In every window of `limit` at least
/// [`RATE_MIN`] bytes a second must arrive; a drip below that is a stall too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    limit: Duration,
    since: Duration,
    bytes: u64,
    pulse: Pulse,
}

/// Bytes a second below which a peer counts as stalled (a 300 baud modem was as fast).
const RATE_MIN: u64 = 32;

impl Watch {
    /// A watch that starts `now`.
    pub(crate) fn new(limit: Duration, now: Duration) -> Self {
        Self { limit, since: now, bytes: 0, pulse: Pulse::new(now) }
    }

    /// `bytes` arrived.
    pub(crate) fn received(&mut self, now: Duration, bytes: usize) {
        self.since += self.pulse.missed(now);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes >= self.limit.as_secs().saturating_mul(RATE_MIN).max(1) {
            self.since = now;
            self.bytes = 0;
        }
    }

    /// We were busy with our own disk for `pause`, until `now`: that is not the peer's fault.
    pub(crate) fn paused(&mut self, now: Duration, pause: Duration) {
        self.since += pause;
        self.pulse = Pulse::new(now);
    }

    /// Whether the peer has stalled as of `now`.
    pub(crate) fn is_over(&mut self, now: Duration) -> bool {
        self.since += self.pulse.missed(now);
        now >= self.deadline()
    }

    fn deadline(&self) -> Duration {
        self.since + self.limit
    }
}

/// Notices that the clock was not looked at for longer than any wait: then it was this process
/// that stood still (SIGSTOP, a frozen container, a machine that is out of breath), and what the
/// peer did meanwhile is not known yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse {
    last: Duration,
}

impl Pulse {
    /// The clock is looked at.
    pub(crate) fn new(now: Duration) -> Self {
        Self { last: now }
    }

    /// The clock is looked at: how long this process stood still before.
    pub(crate) fn missed(&mut self, now: Duration) -> Duration {
        let gap = now.saturating_sub(self.last);
        self.last = now;
        if gap > LATE { gap } else { Duration::ZERO }
    }
}

/// A wait ends more often than this, if it is let run.
const LATE: Duration = Duration::from_millis(700);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const START: Duration = Duration::from_secs(1000);

    /// Looks at the clock as often as one does, until the peer is given up.
    fn given_up(watch: &mut Watch, from: Duration) -> Duration {
        let step = Duration::from_millis(100);
        let mut now = from;
        while !watch.is_over(now) {
            now += step;
            assert!(now < START * 2, "it never ends");
        }
        now
    }

    #[test]
    fn progress_moves_the_deadline_and_a_drip_does_not() {
        let mut watch = Watch::new(SECOND * 10, START);
        watch.received(START, 319);
        assert_eq!(watch.deadline(), START + SECOND * 10);
        watch.received(START + LATE, 1);
        assert_eq!(watch.deadline(), START + LATE + SECOND * 10);
        watch.received(START + LATE, 319);
        assert_eq!(given_up(&mut watch, START + LATE), START + LATE + SECOND * 10);
    }

    #[test]
    fn under_a_short_limit_any_octet_is_progress() {
        let mut watch = Watch::new(SECOND / 2, START);
        watch.received(START + SECOND / 4, 1);
        assert_eq!(watch.deadline(), START + SECOND * 3 / 4);
        watch.received(START + SECOND / 2, 0);
        assert_eq!(watch.deadline(), START + SECOND * 3 / 4);
    }

    #[test]
    fn our_own_disk_is_not_the_peers_fault() {
        let mut watch = Watch::new(SECOND, START);
        watch.paused(START + SECOND * 5, SECOND * 5);
        assert_eq!(given_up(&mut watch, START + SECOND * 5), START + SECOND * 6);
    }

    #[test]
    fn a_standstill_of_our_own_is_not_the_peers_fault() {
        let mut watch = Watch::new(SECOND * 10, START);
        assert!(!watch.is_over(START + LATE));
        // Whether it was longer than the limit, a little longer, or shorter.
        for still in [60, 11, 10, 9, 1] {
            let mut watch = watch;
            let awake = START + LATE + SECOND * still;
            assert!(!watch.is_over(awake), "nobody looked for {still} s");
            assert_eq!(given_up(&mut watch, awake), START + SECOND * (10 + still), "{still}");
        }
        let mut pulse = Pulse::new(START);
        assert_eq!(pulse.missed(START + LATE), Duration::ZERO);
        assert_eq!(pulse.missed(START + LATE), Duration::ZERO);
        assert_eq!(pulse.missed(START + LATE + SECOND), SECOND);
    }
}
