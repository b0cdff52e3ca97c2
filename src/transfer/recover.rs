//! What a failure leads to: another attempt, fewer connections, a fresh start, or the end.

use std::{ops::Range, time::Duration};

use super::{
    Resolved, Stage, Store, Transfer,
    conn::{Job, Link, Role, State},
    probe::{Question, Version},
    retry::Charge,
    work::{Blame, Work},
};
use crate::orders::{Attempt, Command, Failure, Note, Phase, StoreOp, Trouble, Verdict};
use crate::range::RangeSet;

/// A failed attempt, at a request or at a connection.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) failure: Failure,
    /// Which mirror lost it.
    mirror: Option<usize>,
    /// What was asked for, if that was leased.
    range: Option<Range<u64>>,
    /// The first byte that did not come.
    at: u64,
    pub(super) brought: u64,
    blame: Blame,
    sent: Duration,
    /// The request, if one was sent.
    attempt: Option<Attempt>,
    part: bool,
    /// The connection has never brought an answer.
    pub(super) unproven: bool,
}

impl Lost {
    /// A request that failed.
    pub(super) fn of(job: &Job, failure: Failure, unproven: bool) -> Self {
        Self {
            failure,
            mirror: job.mirror,
            range: job.leased.then(|| job.span.clone()),
            at: job.at,
            brought: job.brought(),
            blame: job.blame,
            sent: job.sent,
            attempt: Some(job.attempt),
            part: job.is_part(),
            unproven,
        }
    }

    /// A connection that could not be opened.
    pub(super) fn unopened(link: &Link, failure: Failure) -> Self {
        Self {
            failure,
            mirror: link.mirror,
            range: None,
            at: 0,
            brought: 0,
            blame: Blame::default(),
            sent: link.since,
            attempt: None,
            part: false,
            unproven: true,
        }
    }
}

impl Transfer {
    /// Why it fails, as soon as that is known: before it is over, which takes as long as the
    /// slowest of what runs still.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Decides what follows from a failed attempt. What it did not bring is free again already.
    pub(super) fn lost(&mut self, lost: Lost) {
        if matches!(self.stage, Stage::Draining | Stage::Failing | Stage::Over) {
            return;
        }
        let lost = match lost.mirror {
            Some(index) => match self.mirror_lost(index, lost) {
                Some(lost) => lost,
                None => return,
            },
            None => lost,
        };
        let verdict = self.verdict(&lost.failure);
        let owed = lost.range.as_ref().is_none_or(|range| lost.at < range.end);
        let confirming = self.object.is_none() && matches!(self.question, Question::Confirm(_));
        let late = self.work.is_complete() && !confirming || !owed;
        if verdict != Verdict::Fatal && late {
            // A late error: the bytes were all there before it.
            return;
        }
        match verdict {
            Verdict::Fatal if self.may_resolve_again(&lost) => self.resolve_again(Some(&lost)),
            Verdict::Fatal => self.give_up(lost),
            Verdict::Restart if self.may_restart() => self.restart(),
            Verdict::Restart => self.give_up(lost),
            Verdict::RetryFree if self.stale < STALE_MAX => self.stale += 1,
            Verdict::RetryFree | Verdict::Retry if self.is_surplus(&lost) => self.fewer(None),
            Verdict::RetryLater { after } if self.is_surplus(&lost) => self.fewer(after),
            Verdict::RetryFree | Verdict::Retry => self.again(lost, Duration::ZERO),
            Verdict::RetryLater { after } => self.later(lost, after),
            Verdict::RetryFew => self.lied_to(lost),
        }
    }

    /// Once, when the user allows it; and once when it is what an earlier run left that is of
    /// another version: a stale part file is no failure, least of all one that repeats for ever.
    fn may_restart(&self) -> bool {
        let stale_part = self.object.is_none() && self.held.is_some();
        !self.restarted && (self.policy.restart_on_change || stale_part)
    }

    fn verdict(&self, failure: &Failure) -> Verdict {
        match failure.verdict() {
            Verdict::Fatal if self.policy.retry_all && failure.is_remote() => Verdict::Retry,
            verdict => verdict,
        }
    }

    /// A connection beyond those that the server serves: the others go on, so nothing failed. With
    /// no retries allowed every failure counts.
    fn is_surplus(&self, lost: &Lost) -> bool {
        let refusal = match &lost.failure {
            Failure::Connect { .. } | Failure::Receive { .. } | Failure::Stale => true,
            Failure::Timeout { phase, .. } => matches!(phase, Phase::Connect | Phase::Head),
            Failure::Status { status, .. } => matches!(status, 429 | 503),
            Failure::ShortBody { .. } => lost.brought == 0,
            _ => false,
        };
        let others = self.links.values().any(|link| link.proven && link.is_busy());
        self.stage == Stage::Moving
            && self.policy.retries > 0
            && lost.unproven
            && lost.brought == 0
            && refusal
            && others
    }

    /// The server takes no more connections than there are now.
    fn fewer(&mut self, after: Option<u64>) {
        let alive = self.links.values().filter(|l| !l.is_idle() && !l.is_closing()).count();
        let after = after.map(Duration::from_secs);
        if self.crowd.lower(self.now, alive, after) {
            self.note(Note::FewerConnections(self.crowd.limit()));
        }
    }

    /// 429, 503 and the like: fewer connections, and not before the server said.
    fn later(&mut self, lost: Lost, after: Option<u64>) {
        let after = after.map(Duration::from_secs);
        if let Some(delay) = after {
            let over = delay > self.policy.retry_delay_max
                || self.deadline().is_some_and(|end| self.now.saturating_add(delay) > end)
                || self.budget.in_time(self.now, delay).is_none();
            if over {
                return self.give_up(lost);
            }
        }
        if self.stage == Stage::Moving && lost.sent >= self.crowd.lowered() {
            let busy = self.links.values().filter(|link| link.is_busy()).count();
            if self.planned > 1 && self.crowd.lower(self.now, busy.div_ceil(2), after) {
                self.note(Note::FewerConnections(self.crowd.limit()));
            }
        }
        if let Some(delay) = after {
            self.hold(delay, lost.failure.clone(), true);
        }
        self.again(lost, after.unwrap_or_default());
    }

    /// Lies and garbage: the next replica may know better, but not the fourth.
    fn lied_to(&mut self, mut lost: Lost) {
        let lies = if lost.range.is_some() {
            lost.blame.lies = lost.blame.lies.saturating_add(1);
            lost.blame.lies
        } else {
            self.lies = self.lies.saturating_add(1);
            self.lies
        };
        if lies >= LIES_MAX {
            return self.give_up(lost);
        }
        self.again(lost, Duration::ZERO);
    }

    /// Charges the failure, and asks again after a delay of at least `least`.
    fn again(&mut self, lost: Lost, least: Duration) {
        let from_zero = self.object.as_ref().is_some_and(|object| !object.ranged)
            && self.store == Store::Ready
            && !self.can_rejoin();
        if from_zero {
            self.from_zero = self.from_zero.saturating_add(1);
        }
        let failures =
            if lost.brought > 0 && !from_zero { 0 } else { lost.blame.failures.saturating_add(1) };
        let charge = Charge {
            sent: lost.sent,
            brought: if from_zero { 0 } else { lost.brought },
            failures: failures.max(self.from_zero),
        };
        let (total, done) = (self.work.total(), self.work.done_bytes());
        let Some(delay) = self.budget.charge(self.now, charge, total, done) else {
            return self.give_up(lost);
        };
        let delay = delay.max(least);
        self.facts.retries += 1;
        let row = failures.max(self.budget.streak());
        self.note(Note::Retrying { failure: lost.failure.clone(), delay, failures: row });
        if lost.range.is_some() && !delay.is_zero() {
            let due = self.now.saturating_add(delay);
            self.work.blame(lost.at, Blame { failures, lies: lost.blame.lies, due });
        }
        let alone = lost.range.is_none() || self.budget.streak() > 0 || !self.policy_parallel();
        if alone && !delay.is_zero() {
            self.hold(delay, lost.failure, false);
        }
    }

    fn policy_parallel(&self) -> bool {
        self.stage == Stage::Moving && self.planned > 1
    }

    fn give_up(&mut self, lost: Lost) {
        if self.stand_in(&lost.failure) {
            return;
        }
        let attempts = lost.blame.failures.saturating_add(1).max(self.budget.streak());
        let range = lost.range.map(|range| lost.at.min(range.end)..range.end);
        self.fail(lost.failure, range, attempts);
    }

    /// A URL after redirects may expire, and a range may be redirected elsewhere: the original is
    /// asked again, once, as long as it leads on (HT-10).
    fn may_resolve_again(&self, lost: &Lost) -> bool {
        let Failure::Status { status, .. } = lost.failure else { return false };
        let Some(object) = &self.object else { return false };
        let moved = matches!(status, 301 | 302 | 303 | 307 | 308);
        let expired = matches!(status, 401 | 403 | 404 | 410) && object.url != self.original;
        lost.part && (moved || expired) && (self.is_outdated(lost) || self.may_resolve())
    }

    /// Whether it was sent before the original URL was asked again.
    fn is_outdated(&self, lost: &Lost) -> bool {
        self.resolved.zip(lost.attempt).is_some_and(|(last, attempt)| attempt.0 < last.attempt)
    }

    /// Whether the original URL was not asked again since, or bytes came of it.
    fn may_resolve(&self) -> bool {
        self.resolved.is_none_or(|last| self.work.done_bytes() > last.done)
    }

    /// Whether the URL said that it would not work any more by now, and the original may.
    pub(super) fn is_expired(&self) -> bool {
        let expires = self.object.as_ref().and_then(|object| object.expires);
        expires.is_some_and(|at| at <= self.now) && self.may_resolve()
    }

    /// Asks the original URL where the object is now. Requests that failed because of the old place
    /// meanwhile have done so once for all.
    pub(super) fn resolve_again(&mut self, lost: Option<&Lost>) {
        if lost.is_some_and(|lost| self.is_outdated(lost)) || self.stage != Stage::Moving {
            return;
        }
        let Some(object) = &self.object else { return };
        let version = Version::Same(object.validators.clone());
        self.question = Question::Rest { version, over: false };
        self.chain = self.fresh_chain();
        self.resolved = Some(Resolved { attempt: self.next_attempt, done: self.work.done_bytes() });
        if let Some(lost) = lost {
            self.facts.retries += 1;
            let (failure, delay) = (lost.failure.clone(), Duration::ZERO);
            self.note(Note::Retrying { failure, delay, failures: 1 });
        }
        self.stage = Stage::Asking;
    }

    /// The resource is another one now: everything is closed, then it begins anew.
    fn restart(&mut self) {
        self.restarted = true;
        self.note(Note::FreshStart("the resource changed".to_owned()));
        self.withdraw();
        self.close_all();
        self.stage = Stage::Draining;
    }

    /// Begins anew once no byte of the old version can come any more.
    pub(super) fn drained(&mut self) {
        if !self.links.is_empty() || self.store == Store::Preparing {
            return;
        }
        self.store = Store::Unready;
        self.held = None;
        self.known = None;
        self.object = None;
        self.hold = None;
        self.resolved = None;
        self.planned = 1;
        self.facts.resumed = 0;
        self.facts.fallback = None;
        self.work = Work::new(None, RangeSet::new());
        self.chain = self.fresh_chain();
        self.first_question();
        self.stage = Stage::Asking;
        self.ask();
    }

    /// The first failure that nothing can mend. Later ones are its consequences.
    pub(super) fn fail(&mut self, failure: Failure, range: Option<Range<u64>>, attempts: u32) {
        if matches!(self.stage, Stage::Failing | Stage::Over) {
            return;
        }
        let url = match &self.object {
            Some(object) if self.stage != Stage::Asking => object.url.clone(),
            _ => self.chain.current().clone(),
        };
        self.trouble = Some(Trouble { failure, range, attempts, url });
        self.stage = Stage::Failing;
        self.withdraw();
        self.close_all();
    }

    /// Takes back what the shell has not been told yet.
    fn withdraw(&mut self) {
        for command in std::mem::take(&mut self.commands) {
            match command {
                Command::Open { conn, .. } => {
                    self.links.remove(&conn);
                }
                Command::Request { conn, .. } => {
                    self.facts.requests -= 1;
                    if let Some(link) = self.links.get_mut(&conn)
                        && let State::Busy(job) = std::mem::replace(&mut link.state, State::Idle)
                    {
                        self.settle(&job);
                    }
                }
                Command::Prepare { .. } => self.store = Store::Unready,
                Command::Publish { .. } | Command::Keep => self.store = Store::Ready,
                Command::Receive { .. } | Command::Skip { .. } | Command::Shrink { .. } => {}
                Command::Close { .. } | Command::Abandon { .. } | Command::Note(_) => {
                    self.commands.push_back(command);
                }
            }
        }
    }

    /// The end of a failure: once nothing can write any more, the part file is left to its fate.
    pub(super) fn failed(&mut self) {
        let store = matches!(self.store, Store::Preparing | Store::Publishing);
        if !self.links.is_empty() || store {
            return;
        }
        let keep = self.policy.keep_part && self.is_worth_keeping();
        self.stage = Stage::Over;
        self.commands.push_back(Command::Abandon { keep });
    }

    /// Whether a later run can build on what is there: something proves which object it is, and the
    /// failure was not that it is the wrong one.
    fn is_worth_keeping(&self) -> bool {
        let spoilt = match self.trouble.as_ref().map(|trouble| &trouble.failure) {
            Some(Failure::Changed(_) | Failure::Digest { .. } | Failure::Internal(_)) => true,
            Some(Failure::CannotResume { .. }) => true,
            Some(Failure::Store { op, .. }) => *op == StoreOp::Sync,
            _ => false,
        };
        let strong = match (&self.object, &self.held) {
            (Some(object), _) => !object.coded && object.validators.strong().is_some(),
            (None, Some(held)) => held.validator.is_some(),
            (None, None) => false,
        };
        let coded = self.object.as_ref().is_some_and(|object| object.coded);
        let guarded = strong || self.policy.digest && !coded;
        guarded && self.work.total().is_some() && !spoilt
    }

    /// Whatever a request was leased and did not bring is free again.
    pub(super) fn settle(&mut self, job: &Job) {
        let current =
            matches!(job.role, Role::Part | Role::Stream | Role::Wait | Role::Ask | Role::Scout);
        if job.leased && current {
            self.work.give_back(job.at..job.span.end);
        }
    }
}

/// Kept-alive connections that may turn out dead between two bytes of progress.
const STALE_MAX: u32 = 64;

/// Answers in a row that may be lies or garbage, the last of which is final (PG-17).
const LIES_MAX: u32 = 4;
