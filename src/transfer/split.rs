//! Divides spans that run: a connection that has nothing to do takes a share of the one that would
//! be finished last.

use std::time::Duration;

use super::{
    Transfer,
    conn::{Job, Role, Shrink},
};
use crate::orders::{Attempt, Command, Conn};

impl Transfer {
    /// Takes a share of the span that would be finished last, for a connection that has nothing to
    /// do: as much as makes both end together.
    pub(super) fn split(&mut self, idle: Conn) {
        let last = self.links.parts().filter(|(conn, _, job)| self.is_splittable(*conn, job));
        let last = last.max_by_key(|(conn, _, job)| self.time_left(*conn, job));
        let Some((conn, _, job)) = last else { return };
        let (attempt, end) = (job.attempt, job.span.end - self.share(conn, job, Some(idle)));
        if let Some(job) = self.links.attempt_mut(conn, attempt) {
            job.shrink = Shrink::Pending;
        }
        self.commands.push_back(Command::Shrink { conn, attempt, end });
    }

    /// Whether a part of a running span is worth a connection of its own: long enough, or so slow
    /// that another connection would be done with it much sooner.
    pub(super) fn is_splittable(&self, conn: Conn, job: &Job) -> bool {
        if job.shrink != Shrink::No || job.role != Role::Part {
            return false;
        }
        let share = self.share(conn, job, None);
        if self.edition.work.is_held_back() {
            let late = self.time_left(conn, job) > LATE;
            return self.is_awaited(job) && late && share >= SHARE_LEAST;
        }
        let slow = share >= SHARE_MIN && self.time_left(conn, job) > SLOW;
        share >= self.policy.min_split.max(1) || slow && self.policy.min_split <= job.owes()
    }

    /// Whether the consumer of a stream has taken, but for little, all that is before a job's
    /// bytes.
    fn is_awaited(&self, job: &Job) -> bool {
        let ahead = job.at.saturating_sub(self.counts.consumed);
        job.at == self.edition.work.frontier()
            && self.policy.window.is_some_and(|window| ahead < window / 8)
    }

    /// The part of what a job owes that another connection should take.
    fn share(&self, conn: Conn, job: &Job, other: Option<Conn>) -> u64 {
        let own = self.rate_of(conn, job);
        let other = other
            .and_then(|other| self.links.get(&other)?.pace.rate())
            .or_else(|| self.links.typical());
        match (own, other) {
            (Some(own), Some(other)) => {
                let part = u128::from(job.owes()) * u128::from(other);
                u64::try_from(part / (u128::from(own) + u128::from(other)).max(1)).unwrap_or(0)
            }
            _ => job.owes() / 2,
        }
    }

    /// The tail of a span was given up: it is free.
    pub(super) fn on_shrunk(&mut self, conn: Conn, attempt: Attempt, end: u64) {
        let Some(job) = self.links.attempt_mut(conn, attempt) else { return };
        if job.at <= end && end < job.span.end {
            let freed = end..job.span.end;
            job.span.end = end;
            job.shrink = Shrink::No;
            self.edition.work.give_back(freed);
        } else {
            job.shrink = Shrink::Refused;
        }
    }
}

/// A span that takes longer is split even if the parts are short.
const SLOW: Duration = Duration::from_secs(3);

/// The span that a consumer waits for is split sooner,
const LATE: Duration = Duration::from_millis(500);

/// and shorter.
const SHARE_LEAST: u64 = 64 << 10;

/// But not shorter than this.
const SHARE_MIN: u64 = 128 << 10;
