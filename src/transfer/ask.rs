//! Puts the question that finds out what there is, and acts on its answer.

use std::{ops::Range, time::Duration};

use url::Url;

use super::{
    Object, Stage, Store, Transfer,
    conn::{Job, Link, Role, Shrink, State},
    expiry, known,
    plan::{self, Piece},
    probe::{self, Question, Renewal, Ruling, Version},
    ramp::Ramp,
    recover::Lost,
    work::{Blame, Work},
};
use crate::orders::{
    Accept, Attempt, Command, Conn, Connections, Failure, Note, OPEN_END, Pin, Policy, expect,
};
use crate::{
    http::{
        body::Framing,
        redirect::{Chain, Origin},
        request::{Ask, Request},
        response::Head,
    },
    journal::Held,
    range::RangeSet,
};

/// Whether what an earlier run left can be built on: it is some of an object, and something proves
/// which object.
pub(super) fn is_usable(held: &Held, policy: &Policy) -> bool {
    let within = held.done.iter().all(|range| range.end <= held.total);
    let guarded = held.validator.is_some() || policy.digest;
    within && guarded && !held.done.is_empty() && held.total <= expect::LENGTH_MAX
}

impl Transfer {
    /// The question that the download, or a fresh start of it, begins with.
    pub(super) fn first_question(&mut self) {
        let Some(held) = &self.held else {
            let single = plan::is_single(&self.policy);
            self.question = if single { Question::Whole(Version::Any) } else { Question::Probe };
            return;
        };
        self.work = Work::new(Some(held.total), held.done.clone());
        let version = held.validator.clone().map_or(Version::Any, Version::Strong);
        match version {
            _ if !self.work.is_complete() => {
                self.question = Question::Rest { version, over: true };
            }
            Version::Strong(strong) if !self.policy.digest => {
                self.question = Question::Confirm(strong);
            }
            // The digest says all that the server could.
            _ => {
                self.object = Some(self.object_of(None));
                self.prepare(true);
            }
        }
    }

    /// Puts the question, as soon as there is a connection to put it on.
    pub(super) fn ask(&mut self) {
        if self.object.is_some() && self.work.is_complete() {
            self.stage = Stage::Moving;
            return self.lease();
        }
        let asking = [Role::Ask, Role::Wait, Role::Skip].iter().any(|role| self.has_role(*role));
        if self.hold.is_some() || asking || self.allowance == 0 {
            return;
        }
        let origin = Origin::of(self.chain.current());
        self.close_idle(|link| link.origin == origin || link.mirror.is_some());
        let mut here =
            self.links.iter().filter(|(_, link)| link.origin == origin && link.mirror.is_none());
        if let Some((conn, _)) = here.clone().find(|(_, link)| link.is_idle()) {
            let conn = *conn;
            self.put_question(conn);
        } else if !here.any(|(_, link)| matches!(link.state, State::Opening)) {
            let alive =
                |transfer: &Self| transfer.links.values().filter(|link| !link.is_closing()).count();
            if alive(self) >= self.allowance {
                self.close_idle(|_| false);
            }
            // Else one that is busy makes room when it is done.
            if alive(self) < self.allowance {
                self.open(self.chain.current().clone(), None);
            }
        }
    }

    fn put_question(&mut self, conn: Conn) {
        let mut request = self
            .request_to(self.chain.current().clone(), self.is_trusted(&self.original, &self.chain));
        let mut job = self.job(0..OPEN_END);
        match &self.question {
            Question::Probe => {
                job.span = 0..self.policy.first_part.max(1);
                request.ask = Ask::Part(job.span.clone());
                self.unless_known(&mut request);
            }
            Question::Whole(_) => self.unless_known(&mut request),
            Question::Confirm(strong) => known::unless(&mut request, strong),
            Question::Rest { version, .. } => {
                request.if_range = version.if_range();
                if self.work.total().is_some() {
                    let piece = self.rest_piece();
                    let Some((span, blame)) = self.work.lease(self.now, piece) else { return };
                    request.ask = Ask::Part(span.clone());
                    job = Job { at: span.start, span, blame, leased: true, ..job };
                } else {
                    let from = self.work.frontier();
                    request.ask = Ask::From(from);
                    job = Job { at: from, span: from..OPEN_END, ..job };
                }
            }
        }
        self.send(conn, job, request, Accept::Ask);
    }

    /// How much the first range of a resumed object is: everything when one connection gets it all.
    fn rest_piece(&self) -> Piece {
        let stream = self.object.as_ref().is_some_and(|object| !object.ranged);
        if plan::is_single(&self.policy) || stream {
            Piece::All
        } else {
            Piece::About(self.policy.first_part.max(1))
        }
    }

    /// A request that is about to be sent.
    pub(super) fn job(&self, span: Range<u64>) -> Job {
        Job {
            attempt: Attempt(self.next_attempt),
            role: Role::Ask,
            at: span.start,
            span,
            leased: false,
            mirror: None,
            blame: Blame::default(),
            sent: self.now,
            moved: self.now,
            strode: self.now,
            shrink: Shrink::No,
        }
    }

    /// A GET of `url` with the fields that may go there.
    pub(super) fn request_to(&self, url: Url, trusted: bool) -> Request {
        let mut request = Request::get(url);
        request.fields.clone_from(&self.policy.fields);
        if trusted {
            request.fields.extend(self.policy.private_fields.iter().cloned());
        }
        request
    }

    /// Sends a request on an idle connection.
    pub(super) fn send(&mut self, conn: Conn, job: Job, request: Request, accept: Accept) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let attempt = job.attempt;
        self.next_attempt = self.next_attempt.max(attempt.0 + 1);
        link.since = self.now;
        link.state = State::Busy(job);
        self.facts.requests += 1;
        self.commands.push_back(Command::Request { conn, attempt, request, accept });
    }

    /// The answer to the question.
    pub(super) fn on_head(&mut self, conn: Conn, attempt: Attempt, head: &Head) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let State::Busy(job) = &link.state else { return };
        if job.role == Role::Scout {
            return self.on_scout(conn, attempt, head);
        }
        if job.attempt != attempt || job.role != Role::Ask {
            return;
        }
        link.proven = true;
        let asked = job.span.clone();
        match self.known.as_ref().map(|known| probe::renew(known, head)) {
            Some(Renewal::Same) => {
                self.skip(conn);
                return self.accept_known(head);
            }
            // Asked again without the condition.
            Some(Renewal::Absurd) => {
                self.known = None;
                return self.skip(conn);
            }
            Some(Renewal::Other) | None => {}
        }
        match probe::judge(&self.question, &asked, self.work.total(), head) {
            Ruling::Part { range, total } => self.accept_part(conn, range, total, head),
            Ruling::Whole { framing: Framing::Length(0), .. } => {
                self.skip(conn);
                self.start_over(Some(0), head);
            }
            Ruling::Whole { framing, coded } => self.accept_whole(conn, framing, coded, head),
            Ruling::Complete { total } => {
                self.skip(conn);
                self.accept_complete(total, head);
            }
            Ruling::Redirect => {
                self.skip(conn);
                self.redirect(head);
            }
            Ruling::Plain(why) => {
                self.skip(conn);
                self.ask_plainly(why);
            }
            Ruling::Fail(failure) => self.refuse(conn, failure),
        }
    }

    /// The answer is no answer: what was leased for it goes back, with the blame.
    fn refuse(&mut self, conn: Conn, failure: Failure) {
        let Some(job) = self.links.get(&conn).and_then(Link::job) else { return };
        let lost = Lost::of(job, failure, false);
        self.skip(conn);
        self.lost(lost);
    }

    fn ask_plainly(&mut self, why: &'static str) {
        let version = match &self.question {
            Question::Rest { version, .. } => version.clone(),
            _ => Version::Any,
        };
        self.question = Question::Whole(version);
        self.fall_back(why);
    }

    fn fall_back(&mut self, why: &'static str) {
        if self.facts.fallback.is_none() && !plan::is_single(&self.policy) {
            self.facts.fallback = Some(why);
            self.note(Note::Fallback(why));
        }
    }

    fn redirect(&mut self, head: &Head) {
        match self.chain.follow(head.one("location")) {
            Ok(url) => {
                let url = url.clone();
                self.note(Note::Redirected(url));
            }
            Err(error) => self.fail(Failure::Http(error), None, 0),
        }
    }

    /// The body of this answer is of no use.
    pub(super) fn skip(&mut self, conn: Conn) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let State::Busy(job) = &mut link.state else { return };
        job.role = Role::Skip;
        if std::mem::take(&mut job.leased) {
            self.work.give_back(job.at..job.span.end);
        }
        let attempt = job.attempt;
        self.commands.push_back(Command::Skip { conn, attempt });
    }

    /// A 206 in answer to the question.
    fn accept_part(&mut self, conn: Conn, range: Range<u64>, total: u64, head: &Head) {
        if !self.size_is_allowed(Some(total)) {
            return;
        }
        let object = self.object_of(Some(head));
        let guarded = self.policy.digest || object.validators.strong().is_some();
        if self.question == Question::Probe {
            if self.policy.pin == Pin::Require && !guarded {
                return self.fail(Failure::Unpinned, None, 0);
            }
            if range.end < total && self.policy.pin == Pin::Auto && !guarded {
                self.skip(conn);
                return self.ask_plainly("nothing ties ranges together: no strong validator");
            }
            self.work = Work::new(Some(total), RangeSet::new());
        } else if self.work.total().is_none() {
            self.work.set_total(total);
        }
        self.lies = 0;
        self.planned = plan::connections(&self.policy, self.work.left());
        self.object = Some(Object { ranged: true, ..object });
        self.take_body(conn, range);
        if self.store == Store::Ready {
            self.on_prepared();
        } else {
            self.prepare(self.held.is_some());
        }
    }

    /// The answer's body lies at `range`: the rest of what was leased for it is nobody's.
    pub(super) fn take_body(&mut self, conn: Conn, range: Range<u64>) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let State::Busy(job) = &mut link.state else { return };
        if job.leased {
            self.work.give_back(job.at..job.span.end);
        }
        self.work.claim(range.clone());
        job.at = range.start;
        job.span = range;
        job.leased = true;
        job.role = Role::Wait;
    }

    /// A 200 in answer to the question: it is the download, from its first byte.
    fn accept_whole(&mut self, conn: Conn, framing: Framing, coded: bool, head: &Head) {
        let total = match framing {
            Framing::Length(total) => Some(total),
            Framing::Chunked | Framing::Close => None,
        };
        if !self.size_is_allowed(total) {
            return;
        }
        if self.question == Question::Probe {
            self.fall_back("the server ignores ranges");
        }
        self.facts.unverified = framing == Framing::Close;
        if self.facts.unverified {
            self.note(Note::Unverified);
        }
        if let Some(coding) = head.content_coding() {
            self.note(Note::Coded(coding));
        }
        // Before the work is replaced, what was leased for the question is forgotten with it.
        if let Some(link) = self.links.get_mut(&conn)
            && let State::Busy(job) = &mut link.state
        {
            job.leased = false;
        }
        self.start_over(total, head);
        if let Some(object) = &mut self.object {
            object.coded = coded;
        }
        self.take_body(conn, 0..total.unwrap_or(OPEN_END));
    }

    /// Begins the object at its first byte, whatever was there before.
    fn start_over(&mut self, total: Option<u64>, head: &Head) {
        let object = self.object_of(Some(head));
        let guarded = self.policy.digest || object.validators.strong().is_some();
        if self.policy.pin == Pin::Require && !guarded {
            return self.fail(Failure::Unpinned, None, 0);
        }
        if self.work.done_bytes() > 0 {
            // Asking for the rest again would lead here again, for ever.
            self.from_zero = self.from_zero.saturating_add(1);
            let why = "the server does not send the rest alone".to_owned();
            self.note(Note::FreshStart(why));
        }
        self.held = None;
        self.lies = 0;
        self.planned = 1;
        self.work = Work::new(total, RangeSet::new());
        self.object = Some(object);
        self.prepare(false);
    }

    /// Nothing is missing.
    fn accept_complete(&mut self, total: u64, head: &Head) {
        if total == 0 && self.held.is_none() {
            return self.start_over(Some(0), head);
        }
        if self.work.total().is_none() {
            self.work.set_total(total);
        }
        if self.store == Store::Ready {
            self.stage = Stage::Moving;
        } else {
            self.object = Some(self.object_of(Some(head)));
            self.prepare(true);
        }
    }

    pub(super) fn prepare(&mut self, resume: bool) {
        self.known = None;
        let Some(object) = &self.object else { return };
        if matches!(self.stage, Stage::Failing | Stage::Over) {
            return;
        }
        let (validators, url) = (object.validators.clone(), object.url.clone());
        self.facts.resumed = if resume { self.work.done_bytes() } else { 0 };
        if resume {
            self.note(Note::Resumed { bytes: self.facts.resumed });
        }
        self.stage = Stage::Preparing;
        self.store = Store::Preparing;
        let total = self.work.total();
        self.commands.push_back(Command::Prepare { total, validators, url, resume });
    }

    /// The part file is ready: the body that waited for it may come.
    pub(super) fn on_prepared(&mut self) {
        self.stage = Stage::Moving;
        self.ramp = match self.policy.connections {
            Connections::Auto { .. } => Ramp::new(self.now),
            Connections::Exactly(_) => Ramp::none(),
        };
        self.receive_waiting();
    }

    /// Lets the bodies come whose heads are believed.
    pub(super) fn receive_waiting(&mut self) {
        let ranged = self.object.as_ref().is_some_and(|object| object.ranged);
        for (conn, link) in &mut self.links {
            if let State::Busy(job) = &mut link.state
                && job.role == Role::Wait
            {
                job.role = if ranged { Role::Part } else { Role::Stream };
                job.moved = self.now;
                job.strode = self.now;
                self.facts.fetched = true;
                self.commands.push_back(Command::Receive {
                    conn: *conn,
                    attempt: job.attempt,
                    span: job.span.clone(),
                });
            }
        }
    }

    /// Whether the user allows an object of this length; fails the transfer if not.
    pub(super) fn size_is_allowed(&mut self, total: Option<u64>) -> bool {
        match (self.policy.max_size, total) {
            (Some(limit), Some(size)) if size > limit => {
                self.fail(Failure::TooLarge { limit, size: Some(size) }, None, 0);
                false
            }
            _ => true,
        }
    }

    pub(super) fn object_of(&mut self, head: Option<&Head>) -> Object {
        if let Some(head) = head {
            self.facts.stated = head.stated_digest();
            self.facts.content_encoding = head.content_coding();
            self.facts.disposition = head.one("content-disposition").map(<[u8]>::to_vec);
        }
        let url = self.chain.current().clone();
        let validators = head.map(Head::validators).unwrap_or_default();
        let moved = validators.date.filter(|_| url != self.original);
        let lifetime = moved.and_then(|date| expiry::lifetime(&url, date));
        Object {
            origin: Origin::of(&url),
            url,
            trusted: self.is_trusted(&self.original, &self.chain),
            validators,
            expires: lifetime.map(|left| self.now.saturating_add(left)),
            ranged: false,
            coded: false,
        }
    }

    /// From the URL that the user gave, as if nothing had been asked before.
    pub(super) fn fresh_chain(&self) -> Chain {
        let (hops, downgrade) = (self.policy.max_redirects, self.policy.allow_downgrade);
        Chain::new(self.original.clone(), hops, downgrade)
    }

    /// Nothing is asked before `delay` is over.
    pub(super) fn hold(&mut self, delay: Duration, why: Failure, hard: bool) {
        let until = self.now.saturating_add(delay);
        if self.hold.as_ref().is_none_or(|hold| hold.until < until) {
            self.hold = Some(super::Hold { until, why, hard });
        }
    }
}
