//! Finds the connections that lag so far behind the others that another one had better take over.
//!
//! A connection that needs several times as long for a MiB as the others do, or that has brought a
//! fraction of what they would have, is slow. It is closed: what it received is
//! written first and counts, the rest goes back to the queue, and a new connection, to another
//! address if there is one, takes its place. Nothing is fetched twice.

use std::time::Duration;

use super::{
    Stage, Transfer,
    conn::{Job, Link},
};
use crate::orders::{Conn, Note, OPEN_END};

impl Transfer {
    /// Closes the connections that lag.
    pub(super) fn replace_laggards(&mut self) {
        let laggard = |transfer: &Self| {
            let mut due = transfer.patience();
            due.find(|(_, due)| *due <= transfer.now).map(|(conn, _)| conn)
        };
        while let Some(conn) = laggard(self) {
            self.replaced += 1;
            self.avoid = self.links.get(&conn).and_then(|link| link.peer);
            if let Some(index) = self.links.get(&conn).and_then(|link| link.mirror) {
                self.take_from_mirror(index);
            }
            self.note(Note::Replaced);
            self.close(conn);
        }
    }

    /// When the next connection will have lagged too long.
    pub(super) fn next_laggard(&self) -> Option<Duration> {
        self.patience().map(|(_, due)| due).filter(|due| *due > self.now).min()
    }

    /// Until when each running part may go without a sign of life.
    fn patience(&self) -> impl Iterator<Item = (Conn, Duration)> {
        let most = 2 * self.planned as u64 + (self.work.done_bytes() >> 26);
        let typical = self.typical().filter(|_| {
            self.stage == Stage::Moving && self.policy.retries > 0 && self.replaced < most
        });
        let spare = !self.work.has_due(self.now) && self.links.values().any(Link::is_idle);
        let lag = if spare { LAG_AT_THE_END } else { LAG };
        let trip = self.links.values().filter_map(|link| link.pace.round_trip()).max();
        let trips = trip.unwrap_or_default().saturating_mul(4).saturating_add(LEAST);
        self.parts().filter_map(move |(conn, job)| {
            let typical = typical?;
            let time = |bytes| nanos(bytes, typical);
            // Too long for the next stride, or too little for the time so far.
            let stride = STRIDE.min(job.owes().saturating_add(job.brought() % STRIDE));
            let stride = time(stride).saturating_mul(lag).saturating_add(trips);
            let on_average = time(job.brought())
                .saturating_mul(lag)
                .max(time(STRIDE / 2).max(ENOUGH_TO_TELL))
                .saturating_add(trips);
            let mut due = job.strode.saturating_add(stride);
            if job.brought() > 0 {
                due = due.min(job.sent.saturating_add(on_average));
            }
            // The others must have gone on meanwhile, or it is the path that stands still.
            let half = due.saturating_sub(due.saturating_sub(job.sent.max(job.strode)) / 2);
            let others = self.links.iter().filter(|(other, _)| **other != conn);
            let (mut all, mut alive) = (0, 0);
            for (_, other) in others {
                all += usize::from(other.is_idle() || other.is_busy());
                let moved = other.job().is_some_and(|job| job.is_part() && job.moved >= half);
                alive += usize::from(other.is_idle() || moved);
            }
            let lively = all >= 2 && 2 * alive > all;
            lively.then_some((conn, due))
        })
    }

    /// The rate of the connection in the middle, if at least three were measured.
    pub(super) fn typical(&self) -> Option<u64> {
        let mut rates: Vec<u64> = self.links.values().filter_map(|l| l.pace.rate()).collect();
        rates.sort_unstable();
        if rates.len() < 3 { None } else { rates.get(rates.len() / 2).copied() }
    }

    /// Bytes per second of a running job, as far as it can be told.
    pub(super) fn rate_of(&self, conn: Conn, job: &Job) -> Option<u64> {
        let since = |time: Duration| time.saturating_sub(job.sent).as_nanos();
        let rate = |bytes: u64, nanos: u128| {
            u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos.max(1)).unwrap_or(u64::MAX)
        };
        // Less than a stride has come since the last sign.
        let most = rate(job.brought().saturating_add(STRIDE), since(self.now));
        let seen = (job.brought() > 0).then(|| rate(job.brought(), since(job.moved)));
        let known = seen.or_else(|| self.links.get(&conn).and_then(|link| link.pace.rate()));
        Some(known.or_else(|| self.typical())?.min(most).max(1))
    }

    /// How long a job will still take.
    pub(super) fn time_left(&self, conn: Conn, job: &Job) -> Duration {
        match self.rate_of(conn, job) {
            Some(rate) if job.span.end != OPEN_END => nanos(job.owes(), rate),
            // Nothing is known: the longer the later.
            _ => Duration::from_nanos(job.owes()),
        }
    }
}

/// The time that `bytes` take.
fn nanos(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// By how much progress is measured; a worker tells of it at least as often.
pub(super) const STRIDE: u64 = 1 << 20;

/// How many times as long as the others a connection may take for it.
const LAG: u32 = 8;

/// The same when nothing is left to lease and another connection has nothing to do: what the
/// laggard still owes comes sooner from there.
const LAG_AT_THE_END: u32 = 4;

/// Nobody is too slow before this.
const LEAST: Duration = Duration::from_millis(200);

/// No average is believed before this, nor before the others bring half a stride.
const ENOUGH_TO_TELL: Duration = Duration::from_millis(500);
