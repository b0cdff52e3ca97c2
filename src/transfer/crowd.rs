//! How many connections the server takes: fewer when it says so, then slowly more again.

use std::time::Duration;

/// The ceiling on connections that the server's own behaviour sets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crowd {
    ceiling: Option<usize>,
    due: Option<Duration>,
    wait: Duration,
    lowered: Duration,
    /// The same where connections were turned away; what is below is courtesy.
    turned_away: Option<usize>,
    /// The most that were served at once.
    served: usize,
}

impl Crowd {
    /// The most connections that it takes.
    pub(super) fn limit(&self) -> usize {
        self.ceiling.unwrap_or(usize::MAX)
    }

    /// The most connections that may be there when a part was refused and its wait is over.
    pub(super) fn limit_for_refused(&self) -> usize {
        self.turned_away.unwrap_or(usize::MAX)
    }

    /// So many are served at once.
    pub(super) fn serves(&mut self, connections: usize) {
        self.served = self.served.max(connections);
    }

    /// Whether a connection beside so many others is more than were ever served at once.
    pub(super) fn is_beyond(&self, others: usize) -> bool {
        others > 0 && others >= self.served
    }

    /// It wants more time, and should get fewer connections: half of `busy`.
    pub(super) fn spare(&mut self, now: Duration, busy: usize) -> bool {
        let turned_away = self.turned_away;
        let news = self.lower(now, busy.div_ceil(2), None);
        self.turned_away = turned_away;
        news
    }

    /// It does not take more than `to`. One more is tried after a while, or when it says (`after`);
    /// every refusal doubles the while. Returns whether that is news.
    pub(super) fn lower(&mut self, now: Duration, to: usize, after: Option<Duration>) -> bool {
        let to = to.max(1);
        self.wait = if self.wait.is_zero() { FIRST } else { (self.wait * 2).min(LONGEST) };
        let wait = self.wait.max(after.unwrap_or_default());
        self.due = Some(now.saturating_add(wait));
        self.lowered = now;
        let news = to < self.limit();
        self.ceiling = Some(to.min(self.limit()));
        self.turned_away = Some(to.min(self.limit_for_refused()));
        news
    }

    /// When the ceiling was lowered last: what was sent before knew nothing of it.
    pub(super) fn lowered(&self) -> Duration {
        self.lowered
    }

    /// When one more connection is tried.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.due
    }

    /// Tries one more, if it is time. `wanted` is where the ceiling is lifted for good.
    pub(super) fn handle_timeout(&mut self, now: Duration, wanted: usize) {
        let (Some(ceiling), Some(due)) = (self.ceiling, self.due) else { return };
        if due > now {
            return;
        }
        let raised = ceiling.saturating_add(1);
        if raised >= wanted {
            (self.ceiling, self.turned_away, self.due) = (None, None, None);
        } else {
            self.ceiling = Some(raised);
            self.turned_away = self.turned_away.map(|most| most.max(raised));
            self.due = Some(now.saturating_add(self.wait));
        }
    }
}

/// The first wait before one more connection is tried.
const FIRST: Duration = Duration::from_secs(5);

/// The longest such wait.
const LONGEST: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_served_at_once_is_not_too_much() {
        let mut crowd = Crowd::default();
        assert!(!crowd.is_beyond(0), "the only one is never one too many");
        crowd.serves(1);
        assert!(crowd.is_beyond(1));
        crowd.serves(3);
        crowd.serves(2);
        assert!(!crowd.is_beyond(2));
        assert!(crowd.is_beyond(3));
    }

    #[test]
    fn courtesy_does_not_keep_a_refused_part_waiting() {
        let mut crowd = Crowd::default();
        assert!(crowd.spare(Duration::ZERO, 8));
        assert_eq!((crowd.limit(), crowd.limit_for_refused()), (4, usize::MAX));
        assert!(crowd.lower(Duration::ZERO, 3, None));
        assert_eq!(crowd.limit_for_refused(), 3, "one was turned away");
        assert!(crowd.spare(Duration::ZERO, 3));
        assert_eq!((crowd.limit(), crowd.limit_for_refused()), (2, 3), "the others were not");
    }

    #[test]
    fn it_falls_at_once_and_rises_one_by_one() {
        let mut crowd = Crowd::default();
        assert_eq!(crowd.limit(), usize::MAX);
        assert!(crowd.lower(Duration::ZERO, 4, None));
        assert!(!crowd.lower(Duration::ZERO, 5, None), "never raised by a refusal");
        assert_eq!(crowd.limit(), 4);
        crowd.handle_timeout(Duration::from_secs(9), 8);
        assert_eq!(crowd.limit(), 4, "two refusals: ten seconds");
        for (now, limit) in [(10, 5), (20, 6), (30, 7), (40, usize::MAX)] {
            assert_eq!(crowd.next_timeout(), Some(Duration::from_secs(now)));
            crowd.handle_timeout(Duration::from_secs(now), 8);
            assert_eq!(crowd.limit(), limit);
        }
        assert_eq!(crowd.next_timeout(), None);
    }
}
