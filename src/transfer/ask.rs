//! Puts the question that finds out what there is.

use std::{ops::Range, time::Duration};

use super::{
    Stage, Store, Transfer,
    conn::{Job, Link, Role, Shrink, State},
    edition::Object,
    known,
    plan::{self, Piece},
    probe::{Question, Version},
    work::Blame,
};
use crate::http::{
    field::{RangeSpec, RetryAfter, Validators},
    redirect::{Chain, Origin},
    request::{Ask, Request},
};
use crate::orders::{Accept, Attempt, Command, Conn, Failure, OPEN_END, Pin};

impl Transfer {
    /// Puts the question, as soon as there is a connection to put it on.
    pub(super) fn ask(&mut self) {
        if self.edition.object.is_some() && self.edition.work.is_complete() {
            self.stage = Stage::Moving;
            return self.lease();
        }
        let asking =
            [Role::Ask, Role::Wait, Role::Skip].iter().any(|role| self.links.has_role(*role));
        if asking || self.allowance == 0 {
            return;
        }
        let lead = self.places.lead;
        let Some(url) = self.edition.find(lead).map(|find| find.chain.current().clone()) else {
            return;
        };
        let origin = Origin::of(&url);
        if let Some(pause) = self.places.waits(lead, origin.as_ref()) {
            if matches!(pause.why, Failure::Patience { .. }) {
                let why = pause.why.clone();
                return self.despair(why);
            }
            return;
        }
        self.close_which(|link| link.is_idle() && link.place == lead && link.origin != origin);
        let here = |link: &Link| link.origin == origin && link.place == lead;
        if let Some(conn) = self.links.which(|link| here(link) && link.is_idle()).first() {
            self.put_question(*conn);
        } else if self.links.count(|link| here(link) && matches!(link.state, State::Opening)) == 0 {
            if self.links.alive() >= self.allowance {
                self.close_which(Link::is_idle);
            }
            // Else one that is busy makes room when it is done.
            if self.links.alive() < self.allowance {
                self.open(url, lead);
            }
        }
    }

    fn put_question(&mut self, conn: Conn) {
        let lead = self.places.lead;
        let Some(find) = self.edition.find(lead) else { return };
        let mut request = self.request_to(lead, &find.chain);
        let mut job = self.job(0..OPEN_END, lead);
        match &self.edition.question {
            _ if self.edition.is_unplaced(&self.policy) => {
                request.ask = Ask::Last(1);
                self.unless_known(&mut request);
            }
            Question::Probe => {
                job.span = 0..self.first_piece();
                request.ask = self.edition.ask_for(&job.span);
                self.unless_known(&mut request);
            }
            Question::Whole(_) => {
                if let Some(slice) = self.policy.slice {
                    job.span = 0..slice.most().unwrap_or(OPEN_END);
                    request.ask = self.edition.ask_for(&job.span);
                }
                self.unless_known(&mut request);
            }
            Question::Confirm(pin) => known::unless(&mut request, pin, lead),
            Question::Rest { version, .. } => {
                request.if_range = version.if_range();
                if self.edition.work.total().is_some() {
                    let piece = self.rest_piece();
                    let leased = self.edition.work.lease(self.now, piece, lead, false);
                    let Some((span, blame)) = leased else { return };
                    request.ask = self.edition.ask_for(&span);
                    job = Job { at: span.start, span, blame, leased: true, ..job };
                } else {
                    let from = self.edition.work.frontier();
                    request.ask = Ask::From(from);
                    job = Job { at: from, span: from..OPEN_END, ..job };
                }
            }
        }
        self.send(conn, job, request, Accept::Ask);
    }

    /// How much the first range is.
    fn first_piece(&self) -> u64 {
        let most = self.policy.slice.and_then(RangeSpec::most).unwrap_or(u64::MAX);
        self.policy.first_part.max(1).min(most)
    }

    /// How much the first range of a resumed object is: everything when one connection gets it all.
    fn rest_piece(&self) -> Piece {
        let stream = self.edition.object.as_ref().is_some_and(|object| !object.ranged);
        if plan::is_single(&self.policy) || stream {
            Piece::Rest
        } else {
            Piece::About(self.policy.first_part.max(1))
        }
    }

    /// A request that is about to be sent to a place.
    pub(super) fn job(&self, span: Range<u64>, place: usize) -> Job {
        Job {
            attempt: Attempt(self.links.next_attempt()),
            role: Role::Ask,
            at: span.start,
            span,
            leased: false,
            place,
            blame: Blame::default(),
            sent: self.now,
            beside: self.links.proven(place),
            moved: self.now,
            strode: self.now,
            shrink: Shrink::No,
        }
    }

    /// A GET of where a chain of a place leads, with the fields that may go there.
    pub(super) fn request_to(&self, place: usize, chain: &Chain) -> Request {
        let mut request = Request::get(chain.current().clone());
        request.compressed = self.policy.compressed;
        request.fields.clone_from(&self.policy.fields);
        if let Some(place) = self.places.at(place) {
            request.fields.extend(place.own_fields(chain).iter().cloned());
        }
        request
    }

    /// Sends a request on an idle connection.
    pub(super) fn send(&mut self, conn: Conn, job: Job, request: Request, accept: Accept) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let attempt = job.attempt;
        link.since = self.now;
        link.state = State::Busy(job);
        self.links.sent(attempt);
        self.counts.requests += 1;
        self.commands.push_back(Command::Request { conn, attempt, request, accept });
    }

    /// The body of this answer is of no use.
    pub(super) fn skip(&mut self, conn: Conn) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let State::Busy(job) = &mut link.state else { return };
        job.role = Role::Skip;
        if std::mem::take(&mut job.leased) {
            self.edition.work.give_back(job.at..job.span.end);
        }
        let attempt = job.attempt;
        self.commands.push_back(Command::Skip { conn, attempt });
    }

    /// Makes the part file ready for the object that was believed.
    pub(super) fn prepare(&mut self, resume: bool) {
        self.edition.known = None;
        let Some(object) = &self.edition.object else { return };
        if matches!(self.stage, Stage::Failing | Stage::Over) {
            return;
        }
        let validators = self.lasting(object);
        let done = self.edition.work.done_bytes();
        self.edition.told.resumed = if resume { done } else { 0 };
        if resume {
            self.note(crate::orders::Note::Resumed { bytes: done });
        }
        self.stage = Stage::Preparing;
        self.store = Store::Preparing;
        let extent = self.edition.extent.clone();
        self.commands.push_back(Command::Prepare { extent, validators, resume });
    }

    /// What the journal, and the file in the end, may say of the version. Where the user takes the
    /// risk of several, or mirrors are let in that prove nothing because a digest will tell, it
    /// cannot speak for all the bytes, and a later run that is strict must not build on them.
    pub(super) fn lasting(&self, object: &Object) -> Validators {
        let lenient = self.policy.pin == Pin::None || self.digest_mends() && self.places.len() > 1;
        if lenient { Validators::default() } else { object.validators.clone() }
    }

    /// Whether ranges that agree in these may be joined.
    pub(super) fn is_guarded(&self, validators: &Validators) -> bool {
        self.policy.digest || validators.is_strong()
    }

    /// Whether it is enough that two places name the same length.
    pub(super) fn is_lenient(&self) -> bool {
        self.digest_mends() || self.policy.pin == Pin::None
    }

    /// A digest will tell whether places have one object, and what it tells can be mended: not in a
    /// stream, whose bytes are out by then.
    fn digest_mends(&self) -> bool {
        self.policy.digest && self.policy.window.is_none()
    }

    /// How long an answer that came just now asks to wait.
    pub(super) fn wait_of(&self, after: RetryAfter) -> Option<Duration> {
        match (after, self.policy.clock) {
            (RetryAfter::Seconds(seconds), _) => Some(Duration::from_secs(seconds)),
            (RetryAfter::Date(_), Some(clock)) => {
                let now = i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX);
                Some(after.from(crate::http::field::HttpDate(clock.0.saturating_add(now))))
            }
            (RetryAfter::Date(_), None) => None,
        }
    }

    /// Nothing new is asked of `origin` before the wait is over, on whatever connection.
    pub(super) fn hold(&mut self, origin: Option<Origin>, wait: Duration, why: &Failure) {
        if let (Some(origin), false) = (origin, wait.is_zero()) {
            self.places.hold(origin, self.now.saturating_add(wait), why.clone());
        }
    }

    /// The rest is asked for, if this version has it.
    pub(super) fn ask_rest(&mut self, version: Version, over: bool) {
        self.edition.question = Question::Rest { version, over };
        self.stage = Stage::Asking;
    }
}
