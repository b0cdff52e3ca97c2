//! What a failure leads to: another attempt, fewer connections, a fresh start, or the end.

use std::{ops::Range, time::Duration};

use super::{
    Stage, Store, Transfer,
    conn::{Job, Link, Role},
    edition::{self, Resolved},
    place::Pause,
    probe::{Question, Version},
    retry::Charge,
    work::Blame,
};
use crate::http::{field::RetryAfter, redirect::Origin};
use crate::orders::{Attempt, Failure, Note, Patience, Phase, Verdict};

/// A failed attempt, at a request or at a connection.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) failure: Failure,
    /// Which place lost it, and where that is.
    pub(super) place: usize,
    pub(super) origin: Option<Origin>,
    /// What was asked for, if that was leased.
    pub(super) range: Option<Range<u64>>,
    /// The first byte that did not come.
    pub(super) at: u64,
    pub(super) brought: u64,
    pub(super) blame: Blame,
    pub(super) sent: Duration,
    /// How many others were served there when it was sent.
    pub(super) beside: usize,
    /// The request, if one was sent.
    pub(super) attempt: Option<Attempt>,
    pub(super) part: bool,
    /// The connection has never brought an answer.
    pub(super) unproven: bool,
}

impl Lost {
    /// A request that failed.
    pub(super) fn of(link: &Link, job: &Job, failure: Failure, unproven: bool) -> Self {
        Self {
            failure,
            place: job.place,
            origin: link.origin.clone(),
            range: job.leased.then(|| job.span.clone()),
            at: job.at,
            brought: job.brought(),
            blame: job.blame,
            sent: job.sent,
            beside: job.beside,
            attempt: Some(job.attempt),
            part: job.is_part() || job.role == Role::Check,
            unproven,
        }
    }

    /// What it was leased and did not bring.
    pub(super) fn owed(&self) -> Option<Range<u64>> {
        let range = self.range.as_ref()?;
        (self.at < range.end).then_some(self.at..range.end)
    }

    /// A connection that could not be opened.
    pub(super) fn unopened(link: &Link, failure: Failure) -> Self {
        Self {
            failure,
            place: link.place,
            origin: link.origin.clone(),
            range: None,
            at: 0,
            brought: 0,
            blame: Blame::default(),
            sent: link.since,
            beside: 0,
            attempt: None,
            part: false,
            unproven: true,
        }
    }
}

impl Transfer {
    /// Decides what follows from a failed attempt. What it did not bring is free again already.
    pub(super) fn lost(&mut self, mut lost: Lost) {
        if matches!(self.stage, Stage::Draining | Stage::Failing | Stage::Over) {
            return;
        }
        self.obey(&mut lost);
        if lost.failure == Failure::Stale {
            self.close_idle(lost.place);
        }
        let lost = if lost.place == self.places.lead {
            lost
        } else if let Some(lost) = self.place_lost(lost) {
            lost
        } else {
            return;
        };
        let verdict = self.verdict(&lost.failure);
        let owed = lost.range.as_ref().is_none_or(|range| lost.at < range.end);
        let confirming =
            self.edition.object.is_none() && matches!(self.edition.question, Question::Confirm(_));
        let late = self.edition.work.is_complete() && !confirming || !owed;
        if verdict != Verdict::Fatal && late {
            // A late error: the bytes were all there before it.
            return;
        }
        match verdict {
            Verdict::Fatal if self.may_resolve_again(&lost) => self.resolve_again(Some(&lost)),
            Verdict::Fatal => self.give_up(lost),
            Verdict::Restart if self.may_restart() => self.restart(),
            Verdict::Restart => self.give_up(lost),
            Verdict::RetryFree if self.is_excused(&lost) => self.excuse(&lost),
            Verdict::RetryFree | Verdict::Retry | Verdict::RetryLater { .. }
                if self.is_surplus(&lost) =>
            {
                let after = match verdict {
                    Verdict::RetryLater { after } => after.and_then(|after| self.wait_of(after)),
                    _ => None,
                };
                self.fewer(lost.place, after);
                self.turned_away(lost, after);
            }
            Verdict::RetryFree | Verdict::Retry => self.again(lost, Duration::ZERO),
            Verdict::RetryLater { after } => self.later(lost, after),
            Verdict::RetryFew => self.lied_to(lost),
        }
    }

    /// Whatever the answer was, the wait that it asks for is of its origin, and of every connection
    /// to that (contract 14). A wait that is too long is a failure at its first sight.
    fn obey(&mut self, lost: &mut Lost) {
        let Failure::Status { status, retry_after, .. } = &mut lost.failure else { return };
        let (status, after) = (*status, *retry_after);
        let Some(after) = after else { return };
        let wait = self.wait_of(after);
        *retry_after = wait.map(|wait| RetryAfter::Seconds(wait.as_secs()));
        let Some(wait) = wait else { return };
        let limit = self.too_long(wait);
        let later = matches!(self.verdict(&lost.failure), Verdict::RetryLater { .. });
        let why = match limit {
            Some(limit) => Failure::Patience { status, asked: wait, limit },
            None => lost.failure.clone(),
        };
        self.hold(lost.origin.clone(), wait, &why);
        if limit.is_some() && later && self.policy.retries > 0 {
            lost.failure = why;
        }
    }

    /// What the place that leads says of it, or another one with the same origin, if that is that
    /// nothing may be asked of it for longer than is waited.
    pub(super) fn hopeless(&self) -> Option<Failure> {
        let pause = self.waits(self.places.lead)?;
        Some(pause.why.clone()).filter(|why| matches!(why, Failure::Patience { .. }))
    }

    /// Another place takes the lead, or that was all.
    pub(super) fn despair(&mut self, failure: Failure) {
        if !self.stand_in(&failure) {
            return self.fail(failure, None, 0);
        }
        // It may be one of the same origin.
        match self.stage {
            Stage::Asking => self.ask(),
            Stage::Moving => self.lease(),
            _ => {}
        }
    }

    /// What is too short for a wait.
    fn too_long(&self, wait: Duration) -> Option<Patience> {
        if self.deadline().is_some_and(|end| self.now.saturating_add(wait) > end) {
            Some(Patience::Transfer)
        } else if self.budget.in_time(self.now, wait).is_none() {
            Some(Patience::Retries)
        } else {
            (wait > self.policy.retry_after_max).then_some(Patience::Wait)
        }
    }

    /// Once, when the user allows it; and once when it is what an earlier run left that is of
    /// another version: a stale part file is no failure, least of all one that repeats for ever.
    fn may_restart(&self) -> bool {
        let stale_part = self.edition.object.is_none() && self.edition.held.is_some();
        let emitted = self.counts.consumed > 0;
        !self.restarted && !emitted && (self.policy.restart_on_change || stale_part)
    }

    pub(super) fn verdict(&self, failure: &Failure) -> Verdict {
        match failure.verdict() {
            // What must not be asked before a time that is too late is not asked again.
            verdict if matches!(failure, Failure::Patience { .. }) => verdict,
            Verdict::Fatal if self.policy.retry_all && failure.is_remote() => Verdict::Retry,
            verdict => verdict,
        }
    }

    /// A kept-alive connection that was dead already is no failure; but a span is excused once,
    /// or one that is never served would find them all dead.
    fn is_excused(&self, lost: &Lost) -> bool {
        let once = lost.range.is_none() || self.policy.retries == 0 || !lost.blame.excused;
        once && self.budget.may_excuse()
    }

    /// One connection was dead when it was needed. Others that have had nothing to do meanwhile, as
    /// when the consumer of a stream stood still, are as dead: the span is not to try them all.
    fn close_idle(&mut self, place: usize) {
        self.close_which(|link| link.is_idle() && link.place == place);
    }

    fn excuse(&mut self, lost: &Lost) {
        self.budget.excuse();
        if let Some(owed) = lost.owed() {
            self.edition.work.blame(owed, Blame { excused: true, ..lost.blame });
        }
    }

    /// Was it the part or the connection? That will show when it is asked for on a connection that
    /// is not too many. It waits as any part that was refused, and its refusal counts.
    fn turned_away(&mut self, lost: Lost, after: Option<Duration>) {
        let Some(owed) = lost.owed() else { return };
        let delay = self.budget.delay(1).max(after.unwrap_or_default());
        let due = self.now.saturating_add(delay);
        self.edition.work.blame(owed, Blame { failures: 1, due, extra: true, ..lost.blame });
    }

    /// A connection beyond those that the server ever served at once: the others go on, so nothing
    /// failed. With no retries allowed every failure counts, and so does one more failure of a part
    /// that failed otherwise.
    pub(super) fn is_surplus(&self, lost: &Lost) -> bool {
        let refusal = match &lost.failure {
            Failure::Connect { .. } | Failure::Receive { .. } | Failure::Stale => true,
            Failure::Timeout { phase, .. } => matches!(phase, Phase::Connect | Phase::Head),
            Failure::Status { status, .. } => matches!(status, 429 | 503),
            Failure::ShortBody { .. } => lost.brought == 0,
            _ => false,
        };
        // One that is not answered was too many when it was sent; the others may be done by now.
        let silent = matches!(lost.failure, Failure::Timeout { phase: Phase::Head, .. });
        let then = if silent { lost.beside } else { 0 };
        let others = self.links.proven(lost.place).max(then);
        let beyond = self.places.at(lost.place).is_some_and(|of| of.crowd.is_beyond(others));
        self.stage == Stage::Moving
            && self.policy.retries > 0
            && lost.unproven
            && lost.brought == 0
            && lost.blame.failures == 0
            && refusal
            && beyond
    }

    /// A place takes no more connections than there are now.
    pub(super) fn fewer(&mut self, place: usize, after: Option<Duration>) {
        let used = |link: &Link| link.proven || !link.is_idle();
        let alive = |link: &Link| link.place == place && used(link) && !link.is_closing();
        let (now, alive) = (self.now, self.links.count(alive));
        let Some(of) = self.places.at_mut(place) else { return };
        if of.crowd.lower(now, alive, after) {
            let limit = of.crowd.limit();
            self.note(Note::FewerConnections(limit));
        }
    }

    /// 429, 503 and the like: not before the server said, or with fewer connections.
    fn later(&mut self, lost: Lost, after: Option<RetryAfter>) {
        let after = after.and_then(|after| self.wait_of(after));
        let (now, place) = (self.now, lost.place);
        let busy = self.links.count(|link| link.place == place && link.is_busy());
        if after.is_none()
            && self.policy_parallel()
            && let Some(of) = self.places.at_mut(place)
            && lost.sent >= of.crowd.lowered()
            && of.crowd.spare(now, busy)
        {
            let limit = of.crowd.limit();
            self.note(Note::FewerConnections(limit));
        }
        self.again(lost, after.unwrap_or_default());
    }

    /// Lies and garbage: the next replica may know better, but not the fourth.
    fn lied_to(&mut self, mut lost: Lost) {
        let lies = if lost.range.is_some() {
            lost.blame.lies = lost.blame.lies.saturating_add(1);
            lost.blame.lies
        } else {
            self.edition.lies = self.edition.lies.saturating_add(1);
            self.edition.lies
        };
        if lies >= LIES_MAX {
            return self.give_up(lost);
        }
        self.again(lost, Duration::ZERO);
    }

    /// Charges the failure, and asks again after a delay of at least `least`.
    fn again(&mut self, lost: Lost, least: Duration) {
        let from_zero = self.edition.object.as_ref().is_some_and(|object| !object.ranged)
            && self.store == Store::Ready
            && !self.can_rejoin();
        if from_zero {
            self.edition.from_zero = self.edition.from_zero.saturating_add(1);
        }
        let failures =
            if lost.brought > 0 && !from_zero { 0 } else { lost.blame.failures.saturating_add(1) };
        let charge = Charge {
            sent: lost.sent,
            brought: if from_zero { 0 } else { lost.brought },
            failures: failures.max(self.edition.from_zero),
        };
        let (total, done) = (self.edition.work.total(), self.edition.work.done_bytes());
        let delay = self.budget.charge(self.now, charge, total, done);
        let row = failures.max(self.budget.streak());
        let hurried = row > SOON && self.may_hurry();
        let Some(delay) = delay.filter(|_| !hurried) else {
            return self.give_up(lost);
        };
        let delay = delay.max(least);
        self.counts.retries += 1;
        self.note(Note::Retrying { failure: lost.failure.clone(), delay, failures: row });
        let until = self.now.saturating_add(delay);
        if let Some(owed) = lost.owed().filter(|_| !delay.is_zero()) {
            let blame = Blame { failures, due: until, extra: false, ..lost.blame };
            self.edition.work.blame(owed, blame);
        }
        let alone = lost.range.is_none() || self.budget.streak() > 0 || !self.policy_parallel();
        if alone && !delay.is_zero() {
            let pause = Pause { until, why: lost.failure };
            let of = self.places.first_mut();
            if of.pause.as_ref().is_none_or(|pause| pause.until < until) {
                of.pause = Some(pause);
            }
        }
    }

    fn policy_parallel(&self) -> bool {
        self.stage == Stage::Moving && self.edition.planned > 1
    }

    fn give_up(&mut self, lost: Lost) {
        if self.stand_in(&lost.failure) {
            return;
        }
        let attempts = lost.blame.failures.saturating_add(1).max(self.budget.streak());
        let range = lost.range.map(|range| lost.at.min(range.end)..range.end);
        self.fail(lost.failure, range, attempts);
    }

    /// A URL after redirects may expire, and a range may be redirected elsewhere: the one that the
    /// user gave is asked again, once, as long as it leads on (HT-10).
    pub(super) fn may_resolve_again(&self, lost: &Lost) -> bool {
        let Failure::Status { status, .. } = lost.failure else { return false };
        let (Some(spot), Some(find), Some(place)) = (
            self.edition.spot(lost.place),
            self.edition.find(lost.place),
            self.places.at(lost.place),
        ) else {
            return false;
        };
        let moved = matches!(status, 301 | 302 | 303 | 307 | 308);
        let expired = matches!(status, 401 | 403 | 404 | 410) && spot.url != place.asked;
        let outdated = lost.attempt.is_some_and(|attempt| find.is_outdated(attempt.0));
        let again = find.may_resolve(self.edition.work.done_bytes());
        lost.part && (moved || expired) && (outdated || again)
    }

    /// Whether the URL of a place said that it would not work any more by now, and the one that the
    /// user gave may.
    pub(super) fn is_expired(&self, place: usize) -> bool {
        let expires = self.edition.spot(place).and_then(|spot| spot.expires);
        let done = self.edition.work.done_bytes();
        expires.is_some_and(|at| at <= self.now)
            && self.edition.find(place).is_some_and(|find| find.may_resolve(done))
    }

    /// Asks the place that leads where the object is now. Requests that failed because of the old
    /// URL meanwhile have done so once for all.
    pub(super) fn resolve_again(&mut self, lost: Option<&Lost>) {
        let lead = self.places.lead;
        let Some(find) = self.edition.find(lead) else { return };
        let attempt = lost.and_then(|lost| lost.attempt);
        let outdated = attempt.is_some_and(|attempt| find.is_outdated(attempt.0));
        if outdated || self.stage != Stage::Moving {
            return;
        }
        let Some(spot) = self.edition.spot(lead) else { return };
        let version = Version::Same(spot.validators.clone());
        let asked = self.places.first().asked.clone();
        let resolved =
            Resolved { attempt: self.links.next_attempt(), done: self.edition.work.done_bytes() };
        if let Some(find) = self.edition.find_mut(lead) {
            find.chain = edition::chain(&self.policy, &asked);
            find.resolved = Some(resolved);
        }
        self.ask_rest(version, false);
        if let Some(lost) = lost {
            self.counts.retries += 1;
            let (failure, delay) = (lost.failure.clone(), Duration::ZERO);
            self.note(Note::Retrying { failure, delay, failures: 1 });
        }
    }
}

/// Answers in a row that may be lies or garbage, the last of which is final (PG-17).
const LIES_MAX: u32 = 4;

/// Failures in a row after which a place that was not asked yet is tried before this one again.
const SOON: u32 = 2;
