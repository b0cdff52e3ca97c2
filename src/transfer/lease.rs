//! Hands out what is missing: in file order, to whichever connection is free.

use std::{ops::Range, time::Duration};

use super::{
    Stage, Store, Transfer,
    conn::{Job, Link, Role, Shrink, State},
    plan::{self, Piece},
    probe::{Question, Version},
    work::Blame,
};
use crate::http::{field::Validators, request::Ask};
use crate::orders::{Accept, Attempt, Command, Conn, Expect, Pin};

impl Transfer {
    /// Gives every free connection something to do, opens those that are missing, and publishes
    /// when there is nothing left to do.
    pub(super) fn lease(&mut self) {
        let Some(object) = &self.object else { return };
        let ranged = object.ranged;
        let busy = self.links.values().any(|link| link.is_busy() || link.is_closing());
        if self.work.is_complete() {
            if !busy {
                self.publish();
            }
            return;
        }
        if !ranged {
            if !busy {
                self.stream_again();
            }
            return;
        }
        self.close_useless();
        if self.hold.is_some() {
            return;
        }
        if self.is_expired() && self.work.has_due(self.now) {
            self.resolve_again(None);
            return self.ask();
        }
        self.replace_laggards();
        self.feed_idle();
        self.open_more();
    }

    /// The most connections that may be at work.
    pub(super) fn limit(&self) -> usize {
        self.planned.min(self.ramp.limit()).min(self.allowance).min(self.crowd.limit())
    }

    /// Closes idle connections that lead where nothing is asked any more.
    fn close_useless(&mut self) {
        let links = self.links.iter();
        let useless = links.filter(|(_, link)| link.is_idle() && !self.is_useful(link));
        for conn in useless.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.close(conn);
        }
    }

    fn feed_idle(&mut self) {
        let idle = self.links.iter().filter(|(_, link)| link.is_idle());
        let idle: Vec<Conn> = idle.map(|(conn, _)| *conn).collect();
        let mut splits = self.parts().filter(|(_, job)| job.shrink == Shrink::Pending).count();
        for conn in idle {
            let busy = self.links.values().filter(|link| link.is_busy()).count();
            if busy >= self.limit() {
                self.close(conn);
                continue;
            }
            let mirror = self.links.get(&conn).and_then(|link| link.mirror);
            if self.place(mirror).is_none() {
                if let Some(index) = mirror {
                    self.scout(conn, index);
                }
                continue;
            }
            let piece = self.piece_for(conn);
            if let Some((span, blame)) = self.work.lease(self.now, piece) {
                self.request_part(conn, span, blame);
            } else if splits > 0 {
                splits -= 1;
            } else {
                self.split(conn);
            }
        }
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = (Conn, &Job)> {
        let jobs = self.links.iter().filter_map(|(conn, link)| Some((*conn, link.job()?)));
        jobs.filter(|(_, job)| job.is_part())
    }

    /// How much the next lease on a connection takes.
    pub(super) fn piece_for(&self, conn: Conn) -> Piece {
        let left = self.work.left();
        match self.links.get(&conn) {
            Some(link) => plan::piece(&self.policy, &link.pace, left, self.limit()),
            None => Piece::All,
        }
    }

    pub(super) fn request_part(&mut self, conn: Conn, span: Range<u64>, blame: Blame) {
        let mirror = self.links.get(&conn).and_then(|link| link.mirror);
        let (Some(object), Some(total)) = (self.place(mirror), self.work.total()) else { return };
        let validators = match self.policy.pin {
            Pin::None => Validators::default(),
            Pin::Auto | Pin::Require => object.validators.clone(),
        };
        let mut request = self.request_to(object.url.clone(), object.trusted);
        request.ask = Ask::Part(span.clone());
        request.if_range = validators.strong().map(str::to_owned);
        let expect = Expect { range: span.clone(), total, validators };
        if let Some(link) = self.links.get_mut(&conn) {
            link.pace.leased(span.end - span.start);
        }
        let job = Job { role: Role::Part, leased: true, blame, mirror, ..self.job(span) };
        self.facts.fetched = true;
        self.send(conn, job, request, Accept::Part(expect));
    }

    /// Opens connections for what is free, and for spans that are worth a split.
    fn open_more(&mut self) {
        let alive = self.links.values().filter(|link| !link.is_closing()).count();
        let opening = |link: &&Link| matches!(link.state, State::Opening);
        let coming = self.links.values().filter(opening).count();
        let room = self.limit().saturating_sub(alive);
        if room == 0 {
            return;
        }
        let pieces = if self.work.has_due(self.now) { self.pieces() } else { 0 };
        let splits = self.parts().filter(|(conn, job)| self.is_splittable(*conn, job)).count();
        let wanted = pieces.saturating_add(splits).saturating_sub(coming);
        for _ in 0..wanted.min(room) {
            let Some((mirror, url)) = self.next_place() else { return };
            self.open(url, mirror);
        }
    }

    /// How many leases the free bytes make.
    fn pieces(&self) -> usize {
        let free = self.work.free_bytes();
        let pace = super::pace::Pace::default();
        match plan::piece(&self.policy, &pace, self.work.left(), self.limit()) {
            Piece::All => usize::from(free > 0),
            Piece::Exact(size) | Piece::About(size) => {
                usize::try_from(free.div_ceil(size.max(1))).unwrap_or(usize::MAX)
            }
        }
    }

    /// Takes a share of the span that would be finished last, for a connection that has nothing to
    /// do: as much as makes both end together.
    fn split(&mut self, idle: Conn) {
        let last = self.parts().filter(|(conn, job)| self.is_splittable(*conn, job));
        let last = last.max_by_key(|(conn, job)| self.time_left(*conn, job));
        let Some((conn, job)) = last else { return };
        let (attempt, end) = (job.attempt, job.span.end - self.share(conn, job, Some(idle)));
        if let Some(job) = self.links.get_mut(&conn).and_then(|l| l.attempt_mut(attempt)) {
            job.shrink = Shrink::Pending;
        }
        self.commands.push_back(Command::Shrink { conn, attempt, end });
    }

    /// Whether a part of a running span is worth a connection of its own: long enough, or so slow
    /// that another connection would be done with it much sooner.
    fn is_splittable(&self, conn: Conn, job: &Job) -> bool {
        if job.shrink != Shrink::No || job.role != Role::Part {
            return false;
        }
        let share = self.share(conn, job, None);
        let slow = self.time_left(conn, job) > SLOW && share >= SHARE_MIN;
        share >= self.policy.min_split.max(1) || slow && self.policy.min_split <= job.owes()
    }

    /// The part of what a job owes that another connection should take.
    fn share(&self, conn: Conn, job: &Job, other: Option<Conn>) -> u64 {
        let own = self.rate_of(conn, job);
        let other =
            other.and_then(|other| self.links.get(&other)?.pace.rate()).or_else(|| self.typical());
        match (own, other) {
            (Some(own), Some(other)) => {
                let part = u128::from(job.owes()) * u128::from(other);
                u64::try_from(part / (u128::from(own) + u128::from(other)).max(1)).unwrap_or(0)
            }
            _ => job.owes() / 2,
        }
    }

    /// The tail of a span was given up: it is nobody's.
    pub(super) fn on_shrunk(&mut self, conn: Conn, attempt: Attempt, end: u64) {
        let job = self.links.get_mut(&conn).and_then(|link| link.attempt_mut(attempt));
        let Some(job) = job else { return };
        if job.at <= end && end < job.span.end {
            let freed = end..job.span.end;
            job.span.end = end;
            job.shrink = Shrink::No;
            self.work.give_back(freed);
        } else {
            job.shrink = Shrink::Refused;
        }
    }

    /// The one stream ended before the object did: the rest alone if that is safe, else all of it.
    fn stream_again(&mut self) {
        let Some(object) = &self.object else { return };
        let version = Version::Same(object.validators.clone());
        self.question = if self.can_rejoin() {
            Question::Rest { version, over: true }
        } else {
            Question::Whole(Version::Any)
        };
        if *self.chain.current() != self.original {
            self.chain = self.fresh_chain();
        }
        self.stage = Stage::Asking;
        self.ask();
    }

    /// Whether bytes of another answer may follow those of the stream.
    pub(super) fn can_rejoin(&self) -> bool {
        let guarded = |validators: &Validators| self.policy.digest || validators.strong().is_some();
        let some = self.work.frontier() > 0;
        some && self.from_zero == 0
            && self.object.as_ref().is_some_and(|o| !o.coded && guarded(&o.validators))
    }

    fn publish(&mut self) {
        let Some(total) = self.work.total() else { return };
        self.close_all();
        self.stage = Stage::Publishing;
        self.store = Store::Publishing;
        let keep = self.facts.kept;
        self.commands.push_back(if keep { Command::Keep } else { Command::Publish { total } });
    }
}

/// A span that takes longer is split even if the parts are short.
const SLOW: Duration = Duration::from_secs(3);

/// But not shorter than this.
const SHARE_MIN: u64 = 128 << 10;
