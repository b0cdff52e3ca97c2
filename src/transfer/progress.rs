//! What connections report.

use std::ops::Range;

use super::{
    Stage, Transfer,
    conn::{Job, Link, Role, State},
    recover::Lost,
    tail,
};
use crate::orders::{Attempt, Conn, ConnEvent, Ended, Failure, OPEN_END};

impl Transfer {
    /// Returns whether there is nothing to do about it: bytes alone make no difference to who does
    /// what.
    pub(super) fn on_conn(&mut self, conn: Conn, event: ConnEvent) -> bool {
        match event {
            ConnEvent::Opened { peer, took } => {
                if let Some(link) = self.links.get_mut(&conn)
                    && matches!(link.state, State::Opening)
                {
                    link.state = State::Idle;
                    link.peer = peer;
                    link.took = took;
                }
            }
            ConnEvent::Failed { failure } => self.on_failed(conn, failure),
            ConnEvent::Head { attempt, head } => self.on_head(conn, attempt, &head),
            ConnEvent::Shrunk { attempt, end } => self.on_shrunk(conn, attempt, end),
            ConnEvent::Wrote { attempt, range, .. } => return self.on_wrote(conn, attempt, &range),
            ConnEvent::Ended(ended) => self.on_ended(conn, ended),
        }
        false
    }

    /// It could not be opened, or died idle; the latter is no failure.
    fn on_failed(&mut self, conn: Conn, failure: Failure) {
        let Some(link) = self.links.remove(&conn) else { return };
        match &link.state {
            State::Opening => self.lost(Lost::unopened(&link, failure)),
            State::Idle => {}
            // A shell ends the attempt first; if it did not, this is its end.
            State::Busy(job) | State::Closing(job) => {
                let lost = Lost::of(&link, job, failure, !link.proven);
                self.give_back(job);
                if link.is_busy() {
                    self.lost(lost);
                }
            }
        }
    }

    fn on_wrote(&mut self, conn: Conn, attempt: Attempt, range: &Range<u64>) -> bool {
        let Some(link) = self.links.get_mut(&conn) else { return true };
        let news = !std::mem::replace(&mut link.proven, true);
        let place = link.place;
        let Some(job) = link.attempt_mut(attempt) else { return true };
        let inside = range.start == job.at && range.end <= job.span.end && !range.is_empty();
        if !inside || !matches!(job.role, Role::Part | Role::Stream) {
            self.fail(Failure::Internal("bytes were written outside of a lease"), None, 0);
            return false;
        }
        let strides = |job: &Job| job.brought() / tail::STRIDE;
        let before = strides(job);
        job.at = range.end;
        job.moved = self.now;
        if strides(job) > before {
            job.strode = self.now;
        }
        self.edition.work.wrote(range.clone());
        if let Some(find) = self.edition.find_mut(place) {
            find.brought.insert(range.clone());
        }
        if news {
            self.served(place);
        }
        let paused = self.places.at_mut(place).is_some_and(|place| {
            let paused = place.pause.is_some();
            place.brought();
            paused
        });
        self.budget.progress();
        self.edition.ramp.reported();
        let done = self.edition.work.done_bytes();
        if let Some(limit) = self.policy.max_size
            && done > limit
        {
            self.fail(Failure::TooLarge { limit, size: None }, None, 0);
            return false;
        }
        !paused && self.stage == Stage::Moving
    }

    fn on_ended(&mut self, conn: Conn, ended: Ended) {
        let Some(mut link) = self.links.remove(&conn) else { return };
        let closing = link.is_closing();
        let job = match std::mem::replace(&mut link.state, State::Idle) {
            State::Busy(job) | State::Closing(job) if job.attempt == ended.attempt => job,
            state => {
                link.state = state;
                self.links.insert(conn, link);
                return;
            }
        };
        let flowing = ended.busy.saturating_sub(ended.first_byte.unwrap_or_default());
        link.pace.measure(job.brought(), flowing, ended.first_byte);
        self.links.measured();
        let unproven = !link.proven;
        link.proven |= ended.result.is_ok();
        if closing {
            return self.give_back(&job);
        }
        let lost = Lost::of(&link, &job, Failure::Stale, unproven);
        if ended.reusable {
            self.links.insert(conn, link);
        } else {
            self.part_with(&link, &job, ended.result.is_ok());
        }
        self.finish(&job, ended.result, lost);
    }

    /// A connection is gone after a request on it.
    fn part_with(&mut self, link: &Link, job: &Job, well: bool) {
        let Some(place) = self.places.at_mut(link.place) else { return };
        if !well {
            place.avoid = link.peer;
        } else if job.is_part() {
            place.once = link.pace.with_setup(link.took);
        }
    }

    /// Files what a request brought, and what it failed to bring.
    fn finish(&mut self, job: &Job, result: Result<(), Failure>, lost: Lost) {
        let got = job.brought();
        let short = || Failure::ShortBody { range: job.span.clone(), got };
        let failure = match (job.role, result) {
            (Role::Skip, _) => return,
            (Role::Stream, Ok(())) if job.span.end == OPEN_END => {
                return self.edition.work.set_total(job.at);
            }
            (Role::Stream, Ok(())) if job.owes() > 0 => Some(short()),
            // A shorter 206 is legal, and the rest is asked for; one that brings nothing is not.
            (Role::Part, Ok(())) if job.owes() > 0 && got == 0 => Some(short()),
            (Role::Part | Role::Stream, Ok(())) => None,
            (Role::Ask | Role::Scout | Role::Check | Role::Wait, Ok(())) => {
                Some(Failure::Receive { errno: 0 })
            }
            (_, Err(failure)) => Some(failure),
        };
        self.give_back(job);
        if let Some(failure) = failure {
            self.lost(Lost { failure, ..lost });
        }
    }
}
